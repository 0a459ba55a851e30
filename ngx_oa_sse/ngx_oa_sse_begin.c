
/*
 * A request that begins a stream, or attaches to the one that the same
 * Idempotency-Key has begun.
 */


#include "ngx_oa_sse_request.h"

#include <openssl/rand.h>


/* bytes of an Idempotency-Key */
#define NGX_OA_SSE_KEY_MAX   255


static ngx_int_t ngx_oa_sse_read_body(ngx_oa_sse_request_t *rq,
    ngx_str_t *body);
static ngx_int_t ngx_oa_sse_translate(ngx_oa_sse_request_t *rq,
    const ngx_str_t *body, ngx_str_t *sent);
static void ngx_oa_sse_log_rules(ngx_oa_sse_request_t *rq,
    const oa_message_t *message);
static ngx_int_t ngx_oa_sse_key(ngx_oa_sse_request_t *rq,
    const ngx_str_t *body);
static ngx_int_t ngx_oa_sse_open(ngx_oa_sse_request_t *rq,
    const ngx_oa_target_t *target, ngx_str_t *request);
static ngx_int_t ngx_oa_sse_start(ngx_oa_sse_request_t *rq,
    oa_stream_writer_t *w, const ngx_oa_target_t *target, ngx_str_t *request);


static const ngx_str_t  ngx_oa_idempotency_key = ngx_string("idempotency-key");


static const ngx_oa_problem_t  ngx_oa_problem_too_many = {
    429, ngx_string("too_many_streams"),
    ngx_string("Too many of your streams are running. Stop one, or wait."), 5,
    ngx_null_string
};

static const ngx_oa_problem_t  ngx_oa_problem_mismatch = {
    422, ngx_string("idempotency_mismatch"),
    ngx_string("This Idempotency-Key was used with another body."), 0,
    ngx_null_string
};

static const ngx_oa_problem_t  ngx_oa_problem_key = {
    400, ngx_string("idempotency_key_invalid"),
    ngx_string("There must be one Idempotency-Key, of at most 255 bytes."), 0,
    ngx_null_string
};


/* A new one, or the one that the same Idempotency-Key has begun. */

