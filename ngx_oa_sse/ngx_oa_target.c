
/*
 * Where the machine of a request is, and what is said to it.
 *
 * With our token a machine does whatever it is asked to, so only what is
 * listed here travels of what a client has sent.
 */


#include "ngx_oa_sse.h"
#include "oa_args.h"

#include <openssl/crypto.h>


typedef struct {
    ngx_str_t                    name;
    ngx_str_t                    value;
} ngx_oa_target_header_t;

typedef struct {
    ngx_array_t                 *headers;      /* ngx_oa_target_header_t */
    ngx_array_t                 *set;          /* ngx_oa_sse_header_t */
    ngx_str_t                    bearer;       /* to be cleansed */
} ngx_oa_target_headers_t;


static ngx_int_t ngx_oa_target_uri(ngx_http_request_t *r, ngx_str_t *path,
    ngx_str_t *uri);
static ngx_int_t ngx_oa_target_path(ngx_http_request_t *r, ngx_str_t *path);
static ngx_int_t ngx_oa_target_args(ngx_http_request_t *r, ngx_str_t *args);
static ngx_int_t ngx_oa_target_token(ngx_http_request_t *r,
    ngx_oa_sse_loc_conf_t *slcf, ngx_str_t *token);
static ngx_int_t ngx_oa_target_add(ngx_oa_target_headers_t *hs,
    const ngx_str_t *name, const ngx_str_t *value);
static ngx_int_t ngx_oa_target_add_set(ngx_http_request_t *r,
    ngx_oa_target_headers_t *hs);
static ngx_int_t ngx_oa_target_add_ours(ngx_http_request_t *r,
    ngx_oa_sse_loc_conf_t *slcf, const ngx_oa_target_t *target,
    const ngx_str_t *body, ngx_oa_target_headers_t *hs);
static ngx_int_t ngx_oa_target_check(ngx_http_request_t *r,
    ngx_array_t *headers);
static ngx_int_t ngx_oa_target_write(ngx_http_request_t *r,
    const ngx_oa_target_t *target, const ngx_str_t *body, ngx_array_t *headers,
    ngx_str_t *request);


/* Arguments of ours. */
static const ngx_str_t  ngx_oa_target_args_taken[] = {
    ngx_string("stream"),
    ngx_string("lasteventid")
};

/* What travels of a client's headers; in raw its Content-Type, too. */
static const ngx_str_t  ngx_oa_target_passed[] = {
    ngx_string("Accept-Language"),
    ngx_string("User-Agent"),
    ngx_string("traceparent"),
    ngx_string("tracestate"),
    ngx_null_string
};

static const ngx_str_t  ngx_oa_content_type = ngx_string("Content-Type");
static const ngx_str_t  ngx_oa_request_id = ngx_string("X-Request-Id");


ngx_int_t
ngx_oa_target(ngx_http_request_t *r, ngx_oa_sse_loc_conf_t *slcf,
    ngx_oa_target_t *target)
{
    ngx_url_t  u;
    ngx_str_t  url;

    ngx_memzero(target, sizeof(ngx_oa_target_t));

    if (ngx_http_complex_value(r, slcf->url, &url) != NGX_OK) {
        return NGX_ERROR;
    }

    /* the scheme was checked with the configuration */

    target->tls = (ngx_strncasecmp(url.data, (u_char *) "https", 5) == 0);

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url.data = url.data + (target->tls ? 8 : 7);
    u.url.len = url.data + url.len - u.url.data;
    u.default_port = target->tls ? 443 : 80;
    u.uri_part = 1;
    u.no_resolve = 1;

    if (u.url.len == 0 || u.url.data[0] == ':' || u.url.data[0] == '/'
        || ngx_parse_url(r->pool, &u) != NGX_OK
        || u.family == AF_UNIX
        || u.host.len == 0)
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "oa_sse_pass: there is no machine in \"%V\"%s%s", &url,
                      u.err ? ": " : "", u.err ? u.err : "");
        return NGX_DECLINED;
    }

    if (!ngx_oa_target_is_text(&u.host, 0x21)
        || !ngx_oa_target_is_allowed(slcf, &u.host))
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "oa_sse_pass: host \"%V\" is not allowed", &u.host);
        return NGX_DECLINED;
    }

    target->host = u.host;
    target->port = u.port;
    target->address = (u.naddrs != 0);

    target->authority.data = u.url.data;
    target->authority.len = u.host.len
                            + (u.no_port ? 0 : u.port_text.len + 1);

    if (u.family == AF_INET6) {
        target->host.data++;
        target->host.len -= 2;
    }

    return ngx_oa_target_uri(r, &u.uri, &target->uri);
}


