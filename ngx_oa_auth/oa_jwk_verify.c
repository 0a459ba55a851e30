
#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include "oa_base64url.h"
#include "oa_jwk_int.h"


#define OA_JWK_SHA256_LEN  32

/* A sequence of two integers, each with a zero byte before it. */
#define OA_JWK_DER_HEAD    3
#define OA_JWK_DER_MAX     (OA_JWK_DER_HEAD + 2 * (2 + 1 + OA_JWK_EC_MAX))


typedef ngx_int_t (*oa_jwk_verify_pt)(oa_jwk_t *key, oa_alg_e alg,
    const ngx_str_t *input, const u_char *signature);

typedef struct {
    oa_jwk_verify_pt     verify;
    const char          *digest;
    int                  padding;      /* RSA's */
} oa_jwk_alg_t;


static ngx_int_t oa_jwk_prepare(oa_jwk_t *key);
static ngx_int_t oa_jwk_prepare_alg(oa_jwk_t *key, oa_alg_e alg);
static EVP_PKEY *oa_jwk_pkey(const char *type, OSSL_PARAM *params);
static ngx_int_t oa_jwk_order(oa_jwk_t *key);

static ngx_int_t oa_jwk_verify_rsa(oa_jwk_t *key, oa_alg_e alg,
    const ngx_str_t *input, const u_char *signature);
static ngx_int_t oa_jwk_verify_ec(oa_jwk_t *key, oa_alg_e alg,
    const ngx_str_t *input, const u_char *signature);
static ngx_int_t oa_jwk_verify_ed(oa_jwk_t *key, oa_alg_e alg,
    const ngx_str_t *input, const u_char *signature);
static ngx_int_t oa_jwk_verify_hmac(oa_jwk_t *key, oa_alg_e alg,
    const ngx_str_t *input, const u_char *signature);
static ngx_int_t oa_jwk_verify_digest(oa_jwk_t *key, oa_alg_e alg,
    const ngx_str_t *input, const u_char *signature, size_t len);
static ngx_uint_t oa_jwk_in_range(const oa_jwk_t *key, const u_char *number);
static u_char *oa_jwk_der_integer(u_char *p, const u_char *number,
    size_t len);


/* RFC 7518, 3.1; RFC 8037, 3.1 */

static const oa_jwk_alg_t  oa_jwk_algs[OA_ALGS] = {
    { NULL, NULL, 0 },
    { oa_jwk_verify_hmac, "SHA256", 0 },
    { oa_jwk_verify_rsa, "SHA256", RSA_PKCS1_PADDING },
    { oa_jwk_verify_rsa, "SHA384", RSA_PKCS1_PADDING },
    { oa_jwk_verify_rsa, "SHA512", RSA_PKCS1_PADDING },
    { oa_jwk_verify_rsa, "SHA256", RSA_PKCS1_PSS_PADDING },
    { oa_jwk_verify_rsa, "SHA384", RSA_PKCS1_PSS_PADDING },
    { oa_jwk_verify_rsa, "SHA512", RSA_PKCS1_PSS_PADDING },
    { oa_jwk_verify_ec, "SHA256", 0 },
    { oa_jwk_verify_ec, "SHA384", 0 },
    { oa_jwk_verify_ec, "SHA512", 0 },
    { oa_jwk_verify_ed, NULL, 0 }
};


ngx_int_t
oa_jwk_open_rsa(oa_jwk_t *key, const ngx_str_t *n, const ngx_str_t *e,
    const char **why)
{
    int              bits;
    BIGNUM          *bn, *be;
    OSSL_PARAM      *params;
    OSSL_PARAM_BLD  *build;

    bn = BN_bin2bn(n->data, (int) n->len, NULL);
    be = BN_bin2bn(e->data, (int) e->len, NULL);
    build = OSSL_PARAM_BLD_new();
    params = NULL;

    if (bn == NULL || be == NULL || build == NULL) {
        goto done;
    }

    bits = BN_num_bits(bn);

    if (bits < OA_JWK_RSA_MIN || bits > OA_JWK_RSA_MAX || !BN_is_odd(bn)) {
        *why = "its n is even, below 2048 or above 8192 bits";
        goto done;
    }

    /* a large e makes a verification as slow as a signature */

    if (!BN_is_odd(be) || BN_is_one(be)
        || BN_num_bits(be) > OA_JWK_RSA_E_MAX)
    {
        *why = "its e is even, below 3 or above 64 bits";
        goto done;
    }

    if (OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, bn)
        && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, be))
    {
        params = OSSL_PARAM_BLD_to_param(build);
    }

    if (params) {
        key->pkey = oa_jwk_pkey("RSA", params);
    }

    key->signature = (size_t) (bits + 7) / 8;

