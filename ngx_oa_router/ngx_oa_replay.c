
/*
 * oa_replay: the answer that hands a request to Fly Proxy.
 */


#include "ngx_oa_replay.h"

#include <openssl/crypto.h>


/* A state is good for so long, beyond the time that Fly may try. */
#define NGX_OA_REPLAY_STATE_TTL  60

static ngx_uint_t ngx_oa_replay_too_large(ngx_http_request_t *r);
static void ngx_oa_replay_read_hints(ngx_http_request_t *r,
    ngx_oa_router_ctx_t *ctx, ngx_oa_router_loc_conf_t *rlcf,
    ngx_oa_replay_hints_t *hints);
static void ngx_oa_replay_read_hint(ngx_http_request_t *r,
    ngx_oa_router_ctx_t *ctx, ngx_oa_router_loc_conf_t *rlcf,
    ngx_table_elt_t *h, ngx_oa_replay_hints_t *hints);
static const ngx_oa_problem_t *ngx_oa_replay_caution(ngx_http_request_t *r,
    ngx_oa_router_ctx_t *ctx, ngx_oa_replay_hints_t *hints);
static ngx_uint_t ngx_oa_replay_is_ours(ngx_http_request_t *r,
    ngx_oa_router_ctx_t *ctx, ngx_oa_router_loc_conf_t *rlcf,
    ngx_str_t *value);
static ngx_int_t ngx_oa_replay_derive_key(ngx_oa_router_ctx_t *ctx,
    ngx_oa_router_loc_conf_t *rlcf, u_char *key);
static ngx_int_t ngx_oa_replay_add_state(ngx_http_request_t *r,
    ngx_oa_router_ctx_t *ctx, ngx_oa_router_loc_conf_t *rlcf,
    oa_replay_t *replay);
static ngx_int_t ngx_oa_replay_send_header(ngx_http_request_t *r,
    ngx_oa_router_ctx_t *ctx, ngx_oa_router_loc_conf_t *rlcf,
    oa_replay_t *replay);


static const ngx_str_t  ngx_oa_h_replay = ngx_string("fly-replay");
static const ngx_str_t  ngx_oa_h_cache = ngx_string("fly-replay-cache");
static const ngx_str_t  ngx_oa_h_cache_ttl =
    ngx_string("fly-replay-cache-ttl-secs");
static const ngx_str_t  ngx_oa_h_content_length = ngx_string("Content-Length");
static const ngx_str_t  ngx_oa_zero = ngx_string("0");
static const ngx_str_t  ngx_oa_h_cache_control = ngx_string("Cache-Control");
static const ngx_str_t  ngx_oa_no_store = ngx_string("no-store");

static const ngx_oa_problem_t  ngx_oa_problem_too_large = {
    413, ngx_string("body_too_large"),
    ngx_string("A request of this size, or of unknown size, cannot be passed "
               "to the agent here."), 0,
    ngx_null_string
};

static const ngx_oa_problem_t  ngx_oa_problem_failed = {
    502, ngx_string("replay_failed"),
    ngx_string("The agent's machine could not be reached."), 0,
    ngx_null_string
};

static const ngx_oa_problem_t  ngx_oa_problem_loop = {
    508, ngx_string("replay_loop"),
    ngx_string("The agent's machine sent the request back to the router."), 0,
    ngx_null_string
};


