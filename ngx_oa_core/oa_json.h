
/*
 * JSON, written.
 *
 * Pure: bytes in, bytes out; no request, no event loop, no allocation.
 */


#ifndef _OA_JSON_H_INCLUDED_
#define _OA_JSON_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * What stands between the quotes of a JSON string (RFC 8259, 7), of arbitrary
 * bytes: '"' and '\' behind a backslash, controls as \u00XX, and what is not
 * UTF-8 as U+FFFD, one for each longest part of a character that was begun.
 */
size_t oa_json_escape_size(const ngx_str_t *s);

/* Writes exactly that many bytes to p and returns their end. */
u_char *oa_json_escape(u_char *p, const ngx_str_t *s);

/*
 * Bytes of the character at p, before last, which is not ASCII.  Where it is
 * broken, *valid is 0, and it is those that could have begun one (Unicode 15,
 * table 3-7), at least one.
 */
size_t oa_json_utf8(const u_char *p, const u_char *last, ngx_uint_t *valid);


#endif /* _OA_JSON_H_INCLUDED_ */
