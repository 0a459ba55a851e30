
/* The cache of verified tokens. */


#include <stdlib.h>
#include <unistd.h>

#include "oa_token_cache.h"
#include "procs.h"


#define PAGES  64              /* of the zone: the smallest cache */
#define NAMES  400
#define MAX    1100            /* bytes of a token */

/*
 * From here on all records are as long, 70 of them go into the ring, and each
 * round begins at its beginning: the next version of a token, if it comes a
 * round later, is written where the last one was.
 */
#define EVEN   300
#define ROUND  70

/*
 * But that of the last one, which is a line longer, and whose text there looks
 * like the beginning of the record that it covers.
 */
#define LONG   (NAMES - 1)

/* Before the token: its length, and the facts without their text. */
#define RECORD_HEAD  (4 + offsetof(oa_token_facts_t, text))


static const u_char       seed[16] = "0123456789abcdef";

static oa_token_cache_t  *cache;
static size_t             size;


static void
fresh(void)
{
    if (cache) {
        (void) munmap(cache, size + 4096);
    }

    size = oa_token_cache_size(PAGES);
    cache = shared(size);
    oa_token_cache_create(cache, size, seed);
}


/* The token of a number. */

static ngx_str_t *
token_of(ngx_uint_t n)
{
    static u_char     text[NAMES][MAX];
    static ngx_str_t  tokens[NAMES];

    size_t    i;
    uint32_t  x;

    if (tokens[n].len == 0) {
        tokens[n].data = text[n];
        tokens[n].len = (n < EVEN) ? 100 + n * 37 % (MAX - 100) : 500;

        for (i = 0, x = n + 1; i < tokens[n].len; i++) {
            x = x * 1664525 + 1013904223;
            text[n][i] = 'A' + (x >> 24) % 58;
        }
    }

    return &tokens[n];
}


/* What is kept with it: all of it tells the number and the version. */

static oa_token_facts_t *
facts_of(ngx_uint_t n, uint64_t version)
{
    static oa_token_facts_t  facts;

    int       i;
    uint32_t  len;

    memset(&facts, 0, sizeof(facts));

    i = (int) (n * 7 + version * 13);

    memset(facts.print, i, sizeof(facts.print));
    memset(facts.policy, i + 1, sizeof(facts.policy));
    memset(facts.session, i + 2, sizeof(facts.session));
    memset(facts.user, i + 3, sizeof(facts.user));

    facts.exp = (int64_t) version;
    facts.has_session = i & 1;
    facts.has_user = 1;
    facts.sub_len = (n < EVEN) ? 36 + n % 300 : 200;
    facts.role_len = (n < EVEN) ? n % 150 : 100;

    memset(facts.text, i + 4, facts.sub_len + facts.role_len);

    if (n == LONG) {
        len = 500;
        facts.role_len = 130;
        memcpy(facts.text + (14 * 64 - RECORD_HEAD - len), &len,
               sizeof(len));
    }

    return &facts;
}


static int
is_facts(const oa_token_facts_t *got, ngx_uint_t n)
{
    oa_token_facts_t  *want;

    want = facts_of(n, (uint64_t) got->exp);

    return memcmp(got->print, want->print, 16) == 0
           && memcmp(got->policy, want->policy, 16) == 0
           && memcmp(got->session, want->session, 16) == 0
           && memcmp(got->user, want->user, 16) == 0
           && got->has_session == want->has_session
           && got->has_user == want->has_user
           && got->sub_len == want->sub_len
           && got->role_len == want->role_len
           && memcmp(got->text, want->text, got->sub_len + got->role_len)
              == 0;
}


static ngx_int_t
put_in(oa_token_cache_t *c, ngx_uint_t n, uint64_t version)
{
    return oa_token_cache_put(c, oa_token_cache_hash(c, token_of(n)),
                              token_of(n), facts_of(n, version));
}


/* The version that is there, 0: none, -1: something else. */

static int
look_in(oa_token_cache_t *c, ngx_uint_t n)
{
    uint64_t          hash;
    oa_token_facts_t  facts;

    hash = oa_token_cache_hash(c, token_of(n));

    oa_token_cache_prefetch(c, hash);
    oa_token_cache_prefetch_record(c, hash);

    if (oa_token_cache_get(c, hash, token_of(n), &facts) != NGX_OK) {
        return 0;
    }

    return is_facts(&facts, n) ? (int) facts.exp : -1;
}


static ngx_int_t
put(ngx_uint_t n, uint64_t version)
{
    return put_in(cache, n, version);
}


static int
look(ngx_uint_t n)
{
    return look_in(cache, n);
}


static uint64_t
written(void)
{
    uint64_t  ring, bytes;

    oa_token_cache_stat(cache, &ring, &bytes);

    return bytes;
}


