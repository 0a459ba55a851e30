
/*
 * A load generator that is faster than what it measures.
 *
 *     load [options] NAME,PORT,STATUS,HOSTS,PID[,replay] ...
 *
 * One thread, keep-alive connections, one request in flight on each, a
 * random host in each request.  Per request it makes one send(), one recv()
 * and its share of an epoll_wait(); it never blocks, so that nginx never
 * pays for waking it.  Every answer is parsed and compared with the one that
 * its host must get: a wrong answer ends the program.
 *
 * Several arms take turns of a tenth of a second, in an order that is drawn
 * anew each turn: what disturbs the machine mostly lasts longer than that,
 * and so meets them all.
 */


#define _GNU_SOURCE

#include "hosts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>


#define BUFFER         8192
#define EVENTS         512
#define ARMS           8
#define NSEC           1000000000ull
#define MSEC           1000000ull
#define PATIENCE       (10 * NSEC)

/* a histogram of 64 steps in each doubling: within 1.6 % */

#define STEP_BITS      6
#define STEPS          (1 << STEP_BITS)
#define BUCKETS        (STEPS * 48)

#define REQUEST_HEAD   "GET / HTTP/1.1\r\nHost: "
#define REQUEST_LABEL  "u00000000"
#define REQUEST_TAIL   "." HOST_DOMAIN "\r\n\r\n"
#define REQUEST_LEN    (sizeof(REQUEST_HEAD REQUEST_LABEL REQUEST_TAIL) - 1)


typedef struct {
    int            fd;
    uint32_t       host;
    uint64_t       sent;            /* when */
    size_t         have;            /* of an answer that came in parts */
    char          *part;
} conn_t;


typedef struct {
    char           name[32];
    unsigned       port;
    unsigned       status;
    unsigned       hosts;
    unsigned       replay;          /* is one expected? */
    unsigned       pid;             /* of the worker, or 0 */

    int            ep;
    conn_t        *conns;
    clockid_t      server;

    uint64_t       requests;
    uint64_t       time;
    uint64_t       idle;            /* spent in polls that found nothing */
    uint64_t       cpu;
    uint64_t       server_cpu;
    uint64_t       histogram[BUCKETS];
    double        *turns;           /* requests a second in each */
} arm_t;


/* what the counters were when counting began */

typedef struct {
    uint64_t       time;
    uint64_t       cpu;
    uint64_t       server_cpu;
    uint64_t       requests;
    uint64_t       idle;
} mark_t;


typedef struct {
    unsigned       connections;
    unsigned       turns;
    unsigned       once;            /* each host one time, in order */
    uint64_t       turn;            /* ns */
    uint64_t       warm;            /* ns of a turn that are not counted */
} options_t;


static options_t  opt;
static arm_t      arms[ARMS];

static uint64_t   rnd;
static uint64_t   next_once;
static char       request[] = REQUEST_HEAD REQUEST_LABEL REQUEST_TAIL;


static void
die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}


static void
wrong(const arm_t *arm, const conn_t *c, const char *what, const char *buf,
    size_t len)
{
    char  label[HOST_LABEL_LEN];

    host_label(label, c->host);

    fprintf(stderr, "load: %s: %s, host %.*s." HOST_DOMAIN ", answer:\n%.*s\n",
            arm->name, what, HOST_LABEL_LEN, label,
            (int) (len > 1024 ? 1024 : len), buf);
    exit(1);
}


static uint64_t
now(clockid_t id)
{
    struct timespec  ts;

    if (clock_gettime(id, &ts) == -1) {
        die("clock_gettime");
    }

    return (uint64_t) ts.tv_sec * NSEC + (uint64_t) ts.tv_nsec;
}


static uint32_t
draw(uint32_t n)
{
    rnd ^= rnd >> 12;
    rnd ^= rnd << 25;
    rnd ^= rnd >> 27;

    return (uint32_t) ((((rnd * 0x2545f4914f6cdd1d) >> 32) * n) >> 32);
}


static void
count(arm_t *arm, uint64_t ns)
{
    unsigned  exp, i;

    if (ns < STEPS) {
        i = (unsigned) ns;

    } else {
        exp = 63 - (unsigned) __builtin_clzll(ns) - STEP_BITS;
        i = (exp + 1) * STEPS + (unsigned) ((ns >> exp) - STEPS);
    }

    arm->histogram[i < BUCKETS ? i : BUCKETS - 1]++;
    arm->requests++;
}


/* The end of the bucket that holds the given share, in microseconds. */

