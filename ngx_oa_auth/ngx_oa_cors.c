
/*
 * Cross-origin requests (Fetch, "CORS protocol"): preflights are answered
 * before anybody asks for a token, and every answer tells whose page may read
 * it, errors included.
 */


#include "ngx_oa_auth.h"
#include "oa_field.h"


/* Longer lists than a browser sends are not given back. */
#define NGX_OA_CORS_HEADERS_MAX  4096


static ngx_int_t ngx_oa_cors_preflight(ngx_http_request_t *r);
static ngx_int_t ngx_oa_cors_header_filter(ngx_http_request_t *r);
static void ngx_oa_cors_hide(ngx_http_request_t *r);
static ngx_str_t *ngx_oa_cors_allowed(ngx_http_request_t *r,
    ngx_oa_auth_loc_conf_t *alcf);


static ngx_http_output_header_filter_pt  ngx_oa_cors_next_header_filter;
static ngx_http_output_header_filter_pt  ngx_oa_cors_top_header_filter;


static const ngx_str_t  ngx_oa_origin = ngx_string("origin");
static const ngx_str_t  ngx_oa_cors_method =
    ngx_string("access-control-request-method");
static const ngx_str_t  ngx_oa_cors_headers =
    ngx_string("access-control-request-headers");

static const ngx_str_t  ngx_oa_cors_allow_methods =
    ngx_string("Access-Control-Allow-Methods");
static const ngx_str_t  ngx_oa_cors_methods =
    ngx_string("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
static const ngx_str_t  ngx_oa_cors_allow_headers =
    ngx_string("Access-Control-Allow-Headers");
static const ngx_str_t  ngx_oa_cors_max_age =
    ngx_string("Access-Control-Max-Age");
static const ngx_str_t  ngx_oa_cors_age = ngx_string("600");

static const ngx_str_t  ngx_oa_cors_vary = ngx_string("Vary");
static const ngx_str_t  ngx_oa_cors_vary_value = ngx_string("Origin");
static const ngx_str_t  ngx_oa_cors_allow_origin =
    ngx_string("Access-Control-Allow-Origin");
static const ngx_str_t  ngx_oa_cors_allow_credentials =
    ngx_string("Access-Control-Allow-Credentials");
static const ngx_str_t  ngx_oa_cors_true = ngx_string("true");
static const ngx_str_t  ngx_oa_cors_expose =
    ngx_string("Access-Control-Expose-Headers");
static const ngx_str_t  ngx_oa_cors_exposed =
    ngx_string("OA-Stream, Retry-After, WWW-Authenticate");


char *
ngx_oa_cors_origin(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_oa_auth_main_conf_t  *amcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_oa_auth_module);
    amcf->cors = 1;

    return ngx_oa_auth_origin(cf, cmd, conf);
}


ngx_int_t
ngx_oa_cors_init(ngx_conf_t *cf)
{
    /* before access, where a preflight could have no credentials for */

    if (ngx_oa_add_handler(cf, NGX_HTTP_PREACCESS_PHASE,
                           ngx_oa_cors_preflight)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_oa_cors_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_oa_cors_header_filter;

    return NGX_OK;
}


/*
 * A reload that fails late leaves its own chain of filters in the master, and
 * we may not be in it: workers that are started then take the one that runs.
 */

void
ngx_oa_cors_init_module(void)
{
    ngx_oa_cors_top_header_filter = ngx_http_top_header_filter;
}


void
ngx_oa_cors_init_process(void)
{
    ngx_http_top_header_filter = ngx_oa_cors_top_header_filter;
}


static ngx_int_t
ngx_oa_cors_preflight(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_str_t               *headers;
    ngx_uint_t               n;
    ngx_oa_auth_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_oa_auth_module);

    if (alcf->cors == NULL
        || r->method != NGX_HTTP_OPTIONS
        || r != r->main
        || ngx_oa_request_header(r, &ngx_oa_cors_method, NULL) == NULL
        || ngx_oa_cors_allowed(r, alcf) == NULL)
    {
        return NGX_DECLINED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    headers = ngx_oa_request_header(r, &ngx_oa_cors_headers, &n);

    if (n > 1
        || (headers && (headers->len > NGX_OA_CORS_HEADERS_MAX
                        || !oa_is_token_list(headers))))
    {
        return NGX_HTTP_BAD_REQUEST;
    }

    if (ngx_oa_response_header(r, &ngx_oa_cors_allow_methods,
                               &ngx_oa_cors_methods)
        == NULL
        || (headers
            && ngx_oa_response_header(r, &ngx_oa_cors_allow_headers, headers)
               == NULL)
        || ngx_oa_response_header(r, &ngx_oa_cors_max_age, &ngx_oa_cors_age)
           == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_NO_CONTENT;
    r->header_only = 1;

    ngx_http_finalize_request(r, ngx_http_send_header(r));

    return NGX_DONE;
}


static ngx_int_t
ngx_oa_cors_header_filter(ngx_http_request_t *r)
{
    ngx_str_t               *origin;
    ngx_oa_auth_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_oa_auth_module);

    if (alcf->cors == NULL || r != r->main) {
        return ngx_oa_cors_next_header_filter(r);
    }

    ngx_oa_cors_hide(r);

    /* a cache must tell pages apart, even where this one may not read it */

    if (ngx_oa_response_header(r, &ngx_oa_cors_vary, &ngx_oa_cors_vary_value)
        == NULL)
    {
        return NGX_ERROR;
    }

    origin = ngx_oa_cors_allowed(r, alcf);

    if (origin
        && (ngx_oa_response_header(r, &ngx_oa_cors_allow_origin, origin)
            == NULL
            || ngx_oa_response_header(r, &ngx_oa_cors_allow_credentials,
                                      &ngx_oa_cors_true)
               == NULL
            || ngx_oa_response_header(r, &ngx_oa_cors_expose,
                                      &ngx_oa_cors_exposed)
               == NULL))
    {
        return NGX_ERROR;
    }

    return ngx_oa_cors_next_header_filter(r);
}


/* What an upstream says is not what the operator said, and two are none. */

static void
ngx_oa_cors_hide(ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    part = &r->headers_out.headers.part;
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

        if ((h[i].key.len == ngx_oa_cors_allow_origin.len
             && ngx_strncasecmp(h[i].key.data, ngx_oa_cors_allow_origin.data,
                                h[i].key.len)
                == 0)
            || (h[i].key.len == ngx_oa_cors_allow_credentials.len
                && ngx_strncasecmp(h[i].key.data,
                                   ngx_oa_cors_allow_credentials.data,
                                   h[i].key.len)
                   == 0))
        {
            h[i].hash = 0;
        }
    }
}


/* The origin of the request, where it is one of the list. */

static ngx_str_t *
ngx_oa_cors_allowed(ngx_http_request_t *r, ngx_oa_auth_loc_conf_t *alcf)
{
    ngx_str_t   *origin, *allowed;
    ngx_uint_t   i, n;

    origin = ngx_oa_request_header(r, &ngx_oa_origin, &n);

    if (n != 1) {
        return NULL;
    }

    allowed = alcf->cors->elts;

    for (i = 0; i < alcf->cors->nelts; i++) {
        if (allowed[i].len == origin->len
            && ngx_strncasecmp(allowed[i].data, origin->data, origin->len)
               == 0)
        {
            return origin;
        }
    }

    return NULL;
}
