
#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include <openssl/err.h>
#include "oa_base64url.h"
#include "oa_jwk.h"
#include "jws_examples.h"
#include "tap.h"


#define N16     "aaaaaaaaaaaaaaaa"
#define N64     N16 N16 N16 N16
#define N256    N64 N64 N64 N64

#define RSA     "\"kty\":\"RSA\",\"n\":\"" A2_N "\",\"e\":\"AQAB\""
#define RSA2    "\"kty\":\"RSA\",\"n\":\"" C_N "\",\"e\":\"AQAB\""
#define EC      "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" A3_X              \
                "\",\"y\":\"" A3_Y "\""
#define EC521   "\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\"" A4_X              \
                "\",\"y\":\"" A4_Y "\""
#define OKP     "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" ED_X "\""


typedef struct {
    ngx_uint_t    n;
    char          kid[OA_JWS_KID_MAX + 1];
    char          why[128];
} test_skipped_t;


static void
skipped(void *data, const ngx_str_t *kid, const char *why)
{
    test_skipped_t  *s = data;

    s->n++;
    ngx_memcpy(s->kid, kid->data ? kid->data : (u_char *) "", kid->len);
    s->kid[kid->len] = '\0';
    snprintf(s->why, sizeof(s->why), "%s", why);
}


/* From memory of exactly that size, for a sanitizer's sake. */

static ngx_int_t
parse(const char *json, size_t len, oa_jwks_t **set, test_skipped_t *s,
    const char **why)
{
    u_char     *p;
    ngx_int_t   rc;

    p = malloc(len ? len : 1);
    if (p == NULL) {
        abort();
    }

    ngx_memcpy(p, json, len);
    memset(s, 0, sizeof(test_skipped_t));

    rc = oa_jwks_parse(p, len, set, skipped, s, why);

    free(p);

    if (ERR_peek_error()) {
        ok(0, "OpenSSL's queue of errors is empty");
        ERR_clear_error();
    }

    return rc;
}


static oa_jwks_t *
good(const char *json)
{
    oa_jwks_t       *set;
    const char      *why;
    test_skipped_t   s;

    if (parse(json, strlen(json), &set, &s, &why) != NGX_OK || s.n) {
        printf("# %s: %s\n", json, why ? why : s.why);
        abort();
    }

    return set;
}


