
/*
 * What a reader sends: the head, and bytes of events on their way.
 */


#include "ngx_oa_reader.h"


static ngx_uint_t ngx_oa_reader_is_plain(ngx_http_request_t *r);
static ngx_int_t ngx_oa_reader_send_plain(ngx_oa_reader_t *rd, u_char *data,
    size_t len);
static ngx_int_t ngx_oa_reader_keep(ngx_oa_reader_t *rd, const u_char *data,
    size_t len);
static ngx_int_t ngx_oa_reader_sent(ngx_oa_reader_t *rd);


u_char  ngx_oa_reader_memory[NGX_OA_CHUNK_HEAD + NGX_OA_READER_TAKE
                             + NGX_OA_CHUNK_TAIL];


static const ngx_str_t  ngx_oa_event_stream = ngx_string("text/event-stream");
static const ngx_str_t  ngx_oa_stream_header = ngx_string("OA-Stream");

static const struct {
    ngx_str_t  name;
    ngx_str_t  value;
} ngx_oa_reader_headers[] = {
    { ngx_string("Cache-Control"), ngx_string("no-cache, no-transform") },
    { ngx_string("X-Accel-Buffering"), ngx_string("no") }
};


ngx_int_t
ngx_oa_reader_open(ngx_http_request_t *r, const ngx_str_t *name)
{
    ngx_int_t                  rc;
    ngx_uint_t                 i;
    ngx_connection_t          *c;

    c = r->connection;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_type = ngx_oa_event_stream;
    r->headers_out.content_type_len = ngx_oa_event_stream.len;
    r->headers_out.content_type_lowcase = NULL;

    ngx_http_clear_content_length(r);
    ngx_http_clear_accept_ranges(r);

    for (i = 0; i < sizeof(ngx_oa_reader_headers)
                    / sizeof(ngx_oa_reader_headers[0]); i++)
    {
        if (ngx_oa_response_header(r, &ngx_oa_reader_headers[i].name,
                                   &ngx_oa_reader_headers[i].value)
            == NULL)
        {
            return NGX_ERROR;
        }
    }

    if (ngx_oa_response_header(r, &ngx_oa_stream_header, name) == NULL) {
        return NGX_ERROR;
    }

    /* each event leaves as it comes: not compressed, not throttled */

#if (NGX_HTTP_GZIP)
    r->gzip_tested = 1;
    r->gzip_ok = 0;
#endif

    r->limit_rate = 0;
    r->limit_rate_set = 1;

    if (c->tcp_nodelay == NGX_TCP_NODELAY_UNSET && ngx_tcp_nodelay(c) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* to an error page it makes no difference, there can be none any more */

    rc = ngx_http_send_header(r);

    return (rc == NGX_OK || rc == NGX_AGAIN) ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_oa_reader_copy(ngx_oa_reader_t *rd, const u_char *data, size_t len)
{
    u_char     *p;
    ngx_int_t   rc;

    if (len <= NGX_OA_READER_TAKE) {
        ngx_memcpy(ngx_oa_reader_data, data, len);

        return ngx_oa_reader_send(rd, ngx_oa_reader_data, len);
    }

    p = ngx_alloc(NGX_OA_CHUNK_HEAD + len + NGX_OA_CHUNK_TAIL,
                  rd->request->connection->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p + NGX_OA_CHUNK_HEAD, data, len);

    rc = ngx_oa_reader_send(rd, p + NGX_OA_CHUNK_HEAD, len);

    ngx_free(p);

    return rc;
}


/*
 * Sends what has room for a chunk around it.  NGX_AGAIN: a copy of it, or of
 * the rest, is on its way.
 */

ngx_int_t
ngx_oa_reader_send(ngx_oa_reader_t *rd, u_char *data, size_t len)
{
    ngx_buf_t           *b;
    ngx_http_request_t  *r;

    r = rd->request;
    rd->wrote = ngx_current_msec;

    if (ngx_oa_reader_is_plain(r)) {
        return ngx_oa_reader_send_plain(rd, data, len);
    }

    if (ngx_oa_reader_keep(rd, data, len) != NGX_OK) {
        return NGX_ERROR;
    }

    b = &rd->buf;
    b->memory = 1;
    b->flush = 1;
    b->tag = (ngx_buf_tag_t) &ngx_oa_sse_module;

    rd->out.buf = b;
    rd->out.next = NULL;

    if (ngx_http_output_filter(r, &rd->out) == NGX_ERROR) {
        return NGX_ERROR;
    }

    return ngx_oa_reader_sent(rd);
}


/*
 * In HTTP/1.1 without TLS, as Fly Proxy and most others come, an event is one
 * chunk and one send(): the way through all filters would cost as much as all
 * the rest.
 */

static ngx_uint_t
ngx_oa_reader_is_plain(ngx_http_request_t *r)
{
    return r->chunked
           && r->out == NULL
           && !r->connection->buffered
#if (NGX_HTTP_SSL)
           && r->connection->ssl == NULL
#endif
           ;
}


static ngx_int_t
ngx_oa_reader_send_plain(ngx_oa_reader_t *rd, u_char *data, size_t len)
{
    size_t             size;
    u_char            *p, *last;
    ssize_t            n;
    ngx_connection_t  *c;

    static const u_char  hex[] = "0123456789abcdef";

    p = data;
    *--p = LF;
    *--p = CR;

    for (size = len; size; size >>= 4) {
        *--p = hex[size & 0xf];
    }

    last = data + len;
    *last++ = CR;
    *last++ = LF;

    c = rd->request->connection;
    n = c->send(c, p, last - p);

    if (n == last - p) {
        return NGX_OK;
    }

    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (n > 0) {
        p += n;
    }

    rd->plain = 1;

    return (ngx_oa_reader_keep(rd, p, last - p) == NGX_OK) ? NGX_AGAIN
                                                           : NGX_ERROR;
}


static ngx_int_t
ngx_oa_reader_keep(ngx_oa_reader_t *rd, const u_char *data, size_t len)
{
    ngx_buf_t  *b;

    b = &rd->buf;

    ngx_memzero(b, sizeof(ngx_buf_t));

    b->start = ngx_alloc(len, rd->request->connection->log);
    if (b->start == NULL) {
        return NGX_ERROR;
    }

    b->pos = b->start;
    b->last = ngx_cpymem(b->start, data, len);
    b->end = b->last;

    rd->busy = 1;

    return NGX_OK;
}


/* NGX_OK: all was sent that there was; NGX_AGAIN: not yet. */

ngx_int_t
ngx_oa_reader_flush(ngx_oa_reader_t *rd)
{
    ssize_t              n;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = rd->request;
    c = r->connection;

    if (rd->busy && rd->plain) {

        if (!c->write->ready) {
            return NGX_AGAIN;
        }

        n = c->send(c, rd->buf.pos, rd->buf.last - rd->buf.pos);

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (n > 0) {
            rd->buf.pos += n;
        }

    } else if (rd->busy || r->buffered || c->buffered) {

        if (ngx_http_output_filter(r, NULL) == NGX_ERROR) {
            return NGX_ERROR;
        }

    } else {
        return NGX_OK;
    }

    return ngx_oa_reader_sent(rd);
}


static ngx_int_t
ngx_oa_reader_sent(ngx_oa_reader_t *rd)
{
    if (rd->busy && rd->buf.pos != rd->buf.last) {
        return NGX_AGAIN;
    }

    if (rd->buf.start) {
        ngx_free(rd->buf.start);
        rd->buf.start = NULL;
    }

    rd->busy = 0;
    rd->plain = 0;

    return NGX_OK;
}


/* What was not taken by the client is waited for, not for ever. */

ngx_int_t
ngx_oa_reader_wait(ngx_oa_reader_t *rd)
{
    ngx_uint_t                 waits;
    ngx_event_t               *wev;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    r = rd->request;
    wev = r->connection->write;
    waits = (rd->busy || r->buffered || r->connection->buffered);

    if (!waits && !wev->timer_set) {
        return NGX_AGAIN;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (!waits) {
        ngx_del_timer(wev);

    } else if (!wev->timer_set) {
        ngx_add_timer(wev, clcf->send_timeout);
    }

    return ngx_handle_write_event(wev, clcf->send_lowat) == NGX_OK ? NGX_AGAIN
                                                                   : NGX_ERROR;
}
