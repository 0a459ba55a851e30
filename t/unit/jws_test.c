
#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include "oa_base64url.h"
#include "oa_jws.h"
#include "tap.h"


#define N16   "aaaaaaaaaaaaaaaa"
#define N64   N16 N16 N16 N16
#define N256  N64 N64 N64 N64
#define ES    "\"alg\":\"ES256\""
#define RS    "\"alg\":\"RS256\""

#define literal(s)  (s), sizeof(s) - 1


/* Memory of exactly that size, for a sanitizer's sake. */

static u_char *
copy(const void *data, size_t len)
{
    u_char  *p;

    p = malloc(len ? len : 1);
    if (p == NULL) {
        abort();
    }

    ngx_memcpy(p, data, len);

    return p;
}


static void
encode(const void *data, size_t len, ngx_str_t *text)
{
    u_char  *p;

    text->data = malloc(oa_base64url_encoded(len) + 1);
    if (text->data == NULL) {
        abort();
    }

    p = oa_base64url_encode(text->data, data, len);
    text->len = p - text->data;
}


static void
test_algs(void)
{
    oa_alg_e     alg;
    ngx_uint_t   i;

    static const struct {
        const char  *name;
        oa_alg_e     alg;
    } tests[] = {
        { "HS256", OA_ALG_HS256 },
        { "RS256", OA_ALG_RS256 },
        { "RS384", OA_ALG_RS384 },
        { "RS512", OA_ALG_RS512 },
        { "PS256", OA_ALG_PS256 },
        { "PS384", OA_ALG_PS384 },
        { "PS512", OA_ALG_PS512 },
        { "ES256", OA_ALG_ES256 },
        { "ES384", OA_ALG_ES384 },
        { "ES512", OA_ALG_ES512 },
        { "EdDSA", OA_ALG_EDDSA },

        { "", OA_ALG_NONE },
        { "none", OA_ALG_NONE },
        { "None", OA_ALG_NONE },
        { "HS384", OA_ALG_NONE },
        { "HS512", OA_ALG_NONE },
        { "ES256K", OA_ALG_NONE },
        { "rs256", OA_ALG_NONE },
        { "RS256 ", OA_ALG_NONE },
        { "RS25", OA_ALG_NONE },
        { "EDDSA", OA_ALG_NONE }
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        alg = oa_alg((u_char *) tests[i].name, strlen(tests[i].name));

        ok(alg == tests[i].alg, "alg \"%s\" is %d", tests[i].name, (int) alg);

        if (tests[i].alg != OA_ALG_NONE) {
            is_bytes(oa_alg_name(alg)->data, oa_alg_name(alg)->len,
                     tests[i].name, strlen(tests[i].name), "and back");
        }
    }
}


static ngx_int_t
split(const ngx_str_t *text, oa_jws_t *jws)
{
    static ngx_str_t  token;

    free(token.data);

    token.len = text->len;
    token.data = copy(text->data, text->len);

    memset(jws, 0, sizeof(oa_jws_t));

    return oa_jws_split(&token, jws);
}


static void
test_split(void)
{
    u_char      *big;
    oa_jws_t     jws;
    ngx_str_t    token;
    ngx_uint_t   i;

    static const struct {
        ngx_str_t    token;
        ngx_int_t    rc;
    } tests[] = {
        { ngx_string("a.b.c"), NGX_OK },
        { ngx_string("a=.\0.\xff"), NGX_OK },
        { ngx_string(""), NGX_ERROR },
        { ngx_string("abc"), NGX_ERROR },
        { ngx_string("."), NGX_ERROR },
        { ngx_string(".."), NGX_ERROR },
        { ngx_string("..."), NGX_ERROR },
        { ngx_string("a.b"), NGX_ERROR },
        { ngx_string("a.b."), NGX_ERROR },
        { ngx_string("a..c"), NGX_OK },
        { ngx_string(".b.c"), NGX_ERROR },
        { ngx_string("a.b.c."), NGX_ERROR },
        { ngx_string(".a.b.c"), NGX_ERROR },
        { ngx_string("a.b.c.d"), NGX_ERROR },
        { ngx_string("a.b.c.d.e"), NGX_ERROR },
        { ngx_string("a.b..c"), NGX_ERROR }
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        ok(split(&tests[i].token, &jws) == tests[i].rc, "split \"%s\"",
           show(tests[i].token.data, tests[i].token.len));
    }

    ngx_str_set(&token, "ab.cde.f");
    ok(split(&token, &jws) == NGX_OK, "three segments");
    is_bytes(jws.header.data, jws.header.len, "ab", 2, "the header");
    is_bytes(jws.payload.data, jws.payload.len, "cde", 3, "the payload");
    is_bytes(jws.signature.data, jws.signature.len, "f", 1, "the signature");
    is_bytes(jws.input.data, jws.input.len, "ab.cde", 6, "what is signed");

    /* sizes */

    big = malloc(OA_JWS_MAX + 1);
    if (big == NULL) {
        abort();
    }

    memset(big, 'a', OA_JWS_MAX + 1);
    big[OA_JWS_HEADER_MAX] = '.';
    big[OA_JWS_MAX - 1] = '.';

    token.data = big;
    token.len = OA_JWS_MAX + 1;
    ok(split(&token, &jws) == NGX_ERROR, "a token of 8193 bytes");

    big[OA_JWS_MAX - 1] = 'a';
    big[OA_JWS_MAX - 2] = '.';
    token.len = OA_JWS_MAX;
    ok(split(&token, &jws) == NGX_OK, "a token of 8192, its header of 1024");

    big[OA_JWS_HEADER_MAX] = 'a';
    big[OA_JWS_HEADER_MAX + 1] = '.';
    ok(split(&token, &jws) == NGX_ERROR, "a header of 1025 bytes");

    free(big);
}


