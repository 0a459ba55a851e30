
/*
 * Feeds: what there is to remember of changes in the database.
 *
 * Sequences are not commit order, so what was missed is found by transaction
 * ids: the position of a feed is the xmin of a read, below which all
 * transactions had ended; the next read asks for every change whose
 * transaction was not below it.  A mark keeps the position in shared memory,
 * so that another worker goes on where this one ended.
 *
 * Hints are names of what may have changed, to be read together.
 *
 * Pure: struct in, verdict out; no request, no event loop, no database.
 */


#ifndef _OA_FEED_H_INCLUDED_
#define _OA_FEED_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define OA_FEED_IDENTITY  63
#define OA_FEED_HINTS     256
#define OA_FEED_NAME      63

/* Bytes of the longest oa_feed_hints_array(). */
#define OA_FEED_ARRAY     (OA_FEED_HINTS * (OA_FEED_NAME + 3) + 2)


/* All zero: nothing was read yet. */
typedef enum {
    OA_FEED_NEW = 0,
    OA_FEED_LIVE,            /* in step with the database */
    OA_FEED_STALE            /* was in step; it is not heard now */
} oa_feed_state_e;

typedef struct {
    oa_feed_state_e      state;
    uint32_t             turn;        /* counts workers that followed it */
    uint64_t             position;    /* of the last completed read; 0: none */
    u_char               identity[OA_FEED_IDENTITY + 1];
} oa_feed_mark_t;


/* What the database answers to a beat. */
typedef struct {
    uint64_t             position;
    uint64_t             floor;       /* changes up to it may be forgotten */
    u_char               identity[OA_FEED_IDENTITY + 1];
} oa_feed_beat_t;

/*
 * NGX_ERROR: a number is none of 63 bits, or the identity is longer than
 * OA_FEED_IDENTITY.
 */
ngx_int_t oa_feed_beat(oa_feed_beat_t *beat, const ngx_str_t *position,
    const ngx_str_t *floor, const ngx_str_t *identity);

/*
 * Is it not enough to read what has changed since the mark?  It has no
 * position, changes behind it are forgotten, or the feed is another one or
 * went back in time.
 */
ngx_uint_t oa_feed_is_gap(const oa_feed_mark_t *mark,
    const oa_feed_beat_t *beat);


typedef struct {
    u_char               len;
    u_char               data[OA_FEED_NAME];
} oa_feed_name_t;

typedef struct {
    ngx_uint_t           n;
    ngx_uint_t           overflow;    /* there were more */
    oa_feed_name_t       name[OA_FEED_HINTS];
} oa_feed_hints_t;

/*
 * Remembers a name, once, or that there were too many.  NGX_ERROR: it is
 * empty, over OA_FEED_NAME, or has other bytes than letters, digits, '-'
 * and '_'.
 */
ngx_int_t oa_feed_hint(oa_feed_hints_t *hints, const ngx_str_t *name);

/* Writes them as a text[] with a NUL behind, and forgets them. */
void oa_feed_hints_array(oa_feed_hints_t *hints, u_char *array);


#endif /* _OA_FEED_H_INCLUDED_ */
