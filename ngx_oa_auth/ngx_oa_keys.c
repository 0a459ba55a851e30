
/*
 * Keys: which one a token names, in this worker.
 */


#include "ngx_oa_keys.h"

#include <openssl/evp.h>


/* Why a request would wait. */
typedef enum {
    NGX_OA_KEYS_SETTLED = 0,           /* for nothing */
    NGX_OA_KEYS_FIRST,                 /* there never were any */
    NGX_OA_KEYS_KID                    /* its kid may be new */
} ngx_oa_keys_wait_e;


static void ngx_oa_keys_duty_start(void *data);
static void ngx_oa_keys_duty_stop(void *data);
static ngx_int_t ngx_oa_keys_digest(ngx_oa_keys_t *keys);
static void ngx_oa_keys_sync(ngx_oa_keys_t *keys);
static ngx_oa_keyring_t *ngx_oa_keyring(ngx_oa_keys_t *keys,
    ngx_uint_t fresh);
static ngx_int_t ngx_oa_keyring_read(ngx_oa_keys_t *keys,
    ngx_oa_keyring_t *ring, ngx_uint_t source);
static void ngx_oa_keyring_join(ngx_oa_keyring_t *ring);
static void ngx_oa_keyring_free(ngx_oa_keyring_t *ring);
static void ngx_oa_keys_set_ring(ngx_oa_keys_t *keys, ngx_oa_keyring_t *ring);
static void ngx_oa_keys_retire(ngx_event_t *ev);
static ngx_oa_keys_wait_e ngx_oa_keys_look(ngx_oa_keys_t *keys,
    const oa_jws_header_t *h, oa_jwk_t **key, oa_auth_error_e *error);
static ngx_int_t ngx_oa_keys_settled(oa_auth_error_e error);


/* A text on its way from the zone to keys; in the event loop only. */
static u_char  ngx_oa_keys_text[OA_JWKS_MAX];


