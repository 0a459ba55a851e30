
/*
 * Where the token of a request is, and whether its cookie counts.
 */


#include "ngx_oa_auth.h"
#include "oa_args.h"
#include "oa_field.h"


static ngx_int_t ngx_oa_auth_from_header(ngx_http_request_t *r,
    ngx_oa_auth_loc_conf_t *alcf, ngx_oa_auth_source_t *source,
    ngx_str_t *token);
static ngx_int_t ngx_oa_auth_from_cookie(ngx_http_request_t *r,
    ngx_oa_auth_loc_conf_t *alcf, ngx_oa_auth_source_t *source,
    ngx_str_t *token);
static ngx_int_t ngx_oa_auth_from_query(ngx_http_request_t *r,
    ngx_oa_auth_loc_conf_t *alcf, ngx_oa_auth_source_t *source,
    ngx_str_t *token);
static ngx_int_t ngx_oa_auth_from_protocol(ngx_http_request_t *r,
    ngx_oa_auth_loc_conf_t *alcf, ngx_oa_auth_source_t *source,
    ngx_str_t *token);
static ngx_int_t ngx_oa_auth_read_cookie(ngx_http_request_t *r,
    ngx_str_t *lines, ngx_uint_t n, ngx_str_t *name, ngx_str_t *token);
static ngx_uint_t ngx_oa_auth_cookie_counts(ngx_http_request_t *r,
    ngx_oa_auth_loc_conf_t *alcf);
static ngx_int_t ngx_oa_auth_copy(ngx_http_request_t *r, ngx_str_t *token);


typedef ngx_int_t (*ngx_oa_auth_from_pt)(ngx_http_request_t *r,
    ngx_oa_auth_loc_conf_t *alcf, ngx_oa_auth_source_t *source,
    ngx_str_t *token);

/* In the order of ngx_oa_from_e. */
static ngx_oa_auth_from_pt  ngx_oa_auth_from[] = {
    ngx_oa_auth_from_header,
    ngx_oa_auth_from_cookie,
    ngx_oa_auth_from_query,
    ngx_oa_auth_from_protocol
};


static const ngx_str_t  ngx_oa_fetch_site = ngx_string("sec-fetch-site");
static const ngx_str_t  ngx_oa_same_origin = ngx_string("same-origin");
static const ngx_str_t  ngx_oa_none = ngx_string("none");
static const ngx_str_t  ngx_oa_origin = ngx_string("origin");
static const ngx_str_t  ngx_oa_accept = ngx_string("accept");
static const ngx_str_t  ngx_oa_event_stream = ngx_string("text/event-stream");
static const ngx_str_t  ngx_oa_protocol =
    ngx_string("sec-websocket-protocol");


/* All sources are looked at: a second token, if it is another, is refused. */

oa_auth_error_e
ngx_oa_auth_find_token(ngx_http_request_t *r, ngx_oa_auth_loc_conf_t *alcf,
    ngx_oa_auth_ctx_t *ctx)
{
    ngx_str_t              token;
    ngx_uint_t             i;
    ngx_oa_auth_source_t  *source;

    ctx->source = NULL;
    ctx->token.len = 0;

    source = alcf->sources->elts;

    for (i = 0; i < alcf->sources->nelts; i++) {

        switch (ngx_oa_auth_from[source[i].from](r, alcf, &source[i], &token))
        {
        case NGX_OK:
            break;

        case NGX_DECLINED:
            continue;

        default:
            return OA_AUTH_MALFORMED;
        }

        if (ctx->source == NULL) {
            ctx->source = &source[i];
            ctx->token = token;
            continue;
        }

        if (ctx->token.len != token.len
            || ngx_memcmp(ctx->token.data, token.data, token.len) != 0)
        {
            return OA_AUTH_MALFORMED;
        }
    }

    return ctx->source ? OA_AUTH_OK : OA_AUTH_MISSING;
}


static ngx_int_t
ngx_oa_auth_from_header(ngx_http_request_t *r, ngx_oa_auth_loc_conf_t *alcf,
    ngx_oa_auth_source_t *source, ngx_str_t *token)
{
    ngx_oa_auth_ctx_t  *ctx;

    /* nginx itself refuses a second one */

    if (r->headers_in.authorization == NULL) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_oa_auth_module);

    if (ctx->bearer.len) {
        *token = ctx->bearer;
        return NGX_OK;
    }

    return oa_field_bearer(&r->headers_in.authorization->value, token);
}


