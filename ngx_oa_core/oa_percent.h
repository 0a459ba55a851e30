
/*
 * Percent-encoding (RFC 3986, 2.1).
 *
 * Pure: bytes in, bytes out; no request, no event loop, no allocation.
 */


#ifndef _OA_PERCENT_H_INCLUDED_
#define _OA_PERCENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Percent-encodes all but RFC 3986's unreserved characters and returns the
 * end of what was written; with dst NULL only counts.  *size is the number of
 * bytes; size may be NULL.
 */
u_char *oa_percent_encode(u_char *dst, const u_char *src, size_t len,
    size_t *size);

/*
 * Decodes len bytes into at most as many and returns their end.  NULL, with
 * dst in no certain state, where a "%" has no two hexadecimal digits behind
 * it.  dst may be src.
 */
u_char *oa_percent_decode(u_char *dst, const u_char *src, size_t len);

/*
 * Where name ends, if what begins at p is that name, as it is or with some of
 * it percent-encoded; else NULL.  With caseless, "A" is the same as "a".
 */
const u_char *oa_percent_match(const u_char *p, const u_char *last,
    const ngx_str_t *name, ngx_uint_t caseless);


#endif /* _OA_PERCENT_H_INCLUDED_ */
