
/*
 * The route table, for its own files only.
 */


#ifndef _OA_TABLE_INT_H_INCLUDED_
#define _OA_TABLE_INT_H_INCLUDED_


#include "oa_table.h"
#include "oa_host.h"


/*
 * An entry of the index: a bit that it is there, seven bits of the hash, and
 * the number of the record's first slot.
 */
#define OA_ENTRY_SET        0x80000000u
#define OA_ENTRY_SLOT       0x00ffffffu
#define OA_ENTRY_TAG(hash)  ((uint32_t) ((hash) >> 57) << 24)

#define OA_PAGE_SLOTS       (OA_TABLE_PAGE / OA_TABLE_SLOT)

/* So many pages can be named by 24 bits of slot number. */
#define OA_MAX_PAGES        ((OA_ENTRY_SLOT + 1) / OA_PAGE_SLOTS)


typedef enum {
    OA_RECORD_FREE = 0,
    OA_RECORD_ROUTE,
    OA_RECORD_NEGATIVE
} oa_record_kind_e;


typedef struct {
    uint32_t             seq;
    uint32_t             used;        /* ms; of a negative: when learnt */
    oa_route_head_t      head;
    uint8_t              id_kind;     /* table << 4 | kind */
    uint8_t              gen;
    u_char               packed[OA_TABLE_SLOT - 26];
} oa_record_t;

/* A reader may mark a record as used when it is free already: not there. */
#define oa_record_next(r)   (*(uint32_t *) ((u_char *) (r) + OA_RECORD_NEXT))
#define OA_RECORD_NEXT      32

#define oa_record_kind(r)   ((r)->id_kind & 0x0f)
#define oa_record_id(r)     ((ngx_uint_t) (r)->id_kind >> 4)

#define OA_RECORD_HEAD      offsetof(oa_record_t, packed)


/*
 * Milliseconds since then, up to 49 days.  Each process has its own idea of
 * now, so it may be a little before what another has written.
 */
#define OA_AGE_AHEAD        60000u
#define oa_age(now, then)                                                     \
    ((uint32_t) ((now) - (then)) > (uint32_t) -OA_AGE_AHEAD                   \
        ? 0 : (uint32_t) ((now) - (then)))


/* A power of two. */
#define OA_REFUSALS         4096


/* Records come in three sizes, a page holds one. */
#define OA_CLASSES          3

extern const ngx_uint_t  oa_class_slots[OA_CLASSES];


struct oa_table_shm_s {
    uint64_t             seed;        /* of the hashes */

    uint32_t             seq;         /* odd while entries move */
    uint32_t             mask;        /* of the index in use */
    uint32_t             max_mask;
    uint32_t             entries;
    uint32_t             hand;        /* page where to look for old ones */
    uint32_t             free[OA_CLASSES];  /* slot + 1 */
    uint32_t             nfree[OA_CLASSES];
    uint32_t             npages[OA_CLASSES];

    uint32_t             negative;    /* next place in the ring */
    uint32_t             negatives[OA_TABLE_NEGATIVES];

    uint64_t             refused[OA_REFUSALS];  /* hash, and when in ms */

    oa_table_info_t      tables[OA_TABLES];

    uint32_t             class_of;    /* where it begins, from shm */

    /*
     * An index of n entries stands from the n-th on, so that the next one, of
     * twice as many, can be made behind it while it is being read.
     */
    uint32_t             index[];
};

#define oa_table_index(shm, mask)  (&(shm)->index[(mask) + 1])


/* oa_table.c */

/* The entry of a label, or the empty one where it would stand. */
uint32_t *oa_table_find(oa_table_t *t, ngx_uint_t id, uint64_t hash,
    const ngx_str_t *label);

/* Takes a record out of the index, closing the gap, and frees it. */
void oa_table_remove(oa_table_t *t, oa_record_t *r);

/* oa_table_memory.c */

/* A record to be written, its sequence number odd; NULL if there is none. */
oa_record_t *oa_table_alloc(oa_table_t *t, size_t size, uint32_t now,
    oa_table_put_e put, uint32_t *slot);
void oa_table_free(oa_table_t *t, oa_record_t *r);


/* Sequence numbers: only their writer moves them, only with the lock held. */

static ngx_inline void
oa_seq_open(uint32_t *seq)
{
    __atomic_store_n(seq, *seq | 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}


static ngx_inline void
oa_seq_close(uint32_t *seq)
{
    __atomic_store_n(seq, (*seq | 1) + 1, __ATOMIC_RELEASE);
}


static ngx_inline oa_record_t *
oa_table_record(oa_table_t *t, uint32_t entry)
{
    return (oa_record_t *)
               (t->pages + (size_t) (entry & OA_ENTRY_SLOT) * OA_TABLE_SLOT);
}


static ngx_inline uint32_t
oa_table_slot(oa_table_t *t, const oa_record_t *r)
{
    return (uint32_t) (((const u_char *) r - t->pages) / OA_TABLE_SLOT);
}


/* The size of a page's records: 0 where it is not ours, or class + 1. */

static ngx_inline u_char *
oa_table_class_of(oa_table_t *t, ngx_uint_t page)
{
    return (u_char *) t->shm + t->shm->class_of + page;
}


static ngx_inline ngx_uint_t
oa_record_is(const oa_record_t *r, ngx_uint_t id, const ngx_str_t *label)
{
    return oa_record_id(r) == id
           && r->head.label_len == label->len
           && ngx_memcmp(r->packed, label->data, label->len) == 0;
}


#endif /* _OA_TABLE_INT_H_INCLUDED_ */
