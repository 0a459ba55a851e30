
/*
 * Readers: requests that are answered with a stream, from its buffer.
 *
 * A reader has at most one buffer on its way to the client, and takes more
 * when that was sent: one that is slow holds nobody up, and falls behind in
 * the stream's buffer until it finds a gap.
 */


#include "ngx_oa_reader.h"
#include "oa_field.h"


/* when to come back: spread, lest all do at once */
#define NGX_OA_READER_RETRY  500             /* ms */
#define NGX_OA_READER_SPREAD 2500


static void ngx_oa_reader_cleanup(void *data);
static void ngx_oa_reader_leave(ngx_oa_reader_t *rd);
static void ngx_oa_reader_finalize(ngx_oa_reader_t *rd, ngx_int_t rc);
static ngx_int_t ngx_oa_reader_send_head(ngx_oa_reader_t *rd, uint64_t seq);
static ngx_int_t ngx_oa_reader_name(ngx_oa_reader_t *rd);
static void ngx_oa_reader_event(ngx_event_t *ev);
static void ngx_oa_reader_write(ngx_http_request_t *r);
static ngx_int_t ngx_oa_reader_run(ngx_oa_reader_t *rd);
static ngx_int_t ngx_oa_reader_take(ngx_oa_reader_t *rd);
static ngx_int_t ngx_oa_reader_take_large(ngx_oa_reader_t *rd, size_t len);
static void ngx_oa_reader_took(ngx_oa_reader_t *rd,
    const oa_stream_got_t *got);
static ngx_int_t ngx_oa_reader_gap(ngx_oa_reader_t *rd,
    const oa_stream_got_t *got);
static ngx_int_t ngx_oa_reader_first(ngx_oa_reader_t *rd);
static ngx_int_t ngx_oa_reader_problem(ngx_http_request_t *r,
    ngx_uint_t status, ngx_uint_t end);
static ngx_int_t ngx_oa_reader_ended(ngx_oa_reader_t *rd);
static u_char *ngx_oa_reader_lost_end(u_char *p, const ngx_str_t *name,
    uint64_t from);


static const ngx_str_t  ngx_oa_accept = ngx_string("accept");
static const ngx_str_t  ngx_oa_event_stream = ngx_string("text/event-stream");


ngx_int_t
ngx_oa_reader_begin(ngx_http_request_t *r, oa_stream_ref_t ref,
    const ngx_str_t *name, uint64_t seq, ngx_oa_stream_t *st)
{
    ngx_int_t            rc;
    ngx_oa_reader_t     *rd;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_oa_reader_t));
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rd = cln->data;
    ngx_memzero(rd, sizeof(ngx_oa_reader_t));

    rd->request = r;
    rd->conf = ngx_http_get_module_loc_conf(r, ngx_oa_sse_module);
    rd->stream = st;
    rd->name = *name;
    rd->delivered = seq;
    rd->wrote = ngx_current_msec;

    if (oa_stream_seek(&ngx_oa_streams.zone, ref, seq ? seq + 1 : 0,
                       &rd->cursor)
        == NGX_ERROR)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rd->event.handler = ngx_oa_reader_event;
    rd->event.data = rd;
    rd->event.log = r->connection->log;

    ngx_queue_insert_tail(st ? &st->readers : &ngx_oa_streams.readers,
                          &rd->queue);

    cln->handler = ngx_oa_reader_cleanup;

    ngx_http_set_ctx(r, rd, ngx_oa_sse_module);

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_oa_reader_write;

    oa_stream_touch(&ngx_oa_streams.zone, ref, ngx_oa_now());

    /* a client that has gone already does not tell of it again */

    if (r->connection->read->ready) {
        ngx_post_event(r->connection->read, &ngx_posted_events);
    }

    if (seq || ngx_oa_reader_is_sse(r)) {
        rc = ngx_oa_reader_open(r, name);

        if (rc == NGX_OK) {
            rd->state = NGX_OA_READER_OPEN;
            rc = ngx_oa_reader_send_head(rd, seq);
        }

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }
    }

    ngx_add_timer(&rd->event, rd->conf->heartbeat);

    ngx_oa_reader_wake(rd);
    ngx_oa_streams_watch();

    return NGX_DONE;
}


