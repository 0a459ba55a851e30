
/*
 * ngx_oa_auth: who is asking.
 */


#ifndef _NGX_OA_AUTH_H_INCLUDED_
#define _NGX_OA_AUTH_H_INCLUDED_


#include "ngx_oa_core.h"
#include "oa_auth_error.h"
#include "oa_claims.h"
#include "oa_cookie.h"
#include "oa_handover.h"
#include "oa_jwk.h"
#include "oa_jws.h"
#include "oa_origin.h"
#include "oa_policy.h"
#include "oa_protocol.h"
#include "oa_require.h"
#include "oa_revoked.h"
#include "oa_token_cache.h"


#define NGX_OA_ISSUERS       16
#define NGX_OA_CREDENTIALS   64        /* names of cookies, of arguments */
#define NGX_OA_COOKIE_LINES  64        /* of one request */
#define NGX_OA_SESSION_NAME  64        /* bytes of its name */
#define NGX_OA_AUTH_WAITS    3         /* of one request */

#define ngx_oa_auth_is(a, b)                                                  \
    ((a)->len == (b)->len && ngx_memcmp((a)->data, (b)->data, (a)->len) == 0)


typedef struct ngx_oa_keys_s        ngx_oa_keys_t;
typedef struct ngx_oa_revocation_s  ngx_oa_revocation_t;


/* One oa_issuer block. */

typedef struct {
    ngx_str_t                    name;
    ngx_uint_t                   index;        /* among the issuers */

    const char                  *jwks_uri;     /* NULL: none */
    ngx_str_t                    jwks_file;    /* full name, or empty */
    ngx_str_t                    secret;
    time_t                       refresh;      /* seconds */
    time_t                       max_stale;    /* seconds */

    oa_policy_t                  policy;
    ngx_uint_t                   algorithms;   /* 1 << oa_alg_e, ... */

    ngx_str_t                    cookie;       /* Supabase's; may be empty */

    u_char                       digest[16];   /* of the policy */
    ngx_oa_problem_t             login;        /* of who brings no token */
    ngx_oa_keys_t               *keys;

    ngx_str_t                    conf_file;    /* where it stands */
    ngx_uint_t                   conf_line;
} ngx_oa_issuer_t;


typedef struct {
    ngx_array_t                  issuers;      /* ngx_oa_issuer_t * */

    /*
     * What can hold a token anywhere in this configuration, and so must not
     * travel to a machine nor be logged.
     */
    ngx_array_t                  cookies;      /* ngx_str_t */
    ngx_array_t                  args;         /* ngx_str_t */
    ngx_array_t                  sessions;     /* ngx_str_t: "__Host-NAME" */

    ngx_uint_t                   used;         /* by some oa_auth */
    ngx_uint_t                   cors;         /* by some oa_cors_origin */
    ngx_uint_t                   tls;          /* browsers come by https */

    ngx_oa_zone_t               *zone;
    ngx_oa_zone_part_t           part;         /* the token cache */
    ngx_oa_revocation_t         *revocation;
} ngx_oa_auth_main_conf_t;


typedef enum {
    NGX_OA_FROM_HEADER = 0,
    NGX_OA_FROM_COOKIE,
    NGX_OA_FROM_QUERY,
    NGX_OA_FROM_PROTOCOL
} ngx_oa_from_e;

typedef struct {
    ngx_oa_from_e                from;
    ngx_str_t                    name;         /* of the cookie (empty: the
                                                  issuers') or argument */
} ngx_oa_auth_source_t;


typedef struct {
    ngx_str_t                    path;
    oa_require_op_e              op;
    ngx_http_complex_value_t     value;
#if (NGX_PCRE)
    ngx_regex_t                 *regex;
#endif
    ngx_uint_t                   error;        /* HTTP status */
} ngx_oa_auth_require_t;


typedef struct {
    ngx_array_t                 *issuers;      /* ngx_oa_issuer_t *;
                                                  NULL: off */
    ngx_uint_t                   optional;
    ngx_array_t                 *sources;      /* ngx_oa_auth_source_t */
    ngx_array_t                 *origins;      /* ngx_str_t, lower case */
    ngx_array_t                 *requires;     /* ngx_oa_auth_require_t */
    ngx_array_t                 *cors;         /* ngx_str_t, lower case */
    ngx_str_t                    session;      /* "__Host-NAME" */
} ngx_oa_auth_loc_conf_t;


/* What is known of one request's token. */

