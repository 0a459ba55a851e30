
/*
 * The json form of a replay: what is changed of the request on its way to the
 * machine, above all that no credential goes along.
 */


#include "ngx_oa_replay.h"


/* json: what is deleted of the request, if it was sent or not */
#define NGX_OA_REPLAY_DELETES   8

/* and set to what is left of it: cookies, protocols */
#define NGX_OA_REPLAY_RESTS     2


static ngx_int_t ngx_oa_replay_path(ngx_http_request_t *r,
    ngx_oa_credentials_t *credentials, oa_replay_json_t *json);
static ngx_int_t ngx_oa_replay_set_headers(ngx_http_request_t *r,
    ngx_oa_router_loc_conf_t *rlcf, ngx_oa_credentials_t *credentials,
    oa_replay_json_t *json);
static void ngx_oa_replay_set_rest(ngx_oa_router_loc_conf_t *rlcf,
    oa_replay_json_t *json, ngx_keyval_t *kv, const ngx_str_t *name,
    const ngx_str_t *value);
static ngx_uint_t ngx_oa_replay_is_set(oa_replay_json_t *json,
    const ngx_str_t *name);
static ngx_uint_t ngx_oa_replay_is_hidden(ngx_oa_router_loc_conf_t *rlcf,
    const ngx_str_t *name);
static ngx_int_t ngx_oa_replay_delete_headers(ngx_http_request_t *r,
    ngx_oa_router_loc_conf_t *rlcf, ngx_oa_credentials_t *credentials,
    ngx_oa_replay_hints_t *hints, oa_replay_json_t *json);
static void ngx_oa_replay_delete(oa_replay_json_t *json, ngx_str_t *deletes,
    const ngx_str_t *name);


static const ngx_str_t  ngx_oa_authorization = ngx_string("authorization");
static const ngx_str_t  ngx_oa_cookie = ngx_string("cookie");
static const ngx_str_t  ngx_oa_protocol =
    ngx_string("sec-websocket-protocol");
static const ngx_str_t  ngx_oa_referer = ngx_string("referer");

/* They choose a machine, and Fly Proxy obeys the client on a replay too. */
static const ngx_str_t  ngx_oa_forced_headers[] = {
    ngx_string("fly-force-instance-id"),
    ngx_string("fly-force-region"),
    ngx_string("fly-prefer-instance-id"),
    ngx_string("fly-prefer-region"),
    ngx_null_string
};