ngx_int_t
ngx_oa_sse_begin(ngx_oa_sse_request_t *rq)
{
    ngx_int_t            rc;
    ngx_str_t            body, sent, request;
    ngx_oa_target_t      target;
    ngx_http_request_t  *r;

    r = rq->request;

    if (r->method == NGX_HTTP_GET && rq->conf->dialect == OA_DIALECT_OPENCLAW) {
        return ngx_oa_sse_not_allowed(r);
    }

    rc = ngx_oa_target(r, rq->conf, &target);

    if (rc == NGX_DECLINED) {

        /* a stream that ends at once tells it each client in its way */

        ngx_memzero(&target, sizeof(ngx_oa_target_t));

    } else if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_str_null(&body);

    if (r->method == NGX_HTTP_POST) {
        rc = ngx_oa_sse_read_body(rq, &body);

        if (rc == NGX_OK) {
            rc = ngx_oa_sse_key(rq, &body);
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    sent = body;

    if (body.data && rq->conf->dialect != OA_DIALECT_RAW) {
        rc = ngx_oa_sse_translate(rq, &body, &sent);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    rc = ngx_oa_target_request(r, rq->conf, &target, &sent, &request);

    /* they may be large, and the request will be there for long */

    (void) ngx_pfree(r->pool, body.data);

    if (sent.data != body.data) {
        (void) ngx_pfree(r->pool, sent.data);
    }

    if (rc == NGX_DECLINED) {
        return NGX_HTTP_BAD_REQUEST;
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_oa_sse_open(rq, &target, &request);
}


/* All in one place: a body that nginx has put into a file is read back. */

static ngx_int_t
ngx_oa_sse_read_body(ngx_oa_sse_request_t *rq, ngx_str_t *body)
{
    off_t                     len;
    u_char                   *p;
    ssize_t                   n;
    ngx_buf_t                *b;
    ngx_chain_t              *cl, *bufs;
    ngx_http_request_t       *r;

    r = rq->request;
    len = 0;

    /* what was discarded before an internal redirect is not read again */

    bufs = r->request_body ? r->request_body->bufs : NULL;

    for (cl = bufs; cl; cl = cl->next) {
        len += ngx_buf_size(cl->buf);
    }

    if (len > NGX_OA_SSE_BODY_MAX) {
        return ngx_oa_sse_answer(rq, &ngx_oa_sse_large);
    }

    p = ngx_pnalloc(r->pool, len + 1);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body->data = p;
    body->len = len;

    for (cl = bufs; cl; cl = cl->next) {
        b = cl->buf;

        if (ngx_buf_in_memory(b)) {
            p = ngx_cpymem(p, b->pos, b->last - b->pos);
            continue;
        }

        len = ngx_buf_size(b);

        if (len == 0) {
            continue;
        }

        n = ngx_read_file(b->file, p, len, b->file_pos);

        if (n != len) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        p += n;
    }

    return NGX_OK;
}


/* What the client says, as the machine's dialect has it. */

static ngx_int_t
ngx_oa_sse_translate(ngx_oa_sse_request_t *rq, const ngx_str_t *body,
    ngx_str_t *sent)
{
    u_char                *buf, text[OA_STREAM_ID * 2];
    ngx_str_t              user;
    const char            *why;
    ngx_oa_problem_t       problem;
    ngx_http_request_t    *r;
    oa_dialect_request_t   request;

    static const ngx_oa_problem_t  invalid = {
        400, ngx_string("message_invalid"), ngx_null_string, 0,
        ngx_null_string
    };

    r = rq->request;

    buf = ngx_pnalloc(r->pool, body->len + 1);
    if (buf == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (oa_dialect_read(body, OA_MESSAGE_MAX, buf, &request, &why) != NGX_OK) {

        ngx_oa_count(NGX_OA_COUNT_MESSAGE_REFUSED);

        problem = invalid;

        problem.detail.data = ngx_pnalloc(r->pool, ngx_strlen(why)
                                          + sizeof("Nothing to say: .") - 1);
        if (problem.detail.data == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        problem.detail.len = ngx_sprintf(problem.detail.data,
                                         "Nothing to say: %s.", why)
                             - problem.detail.data;

        return ngx_oa_sse_answer(rq, &problem);
    }

    ngx_oa_sse_log_rules(rq, &request.message);

    ngx_str_null(&user);

    /* a sub is nobody's own without its issuer, and none of an agent's affair */

    if (rq->identity.who == NGX_OA_KNOWN) {
        user.len = ngx_hex_dump(text, rq->stream.owner, OA_STREAM_ID) - text;
        user.data = text;
    }

    sent->len = oa_dialect_body_size(rq->conf->dialect, &request, &user);

    sent->data = ngx_pnalloc(r->pool, sent->len);
    if (sent->data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    (void) oa_dialect_body(sent->data, rq->conf->dialect, &request, &user);

    (void) ngx_pfree(r->pool, buf);

    return NGX_OK;
}


/* Whoever looks for patterns in them finds the same hash for the same text. */

static void
ngx_oa_sse_log_rules(ngx_oa_sse_request_t *rq, const oa_message_t *message)
{
    u_char      hash[OA_MESSAGE_HASH];
    ngx_uint_t  i;

    if (message->rules == 0
        || oa_message_hash(&message->text, hash) != NGX_OK)
    {
        return;
    }

    for (i = 0; i < OA_MESSAGE_RULES; i++) {

        if (!(message->rules & ((ngx_uint_t) 1 << i))) {
            continue;
        }

        ngx_oa_count(NGX_OA_COUNT_MESSAGE_RULES + i);

        ngx_log_error(NGX_LOG_WARN, rq->request->connection->log, 0,
                      "message %*s of user \"%V\" has a suspicious phrase, "
                      "rule \"%V\"", (size_t) OA_MESSAGE_HASH, hash,
                      &rq->identity.sub, &oa_message_rules[i]);
    }
}


/* Without a user there is nobody that a key could be of. */

static ngx_int_t
ngx_oa_sse_key(ngx_oa_sse_request_t *rq, const ngx_str_t *body)
{
    ngx_str_t   *key;
    ngx_uint_t   n;

    key = ngx_oa_request_header(rq->request, &ngx_oa_idempotency_key, &n);

    if (n == 0 || rq->identity.who != NGX_OA_KNOWN) {
        return NGX_OK;
    }

    if (n > 1 || key->len == 0 || key->len > NGX_OA_SSE_KEY_MAX) {
        return ngx_oa_sse_answer(rq, &ngx_oa_problem_key);
    }

    rq->stream.has_key = 1;

    if (ngx_oa_sse_digest(rq->stream.key, key, NULL) != NGX_OK
        || ngx_oa_sse_digest(rq->stream.body, body, NULL) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_oa_sse_open(ngx_oa_sse_request_t *rq, const ngx_oa_target_t *target,
    ngx_str_t *request)
{
    ngx_int_t            rc;
    ngx_str_t            name;
    oa_stream_open_e     opened;
    oa_stream_info_t     info;
    oa_stream_writer_t   w;

    ngx_memcpy(rq->stream.location, rq->conf->digest, OA_STREAM_ID);

    rq->stream.pid = ngx_pid;
    rq->stream.buffer = rq->conf->buffer;
    rq->stream.keep = rq->conf->keep;

    if (RAND_bytes(rq->stream.id, OA_STREAM_ID) != 1) {
        ngx_oa_target_forget(request);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    opened = oa_stream_open(&ngx_oa_streams.zone, &rq->stream, ngx_oa_now(),
                            &w, &info);

    if (opened == OA_STREAM_OPENED) {
        return ngx_oa_sse_start(rq, &w, target, request);
    }

    ngx_oa_target_forget(request);

    switch (opened) {

    case OA_STREAM_ATTACHED:
        ngx_oa_count(NGX_OA_COUNT_STREAM_ATTACHED);

        rc = ngx_oa_sse_name(rq, info.id, &name);

        return (rc == NGX_OK)
               ? ngx_oa_reader_begin(rq->request, info.ref, &name, 0,
                                     ngx_oa_streams_own(info.ref))
               : NGX_HTTP_INTERNAL_SERVER_ERROR;

    case OA_STREAM_MISMATCH:
        ngx_oa_count(NGX_OA_COUNT_STREAM_MISMATCH);
        return ngx_oa_sse_answer(rq, &ngx_oa_problem_mismatch);

    case OA_STREAM_TOO_MANY:
        ngx_oa_count(NGX_OA_COUNT_STREAM_TOO_MANY);
        return ngx_oa_sse_answer(rq, &ngx_oa_problem_too_many);

    default: /* OA_STREAM_FULL */
        ngx_oa_count(NGX_OA_COUNT_STREAM_FULL);
        return ngx_oa_sse_answer(rq, &ngx_oa_sse_full);
    }
}


/* The reader is there before the stream begins, which may end at once. */

static ngx_int_t
ngx_oa_sse_start(ngx_oa_sse_request_t *rq, oa_stream_writer_t *w,
    const ngx_oa_target_t *target, ngx_str_t *request)
{
    ngx_int_t         rc;
    ngx_str_t         name;
    ngx_oa_stream_t  *st;

    st = NULL;

    if (ngx_oa_sse_name(rq, rq->stream.id, &name) == NGX_OK) {
        st = ngx_oa_stream_create(rq->conf, w, &name);
    }

    if (st == NULL) {
        oa_stream_forget_key(&ngx_oa_streams.zone, w);
        oa_stream_end(&ngx_oa_streams.zone, w, OA_STREAM_FAILED,
                      NGX_OA_END_INTERNAL, ngx_oa_now());
        ngx_oa_target_forget(request);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_oa_reader_begin(rq->request, st->writer.ref, &name, 0, st);

    if (rc != NGX_DONE) {
        ngx_oa_target_forget(request);
        oa_stream_forget_key(&ngx_oa_streams.zone, &st->writer);
        ngx_oa_stream_end(st, NGX_OA_END_ABANDONED);
        return rc;
    }

    ngx_oa_stream_begin(st, target, request);

    return NGX_DONE;
}
