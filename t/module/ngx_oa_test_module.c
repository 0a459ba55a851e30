
/*
 * For tests: makes of a request an exchange of the core's and tells what came
 * of it.
 *
 *     oa_test_fetch base [timeout=time] [max=size] [method=word] [body=text]
 *                   [header="Name: value"];
 *
 * What is asked for is the base with the request's own URI behind it.
 */


#include "ngx_oa_core.h"


typedef struct {
    const char                  *base;
    const char                  *method;
    const char                  *headers[2];
    ngx_str_t                    body;
    ngx_msec_t                   timeout;
    size_t                       max;
} ngx_oa_test_conf_t;


static void *ngx_oa_test_create_conf(ngx_conf_t *cf);
static char *ngx_oa_test_fetch(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
/* ngx_oa_test_zone.c */
char *ngx_oa_test_part(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_oa_test_die(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

static ngx_int_t ngx_oa_test_handler(ngx_http_request_t *r);
static void ngx_oa_test_cancel(void *data);
static void ngx_oa_test_fetched(ngx_oa_http_t *http);
static ngx_int_t ngx_oa_test_answer(ngx_http_request_t *r,
    ngx_oa_http_t *http);


static ngx_command_t  ngx_oa_test_commands[] = {

    { ngx_string("oa_test_fetch"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_oa_test_fetch,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("oa_test_part"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_NOARGS,
      ngx_oa_test_part,
      0,
      0,
      NULL },

    { ngx_string("oa_test_die"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_oa_test_die,
      0,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_oa_test_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_oa_test_create_conf,               /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_oa_test_module = {
    NGX_MODULE_V1,
    &ngx_oa_test_module_ctx,               /* module context */
    ngx_oa_test_commands,                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_oa_test_create_conf(ngx_conf_t *cf)
{
    ngx_oa_test_conf_t  *tcf;

    tcf = ngx_pcalloc(cf->pool, sizeof(ngx_oa_test_conf_t));
    if (tcf == NULL) {
        return NULL;
    }

    tcf->method = "GET";
    tcf->timeout = 10000;
    tcf->max = 65536;

    return tcf;
}


static char *
ngx_oa_test_fetch(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_oa_test_conf_t *tcf = conf;

    ngx_str_t                 *value, s;
    ngx_uint_t                 i;
    ngx_http_core_loc_conf_t  *clcf;

    value = cf->args->elts;

    if (ngx_oa_http_url(cf, &value[1], &tcf->base) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {
        s.data = (u_char *) strchr((char *) value[i].data, '=');

        if (s.data == NULL) {
            return "has an invalid parameter";
        }

        s.data++;
        s.len = value[i].data + value[i].len - s.data;

        switch (value[i].data[0]) {

        case 't':
            tcf->timeout = ngx_parse_time(&s, 0);
            break;

        case 'm':
            if (value[i].data[1] == 'a') {
                tcf->max = ngx_parse_size(&s);
            } else {
                tcf->method = (char *) s.data;
            }
            break;

        case 'b':
            tcf->body = s;
            break;

        case 'h':
            tcf->headers[0] = (char *) s.data;
            break;

        default:
            return "has an invalid parameter";
        }
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_oa_test_handler;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_oa_test_handler(ngx_http_request_t *r)
{
    size_t               len;
    u_char              *url, *p;
    ngx_int_t            rc;
    ngx_oa_http_t       *http;
    ngx_pool_cleanup_t  *cln;
    ngx_oa_test_conf_t  *tcf;

    tcf = ngx_http_get_module_loc_conf(r, ngx_oa_test_module);

    len = ngx_strlen(tcf->base);

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_oa_http_t));
    url = ngx_pnalloc(r->pool, len + r->unparsed_uri.len + 1);

    if (cln == NULL || url == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_cpymem(url, tcf->base, len);
    p = ngx_cpymem(p, r->unparsed_uri.data, r->unparsed_uri.len);
    *p = '\0';

    http = cln->data;
    ngx_memzero(http, sizeof(ngx_oa_http_t));

    http->method = tcf->method;
    http->url = (char *) url;
    http->headers = tcf->headers;
    http->body = tcf->body;
    http->timeout = tcf->timeout;
    http->max = tcf->max;
    http->handler = ngx_oa_test_fetched;
    http->data = r;

    rc = ngx_oa_http_send(http);

    if (rc != NGX_OK) {
        return rc == NGX_BUSY ? NGX_HTTP_TOO_MANY_REQUESTS
                              : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_oa_test_cancel;

    ngx_oa_request_wait(r);
    r->main->count++;

    return NGX_DONE;
}


static void
ngx_oa_test_cancel(void *data)
{
    ngx_oa_http_cancel(data);
}


static void
ngx_oa_test_fetched(ngx_oa_http_t *http)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = http->data;
    c = r->connection;

    ngx_http_finalize_request(r, ngx_oa_test_answer(r, http));
    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_oa_test_answer(ngx_http_request_t *r, ngx_oa_http_t *http)
{
    u_char                    *p;
    size_t                     len;
    ngx_str_t                  type = ngx_string("text/plain");
    ngx_http_complex_value_t   cv;

    len = http->error.len + http->content_type.len + http->answer.len + 100;

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));

    cv.value.data = p;
    cv.value.len = ngx_slprintf(p, p + len,
                                "error=%V\nstatus=%ui\ntype=%V\nretry=%T\n\n"
                                "%V", &http->error, http->status,
                                &http->content_type, http->retry_after,
                                &http->answer)
                   - p;

    return ngx_http_send_response(r, NGX_HTTP_OK, &type, &cv);
}
