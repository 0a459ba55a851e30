
/*
 * Agents and their clients, with an nginx between them that is measured.
 *
 *     streams [options] ARM ...
 *
 * Opens a number of streams through each arm's nginx, all of them before it
 * measures; agents and clients are one thread, which polls and never sleeps.
 * Each event is one send(), and is looked at when it arrives: one that is
 * lost, changed, or comes twice or too early ends the program.
 *
 * A load is a number of events a second, the same for all arms, spread evenly
 * over the streams with jitter; or, as 0, as many as nginx can take, which has
 * a few on their way all the time.  Arms take turns at each load, in an order
 * that is drawn anew each turn: what disturbs the machine mostly lasts longer
 * than that, and so meets them all.
 */


#define _GNU_SOURCE

#include "hosts.h"
#include "streams.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>


#define EVENTS         512
#define ARMS           8
#define LOADS          8
#define PATIENCE       (10 * NSEC)

#define WINDOW         64           /* events on their way, or streams that
                                       open or end */
#define BATCH          128          /* events, to fill */
#define BATCHES        8            /* on their way */

/* of a turn, after each stream had an event */
#define SETTLING       (5 * MSEC)

/* time that was lost is not made up for: a burst is cheaper for nginx */
#define LATE           MSEC


/* what the counters were when counting began */

typedef struct {
    uint64_t       time;
    uint64_t       server_cpu;
    uint64_t       waited;
    uint64_t       received;
    uint64_t       idle;
} mark_t;


/* what an arm did at a load */

typedef struct {
    uint64_t       events;
    uint64_t       time;
    uint64_t       idle;            /* spent in polls that found nothing */
    uint64_t       server_cpu;
    double        *rps;             /* in each turn */
    double        *cpu;             /* of the worker, ns for an event */
    double        *p50;             /* us */
    double        *waited;          /* share of the time in which one of us
                                       could not run: others did */
} result_t;


typedef struct {
    unsigned       streams;
    unsigned       turns;
    uint64_t       turn;            /* ns */
    uint64_t       fill;            /* bytes in each stream, before */
    unsigned       hold;
    unsigned       nloads;
    unsigned       load[LOADS];     /* events a second; 0: without a pause */
} options_t;


static options_t    opt;
static arm_t        arms[ARMS];
static result_t     results[ARMS][LOADS];
static histogram_t  latency;
static int          schedstat;

uint64_t            rnd;


void
die(const char *what)
{
    fprintf(stderr, "streams: %s: %s\n", what, strerror(errno));
    exit(1);
}


void
wrong(const arm_t *arm, const char *what, const char *text, size_t len)
{
    fprintf(stderr, "streams: %s: %s: %.*s\n", arm->name, what, (int) len,
            text);
    exit(1);
}


const char *
event_words(uint32_t number, uint32_t seq, size_t *len)
{
    uint32_t           n;
    static const char  words[] =
        "is it that you would like me to look at the letter first, or shall "
        "I begin with the list of what is still to be paid? Both are here, "
        "and neither takes long: the list has eleven lines, the letter two";

    n = host_mix32(number ^ (seq << 12));

    *len = WORDS_MIN + n % (WORDS_MAX - WORDS_MIN + 1);

    return words + (n >> 16) % (sizeof(words) - 1 - WORDS_MAX);
}


void
watch_fd(const arm_t *arm, int fd, void *peer)
{
    struct epoll_event  ee;

    memset(&ee, 0, sizeof(ee));
    ee.events = EPOLLIN|EPOLLET;
    ee.data.ptr = peer;

    if (epoll_ctl(arm->ep, EPOLL_CTL_ADD, fd, &ee) == -1) {
        die("epoll_ctl");
    }
}


static void
shuffle(uint32_t *list, unsigned n)
{
    uint32_t  swap;
    unsigned  i, k;

    for (i = n; i > 1; i--) {
        k = draw(&rnd, i);
        swap = list[i - 1];
        list[i - 1] = list[k];
        list[k] = swap;
    }
}


static void
send_next(arm_t *arm, unsigned events)
{
    if (arm->next == arm->nstreams) {
        shuffle(arm->order, arm->nstreams);
        arm->next = 0;
    }

    agent_send(arm, &arm->agents[arm->order[arm->next++]], events);
}


/* Looks at what has come, and returns when that was. */