ngx_uint_t
ngx_oa_target_is_allowed(ngx_oa_sse_loc_conf_t *slcf, const ngx_str_t *host)
{
    u_char      *p;
    ngx_str_t   *suffix;
    ngx_uint_t   i;

    if (slcf->allow == NULL) {
        return 1;
    }

    suffix = slcf->allow->elts;

    for (i = 0; i < slcf->allow->nelts; i++) {

        if (host->len < suffix[i].len) {
            continue;
        }

        p = host->data + host->len - suffix[i].len;

        if (ngx_strncasecmp(p, suffix[i].data, suffix[i].len) == 0
            && (p == host->data || p[-1] == '.'))
        {
            return 1;
        }
    }

    return 0;
}


/*
 * Without a path of its own it is that of the request, and without arguments
 * the request's are added: but those that are ours, and tokens.
 */

static ngx_int_t
ngx_oa_target_uri(ngx_http_request_t *r, ngx_str_t *path, ngx_str_t *uri)
{
    u_char     *p;
    ngx_str_t   args;

    *uri = *path;

    if (uri->len == 0 || uri->data[0] == '?') {

        if (ngx_oa_target_path(r, uri) != NGX_OK) {
            return NGX_ERROR;
        }

        if (path->len) {
            p = ngx_pnalloc(r->pool, uri->len + path->len);
            if (p == NULL) {
                return NGX_ERROR;
            }

            ngx_memcpy(p, uri->data, uri->len);
            ngx_memcpy(p + uri->len, path->data, path->len);

            uri->data = p;
            uri->len += path->len;
        }
    }

    if (ngx_strlchr(uri->data, uri->data + uri->len, '?') == NULL) {

        if (ngx_oa_target_args(r, &args) != NGX_OK) {
            return NGX_ERROR;
        }

        if (args.len) {
            p = ngx_pnalloc(r->pool, uri->len + 1 + args.len);
            if (p == NULL) {
                return NGX_ERROR;
            }

            ngx_memcpy(p, uri->data, uri->len);
            p[uri->len] = '?';
            ngx_memcpy(p + uri->len + 1, args.data, args.len);

            uri->data = p;
            uri->len += 1 + args.len;
        }
    }

    if (!ngx_oa_target_is_text(uri, 0x21)) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "oa_sse_pass: the path for the machine has a space or a "
                      "control character");
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* As the client has written it, unless something was rewritten since. */

