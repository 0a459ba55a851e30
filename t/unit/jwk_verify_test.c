
#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include "oa_base64url.h"
#include "oa_jwk.h"
#include "jws_examples.h"
#include "tap.h"


#define INPUT  "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ1MSIsImV4cCI6NDEwMjQ0NDgwMH0"


typedef struct {
    const char  *name;
    oa_alg_e     alg;
    const char  *type;                 /* OpenSSL's */
    const char  *curve;
    size_t       size;                 /* RSA: bits; else of a coordinate */
    const char  *crv;
    const char  *digest;
    int          padding;
} test_alg_t;


static const test_alg_t  algs[] = {
    { "RS256", OA_ALG_RS256, "RSA", NULL, 2048, NULL, "SHA256",
      RSA_PKCS1_PADDING },
    { "RS384", OA_ALG_RS384, "RSA", NULL, 2048, NULL, "SHA384",
      RSA_PKCS1_PADDING },
    { "RS512", OA_ALG_RS512, "RSA", NULL, 2048, NULL, "SHA512",
      RSA_PKCS1_PADDING },
    { "PS256", OA_ALG_PS256, "RSA", NULL, 2048, NULL, "SHA256",
      RSA_PKCS1_PSS_PADDING },
    { "PS384", OA_ALG_PS384, "RSA", NULL, 2048, NULL, "SHA384",
      RSA_PKCS1_PSS_PADDING },
    { "PS512", OA_ALG_PS512, "RSA", NULL, 2048, NULL, "SHA512",
      RSA_PKCS1_PSS_PADDING },
    { "RS256", OA_ALG_RS256, "RSA", NULL, 2050, NULL, "SHA256",
      RSA_PKCS1_PADDING },
    { "PS256", OA_ALG_PS256, "RSA", NULL, 2050, NULL, "SHA256",
      RSA_PKCS1_PSS_PADDING },
    { "ES256", OA_ALG_ES256, "EC", "P-256", 32, "P-256", "SHA256", 0 },
    { "ES384", OA_ALG_ES384, "EC", "P-384", 48, "P-384", "SHA384", 0 },
    { "ES512", OA_ALG_ES512, "EC", "P-521", 66, "P-521", "SHA512", 0 },
    { "EdDSA", OA_ALG_EDDSA, "ED25519", NULL, 32, "Ed25519", NULL, 0 },
    { "EdDSA", OA_ALG_EDDSA, "ED448", NULL, 57, "Ed448", NULL, 0 }
};


static EVP_PKEY   *rsa_2048;
static EVP_PKEY   *rsa_2050;
static ngx_str_t   input = ngx_string(INPUT);


static void
must(int good, const char *what)
{
    if (!good) {
        ERR_print_errors_fp(stderr);
        fprintf(stderr, "%s\n", what);
        abort();
    }
}


static ngx_str_t
encode(const void *data, size_t len)
{
    u_char     *p;
    ngx_str_t   text;

    text.data = malloc(oa_base64url_encoded(len) + 1);
    must(text.data != NULL, "malloc()");

    p = oa_base64url_encode(text.data, data, len);
    *p = '\0';
    text.len = p - text.data;

    return text;
}


static EVP_PKEY *
generate(const test_alg_t *a)
{
    EVP_PKEY  *pkey;

    if (a->size == 2048 || a->size == 2050) {
        pkey = (a->size == 2048) ? rsa_2048 : rsa_2050;
        EVP_PKEY_up_ref(pkey);

    } else if (a->curve) {
        pkey = EVP_PKEY_Q_keygen(NULL, NULL, a->type, a->curve);

    } else {
        pkey = EVP_PKEY_Q_keygen(NULL, NULL, a->type);
    }

    must(pkey != NULL, "EVP_PKEY_Q_keygen()");

    return pkey;
}


static ngx_str_t
number(EVP_PKEY *pkey, const char *name, size_t size)
{
    u_char   buf[1024];
    BIGNUM  *bn;

    bn = NULL;
    must(EVP_PKEY_get_bn_param(pkey, name, &bn), name);

    if (size == 0) {
        size = (size_t) BN_num_bytes(bn);
    }

    must(BN_bn2binpad(bn, buf, (int) size) == (int) size, name);
    BN_free(bn);

    return encode(buf, size);
}


/* A set with the public part; alg is not named. */