static oa_auth_error_e
read_header(const void *json, size_t len, oa_jws_header_t *h)
{
    ngx_str_t        text;
    oa_auth_error_e  error;

    encode(json, len, &text);
    memset(h, 0xa5, sizeof(oa_jws_header_t));

    error = oa_jws_header(&text, h);
    free(text.data);

    return error;
}


static void
test_header(void)
{
    ngx_uint_t        i;
    oa_auth_error_e   error;
    oa_jws_header_t   h;

    static const struct {
        ngx_str_t         json;
        oa_auth_error_e   error;
        const char       *name;
    } tests[] = {

        { ngx_string("{" ES "}"), OA_AUTH_OK, "alg alone" },
        { ngx_string("{" ES ",\"kid\":\"k1\",\"typ\":\"JWT\"}"), OA_AUTH_OK,
          "Supabase's" },
        { ngx_string(" \t\r\n{" ES "}\n "), OA_AUTH_OK, "white space" },
        { ngx_string("{" ES ",\"x\":[1,{\"y\":null}]}"), OA_AUTH_OK,
          "members nobody knows" },
        { ngx_string("{\"\\u0061lg\":\"ES\\u003256\"}"), OA_AUTH_OK,
          "escapes" },

        /* alg */

        { ngx_string("{}"), OA_AUTH_ALGORITHM, "no alg" },
        { ngx_string("{\"kid\":\"k\"}"), OA_AUTH_ALGORITHM, "no alg" },
        { ngx_string("{\"alg\":\"none\"}"), OA_AUTH_ALGORITHM,
          "RFC 8725, 3.2: alg none" },
        { ngx_string("{\"alg\":\"None\"}"), OA_AUTH_ALGORITHM,
          "alg none in another case" },
        { ngx_string("{\"alg\":\"NONE\"}"), OA_AUTH_ALGORITHM,
          "alg none in another case" },
        { ngx_string("{\"alg\":\"nOnE\"}"), OA_AUTH_ALGORITHM,
          "alg none in another case" },
        { ngx_string("{\"alg\":\"none \"}"), OA_AUTH_ALGORITHM,
          "alg none and a space" },
        { ngx_string("{\"alg\":\"\"}"), OA_AUTH_ALGORITHM, "alg empty" },
        { ngx_string("{\"alg\":\"HS512\"}"), OA_AUTH_ALGORITHM,
          "alg not ours" },
        { ngx_string("{\"alg\":\"es256\"}"), OA_AUTH_ALGORITHM,
          "alg in another case" },
        { ngx_string("{\"ALG\":\"ES256\"}"), OA_AUTH_ALGORITHM,
          "names have a case" },
        { ngx_string("{\"alg\":null}"), OA_AUTH_MALFORMED, "alg null" },
        { ngx_string("{\"alg\":256}"), OA_AUTH_MALFORMED, "alg a number" },
        { ngx_string("{\"alg\":[\"ES256\"]}"), OA_AUTH_MALFORMED,
          "alg an array" },
        { ngx_string("{\"alg\":false}"), OA_AUTH_MALFORMED, "alg false" },

        /* crit and b64 */

        { ngx_string("{" ES ",\"crit\":[\"x\"],\"x\":1}"), OA_AUTH_MALFORMED,
          "CVE-2026-32597, CVE-2025-59420: crit with what nobody knows" },
        { ngx_string("{" ES ",\"crit\":[\"exp\"],\"exp\":1}"),
          OA_AUTH_MALFORMED, "crit with what somebody knows" },
        { ngx_string("{" ES ",\"crit\":[\"alg\"]}"), OA_AUTH_MALFORMED,
          "crit with alg" },
        { ngx_string("{" ES ",\"crit\":[]}"), OA_AUTH_MALFORMED,
          "crit empty" },
        { ngx_string("{" ES ",\"crit\":null}"), OA_AUTH_MALFORMED,
          "crit null" },
        { ngx_string("{" ES ",\"b64\":false,\"crit\":[\"b64\"]}"),
          OA_AUTH_MALFORMED, "RFC 7797: b64 false, in crit" },
        { ngx_string("{" ES ",\"b64\":false}"), OA_AUTH_MALFORMED,
          "RFC 7797: b64 false, not in crit" },
        { ngx_string("{" ES ",\"b64\":true}"), OA_AUTH_MALFORMED,
          "b64 true" },
        { ngx_string("{\"alg\":\"none\",\"crit\":[]}"), OA_AUTH_MALFORMED,
          "crit is seen before alg" },

        /* keys in the header */

        { ngx_string("{" ES ",\"jwk\":{\"kty\":\"oct\",\"k\":\"AA\"}}"),
          OA_AUTH_OK, "jwk is not looked at" },
        { ngx_string("{" ES ",\"jku\":\"https://evil.example/jwks\"}"),
          OA_AUTH_OK, "CVE-2026-32301: jku is not looked at" },
        { ngx_string("{" ES ",\"x5u\":7,\"x5c\":{}}"), OA_AUTH_OK,
          "x5u and x5c are not looked at" },

        /* typ */

        { ngx_string("{" ES ",\"typ\":\"jwt\"}"), OA_AUTH_OK, "typ jwt" },
        { ngx_string("{" ES ",\"typ\":\"at+jwt\"}"), OA_AUTH_OK,
          "RFC 9068: typ at+jwt" },
        { ngx_string("{" ES ",\"typ\":\"AT+JWT\"}"), OA_AUTH_OK,
          "typ AT+JWT" },
        { ngx_string("{" ES ",\"typ\":\"application/JWT\"}"), OA_AUTH_OK,
          "typ application/JWT" },
        { ngx_string("{" ES ",\"typ\":\"application/at+jwt\"}"), OA_AUTH_OK,
          "typ application/at+jwt" },
        { ngx_string("{" ES ",\"typ\":\"dpop+jwt\"}"), OA_AUTH_MALFORMED,
          "RFC 8725, 3.11: another kind of JWT" },
        { ngx_string("{" ES ",\"typ\":\"logout+jwt\"}"), OA_AUTH_MALFORMED,
          "RFC 8725, 3.11: another kind of JWT" },
        { ngx_string("{" ES ",\"typ\":\"JOSE\"}"), OA_AUTH_MALFORMED,
          "typ JOSE" },
        { ngx_string("{" ES ",\"typ\":\"\"}"), OA_AUTH_MALFORMED,
          "typ empty" },
        { ngx_string("{" ES ",\"typ\":\"JWT2\"}"), OA_AUTH_MALFORMED,
          "typ JWT2" },
        { ngx_string("{" ES ",\"typ\":null}"), OA_AUTH_MALFORMED,
          "typ null" },
        { ngx_string("{" ES ",\"typ\":[\"JWT\"]}"), OA_AUTH_MALFORMED,
          "typ an array" },

        /* kid */

        { ngx_string("{" ES ",\"kid\":\"" N256 "\"}"), OA_AUTH_OK,
          "kid of 256 bytes" },
        { ngx_string("{" ES ",\"kid\":\"" N256 "a\"}"), OA_AUTH_MALFORMED,
          "kid of 257 bytes" },
        { ngx_string("{" ES ",\"kid\":\"\"}"), OA_AUTH_OK, "kid empty" },
        { ngx_string("{" ES ",\"kid\":\"a\\u0000b\"}"), OA_AUTH_MALFORMED,
          "kid with a NUL" },
        { ngx_string("{" ES ",\"kid\":1}"), OA_AUTH_MALFORMED,
          "kid a number" },
        { ngx_string("{" ES ",\"kid\":null}"), OA_AUTH_MALFORMED,
          "kid null" },
        { ngx_string("{" ES ",\"kid\":{}}"), OA_AUTH_MALFORMED,
          "kid an object" },

        /* JSON */

        { ngx_string("{" ES "," ES "}"), OA_AUTH_MALFORMED, "alg twice" },
        { ngx_string("{\"alg\":\"none\"," ES "}"), OA_AUTH_MALFORMED,
          "alg twice, the last good" },
        { ngx_string("{" ES ",\"kid\":\"a\",\"kid\":\"b\"}"),
          OA_AUTH_MALFORMED, "kid twice" },
        { ngx_string("{" ES ",\"kid\":\"a\",\"\\u006bid\":\"b\"}"),
          OA_AUTH_MALFORMED, "kid twice, once escaped" },
        { ngx_string("{" ES ",\"x\":{\"y\":1,\"y\":2}}"), OA_AUTH_MALFORMED,
          "a name twice, deeper" },
        { ngx_string("[" "\"alg\"" "]"), OA_AUTH_MALFORMED, "an array" },
        { ngx_string("\"ES256\""), OA_AUTH_MALFORMED, "a string" },
        { ngx_string("null"), OA_AUTH_MALFORMED, "null" },
        { ngx_string(""), OA_AUTH_MALFORMED, "nothing" },
        { ngx_string("{" ES "}x"), OA_AUTH_MALFORMED, "bytes behind it" },
        { ngx_string("{" ES "}{}"), OA_AUTH_MALFORMED, "another behind it" },
        { ngx_string("{" ES "}\0"), OA_AUTH_MALFORMED, "a NUL behind it" },
        { ngx_string("{" ES), OA_AUTH_MALFORMED, "no end" },
        { ngx_string("{" ES ",}"), OA_AUTH_MALFORMED, "a comma" },
        { ngx_string("{'alg':'ES256'}"), OA_AUTH_MALFORMED, "quotes" },
        { ngx_string("\xef\xbb\xbf{" ES "}"), OA_AUTH_MALFORMED, "a BOM" },
        { ngx_string("{" ES ",\"x\":\"\xff\"}"), OA_AUTH_MALFORMED,
          "not UTF-8" },
        { ngx_string("{" ES ",\"x\":\"\xc0\xaf\"}"), OA_AUTH_MALFORMED,
          "overlong UTF-8" }
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        error = read_header(tests[i].json.data, tests[i].json.len, &h);

        ok(error == tests[i].error
           && (h.alg == OA_ALG_ES256) == (error == OA_AUTH_OK),
           "header: %s", tests[i].name);
    }

    ok(read_header(literal("{" RS ",\"kid\":\"a\xc3\xa9\\n\"}"), &h)
       == OA_AUTH_OK && h.alg == OA_ALG_RS256 && h.has_kid, "a kid");
    is_bytes(h.kid, h.kid_len, "a\xc3\xa9\n", 4, "unescaped");

    ok(read_header(literal("{" RS "}"), &h) == OA_AUTH_OK && !h.has_kid
       && h.kid_len == 0, "no kid");

    ok(read_header(literal("{" RS ",\"kid\":\"\"}"), &h) == OA_AUTH_OK
       && h.has_kid && h.kid_len == 0, "an empty kid is one");
}


