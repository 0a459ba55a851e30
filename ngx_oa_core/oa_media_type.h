
/*
 * Media types (RFC 9110, 8.3.1).
 *
 * Pure: bytes in, verdict out.
 */


#ifndef _OA_MEDIA_TYPE_H_INCLUDED_
#define _OA_MEDIA_TYPE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Does a Content-Type name this type, in any case and with whatever
 * parameters?  type is lower case, "application/json".
 */
ngx_uint_t oa_media_type_is(const ngx_str_t *content_type,
    const ngx_str_t *type);


#endif /* _OA_MEDIA_TYPE_H_INCLUDED_ */
