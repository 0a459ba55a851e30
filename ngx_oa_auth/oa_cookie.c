
#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include "oa_cookie.h"
#include "oa_percent.h"


/* the whole cookie, its chunks, and one chunk too many */
#define OA_COOKIE_PARTS     (1 + OA_COOKIE_CHUNKS + 1)

#define OA_COOKIE_LABEL     63

/* bytes of JSON to decode before they are looked at */
#define OA_COOKIE_STEP      1024

/* in oa_cookie_sextets[] */
#define OA_COOKIE_PASSED    0x40
#define OA_COOKIE_NONE      0x80


typedef struct {
    ngx_str_t            value;        /* as sent */
    unsigned             there:1;
    unsigned             differs:1;    /* it is there with another value */
} oa_cookie_part_t;

/* base64url on its way to what it encodes */
typedef struct {
    const u_char        *src;
    const u_char        *last;
    u_char              *dst;
    uint32_t             bits;         /* nbits of them, not yet a byte */
    ngx_uint_t           nbits;
} oa_cookie_base64_t;


static void oa_cookie_collect(const ngx_str_t *cookie, const ngx_str_t *name,
    oa_cookie_part_t *parts);
static ngx_uint_t oa_cookie_part(const u_char *p, const u_char *last,
    const ngx_str_t *name);
static ngx_int_t oa_cookie_join(oa_cookie_part_t *parts, u_char *buf,
    ngx_str_t *text);
static ngx_int_t oa_cookie_base64(u_char *buf, const u_char *src,
    const u_char *last, ngx_str_t *token);
static ngx_int_t oa_cookie_decode(oa_cookie_base64_t *b, size_t size);
static ngx_int_t oa_cookie_json(u_char *buf, const u_char *json, size_t len,
    ngx_str_t *token);
static ngx_int_t oa_cookie_leading(const u_char *json, size_t len,
    ngx_str_t *token);
static ngx_int_t oa_cookie_parse(u_char *buf, const u_char *json, size_t len,
    ngx_str_t *token);
static void oa_cookie_trim(const u_char **p, const u_char **last);
static const u_char *oa_cookie_end(const u_char *p, const u_char *last);


/* RFC 4648, 5; and what @supabase/ssr passes over */

#define PA  OA_COOKIE_PASSED
#define NO  OA_COOKIE_NONE

static const u_char  oa_cookie_sextets[256] = {
    NO, NO, NO, NO, NO, NO, NO, NO, NO, PA, PA, NO, NO, PA, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    PA, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, 62, NO, NO,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, NO, NO, NO, PA, NO, NO,
    NO,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, NO, NO, NO, NO, 63,
    NO, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, NO, NO, NO, NO, NO,

    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO
};

#undef PA
#undef NO


ngx_int_t
oa_cookie_token(const ngx_str_t *cookies, ngx_uint_t n, const ngx_str_t *name,
    u_char *buf, ngx_str_t *token)
{
    ngx_int_t         rc;
    ngx_str_t         text;
    ngx_uint_t        i;
    const u_char     *p, *last;
    oa_cookie_part_t  parts[OA_COOKIE_PARTS];

    static const ngx_str_t  base64 = ngx_string("base64-");

    ngx_memzero(parts, sizeof(parts));

    for (i = 0; i < n; i++) {
        oa_cookie_collect(&cookies[i], name, parts);
    }

    rc = oa_cookie_join(parts, buf, &text);

    if (rc != NGX_OK) {
        return rc;
    }

    p = text.data;
    last = p + text.len;

    if (text.len > base64.len
        && ngx_memcmp(p, base64.data, base64.len) == 0)
    {
        return oa_cookie_base64(buf, p + base64.len, last, token);
    }

    while (p < last && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) {
        p++;
    }

    if (p < last && (*p == '{' || *p == '[')) {
        return oa_cookie_json(buf, p, last - p, token);
    }

    *token = text;

    return NGX_OK;
}


static void
oa_cookie_collect(const ngx_str_t *cookie, const ngx_str_t *name,
    oa_cookie_part_t *parts)
{
    size_t             len;
    ngx_uint_t         i;
    const u_char      *p, *end, *last, *eq, *start, *stop;
    oa_cookie_part_t  *part;

    if (cookie->len == 0) {
        return;
    }

    last = cookie->data + cookie->len;

    for (p = cookie->data; p < last; p = end + 1) {

        end = oa_cookie_end(p, last);
        eq = memchr(p, '=', end - p);

        if (eq == NULL) {
            continue;
        }

        start = p;
        stop = eq;
        oa_cookie_trim(&start, &stop);

        i = oa_cookie_part(start, stop, name);

        if (i == OA_COOKIE_PARTS) {
            continue;
        }

        start = eq + 1;
        stop = end;
        oa_cookie_trim(&start, &stop);

        part = &parts[i];
        len = stop - start;

        if (!part->there) {
            part->there = 1;
            part->value.len = len;
            part->value.data = (u_char *) start;

        } else if (part->value.len != len
                   || ngx_memcmp(part->value.data, start, len) != 0)
        {
            part->differs = 1;
        }
    }
}


