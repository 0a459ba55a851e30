
/*
 * Cookies (RFC 6265) as Supabase writes them, and whose pages may use them.
 *
 * Pure: bytes in, bytes out; no request, no event loop, no allocation.
 */


#ifndef _OA_COOKIE_H_INCLUDED_
#define _OA_COOKIE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* Of a value, all chunks together; and so the size of a buffer. */
#define OA_COOKIE_MAX     32768
#define OA_COOKIE_CHUNKS  16


/*
 * The access token in the cookie "name", or in its chunks name.0, name.1 ...,
 * as @supabase/ssr reads them: the whole one if it is there and not empty,
 * else the chunks up to the first that is missing or empty.  The value is
 * "base64-" and base64url of JSON, or percent-encoded or bare JSON, an object
 * with "access_token" or an array that begins with it, or the bare token.
 *
 * cookies are the values of all Cookie headers.  buf has OA_COOKIE_MAX bytes;
 * token points there.  NGX_DECLINED: there is no such cookie.  NGX_ERROR: two
 * of one name with different values, too large, or no token in it.
 */
ngx_int_t oa_cookie_token(const ngx_str_t *cookies, ngx_uint_t n,
    const ngx_str_t *name, u_char *buf, ngx_str_t *token);

/*
 * Copies a Cookie header to dst without the cookies of these names and their
 * chunks, and returns the end of what was written; nothing is left of a header
 * that had no others.  What is no cookie pair goes too where it could be read
 * as one of them.  dst may be cookie->data.
 */
u_char *oa_cookie_strip(u_char *dst, const ngx_str_t *cookie,
    const ngx_str_t *names, ngx_uint_t n);

/*
 * The name of the cookie of a Supabase project: "sb-" first label of the
 * host of its URL "-auth-token".  Writes at most 3 + 63 + 11 bytes and
 * returns their end, or NULL when url is no http(s) URL with a host name.
 */
u_char *oa_cookie_name(u_char *p, const ngx_str_t *url);


/*
 * Is Origin "scheme://host[:port]" that of this host, or one of others (which
 * are lower case)?  Of this host: the same name, without case, over https, or
 * over http where secure is 0, and the same port, a default port being none.
 * "null" is nobody's.
 */
ngx_uint_t oa_origin_is(const ngx_str_t *origin, const ngx_str_t *host,
    ngx_uint_t secure, const ngx_str_t *others, ngx_uint_t n);

/* Is it an origin as a browser sends it, in lower case? */
ngx_uint_t oa_is_origin(const ngx_str_t *origin);


/*
 * The token in Sec-WebSocket-Protocol "bearer, TOKEN": the member behind
 * "bearer", which is compared without case.  NGX_DECLINED: none; NGX_ERROR:
 * "bearer" is the last one, or is there twice.
 */
ngx_int_t oa_protocol_token(const ngx_str_t *protocols, ngx_str_t *token);

/* Copies the header without the token; returns the end. */
u_char *oa_protocol_strip(u_char *dst, const ngx_str_t *protocols);


#endif /* _OA_COOKIE_H_INCLUDED_ */