static uint64_t
poll_arm(arm_t *arm, uint64_t *idle)
{
    int                 i, n;
    peer_e             *peer;
    uint64_t            t, start;
    struct epoll_event  events[EVENTS];

    start = now(CLOCK_MONOTONIC);

    n = epoll_wait(arm->ep, events, EVENTS, 0);

    if (n == -1 && errno != EINTR) {
        die("epoll_wait");
    }

    t = now(CLOCK_MONOTONIC);

    if (n <= 0) {
        *idle += t - start;

        if (t > arm->active + PATIENCE) {
            wrong(arm, "nothing comes any more", "", 0);
        }

        return t;
    }

    arm->active = t;

    for (i = 0; i < n; i++) {
        peer = events[i].data.ptr;

        switch (*peer) {

        case PEER_LISTENER:
            agent_accept(arm);
            break;

        case PEER_AGENT:
            agent_receive(arm, (agent_t *) peer);
            break;

        case PEER_READER:
            reader_receive(arm, (reader_t *) peer);
            break;
        }
    }

    return now(CLOCK_MONOTONIC);
}


static void *
allocate(size_t n, size_t size)
{
    void  *p;

    p = calloc(n, size);
    if (p == NULL) {
        die("calloc");
    }

    return p;
}


/* Nanoseconds that a process was ready to run and did not; 0: not known. */

static uint64_t
waited(int fd)
{
    char                buf[64];
    ssize_t             n;
    unsigned long long  cpu, wait;

    if (fd == -1) {
        return 0;
    }

    n = pread(fd, buf, sizeof(buf) - 1, 0);
    if (n == -1) {
        die("schedstat");
    }

    buf[n] = '\0';

    return sscanf(buf, "%llu %llu", &cpu, &wait) == 2 ? wait : 0;
}


static int
open_schedstat(unsigned pid)
{
    char  path[64];

    (void) snprintf(path, sizeof(path), "/proc/%u/schedstat", pid);

    return open(path, O_RDONLY|O_CLOEXEC);
}


static void
open_arm(arm_t *arm)
{
    unsigned  i;
    uint64_t  idle;

    arm->peer = PEER_LISTENER;
    arm->nstreams = opt.streams;
    arm->agents = allocate(opt.streams, sizeof(agent_t));
    arm->readers = allocate(opt.streams, sizeof(reader_t));
    arm->order = allocate(opt.streams, sizeof(uint32_t));

    for (i = 0; i < opt.streams; i++) {
        arm->order[i] = i;
    }

    arm->next = opt.streams;

    errno = clock_getcpuclockid((pid_t) arm->pid, &arm->server);
    if (errno) {
        die("CPU clock of the worker");
    }

    arm->schedstat = open_schedstat(arm->pid);

    arm->ep = epoll_create1(EPOLL_CLOEXEC);
    if (arm->ep == -1) {
        die("epoll_create1");
    }

    agent_listen(arm);

    idle = 0;
    arm->active = now(CLOCK_MONOTONIC);

    while (arm->opened < arm->nstreams || arm->sent > arm->received) {

        while (arm->nreaders < arm->nstreams
               && arm->nreaders - arm->opened < WINDOW)
        {
            reader_open(arm, &arm->readers[arm->nreaders++]);
        }

        (void) poll_arm(arm, &idle);
    }
}


static void
end_arm(arm_t *arm)
{
    uint64_t  idle;

    idle = 0;
    arm->active = now(CLOCK_MONOTONIC);

    while (arm->ended < arm->nstreams) {

        while (arm->ending < arm->nstreams
               && arm->ending - arm->ended < WINDOW)
        {
            agent_end(arm, &arm->agents[arm->ending++]);
        }

        (void) poll_arm(arm, &idle);
    }
}


/* Events for all streams, so many for each, as fast as nginx takes them. */

static void
send_to_all(arm_t *arm, uint64_t sends, unsigned events, unsigned window)
{
    uint64_t  idle;

    idle = 0;
    sends *= arm->nstreams;

    while (sends || arm->sent > arm->received) {

        while (sends && arm->sent - arm->received < window * events) {
            send_next(arm, events);
            sends--;
        }

        (void) poll_arm(arm, &idle);
    }
}


