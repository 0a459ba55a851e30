
/*
 * The variables of the router.
 *
 * Those that lead to a machine are empty for a request that was refused, so
 * that no error page can go where the request itself may not.
 */


#include "ngx_oa_router.h"
#include "oa_base64url.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>


typedef enum {
    NGX_OA_VAR_SUBDOMAIN = 0,
    NGX_OA_VAR_ROUTE_ID,
    NGX_OA_VAR_USER_ID,
    NGX_OA_VAR_AGENT_ID,
    NGX_OA_VAR_REGION,
    NGX_OA_VAR_ROUTE_STATUS,
    NGX_OA_VAR_ROUTE_CACHE,
    NGX_OA_VAR_APP,                    /* from here on: lead to a machine */
    NGX_OA_VAR_MACHINE,
    NGX_OA_VAR_MACHINE_HOST,
    NGX_OA_VAR_FLYCAST_HOST,
    NGX_OA_VAR_MACHINE_TOKEN
} ngx_oa_var_e;


static ngx_int_t ngx_oa_router_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_oa_router_variable_id(ngx_http_request_t *r,
    ngx_oa_router_ctx_t *ctx, uintptr_t data, ngx_str_t *value);
static ngx_int_t ngx_oa_router_variable_host(ngx_http_request_t *r,
    ngx_oa_router_ctx_t *ctx, uintptr_t data, ngx_str_t *value);
static ngx_int_t ngx_oa_router_variable_token(ngx_http_request_t *r,
    ngx_oa_router_ctx_t *ctx, ngx_str_t *value);
