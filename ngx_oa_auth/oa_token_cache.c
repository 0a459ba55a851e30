
/*
 * The cache of verified tokens: readers without a lock, one writer at a time.
 */


#include "oa_siphash.h"
#include "oa_token_cache.h"


#define OA_CACHE_PAGE        4096
#define OA_CACHE_MIN_PAGES   16

/* Positions count lines, and each record begins a line. */
#define OA_CACHE_LINE        64

/* A ring full of tokens of 400 bytes fills half of the entries. */
#define OA_BUCKET_ENTRIES    8
#define OA_BUCKET_BYTES      2048

/* Of a record; the processor's own prefetching goes on from there. */
#define OA_PREFETCH_LINES    16

/* So much of a token is hashed: of an RS256 signature 36 bytes. */
#define OA_TOKEN_TAIL        48

/*
 * An entry: 12 bits of the hash, and where the record is.  Of a new ring the
 * first round counts as written, so that an empty entry names a record which
 * is gone.  A gigabyte a second reaches the last position after nine years.
 */
#define OA_ENTRY_POS         0x000fffffffffffff
#define OA_ENTRY_TAG(hash)   ((hash) << 52)

#define OA_FACTS_HEAD        offsetof(oa_token_facts_t, text)


typedef struct {
    uint32_t             len;         /* of the token */
    u_char               head[OA_FACTS_HEAD];
    u_char               token[];     /* and the text of the facts */
} oa_token_record_t;

#define OA_RECORD_HEAD       offsetof(oa_token_record_t, token)


struct oa_token_cache_s {
    uint64_t             key[2];      /* of the hash */
    uint64_t             lines;       /* of the ring */
    uint32_t             buckets;

    /* a line of their own: each put writes them */
    uint64_t             tail         /* what is before it is gone */
                             __attribute__((aligned(OA_CACHE_LINE)));
    uint64_t             end;

    /* the buckets, and behind them the ring */
    uint64_t             table[]
                             __attribute__((aligned(OA_CACHE_LINE)));
};


static uint64_t *oa_token_find(oa_token_cache_t *cache, uint64_t hash,
    const ngx_str_t *token, oa_token_record_t **found);
static ngx_uint_t oa_record_says(const oa_token_record_t *r,
    const oa_token_facts_t *facts);


static ngx_inline uint64_t *
oa_token_bucket(oa_token_cache_t *cache, uint64_t hash)
{
    return &cache->table[OA_BUCKET_ENTRIES
                         * (size_t) oa_hash_below(hash >> 32, cache->buckets)];
}


static ngx_inline u_char *
oa_token_ring(oa_token_cache_t *cache)
{
    return (u_char *) &cache->table[OA_BUCKET_ENTRIES
                                    * (size_t) cache->buckets];
}


/* The record at a position, and how many bytes lie from its token on. */

static ngx_inline oa_token_record_t *
oa_token_record(oa_token_cache_t *cache, uint64_t pos, size_t *room)
{
    uint64_t  line;

    line = pos % cache->lines;

    *room = (cache->lines - line) * OA_CACHE_LINE - OA_RECORD_HEAD;

    return (oa_token_record_t *)
               (oa_token_ring(cache) + line * OA_CACHE_LINE);
}


size_t
oa_token_cache_size(ngx_uint_t npages)
{
    return ngx_max(npages / 4, OA_CACHE_MIN_PAGES) * OA_CACHE_PAGE;
}


void
oa_token_cache_create(void *part, size_t size, const u_char *seed)
{
    oa_token_cache_t *cache = part;

    size -= sizeof(oa_token_cache_t);

    ngx_memcpy(cache->key, seed, sizeof(cache->key));

    cache->buckets = size / OA_BUCKET_BYTES;
    cache->lines = size / OA_CACHE_LINE - cache->buckets;
    cache->tail = cache->lines;
    cache->end = cache->lines;
}


uint64_t
oa_token_cache_hash(oa_token_cache_t *cache, const ngx_str_t *token)
{
    size_t    n;
    uint64_t  words[OA_TOKEN_TAIL / 8 + 1];

    n = ngx_min(token->len, OA_TOKEN_TAIL);

    if (n < OA_TOKEN_TAIL) {
        ngx_memzero(words, sizeof(words));
    }

    ngx_memcpy(words, token->data + token->len - n, n);
    words[OA_TOKEN_TAIL / 8] = token->len;

    return oa_siphash(cache->key, words, OA_TOKEN_TAIL / 8 + 1);
}


void
oa_token_cache_prefetch(oa_token_cache_t *cache, uint64_t hash)
{
    __builtin_prefetch(oa_token_bucket(cache, hash));
}


void
oa_token_cache_prefetch_record(oa_token_cache_t *cache, uint64_t hash)
{
    size_t       room;
    u_char      *p;
    uint64_t    *bucket, entry;
    ngx_uint_t   i, n;

    bucket = oa_token_bucket(cache, hash);

    for (i = 0; i < OA_BUCKET_ENTRIES; i++) {
        entry = __atomic_load_n(&bucket[i], __ATOMIC_RELAXED);

        if (((entry ^ OA_ENTRY_TAG(hash)) & ~OA_ENTRY_POS) == 0) {
            p = (u_char *) oa_token_record(cache, entry & OA_ENTRY_POS, &room);

            for (n = 0; n < OA_PREFETCH_LINES; n++) {
                __builtin_prefetch(p + n * OA_CACHE_LINE);
            }
        }
    }
}


