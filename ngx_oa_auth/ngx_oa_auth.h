
/*
 * ngx_oa_auth: who is asking.
 */


#ifndef _NGX_OA_AUTH_H_INCLUDED_
#define _NGX_OA_AUTH_H_INCLUDED_


#include "ngx_oa_core.h"
#include "oa_auth_error.h"
#include "oa_claims.h"
#include "oa_cookie.h"
#include "oa_jwk.h"
#include "oa_jws.h"
#include "oa_origin.h"
#include "oa_policy.h"
#include "oa_protocol.h"
#include "oa_require.h"
#include "oa_revoked.h"
#include "oa_token_cache.h"


#define NGX_OA_ISSUERS  16


typedef struct ngx_oa_keys_s  ngx_oa_keys_t;


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
    ngx_str_t                    session;      /* "__Host-NAME" */

    u_char                       digest[16];   /* of all the above */
    ngx_oa_keys_t               *keys;

    ngx_str_t                    conf_file;    /* where it stands */
    ngx_uint_t                   conf_line;
} ngx_oa_issuer_t;


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
 * NULL it is told what is known without waiting.  It waits only for the first
 * keys, and for a key that is unknown, at most once per 30 s for all.
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
ngx_int_t ngx_oa_revocation_add(ngx_conf_t *cf);

/* session and user are UUIDs of 16 bytes, or NULL. */
ngx_uint_t ngx_oa_is_revoked(const u_char *session, const u_char *user);


#endif /* _NGX_OA_AUTH_H_INCLUDED_ */
