
/*
 * Streams in shared memory: readers.
 *
 * All that is read may be written over meanwhile, be it by another module: any
 * number may come out of a page.  It counts only if the head has not passed
 * the page afterwards.
 */


#include "oa_stream_int.h"


#define OA_PLACE_TRIES  64


static ngx_int_t oa_stream_place(oa_streams_t *t, oa_stream_t *s,
    oa_stream_cursor_t *c, oa_stream_got_t *got);
static ngx_int_t oa_stream_place_behind(oa_stream_t *s, uint64_t head,
    oa_stream_cursor_t *c, oa_stream_got_t *got);
static ngx_int_t oa_stream_place_in(oa_streams_t *t, oa_stream_t *s,
    uint64_t tip, oa_stream_cursor_t *c);
static void oa_stream_missed(oa_stream_cursor_t *c, uint64_t seq,
    oa_stream_got_t *got);
static ngx_int_t oa_stream_turn(oa_streams_t *t, oa_stream_t *s,
    oa_stream_cursor_t *c);
static ngx_int_t oa_stream_copy_events(oa_streams_t *t, oa_stream_cursor_t *c,
    uint64_t tip, u_char *buf, size_t size, ngx_uint_t max,
    oa_stream_got_t *got);
static ngx_int_t oa_stream_copy_event(oa_streams_t *t, oa_stream_cursor_t *c,
    u_char *buf, size_t len);


static ngx_inline u_char *
oa_page_at(oa_stream_page_t *pg, uint64_t pos)
{
    return &pg->data[pos % OA_PAGE_BYTES];
}


/* The bytes of the event whose frame begins there, and of its frame. */

static ngx_inline uint32_t
oa_frame_len(oa_stream_page_t *pg, uint64_t pos)
{
    return __atomic_load_n((uint32_t *) oa_page_at(pg, pos), __ATOMIC_RELAXED);
}


static ngx_inline uint64_t
oa_frame(uint64_t len)
{
    return (OA_FRAME_HEAD + len + OA_TIP_STATE) & ~(uint64_t) OA_TIP_STATE;
}


/* To the page behind this one, which is read to its end. */

static ngx_inline ngx_int_t
oa_stream_next_page(oa_streams_t *t, oa_stream_cursor_t *c)
{
    c->page = __atomic_load_n(&oa_stream_page(t, c->page)->next,
                              __ATOMIC_ACQUIRE);
    c->number++;

    return (c->page && c->page <= t->npages) ? NGX_OK : NGX_AGAIN;
}


/* Has a page of this number not been given up? */

static ngx_inline ngx_uint_t
oa_stream_holds(oa_stream_t *s, uint64_t number)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);

    return oa_head_number(__atomic_load_n(&s->head, __ATOMIC_RELAXED))
           <= number;
}


uint64_t
oa_stream_first_seq(oa_streams_t *t, oa_stream_t *s)
{
    uint32_t    page;
    uint64_t    head, seq;
    ngx_uint_t  tries;

    for (tries = 0; tries < OA_PLACE_TRIES; tries++) {

        head = __atomic_load_n(&s->head, __ATOMIC_ACQUIRE);
        page = oa_head_page(head);

        if (page == 0 || page > t->npages) {
            break;
        }

        seq = __atomic_load_n(&oa_stream_page(t, page)->seq, __ATOMIC_RELAXED);

        if (oa_stream_holds(s, oa_head_number(head))) {
            return seq;
        }
    }

    return __atomic_load_n(&s->next_seq, __ATOMIC_RELAXED);
}


ngx_int_t
oa_stream_seek(oa_streams_t *t, oa_stream_ref_t ref, uint64_t seq,
    oa_stream_cursor_t *c)
{
    uint64_t  next;

    ngx_memzero(c, sizeof(oa_stream_cursor_t));

    c->ref = ref;
    c->seq = seq ? seq : 1;

    if (ref.slot >= t->shm->streams) {
        return NGX_DECLINED;
    }

    next = __atomic_load_n(&t->shm->stream[ref.slot].next_seq,
                           __ATOMIC_ACQUIRE);

    if (!oa_stream_is(t, ref)) {
        return NGX_DECLINED;
    }

    return c->seq <= next ? NGX_OK : NGX_ERROR;
}