ngx_int_t
ngx_oa_replay_handler(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_uint_t                 as_json;
    oa_replay_t               *replay;
    oa_replay_json_t           json;
    ngx_oa_router_ctx_t       *ctx;
    const ngx_oa_problem_t    *problem;
    ngx_oa_replay_conf_t      *conf;
    ngx_oa_credentials_t       credentials;
    ngx_oa_replay_hints_t      hints;
    ngx_oa_router_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_oa_router_module);
    ctx = ngx_http_get_module_ctx(r, ngx_oa_router_module);

    /* an error page may lead here, but not on to the machine */

    if (ctx == NULL || ctx->state != NGX_OA_ROUTE_ADMITTED) {
        return NGX_HTTP_NOT_FOUND;
    }

    conf = rlcf->replay;

    ngx_oa_replay_read_hints(r, ctx, rlcf, &hints);

    problem = ngx_oa_replay_caution(r, ctx, &hints);

    if (problem == NULL && ngx_oa_replay_too_large(r)) {

        if (rlcf->large.len) {
            return ngx_http_named_location(r, &rlcf->large);
        }

        problem = &ngx_oa_problem_too_large;
    }

    if (problem) {
        return ngx_oa_problem(r, problem);
    }

    as_json = conf->format == NGX_OA_FORMAT_JSON
              || (conf->format == NGX_OA_FORMAT_DEFAULT
                  && (ctx->authenticated || rlcf->set_headers
                      || rlcf->hide_headers));

    if (as_json) {
        ngx_memzero(&json, sizeof(oa_replay_json_t));

        if (ngx_oa_replay_json_begin(r, &json, &credentials) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        /* the answer to HEAD has no body: only what needs none passes */

        if (r->method == NGX_HTTP_HEAD) {

            if (hints.authorization || credentials.cookie_changed
                || credentials.protocol_changed || credentials.referer_changed
                || json.path.len || hints.nforced || rlcf->set_headers
                || rlcf->hide_headers)
            {
                return NGX_HTTP_NOT_ALLOWED;
            }

            as_json = 0;
        }
    }

    /* the body is for the machine: it is not asked for */

    r->expect_tested = 1;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    replay = &json.replay;

    replay->app = ctx->route.app;
    replay->machine = ctx->route.machine;
    replay->timeout = conf->timeout;
    replay->fallback = conf->fallback;
    replay->prefer = conf->prefer;
    ngx_str_null(&replay->state);

    if (rlcf->replay_key.len
        && ngx_oa_replay_add_state(r, ctx, rlcf, replay) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_oa_count(NGX_OA_COUNT_REPLAYS);

    /* preconditions are for the machine, too */

    r->disable_not_modified = 1;
    r->headers_out.status = conf->status;

    if (ngx_oa_response_header(r, &ngx_oa_h_cache_control, &ngx_oa_no_store)
        == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return as_json ? ngx_oa_replay_send_json(r, ctx, rlcf, &json,
                                             &credentials, &hints)
                   : ngx_oa_replay_send_header(r, ctx, rlcf, replay);
}


static ngx_uint_t
ngx_oa_replay_too_large(ngx_http_request_t *r)
{
    /* of unknown length over HTTP/2 and 3 is chunked as well to nginx */

    return r->headers_in.chunked
           || r->headers_in.content_length_n > NGX_OA_REPLAY_BODY_MAX;
}


static void
ngx_oa_replay_read_hints(ngx_http_request_t *r, ngx_oa_router_ctx_t *ctx,
    ngx_oa_router_loc_conf_t *rlcf, ngx_oa_replay_hints_t *hints)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    ngx_memzero(hints, sizeof(ngx_oa_replay_hints_t));

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        switch (h[i].lowcase_key[0]) {

        case 'a':
            if (h[i].key.len == 13
                && ngx_memcmp(h[i].lowcase_key, "authorization", 13) == 0)
            {
                hints->authorization = 1;
            }

            break;

        case 'f':
            ngx_oa_replay_read_hint(r, ctx, rlcf, &h[i], hints);
            break;
        }
    }
}


/* Each counts that was sent: one more beside it hides nothing. */

