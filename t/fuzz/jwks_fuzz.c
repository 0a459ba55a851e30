
/*
 * oa_jwks_parse(), and what can be done with the keys it takes.  Numbers that
 * make a key are longer than a fuzzer finds: a control byte, which JSON has
 * none of, stands for each.
 */


#include "fuzz.h"
#include <openssl/err.h>
#include "oa_base64url.h"
#include "oa_jwk.h"
#include "jws_examples.h"


static const char * const  pieces[] = {
    "",
    A2_N,
    C_N,
    A3_X,
    A3_Y,
    A4_X,
    A4_Y,
    ED_X,
    "\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"" A2_N "\"",
    NULL,                              /* a tab, a newline */
    NULL,
    "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" A3_X "\",\"y\":\"" A3_Y "\"",
    "\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\"" A4_X "\",\"y\":\"" A4_Y "\"",
    NULL,                              /* a carriage return */
    "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" ED_X "\"",
    "{\"keys\":[{"
};


static size_t
expand(u_char *dst, size_t size, const uint8_t *data, size_t len)
{
    u_char      *p;
    size_t       i;
    const char  *piece;

    p = dst;

    for (i = 0; i < len; i++) {
        piece = NULL;

        if (data[i] < sizeof(pieces) / sizeof(pieces[0])) {
            piece = pieces[data[i]];
        }

        if ((size_t) (p - dst) + (piece ? strlen(piece) : 1) > size) {
            break;
        }

        if (piece) {
            p = ngx_cpymem(p, piece, strlen(piece));

        } else {
            *p++ = data[i];
        }
    }

    return p - dst;
}


static void
skipped(void *data, const ngx_str_t *kid, const char *why)
{
    ngx_uint_t  *n = data;

    must(kid->len <= OA_JWS_KID_MAX);
    must(why != NULL && why[0] != '\0');

    (*n)++;
}


static void
check_key(oa_jwks_t *set, oa_jwk_t *key, const ngx_str_t *input)
{
    u_char            zeros[1024];
    size_t            size;
    ngx_int_t         rc;
    oa_jwk_t         *found;
    ngx_str_t         signature;
    ngx_uint_t        alg, fits;
    const u_char     *print;
    oa_auth_error_e   error;
    oa_jws_header_t   h;

    static const size_t  sizes[] = { 32, 64, 96, 114, 132, 256 };

    print = oa_jwk_print(key);
    found = oa_jwks_find_print(set, print);
    must(found != NULL);
    must(memcmp(oa_jwk_print(found), print, OA_JWK_PRINT) == 0);

    memset(zeros, 0x5a, sizeof(zeros));
    memset(&h, 0, sizeof(h));
    fits = 0;

    for (alg = 0; alg < OA_ALGS; alg++) {
        h.alg = (oa_alg_e) alg;

        /* by its kid: itself or nothing */

        h.kid_len = oa_jwk_kid(key)->len;
        h.has_kid = (h.kid_len != 0);

        if (h.has_kid) {
            ngx_memcpy(h.kid, oa_jwk_kid(key)->data, h.kid_len);
            error = oa_jwks_find(set, &h, &found);

            must(error == OA_AUTH_OK || error == OA_AUTH_ALGORITHM);
            must(found == key);
            fits += (error == OA_AUTH_OK);
        }

        h.has_kid = 0;
        h.kid_len = 0;
        (void) oa_jwks_find(set, &h, &found);

        for (size = 0; size < sizeof(sizes) / sizeof(sizes[0]); size++) {
            signature.data = fuzz_alloc(oa_base64url_encoded(sizes[size]));
            signature.len = oa_base64url_encode(signature.data, zeros,
                                                sizes[size])
                            - signature.data;

            rc = oa_jwk_verify(key, (oa_alg_e) alg, input, &signature);
            must(rc == NGX_DECLINED);
            must(ERR_peek_error() == 0);

            free(signature.data);
        }
    }

    must(oa_jwk_kid(key)->len == 0 || fits == 1 || fits == 6);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char       buf[8192], *json;
    size_t       len;
    ngx_int_t    rc;
    oa_jwks_t   *set;
    ngx_str_t    input;
    ngx_uint_t   i, n;
    const char  *why;

    if (size > 4096) {
        return 0;
    }

    len = expand(buf, sizeof(buf), data, size);
    json = fuzz_copy(buf, len);

    n = 0;
    why = NULL;
    set = (void *) -1;

    rc = oa_jwks_parse(json, len, &set, skipped, &n, &why);

    free(json);
    must(ERR_peek_error() == 0);

    if (rc != NGX_OK) {
        must(rc == NGX_ERROR);
        must(set == NULL);
        must(why != NULL);
        return 0;
    }

    must(set->nkeys + n <= OA_JWKS_KEYS);

    input.data = (u_char *) data;
    input.len = size;

    for (i = 0; i < set->nkeys && i < 3; i++) {
        check_key(set, set->keys[i], &input);
    }

    oa_jwks_free(set);

    return 0;
}
