
/*
 * The route table: readers without a lock, one writer at a time.
 */


#include "oa_table_int.h"


/* A small index stays in the caches, so it grows with what is in it. */
#define OA_INDEX_MIN   1024

#define OA_READ_TRIES  256

/* Marking a route as used at every read would make its line travel. */
#define OA_USED_GRAIN  50    /* ms */


static uint32_t oa_table_index_size(ngx_uint_t npages);
static void oa_table_grow(oa_table_t *t);
static ngx_int_t oa_table_store(oa_table_t *t, ngx_uint_t id,
    oa_record_kind_e kind, const oa_route_t *route, uint8_t gen, uint32_t now,
    oa_table_put_e put);


size_t
oa_table_size(ngx_uint_t npages)
{
    return sizeof(oa_table_shm_t)
           + 2 * oa_table_index_size(npages) * sizeof(uint32_t)
           + npages;
}


/* At the most: even with nothing but short records it stays below 5/6. */

static uint32_t
oa_table_index_size(ngx_uint_t npages)
{
    uint32_t    size;
    ngx_uint_t  slots;

    slots = ngx_min(npages, OA_MAX_PAGES) * OA_PAGE_SLOTS;

    for (size = OA_INDEX_MIN; size < slots + slots / 5; size *= 2) { /* void */ }

    return size;
}


void
oa_table_create(oa_table_t *t, void *part, uint64_t seed)
{
    uint32_t         size;
    oa_table_shm_t  *shm;

    size = oa_table_index_size(t->npages);

    shm = part;
    shm->seed = seed;
    shm->mask = OA_INDEX_MIN - 1;
    shm->max_mask = size - 1;
    shm->class_of = offsetof(oa_table_shm_t, index)
                    + 2 * size * sizeof(uint32_t);

    t->shm = shm;
}


uint64_t
oa_table_hash(oa_table_t *t, ngx_uint_t id, const u_char *label, size_t len)
{
    return oa_label_hash(label, len, t->shm->seed + id);
}


oa_table_info_t *
oa_table_info(oa_table_t *t, const ngx_str_t *name, ngx_uint_t *id)
{
    ngx_uint_t        i;
    oa_table_info_t  *info;

    for (i = 0; i < OA_TABLES; i++) {
        info = &t->shm->tables[i];

        if (info->name[0] == '\0') {
            ngx_memcpy(info->name, name->data, name->len);
            info->name[name->len] = '\0';
            *id = i;
            return info;
        }

        if (ngx_strncmp(info->name, name->data, name->len) == 0
            && info->name[name->len] == '\0')
        {
            *id = i;
            return info;
        }
    }

    return NULL;
}


void
oa_table_prefetch(oa_table_t *t, uint64_t hash)
{
    uint32_t  mask;

    mask = t->shm->mask;

    __builtin_prefetch(&oa_table_index(t->shm, mask)[hash & mask]);
}


void
oa_table_prefetch_record(oa_table_t *t, uint64_t hash)
{
    u_char    *p;
    uint32_t   mask, entry;

    mask = t->shm->mask;
    entry = oa_table_index(t->shm, mask)[hash & mask];

    if (entry) {
        p = (u_char *) oa_table_record(t, entry);
        __builtin_prefetch(p);
        __builtin_prefetch(p + 64);
    }
}


