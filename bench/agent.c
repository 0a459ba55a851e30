
/*
 * The agent's end of the streams: answers each request with a stream, and
 * sends events as an LLM's tokens come, each a chunk of its own.
 */


#define _GNU_SOURCE

#include "hosts.h"
#include "streams.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>


#define BACKLOG        4096
#define BATCH          256          /* events in one chunk */
#define CHUNK_HEAD     10           /* hexadecimal length, CRLF */


static void
send_all(const arm_t *arm, const agent_t *agent, const char *p, size_t len)
{
    ssize_t  n;

    n = send(agent->fd, p, len, MSG_DONTWAIT|MSG_NOSIGNAL);

    if (n == -1 && errno != EAGAIN) {
        die("send to nginx");
    }

    if (n != (ssize_t) len) {
        wrong(arm, "nginx does not read what the agent sends", p, 0);
    }
}


void
agent_listen(arm_t *arm)
{
    int                 on;
    struct sockaddr_in  sin;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sin.sin_port = htons((uint16_t) arm->agent_port);

    arm->listener = socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC,
                           0);
    if (arm->listener == -1) {
        die("socket");
    }

    on = 1;

    if (setsockopt(arm->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on))
            == -1
        || bind(arm->listener, (struct sockaddr *) &sin, sizeof(sin)) == -1
        || listen(arm->listener, BACKLOG) == -1)
    {
        die("listen");
    }

    watch_fd(arm, arm->listener, arm);
}


void
agent_accept(arm_t *arm)
{
    int       fd, on;
    agent_t  *agent;

    for ( ;; ) {

        fd = accept4(arm->listener, NULL, NULL, SOCK_NONBLOCK|SOCK_CLOEXEC);

        if (fd == -1) {
            if (errno == EAGAIN) {
                return;
            }

            die("accept");
        }

        if (arm->nagents == arm->nstreams) {
            wrong(arm, "nginx connects once more than it was asked", "", 0);
        }

        on = 1;

        if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1) {
            die("setsockopt");
        }

        agent = &arm->agents[arm->nagents];
        agent->peer = PEER_AGENT;
        agent->fd = fd;
        agent->number = arm->nagents++;

        watch_fd(arm, fd, agent);
    }
}


void
agent_receive(arm_t *arm, agent_t *agent)
{
    char               buf[4096];
    ssize_t            i, n;
    static const char  blank[] = "\r\n\r\n";
    static const char  answer[] =
        "HTTP/1.1 200 OK\r\n"
        "Content-Type: text/event-stream\r\n"
        "Cache-Control: no-cache\r\n"
        "Transfer-Encoding: chunked\r\n"
        "\r\n";

    for ( ;; ) {

        n = recv(agent->fd, buf, sizeof(buf), MSG_DONTWAIT);

        if (n == -1 && errno == EAGAIN) {
            return;
        }

        if (n <= 0) {
            wrong(arm, "nginx closes a stream", "", 0);
        }

        for (i = 0; i < n && agent->matched < sizeof(blank) - 1; i++) {

            if (buf[i] == blank[agent->matched]) {
                agent->matched++;

            } else {
                agent->matched = (buf[i] == '\r');
            }
        }

        if (agent->matched == sizeof(blank) - 1 && agent->sent == 0) {
            send_all(arm, agent, answer, sizeof(answer) - 1);
            agent_send(arm, agent, 1);
        }
    }
}


static char *
put_event(char *p, const agent_t *agent, uint32_t seq, uint64_t time)
{
    size_t       len;
    const char  *words;

    p = mempcpy(p, EVENT_HEAD, sizeof(EVENT_HEAD) - 1);

    host_hex(p, agent->number, EVENT_STREAM);
    p += EVENT_STREAM;
    *p++ = ' ';

    host_hex(p, seq, EVENT_SEQ);
    p += EVENT_SEQ;
    *p++ = ' ';

    host_hex(p, time, EVENT_TIME);
    p += EVENT_TIME;
    *p++ = ' ';

    words = event_words(agent->number, seq, &len);

    p = mempcpy(p, words, len);
    p = mempcpy(p, EVENT_TAIL, sizeof(EVENT_TAIL) - 1);

    return mempcpy(p, "\n\n", 2);
}


void
agent_send(arm_t *arm, agent_t *agent, unsigned events)
{
    char      buf[CHUNK_HEAD + EVENT_MAX * BATCH + 2];
    char     *p, *start;
    size_t    len;
    unsigned  i;
    uint64_t  t;

    t = now(CLOCK_MONOTONIC);
    arm->active = t;

    p = buf + CHUNK_HEAD;

    for (i = 0; i < events && i < BATCH; i++) {
        p = put_event(p, agent, agent->sent++, t);
    }

    arm->sent += i;

    /* the length, in no more digits than it needs, in front of them */

    start = buf + CHUNK_HEAD;
    len = (size_t) (p - start);

    *--start = '\n';
    *--start = '\r';

    do {
        *--start = "0123456789abcdef"[len & 0xf];
        len >>= 4;
    } while (len);

    p = mempcpy(p, "\r\n", 2);

    send_all(arm, agent, start, (size_t) (p - start));
}


void
agent_end(arm_t *arm, agent_t *agent)
{
    static const char  last[] = "0\r\n\r\n";

    send_all(arm, agent, last, sizeof(last) - 1);

    if (close(agent->fd) == -1) {
        die("close");
    }
}