static void
ngx_oa_replay_read_hint(ngx_http_request_t *r, ngx_oa_router_ctx_t *ctx,
    ngx_oa_router_loc_conf_t *rlcf, ngx_table_elt_t *h,
    ngx_oa_replay_hints_t *hints)
{
    if (ngx_oa_replay_is_forced(h)) {
        hints->nforced++;

    } else if (h->key.len == 14
               && ngx_memcmp(h->lowcase_key, "fly-replay-src", 14) == 0)
    {
        hints->looped |= ngx_oa_replay_is_ours(r, ctx, rlcf, &h->value);

    } else if (h->key.len == 17
               && ngx_memcmp(h->lowcase_key, "fly-replay-failed", 17) == 0)
    {
        hints->failed = 1;

    } else if (h->key.len == 34
               && ngx_memcmp(h->lowcase_key,
                             "fly-preferred-instance-unavailable", 34)
                  == 0)
    {
        hints->failed |= (h->value.len == ctx->route.machine.len
                          && ngx_memcmp(h->value.data,
                                        ctx->route.machine.data,
                                        h->value.len)
                             == 0);
    }
}


ngx_uint_t
ngx_oa_replay_is_forced(ngx_table_elt_t *h)
{
    return (h->key.len > 10
            && ngx_memcmp(h->lowcase_key, "fly-force-", 10) == 0)
           || (h->key.len > 11
               && ngx_memcmp(h->lowcase_key, "fly-prefer-", 11) == 0);
}


/*
 * What the request says of earlier replays may come from anybody: it can end
 * the request, and do nothing else.
 */

static const ngx_oa_problem_t *
ngx_oa_replay_caution(ngx_http_request_t *r, ngx_oa_router_ctx_t *ctx,
    ngx_oa_replay_hints_t *hints)
{
    if (hints->failed) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "replay of \"%V\" to machine \"%V\" failed",
                      &ctx->label, &ctx->route.machine);
        ngx_oa_count(NGX_OA_COUNT_REPLAY_FAILED);

        return &ngx_oa_problem_failed;
    }

    if (hints->looped) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "replay of \"%V\" to machine \"%V\" came back",
                      &ctx->label, &ctx->route.machine);
        ngx_oa_count(NGX_OA_COUNT_REPLAY_LOOPS);

        return &ngx_oa_problem_loop;
    }

    return NULL;
}


/* From this machine, or with a state that another router has signed. */

static ngx_uint_t
ngx_oa_replay_is_ours(ngx_http_request_t *r, ngx_oa_router_ctx_t *ctx,
    ngx_oa_router_loc_conf_t *rlcf, ngx_str_t *value)
{
    u_char                      key[OA_REPLAY_KEY_LEN];
    u_char                      buf[OA_REPLAY_SUB_MAX];
    ngx_int_t                   rc;
    ngx_str_t                   sub, *id;
    const char                 *why;
    oa_replay_src_t             src;
    ngx_oa_router_main_conf_t  *rmcf;

    if (oa_replay_src_parse(value, &src) != NGX_OK) {
        return 0;
    }

    rmcf = ngx_http_get_module_main_conf(r, ngx_oa_router_module);
    id = &rmcf->fly->machine_id;

    if (id->len
        && src.instance.len == id->len
        && ngx_memcmp(src.instance.data, id->data, id->len) == 0)
    {
        return 1;
    }

    if (src.state.len == 0 || rlcf->replay_key.len == 0
        || ngx_oa_replay_derive_key(ctx, rlcf, key) != NGX_OK)
    {
        return 0;
    }

    rc = oa_replay_state_verify(&src.state, key, ngx_time(),
                                &ctx->route.machine, buf, &sub, &why);

    OPENSSL_cleanse(key, sizeof(key));

    return rc == NGX_OK;
}


static ngx_int_t
ngx_oa_replay_derive_key(ngx_oa_router_ctx_t *ctx,
    ngx_oa_router_loc_conf_t *rlcf, u_char *key)
{
    ngx_str_t  machine;

    ngx_str_null(&machine);

    if (rlcf->replay_key_per_machine) {
        machine = ctx->route.machine;
    }

    return oa_replay_derive(&rlcf->replay_key, &ctx->route.app, &machine, key);
}