static oa_jwks_t *
publish(const test_alg_t *a, EVP_PKEY *pkey)
{
    char         json[2048];
    u_char       raw[64];
    size_t       len;
    ngx_str_t    x, y;
    oa_jwks_t   *set;
    const char  *why;

    ngx_str_null(&y);

    if (strcmp(a->type, "RSA") == 0) {
        x = number(pkey, OSSL_PKEY_PARAM_RSA_N, 0);
        y = number(pkey, OSSL_PKEY_PARAM_RSA_E, 0);
        snprintf(json, sizeof(json),
                 "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"}]}",
                 x.data, y.data);

    } else if (strcmp(a->type, "EC") == 0) {
        x = number(pkey, OSSL_PKEY_PARAM_EC_PUB_X, a->size);
        y = number(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, a->size);
        snprintf(json, sizeof(json), "{\"keys\":[{\"kty\":\"EC\",\"crv\":"
                 "\"%s\",\"x\":\"%s\",\"y\":\"%s\"}]}",
                 a->crv, x.data, y.data);

    } else {
        len = sizeof(raw);
        must(EVP_PKEY_get_raw_public_key(pkey, raw, &len), "raw");
        x = encode(raw, len);
        snprintf(json, sizeof(json), "{\"keys\":[{\"kty\":\"OKP\",\"crv\":"
                 "\"%s\",\"x\":\"%s\"}]}", a->crv, x.data);
    }

    free(x.data);
    free(y.data);

    must(oa_jwks_parse((u_char *) json, strlen(json), &set, NULL, NULL, &why)
         == NGX_OK && set->nkeys == 1, json);

    return set;
}


/* As OpenSSL writes it: of ECDSA, DER. */

static size_t
sign(EVP_PKEY *pkey, const char *digest, int padding, int salt,
    const char *mgf1, u_char *raw, size_t size)
{
    EVP_MD_CTX    *ctx;
    EVP_PKEY_CTX  *pctx;

    ctx = EVP_MD_CTX_new();
    must(EVP_DigestSignInit_ex(ctx, &pctx, digest, NULL, NULL, pkey, NULL)
         == 1, "init");

    if (padding) {
        must(EVP_PKEY_CTX_set_rsa_padding(pctx, padding) > 0, "padding");
    }

    if (padding == RSA_PKCS1_PSS_PADDING) {
        must(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, salt) > 0, "salt");
    }

    if (mgf1) {
        must(EVP_PKEY_CTX_set_rsa_mgf1_md_name(pctx, mgf1, NULL) > 0, mgf1);
    }

    must(EVP_DigestSign(ctx, raw, &size, input.data, input.len) == 1, "sign");
    EVP_MD_CTX_free(ctx);

    return size;
}


/* As JWS has it. */

static size_t
sign_jws(const test_alg_t *a, EVP_PKEY *pkey, u_char *raw, size_t size)
{
    ECDSA_SIG     *sig;
    const u_char  *p;

    size = sign(pkey, a->digest, a->padding, RSA_PSS_SALTLEN_DIGEST, NULL,
                raw, size);

    if (a->curve == NULL) {
        return size;
    }

    p = raw;
    sig = d2i_ECDSA_SIG(NULL, &p, (long) size);
    must(sig != NULL, "DER");

    must(BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, (int) a->size) > 0
         && BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + a->size,
                         (int) a->size) > 0, "r, s");
    ECDSA_SIG_free(sig);

    return 2 * a->size;
}


static ngx_int_t
verify_text(oa_jwk_t *key, oa_alg_e alg, const ngx_str_t *text)
{
    ngx_int_t  rc;

    rc = oa_jwk_verify(key, alg, &input, text);

    if (ERR_peek_error()) {
        ok(0, "OpenSSL's queue of errors is empty");
        ERR_clear_error();
    }

    return rc;
}


static ngx_int_t
verify(oa_jwk_t *key, oa_alg_e alg, const u_char *raw, size_t len)
{
    ngx_int_t  rc;
    ngx_str_t  text;

    text = encode(raw, len);
    rc = verify_text(key, alg, &text);
    free(text.data);

    return rc;
}


