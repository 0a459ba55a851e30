
/*
 * Streams in shared memory: the writer.
 *
 * What lies behind the tip is the writer's alone.  It takes the lock for a new
 * page, for giving up what it has written, and at the end.
 */


#include "oa_stream_int.h"


static ngx_int_t oa_stream_more(oa_streams_t *t, oa_stream_writer_t *w);
static ngx_int_t oa_stream_link(oa_streams_t *t, oa_stream_writer_t *w,
    uint64_t seq);
static void oa_stream_skip(oa_streams_t *t, oa_stream_writer_t *w);
static uint64_t oa_stream_count_event(oa_stream_writer_t *w);


ngx_int_t
oa_stream_write(oa_streams_t *t, oa_stream_writer_t *w, const u_char *data,
    size_t len)
{
    size_t             n;
    oa_stream_page_t  *pg;

    if (w->gap) {
        return NGX_BUSY;
    }

    if (w->frame == NULL) {

        if (w->pos == w->end && oa_stream_more(t, w) != NGX_OK) {
            return NGX_BUSY;
        }

        pg = oa_stream_page(t, w->page);

        if (pg->first == OA_PAGE_NONE) {
            pg->first = (uint32_t) (w->pos - pg->data);
        }

        w->frame = w->pos;
        w->pos += OA_FRAME_HEAD;
        w->len = 0;
    }

    if (len > OA_FRAME_MAX - w->len) {
        oa_stream_skip(t, w);
        return NGX_BUSY;
    }

    w->len += (uint32_t) len;

    for ( ;; ) {
        n = ngx_min(len, (size_t) (w->end - w->pos));
        w->pos = ngx_cpymem(w->pos, data, n);

        if (n == len) {
            return NGX_OK;
        }

        data += n;
        len -= n;

        if (oa_stream_more(t, w) != NGX_OK) {
            return NGX_BUSY;
        }
    }
}


ngx_int_t
oa_stream_commit(oa_streams_t *t, oa_stream_writer_t *w, uint64_t now)
{
    ngx_int_t     rc;
    oa_stream_t  *s;

    if (w->frame == NULL && !w->gap) {
        (void) oa_stream_write(t, w, (u_char *) "", 0);
    }

    s = w->stream;
    __atomic_store_n(&s->last, now, __ATOMIC_RELAXED);

    if (w->gap) {
        w->gap = 0;
        rc = NGX_BUSY;

    } else {
        oa_store(&s->tip, oa_stream_count_event(w) | OA_STREAM_RUNNING);
        rc = NGX_OK;
    }

    (void) __atomic_add_fetch(w->pulse, 1, __ATOMIC_RELEASE);

    return rc;
}


/*
 * The event that is being written is whole; where it ends.  It counts before
 * the tip is there: what was counted may be missing, not the reverse.
 */

static uint64_t
oa_stream_count_event(oa_stream_writer_t *w)
{
    oa_stream_t  *s;

    s = w->stream;

    w->pos = w->end - ((w->end - w->pos) & ~(size_t) OA_TIP_STATE);

    *(uint32_t *) w->frame = w->len;
    __atomic_store_n(&s->bytes, s->bytes + w->len, __ATOMIC_RELAXED);

    w->frame = NULL;

    oa_store(&s->next_seq, s->next_seq + 1);

    return (w->number + 1) * OA_PAGE_BYTES - (uint64_t) (w->end - w->pos);
}


void
oa_stream_prefetch(oa_stream_writer_t *w)
{
    /* an event of a usual size, with our id, is of three lines */

    __builtin_prefetch(w->pos, 1);
    __builtin_prefetch(w->pos + 64, 1);
    __builtin_prefetch(w->pos + 128, 1);
}


ngx_int_t
oa_stream_append(oa_streams_t *t, oa_stream_writer_t *w, const u_char *data,
    size_t len, uint64_t now)
{
    size_t  room;

    room = (w->page ? (size_t) (w->end - w->pos) : OA_PAGE_BYTES)
           + (w->stream->max_pages - 1) * OA_PAGE_BYTES;

    /* what will not fit need not push out all others before it is a gap */

    if (w->frame == NULL && !w->gap && len > room - OA_FRAME_HEAD) {
        oa_stream_skip(t, w);

    } else {
        (void) oa_stream_write(t, w, data, len);
    }

    return oa_stream_commit(t, w, now);
}


