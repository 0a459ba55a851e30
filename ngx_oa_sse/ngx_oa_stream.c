
/*
 * A stream: the exchange with the machine, and what it makes of the answer.
 *
 * What comes is read into a memory of the worker, which all streams share, and
 * goes into the zone from there.  Only what is unfinished, a head or an event,
 * is kept by the stream itself: one that is silent costs next to nothing.
 */


#include "ngx_oa_sse.h"


/* bytes read at once */
#define NGX_OA_STREAM_READ   65536

/* reads in a row before others have their turn */
#define NGX_OA_STREAM_READS  16

/* Of a buffer, what is written before its readers have theirs: with the heads
   of events, and without the page that is given up next, it has room. */
#define ngx_oa_stream_turn(buffer)  ((buffer) / 5 * 2)

/* bytes of an end in our own words, with a code that may be an agent's */
#define NGX_OA_STREAM_END_MAX  256


typedef struct {
    u_char                      *start;        /* of what is unfinished */
    u_char                      *last;
    u_char                      *end;          /* of the memory */
} ngx_oa_stream_read_t;


static void ngx_oa_stream_event(ngx_event_t *ev);
static ngx_int_t ngx_oa_stream_mute(ngx_event_t *wev);
static void ngx_oa_stream_send(ngx_oa_stream_t *st);
static void ngx_oa_stream_receive(ngx_oa_stream_t *st);
static ngx_int_t ngx_oa_stream_room(ngx_oa_stream_t *st,
    ngx_oa_stream_read_t *rd);
static ngx_int_t ngx_oa_stream_keep(ngx_oa_stream_t *st,
    ngx_oa_stream_read_t *rd);
static ngx_int_t ngx_oa_stream_take(ngx_oa_stream_t *st,
    ngx_oa_stream_read_t *rd, u_char *p);
static ngx_int_t ngx_oa_stream_head(ngx_oa_stream_t *st,
    ngx_oa_stream_read_t *rd, u_char **p);
static ngx_int_t ngx_oa_stream_events(ngx_oa_stream_t *st,
    ngx_oa_stream_read_t *rd);
static ngx_int_t ngx_oa_stream_add(ngx_oa_stream_t *st,
    const oa_sse_event_t *event);
static void ngx_oa_stream_add_event(ngx_oa_stream_t *st,
    const oa_sse_event_t *event, const oa_dialect_frame_t *frame);
static u_char *ngx_oa_stream_put(ngx_oa_stream_t *st, u_char *p,
    const ngx_str_t *s);
static void ngx_oa_stream_add_large(ngx_oa_stream_t *st, const u_char *data,
    size_t len);
static void ngx_oa_stream_wake(ngx_oa_stream_t *st);
static void ngx_oa_stream_complete(ngx_oa_stream_t *st,
    const ngx_oa_stream_read_t *rd);
static ngx_uint_t ngx_oa_stream_was_cut(ngx_connection_t *c);
static void ngx_oa_stream_agent_failed(ngx_oa_stream_t *st,
    oa_sse_error_t *error);
static void ngx_oa_stream_finish(ngx_oa_stream_t *st, ngx_oa_end_e end,
    oa_sse_error_t *error);
static void ngx_oa_stream_add_end(ngx_oa_stream_t *st, ngx_oa_end_e end,
    oa_sse_error_t *error);
static void ngx_oa_stream_tell_usage(ngx_oa_stream_t *st);
static void ngx_oa_stream_timer(ngx_event_t *ev);
static void ngx_oa_stream_set_timer(ngx_oa_stream_t *st);


