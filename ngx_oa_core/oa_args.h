
/*
 * The arguments of a URL, what stands behind "?", as far as one of them is a
 * token (RFC 6750, 2.3).
 *
 * A token is read from an argument whose name is exactly right, and taken out
 * or masked wherever somebody more lenient could read one: without case.
 * Names may be percent-encoded.
 *
 * Pure: bytes in, bytes out; no request, no event loop, no allocation.
 */


#ifndef _OA_ARGS_H_INCLUDED_
#define _OA_ARGS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* "access_token" */
extern const ngx_str_t  oa_args_token;


/*
 * The value of an argument, percent-decoded ("+" stays what it is).  buf, of
 * args->len bytes, is used where there is something to decode; else value
 * points into args.  NGX_DECLINED: there is no such argument.  NGX_ERROR: it
 * is there with different values, or one that is badly encoded.
 */
ngx_int_t oa_args_find(const ngx_str_t *args, const ngx_str_t *name,
    u_char *buf, ngx_str_t *value);

/*
 * Copies arguments to dst without those of these names; returns the end of
 * what was written, at most args->len bytes.  Order, other arguments and their
 * bytes are kept.  dst may be args->data.
 */
u_char *oa_args_strip(u_char *dst, const ngx_str_t *args,
    const ngx_str_t *names, ngx_uint_t n);

/*
 * Copies arguments to dst with "***" for the value of those of these names,
 * and returns the end of what was written; with dst NULL only counts.  *size
 * is the number of bytes; size may be NULL.
 */
u_char *oa_args_mask(u_char *dst, const ngx_str_t *args,
    const ngx_str_t *names, ngx_uint_t n, size_t *size);

/*
 * Masks in place, wherever there are arguments of these names in a text, such
 * as a line of a log with a request line and other URLs in it; returns the
 * text's new end.  A value ends where "&", a quote, or white space is.
 */
u_char *oa_args_redact(u_char *p, u_char *last, const ngx_str_t *names,
    ngx_uint_t n);


#endif /* _OA_ARGS_H_INCLUDED_ */
