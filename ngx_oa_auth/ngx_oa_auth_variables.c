
/*
 * The variables of auth.
 */


#include "ngx_oa_auth.h"
#include "oa_args.h"


typedef enum {
    NGX_OA_VAR_SUB = 0,
    NGX_OA_VAR_ROLE,
    NGX_OA_VAR_ISSUER,
    NGX_OA_VAR_ERROR,
    NGX_OA_VAR_CACHE
} ngx_oa_auth_var_e;


static ngx_int_t ngx_oa_auth_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_oa_auth_prefix_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_oa_auth_claim(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, const ngx_str_t *path);
static ngx_int_t ngx_oa_auth_safe_uri(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static void ngx_oa_auth_set_claim(ngx_http_variable_value_t *v,
    const ngx_str_t *value);


static ngx_str_t  ngx_oa_auth_session_id = ngx_string("session_id");


ngx_http_variable_t  ngx_oa_auth_vars[] = {

    { ngx_string("oa_auth_sub"), NULL, ngx_oa_auth_variable,
      NGX_OA_VAR_SUB, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("oa_auth_role"), NULL, ngx_oa_auth_variable,
      NGX_OA_VAR_ROLE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("oa_auth_session_id"), NULL, ngx_oa_auth_claim_variable,
      (uintptr_t) &ngx_oa_auth_session_id, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("oa_auth_issuer"), NULL, ngx_oa_auth_variable,
      NGX_OA_VAR_ISSUER, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("oa_auth_error"), NULL, ngx_oa_auth_variable,
      NGX_OA_VAR_ERROR, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("oa_auth_cache"), NULL, ngx_oa_auth_variable,
      NGX_OA_VAR_CACHE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("oa_auth_claim_"), NULL, ngx_oa_auth_prefix_variable,
      0, NGX_HTTP_VAR_NOCACHEABLE|NGX_HTTP_VAR_PREFIX, 0 },

    { ngx_string("oa_safe_request_uri"), NULL, ngx_oa_auth_safe_uri,
      0, 0, 0 },

      ngx_http_null_variable
};


static const ngx_str_t  ngx_oa_auth_hit = ngx_string("hit");
static const ngx_str_t  ngx_oa_auth_miss = ngx_string("miss");


/* What a user has chosen becomes a header, and must not become two. */

static void
ngx_oa_auth_set_claim(ngx_http_variable_value_t *v, const ngx_str_t *value)
{
    ngx_str_t  none;

    ngx_str_null(&none);

    ngx_oa_variable(v, oa_claim_is_plain(value) ? value : &none);
}


static ngx_int_t
ngx_oa_auth_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_str_t           value;
    ngx_oa_auth_ctx_t  *ctx;

    ctx = ngx_oa_auth_peek(r);

    if (ctx == NULL || ctx->conf == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    ngx_str_null(&value);

    if (data == NGX_OA_VAR_ERROR) {
        value = *ngx_oa_auth_error_name(ctx->error);

    } else if (data == NGX_OA_VAR_CACHE) {

        if (ctx->source) {
            value = ctx->hit ? ngx_oa_auth_hit : ngx_oa_auth_miss;
        }

    } else if (ctx->error == OA_AUTH_OK) {
        switch (data) {

        case NGX_OA_VAR_SUB:
            value = ctx->sub;
            break;

        case NGX_OA_VAR_ROLE:
            value = ctx->role;
            break;

        default: /* NGX_OA_VAR_ISSUER */
            value = ctx->issuer->name;
            break;
        }
    }

    ngx_oa_auth_set_claim(v, &value);

    return NGX_OK;
}


static ngx_int_t
ngx_oa_auth_prefix_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t *name = (ngx_str_t *) data;

    ngx_str_t  path;

    path.data = name->data + (sizeof("oa_auth_claim_") - 1);
    path.len = name->len - (sizeof("oa_auth_claim_") - 1);

    return ngx_oa_auth_claim(r, v, &path);
}


ngx_int_t
ngx_oa_auth_claim_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    return ngx_oa_auth_claim(r, v, (ngx_str_t *) data);
}


static ngx_int_t
ngx_oa_auth_claim(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    const ngx_str_t *path)
{
    u_char             *buf;
    ngx_str_t           value;
    oa_claim_t          claim;
    ngx_oa_auth_ctx_t  *ctx;

    ctx = ngx_oa_auth_peek(r);

    if (ctx == NULL || ctx->conf == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    ngx_str_null(&value);

    if (ctx->error == OA_AUTH_OK) {

        if (ngx_oa_auth_payload(r, ctx) != NGX_OK) {
            return NGX_ERROR;
        }

        oa_claims_find(ctx->payload.data, ctx->payload.len, path, &claim);

        buf = NULL;

        if (claim.escaped) {
            buf = ngx_pnalloc(r->pool, claim.raw.len);
            if (buf == NULL) {
                return NGX_ERROR;
            }
        }

        oa_claim_text(&claim, buf, &value);

        /* users choose some: a line end would begin another header */

        if (!oa_claim_is_plain(&value)) {
            ngx_str_null(&value);
        }
    }

    ngx_oa_auth_set_claim(v, &value);

    return NGX_OK;
}


static ngx_int_t
ngx_oa_auth_safe_uri(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    size_t                    size;
    u_char                   *p, *mark;
    ngx_str_t                 value, args;
    ngx_oa_auth_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_oa_auth_module);

    value = r->unparsed_uri;

    mark = ngx_strlchr(value.data, value.data + value.len, '?');

    if (mark) {
        args.data = mark + 1;
        args.len = value.data + value.len - args.data;

        (void) oa_args_mask(NULL, &args, amcf->args.elts, amcf->args.nelts,
                            &size);

        value.data = ngx_pnalloc(r->pool, args.data - r->unparsed_uri.data
                                          + size);
        if (value.data == NULL) {
            return NGX_ERROR;
        }

        p = ngx_cpymem(value.data, r->unparsed_uri.data,
                       args.data - r->unparsed_uri.data);
        value.len = oa_args_mask(p, &args, amcf->args.elts, amcf->args.nelts,
                                 NULL)
                    - value.data;
    }

    ngx_oa_variable(v, &value);

    return NGX_OK;
}
