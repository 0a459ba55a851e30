
/*
 * Cookies (RFC 6265) as Supabase writes them.
 *
 * The token is read as @supabase/ssr reads it, and no more leniently; it is
 * taken out wherever any server might find it, and so more eagerly.
 *
 * Pure: bytes in, bytes out; no request, no event loop, and no allocation but
 * that of jansson, for a session that does not begin with its token.
 */


#ifndef _OA_COOKIE_H_INCLUDED_
#define _OA_COOKIE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* Of a value, all chunks together; and so the size of a buffer. */
#define OA_COOKIE_MAX     32768
#define OA_COOKIE_CHUNKS  16

/* Bytes of oa_cookie_name(): "sb-", a label, "-auth-token" */
#define OA_COOKIE_NAME    (3 + 63 + 11)


/*
 * The access token in the cookie "name", or in its chunks name.0, name.1 ...,
 * as @supabase/ssr reads them: the whole one if it is there and not empty,
 * else the chunks up to the first that is missing or empty.  Each is
 * percent-decoded, if it can be, and joined to what is one of:
 *
 *     "base64-" and base64url of JSON; white space and "=" are passed over
 *     JSON, an object with "access_token", or an array that begins with it
 *     the bare token: anything else
 *
 * JSON that begins with the token is not looked at further than to the quote
 * that ends it: a signature will tell.
 *
 * cookies are the values of all Cookie headers.  buf has OA_COOKIE_MAX bytes;
 * token points there.  NGX_DECLINED: there is no such cookie.  NGX_ERROR: of
 * those that count, two have one name and different values; too large; or no
 * token in it.
 */
ngx_int_t oa_cookie_token(const ngx_str_t *cookies, ngx_uint_t n,
    const ngx_str_t *name, u_char *buf, ngx_str_t *token);

/*
 * Copies a Cookie header to dst without the cookies of these names and their
 * chunks, and returns the end of what was written; nothing is left of a header
 * that had no others.  Names are compared without case and may be
 * percent-encoded.  Where a server might see such a cookie begin inside of
 * another one's value, behind a comma, white space, a quote or whatever no
 * name has, that value is cut.  dst may be cookie->data.
 */
u_char *oa_cookie_strip(u_char *dst, const ngx_str_t *cookie,
    const ngx_str_t *names, ngx_uint_t n);

/*
 * The name of the cookie of a Supabase project: "sb-" first label of the
 * host of its URL "-auth-token", in lower case.  Writes at most OA_COOKIE_NAME
 * bytes and returns their end, or NULL when url is no http(s) URL with a host
 * name or an IPv4 address.
 */
u_char *oa_cookie_name(u_char *p, const ngx_str_t *url);


#endif /* _OA_COOKIE_H_INCLUDED_ */