const ngx_oa_end_t  ngx_oa_ends[NGX_OA_ENDS] = {
    { ngx_string("done"),
      ngx_string("The stream has ended.") },
    { ngx_string("agent_error"),
      ngx_string("The agent told of an error.") },
    { ngx_string("machine_unreachable"),
      ngx_string("The agent's machine cannot be reached.") },
    { ngx_string("machine_status"),
      ngx_string("The agent's machine answered with an error.") },
    { ngx_string("machine_type"),
      ngx_string("The agent's machine did not answer with a stream.") },
    { ngx_string("machine_protocol"),
      ngx_string("The agent's machine sent what is no proper answer.") },
    { ngx_string("stream_truncated"),
      ngx_string("The agent's answer broke off.") },
    { ngx_string("event_too_large"),
      ngx_string("The agent sent an event that is too large.") },
    { ngx_string("idle_timeout"),
      ngx_string("The agent was silent for too long.") },
    { ngx_string("max_duration"),
      ngx_string("The answer took too long.") },
    { ngx_string("stopped"),
      ngx_string("The stream was stopped.") },
    { ngx_string("abandoned"),
      ngx_string("Nobody was reading.") },
    { ngx_string("shutdown"),
      ngx_string("The service was restarted.") },
    { ngx_string("internal_error"),
      ngx_string("Something went wrong.") },
    { ngx_string("stream_lost"),
      ngx_string("The stream was lost.") }
};


/* Where everything is read to, and where a dialect decodes. */
static u_char  ngx_oa_stream_memory[NGX_OA_STREAM_READ];
static u_char  ngx_oa_stream_decoded[NGX_OA_STREAM_READ];


ngx_oa_stream_t *
ngx_oa_stream_create(ngx_oa_sse_loc_conf_t *slcf, const oa_stream_writer_t *w,
    const ngx_str_t *name)
{
    ngx_oa_stream_t  *st;

    st = ngx_calloc(sizeof(ngx_oa_stream_t), ngx_cycle->log);
    if (st == NULL) {
        return NULL;
    }

    st->conf = slcf;
    st->writer = *w;

    st->name.data = st->name_buf;
    st->name.len = name->len;
    ngx_memcpy(st->name_buf, name->data, name->len);

    oa_sse_init(&st->sse);
    oa_dialect_init(&st->dialect, slcf->dialect);

    ngx_queue_init(&st->readers);
    ngx_queue_insert_tail(&ngx_oa_streams.streams, &st->queue);
    ngx_oa_streams.own[w->ref.slot] = st;

    st->timer.handler = ngx_oa_stream_timer;
    st->timer.data = st;
    st->timer.log = ngx_cycle->log;

    ngx_oa_count(NGX_OA_COUNT_STREAMS);

    return st;
}


void
ngx_oa_stream_begin(ngx_oa_stream_t *st, const ngx_oa_target_t *target,
    const ngx_str_t *request)
{
    st->request = *request;
    st->started = ngx_current_msec;
    st->heard = ngx_current_msec;

    ngx_oa_stream_set_timer(st);
    ngx_oa_streams_watch();

    ngx_oa_peer_connect(st, target);
}


void
ngx_oa_stream_connected(ngx_oa_stream_t *st)
{
    ngx_connection_t  *c;

    c = st->connection;

    c->read->handler = ngx_oa_stream_event;
    c->write->handler = ngx_oa_stream_event;

    st->state = NGX_OA_STREAM_HEAD;
    st->heard = ngx_current_msec;

    ngx_oa_stream_set_timer(st);
    ngx_oa_stream_send(st);
}


static void
ngx_oa_stream_event(ngx_event_t *ev)
{
    ngx_connection_t  *c;
    ngx_oa_stream_t   *st;

    c = ev->data;
    st = c->data;

    if (c->close) {
        ngx_oa_stream_end(st, NGX_OA_END_SHUTDOWN);

    } else if (ev->write) {
        ngx_oa_stream_send(st);

    } else {
        ngx_oa_stream_receive(st);
    }
}


/*
 * An edge-triggered connection tells with all that comes that it can be
 * written to, which is of no use any more.
 */

static ngx_int_t
ngx_oa_stream_mute(ngx_event_t *wev)
{
    return wev->active ? ngx_del_event(wev, NGX_WRITE_EVENT, 0) : NGX_OK;
}