static void
test_examples(void)
{
    u_char            buf[256];
    oa_jws_t          jws;
    oa_jwk_t         *key;
    oa_jwks_t        *set;
    ngx_int_t         rc;
    ngx_str_t         token, secret;
    ngx_uint_t        i;
    const char       *why;
    oa_jws_header_t   h;

    static const struct {
        const char  *name;
        const char  *keys;             /* an encoded secret, without "{" */
        const char  *jws;
        oa_alg_e     alg;
    } tests[] = {

        { "RFC 7515, A.1: HS256", A1_K, A1_JWS, OA_ALG_HS256 },

        { "RFC 7515, A.2: RS256",
          "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"" A2_N
          "\",\"e\":\"AQAB\"}]}", A2_JWS, OA_ALG_RS256 },

        { "RFC 7515, A.3: ES256",
          "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" A3_X
          "\",\"y\":\"" A3_Y "\"}]}", A3_JWS, OA_ALG_ES256 },

        { "RFC 7515, A.4: ES512",
          "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\"" A4_X
          "\",\"y\":\"" A4_Y "\"}]}", A4_JWS, OA_ALG_ES512 },

        { "RFC 8037, A.4: Ed25519",
          "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" ED_X
          "\"}]}", ED_JWS, OA_ALG_EDDSA },

        { "RFC 7520, 4.1: RS256",
          "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"" C_KID
          "\",\"use\":\"sig\",\"n\":\"" C_N "\",\"e\":\"AQAB\"}]}",
          C41_JWS, OA_ALG_RS256 },

        { "RFC 7520, 4.2: PS384",
          "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"" C_KID
          "\",\"use\":\"sig\",\"n\":\"" C_N "\",\"e\":\"AQAB\"}]}",
          C42_JWS, OA_ALG_PS384 },

        { "RFC 7520, 4.3: ES512",
          "{\"keys\":[{\"kty\":\"EC\",\"kid\":\"" C_KID
          "\",\"use\":\"sig\",\"crv\":\"P-521\",\"x\":\"" C43_X
          "\",\"y\":\"" C43_Y "\"}]}", C43_JWS, OA_ALG_ES512 },

        { "RFC 7520, 4.4: HS256", C44_K, C44_JWS, OA_ALG_HS256 }
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {

        if (tests[i].keys[0] == '{') {
            rc = oa_jwks_parse((u_char *) tests[i].keys,
                               strlen(tests[i].keys), &set, NULL, NULL, &why);
            must(rc == NGX_OK && set->nkeys == 1, tests[i].name);

        } else {
            secret.len = strlen(tests[i].keys);
            must(oa_base64url_decode(buf, (u_char *) tests[i].keys,
                                     secret.len) == NGX_OK, "secret");
            secret.len = oa_base64url_decoded(secret.len);
            secret.data = buf;

            must(oa_jwks_secret(&secret, &set) == NGX_OK, tests[i].name);
            memset(buf, 0, sizeof(buf));
        }

        token.len = strlen(tests[i].jws);
        token.data = (u_char *) strdup(tests[i].jws);

        if (!ok(oa_jws_split(&token, &jws) == NGX_OK
                && oa_jws_header(&jws.header, &h) == OA_AUTH_OK
                && h.alg == tests[i].alg
                && oa_jwks_find(set, &h, &key) == OA_AUTH_OK,
                "%s: header and key", tests[i].name))
        {
            continue;
        }

        ok(oa_jwk_verify(key, h.alg, &jws.input, &jws.signature) == NGX_OK,
           "%s", tests[i].name);

        jws.payload.data[3] ^= 1;
        ok(oa_jwk_verify(key, h.alg, &jws.input, &jws.signature)
           == NGX_DECLINED, "another payload");

        jws.payload.data[3] ^= 1;
        ok(oa_jwk_verify(key, h.alg, &jws.input, &jws.signature) == NGX_OK,
           "the same again");

        jws.header.data[3] ^= 1;
        ok(oa_jwk_verify(key, h.alg, &jws.input, &jws.signature)
           == NGX_DECLINED, "another header");

        free(token.data);
        oa_jwks_free(set);
    }
}


static void
test_generated(void)
{
    u_char             raw[1024], bad[1024];
    size_t             len, i;
    EVP_PKEY          *pkey;
    oa_jwk_t          *key;
    oa_jwks_t         *set;
    ngx_int_t          rc;
    ngx_str_t          text, longer, empty;
    ngx_uint_t         n, alg, wrong;
    const test_alg_t  *a;

    for (n = 0; n < sizeof(algs) / sizeof(algs[0]); n++) {
        a = &algs[n];
        pkey = generate(a);
        set = publish(a, pkey);
        key = set->keys[0];

        len = sign_jws(a, pkey, raw, sizeof(raw));

        ok(verify(key, a->alg, raw, len) == NGX_OK, "%s (%s, %lu)", a->name,
           a->type, (unsigned long) a->size);

        /* one context serves good and bad ones in turn */

        wrong = 0;

        for (i = 0; i < len; i += 1 + len / 40) {
            ngx_memcpy(bad, raw, len);
            bad[i] ^= (u_char) (1 << (i % 8));

            if (verify(key, a->alg, bad, len) != NGX_DECLINED) {
                wrong++;
            }

            if (verify(key, a->alg, raw, len) != NGX_OK) {
                wrong++;
            }
        }

        ok(wrong == 0, "%s: a bit of the signature: %lu wrong", a->name,
           (unsigned long) wrong);

        input.data[25] ^= 1;
        rc = verify(key, a->alg, raw, len);
        input.data[25] ^= 1;
        ok(rc == NGX_DECLINED, "%s: another input", a->name);

        input.len--;
        rc = verify(key, a->alg, raw, len);
        input.len++;
        ok(rc == NGX_DECLINED, "%s: a shorter input", a->name);

        ngx_str_null(&empty);
        text = encode(raw, len);
        ok(oa_jwk_verify(key, a->alg, &empty, &text) == NGX_DECLINED,
           "%s: an empty input", a->name);
        ERR_clear_error();
        free(text.data);

        /* the same signature under each other alg */

        wrong = 0;

        for (alg = 0; alg < OA_ALGS; alg++) {
            if (alg != (ngx_uint_t) a->alg
                && verify(key, (oa_alg_e) alg, raw, len) != NGX_DECLINED)
            {
                wrong++;
            }
        }

        ok(wrong == 0, "%s: with no other alg", a->name);

        /* lengths */

        ngx_memcpy(bad, raw, len);
        bad[len] = 0;
        ok(verify(key, a->alg, bad, len + 1) == NGX_DECLINED,
           "%s: a byte more", a->name);
        ok(verify(key, a->alg, bad, len - 1) == NGX_DECLINED,
           "%s: a byte less", a->name);

        bad[0] = 0;
        ngx_memcpy(bad + 1, raw, len);
        ok(verify(key, a->alg, bad, len + 1) == NGX_DECLINED,
           "%s: a zero byte before it", a->name);

        memset(bad, 0, len);
        ok(verify(key, a->alg, bad, len) == NGX_DECLINED, "%s: zeros",
           a->name);

        memset(bad, 0xff, len);
        ok(verify(key, a->alg, bad, len) == NGX_DECLINED, "%s: ones",
           a->name);

        ok(verify(key, a->alg, raw, 0) == NGX_DECLINED, "%s: nothing",
           a->name);

        /* characters */

        text = encode(raw, len);
        longer.data = malloc(text.len + 4);
        must(longer.data != NULL, "malloc()");

        ngx_memcpy(longer.data, text.data, text.len);
        ngx_memcpy(longer.data + text.len, "==\n", 3);
        longer.len = text.len + 1;
        ok(verify_text(key, a->alg, &longer) == NGX_DECLINED, "%s: a \"=\"",
           a->name);

        longer.len = text.len + 2;
        ok(verify_text(key, a->alg, &longer) == NGX_DECLINED,
           "%s: two \"=\"", a->name);

        longer.len = text.len;
        longer.data[text.len / 2] = '.';
        ok(verify_text(key, a->alg, &longer) == NGX_DECLINED,
           "%s: a dot inside", a->name);

        longer.data[text.len / 2] = '+';
        ok(verify_text(key, a->alg, &longer) == NGX_DECLINED,
           "%s: the other base64", a->name);

        if (len % 3) {
            text.data[text.len - 1]++;
            ok(verify_text(key, a->alg, &text) == NGX_DECLINED,
               "%s: spare bits that are not zero", a->name);
        }

        free(text.data);
        free(longer.data);

        ok(verify(key, a->alg, raw, len) == NGX_OK, "%s: the good one again",
           a->name);

        oa_jwks_free(set);
        EVP_PKEY_free(pkey);
    }
}


/* RFC 7518, 3.4 */

static void
test_ecdsa(void)
{
    u_char             raw[160], bad[160], der[160], *r, *s;
    size_t             len, size;
    BIGNUM            *n, *bn;
    EVP_PKEY          *pkey;
    oa_jwk_t          *key;
    oa_jwks_t         *set;
    ngx_uint_t         i, j, tries, short_r, short_s, wrong;
    const test_alg_t  *a;

    static const char * const  values[] = {
        "0", "1", "n - 1", "n", "n + 1", "all ones"
    };

    for (i = 0; i < sizeof(algs) / sizeof(algs[0]); i++) {
        a = &algs[i];

        if (a->curve == NULL) {
            continue;
        }

        pkey = generate(a);
        set = publish(a, pkey);
        key = set->keys[0];
        size = a->size;

        n = NULL;
        must(EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_ORDER, &n), "n");

        bn = BN_new();
        must(bn != NULL, "BN_new()");

        (void) sign_jws(a, pkey, raw, sizeof(raw));

        /* 0, 1, n - 1, n, n + 1, all ones, in each place */

        for (j = 0; j < 12; j++) {
            ngx_memcpy(bad, raw, 2 * size);
            r = bad + (j < 6 ? 0 : size);

            must(BN_copy(bn, n) != NULL, "n");

            switch (j % 6) {
            case 0:
                BN_zero(bn);
                break;
            case 1:
                must(BN_one(bn), "1");
                break;
            case 2:
                must(BN_sub_word(bn, 1), "n - 1");
                break;
            case 3:
                break;
            case 4:
                must(BN_add_word(bn, 1), "n + 1");
                break;
            default:
                break;
            }

            must(BN_bn2binpad(bn, r, (int) size) > 0, "bn");

            if (j % 6 == 5) {
                memset(r, 0xff, size);
            }

            ok(verify(key, a->alg, bad, 2 * size) == NGX_DECLINED,
               "%s: %c is %s", a->name, j < 6 ? 'r' : 's',
               values[j % 6]);
        }

        /* CVE-2022-21449: both zero */

        memset(bad, 0, sizeof(bad));
        ok(verify(key, a->alg, bad, 2 * size) == NGX_DECLINED,
           "CVE-2022-21449: %s: r and s are 0", a->name);

        /* s + n is s, but not in [1, n-1]: only if it fits */

        s = bad + size;
        ngx_memcpy(bad, raw, 2 * size);
        must(BN_bin2bn(raw + size, (int) size, bn) != NULL
             && BN_add(bn, bn, n), "s + n");

        if ((size_t) BN_num_bytes(bn) <= size) {
            must(BN_bn2binpad(bn, s, (int) size) > 0, "s + n");
            ok(verify(key, a->alg, bad, 2 * size) == NGX_DECLINED,
               "%s: s + n", a->name);
        }

        must(BN_bin2bn(raw + size, (int) size, bn) != NULL
             && BN_sub(bn, n, bn)
             && BN_bn2binpad(bn, s, (int) size) > 0, "n - s");
        ok(verify(key, a->alg, bad, 2 * size) == NGX_OK,
           "%s: n - s is as good as s", a->name);

        /* what OpenSSL itself writes */

        len = sign(pkey, a->digest, 0, 0, NULL, der, sizeof(der));
        ok(verify(key, a->alg, der, len) == NGX_DECLINED, "%s: DER",
           a->name);

        ngx_memcpy(bad, raw + size, size);
        ngx_memcpy(bad + size, raw, size);
        ok(verify(key, a->alg, bad, 2 * size) == NGX_DECLINED,
           "%s: s and r", a->name);

        /* r and s with zero bytes before them, and with the high bit set */

        short_r = 0;
        short_s = 0;
        wrong = 0;

        for (tries = 0; tries < 20000 && (tries < 50 || !short_r || !short_s);
             tries++)
        {
            (void) sign_jws(a, pkey, raw, sizeof(raw));

            j = (size == 66) ? 1 : 0;
            short_r += (raw[0] == 0 && raw[j] == 0);
            short_s += (raw[size] == 0 && raw[size + j] == 0);

            if (verify(key, a->alg, raw, 2 * size) != NGX_OK) {
                wrong++;
            }
        }

        ok(wrong == 0 && short_r && short_s,
           "%s: shorter r and s: %lu and %lu of %lu, %lu wrong", a->name,
           (unsigned long) short_r, (unsigned long) short_s,
           (unsigned long) tries, (unsigned long) wrong);

        BN_free(bn);
        BN_free(n);
        oa_jwks_free(set);
        EVP_PKEY_free(pkey);
    }
}


