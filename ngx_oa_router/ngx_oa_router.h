
/*
 * ngx_oa_router: where a request goes.
 */


#ifndef _NGX_OA_ROUTER_H_INCLUDED_
#define _NGX_OA_ROUTER_H_INCLUDED_


#include "ngx_oa_core.h"
#include "oa_args.h"
#include "oa_host.h"
#include "oa_percent.h"
#include "oa_replay.h"
#include "oa_route.h"
#include "oa_table.h"


typedef struct ngx_oa_routes_file_s  ngx_oa_routes_file_t;


/* One oa_routes block. */

typedef enum {
    NGX_OA_SOURCE_UNSET = 0,
    NGX_OA_SOURCE_FILE,
    NGX_OA_SOURCE_POSTGRES
} ngx_oa_source_e;

typedef struct {
    ngx_str_t                    name;
    ngx_str_t                    domain;
    ngx_oa_source_e              source;
    ngx_str_t                    file;
    ngx_str_t                    snapshot;
    ngx_str_t                    users;
    ngx_msec_t                   negative_ttl;

    ngx_str_t                    conf_file;    /* where it stands */
    ngx_uint_t                   conf_line;

    oa_table_t                  *table;
    ngx_uint_t                   id;           /* of this in the table */
    oa_table_info_t             *info;
    ngx_oa_zone_t               *zone;

    ngx_oa_duty_t                duty;         /* to keep it in step */
    ngx_oa_feed_source_t         feed_source;
    ngx_oa_feed_t               *feed;
    ngx_oa_routes_file_t        *reader;
} ngx_oa_routes_t;


typedef struct {
    ngx_array_t                  routes;       /* ngx_oa_routes_t * */
    ngx_array_t                  replays;      /* void **: loc_conf */
    ngx_uint_t                   verify;       /* by some oa_replay_verify */
    ngx_oa_zone_part_t           part;
    oa_table_t                   table;
    ngx_oa_zone_t               *zone;
    ngx_oa_fly_t                *fly;
} ngx_oa_router_main_conf_t;


typedef enum {
    NGX_OA_ACCESS_ROUTE = 0,
    NGX_OA_ACCESS_OWNER,
    NGX_OA_ACCESS_AUTHENTICATED,
    NGX_OA_ACCESS_PUBLIC
} ngx_oa_access_e;


typedef enum {
    NGX_OA_FORMAT_DEFAULT = 0,                 /* json where oa_auth is on */
    NGX_OA_FORMAT_HEADER,
    NGX_OA_FORMAT_JSON
} ngx_oa_format_e;


/* Fly Proxy does not replay larger bodies. */
#define NGX_OA_REPLAY_BODY_MAX  (1024 * 1024)

/* One oa_replay. */

typedef struct {
    ngx_oa_format_e              format;
    ngx_uint_t                   status;
    ngx_str_t                    timeout;
    time_t                       timeout_sec;
    ngx_str_t                    fallback;
    ngx_str_t                    cache_path;
    ngx_uint_t                   cache_ttl;    /* seconds */

    unsigned                     prefer:1;
    unsigned                     forward_credentials:1;

    ngx_str_t                    conf_file;    /* where it stands */
    ngx_uint_t                   conf_line;
} ngx_oa_replay_conf_t;


typedef struct {
    ngx_str_t                    name;
    ngx_http_complex_value_t     value;
} ngx_oa_set_header_t;


typedef struct {
    ngx_oa_routes_t             *routes;
    ngx_uint_t                   access;
    ngx_str_t                    machine_key;

    ngx_oa_replay_conf_t        *replay;
    ngx_str_t                    replay_key;
    ngx_uint_t                   replay_key_per_machine;
    ngx_array_t                 *set_headers;  /* ngx_oa_set_header_t */
    ngx_array_t                 *hide_headers; /* ngx_str_t */
    ngx_str_t                    large;
    ngx_http_complex_value_t    *login_url;

    u_char                      *verify_key;   /* OA_REPLAY_KEY_LEN bytes */
} ngx_oa_router_loc_conf_t;


/* What is known of one request's route. */

typedef enum {
    NGX_OA_ROUTE_NEW = 0,
    NGX_OA_ROUTE_ASKING,                       /* a flight is under way */
    NGX_OA_ROUTE_WAITING,                      /* for the first routes */
    NGX_OA_ROUTE_LANDED,                       /* the flight has ended */
    NGX_OA_ROUTE_ADMITTED,
    NGX_OA_ROUTE_REFUSED
} ngx_oa_route_state_e;


typedef enum {
    NGX_OA_CACHE_NONE = 0,
    NGX_OA_CACHE_HIT,
    NGX_OA_CACHE_MISS,
    NGX_OA_CACHE_STALE,
    NGX_OA_CACHE_SNAPSHOT
} ngx_oa_cache_e;