typedef enum {
    NGX_OA_AUTH_NEW = 0,
    NGX_OA_AUTH_PEEKED,                        /* judged without waiting */
    NGX_OA_AUTH_WAITING,                       /* for keys */
    NGX_OA_AUTH_LANDED,                        /* they have come, or not */
    NGX_OA_AUTH_JUDGED,
    NGX_OA_AUTH_REFUSED
} ngx_oa_auth_state_e;


typedef struct {
    ngx_http_request_t          *request;
    ngx_oa_auth_state_e          state;
    ngx_oa_auth_loc_conf_t      *conf;         /* it was judged by this */

    oa_auth_error_e              error;
    const ngx_oa_problem_t      *problem;      /* NULL: none */
    ngx_oa_issuer_t             *issuer;       /* of a good token */
    ngx_uint_t                   waits;
    ngx_uint_t                   kept;         /* beyond a redirect */
    ngx_uint_t                   hit;          /* a cached decision */

    ngx_oa_auth_source_t        *source;       /* NULL: no token */
    ngx_str_t                    token;
    ngx_str_t                    bearer;       /* in the header; of hash */
    ngx_str_t                    payload;      /* decoded, once asked for */
    oa_handover_t               *handover;     /* to oa_session */

    /* what follows is not zeroed with the rest, which is a hot path */

    uint64_t                     hash;
    ngx_oa_flight_t              flight;       /* while WAITING */

    ngx_str_t                    sub;          /* of a good token */
    ngx_str_t                    role;
    time_t                       exp;
} ngx_oa_auth_ctx_t;


extern ngx_module_t  ngx_oa_auth_module;


/* Directives: ngx_oa_issuer.c, ngx_oa_auth_conf.c */

char *ngx_oa_issuer_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_oa_issuer_t *ngx_oa_issuer_find(ngx_oa_auth_main_conf_t *amcf,
    const ngx_str_t *name);