static void
sizes(void)
{
    uint64_t  ring, bytes;

    ok(oa_token_cache_size(16384) == 4096 * 4096
       && oa_token_cache_size(255) == 63 * 4096, "a quarter of the pages");
    ok(oa_token_cache_size(0) == 16 * 4096, "but some at least");

    fresh();
    oa_token_cache_stat(cache, &ring, &bytes);

    ok(bytes == 0 && ring < size && ring > size * 9 / 10,
       "nearly all of it is the ring");
}


static void
hashes(void)
{
    u_char      *exact;
    uint64_t     all[NAMES], hash;
    ngx_str_t    token;
    ngx_uint_t   i, k, bad;

    fresh();

    for (i = 0, bad = 0; i < NAMES; i++) {
        all[i] = oa_token_cache_hash(cache, token_of(i));

        for (k = 0; k < i; k++) {
            bad += all[k] == all[i];
        }
    }

    ok(bad == 0, "no two tokens meet");

    token = *token_of(1);
    hash = all[1];

    for (i = 1, bad = 0; i <= 48; i++) {
        token.data[token.len - i] ^= 1;
        bad += oa_token_cache_hash(cache, &token) == hash;
        token.data[token.len - i] ^= 1;
    }

    ok(bad == 0, "each of the last bytes counts");

    token.data++;
    token.len--;
    ok(oa_token_cache_hash(cache, &token) != hash, "and the length");

    /* none of these is ever stored, but anybody may send them */

    for (i = 0, bad = 0; i < 64; i++) {
        exact = malloc(i ? i : 1);
        memset(exact, 'x', i ? i : 1);

        token.data = exact;
        token.len = i;
        all[i] = oa_token_cache_hash(cache, &token);

        for (k = 0; k < i; k++) {
            bad += all[k] == all[i];
        }

        free(exact);
    }

    ok(bad == 0, "short tokens");
}


static void
all_bytes(void)
{
    size_t             i;
    uint64_t           hash;
    ngx_str_t          token;
    ngx_uint_t         bad;
    oa_token_facts_t   facts;

    fresh();

    (void) put(5, 1);
    ok(look(5) == 1 && look(6) == 0, "what was stored, and nothing else");

    token = *token_of(5);
    hash = oa_token_cache_hash(cache, &token);

    for (i = 0, bad = 0; i < token.len; i++) {
        token.data[i] ^= 1;
        bad += oa_token_cache_get(cache, hash, &token, &facts) != NGX_DECLINED;
        token.data[i] ^= 1;
    }

    ok(bad == 0, "each byte must be the same, be the hash what it may");

    token.len--;
    ok(oa_token_cache_get(cache, hash, &token, &facts) == NGX_DECLINED,
       "the beginning of it is not it");

    token.data++;
    ok(oa_token_cache_get(cache, hash, &token, &facts) == NGX_DECLINED,
       "nor is its end");

    /* the facts of number 5 begin where the token ends */

    token = *token_of(5);
    token.len++;
    ok(oa_token_cache_get(cache, hash, &token, &facts) == NGX_DECLINED,
       "nor is more than it");

    token.len = (size_t) 1 << 33 | token_of(5)->len;
    ok(oa_token_cache_get(cache, hash, &token, &facts) == NGX_DECLINED,
       "lengths are compared whole");

    memset(&facts, 0xa5, sizeof(facts));
    (void) oa_token_cache_get(cache, hash, token_of(5), &facts);

    i = facts.sub_len + facts.role_len;
    bad = 0;

    for ( /* void */ ; i < sizeof(facts.text); i++) {
        bad += facts.text[i] != 0xa5;
    }

    ok(bad == 0, "no more is written than the lengths say");
}


static void
replacement(void)
{
    uint64_t           before, hash;
    oa_token_facts_t   got, *facts;

    fresh();

    (void) put(1, 1);
    (void) put(2, 1);
    before = written();

    ok(put(1, 1) == NGX_OK && written() == before && look(1) == 1,
       "the same once more is not written");
    ok(put(1, 2) == NGX_OK && written() > before && look(1) == 2,
       "another replaces it");
    ok(look(2) == 1, "and nothing else");

    facts = facts_of(2, 1);
    facts->text[facts->sub_len + facts->role_len - 1] ^= 1;
    hash = oa_token_cache_hash(cache, token_of(2));

    ok(oa_token_cache_put(cache, hash, token_of(2), facts) == NGX_OK
       && oa_token_cache_get(cache, hash, token_of(2), &got) == NGX_OK
       && memcmp(got.text, facts->text, facts->sub_len + facts->role_len)
          == 0,
       "be it by the last byte of a text");
}