/*
 * With the generator as the key, and r = -e, a signature leads to the point at
 * infinity, which OpenSSL calls a failure of its own.
 */

static void
test_infinity(void)
{
    u_char       raw[64], digest[EVP_MAX_MD_SIZE];
    BIGNUM      *n, *e;
    oa_jwks_t   *set;
    const char  *why;

    static const char  json[] =
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\","
        "\"x\":\"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY\","
        "\"y\":\"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU\"}]}";

    must(oa_jwks_parse((u_char *) json, sizeof(json) - 1, &set, NULL, NULL,
                       &why)
         == NGX_OK && set->nkeys == 1, json);

    n = NULL;
    must(BN_hex2bn(&n, "ffffffff00000000ffffffffffffffff"
                       "bce6faada7179e84f3b9cac2fc632551") != 0, "n");

    must(EVP_Digest(input.data, input.len, digest, NULL, EVP_sha256(), NULL),
         "e");
    e = BN_bin2bn(digest, 32, NULL);
    must(e != NULL && BN_sub(e, n, e) && !BN_is_negative(e), "n - e");

    memset(raw, 0, sizeof(raw));
    must(BN_bn2binpad(e, raw, 32) == 32, "r");
    raw[63] = 1;

    ok(verify(set->keys[0], OA_ALG_ES256, raw, sizeof(raw)) == NGX_DECLINED,
       "ES256: the point at infinity");

    BN_free(n);
    BN_free(e);
    oa_jwks_free(set);
}


