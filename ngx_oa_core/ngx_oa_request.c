
/*
 * Requests: what the modules above do alike with phases, contexts, headers
 * and variables.
 */


#include "ngx_oa_core.h"


ngx_int_t
ngx_oa_add_handler(ngx_conf_t *cf, ngx_http_phases phase,
    ngx_http_handler_pt handler)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[phase].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = handler;

    return NGX_OK;
}


ngx_int_t
ngx_oa_add_variables(ngx_conf_t *cf, ngx_http_variable_t *vars)
{
    ngx_http_variable_t  *var, *v;

    for (v = vars; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


void
ngx_oa_variable(ngx_http_variable_value_t *v, const ngx_str_t *value)
{
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    v->len = value->len;
    v->data = value->data;
}


ngx_str_t *
ngx_oa_request_header(ngx_http_request_t *r, const ngx_str_t *name,
    ngx_uint_t *count)
{
    ngx_str_t        *value;
    ngx_uint_t        i, n;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    n = 0;
    value = NULL;
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

        if (h[i].key.len != name->len
            || ngx_strncasecmp(h[i].key.data, name->data, name->len) != 0)
        {
            continue;
        }

        if (n++ == 0) {
            value = &h[i].value;
        }
    }

    if (count) {
        *count = n;
    }

    return value;
}


void
ngx_oa_request_wait(ngx_http_request_t *r)
{
    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
}


void
ngx_oa_request_go_on(ngx_http_request_t *r)
{
    ngx_connection_t  *c;

    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_core_run_phases(r);
    ngx_http_run_posted_requests(c);
}


void *
ngx_oa_request_ctx(ngx_http_request_t *r, ngx_module_t *module,
    ngx_pool_cleanup_pt handler)
{
    void                *ctx;
    ngx_oa_kept_t       *kept;
    ngx_pool_cleanup_t  *cln;

    ctx = r->ctx[module->ctx_index];

    if (ctx || (!r->internal && !r->filter_finalize)) {
        return ctx;
    }

    for (cln = r->pool->cleanup; cln; cln = cln->next) {

        if (cln->handler != handler) {
            continue;
        }

        kept = cln->data;

        /* a subrequest has the same pool */

        if (kept->request == r) {
            r->ctx[module->ctx_index] = kept->ctx;
            return kept->ctx;
        }
    }

    return NULL;
}


ngx_int_t
ngx_oa_request_keep(ngx_http_request_t *r, void *ctx, ngx_uint_t *is_kept,
    ngx_pool_cleanup_pt handler)
{
    ngx_oa_kept_t       *kept;
    ngx_pool_cleanup_t  *cln;

    if (*is_kept) {
        return NGX_OK;
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_oa_kept_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    kept = cln->data;
    kept->request = r;
    kept->ctx = ctx;

    cln->handler = handler;
    *is_kept = 1;

    return NGX_OK;
}


ngx_table_elt_t *
ngx_oa_response_header(ngx_http_request_t *r, const ngx_str_t *key,
    const ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NULL;
    }

    h->hash = 1;
    h->key = *key;
    h->value = *value;
    h->lowcase_key = NULL;
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    return h;
}