static double
percentile(const arm_t *arm, double share)
{
    unsigned  i;
    uint64_t  sum, want;

    want = (uint64_t) ((double) arm->requests * share);
    sum = 0;

    for (i = 0; i < BUCKETS - 1; i++) {
        sum += arm->histogram[i];

        if (sum > want) {
            break;
        }
    }

    if (i < STEPS) {
        return i / 1e3;
    }

    return (double) ((uint64_t) (i % STEPS + STEPS + 1) << (i / STEPS - 1))
           / 1e3;
}


static int
asked_all(const arm_t *arm)
{
    return opt.once && next_once == arm->hosts;
}


static void
send_request(const arm_t *arm, conn_t *c, uint64_t t)
{
    ssize_t  n;

    c->sent = t;
    c->host = opt.once ? (uint32_t) next_once++ : draw(arm->hosts);

    host_label(request + sizeof(REQUEST_HEAD) - 1, c->host);

    n = send(c->fd, request, REQUEST_LEN, MSG_DONTWAIT|MSG_NOSIGNAL);

    if (n == -1) {
        die("send");
    }

    if (n != (ssize_t) REQUEST_LEN) {
        errno = EIO;
        die("short send");
    }
}


/*
 * 1: the answer is there, whole; 0: more is to come.  What is no answer that
 * the host must get ends the program.
 */

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

            host_replay(expected, c->host);

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


static int
receive(const arm_t *arm, conn_t *c)
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


static void
open_arm(arm_t *arm)
{
    unsigned  i;

    arm->server = CLOCK_MONOTONIC;

    if (arm->pid) {
        errno = clock_getcpuclockid((pid_t) arm->pid, &arm->server);
        if (errno) {
            die("CPU clock of the worker");
        }
    }

    arm->turns = calloc(opt.turns, sizeof(double));
    arm->conns = calloc(opt.connections, sizeof(conn_t));
    if (arm->turns == NULL || arm->conns == NULL) {
        die("calloc");
    }

    arm->ep = epoll_create1(EPOLL_CLOEXEC);
    if (arm->ep == -1) {
        die("epoll_create1");
    }

    for (i = 0; i < opt.connections; i++) {
        open_connection(arm, &arm->conns[i]);
    }
}


static void
begin(const arm_t *arm, mark_t *m)
{
    m->time = now(CLOCK_MONOTONIC);
    m->cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    m->server_cpu = now(arm->server);
    m->requests = arm->requests;
    m->idle = 0;
}


static void
end(arm_t *arm, const mark_t *m, unsigned turn)
{
    uint64_t  time;

    time = now(CLOCK_MONOTONIC) - m->time;

    arm->time += time;
    arm->idle += m->idle;
    arm->cpu += now(CLOCK_PROCESS_CPUTIME_ID) - m->cpu;
    arm->server_cpu += now(arm->server) - m->server_cpu;
    arm->turns[turn] = (double) (arm->requests - m->requests) * NSEC
                       / (double) time;
}


static void
run(arm_t *arm, unsigned turn)
{
    int                 i, n;
    conn_t             *c;
    mark_t              mark;
    unsigned            k, live;
    uint64_t            t, last, start, stop;
    struct epoll_event  events[EVENTS];
    enum {
        WARMING = 0,
        COUNTING,
        ENDING            /* what is under way is waited for */
    } state;

    last = now(CLOCK_MONOTONIC);
    start = last + opt.warm;
    stop = start + opt.turn;
    live = 0;

    for (k = 0; k < opt.connections && !asked_all(arm); k++) {
        send_request(arm, &arm->conns[k], last);
        live++;
    }

    state = WARMING;
    begin(arm, &mark);

    while (live) {

        n = epoll_wait(arm->ep, events, EVENTS, 0);

        if (n == -1 && errno != EINTR) {
            die("epoll_wait");
        }

        t = now(CLOCK_MONOTONIC);

        if (n <= 0) {
            mark.idle += t - last;

            if (t > stop + PATIENCE && !opt.once) {
                errno = ETIMEDOUT;
                die(arm->name);
            }
        }

        if (state == WARMING && t >= start) {
            state = COUNTING;
            begin(arm, &mark);
        }

        if (state == COUNTING && t >= stop && !opt.once) {
            state = ENDING;
            end(arm, &mark, turn);
        }

        for (i = 0; i < n; i++) {
            c = events[i].data.ptr;

            if (!receive(arm, c)) {
                continue;
            }

            t = now(CLOCK_MONOTONIC);

            if (state == COUNTING) {
                count(arm, t - c->sent);
            }

            if (state == ENDING || asked_all(arm)) {
                live--;
                continue;
            }

            send_request(arm, c, t);
        }

        last = t;
    }

    if (state == COUNTING) {
        end(arm, &mark, turn);
    }
}