/* Which part of the cookie has this name?  OA_COOKIE_PARTS: none. */

static ngx_uint_t
oa_cookie_part(const u_char *p, const u_char *last, const ngx_str_t *name)
{
    ngx_int_t      chunk;
    const u_char  *digits;

    if ((size_t) (last - p) < name->len
        || ngx_memcmp(p, name->data, name->len) != 0)
    {
        return OA_COOKIE_PARTS;
    }

    p += name->len;

    if (p == last) {
        return 0;
    }

    digits = p + 1;

    if (*p != '.'
        || last - digits > 2
        || (last - digits == 2 && *digits == '0'))
    {
        return OA_COOKIE_PARTS;
    }

    chunk = ngx_atoi((u_char *) digits, last - digits);

    if (chunk == NGX_ERROR || chunk > OA_COOKIE_CHUNKS) {
        return OA_COOKIE_PARTS;
    }

    return 1 + chunk;
}


static ngx_int_t
oa_cookie_join(oa_cookie_part_t *parts, u_char *buf, ngx_str_t *text)
{
    u_char      *p, *decoded;
    ngx_str_t   *value;
    ngx_uint_t   i;

    p = buf;

    for (i = 0; i < OA_COOKIE_PARTS; i++) {

        if (parts[i].differs) {
            return NGX_ERROR;
        }

        value = &parts[i].value;

        if (value->len == 0) {
            if (i == 0) {
                continue;
            }

            break;
        }

        if (i == OA_COOKIE_PARTS - 1
            || value->len > OA_COOKIE_MAX - (size_t) (p - buf))
        {
            return NGX_ERROR;
        }

        decoded = NULL;

        if (memchr(value->data, '%', value->len)) {
            decoded = oa_percent_decode(p, value->data, value->len);
        }

        p = decoded ? decoded : ngx_cpymem(p, value->data, value->len);

        if (i == 0) {
            break;
        }
    }

    if (p == buf) {
        return NGX_DECLINED;
    }

    text->len = p - buf;
    text->data = buf;

    return NGX_OK;
}


/* In place: what is decoded takes less room than what is yet to be. */

static ngx_int_t
oa_cookie_base64(u_char *buf, const u_char *src, const u_char *last,
    ngx_str_t *token)
{
    ngx_int_t           rc;
    oa_cookie_base64_t  b;

    b.src = src;
    b.last = last;
    b.dst = buf;
    b.bits = 0;
    b.nbits = 0;

    do {
        if (oa_cookie_decode(&b, OA_COOKIE_STEP) != NGX_OK) {
            return NGX_ERROR;
        }

        rc = oa_cookie_leading(buf, b.dst - buf, token);

        if (rc == NGX_OK) {
            return NGX_OK;
        }

    } while (rc == NGX_AGAIN && b.src < b.last);

    if (oa_cookie_decode(&b, OA_COOKIE_MAX) != NGX_OK) {
        return NGX_ERROR;
    }

    return oa_cookie_parse(buf, buf, b.dst - buf, token);
}


/* Decodes at least size bytes, where there are so many. */

static ngx_int_t
oa_cookie_decode(oa_cookie_base64_t *b, size_t size)
{
    u_char         c, q[4];
    u_char        *dst, *stop;
    const u_char  *src, *last;

    src = b->src;
    last = b->last;
    dst = b->dst;
    stop = dst + size;

    while (src < last && dst < stop) {

        if (b->nbits == 0 && last - src >= 4) {
            q[0] = oa_cookie_sextets[src[0]];
            q[1] = oa_cookie_sextets[src[1]];
            q[2] = oa_cookie_sextets[src[2]];
            q[3] = oa_cookie_sextets[src[3]];

            if ((q[0] | q[1] | q[2] | q[3]) < OA_COOKIE_PASSED) {
                *dst++ = (u_char) (q[0] << 2 | q[1] >> 4);
                *dst++ = (u_char) (q[1] << 4 | q[2] >> 2);
                *dst++ = (u_char) (q[2] << 6 | q[3]);
                src += 4;
                continue;
            }
        }

        c = oa_cookie_sextets[*src++];

        if (c == OA_COOKIE_PASSED) {
            continue;
        }

        if (c == OA_COOKIE_NONE) {
            return NGX_ERROR;
        }

        b->bits = (b->bits << 6) | c;
        b->nbits += 6;

        if (b->nbits >= 8) {
            b->nbits -= 8;
            *dst++ = (u_char) (b->bits >> b->nbits);
        }
    }

    b->src = src;
    b->dst = dst;

    return NGX_OK;
}


