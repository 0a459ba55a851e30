
/*
 * oa_base64url_decode() passes what oa_base64url_encode() writes and nothing
 * else.  A token that is split is whole again when joined.  oa_jws_header()
 * says of any JSON what jansson says, and a remembered header is no other.
 */


#include "fuzz.h"
#include <jansson.h>
#include "oa_base64url.h"
#include "oa_jws.h"


static oa_jws_headers_t  headers;


static void
check_base64url(const ngx_str_t *text)
{
    u_char     *p, *bytes, *again;
    size_t      len;
    ngx_int_t   rc;

    len = oa_base64url_decoded(text->len);
    bytes = fuzz_alloc(len);

    rc = oa_base64url_decode(bytes, text->data, text->len);

    if (rc == NGX_OK) {
        must(oa_base64url_encoded(len) == text->len);

        again = fuzz_alloc(text->len);
        p = oa_base64url_encode(again, bytes, len);

        must((size_t) (p - again) == text->len);
        must(text->len == 0 || memcmp(again, text->data, text->len) == 0);

        /* in its own place */

        must(oa_base64url_decode(again, again, text->len) == NGX_OK);
        must(len == 0 || memcmp(again, bytes, len) == 0);

        free(again);
    }

    free(bytes);
}


static void
check_split(const ngx_str_t *token)
{
    oa_jws_t  jws;

    if (oa_jws_split(token, &jws) != NGX_OK) {
        return;
    }

    must(token->len <= OA_JWS_MAX);
    must(jws.header.len && jws.signature.len);
    must(jws.header.len <= OA_JWS_HEADER_MAX);
    must(jws.header.data == token->data);
    must(jws.payload.data == jws.header.data + jws.header.len + 1);
    must(jws.signature.data == jws.payload.data + jws.payload.len + 1);
    must(jws.signature.data + jws.signature.len == token->data + token->len);
    must(jws.input.data == token->data);
    must(jws.input.len == jws.header.len + 1 + jws.payload.len);
    must(jws.payload.data[-1] == '.' && jws.signature.data[-1] == '.');
    must(memchr(jws.header.data, '.', jws.header.len) == NULL);
    must(memchr(jws.payload.data, '.', jws.payload.len) == NULL);
    must(memchr(jws.signature.data, '.', jws.signature.len) == NULL);
}


static oa_auth_error_e
check_header(const ngx_str_t *text)
{
    ngx_uint_t              i;
    oa_auth_error_e         error;
    oa_jws_header_t         plain;
    const oa_jws_header_t  *h;

    memset(&plain, 0xa5, sizeof(plain));
    error = oa_jws_header(text, &plain);

    must(error == OA_AUTH_OK || error == OA_AUTH_MALFORMED
         || error == OA_AUTH_ALGORITHM);
    must((error == OA_AUTH_OK) == (plain.alg != OA_ALG_NONE));
    must(plain.kid_len <= OA_JWS_KID_MAX);
    must(plain.has_kid || plain.kid_len == 0);
    must(memchr(plain.kid, '\0', plain.kid_len) == NULL);

    for (i = 0; i < 2; i++) {
        must(oa_jws_header_cached(&headers, text, &h) == error);
        must(h->alg == plain.alg && h->has_kid == plain.has_kid);
        must(h->kid_len == plain.kid_len);
        must(memcmp(h->kid, plain.kid, plain.kid_len) == 0);
    }

    return error;
}


static void
check_json(const uint8_t *data, size_t size)
{
    json_t           *root, *alg, *kid;
    u_char           *p;
    ngx_str_t         text;
    json_error_t      error;
    oa_auth_error_e   verdict;

    text.data = fuzz_alloc(oa_base64url_encoded(size));
    p = oa_base64url_encode(text.data, data, size);
    text.len = p - text.data;

    verdict = check_header(&text);

    root = json_loadb(size ? (const char *) data : "", size,
                      JSON_REJECT_DUPLICATES, &error);
    alg = json_object_get(root, "alg");
    kid = json_object_get(root, "kid");

    if (!json_is_object(root)
        || text.len > OA_JWS_HEADER_MAX
        || json_object_get(root, "crit")
        || json_object_get(root, "b64")
        || (alg && !json_is_string(alg))
        || (kid && !json_is_string(kid)))
    {
        must(verdict == OA_AUTH_MALFORMED);
    }

    if (verdict == OA_AUTH_OK) {
        must(strcmp(json_string_value(alg),
                    (char *) oa_alg_name(oa_alg(
                        (u_char *) json_string_value(alg),
                        json_string_length(alg)))->data) == 0);
    }

    json_decref(root);
    free(text.data);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t  text;

    if (size > OA_JWS_MAX + 16) {
        return 0;
    }

    text.len = size;
    text.data = fuzz_copy(data, size);

    check_base64url(&text);
    check_split(&text);
    (void) check_header(&text);
    check_json(data, size);

    free(text.data);

    return 0;
}