static ngx_int_t
ngx_oa_replay_add_state(ngx_http_request_t *r, ngx_oa_router_ctx_t *ctx,
    ngx_oa_router_loc_conf_t *rlcf, oa_replay_t *replay)
{
    u_char     key[OA_REPLAY_KEY_LEN];
    time_t     exp;
    ngx_int_t  rc;
    ngx_str_t  target;

    replay->state.data = ngx_pnalloc(r->pool, OA_REPLAY_STATE_MAX);
    if (replay->state.data == NULL) {
        return NGX_ERROR;
    }

    ngx_str_null(&target);

    if (!replay->prefer) {
        target = replay->machine;
    }

    exp = ngx_time() + NGX_OA_REPLAY_STATE_TTL + rlcf->replay->timeout_sec;

    rc = ngx_oa_replay_derive_key(ctx, rlcf, key);

    if (rc == NGX_OK) {
        rc = oa_replay_state(replay->state.data, &replay->state.len, key, exp,
                             &ctx->identity.sub, &target);
    }

    OPENSSL_cleanse(key, sizeof(key));

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "the state of a replay to machine \"%V\" could not be "
                      "signed", &replay->machine);
    }

    return rc;
}


static ngx_int_t
ngx_oa_replay_send_header(ngx_http_request_t *r, ngx_oa_router_ctx_t *ctx,
    ngx_oa_router_loc_conf_t *rlcf, oa_replay_t *replay)
{
    ngx_str_t  value, ttl;

    value.data = ngx_pnalloc(r->pool, oa_replay_header_size(replay));
    if (value.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    value.len = oa_replay_header(value.data, replay) - value.data;

    if (ngx_oa_response_header(r, &ngx_oa_h_replay, &value) == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_oa_replay_is_cacheable(r, rlcf)) {

        ttl.data = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
        if (ttl.data == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ttl.len = ngx_sprintf(ttl.data, "%ui", rlcf->replay->cache_ttl)
                  - ttl.data;

        if (ngx_oa_replay_cache_prefix(r, ctx, rlcf, &value) != NGX_OK
            || ngx_oa_response_header(r, &ngx_oa_h_cache, &value) == NULL
            || ngx_oa_response_header(r, &ngx_oa_h_cache_ttl, &ttl) == NULL)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    r->headers_out.content_length_n = 0;
    r->header_only = 1;

    if (rlcf->replay->status != NGX_HTTP_NO_CONTENT) {

        /* ready made: nginx would print the number each time */

        r->headers_out.content_length =
            ngx_oa_response_header(r, &ngx_oa_h_content_length, &ngx_oa_zero);

        if (r->headers_out.content_length == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    return ngx_http_send_header(r);
}


/* Fly Proxy only takes a prefix that the request itself has. */

ngx_uint_t
ngx_oa_replay_is_cacheable(ngx_http_request_t *r,
    ngx_oa_router_loc_conf_t *rlcf)
{
    ngx_str_t  *path;

    path = &rlcf->replay->cache_path;

    return path->len
           && r->unparsed_uri.len >= path->len - 1
           && ngx_memcmp(r->unparsed_uri.data, path->data, path->len - 1) == 0;
}


/* Without its host one user's cached replay would be every user's. */

ngx_int_t
ngx_oa_replay_cache_prefix(ngx_http_request_t *r, ngx_oa_router_ctx_t *ctx,
    ngx_oa_router_loc_conf_t *rlcf, ngx_str_t *prefix)
{
    prefix->data = ngx_pnalloc(r->pool, ctx->label.len + 1
                                        + ctx->routes->domain.len
                                        + rlcf->replay->cache_path.len);
    if (prefix->data == NULL) {
        return NGX_ERROR;
    }

    prefix->len = ngx_sprintf(prefix->data, "%V.%V%V", &ctx->label,
                              &ctx->routes->domain, &rlcf->replay->cache_path)
                  - prefix->data;

    return NGX_OK;
}
