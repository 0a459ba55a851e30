
/*
 * Streams, in shared memory: what each is, and its last events.
 *
 * A stream is a record of 256 bytes and a chain of pages, taken as they are
 * needed: one that is silent from the beginning has none.  Its events lie in
 * the pages one behind the other, and a position counts bytes since the
 * beginning of the stream.  Two words say what is there: the tip, where the
 * next event will begin, with the state of the stream in its low bits, and the
 * head, the first page that is still held.
 *
 * One process writes a stream, without a lock as long as its page has room:
 * an event is written behind the tip, and one store of the tip adds it.  Pages
 * are taken and given back with the zone's lock held, by anyone: of a stream
 * that has too many, or when the zone is full, the first page goes, and all
 * events that begin in it; never that with the tip, as long as there is a
 * writer.  Readers take no lock: they copy events, and then look whether the
 * head has gone past them; if so they throw away what they have and learn
 * which events they missed.
 *
 * A death leaves an event that nobody sees, or pages that nobody holds.  What
 * a holder of the lock left half done, oa_streams_repair() puts right from
 * records, heads and the links of pages.  A stream whose writer died is lost:
 * whoever sees it says so, and what it had can be read on.
 *
 * Times are milliseconds of one clock, which all processes share.
 *
 * Pure: bytes of memory in, records out; no request, no event loop.
 */


#ifndef _OA_STREAM_H_INCLUDED_
#define _OA_STREAM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define OA_STREAM_ID         16     /* bytes of an id, and of a digest */

/* Pages of one stream at the least and at the most. */
#define OA_STREAM_PAGES_MIN  2
#define OA_STREAM_PAGES_MAX  4096


typedef enum {
    OA_STREAM_STARTING = 0,         /* no event yet */
    OA_STREAM_RUNNING,
    OA_STREAM_DONE,                 /* ended well */
    OA_STREAM_FAILED,               /* ended in an error */
    OA_STREAM_LOST                  /* its writer died */
} oa_stream_state_e;

#define oa_stream_ended(state)  ((state) >= OA_STREAM_DONE)


typedef struct oa_stream_shm_s  oa_stream_shm_t;
typedef struct oa_stream_s      oa_stream_t;

/* A process's handle on all streams. */
typedef struct {
    oa_stream_shm_t     *shm;
    u_char              *pages;     /* of the zone */
    ngx_uint_t           npages;

    void               (*lock)(void *data);
    void               (*unlock)(void *data);

    /* with the lock held; a page given back has its first 8 bytes changed */
    void              *(*new_page)(void *data);
    void               (*free_page)(void *data, void *page);

    /* a process that is gone for certain is not alive; may be asked often */
    ngx_uint_t         (*alive)(void *data, ngx_pid_t pid);
    void                *data;

    ngx_uint_t           hand;      /* private: where the sweep goes on */
} oa_streams_t;


/* Names a stream, at no cost; one that is gone is not taken for the next. */
typedef struct {
    uint32_t             slot;
    uint32_t             seq;
} oa_stream_ref_t;


/* What a stream begins with. */
typedef struct {
    u_char               id[OA_STREAM_ID];       /* random */
    u_char               owner[OA_STREAM_ID];    /* digests */
    u_char               route[OA_STREAM_ID];
    u_char               location[OA_STREAM_ID];
    u_char               key[OA_STREAM_ID];      /* of the Idempotency-Key */
    u_char               body[OA_STREAM_ID];
    unsigned             has_key:1;
    ngx_pid_t            pid;                    /* of the writer */
    ngx_uint_t           max_streams;            /* running, of the owner; 0:
                                                    any number */
    size_t               buffer;                 /* bytes, in whole pages */
    ngx_msec_t           keep;                   /* after its end, and after
                                                    its last reader */
} oa_stream_conf_t;