/* A machine may answer before it has read all: what it says counts. */

static void
ngx_oa_stream_send(ngx_oa_stream_t *st)
{
    ssize_t            n;
    ngx_int_t          rc;
    ngx_connection_t  *c;

    c = st->connection;

    while (st->sent < st->request.len) {

        n = c->send(c, st->request.data + st->sent,
                    st->request.len - st->sent);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR || n == 0) {
            st->sent = st->request.len;
            break;
        }

        st->sent += n;
    }

    if (st->sent == st->request.len) {
        ngx_oa_target_forget(&st->request);
        st->sent = 0;

        rc = ngx_oa_stream_mute(c->write);

    } else {
        rc = ngx_handle_write_event(c->write, 0);
    }

    if (rc != NGX_OK || ngx_handle_read_event(c->read, 0) != NGX_OK) {
        ngx_oa_stream_end(st, NGX_OA_END_INTERNAL);
        return;
    }

    if (c->read->ready) {
        ngx_post_event(c->read, &ngx_posted_events);
    }
}


static void
ngx_oa_stream_receive(ngx_oa_stream_t *st)
{
    ssize_t                n;
    u_char                *p;
    ngx_int_t              rc;
    ngx_uint_t             i;
    ngx_connection_t      *c;
    ngx_oa_stream_read_t   rd;

    c = st->connection;

    for (i = 0; i < NGX_OA_STREAM_READS; i++) {

        if (ngx_oa_stream_room(st, &rd) != NGX_OK) {
            return;
        }

        oa_stream_prefetch(&st->writer);

        n = c->recv(c, rd.last, rd.end - rd.last);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR) {
            ngx_oa_stream_fail(st, NGX_OA_END_TRUNCATED, ngx_socket_errno,
                               "the machine has cut the connection");
            return;
        }

        if (n == 0) {
            ngx_oa_stream_complete(st, &rd);
            return;
        }

        st->heard = ngx_current_msec;

        p = rd.last;
        rd.last += n;

        rc = ngx_oa_stream_take(st, &rd, p);

        if (rc != NGX_OK || ngx_oa_stream_keep(st, &rd) != NGX_OK) {
            return;
        }

        if (!c->read->ready) {
            break;
        }
    }

    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        ngx_oa_stream_end(st, NGX_OA_END_INTERNAL);
        return;
    }

    if (c->read->ready) {
        ngx_post_event(c->read, &ngx_posted_next_events);
    }
}


/* Where to read to: behind what is unfinished, or to the common memory. */

static ngx_int_t
ngx_oa_stream_room(ngx_oa_stream_t *st, ngx_oa_stream_read_t *rd)
{
    size_t   size, max;
    u_char  *buf;

    if (st->len == 0) {
        rd->start = ngx_oa_stream_memory;
        rd->last = rd->start;
        rd->end = rd->start + NGX_OA_STREAM_READ;
        return NGX_OK;
    }

    if (st->len == st->size) {
        max = (st->state == NGX_OA_STREAM_HEAD) ? OA_RESPONSE_HEAD_MAX
                                                : NGX_OA_SSE_EVENT_MAX;

        if (st->size >= max) {
            ngx_oa_stream_fail(st, st->state == NGX_OA_STREAM_HEAD
                                   ? NGX_OA_END_PROTOCOL : NGX_OA_END_EVENT,
                               0, "what the machine sends has no end");
            return NGX_ERROR;
        }

        size = ngx_min(st->size * 2, max);

        buf = ngx_alloc(size, ngx_cycle->log);
        if (buf == NULL) {
            ngx_oa_stream_end(st, NGX_OA_END_INTERNAL);
            return NGX_ERROR;
        }

        ngx_memcpy(buf, st->buf, st->len);
        ngx_free(st->buf);

        st->buf = buf;
        st->size = size;
    }

    rd->start = st->buf;
    rd->last = st->buf + st->len;
    rd->end = st->buf + st->size;

    return NGX_OK;
}


