
/*
 * Origins (RFC 6454): whose page makes a request.
 *
 * Pure: bytes in, verdict out; no request, no event loop, no allocation.
 */


#ifndef _OA_ORIGIN_H_INCLUDED_
#define _OA_ORIGIN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Is Origin "scheme://host[:port]" that of this host, or one of others (which
 * oa_is_origin() took)?  Of this host: the same name, without case, over
 * https, or over http where secure is 0, and the same port, a default port
 * being none.  "null" is nobody's.
 */
ngx_uint_t oa_origin_is(const ngx_str_t *origin, const ngx_str_t *host,
    ngx_uint_t secure, const ngx_str_t *others, ngx_uint_t n);

/*
 * Is it an origin as a browser sends it: all in lower case, no path, no "/" at
 * the end, no default port?  Schemes other than http and https are those of
 * apps and extensions.
 */
ngx_uint_t oa_is_origin(const ngx_str_t *origin);


#endif /* _OA_ORIGIN_H_INCLUDED_ */
