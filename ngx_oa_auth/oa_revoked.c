
/*
 * Revoked sessions and users: readers without a lock, one writer at a time.
 */


#include "oa_revoked.h"
#include "oa_siphash.h"


#define OA_REVOKED_PAGE       4096
#define OA_REVOKED_MIN_PAGES  4

#define OA_REVOKED_ROW        8

/* Entries of so many rows are swept with the lock held: 64 kB. */
#define OA_REVOKED_SWEEP      256


typedef struct {
    uint32_t             seq;         /* odd while the id changes */
    uint32_t             gen;
    int64_t              until;       /* unix seconds */
    uint64_t             id[2];
} oa_revoked_entry_t;


/* No tag: the entry is free. */

typedef struct {
    uint16_t             tag[OA_REVOKED_ROW];
} oa_revoked_tags_t;


struct oa_revoked_s {
    uint64_t             key[2];      /* of the hash */
    int64_t              last;        /* nothing holds for longer */
    int64_t              brought;     /* the same, of this gen */
    uint32_t             gen;
    uint32_t             rows;

    /* of each row the tags, and behind them the entries */
    oa_revoked_tags_t    tags[] __attribute__((aligned(64)));
};


/* Where an id may stand. */

typedef struct {
    uint64_t             id[2];
    uint32_t             row[2];
    uint16_t             tag;
} oa_revoked_key_t;


static oa_revoked_entry_t *oa_revoked_find(oa_revoked_t *set,
    const oa_revoked_key_t *key, uint16_t **tag);
static oa_revoked_entry_t *oa_revoked_place(oa_revoked_t *set,
    const oa_revoked_key_t *key, time_t now, uint16_t **tag);
static void oa_revoked_take_out(oa_revoked_entry_t *e, uint16_t *tag);


static ngx_inline oa_revoked_entry_t *
oa_revoked_row(oa_revoked_t *set, uint32_t row)
{
    oa_revoked_entry_t  *entries;

    entries = (oa_revoked_entry_t *) &set->tags[set->rows];

    return &entries[(size_t) row * OA_REVOKED_ROW];
}


static ngx_inline void
oa_revoked_key(oa_revoked_t *set, const u_char *id, oa_revoked_key_t *key)
{
    uint64_t  hash;

    ngx_memcpy(key->id, id, sizeof(key->id));

    hash = oa_siphash(set->key, key->id, 2);

    key->row[0] = oa_hash_below((uint32_t) hash, set->rows);
    key->row[1] = oa_hash_below(hash >> 32, set->rows);
    key->tag = (uint16_t) hash | 1;
}


/* Until when an entry is in force: 0 where it is free. */

static ngx_inline int64_t
oa_revoked_left(const oa_revoked_entry_t *e, uint16_t tag, time_t now)
{
    return (tag && (e->seq & 1) == 0 && e->until > now) ? e->until : 0;
}


size_t
oa_revoked_size(ngx_uint_t npages)
{
    return ngx_max(npages / 16, OA_REVOKED_MIN_PAGES) * OA_REVOKED_PAGE;
}


void
oa_revoked_create(void *part, size_t size, const u_char *seed)
{
    oa_revoked_t *set = part;

    size -= sizeof(oa_revoked_t);

    ngx_memcpy(set->key, seed, sizeof(set->key));

    /* four rows of tags fill a line: no entry lies in two of them */

    set->rows = size / (sizeof(oa_revoked_tags_t)
                        + OA_REVOKED_ROW * sizeof(oa_revoked_entry_t));
    set->rows -= set->rows % 4;
}


ngx_uint_t
oa_revoked_has(oa_revoked_t *set, const u_char *id, time_t now)
{
    int64_t              until;
    uint32_t             seq;
    ngx_uint_t           i, n, same;
    oa_revoked_key_t     key;
    oa_revoked_tags_t   *tags;
    oa_revoked_entry_t  *e;

    if (now >= __atomic_load_n(&set->last, __ATOMIC_RELAXED)) {
        return 0;
    }

    oa_revoked_key(set, id, &key);

    for (i = 0; i < 2; i++) {
        tags = &set->tags[key.row[i]];

        for (n = 0; n < OA_REVOKED_ROW; n++) {

            if (__atomic_load_n(&tags->tag[n], __ATOMIC_RELAXED) != key.tag) {
                continue;
            }

            e = &oa_revoked_row(set, key.row[i])[n];
            seq = __atomic_load_n(&e->seq, __ATOMIC_ACQUIRE);

            same = __atomic_load_n(&e->id[0], __ATOMIC_RELAXED) == key.id[0]
                   && __atomic_load_n(&e->id[1], __ATOMIC_RELAXED)
                      == key.id[1];
            until = __atomic_load_n(&e->until, __ATOMIC_RELAXED);

            __atomic_thread_fence(__ATOMIC_ACQUIRE);

            /* one that changes is neither the old one nor yet the new one */

            if (same
                && until > now
                && (seq & 1) == 0
                && __atomic_load_n(&e->seq, __ATOMIC_RELAXED) == seq)
            {
                return 1;
            }
        }
    }

    return 0;
}