/* What is unfinished stays with the stream. */

static ngx_int_t
ngx_oa_stream_keep(ngx_oa_stream_t *st, ngx_oa_stream_read_t *rd)
{
    size_t  len;

    len = rd->last - rd->start;

    if (len == 0) {

        if (st->buf) {
            ngx_free(st->buf);
            st->buf = NULL;
            st->size = 0;
        }

        st->len = 0;
        return NGX_OK;
    }

    if (st->buf == NULL) {
        st->size = ngx_max(len * 2, 1024);

        st->buf = ngx_alloc(st->size, ngx_cycle->log);
        if (st->buf == NULL) {
            ngx_oa_stream_end(st, NGX_OA_END_INTERNAL);
            return NGX_ERROR;
        }
    }

    if (rd->start != st->buf) {
        ngx_memmove(st->buf, rd->start, len);
    }

    st->len = len;

    return NGX_OK;
}


/*
 * Takes what has come to p: the head, then spans of the body, which are put
 * one behind the other where an event, or its beginning, is.  NGX_ERROR: the
 * stream has ended.
 */

static ngx_int_t
ngx_oa_stream_take(ngx_oa_stream_t *st, ngx_oa_stream_read_t *rd, u_char *p)
{
    u_char     *last;
    ngx_int_t   rc;
    ngx_str_t   span;

    if (st->state == NGX_OA_STREAM_HEAD) {
        rc = ngx_oa_stream_head(st, rd, &p);

        if (rc != NGX_OK) {
            return rc == NGX_AGAIN ? NGX_OK : NGX_ERROR;
        }
    }

    last = rd->last;
    rd->last = p;

    if (rd->start == p) {
        rd->last = NULL;
    }

    for ( ;; ) {
        rc = oa_response_body(&st->response, &p, last, &span);

        if (rc == NGX_OK) {

            if (rd->last == NULL) {
                rd->start = span.data;

            } else if (rd->last != span.data) {
                ngx_memmove(rd->last, span.data, span.len);
                span.data = rd->last;
            }

            rd->last = span.data + span.len;
            continue;
        }

        if (rd->last == NULL) {
            rd->last = rd->start;
        }

        if (rd->last != rd->start
            && ngx_oa_stream_events(st, rd) != NGX_OK)
        {
            return NGX_ERROR;
        }

        switch (rc) {

        case NGX_AGAIN:
            return NGX_OK;

        case NGX_DONE:
            ngx_oa_stream_complete(st, rd);
            return NGX_ERROR;

        default:
            ngx_oa_stream_fail(st, NGX_OA_END_PROTOCOL, 0,
                               "the machine sent an invalid chunk");
            return NGX_ERROR;
        }
    }
}


/* NGX_OK: *p is where the body begins. */

static ngx_int_t
ngx_oa_stream_head(ngx_oa_stream_t *st, ngx_oa_stream_read_t *rd, u_char **p)
{
    size_t       used;
    ngx_int_t    rc;
    const char  *why;

    static const ngx_str_t  type = ngx_string("text/event-stream");
    static const ngx_str_t  identity = ngx_string("identity");

    rc = oa_response_head(&st->response, rd->start, rd->last - rd->start,
                          &used, &why);

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (rc != NGX_OK) {
        ngx_oa_stream_fail(st, NGX_OA_END_PROTOCOL, 0, why);
        return NGX_ERROR;
    }

    if (st->response.status != NGX_HTTP_OK) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "stream \"%V\": the machine answered with status %ui",
                      &st->name, st->response.status);
        ngx_oa_stream_end(st, NGX_OA_END_STATUS);
        return NGX_ERROR;
    }

    if (!oa_media_type_is(&st->response.content_type, &type)) {
        ngx_oa_stream_fail(st, NGX_OA_END_TYPE, 0,
                           "the machine's answer is no text/event-stream");
        return NGX_ERROR;
    }

    if (st->response.content_encoding.len
        && (st->response.content_encoding.len != identity.len
            || ngx_strncasecmp(st->response.content_encoding.data,
                               identity.data, identity.len)
               != 0))
    {
        ngx_oa_stream_fail(st, NGX_OA_END_TYPE, 0,
                           "the machine's answer is compressed");
        return NGX_ERROR;
    }

    ngx_str_null(&st->response.content_type);
    ngx_str_null(&st->response.content_encoding);

    st->state = NGX_OA_STREAM_BODY;

    rd->start += used;
    *p = rd->start;

    return NGX_OK;
}


