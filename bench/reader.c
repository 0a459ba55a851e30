
/*
 * The client's end of the streams: looks at every byte of what comes.  Chunks
 * and events may be cut anywhere, and what a proxy may add is passed over:
 * ids, retry, comments, and a [DONE] at the end.
 */


#define _GNU_SOURCE

#include "streams.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>


#define BUFFER         65536

#define starts(p, len, s)                                                     \
    ((len) >= sizeof(s) - 1 && memcmp(p, s, sizeof(s) - 1) == 0)


void
reader_open(arm_t *arm, reader_t *reader)
{
    int                 on;
    struct sockaddr_in  sin;
    static const char   request[] =
        "POST /stream HTTP/1.1\r\n"
        "Host: localhost\r\n"
        "Accept: text/event-stream\r\n"
        "Content-Type: application/json\r\n"
        "Content-Length: 19\r\n"
        "\r\n"
        "{\"message\":\"Hello\"}";

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sin.sin_port = htons((uint16_t) arm->port);

    reader->peer = PEER_READER;
    reader->fd = socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0);
    if (reader->fd == -1) {
        die("socket");
    }

    if (connect(reader->fd, (struct sockaddr *) &sin, sizeof(sin)) == -1) {
        die("connect");
    }

    on = 1;

    if (setsockopt(reader->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on))
        == -1)
    {
        die("setsockopt");
    }

    watch_fd(arm, reader->fd, reader);

    if (send(reader->fd, request, sizeof(request) - 1, MSG_NOSIGNAL)
        != sizeof(request) - 1)
    {
        die("send");
    }
}


/*
 * The next line, or NULL: its end has not come, its beginning is kept.  It
 * lies in what has come unless its beginning came earlier.
 */

static const char *
next_line(const arm_t *arm, line_t *line, const char **p, const char *end,
    size_t *len)
{
    size_t       n;
    const char  *start, *eol;

    start = *p;
    eol = memchr(start, '\n', (size_t) (end - start));
    n = (size_t) ((eol ? eol : end) - start);
    *p = eol ? eol + 1 : end;

    if (eol == NULL || line->len) {

        if (line->len + n > sizeof(line->text)) {
            wrong(arm, "line too long", line->text, line->len);
        }

        memcpy(line->text + line->len, start, n);
        line->len += n;

        if (eol == NULL) {
            return NULL;
        }

        start = line->text;
        n = line->len;
        line->len = 0;
    }

    if (n && start[n - 1] == '\r') {
        n--;
    }

    *len = n;

    return start;
}


static uint64_t
hex(const char *p, size_t n)
{
    unsigned  c;
    uint64_t  v;

    v = 0;

    while (n--) {
        c = (unsigned char) *p++;
        v = (v << 4) | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }

    return v;
}


/* An event of the agent: all that was sent, once, in order. */

static void
read_event(arm_t *arm, reader_t *reader, const char *p, size_t len)
{
    size_t       n;
    uint64_t     number, seq;
    const char  *number_pos, *words;

    if (reader->pending || reader->done || len < EVENT_LINE) {
        wrong(arm, "not an event of the agent", p, len);
    }

    number_pos = p + sizeof(EVENT_HEAD) - 1;

    number = hex(number_pos, EVENT_STREAM);
    number_pos += EVENT_STREAM + 1;

    seq = hex(number_pos, EVENT_SEQ);
    number_pos += EVENT_SEQ + 1;

    reader->sent = hex(number_pos, EVENT_TIME);

    if (reader->agent == NULL) {

        if (number >= arm->nagents || arm->agents[number].read) {
            wrong(arm, "another reader's stream", p, len);
        }

        reader->agent = &arm->agents[number];
        reader->agent->read = 1;
        arm->opened++;
    }

    if (number != reader->agent->number) {
        wrong(arm, "another stream's event", p, len);
    }

    if (seq != reader->agent->received) {
        wrong(arm, "not the next event", p, len);
    }

    words = event_words((uint32_t) number, (uint32_t) seq, &n);

    if (len != EVENT_LINE + n
        || memcmp(number_pos + EVENT_TIME + 1, words, n) != 0
        || memcmp(p + len - (sizeof(EVENT_TAIL) - 1), EVENT_TAIL,
                  sizeof(EVENT_TAIL) - 1) != 0)
    {
        wrong(arm, "an event's text was changed", p, len);
    }

    reader->pending = 1;
}


