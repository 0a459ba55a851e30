
/*
 * Which of two media types an Accept header prefers (RFC 9110, 12.5.1).
 *
 * Pure: bytes in, verdict out.
 */


#ifndef _OA_ACCEPT_H_INCLUDED_
#define _OA_ACCEPT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Is a page wanted rather than JSON?  Only where "text/html" is named with a
 * weight above zero and not below that of "application/json" or
 * "application/problem+json": wildcards are for clients that do not care.
 */
ngx_uint_t oa_accept_html(const ngx_str_t *accept);


#endif /* _OA_ACCEPT_H_INCLUDED_ */
