
/*
 * What a login page hands over to begin a session: an access token, and where
 * to go then.
 *
 * Pure: bytes in, bytes out; no request, no event loop.
 */


#ifndef _OA_HANDOVER_H_INCLUDED_
#define _OA_HANDOVER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define OA_HANDOVER_MAX     16384      /* bytes of a body */
#define OA_HANDOVER_COOKIE  4000       /* of name and token: browsers keep
                                          4096 with the attributes */


typedef struct {
    ngx_str_t            token;        /* empty: none */
    ngx_str_t            next;         /* a path of this host; empty: none */
    unsigned             form:1;       /* a browser shows what is answered */
} oa_handover_t;

/*
 * Reads a body of application/x-www-form-urlencoded or application/json
 * ("access_token", "next").  buf has twice body->len bytes; the strings point
 * there or into body.  NGX_DECLINED: another type.  NGX_ERROR: no such form or
 * object, or "next" that leads to another host.
 */
ngx_int_t oa_handover_parse(const ngx_str_t *type, const ngx_str_t *body,
    u_char *buf, oa_handover_t *handover);

/*
 * Is it a path of the host that it is read on?  Browsers take "//host",
 * "/\host" and tabs in between for other hosts.
 */
ngx_uint_t oa_handover_is_path(const ngx_str_t *path);

/*
 * The value of Set-Cookie (RFC 6265bis) for a host-only cookie, which lives
 * for max_age seconds; 0 takes it away.  Writes at most
 * oa_handover_cookie_size() bytes and returns their end.
 */
size_t oa_handover_cookie_size(const ngx_str_t *name, const ngx_str_t *token);
u_char *oa_handover_cookie(u_char *p, const ngx_str_t *name,
    const ngx_str_t *token, time_t max_age);


#endif /* _OA_HANDOVER_H_INCLUDED_ */