ngx_uint_t
ngx_oa_reader_is_sse(ngx_http_request_t *r)
{
    ngx_str_t  *accept;

    accept = ngx_oa_request_header(r, &ngx_oa_accept, NULL);

    return accept && oa_field_has(accept, &ngx_oa_event_stream);
}


static void
ngx_oa_reader_cleanup(void *data)
{
    ngx_oa_reader_t *rd = data;

    ngx_oa_reader_leave(rd);

    if (rd->buf.start) {
        ngx_free(rd->buf.start);
    }
}


/* Nobody wakes it any more: the request may go on, with an error page. */

static void
ngx_oa_reader_leave(ngx_oa_reader_t *rd)
{
    ngx_queue_remove(&rd->queue);
    ngx_queue_init(&rd->queue);

    if (rd->event.timer_set) {
        ngx_del_timer(&rd->event);
    }

    if (rd->event.posted) {
        ngx_delete_posted_event(&rd->event);
    }

    if (rd->stream && ngx_queue_empty(&rd->stream->readers)) {
        ngx_oa_stream_is_alone(rd->stream);
    }

    rd->stream = NULL;
}


static void
ngx_oa_reader_finalize(ngx_oa_reader_t *rd, ngx_int_t rc)
{
    ngx_oa_reader_leave(rd);
    ngx_http_finalize_request(rd->request, rc);
}


/*
 * The first event may take its time.  Of HTTP/2 over TLS nginx keeps the head
 * in a buffer as long as it has no data to send, whoever asks for a flush.
 */

static ngx_int_t
ngx_oa_reader_send_head(ngx_oa_reader_t *rd, uint64_t seq)
{
    ngx_http_request_t  *r;

    r = rd->request;

    if (r->method == NGX_HTTP_GET && seq == 0) {
        return ngx_oa_reader_name(rd);
    }

    if (r->http_version >= NGX_HTTP_VERSION_20) {
        return ngx_oa_reader_copy(rd, oa_sse_heartbeat.data,
                                  oa_sse_heartbeat.len);
    }

    return ngx_http_send_special(r, NGX_HTTP_FLUSH);
}


/*
 * An EventSource that is cut before the first event has no id to come back
 * with, and would begin another stream: it gets the name first.
 */

static ngx_int_t
ngx_oa_reader_name(ngx_oa_reader_t *rd)
{
    u_char            text[OA_STREAM_EVENT_LINE_MAX + 1];
    oa_sse_message_t  message;

    ngx_memzero(&message, sizeof(oa_sse_message_t));

    message.id = rd->name;

    return ngx_oa_reader_copy(rd, text, oa_sse_message(text, &message) - text);
}


void
ngx_oa_reader_wake(ngx_oa_reader_t *rd)
{
    if (!rd->busy) {
        ngx_post_event(&rd->event, &ngx_posted_events);
    }
}


/* Something is new, or a while has passed. */

static void
ngx_oa_reader_event(ngx_event_t *ev)
{
    ngx_msec_t          silent;
    ngx_oa_reader_t    *rd;
    ngx_connection_t   *c;

    rd = ev->data;
    c = rd->request->connection;

    ngx_http_set_log_request(c->log, rd->request);

    if (ev->timedout) {
        ev->timedout = 0;

        silent = ngx_current_msec - rd->wrote;

        if (silent >= rd->conf->heartbeat) {
            silent = 0;

            if (rd->state == NGX_OA_READER_OPEN && !rd->busy
                && ngx_oa_reader_copy(rd, oa_sse_heartbeat.data,
                                      oa_sse_heartbeat.len)
                   == NGX_ERROR)
            {
                ngx_oa_reader_finalize(rd, NGX_ERROR);
                ngx_http_run_posted_requests(c);
                return;
            }
        }

        ngx_add_timer(&rd->event, rd->conf->heartbeat - silent);
    }

    ngx_oa_reader_go(rd, NULL);
    ngx_http_run_posted_requests(c);
}


static void
ngx_oa_reader_write(ngx_http_request_t *r)
{
    ngx_event_t      *wev;
    ngx_oa_reader_t  *rd;

    wev = r->connection->write;
    rd = ngx_http_get_module_ctx(r, ngx_oa_sse_module);

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, NGX_ETIMEDOUT,
                      "client timed out");

        r->connection->timedout = 1;
        ngx_oa_reader_finalize(rd, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    /* only what the client takes is a reason to wait longer */

    if (wev->timer_set) {
        ngx_del_timer(wev);
    }

    ngx_oa_reader_go(rd, NULL);
}