ngx_int_t
oa_table_get(oa_table_t *t, ngx_uint_t id, uint64_t hash,
    const ngx_str_t *label, uint32_t now, uint32_t negative_ttl,
    oa_table_copy_t *copy)
{
    size_t           size;
    uint32_t         i, mask, *index, entry, tag, seq, moves, used;
    ngx_uint_t       tries, kind;
    oa_record_t     *r;
    oa_table_shm_t  *shm;

    shm = t->shm;
    tag = OA_ENTRY_SET | OA_ENTRY_TAG(hash);
    copy->negative = 0;

    for (tries = 0; tries < OA_READ_TRIES; tries++) {

        moves = __atomic_load_n(&shm->seq, __ATOMIC_ACQUIRE);

        mask = __atomic_load_n(&shm->mask, __ATOMIC_ACQUIRE);
        index = oa_table_index(shm, mask);

        for (i = hash & mask; /* void */ ; i = (i + 1) & mask) {

            entry = __atomic_load_n(&index[i], __ATOMIC_ACQUIRE);

            if (entry == 0) {
                break;
            }

            if ((entry & ~OA_ENTRY_SLOT) != tag) {
                continue;
            }

            r = oa_table_record(t, entry);
            seq = __atomic_load_n(&r->seq, __ATOMIC_ACQUIRE);

            /* an entry never names a free record: it was replaced */

            if (seq & 1) {
                break;
            }

            if (!oa_record_is(r, id, label)) {

                if (__atomic_load_n(&index[i], __ATOMIC_ACQUIRE) == entry) {
                    continue;
                }

                break;
            }

            kind = oa_record_kind(r);
            used = r->used;
            copy->head = r->head;
            size = oa_route_packed_size(&copy->head);

            /* what was read while it changed may be any number */

            if (size > OA_ROUTE_PACKED_MAX
                || size > (size_t) (t->pages + t->npages * OA_TABLE_PAGE
                                    - r->packed))
            {
                break;
            }

            ngx_memcpy(copy->packed, r->packed, size);

            __atomic_thread_fence(__ATOMIC_ACQUIRE);

            if (__atomic_load_n(&r->seq, __ATOMIC_RELAXED) != seq) {
                break;
            }

            if (kind == OA_RECORD_NEGATIVE) {
                copy->negative = 1;
                return oa_age(now, used) < negative_ttl
                       ? NGX_OK : NGX_DECLINED;
            }

            if (oa_age(now, used) > OA_USED_GRAIN) {
                __atomic_store_n(&r->used, now, __ATOMIC_RELAXED);
            }

            return NGX_OK;
        }

        __atomic_thread_fence(__ATOMIC_ACQUIRE);

        if (entry == 0
            && (moves & 1) == 0
            && __atomic_load_n(&shm->seq, __ATOMIC_RELAXED) == moves
            && __atomic_load_n(&shm->mask, __ATOMIC_RELAXED) == mask)
        {
            return NGX_DECLINED;
        }

        ngx_cpu_pause();
    }

    return NGX_AGAIN;
}


uint32_t *
oa_table_find(oa_table_t *t, ngx_uint_t id, uint64_t hash,
    const ngx_str_t *label)
{
    uint32_t  i, mask, *index, tag;

    mask = t->shm->mask;
    index = oa_table_index(t->shm, mask);
    tag = OA_ENTRY_SET | OA_ENTRY_TAG(hash);

    for (i = hash & mask; index[i]; i = (i + 1) & mask) {

        if ((index[i] & ~OA_ENTRY_SLOT) == tag
            && oa_record_is(oa_table_record(t, index[i]), id, label))
        {
            break;
        }
    }

    return &index[i];
}


uint64_t
oa_table_version(oa_table_t *t, ngx_uint_t id, const ngx_str_t *label)
{
    uint32_t  entry;

    entry = *oa_table_find(t, id, oa_table_hash(t, id, label->data, label->len),
                           label);

    return entry ? oa_table_record(t, entry)->head.version : 0;
}


void
oa_table_refuse(oa_table_t *t, uint64_t hash, uint32_t now)
{
    __atomic_store_n(&t->shm->refused[hash % OA_REFUSALS],
                     (hash & 0xffffffff00000000) | now, __ATOMIC_RELAXED);
}


ngx_uint_t
oa_table_is_refused(oa_table_t *t, uint64_t hash, uint32_t now, uint32_t ttl)
{
    uint64_t  refused;

    refused = __atomic_load_n(&t->shm->refused[hash % OA_REFUSALS],
                              __ATOMIC_RELAXED);

    return (refused >> 32) == (hash >> 32)
           && oa_age(now, (uint32_t) refused) < ttl;
}


ngx_int_t
oa_table_put(oa_table_t *t, ngx_uint_t id, const oa_route_t *route,
    uint8_t gen, uint32_t now, oa_table_put_e put)
{
    return oa_table_store(t, id, OA_RECORD_ROUTE, route, gen, now, put);
}


