
/*
 * One claim as a text.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_claims_int.h"


static size_t oa_claims_utf8(uint32_t c, u_char *utf8);


const u_char  oa_claims_escapes[256] = {
    ['"'] = '"',
    ['/'] = '/',
    ['\\'] = '\\',
    ['b'] = '\b',
    ['f'] = '\f',
    ['n'] = '\n',
    ['r'] = '\r',
    ['t'] = '\t'
};


void
oa_claim_text(const oa_claim_t *claim, u_char *buf, ngx_str_t *text)
{
    u_char        *dst;
    const u_char  *p, *last;

    if (claim->type == OA_CLAIM_ABSENT || claim->type == OA_CLAIM_NULL) {
        ngx_str_null(text);
        return;
    }

    if (!claim->escaped) {
        *text = claim->raw;
        return;
    }

    dst = buf;
    p = claim->raw.data;
    last = p + claim->raw.len;

    while (p < last) {
        dst += oa_claims_unescape(&p, dst);
    }

    text->data = buf;
    text->len = dst - buf;
}


ngx_uint_t
oa_claim_is_plain(const ngx_str_t *text)
{
    size_t  i;

    for (i = 0; i < text->len; i++) {
        if (text->data[i] < 0x20 || text->data[i] == 0x7f) {
            return 0;
        }
    }

    return 1;
}


ngx_uint_t
oa_claim_is(const oa_claim_t *claim, const ngx_str_t *text)
{
    u_char         utf8[4];
    size_t         n, left;
    const u_char  *p, *last, *t;

    if (claim->type != OA_CLAIM_STRING) {
        return 0;
    }

    if (!claim->escaped) {
        return claim->raw.len == text->len
               && (text->len == 0
                   || ngx_memcmp(claim->raw.data, text->data, text->len) == 0);
    }

    p = claim->raw.data;
    last = p + claim->raw.len;
    t = text->data;
    left = text->len;

    while (p < last) {
        n = oa_claims_unescape(&p, utf8);

        if (n > left || ngx_memcmp(utf8, t, n) != 0) {
            return 0;
        }

        t += n;
        left -= n;
    }

    return left == 0;
}


size_t
oa_claims_unescape(const u_char **p, u_char *utf8)
{
    u_char    c;
    uint32_t  high, low;

    c = *(*p)++;

    if (c != '\\') {
        *utf8 = c;
        return 1;
    }

    c = *(*p)++;

    if (c != 'u') {
        *utf8 = oa_claims_escapes[c];
        return 1;
    }

    high = (uint32_t) oa_claims_hex(*p);
    *p += 4;

    if (high < 0xd800 || high > 0xdfff) {
        return oa_claims_utf8(high, utf8);
    }

    low = (uint32_t) oa_claims_hex(*p + 2);
    *p += 6;

    return oa_claims_utf8(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00),
                          utf8);
}


static size_t
oa_claims_utf8(uint32_t c, u_char *utf8)
{
    if (c < 0x80) {
        utf8[0] = (u_char) c;
        return 1;
    }

    if (c < 0x800) {
        utf8[0] = (u_char) (0xc0 | c >> 6);
        utf8[1] = (u_char) (0x80 | (c & 0x3f));
        return 2;
    }

    if (c < 0x10000) {
        utf8[0] = (u_char) (0xe0 | c >> 12);
        utf8[1] = (u_char) (0x80 | (c >> 6 & 0x3f));
        utf8[2] = (u_char) (0x80 | (c & 0x3f));
        return 3;
    }

    utf8[0] = (u_char) (0xf0 | c >> 18);
    utf8[1] = (u_char) (0x80 | (c >> 12 & 0x3f));
    utf8[2] = (u_char) (0x80 | (c >> 6 & 0x3f));
    utf8[3] = (u_char) (0x80 | (c & 0x3f));

    return 4;
}


int32_t
oa_claims_hex(const u_char *p)
{
    u_char      c;
    int32_t     value;
    ngx_uint_t  i;

    value = 0;

    for (i = 0; i < 4; i++) {
        c = p[i];

        if (c >= '0' && c <= '9') {
            c -= '0';

        } else {
            c = (u_char) ((c | 0x20) - 'a');

            if (c > 5) {
                return -1;
            }

            c += 10;
        }

        value = value << 4 | c;
    }

    return value;
}
