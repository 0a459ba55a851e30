
/*
 * Streams in shared memory: their beginning and their end.
 */


#include "oa_stream_int.h"


static oa_stream_t *oa_stream_with_key(oa_streams_t *t,
    const oa_stream_conf_t *conf, uint64_t now);
static ngx_uint_t oa_stream_count(oa_streams_t *t,
    const oa_stream_conf_t *conf, uint64_t now);
static ngx_uint_t oa_stream_has_room(oa_streams_t *t);
static void oa_stream_begin(oa_streams_t *t, oa_stream_t *s,
    const oa_stream_conf_t *conf, uint64_t now);
static void oa_stream_sweep_one(oa_streams_t *t, oa_stream_t *s,
    uint64_t now);


static uint32_t
oa_streams_number(ngx_uint_t npages)
{
    return ngx_min(ngx_max(npages, OA_STREAMS_MIN), OA_STREAMS_MAX);
}


/* Of each kind there are at least as many chains as records. */

static uint32_t
oa_streams_chains(uint32_t n)
{
    uint32_t  chains;

    for (chains = OA_STREAMS_MIN; chains < n; chains *= 2) { /* void */ }

    return chains;
}


size_t
oa_streams_size(ngx_uint_t npages)
{
    uint32_t  n;

    n = oa_streams_number(npages);

    return sizeof(oa_stream_shm_t)
           + n * sizeof(oa_stream_t)
           + OA_CHAINS * oa_streams_chains(n) * sizeof(uint32_t)
           + npages;
}


void
oa_streams_create(oa_streams_t *t, void *part, const u_char *seed)
{
    uint32_t          i;
    oa_stream_shm_t  *shm;

    shm = part;

    ngx_memcpy(shm->seed, seed, sizeof(shm->seed));

    shm->streams = oa_streams_number(t->npages);
    shm->mask = oa_streams_chains(shm->streams) - 1;

    t->shm = shm;
    t->hand = 0;

    for (i = 1; i <= shm->streams; i++) {
        oa_stream_at(t, i)->list = OA_LIST_NONE;
        oa_stream_list(t, oa_stream_at(t, i));
    }
}


uint64_t
oa_streams_changed(oa_streams_t *t)
{
    uint64_t    n;
    ngx_uint_t  i;

    for (i = 0, n = 0; i < OA_STREAM_PULSES; i++) {
        n += __atomic_load_n(&t->shm->pulses[i].n, __ATOMIC_ACQUIRE);
    }

    return n;
}


uint64_t
oa_streams_stops(oa_streams_t *t)
{
    return __atomic_load_n(&t->shm->stops, __ATOMIC_ACQUIRE);
}


void
oa_streams_stat(oa_streams_t *t, oa_stream_stat_t *stat)
{
    oa_stream_shm_t  *shm;

    shm = t->shm;

    stat->streams = shm->streams;
    stat->running = __atomic_load_n(&shm->running, __ATOMIC_RELAXED);
    stat->ended = __atomic_load_n(&shm->ended, __ATOMIC_RELAXED);
    stat->pages = __atomic_load_n(&shm->pages, __ATOMIC_RELAXED);
    stat->evicted = __atomic_load_n(&shm->evicted, __ATOMIC_RELAXED);
    stat->lost = __atomic_load_n(&shm->lost, __ATOMIC_RELAXED);
}


oa_stream_open_e
oa_stream_open(oa_streams_t *t, const oa_stream_conf_t *conf, uint64_t now,
    oa_stream_writer_t *w, oa_stream_info_t *info)
{
    oa_stream_t       *s;
    oa_stream_ref_t    ref;
    oa_stream_open_e   opened;

    ngx_memzero(w, sizeof(oa_stream_writer_t));

    t->lock(t->data);

    s = conf->has_key ? oa_stream_with_key(t, conf, now) : NULL;

    if (s) {
        opened = oa_stream_same(s->body, conf->body) ? OA_STREAM_ATTACHED
                                                     : OA_STREAM_MISMATCH;

    } else if (conf->max_streams
               && oa_stream_count(t, conf, now) >= conf->max_streams)
    {
        opened = OA_STREAM_TOO_MANY;

    } else {
        s = oa_stream_has_room(t) ? oa_stream_take(t) : NULL;

        if (s == NULL) {
            opened = OA_STREAM_FULL;

        } else {
            oa_stream_begin(t, s, conf, now);
            opened = OA_STREAM_OPENED;

            w->ref.slot = oa_stream_number(t, s) - 1;
            w->ref.seq = s->seq;
            w->stream = s;
            w->pulse = &t->shm->pulses[(uint32_t) conf->pid
                                       % OA_STREAM_PULSES].n;
        }
    }

    if (s) {
        ref.slot = oa_stream_number(t, s) - 1;
        ref.seq = s->seq;

        (void) oa_stream_info(t, ref, now, info);
    }

    t->unlock(t->data);

    return opened;
}