ngx_int_t
oa_table_put_negative(oa_table_t *t, ngx_uint_t id, const ngx_str_t *label,
    uint64_t version, uint8_t gen, uint32_t now)
{
    uint32_t         slot, entry;
    uint64_t         hash;
    ngx_int_t        rc;
    oa_route_t       route;
    oa_record_t     *r;
    oa_table_shm_t  *shm;

    shm = t->shm;
    hash = oa_table_hash(t, id, label->data, label->len);
    entry = *oa_table_find(t, id, hash, label);

    if (version == 0
        && entry
        && oa_record_kind(oa_table_record(t, entry)) == OA_RECORD_ROUTE)
    {
        return NGX_DECLINED;
    }

    /* unknown names cost no routes: the oldest of them makes room */

    slot = shm->negatives[shm->negative];

    if (slot) {
        r = oa_table_record(t, slot - 1);

        if ((r->seq & 1) == 0 && oa_record_kind(r) == OA_RECORD_NEGATIVE) {
            oa_table_remove(t, r);
        }

        shm->negatives[shm->negative] = 0;
    }

    ngx_memzero(&route, sizeof(oa_route_t));
    route.subdomain = *label;
    route.version = version;

    rc = oa_table_store(t, id, OA_RECORD_NEGATIVE, &route, gen, now,
                        OA_TABLE_WANTED);
    if (rc != NGX_OK) {
        return rc;
    }

    entry = *oa_table_find(t, id, hash, label);

    shm->negatives[shm->negative] = (entry & OA_ENTRY_SLOT) + 1;
    shm->negative = (shm->negative + 1) % OA_TABLE_NEGATIVES;

    return NGX_OK;
}


static ngx_int_t
oa_table_store(oa_table_t *t, ngx_uint_t id, oa_record_kind_e kind,
    const oa_route_t *route, uint8_t gen, uint32_t now, oa_table_put_e put)
{
    size_t            size;
    uint32_t          slot, *entry;
    uint64_t          hash;
    oa_record_t      *r, *old;
    oa_route_head_t   head;
    oa_table_info_t  *info;

    ngx_memzero(&head, sizeof(oa_route_head_t));

    size = oa_route_pack_size(route, &head);

    if (t->shm->entries > t->shm->mask / 4 * 3
        && t->shm->mask < t->shm->max_mask)
    {
        oa_table_grow(t);
    }

    hash = oa_table_hash(t, id, route->subdomain.data, route->subdomain.len);
    entry = oa_table_find(t, id, hash, &route->subdomain);

    if (*entry) {
        old = oa_table_record(t, *entry);

        if (old->gen == gen && route->version < old->head.version) {
            return NGX_DECLINED;
        }
    }

    /* news of a route that is there takes the room of what it was */

    if (*entry) {
        put = OA_TABLE_WANTED;
    }

    r = oa_table_alloc(t, OA_RECORD_HEAD + size, now, put, &slot);
    if (r == NULL) {
        return put == OA_TABLE_NEWS ? NGX_BUSY : NGX_ERROR;
    }

    r->head = head;
    r->used = now;
    r->id_kind = id << 4 | kind;
    r->gen = gen;
    oa_route_pack(route, &head, r->packed);

    info = &t->shm->tables[id];

    /* to make room may have moved the entry, or driven out the record */

    entry = oa_table_find(t, id, hash, &route->subdomain);
    old = *entry ? oa_table_record(t, *entry) : NULL;

    if (old
        && oa_record_kind(old) == kind
        && ngx_memcmp(&old->head, &head, sizeof(oa_route_head_t)) == 0
        && ngx_memcmp(old->packed, r->packed, size) == 0)
    {
        old->gen = gen;

        if (kind == OA_RECORD_NEGATIVE) {
            old->used = now;
        }

        oa_table_free(t, r);

        return NGX_OK;
    }

    /* to change is not to be used */

    if (old && kind == OA_RECORD_ROUTE
        && oa_record_kind(old) == OA_RECORD_ROUTE)
    {
        r->used = old->used;
    }

    oa_seq_close(&r->seq);

    __atomic_store_n(entry, OA_ENTRY_SET | OA_ENTRY_TAG(hash) | slot,
                     __ATOMIC_RELEASE);

    if (kind == OA_RECORD_ROUTE) {
        info->count++;
    }

    if (old == NULL) {
        t->shm->entries++;

    } else {
        if (oa_record_kind(old) == OA_RECORD_ROUTE) {
            info->count--;
        }

        oa_table_free(t, old);
    }

    if (kind == OA_RECORD_ROUTE || old) {
        info->changes++;
    }

    return NGX_OK;
}


/* Readers go on in the old index until the new one is complete. */

static void
oa_table_grow(oa_table_t *t)
{
    uint32_t         i, k, mask, *from, *to;
    uint64_t         hash;
    oa_record_t     *r;
    oa_table_shm_t  *shm;

    shm = t->shm;
    mask = shm->mask * 2 + 1;
    from = oa_table_index(shm, shm->mask);
    to = oa_table_index(shm, mask);

    ngx_memzero(to, ((size_t) mask + 1) * sizeof(uint32_t));

    for (i = 0; i <= shm->mask; i++) {

        if (from[i] == 0) {
            continue;
        }

        r = oa_table_record(t, from[i]);
        hash = oa_table_hash(t, oa_record_id(r), r->packed, r->head.label_len);

        for (k = hash & mask; to[k]; k = (k + 1) & mask) { /* void */ }

        to[k] = from[i];
    }

    __atomic_store_n(&shm->mask, mask, __ATOMIC_RELEASE);
}


