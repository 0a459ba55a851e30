
/*
 * Why a token was refused: the values of $oa_auth_error.
 */


#ifndef _OA_AUTH_ERROR_H_INCLUDED_
#define _OA_AUTH_ERROR_H_INCLUDED_


typedef enum {
    OA_AUTH_OK = 0,
    OA_AUTH_MISSING,                   /* there is no token */
    OA_AUTH_MALFORMED,                 /* not three canonical segments, its
                                          header no JSON object or with
                                          "crit", two tokens at once ... */
    OA_AUTH_ALGORITHM,                 /* "alg" is not allowed, or not one
                                          of its key */
    OA_AUTH_KEY,                       /* no such key */
    OA_AUTH_SIGNATURE,
    OA_AUTH_PAYLOAD,                   /* signed, but no JSON object */
    OA_AUTH_EXPIRED,
    OA_AUTH_NOT_YET_VALID,
    OA_AUTH_ISSUER,
    OA_AUTH_AUDIENCE,
    OA_AUTH_CLAIM,                     /* another claim is missing or not of
                                          the kind that is accepted */
    OA_AUTH_REVOKED,
    OA_AUTH_KEYS_UNAVAILABLE,
    OA_AUTH_ERRORS
} oa_auth_error_e;


#endif /* _OA_AUTH_ERROR_H_INCLUDED_ */
