
/*
 * A zone for streams, as core has it: its lock, its pages, its repair after a
 * death; and events whose bytes tell where they belong.
 */


#ifndef _OA_STREAM_ZONE_H_INCLUDED_
#define _OA_STREAM_ZONE_H_INCLUDED_


#include <errno.h>

#include "oa_stream_int.h"
#include "procs.h"


/* All of it lies in one piece, so that a copy of the piece is a zone, too. */

typedef struct {
    uint32_t             lock;       /* a pid */
    uint32_t             writer;     /* the same; left behind by a death */
    uint32_t             repairs;

    uint64_t             npages;
    uint64_t             elsewhere;  /* pages that others have */
    uint64_t             fresh;
    uint64_t             free;       /* page + 1 */
    uint64_t             nfree;
} zone_t;


#define ZONE_SEED  ((const u_char *) "0123456789abcdef")


static size_t      zone_bytes;

/* The clock is the same for all. */
static ngx_uint_t  zone_ordered = 1;


static size_t
zone_head(ngx_uint_t npages)
{
    return (4096 + oa_streams_size(npages) + 4095) & ~(size_t) 4095;
}


static void *
zone_new_page(void *data)
{
    zone_t *z = data;

    u_char  *pages, *p;

    pages = (u_char *) z + zone_head(z->npages);

    if (z->free) {
        p = pages + (z->free - 1) * 4096;
        z->free = *(uint64_t *) p;
        z->nfree--;
        return p;
    }

    return z->fresh == z->npages ? NULL : pages + z->fresh++ * 4096;
}


static void
zone_free_page(void *data, void *page)
{
    zone_t *z = data;

    u_char  *pages;

    pages = (u_char *) z + zone_head(z->npages);

    *(uint64_t *) page = z->free;
    ngx_memory_barrier();
    z->free = ((u_char *) page - pages) / 4096 + 1;
    z->nfree++;
}


static ngx_uint_t
zone_alive(void *data, ngx_pid_t pid)
{
    return kill(pid, 0) == 0 || errno != ESRCH;
}


static void zone_lock(void *data);
static void zone_unlock(void *data);


/* The streams of a zone, for this process. */

static oa_streams_t
zone_streams(void *zone)
{
    zone_t        *z = zone;
    oa_streams_t   t;

    memset(&t, 0, sizeof(t));

    t.shm = (oa_stream_shm_t *) ((u_char *) z + 4096);
    t.pages = (u_char *) z + zone_head(z->npages);
    t.npages = z->npages;
    t.lock = zone_lock;
    t.unlock = zone_unlock;
    t.new_page = zone_new_page;
    t.free_page = zone_free_page;
    t.alive = zone_alive;
    t.data = z;

    return t;
}


static void
zone_lock(void *data)
{
    zone_t *z = data;

    uint32_t      holder;
    oa_streams_t  t;

    for ( ;; ) {
        holder = 0;

        if (__atomic_compare_exchange_n(&z->lock, &holder, (uint32_t) getpid(),
                                        0, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED)
            || (!zone_alive(z, (ngx_pid_t) holder)
                && __atomic_compare_exchange_n(&z->lock, &holder,
                                               (uint32_t) getpid(), 0,
                                               __ATOMIC_ACQUIRE,
                                               __ATOMIC_RELAXED)))
        {
            break;
        }

        ngx_cpu_pause();
    }

    if (z->writer) {
        t = zone_streams(z);
        oa_streams_repair(&t);
        z->repairs++;
    }

    z->writer = (uint32_t) getpid();
    ngx_memory_barrier();
}


static void
zone_unlock(void *data)
{
    zone_t *z = data;

    ngx_memory_barrier();
    z->writer = 0;
    __atomic_store_n(&z->lock, 0, __ATOMIC_RELEASE);
}


/* A zone of so many pages; so many are there for streams. */

static void *
zone_new(ngx_uint_t npages, ngx_uint_t there)
{
    zone_t        *z;
    oa_streams_t   t;

    zone_bytes = zone_head(npages) + npages * 4096;
    z = shared(zone_bytes);
    z->npages = npages;
    z->elsewhere = npages - there;
    z->fresh = z->elsewhere;

    memset((u_char *) z + zone_head(npages), 0xa5, npages * 4096);

    t = zone_streams(z);
    oa_streams_create(&t, (u_char *) z + 4096, ZONE_SEED);

    return z;
}


static __attribute__((unused)) ngx_uint_t
zone_free_pages(void *zone)
{
    zone_t *z = zone;

    return z->npages - z->fresh + z->nfree;
}


/* The event of a stream with this number: its length, its bytes. */

static uint64_t
event_word(uint64_t salt, uint64_t seq, uint64_t i)
{
    uint64_t  x;

    x = salt * 0x9e3779b97f4a7c15 + seq * 0xbf58476d1ce4e5b9 + i;
    x = (x ^ (x >> 29)) * 0x94d049bb133111eb;

    return x ^ (x >> 32);
}


/* Mostly short ones; some go over a page or two, some are empty. */

static size_t
event_len(uint64_t salt, uint64_t seq)
{
    uint64_t  x;

    x = event_word(salt, seq, 1 << 20);

    switch (x % 64) {
    case 0:
        return 3000 + (x >> 8) % 9000;
    case 1:
        return 0;
    case 2:
        return 4076;
    default:
        return (x >> 8) % 130;
    }
}