static void
test_sets(void)
{
    char            *p, *big;
    size_t           len;
    oa_jwks_t       *set;
    ngx_int_t        rc;
    ngx_uint_t       i;
    const char      *why;
    test_skipped_t   s;

    static const struct {
        ngx_str_t    json;
        ngx_int_t    rc;
        ngx_uint_t   nkeys;
        const char  *name;
    } tests[] = {

        { ngx_string("{\"keys\":[]}"), NGX_OK, 0,
          "no keys, as a project with HS256 only has it" },
        { ngx_string("{\"keys\":[{" RSA "},{" EC "},{" OKP "},{" EC521
                     "}]}"), NGX_OK, 4, "four" },
        { ngx_string(" {\"x\":{},\"keys\":[{" EC "}],\"y\":[1]}\n"), NGX_OK,
          1, "other members" },
        { ngx_string("{\"keys\":[{" EC ",\"x5t\":7,\"ext\":true,\"new\":[]}]"
                     "}"), NGX_OK, 1, "other members of a key" },

        { ngx_string(""), NGX_ERROR, 0, "nothing" },
        { ngx_string("{}"), NGX_ERROR, 0, "no member \"keys\"" },
        { ngx_string("[{" EC "}]"), NGX_ERROR, 0, "an array" },
        { ngx_string("{" EC "}"), NGX_ERROR, 0, "a key alone" },
        { ngx_string("{\"keys\":{}}"), NGX_ERROR, 0, "keys an object" },
        { ngx_string("{\"keys\":null}"), NGX_ERROR, 0, "keys null" },
        { ngx_string("{\"keys\":\"\"}"), NGX_ERROR, 0, "keys a string" },
        { ngx_string("null"), NGX_ERROR, 0, "null" },
        { ngx_string("<html>"), NGX_ERROR, 0, "a page" },
        { ngx_string("{\"keys\":[]}x"), NGX_ERROR, 0, "bytes behind it" },
        { ngx_string("{\"keys\":[]}{}"), NGX_ERROR, 0, "another behind it" },
        { ngx_string("{\"keys\":[]}\0"), NGX_ERROR, 0, "a NUL behind it" },
        { ngx_string("{\"keys\":["), NGX_ERROR, 0, "cut short" },
        { ngx_string("{\"keys\":[],\"keys\":[{" EC "}]}"), NGX_ERROR, 0,
          "keys twice" },
        { ngx_string("{\"keys\":[{" EC ",\"kty\":\"EC\"}]}"), NGX_ERROR, 0,
          "a name twice in a key" },
        { ngx_string("{\"keys\":[{" EC ",\"kid\":\"\xff\"}]}"), NGX_ERROR, 0,
          "not UTF-8" },
        { ngx_string("{\"keys\":[{" EC ",\"kid\":\"a\\u0000\"}]}"),
          NGX_ERROR, 0, "a NUL in a kid" }
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        why = NULL;
        set = (void *) -1;

        rc = parse((char *) tests[i].json.data, tests[i].json.len, &set, &s,
                   &why);

        ok(rc == tests[i].rc && s.n == 0
           && (rc == NGX_OK ? set->nkeys == tests[i].nkeys
                            : (set == NULL && why != NULL)),
           "set: %s", tests[i].name);

        if (rc == NGX_OK) {
            oa_jwks_free(set);
        }
    }

    /* how many, and how large */

    big = malloc(OA_JWKS_MAX + 1);
    if (big == NULL) {
        abort();
    }

    p = big + sprintf(big, "{\"keys\":[");

    for (i = 0; i < OA_JWKS_KEYS + 1; i++) {
        p += sprintf(p, "%s{" OKP ",\"kid\":\"%lu\"}", i ? "," : "",
                     (unsigned long) i);

        if (i == OA_JWKS_KEYS - 1) {
            len = (size_t) (p - big);
            ngx_memcpy(p, "]}", 2);

            rc = parse(big, len + 2, &set, &s, &why);
            ok(rc == NGX_OK && set->nkeys == OA_JWKS_KEYS, "64 keys");
            oa_jwks_free(set);
        }
    }

    p = (char *) ngx_cpymem(p, "]}", 2);
    ok(parse(big, p - big, &set, &s, &why) == NGX_ERROR && set == NULL,
       "65 keys");

    memset(big, ' ', OA_JWKS_MAX + 1);
    ngx_memcpy(big, "{\"keys\":[]}", 11);

    rc = parse(big, OA_JWKS_MAX, &set, &s, &why);
    ok(rc == NGX_OK, "65536 bytes");
    oa_jwks_free(set);

    ok(parse(big, OA_JWKS_MAX + 1, &set, &s, &why) == NGX_ERROR
       && set == NULL, "65537 bytes");

    free(big);

    oa_jwks_free(NULL);
}


/* Each between two good ones: it skips only itself. */