void
ngx_oa_readers_each(ngx_queue_t *readers,
    void (*each)(ngx_oa_reader_t *rd, void *data), void *data)
{
    ngx_queue_t        todo, *q;
    ngx_oa_reader_t   *rd;
    ngx_connection_t  *c;

    if (ngx_queue_empty(readers)) {
        return;
    }

    ngx_queue_init(&todo);
    ngx_queue_add(&todo, readers);
    ngx_queue_init(readers);

    /* one that goes may take others along, of the same connection */

    while (!ngx_queue_empty(&todo)) {
        q = ngx_queue_head(&todo);
        rd = ngx_queue_data(q, ngx_oa_reader_t, queue);

        ngx_queue_remove(q);
        ngx_queue_insert_tail(readers, q);

        c = rd->request->connection;

        each(rd, data);

        ngx_http_run_posted_requests(c);
    }
}


void
ngx_oa_reader_go(ngx_oa_reader_t *rd, void *data)
{
    ngx_int_t  rc;

    rc = ngx_oa_reader_run(rd);

    if (rc != NGX_AGAIN) {
        ngx_oa_reader_finalize(rd, rc == NGX_DONE ? rd->rc : NGX_ERROR);
    }
}


/*
 * NGX_AGAIN: it waits, for the stream or for the client.  NGX_DONE: the
 * request is to be finalized with rd->rc.
 */

static ngx_int_t
ngx_oa_reader_run(ngx_oa_reader_t *rd)
{
    ngx_int_t  rc;

    rc = ngx_oa_reader_flush(rd);

    if (rc == NGX_OK && rd->state == NGX_OA_READER_HELD) {
        rc = ngx_oa_reader_first(rd);
    }

    while (rc == NGX_OK) {

        if (rd->state == NGX_OA_READER_ENDED) {
            rd->rc = ngx_http_send_special(rd->request, NGX_HTTP_LAST);
            return NGX_DONE;
        }

        rc = ngx_oa_reader_take(rd);
    }

    return (rc == NGX_AGAIN) ? ngx_oa_reader_wait(rd) : rc;
}


static ngx_int_t
ngx_oa_reader_take(ngx_oa_reader_t *rd)
{
    ngx_int_t        rc;
    oa_stream_got_t  got;

    rc = oa_stream_read(&ngx_oa_streams.zone, &rd->cursor, ngx_oa_reader_data,
                        NGX_OA_READER_TAKE, 0, &got);

    switch (rc) {

    case NGX_OK:

        if (got.events == 0) {
            return ngx_oa_reader_gap(rd, &got);
        }

        ngx_oa_reader_took(rd, &got);

        rc = ngx_oa_reader_send(rd, ngx_oa_reader_data, got.len);

        /* whatever comes later wakes it */

        return (rc == NGX_OK && got.all) ? NGX_AGAIN : rc;

    case NGX_BUSY:
        return ngx_oa_reader_take_large(rd, got.len);

    case NGX_AGAIN:
        return NGX_AGAIN;

    default: /* NGX_DONE, NGX_DECLINED */
        return ngx_oa_reader_ended(rd);
    }
}


