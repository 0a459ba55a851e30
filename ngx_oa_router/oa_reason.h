
/*
 * What another server says about a failure, fit to be kept, logged and shown.
 *
 * Pure: bytes in, bytes out; no request, no event loop, no allocation.
 */


#ifndef _OA_REASON_H_INCLUDED_
#define _OA_REASON_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define OA_REASON_MAX     256          /* bytes that are kept */
#define OA_REASON_SECRET  24           /* bytes of a word that may be one */

typedef struct {
    size_t               len;
    u_char               data[OA_REASON_MAX];
} oa_reason_t;

/*
 * Keeps the beginning of a text as UTF-8, cut between characters; controls,
 * white space and what is not UTF-8 become one space.  An answer may quote the
 * request, and so a token: each word of OA_REASON_SECRET or more of
 * [A-Za-z0-9_+/=.~-] becomes "***".  Nothing is left out, for that could make
 * one word of two.
 */
void oa_reason(oa_reason_t *reason, const ngx_str_t *text);


#endif /* _OA_REASON_H_INCLUDED_ */