static void
test_keys(void)
{
    char             json[4096];
    oa_jwks_t       *set;
    ngx_int_t        rc;
    ngx_uint_t       i;
    const char      *why;
    test_skipped_t   s;

    static const struct {
        const char  *key;
        const char  *why;              /* the beginning; NULL: it is taken */
        const char  *name;
    } tests[] = {

        { "{" RSA "}", NULL, "RSA" },
        { "{" RSA ",\"alg\":\"PS512\",\"use\":\"sig\"}", NULL, "RSA, PS512" },
        { "{" EC ",\"alg\":\"ES256\",\"key_ops\":[\"verify\"]}", NULL,
          "P-256" },
        { "{" EC521 ",\"alg\":\"ES512\"}", NULL, "P-521" },
        { "{" OKP ",\"alg\":\"EdDSA\"}", NULL, "Ed25519" },
        { "{" EC ",\"key_ops\":[\"sign\",\"verify\",7]}", NULL,
          "key_ops with others" },
        { "{" EC ",\"kid\":\"" N256 "\"}", NULL, "a kid of 256 bytes" },
        { "{" EC ",\"kid\":\"\"}", NULL, "an empty kid" },
        { "{\"kty\":\"RSA\",\"n\":\"" C_N "\",\"e\":\"AAEAAQ\"}", NULL,
          "a zero byte before e" },

        /* use and key_ops */

        { "{" EC ",\"use\":\"enc\"}", "its use", "use enc" },
        { "{" EC ",\"use\":\"SIG\"}", "its use", "use in another case" },
        { "{" EC ",\"use\":null}", "its use", "use null" },
        { "{" EC ",\"use\":[\"sig\"]}", "its use", "use an array" },
        { "{" EC ",\"key_ops\":[\"sign\"]}", "its key_ops",
          "key_ops without verify" },
        { "{" EC ",\"key_ops\":[\"encrypt\"],\"use\":\"sig\"}",
          "its key_ops", "key_ops without verify, use sig" },
        { "{" EC ",\"key_ops\":[]}", "its key_ops", "key_ops empty" },
        { "{" EC ",\"key_ops\":\"verify\"}", "its key_ops",
          "key_ops a string" },
        { "{" EC ",\"key_ops\":[\"sign, verify\"]}", "its key_ops",
          "key_ops with a list in a string" },

        /* what goes together */

        { "{\"n\":\"" C_N "\",\"e\":\"AQAB\"}", "its kty", "no kty" },
        { "{\"kty\":\"rsa\",\"n\":\"" C_N "\",\"e\":\"AQAB\"}", "its kty",
          "kty in another case" },
        { "{\"kty\":\"AKP\",\"alg\":\"ML-DSA-44\",\"pub\":\"AA\"}", "its kty",
          "kty unknown" },
        { "{\"kty\":\"EC\",\"x\":\"" A3_X "\",\"y\":\"" A3_Y "\"}",
          "its kty", "no crv" },
        { "{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"" A3_X
          "\",\"y\":\"" A3_Y "\"}", "its kty", "crv secp256k1" },
        { "{\"kty\":\"OKP\",\"crv\":\"P-256\",\"x\":\"" A3_X "\",\"y\":\""
          A3_Y "\"}", "its kty", "OKP with P-256" },
        { "{\"kty\":\"EC\",\"crv\":\"Ed25519\",\"x\":\"" ED_X "\"}",
          "its kty", "EC with Ed25519" },
        { "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" ED_X "\"}",
          "its kty", "X25519" },
        { "{" RSA2 ",\"alg\":\"ES256\"}", "its alg", "RSA for ES256" },
        { "{" RSA2 ",\"alg\":\"HS256\"}", "its alg", "RSA for HS256" },
        { "{" RSA2 ",\"alg\":\"none\"}", "its alg", "RSA for none" },
        { "{" RSA2 ",\"alg\":\"RSA-OAEP\"}", "its alg", "RSA for RSA-OAEP" },
        { "{" RSA2 ",\"alg\":\"RS1\"}", "its alg", "RSA for RS1" },
        { "{" RSA2 ",\"alg\":256}", "its alg", "alg a number" },
        { "{" RSA2 ",\"alg\":null}", "its alg", "alg null" },
        { "{" EC ",\"alg\":\"ES512\"}", "its alg", "P-256 for ES512" },
        { "{" EC ",\"alg\":\"RS256\"}", "its alg", "P-256 for RS256" },
        { "{" EC521 ",\"alg\":\"ES521\"}", "its alg", "alg ES521" },
        { "{" OKP ",\"alg\":\"ES256\"}", "its alg", "Ed25519 for ES256" },

        /* secrets */

        { "{\"kty\":\"oct\",\"k\":\"" A1_K "\",\"alg\":\"HS256\"}",
          "it is a secret", "oct" },
        { "{\"kty\":\"oct\"}", "it is a secret", "oct without k" },
        { "{" RSA2 ",\"d\":\"AQAB\"}", "it is a private key", "RSA with d" },
        { "{" RSA2 ",\"p\":\"AQAB\"}", "it is a private key", "RSA with p" },
        { "{" EC ",\"d\":\"" A3_X "\"}", "it is a private key",
          "P-256 with d" },
        { "{" OKP ",\"d\":null}", "it is a private key", "Ed25519 with d" },

        /* RSA */

        { "{\"kty\":\"RSA\",\"n\":\"" C_N "\"}", "a part", "no e" },
        { "{\"kty\":\"RSA\",\"e\":\"AQAB\"}", "a part", "no n" },
        { "{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"AQAB\"}", "a part",
          "n empty" },
        { "{\"kty\":\"RSA\",\"n\":1,\"e\":\"AQAB\"}", "a part",
          "n a number" },
        { "{\"kty\":\"RSA\",\"n\":\"" C_N "\",\"e\":65537}", "a part",
          "e a number" },
        { "{\"kty\":\"RSA\",\"n\":\"" C_N "\",\"e\":\"AQAB=\"}", "a part",
          "e with padding" },
        { "{\"kty\":\"RSA\",\"n\":\" " C_N "\",\"e\":\"AQAB\"}", "a part",
          "n with a space" },
        { "{\"kty\":\"RSA\",\"n\":\"" C_N "\",\"e\":\"AQ\"}", "its e",
          "e is 1" },
        { "{\"kty\":\"RSA\",\"n\":\"" C_N "\",\"e\":\"AA\"}", "its e",
          "e is 0" },
        { "{\"kty\":\"RSA\",\"n\":\"" C_N "\",\"e\":\"Ag\"}", "its e",
          "e is 2" },
        { "{\"kty\":\"RSA\",\"n\":\"" C_N "\",\"e\":\"AQAA\"}", "its e",
          "e is even" },
        { "{\"kty\":\"RSA\",\"n\":\"" C_N "\",\"e\":\"Aw\"}", NULL,
          "e is 3" },
        { "{\"kty\":\"RSA\",\"n\":\"" C_N "\",\"e\":\"__________8\"}", NULL,
          "e has 64 bits" },
        { "{\"kty\":\"RSA\",\"n\":\"" C_N "\",\"e\":\"AQAAAAAAAAAB\"}",
          "its e", "e has 65 bits" },

        /* coordinates */

        { "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" A3_X "\"}", "a part",
          "no y" },
        { "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" A3_X "AA\",\"y\":\""
          A3_Y "\"}", "a part", "x with spare bits" },
        { "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA" A3_X "\",\"y\":\""
          A3_Y "\"}", "a part", "x longer" },
        { "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" A4_X "\",\"y\":\""
          A4_Y "\"}", "a coordinate", "x and y of P-521" },
        { "{\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\"" A3_X "\",\"y\":\""
          A3_Y "\"}", "a coordinate", "x and y of P-256" },
        { "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" A3_X "\",\"y\":\"AQ\"}",
          "a coordinate", "y of one byte" },
        { "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" A3_X "\",\"y\":\""
          A3_X "\"}", "its point", "not on the curve" },
        { "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" A3_Y "\",\"y\":\""
          A3_X "\"}", "its point", "x and y exchanged" },
        { "{\"kty\":\"EC\",\"crv\":\"P-256\","
          "\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
          "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
          "its point", "zero" },
        { "{\"kty\":\"EC\",\"crv\":\"P-256\","
          "\"x\":\"__________________________________________8\","
          "\"y\":\"__________________________________________8\"}",
          "its point", "above the field" },
        { "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AQAB\"}",
          "a coordinate", "Ed25519, x of three bytes" },
        { "{\"kty\":\"OKP\",\"crv\":\"Ed448\",\"x\":\"" ED_X "\"}",
          "a coordinate", "Ed448, x of 32 bytes" },
        { "{\"kty\":\"OKP\",\"crv\":\"Ed25519\"}", "a part",
          "Ed25519 without x" },

        /* kid */

        { "{" EC ",\"kid\":7}", "its kid", "kid a number" },
        { "{" EC ",\"kid\":null}", "its kid", "kid null" },
        { "{" EC ",\"kid\":\"" N256 "a\"}", "its kid", "kid of 257 bytes" },
        { "{" RSA2 ",\"kid\":\"first\"}", "its kid is that", "a kid again" },

        /* no key */

        { "[]", "it is no object", "an array" },
        { "null", "it is no object", "null" },
        { "\"" A3_X "\"", "it is no object", "a string" },
        { "{}", "its kty", "an empty object" }
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        snprintf(json, sizeof(json),
                 "{\"keys\":[{" EC ",\"kid\":\"first\"},%s,"
                 "{" OKP ",\"kid\":\"last\"}]}", tests[i].key);

        rc = parse(json, strlen(json), &set, &s, &why);

        if (rc != NGX_OK) {
            ok(0, "key: %s: the whole set: %s", tests[i].name, why);
            continue;
        }

        if (tests[i].why == NULL) {
            ok(set->nkeys == 3 && s.n == 0, "key: %s", tests[i].name);

        } else {
            ok(set->nkeys == 2 && s.n == 1
               && oa_jwk_kid(set->keys[0])->len == 5
               && oa_jwk_kid(set->keys[1])->len == 4
               && strncmp(s.why, tests[i].why, strlen(tests[i].why)) == 0,
               "key passed over: %s: %s", tests[i].name, s.why);
        }

        oa_jwks_free(set);

        /* nobody need be told */

        rc = oa_jwks_parse((u_char *) json, strlen(json), &set, NULL, NULL,
                           &why);
        if (rc != NGX_OK
            || set->nkeys != (ngx_uint_t) (tests[i].why ? 2 : 3))
        {
            ok(0, "the same without a callback");
        }

        oa_jwks_free(set);
    }

    /* the kid of what is passed over */

    snprintf(json, sizeof(json),
             "{\"keys\":[{\"kid\":\"k\",\"kty\":\"oct\"}]}");
    rc = parse(json, strlen(json), &set, &s, &why);
    ok(rc == NGX_OK && set->nkeys == 0 && strcmp(s.kid, "k") == 0,
       "who is passed over");
    oa_jwks_free(set);

    /* the first of two is passed over: the second has the kid for itself */

    snprintf(json, sizeof(json), "{\"keys\":[{" EC ",\"kid\":\"k\","
             "\"use\":\"enc\"},{" EC ",\"kid\":\"k\"}]}");
    rc = parse(json, strlen(json), &set, &s, &why);
    ok(rc == NGX_OK && set->nkeys == 1 && s.n == 1,
       "a kid of what is passed over is free");
    oa_jwks_free(set);
}