/* What is known of a stream: a copy. */
typedef struct {
    oa_stream_ref_t      ref;
    u_char               id[OA_STREAM_ID];
    u_char               owner[OA_STREAM_ID];
    u_char               route[OA_STREAM_ID];
    u_char               location[OA_STREAM_ID];
    oa_stream_state_e    state;
    ngx_uint_t           code;      /* of its end, the caller's own numbers */
    ngx_pid_t            pid;
    uint64_t             created;
    uint64_t             last;      /* event; or the beginning */
    uint64_t             ended;
    uint64_t             until;     /* an ended one is kept */
    uint64_t             first_seq; /* still held; next_seq if none is */
    uint64_t             next_seq;  /* events count from 1 */
    uint64_t             bytes;     /* of all its events */
    ngx_uint_t           pages;
} oa_stream_info_t;


/* A writer's own: one for each stream, in one process. */
typedef struct {
    oa_stream_ref_t      ref;

    /* all below is private */
    oa_stream_t         *stream;
    uint64_t            *pulse;
    u_char              *frame;     /* the event that is being written */
    u_char              *pos;       /* where its next byte goes */
    u_char              *end;       /* of the page */
    uint64_t             number;    /* of the page in the stream */
    uint32_t             page;      /* the last one + 1; 0: none */
    uint32_t             len;
    unsigned             gap:1;     /* this event is not kept */
} oa_stream_writer_t;


/* A reader's own. */
typedef struct {
    oa_stream_ref_t      ref;
    uint64_t             seq;       /* of the event to be read next */

    /* all below is private */
    uint64_t             pos;
    uint64_t             number;
    uint32_t             page;
    unsigned             placed:1;
} oa_stream_cursor_t;


/* What a reader got. */
typedef struct {
    uint64_t             seq;       /* of the first event */
    ngx_uint_t           events;
    size_t               len;       /* of all their bytes */
    uint64_t             gap_from;  /* missed events; 0: none */
    uint64_t             gap_to;    /* the last of them */
    unsigned             all:1;     /* there were no more, and the stream
                                       had not ended; or */
    unsigned             ended:1;   /* its writer had ended it behind them */
} oa_stream_got_t;


typedef struct {
    ngx_uint_t           streams;   /* room for how many */
    ngx_uint_t           running;
    ngx_uint_t           ended;
    ngx_uint_t           pages;
    uint64_t             evicted;   /* pages, when the zone was full */
    uint64_t             lost;      /* streams */
} oa_stream_stat_t;


/* All streams */


/* Bytes of the part in a zone with so many pages: about 7% of it. */
size_t oa_streams_size(ngx_uint_t npages);

/*
 * Makes the part, of zeroed memory of that size, at an address that is a
 * multiple of 64, and sets t->shm; seed is 16 bytes, random and secret.
 */
void oa_streams_create(oa_streams_t *t, void *part, const u_char *seed);

/*
 * A number that another one follows with each event and each change of state
 * of any stream, and one for each oa_stream_stop(): what to look at often.
 */
uint64_t oa_streams_changed(oa_streams_t *t);
uint64_t oa_streams_stops(oa_streams_t *t);

/*
 * Looks at the next n records: streams that were kept long enough go, those of
 * dead writers are lost.  Where a worker begins, no stream is its own yet: a
 * sweep then over all of them, with alive() denying its pid, finds what a dead
 * one of that pid left.  Takes the lock for what there is to do.
 */
void oa_streams_sweep(oa_streams_t *t, uint64_t now, ngx_uint_t n);

/* For the holder of the lock, after another one died.  Calls free_page(). */
void oa_streams_repair(oa_streams_t *t);

void oa_streams_stat(oa_streams_t *t, oa_stream_stat_t *stat);


/* One stream: none of these may be called with the lock held */


typedef enum {
    OA_STREAM_OPENED = 0,           /* info and w are those of the new one */
    OA_STREAM_ATTACHED,             /* info is that of the one with the key */
    OA_STREAM_MISMATCH,             /* that one has another body */
    OA_STREAM_TOO_MANY,             /* of this owner */
    OA_STREAM_FULL                  /* no record, or no page to be had */
} oa_stream_open_e;

/*
 * Opens a stream, or finds the one that the same owner opened with the same
 * key on the same route and location, be it running or ended and kept.
 */
oa_stream_open_e oa_stream_open(oa_streams_t *t, const oa_stream_conf_t *conf,
    uint64_t now, oa_stream_writer_t *w, oa_stream_info_t *info);