static ngx_int_t
oa_cookie_json(u_char *buf, const u_char *json, size_t len, ngx_str_t *token)
{
    if (oa_cookie_leading(json, len, token) == NGX_OK) {
        return NGX_OK;
    }

    return oa_cookie_parse(buf, json, len, token);
}


/*
 * The token that JSON begins with.  NGX_AGAIN: its end is not there yet;
 * NGX_DECLINED: it begins otherwise, or has something to unescape.
 */

static ngx_int_t
oa_cookie_leading(const u_char *json, size_t len, ngx_str_t *token)
{
    size_t         n;
    ngx_uint_t     i;
    const u_char  *start, *quote;

    static const ngx_str_t  begins[] = {
        ngx_string("{\"access_token\":\""),
        ngx_string("[\"")
    };

    n = 0;

    for (i = 0; i < sizeof(begins) / sizeof(begins[0]); i++) {

        n = ngx_min(len, begins[i].len);

        if (ngx_memcmp(json, begins[i].data, n) == 0) {
            break;
        }
    }

    if (i == sizeof(begins) / sizeof(begins[0])) {
        return NGX_DECLINED;
    }

    start = json + n;
    len -= n;
    quote = memchr(start, '"', len);

    if (quote == NULL) {
        return NGX_AGAIN;
    }

    n = quote - start;

    if (n == 0 || memchr(start, '\\', n)) {
        return NGX_DECLINED;
    }

    token->len = n;
    token->data = (u_char *) start;

    return NGX_OK;
}


static ngx_int_t
oa_cookie_parse(u_char *buf, const u_char *json, size_t len, ngx_str_t *token)
{
    json_t        *root, *value;
    json_error_t   err;

    /* a browser takes integers of any size */

    root = json_loadb((const char *) json, len,
                      JSON_REJECT_DUPLICATES|JSON_DECODE_INT_AS_REAL, &err);
    if (root == NULL) {
        return NGX_ERROR;
    }

    value = json_is_array(root) ? json_array_get(root, 0)
                                : json_object_get(root, "access_token");

    token->len = json_string_length(value);
    token->data = buf;

    if (token->len) {
        ngx_memcpy(buf, json_string_value(value), token->len);
    }

    json_decref(root);

    return token->len ? NGX_OK : NGX_ERROR;
}


static void
oa_cookie_trim(const u_char **p, const u_char **last)
{
    while (*p < *last && (**p == ' ' || **p == '\t')) {
        (*p)++;
    }

    while (*p < *last && ((*last)[-1] == ' ' || (*last)[-1] == '\t')) {
        (*last)--;
    }
}


static const u_char *
oa_cookie_end(const u_char *p, const u_char *last)
{
    const u_char  *end;

    end = memchr(p, ';', last - p);

    return end ? end : last;
}


u_char *
oa_cookie_name(u_char *p, const ngx_str_t *url)
{
    u_char         c;
    ngx_uint_t     i;
    const u_char  *q, *host, *dot, *end, *last;

    static const ngx_str_t  schemes[] = {
        ngx_string("https://"),
        ngx_string("http://")
    };

    for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (url->len > schemes[i].len
            && ngx_strncasecmp(url->data, schemes[i].data, schemes[i].len)
               == 0)
        {
            break;
        }
    }

    if (i == sizeof(schemes) / sizeof(schemes[0])) {
        return NULL;
    }

    host = url->data + schemes[i].len;
    last = url->data + url->len;
    dot = NULL;

    for (q = host; q < last; q++) {
        c = ngx_tolower(*q);

        if (c == '.') {
            if (dot == NULL) {
                dot = q;
            }

        } else if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')
                     || c == '-' || c == '_'))
        {
            break;
        }
    }

    end = dot ? dot : q;

    if (q < last && *q == ':') {
        do {
            q++;
        } while (q < last && *q >= '0' && *q <= '9');
    }

    if (q < last && *q != '/' && *q != '?' && *q != '#') {
        return NULL;
    }

    if (end == host || end - host > OA_COOKIE_LABEL) {
        return NULL;
    }

    p = ngx_cpymem(p, "sb-", 3);
    ngx_strlow(p, (u_char *) host, end - host);
    p += end - host;

    return ngx_cpymem(p, "-auth-token", 11);
}