static ngx_int_t
ngx_oa_target_path(ngx_http_request_t *r, ngx_str_t *path)
{
    u_char     *p;
    uintptr_t   escape;

    if (r->valid_unparsed_uri) {
        *path = r->unparsed_uri;

        p = ngx_strlchr(path->data, path->data + path->len, '?');
        if (p) {
            path->len = p - path->data;
        }

        return NGX_OK;
    }

    escape = 2 * ngx_escape_uri(NULL, r->uri.data, r->uri.len,
                                NGX_ESCAPE_URI);

    path->len = r->uri.len + escape;

    path->data = ngx_pnalloc(r->pool, path->len);
    if (path->data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_escape_uri(path->data, r->uri.data, r->uri.len,
                          NGX_ESCAPE_URI);

    return NGX_OK;
}


static ngx_int_t
ngx_oa_target_args(ngx_http_request_t *r, ngx_str_t *args)
{
    ngx_oa_credentials_t  credentials;

    ngx_str_null(args);

    if (r->args.len == 0) {
        return NGX_OK;
    }

    if (ngx_oa_credentials) {
        if (ngx_oa_credentials(r, &credentials) != NGX_OK) {
            return NGX_ERROR;
        }

    } else {
        credentials.args = &oa_args_token;
        credentials.nargs = 1;
    }

    args->data = ngx_pnalloc(r->pool, r->args.len);
    if (args->data == NULL) {
        return NGX_ERROR;
    }

    args->len = oa_args_strip(args->data, &r->args, credentials.args,
                              credentials.nargs)
                - args->data;

    args->len = oa_args_strip(args->data, args, ngx_oa_target_args_taken,
                              sizeof(ngx_oa_target_args_taken)
                              / sizeof(ngx_oa_target_args_taken[0]))
                - args->data;

    return NGX_OK;
}


ngx_uint_t
ngx_oa_target_is_text(const ngx_str_t *s, u_char least)
{
    size_t  i;

    for (i = 0; i < s->len; i++) {

        if (s->data[i] == 0x7f
            || (s->data[i] < least && (s->data[i] != '\t' || least > 0x20)))
        {
            return 0;
        }
    }

    return 1;
}


ngx_int_t
ngx_oa_target_request(ngx_http_request_t *r, ngx_oa_sse_loc_conf_t *slcf,
    const ngx_oa_target_t *target, const ngx_str_t *body, ngx_str_t *request)
{
    ngx_int_t                rc;
    ngx_oa_target_headers_t  hs;

    ngx_memzero(&hs, sizeof(ngx_oa_target_headers_t));

    hs.set = slcf->headers;
    hs.headers = ngx_array_create(r->pool, 16, sizeof(ngx_oa_target_header_t));
    if (hs.headers == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_oa_target_add_ours(r, slcf, target, body, &hs);

    if (rc == NGX_OK) {
        rc = ngx_oa_target_add_set(r, &hs);
    }

    if (rc == NGX_OK) {
        rc = ngx_oa_target_check(r, hs.headers);
    }

    if (rc == NGX_OK) {
        rc = ngx_oa_target_write(r, target, body, hs.headers, request);
    }

    if (hs.bearer.len) {
        OPENSSL_cleanse(hs.bearer.data, hs.bearer.len);
    }

    return rc;
}


static ngx_int_t
ngx_oa_target_check(ngx_http_request_t *r, ngx_array_t *headers)
{
    ngx_uint_t               i;
    ngx_oa_target_header_t  *h;

    h = headers->elts;

    for (i = 0; i < headers->nelts; i++) {
        if (!ngx_oa_target_is_text(&h[i].value, 0x20)) {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "oa_sse_pass: the value of header \"%V\" for the "
                          "machine has a control character", &h[i].name);
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


/* The token: of the configuration, of a variable, or the machine's own. */

static ngx_int_t
ngx_oa_target_token(ngx_http_request_t *r, ngx_oa_sse_loc_conf_t *slcf,
    ngx_str_t *token)
{
    ngx_oa_sse_main_conf_t     *smcf;
    ngx_http_variable_value_t  *vv;

    *token = slcf->token;

    if (token->data) {
        return NGX_OK;
    }

    if (slcf->token_value) {
        return ngx_http_complex_value(r, slcf->token_value, token);
    }

    smcf = ngx_http_get_module_main_conf(r, ngx_oa_sse_module);

    if (smcf->machine_token == NGX_ERROR) {
        return NGX_OK;
    }

    vv = ngx_http_get_flushed_variable(r, smcf->machine_token);
    if (vv == NULL) {
        return NGX_ERROR;
    }

    if (!vv->not_found) {
        token->len = vv->len;
        token->data = vv->data;
    }

    return NGX_OK;
}


/* One of ours goes where oa_sse_set_header says nothing else of it. */

static ngx_int_t
ngx_oa_target_add(ngx_oa_target_headers_t *hs, const ngx_str_t *name,
    const ngx_str_t *value)
{
    ngx_uint_t               i;
    ngx_oa_sse_header_t     *set;
    ngx_oa_target_header_t  *h;

    if (hs->set) {
        set = hs->set->elts;

        for (i = 0; i < hs->set->nelts; i++) {
            if (set[i].name.len == name->len
                && ngx_strncasecmp(set[i].name.data, name->data, name->len)
                   == 0)
            {
                return NGX_OK;
            }
        }
    }

    h = ngx_array_push(hs->headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->name = *name;
    h->value = *value;

    return NGX_OK;
}


static ngx_int_t
ngx_oa_target_add_set(ngx_http_request_t *r, ngx_oa_target_headers_t *hs)
{
    ngx_str_t                value;
    ngx_uint_t               i;
    ngx_oa_sse_header_t     *set;
    ngx_oa_target_header_t  *h;

    if (hs->set == NULL) {
        return NGX_OK;
    }

    set = hs->set->elts;

    for (i = 0; i < hs->set->nelts; i++) {

        if (ngx_http_complex_value(r, &set[i].value, &value) != NGX_OK) {
            return NGX_ERROR;
        }

        if (value.len == 0) {
            continue;
        }

        h = ngx_array_push(hs->headers);
        if (h == NULL) {
            return NGX_ERROR;
        }

        h->name = set[i].name;
        h->value = value;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_oa_target_add_ours(ngx_http_request_t *r, ngx_oa_sse_loc_conf_t *slcf,
    const ngx_oa_target_t *target, const ngx_str_t *body,
    ngx_oa_target_headers_t *hs)
{
    u_char                      buf[64];
    ngx_str_t                   token, value, *sent, name;
    ngx_uint_t                  i, n;
    ngx_oa_sse_main_conf_t     *smcf;
    ngx_http_variable_value_t  *vv;

    static const ngx_oa_target_header_t  fixed[] = {
        { ngx_string("Accept"), ngx_string("text/event-stream") },
        { ngx_string("Accept-Encoding"), ngx_string("identity") },
        { ngx_string("Cache-Control"), ngx_string("no-cache") }
    };

    static const ngx_str_t  host = ngx_string("Host");
    static const ngx_str_t  authorization = ngx_string("Authorization");
    static const ngx_str_t  json = ngx_string("application/json");

    if (ngx_oa_target_add(hs, &host, &target->authority) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        if (ngx_oa_target_add(hs, &fixed[i].name, &fixed[i].value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ngx_oa_target_token(r, slcf, &token) != NGX_OK) {
        return NGX_ERROR;
    }

    if (token.len) {
        value.data = ngx_pnalloc(r->pool, sizeof("Bearer ") - 1 + token.len);
        if (value.data == NULL) {
            return NGX_ERROR;
        }

        value.len = ngx_sprintf(value.data, "Bearer %V", &token) - value.data;
        hs->bearer = value;

        if (ngx_oa_target_add(hs, &authorization, &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    for (i = 0; ngx_oa_target_passed[i].len; i++) {

        name.len = ngx_oa_target_passed[i].len;
        name.data = buf;
        ngx_strlow(buf, ngx_oa_target_passed[i].data, name.len);

        sent = ngx_oa_request_header(r, &name, &n);

        if (n == 1
            && ngx_oa_target_add(hs, &ngx_oa_target_passed[i], sent) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    smcf = ngx_http_get_module_main_conf(r, ngx_oa_sse_module);
    vv = ngx_http_get_indexed_variable(r, smcf->request_id);

    if (vv && !vv->not_found) {
        value.len = vv->len;
        value.data = vv->data;

        if (ngx_oa_target_add(hs, &ngx_oa_request_id, &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (body->data == NULL) {
        return NGX_OK;
    }

    if (slcf->dialect != OA_DIALECT_RAW) {
        return ngx_oa_target_add(hs, &ngx_oa_content_type, &json);
    }

    return r->headers_in.content_type
           ? ngx_oa_target_add(hs, &ngx_oa_content_type,
                               &r->headers_in.content_type->value)
           : NGX_OK;
}


static ngx_int_t
ngx_oa_target_write(ngx_http_request_t *r, const ngx_oa_target_t *target,
    const ngx_str_t *body, ngx_array_t *headers, ngx_str_t *request)
{
    size_t                   len;
    u_char                  *p;
    ngx_uint_t               i;
    ngx_oa_target_header_t  *h;

    h = headers->elts;

    len = sizeof("POST  HTTP/1.1\r\nContent-Length: \r\n"
                 "Connection: close\r\n\r\n")
          + NGX_SIZE_T_LEN + target->uri.len + body->len;

    for (i = 0; i < headers->nelts; i++) {
        len += h[i].name.len + h[i].value.len + sizeof(": \r\n") - 1;
    }

    p = ngx_alloc(len, r->connection->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    request->data = p;

    p = ngx_sprintf(p, "%s %V HTTP/1.1\r\n", body->data ? "POST" : "GET",
                    &target->uri);

    for (i = 0; i < headers->nelts; i++) {
        p = ngx_sprintf(p, "%V: %V\r\n", &h[i].name, &h[i].value);
    }

    if (body->data) {
        p = ngx_sprintf(p, "Content-Length: %uz\r\n", body->len);
    }

    p = ngx_cpymem(p, "Connection: close\r\n\r\n",
                   sizeof("Connection: close\r\n\r\n") - 1);

    if (body->len) {
        p = ngx_cpymem(p, body->data, body->len);
    }

    request->len = p - request->data;

    return NGX_OK;
}


void
ngx_oa_target_forget(ngx_str_t *request)
{
    if (request->data == NULL) {
        return;
    }

    OPENSSL_cleanse(request->data, request->len);
    ngx_free(request->data);

    ngx_str_null(request);
}
