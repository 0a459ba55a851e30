
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_cookie.h"
#include "oa_percent.h"


static const u_char *oa_cookie_kept(const u_char *p, const u_char *end,
    const ngx_str_t *names, ngx_uint_t n);
static const u_char *oa_cookie_named(const u_char *p, const u_char *end,
    const ngx_str_t *names, ngx_uint_t n);
static ngx_uint_t oa_cookie_is_token(u_char c);


u_char *
oa_cookie_strip(u_char *dst, const ngx_str_t *cookie, const ngx_str_t *names,
    ngx_uint_t n)
{
    u_char        *first;
    const u_char  *p, *end, *last, *start, *stop;

    if (cookie->len == 0) {
        return dst;
    }

    first = dst;
    last = cookie->data + cookie->len;

    for (p = cookie->data; p < last; p = end + 1) {

        end = memchr(p, ';', last - p);

        if (end == NULL) {
            end = last;
        }

        stop = oa_cookie_kept(p, end, names, n);

        for (start = p; start < stop; start++) {
            if (*start != ' ' && *start != '\t') {
                break;
            }
        }

        if (start == stop) {
            continue;
        }

        if (dst != first) {
            *dst++ = ';';
            start = p;
        }

        dst = ngx_movemem(dst, start, stop - start);
    }

    return dst;
}


/* Where a pair ends, or a cookie to be taken out begins in it. */

static const u_char *
oa_cookie_kept(const u_char *p, const u_char *end, const ngx_str_t *names,
    ngx_uint_t n)
{
    const u_char  *q, *start, *begins;

    start = p;
    begins = p;

    for ( ;; ) {

        while (p < end && !oa_cookie_is_token(*p)) {
            p++;
        }

        q = oa_cookie_named(p, end, names, n);

        if (q) {

            /* in the first place it goes whatever follows the name */

            if (begins == start) {
                return start;
            }

            while (q < end && (*q <= ' ' || *q == '"')) {
                q++;
            }

            if (q < end && *q == '=') {
                return begins;
            }
        }

        while (p < end && oa_cookie_is_token(*p)) {
            p++;
        }

        if (p == end) {
            return end;
        }

        begins = p;
    }
}


/* If one of the names stands at p, maybe a chunk's: where it ends. */

static const u_char *
oa_cookie_named(const u_char *p, const u_char *end, const ngx_str_t *names,
    ngx_uint_t n)
{
    ngx_uint_t     i;
    const u_char  *q;

    for (i = 0; i < n; i++) {

        q = oa_percent_match(p, end, &names[i], 1);

        if (q == NULL) {
            continue;
        }

        if (q < end && *q == '.') {
            do {
                q++;
            } while (q < end && *q >= '0' && *q <= '9');
        }

        if (q == end || !oa_cookie_is_token(*q)) {
            return q;
        }
    }

    return NULL;
}


/* RFC 9110's token characters, of which the names of cookies are made */

static ngx_uint_t
oa_cookie_is_token(u_char c)
{
    static const uint32_t  token[8] = {
        0x00000000,
        0x03ff6cfa,
        0xc7fffffe,
        0x57ffffff
    };

    return (token[c >> 5] & (1U << (c & 0x1f))) != 0;
}