ngx_int_t
oa_revoked_put(oa_revoked_t *set, const u_char *id, time_t until, time_t now)
{
    uint16_t            *tag;
    ngx_int_t            rc;
    oa_revoked_key_t     key;
    oa_revoked_entry_t  *e;

    oa_revoked_key(set, id, &key);

    e = oa_revoked_find(set, &key, &tag);

    if (until <= now) {
        if (e) {
            oa_revoked_take_out(e, tag);
        }

        return NGX_OK;
    }

    /* before the entry: readers look here first */

    set->brought = ngx_max(set->brought, until);

    if (until > set->last) {
        __atomic_store_n(&set->last, until, __ATOMIC_RELEASE);
    }

    if (e) {
        e->gen = set->gen;
        __atomic_store_n(&e->until, until, __ATOMIC_RELEASE);

        return NGX_OK;
    }

    e = oa_revoked_place(set, &key, now, &tag);

    rc = oa_revoked_left(e, *tag, now) ? NGX_BUSY : NGX_OK;

    __atomic_store_n(&e->seq, e->seq | 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);

    __atomic_store_n(tag, key.tag, __ATOMIC_RELAXED);
    __atomic_store_n(&e->id[0], key.id[0], __ATOMIC_RELAXED);
    __atomic_store_n(&e->id[1], key.id[1], __ATOMIC_RELAXED);
    __atomic_store_n(&e->until, until, __ATOMIC_RELAXED);
    e->gen = set->gen;

    __atomic_store_n(&e->seq, e->seq + 1, __ATOMIC_RELEASE);

    return rc;
}


static oa_revoked_entry_t *
oa_revoked_find(oa_revoked_t *set, const oa_revoked_key_t *key, uint16_t **tag)
{
    ngx_uint_t           i, n;
    oa_revoked_entry_t  *e;

    for (i = 0; i < 2; i++) {
        e = oa_revoked_row(set, key->row[i]);
        *tag = set->tags[key->row[i]].tag;

        for (n = 0; n < OA_REVOKED_ROW; n++, e++, (*tag)++) {

            if (**tag == key->tag
                && (e->seq & 1) == 0
                && e->id[0] == key->id[0]
                && e->id[1] == key->id[1])
            {
                return e;
            }
        }
    }

    return NULL;
}


/*
 * The place for a new id: a free one, in the row that has more of them, which
 * lets both fill up evenly; or else that of the entry with the least time.
 */

static oa_revoked_entry_t *
oa_revoked_place(oa_revoked_t *set, const oa_revoked_key_t *key, time_t now,
    uint16_t **tag)
{
    int64_t              left, least, row_least;
    uint16_t            *tags;
    ngx_uint_t           i, n, first, nfree, most;
    oa_revoked_entry_t  *entries, *e;

    e = NULL;
    most = 0;
    least = 0;

    for (i = 0; i < 2; i++) {
        entries = oa_revoked_row(set, key->row[i]);
        tags = set->tags[key->row[i]].tag;

        nfree = 0;
        first = 0;
        row_least = oa_revoked_left(&entries[0], tags[0], now);

        for (n = 0; n < OA_REVOKED_ROW; n++) {
            left = oa_revoked_left(&entries[n], tags[n], now);
            nfree += (left == 0);

            if (left < row_least) {
                row_least = left;
                first = n;
            }
        }

        if (e == NULL
            || nfree > most
            || (nfree == most && row_least < least))
        {
            e = &entries[first];
            *tag = &tags[first];
            most = nfree;
            least = row_least;
        }
    }

    return e;
}


static void
oa_revoked_take_out(oa_revoked_entry_t *e, uint16_t *tag)
{
    __atomic_store_n(&e->until, 0, __ATOMIC_RELEASE);
    __atomic_store_n(tag, 0, __ATOMIC_RELEASE);
}


uint32_t
oa_revoked_begin(oa_revoked_t *set)
{
    /* in this order: a sweep that goes on must not take 0 for the last */

    __atomic_store_n(&set->gen, set->gen + 1, __ATOMIC_RELEASE);
    __atomic_store_n(&set->brought, 0, __ATOMIC_RELEASE);

    return set->gen;
}


ngx_uint_t
oa_revoked_sweep(oa_revoked_t *set, uint32_t gen, ngx_uint_t row)
{
    uint16_t            *tags;
    ngx_uint_t           n, end;
    oa_revoked_entry_t  *entries;

    if (gen != set->gen) {
        return 0;
    }

    end = ngx_min(row + OA_REVOKED_SWEEP, set->rows);

    for ( /* void */ ; row < end; row++) {
        entries = oa_revoked_row(set, row);
        tags = set->tags[row].tag;

        for (n = 0; n < OA_REVOKED_ROW; n++) {
            if (tags[n] && entries[n].gen != gen) {
                oa_revoked_take_out(&entries[n], &tags[n]);
            }
        }
    }

    if (row < set->rows) {
        return row;
    }

    /* what is left was brought */

    __atomic_store_n(&set->last, set->brought, __ATOMIC_RELEASE);

    return 0;
}


void
oa_revoked_stat(oa_revoked_t *set, ngx_uint_t *used, ngx_uint_t *size)
{
    ngx_uint_t  i, n;

    *size = (ngx_uint_t) set->rows * OA_REVOKED_ROW;
    *used = 0;

    for (i = 0; i < set->rows; i++) {
        for (n = 0; n < OA_REVOKED_ROW; n++) {
            *used += __atomic_load_n(&set->tags[i].tag[n], __ATOMIC_RELAXED)
                     != 0;
        }
    }
}
