
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_base64url.h"


/* Two bits that no sextet has. */
#define OA_BASE64URL_BAD  0xc0


static const u_char  oa_base64url_chars[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";


static const u_char  oa_base64url_sextets[256] = {
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
     62, 255, 255,  52,  53,  54,  55,  56,  57,  58,  59,  60,  61, 255, 255,
    255, 255, 255, 255, 255,   0,   1,   2,   3,   4,   5,   6,   7,   8,   9,
     10,  11,  12,  13,  14,  15,  16,  17,  18,  19,  20,  21,  22,  23,  24,
     25, 255, 255, 255, 255,  63, 255,  26,  27,  28,  29,  30,  31,  32,  33,
     34,  35,  36,  37,  38,  39,  40,  41,  42,  43,  44,  45,  46,  47,  48,
     49,  50,  51, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255
};


ngx_int_t
oa_base64url_decode(u_char *dst, const u_char *src, size_t len)
{
    u_char    a, b, c, d, bad, spare;
    uint32_t  bits;

    if (len % 4 == 1) {
        return NGX_ERROR;
    }

    /* what is bad is looked at once, at the end */

    bad = 0;

    for ( /* void */ ; len >= 4; len -= 4) {
        a = oa_base64url_sextets[src[0]];
        b = oa_base64url_sextets[src[1]];
        c = oa_base64url_sextets[src[2]];
        d = oa_base64url_sextets[src[3]];

        bad |= a | b | c | d;
        bits = ((uint32_t) a << 18) | ((uint32_t) b << 12)
               | ((uint32_t) c << 6) | d;

        dst[0] = (u_char) (bits >> 16);
        dst[1] = (u_char) (bits >> 8);
        dst[2] = (u_char) bits;

        src += 4;
        dst += 3;
    }

    spare = 0;

    if (len >= 2) {
        a = oa_base64url_sextets[src[0]];
        b = oa_base64url_sextets[src[1]];

        bad |= a | b;
        spare = b & 0x0f;
        dst[0] = (u_char) ((a << 2) | (b >> 4));

        if (len == 3) {
            c = oa_base64url_sextets[src[2]];

            bad |= c;
            spare = c & 0x03;
            dst[1] = (u_char) ((b << 4) | (c >> 2));
        }
    }

    return (spare || (bad & OA_BASE64URL_BAD)) ? NGX_ERROR : NGX_OK;
}


u_char *
oa_base64url_encode(u_char *dst, const u_char *src, size_t len)
{
    uint32_t  bits;

    for ( /* void */ ; len >= 3; len -= 3) {
        bits = ((uint32_t) src[0] << 16) | ((uint32_t) src[1] << 8) | src[2];

        *dst++ = oa_base64url_chars[bits >> 18];
        *dst++ = oa_base64url_chars[(bits >> 12) & 0x3f];
        *dst++ = oa_base64url_chars[(bits >> 6) & 0x3f];
        *dst++ = oa_base64url_chars[bits & 0x3f];

        src += 3;
    }

    if (len == 0) {
        return dst;
    }

    bits = (uint32_t) src[0] << 16;

    if (len == 2) {
        bits |= (uint32_t) src[1] << 8;
    }

    *dst++ = oa_base64url_chars[bits >> 18];
    *dst++ = oa_base64url_chars[(bits >> 12) & 0x3f];

    if (len == 2) {
        *dst++ = oa_base64url_chars[(bits >> 6) & 0x3f];
    }

    return dst;
}
