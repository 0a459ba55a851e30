
/*
 * The content handler of oa_sse_pass: a request begins a stream, comes back to
 * one, or stops it.
 */


#include "ngx_oa_sse_request.h"
#include "oa_args.h"

#include <openssl/evp.h>


/* looks for a stream while the zone is being repaired */
#define NGX_OA_SSE_TRIES     3


static void ngx_oa_sse_body_handler(ngx_http_request_t *r);
static ngx_int_t ngx_oa_sse_run(ngx_http_request_t *r);
static ngx_int_t ngx_oa_sse_not_found(ngx_oa_sse_request_t *rq);
static ngx_int_t ngx_oa_sse_who(ngx_oa_sse_request_t *rq);
static ngx_int_t ngx_oa_sse_wanted(ngx_http_request_t *r, ngx_str_t *id);
static ngx_int_t ngx_oa_sse_wanted_arg(ngx_http_request_t *r,
    const ngx_str_t *name, ngx_str_t *id);
static ngx_int_t ngx_oa_sse_resume(ngx_oa_sse_request_t *rq, ngx_str_t *text);
static ngx_int_t ngx_oa_sse_stop(ngx_oa_sse_request_t *rq, ngx_str_t *text);
static ngx_int_t ngx_oa_sse_find(ngx_oa_sse_request_t *rq, ngx_str_t *text,
    oa_stream_id_t *id, oa_stream_info_t *info);
static ngx_int_t ngx_oa_sse_replay(ngx_oa_sse_request_t *rq,
    const ngx_str_t *router);
static ngx_int_t ngx_oa_sse_no_content(ngx_http_request_t *r);
static ngx_int_t ngx_oa_sse_empty(ngx_http_request_t *r, ngx_uint_t status);
static ngx_int_t ngx_oa_sse_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);


static const ngx_str_t  ngx_oa_last_event_id = ngx_string("last-event-id");
static const ngx_str_t  ngx_oa_arg_last_event_id = ngx_string("lastEventId");
static const ngx_str_t  ngx_oa_arg_stream = ngx_string("stream");
static const ngx_str_t  ngx_oa_replay_failed = ngx_string("fly-replay-failed");
static const ngx_str_t  ngx_oa_replay_src = ngx_string("fly-replay-src");
static const ngx_str_t  ngx_oa_replay = ngx_string("fly-replay");
static const ngx_str_t  ngx_oa_cache_control = ngx_string("Cache-Control");
static const ngx_str_t  ngx_oa_no_store = ngx_string("no-store");
static const ngx_str_t  ngx_oa_allow = ngx_string("Allow");
static const ngx_str_t  ngx_oa_methods = ngx_string("GET, POST, DELETE");


static const ngx_oa_problem_t  ngx_oa_problem_not_found = {
    404, ngx_string("stream_not_found"),
    ngx_string("There is no such stream, or none any more."), 0,
    ngx_null_string
};

const ngx_oa_problem_t  ngx_oa_sse_full = {
    503, ngx_string("streams_full"),
    ngx_string("There is no room for another stream now. Try again in a "
               "moment."), 5,
    ngx_null_string
};

const ngx_oa_problem_t  ngx_oa_sse_large = {
    413, ngx_string("body_too_large"),
    ngx_string("The body is too large to begin a stream with."), 0,
    ngx_null_string
};


static ngx_http_request_body_filter_pt  ngx_oa_sse_next_body_filter;


ngx_int_t
ngx_oa_sse_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    if (r != r->main) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "oa_sse_pass cannot serve a subrequest");
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_POST|NGX_HTTP_DELETE))) {
        return ngx_oa_sse_not_allowed(r);
    }

    /* before any of it is read */

    if (r->headers_in.content_length_n > NGX_OA_SSE_BODY_MAX) {
        return ngx_oa_problem(r, &ngx_oa_sse_large);
    }

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r, ngx_oa_sse_body_handler);

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


ngx_int_t
ngx_oa_sse_not_allowed(ngx_http_request_t *r)
{
    if (ngx_oa_response_header(r, &ngx_oa_allow, &ngx_oa_methods) == NULL) {
        return NGX_ERROR;
    }

    return NGX_HTTP_NOT_ALLOWED;
}


static void
ngx_oa_sse_body_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_oa_sse_run(r);

    /* a reader finalizes the request when it is through */

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}


/* NGX_DONE: a reader has taken the request over. */

