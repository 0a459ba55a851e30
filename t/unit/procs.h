
/*
 * Shared memory, and processes that are stopped or killed while they use it.
 *
 * What a process leaves behind that is killed at an instruction is what the
 * memory looks like behind that instruction: so one that is stepped through
 * shows all the states that a kill could leave.
 */


#ifndef _OA_PROCS_H_INCLUDED_
#define _OA_PROCS_H_INCLUDED_


#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"


#define PROCS_READERS  3


/* Zeroed; the page behind it cannot be touched.  size counts whole pages. */

static __attribute__((unused)) void *
shared(size_t size)
{
    char  *p;

    p = mmap(NULL, size + 4096, PROT_READ|PROT_WRITE,
             MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED || mprotect(p + size, 4096, PROT_NONE) != 0) {
        printf("Bail out! no shared memory\n");
        exit(1);
    }

    return p;
}


/* Where a child is to be stepped through, from the one call to the other. */
#define procs_mark()  raise(SIGSTOP)


/* A child that calls act, at its first mark; -1: no tracing here. */

static __attribute__((unused)) pid_t
stepped(int (*act)(void *data), void *data)
{
    int    status;
    pid_t  pid;

    fflush(stdout);

    pid = fork();

    if (pid == 0) {
        _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? act(data) : 99);
    }

    if (pid == -1 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
        return -1;
    }

    return pid;
}


/* One instruction on: 0 at the second mark. */

static __attribute__((unused)) int
step(pid_t pid)
{
    int  status;

    if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) != 0
        || waitpid(pid, &status, 0) != pid
        || !WIFSTOPPED(status))
    {
        printf("Bail out! a process cannot be stepped through\n");
        exit(1);
    }

    return WSTOPSIG(status) == SIGTRAP;
}


/* Lets it go on, to its end: 0 if that is good. */

static __attribute__((unused)) int
finish(pid_t pid)
{
    int  status;

    do {
        if (ptrace(PTRACE_CONT, pid, NULL, NULL) != 0
            || waitpid(pid, &status, 0) != pid)
        {
            return -1;
        }

    } while (WIFSTOPPED(status));

    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}


/*
 * Calls check with a copy of the memory for each state through which it goes
 * while act is at work on it.  The number of states; -1: no tracing here.
 */

static __attribute__((unused)) int
each_state(void *shm, size_t size, int (*act)(void *data),
    void (*check)(void *copy))
{
    int     n;
    char   *last, *copy;
    pid_t   pid;

    pid = stepped(act, shm);
    if (pid == -1) {
        return -1;
    }

    last = shared(size);
    copy = shared(size);
    memcpy(last, shm, size);

    for (n = 0; step(pid); /* void */ ) {

        if (memcmp(last, shm, size) == 0) {
            continue;
        }

        n++;
        memcpy(last, shm, size);
        memcpy(copy, shm, size);
        check(copy);
    }

    (void) munmap(last, size + 4096);
    (void) munmap(copy, size + 4096);

    return finish(pid) == 0 ? n : 0;
}


/*
 * Runs act again and again; each time it is stopped so many instructions
 * later, and goes on when disturb has been called.  So disturb comes at any
 * moment of act.  How often act did not return 0; -1: no tracing here.
 */

static __attribute__((unused)) int
at_each_step(void *shm, int stride, void (*prepare)(void *shm),
    int (*act)(void *data), void (*disturb)(void *shm), int *runs)
{
    int    i, at, alive, bad;
    pid_t  pid;

    bad = 0;
    *runs = 0;

    for (at = 0, alive = 1; alive; at += stride) {
        prepare(shm);

        pid = stepped(act, shm);
        if (pid == -1) {
            return -1;
        }

        for (i = 0; i < at && alive; i++) {
            alive = step(pid);
        }

        disturb(shm);

        (*runs)++;
        bad += finish(pid) != 0;
    }

    return bad;
}


/*
 * Runs act once, and calls disturb between any two instructions of it.  What
 * act returned; -1: no tracing here.
 */

static __attribute__((unused)) int
between_steps(void *shm, int (*act)(void *data), void (*disturb)(void *shm))
{
    pid_t  pid;

    pid = stepped(act, shm);
    if (pid == -1) {
        return -1;
    }

    while (step(pid)) {
        disturb(shm);
    }

    return finish(pid);
}


/*
 * Readers, and one writer after the other, each killed at a random moment.
 * Readers return how often something was wrong, when told to stop.  The
 * number of kills; bad is the sum of what the readers found.
 */

static volatile sig_atomic_t  *procs_stop;


static __attribute__((unused)) int
torture(void *shm, int seconds, int (*reader)(void *shm),
    void (*writer)(void *shm), int *bad)
{
    int              i, status, kills;
    pid_t            readers[PROCS_READERS], pid;
    struct timespec  pause, now, end;

    procs_stop = shared(4096);
    fflush(stdout);

    for (i = 0; i < PROCS_READERS; i++) {
        readers[i] = fork();

        if (readers[i] == 0) {
            srandom(i);
            _exit(reader(shm) ? 1 : 0);
        }
    }

    srandom(4);
    pause.tv_sec = 0;

    (void) clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += seconds;

    for (kills = 0; /* void */ ; kills++) {
        (void) clock_gettime(CLOCK_MONOTONIC, &now);

        if (now.tv_sec > end.tv_sec
            || (now.tv_sec == end.tv_sec && now.tv_nsec >= end.tv_nsec))
        {
            break;
        }

        pid = fork();

        if (pid == 0) {
            srandom(kills);
            writer(shm);
        }

        pause.tv_nsec = (1000 + random() % 8000) * 1000;

        (void) nanosleep(&pause, NULL);
        (void) kill(pid, SIGKILL);
        (void) waitpid(pid, &status, 0);
    }

    *procs_stop = 1;
    *bad = 0;

    for (i = 0; i < PROCS_READERS; i++) {
        (void) waitpid(readers[i], &status, 0);
        *bad += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    }

    return kills;
}


#endif /* _OA_PROCS_H_INCLUDED_ */
