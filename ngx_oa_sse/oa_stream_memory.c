
/*
 * Streams in shared memory: records in their lists, pages, and what goes when
 * there are none left.  All of it is for the holder of the lock.
 */


#include "oa_stream_int.h"


/* So many that run are asked for a page. */
#define OA_EVICT_TRIES  64


static ngx_int_t oa_stream_evict(oa_streams_t *t);
static void oa_stream_list_remove(oa_streams_t *t, oa_stream_t *s);


oa_stream_t *
oa_stream_take(oa_streams_t *t)
{
    uint32_t          n, bare;
    oa_stream_t      *s;
    oa_stream_shm_t  *shm;

    shm = t->shm;
    n = shm->lists[OA_LIST_FREE].first;

    if (n) {
        return oa_stream_at(t, n);
    }

    n = shm->lists[OA_LIST_ENDED].first;
    bare = shm->lists[OA_LIST_BARE].first;

    if (n == 0
        || (bare && oa_stream_at(t, bare)->ended < oa_stream_at(t, n)->ended))
    {
        n = bare;
    }

    if (n == 0) {
        return NULL;
    }

    s = oa_stream_at(t, n);
    oa_stream_free(t, s);

    return s;
}


void
oa_stream_free(oa_streams_t *t, oa_stream_t *s)
{
    uint32_t  page, next;

    page = oa_head_page(s->head);

    /* from here on repair would free it and its pages */

    oa_store(&s->seq, s->seq + 1);
    oa_store(&s->head, 0);
    __atomic_thread_fence(__ATOMIC_RELEASE);

    oa_stream_unchain(t, s, OA_CHAIN_ID);

    if (s->has_key) {
        oa_stream_unchain(t, s, OA_CHAIN_KEY);
    }

    for ( /* void */ ; page; page = next) {
        next = oa_stream_page(t, page)->next;
        oa_stream_free_page(t, page);
    }

    s->pages = 0;
    oa_stream_list(t, s);
}


uint32_t
oa_stream_new_page(oa_streams_t *t)
{
    u_char            *p;
    uint32_t           page;
    oa_stream_page_t  *pg;

    for ( ;; ) {
        p = t->new_page(t->data);

        if (p) {
            break;
        }

        if (oa_stream_evict(t) != NGX_OK) {
            return 0;
        }
    }

    page = (uint32_t) ((size_t) (p - t->pages) / OA_STREAM_PAGE) + 1;
    oa_store(oa_stream_page_owner(t, page), OA_PAGE_HELD);

    pg = (oa_stream_page_t *) p;
    pg->seq = 0;
    pg->next = 0;
    pg->first = OA_PAGE_NONE;

    t->shm->pages++;

    return page;
}


/*
 * Whether a page is in the zone's hands already, its first word tells: it must
 * not be given back twice.
 */

void
oa_stream_free_page(oa_streams_t *t, uint32_t page)
{
    u_char            *owner;
    oa_stream_page_t  *pg;

    pg = oa_stream_page(t, page);
    owner = oa_stream_page_owner(t, page);

    oa_store(&pg->seq, OA_PAGE_GOING);
    oa_store(owner, OA_PAGE_LEAVING);

    t->free_page(t->data, pg);

    oa_store(owner, OA_PAGE_FOREIGN);

    t->shm->pages--;
}


void
oa_stream_drop_head(oa_streams_t *t, oa_stream_t *s)
{
    uint32_t  page, next;

    page = oa_head_page(s->head);
    next = oa_stream_page(t, page)->next;

    oa_store(&s->head, oa_head(oa_head_number(s->head) + 1, next));
    __atomic_thread_fence(__ATOMIC_RELEASE);

    oa_stream_free_page(t, page);

    s->pages--;
    oa_stream_list(t, s);
}


ngx_uint_t
oa_stream_may_drop(oa_streams_t *t, oa_stream_t *s)
{
    uint32_t  page;
    uint64_t  tip;

    page = oa_head_page(s->head);
    tip = __atomic_load_n(&s->tip, __ATOMIC_ACQUIRE);

    if (page == 0 || oa_stream_ended(oa_tip_state(tip))) {
        return page != 0;
    }

    return oa_head_number(s->head) < oa_tip_pos(tip) / OA_PAGE_BYTES;
}


/* The oldest end first, then the largest of those that run. */

static ngx_int_t
oa_stream_evict(oa_streams_t *t)
{
    uint32_t          n, list;
    ngx_uint_t        tries;
    oa_stream_t      *s;
    oa_stream_shm_t  *shm;

    shm = t->shm;
    n = shm->lists[OA_LIST_ENDED].first;
    s = n ? oa_stream_at(t, n) : NULL;

    while (shm->largest > OA_LIST_RUNNING
           && shm->lists[shm->largest].first == 0)
    {
        shm->largest--;
    }

    list = shm->largest;
    tries = 0;

    while (s == NULL && list > OA_LIST_RUNNING + 1) {

        n = shm->lists[list--].first;

        /* it may be that one event, which is being written, has them all */

        while (n && s == NULL && tries++ < OA_EVICT_TRIES) {
            s = oa_stream_at(t, n);
            n = s->next;

            if (!oa_stream_may_drop(t, s)) {
                s = NULL;
            }
        }
    }

    if (s == NULL) {
        return NGX_DECLINED;
    }

    oa_stream_drop_head(t, s);
    shm->evicted++;

    return NGX_OK;
}


uint32_t
oa_stream_list_of(const oa_stream_t *s)
{
    if ((s->seq & 1) == 0) {
        return OA_LIST_FREE;
    }

    if (oa_stream_ended(oa_tip_state(s->tip))) {
        return s->pages ? OA_LIST_ENDED : OA_LIST_BARE;
    }

    return ngx_min(OA_LIST_RUNNING + s->pages, OA_LIST_LARGEST);
}


/* A list is whole from its first on, at any moment. */

void
oa_stream_list(oa_streams_t *t, oa_stream_t *s)
{
    uint32_t           n, list;
    oa_stream_ends_t  *ends;

    list = oa_stream_list_of(s);

    if (s->list == list) {
        return;
    }

    if (s->list != OA_LIST_NONE) {
        oa_stream_list_remove(t, s);
    }

    n = oa_stream_number(t, s);
    ends = &t->shm->lists[list];

    s->list = list;
    s->prev = ends->last;
    oa_store(&s->next, 0);

    if (ends->last) {
        oa_store(&oa_stream_at(t, ends->last)->next, n);

    } else {
        oa_store(&ends->first, n);
    }

    ends->last = n;

    if (list >= OA_LIST_RUNNING) {
        t->shm->running++;
        t->shm->largest = ngx_max(t->shm->largest, list);

    } else if (list != OA_LIST_FREE) {
        t->shm->ended++;
    }
}


static void
oa_stream_list_remove(oa_streams_t *t, oa_stream_t *s)
{
    oa_stream_ends_t  *ends;

    ends = &t->shm->lists[s->list];

    if (s->prev) {
        oa_store(&oa_stream_at(t, s->prev)->next, s->next);

    } else {
        oa_store(&ends->first, s->next);
    }

    if (s->next) {
        oa_stream_at(t, s->next)->prev = s->prev;

    } else {
        ends->last = s->prev;
    }

    if (s->list >= OA_LIST_RUNNING) {
        t->shm->running--;

    } else if (s->list != OA_LIST_FREE) {
        t->shm->ended--;
    }

    s->list = OA_LIST_NONE;
}