static void
test_encoding(void)
{
    u_char            deep[OA_JWS_HEADER_MAX], *p;
    ngx_str_t         text;
    ngx_uint_t        i;
    oa_jws_header_t   h;

    /* {"alg":"ES256"} and {"alg":"ES256" } */

    static const struct {
        ngx_str_t         text;
        oa_auth_error_e   error;
        const char       *name;
    } tests[] = {
        { ngx_string("eyJhbGciOiJFUzI1NiJ9"), OA_AUTH_OK, "canonical" },
        { ngx_string("eyJhbGciOiJFUzI1NiIgfQ"), OA_AUTH_OK, "canonical" },
        { ngx_string("eyJhbGciOiJFUzI1NiIgfQ=="), OA_AUTH_MALFORMED,
          "padding" },
        { ngx_string("eyJhbGciOiJFUzI1NiIgfR"), OA_AUTH_MALFORMED,
          "spare bits" },
        { ngx_string("eyJhbGciOiJFUzI1NiJ9A"), OA_AUTH_MALFORMED,
          "a length of 4n + 1" },
        { ngx_string("eyJhbGciOiJFUzI1NiJ9\n"), OA_AUTH_MALFORMED,
          "a newline" },
        { ngx_string("eyJh bGciOiJFUzI1NiJ9"), OA_AUTH_MALFORMED,
          "a space" },
        { ngx_string("eyJh?bGciOiJFUzI1NiJ9"), OA_AUTH_MALFORMED, "junk" },
        { ngx_string("{\"alg\":\"ES256\"}"), OA_AUTH_MALFORMED,
          "not encoded" },
        { ngx_string(""), OA_AUTH_MALFORMED, "nothing" }
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        text.len = tests[i].text.len;
        text.data = copy(tests[i].text.data, text.len);

        ok(oa_jws_header(&text, &h) == tests[i].error, "encoding: %s",
           tests[i].name);

        free(text.data);
    }

    /* the longest; as deep as it can be */

    memset(deep, ' ', sizeof(deep));
    ngx_memcpy(deep, "{" ES "}", 15);

    encode(deep, OA_JWS_HEADER_MAX / 4 * 3, &text);
    ok(text.len == OA_JWS_HEADER_MAX && oa_jws_header(&text, &h)
       == OA_AUTH_OK, "1024 characters");
    free(text.data);

    encode(deep, OA_JWS_HEADER_MAX / 4 * 3 + 1, &text);
    ok(oa_jws_header(&text, &h) == OA_AUTH_MALFORMED, "more characters");
    free(text.data);

    p = ngx_cpymem(deep, "{\"x\":", 5);
    memset(p, '[', 760);

    ok(read_header(deep, 765, &h) == OA_AUTH_MALFORMED, "760 brackets");
}