/* n of so many bits: sizes are judged before anything is made of it. */

static void
test_rsa_size(void)
{
    u_char           n[1100], text[1500], *p;
    char             json[2048];
    size_t           len;
    oa_jwks_t       *set;
    ngx_int_t        rc;
    ngx_uint_t       i;
    const char      *why;
    test_skipped_t   s;

    static const struct {
        ngx_uint_t   bits;
        ngx_uint_t   zeros;            /* bytes before it */
        ngx_uint_t   last;
        ngx_uint_t   taken;
    } tests[] = {
        { 512, 0, 0xff, 0 },
        { 1024, 0, 0xff, 0 },
        { 1024, 128, 0xff, 0 },
        { 2047, 0, 0xff, 0 },
        { 2047, 1, 0xff, 0 },
        { 2048, 0, 0xff, 1 },
        { 2048, 0, 0xfe, 0 },
        { 2048, 1, 0xff, 1 },
        { 2049, 0, 0xff, 1 },
        { 4096, 0, 0xff, 1 },
        { 8192, 0, 0xff, 1 },
        { 8192, 1, 0xff, 1 },
        { 8193, 0, 0xff, 0 },
        { 8800, 0, 0xff, 0 }
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        memset(n, 0, tests[i].zeros);

        len = (tests[i].bits + 7) / 8;
        memset(n + tests[i].zeros, 0xff, len);
        n[tests[i].zeros] = (u_char) (0xff >> (len * 8 - tests[i].bits));
        n[tests[i].zeros + len - 1] = (u_char) tests[i].last;

        p = oa_base64url_encode(text, n, tests[i].zeros + len);

        snprintf(json, sizeof(json), "{\"keys\":[{\"kty\":\"RSA\",\"n\":"
                 "\"%.*s\",\"e\":\"AQAB\"}]}", (int) (p - text), text);

        rc = parse(json, strlen(json), &set, &s, &why);

        ok(rc == NGX_OK && set->nkeys == tests[i].taken
           && s.n == 1 - tests[i].taken,
           "RSA, %lu bits, %lu zero bytes before: %s",
           (unsigned long) tests[i].bits, (unsigned long) tests[i].zeros,
           s.n ? s.why : "taken");

        oa_jwks_free(set);
    }
}