char *ngx_oa_auth(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_oa_auth_token(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_oa_auth_origin(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_oa_auth_require(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_oa_auth_claim_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_oa_auth_session(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Adds a name to a list unless it is there; NGX_ERROR when it is full. */
ngx_int_t ngx_oa_auth_add_name(ngx_array_t *names, const ngx_str_t *name);


/* Requests */

ngx_oa_auth_ctx_t *ngx_oa_auth_ctx(ngx_http_request_t *r);

/*
 * Where the token of a request is: ngx_oa_auth_sources.c.  Fills ctx->token
 * and ctx->source; both are empty where there is none.  OA_AUTH_OK,
 * OA_AUTH_MISSING, or OA_AUTH_MALFORMED; NGX_ERROR of memory is told as
 * OA_AUTH_MALFORMED, too.
 */
oa_auth_error_e ngx_oa_auth_find_token(ngx_http_request_t *r,
    ngx_oa_auth_loc_conf_t *alcf, ngx_oa_auth_ctx_t *ctx);

/* The values of all Cookie headers; NGX_ERROR: over NGX_OA_COOKIE_LINES. */
ngx_int_t ngx_oa_auth_cookie_lines(ngx_http_request_t *r, ngx_str_t *lines,
    ngx_uint_t *n);

/* Does the request come from one of our own pages, as far as it is told? */
ngx_uint_t ngx_oa_auth_is_own_page(ngx_http_request_t *r,
    ngx_oa_auth_loc_conf_t *alcf);

/*
 * Finds the token of a request and judges it; or the one in ctx->token, which
 * came from ctx->source: ngx_oa_auth_judge.c.  NGX_OK: ctx->error, and for a
 * good token issuer, sub, role and exp, are filled.  NGX_AGAIN: ctx->flight is
 * on board; not where wait is 0.  NGX_ERROR: memory is short.
 */
ngx_int_t ngx_oa_auth_judge(ngx_http_request_t *r,
    ngx_oa_auth_loc_conf_t *alcf, ngx_oa_auth_ctx_t *ctx, ngx_uint_t wait);
ngx_int_t ngx_oa_auth_judge_token(ngx_http_request_t *r,
    ngx_oa_auth_loc_conf_t *alcf, ngx_oa_auth_ctx_t *ctx, ngx_uint_t wait);

/* Ask the memory for what judging will read, one phase after the other. */
void ngx_oa_auth_prefetch_bucket(ngx_http_request_t *r);
ngx_int_t ngx_oa_auth_prefetch_record(ngx_http_request_t *r);

/* The payload of a good token, decoded; NGX_ERROR when memory is short. */
ngx_int_t ngx_oa_auth_payload(ngx_http_request_t *r, ngx_oa_auth_ctx_t *ctx);

/* The text of $oa_auth_error. */
ngx_str_t *ngx_oa_auth_error_name(oa_auth_error_e error);

/* ngx_oa_auth_handler.c: who is asking, for whoever decides on access */
ngx_int_t ngx_oa_auth_identify(ngx_http_request_t *r,
    ngx_oa_identity_t *identity);
ngx_int_t ngx_oa_auth_begin(ngx_http_request_t *r);
ngx_int_t ngx_oa_auth_handler(ngx_http_request_t *r);
ngx_oa_auth_ctx_t *ngx_oa_auth_peek(ngx_http_request_t *r);

/* NGX_AGAIN: the request waits for its flight; NGX_ERROR: it cannot. */
ngx_int_t ngx_oa_auth_wait(ngx_http_request_t *r, ngx_oa_auth_ctx_t *ctx);

/*
 * The problem of a token that was refused, with its challenge (RFC 6750, 3);
 * status 0: the problem's own.
 */
ngx_int_t ngx_oa_auth_refuse(ngx_http_request_t *r, ngx_oa_auth_ctx_t *ctx,
    const ngx_oa_problem_t *problem, ngx_uint_t status);
ngx_int_t ngx_oa_auth_refuse_token(ngx_http_request_t *r,
    ngx_oa_auth_ctx_t *ctx);

/* ngx_oa_auth_credentials.c: what must not travel */
ngx_int_t ngx_oa_auth_credentials(ngx_http_request_t *r,
    ngx_oa_credentials_t *credentials);

/* ngx_oa_auth_log.c: lines of error.log show no token from here on */
void ngx_oa_auth_mask_log(ngx_http_request_t *r);

/* ngx_oa_cors.c */
char *ngx_oa_cors_origin(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_int_t ngx_oa_cors_init(ngx_conf_t *cf);
void ngx_oa_cors_init_module(void);
void ngx_oa_cors_init_process(void);

/* ngx_oa_session.c: the content handler */
ngx_int_t ngx_oa_session_handler(ngx_http_request_t *r);
ngx_uint_t ngx_oa_session_is(ngx_http_request_t *r);

/* ngx_oa_auth_variables.c */
extern ngx_http_variable_t  ngx_oa_auth_vars[];
ngx_int_t ngx_oa_auth_claim_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


/* The token cache: ngx_oa_auth_module.c sets it up */

extern oa_token_cache_t  *ngx_oa_auth_cache;


/* Keys: ngx_oa_keys.c */


/*
 * Prepares for the keys of an issuer, in the configuration: its duty, its
 * place in the zone, and a first look at jwks_file, which must be good.
 * Logged; NGX_CONF_ERROR.
 */
char *ngx_oa_keys_add(ngx_conf_t *cf, ngx_oa_issuer_t *issuer);

/* Sets issuer->keys up in a worker; and frees them. */
ngx_int_t ngx_oa_keys_init_process(ngx_oa_issuer_t *issuer);
void ngx_oa_keys_exit_process(ngx_oa_issuer_t *issuer);

/*
 * The key that a header names, in the keys as they are now.
 *
 * NGX_OK: *error is OA_AUTH_OK and *key the key, or it is OA_AUTH_KEY,
 * OA_AUTH_ALGORITHM or OA_AUTH_KEYS_UNAVAILABLE.  NGX_AGAIN: keys are being
 * fetched and flight is on board, ask again when it has landed.  With flight
 * NULL it is told what is known without waiting.  It waits only for the end of
 * the first fetch, and for a key that is unknown, which is fetched for at most
 * once per 30 s for all.
 *
 * key and timeout of flight are set here, the rest by the caller.  Two waits
 * are all that a request can need; after them, or one that ended in NGX_BUSY,
 * it asks with NULL.
 *
 * A key lives until the event loop is returned to.
 */
ngx_int_t ngx_oa_keys_find(ngx_oa_issuer_t *issuer, const oa_jws_header_t *h,
    ngx_oa_flight_t *flight, oa_jwk_t **key, oa_auth_error_e *error);

/* Is the key of a cached decision still in force?  NULL if not. */
oa_jwk_t *ngx_oa_keys_find_print(ngx_oa_issuer_t *issuer,
    const u_char *print);


/* Revocations: ngx_oa_revocation.c */


/* In the configuration: the set in the zone and, with oa_postgres, its feed. */
ngx_int_t ngx_oa_revocation_add(ngx_conf_t *cf,
    ngx_oa_revocation_t **revocation);

/* In the master: from now on it is this set that is asked. */
void ngx_oa_revocation_init_module(ngx_oa_revocation_t *revocation);

/* session and user are UUIDs of 16 bytes, or NULL. */
ngx_uint_t ngx_oa_is_revoked(const u_char *session, const u_char *user);


#endif /* _NGX_OA_AUTH_H_INCLUDED_ */