ngx_int_t
oa_stream_read(oa_streams_t *t, oa_stream_cursor_t *c, u_char *buf,
    size_t size, ngx_uint_t max, oa_stream_got_t *got)
{
    uint64_t             tip, first;
    ngx_int_t            rc;
    ngx_uint_t           tries;
    oa_stream_t         *s;
    oa_stream_cursor_t   at;

    if (c->ref.slot >= t->shm->streams) {
        return NGX_DECLINED;
    }

    s = &t->shm->stream[c->ref.slot];

    for (tries = 0; tries < OA_PLACE_TRIES; tries++) {

        at = *c;
        ngx_memzero(got, sizeof(oa_stream_got_t));

        tip = __atomic_load_n(&s->tip, __ATOMIC_ACQUIRE);
        first = at.pos / OA_PAGE_BYTES;

        if (!at.placed || !oa_stream_holds(s, first)) {
            rc = oa_stream_place(t, s, &at, got);

        } else if (at.pos >= oa_tip_pos(tip)) {
            rc = oa_stream_ended(oa_tip_state(tip)) ? NGX_DONE : NGX_AGAIN;

            return oa_stream_is(t, c->ref) ? rc : NGX_DECLINED;

        } else {
            rc = oa_stream_turn(t, s, &at);

            if (rc == NGX_OK) {
                rc = oa_stream_copy_events(t, &at, tip, buf, size, max, got);
            }

            if (!oa_stream_holds(s, first)) {
                rc = NGX_AGAIN;
            }
        }

        if (!oa_stream_is(t, c->ref)) {
            return NGX_DECLINED;
        }

        if (rc == NGX_AGAIN) {
            ngx_cpu_pause();
            continue;
        }

        *c = at;

        if (at.pos >= oa_tip_pos(tip)) {
            got->all = !oa_stream_ended(oa_tip_state(tip));
            got->ended = (oa_tip_state(tip) == OA_STREAM_DONE
                          || oa_tip_state(tip) == OA_STREAM_FAILED);
        }

        if (rc == NGX_BUSY || got->events || got->gap_from) {
            return rc;
        }
    }

    ngx_memzero(got, sizeof(oa_stream_got_t));

    return NGX_AGAIN;
}


/*
 * Finds where the next event lies, or the first one that is still held; what
 * lies between is missed.  NGX_AGAIN: the head went on meanwhile.
 */

static ngx_int_t
oa_stream_place(oa_streams_t *t, oa_stream_t *s, oa_stream_cursor_t *c,
    oa_stream_got_t *got)
{
    uint64_t  tip, head, seq;

    tip = oa_tip_pos(__atomic_load_n(&s->tip, __ATOMIC_ACQUIRE));
    head = __atomic_load_n(&s->head, __ATOMIC_ACQUIRE);

    c->placed = 1;
    c->page = oa_head_page(head);
    c->number = oa_head_number(head);

    if (c->page == 0) {
        return oa_stream_place_behind(s, head, c, got);
    }

    if (c->page > t->npages) {
        return NGX_AGAIN;
    }

    seq = __atomic_load_n(&oa_stream_page(t, c->page)->seq, __ATOMIC_RELAXED);

    if (!oa_stream_holds(s, c->number)) {
        return NGX_AGAIN;
    }

    oa_stream_missed(c, seq, got);

    return oa_stream_place_in(t, s, tip, c);
}


/* Nothing is held: as long as that is so, no event is added. */

static ngx_int_t
oa_stream_place_behind(oa_stream_t *s, uint64_t head, oa_stream_cursor_t *c,
    oa_stream_got_t *got)
{
    uint64_t  seq;

    seq = __atomic_load_n(&s->next_seq, __ATOMIC_ACQUIRE);

    if (__atomic_load_n(&s->head, __ATOMIC_RELAXED) != head) {
        return NGX_AGAIN;
    }

    oa_stream_missed(c, seq, got);
    c->pos = c->number * OA_PAGE_BYTES;

    return NGX_OK;
}


/* Goes on from the first page to the last that does not begin behind it. */

