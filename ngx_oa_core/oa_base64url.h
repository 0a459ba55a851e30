
/*
 * base64url without padding (RFC 4648, 5; RFC 7515, 2).
 *
 * Pure: bytes in, bytes out; no request, no event loop, no allocation.
 */


#ifndef _OA_BASE64URL_H_INCLUDED_
#define _OA_BASE64URL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* Bytes that len characters decode to; characters that len bytes encode to. */
#define oa_base64url_decoded(len)  ((len) / 4 * 3 + (len) % 4 * 3 / 4)
#define oa_base64url_encoded(len)  ((len) / 3 * 4 + ((len) % 3 * 4 + 2) / 3)

/*
 * Decodes len characters into oa_base64url_decoded(len) bytes.  NGX_ERROR
 * unless they are the canonical form: no "=", no white space, no other
 * character, no length of 4n + 1, no spare bit that is not zero.  dst may be
 * src.
 */
ngx_int_t oa_base64url_decode(u_char *dst, const u_char *src, size_t len);

/* Encodes; returns the end of what was written. */
u_char *oa_base64url_encode(u_char *dst, const u_char *src, size_t len);


#endif /* _OA_BASE64URL_H_INCLUDED_ */
