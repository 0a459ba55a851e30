
/*
 * Streams in shared memory: how they are found.
 *
 * Chains of records, by their ids, by the digests of their keys, and of those
 * that run by the digests of their owners.  A link is made, and undone, by one
 * store, so that a chain is whole at any moment.  The first kind is followed
 * without a lock: a record that was taken out may be in another chain when a
 * reader goes on from it, so who finds nothing looks whether one was.
 */


#include "oa_stream_int.h"


#define OA_FIND_TRIES  256


static ngx_uint_t oa_stream_copy(oa_streams_t *t, oa_stream_t *s, uint32_t seq,
    oa_stream_info_t *info);


static ngx_inline uint64_t
oa_stream_hash(oa_streams_t *t, const u_char *key)
{
    uint64_t           words[2];
    unsigned __int128  product;

    ngx_memcpy(words, key, sizeof(words));

    product = (unsigned __int128) (words[0] ^ t->shm->seed[0])
              * (words[1] ^ t->shm->seed[1]);

    return (uint64_t) product ^ (uint64_t) (product >> 64);
}


uint32_t *
oa_stream_chain_of(oa_streams_t *t, oa_stream_chain_e chain,
    const u_char *key, const u_char *owner)
{
    uint64_t  hash;

    /* many may choose the same key */

    hash = oa_stream_hash(t, key) + (owner ? oa_stream_hash(t, owner) : 0);

    return &oa_stream_chains(t)[chain * ((size_t) t->shm->mask + 1)
                                + (hash & t->shm->mask)];
}


static uint32_t *
oa_stream_chain_first(oa_streams_t *t, oa_stream_t *s, oa_stream_chain_e chain)
{
    switch (chain) {

    case OA_CHAIN_ID:
        return oa_stream_chain_of(t, chain, s->id, NULL);

    case OA_CHAIN_KEY:
        return oa_stream_chain_of(t, chain, s->key, s->owner);

    default: /* OA_CHAIN_OWNER */
        return oa_stream_chain_of(t, chain, s->owner, NULL);
    }
}


static uint32_t *
oa_stream_chain_next(oa_stream_t *s, oa_stream_chain_e chain)
{
    uint32_t *links[OA_CHAINS] = { &s->id_next, &s->key_next, &s->owner_next };

    return links[chain];
}


void
oa_stream_chain(oa_streams_t *t, oa_stream_t *s, oa_stream_chain_e chain)
{
    uint32_t  *first;

    first = oa_stream_chain_first(t, s, chain);

    oa_store(oa_stream_chain_next(s, chain), *first);
    oa_store(first, oa_stream_number(t, s));
}


/* It may be that it is not there. */

void
oa_stream_unchain(oa_streams_t *t, oa_stream_t *s, oa_stream_chain_e chain)
{
    uint32_t  *link, n;

    n = oa_stream_number(t, s);
    link = oa_stream_chain_first(t, s, chain);

    while (*link && *link != n) {
        link = oa_stream_chain_next(oa_stream_at(t, *link), chain);
    }

    if (*link == n) {
        oa_store(link, *oa_stream_chain_next(s, chain));
        oa_store(&t->shm->moves, t->shm->moves + 2);
    }
}


ngx_int_t
oa_stream_find(oa_streams_t *t, const u_char *id, uint64_t now,
    oa_stream_info_t *info)
{
    uint32_t          i, n, seq, moves, *first;
    ngx_uint_t        tries;
    oa_stream_t      *s;
    oa_stream_shm_t  *shm;

    shm = t->shm;
    first = oa_stream_chain_of(t, OA_CHAIN_ID, id, NULL);

    for (tries = 0; tries < OA_FIND_TRIES; tries++) {

        moves = __atomic_load_n(&shm->moves, __ATOMIC_ACQUIRE);

        i = __atomic_load_n(first, __ATOMIC_ACQUIRE);

        for (n = 0; i && i <= shm->streams && n < shm->streams; n++) {

            s = oa_stream_at(t, i);
            seq = __atomic_load_n(&s->seq, __ATOMIC_ACQUIRE);

            if ((seq & 1)
                && oa_stream_same(s->id, id)
                && oa_stream_copy(t, s, seq, info))
            {
                return (oa_stream_ended(info->state)
                        && info->until <= now)
                       ? NGX_DECLINED : NGX_OK;
            }

            i = __atomic_load_n(&s->id_next, __ATOMIC_ACQUIRE);
        }

        __atomic_thread_fence(__ATOMIC_ACQUIRE);

        if ((moves & 1) == 0
            && __atomic_load_n(&shm->moves, __ATOMIC_RELAXED) == moves)
        {
            return NGX_DECLINED;
        }

        ngx_cpu_pause();
    }

    return NGX_AGAIN;
}


ngx_int_t
oa_stream_info(oa_streams_t *t, oa_stream_ref_t ref, uint64_t now,
    oa_stream_info_t *info)
{
    oa_stream_t  *s;

    if (!oa_stream_is(t, ref)) {
        return NGX_DECLINED;
    }

    s = &t->shm->stream[ref.slot];

    if (!oa_stream_copy(t, s, ref.seq, info)) {
        return NGX_DECLINED;
    }

    return (oa_stream_ended(info->state) && info->until <= now)
           ? NGX_DECLINED : NGX_OK;
}


/* 0: it is not the one any more. */

static ngx_uint_t
oa_stream_copy(oa_streams_t *t, oa_stream_t *s, uint32_t seq,
    oa_stream_info_t *info)
{
    uint64_t  tip;

    tip = __atomic_load_n(&s->tip, __ATOMIC_ACQUIRE);

    info->ref.slot = oa_stream_number(t, s) - 1;
    info->ref.seq = seq;

    ngx_memcpy(info->id, s->id, OA_STREAM_ID);
    ngx_memcpy(info->owner, s->owner, OA_STREAM_ID);
    ngx_memcpy(info->route, s->route, OA_STREAM_ID);
    ngx_memcpy(info->location, s->location, OA_STREAM_ID);

    info->state = oa_tip_state(tip);
    info->code = s->code;
    info->pid = s->pid;
    info->created = s->created;
    info->last = __atomic_load_n(&s->last, __ATOMIC_RELAXED);
    info->ended = s->ended;
    info->until = oa_stream_until(s);
    info->first_seq = oa_stream_first_seq(t, s);
    info->next_seq = __atomic_load_n(&s->next_seq, __ATOMIC_RELAXED);
    info->bytes = __atomic_load_n(&s->bytes, __ATOMIC_RELAXED);
    info->pages = __atomic_load_n(&s->pages, __ATOMIC_RELAXED);

    __atomic_thread_fence(__ATOMIC_ACQUIRE);

    return __atomic_load_n(&s->seq, __ATOMIC_RELAXED) == seq;
}
