
/*
 * The route table's memory: records in pages, what goes when it has run out,
 * and what a dead writer left behind.
 */


#include "oa_table_int.h"


/*
 * Records that news leaves free, for changes of what is there: each change
 * takes one before it gives one back.
 */
#define OA_RESERVE      32

/* So many are looked at for a record to give up. */
#define OA_EVICT_PAGES  8


static ngx_int_t oa_table_add_page(oa_table_t *t, ngx_uint_t class);
static void oa_table_page_to_class(oa_table_t *t, ngx_uint_t page,
    ngx_uint_t class);
static ngx_int_t oa_table_evict(oa_table_t *t, ngx_uint_t class, uint32_t now);
static ngx_int_t oa_table_reclaim(oa_table_t *t, ngx_uint_t class);
static void oa_table_repair_record(oa_table_t *t, oa_record_t *r);


const ngx_uint_t  oa_class_slots[OA_CLASSES] = { 1, 2, 8 };


oa_record_t *
oa_table_alloc(oa_table_t *t, size_t size, uint32_t now, oa_table_put_e put,
    uint32_t *slot)
{
    ngx_uint_t       class;
    oa_record_t     *r;
    oa_table_shm_t  *shm;

    shm = t->shm;

    for (class = 0; size > oa_class_slots[class] * OA_TABLE_SLOT; class++) {
        if (class == OA_CLASSES - 1) {
            return NULL;
        }
    }

    if (shm->nfree[class] <= (put == OA_TABLE_NEWS ? OA_RESERVE : 0)
        && oa_table_add_page(t, class) != NGX_OK)
    {
        if (put == OA_TABLE_NEWS) {
            return NULL;
        }

        if (shm->nfree[class] == 0
            && oa_table_evict(t, class, now) != NGX_OK
            && oa_table_reclaim(t, class) != NGX_OK)
        {
            return NULL;
        }
    }

    *slot = shm->free[class] - 1;
    r = oa_table_record(t, *slot);
    shm->free[class] = oa_record_next(r);
    shm->nfree[class]--;

    return r;
}


void
oa_table_free(oa_table_t *t, oa_record_t *r)
{
    uint32_t    slot;
    ngx_uint_t  class;

    slot = oa_table_slot(t, r);
    class = *oa_table_class_of(t, slot / OA_PAGE_SLOTS) - 1;

    oa_seq_open(&r->seq);
    r->id_kind = OA_RECORD_FREE;
    oa_record_next(r) = t->shm->free[class];
    t->shm->free[class] = slot + 1;
    t->shm->nfree[class]++;
}


static ngx_int_t
oa_table_add_page(oa_table_t *t, ngx_uint_t class)
{
    u_char  *p;

    p = t->new_page(t->data);

    if (p == NULL) {
        return NGX_DECLINED;
    }

    oa_table_page_to_class(t, (p - t->pages) / OA_TABLE_PAGE, class);

    return NGX_OK;
}


static void
oa_table_page_to_class(oa_table_t *t, ngx_uint_t page, ngx_uint_t class)
{
    ngx_uint_t    i;
    oa_record_t  *r;

    for (i = 0; i < OA_PAGE_SLOTS; i += oa_class_slots[class]) {
        r = oa_table_record(t, page * OA_PAGE_SLOTS + i);

        oa_seq_open(&r->seq);
        r->id_kind = OA_RECORD_FREE;
        oa_record_next(r) = t->shm->free[class];
        t->shm->free[class] = page * OA_PAGE_SLOTS + i + 1;
        t->shm->nfree[class]++;
    }

    *oa_table_class_of(t, page) = class + 1;
    t->shm->npages[class]++;
}


/*
 * Of the next few pages of the class the record goes that was used the longest
 * ago: a route in use goes only if all of their records are in use.
 */

static ngx_int_t
oa_table_evict(oa_table_t *t, ngx_uint_t class, uint32_t now)
{
    ngx_uint_t       i, n;
    oa_record_t     *r, *oldest;
    oa_table_shm_t  *shm;

    shm = t->shm;

    if (shm->npages[class] == 0) {
        return NGX_DECLINED;
    }

    oldest = NULL;

    for (n = 0; n < OA_EVICT_PAGES; n++) {

        do {
            shm->hand = (shm->hand + 1) % t->npages;
        } while (*oa_table_class_of(t, shm->hand) != class + 1);

        for (i = 0; i < OA_PAGE_SLOTS; i += oa_class_slots[class]) {
            r = oa_table_record(t, shm->hand * OA_PAGE_SLOTS + i);

            if ((r->seq & 1) == 0
                && (oldest == NULL
                    || oa_age(now, r->used) > oa_age(now, oldest->used)))
            {
                oldest = r;
            }
        }
    }

    if (oldest == NULL) {
        return NGX_DECLINED;
    }

    if (oa_record_kind(oldest) == OA_RECORD_ROUTE) {
        shm->tables[oa_record_id(oldest)].evicted++;
    }

    oa_table_remove(t, oldest);

    return NGX_OK;
}