/* The next page, the last one being full. */

static ngx_int_t
oa_stream_more(oa_streams_t *t, oa_stream_writer_t *w)
{
    uint64_t      seq;
    ngx_int_t     rc;
    oa_stream_t  *s;

    s = w->stream;
    seq = s->next_seq + (w->frame != NULL);

    t->lock(t->data);

    if (s->pages >= s->max_pages && oa_stream_may_drop(t, s)) {
        oa_stream_drop_head(t, s);
    }

    rc = (s->pages < s->max_pages) ? oa_stream_link(t, w, seq) : NGX_DECLINED;

    t->unlock(t->data);

    if (rc != NGX_OK) {
        oa_stream_skip(t, w);
        return NGX_BUSY;
    }

    return NGX_OK;
}


static ngx_int_t
oa_stream_link(oa_streams_t *t, oa_stream_writer_t *w, uint64_t seq)
{
    uint32_t           page;
    uint64_t           number;
    oa_stream_t       *s;
    oa_stream_page_t  *pg;

    page = oa_stream_new_page(t);

    if (page == 0) {
        return NGX_DECLINED;
    }

    s = w->stream;
    pg = oa_stream_page(t, page);
    pg->seq = seq;

    if (w->page) {
        number = w->number + 1;
        oa_store(&oa_stream_page(t, w->page)->next, page);

    } else {
        number = oa_head_number(s->head);
        oa_store(&s->head, oa_head(number, page));
    }

    s->pages++;
    oa_stream_list(t, s);

    w->page = page;
    w->number = number;
    w->pos = pg->data;
    w->end = pg->data + OA_PAGE_BYTES;

    return NGX_OK;
}


/*
 * The event that is being written will be missing, and so will be those before
 * it: what there is begins behind them.  The position goes on beyond any that
 * a reader may have.
 */

static void
oa_stream_skip(oa_streams_t *t, oa_stream_writer_t *w)
{
    uint32_t      page, next;
    uint64_t      number;
    oa_stream_t  *s;

    s = w->stream;

    t->lock(t->data);

    page = oa_head_page(s->head);
    number = (w->page ? w->number + 1 : oa_head_number(s->head)) + 1;

    oa_store(&s->next_seq, s->next_seq + 1);
    oa_store(&s->head, oa_head(number, 0));
    oa_store(&s->tip, (number * OA_PAGE_BYTES) | OA_STREAM_RUNNING);
    __atomic_thread_fence(__ATOMIC_RELEASE);

    for ( /* void */ ; page; page = next) {
        next = oa_stream_page(t, page)->next;
        oa_stream_free_page(t, page);
    }

    s->pages = 0;
    oa_stream_list(t, s);

    t->unlock(t->data);

    w->page = 0;
    w->pos = NULL;
    w->end = NULL;
    w->frame = NULL;
    w->gap = 1;
}


uint64_t
oa_stream_seq(oa_stream_writer_t *w)
{
    return w->stream->next_seq - w->gap;
}


ngx_uint_t
oa_stream_stopped(oa_stream_writer_t *w)
{
    return __atomic_load_n(&w->stream->stop, __ATOMIC_ACQUIRE);
}


uint64_t
oa_stream_read_at(oa_stream_writer_t *w)
{
    return __atomic_load_n(&w->stream->read, __ATOMIC_RELAXED);
}


void
oa_stream_forget_key(oa_streams_t *t, oa_stream_writer_t *w)
{
    oa_stream_t  *s;

    s = w->stream;

    t->lock(t->data);

    if (s->has_key) {
        oa_store(&s->has_key, 0);
        oa_stream_unchain(t, s, OA_CHAIN_KEY);
    }

    t->unlock(t->data);
}


void
oa_stream_end(oa_streams_t *t, oa_stream_writer_t *w, oa_stream_state_e state,
    ngx_uint_t code, uint64_t now)
{
    uint64_t      tip;
    oa_stream_t  *s;

    s = w->stream;

    t->lock(t->data);

    tip = w->frame ? oa_stream_count_event(w) : s->tip;
    oa_stream_close(t, s, tip, state, code, now);

    t->unlock(t->data);

    ngx_memzero(w, sizeof(oa_stream_writer_t));
}
