
/*
 * Names of hosts, by nginx's resolver and by no other: libpq and libcurl are
 * given addresses.
 */


#ifndef _NGX_OA_RESOLVE_H_INCLUDED_
#define _NGX_OA_RESOLVE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* of a name that has more, some */
#define NGX_OA_RESOLVE_ADDRS  8


/* A name that the configuration has. */
typedef struct {
    ngx_str_t                    host;
    ngx_str_t                    directive;
    ngx_str_t                    file;
    ngx_uint_t                   line;
} ngx_oa_resolve_name_t;

typedef struct {
    ngx_resolver_t              *resolver;   /* of the http block; or NULL */
    ngx_msec_t                   timeout;
    ngx_array_t                  names;      /* ngx_oa_resolve_name_t */
} ngx_oa_resolve_conf_t;

/*
 * handler() is called once, never from inside ngx_oa_resolve(): with NULL and
 * the addresses, or with the reason of a failure.
 */
typedef struct {
    void                       (*handler)(void *data, const char *error);
    void                        *data;

    /* out: IPv6 without brackets; until ngx_oa_resolve_done() */
    ngx_uint_t                   naddrs;
    ngx_str_t                    addrs[NGX_OA_RESOLVE_ADDRS];

    ngx_resolver_ctx_t          *ctx;        /* private */
    ngx_event_t                  event;
    const char                  *error;
    u_char                       text[NGX_OA_RESOLVE_ADDRS]
                                     [NGX_INET6_ADDRSTRLEN];
} ngx_oa_resolve_t;


/*
 * The directive being read names a host that will have to be resolved.  host
 * is not copied.
 */
ngx_int_t ngx_oa_resolve_need(ngx_conf_t *cf, const ngx_str_t *host);

/* Finds the resolver; without one, names that need it are an error. */
ngx_int_t ngx_oa_resolve_postconf(ngx_conf_t *cf);

/* name must stay until the handler is called; it is made lower case. */
void ngx_oa_resolve(ngx_oa_resolve_t *rs, ngx_str_t *name);

/* Cancels it.  Harmless if nothing is under way. */
void ngx_oa_resolve_done(ngx_oa_resolve_t *rs);

/* Where the core's main configuration keeps it; by ngx_oa_core_module.c. */
ngx_oa_resolve_conf_t *ngx_oa_resolve_conf(ngx_conf_t *cf);
ngx_oa_resolve_conf_t *ngx_oa_resolve_conf_cycle(ngx_cycle_t *cycle);


#endif /* _NGX_OA_RESOLVE_H_INCLUDED_ */