done:

    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    BN_free(be);
    BN_free(bn);

    return *why ? NGX_DECLINED : oa_jwk_prepare(key);
}


ngx_int_t
oa_jwk_open_ec(oa_jwk_t *key, const ngx_str_t *x, const ngx_str_t *y,
    const char **why)
{
    int            rc;
    u_char        *p, point[1 + 2 * OA_JWK_EC_MAX];
    OSSL_PARAM     params[3];
    EVP_PKEY_CTX  *ctx;

    /* uncompressed (SEC 1, 2.3.3) */

    point[0] = 0x04;
    p = ngx_cpymem(&point[1], x->data, x->len);
    p = ngx_cpymem(p, y->data, y->len);

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
                                                 (char *) key->kind->name, 0);
    params[1] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
                                                  point, (size_t) (p - point));
    params[2] = OSSL_PARAM_construct_end();

    key->pkey = oa_jwk_pkey("EC", params);

    if (key->pkey == NULL) {
        *why = "its point is not on its curve";
        return NGX_DECLINED;
    }

    ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    if (ctx == NULL) {
        ERR_clear_error();
        return NGX_ERROR;
    }

    /* the cofactors are 1: each point on the curve is one of its group */

    rc = EVP_PKEY_public_check_quick(ctx);

    EVP_PKEY_CTX_free(ctx);

    if (rc != 1) {
        ERR_clear_error();
        *why = "its point is not on its curve";
        return NGX_DECLINED;
    }

    if (oa_jwk_order(key) != NGX_OK) {
        return NGX_ERROR;
    }

    return oa_jwk_prepare(key);
}


ngx_int_t
oa_jwk_open_okp(oa_jwk_t *key, const ngx_str_t *x, const char **why)
{
    key->pkey = EVP_PKEY_new_raw_public_key_ex(NULL, key->kind->name, NULL,
                                               x->data, x->len);

    if (key->pkey == NULL) {
        ERR_clear_error();
        *why = "its curve is none of OpenSSL's";
        return NGX_DECLINED;
    }

    return oa_jwk_prepare(key);
}


ngx_int_t
oa_jwk_open_secret(oa_jwk_t *key, const ngx_str_t *secret)
{
    int          rc;
    EVP_MAC     *mac;
    OSSL_PARAM   params[2];

    mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    key->mac_ctx = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
                         (char *) oa_jwk_algs[OA_ALG_HS256].digest, 0);
    params[1] = OSSL_PARAM_construct_end();

    rc = key->mac_ctx
         && EVP_MAC_init(key->mac_ctx, secret->data, secret->len, params);

    if (!rc) {
        ERR_clear_error();
        return NGX_ERROR;
    }

    return NGX_OK;
}


static EVP_PKEY *
oa_jwk_pkey(const char *type, OSSL_PARAM *params)
{
    EVP_PKEY      *pkey;
    EVP_PKEY_CTX  *ctx;

    pkey = NULL;
    ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);

    if (ctx == NULL
        || EVP_PKEY_fromdata_init(ctx) <= 0
        || EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) <= 0)
    {
        ERR_clear_error();
        pkey = NULL;
    }

    EVP_PKEY_CTX_free(ctx);

    return pkey;
}


