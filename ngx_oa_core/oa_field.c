
/*
 * HTTP fields.
 */


#include "oa_field.h"


#define oa_is_ows(c)  ((c) == ' ' || (c) == '\t')


static ngx_uint_t
oa_is_tchar(u_char c)
{
    return c > 0x20 && c < 0x7f && strchr("\"(),/:;<=>?@[\\]{}", c) == NULL;
}


ngx_uint_t
oa_is_token(const ngx_str_t *s)
{
    size_t  i;

    for (i = 0; i < s->len; i++) {
        if (!oa_is_tchar(s->data[i])) {
            return 0;
        }
    }

    return s->len != 0;
}


ngx_uint_t
oa_is_token_list(const ngx_str_t *s)
{
    size_t  i;

    for (i = 0; i < s->len; i++) {
        if (!oa_is_tchar(s->data[i]) && s->data[i] != ','
            && !oa_is_ows(s->data[i]))
        {
            return 0;
        }
    }

    return 1;
}


ngx_int_t
oa_field_bearer(const ngx_str_t *value, ngx_str_t *token)
{
    u_char  *p, *last;

    p = value->data;
    last = p + value->len;

    if (value->len < 6
        || ngx_strncasecmp(p, (u_char *) "bearer", 6) != 0
        || (value->len > 6 && !oa_is_ows(p[6])))
    {
        return NGX_DECLINED;
    }

    for (p += 6; p < last && oa_is_ows(*p); p++) { /* void */ }
    for ( /* void */ ; last > p && oa_is_ows(last[-1]); last--) { /* void */ }

    token->data = p;
    token->len = last - p;

    return NGX_OK;
}


ngx_uint_t
oa_field_has(const ngx_str_t *value, const ngx_str_t *member)
{
    u_char  *p, *end, *last, *stop;

    p = value->data;
    last = p + value->len;

    while (p < last) {
        end = ngx_strlchr(p, last, ',');
        if (end == NULL) {
            end = last;
        }

        /* a parameter is not part of the name */

        stop = ngx_strlchr(p, end, ';');
        if (stop == NULL) {
            stop = end;
        }

        while (p < stop && oa_is_ows(*p)) {
            p++;
        }

        while (stop > p && oa_is_ows(stop[-1])) {
            stop--;
        }

        if ((size_t) (stop - p) == member->len
            && ngx_strncasecmp(p, member->data, member->len) == 0)
        {
            return 1;
        }

        p = end + 1;
    }

    return 0;
}