void
oa_token_cache_prefetch_put(oa_token_cache_t *cache, size_t len)
{
    size_t   room, n;
    u_char  *p;

    p = (u_char *) oa_token_record(cache,
                                   __atomic_load_n(&cache->end,
                                                   __ATOMIC_RELAXED), &room);

    for (n = 0; n < ngx_min(OA_RECORD_HEAD + len, room); n += OA_CACHE_LINE) {
        __builtin_prefetch(p + n, 1);
    }
}


ngx_int_t
oa_token_cache_get(oa_token_cache_t *cache, uint64_t hash,
    const ngx_str_t *token, oa_token_facts_t *facts)
{
    size_t              room, len;
    uint64_t           *bucket, entry, pos;
    ngx_uint_t          i;
    oa_token_record_t  *r;

    bucket = oa_token_bucket(cache, hash);

    for (i = 0; i < OA_BUCKET_ENTRIES; i++) {

        entry = __atomic_load_n(&bucket[i], __ATOMIC_ACQUIRE);

        if ((entry ^ OA_ENTRY_TAG(hash)) & ~OA_ENTRY_POS) {
            continue;
        }

        pos = entry & OA_ENTRY_POS;
        r = oa_token_record(cache, pos, &room);

        /*
         * It may be written over meanwhile, so any number may be read.  The
         * time that ngx_memcmp() takes tells nothing to who does not know the
         * end of the signature already.
         */

        if (__atomic_load_n(&r->len, __ATOMIC_RELAXED) != token->len
            || token->len > room
            || ngx_memcmp(r->token, token->data, token->len) != 0)
        {
            continue;
        }

        ngx_memcpy(facts, r->head, OA_FACTS_HEAD);
        len = (size_t) facts->sub_len + facts->role_len;

        if (len > sizeof(facts->text) || len > room - token->len) {
            continue;
        }

        ngx_memcpy(facts->text, r->token + token->len, len);

        __atomic_thread_fence(__ATOMIC_ACQUIRE);

        if (pos >= __atomic_load_n(&cache->tail, __ATOMIC_RELAXED)) {
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


ngx_int_t
oa_token_cache_put(oa_token_cache_t *cache, uint64_t hash,
    const ngx_str_t *token, const oa_token_facts_t *facts)
{
    size_t              len, room;
    uint64_t           *entry, pos, lines, rest;
    oa_token_record_t  *r;

    len = (size_t) facts->sub_len + facts->role_len;

    if (len > sizeof(facts->text)
        || token->len > cache->lines * OA_CACHE_LINE / 8)
    {
        return NGX_DECLINED;
    }

    lines = (OA_RECORD_HEAD + token->len + len + OA_CACHE_LINE - 1)
            / OA_CACHE_LINE;

    if (lines > cache->lines / 8) {
        return NGX_DECLINED;
    }

    entry = oa_token_find(cache, hash, token, &r);

    if (r && oa_record_says(r, facts)) {
        return NGX_OK;
    }

    /* no record has its end at the beginning of the ring */

    pos = cache->end;
    rest = cache->lines - pos % cache->lines;

    if (lines > rest) {
        pos += rest;
    }

    /* one that died here may have moved the tail further: it stays there */

    if (pos + lines - cache->lines > cache->tail) {
        __atomic_store_n(&cache->tail, pos + lines - cache->lines,
                         __ATOMIC_RELAXED);
    }

    __atomic_thread_fence(__ATOMIC_RELEASE);

    r = oa_token_record(cache, pos, &room);

    r->len = (uint32_t) token->len;
    ngx_memcpy(r->head, facts, OA_FACTS_HEAD);
    ngx_memcpy(r->token, token->data, token->len);
    ngx_memcpy(r->token + token->len, facts->text, len);

    /* in this order: what an entry names is never written again */

    __atomic_store_n(&cache->end, pos + lines, __ATOMIC_RELEASE);
    __atomic_store_n(entry, OA_ENTRY_TAG(hash) | pos, __ATOMIC_RELEASE);

    return NGX_OK;
}


/*
 * The entry of a token, with its record; or that which shall be its entry, an
 * empty one or the oldest, with none.
 */

static uint64_t *
oa_token_find(oa_token_cache_t *cache, uint64_t hash, const ngx_str_t *token,
    oa_token_record_t **found)
{
    size_t              room;
    uint64_t           *bucket, *oldest, pos;
    ngx_uint_t          i;
    oa_token_record_t  *r;

    bucket = oa_token_bucket(cache, hash);
    oldest = bucket;
    *found = NULL;

    for (i = 0; i < OA_BUCKET_ENTRIES; i++) {

        pos = bucket[i] & OA_ENTRY_POS;

        if (pos < (*oldest & OA_ENTRY_POS)) {
            oldest = &bucket[i];
        }

        if (pos < cache->tail
            || ((bucket[i] ^ OA_ENTRY_TAG(hash)) & ~OA_ENTRY_POS))
        {
            continue;
        }

        r = oa_token_record(cache, pos, &room);

        if (r->len == token->len
            && ngx_memcmp(r->token, token->data, token->len) == 0)
        {
            *found = r;
            return &bucket[i];
        }
    }

    return oldest;
}


static ngx_uint_t
oa_record_says(const oa_token_record_t *r, const oa_token_facts_t *facts)
{
    return ngx_memcmp(r->head, facts, OA_FACTS_HEAD) == 0
           && ngx_memcmp(r->token + r->len, facts->text,
                         (size_t) facts->sub_len + facts->role_len)
              == 0;
}


void
oa_token_cache_stat(oa_token_cache_t *cache, uint64_t *size,
    uint64_t *written)
{
    *size = cache->lines * OA_CACHE_LINE;
    *written = (__atomic_load_n(&cache->end, __ATOMIC_RELAXED) - cache->lines)
               * OA_CACHE_LINE;
}
