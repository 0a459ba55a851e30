
/*
 * JSON Web Keys (RFC 7517, 7518, 8037): a set of public keys, and signatures
 * made with them.
 *
 * A key is parsed once and keeps one initialised context for each algorithm,
 * so that a verification is the bare arithmetic.
 *
 * Pure: bytes in, struct out; no request, no event loop.
 */


#ifndef _OA_JWK_H_INCLUDED_
#define _OA_JWK_H_INCLUDED_


#include "oa_jws.h"


#define OA_JWKS_KEYS  64               /* of one set */
#define OA_JWKS_MAX   65536            /* bytes of one set */
#define OA_JWK_PRINT  16


typedef struct oa_jwk_s   oa_jwk_t;
typedef struct oa_jwks_s  oa_jwks_t;

struct oa_jwks_s {
    ngx_uint_t           nkeys;
    oa_jwk_t            *keys[OA_JWKS_KEYS];
};

/* A key that is passed over: it skips only itself. */
typedef void (*oa_jwk_skipped_pt)(void *data, const ngx_str_t *kid,
    const char *why);

/*
 * Parses a set, {"keys":[...]}.  *set is allocated and freed with
 * oa_jwks_free(); it may have no keys.  NGX_ERROR, with *why a static text,
 * when the whole is no such JSON object (duplicate names, trailing bytes, over
 * OA_JWKS_MAX), has more than OA_JWKS_KEYS keys, or memory is short.
 *
 * Passed over, each with a call of skipped (which may be NULL): keys with
 * "use" other than "sig"; with "key_ops" that do not have "verify"; of a kty,
 * crv or alg that is not ours or that do not go together; "oct" (a secret has
 * no business in a set of public keys); private keys; RSA below 2048 or above
 * 8192 bits, n even, e even, below 3 or above 64 bits; coordinates of a wrong
 * length, EC points not on their curve; a kid that is no string or over
 * OA_JWS_KID_MAX; the later of two with the same kid.
 */
ngx_int_t oa_jwks_parse(const u_char *json, size_t len, oa_jwks_t **set,
    oa_jwk_skipped_pt skipped, void *data, const char **why);

/* A set of one key, an HMAC secret of 32 bytes or more; else NGX_ERROR. */
ngx_int_t oa_jwks_secret(const ngx_str_t *secret, oa_jwks_t **set);

void oa_jwks_free(oa_jwks_t *set);

/*
 * The one key that a header names.  OA_AUTH_OK; OA_AUTH_KEY when there is
 * none; OA_AUTH_ALGORITHM when it is there but not for this alg.  A header
 * without a kid names a key only where exactly one fits its alg; the key of
 * oa_jwks_secret() is named by any kid or none.  Never is more than one key
 * tried.
 */
oa_auth_error_e oa_jwks_find(const oa_jwks_t *set, const oa_jws_header_t *h,
    oa_jwk_t **key);

/*
 * The key that stands behind a cached decision, by its print: a digest of kid,
 * alg and the key itself.  NULL when it has gone.
 */
oa_jwk_t *oa_jwks_find_print(const oa_jwks_t *set, const u_char *print);
const u_char *oa_jwk_print(const oa_jwk_t *key);
const ngx_str_t *oa_jwk_kid(const oa_jwk_t *key);

/*
 * Verifies.  signature is still encoded.  NGX_OK, or NGX_DECLINED for
 * anything that is no good signature of input by this key with this alg: not
 * canonical base64url, not of the exact length, r or s not in [1, n-1], a salt
 * that is not as long as the digest.  NGX_ERROR when OpenSSL fails before it
 * comes to that.  HMACs are compared in constant time.
 */
ngx_int_t oa_jwk_verify(oa_jwk_t *key, oa_alg_e alg, const ngx_str_t *input,
    const ngx_str_t *signature);


#endif /* _OA_JWK_H_INCLUDED_ */