void
oa_table_remove(oa_table_t *t, oa_record_t *r)
{
    uint32_t         i, j, home, mask, *index, slot;
    oa_record_t     *other;
    oa_table_shm_t  *shm;

    shm = t->shm;
    mask = shm->mask;
    index = oa_table_index(shm, mask);
    slot = oa_table_slot(t, r);

    i = oa_table_hash(t, oa_record_id(r), r->packed, r->head.label_len) & mask;

    while ((index[i] & OA_ENTRY_SLOT) != slot || index[i] == 0) {

        if (index[i] == 0) {
            /* not in the index at all */
            oa_table_free(t, r);
            return;
        }

        i = (i + 1) & mask;
    }

    oa_seq_open(&shm->seq);

    for (j = (i + 1) & mask; index[j]; j = (j + 1) & mask) {
        other = oa_table_record(t, index[j]);
        home = oa_table_hash(t, oa_record_id(other), other->packed,
                             other->head.label_len) & mask;

        if (((j - home) & mask) >= ((j - i) & mask)) {
            __atomic_store_n(&index[i], index[j], __ATOMIC_RELEASE);
            i = j;
        }
    }

    __atomic_store_n(&index[i], 0, __ATOMIC_RELEASE);

    oa_seq_close(&shm->seq);

    shm->entries--;

    if (oa_record_kind(r) == OA_RECORD_ROUTE) {
        shm->tables[oa_record_id(r)].count--;
        shm->tables[oa_record_id(r)].changes++;
    }

    oa_table_free(t, r);
}


ngx_uint_t
oa_table_sweep(oa_table_t *t, ngx_uint_t id, uint8_t gen, ngx_uint_t page,
    ngx_uint_t n)
{
    ngx_uint_t    i, class;
    oa_record_t  *r;

    for ( /* void */ ; n && page < t->npages; page++) {
        class = *oa_table_class_of(t, page);

        if (class == 0) {
            continue;
        }

        n--;

        for (i = 0; i < OA_PAGE_SLOTS; i += oa_class_slots[class - 1]) {
            r = oa_table_record(t, page * OA_PAGE_SLOTS + i);

            if ((r->seq & 1) == 0
                && oa_record_kind(r) == OA_RECORD_ROUTE
                && oa_record_id(r) == id
                && r->gen != gen)
            {
                oa_table_remove(t, r);
            }
        }
    }

    return page < t->npages ? page : 0;
}


ngx_uint_t
oa_table_each(oa_table_t *t, ngx_uint_t id, ngx_uint_t page,
    oa_table_each_pt each, void *data)
{
    size_t           size;
    u_char           text[3 * 36];
    uint32_t         seq;
    ngx_uint_t       i, class, first;
    oa_route_t       route;
    oa_record_t     *r;
    oa_table_copy_t  copy;

    class = *oa_table_class_of(t, page);
    first = page * OA_PAGE_SLOTS;
    page = (page + 1 < t->npages) ? page + 1 : 0;

    if (class == 0) {
        return page;
    }

    for (i = 0; i < OA_PAGE_SLOTS; i += oa_class_slots[class - 1]) {
        r = oa_table_record(t, first + i);

        seq = __atomic_load_n(&r->seq, __ATOMIC_ACQUIRE);

        if ((seq & 1)
            || oa_record_kind(r) != OA_RECORD_ROUTE
            || oa_record_id(r) != id)
        {
            continue;
        }

        copy.head = r->head;
        size = oa_route_packed_size(&copy.head);

        if (size > oa_class_slots[class - 1] * OA_TABLE_SLOT - OA_RECORD_HEAD)
        {
            continue;
        }

        ngx_memcpy(copy.packed, r->packed, size);

        __atomic_thread_fence(__ATOMIC_ACQUIRE);

        if (__atomic_load_n(&r->seq, __ATOMIC_RELAXED) != seq) {

            /*
             * Replaced: the new record may lie on a page that was read
             * already, but then the change has been counted, and whoever
             * reads all pages reads them again.
             */

            continue;
        }

        oa_route_unpack(&copy.head, copy.packed, text, &route);
        each(data, &route);
    }

    return page;
}