static oa_auth_error_e
find(const oa_jwks_t *set, oa_alg_e alg, const char *kid, oa_jwk_t **key)
{
    oa_jws_header_t  h;

    memset(&h, 0xa5, sizeof(h));

    h.alg = alg;
    h.has_kid = (kid != NULL);
    h.kid_len = 0;

    if (kid) {
        h.kid_len = strlen(kid);
        ngx_memcpy(h.kid, kid, h.kid_len);
    }

    *key = NULL;

    return oa_jwks_find(set, &h, key);
}


static void
test_find(void)
{
    oa_jwk_t    *key;
    oa_jwks_t   *set, *rsa, *one, *none, *bare;
    ngx_uint_t   i;

    static const struct {
        oa_alg_e          alg;
        const char       *kid;
        oa_auth_error_e   error;
        ngx_uint_t        key;
        const char       *name;
    } tests[] = {
        { OA_ALG_RS256, "r", OA_AUTH_OK, 0, "by kid" },
        { OA_ALG_ES256, "e", OA_AUTH_OK, 1, "by kid" },
        { OA_ALG_ES256, "e2", OA_AUTH_OK, 2, "by kid" },
        { OA_ALG_EDDSA, "o", OA_AUTH_OK, 3, "by kid" },

        { OA_ALG_ES256, "x", OA_AUTH_KEY, 0, "no such kid" },
        { OA_ALG_ES256, "", OA_AUTH_KEY, 0, "an empty kid" },
        { OA_ALG_ES256, "E", OA_AUTH_KEY, 0, "kid in another case" },
        { OA_ALG_EDDSA, "x", OA_AUTH_KEY, 0,
          "an unknown kid names not even the only key of its alg" },
        { OA_ALG_ES512, "5", OA_AUTH_KEY, 0,
          "a kid does not name a key without one" },

        { OA_ALG_RS512, "r", OA_AUTH_ALGORITHM, 0,
          "an alg that its key is not for" },
        { OA_ALG_PS256, "r", OA_AUTH_ALGORITHM, 0,
          "PS256 with a key for RS256" },
        { OA_ALG_RS256, "e", OA_AUTH_ALGORITHM, 0, "RS256 with an EC key" },
        { OA_ALG_ES384, "e", OA_AUTH_ALGORITHM, 0, "ES384 with P-256" },
        { OA_ALG_HS256, "r", OA_AUTH_ALGORITHM, 0,
          "CVE-2026-34950: HS256 with a public RSA key" },
        { OA_ALG_HS256, "e", OA_AUTH_ALGORITHM, 0,
          "HS256 with a public EC key" },
        { OA_ALG_NONE, "r", OA_AUTH_ALGORITHM, 0, "none with any key" },

        { OA_ALG_RS256, NULL, OA_AUTH_OK, 0, "no kid, one for RS256" },
        { OA_ALG_EDDSA, NULL, OA_AUTH_OK, 3, "no kid, one for EdDSA" },
        { OA_ALG_ES512, NULL, OA_AUTH_OK, 4,
          "no kid, one for ES512, which has none either" },
        { OA_ALG_ES256, NULL, OA_AUTH_KEY, 0, "no kid, two for ES256" },
        { OA_ALG_ES384, NULL, OA_AUTH_KEY, 0, "no kid, none for ES384" },
        { OA_ALG_HS256, NULL, OA_AUTH_KEY, 0, "no kid, HS256" },
        { OA_ALG_NONE, NULL, OA_AUTH_KEY, 0, "no kid, none" }
    };

    set = good("{\"keys\":[{" RSA ",\"kid\":\"r\",\"alg\":\"RS256\"},"
               "{" EC ",\"kid\":\"e\"},{" EC ",\"kid\":\"e2\"},"
               "{" OKP ",\"kid\":\"o\"},{" EC521 "}]}");

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        ok(find(set, tests[i].alg, tests[i].kid, &key) == tests[i].error
           && (tests[i].error != OA_AUTH_OK
               || key == set->keys[tests[i].key]),
           "find: %s", tests[i].name);
    }

    /* a key that does not say for what it is */

    bare = good("{\"keys\":[{" RSA ",\"kid\":\"r\"}]}");

    ok(find(bare, OA_ALG_RS256, "r", &key) == OA_AUTH_OK
       && find(bare, OA_ALG_PS512, "r", &key) == OA_AUTH_OK
       && find(bare, OA_ALG_PS384, NULL, &key) == OA_AUTH_OK,
       "an RSA key without alg is for RS and PS");
    ok(find(bare, OA_ALG_HS256, "r", &key) == OA_AUTH_ALGORITHM
       && find(bare, OA_ALG_HS256, NULL, &key) == OA_AUTH_KEY,
       "CVE-2026-44699, CVE-2026-22817: HS256 with an RSA key without alg");
    ok(find(bare, OA_ALG_ES256, "r", &key) == OA_AUTH_ALGORITHM,
       "ES256 with an RSA key without alg");

    /* two that differ in alg only */

    rsa = good("{\"keys\":[{" RSA ",\"alg\":\"RS256\"},"
               "{" RSA ",\"alg\":\"PS256\"}]}");

    ok(find(rsa, OA_ALG_PS256, NULL, &key) == OA_AUTH_OK
       && key == rsa->keys[1], "no kid, one of two fits");

    none = good("{\"keys\":[]}");

    ok(find(none, OA_ALG_ES256, "e", &key) == OA_AUTH_KEY
       && find(none, OA_ALG_ES256, NULL, &key) == OA_AUTH_KEY,
       "no keys at all");

    one = good("{\"keys\":[{" EC ",\"kid\":\"\"}]}");

    ok(find(one, OA_ALG_ES256, "", &key) == OA_AUTH_OK,
       "an empty kid names a key with an empty kid");

    oa_jwks_free(set);
    oa_jwks_free(bare);
    oa_jwks_free(rsa);
    oa_jwks_free(none);
    oa_jwks_free(one);
}