static void
test_cached(void)
{
    char                    json[64];
    size_t                  len;
    ngx_str_t               text, first;
    ngx_uint_t              i, wrong;
    oa_jws_headers_t       *headers;
    const oa_jws_header_t  *h, *again;

    headers = calloc(1, sizeof(oa_jws_headers_t));
    if (headers == NULL) {
        abort();
    }

    ngx_str_set(&text, "");
    ok(oa_jws_header_cached(headers, &text, &h) == OA_AUTH_MALFORMED,
       "an empty cache has no empty header");

    encode(literal("{" ES ",\"kid\":\"0\"}"), &first);

    ok(oa_jws_header_cached(headers, &first, &h) == OA_AUTH_OK
       && h->alg == OA_ALG_ES256 && h->has_kid && h->kid_len == 1
       && h->kid[0] == '0', "a header");

    ok(oa_jws_header_cached(headers, &first, &again) == OA_AUTH_OK
       && again == h, "is remembered");

    first.len--;
    ok(oa_jws_header_cached(headers, &first, &again) != OA_AUTH_OK,
       "not by its beginning");
    first.len++;

    ngx_str_set(&text, "eyJhbGciOiJub25lIn0");

    wrong = 0;

    for (i = 0; i < 2 * OA_JWS_HEADERS; i++) {
        if (oa_jws_header_cached(headers, &text, &again) != OA_AUTH_ALGORITHM
            || again->alg != OA_ALG_NONE)
        {
            wrong++;
        }
    }

    ok(wrong == 0, "a bad one stays a bad one");
    ok(oa_jws_header_cached(headers, &first, &again) == OA_AUTH_OK
       && again == h, "bad ones put none out");

    /* more than there is room for, twice */

    for (i = 0; i < 2 * (3 * OA_JWS_HEADERS); i++) {
        len = (size_t) sprintf(json, "{%s,\"kid\":\"%lu\"}",
                               (i % 3) ? ES : RS,
                               (unsigned long) (i % (3 * OA_JWS_HEADERS)));
        encode(json, len, &text);

        len = (size_t) sprintf(json, "%lu",
                               (unsigned long) (i % (3 * OA_JWS_HEADERS)));

        if (oa_jws_header_cached(headers, &text, &h) != OA_AUTH_OK
            || h->alg != ((i % 3) ? OA_ALG_ES256 : OA_ALG_RS256)
            || h->kid_len != len
            || memcmp(h->kid, json, len) != 0)
        {
            wrong++;
        }

        if (oa_jws_header_cached(headers, &text, &again) != OA_AUTH_OK
            || again != h)
        {
            wrong++;
        }

        free(text.data);
    }

    ok(wrong == 0, "48 headers, each its own: %lu wrong",
       (unsigned long) wrong);

    /* the last 16 are all there */

    for (i = 0; i < OA_JWS_HEADERS; i++) {
        if (headers->entries[i].len == 0) {
            wrong++;
        }

        text.data = headers->entries[i].encoded;
        text.len = headers->entries[i].len;

        if (oa_jws_header_cached(headers, &text, &h) != OA_AUTH_OK
            || h != &headers->entries[i].header)
        {
            wrong++;
        }
    }

    ok(wrong == 0, "of them the last 16 are remembered: %lu wrong",
       (unsigned long) wrong);

    free(first.data);
    free(headers);
}


int
main(void)
{
    test_algs();
    test_split();
    test_header();
    test_encoding();
    test_cached();

    return done_testing();
}
