
/*
 * DNS labels, of which hosts, apps and machines are named.
 *
 * Pure: bytes in, verdict out.
 */


#ifndef _OA_LABEL_H_INCLUDED_
#define _OA_LABEL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define OA_LABEL_MAX  63

/* A DNS label in lower case: [a-z0-9]([a-z0-9-]{0,61}[a-z0-9])? */
ngx_uint_t oa_is_label(const u_char *p, size_t len);


#endif /* _OA_LABEL_H_INCLUDED_ */
