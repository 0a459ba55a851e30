
/*
 * Names of database hosts, by nginx's resolver.
 *
 * libpq is given hostaddr, and host beside it, as many times as there are
 * addresses: it tries them in turn and verifies the certificate of host.
 */


#include "ngx_oa_pg.h"


#define NGX_OA_PG_ADDRS  8


static void ngx_oa_pg_resolve_handler(ngx_resolver_ctx_t *ctx);
static ngx_int_t ngx_oa_pg_resolve_lists(ngx_oa_pg_resolve_t *pr,
    ngx_resolver_ctx_t *ctx);
static void ngx_oa_pg_resolve_event(ngx_event_t *ev);


void
ngx_oa_pg_resolve(ngx_oa_pg_resolve_t *pr, ngx_oa_pg_conf_t *pgcf)
{
    ngx_resolver_ctx_t  *ctx;

    pr->ctx = NULL;
    pr->host = NULL;
    pr->hostaddr = NULL;
    pr->error = "no memory to resolve the host";

    pr->event.data = pr;
    pr->event.handler = ngx_oa_pg_resolve_event;
    pr->event.log = ngx_cycle->log;

    ctx = ngx_resolve_start(pgcf->resolver, NULL);

    if (ctx == NULL || ctx == NGX_NO_RESOLVER) {
        goto failed;
    }

    ctx->name = pgcf->host;
    ctx->handler = ngx_oa_pg_resolve_handler;
    ctx->data = pr;
    ctx->timeout = pgcf->resolver_timeout;
    ctx->cancelable = 1;

    pr->ctx = ctx;

    if (ngx_resolve_name(ctx) == NGX_OK) {
        return;
    }

    /* ctx is gone */

    pr->ctx = NULL;

failed:

    ngx_post_event(&pr->event, &ngx_posted_next_events);
}


static void
ngx_oa_pg_resolve_handler(ngx_resolver_ctx_t *ctx)
{
    ngx_oa_pg_resolve_t  *pr;

    pr = ctx->data;

    if (ctx->state != NGX_OK) {
        pr->error = ngx_resolver_strerror(ctx->state);

    } else if (ngx_oa_pg_resolve_lists(pr, ctx) == NGX_OK) {
        pr->error = NULL;
    }

    ngx_resolve_name_done(ctx);
    pr->ctx = NULL;

    /*
     * Others may wait for the same name: nobody may be cancelled before the
     * resolver has told them all, hence the event.
     */

    ngx_post_event(&pr->event, &ngx_posted_next_events);
}


static ngx_int_t
ngx_oa_pg_resolve_lists(ngx_oa_pg_resolve_t *pr, ngx_resolver_ctx_t *ctx)
{
    u_char      *host, *addr;
    ngx_uint_t   i, n;

    n = ngx_min(ctx->naddrs, NGX_OA_PG_ADDRS);

    pr->host = ngx_alloc(n * (ctx->name.len + 1) + 1, ngx_cycle->log);
    pr->hostaddr = ngx_alloc(n * (NGX_SOCKADDR_STRLEN + 1) + 1,
                             ngx_cycle->log);

    if (pr->host == NULL || pr->hostaddr == NULL) {
        return NGX_ERROR;
    }

    host = (u_char *) pr->host;
    addr = (u_char *) pr->hostaddr;

    for (i = 0; i < n; i++) {
        if (i) {
            *host++ = ',';
            *addr++ = ',';
        }

        host = ngx_cpymem(host, ctx->name.data, ctx->name.len);
        addr += ngx_sock_ntop(ctx->addrs[i].sockaddr, ctx->addrs[i].socklen,
                              addr, NGX_SOCKADDR_STRLEN, 0);
    }

    *host = '\0';
    *addr = '\0';

    return NGX_OK;
}


static void
ngx_oa_pg_resolve_event(ngx_event_t *ev)
{
    ngx_oa_pg_resolve_t  *pr;

    pr = ev->data;

    pr->handler(pr->data, pr->error);
}


void
ngx_oa_pg_resolve_done(ngx_oa_pg_resolve_t *pr)
{
    if (pr->ctx) {
        ngx_resolve_name_done(pr->ctx);
        pr->ctx = NULL;
    }

    if (pr->event.posted) {
        ngx_delete_posted_event(&pr->event);
    }

    if (pr->host) {
        ngx_free(pr->host);
        pr->host = NULL;
    }

    if (pr->hostaddr) {
        ngx_free(pr->hostaddr);
        pr->hostaddr = NULL;
    }
}
