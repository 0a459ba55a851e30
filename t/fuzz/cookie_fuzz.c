
/*
 * oa_cookie_token() against the same written naively, without its short cut;
 * and oa_cookie_strip(), behind which nobody finds a token, however lenient.
 */


#include "fuzz.h"
#include <jansson.h>
#include "oa_cookie.h"


#define NAME  "sb-ref-auth-token"


typedef ngx_uint_t (*reader_pt)(const ngx_str_t *cookie);


static const ngx_str_t  name = ngx_string(NAME);

static u_char  buf[OA_COOKIE_MAX], again[OA_COOKIE_MAX];


/* the first cookie of that name; *n counts those with another value */

static ngx_uint_t
lookup(const ngx_str_t *cookies, ngx_uint_t ncookies, const char *key,
    ngx_str_t *value, ngx_uint_t *n)
{
    size_t       i, start, eq, from, to;
    ngx_str_t    s;
    ngx_uint_t   c, found;

    found = 0;
    *n = 0;

    for (c = 0; c < ncookies; c++) {
        start = 0;

        for (i = 0; i <= cookies[c].len; i++) {
            if (i < cookies[c].len && cookies[c].data[i] != ';') {
                continue;
            }

            for (eq = start; eq < i && cookies[c].data[eq] != '='; eq++) {
                /* void */
            }

            if (eq < i) {
                s.data = cookies[c].data + eq + 1;
                from = start;
                to = eq;

                while (from < to && strchr(" \t", cookies[c].data[from])
                       && cookies[c].data[from])
                {
                    from++;
                }

                while (to > from && strchr(" \t", cookies[c].data[to - 1])
                       && cookies[c].data[to - 1])
                {
                    to--;
                }

                if (to - from == strlen(key)
                    && memcmp(cookies[c].data + from, key, to - from) == 0)
                {
                    from = eq + 1;
                    to = i;

                    while (from < to && (cookies[c].data[from] == ' '
                                         || cookies[c].data[from] == '\t'))
                    {
                        from++;
                    }

                    while (to > from && (cookies[c].data[to - 1] == ' '
                                         || cookies[c].data[to - 1] == '\t'))
                    {
                        to--;
                    }

                    s.data = cookies[c].data + from;
                    s.len = to - from;

                    if (!found) {
                        *value = s;
                        found = 1;

                    } else if (!fuzz_same(value, &s)) {
                        (*n)++;
                    }
                }
            }

            start = i + 1;
        }
    }

    return found;
}


static size_t
unescape(u_char *dst, const ngx_str_t *s)
{
    char    hex[3];
    size_t  i, n;

    n = 0;

    for (i = 0; i < s->len; i++) {
        if (s->data[i] != '%') {
            dst[n++] = s->data[i];
            continue;
        }

        if (s->len - i < 3
            || !isxdigit(s->data[i + 1]) || !isxdigit(s->data[i + 2]))
        {
            memcpy(dst, s->data, s->len);
            return s->len;
        }

        hex[0] = (char) s->data[i + 1];
        hex[1] = (char) s->data[i + 2];
        hex[2] = '\0';
        dst[n++] = (u_char) strtol(hex, NULL, 16);
        i += 2;
    }

    return n;
}


