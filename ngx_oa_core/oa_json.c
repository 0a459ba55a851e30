
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_json.h"


static const u_char  oa_json_replacement[] = { 0xef, 0xbf, 0xbd };


size_t
oa_json_escape_size(const ngx_str_t *s)
{
    size_t         n, size;
    ngx_uint_t     valid;
    const u_char  *p, *last;

    size = 0;

    if (s->len == 0) {
        return size;
    }

    p = s->data;
    last = p + s->len;

    while (p < last) {

        if (*p < 0x20) {
            size += sizeof("\\u0000") - 1;
            p++;
            continue;
        }

        if (*p < 0x80) {
            size += (*p == '"' || *p == '\\') ? 2 : 1;
            p++;
            continue;
        }

        n = oa_json_utf8(p, last, &valid);
        size += valid ? n : sizeof(oa_json_replacement);
        p += n;
    }

    return size;
}


u_char *
oa_json_escape(u_char *dst, const ngx_str_t *s)
{
    size_t         n;
    ngx_uint_t     valid;
    const u_char  *p, *last;

    static const u_char  hex[] = "0123456789abcdef";

    if (s->len == 0) {
        return dst;
    }

    p = s->data;
    last = p + s->len;

    while (p < last) {

        if (*p < 0x20) {
            dst = ngx_cpymem(dst, "\\u00", 4);
            *dst++ = hex[*p >> 4];
            *dst++ = hex[*p & 0xf];
            p++;
            continue;
        }

        if (*p < 0x80) {
            if (*p == '"' || *p == '\\') {
                *dst++ = '\\';
            }

            *dst++ = *p++;
            continue;
        }

        n = oa_json_utf8(p, last, &valid);

        if (valid) {
            dst = ngx_cpymem(dst, p, n);

        } else {
            dst = ngx_cpymem(dst, oa_json_replacement,
                             sizeof(oa_json_replacement));
        }

        p += n;
    }

    return dst;
}


size_t
oa_json_utf8(const u_char *p, const u_char *last, ngx_uint_t *valid)
{
    u_char  c, low, high;
    size_t  i, n;

    c = *p;
    low = 0x80;
    high = 0xbf;
    *valid = 0;

    if (c < 0xc2 || c > 0xf4) {
        return 1;
    }

    if (c < 0xe0) {
        n = 2;

    } else if (c < 0xf0) {
        n = 3;

        if (c == 0xe0) {
            low = 0xa0;                /* overlong */

        } else if (c == 0xed) {
            high = 0x9f;               /* surrogates */
        }

    } else {
        n = 4;

        if (c == 0xf0) {
            low = 0x90;                /* overlong */

        } else if (c == 0xf4) {
            high = 0x8f;               /* above U+10FFFF */
        }
    }

    for (i = 1; i < n; i++) {
        if (p + i == last || p[i] < low || p[i] > high) {
            return i;
        }

        low = 0x80;
        high = 0xbf;
    }

    *valid = 1;

    return n;
}
