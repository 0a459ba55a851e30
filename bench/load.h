
/*
 * What the two halves of the load generator share: load.c takes turns and
 * measures, exchange.c knows what a request and its answer are.
 */


#ifndef _BENCH_LOAD_H_INCLUDED_
#define _BENCH_LOAD_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "measure.h"


typedef struct {
    int            fd;
    uint32_t       number;          /* of the host, or of the token */
    uint64_t       sent;            /* when */
    size_t         have;            /* of an answer that came in parts */
    char          *part;
} conn_t;


typedef struct {
    char           name[32];

    unsigned       port;
    unsigned       status;
    unsigned       n;               /* hosts, or tokens */
    unsigned       replay;          /* is one expected? */
    unsigned       pid;             /* of the worker, or 0 */

    const char    *tokens;          /* all of one length, a line each */
    size_t         token_len;
    unsigned       sequence;        /* each is sent once, none twice */
    unsigned       next;

    char          *request;
    size_t         request_len;
    char          *varies;          /* in it: the host's label or the token */

    int            to;              /* a program that is measured instead */
    int            from;

    int            ep;
    conn_t        *conns;
    clockid_t      server;

    uint64_t       requests;
    uint64_t       time;
    uint64_t       idle;            /* spent in polls that found nothing */
    uint64_t       cpu;
    uint64_t       server_cpu;
    histogram_t    histogram;
    double        *turns;           /* requests a second in each */
} arm_t;


/* Maps a file of tokens into memory, and sets the arm's n to their count. */
void exchange_tokens(arm_t *arm, const char *path);

void exchange_open(arm_t *arm, unsigned connections);
void exchange_send(const arm_t *arm, conn_t *c, uint32_t number);

/*
 * 1: the answer is there, whole; 0: more is to come.  What is no answer that
 * the host must get ends the program.
 */
int exchange_receive(const arm_t *arm, conn_t *c);


#endif /* _BENCH_LOAD_H_INCLUDED_ */
