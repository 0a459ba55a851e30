
/*
 * What oa_jwk.c, which reads keys, and oa_jwk_verify.c, which knows OpenSSL,
 * have in common.
 */


#ifndef _OA_JWK_INT_H_INCLUDED_
#define _OA_JWK_INT_H_INCLUDED_


#include <openssl/evp.h>
#include "oa_jwk.h"


#define OA_JWK_RSA_MIN     2048        /* bits */
#define OA_JWK_RSA_MAX     8192
#define OA_JWK_RSA_E_MAX   64
#define OA_JWK_EC_MAX      66          /* bytes of a coordinate */
#define OA_JWK_SECRET_MIN  32          /* bytes: RFC 7518, 3.2 */

#define OA_JWK_SIGNATURE_MAX  (OA_JWK_RSA_MAX / 8)


typedef enum {
    OA_KTY_RSA = 0,
    OA_KTY_EC,
    OA_KTY_OKP,
    OA_KTY_OCT
} oa_kty_e;

/* A key type with its curve, and what goes with it. */
typedef struct {
    oa_kty_e             type;
    ngx_str_t            kty;
    ngx_str_t            crv;
    const char          *name;         /* OpenSSL's, of the curve */
    size_t               size;         /* bytes of a coordinate */
    size_t               signature;    /* bytes; 0: as the key has */
    ngx_uint_t           algs;         /* 1 << oa_alg_e, ... */
} oa_jwk_kind_t;


struct oa_jwk_s {
    const oa_jwk_kind_t *kind;
    ngx_uint_t           algs;         /* 1 << oa_alg_e, ... */
    size_t               signature;    /* bytes */

    unsigned             has_kid:1;
    ngx_str_t            kid;
    u_char               kid_data[OA_JWS_KID_MAX];
    u_char               print[OA_JWK_PRINT];

    EVP_PKEY            *pkey;
    EVP_MD_CTX          *md_ctx;       /* hashes; of EdDSA: verifies */
    EVP_MD              *md[OA_ALGS];
    EVP_PKEY_CTX        *ctx[OA_ALGS];
    EVP_MAC_CTX         *mac_ctx;      /* of a secret, which it holds */

    u_char               order[OA_JWK_EC_MAX]; /* n of its curve */
};


/*
 * Each makes a key of its parts, big-endian, with kind and algs set: NGX_OK;
 * NGX_DECLINED, with *why a static text, when they are no good; NGX_ERROR when
 * memory is short.  x and y have kind->size bytes.
 */
ngx_int_t oa_jwk_open_rsa(oa_jwk_t *key, const ngx_str_t *n,
    const ngx_str_t *e, const char **why);
ngx_int_t oa_jwk_open_ec(oa_jwk_t *key, const ngx_str_t *x,
    const ngx_str_t *y, const char **why);
ngx_int_t oa_jwk_open_okp(oa_jwk_t *key, const ngx_str_t *x,
    const char **why);
ngx_int_t oa_jwk_open_secret(oa_jwk_t *key, const ngx_str_t *secret);

/* Frees what is in a key, but not the key; it may be half open. */
void oa_jwk_close(oa_jwk_t *key);

/* SHA-256 of parts, each behind its length, cut to OA_JWK_PRINT bytes. */
ngx_int_t oa_jwk_digest(const ngx_str_t *parts, ngx_uint_t n, u_char *print);


#endif /* _OA_JWK_INT_H_INCLUDED_ */