/* RFC 7518, 3.3 and 3.5 */

static void
test_rsa(void)
{
    u_char       raw[512], n[512];
    size_t       len;
    BIGNUM      *bn;
    oa_jwk_t    *key;
    oa_jwks_t   *set;
    ngx_uint_t   i;

    static const struct {
        oa_alg_e     alg;
        const char  *digest;
        int          padding;
        int          salt;
        const char  *mgf1;
        ngx_int_t    rc;
        const char  *name;
    } tests[] = {
        { OA_ALG_RS256, "SHA256", RSA_PKCS1_PADDING, 0, NULL, NGX_OK,
          "RS256" },
        { OA_ALG_RS256, "SHA512", RSA_PKCS1_PADDING, 0, NULL, NGX_DECLINED,
          "RS256 with SHA-512" },
        { OA_ALG_RS512, "SHA256", RSA_PKCS1_PADDING, 0, NULL, NGX_DECLINED,
          "RS512 with SHA-256" },
        { OA_ALG_RS256, "SHA1", RSA_PKCS1_PADDING, 0, NULL, NGX_DECLINED,
          "RS256 with SHA-1" },
        { OA_ALG_RS256, "SHA3-256", RSA_PKCS1_PADDING, 0, NULL, NGX_DECLINED,
          "RS256 with SHA3-256" },
        { OA_ALG_RS256, "SHA256", RSA_PKCS1_PSS_PADDING, 32, NULL,
          NGX_DECLINED, "RS256 with PSS" },
        { OA_ALG_PS256, "SHA256", RSA_PKCS1_PADDING, 0, NULL, NGX_DECLINED,
          "PS256 with PKCS #1 v1.5" },

        { OA_ALG_PS256, "SHA256", RSA_PKCS1_PSS_PADDING, 32, NULL, NGX_OK,
          "PS256" },
        { OA_ALG_PS256, "SHA256", RSA_PKCS1_PSS_PADDING, 31, NULL,
          NGX_DECLINED, "PS256, a salt of 31 bytes" },
        { OA_ALG_PS256, "SHA256", RSA_PKCS1_PSS_PADDING, 33, NULL,
          NGX_DECLINED, "PS256, a salt of 33 bytes" },
        { OA_ALG_PS256, "SHA256", RSA_PKCS1_PSS_PADDING, 20, NULL,
          NGX_DECLINED, "PS256, a salt of 20 bytes" },
        { OA_ALG_PS256, "SHA256", RSA_PKCS1_PSS_PADDING, 0, NULL,
          NGX_DECLINED, "PS256, no salt" },
        { OA_ALG_PS256, "SHA256", RSA_PKCS1_PSS_PADDING,
          RSA_PSS_SALTLEN_MAX, NULL, NGX_DECLINED,
          "PS256, the longest salt" },
        { OA_ALG_PS256, "SHA256", RSA_PKCS1_PSS_PADDING, 32, "SHA1",
          NGX_DECLINED, "PS256, MGF1 with SHA-1" },
        { OA_ALG_PS256, "SHA256", RSA_PKCS1_PSS_PADDING, 32, "SHA512",
          NGX_DECLINED, "PS256, MGF1 with SHA-512" },
        { OA_ALG_PS384, "SHA384", RSA_PKCS1_PSS_PADDING, 48, NULL, NGX_OK,
          "PS384" },
        { OA_ALG_PS384, "SHA384", RSA_PKCS1_PSS_PADDING, 32, NULL,
          NGX_DECLINED, "PS384, a salt of 32 bytes" },
        { OA_ALG_PS512, "SHA512", RSA_PKCS1_PSS_PADDING, 64, NULL, NGX_OK,
          "PS512" },
        { OA_ALG_PS512, "SHA512", RSA_PKCS1_PSS_PADDING, 32, NULL,
          NGX_DECLINED, "PS512, a salt of 32 bytes" },
        { OA_ALG_PS512, "SHA512", RSA_PKCS1_PSS_PADDING, 64, "SHA256",
          NGX_DECLINED, "PS512, MGF1 with SHA-256" }
    };

    set = publish(&algs[0], rsa_2048);
    key = set->keys[0];

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        len = sign(rsa_2048, tests[i].digest, tests[i].padding,
                   tests[i].salt, tests[i].mgf1, raw, sizeof(raw));

        ok(verify(key, tests[i].alg, raw, len) == tests[i].rc, "RSA: %s",
           tests[i].name);
    }

    /* s + n is s, but not below n */

    len = sign(rsa_2048, "SHA256", RSA_PKCS1_PADDING, 0, NULL, raw,
               sizeof(raw));

    bn = NULL;
    must(EVP_PKEY_get_bn_param(rsa_2048, OSSL_PKEY_PARAM_RSA_N, &bn)
         && BN_bn2binpad(bn, n, (int) len) > 0, "n");

    ok(verify(key, OA_ALG_RS256, n, len) == NGX_DECLINED, "RSA: n");

    must(BN_sub_word(bn, 1) && BN_bn2binpad(bn, n, (int) len) > 0, "n - 1");
    ok(verify(key, OA_ALG_RS256, n, len) == NGX_DECLINED, "RSA: n - 1");

    memset(n, 0, sizeof(n));
    n[len - 1] = 1;
    ok(verify(key, OA_ALG_RS256, n, len) == NGX_DECLINED, "RSA: 1");

    ok(verify(key, OA_ALG_RS256, raw, len) == NGX_OK, "RSA: the good one");

    BN_free(bn);
    oa_jwks_free(set);
}


