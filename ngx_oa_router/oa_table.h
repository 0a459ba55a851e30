
/*
 * The route table: all routes of all oa_routes, in shared memory.
 *
 * Readers take no lock.  An index of 4-byte entries, found by the hash of the
 * label, names records of 128 bytes (256 and 1024 for long ones).  A record
 * carries a sequence number, odd while it is free or being written; a reader
 * copies the record and throws the copy away if the number changed.  A change
 * is a new record and one store into the index, so a writer that dies leaves
 * the old route or the new one, never half of one; only a removal moves
 * entries of the index, under a sequence number of its own.
 *
 * Writers hold a lock that the caller takes.  What a dead one left behind,
 * oa_table_repair() finds by reading all records.
 *
 * Pure: bytes of memory in, records out; no request, no event loop.
 */


#ifndef _OA_TABLE_H_INCLUDED_
#define _OA_TABLE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "oa_feed.h"
#include "oa_route.h"


#define OA_TABLES           15
#define OA_TABLE_SLOT       128
#define OA_TABLE_PAGE       4096

/* Unknown names that are remembered at most; the oldest goes first. */
#define OA_TABLE_NEGATIVES  8192


/* How far one table is to be trusted. */
typedef enum {
    OA_TABLE_INIT = 0,       /* nothing was read yet */
    OA_TABLE_COLD,           /* there was nothing to read but the source */
    OA_TABLE_SNAPSHOT,       /* what the snapshot had */
    OA_TABLE_LIVE,           /* in step with the source */
    OA_TABLE_STALE           /* was in step; the source is not heard now */
} oa_table_state_e;


/* What the zone holds about one oa_routes. */
typedef struct {
    u_char               name[32];
    oa_table_state_e     state;
    uint8_t              gen;         /* of the last whole read */
    uint32_t             count;       /* routes */
    uint64_t             changes;     /* since the zone is there */
    uint64_t             evicted;
    oa_feed_mark_t       feed;        /* of its changes */
    uint64_t             file_ino;    /* the file that was read last */
    uint64_t             file_size;
    uint64_t             file_mtime;  /* nanoseconds */
} oa_table_info_t;


typedef struct oa_table_shm_s  oa_table_shm_t;

/* A process's handle on the table. */
typedef struct {
    oa_table_shm_t      *shm;
    u_char              *pages;
    ngx_uint_t           npages;
    void              *(*new_page)(void *data);
    void                *data;
} oa_table_t;


/* What a reader gets: a copy. */
typedef struct {
    ngx_uint_t           negative;    /* known to be unknown */
    oa_route_head_t      head;
    u_char               packed[OA_ROUTE_PACKED_MAX];
} oa_table_copy_t;


/* Bytes of the table's own part in a zone with so many pages. */
size_t oa_table_size(ngx_uint_t npages);

/*
 * Makes a table of zeroed memory of that size.  seed is random and secret, so
 * that nobody can choose names that fall together.
 */
void oa_table_create(oa_table_t *t, void *part, uint64_t seed);

/* The entry of a name, made where it is new; NULL when all are taken. */
oa_table_info_t *oa_table_info(oa_table_t *t, const ngx_str_t *name,
    ngx_uint_t *id);

/* The hash of a label for all functions here. */
uint64_t oa_table_hash(oa_table_t *t, ngx_uint_t id, const u_char *label,
    size_t len);

/* Ask the memory for what oa_table_get() will read, one after the other. */
void oa_table_prefetch(oa_table_t *t, uint64_t hash);
void oa_table_prefetch_record(oa_table_t *t, uint64_t hash);

/*
 * Reads without a lock.  now is in milliseconds and marks the route as used.
 * A name known to be unknown for less than negative_ttl is NGX_OK with
 * copy->negative set.  NGX_DECLINED: nothing is known, or with copy->negative
 * set only that there was no such route longer ago than that.  NGX_AGAIN: a
 * writer does not come to an end, call again with the lock held.
 */
ngx_int_t oa_table_get(oa_table_t *t, ngx_uint_t id, uint64_t hash,
    const ngx_str_t *label, uint32_t now, uint32_t negative_ttl,
    oa_table_copy_t *copy);

/*
 * Remembers, without the lock, that somebody was refused a name at this time,
 * whether there is such a route or not; and tells whether that was less than
 * ttl ago.  Two names may share a place: the later one counts.
 */
void oa_table_refuse(oa_table_t *t, uint64_t hash, uint32_t now);
ngx_uint_t oa_table_is_refused(oa_table_t *t, uint64_t hash, uint32_t now,
    uint32_t ttl);

/*
 * All below are for the holder of the lock.
 *
 * Stores a route; gen is that of the read it comes from.  A version older
 * than what the same read brought already is not taken (NGX_DECLINED).  When
 * memory has run out, a route that was used long ago goes for one that is
 * wanted; one that is merely news is not stored (NGX_BUSY) unless it is there
 * already.  NGX_ERROR: there is no room at all.
 */
typedef enum {
    OA_TABLE_NEWS = 0,
    OA_TABLE_WANTED
} oa_table_put_e;

ngx_int_t oa_table_put(oa_table_t *t, ngx_uint_t id, const oa_route_t *route,
    uint8_t gen, uint32_t now, oa_table_put_e put);

/*
 * Stores that a name has no route.  version is that of its tombstone, or 0
 * where the source knows nothing, which is only taken where no route is.
 */
ngx_int_t oa_table_put_negative(oa_table_t *t, ngx_uint_t id,
    const ngx_str_t *label, uint64_t version, uint8_t gen, uint32_t now);

/* The version of what is known of a name, 0 if nothing is; this is no use. */
uint64_t oa_table_version(oa_table_t *t, ngx_uint_t id,
    const ngx_str_t *label);

/*
 * Removes the routes that the read gen did not bring, in so many pages from
 * the given one; returns the next page, or 0 at the end.
 */
ngx_uint_t oa_table_sweep(oa_table_t *t, ngx_uint_t id, uint8_t gen,
    ngx_uint_t page, ngx_uint_t n);

/* Rebuilds all that hangs together from the records alone. */
void oa_table_repair(oa_table_t *t);

/* Pages that the table has taken; and the slots that a route takes. */
ngx_uint_t oa_table_pages(oa_table_t *t);
ngx_uint_t oa_table_slots(size_t packed_size);


/*
 * Hands the routes of a page to a function, without the lock; those that
 * change meanwhile are handed over as they are before or after.  Returns
 * the next page, or 0 at the end.
 */
typedef void (*oa_table_each_pt)(void *data, const oa_route_t *route);

ngx_uint_t oa_table_each(oa_table_t *t, ngx_uint_t id, ngx_uint_t page,
    oa_table_each_pt each, void *data);


#endif /* _OA_TABLE_H_INCLUDED_ */
