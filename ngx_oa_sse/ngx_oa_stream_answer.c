
/*
 * What a machine answers: the head, and the body as it comes.
 *
 * It is read into a memory of the worker, which all streams share, and goes
 * into the zone from there.  Only what is unfinished, a head or an event, is
 * kept by the stream itself: one that is silent costs next to nothing.
 */


#include "ngx_oa_stream.h"


/* reads in a row before others have their turn */
#define NGX_OA_STREAM_READS  16


static ngx_int_t ngx_oa_stream_room(ngx_oa_stream_t *st,
    ngx_oa_stream_read_t *rd);
static ngx_int_t ngx_oa_stream_keep(ngx_oa_stream_t *st,
    ngx_oa_stream_read_t *rd);
static ngx_int_t ngx_oa_stream_take(ngx_oa_stream_t *st,
    ngx_oa_stream_read_t *rd, u_char *p);
static ngx_int_t ngx_oa_stream_head(ngx_oa_stream_t *st,
    ngx_oa_stream_read_t *rd, u_char **p);
static void ngx_oa_stream_complete(ngx_oa_stream_t *st,
    const ngx_oa_stream_read_t *rd);
static ngx_uint_t ngx_oa_stream_was_cut(ngx_connection_t *c);


/* Where everything is read to. */
static u_char  ngx_oa_stream_memory[NGX_OA_STREAM_READ];


void
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