static ngx_int_t
ngx_oa_auth_from_cookie(ngx_http_request_t *r, ngx_oa_auth_loc_conf_t *alcf,
    ngx_oa_auth_source_t *source, ngx_str_t *token)
{
    ngx_int_t                  rc;
    ngx_str_t                  lines[NGX_OA_COOKIE_LINES], *session;
    ngx_uint_t                 i, n;
    ngx_oa_issuer_t          **issuer;
    ngx_oa_auth_main_conf_t   *amcf;

    if (ngx_oa_auth_cookie_lines(r, lines, &n) != NGX_OK) {
        return NGX_ERROR;
    }

    if (n == 0 || !ngx_oa_auth_cookie_counts(r, alcf)) {
        return NGX_DECLINED;
    }

    if (source->name.len) {
        return ngx_oa_auth_read_cookie(r, lines, n, &source->name, token);
    }

    /* a session of this host goes before one of the whole domain */

    amcf = ngx_http_get_module_main_conf(r, ngx_oa_auth_module);
    session = amcf->sessions.elts;

    for (i = 0; i < amcf->sessions.nelts; i++) {
        rc = ngx_oa_auth_read_cookie(r, lines, n, &session[i], token);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    issuer = alcf->issuers->elts;

    for (i = 0; i < alcf->issuers->nelts; i++) {

        if (issuer[i]->cookie.len == 0) {
            continue;
        }

        rc = ngx_oa_auth_read_cookie(r, lines, n, &issuer[i]->cookie, token);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_oa_auth_read_cookie(ngx_http_request_t *r, ngx_str_t *lines, ngx_uint_t n,
    ngx_str_t *name, ngx_str_t *token)
{
    static u_char  buf[OA_COOKIE_MAX];

    ngx_int_t  rc;

    rc = oa_cookie_token(lines, n, name, buf, token);

    return rc == NGX_OK ? ngx_oa_auth_copy(r, token) : rc;
}


static ngx_int_t
ngx_oa_auth_from_query(ngx_http_request_t *r, ngx_oa_auth_loc_conf_t *alcf,
    ngx_oa_auth_source_t *source, ngx_str_t *token)
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

    rc = oa_args_find(&r->args, &source->name, buf, token);

    if (rc == NGX_OK && token->len == 0) {
        return NGX_DECLINED;
    }

    return rc;
}


static ngx_int_t
ngx_oa_auth_from_protocol(ngx_http_request_t *r, ngx_oa_auth_loc_conf_t *alcf,
    ngx_oa_auth_source_t *source, ngx_str_t *token)
{
    ngx_str_t   *value;
    ngx_uint_t   n;

    value = ngx_oa_request_header(r, &ngx_oa_protocol, &n);

    if (value == NULL) {
        return NGX_DECLINED;
    }

    /* a list over several lines has no place for a token to be sure of */

    return n > 1 ? NGX_ERROR : oa_protocol_token(value, token);
}


/*
 * Agents' pages on sibling subdomains are of the same site, so a browser sends
 * them along with cookies: where a request does something, or cannot be undone
 * by the page's not being able to read the answer, it must come from a page of
 * ours.
 */

static ngx_uint_t
ngx_oa_auth_cookie_counts(ngx_http_request_t *r, ngx_oa_auth_loc_conf_t *alcf)
{
    ngx_str_t   *accept;
    ngx_uint_t   n;

    /* a subrequest is a GET, whatever the browser has sent */

    if (!(r->main->method & (NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_OPTIONS))
        || r->headers_in.upgrade
        || (ngx_oa_is_stream && ngx_oa_is_stream(r)))
    {
        return ngx_oa_auth_is_own_page(r, alcf);
    }

    /* over several lines it may say anything */

    accept = ngx_oa_request_header(r, &ngx_oa_accept, &n);

    if (n > 1 || (accept && oa_field_has(accept, &ngx_oa_event_stream))) {
        return ngx_oa_auth_is_own_page(r, alcf);
    }

    return 1;
}


/*
 * What a browser says of the page: Sec-Fetch-Site, or where that is not sent
 * or names another place, Origin.  Who sends neither is no browser that could
 * be made to send cookies.
 */

ngx_uint_t
ngx_oa_auth_is_own_page(ngx_http_request_t *r, ngx_oa_auth_loc_conf_t *alcf)
{
    ngx_str_t                *site, *origin, *host;
    ngx_uint_t                nsites, norigins, tls;
    ngx_oa_auth_main_conf_t  *amcf;

    site = ngx_oa_request_header(r, &ngx_oa_fetch_site, &nsites);

    if (nsites == 1
        && (ngx_oa_auth_is(site, &ngx_oa_same_origin)
            || ngx_oa_auth_is(site, &ngx_oa_none)))
    {
        return 1;
    }

    origin = ngx_oa_request_header(r, &ngx_oa_origin, &norigins);

    if (origin == NULL) {
        return nsites == 0;
    }

    if (norigins > 1) {
        return 0;
    }

    amcf = ngx_http_get_module_main_conf(r, ngx_oa_auth_module);

    tls = amcf->tls;

#if (NGX_HTTP_SSL)
    tls |= (r->connection->ssl != NULL);
#endif

    host = r->headers_in.host ? &r->headers_in.host->value
                              : &r->headers_in.server;

    return oa_origin_is(origin, host, tls,
                        alcf->origins ? alcf->origins->elts : NULL,
                        alcf->origins ? alcf->origins->nelts : 0);
}


/* Tokens that were decoded into a buffer of all requests get their own. */

static ngx_int_t
ngx_oa_auth_copy(ngx_http_request_t *r, ngx_str_t *token)
{
    token->data = ngx_pstrdup(r->pool, token);

    return token->data ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_oa_auth_cookie_lines(ngx_http_request_t *r, ngx_str_t *lines,
    ngx_uint_t *n)
{
#if (nginx_version >= 1023000)

    ngx_table_elt_t  *h;

    *n = 0;

    for (h = r->headers_in.cookie; h; h = h->next) {
        if (*n == NGX_OA_COOKIE_LINES) {
            return NGX_ERROR;
        }

        lines[(*n)++] = h->value;
    }

#else

    ngx_uint_t         i;
    ngx_table_elt_t  **h;

    h = r->headers_in.cookies.elts;
    *n = r->headers_in.cookies.nelts;

    if (*n > NGX_OA_COOKIE_LINES) {
        return NGX_ERROR;
    }

    for (i = 0; i < *n; i++) {
        lines[i] = h[i]->value;
    }

#endif

    return NGX_OK;
}