/*
 * Finds a stream, without the lock.  Whose it is, the caller looks at.
 * NGX_OK; NGX_DECLINED: there is none, or none any more; NGX_AGAIN: a repair
 * is going on, ask again.
 */
ngx_int_t oa_stream_find(oa_streams_t *t, const u_char *id, uint64_t now,
    oa_stream_info_t *info);
ngx_int_t oa_stream_info(oa_streams_t *t, oa_stream_ref_t ref, uint64_t now,
    oa_stream_info_t *info);

/*
 * Asks the writer to stop, who sees it by oa_stream_stopped().  NGX_OK;
 * NGX_DECLINED: it has ended already.
 */
ngx_int_t oa_stream_stop(oa_streams_t *t, oa_stream_ref_t ref);

/* Says that a reader is there. */
void oa_stream_touch(oa_streams_t *t, oa_stream_ref_t ref, uint64_t now);

/* Ends it as lost if its writer is not alive: NGX_OK; else NGX_DECLINED. */
ngx_int_t oa_stream_check(oa_streams_t *t, oa_stream_ref_t ref, uint64_t now);


/* The writer */


/*
 * Adds an event, in pieces; nobody sees it before it is committed.  Takes the
 * lock where it needs a page.  NGX_BUSY: the event is larger than the buffer,
 * or the zone is full.  Then it counts but is not kept, nor are those before
 * it: what readers get is a gap.
 */
ngx_int_t oa_stream_write(oa_streams_t *t, oa_stream_writer_t *w,
    const u_char *data, size_t len);
ngx_int_t oa_stream_commit(oa_streams_t *t, oa_stream_writer_t *w,
    uint64_t now);

/*
 * Asks the memory for where the next event goes, which is in no cache: to be
 * called a little before, such as before the system is asked for the event.
 */
void oa_stream_prefetch(oa_stream_writer_t *w);

/* Both at once. */
ngx_int_t oa_stream_append(oa_streams_t *t, oa_stream_writer_t *w,
    const u_char *data, size_t len, uint64_t now);

/* The number that the event has which is being written, or is next. */
uint64_t oa_stream_seq(oa_stream_writer_t *w);

ngx_uint_t oa_stream_stopped(oa_stream_writer_t *w);

/* When a reader was there last, of any process. */
uint64_t oa_stream_read_at(oa_stream_writer_t *w);

/* Nobody attaches to it any more: the same key begins another one. */
void oa_stream_forget_key(oa_streams_t *t, oa_stream_writer_t *w);

/*
 * Ends the stream: DONE or FAILED, with a code.  An event that was written and
 * not committed is its last: there is no moment at which one is seen without
 * the other.  The writer is not to be used any more.
 */
void oa_stream_end(oa_streams_t *t, oa_stream_writer_t *w,
    oa_stream_state_e state, ngx_uint_t code, uint64_t now);


/* Readers, without the lock */


/*
 * A cursor before the event seq, 0 meaning the first there was.  NGX_OK;
 * NGX_DECLINED: the stream is gone; NGX_ERROR: no such event is near, seq is
 * larger than the number of the next one.
 */
ngx_int_t oa_stream_seek(oa_streams_t *t, oa_stream_ref_t ref, uint64_t seq,
    oa_stream_cursor_t *c);

/*
 * Copies as many whole events as there are and fit, max at the most (0: any
 * number), and moves the cursor behind them.
 *
 * NGX_OK: got->events of them, the first got->seq, got->len bytes in all; or,
 * with no events, a gap.  NGX_AGAIN: nothing new.  NGX_DONE: all was read, and
 * the stream has ended.  NGX_BUSY: the next event has got->len bytes, which is
 * more than size.  NGX_DECLINED: the stream is gone.
 */
ngx_int_t oa_stream_read(oa_streams_t *t, oa_stream_cursor_t *c, u_char *buf,
    size_t size, ngx_uint_t max, oa_stream_got_t *got);

/*
 * A number that changes with each event and each change of state of a stream;
 * all bits set: it is gone.
 */
uint64_t oa_stream_changed(oa_streams_t *t, oa_stream_ref_t ref);


#endif /* _OA_STREAM_H_INCLUDED_ */
