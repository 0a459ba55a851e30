
/*
 * Streams in shared memory, for their own files only.
 */


#ifndef _OA_STREAM_INT_H_INCLUDED_
#define _OA_STREAM_INT_H_INCLUDED_


#include "oa_stream.h"


#define OA_STREAM_PAGE      4096

#define OA_STREAMS_MIN      64
#define OA_STREAMS_MAX      65536

/* A writer counts in the line of its pid, so that lines do not travel. */
#define OA_STREAM_PULSES    16

/* Pages given back, records looked at, while the lock is held once. */
#define OA_STREAM_CHUNK     64


/*
 * A page.  The frame of an event is its length and its bytes, rounded up to
 * eight, which go on in the next page.  So all pages of a stream but the last
 * are full, and a position names page and place.
 */
typedef struct {
    uint64_t             seq;         /* of the first event that begins here,
                                         or else in a later page */
    uint32_t             next;        /* page + 1 */
    uint32_t             first;       /* where it begins; NONE: not here yet */
    u_char               data[OA_STREAM_PAGE - 16];
} oa_stream_page_t;

#define OA_PAGE_BYTES       ((uint64_t) sizeof(((oa_stream_page_t *) 0)->data))
#define OA_PAGE_NONE        0xffffffffu

/* What the first word of a page is on its way back to the zone. */
#define OA_PAGE_GOING       ((uint64_t) -1)

#define OA_FRAME_HEAD       sizeof(uint32_t)
#define OA_FRAME_MAX        0x7fffffffu


/* What the streams know of a page of the zone. */
typedef enum {
    OA_PAGE_FOREIGN = 0,
    OA_PAGE_HELD,
    OA_PAGE_LEAVING,
    OA_PAGE_REACHED                   /* while repairing */
} oa_page_owner_e;


/* A tip: a position, and the state. */
#define OA_TIP_STATE        7u
#define oa_tip_pos(tip)     ((tip) & ~(uint64_t) OA_TIP_STATE)
#define oa_tip_state(tip)   ((oa_stream_state_e) ((tip) & OA_TIP_STATE))

/*
 * A head: the number of the page in the stream, and where it is.  Without a
 * page it tells the number of the page that is taken next.
 */
#define oa_head(number, page)  ((uint64_t) (number) << 32 | (page))
#define oa_head_number(head)   ((head) >> 32)
#define oa_head_page(head)     ((uint32_t) (head))


/*
 * Each record is in one list: free, ended without pages or with them, in this
 * order by their ends, or running, by the number of pages.
 */
typedef enum {
    OA_LIST_FREE = 0,
    OA_LIST_BARE,
    OA_LIST_ENDED,
    OA_LIST_RUNNING
} oa_stream_list_e;

#define OA_LIST_LARGEST     (OA_LIST_RUNNING + 255)
#define OA_LISTS            (OA_LIST_LARGEST + 1)
#define OA_LIST_NONE        OA_LISTS


/* Numbers of records and pages are those + 1, so that 0 is none. */

struct oa_stream_s {
    uint32_t             seq;         /* odd while it is one */
    uint32_t             id_next;
    u_char               id[OA_STREAM_ID];
    uint64_t             head;

    /* the writer's */
    uint64_t             tip;
    uint64_t             next_seq;
    uint64_t             last;
    uint64_t             bytes;

    u_char               owner[OA_STREAM_ID];
    u_char               route[OA_STREAM_ID];
    u_char               location[OA_STREAM_ID];
    u_char               key[OA_STREAM_ID];
    u_char               body[OA_STREAM_ID];

    uint64_t             created;
    uint64_t             ended;
    uint64_t             keep;
    uint64_t             read;        /* when a reader was there last */
    uint32_t             code;
    uint32_t             has_key;
    uint32_t             stop;
    int32_t              pid;

    uint32_t             max_pages;
    uint32_t             pages;

    uint32_t             list;
    uint32_t             prev;
    uint32_t             next;
    uint32_t             key_next;
    uint32_t             owner_next;  /* of those that run */
} __attribute__((aligned(64)));


typedef struct {
    uint64_t             n __attribute__((aligned(64)));
} oa_stream_pulse_t;


typedef struct {
    uint32_t             first;
    uint32_t             last;
} oa_stream_ends_t;


struct oa_stream_shm_s {
    uint64_t             seed[2];     /* of the hashes */
    uint32_t             streams;
    uint32_t             mask;        /* of the chains */
    uint32_t             moves;       /* odd while they are made anew */
    uint32_t             largest;     /* no list behind it has a stream */

    uint64_t             stops;
    uint64_t             evicted;
    uint64_t             lost;
    uint32_t             running;
    uint32_t             ended;
    uint32_t             pages;

    oa_stream_ends_t     lists[OA_LISTS];
    oa_stream_pulse_t    pulses[OA_STREAM_PULSES];