static ngx_int_t
decode(u_char *dst, const u_char *src, size_t len, size_t *size)
{
    size_t       i, bit, nbits;
    u_char      *bits;
    const char  *c;

    static const char  chars[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    bits = fuzz_alloc(len * 6);
    nbits = 0;

    for (i = 0; i < len; i++) {
        if (src[i] && strchr(" \t\r\n=", src[i])) {
            continue;
        }

        c = src[i] ? strchr(chars, src[i]) : NULL;

        if (c == NULL) {
            free(bits);
            return NGX_ERROR;
        }

        for (bit = 0; bit < 6; bit++) {
            bits[nbits++] = ((c - chars) >> (5 - bit)) & 1;
        }
    }

    *size = nbits / 8;

    for (i = 0; i < *size; i++) {
        dst[i] = 0;

        for (bit = 0; bit < 8; bit++) {
            dst[i] = (u_char) (dst[i] << 1 | bits[i * 8 + bit]);
        }
    }

    free(bits);

    return NGX_OK;
}


/* *leads: the text begins as one with a token does */

static ngx_int_t
reference(const ngx_str_t *cookies, ngx_uint_t n, u_char *text,
    ngx_str_t *token, ngx_uint_t *leads)
{
    char           key[64];
    size_t         len, sum, i;
    json_t        *root, *value;
    u_char        *json;
    ngx_int_t      rc;
    ngx_str_t      part;
    ngx_uint_t     chunk, others, is_json;
    json_error_t   err;

    static const char  object[] = "{\"access_token\":\"";

    *leads = 0;
    len = 0;
    sum = 0;
    part.len = 0;

    lookup(cookies, n, NAME, &part, &others);

    if (others) {
        return NGX_ERROR;
    }

    if (part.len > OA_COOKIE_MAX) {
        return NGX_ERROR;
    }

    if (part.len) {
        len = unescape(text, &part);

    } else {
        for (chunk = 0; ; chunk++) {
            snprintf(key, sizeof(key), "%s.%lu", NAME, (unsigned long) chunk);

            if (!lookup(cookies, n, key, &part, &others)) {
                break;
            }

            if (others) {
                return NGX_ERROR;
            }

            if (part.len == 0) {
                break;
            }

            sum += part.len;

            if (chunk == OA_COOKIE_CHUNKS || sum > OA_COOKIE_MAX) {
                return NGX_ERROR;
            }

            len += unescape(text + len, &part);
        }

        if (len == 0) {
            return NGX_DECLINED;
        }
    }

    json = text;
    is_json = 0;

    if (len > 7 && memcmp(text, "base64-", 7) == 0) {
        json = fuzz_alloc(len);

        if (decode(json, text + 7, len - 7, &len) != NGX_OK) {
            free(json);

            /* or it was decoded only in part */

            *leads = 2;

            return NGX_ERROR;
        }

        memcpy(text, json, len);
        free(json);
        json = text;
        is_json = 1;
    }

    for (i = 0; i < len && json[i] && strchr(" \t\r\n", json[i]); i++) {
        /* void */
    }

    if (!is_json && !(i < len && (json[i] == '{' || json[i] == '['))) {
        token->len = len;
        token->data = text;

        return NGX_OK;
    }

    if (is_json) {
        i = 0;
    }

    if ((len - i >= sizeof(object) - 1
         && memcmp(json + i, object, sizeof(object) - 1) == 0)
        || (len - i >= 2 && memcmp(json + i, "[\"", 2) == 0))
    {
        *leads = 1;
    }

    root = json_loadb((char *) json, len,
                      JSON_REJECT_DUPLICATES|JSON_DECODE_INT_AS_REAL, &err);

    value = json_is_array(root) ? json_array_get(root, 0)
                                : json_object_get(root, "access_token");

    rc = NGX_ERROR;

    if (json_string_length(value)) {
        token->len = json_string_length(value);
        token->data = text;
        memcpy(text, json_string_value(value), token->len);
        rc = NGX_OK;
    }

    json_decref(root);

    return rc;
}


static void
test_token(const ngx_str_t *cookies, ngx_uint_t n)
{
    u_char      *text;
    ngx_int_t    rc, want_rc;
    ngx_str_t    token, want;
    ngx_uint_t   leads;

    ngx_str_null(&token);
    ngx_str_null(&want);
    text = fuzz_alloc(OA_COOKIE_MAX);

    rc = oa_cookie_token(cookies, n, &name, buf, &token);
    want_rc = reference(cookies, n, text, &want, &leads);

    if (rc == NGX_OK) {
        must(token.len);
        must(token.data >= buf
             && token.data + token.len <= buf + OA_COOKIE_MAX);
    }

    if (want_rc == NGX_OK) {
        must(rc == NGX_OK);
        must(fuzz_same(&token, &want));

    } else if (rc != want_rc) {

        /* only the short cut may take what is no good further on */

        must(want_rc == NGX_ERROR && rc == NGX_OK && leads);
        must(memchr(token.data, '"', token.len) == NULL);
        must(memchr(token.data, '\\', token.len) == NULL);
    }

    free(text);
}


/* Readers: is there a cookie of that name, or a chunk, with a value? */


static ngx_uint_t
is_name(const u_char *p, size_t len)
{
    if (len < name.len || ngx_strncasecmp((u_char *) p, name.data, name.len)) {
        return 0;
    }

    p += name.len;
    len -= name.len;

    if (len == 0) {
        return 1;
    }

    if (*p++ != '.') {
        return 0;
    }

    while (--len) {
        if (*p < '0' || *p > '9') {
            return 0;
        }

        p++;
    }

    return 1;
}


/* pairs between characters of a set, names without what surrounds them */

static ngx_uint_t
read_pairs(const ngx_str_t *cookie, const char *separators, const char *around,
    ngx_uint_t decoded)
{
    u_char      *key;
    size_t       i, eq, start, len, from;
    ngx_str_t    s;
    ngx_uint_t   found;

    found = 0;
    start = 0;
    key = fuzz_alloc(cookie->len);

    for (i = 0; i <= cookie->len; i++) {
        if (i < cookie->len
            && (cookie->data[i] == '\0'
                || strchr(separators, cookie->data[i]) == NULL))
        {
            continue;
        }

        for (eq = start; eq < i && cookie->data[eq] != '='; eq++) {
            /* void */
        }

        if (eq < i) {
            s.data = cookie->data + start;
            s.len = eq - start;
            len = s.len;

            if (decoded) {
                len = unescape(key, &s);

            } else {
                memcpy(key, s.data, len);
            }

            from = 0;

            while (from < len && key[from] && strchr(around, key[from])) {
                from++;
            }

            while (len > from && key[len - 1] && strchr(around, key[len - 1]))
            {
                len--;
            }

            found |= is_name(key + from, len - from);
        }

        start = i + 1;
    }

    free(key);

    return found;
}


static ngx_uint_t
read_strict(const ngx_str_t *cookie)
{
    return read_pairs(cookie, ";", " \t", 0);
}


static ngx_uint_t
read_old(const ngx_str_t *cookie)
{
    return read_pairs(cookie, ";,", " \t\"", 0);
}


static ngx_uint_t
read_words(const ngx_str_t *cookie)
{
    return read_pairs(cookie, ";, \t\r\n\v\f", "\"", 0);
}


static ngx_uint_t
read_decoded(const ngx_str_t *cookie)
{
    ngx_str_t   s;
    ngx_uint_t  found;

    /* an encoded name, decoded behind the separators */

    s = *cookie;
    found = read_pairs(&s, ";", "", 1);

    return found || read_pairs(&s, ";,", "", 1);
}


/* as nginx does for its own $cookie_NAME: without case, commas end what is
   skipped */

static ngx_uint_t
read_nginx(const ngx_str_t *cookie)
{
    u_char  *p, *end;

    if (cookie->len == 0) {
        return 0;
    }

    p = cookie->data;
    end = p + cookie->len;

    while (p < end) {
        if ((size_t) (end - p) >= name.len
            && ngx_strncasecmp(p, name.data, name.len) == 0)
        {
            for (p += name.len; p < end && *p == ' '; p++) { /* void */ }

            if (p < end && *p == '=') {
                return 1;
            }
        }

        while (p < end && *p != ';' && *p != ',') {
            p++;
        }

        p++;

        while (p < end && *p == ' ') {
            p++;
        }
    }

    return 0;
}


static void
test_strip(const ngx_str_t *cookie)
{
    u_char      *dst, *end;
    ngx_int_t    rc;
    ngx_str_t    left, token;
    ngx_uint_t   i;

    static const reader_pt  readers[] = {
        read_strict, read_old, read_words, read_decoded, read_nginx
    };

    dst = fuzz_alloc(cookie->len);
    end = oa_cookie_strip(dst, cookie, &name, 1);

    must((size_t) (end - dst) <= cookie->len);

    left.len = end - dst;
    left.data = fuzz_copy(dst, left.len);

    rc = oa_cookie_token(&left, 1, &name, again, &token);
    must(rc == NGX_DECLINED);

    for (i = 0; i < sizeof(readers) / sizeof(readers[0]); i++) {
        must(!readers[i](&left));
    }

    /* nothing more goes the second time, and in place it is the same */

    end = oa_cookie_strip(dst, &left, &name, 1);
    must((size_t) (end - dst) == left.len);
    must(left.len == 0 || memcmp(dst, left.data, left.len) == 0);

    end = oa_cookie_strip(cookie->data, cookie, &name, 1);
    must((size_t) (end - cookie->data) == left.len);
    must(left.len == 0 || memcmp(cookie->data, left.data, left.len) == 0);

    free(left.data);
    free(dst);
}


static size_t
encode(u_char *dst, const u_char *src, size_t len)
{
    size_t    i, n;
    uint32_t  bits, nbits;

    static const char  chars[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    bits = 0;
    nbits = 0;
    n = 0;

    for (i = 0; i < len; i++) {
        bits = (bits << 8) | src[i];
        nbits += 8;

        while (nbits >= 6) {
            nbits -= 6;
            dst[n++] = (u_char) chars[(bits >> nbits) & 63];
        }
    }

    if (nbits) {
        dst[n++] = (u_char) chars[(bits << (6 - nbits)) & 63];
    }

    return n;
}


/* The bytes as the JSON in a cookie: encoded, in chunks of the given size. */

static void
test_json(const uint8_t *data, size_t size, ngx_uint_t base64, size_t chunk)
{
    u_char     *value, *p, *header;
    size_t      len, i, n;
    ngx_str_t   cookie;

    value = fuzz_alloc(size * 3 + 8);

    if (base64) {
        memcpy(value, "base64-", 7);
        len = 7 + encode(value + 7, data, size);

    } else {
        len = 0;

        for (i = 0; i < size; i++) {
            len += (size_t) sprintf((char *) value + len, "%%%02X", data[i]);
        }
    }

    header = fuzz_alloc(len * (sizeof(NAME) + 24) + 64);
    p = header;

    if (chunk == 0 || chunk >= len) {
        p += sprintf((char *) p, "%s=%.*s", NAME, (int) len, value);

    } else {
        for (i = 0, n = 0; i < len; i += chunk, n++) {
            p += sprintf((char *) p, "%s%s.%lu=%.*s", n ? "; " : "", NAME,
                         (unsigned long) n,
                         (int) ngx_min(chunk, len - i), value + i);
        }
    }

    cookie.len = p - header;
    cookie.data = fuzz_copy(header, cookie.len);

    test_token(&cookie, 1);
    test_strip(&cookie);

    must(oa_cookie_token(&cookie, 0, &name, buf, &cookie) == NGX_DECLINED);

    free(cookie.data);
    free(header);
    free(value);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t  *p;
    size_t          chunk;
    ngx_str_t       cookies[2];

    if (size < 2) {
        return 0;
    }

    /* the first byte says what the others are */

    chunk = data[1];

    switch (data[0] & 3) {

    case 0:
        test_json(data + 2, size - 2, 1, chunk);
        break;

    case 1:
        test_json(data + 2, size - 2, 0, chunk);
        break;

    default:

        /* one header, or two with a line feed between them */

        p = memchr(data + 1, '\n', size - 1);

        cookies[0].len = p ? (size_t) (p - data - 1) : size - 1;
        cookies[0].data = fuzz_copy(data + 1, cookies[0].len);

        cookies[1].len = p ? (size_t) (data + size - p - 1) : 0;
        cookies[1].data = fuzz_copy(p ? p + 1 : data, cookies[1].len);

        test_token(cookies, 2);
        test_strip(&cookies[0]);
        test_strip(&cookies[1]);

        free(cookies[1].data);
        free(cookies[0].data);
    }

    return 0;
}