static ngx_int_t ngx_oa_router_return_url(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_oa_router_replay_sub(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


ngx_http_variable_t  ngx_oa_router_vars[] = {

    { ngx_string("oa_subdomain"), NULL, ngx_oa_router_variable,
      NGX_OA_VAR_SUBDOMAIN, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("oa_route_id"), NULL, ngx_oa_router_variable,
      NGX_OA_VAR_ROUTE_ID, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("oa_user_id"), NULL, ngx_oa_router_variable,
      NGX_OA_VAR_USER_ID, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("oa_agent_id"), NULL, ngx_oa_router_variable,
      NGX_OA_VAR_AGENT_ID, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("oa_region"), NULL, ngx_oa_router_variable,
      NGX_OA_VAR_REGION, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("oa_route_status"), NULL, ngx_oa_router_variable,
      NGX_OA_VAR_ROUTE_STATUS, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("oa_route_cache"), NULL, ngx_oa_router_variable,
      NGX_OA_VAR_ROUTE_CACHE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("oa_app"), NULL, ngx_oa_router_variable,
      NGX_OA_VAR_APP, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("oa_machine"), NULL, ngx_oa_router_variable,
      NGX_OA_VAR_MACHINE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("oa_machine_host"), NULL, ngx_oa_router_variable,
      NGX_OA_VAR_MACHINE_HOST, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("oa_flycast_host"), NULL, ngx_oa_router_variable,
      NGX_OA_VAR_FLYCAST_HOST, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("oa_machine_token"), NULL, ngx_oa_router_variable,
      NGX_OA_VAR_MACHINE_TOKEN, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("oa_return_url"), NULL, ngx_oa_router_return_url,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("oa_replay_sub"), NULL, ngx_oa_router_replay_sub,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


static const ngx_str_t  ngx_oa_cache_names[] = {
    ngx_string("none"),
    ngx_string("hit"),
    ngx_string("miss"),
    ngx_string("stale"),
    ngx_string("snapshot")
};


static ngx_int_t
ngx_oa_router_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_int_t             rc;
    ngx_str_t             value;
    ngx_oa_router_ctx_t  *ctx;

    rc = NGX_OK;
    ngx_str_null(&value);

    ctx = ngx_oa_router_peek(r);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    if (data == NGX_OA_VAR_SUBDOMAIN) {
        value = ctx->label;

    } else if (data == NGX_OA_VAR_ROUTE_CACHE) {
        value = ngx_oa_cache_names[ctx->cache];

    } else if (ctx->found
               && (data < NGX_OA_VAR_APP
                   || ctx->state != NGX_OA_ROUTE_REFUSED))
    {
        switch (data) {

        case NGX_OA_VAR_REGION:
            value = ctx->route.region;
            break;

        case NGX_OA_VAR_ROUTE_STATUS:
            value = *oa_route_status_name(ctx->route.status);
            break;

        case NGX_OA_VAR_APP:
            value = ctx->route.app;
            break;

        case NGX_OA_VAR_MACHINE:
            value = ctx->route.machine;
            break;

        case NGX_OA_VAR_MACHINE_HOST:
        case NGX_OA_VAR_FLYCAST_HOST:
            rc = ngx_oa_router_variable_host(r, ctx, data, &value);
            break;

        case NGX_OA_VAR_MACHINE_TOKEN:
            rc = ngx_oa_router_variable_token(r, ctx, &value);
            break;

        default:
            rc = ngx_oa_router_variable_id(r, ctx, data, &value);
            break;
        }
    }

    ngx_oa_variable(v, &value);

    return rc;
}


static ngx_int_t
ngx_oa_router_variable_id(ngx_http_request_t *r, ngx_oa_router_ctx_t *ctx,
    uintptr_t data, ngx_str_t *value)
{
    u_char      *text;
    oa_route_t   route;

    text = ngx_pnalloc(r->pool, 3 * 36);
    if (text == NULL) {
        return NGX_ERROR;
    }

    oa_route_unpack(&ctx->copy.head, ctx->copy.packed, text, &route);

    switch (data) {

    case NGX_OA_VAR_ROUTE_ID:
        *value = route.route_id;
        break;

    case NGX_OA_VAR_USER_ID:
        *value = route.user_id;
        break;

    default: /* NGX_OA_VAR_AGENT_ID */
        *value = route.agent_id;
        break;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_oa_router_variable_host(ngx_http_request_t *r, ngx_oa_router_ctx_t *ctx,
    uintptr_t data, ngx_str_t *value)
{
    oa_route_t  *route;

    route = &ctx->route;

    if (route->app.len == 0
        || (data == NGX_OA_VAR_MACHINE_HOST && route->machine.len == 0))
    {
        return NGX_OK;
    }

    value->data = ngx_pnalloc(r->pool, route->machine.len + route->app.len
                                       + sizeof(".vm..internal"));
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    if (data == NGX_OA_VAR_MACHINE_HOST) {
        value->len = ngx_sprintf(value->data, "%V.vm.%V.internal",
                                 &route->machine, &route->app)
                     - value->data;

    } else {
        value->len = ngx_sprintf(value->data, "%V.flycast", &route->app)
                     - value->data;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_oa_router_variable_token(ngx_http_request_t *r, ngx_oa_router_ctx_t *ctx,
    ngx_str_t *value)
{
    u_char                     mac[EVP_MAX_MD_SIZE], text[3 * 36];
    oa_route_t                 route;
    unsigned int               len;
    ngx_oa_router_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_oa_router_module);

    if (rlcf->machine_key.len == 0) {
        return NGX_OK;
    }

    oa_route_unpack(&ctx->copy.head, ctx->copy.packed, text, &route);

    if (HMAC(EVP_sha256(), rlcf->machine_key.data, rlcf->machine_key.len,
             route.route_id.data, route.route_id.len, mac, &len)
        == NULL)
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "HMAC() for $oa_machine_token failed");
        return NGX_ERROR;
    }

    value->data = ngx_pnalloc(r->pool, oa_base64url_encoded(len));
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    value->len = oa_base64url_encode(value->data, mac, len) - value->data;
    OPENSSL_cleanse(mac, sizeof(mac));

    return NGX_OK;
}


/* Only an own host comes back: this is no open redirect. */

static ngx_int_t
ngx_oa_router_return_url(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    size_t                size;
    u_char               *url, *p;
    ngx_str_t             value, path, args;
    ngx_oa_router_ctx_t  *ctx;
    ngx_oa_credentials_t  credentials;

    ngx_str_null(&value);

    ctx = ngx_oa_router_peek(r->main);

    if (ctx == NULL || ctx->label.len == 0) {
        ngx_oa_variable(v, &value);
        return NGX_OK;
    }

    if (ngx_oa_router_credentials(r->main, &credentials) != NGX_OK) {
        return NGX_ERROR;
    }

    path = r->main->unparsed_uri;
    ngx_str_null(&args);

    p = ngx_strlchr(path.data, path.data + path.len, '?');

    if (p) {
        args.data = p + 1;
        args.len = path.data + path.len - args.data;
        path.len = p - path.data;
    }

    url = ngx_pnalloc(r->pool, sizeof("https://.") + ctx->label.len
                               + ctx->routes->domain.len
                               + r->main->unparsed_uri.len);
    if (url == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(url, "https://%V.%V%V", &ctx->label,
                    &ctx->routes->domain, &path);

    if (args.len) {
        *p = '?';
        size = oa_args_strip(p + 1, &args, credentials.args,
                             credentials.nargs)
               - (p + 1);

        if (size) {
            p += 1 + size;
        }
    }

    (void) oa_percent_encode(NULL, url, p - url, &size);

    value.data = ngx_pnalloc(r->pool, size);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = oa_percent_encode(value.data, url, p - url, NULL) - value.data;

    ngx_oa_variable(v, &value);

    return NGX_OK;
}


static ngx_int_t
ngx_oa_router_replay_sub(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_str_t             value;
    ngx_oa_router_ctx_t  *ctx;

    ngx_str_null(&value);

    ctx = ngx_http_get_module_ctx(r, ngx_oa_router_module);

    if (ctx) {
        value = ctx->replay_sub;
    }

    ngx_oa_variable(v, &value);

    return NGX_OK;
}