static void
oldest_goes_first(void)
{
    uint64_t    ring, bytes;
    ngx_uint_t  i, n, bad, there, gaps, most, least;

    fresh();
    oa_token_cache_stat(cache, &ring, &bytes);

    bad = 0;
    gaps = 0;
    most = 0;
    least = NAMES;

    for (i = 0; written() < ring * 20; i++) {
        bad += put(i % NAMES, i + 1) != NGX_OK;

        /* backwards: those of the last round of names that are there */

        for (n = 0, there = 0; n < NAMES && n <= i; n++) {
            if (look((i - n) % NAMES) == (int) (i - n + 1)) {
                gaps += there != n;
                there++;

            } else {
                bad += look((i - n) % NAMES) != 0;
            }
        }

        if (written() > ring) {
            most = ngx_max(most, there);
            least = ngx_min(least, there);
        }
    }

    ok(bad == 0, "%lu puts, 20 times round: none wrong", (unsigned long) i);
    ok(gaps == 0, "what is there is what came last");
    ok(least > 40 && most < NAMES / 2, "the ring is full: %lu to %lu tokens",
       (unsigned long) least, (unsigned long) most);
}


/* Ten tokens of one bucket, of 31: the upper half of a hash tells. */

static void
same_bucket(ngx_uint_t *names)
{
    uint64_t    hash;
    ngx_uint_t  i, n, bucket;

    for (bucket = 0; bucket < 31; bucket++) {

        for (i = 0, n = 0; i < NAMES && n < 10; i++) {
            hash = oa_token_cache_hash(cache, token_of(i)) >> 32;

            if ((hash * 31) >> 32 == bucket) {
                names[n++] = i;
            }
        }

        if (n == 10) {
            return;
        }
    }

    printf("Bail out! no ten tokens of one bucket\n");
    exit(1);
}


static void
full_bucket(void)
{
    ngx_uint_t  i, names[10], there;

    fresh();
    same_bucket(names);

    for (i = 0; i < 8; i++) {
        (void) put(names[i], 1);
    }

    for (i = 0, there = 0; i < 8; i++) {
        there += look(names[i]) == 1;
    }

    ok(there == 8, "eight of one bucket");

    (void) put(names[8], 1);
    ok(look(names[8]) == 1 && look(names[0]) == 0 && look(names[1]) == 1,
       "the ninth takes the place of the oldest");

    (void) put(names[1], 2);
    (void) put(names[9], 1);
    ok(look(names[9]) == 1 && look(names[1]) == 2 && look(names[2]) == 0,
       "one that was replaced is a new one");
}


static void
limits(void)
{
    uint64_t           ring, bytes, hash;
    ngx_str_t          token;
    oa_token_facts_t   facts;

    fresh();
    oa_token_cache_stat(cache, &ring, &bytes);

    token.data = malloc(ring + 64);
    memset(token.data, 'x', ring + 64);
    memset(&facts, 0, sizeof(facts));

    token.len = ring / 8;
    hash = oa_token_cache_hash(cache, &token);

    ok(oa_token_cache_put(cache, hash, &token, &facts) == NGX_DECLINED,
       "an eighth of the ring is too much");

    token.len = ring;
    ok(oa_token_cache_put(cache, hash, &token, &facts) == NGX_DECLINED,
       "the whole ring as well");
    ok(oa_token_cache_get(cache, hash, &token, &facts) == NGX_DECLINED,
       "one can ask for it");

    token.len = (size_t) -1;
    ok(oa_token_cache_put(cache, hash, &token, &facts) == NGX_DECLINED,
       "a length that would overflow");

    token.len = ring / 8 - 192;
    hash = oa_token_cache_hash(cache, &token);
    memset(&facts, 0, sizeof(facts));
    ok(oa_token_cache_put(cache, hash, &token, &facts) == NGX_OK
       && oa_token_cache_get(cache, hash, &token, &facts) == NGX_OK,
       "a little less is not");

    token.len = 100;
    hash = oa_token_cache_hash(cache, &token);
    facts.sub_len = 500;
    facts.role_len = 13;
    ok(oa_token_cache_put(cache, hash, &token, &facts) == NGX_DECLINED,
       "texts that do not fit");

    facts.role_len = 12;
    ok(oa_token_cache_put(cache, hash, &token, &facts) == NGX_OK
       && oa_token_cache_get(cache, hash, &token, &facts) == NGX_OK
       && facts.role_len == 12, "texts that just do");

    free(token.data);
}


/* Three rounds. */

static void
fill(void)
{
    ngx_uint_t  i;

    fresh();

    for (i = 0; i < 3 * ROUND; i++) {
        (void) put(EVEN + i % ROUND, 1 + i / ROUND);
    }
}


static ngx_uint_t  next_name;
static uint64_t    next_version;
static ngx_uint_t  state_bad;
static ngx_uint_t  state_seen;