static ngx_int_t
ngx_oa_reader_take_large(ngx_oa_reader_t *rd, size_t len)
{
    u_char           *p;
    ngx_int_t         rc;
    oa_stream_got_t   got;

    p = ngx_alloc(NGX_OA_CHUNK_HEAD + len + NGX_OA_CHUNK_TAIL,
                  rd->request->connection->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    rc = oa_stream_read(&ngx_oa_streams.zone, &rd->cursor,
                        p + NGX_OA_CHUNK_HEAD, len, 1, &got);

    if (rc == NGX_OK && got.events) {
        ngx_oa_reader_took(rd, &got);

        rc = ngx_oa_reader_send(rd, p + NGX_OA_CHUNK_HEAD, got.len);

    } else if (rc == NGX_OK) {
        rc = ngx_oa_reader_gap(rd, &got);

    } else if (rc != NGX_AGAIN) {

        /* it has gone meanwhile: what there is now is to be seen */

        rc = NGX_OK;
    }

    ngx_free(p);

    return rc;
}


static void
ngx_oa_reader_took(ngx_oa_reader_t *rd, const oa_stream_got_t *got)
{
    rd->delivered = got->seq + got->events - 1;

    if (got->ended) {
        rd->state = NGX_OA_READER_ENDED;
    }
}


/* The end is no part of it: where that is missing, too, we say it. */

static ngx_int_t
ngx_oa_reader_gap(ngx_oa_reader_t *rd, const oa_stream_got_t *got)
{
    u_char     text[OA_SSE_GAP_MAX + OA_STREAM_EVENT_LINE_MAX];
    u_char     name[OA_STREAM_EVENT_ID_MAX];
    uint64_t   to;
    ngx_str_t  id;

    to = got->gap_to - got->ended;

    if (to < got->gap_from) {
        return NGX_OK;
    }

    /* who comes back after it need not be told again */

    id.data = name;
    id.len = oa_stream_event_id(name, &rd->name, to) - name;

    ngx_oa_count(NGX_OA_COUNT_STREAM_GAPS);

    return ngx_oa_reader_copy(rd, text, oa_sse_gap(text, &id, got->gap_from,
                                                   to)
                                        - text);
}


/*
 * Who does not accept an event stream learns of a failure by the status, as
 * long as there was no event.
 */

static ngx_int_t
ngx_oa_reader_first(ngx_oa_reader_t *rd)
{
    ngx_int_t          rc;
    oa_stream_info_t   info;

    rc = oa_stream_info(&ngx_oa_streams.zone, rd->cursor.ref, ngx_oa_now(),
                        &info);

    if (rc == NGX_OK && info.state == OA_STREAM_STARTING) {
        return NGX_AGAIN;
    }

    /* its end is the only event of one that failed, or it has not even one */

    if (rc == NGX_DECLINED
        || (info.state == OA_STREAM_LOST && info.next_seq == 1))
    {
        info.code = NGX_OA_END_LOST;

    } else if (info.state != OA_STREAM_FAILED
               || info.next_seq > 2
               || info.code == NGX_OA_END_AGENT)
    {
        rd->state = NGX_OA_READER_OPEN;

        return ngx_oa_reader_open(rd->request, &rd->name);
    }

    rd->rc = ngx_oa_reader_problem(rd->request, NGX_HTTP_BAD_GATEWAY,
                                   info.code);

    return NGX_DONE;
}


static ngx_int_t
ngx_oa_reader_problem(ngx_http_request_t *r, ngx_uint_t status,
    ngx_uint_t end)
{
    ngx_oa_problem_t  problem;

    ngx_memzero(&problem, sizeof(ngx_oa_problem_t));

    problem.status = status;
    problem.code = ngx_oa_ends[end].code;
    problem.detail = ngx_oa_ends[end].text;
    problem.retry_after = (status == NGX_HTTP_SERVICE_UNAVAILABLE) ? 1 : 0;

    return ngx_oa_problem(r, &problem);
}


/* All was read, or the stream is gone.  Where its end was missed we say it. */

static ngx_int_t
ngx_oa_reader_ended(ngx_oa_reader_t *rd)
{
    u_char            *p, *last, name[OA_STREAM_EVENT_ID_MAX];
    ngx_int_t          rc;
    oa_sse_error_t     error;
    oa_stream_info_t   info;

    rd->state = NGX_OA_READER_ENDED;

    rc = oa_stream_info(&ngx_oa_streams.zone, rd->cursor.ref, ngx_oa_now(),
                        &info);

    ngx_memzero(&error, sizeof(oa_sse_error_t));

    p = ngx_oa_reader_data;

    if (rc != NGX_OK || info.state == OA_STREAM_LOST) {
        last = ngx_oa_reader_lost_end(p, &rd->name, rd->cursor.seq);

        return ngx_oa_reader_send(rd, p, last - p);
    }

    if (rd->delivered == info.next_seq - 1) {
        return NGX_OK;
    }

    if (info.code == NGX_OA_END_DONE) {
        last = oa_stream_event_line(p, &rd->name, info.next_seq - 1);
        last = ngx_cpymem(last, oa_sse_done.data, oa_sse_done.len);

        return ngx_oa_reader_send(rd, p, last - p);
    }

    error.id.data = name;
    error.id.len = oa_stream_event_id(name, &rd->name, info.next_seq - 1)
                   - name;
    error.text = ngx_oa_ends[info.code].text;
    error.code = ngx_oa_ends[info.code].code;

    return ngx_oa_reader_send(rd, p, oa_sse_error(p, &error) - p);
}


/*
 * How many events there would have been nobody knows.  Its number is the last
 * there can be, by which whoever comes back is known to have been told.
 */

static u_char *
ngx_oa_reader_lost_end(u_char *p, const ngx_str_t *name, uint64_t from)
{
    u_char          text[OA_STREAM_EVENT_ID_MAX];
    ngx_str_t       none;
    oa_sse_error_t  error;

    ngx_oa_count(NGX_OA_COUNT_STREAM_LOST);

    ngx_str_null(&none);
    ngx_memzero(&error, sizeof(oa_sse_error_t));

    error.id.data = text;
    error.id.len = oa_stream_event_id(text, name, OA_STREAM_SEQ_MAX) - text;
    error.text = ngx_oa_ends[NGX_OA_END_LOST].text;
    error.code = ngx_oa_ends[NGX_OA_END_LOST].code;

    p = oa_sse_gap(p, &none, from, 0);

    return oa_sse_error(p, &error);
}


ngx_int_t
ngx_oa_reader_lost(ngx_http_request_t *r, const ngx_str_t *name, uint64_t seq)
{
    ngx_buf_t    *b;
    ngx_chain_t   out;

    if (ngx_oa_reader_open(r, name) != NGX_OK) {
        return NGX_ERROR;
    }

    b = ngx_create_temp_buf(r->pool, NGX_OA_READER_LOST_MAX);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->last = ngx_oa_reader_lost_end(b->last, name, seq + 1);
    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


void
ngx_oa_reader_push(ngx_oa_reader_t *rd, void *data)
{
    ngx_oa_large_t *large = data;

    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = rd->request;
    rc = NGX_OK;

    if (rd->busy || rd->cursor.seq != large->seq) {
        return;
    }

    if (rd->state == NGX_OA_READER_HELD) {
        rc = ngx_oa_reader_open(r, &rd->name);
        rd->state = NGX_OA_READER_OPEN;
    }

    if (rc == NGX_OK) {
        rd->delivered = large->seq;
        (void) oa_stream_seek(&ngx_oa_streams.zone, rd->cursor.ref,
                              large->seq + 1, &rd->cursor);

        rc = ngx_oa_reader_copy(rd, large->data, large->len);
    }

    if (rc == NGX_OK || rc == NGX_AGAIN) {
        rc = ngx_oa_reader_wait(rd);
    }

    if (rc != NGX_AGAIN) {
        ngx_oa_reader_finalize(rd, rc);
    }
}


void
ngx_oa_reader_send_off(ngx_oa_reader_t *rd)
{
    ngx_int_t            rc;
    oa_sse_message_t     message;
    ngx_http_request_t  *r;

    r = rd->request;
    r->keepalive = 0;

    if (rd->state == NGX_OA_READER_HELD) {
        ngx_oa_reader_finalize(rd,
            ngx_oa_reader_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                  NGX_OA_END_SHUTDOWN));
        return;
    }

    /* it has to read what is on its way first */

    if (rd->busy) {
        return;
    }

    ngx_memzero(&message, sizeof(oa_sse_message_t));

    message.retry = NGX_OA_READER_RETRY
                    + ngx_random() % NGX_OA_READER_SPREAD;

    /* who has no event yet must not begin anew */

    if (rd->delivered == 0) {
        message.id = rd->name;
    }

    ngx_oa_count(NGX_OA_COUNT_STREAM_DRAINED);

    rd->state = NGX_OA_READER_ENDED;

    rc = ngx_oa_reader_send(rd, ngx_oa_reader_data,
                            oa_sse_message(ngx_oa_reader_data, &message)
                            - ngx_oa_reader_data);

    if (rc == NGX_ERROR) {
        ngx_oa_reader_finalize(rd, NGX_ERROR);
        return;
    }

    ngx_oa_reader_go(rd, NULL);
}
