
/*
 * oa_session: a token that the login page hands over becomes a cookie of this
 * host alone, and is taken away again.
 */


#include "ngx_oa_auth.h"
#include "oa_field.h"


static void ngx_oa_session_body(ngx_http_request_t *r);
static ngx_int_t ngx_oa_session_read(ngx_http_request_t *r,
    ngx_oa_auth_ctx_t *ctx);
static ngx_int_t ngx_oa_session_copy_body(ngx_http_request_t *r,
    ngx_str_t *body);
static void ngx_oa_session_judge(ngx_http_request_t *r,
    ngx_oa_auth_ctx_t *ctx);
static ngx_int_t ngx_oa_session_judged(ngx_http_request_t *r,
    ngx_oa_auth_ctx_t *ctx);
static void ngx_oa_session_landed(ngx_oa_flight_t *flight, ngx_int_t rc);
static ngx_int_t ngx_oa_session_begin(ngx_http_request_t *r,
    ngx_oa_auth_ctx_t *ctx);
static ngx_int_t ngx_oa_session_answer(ngx_http_request_t *r,
    const ngx_str_t *token, time_t max_age, const ngx_str_t *next);


/* A token that was sent on purpose: an expired one is not as good as none. */
static ngx_oa_auth_source_t  ngx_oa_session_source = {
    NGX_OA_FROM_HEADER, ngx_null_string
};


static const ngx_str_t  ngx_oa_session_set_cookie = ngx_string("Set-Cookie");
static const ngx_str_t  ngx_oa_session_cache = ngx_string("Cache-Control");
static const ngx_str_t  ngx_oa_session_no_store = ngx_string("no-store");
static const ngx_str_t  ngx_oa_session_allow = ngx_string("Allow");
static const ngx_str_t  ngx_oa_session_methods = ngx_string("POST, DELETE");
static const ngx_str_t  ngx_oa_session_home = ngx_string("/");


static const ngx_oa_problem_t  ngx_oa_problem_foreign = {
    403, ngx_string("insufficient_scope"),
    ngx_string("This page may not begin or end a session here."), 0,
    ngx_null_string
};

static const ngx_oa_problem_t  ngx_oa_problem_handover = {
    400, ngx_string("token_invalid"),
    ngx_string("The body is neither a form nor JSON with \"access_token\" and "
               "a \"next\" of this host."), 0, ngx_null_string
};

static const ngx_oa_problem_t  ngx_oa_problem_large = {
    413, ngx_string("body_too_large"),
    ngx_string("A token of this size does not fit into a cookie."), 0,
    ngx_null_string
};


/* Whatever route the host has, a session is everybody's to begin. */

ngx_uint_t
ngx_oa_session_is(ngx_http_request_t *r)
{
    ngx_oa_auth_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_oa_auth_module);

    return alcf->session.len != 0;
}


