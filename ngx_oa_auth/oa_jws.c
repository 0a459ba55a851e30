
#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include "oa_base64url.h"
#include "oa_jws.h"


static oa_auth_error_e oa_jws_header_json(const json_t *object,
    oa_jws_header_t *h);
static ngx_uint_t oa_jws_is_jwt(const json_t *typ);


static const ngx_str_t  oa_alg_names[OA_ALGS] = {
    ngx_null_string,
    ngx_string("HS256"),
    ngx_string("RS256"),
    ngx_string("RS384"),
    ngx_string("RS512"),
    ngx_string("PS256"),
    ngx_string("PS384"),
    ngx_string("PS512"),
    ngx_string("ES256"),
    ngx_string("ES384"),
    ngx_string("ES512"),
    ngx_string("EdDSA")
};


/* RFC 7519, 5.1; RFC 9068, 2.1 */

static const ngx_str_t  oa_jws_types[] = {
    ngx_string("jwt"),
    ngx_string("at+jwt"),
    ngx_string("application/jwt"),
    ngx_string("application/at+jwt")
};


/* What would change how the rest is to be read. */

static const char * const  oa_jws_refused[] = { "crit", "b64" };


oa_alg_e
oa_alg(const u_char *name, size_t len)
{
    ngx_uint_t  alg;

    for (alg = OA_ALG_NONE + 1; alg < OA_ALGS; alg++) {
        if (oa_alg_names[alg].len == len
            && ngx_memcmp(oa_alg_names[alg].data, name, len) == 0)
        {
            return (oa_alg_e) alg;
        }
    }

    return OA_ALG_NONE;
}


const ngx_str_t *
oa_alg_name(oa_alg_e alg)
{
    return &oa_alg_names[alg];
}


ngx_int_t
oa_jws_split(const ngx_str_t *token, oa_jws_t *jws)
{
    u_char  *p, *end, *first, *second;

    if (token->len == 0 || token->len > OA_JWS_MAX) {
        return NGX_ERROR;
    }

    p = token->data;
    end = p + token->len;

    first = memchr(p, '.', end - p);
    if (first == NULL) {
        return NGX_ERROR;
    }

    second = memchr(first + 1, '.', end - (first + 1));
    if (second == NULL) {
        return NGX_ERROR;
    }

    if (memchr(second + 1, '.', end - (second + 1))) {
        return NGX_ERROR;
    }

    jws->header.data = p;
    jws->header.len = first - p;

    jws->payload.data = first + 1;
    jws->payload.len = second - (first + 1);

    jws->signature.data = second + 1;
    jws->signature.len = end - (second + 1);

    jws->input.data = p;
    jws->input.len = second - p;

    /* an empty payload is for whoever has verified it: it is no JSON */

    if (jws->header.len == 0
        || jws->header.len > OA_JWS_HEADER_MAX
        || jws->signature.len == 0)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


oa_auth_error_e
oa_jws_header(const ngx_str_t *encoded, oa_jws_header_t *h)
{
    size_t            len;
    u_char            buf[oa_base64url_decoded(OA_JWS_HEADER_MAX)];
    json_t           *object;
    json_error_t      json_error;
    oa_auth_error_e   error;

    h->alg = OA_ALG_NONE;
    h->has_kid = 0;
    h->kid_len = 0;

    if (encoded->len == 0
        || encoded->len > OA_JWS_HEADER_MAX
        || oa_base64url_decode(buf, encoded->data, encoded->len) != NGX_OK)
    {
        return OA_AUTH_MALFORMED;
    }

    len = oa_base64url_decoded(encoded->len);

    object = json_loadb((char *) buf, len, JSON_REJECT_DUPLICATES,
                        &json_error);
    if (object == NULL) {
        return OA_AUTH_MALFORMED;
    }

    error = OA_AUTH_MALFORMED;

    if (json_is_object(object)) {
        error = oa_jws_header_json(object, h);
    }

    json_decref(object);

    return error;
}


static oa_auth_error_e
oa_jws_header_json(const json_t *object, oa_jws_header_t *h)
{
    json_t      *alg, *kid, *typ;
    ngx_uint_t   i;

    for (i = 0; i < sizeof(oa_jws_refused) / sizeof(oa_jws_refused[0]); i++) {
        if (json_object_get(object, oa_jws_refused[i])) {
            return OA_AUTH_MALFORMED;
        }
    }

    typ = json_object_get(object, "typ");

    if (typ && !oa_jws_is_jwt(typ)) {
        return OA_AUTH_MALFORMED;
    }

    kid = json_object_get(object, "kid");

    if (kid) {

        /* jansson lets no NUL pass */

        if (!json_is_string(kid)
            || json_string_length(kid) > OA_JWS_KID_MAX)
        {
            return OA_AUTH_MALFORMED;
        }

        h->has_kid = 1;
        h->kid_len = json_string_length(kid);
        ngx_memcpy(h->kid, json_string_value(kid), h->kid_len);
    }

    alg = json_object_get(object, "alg");

    if (alg) {
        if (!json_is_string(alg)) {
            return OA_AUTH_MALFORMED;
        }

        h->alg = oa_alg((u_char *) json_string_value(alg),
                        json_string_length(alg));
    }

    return (h->alg == OA_ALG_NONE) ? OA_AUTH_ALGORITHM : OA_AUTH_OK;
}


static ngx_uint_t
oa_jws_is_jwt(const json_t *typ)
{
    size_t       len;
    u_char      *name;
    ngx_uint_t   i;

    if (!json_is_string(typ)) {
        return 0;
    }

    name = (u_char *) json_string_value(typ);
    len = json_string_length(typ);

    for (i = 0; i < sizeof(oa_jws_types) / sizeof(oa_jws_types[0]); i++) {
        if (oa_jws_types[i].len == len
            && ngx_strncasecmp(oa_jws_types[i].data, name, len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


oa_auth_error_e
oa_jws_header_cached(oa_jws_headers_t *headers, const ngx_str_t *encoded,
    const oa_jws_header_t **h)
{
    ngx_uint_t              i;
    oa_auth_error_e         error;
    oa_jws_header_entry_t  *e;

    for (i = 0; i < OA_JWS_HEADERS; i++) {
        e = &headers->entries[i];

        if (e->len == 0) {
            break;
        }

        if (e->len == encoded->len
            && ngx_memcmp(e->encoded, encoded->data, encoded->len) == 0)
        {
            *h = &e->header;
            return OA_AUTH_OK;
        }
    }

    *h = &headers->scratch;

    error = oa_jws_header(encoded, &headers->scratch);
    if (error != OA_AUTH_OK) {
        return error;
    }

    /* the oldest goes */

    e = &headers->entries[headers->next++ % OA_JWS_HEADERS];

    e->len = encoded->len;
    ngx_memcpy(e->encoded, encoded->data, encoded->len);
    e->header = headers->scratch;

    *h = &e->header;

    return OA_AUTH_OK;
}