static ngx_int_t
oa_jwk_order(oa_jwk_t *key)
{
    int      rc;
    BIGNUM  *n;

    n = NULL;

    rc = EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_EC_ORDER, &n)
         && BN_bn2binpad(n, key->order, (int) key->kind->size) > 0;

    BN_free(n);

    if (!rc) {
        ERR_clear_error();
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
oa_jwk_prepare(oa_jwk_t *key)
{
    ngx_int_t   rc;
    ngx_uint_t  alg;

    rc = NGX_ERROR;
    key->md_ctx = EVP_MD_CTX_new();

    if (key->pkey && key->md_ctx) {
        rc = NGX_OK;

        for (alg = OA_ALG_NONE + 1; rc == NGX_OK && alg < OA_ALGS; alg++) {
            if (key->algs & ((ngx_uint_t) 1 << alg)) {
                rc = oa_jwk_prepare_alg(key, (oa_alg_e) alg);
            }
        }
    }

    if (rc != NGX_OK) {
        ERR_clear_error();
    }

    return rc;
}


/* A context is set up once: that takes as long as a part of its work. */

static ngx_int_t
oa_jwk_prepare_alg(oa_jwk_t *key, oa_alg_e alg)
{
    EVP_MD              *md;
    EVP_PKEY_CTX        *ctx;
    const oa_jwk_alg_t  *a;

    a = &oa_jwk_algs[alg];

    if (a->digest == NULL) {
        return EVP_DigestVerifyInit(key->md_ctx, NULL, NULL, NULL, key->pkey)
               ? NGX_OK : NGX_ERROR;
    }

    md = EVP_MD_fetch(NULL, a->digest, NULL);
    ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);

    key->md[alg] = md;
    key->ctx[alg] = ctx;

    if (md == NULL
        || ctx == NULL
        || EVP_PKEY_verify_init(ctx) <= 0
        || (a->padding && EVP_PKEY_CTX_set_rsa_padding(ctx, a->padding) <= 0)
        || EVP_PKEY_CTX_set_signature_md(ctx, md) <= 0)
    {
        return NGX_ERROR;
    }

    if (a->padding != RSA_PKCS1_PSS_PADDING) {
        return NGX_OK;
    }

    /* RFC 7518, 3.5 */

    if (EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) <= 0
        || EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) <= 0)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
oa_jwk_close(oa_jwk_t *key)
{
    ngx_uint_t  alg;

    for (alg = 0; alg < OA_ALGS; alg++) {
        EVP_PKEY_CTX_free(key->ctx[alg]);
        EVP_MD_free(key->md[alg]);
    }

    EVP_MAC_CTX_free(key->mac_ctx);
    EVP_MD_CTX_free(key->md_ctx);
    EVP_PKEY_free(key->pkey);
}


ngx_int_t
oa_jwk_digest(const ngx_str_t *parts, ngx_uint_t n, u_char *print)
{
    int          rc;
    u_char       digest[EVP_MAX_MD_SIZE];
    ngx_uint_t   i;
    EVP_MD_CTX  *ctx;

    ctx = EVP_MD_CTX_new();

    rc = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);

    for (i = 0; rc && i < n; i++) {
        rc = EVP_DigestUpdate(ctx, &parts[i].len, sizeof(parts[i].len))
             && EVP_DigestUpdate(ctx, parts[i].data, parts[i].len);
    }

    rc = rc && EVP_DigestFinal_ex(ctx, digest, NULL);

    EVP_MD_CTX_free(ctx);

    if (!rc) {
        ERR_clear_error();
        return NGX_ERROR;
    }

    ngx_memcpy(print, digest, OA_JWK_PRINT);

    return NGX_OK;
}