    /* the records; behind them the chains, and whose each page is */
    oa_stream_t          stream[] __attribute__((aligned(64)));
};


/* The chains, by what they are for. */
typedef enum {
    OA_CHAIN_ID = 0,
    OA_CHAIN_KEY,
    OA_CHAIN_OWNER,
    OA_CHAINS
} oa_stream_chain_e;


/* oa_stream_memory.c: all with the lock held */

/* A record that is free, or that of a stream which ended; NULL: none. */
oa_stream_t *oa_stream_take(oa_streams_t *t);

/* Frees a record and its pages. */
void oa_stream_free(oa_streams_t *t, oa_stream_t *s);

/* A page that is held, its links cleared; 0: there is none to be had. */
uint32_t oa_stream_new_page(oa_streams_t *t);

/* A page that nothing leads to any more. */
void oa_stream_free_page(oa_streams_t *t, uint32_t page);

/* Gives up the first page. */
void oa_stream_drop_head(oa_streams_t *t, oa_stream_t *s);

/*
 * May the first page go?  Of one that runs, it may if it lies before the tip;
 * it must have two, since its writer goes on from the last.
 */
ngx_uint_t oa_stream_may_drop(oa_streams_t *t, oa_stream_t *s);

/* The list where a record belongs; and there it goes. */
uint32_t oa_stream_list_of(const oa_stream_t *s);
void oa_stream_list(oa_streams_t *t, oa_stream_t *s);


/* oa_stream_chain.c: all with the lock held */

void oa_stream_chain(oa_streams_t *t, oa_stream_t *s, oa_stream_chain_e chain);
void oa_stream_unchain(oa_streams_t *t, oa_stream_t *s,
    oa_stream_chain_e chain);

/* Where a chain begins; the owner counts with a key, else it is NULL. */
uint32_t *oa_stream_chain_of(oa_streams_t *t, oa_stream_chain_e chain,
    const u_char *key, const u_char *owner);


/* oa_stream_read.c: without the lock */

uint64_t oa_stream_first_seq(oa_streams_t *t, oa_stream_t *s);


/* oa_stream.c */

/* Ends a stream that runs, with the lock held; tip: the position it ends at. */
void oa_stream_close(oa_streams_t *t, oa_stream_t *s, uint64_t tip,
    oa_stream_state_e state, ngx_uint_t code, uint64_t now);


static ngx_inline oa_stream_t *
oa_stream_at(oa_streams_t *t, uint32_t n)
{
    return &t->shm->stream[n - 1];
}


static ngx_inline uint32_t
oa_stream_number(oa_streams_t *t, const oa_stream_t *s)
{
    return (uint32_t) (s - t->shm->stream) + 1;
}


static ngx_inline oa_stream_page_t *
oa_stream_page(oa_streams_t *t, uint32_t page)
{
    return (oa_stream_page_t *)
               (t->pages + (size_t) (page - 1) * OA_STREAM_PAGE);
}


/* Of a chain the first. */

static ngx_inline uint32_t *
oa_stream_chains(oa_streams_t *t)
{
    return (uint32_t *) &t->shm->stream[t->shm->streams];
}


static ngx_inline u_char *
oa_stream_page_owner(oa_streams_t *t, uint32_t page)
{
    u_char  *owners;

    owners = (u_char *) &oa_stream_chains(t)[OA_CHAINS
                                             * ((size_t) t->shm->mask + 1)];

    return &owners[page - 1];
}


static ngx_inline ngx_uint_t
oa_stream_same(const u_char *a, const u_char *b)
{
    return ngx_memcmp(a, b, OA_STREAM_ID) == 0;
}


/* One that has ended is kept as long as somebody reads it. */

static ngx_inline uint64_t
oa_stream_until(oa_stream_t *s)
{
    return ngx_max(s->ended, __atomic_load_n(&s->read, __ATOMIC_RELAXED))
           + s->keep;
}


/* Is it still the one? */

static ngx_inline ngx_uint_t
oa_stream_is(oa_streams_t *t, oa_stream_ref_t ref)
{
    return ref.slot < t->shm->streams
           && __atomic_load_n(&t->shm->stream[ref.slot].seq, __ATOMIC_ACQUIRE)
              == ref.seq;
}


static ngx_inline void
oa_stream_pulse(oa_streams_t *t, ngx_pid_t pid)
{
    (void) __atomic_add_fetch(&t->shm->pulses[(uint32_t) pid
                                              % OA_STREAM_PULSES].n,
                              1, __ATOMIC_RELEASE);
}


/* For stores that must be seen in their order, be it by who finds a death. */
#define oa_store(p, value)  __atomic_store_n(p, value, __ATOMIC_RELEASE)


#endif /* _OA_STREAM_INT_H_INCLUDED_ */
