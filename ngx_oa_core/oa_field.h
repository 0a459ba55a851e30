
/*
 * HTTP fields (RFC 9110, 5).
 *
 * Pure: bytes in, verdict out.
 */


#ifndef _OA_FIELD_H_INCLUDED_
#define _OA_FIELD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* Is it a token (RFC 9110, 5.6.2), such as the name of a field or cookie? */
ngx_uint_t oa_is_token(const ngx_str_t *s);

/* Is it a list of tokens, commas and white space, and nothing else? */
ngx_uint_t oa_is_token_list(const ngx_str_t *s);

/*
 * The credentials of an Authorization field whose scheme is "Bearer", in any
 * case (RFC 6750, 2.1).  NGX_DECLINED: another scheme.
 */
ngx_int_t oa_field_bearer(const ngx_str_t *value, ngx_str_t *token);

/* Does a list, like that of Connection or Accept, name this, in any case? */
ngx_uint_t oa_field_has(const ngx_str_t *value, const ngx_str_t *member);


#endif /* _OA_FIELD_H_INCLUDED_ */