/* A signature by a key that everybody knows. */

static void
test_hmac(void)
{
    u_char             mac[EVP_MAX_MD_SIZE], secret_bytes[32];
    size_t             len, n;
    EVP_PKEY          *pkey;
    oa_jwk_t          *key;
    oa_jwks_t         *set;
    ngx_str_t          secret, known[5];
    ngx_uint_t         i, j, wrong;
    const test_alg_t  *a;

    memset(secret_bytes, 's', sizeof(secret_bytes));
    secret.data = secret_bytes;
    secret.len = sizeof(secret_bytes);

    must(oa_jwks_secret(&secret, &set) == NGX_OK, "oa_jwks_secret()");
    key = set->keys[0];

    must(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, secret.data,
                   secret.len, input.data, input.len, mac, sizeof(mac), &len)
         != NULL, "HMAC");

    wrong = 0;

    for (i = 0; i < len * 8; i++) {
        mac[i / 8] ^= (u_char) (1 << (i % 8));

        if (verify(key, OA_ALG_HS256, mac, len) != NGX_DECLINED) {
            wrong++;
        }

        mac[i / 8] ^= (u_char) (1 << (i % 8));

        if (verify(key, OA_ALG_HS256, mac, len) != NGX_OK) {
            wrong++;
        }
    }

    ok(wrong == 0, "HS256: each bit counts, each good one is good: %lu wrong",
       (unsigned long) wrong);

    ok(verify(key, OA_ALG_HS256, mac, len - 1) == NGX_DECLINED,
       "HS256: a shorter MAC");
    ok(verify(key, OA_ALG_HS256, mac, 16) == NGX_DECLINED,
       "HS256: half a MAC");
    ok(verify(key, OA_ALG_HS256, mac, 0) == NGX_DECLINED, "HS256: no MAC");
    ok(verify(key, OA_ALG_RS256, mac, len) == NGX_DECLINED
       && verify(key, OA_ALG_EDDSA, mac, len) == NGX_DECLINED
       && verify(key, OA_ALG_NONE, mac, len) == NGX_DECLINED,
       "a secret is for HS256 only");

    for (i = 0; i < len; i++) {
        mac[i] = 0;
    }

    ok(verify(key, OA_ALG_HS256, mac, len) == NGX_DECLINED, "HS256: zeros");

    oa_jwks_free(set);

    /* none of these with a public key, whatever alg says */

    ngx_str_set(&known[0], "");
    ngx_str_set(&known[1], "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                           "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");

    for (i = 0; i < sizeof(algs) / sizeof(algs[0]); i++) {
        a = &algs[i];
        pkey = generate(a);
        set = publish(a, pkey);
        key = set->keys[0];

        known[2].len = 0;
        known[2].data = NULL;
        n = (size_t) i2d_PUBKEY(pkey, &known[2].data);
        known[2].len = n;

        if (a->padding) {
            known[3] = number(pkey, OSSL_PKEY_PARAM_RSA_N, 0);

        } else if (a->curve) {
            known[3] = number(pkey, OSSL_PKEY_PARAM_EC_PUB_X, a->size);

        } else {
            known[3] = encode("", 0);
        }

        known[4].data = malloc(1 + known[2].len);
        must(known[4].data != NULL, "malloc()");
        known[4].data[0] = '\n';
        ngx_memcpy(known[4].data + 1, known[2].data, known[2].len);
        known[4].len = 1 + known[2].len;

        wrong = 0;

        for (j = 0; j < sizeof(known) / sizeof(known[0]); j++) {
            must(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, known[j].data,
                           known[j].len, input.data, input.len, mac,
                           sizeof(mac), &len) != NULL, "HMAC");

            if (verify(key, OA_ALG_HS256, mac, len) != NGX_DECLINED
                || verify(key, a->alg, mac, len) != NGX_DECLINED)
            {
                wrong++;
            }
        }

        ok(wrong == 0, "CVE-2026-44699, CVE-2026-34950, CVE-2026-22817: "
           "no HMAC with nothing, or with what is public of %s, is good "
           "for it", a->type);

        OPENSSL_free(known[2].data);
        free(known[3].data);
        free(known[4].data);
        oa_jwks_free(set);
        EVP_PKEY_free(pkey);
    }
}