static ngx_uint_t
same_print(const char *a, const char *b)
{
    oa_jwks_t   *sa, *sb;
    ngx_uint_t   same;

    sa = good(a);
    sb = good(b);

    same = (oa_jwks_find_print(sb, oa_jwk_print(sa->keys[0]))
            == sb->keys[0]);

    oa_jwks_free(sa);
    oa_jwks_free(sb);

    return same;
}


static void
test_prints(void)
{
    oa_jwks_t   *set;
    ngx_uint_t   i, wrong;

    set = good("{\"keys\":[{" RSA ",\"kid\":\"r\"},{" EC ",\"kid\":\"e\"},"
               "{" EC ",\"kid\":\"e2\"},{" EC "},{" OKP "}]}");
    wrong = 0;

    for (i = 0; i < set->nkeys; i++) {
        if (oa_jwks_find_print(set, oa_jwk_print(set->keys[i]))
            != set->keys[i])
        {
            wrong++;
        }
    }

    ok(wrong == 0, "each key has a print of its own");
    ok(oa_jwks_find_print(set, (u_char *) "0123456789abcdef") == NULL,
       "no key has that one");
    is_bytes(oa_jwk_kid(set->keys[1])->data, oa_jwk_kid(set->keys[1])->len,
             "e", 1, "a kid");
    ok(oa_jwk_kid(set->keys[3])->len == 0, "no kid");

    oa_jwks_free(set);

    ok(same_print("{\"keys\":[{" RSA ",\"kid\":\"r\",\"alg\":\"RS256\"}]}",
                  "{\"keys\":[{\"alg\":\"RS256\",\"use\":\"sig\",\"kid\":"
                  "\"\\u0072\"," RSA "}]}"),
       "the same key, written otherwise");
    ok(!same_print("{\"keys\":[{" RSA ",\"kid\":\"r\",\"alg\":\"RS256\"}]}",
                   "{\"keys\":[{" RSA ",\"kid\":\"s\",\"alg\":\"RS256\"}]}"),
       "another kid");
    ok(!same_print("{\"keys\":[{" RSA ",\"kid\":\"r\",\"alg\":\"RS256\"}]}",
                   "{\"keys\":[{" RSA ",\"kid\":\"r\",\"alg\":\"RS512\"}]}"),
       "another alg");
    ok(!same_print("{\"keys\":[{" RSA ",\"kid\":\"r\",\"alg\":\"RS256\"}]}",
                   "{\"keys\":[{" RSA ",\"kid\":\"r\"}]}"),
       "no alg");
    ok(!same_print("{\"keys\":[{" RSA ",\"kid\":\"r\"}]}",
                   "{\"keys\":[{" RSA2 ",\"kid\":\"r\"}]}"),
       "another n: a key that was exchanged under its kid");
    ok(!same_print("{\"keys\":[{" RSA "}]}",
                   "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"" A2_N
                   "\",\"e\":\"Aw\"}]}"),
       "another e");
}