ngx_int_t
ngx_oa_replay_json_begin(ngx_http_request_t *r, oa_replay_json_t *json,
    ngx_oa_credentials_t *credentials)
{
    ngx_memzero(json, sizeof(oa_replay_json_t));

    if (ngx_oa_router_credentials(r, credentials) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_oa_replay_path(r, credentials, json);
}


/* The path is only told when a token must come out of it. */

static ngx_int_t
ngx_oa_replay_path(ngx_http_request_t *r, ngx_oa_credentials_t *credentials,
    oa_replay_json_t *json)
{
    u_char     *p, *last, *mark;
    ngx_str_t   args;

    last = r->unparsed_uri.data + r->unparsed_uri.len;
    mark = ngx_strlchr(r->unparsed_uri.data, last, '?');

    if (mark == NULL) {
        return NGX_OK;
    }

    args.data = mark + 1;
    args.len = last - args.data;

    p = ngx_pnalloc(r->pool, 1 + r->unparsed_uri.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    json->path.data = p;

    /* a request line like "GET http://host?args" has no path */

    if (mark == r->unparsed_uri.data) {
        *p++ = '/';
    }

    p = ngx_cpymem(p, r->unparsed_uri.data, args.data - r->unparsed_uri.data);

    last = oa_args_strip(p, &args, credentials->args, credentials->nargs);

    if ((size_t) (last - p) == args.len) {
        ngx_str_null(&json->path);
        return NGX_OK;
    }

    if (last == p) {
        last--;
    }

    json->path.len = last - json->path.data;

    return NGX_OK;
}


ngx_int_t
ngx_oa_replay_send_json(ngx_http_request_t *r, ngx_oa_router_ctx_t *ctx,
    ngx_oa_router_loc_conf_t *rlcf, oa_replay_json_t *json,
    ngx_oa_credentials_t *credentials, ngx_oa_replay_hints_t *hints)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    rc = ngx_oa_replay_set_headers(r, rlcf, credentials, json);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_oa_replay_delete_headers(r, rlcf, credentials, hints, json)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_oa_replay_is_cacheable(r, rlcf)) {
        json->cache_ttl = rlcf->replay->cache_ttl;

        if (ngx_oa_replay_cache_prefix(r, ctx, rlcf, &json->cache_prefix)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    b = ngx_create_temp_buf(r->pool, oa_replay_json_size(json));
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->last = oa_replay_json(b->last, json);
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    ngx_str_set(&r->headers_out.content_type,
                "application/vnd.fly.replay+json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_length_n = b->last - b->pos;

    rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


static ngx_int_t
ngx_oa_replay_set_headers(ngx_http_request_t *r,
    ngx_oa_router_loc_conf_t *rlcf, ngx_oa_credentials_t *credentials,
    oa_replay_json_t *json)
{
    size_t                k;
    ngx_str_t             value;
    ngx_uint_t            i, n;
    ngx_keyval_t         *kv;
    ngx_oa_set_header_t  *sh;

    n = rlcf->set_headers ? rlcf->set_headers->nelts : 0;

    kv = ngx_palloc(r->pool, (n + NGX_OA_REPLAY_RESTS) * sizeof(ngx_keyval_t));
    if (kv == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    json->set_headers = kv;
    sh = n ? rlcf->set_headers->elts : NULL;

    for (i = 0; i < n; i++) {

        if (ngx_http_complex_value(r, &sh[i].value, &value) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        for (k = 0; k < value.len; k++) {
            if ((value.data[k] < 0x20 && value.data[k] != '\t')
                || value.data[k] == 0x7f)
            {
                ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                              "the value of \"oa_replay_set_header %V\" has "
                              "a control character", &sh[i].name);
                return NGX_HTTP_BAD_REQUEST;
            }
        }

        /* as everywhere in nginx, a header with an empty value is not sent */

        if (value.len) {
            kv[json->nset].key = sh[i].name;
            kv[json->nset].value = value;
            json->nset++;
        }
    }

    /* what is left of the others' values, where the operator says nothing */

    if (credentials->cookie.len && credentials->cookie_changed) {
        ngx_oa_replay_set_rest(rlcf, json, kv, &ngx_oa_cookie,
                               &credentials->cookie);
    }

    if (credentials->protocol.len && credentials->protocol_changed) {
        ngx_oa_replay_set_rest(rlcf, json, kv, &ngx_oa_protocol,
                               &credentials->protocol);
    }

    return NGX_OK;
}


static void
ngx_oa_replay_set_rest(ngx_oa_router_loc_conf_t *rlcf, oa_replay_json_t *json,
    ngx_keyval_t *kv, const ngx_str_t *name, const ngx_str_t *value)
{
    if (ngx_oa_replay_is_set(json, name)
        || ngx_oa_replay_is_hidden(rlcf, name))
    {
        return;
    }

    kv[json->nset].key = *name;
    kv[json->nset].value = *value;
    json->nset++;
}


static ngx_uint_t
ngx_oa_replay_is_set(oa_replay_json_t *json, const ngx_str_t *name)
{
    ngx_uint_t  i;

    for (i = 0; i < json->nset; i++) {
        if (json->set_headers[i].key.len == name->len
            && ngx_strncasecmp(json->set_headers[i].key.data, name->data,
                               name->len)
               == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_oa_replay_is_hidden(ngx_oa_router_loc_conf_t *rlcf, const ngx_str_t *name)
{
    ngx_str_t   *hide;
    ngx_uint_t   i;

    if (rlcf->hide_headers == NULL) {
        return 0;
    }

    hide = rlcf->hide_headers->elts;

    for (i = 0; i < rlcf->hide_headers->nelts; i++) {
        if (hide[i].len == name->len
            && ngx_strncasecmp(hide[i].data, name->data, name->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_oa_replay_delete_headers(ngx_http_request_t *r,
    ngx_oa_router_loc_conf_t *rlcf, ngx_oa_credentials_t *credentials,
    ngx_oa_replay_hints_t *hints, oa_replay_json_t *json)
{
    ngx_str_t            *deletes, *hide, name;
    ngx_uint_t            i, n;
    const ngx_str_t      *forced;
    ngx_list_part_t      *part;
    ngx_table_elt_t      *h;
    ngx_oa_set_header_t  *sh;

    n = NGX_OA_REPLAY_DELETES + hints->nforced;

    if (rlcf->set_headers) {
        n += rlcf->set_headers->nelts;
    }

    if (rlcf->hide_headers) {
        n += rlcf->hide_headers->nelts;
    }

    deletes = ngx_palloc(r->pool, n * sizeof(ngx_str_t));
    if (deletes == NULL) {
        return NGX_ERROR;
    }

    json->delete_headers = deletes;

    /* agents are other people's code */

    ngx_oa_replay_delete(json, deletes, &ngx_oa_authorization);

    if (credentials->cookie_changed) {
        ngx_oa_replay_delete(json, deletes, &ngx_oa_cookie);
    }

    if (credentials->protocol_changed) {
        ngx_oa_replay_delete(json, deletes, &ngx_oa_protocol);
    }

    if (credentials->referer_changed) {
        ngx_oa_replay_delete(json, deletes, &ngx_oa_referer);
    }

    for (forced = ngx_oa_forced_headers; forced->len; forced++) {
        ngx_oa_replay_delete(json, deletes, forced);
    }

    /* where nothing is set the client's own must not pass for it */

    if (rlcf->set_headers) {
        sh = rlcf->set_headers->elts;

        for (i = 0; i < rlcf->set_headers->nelts; i++) {
            ngx_oa_replay_delete(json, deletes, &sh[i].name);
        }
    }

    if (rlcf->hide_headers) {
        hide = rlcf->hide_headers->elts;

        for (i = 0; i < rlcf->hide_headers->nelts; i++) {
            ngx_oa_replay_delete(json, deletes, &hide[i]);
        }
    }

    if (hints->nforced == 0) {
        return NGX_OK;
    }

    /* those that nobody has heard of yet, too */

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

        if (ngx_oa_replay_is_forced(&h[i])) {
            name.len = h[i].key.len;
            name.data = h[i].lowcase_key;
            ngx_oa_replay_delete(json, deletes, &name);
        }
    }

    return NGX_OK;
}


/* Not what is set anyway, since who deletes last would win; and once. */

static void
ngx_oa_replay_delete(oa_replay_json_t *json, ngx_str_t *deletes,
    const ngx_str_t *name)
{
    ngx_uint_t  i;

    if (ngx_oa_replay_is_set(json, name)) {
        return;
    }

    for (i = 0; i < json->ndelete; i++) {
        if (deletes[i].len == name->len
            && ngx_strncasecmp(deletes[i].data, name->data, name->len) == 0)
        {
            return;
        }
    }

    deletes[json->ndelete++] = *name;
}