/* A page of another class is emptied for this one. */

static ngx_int_t
oa_table_reclaim(oa_table_t *t, ngx_uint_t class)
{
    uint32_t         slot, next;
    ngx_uint_t       i, n, other;
    oa_record_t     *r;
    oa_table_shm_t  *shm;

    shm = t->shm;
    other = 0;

    for (n = 0; n < t->npages; n++) {
        shm->hand = (shm->hand + 1) % t->npages;
        other = *oa_table_class_of(t, shm->hand);

        if (other && other != class + 1) {
            break;
        }
    }

    if (n == t->npages) {
        return NGX_DECLINED;
    }

    other--;

    for (i = 0; i < OA_PAGE_SLOTS; i += oa_class_slots[other]) {
        r = oa_table_record(t, shm->hand * OA_PAGE_SLOTS + i);

        if ((r->seq & 1) == 0) {

            if (oa_record_kind(r) == OA_RECORD_ROUTE) {
                shm->tables[oa_record_id(r)].evicted++;
            }

            oa_table_remove(t, r);
        }
    }

    /* its records leave the list of those that are free */

    slot = shm->free[other];
    shm->free[other] = 0;

    for ( /* void */ ; slot; slot = next) {
        r = oa_table_record(t, slot - 1);
        next = oa_record_next(r);

        if ((slot - 1) / OA_PAGE_SLOTS == shm->hand) {
            shm->nfree[other]--;

        } else {
            oa_record_next(r) = shm->free[other];
            shm->free[other] = slot;
        }
    }

    shm->npages[other]--;
    oa_table_page_to_class(t, shm->hand, class);

    return NGX_OK;
}


ngx_uint_t
oa_table_pages(oa_table_t *t)
{
    ngx_uint_t  class, n;

    n = 0;

    for (class = 0; class < OA_CLASSES; class++) {
        n += t->shm->npages[class];
    }

    return n;
}


ngx_uint_t
oa_table_slots(size_t packed_size)
{
    ngx_uint_t  class;

    for (class = 0; class < OA_CLASSES - 1; class++) {
        if (OA_RECORD_HEAD + packed_size
            <= oa_class_slots[class] * OA_TABLE_SLOT)
        {
            break;
        }
    }

    return oa_class_slots[class];
}


void
oa_table_repair(oa_table_t *t)
{
    ngx_uint_t       i, page, class;
    oa_record_t     *r;
    oa_table_shm_t  *shm;

    shm = t->shm;

    oa_seq_open(&shm->seq);

    ngx_memzero(oa_table_index(shm, shm->mask),
                ((size_t) shm->mask + 1) * sizeof(uint32_t));
    shm->entries = 0;
    ngx_memzero(shm->free, sizeof(shm->free));
    ngx_memzero(shm->nfree, sizeof(shm->nfree));
    ngx_memzero(shm->npages, sizeof(shm->npages));

    for (i = 0; i < OA_TABLES; i++) {
        shm->tables[i].count = 0;
    }

    for (page = 0; page < t->npages; page++) {
        class = *oa_table_class_of(t, page);

        if (class == 0) {
            continue;
        }

        shm->npages[class - 1]++;

        for (i = 0; i < OA_PAGE_SLOTS; i += oa_class_slots[class - 1]) {
            r = oa_table_record(t, page * OA_PAGE_SLOTS + i);

            if ((r->seq & 1) || oa_record_kind(r) == OA_RECORD_FREE) {
                oa_table_free(t, r);

            } else {
                oa_table_repair_record(t, r);
            }
        }
    }

    oa_seq_close(&shm->seq);
}


/* Of a route that was being replaced both records are there: one stays. */

static void
oa_table_repair_record(oa_table_t *t, oa_record_t *r)
{
    uint32_t         *entry;
    uint64_t          hash;
    ngx_str_t         label;
    oa_record_t      *other;
    oa_table_info_t  *info;

    label.len = r->head.label_len;
    label.data = r->packed;

    hash = oa_table_hash(t, oa_record_id(r), label.data, label.len);
    entry = oa_table_find(t, oa_record_id(r), hash, &label);
    info = &t->shm->tables[oa_record_id(r)];

    if (*entry) {
        other = oa_table_record(t, *entry);

        if (other->head.version > r->head.version) {
            oa_table_free(t, r);
            return;
        }

        if (oa_record_kind(other) == OA_RECORD_ROUTE) {
            info->count--;
        }

        oa_table_free(t, other);

    } else {
        t->shm->entries++;
    }

    *entry = OA_ENTRY_SET | OA_ENTRY_TAG(hash) | oa_table_slot(t, r);

    if (oa_record_kind(r) == OA_RECORD_ROUTE) {
        info->count++;
    }
}
