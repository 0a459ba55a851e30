
/*
 * Streams in shared memory: what a dead holder of the lock left behind.
 *
 * What a record says of itself is right, and so are heads and the links of
 * pages; all else is made anew from them.  Of the lists only those of ended
 * streams tell something more, their order, so they are kept as far as they
 * go.  Another death, while repairing, leaves no more to repair than before.
 */


#include "oa_stream_int.h"


static void oa_stream_repair_pages(oa_streams_t *t);
static uint32_t oa_stream_reach(oa_streams_t *t, oa_stream_t *s);
static void oa_stream_repair_chains(oa_streams_t *t);
static void oa_stream_repair_lists(oa_streams_t *t);
static void oa_stream_repair_list(oa_streams_t *t, oa_stream_list_e list);


void
oa_streams_repair(oa_streams_t *t)
{
    oa_stream_repair_pages(t);
    oa_stream_repair_chains(t);
    oa_stream_repair_lists(t);
}


/* Pages to which no stream leads go back to the zone. */

static void
oa_stream_repair_pages(oa_streams_t *t)
{
    u_char       *owner;
    uint32_t      i;
    oa_stream_t  *s;

    for (i = 1; i <= t->npages; i++) {
        owner = oa_stream_page_owner(t, i);

        if (*owner == OA_PAGE_REACHED) {
            *owner = OA_PAGE_HELD;

        } else if (*owner == OA_PAGE_LEAVING
                   && oa_stream_page(t, i)->seq != OA_PAGE_GOING)
        {
            *owner = OA_PAGE_FOREIGN;
        }
    }

    for (i = 1; i <= t->shm->streams; i++) {
        s = oa_stream_at(t, i);
        s->pages = (s->seq & 1) ? oa_stream_reach(t, s) : 0;
    }

    /* those that go are counted off again */

    t->shm->pages = 0;

    for (i = 1; i <= t->npages; i++) {
        t->shm->pages += *oa_stream_page_owner(t, i) != OA_PAGE_FOREIGN;
    }

    for (i = 1; i <= t->npages; i++) {
        owner = oa_stream_page_owner(t, i);

        if (*owner == OA_PAGE_REACHED) {
            *owner = OA_PAGE_HELD;

        } else if (*owner != OA_PAGE_FOREIGN) {
            oa_stream_free_page(t, i);
        }
    }
}


static uint32_t
oa_stream_reach(oa_streams_t *t, oa_stream_t *s)
{
    u_char    *owner;
    uint32_t   n, page;

    page = oa_head_page(s->head);

    for (n = 0; page && page <= t->npages; n++) {
        owner = oa_stream_page_owner(t, page);

        if (*owner != OA_PAGE_HELD) {
            break;
        }

        *owner = OA_PAGE_REACHED;
        page = oa_stream_page(t, page)->next;
    }

    return n;
}


static void
oa_stream_repair_chains(oa_streams_t *t)
{
    uint32_t          i;
    oa_stream_t      *s;
    oa_stream_shm_t  *shm;

    shm = t->shm;

    oa_store(&shm->moves, shm->moves | 1);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    ngx_memzero(oa_stream_chains(t),
                OA_CHAINS * ((size_t) shm->mask + 1) * sizeof(uint32_t));

    for (i = 1; i <= shm->streams; i++) {
        s = oa_stream_at(t, i);

        if ((s->seq & 1) == 0) {
            continue;
        }

        oa_stream_chain(t, s, OA_CHAIN_ID);

        if (s->has_key) {
            oa_stream_chain(t, s, OA_CHAIN_KEY);
        }

        if (!oa_stream_ended(oa_tip_state(s->tip))) {
            oa_stream_chain(t, s, OA_CHAIN_OWNER);
        }
    }

    oa_store(&shm->moves, shm->moves + 1);
}


static void
oa_stream_repair_lists(oa_streams_t *t)
{
    uint32_t          i;
    oa_stream_shm_t  *shm;

    shm = t->shm;

    shm->running = 0;
    shm->ended = 0;
    shm->largest = OA_LIST_RUNNING;

    for (i = 1; i <= shm->streams; i++) {
        oa_stream_at(t, i)->list = OA_LIST_NONE;
    }

    oa_stream_repair_list(t, OA_LIST_ENDED);
    oa_stream_repair_list(t, OA_LIST_BARE);

    for (i = 0; i < OA_LISTS; i++) {
        if (i != OA_LIST_ENDED && i != OA_LIST_BARE) {
            oa_store(&shm->lists[i].first, 0);
            oa_store(&shm->lists[i].last, 0);
        }
    }

    for (i = 1; i <= shm->streams; i++) {
        oa_stream_list(t, oa_stream_at(t, i));
    }
}


/* What does not belong there is taken out of the list. */

static void
oa_stream_repair_list(oa_streams_t *t, oa_stream_list_e list)
{
    uint32_t      last, *link;
    oa_stream_t  *s;

    last = 0;
    link = &t->shm->lists[list].first;

    while (*link) {
        s = oa_stream_at(t, *link);

        if (s->list != OA_LIST_NONE || oa_stream_list_of(s) != list) {
            oa_store(link, s->next);
            continue;
        }

        s->list = list;
        s->prev = last;
        last = *link;
        link = &s->next;
        t->shm->ended++;
    }

    t->shm->lists[list].last = last;
}
