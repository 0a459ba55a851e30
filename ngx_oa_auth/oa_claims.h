
/*
 * Claims (RFC 7519, 4): one pass over the payload of a token, which says
 * whether it is JSON at all and where the claims lie that everybody needs.
 *
 * Its verdict is jansson's with JSON_REJECT_DUPLICATES; jansson is not used
 * since it takes as long as all the rest beside the signature.
 *
 * Pure: bytes in, struct out; no request, no event loop, no allocation.
 */


#ifndef _OA_CLAIMS_H_INCLUDED_
#define _OA_CLAIMS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define OA_CLAIMS_MAX    6144          /* bytes: of a token of OA_JWS_MAX */
#define OA_CLAIMS_DEPTH  32            /* objects and arrays in each other */


typedef enum {
    OA_CLAIM_ABSENT = 0,
    OA_CLAIM_NULL,
    OA_CLAIM_FALSE,
    OA_CLAIM_TRUE,
    OA_CLAIM_NUMBER,
    OA_CLAIM_STRING,
    OA_CLAIM_ARRAY,
    OA_CLAIM_OBJECT
} oa_claim_type_e;

/* A value in its payload, into which raw points. */
typedef struct {
    oa_claim_type_e      type;
    ngx_str_t            raw;          /* of a string: what is between the
                                          quotes; else all of it */
    unsigned             escaped:1;    /* a string with a backslash */
} oa_claim_t;

typedef struct {
    oa_claim_t           iss;
    oa_claim_t           sub;
    oa_claim_t           aud;
    oa_claim_t           exp;
    oa_claim_t           nbf;
    oa_claim_t           iat;
    oa_claim_t           role;
    oa_claim_t           session_id;
    oa_claim_t           client_id;
    oa_claim_t           is_anonymous;
} oa_claims_t;

/*
 * Reads a payload.  NGX_ERROR, and nothing in claims, unless it is one JSON
 * object: UTF-8, no duplicate names at any depth (compared unescaped), numbers
 * that a double or, without fraction and exponent, 64 bits can hold, no
 * \u0000, no unpaired surrogate, nothing behind it, no deeper than
 * OA_CLAIMS_DEPTH, no longer than OA_CLAIMS_MAX.
 */
ngx_int_t oa_claims_scan(const u_char *json, size_t len, oa_claims_t *claims);

/*
 * The value at a path like "app_metadata.plan", names joined by dots; a dot or
 * backslash in a name stands behind a backslash.  Of an array, a number names
 * a member: "amr.0.method".  json was accepted by oa_claims_scan().  type is
 * OA_CLAIM_ABSENT when there is none, or the path is none: empty, or with
 * another backslash.
 */
void oa_claims_find(const u_char *json, size_t len, const ngx_str_t *path,
    oa_claim_t *claim);

/* Is it such a path?  Whether anything is there, only a payload says. */
ngx_uint_t oa_claims_is_path(const ngx_str_t *path);

/* The value of one name, unescaped, in an object; or OA_CLAIM_ABSENT. */
void oa_claim_member(const oa_claim_t *object, const ngx_str_t *name,
    oa_claim_t *member);

/*
 * A claim as text: a string unescaped, null and nothing as no bytes, the rest
 * as it stands.  buf, of raw.len bytes, is used where there is something to
 * unescape.
 */
void oa_claim_text(const oa_claim_t *claim, u_char *buf, ngx_str_t *text);

/*
 * Has a text no controls?  What a user may choose can have line ends, once
 * unescaped, and is no value for a header then.
 */
ngx_uint_t oa_claim_is_plain(const ngx_str_t *text);

/* Is it a string of exactly these bytes? */
ngx_uint_t oa_claim_is(const oa_claim_t *claim, const ngx_str_t *text);

/* A number; NGX_ERROR when it is none. */
ngx_int_t oa_claim_number(const oa_claim_t *claim, double *number);

/* The same of a text, which must be a number that oa_claims_scan() takes. */
ngx_int_t oa_claims_number(const ngx_str_t *text, double *number);

/*
 * The members of an array, one after the other: *p begins as NULL.
 * NGX_DONE behind the last one.
 */
ngx_int_t oa_claim_next(const oa_claim_t *array, const u_char **p,
    oa_claim_t *member);


#endif /* _OA_CLAIMS_H_INCLUDED_ */