static void
report(const arm_t *arm)
{
    double    sec;
    unsigned  i;

    sec = (double) arm->time / NSEC;

    printf("{\"arm\":\"%s\",\"requests\":%llu,\"seconds\":%.4f,\"rps\":%.0f,"
           "\"p50_us\":%.1f,\"p99_us\":%.1f,\"busy\":%.3f,\"cpu\":%.3f,",
           arm->name, (unsigned long long) arm->requests, sec,
           (double) arm->requests / sec,
           percentile(arm, 0.50), percentile(arm, 0.99),
           1.0 - (double) arm->idle / (double) arm->time,
           (double) arm->cpu / (double) arm->time);

    if (arm->pid) {
        printf("\"server_cpu\":%.3f,",
               (double) arm->server_cpu / (double) arm->time);
    }

    printf("\"turns\":[");

    for (i = 0; i < opt.turns; i++) {
        printf("%s%.0f", i ? "," : "", arm->turns[i]);
    }

    printf("]}\n");
}


static void
invalid(const char *s)
{
    fprintf(stderr, "load: invalid argument \"%s\"\n", s);
    exit(2);
}


static unsigned
number(const char *s, unsigned long max)
{
    char           *end;
    unsigned long   v;

    errno = 0;
    v = strtoul(s, &end, 10);

    if (errno || end == s || *end != '\0' || v == 0 || v > max) {
        invalid(s);
    }

    return (unsigned) v;
}


static uint64_t
milliseconds(const char *s)
{
    return (uint64_t) number(s, 3600 * 1000) * MSEC;
}


static void
parse_arm(arm_t *arm, const char *s)
{
    int  n, m;

    n = m = 0;

    if (sscanf(s, "%31[^,],%5u,%3u,%9u,%9u%n,replay%n", arm->name, &arm->port,
               &arm->status, &arm->hosts, &arm->pid, &n, &m)
            != 5
        || s[m ? m : n] != '\0' || arm->hosts == 0)
    {
        invalid(s);
    }

    arm->replay = (m != 0);
}


int
main(int argc, char **argv)
{
    int        c, order[ARMS];
    int        i, k, n, swap;
    unsigned   turn;
    cpu_set_t  set;

    opt.connections = 64;
    opt.turns = 20;
    opt.turn = 100 * MSEC;
    opt.warm = 10 * MSEC;
    rnd = host_mix64(1);

    CPU_ZERO(&set);

    while ((c = getopt(argc, argv, "c:t:d:w:S:C:o")) != -1) {

        switch (c) {

        case 'c':
            opt.connections = number(optarg, 4096);
            break;

        case 't':
            opt.turns = number(optarg, 1000000);
            break;

        case 'd':
            opt.turn = milliseconds(optarg);
            break;

        case 'w':
            opt.warm = milliseconds(optarg);
            break;

        case 'S':
            rnd = host_mix64(number(optarg, UINT32_MAX));
            break;

        case 'C':
            CPU_SET(number(optarg, CPU_SETSIZE - 1), &set);
            break;

        case 'o':
            opt.once = 1;
            break;

        default:
            goto usage;
        }
    }

    n = argc - optind;

    if (n < 1 || n > ARMS) {
        goto usage;
    }

    if (CPU_COUNT(&set) && sched_setaffinity(0, sizeof(set), &set) == -1) {
        die("sched_setaffinity");
    }

    if (opt.once) {
        opt.turns = 1;
        opt.warm = 0;
    }

    for (i = 0; i < n; i++) {
        parse_arm(&arms[i], argv[optind + i]);
        open_arm(&arms[i]);
        order[i] = i;
    }

    for (turn = 0; turn < opt.turns; turn++) {

        for (i = n - 1; i > 0; i--) {
            k = (int) draw((uint32_t) i + 1);
            swap = order[i];
            order[i] = order[k];
            order[k] = swap;
        }

        for (i = 0; i < n; i++) {
            next_once = 0;
            run(&arms[order[i]], turn);
        }
    }

    for (i = 0; i < n; i++) {
        report(&arms[i]);
    }

    if (fflush(stdout) == EOF) {
        die("write");
    }

    return 0;

usage:

    fputs("usage: load [options] NAME,PORT,STATUS,HOSTS,PID[,replay] ...\n"
          "  -c N   connections (64)     -t N   turns of each arm (20)\n"
          "  -d MS  of a turn (100)      -w MS  before it, not counted (10)\n"
          "  -S N   seed (1)             -C N   CPU to run on\n"
          "  -o     each host once, instead of turns\n"
          "PID is the worker's, for its CPU time; 0: unknown\n", stderr);

    return 2;
}