static void
read_line(arm_t *arm, reader_t *reader, const char *p, size_t len, uint64_t t)
{
    if (len == 0) {

        if (reader->pending) {
            reader->pending = 0;
            reader->agent->received++;
            arm->received++;
            arm->ids += reader->id;

            if (arm->latency) {
                histogram_add(arm->latency, t - reader->sent);
            }
        }

        reader->id = 0;
        return;
    }

    if (starts(p, len, EVENT_HEAD)) {
        read_event(arm, reader, p, len);
        return;
    }

    if (len == sizeof("data: [DONE]") - 1 && starts(p, len, "data: [DONE]")
        && !reader->done)
    {
        reader->done = 1;
        return;
    }

    if (starts(p, len, "id:")) {
        reader->id = 1;
        return;
    }

    if (starts(p, len, "retry:") || *p == ':') {
        return;
    }

    wrong(arm, "not what the agent has sent", p, len);
}


static void
read_data(arm_t *arm, reader_t *reader, const char **p, const char *end,
    uint64_t t)
{
    size_t       len;
    const char  *line;

    if ((uint64_t) (end - *p) > reader->left) {
        end = *p + reader->left;
    }

    reader->left -= (uint64_t) (end - *p);

    while (*p < end) {
        line = next_line(arm, &reader->event, p, end, &len);

        if (line) {
            read_line(arm, reader, line, len, t);
        }
    }

    if (reader->left == 0) {
        reader->state = READER_CHUNK_END;
    }
}


/* What is around the events: the head, and each chunk's. */

static void
read_http(arm_t *arm, reader_t *reader, const char *p, size_t len)
{
    switch (reader->state) {

    case READER_STATUS:

        if (!starts(p, len, "HTTP/1.1 200")) {
            wrong(arm, "status", p, len);
        }

        reader->state = READER_HEADER;
        return;

    case READER_HEADER:

        if (len == 0) {

            if (!reader->chunked) {
                wrong(arm, "not chunked", p, 0);
            }

            reader->state = READER_CHUNK;

        } else if (len == sizeof("Transfer-Encoding: chunked") - 1
                   && strncasecmp(p, "Transfer-Encoding: chunked", len) == 0)
        {
            reader->chunked = 1;
        }

        return;

    case READER_CHUNK:

        if (len == 0 || len > 8) {
            wrong(arm, "chunk's size", p, len);
        }

        reader->left = hex(p, len);
        reader->state = reader->left ? READER_DATA : READER_TRAILER;
        return;

    case READER_CHUNK_END:

        if (len) {
            wrong(arm, "chunk's end", p, len);
        }

        reader->state = READER_CHUNK;
        return;

    default: /* READER_TRAILER */

        if (len || reader->event.len || reader->pending) {
            wrong(arm, "end", p, len);
        }

        reader->state = READER_END;
    }
}


void
reader_receive(arm_t *arm, reader_t *reader)
{
    size_t       len;
    ssize_t      n;
    uint64_t     t;
    const char  *p, *end, *line;
    static char  buf[BUFFER];

    do {
        n = recv(reader->fd, buf, sizeof(buf), MSG_DONTWAIT);

        if (n == -1) {
            if (errno == EAGAIN) {
                return;
            }

            die("recv");
        }

        if (n == 0) {
            wrong(arm, "closed early", buf, 0);
        }

        t = now(CLOCK_MONOTONIC);

        p = buf;
        end = buf + n;

        while (p < end && reader->state != READER_END) {

            if (reader->state == READER_DATA) {
                read_data(arm, reader, &p, end, t);
                continue;
            }

            line = next_line(arm, &reader->http, &p, end, &len);

            if (line) {
                read_http(arm, reader, line, len);
            }
        }

    } while (n == sizeof(buf) && reader->state != READER_END);

    if (reader->state == READER_END) {

        if (p < end || reader->agent->received != reader->agent->sent) {
            wrong(arm, "not the agent's end", buf, (size_t) n);
        }

        arm->ended++;

        if (close(reader->fd) == -1) {
            die("close");
        }
    }
}