/* What its owner says the key is for; only one alg is prepared. */

static void
test_pinned(void)
{
    u_char       raw[512];
    char         json[1024];
    size_t       len;
    oa_jwks_t   *set;
    ngx_str_t    n;
    const char  *why;

    n = number(rsa_2048, OSSL_PKEY_PARAM_RSA_N, 0);

    snprintf(json, sizeof(json), "{\"keys\":[{\"kty\":\"RSA\",\"alg\":"
             "\"PS256\",\"n\":\"%s\",\"e\":\"AQAB\"}]}", n.data);

    must(oa_jwks_parse((u_char *) json, strlen(json), &set, NULL, NULL, &why)
         == NGX_OK && set->nkeys == 1, json);

    len = sign(rsa_2048, "SHA256", RSA_PKCS1_PSS_PADDING, 32, NULL, raw,
               sizeof(raw));
    ok(verify(set->keys[0], OA_ALG_PS256, raw, len) == NGX_OK,
       "a key for PS256: PS256");

    len = sign(rsa_2048, "SHA256", RSA_PKCS1_PADDING, 0, NULL, raw,
               sizeof(raw));
    ok(verify(set->keys[0], OA_ALG_RS256, raw, len) == NGX_DECLINED,
       "a key for PS256: RS256");

    len = sign(rsa_2048, "SHA512", RSA_PKCS1_PSS_PADDING, 64, NULL, raw,
               sizeof(raw));
    ok(verify(set->keys[0], OA_ALG_PS512, raw, len) == NGX_DECLINED,
       "a key for PS256: PS512");

    free(n.data);
    oa_jwks_free(set);
}


int
main(void)
{
    u_char  bytes[] = INPUT;

    input.data = bytes;                /* some tests change it */

    rsa_2048 = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t) 2048);
    rsa_2050 = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t) 2050);
    must(rsa_2048 && rsa_2050, "EVP_PKEY_Q_keygen()");

    test_examples();
    test_generated();
    test_ecdsa();
    test_infinity();
    test_rsa();
    test_hmac();
    test_pinned();

    EVP_PKEY_free(rsa_2048);
    EVP_PKEY_free(rsa_2050);

    return done_testing();
}