static oa_stream_t *
oa_stream_with_key(oa_streams_t *t, const oa_stream_conf_t *conf, uint64_t now)
{
    uint32_t      n;
    oa_stream_t  *s;

    n = *oa_stream_chain_of(t, OA_CHAIN_KEY, conf->key, conf->owner);

    for ( /* void */ ; n; n = s->key_next) {
        s = oa_stream_at(t, n);

        if (!oa_stream_same(s->key, conf->key)
            || !oa_stream_same(s->owner, conf->owner)
            || !oa_stream_same(s->route, conf->route)
            || !oa_stream_same(s->location, conf->location))
        {
            continue;
        }

        if (oa_stream_ended(oa_tip_state(s->tip)) && oa_stream_until(s) <= now)
        {
            oa_stream_free(t, s);
            return NULL;
        }

        return s;
    }

    return NULL;
}


/* Of the owner's streams those that run; the dead count no more. */

static ngx_uint_t
oa_stream_count(oa_streams_t *t, const oa_stream_conf_t *conf, uint64_t now)
{
    uint32_t      n, next;
    ngx_uint_t    count;
    oa_stream_t  *s;

    count = 0;
    n = *oa_stream_chain_of(t, OA_CHAIN_OWNER, conf->owner, NULL);

    for ( /* void */ ; n; n = next) {
        s = oa_stream_at(t, n);
        next = s->owner_next;

        if (!oa_stream_same(s->owner, conf->owner)) {
            continue;
        }

        if (t->alive(t->data, s->pid)) {
            count++;

        } else {
            oa_stream_close(t, s, s->tip, OA_STREAM_LOST, 0, now);
        }
    }

    return count;
}


/* A stream that could keep nothing is not begun. */

static ngx_uint_t
oa_stream_has_room(oa_streams_t *t)
{
    uint32_t  page;

    page = oa_stream_new_page(t);

    if (page) {
        oa_stream_free_page(t, page);
    }

    return page != 0;
}


static void
oa_stream_begin(oa_streams_t *t, oa_stream_t *s, const oa_stream_conf_t *conf,
    uint64_t now)
{
    ngx_memcpy(s->id, conf->id, OA_STREAM_ID);
    ngx_memcpy(s->owner, conf->owner, OA_STREAM_ID);
    ngx_memcpy(s->route, conf->route, OA_STREAM_ID);
    ngx_memcpy(s->location, conf->location, OA_STREAM_ID);
    ngx_memcpy(s->key, conf->key, OA_STREAM_ID);
    ngx_memcpy(s->body, conf->body, OA_STREAM_ID);

    s->head = oa_head(0, 0);
    s->tip = OA_STREAM_STARTING;
    s->next_seq = 1;
    s->last = now;
    s->bytes = 0;
    s->created = now;
    s->ended = 0;
    s->keep = conf->keep;
    s->read = now;
    s->code = 0;
    s->has_key = conf->has_key;
    s->stop = 0;
    s->pid = conf->pid;
    s->pages = 0;
    s->max_pages = ngx_min(ngx_max(conf->buffer / OA_STREAM_PAGE,
                                   OA_STREAM_PAGES_MIN),
                           OA_STREAM_PAGES_MAX);

    oa_store(&s->seq, s->seq + 1);

    oa_stream_list(t, s);
    oa_stream_chain(t, s, OA_CHAIN_ID);
    oa_stream_chain(t, s, OA_CHAIN_OWNER);

    if (s->has_key) {
        oa_stream_chain(t, s, OA_CHAIN_KEY);
    }
}


