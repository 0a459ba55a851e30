
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_protocol.h"


static ngx_int_t oa_protocol_next(const ngx_str_t *protocols,
    const u_char **p, ngx_str_t *member);
static ngx_uint_t oa_protocol_is_bearer(const ngx_str_t *member);
static ngx_uint_t oa_protocol_is_jwt(const ngx_str_t *member);


ngx_int_t
oa_protocol_token(const ngx_str_t *protocols, ngx_str_t *token)
{
    ngx_str_t      member;
    ngx_uint_t     bearers;
    const u_char  *p;

    bearers = 0;
    ngx_str_null(token);
    p = protocols->data;

    while (oa_protocol_next(protocols, &p, &member) == NGX_OK) {

        if (oa_protocol_is_bearer(&member)) {
            bearers++;

        } else if (bearers && token->len == 0) {
            *token = member;
        }
    }

    if (bearers == 0) {
        return NGX_DECLINED;
    }

    return (bearers == 1 && token->len) ? NGX_OK : NGX_ERROR;
}


u_char *
oa_protocol_strip(u_char *dst, const ngx_str_t *protocols)
{
    u_char        *start;
    ngx_str_t      member;
    ngx_uint_t     bearer, behind;
    const u_char  *p;

    start = dst;
    behind = 0;
    p = protocols->data;

    while (oa_protocol_next(protocols, &p, &member) == NGX_OK) {

        bearer = oa_protocol_is_bearer(&member);

        if (behind || oa_protocol_is_jwt(&member)) {
            behind = (behind && bearer);
            continue;
        }

        behind = bearer;

        if (dst != start) {
            *dst++ = ',';

            if (member.data[-1] == ' ') {
                *dst++ = ' ';
            }
        }

        dst = ngx_movemem(dst, member.data, member.len);
    }

    return dst;
}


/* The next member of a list (RFC 9110, 5.6.1) that is not empty. */

static ngx_int_t
oa_protocol_next(const ngx_str_t *protocols, const u_char **p,
    ngx_str_t *member)
{
    const u_char  *start, *end, *last;

    start = *p;

    if (protocols->len == 0) {
        return NGX_DONE;
    }

    last = protocols->data + protocols->len;

    while (start < last
           && (*start == ',' || *start == ' ' || *start == '\t'))
    {
        start++;
    }

    if (start == last) {
        return NGX_DONE;
    }

    end = memchr(start, ',', last - start);

    if (end == NULL) {
        end = last;
    }

    *p = end;

    while (end[-1] == ' ' || end[-1] == '\t') {
        end--;
    }

    member->len = end - start;
    member->data = (u_char *) start;

    return NGX_OK;
}


static ngx_uint_t
oa_protocol_is_bearer(const ngx_str_t *member)
{
    return member->len == 6
           && ngx_strncasecmp(member->data, (u_char *) "bearer", 6) == 0;
}


/*
 * Two dots, and a beginning that "{" has in base64url: no name of a protocol
 * has both.
 */

static ngx_uint_t
oa_protocol_is_jwt(const ngx_str_t *member)
{
    u_char         c;
    const u_char  *dot, *last;

    if (member->len < 2 || member->data[0] != 'e') {
        return 0;
    }

    /* the second sextet of "{" and of any byte behind it: 48 to 63 */

    c = member->data[1];

    if (!((c >= 'w' && c <= 'z') || (c >= '0' && c <= '9')
          || c == '-' || c == '_'))
    {
        return 0;
    }

    last = member->data + member->len;
    dot = memchr(member->data, '.', member->len);

    return dot && memchr(dot + 1, '.', last - dot - 1) != NULL;
}
