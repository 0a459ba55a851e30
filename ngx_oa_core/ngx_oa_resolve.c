
/*
 * Names of hosts: the need for a resolver, and its use.
 */


#include "ngx_oa_core.h"
#include "ngx_oa_resolve.h"


static void ngx_oa_resolve_handler(ngx_resolver_ctx_t *ctx);
static void ngx_oa_resolve_copy(ngx_oa_resolve_t *rs, ngx_resolver_ctx_t *ctx);
static void ngx_oa_resolve_event(ngx_event_t *ev);


ngx_int_t
ngx_oa_resolve_need(ngx_conf_t *cf, const ngx_str_t *host)
{
    ngx_str_t              *value;
    ngx_oa_resolve_name_t  *name;
    ngx_oa_resolve_conf_t  *rcf;

    rcf = ngx_oa_resolve_conf(cf);
    value = cf->args->elts;

    name = ngx_array_push(&rcf->names);
    if (name == NULL) {
        return NGX_ERROR;
    }

    name->host = *host;
    name->directive = value[0];
    name->file = cf->conf_file->file.name;
    name->line = cf->conf_file->line;

    return NGX_OK;
}


ngx_int_t
ngx_oa_resolve_postconf(ngx_conf_t *cf)
{
    ngx_oa_resolve_name_t     *name;
    ngx_oa_resolve_conf_t     *rcf;
    ngx_http_core_loc_conf_t  *clcf;

    rcf = ngx_oa_resolve_conf(cf);
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->resolver && clcf->resolver->connections.nelts) {
        rcf->resolver = clcf->resolver;
        rcf->timeout = clcf->resolver_timeout;

        ngx_conf_init_msec_value(rcf->timeout, 30000);

        return NGX_OK;
    }

    if (rcf->names.nelts == 0) {
        return NGX_OK;
    }

    name = rcf->names.elts;

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "host \"%V\" of \"%V\" is a name, which needs a "
                  "\"resolver\" in the http block in %V:%ui",
                  &name->host, &name->directive, &name->file, name->line);

    return NGX_ERROR;
}


void
ngx_oa_resolve(ngx_oa_resolve_t *rs, ngx_str_t *name)
{
    ngx_resolver_ctx_t     *ctx;
    ngx_oa_resolve_conf_t  *rcf;

    rcf = ngx_oa_resolve_conf_cycle((ngx_cycle_t *) ngx_cycle);

    rs->ctx = NULL;
    rs->naddrs = 0;

    rs->event.data = rs;
    rs->event.handler = ngx_oa_resolve_event;
    rs->event.log = ngx_cycle->log;

    if (rcf->resolver == NULL) {
        rs->error = "there is no resolver in the http block";
        goto failed;
    }

    rs->error = "no memory to resolve the host";

    ctx = ngx_resolve_start(rcf->resolver, NULL);

    if (ctx == NULL || ctx == NGX_NO_RESOLVER) {
        goto failed;
    }

    ctx->name = *name;
    ctx->handler = ngx_oa_resolve_handler;
    ctx->data = rs;
    ctx->timeout = rcf->timeout;
    ctx->cancelable = 1;

    rs->ctx = ctx;

    if (ngx_resolve_name(ctx) == NGX_OK) {
        return;
    }

    /* ctx is gone */

    rs->ctx = NULL;

failed:

    ngx_post_event(&rs->event, &ngx_posted_next_events);
}


static void
ngx_oa_resolve_handler(ngx_resolver_ctx_t *ctx)
{
    ngx_oa_resolve_t  *rs;

    rs = ctx->data;

    if (ctx->state != NGX_OK) {
        rs->error = ngx_resolver_strerror(ctx->state);

    } else {
        ngx_oa_resolve_copy(rs, ctx);
        rs->error = NULL;
    }

    ngx_resolve_name_done(ctx);
    rs->ctx = NULL;

    /*
     * Others may wait for the same name: nobody may be cancelled before the
     * resolver has told them all, hence the event.
     */

    ngx_post_event(&rs->event, &ngx_posted_next_events);
}


static void
ngx_oa_resolve_copy(ngx_oa_resolve_t *rs, ngx_resolver_ctx_t *ctx)
{
    ngx_uint_t  i;

    rs->naddrs = ngx_min(ctx->naddrs, NGX_OA_RESOLVE_ADDRS);

    for (i = 0; i < rs->naddrs; i++) {
        rs->addrs[i].data = rs->text[i];
        rs->addrs[i].len = ngx_sock_ntop(ctx->addrs[i].sockaddr,
                                         ctx->addrs[i].socklen, rs->text[i],
                                         NGX_INET6_ADDRSTRLEN, 0);
    }
}


static void
ngx_oa_resolve_event(ngx_event_t *ev)
{
    ngx_oa_resolve_t  *rs;

    rs = ev->data;

    rs->handler(rs->data, rs->error);
}


void
ngx_oa_resolve_done(ngx_oa_resolve_t *rs)
{
    if (rs->ctx) {
        ngx_resolve_name_done(rs->ctx);
        rs->ctx = NULL;
    }

    if (rs->event.posted) {
        ngx_delete_posted_event(&rs->event);
    }
}