static ngx_int_t
oa_stream_place_in(oa_streams_t *t, oa_stream_t *s, uint64_t tip,
    oa_stream_cursor_t *c)
{
    uint32_t           next, first;
    uint64_t           seq, next_seq, end;
    oa_stream_page_t  *pg;

    for ( ;; ) {
        pg = oa_stream_page(t, c->page);

        seq = __atomic_load_n(&pg->seq, __ATOMIC_RELAXED);
        first = __atomic_load_n(&pg->first, __ATOMIC_RELAXED);
        next = __atomic_load_n(&pg->next, __ATOMIC_ACQUIRE);

        if (!oa_stream_holds(s, c->number)) {
            return NGX_AGAIN;
        }

        if (next == 0
            || next > t->npages
            || c->number >= tip / OA_PAGE_BYTES)
        {
            break;
        }

        next_seq = __atomic_load_n(&oa_stream_page(t, next)->seq,
                                   __ATOMIC_RELAXED);

        if (!oa_stream_holds(s, c->number + 1)) {
            return NGX_AGAIN;
        }

        if (next_seq > c->seq) {
            break;
        }

        c->page = next;
        c->number++;
    }

    /* where no event has begun, the tip is where one will */

    end = (c->number + 1) * OA_PAGE_BYTES;
    c->pos = (first < OA_PAGE_BYTES) ? end - OA_PAGE_BYTES + first : tip;

    while (seq < c->seq && c->pos < ngx_min(tip, end)) {
        c->pos += oa_frame(oa_frame_len(pg, c->pos));
        seq++;
    }

    if (!oa_stream_holds(s, c->number)
        || c->pos > end
        || c->pos < end - OA_PAGE_BYTES)
    {
        return NGX_AGAIN;
    }

    c->seq = seq;

    return NGX_OK;
}


static void
oa_stream_missed(oa_stream_cursor_t *c, uint64_t seq, oa_stream_got_t *got)
{
    if (c->seq < seq) {
        got->gap_from = c->seq;
        got->gap_to = seq - 1;
        c->seq = seq;
    }

    got->seq = c->seq;
}


/* From the end of a page, which may have been given up, to the next one. */

static ngx_int_t
oa_stream_turn(oa_streams_t *t, oa_stream_t *s, oa_stream_cursor_t *c)
{
    uint64_t  head, number;

    number = c->pos / OA_PAGE_BYTES;

    if (c->page && c->number == number) {
        return NGX_OK;
    }

    head = __atomic_load_n(&s->head, __ATOMIC_ACQUIRE);

    if (oa_head_number(head) == number) {
        c->page = oa_head_page(head);

    } else if (c->page) {
        c->page = __atomic_load_n(&oa_stream_page(t, c->page)->next,
                                  __ATOMIC_ACQUIRE);

        if (!oa_stream_holds(s, c->number)) {
            return NGX_AGAIN;
        }
    }

    c->number = number;

    return (c->page && c->page <= t->npages) ? NGX_OK : NGX_AGAIN;
}


static ngx_int_t
oa_stream_copy_events(oa_streams_t *t, oa_stream_cursor_t *c, uint64_t tip,
    u_char *buf, size_t size, ngx_uint_t max, oa_stream_got_t *got)
{
    uint32_t  len;

    tip = oa_tip_pos(tip);
    got->seq = c->seq;

    while (c->pos < tip && (max == 0 || got->events < max)) {

        if (c->pos == (c->number + 1) * OA_PAGE_BYTES
            && oa_stream_next_page(t, c) != NGX_OK)
        {
            return NGX_AGAIN;
        }

        len = oa_frame_len(oa_stream_page(t, c->page), c->pos);

        if (oa_frame(len) > tip - c->pos) {
            return NGX_AGAIN;
        }

        if (len > size - got->len) {

            if (got->events) {
                break;
            }

            got->len = len;
            return NGX_BUSY;
        }

        if (oa_stream_copy_event(t, c, buf + got->len, len) != NGX_OK) {
            return NGX_AGAIN;
        }

        got->len += len;
        got->events++;
        c->seq++;
    }

    return NGX_OK;
}


static ngx_int_t
oa_stream_copy_event(oa_streams_t *t, oa_stream_cursor_t *c, u_char *buf,
    size_t len)
{
    size_t    n;
    uint64_t  end, pos;

    end = c->pos + oa_frame(len);
    pos = c->pos + OA_FRAME_HEAD;

    for ( ;; ) {
        n = ngx_min(len, (c->number + 1) * OA_PAGE_BYTES - pos);
        buf = ngx_cpymem(buf, oa_page_at(oa_stream_page(t, c->page), pos), n);

        len -= n;
        pos += n;

        if (len == 0) {
            break;
        }

        if (oa_stream_next_page(t, c) != NGX_OK) {
            return NGX_AGAIN;
        }
    }

    c->pos = end;

    return NGX_OK;
}