ngx_int_t
ngx_oa_session_handler(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_str_t                token;
    ngx_oa_auth_ctx_t       *ctx;
    ngx_oa_auth_loc_conf_t  *alcf;

    if (!(r->method & (NGX_HTTP_POST|NGX_HTTP_DELETE))) {
        if (ngx_oa_response_header(r, &ngx_oa_session_allow,
                                   &ngx_oa_session_methods)
            == NULL)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return NGX_HTTP_NOT_ALLOWED;
    }

    alcf = ngx_http_get_module_loc_conf(r, ngx_oa_auth_module);

    /* else any page could log a visitor in as somebody, or out */

    if (!ngx_oa_auth_is_own_page(r, alcf)) {
        return ngx_oa_problem(r, &ngx_oa_problem_foreign);
    }

    if (r->method == NGX_HTTP_DELETE) {
        rc = ngx_http_discard_request_body(r);
        if (rc != NGX_OK) {
            return rc;
        }

        ngx_str_null(&token);

        return ngx_oa_session_answer(r, &token, 0, NULL);
    }

    if (r->headers_in.chunked
        || r->headers_in.content_length_n > OA_HANDOVER_MAX)
    {
        return ngx_oa_problem(r, &ngx_oa_problem_large);
    }

    ctx = ngx_oa_auth_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->handover = ngx_pcalloc(r->pool, sizeof(oa_handover_t));
    if (ctx->handover == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_read_client_request_body(r, ngx_oa_session_body);

    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}


static void
ngx_oa_session_body(ngx_http_request_t *r)
{
    ngx_int_t           rc;
    ngx_oa_auth_ctx_t  *ctx;

    ctx = ngx_oa_auth_ctx(r);

    if (ctx == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    switch (ngx_oa_session_read(r, ctx)) {

    case NGX_OK:
        ngx_oa_session_judge(r, ctx);
        return;

    case NGX_DECLINED:
        rc = ngx_oa_problem(r, &ngx_oa_problem_handover);
        break;

    default:
        rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        break;
    }

    ngx_http_finalize_request(r, rc);
}


/* NGX_OK, with a token in the context; NGX_DECLINED: there is none. */

static ngx_int_t
ngx_oa_session_read(ngx_http_request_t *r, ngx_oa_auth_ctx_t *ctx)
{
    u_char         *buf;
    ngx_str_t       body, *type, none;
    oa_handover_t  *handover;

    handover = ctx->handover;

    if (ngx_oa_session_copy_body(r, &body) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_null(&none);
    type = r->headers_in.content_type ? &r->headers_in.content_type->value
                                      : &none;

    if (body.len) {
        buf = ngx_pnalloc(r->pool, 2 * body.len);
        if (buf == NULL) {
            return NGX_ERROR;
        }

        if (oa_handover_parse(type, &body, buf, handover) != NGX_OK) {
            return NGX_DECLINED;
        }
    }

    if (handover->token.len == 0
        && (r->headers_in.authorization == NULL
            || oa_field_bearer(&r->headers_in.authorization->value,
                               &handover->token)
               != NGX_OK))
    {
        return NGX_DECLINED;
    }

    ctx->token = handover->token;
    ctx->source = &ngx_oa_session_source;

    return NGX_OK;
}


static ngx_int_t
ngx_oa_session_copy_body(ngx_http_request_t *r, ngx_str_t *body)
{
    u_char       *p;
    size_t        len;
    ssize_t       n;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    ngx_str_null(body);

    if (r->request_body == NULL || r->headers_in.content_length_n <= 0) {
        return NGX_OK;
    }

    len = r->headers_in.content_length_n;

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->data = p;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        b = cl->buf;

        if ((size_t) ngx_buf_size(b) > len) {
            return NGX_ERROR;
        }

        if (ngx_buf_in_memory(b)) {
            n = b->last - b->pos;
            p = ngx_cpymem(p, b->pos, n);

        } else {
            n = ngx_read_file(b->file, p, b->file_last - b->file_pos,
                              b->file_pos);

            if (n != b->file_last - b->file_pos) {
                return NGX_ERROR;
            }

            p += n;
        }

        len -= n;
    }

    body->len = p - body->data;

    return NGX_OK;
}


/* Ends the request, unless it waits for keys. */

static void
ngx_oa_session_judge(ngx_http_request_t *r, ngx_oa_auth_ctx_t *ctx)
{
    ngx_int_t                rc;
    ngx_oa_auth_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_oa_auth_module);

    ctx->flight.landed = ngx_oa_session_landed;
    ctx->flight.data = ctx;

    rc = ngx_oa_auth_judge_token(r, alcf, ctx, ctx->waits < NGX_OA_AUTH_WAITS);

    if (rc == NGX_AGAIN) {
        rc = ngx_oa_auth_wait(r, ctx);

        if (rc == NGX_AGAIN) {
            return;
        }
    }

    ngx_http_finalize_request(r, rc == NGX_OK
                                 ? ngx_oa_session_judged(r, ctx)
                                 : NGX_HTTP_INTERNAL_SERVER_ERROR);
}


static ngx_int_t
ngx_oa_session_judged(ngx_http_request_t *r, ngx_oa_auth_ctx_t *ctx)
{
    ctx->state = NGX_OA_AUTH_JUDGED;

    ngx_oa_count(NGX_OA_COUNT_TOKEN_RESULTS + ctx->error);

    if (ctx->error == OA_AUTH_OK) {
        return ngx_oa_session_begin(r, ctx);
    }

    return ngx_oa_auth_refuse_token(r, ctx) == NGX_OK
           ? ngx_oa_problem(r, ctx->problem)
           : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static void
ngx_oa_session_landed(ngx_oa_flight_t *flight, ngx_int_t rc)
{
    ngx_oa_auth_ctx_t *ctx = flight->data;

    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    if (rc == NGX_BUSY) {
        ctx->waits = NGX_OA_AUTH_WAITS;
    }

    ctx->state = NGX_OA_AUTH_LANDED;

    ngx_oa_session_judge(r, ctx);

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_oa_session_begin(ngx_http_request_t *r, ngx_oa_auth_ctx_t *ctx)
{
    oa_handover_t           *handover;
    const ngx_str_t         *next;
    ngx_oa_auth_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_oa_auth_module);

    handover = ctx->handover;

    if (alcf->session.len + handover->token.len > OA_HANDOVER_COOKIE) {
        return ngx_oa_problem(r, &ngx_oa_problem_large);
    }

    next = NULL;

    if (handover->form) {
        next = handover->next.len ? &handover->next : &ngx_oa_session_home;
    }

    return ngx_oa_session_answer(r, &handover->token,
                                 ctx->exp - ngx_time(), next);
}


/* With a next page a browser is sent there; without, it is a script. */

static ngx_int_t
ngx_oa_session_answer(ngx_http_request_t *r, const ngx_str_t *token,
    time_t max_age, const ngx_str_t *next)
{
    ngx_str_t                value;
    ngx_oa_auth_loc_conf_t  *alcf;

    static const ngx_str_t  location = ngx_string("Location");

    alcf = ngx_http_get_module_loc_conf(r, ngx_oa_auth_module);

    value.data = ngx_pnalloc(r->pool, oa_handover_cookie_size(&alcf->session,
                                                              token));
    if (value.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    value.len = oa_handover_cookie(value.data, &alcf->session, token,
                                   ngx_max(max_age, 0))
                - value.data;

    if (ngx_oa_response_header(r, &ngx_oa_session_set_cookie, &value) == NULL
        || ngx_oa_response_header(r, &ngx_oa_session_cache,
                                  &ngx_oa_session_no_store)
           == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (next) {
        if (ngx_oa_response_header(r, &location, next) == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        /*
         * not in r->headers_out.location: nginx would make it absolute, with
         * the scheme and port that it is reached by behind a proxy
         */

        return NGX_HTTP_SEE_OTHER;
    }

    r->headers_out.status = NGX_HTTP_NO_CONTENT;
    r->header_only = 1;

    return ngx_http_send_header(r);
}