static void
test_secret(void)
{
    u_char       bytes[64];
    oa_jwk_t    *key;
    oa_jwks_t   *set, *other;
    ngx_str_t    secret;

    memset(bytes, 's', sizeof(bytes));
    secret.data = bytes;

    secret.len = 31;
    set = (void *) -1;
    ok(oa_jwks_secret(&secret, &set) == NGX_ERROR && set == NULL,
       "RFC 7518, 3.2: a secret of 31 bytes");

    secret.len = 0;
    ok(oa_jwks_secret(&secret, &set) == NGX_ERROR && set == NULL,
       "an empty secret");

    secret.len = 32;
    if (!ok(oa_jwks_secret(&secret, &set) == NGX_OK && set->nkeys == 1,
            "a secret of 32 bytes"))
    {
        return;
    }

    ok(find(set, OA_ALG_HS256, NULL, &key) == OA_AUTH_OK
       && key == set->keys[0], "is named by no kid");
    ok(find(set, OA_ALG_HS256, "any", &key) == OA_AUTH_OK
       && key == set->keys[0], "and by any");
    ok(find(set, OA_ALG_RS256, NULL, &key) == OA_AUTH_ALGORITHM
       && find(set, OA_ALG_ES256, "any", &key) == OA_AUTH_ALGORITHM
       && find(set, OA_ALG_NONE, NULL, &key) == OA_AUTH_ALGORITHM,
       "but for HS256 only");
    ok(oa_jwk_kid(set->keys[0])->len == 0, "has no kid");

    bytes[31] = 'S';
    if (oa_jwks_secret(&secret, &other) != NGX_OK) {
        abort();
    }

    ok(oa_jwks_find_print(set, oa_jwk_print(set->keys[0])) == set->keys[0]
       && oa_jwks_find_print(set, oa_jwk_print(other->keys[0])) == NULL,
       "another secret has another print");

    oa_jwks_free(set);
    oa_jwks_free(other);
}


int
main(void)
{
    test_sets();
    test_keys();
    test_rsa_size();
    test_find();
    test_prints();
    test_secret();

    return done_testing();
}
