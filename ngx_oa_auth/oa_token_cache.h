
/*
 * The cache of verified tokens, in shared memory.
 *
 * Records lie in a ring of bytes that is written for ever: a position counts
 * bytes since the beginning, and what lies less than the ring's size behind
 * the end is still there.  So the oldest records go first, whatever their
 * sizes, and no memory is ever given back.  A table of buckets, a cache line
 * each, leads from a keyed hash of a token's last bytes to positions.
 *
 * Readers take no lock: before the writer writes over a record, it moves the
 * tail beyond it; a reader that has compared and copied a record looks at the
 * tail again, and throws away what it has if the tail went past.  A writer
 * that dies has moved the tail at most: nothing has to be repaired.
 *
 * A record holds the whole token and is found only by all of its bytes.  Only
 * good decisions are kept, each with what it hangs on: the caller checks key,
 * policy, expiry and revocation on each hit.
 *
 * Pure: bytes of memory in, records out; no request, no event loop.
 */


#ifndef _OA_TOKEN_CACHE_H_INCLUDED_
#define _OA_TOKEN_CACHE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct oa_token_cache_s  oa_token_cache_t;

/* What is kept with a token. */
typedef struct {
    u_char               print[16];    /* of the key */
    u_char               policy[16];   /* a digest of the issuer's block */
    u_char               session[16];
    u_char               user[16];
    int64_t              exp;          /* unix seconds, without leeway */
    unsigned             has_session:1;
    unsigned             has_user:1;
    uint16_t             sub_len;
    uint16_t             role_len;
    u_char               text[512];    /* sub, role: as texts */
} oa_token_facts_t;

/* Bytes of a cache in a zone with so many pages: a quarter of them. */
size_t oa_token_cache_size(ngx_uint_t npages);

/*
 * Makes a cache of zeroed memory of that size, at an address that is a
 * multiple of 64; seed is 16 bytes, random and secret.
 */
void oa_token_cache_create(void *part, size_t size, const u_char *seed);

/* The hash of a token, for the functions below. */
uint64_t oa_token_cache_hash(oa_token_cache_t *cache, const ngx_str_t *token);

/*
 * Ask for the memory that oa_token_cache_get() will read: first the bucket;
 * a little later, which does not wait for memory any more, the record.
 */
void oa_token_cache_prefetch(oa_token_cache_t *cache, uint64_t hash);
void oa_token_cache_prefetch_record(oa_token_cache_t *cache, uint64_t hash);

/* And for what oa_token_cache_put() is going to write, of a token's length. */
void oa_token_cache_prefetch_put(oa_token_cache_t *cache, size_t len);

/*
 * Reads without a lock.  NGX_OK with facts filled; NGX_DECLINED with facts
 * undefined.  No more of facts->text is written than its lengths say.
 */
ngx_int_t oa_token_cache_get(oa_token_cache_t *cache, uint64_t hash,
    const ngx_str_t *token, oa_token_facts_t *facts);

/*
 * Stores, for the holder of the lock; a record of the same token is replaced,
 * unless it says the same.  NGX_DECLINED: the record would take more than an
 * eighth of the ring.
 */
ngx_int_t oa_token_cache_put(oa_token_cache_t *cache, uint64_t hash,
    const ngx_str_t *token, const oa_token_facts_t *facts);

/* For metrics: bytes of the ring, bytes written so far. */
void oa_token_cache_stat(oa_token_cache_t *cache, uint64_t *size,
    uint64_t *written);


#endif /* _OA_TOKEN_CACHE_H_INCLUDED_ */
