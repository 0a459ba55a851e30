
/*
 * Problems: answers after RFC 9457.
 */


#include "ngx_oa_core_int.h"
#include "oa_accept.h"
#include "oa_json.h"


static ngx_uint_t ngx_oa_problem_has_error_page(ngx_http_request_t *r,
    ngx_uint_t status);
static ngx_int_t ngx_oa_problem_retry_after(ngx_http_request_t *r,
    time_t seconds);
static ngx_int_t ngx_oa_problem_challenge(ngx_http_request_t *r,
    const ngx_str_t *challenge);
static const ngx_str_t *ngx_oa_problem_title(ngx_uint_t status);


static const struct {
    ngx_uint_t  status;
    ngx_str_t   title;
} ngx_oa_problem_titles[] = {
    { 400, ngx_string("Bad Request") },
    { 401, ngx_string("Unauthorized") },
    { 402, ngx_string("Payment Required") },
    { 403, ngx_string("Forbidden") },
    { 404, ngx_string("Not Found") },
    { 413, ngx_string("Content Too Large") },
    { 422, ngx_string("Unprocessable Content") },
    { 429, ngx_string("Too Many Requests") },
    { 500, ngx_string("Internal Server Error") },
    { 502, ngx_string("Bad Gateway") },
    { 503, ngx_string("Service Unavailable") },
    { 508, ngx_string("Loop Detected") },
    { 0, ngx_string("Error") }
};

static const ngx_str_t  ngx_oa_accept = ngx_string("accept");

static const ngx_str_t  ngx_oa_cache_control = ngx_string("Cache-Control");
static const ngx_str_t  ngx_oa_no_store = ngx_string("no-store");
static const ngx_str_t  ngx_oa_retry_after = ngx_string("Retry-After");
static const ngx_str_t  ngx_oa_www_authenticate =
    ngx_string("WWW-Authenticate");


ngx_int_t
ngx_oa_problem(ngx_http_request_t *r, const ngx_oa_problem_t *problem)
{
    size_t                      len;
    u_char                     *p;
    ngx_buf_t                  *b;
    ngx_int_t                   rc;
    ngx_str_t                  *accept, request_id;
    ngx_uint_t                  html;
    ngx_chain_t                 out;
    const ngx_str_t            *title;
    ngx_oa_core_main_conf_t    *cmcf;
    ngx_http_variable_value_t  *vv;

    if (problem->retry_after
        && ngx_oa_problem_retry_after(r, problem->retry_after) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (problem->challenge.len
        && ngx_oa_problem_challenge(r, &problem->challenge) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_oa_problem_has_error_page(r, problem->status)) {
        return problem->status;
    }

    /* nobody needs the body: it is not asked for */

    r->expect_tested = 1;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (problem->status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
        r->keepalive = 0;
    }

    cmcf = ngx_http_get_module_main_conf(r, ngx_oa_core_module);

    ngx_str_null(&request_id);

    vv = ngx_http_get_indexed_variable(r, cmcf->request_id);
    if (vv && !vv->not_found) {
        request_id.len = vv->len;
        request_id.data = vv->data;
    }

    accept = ngx_oa_request_header(r, &ngx_oa_accept, NULL);
    html = accept && oa_accept_html(accept);
    title = ngx_oa_problem_title(problem->status);

    len = sizeof("<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\">"
                 "<title></title>\n<h1></h1>\n<p></p>\n"
                 "<p><small>: </small></p>\n</html>\n")
          + NGX_INT_T_LEN
          + 2 * title->len + oa_json_escape_size(&problem->detail)
          + problem->code.len + request_id.len
          + sizeof("{\"type\":\"about:blank\",\"title\":\"\",\"status\":,"
                   "\"detail\":\"\",\"code\":\"\",\"request_id\":\"\"}\n");

    b = ngx_create_temp_buf(r->pool, len);
    if (b == NULL) {
        return NGX_ERROR;
    }

    if (html) {
        b->last = ngx_slprintf(b->last, b->end,
                               "<!DOCTYPE html>\n<html lang=\"en\">"
                               "<meta charset=\"utf-8\"><title>%V</title>\n"
                               "<h1>%V</h1>\n<p>%V</p>\n"
                               "<p><small>%V: %V</small></p>\n</html>\n",
                               title, title, &problem->detail,
                               &problem->code, &request_id);

        ngx_str_set(&r->headers_out.content_type, "text/html; charset=utf-8");

    } else {
        p = ngx_slprintf(b->last, b->end,
                         "{\"type\":\"about:blank\",\"title\":\"%V\","
                         "\"status\":%ui,\"detail\":\"",
                         title, problem->status);
        p = oa_json_escape(p, &problem->detail);
        b->last = ngx_slprintf(p, b->end,
                               "\",\"code\":\"%V\",\"request_id\":\"%V\"}\n",
                               &problem->code, &request_id);

        ngx_str_set(&r->headers_out.content_type, "application/problem+json");
    }

    if (ngx_oa_response_header(r, &ngx_oa_cache_control, &ngx_oa_no_store)
        == NULL)
    {
        return NGX_ERROR;
    }

    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    r->headers_out.status = problem->status;
    r->headers_out.content_length_n = b->last - b->pos;
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


/* The condition is that of ngx_http_special_response_handler(). */

static ngx_uint_t
ngx_oa_problem_has_error_page(ngx_http_request_t *r, ngx_uint_t status)
{
    ngx_uint_t                 i;
    ngx_http_err_page_t       *page;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (r->error_page || clcf->error_pages == NULL || r->uri_changes == 0) {
        return 0;
    }

    page = clcf->error_pages->elts;

    for (i = 0; i < clcf->error_pages->nelts; i++) {
        if (page[i].status == (ngx_int_t) status) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_oa_problem_retry_after(ngx_http_request_t *r, time_t seconds)
{
    ngx_str_t  value;

    value.data = ngx_pnalloc(r->pool, NGX_TIME_T_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data, "%T", seconds) - value.data;

    return ngx_oa_response_header(r, &ngx_oa_retry_after, &value)
           ? NGX_OK : NGX_ERROR;
}


/* One for all, be it that an error page was refused, too. */

static ngx_int_t
ngx_oa_problem_challenge(ngx_http_request_t *r, const ngx_str_t *challenge)
{
    ngx_table_elt_t  *h;

    h = r->headers_out.www_authenticate;

    if (h) {
        h->hash = 1;
        h->value = *challenge;
        return NGX_OK;
    }

    h = ngx_oa_response_header(r, &ngx_oa_www_authenticate, challenge);

    /* auth_request looks for it here */

    r->headers_out.www_authenticate = h;

    return h ? NGX_OK : NGX_ERROR;
}


static const ngx_str_t *
ngx_oa_problem_title(ngx_uint_t status)
{
    ngx_uint_t  i;

    for (i = 0; ngx_oa_problem_titles[i].status; i++) {
        if (ngx_oa_problem_titles[i].status == status) {
            break;
        }
    }

    return &ngx_oa_problem_titles[i].title;
}