/* All events there are; what is left begins one that is not finished. */

static ngx_int_t
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

    ngx_oa_stream_wake(st);

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
    u_char          text[OA_STREAM_EVENT_LINE_MAX], *p, *last;
    ngx_str_t       line, span;
    ngx_uint_t      i;
    oa_sse_spans_t  spans;

    line.data = text;
    line.len = oa_stream_event_line(text, &st->name,
                                    oa_stream_seq(&st->writer))
               - text;

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

    last = p;

    if (frame == NULL) {
        oa_sse_spans(&spans, event, &line);

        while (oa_sse_span(&spans, &span)) {
            last = ngx_oa_stream_put(st, last, &span);
        }

    } else {
        last = ngx_oa_stream_put(st, last, &line);

        for (i = 0; i < sizeof(frame->part) / sizeof(frame->part[0]); i++) {
            last = ngx_oa_stream_put(st, last, &frame->part[i]);
        }
    }

    if (p) {
        ngx_oa_stream_add_large(st, p, last - p);
        ngx_free(p);
        return;
    }

    (void) oa_stream_commit(&ngx_oa_streams.zone, &st->writer, ngx_oa_now());
}


static u_char *
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


static void
ngx_oa_stream_wake(ngx_oa_stream_t *st)
{
    ngx_queue_t  *q;

    for (q = ngx_queue_head(&st->readers);
         q != ngx_queue_sentinel(&st->readers);
         q = ngx_queue_next(q))
    {
        ngx_oa_reader_wake(ngx_queue_data(q, ngx_oa_reader_t, queue));
    }
}


/*
 * The connection, or the body, has come to its end.  Where only the connection
 * tells of it, an event that is not finished tells that the machine has died.
 */

static void
ngx_oa_stream_complete(ngx_oa_stream_t *st, const ngx_oa_stream_read_t *rd)
{
    ngx_uint_t      open, rest, done;
    oa_sse_event_t  event;

    if (st->state == NGX_OA_STREAM_HEAD) {
        ngx_oa_stream_fail(st, NGX_OA_END_TRUNCATED, 0,
                           "the machine has closed before it answered");
        return;
    }

    open = (st->response.body == OA_RESPONSE_TO_THE_END);

    if (!oa_response_is_complete(&st->response)
        || (open && ngx_oa_stream_was_cut(st->connection)))
    {
        ngx_oa_stream_fail(st, NGX_OA_END_TRUNCATED, 0,
                           "the machine has closed in the middle of its "
                           "answer");
        return;
    }

    rest = oa_sse_rest(&st->sse, rd->start, rd->last - rd->start, &event);

    done = rest && event.done;

    if (open && rest && !done) {
        ngx_oa_stream_fail(st, NGX_OA_END_TRUNCATED, 0,
                           "the machine has closed in the middle of an event");

    } else if (!done && !oa_dialect_is_complete(&st->dialect)) {
        ngx_oa_stream_fail(st, NGX_OA_END_TRUNCATED, 0,
                           "the agent did not say that it has finished");

    } else {
        ngx_oa_stream_end(st, NGX_OA_END_DONE);
    }
}


/*
 * A reset that was met while sending, or in TLS, looks like an end when it is
 * read; in TLS the end is said (RFC 9112, 9.8).
 */

