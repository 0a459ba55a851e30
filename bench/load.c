
/*
 * A load generator that is faster than what it measures.
 *
 *     load [options] ARM ...
 *
 * One thread, keep-alive connections, one request in flight on each, another
 * host or token in each request.  Per request it makes one send(), one recv()
 * and its share of an epoll_wait(); while it measures nginx it never sleeps,
 * so that nginx never pays for waking it.  Every answer is parsed and compared
 * with the one that its host must get: a wrong answer ends the program.
 *
 * Several arms take turns of a tenth of a second, in an order that is drawn
 * anew each turn: what disturbs the machine mostly lasts longer than that,
 * and so meets them all.
 */


#define _GNU_SOURCE

#include "hosts.h"
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>


#define EVENTS         512
#define ARMS           8
#define PATIENCE       (10 * NSEC)


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


void
die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}


static int
asked_all(const arm_t *arm)
{
    return opt.once && arm->next == arm->n;
}


/* Who is asked for next: a host, or a token. */

static void
send_next(arm_t *arm, conn_t *c, uint64_t t)
{
    uint32_t  number;

    if (opt.once || arm->sequence) {

        if (arm->next == arm->n) {
            fprintf(stderr, "load: %s: no token is left\n", arm->name);
            exit(1);
        }

        number = arm->next++;

    } else {
        number = draw(&rnd, arm->n);
    }

    c->sent = t;

    exchange_send(arm, c, number);
}


static void
open_arm(arm_t *arm)
{
    arm->server = CLOCK_MONOTONIC;

    if (arm->pid) {
        errno = clock_getcpuclockid((pid_t) arm->pid, &arm->server);
        if (errno) {
            die("CPU clock of the worker");
        }
    }

    arm->turns = calloc(opt.turns, sizeof(double));
    if (arm->turns == NULL) {
        die("calloc");
    }

    if (arm->port) {
        exchange_open(arm, opt.connections);
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
        send_next(arm, &arm->conns[k], last);
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

            if (!exchange_receive(arm, c)) {
                continue;
            }

            t = now(CLOCK_MONOTONIC);

            if (state == COUNTING) {
                histogram_add(&arm->histogram, t - c->sent);
                arm->requests++;
            }

            if (state == ENDING || asked_all(arm)) {
                live--;
                continue;
            }

            send_next(arm, c, t);
        }

        last = t;
    }

    if (state == COUNTING) {
        end(arm, &mark, turn);
    }
}


/*
 * A program that works for a turn when it is told to, while this one sleeps:
 * it reads how long it has to work before and while it counts, in ns, and
 * writes what it has counted, the ns it took, and how many of them were its
 * own CPU time.
 */

static void
start_program(arm_t *arm, const char *command)
{
    int  to[2], from[2];

    if (pipe2(to, O_CLOEXEC) == -1 || pipe2(from, O_CLOEXEC) == -1) {
        die("pipe");
    }

    switch (fork()) {

    case -1:
        die("fork");

    case 0:
        if (dup2(to[0], STDIN_FILENO) == -1
            || dup2(from[1], STDOUT_FILENO) == -1)
        {
            die("dup2");
        }

        execl("/bin/sh", "sh", "-c", command, (char *) NULL);
        die("sh");
    }

    if (close(to[0]) == -1 || close(from[1]) == -1) {
        die("close");
    }

    arm->to = to[1];
    arm->from = from[0];
}


static void
run_program(arm_t *arm, unsigned turn)
{
    int                 n;
    char                buf[64];
    ssize_t             len;
    unsigned long long  requests, time, cpu;

    n = snprintf(buf, sizeof(buf), "%llu %llu\n",
                 (unsigned long long) opt.warm, (unsigned long long) opt.turn);

    if (write(arm->to, buf, (size_t) n) != n) {
        die(arm->name);
    }

    len = read(arm->from, buf, sizeof(buf) - 1);
    if (len == -1) {
        die(arm->name);
    }

    buf[len] = '\0';

    if (sscanf(buf, "%llu %llu %llu\n", &requests, &time, &cpu) != 3
        || time == 0)
    {
        fprintf(stderr, "load: %s: the program stopped\n", arm->name);
        exit(1);
    }

    arm->requests += requests;
    arm->time += time;
    arm->server_cpu += cpu;
    arm->turns[turn] = (double) requests * NSEC / (double) time;
}