static void
begin(const arm_t *arm, mark_t *m)
{
    m->waited = waited(arm->schedstat) + waited(schedstat);
    m->time = now(CLOCK_MONOTONIC);
    m->server_cpu = now(arm->server);
    m->received = arm->received;
    m->idle = 0;
}


static void
end(const arm_t *arm, const mark_t *m, result_t *result, unsigned turn)
{
    uint64_t  time, cpu, wait, events;

    time = now(CLOCK_MONOTONIC) - m->time;
    cpu = now(arm->server) - m->server_cpu;
    events = arm->received - m->received;
    wait = waited(arm->schedstat) + waited(schedstat) - m->waited;

    result->time += time;
    result->idle += m->idle;
    result->server_cpu += cpu;
    result->events += events;

    result->rps[turn] = (double) events * NSEC / (double) time;
    result->cpu[turn] = events ? (double) cpu / (double) events : 0;
    result->waited[turn] = (double) wait / (double) time;
    result->p50[turn] = histogram_quantile(&latency, 0.5);
}


static void
run(arm_t *arm, unsigned load, result_t *result, unsigned turn)
{
    mark_t    mark;
    uint64_t  t, due, start, interval;
    enum {
        SETTLED = 0,
        COUNTING,
        ENDING            /* what is under way is waited for */
    } state;

    /* each turn begins with the memory of all streams in the cache */
    send_to_all(arm, 1, 1, WINDOW);

    interval = load ? NSEC / load : 0;

    memset(&latency, 0, sizeof(latency));
    memset(&mark, 0, sizeof(mark));

    start = now(CLOCK_MONOTONIC) + SETTLING;
    due = 0;
    state = SETTLED;

    while (state != ENDING || arm->sent > arm->received) {

        t = poll_arm(arm, &mark.idle);

        if (state == SETTLED && t >= start) {
            state = COUNTING;
            arm->latency = &latency;
            begin(arm, &mark);
        }

        if (state == COUNTING && t >= start + opt.turn) {
            state = ENDING;
            arm->latency = NULL;
            end(arm, &mark, result, turn);
        }

        if (state == ENDING) {
            continue;
        }

        if (load == 0) {
            while (arm->sent - arm->received < WINDOW) {
                send_next(arm, 1);
            }

        } else if (t >= due) {
            send_next(arm, 1);

            due = (t > due + LATE ? t : due) + interval / 2
                  + draw(&rnd, (uint32_t) interval);
        }
    }
}


/* Stands still, with all streams open, until a line comes. */

static void
hold(void)
{
    char      line[8];
    unsigned  i;

    printf("{\"open\":%u}\n", opt.streams);

    if (fflush(stdout) == EOF) {
        die("write");
    }

    if (fgets(line, sizeof(line), stdin) == NULL) {
        fputs("streams: nobody waits\n", stderr);
        exit(1);
    }

    for (i = 0; arms[i].port; i++) {
        send_to_all(&arms[i], 1, 1, WINDOW);
    }
}


static void
print_turns(const char *name, const double *turns)
{
    unsigned  i;

    printf(",\"%s\":[", name);

    for (i = 0; i < opt.turns; i++) {
        printf("%s%.3f", i ? "," : "", turns[i]);
    }

    printf("]");
}


static void
report(const arm_t *arm, const result_t *result)
{
    double    time;
    unsigned  i;

    printf("{\"arm\":\"%s\",\"streams\":%u,\"events\":%llu,\"ids\":%llu,"
           "\"loads\":[",
           arm->name, arm->ended, (unsigned long long) arm->received,
           (unsigned long long) arm->ids);

    for (i = 0; i < opt.nloads; i++, result++) {
        time = (double) result->time;

        printf("%s{\"load\":%u,\"events\":%llu,\"busy\":%.3f,"
               "\"server_cpu\":%.3f",
               i ? "," : "", opt.load[i], (unsigned long long) result->events,
               1.0 - (double) result->idle / time,
               (double) result->server_cpu / time);

        print_turns("rps", result->rps);
        print_turns("cpu_ns", result->cpu);
        print_turns("p50_us", result->p50);
        print_turns("waited", result->waited);

        printf("}");
    }

    printf("]}\n");
}