static ngx_uint_t
ngx_oa_stream_was_cut(ngx_connection_t *c)
{
#if (NGX_SSL)
    if (c->ssl
        && !(SSL_get_shutdown(c->ssl->connection) & SSL_RECEIVED_SHUTDOWN))
    {
        return 1;
    }
#endif

    return c->write->error;
}


void
ngx_oa_stream_fail(ngx_oa_stream_t *st, ngx_oa_end_e end, ngx_err_t err,
    const char *why)
{
    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, err,
                  "stream \"%V\" failed: %s", &st->name, why);

    ngx_oa_stream_end(st, end);
}


void
ngx_oa_stream_end(ngx_oa_stream_t *st, ngx_oa_end_e end)
{
    oa_sse_error_t  error;

    ngx_memzero(&error, sizeof(oa_sse_error_t));

    error.text = ngx_oa_ends[end].text;
    error.code = ngx_oa_ends[end].code;

    ngx_oa_stream_finish(st, end, &error);
}


static void
ngx_oa_stream_agent_failed(ngx_oa_stream_t *st, oa_sse_error_t *error)
{
    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "stream \"%V\": the agent told of an error, \"%V\"",
                  &st->name, &error->code);

    ngx_oa_stream_finish(st, NGX_OA_END_AGENT, error);
}


static void
ngx_oa_stream_finish(ngx_oa_stream_t *st, ngx_oa_end_e end,
    oa_sse_error_t *error)
{
    uint64_t          now;
    ngx_queue_t      *q;
    ngx_oa_reader_t  *rd;

    ngx_oa_stream_close(st);
    ngx_oa_peer_free(st);
    ngx_oa_target_forget(&st->request);

    ngx_oa_stream_add_end(st, end, error);

    now = ngx_oa_now();

    ngx_oa_streams.own[st->writer.ref.slot] = NULL;

    oa_stream_end(&ngx_oa_streams.zone, &st->writer,
                  end == NGX_OA_END_DONE ? OA_STREAM_DONE : OA_STREAM_FAILED,
                  end, now);

    ngx_oa_count(end == NGX_OA_END_DONE ? NGX_OA_COUNT_STREAM_DONE
                 : end == NGX_OA_END_STOPPED ? NGX_OA_COUNT_STREAM_STOPPED
                 : end == NGX_OA_END_ABANDONED ? NGX_OA_COUNT_STREAM_ABANDONED
                 : NGX_OA_COUNT_STREAM_FAILED);

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "stream \"%V\" has ended: %V", &st->name,
                  &ngx_oa_ends[end].code);

    ngx_oa_stream_tell_usage(st);

    /* those who read it go on by themselves */

    while (!ngx_queue_empty(&st->readers)) {
        q = ngx_queue_head(&st->readers);
        rd = ngx_queue_data(q, ngx_oa_reader_t, queue);

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&ngx_oa_streams.readers, q);

        rd->stream = NULL;
        ngx_oa_reader_wake(rd);
    }

    if (st->timer.timer_set) {
        ngx_del_timer(&st->timer);
    }

    ngx_queue_remove(&st->queue);

    if (st->buf) {
        ngx_free(st->buf);
    }

    ngx_free(st);
}


/*
 * The last event: oa_stream_end() lets it be seen.  Words of an agent that
 * would push out all it has said before are not told; where even our own find
 * no room, readers say it themselves, by the code.
 */

static void
ngx_oa_stream_add_end(ngx_oa_stream_t *st, ngx_oa_end_e end,
    oa_sse_error_t *error)
{
    u_char     line[OA_STREAM_EVENT_LINE_MAX], ours[NGX_OA_STREAM_END_MAX];
    u_char    *p;
    ngx_str_t  s;

    s.data = line;
    s.len = oa_stream_event_line(line, &st->name, oa_stream_seq(&st->writer))
            - line;

    (void) ngx_oa_stream_put(st, NULL, &s);

    p = NULL;

    if (end == NGX_OA_END_DONE) {
        s = oa_sse_done;

    } else {
        s.data = ours;
        s.len = oa_sse_error_size(error);

        if (s.len > sizeof(ours)) {

            if (s.len <= st->conf->buffer / 2) {
                p = ngx_alloc(s.len, ngx_cycle->log);
            }

            if (p) {
                s.data = p;

            } else {
                error->text = ngx_oa_ends[end].text;
                s.len = oa_sse_error_size(error);
            }
        }

        (void) oa_sse_error(s.data, error);
    }

    (void) ngx_oa_stream_put(st, NULL, &s);

    if (p) {
        ngx_free(p);
    }
}