void
oa_stream_close(oa_streams_t *t, oa_stream_t *s, uint64_t tip,
    oa_stream_state_e state, ngx_uint_t code, uint64_t now)
{
    s->code = (uint32_t) code;
    s->ended = now;
    t->shm->lost += (state == OA_STREAM_LOST);

    oa_store(&s->tip, oa_tip_pos(tip) | state);

    oa_stream_unchain(t, s, OA_CHAIN_OWNER);
    oa_stream_list(t, s);
    oa_stream_pulse(t, s->pid);
}


ngx_int_t
oa_stream_stop(oa_streams_t *t, oa_stream_ref_t ref)
{
    ngx_int_t     rc;
    oa_stream_t  *s;

    rc = NGX_DECLINED;

    t->lock(t->data);

    if (oa_stream_is(t, ref)) {
        s = &t->shm->stream[ref.slot];

        if (!oa_stream_ended(oa_tip_state(s->tip))) {
            oa_store(&s->stop, 1);
            oa_store(&t->shm->stops, t->shm->stops + 1);
            rc = NGX_OK;
        }
    }

    t->unlock(t->data);

    return rc;
}


/* One that takes the place of another meanwhile is read a little longer. */

void
oa_stream_touch(oa_streams_t *t, oa_stream_ref_t ref, uint64_t now)
{
    if (oa_stream_is(t, ref)) {
        __atomic_store_n(&t->shm->stream[ref.slot].read, now,
                         __ATOMIC_RELAXED);
    }
}


ngx_int_t
oa_stream_check(oa_streams_t *t, oa_stream_ref_t ref, uint64_t now)
{
    uint64_t      tip;
    ngx_pid_t     pid;
    ngx_int_t     rc;
    oa_stream_t  *s;

    if (ref.slot >= t->shm->streams) {
        return NGX_DECLINED;
    }

    s = &t->shm->stream[ref.slot];

    tip = __atomic_load_n(&s->tip, __ATOMIC_ACQUIRE);
    pid = __atomic_load_n(&s->pid, __ATOMIC_RELAXED);

    if (!oa_stream_is(t, ref)
        || oa_stream_ended(oa_tip_state(tip))
        || t->alive(t->data, pid))
    {
        return NGX_DECLINED;
    }

    rc = NGX_DECLINED;

    t->lock(t->data);

    if (oa_stream_is(t, ref) && !oa_stream_ended(oa_tip_state(s->tip))) {
        oa_stream_close(t, s, s->tip, OA_STREAM_LOST, 0, now);
        rc = NGX_OK;
    }

    t->unlock(t->data);

    return rc;
}


uint64_t
oa_stream_changed(oa_streams_t *t, oa_stream_ref_t ref)
{
    uint64_t  tip;

    if (ref.slot >= t->shm->streams) {
        return (uint64_t) -1;
    }

    tip = __atomic_load_n(&t->shm->stream[ref.slot].tip, __ATOMIC_ACQUIRE);

    return oa_stream_is(t, ref) ? tip : (uint64_t) -1;
}


void
oa_streams_sweep(oa_streams_t *t, uint64_t now, ngx_uint_t n)
{
    oa_stream_t  *s;

    for (n = ngx_min(n, t->shm->streams); n; n--) {

        t->hand = (t->hand + 1 < t->shm->streams) ? t->hand + 1 : 0;
        s = &t->shm->stream[t->hand];

        if (__atomic_load_n(&s->seq, __ATOMIC_ACQUIRE) & 1) {
            oa_stream_sweep_one(t, s, now);
        }
    }
}


static void
oa_stream_sweep_one(oa_streams_t *t, oa_stream_t *s, uint64_t now)
{
    uint32_t           i;
    oa_stream_ref_t    ref;
    oa_stream_info_t   info;

    ref.slot = oa_stream_number(t, s) - 1;
    ref.seq = __atomic_load_n(&s->seq, __ATOMIC_ACQUIRE);

    if (oa_stream_info(t, ref, now, &info) == NGX_OK) {

        if (!oa_stream_ended(info.state)) {
            (void) oa_stream_check(t, ref, now);
        }

        return;
    }

    /* one that has many pages goes in several steps */

    do {
        t->lock(t->data);

        if (!oa_stream_is(t, ref)) {
            t->unlock(t->data);
            return;
        }

        for (i = 0; i < OA_STREAM_CHUNK && s->pages > OA_STREAM_CHUNK; i++) {
            oa_stream_drop_head(t, s);
        }

        if (i == 0) {
            oa_stream_free(t, s);
        }

        t->unlock(t->data);

    } while (i);
}
