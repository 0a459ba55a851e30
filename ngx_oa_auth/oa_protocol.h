
/*
 * A token among WebSocket subprotocols (RFC 6455, 11.3.4): a page cannot give
 * a WebSocket other headers, so it offers "bearer, TOKEN".
 *
 * Pure: bytes in, bytes out; no request, no event loop, no allocation.
 */


#ifndef _OA_PROTOCOL_H_INCLUDED_
#define _OA_PROTOCOL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * The token in Sec-WebSocket-Protocol: the member behind "bearer", which is
 * compared without case; empty members are none.  NGX_DECLINED: there is no
 * "bearer"; NGX_ERROR: it is the last one, or is there twice.
 */
ngx_int_t oa_protocol_token(const ngx_str_t *protocols, ngx_str_t *token);

/*
 * Copies the header without the member behind any "bearer", and without
 * whatever looks like a JWT; returns the end of what was written.  "bearer"
 * stays, since the server must choose from what the page offered.  dst may be
 * protocols->data.
 */
u_char *oa_protocol_strip(u_char *dst, const ngx_str_t *protocols);


#endif /* _OA_PROTOCOL_H_INCLUDED_ */
