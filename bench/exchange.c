
/*
 * Requests and answers of the load generator.  It adds nothing to a send()
 * and a recv() but to copy what varies into a request that is ready, and to
 * look at every answer.
 */


#define _GNU_SOURCE

#include "hosts.h"
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>


#define BUFFER         8192

#define LABEL          "u00000000"


static void
wrong(const arm_t *arm, const conn_t *c, const char *what, const char *buf,
    size_t len)
{
    char  label[HOST_LABEL_LEN];

    host_label(label, c->number);

    fprintf(stderr, "load: %s: %s, %s %u, host %.*s." HOST_DOMAIN
            ", answer:\n%.*s\n",
            arm->name, what, arm->tokens ? "token" : "host", c->number,
            HOST_LABEL_LEN, label, (int) (len > 1024 ? 1024 : len), buf);
    exit(1);
}


void
exchange_tokens(arm_t *arm, const char *path)
{
    int          fd;
    char        *end;
    struct stat  st;

    fd = open(path, O_RDONLY|O_CLOEXEC);
    if (fd == -1 || fstat(fd, &st) == -1) {
        die(path);
    }

    /* all of it now, so that no page is missing while requests are sent */

    arm->tokens = mmap(NULL, (size_t) st.st_size, PROT_READ,
                       MAP_PRIVATE|MAP_POPULATE, fd, 0);
    if (arm->tokens == MAP_FAILED) {
        die("mmap");
    }

    if (close(fd) == -1) {
        die("close");
    }

    end = memchr(arm->tokens, '\n', (size_t) st.st_size);

    if (end == NULL || (size_t) st.st_size % (size_t) (end + 1 - arm->tokens))
    {
        errno = EINVAL;
        die(path);
    }

    arm->token_len = (size_t) (end - arm->tokens);
    arm->n = (unsigned) ((size_t) st.st_size / (arm->token_len + 1));
}


static void
make_request(arm_t *arm)
{
    int  n;

    if (arm->tokens) {
        n = asprintf(&arm->request,
                     "GET / HTTP/1.1\r\nHost: " HOST_DOMAIN "\r\n"
                     "Authorization: Bearer %.*s\r\n\r\n",
                     (int) arm->token_len, arm->tokens);

    } else {
        n = asprintf(&arm->request,
                     "GET / HTTP/1.1\r\nHost: " LABEL "." HOST_DOMAIN
                     "\r\n\r\n");
    }

    if (n == -1) {
        die("asprintf");
    }

    arm->request_len = (size_t) n;
    arm->varies = strstr(arm->request, arm->tokens ? "Bearer " : "Host: ");
    arm->varies += arm->tokens ? sizeof("Bearer ") - 1 : sizeof("Host: ") - 1;
}


void
exchange_send(const arm_t *arm, conn_t *c, uint32_t number)
{
    ssize_t  n;

    c->number = number;

    if (arm->tokens) {
        memcpy(arm->varies, arm->tokens + number * (arm->token_len + 1),
               arm->token_len);

    } else {
        host_label(arm->varies, number);
    }

    n = send(c->fd, arm->request, arm->request_len,
             MSG_DONTWAIT|MSG_NOSIGNAL);

    if (n == -1) {
        die("send");
    }

    if (n != (ssize_t) arm->request_len) {
        errno = EIO;
        die("short send");
    }
}


