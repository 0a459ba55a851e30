
/*
 * From a machine's events to those of the stream: translated, numbered, put
 * into the buffer, and told to the readers of this worker.
 */


#include "ngx_oa_stream.h"


/* Of a buffer, what is written before its readers have theirs: with the heads
   of events, and without the page that is given up next, it has room. */
#define ngx_oa_stream_turn(buffer)  ((buffer) / 5 * 2)


static ngx_int_t ngx_oa_stream_add(ngx_oa_stream_t *st,
    const oa_sse_event_t *event);
static void ngx_oa_stream_add_event(ngx_oa_stream_t *st,
    const oa_sse_event_t *event, const oa_dialect_frame_t *frame);
static void ngx_oa_stream_add_large(ngx_oa_stream_t *st, const u_char *data,
    size_t len);


/* Where a dialect decodes. */
static u_char  ngx_oa_stream_decoded[NGX_OA_STREAM_READ];


/* All events there are; what is left begins one that is not finished. */

ngx_int_t
ngx_oa_stream_events(ngx_oa_stream_t *st, ngx_oa_stream_read_t *rd)
{
    size_t          used;
    ngx_int_t       rc;
    oa_sse_event_t  event;

    for ( ;; ) {
        rc = oa_sse_next(&st->sse, rd->start, rd->last - rd->start, &used,
                         &event);
        rd->start += used;

        if (rc != NGX_OK) {
            break;
        }

        if (ngx_oa_stream_add(st, &event) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    ngx_oa_readers_each(&st->readers, ngx_oa_reader_go, NULL);

    return NGX_OK;
}


static ngx_int_t
ngx_oa_stream_add(ngx_oa_stream_t *st, const oa_sse_event_t *event)
{
    u_char              *decoded;
    oa_dialect_act_e     act;
    oa_dialect_frame_t   frame;

    decoded = ngx_oa_stream_decoded;

    if (event->raw.len > NGX_OA_STREAM_READ) {
        decoded = ngx_alloc(event->raw.len, ngx_cycle->log);
        if (decoded == NULL) {
            ngx_oa_stream_end(st, NGX_OA_END_INTERNAL);
            return NGX_ERROR;
        }
    }

    act = oa_dialect_event(&st->dialect, event, decoded, &frame);

    switch (act) {

    case OA_DIALECT_PASS:
    case OA_DIALECT_FRAME:
        ngx_oa_stream_add_event(st, event, act == OA_DIALECT_FRAME ? &frame
                                                                   : NULL);
        break;

    case OA_DIALECT_DONE:
        ngx_oa_stream_end(st, NGX_OA_END_DONE);
        break;

    case OA_DIALECT_FAILED:
        ngx_oa_stream_agent_failed(st, &frame.error);
        break;

    default: /* OA_DIALECT_NOTHING */
        break;
    }

    if (decoded != ngx_oa_stream_decoded) {
        ngx_free(decoded);
    }

    return (act == OA_DIALECT_DONE || act == OA_DIALECT_FAILED) ? NGX_ERROR
                                                                : NGX_OK;
}


/* The event as it is, or what a dialect has made of it, with our id. */

static void
ngx_oa_stream_add_event(ngx_oa_stream_t *st, const oa_sse_event_t *event,
    const oa_dialect_frame_t *frame)
{
    size_t          len, turn;
    u_char         *p, *last;
    ngx_str_t       line, span;
    ngx_uint_t      i;
    oa_sse_spans_t  spans;

    static const ngx_str_t  none = ngx_null_string;

    line.data = st->line;
    line.len = oa_stream_event_number(st->number, oa_stream_seq(&st->writer))
               - st->line;

    /* a frame is shorter than the event that it is made of */

    len = line.len + event->raw.len + 1;
    turn = ngx_oa_stream_turn(st->conf->buffer);
    p = NULL;

    if (len > turn) {
        p = ngx_alloc(len, ngx_cycle->log);

    } else if (st->unseen + len > turn) {
        ngx_oa_readers_each(&st->readers, ngx_oa_reader_go, NULL);
        st->unseen = 0;
    }

    st->unseen += len;

    last = ngx_oa_stream_put(st, p, &line);

    if (frame) {
        for (i = 0; i < sizeof(frame->part) / sizeof(frame->part[0]); i++) {
            last = ngx_oa_stream_put(st, last, &frame->part[i]);
        }

    } else if (oa_sse_is_one_span(event)) {
        last = ngx_oa_stream_put(st, last, &event->raw);

    } else {
        oa_sse_spans(&spans, event, &none);

        while (oa_sse_span(&spans, &span)) {
            last = ngx_oa_stream_put(st, last, &span);
        }
    }

    if (p) {
        ngx_oa_stream_add_large(st, p, last - p);
        ngx_free(p);
        return;
    }

    (void) oa_stream_commit(&ngx_oa_streams.zone, &st->writer, ngx_oa_now());
}


u_char *
ngx_oa_stream_put(ngx_oa_stream_t *st, u_char *p, const ngx_str_t *s)
{
    if (p) {
        return s->len ? ngx_cpymem(p, s->data, s->len) : p;
    }

    /* one that finds no room is a gap, which commit makes */

    (void) oa_stream_write(&ngx_oa_streams.zone, &st->writer, s->data,
                           s->len);

    return NULL;
}


/*
 * It would push everything else out of the buffer, or not even fit: who has
 * read all before it gets it from here.
 */

static void
ngx_oa_stream_add_large(ngx_oa_stream_t *st, const u_char *data, size_t len)
{
    ngx_oa_large_t  large;

    ngx_oa_readers_each(&st->readers, ngx_oa_reader_go, NULL);

    large.seq = oa_stream_seq(&st->writer);
    large.data = data;
    large.len = len;

    (void) oa_stream_append(&ngx_oa_streams.zone, &st->writer, data, len,
                            ngx_oa_now());

    ngx_oa_readers_each(&st->readers, ngx_oa_reader_push, &large);
}