char *
ngx_oa_keys_add(ngx_conf_t *cf, ngx_oa_issuer_t *issuer)
{
    char           *rv;
    ngx_str_t      *name;
    ngx_oa_keys_t  *keys;

    keys = ngx_pcalloc(cf->pool, sizeof(ngx_oa_keys_t));
    if (keys == NULL) {
        return NGX_CONF_ERROR;
    }

    keys->issuer = issuer;
    keys->zone = ngx_oa_zone(cf);
    keys->max_stale = (ngx_msec_t) issuer->max_stale * 1000;

    issuer->keys = keys;

    if (issuer->jwks_uri == NULL && issuer->jwks_file.len == 0) {
        return NGX_CONF_OK;
    }

    if (ngx_oa_keys_digest(keys) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (issuer->jwks_file.len) {
        rv = ngx_oa_keys_file_conf(cf, keys);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    name = &keys->duty.name;

    name->data = ngx_pnalloc(cf->pool, sizeof("keys:") + issuer->name.len);
    if (name->data == NULL) {
        return NGX_CONF_ERROR;
    }

    name->len = ngx_sprintf(name->data, "keys:%V", &issuer->name)
                - name->data;

    keys->duty.start = ngx_oa_keys_duty_start;
    keys->duty.stop = ngx_oa_keys_duty_stop;
    keys->duty.data = keys;

    if (ngx_oa_duty_add(cf, &keys->duty) != NGX_OK
        || ngx_oa_keys_zone_add(cf, keys) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static void
ngx_oa_keys_duty_start(void *data)
{
    ngx_oa_keys_t *keys = data;

    if (keys->issuer->jwks_file.len) {
        ngx_oa_keys_file_start(keys);
    }

    if (keys->issuer->jwks_uri) {
        ngx_oa_keys_fetch_start(keys);
    }
}


static void
ngx_oa_keys_duty_stop(void *data)
{
    ngx_oa_keys_t *keys = data;

    ngx_oa_keys_fetch_stop(keys);
    ngx_oa_keys_file_stop(keys);
}


/* Of where the keys come from. */

static ngx_int_t
ngx_oa_keys_digest(ngx_oa_keys_t *keys)
{
    u_char            md[EVP_MAX_MD_SIZE];
    ngx_int_t         ok;
    EVP_MD_CTX       *ctx;
    const char       *uri;
    ngx_oa_issuer_t  *issuer;

    issuer = keys->issuer;
    uri = issuer->jwks_uri ? issuer->jwks_uri : "";

    ctx = EVP_MD_CTX_new();
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    /* each with the NUL behind it */

    ok = EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1
         && EVP_DigestUpdate(ctx, issuer->name.data, issuer->name.len) == 1
         && EVP_DigestUpdate(ctx, "", 1) == 1
         && EVP_DigestUpdate(ctx, uri, ngx_strlen(uri) + 1) == 1
         && EVP_DigestUpdate(ctx, issuer->jwks_file.data,
                             issuer->jwks_file.len) == 1
         && EVP_DigestFinal_ex(ctx, md, NULL) == 1;

    EVP_MD_CTX_free(ctx);

    if (!ok) {
        return NGX_ERROR;
    }

    ngx_memcpy(keys->digest, md, NGX_OA_KEYS_DIGEST);

    return NGX_OK;
}


ngx_int_t
ngx_oa_keys_init_process(ngx_oa_issuer_t *issuer)
{
    ngx_oa_keys_t     *keys;
    ngx_oa_keyring_t  *ring;

    keys = issuer->keys;

    keys->retire.handler = ngx_oa_keys_retire;
    keys->retire.data = keys;
    keys->retire.log = ngx_cycle->log;

    if (keys->slot) {
        ngx_oa_keys_fetch_init(keys);
        ngx_oa_keys_sync(keys);
        return NGX_OK;
    }

    ring = ngx_calloc(sizeof(ngx_oa_keyring_t), ngx_cycle->log);
    if (ring == NULL) {
        return NGX_ERROR;
    }

    if (oa_jwks_secret(&issuer->secret, &ring->sets[0]) != NGX_OK) {
        ngx_free(ring);
        return NGX_ERROR;
    }

    ring->set = ring->sets[0];
    keys->ring = ring;

    return NGX_OK;
}


void
ngx_oa_keys_exit_process(ngx_oa_issuer_t *issuer)
{
    ngx_oa_keys_t  *keys;

    keys = issuer->keys;

    if (keys->slot) {
        ngx_oa_keys_fetch_exit(keys);
    }

    ngx_oa_keys_set_ring(keys, NULL);

    if (keys->retire.posted) {
        ngx_delete_posted_event(&keys->retire);
        ngx_oa_keys_retire(&keys->retire);
    }
}


/* Makes the keys of this worker those of the zone. */

static ngx_inline void
ngx_oa_keys_sync(ngx_oa_keys_t *keys)
{
    uint64_t             epoch;
    ngx_msec_t           good;
    ngx_uint_t           fresh;
    ngx_oa_keys_slot_t  *slot;

    slot = keys->slot;

    if (slot == NULL) {
        return;
    }

    /* no seq ever goes back: an equal sum is the same two */

    epoch = ngx_oa_keys_load(&slot->seq[NGX_OA_KEYS_FILE])
            + ngx_oa_keys_load(&slot->seq[NGX_OA_KEYS_URI]);

    good = ngx_oa_keys_load(&slot->good);
    fresh = ngx_oa_keys_is_fresh(keys, good);

    if (epoch != keys->epoch || fresh != keys->fresh || keys->ring == NULL) {
        ngx_oa_keys_set_ring(keys, ngx_oa_keyring(keys, fresh));

        keys->epoch = epoch;
        keys->fresh = fresh;
    }
}


static ngx_oa_keyring_t *
ngx_oa_keyring(ngx_oa_keys_t *keys, ngx_uint_t fresh)
{
    ngx_uint_t         i;
    ngx_oa_keyring_t  *ring;

    ring = ngx_calloc(sizeof(ngx_oa_keyring_t), ngx_cycle->log);
    if (ring == NULL) {
        return NULL;
    }

    for (i = 0; i < NGX_OA_KEYS_SOURCES; i++) {

        if (i == NGX_OA_KEYS_URI && !fresh) {
            continue;
        }

        if (ngx_oa_keyring_read(keys, ring, i) != NGX_OK) {
            ngx_oa_keyring_free(ring);
            return NULL;
        }
    }

    ngx_oa_keyring_join(ring);

    return ring;
}


static ngx_int_t
ngx_oa_keyring_read(ngx_oa_keys_t *keys, ngx_oa_keyring_t *ring,
    ngx_uint_t source)
{
    size_t       len;
    ngx_int_t    rc;
    const char  *why;

    rc = ngx_oa_keys_copy(keys, source, ngx_oa_keys_text, &len);

    if (rc != NGX_OK) {
        return rc;
    }

    if (len == 0) {
        return NGX_OK;
    }

    /* it was good once, so memory is short */

    if (oa_jwks_parse(ngx_oa_keys_text, len, &ring->sets[source], NULL, NULL,
                      &why)
        != NGX_OK)
    {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "oa_issuer \"%V\": its keys cannot be used: %s",
                      &keys->issuer->name, why);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * One set of both: which key a header without a kid names is told only by all
 * of them.
 */

static void
ngx_oa_keyring_join(ngx_oa_keyring_t *ring)
{
    ngx_uint_t        i, n, k;
    oa_jwks_t        *set;
    const ngx_str_t  *kid, *other;

    for (i = 0; i < NGX_OA_KEYS_SOURCES; i++) {
        set = ring->sets[i];

        if (set == NULL) {
            continue;
        }

        for (n = 0; n < set->nkeys; n++) {
            kid = oa_jwk_kid(set->keys[n]);

            for (k = 0; k < ring->all.nkeys; k++) {
                other = oa_jwk_kid(ring->all.keys[k]);

                if (kid->data && other->data && kid->len == other->len
                    && ngx_memcmp(kid->data, other->data, kid->len) == 0)
                {
                    break;
                }

                /* one without a kid is named by nothing else */

                if (ngx_memcmp(oa_jwk_print(set->keys[n]),
                               oa_jwk_print(ring->all.keys[k]), OA_JWK_PRINT)
                    == 0)
                {
                    break;
                }
            }

            if (k == ring->all.nkeys && k < OA_JWKS_KEYS) {
                ring->all.keys[k] = set->keys[n];
                ring->all.nkeys++;
            }
        }
    }

    ring->set = &ring->all;
}


static void
ngx_oa_keyring_free(ngx_oa_keyring_t *ring)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_OA_KEYS_SOURCES; i++) {
        if (ring->sets[i]) {
            oa_jwks_free(ring->sets[i]);
        }
    }

    ngx_free(ring);
}


/* Whoever runs now may hold a key of the old ring. */

static void
ngx_oa_keys_set_ring(ngx_oa_keys_t *keys, ngx_oa_keyring_t *ring)
{
    if (keys->ring) {
        keys->ring->next = keys->retired;
        keys->retired = keys->ring;

        ngx_post_event(&keys->retire, &ngx_posted_events);
    }

    keys->ring = ring;
}


static void
ngx_oa_keys_retire(ngx_event_t *ev)
{
    ngx_oa_keys_t     *keys;
    ngx_oa_keyring_t  *ring;

    keys = ev->data;

    while (keys->retired) {
        ring = keys->retired;
        keys->retired = ring->next;

        ngx_oa_keyring_free(ring);
    }
}


oa_jwk_t *
ngx_oa_keys_find_print(ngx_oa_issuer_t *issuer, const u_char *print)
{
    ngx_oa_keys_t  *keys;

    keys = issuer->keys;

    ngx_oa_keys_sync(keys);

    return keys->ring ? oa_jwks_find_print(keys->ring->set, print) : NULL;
}


ngx_int_t
ngx_oa_keys_find(ngx_oa_issuer_t *issuer, const oa_jws_header_t *h,
    ngx_oa_flight_t *flight, oa_jwk_t **key, oa_auth_error_e *error)
{
    ngx_uint_t           ended;
    ngx_oa_keys_t       *keys;
    ngx_oa_keys_wait_e   wait;

    keys = issuer->keys;

    for ( ;; ) {
        ended = keys->slot ? ngx_oa_keys_load(&keys->slot->ended) : 0;

        wait = ngx_oa_keys_look(keys, h, key, error);

        if (wait == NGX_OA_KEYS_SETTLED || flight == NULL) {
            return ngx_oa_keys_settled(*error);
        }

        flight->key = ngx_oa_keys_flight(keys);
        flight->timeout = NGX_OA_KEYS_WAIT;

        if (ngx_oa_flight_board(flight) == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        if (ngx_oa_keys_load(&keys->slot->ended) == ended) {
            break;
        }

        /* another flight has landed since this one looked */

        ngx_oa_flight_land(flight->key, NGX_OK);
    }

    if (ngx_oa_keys_fetch(keys, wait == NGX_OA_KEYS_KID) != NGX_OK) {
        return ngx_oa_keys_settled(*error);
    }

    /* now as a passenger; with no seat left nobody would be told the end */

    return ngx_oa_flight_board(flight) == NGX_AGAIN
           ? NGX_AGAIN : ngx_oa_keys_settled(*error);
}


static ngx_oa_keys_wait_e
ngx_oa_keys_look(ngx_oa_keys_t *keys, const oa_jws_header_t *h,
    oa_jwk_t **key, oa_auth_error_e *error)
{
    ngx_msec_t           asked;
    ngx_uint_t           ended;
    ngx_oa_keys_slot_t  *slot;

    slot = keys->slot;

    ngx_oa_keys_sync(keys);

    if (keys->ring == NULL) {
        *error = OA_AUTH_KEYS_UNAVAILABLE;
        return NGX_OA_KEYS_SETTLED;
    }

    *error = oa_jwks_find(keys->ring->set, h, key);

    if (keys->issuer->jwks_uri == NULL) {
        return NGX_OA_KEYS_SETTLED;
    }

    ended = ngx_oa_keys_load(&slot->ended);

    if (ended == 0) {
        *error = OA_AUTH_KEYS_UNAVAILABLE;
        return NGX_OA_KEYS_FIRST;
    }

    if (*error == OA_AUTH_OK) {
        return NGX_OA_KEYS_SETTLED;
    }

    if (!keys->fresh) {
        *error = OA_AUTH_KEYS_UNAVAILABLE;
        return NGX_OA_KEYS_SETTLED;
    }

    /* no fetch brings a secret, or another alg for a key */

    if (*error != OA_AUTH_KEY || !h->has_kid || h->alg == OA_ALG_HS256) {
        return NGX_OA_KEYS_SETTLED;
    }

    /* one that is under way may bring it, and costs nothing more */

    if (ngx_oa_keys_load(&slot->started) != ended) {
        return NGX_OA_KEYS_KID;
    }

    asked = ngx_oa_keys_load(&slot->asked);

    if (asked
        && (ngx_msec_int_t) (ngx_current_msec - asked) < NGX_OA_KEYS_ASK)
    {
        return NGX_OA_KEYS_SETTLED;
    }

    return NGX_OA_KEYS_KID;
}


static ngx_int_t
ngx_oa_keys_settled(oa_auth_error_e error)
{
    if (error == OA_AUTH_KEY) {
        ngx_oa_count(NGX_OA_COUNT_KEYS_UNKNOWN);

    } else if (error == OA_AUTH_KEYS_UNAVAILABLE) {
        ngx_oa_count(NGX_OA_COUNT_KEYS_UNAVAILABLE);
    }

    return NGX_OK;
}
