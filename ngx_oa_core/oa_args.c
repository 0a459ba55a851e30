
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_args.h"
#include "oa_percent.h"


static const u_char *oa_args_end(const u_char *p, const u_char *last);
static const u_char *oa_args_is(const u_char *p, const u_char *end,
    const ngx_str_t *name, ngx_uint_t caseless);
static const u_char *oa_args_is_any(const u_char *p, const u_char *end,
    const ngx_str_t *names, ngx_uint_t n);


const ngx_str_t  oa_args_token = ngx_string("access_token");


ngx_int_t
oa_args_find(const ngx_str_t *args, const ngx_str_t *name, u_char *buf,
    ngx_str_t *value)
{
    size_t         len;
    u_char        *decoded;
    const u_char  *p, *q, *end, *last, *first;

    if (args->len == 0) {
        return NGX_DECLINED;
    }

    first = NULL;
    len = 0;

    p = args->data;
    last = p + args->len;

    for ( ;; ) {
        end = oa_args_end(p, last);
        q = oa_args_is(p, end, name, 0);

        if (q) {
            if (q < end) {
                q++;
            }

            if (first == NULL) {
                first = q;
                len = end - q;

            } else if (len != (size_t) (end - q)
                       || ngx_memcmp(first, q, len) != 0)
            {
                return NGX_ERROR;
            }
        }

        if (end == last) {
            break;
        }

        p = end + 1;
    }

    if (first == NULL) {
        return NGX_DECLINED;
    }

    value->len = len;
    value->data = (u_char *) first;

    if (memchr(first, '%', len) == NULL) {
        return NGX_OK;
    }

    decoded = oa_percent_decode(buf, first, len);

    if (decoded == NULL) {
        return NGX_ERROR;
    }

    value->len = decoded - buf;
    value->data = buf;

    return NGX_OK;
}


u_char *
oa_args_strip(u_char *dst, const ngx_str_t *args, const ngx_str_t *names,
    ngx_uint_t n)
{
    ngx_uint_t     first;
    const u_char  *p, *end, *last;

    if (args->len == 0) {
        return dst;
    }

    p = args->data;
    last = p + args->len;
    first = 1;

    for ( ;; ) {
        end = oa_args_end(p, last);

        if (oa_args_is_any(p, end, names, n) == NULL) {
            if (!first) {
                *dst++ = '&';
            }

            first = 0;
            dst = ngx_movemem(dst, p, end - p);
        }

        if (end == last) {
            return dst;
        }

        p = end + 1;
    }
}


u_char *
oa_args_mask(u_char *dst, const ngx_str_t *args, const ngx_str_t *names,
    ngx_uint_t n, size_t *size)
{
    size_t         len;
    const u_char  *p, *q, *end, *last;

    static const ngx_str_t  stars = ngx_string("***");

    len = 0;

    if (args->len == 0) {
        goto done;
    }

    p = args->data;
    last = p + args->len;

    for ( ;; ) {
        end = oa_args_end(p, last);
        q = oa_args_is_any(p, end, names, n);

        /* nothing behind the name, or behind its "=", is no secret */

        if (q == NULL || end - q < 2) {
            q = end;

        } else {
            q++;
        }

        len += q - p;

        if (dst) {
            dst = ngx_cpymem(dst, p, q - p);
        }

        if (q < end) {
            len += stars.len;

            if (dst) {
                dst = ngx_cpymem(dst, stars.data, stars.len);
            }
        }

        if (end == last) {
            break;
        }

        len++;

        if (dst) {
            *dst++ = '&';
        }

        p = end + 1;
    }

done:

    if (size) {
        *size = len;
    }

    return dst;
}


u_char *
oa_args_redact(u_char *p, u_char *last, const ngx_str_t *names, ngx_uint_t n)
{
    u_char        *dst;
    size_t         stars;
    const u_char  *q;

    dst = p;

    while (p < last) {

        *dst++ = *p++;

        if (p[-1] != '?' && p[-1] != '&') {
            continue;
        }

        q = oa_args_is_any(p, last, names, n);

        if (q == NULL || q == last) {
            continue;
        }

        /* with the "=" */

        q++;
        dst = ngx_movemem(dst, p, q - p);
        p += q - p;

        /* no more than there were: the text does not grow */

        for (stars = 0; p < last; p++) {

            if (*p <= ' ' || *p == '&' || *p == '"') {
                break;
            }

            if (stars++ < 3) {
                *dst++ = '*';
            }
        }
    }

    return dst;
}


static const u_char *
oa_args_end(const u_char *p, const u_char *last)
{
    const u_char  *end;

    end = memchr(p, '&', last - p);

    return end ? end : last;
}


/* If an argument has that name: where the name ends, at "=" or the end. */

static const u_char *
oa_args_is(const u_char *p, const u_char *end, const ngx_str_t *name,
    ngx_uint_t caseless)
{
    p = oa_percent_match(p, end, name, caseless);

    return (p && (p == end || *p == '=')) ? p : NULL;
}


static const u_char *
oa_args_is_any(const u_char *p, const u_char *end, const ngx_str_t *names,
    ngx_uint_t n)
{
    ngx_uint_t     i;
    const u_char  *q;

    for (i = 0; i < n; i++) {
        q = oa_args_is(p, end, &names[i], 1);

        if (q) {
            return q;
        }
    }

    return NULL;
}
