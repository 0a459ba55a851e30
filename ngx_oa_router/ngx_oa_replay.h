
/*
 * oa_replay, for its own files: the answer (ngx_oa_replay.c), its json form
 * (ngx_oa_replay_json.c).
 */


#ifndef _NGX_OA_REPLAY_H_INCLUDED_
#define _NGX_OA_REPLAY_H_INCLUDED_


#include "ngx_oa_router.h"


/* What the headers of a request say that matters to its replay. */
typedef struct {
    unsigned                     failed:1;     /* an earlier one did */
    unsigned                     looped:1;     /* an earlier one came back */
    unsigned                     authorization:1;
    ngx_uint_t                   nforced;      /* fly-force-*, fly-prefer-* */
} ngx_oa_replay_hints_t;


/* Does the header choose a machine for Fly Proxy? */
ngx_uint_t ngx_oa_replay_is_forced(ngx_table_elt_t *h);

/* Is the replay of this request to be cached, and under which prefix? */
ngx_uint_t ngx_oa_replay_is_cacheable(ngx_http_request_t *r,
    ngx_oa_router_loc_conf_t *rlcf);
ngx_int_t ngx_oa_replay_cache_prefix(ngx_http_request_t *r,
    ngx_oa_router_ctx_t *ctx, ngx_oa_router_loc_conf_t *rlcf,
    ngx_str_t *prefix);

/*
 * Empties json, and finds what must not travel: in json->path, where it is in
 * the path, else in credentials.
 */
ngx_int_t ngx_oa_replay_json_begin(ngx_http_request_t *r,
    oa_replay_json_t *json, ngx_oa_credentials_t *credentials);

ngx_int_t ngx_oa_replay_send_json(ngx_http_request_t *r,
    ngx_oa_router_ctx_t *ctx, ngx_oa_router_loc_conf_t *rlcf,
    oa_replay_json_t *json, ngx_oa_credentials_t *credentials,
    ngx_oa_replay_hints_t *hints);


#endif /* _NGX_OA_REPLAY_H_INCLUDED_ */
