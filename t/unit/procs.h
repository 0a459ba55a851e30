
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


/* A child that is stopped before it calls act, or -1: no tracing here. */

static __attribute__((unused)) pid_t
stepped(int (*act)(void *data), void *data)
{
    int    status;
    pid_t  pid;

    fflush(stdout);

    pid = fork();

    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0
            || raise(SIGSTOP) != 0)
        {
            _exit(99);
        }

        _exit(act(data));
    }

    if (pid == -1 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
        return -1;
    }

    return pid;
}


/* One instruction on: 1, or 0 when it has ended, with its status. */

static __attribute__((unused)) int
step(pid_t pid, int *status)
{
    if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) != 0
        || waitpid(pid, status, 0) != pid)
    {
        printf("Bail out! a process cannot be stepped through\n");
        exit(1);
    }

    return WIFSTOPPED(*status);
}


/*
 * Calls check with a copy of the memory for each state through which it goes
 * while act is at work on it.  The number of states; -1: no tracing here.
 */

static __attribute__((unused)) int
each_state(void *shm, size_t size, int (*act)(void *data),
    void (*check)(void *copy))
{
    int     n, status;
    char   *last, *copy;
    pid_t   pid;

    pid = stepped(act, shm);
    if (pid == -1) {
        return -1;
    }

    last = aligned_alloc(4096, size);
    copy = aligned_alloc(4096, size);
    memcpy(last, shm, size);

    for (n = 0; step(pid, &status); /* void */ ) {

        if (memcmp(last, shm, size) == 0) {
            continue;
        }

        n++;
        memcpy(last, shm, size);
        memcpy(copy, shm, size);
        check(copy);
    }

    free(last);
    free(copy);

    return n;
}


/*
 * Runs act again and again; disturb is called when it has done one more
 * instruction than the last time, and then it goes on.  So disturb comes
 * between any two instructions of act, or, with a stride, between many.
 * prepare is called before each.  How often act did not return 0.
 */

static __attribute__((unused)) int
at_each_step(void *shm, int stride, void (*prepare)(void *shm),
    int (*act)(void *data), void (*disturb)(void *shm), int *runs)
{
    int    i, at, alive, status, bad;
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
            alive = step(pid, &status);
        }

        if (alive) {
            disturb(shm);

            if (ptrace(PTRACE_CONT, pid, NULL, NULL) != 0
                || waitpid(pid, &status, 0) != pid)
            {
                printf("Bail out! a process cannot go on\n");
                exit(1);
            }
        }

        (*runs)++;
        bad += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    }

    return bad;
}


/*
 * Readers, and one writer after the other, each killed at a random moment.
 * Readers return how often something was wrong, when told to stop.  The
 * number of kills; bad is the sum of what the readers found.
 */

static volatile sig_atomic_t  *procs_stop;


static __attribute__((unused)) int
torture(void *shm, int ms, int (*reader)(void *shm),
    void (*writer)(void *shm), int *bad)
{
    int              i, status, kills, us;
    pid_t            readers[PROCS_READERS], pid;
    struct timespec  pause;

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

    for (kills = 0, us = 0; us < ms * 1000; kills++) {
        pid = fork();

        if (pid == 0) {
            srandom(kills);
            writer(shm);
        }

        pause.tv_nsec = (1000 + random() % 8000) * 1000;
        us += pause.tv_nsec / 1000;

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