static int
parse(const arm_t *arm, const conn_t *c, const char *buf, size_t len)
{
    char         expected[HOST_REPLAY_LEN];
    size_t       n, body;
    unsigned     status, replay;
    const char  *p, *eol;

    if (len < sizeof("HTTP/1.1 200\r\n\r\n") - 1) {
        return 0;
    }

    status = (unsigned) (buf[9] - '0') * 100 + (unsigned) (buf[10] - '0') * 10
             + (unsigned) (buf[11] - '0');

    if (memcmp(buf, "HTTP/1.1 ", 9) != 0 || status != arm->status) {
        wrong(arm, c, "wrong status", buf, len);
    }

    body = 0;
    replay = 0;

    for (p = buf; /* void */ ; p = eol + 1) {

        eol = memchr(p, '\n', (size_t) (buf + len - p));
        if (eol == NULL) {
            return 0;
        }

        n = (size_t) (eol - p);

        if (n <= 1) {
            break;
        }

        switch (*p) {

        case 'C':
        case 'c':

            if (n > 15 && strncasecmp(p, "content-length:", 15) == 0) {
                body = strtoul(p + 15, NULL, 10);

            } else if (n >= 17
                       && strncasecmp(p, "connection: close", 17) == 0)
            {
                wrong(arm, c, "connection is to be closed", buf, len);
            }

            break;

        case 'T':
        case 't':

            if (n > 18 && strncasecmp(p, "transfer-encoding:", 18) == 0) {
                wrong(arm, c, "chunked", buf, len);
            }

            break;

        case 'F':
        case 'f':

            if (n < 12 || strncasecmp(p, "fly-replay: ", 12) != 0) {
                break;
            }

            host_replay(expected, c->number);

            if (replay++ || n != 12 + HOST_REPLAY_LEN + 1
                || memcmp(p + 12, expected, HOST_REPLAY_LEN) != 0)
            {
                wrong(arm, c, "wrong replay", buf, len);
            }

            break;
        }
    }

    if (replay != arm->replay) {
        wrong(arm, c, replay ? "a replay" : "no replay", buf, len);
    }

    n = (size_t) (eol + 1 - buf) + body;

    if (n < len) {
        wrong(arm, c, "more than an answer", buf, len);
    }

    return n == len;
}


int
exchange_receive(const arm_t *arm, conn_t *c)
{
    char     buf[BUFFER];
    ssize_t  n;

    if (c->have) {
        memcpy(buf, c->part, c->have);
    }

    n = recv(c->fd, buf + c->have, BUFFER - c->have, MSG_DONTWAIT);

    if (n == -1) {
        if (errno == EAGAIN) {
            return 0;
        }

        die("recv");
    }

    if (n == 0) {
        wrong(arm, c, "connection closed", buf, c->have);
    }

    c->have += (size_t) n;

    if (parse(arm, c, buf, c->have)) {
        c->have = 0;
        return 1;
    }

    if (c->have == BUFFER) {
        wrong(arm, c, "answer too long", buf, c->have);
    }

    memcpy(c->part, buf, c->have);

    return 0;
}


static void
open_connection(arm_t *arm, conn_t *c)
{
    int                 on;
    struct sockaddr_in  sin;
    struct epoll_event  ee;

    c->part = malloc(BUFFER);
    if (c->part == NULL) {
        die("malloc");
    }

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sin.sin_port = htons((uint16_t) arm->port);

    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd == -1) {
        die("socket");
    }

    if (connect(c->fd, (struct sockaddr *) &sin, sizeof(sin)) == -1) {
        die("connect");
    }

    on = 1;

    if (setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1) {
        die("setsockopt");
    }

    /*
     * Edge-triggered: an answer that is not whole brings another edge with
     * its next part, and no event is looked at twice.
     */

    memset(&ee, 0, sizeof(ee));
    ee.events = EPOLLIN|EPOLLET;
    ee.data.ptr = c;

    if (epoll_ctl(arm->ep, EPOLL_CTL_ADD, c->fd, &ee) == -1) {
        die("epoll_ctl");
    }
}


void
exchange_open(arm_t *arm, unsigned connections)
{
    unsigned  i;

    arm->conns = calloc(connections, sizeof(conn_t));
    if (arm->conns == NULL) {
        die("calloc");
    }

    arm->ep = epoll_create1(EPOLL_CLOEXEC);
    if (arm->ep == -1) {
        die("epoll_create1");
    }

    make_request(arm);

    for (i = 0; i < connections; i++) {
        open_connection(arm, &arm->conns[i]);
    }
}
