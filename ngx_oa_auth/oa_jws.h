
/*
 * JSON Web Signature, compact serialization (RFC 7515), as far as it comes
 * before any key: segments, and the protected header.
 *
 * Pure: bytes in, struct out; no request, no event loop.
 */


#ifndef _OA_JWS_H_INCLUDED_
#define _OA_JWS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "oa_auth_error.h"


#define OA_JWS_MAX         8192        /* bytes of a token */
#define OA_JWS_HEADER_MAX  1024        /* bytes of its encoded header */
#define OA_JWS_KID_MAX     256


/* RFC 7518, 3.1; RFC 8037, 3.1 */
typedef enum {
    OA_ALG_NONE = 0,
    OA_ALG_HS256,
    OA_ALG_RS256,
    OA_ALG_RS384,
    OA_ALG_RS512,
    OA_ALG_PS256,
    OA_ALG_PS384,
    OA_ALG_PS512,
    OA_ALG_ES256,
    OA_ALG_ES384,
    OA_ALG_ES512,
    OA_ALG_EDDSA,
    OA_ALGS
} oa_alg_e;

/* By the exact name, or OA_ALG_NONE; and back. */
oa_alg_e oa_alg(const u_char *name, size_t len);
const ngx_str_t *oa_alg_name(oa_alg_e alg);


/* All point into the token, still encoded. */
typedef struct {
    ngx_str_t            header;
    ngx_str_t            payload;
    ngx_str_t            signature;
    ngx_str_t            input;        /* "header.payload": what is signed */
} oa_jws_t;

/*
 * Splits a token into exactly three segments.  NGX_ERROR when there are more
 * or less, the header or the signature is empty, the token is over OA_JWS_MAX
 * or its header over OA_JWS_HEADER_MAX; the segments' characters are for
 * their decoders.  An empty payload can be signed: it is no claims.
 */
ngx_int_t oa_jws_split(const ngx_str_t *token, oa_jws_t *jws);


typedef struct {
    oa_alg_e             alg;          /* OA_ALG_NONE: none that we know */
    unsigned             has_kid:1;
    size_t               kid_len;
    u_char               kid[OA_JWS_KID_MAX];
} oa_jws_header_t;

/*
 * Reads the protected header.  OA_AUTH_OK; OA_AUTH_ALGORITHM where "alg" is
 * missing or none that we know ("none" in any case); OA_AUTH_MALFORMED where
 * it is no canonical base64url of a JSON object without duplicate names, "alg"
 * or "kid" is no string, kid is over OA_JWS_KID_MAX or holds a NUL, "typ" is
 * there but not the name of a JWT ("JWT", "at+jwt", with or without
 * "application/", in any case), or it has "crit" or "b64" (RFC 7797), whatever
 * their values.  "jwk", "jku", "x5u" and "x5c" are not looked at.
 */
oa_auth_error_e oa_jws_header(const ngx_str_t *encoded, oa_jws_header_t *h);


/*
 * Headers are few, and the same for all tokens of a key: those that were good
 * are remembered by their bytes, for each worker, the last so many.  Zeroed
 * memory is an empty one.  *h is valid until the next call.
 */
#define OA_JWS_HEADERS  16

typedef struct {
    size_t                  len;
    u_char                  encoded[OA_JWS_HEADER_MAX];
    oa_jws_header_t         header;
} oa_jws_header_entry_t;

typedef struct {
    oa_jws_header_entry_t   entries[OA_JWS_HEADERS];
    ngx_uint_t              next;      /* of a ring */
    oa_jws_header_t         scratch;
} oa_jws_headers_t;

oa_auth_error_e oa_jws_header_cached(oa_jws_headers_t *headers,
    const ngx_str_t *encoded, const oa_jws_header_t **h);


#endif /* _OA_JWS_H_INCLUDED_ */
