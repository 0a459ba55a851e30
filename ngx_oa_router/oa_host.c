
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_host.h"


#define OA_HOST_LABEL_MAX  63

/*
 * Odd numbers with about as many ones as zeros.  Every byte of K1 has its high
 * bit set, so that no eight bytes of a label cancel it: labels are ASCII.
 */
#define OA_HASH_K0  0x9e3585d36b1c4ae5ULL
#define OA_HASH_K1  0xd18ca9c39ab1e4a5ULL
#define OA_HASH_K2  0x4b9a63d8e527c1b7ULL


static uint64_t oa_hash_fold(uint64_t a, uint64_t b);
static uint64_t oa_hash_load8(const u_char *p);
static uint64_t oa_hash_load4(const u_char *p);
static ngx_uint_t oa_host_same(const u_char *host, const u_char *domain,
    size_t len);


/* letters, digits and the hyphen in lower case, zero for all else */

static const u_char  oa_host_chars[256] =
    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
    "\0\0\0\0\0\0\0\0\0\0\0\0\0-\0\0" "0123456789\0\0\0\0\0\0"
    "\0abcdefghijklmnopqrstuvwxyz\0\0\0\0\0"
    "\0abcdefghijklmnopqrstuvwxyz\0\0\0\0\0";


ngx_int_t
oa_host_label(const ngx_str_t *host, const ngx_str_t *domain, u_char *buf,
    ngx_str_t *label)
{
    u_char  c;
    size_t  i, len;

    len = host->len;

    /* a port: digits behind the last colon */

    i = len;

    while (i && host->data[i - 1] >= '0' && host->data[i - 1] <= '9') {
        i--;
    }

    if (i && host->data[i - 1] == ':') {
        len = i - 1;
    }

    if (len && host->data[len - 1] == '.') {
        len--;
    }

    if (domain->len == 0 || len < domain->len + 2) {
        return NGX_DECLINED;
    }

    len -= domain->len + 1;

    if (len > OA_HOST_LABEL_MAX
        || host->data[len] != '.'
        || !oa_host_same(&host->data[len + 1], domain->data, domain->len))
    {
        return NGX_DECLINED;
    }

    for (i = 0; i < len; i++) {
        c = oa_host_chars[host->data[i]];

        if (c == '\0') {
            return NGX_DECLINED;
        }

        buf[i] = c;
    }

    if (buf[0] == '-' || buf[len - 1] == '-') {
        return NGX_DECLINED;
    }

    label->len = len;
    label->data = buf;

    return NGX_OK;
}


static ngx_uint_t
oa_host_same(const u_char *host, const u_char *domain, size_t len)
{
    size_t  i;

    /* nginx hands over its hosts in lower case */

    if (ngx_memcmp(host, domain, len) == 0) {
        return 1;
    }

    for (i = 0; i < len; i++) {
        if (ngx_tolower(host[i]) != domain[i]) {
            return 0;
        }
    }

    return 1;
}


uint64_t
oa_label_hash(const u_char *label, size_t len, uint64_t seed)
{
    size_t         n;
    uint64_t       a, b, h;
    const u_char  *p;

    p = label;
    h = oa_hash_fold(seed ^ OA_HASH_K0, OA_HASH_K1);

    for (n = len; n > 16; n -= 16) {
        h = oa_hash_fold(oa_hash_load8(p) ^ OA_HASH_K1,
                         oa_hash_load8(p + 8) ^ h);
        p += 16;
    }

    /* the last 16 bytes; they may overlap with what was read already */

    if (len >= 16) {
        a = oa_hash_load8(label + len - 16);
        b = oa_hash_load8(label + len - 8);

    } else if (len >= 8) {
        a = oa_hash_load8(label);
        b = oa_hash_load8(label + len - 8);

    } else if (len >= 4) {
        a = oa_hash_load4(label);
        b = oa_hash_load4(label + len - 4);

    } else if (len) {
        a = ((uint64_t) label[0] << 16) | ((uint64_t) label[len / 2] << 8)
            | label[len - 1];
        b = 0;

    } else {
        a = 0;
        b = 0;
    }

    h = oa_hash_fold(a ^ OA_HASH_K1, b ^ h);

    return oa_hash_fold(h ^ (uint64_t) len, OA_HASH_K2);
}


/* the product of two numbers, its halves laid over each other */

static uint64_t
oa_hash_fold(uint64_t a, uint64_t b)
{
#ifdef __SIZEOF_INT128__
    unsigned __int128  product;

    product = (unsigned __int128) a * b;

    return (uint64_t) product ^ (uint64_t) (product >> 64);

#else
    uint64_t  al, ah, bl, bh, mid, low, carry;

    al = (uint32_t) a;
    ah = a >> 32;
    bl = (uint32_t) b;
    bh = b >> 32;

    low = al * bl;
    mid = ah * bl + (low >> 32);
    carry = mid >> 32;
    mid = al * bh + (uint32_t) mid;

    return ((mid << 32) | (uint32_t) low) ^ (ah * bh + carry + (mid >> 32));
#endif
}


static uint64_t
oa_hash_load8(const u_char *p)
{
    uint64_t  v;

    ngx_memcpy(&v, p, sizeof(uint64_t));

    return v;
}


static uint64_t
oa_hash_load4(const u_char *p)
{
    uint32_t  v;

    ngx_memcpy(&v, p, sizeof(uint32_t));

    return v;
}