ngx_int_t
oa_jwk_verify(oa_jwk_t *key, oa_alg_e alg, const ngx_str_t *input,
    const ngx_str_t *signature)
{
    u_char     decoded[OA_JWK_SIGNATURE_MAX];
    ngx_int_t  rc;

    if (!(key->algs & ((ngx_uint_t) 1 << alg))
        || signature->len != oa_base64url_encoded(key->signature)
        || oa_base64url_decode(decoded, signature->data, signature->len)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    rc = oa_jwk_algs[alg].verify(key, alg, input, decoded);

    if (rc != NGX_OK) {
        ERR_clear_error();
    }

    return rc;
}


static ngx_int_t
oa_jwk_verify_rsa(oa_jwk_t *key, oa_alg_e alg, const ngx_str_t *input,
    const u_char *signature)
{
    return oa_jwk_verify_digest(key, alg, input, signature, key->signature);
}


/* RFC 7518, 3.4: r and s, each as long as n */

static ngx_int_t
oa_jwk_verify_ec(oa_jwk_t *key, oa_alg_e alg, const ngx_str_t *input,
    const u_char *signature)
{
    u_char        *p, *der, *body, buf[OA_JWK_DER_MAX];
    size_t         len, size;
    const u_char  *r, *s;

    size = key->kind->size;
    r = signature;
    s = signature + size;

    if (!oa_jwk_in_range(key, r) || !oa_jwk_in_range(key, s)) {
        return NGX_DECLINED;
    }

    /* OpenSSL wants a SEQUENCE of two INTEGERs */

    body = buf + OA_JWK_DER_HEAD;
    p = oa_jwk_der_integer(body, r, size);
    p = oa_jwk_der_integer(p, s, size);
    len = p - body;

    der = body;
    *--der = (u_char) len;

    if (len > 0x7f) {
        *--der = 0x81;
    }

    *--der = 0x30;

    return oa_jwk_verify_digest(key, alg, input, der, p - der);
}


static ngx_int_t
oa_jwk_verify_digest(oa_jwk_t *key, oa_alg_e alg, const ngx_str_t *input,
    const u_char *signature, size_t len)
{
    u_char        digest[EVP_MAX_MD_SIZE];
    unsigned int  n;

    if (!EVP_DigestInit_ex2(key->md_ctx, key->md[alg], NULL)
        || !EVP_DigestUpdate(key->md_ctx, input->data, input->len)
        || !EVP_DigestFinal_ex(key->md_ctx, digest, &n))
    {
        return NGX_ERROR;
    }

    /* below 0 is no failure: so ends an ECDSA signature that leads nowhere */

    if (EVP_PKEY_verify(key->ctx[alg], signature, len, digest, n) != 1) {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_uint_t
oa_jwk_in_range(const oa_jwk_t *key, const u_char *number)
{
    size_t  i;

    for (i = 0; i < key->kind->size; i++) {
        if (number[i]) {
            return ngx_memcmp(number, key->order, key->kind->size) < 0;
        }
    }

    return 0;
}


/* The number is not zero. */

static u_char *
oa_jwk_der_integer(u_char *p, const u_char *number, size_t len)
{
    while (*number == 0) {
        number++;
        len--;
    }

    *p++ = 0x02;

    if (*number & 0x80) {
        *p++ = (u_char) (len + 1);
        *p++ = 0;

    } else {
        *p++ = (u_char) len;
    }

    return ngx_cpymem(p, number, len);
}


/* To begin anew keeps the key: it only makes the context fit for one more. */

static ngx_int_t
oa_jwk_verify_ed(oa_jwk_t *key, oa_alg_e alg, const ngx_str_t *input,
    const u_char *signature)
{
    if (!EVP_DigestVerifyInit(key->md_ctx, NULL, NULL, NULL, NULL)) {
        return NGX_ERROR;
    }

    if (EVP_DigestVerify(key->md_ctx, signature, key->signature, input->data,
                         input->len)
        != 1)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
oa_jwk_verify_hmac(oa_jwk_t *key, oa_alg_e alg, const ngx_str_t *input,
    const u_char *signature)
{
    u_char     mac[OA_JWK_SHA256_LEN];
    size_t     n;
    ngx_int_t  rc;

    /* to begin anew keeps the secret */

    if (!EVP_MAC_init(key->mac_ctx, NULL, 0, NULL)
        || !EVP_MAC_update(key->mac_ctx, input->data, input->len)
        || !EVP_MAC_final(key->mac_ctx, mac, &n, sizeof(mac))
        || n != sizeof(mac))
    {
        return NGX_ERROR;
    }

    rc = CRYPTO_memcmp(mac, signature, sizeof(mac)) ? NGX_DECLINED : NGX_OK;

    OPENSSL_cleanse(mac, sizeof(mac));

    return rc;
}
