
/*
 * SipHash-1-3 of whole 64-bit words (Aumasson and Bernstein, "SipHash: a fast
 * short-input PRF"): a hash for tables whose keys others choose.  Who does not
 * know the 128-bit key cannot tell which of them will meet.
 *
 * Pure: words in, hash out; no request, no event loop, no allocation.
 */


#ifndef _OA_SIPHASH_H_INCLUDED_
#define _OA_SIPHASH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define oa_siphash_rotl(x, n)  (((x) << (n)) | ((x) >> (64 - (n))))


static ngx_inline void
oa_siphash_round(uint64_t *v)
{
    v[0] += v[1];
    v[1] = oa_siphash_rotl(v[1], 13) ^ v[0];
    v[0] = oa_siphash_rotl(v[0], 32);
    v[2] += v[3];
    v[3] = oa_siphash_rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = oa_siphash_rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = oa_siphash_rotl(v[1], 17) ^ v[2];
    v[2] = oa_siphash_rotl(v[2], 32);
}


/* The hash of n words, as of their bytes where the least comes first. */

static ngx_inline uint64_t
oa_siphash(const uint64_t *key, const uint64_t *words, ngx_uint_t n)
{
    uint64_t    v[4], last;
    ngx_uint_t  i;

    v[0] = key[0] ^ 0x736f6d6570736575;
    v[1] = key[1] ^ 0x646f72616e646f6d;
    v[2] = key[0] ^ 0x6c7967656e657261;
    v[3] = key[1] ^ 0x7465646279746573;

    for (i = 0; i < n; i++) {
        v[3] ^= words[i];
        oa_siphash_round(v);
        v[0] ^= words[i];
    }

    last = (uint64_t) n << 59;    /* bytes, in the uppermost byte */

    v[3] ^= last;
    oa_siphash_round(v);
    v[0] ^= last;

    v[2] ^= 0xff;
    oa_siphash_round(v);
    oa_siphash_round(v);
    oa_siphash_round(v);

    return v[0] ^ v[1] ^ v[2] ^ v[3];
}


/* A number below n, from 32 bits of a hash. */

static ngx_inline uint32_t
oa_hash_below(uint32_t hash, uint32_t n)
{
    return (uint32_t) (((uint64_t) hash * n) >> 32);
}


#endif /* _OA_SIPHASH_H_INCLUDED_ */
