
/*
 * What the halves of the generator of streams share: streams.c takes turns
 * and measures, agent.c sends events, reader.c receives and checks them.
 */


#ifndef _BENCH_STREAMS_H_INCLUDED_
#define _BENCH_STREAMS_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "measure.h"


/*
 * An event of the agent.  Its number of the stream, its own, and the time of
 * its sending are hexadecimal and of fixed width; words that its numbers
 * choose follow, so that each byte of it can be checked.
 */

#define EVENT_HEAD     "data: {\"text\":\""
#define EVENT_TAIL     "\"}"
#define EVENT_STREAM   5
#define EVENT_SEQ      8
#define EVENT_TIME     16
#define EVENT_NUMBERS  (EVENT_STREAM + 1 + EVENT_SEQ + 1 + EVENT_TIME + 1)

#define EVENT_LINE     (sizeof(EVENT_HEAD) - 1 + EVENT_NUMBERS                \
                        + sizeof(EVENT_TAIL) - 1)
#define WORDS_MIN      9
#define WORDS_MAX      69
#define EVENT_MAX      (EVENT_LINE + WORDS_MAX + 2)


typedef struct arm_s  arm_t;


/* what an epoll event is about */

typedef enum {
    PEER_LISTENER = 0,
    PEER_AGENT,
    PEER_READER
} peer_e;


/* the agent's end of a stream */

typedef struct {
    peer_e         peer;
    int            fd;
    uint32_t       number;
    unsigned       matched;         /* of the request's blank line */
    uint32_t       sent;            /* events */
    uint32_t       received;        /* by the reader, whole and in order */
    unsigned       read:1;          /* a reader has it */
} agent_t;


/* a line of which only a part is there */

typedef struct {
    size_t         len;
    char           text[512];
} line_t;


typedef enum {
    READER_STATUS = 0,
    READER_HEADER,
    READER_CHUNK,
    READER_DATA,
    READER_CHUNK_END,
    READER_TRAILER,
    READER_END
} reader_e;


/* the client's end of a stream */

typedef struct {
    peer_e         peer;
    int            fd;
    reader_e       state;
    agent_t       *agent;           /* known with the first event */
    uint64_t       left;            /* of the chunk */
    uint64_t       sent;            /* when, the event whose line is read */
    unsigned       chunked:1;
    unsigned       pending:1;       /* its blank line has not come yet */
    unsigned       id:1;            /* it has one */
    unsigned       done:1;          /* [DONE] */
    line_t         http;
    line_t         event;
} reader_t;


struct arm_s {
    peer_e         peer;            /* of its listener */

    char           name[32];
    unsigned       port;            /* of nginx */
    unsigned       agent_port;
    unsigned       pid;             /* of the worker */

    int            ep;
    int            listener;
    clockid_t      server;
    int            schedstat;       /* of the worker; or -1 */

    agent_t       *agents;
    reader_t      *readers;
    uint32_t      *order;           /* in which the streams get events */
    unsigned       next;

    unsigned       nstreams;
    unsigned       nagents;         /* requests that came */
    unsigned       nreaders;        /* requests that were sent */
    unsigned       opened;          /* streams whose first event has come */
    unsigned       ending;
    unsigned       ended;

    uint64_t       sent;            /* events, in all streams */
    uint64_t       received;
    uint64_t       ids;             /* that came with them */
    uint64_t       active;          /* when it last did anything */
    histogram_t   *latency;         /* or NULL: not counted */
};


extern uint64_t  rnd;


/* Prints what is wrong with an arm, and ends the program. */
void wrong(const arm_t *arm, const char *what, const char *text, size_t len)
    __attribute__((noreturn));

/* The words of an event, *len bytes. */
const char *event_words(uint32_t number, uint32_t seq, size_t *len);

void watch_fd(const arm_t *arm, int fd, void *peer);


void agent_listen(arm_t *arm);
void agent_accept(arm_t *arm);

/* Answers a request that has come whole; any body is thrown away. */
void agent_receive(arm_t *arm, agent_t *agent);

/* Sends events with one send(), as one chunk. */
void agent_send(arm_t *arm, agent_t *agent, unsigned events);

void agent_end(arm_t *arm, agent_t *agent);


void reader_open(arm_t *arm, reader_t *reader);

/* What is no event that must come next ends the program. */
void reader_receive(arm_t *arm, reader_t *reader);


#endif /* _BENCH_STREAMS_H_INCLUDED_ */