static void
report(const arm_t *arm)
{
    double    sec;
    unsigned  i;

    sec = (double) arm->time / NSEC;

    printf("{\"arm\":\"%s\",\"requests\":%llu,\"seconds\":%.4f,\"rps\":%.0f,"
           "\"turns\":[",
           arm->name, (unsigned long long) arm->requests, sec,
           (double) arm->requests / sec);

    for (i = 0; i < opt.turns; i++) {
        printf("%s%.0f", i ? "," : "", arm->turns[i]);
    }

    printf("]");

    if (arm->port) {
        printf(",\"p50_us\":%.1f,\"p99_us\":%.1f,\"busy\":%.3f,"
               "\"cpu\":%.3f",
               histogram_quantile(&arm->histogram, 0.50),
               histogram_quantile(&arm->histogram, 0.99),
               1.0 - (double) arm->idle / (double) arm->time,
               (double) arm->cpu / (double) arm->time);
    }

    if (arm->pid || arm->port == 0) {
        printf(",\"server_cpu\":%.3f",
               (double) arm->server_cpu / (double) arm->time);
    }

    printf("}\n");
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


/* The rest of the text behind a word that it begins with, or NULL. */

static const char *
behind(const char *s, const char *word)
{
    size_t  n;

    n = strlen(word);

    return strncmp(s, word, n) == 0 ? s + n : NULL;
}


static void
parse_arm(arm_t *arm, const char *s)
{
    int          n;
    const char  *p;

    n = 0;

    if (sscanf(s, "%31[^,],run=%n", arm->name, &n) == 1 && n) {
        start_program(arm, s + n);
        return;
    }

    if (sscanf(s, "%31[^,],%5u,%3u,%9u,%9u%n", arm->name, &arm->port,
               &arm->status, &arm->n, &arm->pid, &n)
            != 5
        || arm->port == 0)
    {
        invalid(s);
    }

    if ((p = behind(s + n, ",tokens=")) != NULL) {
        exchange_tokens(arm, p);

    } else if ((p = behind(s + n, ",new=")) != NULL) {
        exchange_tokens(arm, p);
        arm->sequence = 1;

    } else if (strcmp(s + n, ",replay") == 0) {
        arm->replay = 1;

    } else if (s[n] != '\0') {
        invalid(s);
    }

    if (arm->n == 0) {
        invalid(s);
    }
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
            k = (int) draw(&rnd, (uint32_t) i + 1);
            swap = order[i];
            order[i] = order[k];
            order[k] = swap;
        }

        for (i = 0; i < n; i++) {
            if (arms[order[i]].port) {
                run(&arms[order[i]], turn);

            } else {
                run_program(&arms[order[i]], turn);
            }
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

    fputs("usage: load [options] ARM ...\n"
          "  -c N   connections (64)     -t N   turns of each arm (20)\n"
          "  -d MS  of a turn (100)      -w MS  before it, not counted (10)\n"
          "  -S N   seed (1)             -C N   CPU to run on\n"
          "  -o     each host or token once, instead of turns\n"
          "an ARM is one of\n"
          "  NAME,PORT,STATUS,HOSTS,PID[,replay]\n"
          "  NAME,PORT,STATUS,0,PID,tokens=FILE  one of them, at random\n"
          "  NAME,PORT,STATUS,0,PID,new=FILE     each of them once\n"
          "  NAME,run=COMMAND                    a program\n"
          "PID is the worker's, for its CPU time; 0: unknown\n", stderr);

    return 2;
}