static int
put_next(void *data)
{
    uint64_t           hash;
    ngx_int_t          rc;
    ngx_str_t         *token;
    oa_token_facts_t  *facts;

    token = token_of(next_name);
    facts = facts_of(next_name, next_version);
    hash = oa_token_cache_hash(data, token);

    procs_mark();
    rc = oa_token_cache_put(data, hash, token, facts);
    procs_mark();

    return rc != NGX_OK;
}


static void
check_readers(void *copy)
{
    ngx_uint_t  n;

    for (n = 0; n < NAMES; n++) {
        state_bad += look_in(copy, n) < 0;
    }
}


/* What the dead writer left: for readers, and for the next writer. */

static void
check_state(void *copy)
{
    ngx_uint_t  n;

    check_readers(copy);

    state_seen += look_in(copy, next_name) == (int) next_version;

    for (n = 0; n < EVEN; n += 5) {
        state_bad += put_in(copy, n, 9) != NGX_OK;
        state_bad += look_in(copy, n) != 9;

        if (n == 0) {
            check_readers(copy);
        }
    }

    check_readers(copy);
}


/* The next writer begins with the same token, and dies as well. */

static void
check_next(void *copy)
{
    next_version++;
    state_bad += each_state(copy, size, put_next, check_readers) <= 0;
    next_version--;
}


static void
deaths(void)
{
    int         n;
    ngx_uint_t  i, states;

    fill();
    next_version = 4;

    for (i = 0, states = 0; i < 3; i++) {
        next_name = EVEN + i;
        n = each_state(cache, size, put_next, check_state);

        if (n == -1) {
            ok(1, "# SKIP a child cannot be traced");
            return;
        }

        states += n;
        state_bad += look(next_name) != 4;
    }

    ok(states >= 3 * 8 && state_seen >= 3,
       "three puts went through %lu states", (unsigned long) states);
    ok(state_bad == 0, "in each, none was wrong, and none after more puts");

    next_name = EVEN + i;
    n = each_state(cache, size, put_next, check_next);

    ok(n >= 8 && state_bad == 0, "nor in those of the next writer");

    fill();
    next_name = LONG;
    n = each_state(cache, size, put_next, check_state);

    ok(n >= 8 && state_bad == 0, "nor where the next one needs less room");
}


static int
get_next(void *data)
{
    uint64_t           hash;
    ngx_int_t          rc;
    ngx_str_t         *token;
    oa_token_facts_t   facts;

    token = token_of(next_name);
    hash = oa_token_cache_hash(data, token);

    procs_mark();
    rc = oa_token_cache_get(data, hash, token, &facts);
    procs_mark();

    return rc == NGX_OK && !is_facts(&facts, next_name);
}


static void
prepare(void *shm)
{
    (void) put_in(shm, next_name, 1);
}


static void
overtake(void *shm)
{
    ngx_uint_t  i;

    for (i = 0; i < EVEN; i++) {
        (void) put_in(shm, i, 4 + i % 2);
    }
}


static void
reader_overtaken(void)
{
    int  bad, runs;

    fresh();
    next_name = 1;

    bad = at_each_step(cache, 41, prepare, get_next, overtake, &runs);

    if (bad == -1) {
        ok(1, "# SKIP a child cannot be traced");
        return;
    }

    ok(bad == 0, "a reader overtaken at each of %d moments", runs);
}


typedef struct {
    uint64_t  hits;
    uint64_t  misses;
    uint64_t  puts;
} counts_t;


static counts_t  *counts;


static int
reader(void *shm)
{
    int  bad, got;

    for (bad = 0; !*procs_stop; /* void */ ) {
        got = look_in(shm, random() % 120);

        bad += got < 0;
        (void) __atomic_add_fetch(got ? &counts->hits : &counts->misses, 1,
                                  __ATOMIC_RELAXED);
    }

    return bad;
}


static void
writer(void *shm)
{
    for ( ;; ) {
        (void) put_in(shm, random() % 120, 1 + random() % 1000);
        counts->puts++;
    }
}


static void
killed_writers(void)
{
    int         kills, bad;
    ngx_uint_t  n;

    fresh();
    counts = shared(4096);

    for (n = 0; n < NAMES; n++) {
        (void) token_of(n);
    }

    kills = torture(cache, 2, reader, writer, &bad);

    ok(bad == 0 && kills > 10,
       "three readers, %d writers killed: no reader saw anything wrong",
       kills);
    ok(counts->hits > 1000 && counts->misses > 100 && counts->puts > 1000,
       "%lu hits, %lu misses, %lu puts", (unsigned long) counts->hits,
       (unsigned long) counts->misses, (unsigned long) counts->puts);
}


int
main(void)
{
    (void) alarm(300);

    sizes();
    hashes();
    all_bytes();
    replacement();
    oldest_goes_first();
    full_bucket();
    limits();
    deaths();
    reader_overtaken();
    killed_writers();

    return done_testing();
}