static ngx_int_t
ngx_oa_sse_run(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    ngx_str_t             id;
    ngx_oa_sse_request_t  rq;

    ngx_memzero(&rq, sizeof(ngx_oa_sse_request_t));

    rq.request = r;
    rq.main = ngx_http_get_module_main_conf(r, ngx_oa_sse_module);
    rq.conf = ngx_http_get_module_loc_conf(r, ngx_oa_sse_module);

    if (ngx_oa_sse_who(&rq) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_oa_sse_wanted(r, &id);

    if (rc == NGX_ERROR || (rc == NGX_DECLINED && r->method == NGX_HTTP_DELETE))
    {
        rc = ngx_oa_sse_not_found(&rq);

    } else if (rc == NGX_DECLINED) {
        rc = ngx_oa_sse_begin(&rq);

    } else if (r->method == NGX_HTTP_DELETE) {
        rc = ngx_oa_sse_stop(&rq, &id);

    } else {
        rc = ngx_oa_sse_resume(&rq, &id);
    }

    return (rc == NGX_ABORT) ? rq.rc : rc;
}


ngx_int_t
ngx_oa_sse_answer(ngx_oa_sse_request_t *rq, const ngx_oa_problem_t *problem)
{
    rq->rc = ngx_oa_problem(rq->request, problem);

    return NGX_ABORT;
}


static ngx_int_t
ngx_oa_sse_not_found(ngx_oa_sse_request_t *rq)
{
    ngx_oa_count(NGX_OA_COUNT_STREAM_NOT_FOUND);

    return ngx_oa_sse_answer(rq, &ngx_oa_problem_not_found);
}


/*
 * Whose stream it is, and of which route.  Who is nobody has no streams to
 * count: whoever knows the id of one may read it.
 */

static ngx_int_t
ngx_oa_sse_who(ngx_oa_sse_request_t *rq)
{
    ngx_int_t                   rc;
    ngx_str_t                   route;
    ngx_http_request_t         *r;
    ngx_http_variable_value_t  *vv;

    r = rq->request;

    rc = ngx_oa_identify ? ngx_oa_identify(r, &rq->identity) : NGX_DECLINED;

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return NGX_ERROR;
    }

    /* without a subject all tokens of an issuer would be one user */

    if (rc == NGX_DECLINED
        || rq->identity.who != NGX_OA_KNOWN
        || rq->identity.sub.len == 0)
    {
        ngx_memzero(&rq->identity, sizeof(ngx_oa_identity_t));

    } else {
        rq->stream.max_streams = rq->conf->max_streams;
    }

    /* without a router a host is what is nearest to a route */

    route = r->headers_in.server;

    if (rq->main->route_id != NGX_ERROR) {
        vv = ngx_http_get_flushed_variable(r, rq->main->route_id);
        if (vv == NULL) {
            return NGX_ERROR;
        }

        if (!vv->not_found && vv->len) {
            route.len = vv->len;
            route.data = vv->data;
        }
    }

    if (ngx_oa_sse_digest(rq->stream.owner, &rq->identity.issuer,
                          &rq->identity.sub)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_oa_sse_digest(rq->stream.route, &route, NULL);
}


ngx_int_t
ngx_oa_sse_digest(u_char *digest, const ngx_str_t *a, const ngx_str_t *b)
{
    int          ok;
    u_char       md[EVP_MAX_MD_SIZE];
    EVP_MD_CTX  *ctx;

    ctx = EVP_MD_CTX_new();
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    /* the NUL keeps "ab" and "c" from being "a" and "bc" */

    ok = EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1
         && EVP_DigestUpdate(ctx, a->data, a->len) == 1
         && EVP_DigestUpdate(ctx, "", 1) == 1
         && (b == NULL || EVP_DigestUpdate(ctx, b->data, b->len) == 1)
         && EVP_DigestFinal_ex(ctx, md, NULL) == 1;

    EVP_MD_CTX_free(ctx);

    if (!ok) {
        return NGX_ERROR;
    }

    ngx_memcpy(digest, md, OA_STREAM_ID);

    return NGX_OK;
}


/*
 * The stream or event that the request names.  The header counts first: an
 * EventSource whose URL has an argument says by it how far it has come.
 * NGX_DECLINED: none.  NGX_ERROR: it is badly said.
 */

static ngx_int_t
ngx_oa_sse_wanted(ngx_http_request_t *r, ngx_str_t *id)
{
    ngx_int_t    rc;
    ngx_str_t   *value;
    ngx_uint_t   n;

    value = ngx_oa_request_header(r, &ngx_oa_last_event_id, &n);

    if (n > 1) {
        return NGX_ERROR;
    }

    if (n == 1 && value->len) {
        *id = *value;
        return NGX_OK;
    }

    rc = ngx_oa_sse_wanted_arg(r, &ngx_oa_arg_last_event_id, id);

    return (rc == NGX_DECLINED)
           ? ngx_oa_sse_wanted_arg(r, &ngx_oa_arg_stream, id) : rc;
}


static ngx_int_t
ngx_oa_sse_wanted_arg(ngx_http_request_t *r, const ngx_str_t *name,
    ngx_str_t *id)
{
    u_char     *buf;
    ngx_int_t   rc;

    if (r->args.len == 0) {
        return NGX_DECLINED;
    }

    buf = ngx_pnalloc(r->pool, r->args.len);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    rc = oa_args_find(&r->args, name, buf, id);

    return (rc == NGX_OK && id->len == 0) ? NGX_DECLINED : rc;
}


static ngx_int_t
ngx_oa_sse_resume(ngx_oa_sse_request_t *rq, ngx_str_t *text)
{
    ngx_int_t            rc;
    ngx_str_t            name;
    oa_stream_id_t       id;
    oa_stream_info_t     info;
    ngx_http_request_t  *r;

    r = rq->request;
    rc = ngx_oa_sse_find(rq, text, &id, &info);

    if (rc == NGX_ABORT) {
        return NGX_ABORT;
    }

    /* whoever has the last number there can be was told of the loss */

    if (id.seq == OA_STREAM_SEQ_MAX) {
        return ngx_oa_sse_no_content(r);
    }

    /* an EventSource comes back by the header, if only with a stream's name */

    if (rc == NGX_DECLINED && ngx_oa_reader_is_sse(r)
        && (id.seq || ngx_oa_request_header(r, &ngx_oa_last_event_id, NULL)))
    {
        if (ngx_oa_sse_name(rq, id.stream, &name) != NGX_OK) {
            return NGX_ERROR;
        }

        return ngx_oa_reader_lost(r, &name, id.seq);
    }

    if (rc == NGX_DECLINED || id.seq >= info.next_seq) {
        return ngx_oa_sse_not_found(rq);
    }

    if ((info.state == OA_STREAM_DONE || info.state == OA_STREAM_FAILED)
        && id.seq == info.next_seq - 1)
    {
        return ngx_oa_sse_no_content(r);
    }

    if (ngx_oa_sse_name(rq, id.stream, &name) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_oa_count(NGX_OA_COUNT_STREAM_RESUMED);

    return ngx_oa_reader_begin(r, info.ref, &name, id.seq,
                               ngx_oa_streams_own(info.ref));
}


static ngx_int_t
ngx_oa_sse_stop(ngx_oa_sse_request_t *rq, ngx_str_t *text)
{
    ngx_int_t          rc;
    oa_stream_id_t     id;
    oa_stream_info_t   info;

    rc = ngx_oa_sse_find(rq, text, &id, &info);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? ngx_oa_sse_not_found(rq) : rc;
    }

    /* one that has ended is as good as stopped */

    (void) oa_stream_stop(&ngx_oa_streams.zone, info.ref);

    return ngx_oa_sse_no_content(rq->request);
}


/*
 * NGX_OK: it is there, and theirs.  NGX_DECLINED: there is none.  NGX_ABORT:
 * the request was answered, since another router has it, or another user.
 */

static ngx_int_t
ngx_oa_sse_find(ngx_oa_sse_request_t *rq, ngx_str_t *text, oa_stream_id_t *id,
    oa_stream_info_t *info)
{
    ngx_int_t   rc;
    ngx_uint_t  tries;

    ngx_memzero(info, sizeof(oa_stream_info_t));

    if (oa_stream_id_parse(text, id) != NGX_OK) {
        return ngx_oa_sse_not_found(rq);
    }

    if (id->router.len != rq->main->router.len
        || ngx_memcmp(id->router.data, rq->main->router.data, id->router.len)
           != 0)
    {
        return ngx_oa_sse_replay(rq, &id->router);
    }

    for (tries = 0; tries < NGX_OA_SSE_TRIES; tries++) {
        rc = oa_stream_find(&ngx_oa_streams.zone, id->stream, ngx_oa_now(),
                            info);

        if (rc == NGX_DECLINED) {
            return NGX_DECLINED;
        }

        if (rc == NGX_OK) {
            break;
        }
    }

    if (tries == NGX_OA_SSE_TRIES) {
        return ngx_oa_sse_answer(rq, &ngx_oa_sse_full);
    }

    /* an id alone opens nothing */

    if (ngx_memcmp(info->owner, rq->stream.owner, OA_STREAM_ID) != 0
        || ngx_memcmp(info->route, rq->stream.route, OA_STREAM_ID) != 0)
    {
        return ngx_oa_sse_not_found(rq);
    }

    /* its worker may have died just now */

    (void) oa_stream_check(&ngx_oa_streams.zone, info->ref, ngx_oa_now());

    return oa_stream_info(&ngx_oa_streams.zone, info->ref, ngx_oa_now(), info)
           == NGX_OK ? NGX_OK : NGX_DECLINED;
}


/* Only ever to a machine of our own app, and only once. */

static ngx_int_t
ngx_oa_sse_replay(ngx_oa_sse_request_t *rq, const ngx_str_t *router)
{
    ngx_str_t            value;
    ngx_oa_fly_t        *fly;
    ngx_http_request_t  *r;

    r = rq->request;
    fly = rq->main->fly;

    if (fly->app_name.len == 0
        || fly->machine_id.len == 0
        || (router->len == oa_stream_local.len
            && ngx_memcmp(router->data, oa_stream_local.data, router->len)
               == 0)
        || ngx_oa_request_header(r, &ngx_oa_replay_failed, NULL)
        || ngx_oa_request_header(r, &ngx_oa_replay_src, NULL))
    {
        return ngx_oa_sse_not_found(rq);
    }

    value.data = ngx_pnalloc(r->pool, sizeof("app=;instance=;timeout=2s;"
                                             "fallback=force_self")
                                      + fly->app_name.len + router->len);
    if (value.data == NULL) {
        rq->rc = NGX_ERROR;
        return NGX_ABORT;
    }

    value.len = ngx_sprintf(value.data, "app=%V;instance=%V;timeout=2s;"
                            "fallback=force_self", &fly->app_name, router)
                - value.data;

    if (ngx_oa_response_header(r, &ngx_oa_replay, &value) == NULL) {
        rq->rc = NGX_ERROR;
        return NGX_ABORT;
    }

    ngx_oa_count(NGX_OA_COUNT_STREAM_REPLAYED);

    rq->rc = ngx_oa_sse_empty(r, NGX_HTTP_TEMPORARY_REDIRECT);

    return NGX_ABORT;
}


static ngx_int_t
ngx_oa_sse_no_content(ngx_http_request_t *r)
{
    return ngx_oa_sse_empty(r, NGX_HTTP_NO_CONTENT);
}


static ngx_int_t
ngx_oa_sse_empty(ngx_http_request_t *r, ngx_uint_t status)
{
    if (ngx_oa_response_header(r, &ngx_oa_cache_control, &ngx_oa_no_store)
        == NULL)
    {
        return NGX_ERROR;
    }

    r->headers_out.status = status;
    r->headers_out.content_length_n = (status == NGX_HTTP_NO_CONTENT) ? -1 : 0;
    r->header_only = 1;

    return ngx_http_send_header(r);
}


ngx_int_t
ngx_oa_sse_name(ngx_oa_sse_request_t *rq, const u_char *id, ngx_str_t *name)
{
    oa_stream_id_t  sid;

    name->data = ngx_pnalloc(rq->request->pool, OA_STREAM_ID_MAX);
    if (name->data == NULL) {
        return NGX_ERROR;
    }

    sid.router = rq->main->router;
    sid.seq = 0;
    ngx_memcpy(sid.stream, id, OA_STREAM_ID);

    name->len = oa_stream_id(name->data, &sid) - name->data;

    return NGX_OK;
}


void
ngx_oa_sse_limit_bodies(void)
{
    ngx_oa_sse_next_body_filter = ngx_http_top_request_body_filter;
    ngx_http_top_request_body_filter = ngx_oa_sse_body_filter;
}


/* How long it is, a client need not say beforehand. */

static ngx_int_t
ngx_oa_sse_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    off_t  len;

    if (r->content_handler == ngx_oa_sse_handler) {

        /* as far as it has come: in chunks, in HTTP/2 */

        len = ngx_max(r->headers_in.content_length_n,
                      r->request_body->received);

        if (len > NGX_OA_SSE_BODY_MAX) {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "the body is too large to begin a stream with: %O "
                          "bytes", len);
            return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
        }
    }

    return ngx_oa_sse_next_body_filter(r, in);
}