static void
raise_limit(rlim_t files)
{
    struct rlimit  limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == -1) {
        die("getrlimit");
    }

    if (limit.rlim_cur >= files) {
        return;
    }

    limit.rlim_cur = files;

    if (limit.rlim_max < files) {
        limit.rlim_max = files;
    }

    if (setrlimit(RLIMIT_NOFILE, &limit) == -1) {
        die("so many open files");
    }
}


static void
invalid(const char *s)
{
    fprintf(stderr, "streams: invalid argument \"%s\"\n", s);
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


static void
parse_arm(arm_t *arm, const char *s)
{
    int  n;

    n = 0;

    if (sscanf(s, "%31[^,],%5u,%5u,%9u%n", arm->name, &arm->port,
               &arm->agent_port, &arm->pid, &n)
            != 4
        || arm->port == 0 || s[n] != '\0')
    {
        invalid(s);
    }
}


int
main(int argc, char **argv)
{
    int        c;
    unsigned   i, k, n, turn;
    uint32_t   order[ARMS];
    cpu_set_t  set;

    opt.streams = 100;
    opt.turns = 16;
    opt.turn = 30 * MSEC;
    rnd = host_mix64(1);

    CPU_ZERO(&set);

    while ((c = getopt(argc, argv, "n:t:d:f:l:S:C:H")) != -1) {

        switch (c) {

        case 'n':
            opt.streams = number(optarg, 100000);
            break;

        case 't':
            opt.turns = number(optarg, 1000000);
            break;

        case 'd':
            opt.turn = number(optarg, 3600 * 1000) * MSEC;
            break;

        case 'f':
            opt.fill = number(optarg, 1 << 30);
            break;

        case 'l':
            if (opt.nloads == LOADS) {
                goto usage;
            }

            opt.load[opt.nloads++] = strcmp(optarg, "0") == 0
                                     ? 0 : number(optarg, 10000000);
            break;

        case 'S':
            rnd = host_mix64(number(optarg, UINT32_MAX));
            break;

        case 'C':
            CPU_SET(number(optarg, CPU_SETSIZE - 1), &set);
            break;

        case 'H':
            opt.hold = 1;
            break;

        default:
            goto usage;
        }
    }

    n = (unsigned) (argc - optind);

    if (n < 1 || n >= ARMS) {
        goto usage;
    }

    if (CPU_COUNT(&set) && sched_setaffinity(0, sizeof(set), &set) == -1) {
        die("sched_setaffinity");
    }

    schedstat = open_schedstat((unsigned) getpid());

    raise_limit(n * opt.streams * 2 + 64);

    for (i = 0; i < n; i++) {
        parse_arm(&arms[i], argv[optind + (int) i]);
        open_arm(&arms[i]);

        send_to_all(&arms[i], opt.fill / (BATCH * EVENT_MAX), BATCH, BATCHES);

        order[i] = i;

        for (k = 0; k < opt.nloads; k++) {
            results[i][k].rps = allocate(opt.turns, sizeof(double));
            results[i][k].cpu = allocate(opt.turns, sizeof(double));
            results[i][k].p50 = allocate(opt.turns, sizeof(double));
            results[i][k].waited = allocate(opt.turns, sizeof(double));
        }
    }

    if (opt.hold) {
        hold();
    }

    for (turn = 0; turn < opt.turns; turn++) {

        for (k = 0; k < opt.nloads; k++) {
            shuffle(order, n);

            for (i = 0; i < n; i++) {
                run(&arms[order[i]], opt.load[k], &results[order[i]][k],
                    turn);
            }
        }
    }

    for (i = 0; i < n; i++) {
        end_arm(&arms[i]);
        report(&arms[i], results[i]);
    }

    if (fflush(stdout) == EOF) {
        die("write");
    }

    return 0;

usage:

    fputs("usage: streams [options] ARM ...\n"
          "  -n N   streams of each arm (100)\n"
          "  -l N   a load: events a second, 0 for as many as nginx takes;\n"
          "         may be given several times\n"
          "  -t N   turns of each arm at each load (16)\n"
          "  -d MS  of a turn (30)\n"
          "  -f N   bytes for each stream before (0)\n"
          "  -H     when all are open, say so and wait for a line\n"
          "  -S N   seed (1)             -C N   CPU to run on\n"
          "an ARM is NAME,PORT,AGENT,PID: nginx's port, that to which it\n"
          "passes, and the worker's pid, for its CPU time\n", stderr);

    return 2;
}
