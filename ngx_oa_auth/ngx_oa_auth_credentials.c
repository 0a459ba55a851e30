
/*
 * What must not travel to a machine: agents are other people's code.
 */


#include "ngx_oa_auth.h"
#include "oa_args.h"


static ngx_int_t ngx_oa_credentials_cookie(ngx_http_request_t *r,
    ngx_oa_auth_main_conf_t *amcf, ngx_oa_credentials_t *credentials);
static ngx_int_t ngx_oa_credentials_protocol(ngx_http_request_t *r,
    ngx_oa_credentials_t *credentials);
static ngx_int_t ngx_oa_credentials_referer(ngx_http_request_t *r,
    ngx_oa_credentials_t *credentials);


static const ngx_str_t  ngx_oa_protocol =
    ngx_string("sec-websocket-protocol");


ngx_int_t
ngx_oa_auth_credentials(ngx_http_request_t *r,
    ngx_oa_credentials_t *credentials)
{
    ngx_oa_auth_main_conf_t  *amcf;

    ngx_memzero(credentials, sizeof(ngx_oa_credentials_t));

    amcf = ngx_http_get_module_main_conf(r, ngx_oa_auth_module);

    credentials->args = amcf->args.elts;
    credentials->nargs = amcf->args.nelts;

    if (ngx_oa_credentials_cookie(r, amcf, credentials) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_oa_credentials_protocol(r, credentials) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_oa_credentials_referer(r, credentials);
}


/* What is left of several lines is one, as a browser would have sent it. */

static ngx_int_t
ngx_oa_credentials_cookie(ngx_http_request_t *r,
    ngx_oa_auth_main_conf_t *amcf, ngx_oa_credentials_t *credentials)
{
    size_t      len;
    u_char     *p, *line;
    ngx_str_t   lines[NGX_OA_COOKIE_LINES];
    ngx_uint_t  i, n;

    if (amcf->cookies.nelts == 0) {
        return NGX_OK;
    }

    /* so many cannot be looked through: none travels */

    if (ngx_oa_auth_cookie_lines(r, lines, &n) != NGX_OK) {
        credentials->cookie_changed = 1;
        return NGX_OK;
    }

    len = 0;

    for (i = 0; i < n; i++) {
        len += lines[i].len + 2;
    }

    if (len == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    credentials->cookie.data = p;

    for (i = 0; i < n; i++) {
        line = p;

        if (p != credentials->cookie.data) {
            *p++ = ';';
            *p++ = ' ';
        }

        len = oa_cookie_strip(p, &lines[i], amcf->cookies.elts,
                              amcf->cookies.nelts)
              - p;

        if (len != lines[i].len) {
            credentials->cookie_changed = 1;
        }

        p = len ? p + len : line;
    }

    credentials->cookie.len = p - credentials->cookie.data;

    return NGX_OK;
}


static ngx_int_t
ngx_oa_credentials_protocol(ngx_http_request_t *r,
    ngx_oa_credentials_t *credentials)
{
    ngx_str_t   *value;
    ngx_uint_t   n;

    value = ngx_oa_request_header(r, &ngx_oa_protocol, &n);

    if (value == NULL) {
        return NGX_OK;
    }

    /* over several lines it is taken away as a whole */

    if (n > 1) {
        credentials->protocol_changed = 1;
        return NGX_OK;
    }

    credentials->protocol.data = ngx_pnalloc(r->pool, value->len);
    if (credentials->protocol.data == NULL) {
        return NGX_ERROR;
    }

    credentials->protocol.len = oa_protocol_strip(credentials->protocol.data,
                                                  value)
                                - credentials->protocol.data;

    credentials->protocol_changed = (credentials->protocol.len != value->len);

    return NGX_OK;
}


/* A page that was opened with a token in its URL tells it to all it loads. */

static ngx_int_t
ngx_oa_credentials_referer(ngx_http_request_t *r,
    ngx_oa_credentials_t *credentials)
{
    u_char     *p;
    ngx_str_t   args, *value;

    if (r->headers_in.referer == NULL) {
        return NGX_OK;
    }

    value = &r->headers_in.referer->value;

    p = ngx_strlchr(value->data, value->data + value->len, '?');
    if (p == NULL) {
        return NGX_OK;
    }

    args.data = p + 1;
    args.len = value->data + value->len - args.data;

    p = ngx_pnalloc(r->pool, args.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    credentials->referer_changed =
        ((size_t) (oa_args_strip(p, &args, credentials->args,
                                 credentials->nargs)
                   - p)
         != args.len);

    return NGX_OK;
}
