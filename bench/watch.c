
/*
 * How long until a change is served on every connection?
 *
 *     watch PORT WORKERS CONNECTIONS
 *
 * Opens as many connections to each worker, told apart by the header
 * "worker" of its answers.  For each line "NAME VALUE" on its input it starts
 * its clock, says "go", then asks for the host NAME on all connections, again
 * and again, each of them until its answer has "fly-replay: VALUE", and says
 * after how many milliseconds the first and the last one had it:
 *
 *     {"first_ms":1.2,"all_ms":1.9,"workers":4,"reopened":0}
 *
 * A connection that nginx closes is opened again, to whatever worker, and
 * starts anew.  Once all had it all are asked once more: a change that is
 * taken back is an error.
 */


#include "hosts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>


#define CONNECTIONS  256
#define PAUSE        500000       /* ns between two rounds of questions */
#define PATIENCE     60000.0      /* ms */


typedef struct {
    int    fd;
    int    asked;
    int    done;
    long   worker;
} conn_t;


static conn_t    conns[CONNECTIONS];
static unsigned  n, port, reopened;


static void
die(const char *what)
{
    fprintf(stderr, "watch: %s: %s\n", what, strerror(errno));
    exit(1);
}


static double
milliseconds(void)
{
    struct timespec  ts;

    if (clock_gettime(CLOCK_MONOTONIC, &ts) == -1) {
        die("clock_gettime");
    }

    return (double) ts.tv_sec * 1e3 + (double) ts.tv_nsec / 1e6;
}


static void
open_connection(conn_t *c)
{
    int                 on;
    struct timeval      tv;
    struct sockaddr_in  sin;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sin.sin_port = htons((uint16_t) port);

    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd == -1) {
        die("socket");
    }

    on = 1;
    tv.tv_sec = 60;
    tv.tv_usec = 0;

    if (connect(c->fd, (struct sockaddr *) &sin, sizeof(sin)) == -1
        || setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1
        || setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == -1)
    {
        die("connection");
    }
}


static void
reopen(conn_t *c)
{
    if (close(c->fd) == -1) {
        die("close");
    }

    open_connection(c);
    c->asked = 0;
    c->done = 0;
    reopened++;
}


static void
ask(conn_t *c, const char *request, size_t len)
{
    if (send(c->fd, request, len, MSG_NOSIGNAL) != (ssize_t) len) {

        if (errno != EPIPE && errno != ECONNRESET) {
            die("send");
        }

        reopen(c);
        return;
    }

    c->asked = 1;
}


static const char *
header(const char *buf, const char *name)
{
    const char  *p;

    for (p = strchr(buf, '\n'); p; p = strchr(p, '\n')) {
        p++;

        if (strncasecmp(p, name, strlen(name)) == 0) {
            return p + strlen(name);
        }
    }

    return NULL;
}


/* 1: the value is there; 0: another one, or the connection was closed */

static int
answer(conn_t *c, const char *value)
{
    char         buf[8192];
    size_t       len;
    ssize_t      k;
    const char  *p, *end;

    c->asked = 0;

    for (len = 0; /* void */ ; len += (size_t) k) {

        k = recv(c->fd, buf + len, sizeof(buf) - 1 - len, 0);

        if ((k == 0 || (k == -1 && errno == ECONNRESET)) && len == 0) {
            reopen(c);
            return 0;
        }

        if (k <= 0) {
            die("recv");
        }

        buf[len + (size_t) k] = '\0';

        end = strstr(buf, "\r\n\r\n");
        if (end == NULL) {
            continue;
        }

        p = header(buf, "content-length: ");

        if (len + (size_t) k
            == (size_t) (end + 4 - buf) + (p ? strtoul(p, NULL, 10) : 0))
        {
            break;
        }
    }

    p = header(buf, "worker: ");
    c->worker = p ? atol(p) : 0;

    p = header(buf, "fly-replay: ");

    return p && strncmp(p, value, strlen(value)) == 0
           && p[strlen(value)] == '\r';
}


