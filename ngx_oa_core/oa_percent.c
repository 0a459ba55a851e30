
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_percent.h"


static ngx_int_t oa_percent_byte(const u_char *p, const u_char *last);
static ngx_int_t oa_percent_hex(u_char c);


/* RFC 3986, 2.3: letters, digits, "-", ".", "_", "~" */

static const uint32_t  oa_percent_unreserved[8] = {
    0x00000000,
    0x03ff6000,
    0x87fffffe,
    0x47fffffe
};


u_char *
oa_percent_encode(u_char *dst, const u_char *src, size_t len, size_t *size)
{
    u_char  c;
    size_t  i, n;

    static const u_char  hex[] = "0123456789ABCDEF";

    n = 0;

    for (i = 0; i < len; i++) {
        c = src[i];

        if (oa_percent_unreserved[c >> 5] & (1U << (c & 0x1f))) {
            n++;

            if (dst) {
                *dst++ = c;
            }

            continue;
        }

        n += 3;

        if (dst) {
            *dst++ = '%';
            *dst++ = hex[c >> 4];
            *dst++ = hex[c & 0xf];
        }
    }

    if (size) {
        *size = n;
    }

    return dst;
}


u_char *
oa_percent_decode(u_char *dst, const u_char *src, size_t len)
{
    ngx_int_t      c;
    const u_char  *p, *last;

    p = src;
    last = src + len;

    while (p < last) {
        if (*p != '%') {
            *dst++ = *p++;
            continue;
        }

        c = oa_percent_byte(p, last);

        if (c == NGX_ERROR) {
            return NULL;
        }

        *dst++ = (u_char) c;
        p += 3;
    }

    return dst;
}


const u_char *
oa_percent_match(const u_char *p, const u_char *last, const ngx_str_t *name,
    ngx_uint_t caseless)
{
    size_t     i;
    ngx_int_t  c;

    for (i = 0; i < name->len; i++) {
        if (p == last) {
            return NULL;
        }

        c = *p;

        if (c == '%') {
            c = oa_percent_byte(p, last);

            if (c == NGX_ERROR) {
                return NULL;
            }

            p += 2;
        }

        p++;

        if (c != name->data[i]
            && !(caseless && ngx_tolower(c) == ngx_tolower(name->data[i])))
        {
            return NULL;
        }
    }

    return p;
}


/* what stands at "%" */

static ngx_int_t
oa_percent_byte(const u_char *p, const u_char *last)
{
    ngx_int_t  high, low;

    if (last - p < 3) {
        return NGX_ERROR;
    }

    high = oa_percent_hex(p[1]);
    low = oa_percent_hex(p[2]);

    if (high == NGX_ERROR || low == NGX_ERROR) {
        return NGX_ERROR;
    }

    return (high << 4) | low;
}


static ngx_int_t
oa_percent_hex(u_char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }

    return NGX_ERROR;
}