typedef struct {
    ngx_http_request_t          *request;
    ngx_oa_route_state_e         state;

    ngx_oa_routes_t             *routes;       /* these were looked up in */
    ngx_str_t                    label;        /* empty: not of the domain */
    uint64_t                     hash;

    ngx_msec_t                   started;
    ngx_int_t                    rc;
    ngx_uint_t                   asked;

    ngx_uint_t                   looked;
    ngx_uint_t                   found;
    ngx_oa_cache_e               cache;
    ngx_oa_identity_t            identity;
    ngx_uint_t                   authenticated; /* oa_auth is on here */
    ngx_uint_t                   kept;         /* beyond a redirect */

    ngx_uint_t                   unverified;   /* by oa_replay_verify */
    ngx_str_t                    replay_sub;

    /* what follows is not zeroed with the rest, which is a hot path */

    ngx_oa_flight_t              flight;       /* while ASKING */
    ngx_event_t                  timer;        /* while WAITING */

    oa_route_t                   route;        /* if found; no packed ids */
    u_char                       label_buf[63];
    oa_table_copy_t              copy;
} ngx_oa_router_ctx_t;


extern ngx_module_t  ngx_oa_router_module;


/* The routes: ngx_oa_routes.c */

char *ngx_oa_routes_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * Looks a label up without waiting: NGX_OK with copy filled (it may say that
 * the name is known to be unknown), or NGX_DECLINED.
 */
ngx_int_t ngx_oa_routes_get(ngx_oa_routes_t *routes, uint64_t hash,
    const ngx_str_t *label, oa_table_copy_t *copy);

/*
 * Asks the database for a label, with everybody else who asks for it: flight
 * is on board, landed() will be called, and then the answer is in the table.
 * NGX_DECLINED: the answer is there already, unless it is asked for again.  NGX_ERROR: it cannot be asked
 * now.  flight->key is the hash of the label.
 */
ngx_int_t ngx_oa_routes_ask(ngx_oa_routes_t *routes, const ngx_str_t *label,
    ngx_oa_flight_t *flight, ngx_uint_t again);

/* The columns in which rows are read, and what becomes of them. */
#define NGX_OA_ROUTES_COLUMNS                                                 \
    "subdomain, route_id, user_id, agent_id, app, machine, region, status, "  \
    "access, version"

/*
 * Takes rows of those columns into the table; a row without a route_id is a
 * tombstone, one that breaks a grammar is refused, logged and counted.
 */
ngx_int_t ngx_oa_routes_apply(ngx_oa_routes_t *routes, PGresult *res,
    oa_table_put_e put);


/* Files: ngx_oa_routes_file.c */

/* Reads the file of routes in the master; a broken one is logged. */
void ngx_oa_routes_file_load(ngx_oa_routes_t *routes, ngx_log_t *log);

/* Follows the file, or reads and keeps the snapshot, in a thread. */
ngx_int_t ngx_oa_routes_file_start(ngx_oa_routes_t *routes);
void ngx_oa_routes_file_stop(ngx_oa_routes_t *routes);


/* The change feed: ngx_oa_routes_feed.c */

ngx_int_t ngx_oa_routes_feed_init(ngx_conf_t *cf, ngx_oa_routes_t *routes);
ngx_int_t ngx_oa_routes_feed_start(ngx_oa_routes_t *routes);
void ngx_oa_routes_feed_stop(ngx_oa_routes_t *routes);


/* Requests */

ngx_oa_router_ctx_t *ngx_oa_router_ctx(ngx_http_request_t *r);

/*
 * An internal redirect clears the contexts of all modules.  A kept one is
 * found again, and what it waits for is given up with the request.
 */
ngx_int_t ngx_oa_router_keep(ngx_http_request_t *r, ngx_oa_router_ctx_t *ctx);

/* Finds host and route without waiting, if that was not done. */
ngx_oa_router_ctx_t *ngx_oa_router_peek(ngx_http_request_t *r);

/* ngx_oa_router_handler.c: the one place that decides on access */
ngx_int_t ngx_oa_router_prefetch_index(ngx_http_request_t *r);
ngx_int_t ngx_oa_router_prefetch_record(ngx_http_request_t *r);
ngx_int_t ngx_oa_router_handler(ngx_http_request_t *r);

/* What must not travel: of auth, where it is loaded, or "access_token". */
ngx_int_t ngx_oa_router_credentials(ngx_http_request_t *r,
    ngx_oa_credentials_t *credentials);

/* ngx_oa_replay.c: the content handler */
ngx_int_t ngx_oa_replay_handler(ngx_http_request_t *r);

/* ngx_oa_replay_conf.c */
char *ngx_oa_replay(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_oa_replay_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_oa_replay_set_header(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_oa_replay_hide_header(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_oa_replay_check(ngx_conf_t *cf, ngx_oa_router_loc_conf_t *conf);

/* What can be told when all of the configuration was read. */
ngx_int_t ngx_oa_replay_check_auth(ngx_oa_router_main_conf_t *rmcf,
    ngx_log_t *log);

/* ngx_oa_replay_verify.c */
char *ngx_oa_replay_verify(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_int_t ngx_oa_replay_verify_handler(ngx_http_request_t *r);

/* ngx_oa_router_variables.c */
extern ngx_http_variable_t  ngx_oa_router_vars[];


#endif /* _NGX_OA_ROUTER_H_INCLUDED_ */