static unsigned
connections_of(long worker)
{
    unsigned  i, sum;

    sum = 0;

    for (i = 0; i < n; i++) {
        sum += (conns[i].worker == worker);
    }

    return sum;
}


static unsigned
count_workers(void)
{
    unsigned  i, k, sum;

    sum = 0;

    for (i = 0; i < n; i++) {

        for (k = 0; k < i && conns[k].worker != conns[i].worker; k++) {
            /* void */
        }

        sum += (k == i);
    }

    return sum;
}


/* The kernel chooses the worker: those that have enough are let go again. */

static void
open_all(unsigned workers, unsigned each)
{
    conn_t            *c;
    unsigned           tries;
    static const char  request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    for (tries = 0; n < workers * each; tries++) {

        if (tries == CONNECTIONS * 10) {
            fprintf(stderr, "watch: no connections to %u workers\n", workers);
            exit(1);
        }

        c = &conns[n];

        open_connection(c);
        ask(c, request, sizeof(request) - 1);
        (void) answer(c, "");

        if (c->worker == 0) {
            fprintf(stderr, "watch: no header \"worker\"\n");
            exit(1);
        }

        if (connections_of(c->worker) < each) {
            n++;
            continue;
        }

        if (close(c->fd) == -1) {
            die("close");
        }
    }
}



static void
watch(const char *name, const char *value)
{
    int              len;
    char             request[256];
    double           start, first, t;
    unsigned         i, left;
    struct timespec  pause = { 0, PAUSE };

    start = milliseconds();
    first = 0;
    reopened = 0;

    printf("go\n");
    fflush(stdout);

    len = snprintf(request, sizeof(request),
                   "GET / HTTP/1.1\r\nHost: %s." HOST_DOMAIN "\r\n\r\n",
                   name);

    for (i = 0; i < n; i++) {
        conns[i].done = 0;
    }

    do {
        left = 0;

        for (i = 0; i < n; i++) {
            if (!conns[i].done) {
                ask(&conns[i], request, (size_t) len);
            }
        }

        for (i = 0; i < n; i++) {
            if (conns[i].asked) {
                conns[i].done = answer(&conns[i], value);
            }

            left += !conns[i].done;

            if (first == 0 && conns[i].done) {
                first = milliseconds() - start;
            }
        }

        t = milliseconds() - start;

        if (t > PATIENCE) {
            errno = ETIMEDOUT;
            die(name);
        }

        if (left) {
            (void) nanosleep(&pause, NULL);
        }

    } while (left);

    for (i = 0; i < n; i++) {
        ask(&conns[i], request, (size_t) len);

        if (conns[i].asked && !answer(&conns[i], value)) {
            fprintf(stderr, "watch: %s was taken back\n", name);
            exit(1);
        }
    }

    printf("{\"first_ms\":%.3f,\"all_ms\":%.3f,\"workers\":%u,"
           "\"reopened\":%u}\n", first, t, count_workers(), reopened);
    fflush(stdout);
}


int
main(int argc, char **argv)
{
    char      line[512], name[128], value[256];
    unsigned  workers, each;

    if (argc != 4) {
        fputs("usage: watch PORT WORKERS CONNECTIONS\n", stderr);
        return 2;
    }

    port = (unsigned) atoi(argv[1]);
    workers = (unsigned) atoi(argv[2]);
    each = (unsigned) atoi(argv[3]);

    if (port == 0 || port > 65535 || workers == 0 || each == 0
        || workers > 64 || each > 64 || workers * each >= CONNECTIONS)
    {
        fputs("watch: invalid argument\n", stderr);
        return 2;
    }

    open_all(workers, each);

    while (fgets(line, sizeof(line), stdin)) {

        if (sscanf(line, "%127s %255s", name, value) != 2) {
            fprintf(stderr, "watch: invalid line \"%s\"\n", line);
            return 2;
        }

        watch(name, value);
    }

    return 0;
}