/* Whose stream it was tells the access log, by $sent_http_oa_stream. */

static void
ngx_oa_stream_tell_usage(ngx_oa_stream_t *st)
{
    oa_dialect_usage_t  *usage;

    ngx_oa_count_more(NGX_OA_COUNT_STREAM_STRANGE, st->dialect.strange);

    usage = &st->dialect.usage;

    if (usage->prompt < 0 && usage->completion < 0 && usage->total < 0) {
        return;
    }

    ngx_oa_count_more(NGX_OA_COUNT_STREAM_PROMPT_TOKENS,
                      ngx_max(usage->prompt, 0));
    ngx_oa_count_more(NGX_OA_COUNT_STREAM_COMPLETION_TOKENS,
                      ngx_max(usage->completion, 0));

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "stream \"%V\": tokens used: prompt %L, completion %L, "
                  "total %L", &st->name, usage->prompt, usage->completion,
                  usage->total);
}


void
ngx_oa_stream_is_alone(ngx_oa_stream_t *st)
{
    st->alone = ngx_current_msec;

    ngx_oa_stream_set_timer(st);
}


/*
 * One timer for all limits.  It is not set anew with each event, but looks
 * what there was when it fires.
 */

static void
ngx_oa_stream_set_timer(ngx_oa_stream_t *st)
{
    ngx_msec_t  at, left, now;

    now = ngx_current_msec;

    if (st->state < NGX_OA_STREAM_HEAD) {
        at = st->started + NGX_OA_SSE_CONNECT;

    } else {
        at = st->heard + st->conf->idle_timeout;
    }

    at = ngx_min(at, st->started + st->conf->max_duration);

    if (ngx_queue_empty(&st->readers) && st->alone) {
        at = ngx_min(at, ngx_max(st->alone, oa_stream_read_at(&st->writer))
                         + st->conf->keep);
    }

    left = (at > now) ? at - now : 1;

    if (st->timer.timer_set) {
        ngx_del_timer(&st->timer);
    }

    ngx_add_timer(&st->timer, left);
}


static void
ngx_oa_stream_timer(ngx_event_t *ev)
{
    ngx_msec_t        now;
    ngx_oa_stream_t  *st;

    st = ev->data;
    now = ngx_current_msec;

    if (st->state < NGX_OA_STREAM_HEAD) {

        if (now - st->started >= NGX_OA_SSE_CONNECT) {
            ngx_oa_stream_fail(st, NGX_OA_END_UNREACHABLE, NGX_ETIMEDOUT,
                               "the machine could not be connected to in "
                               "time");
            return;
        }

    } else if (now - st->heard >= st->conf->idle_timeout) {
        ngx_oa_stream_fail(st, NGX_OA_END_IDLE, NGX_ETIMEDOUT,
                           "the machine was silent for too long");
        return;
    }

    if (now - st->started >= st->conf->max_duration) {
        ngx_oa_stream_fail(st, NGX_OA_END_DURATION, NGX_ETIMEDOUT,
                           "it took too long");
        return;
    }

    if (ngx_queue_empty(&st->readers) && st->alone
        && now >= st->alone + st->conf->keep
        && now >= oa_stream_read_at(&st->writer) + st->conf->keep)
    {
        ngx_oa_stream_end(st, NGX_OA_END_ABANDONED);
        return;
    }

    ngx_oa_stream_set_timer(st);
}