#define EVENT_MAX  12000


static size_t
event_of(uint64_t salt, uint64_t seq, u_char *buf)
{
    size_t    i, len;
    uint64_t  x;

    len = event_len(salt, seq);

    for (i = 0, x = 0; i < len; i++) {
        x = (i % 8) ? x >> 8 : event_word(salt, seq, i);
        buf[i] = (u_char) x;
    }

    return len;
}


/* How many of the events of a reader's batch are not as they should be. */

static ngx_uint_t
events_bad(uint64_t salt, const oa_stream_got_t *got, const u_char *buf)
{
    static u_char  want[EVENT_MAX];

    size_t      len, at;
    ngx_uint_t  i, bad;

    for (i = 0, at = 0, bad = 0; i < got->events; i++) {
        len = event_of(salt, got->seq + i, want);

        if (len > got->len - at || memcmp(buf + at, want, len) != 0) {
            return bad + 1;
        }

        at += len;
    }

    return bad + (at != got->len);
}


/*
 * All that must hold while nobody is at work: what the records say, what the
 * chains, lists and counts say, and whose each page is.  What is wrong, or
 * NULL.  *lost is how many pages nobody has.
 */

static const char *
zone_wrong(oa_streams_t *t, ngx_uint_t *lost)
{
    static u_char  seen[65536];

    zone_t            *z = t->data;
    uint32_t           i, n, page, last, running, ended, held;
    uint64_t           free_page, number;
    oa_stream_t       *s;
    oa_stream_shm_t   *shm;
    oa_stream_info_t   info;

    shm = t->shm;
    memset(seen, 0, sizeof(seen));

    running = 0;
    ended = 0;
    held = 0;

    if (shm->moves & 1) {
        return "the chains are being made";
    }

    for (i = 1; i <= shm->streams; i++) {
        s = oa_stream_at(t, i);

        if ((s->seq & 1) == 0) {
            if (s->pages || s->list != OA_LIST_FREE) {
                return "a free record has something";
            }

            continue;
        }

        if (oa_stream_ended(oa_tip_state(s->tip))) {
            ended++;
        } else {
            running++;
        }

        number = oa_head_number(s->head);

        for (n = 0, page = oa_head_page(s->head); page; n++) {

            if (seen[page]++ || *oa_stream_page_owner(t, page) != OA_PAGE_HELD)
            {
                return "a page of a stream is not its own";
            }

            page = oa_stream_page(t, page)->next;
        }

        held += n;

        if (n != s->pages || n > s->max_pages) {
            return "a stream has other pages than it says";
        }

        if (!oa_stream_ended(oa_tip_state(s->tip))
            && n
            && (oa_tip_pos(s->tip) < number * OA_PAGE_BYTES
                || oa_tip_pos(s->tip) > (number + n) * OA_PAGE_BYTES))
        {
            return "the tip is not in a page";
        }

        if (oa_stream_find(t, s->id, 0, &info) != NGX_OK
            || info.ref.slot != i - 1)
        {
            return "a stream is not found";
        }

        n = *oa_stream_chain_of(t, OA_CHAIN_OWNER, s->owner, NULL);

        while (n && n != i) {
            n = oa_stream_at(t, n)->owner_next;
        }

        if ((n == i) != !oa_stream_ended(oa_tip_state(s->tip))) {
            return "an owner has other streams";
        }

        n = *oa_stream_chain_of(t, OA_CHAIN_KEY, s->key, s->owner);

        while (n && n != i) {
            n = oa_stream_at(t, n)->key_next;
        }

        if ((n == i) != s->has_key) {
            return "a key leads elsewhere";
        }
    }

    if (running != shm->running || ended != shm->ended || held != shm->pages) {
        return "the counts are wrong";
    }

    for (i = 0, n = 0; i < OA_LISTS; i++) {
        last = 0;

        for (page = shm->lists[i].first; page; page = s->next) {
            s = oa_stream_at(t, page);

            if (s->list != i || oa_stream_list_of(s) != i || s->prev != last
                || ++n > shm->streams)
            {
                return "a list has what is not of it";
            }

            if (last
                && zone_ordered
                && i == OA_LIST_ENDED
                && oa_stream_at(t, last)->ended > s->ended)
            {
                return "the oldest end is not the first";
            }

            last = page;
        }

        if (shm->lists[i].last != last || (last && i > shm->largest
                                           && i >= OA_LIST_RUNNING))
        {
            return "the end of a list is wrong";
        }
    }

    if (n != shm->streams) {
        return "a record is in no list";
    }

    for (free_page = z->free; free_page; /* void */ ) {

        if (seen[free_page]++) {
            return "a page is free and not";
        }

        held++;
        free_page = *(uint64_t *) oa_stream_page(t, (uint32_t) free_page);
    }

    for (i = 1; i <= t->npages; i++) {
        if (!seen[i] && *oa_stream_page_owner(t, i) != OA_PAGE_FOREIGN) {
            return "a page was not given back";
        }
    }

    *lost = z->fresh - z->elsewhere - held;

    return NULL;
}


#endif /* _OA_STREAM_ZONE_H_INCLUDED_ */
