
/* Revoked sessions and users. */


#include <stdlib.h>
#include <unistd.h>

#include "oa_revoked.h"
#include "oa_siphash.h"
#include "procs.h"


#define PAGES   64             /* of the zone: the smallest set */
#define ROOM    480            /* what it holds */
#define NAMES   4000

#define NOW     1000000
#define LATER   (NOW + 1000000)


static const u_char    seed[16] = "0123456789abcdef";

static oa_revoked_t   *set;
static size_t          size;
static u_char          ids[NAMES][16];


static void
fresh(void)
{
    if (set) {
        (void) munmap(set, size + 4096);
    }

    size = oa_revoked_size(PAGES);
    set = shared(size);
    oa_revoked_create(set, size, seed);
}


static ngx_int_t
put(ngx_uint_t n, time_t until)
{
    return oa_revoked_put(set, ids[n], until, NOW);
}


static ngx_uint_t
has(ngx_uint_t n)
{
    return oa_revoked_has(set, ids[n], NOW);
}


static ngx_uint_t
used(void)
{
    ngx_uint_t  n, room;

    oa_revoked_stat(set, &n, &room);

    return n;
}


static void
sizes(void)
{
    ngx_uint_t  n, room;

    ok(oa_revoked_size(16384) == 1024 * 4096
       && oa_revoked_size(255) == 15 * 4096, "a sixteenth of the pages");
    ok(oa_revoked_size(0) == 4 * 4096, "but some at least");

    fresh();
    oa_revoked_stat(set, &n, &room);

    ok(n == 0 && room == ROOM, "room for %lu", (unsigned long) room);
}


static void
times(void)
{
    fresh();

    ok(has(1) == 0, "an empty set");

    ok(put(1, NOW + 10) == NGX_OK && has(1) && !has(2), "one is in it");
    ok(oa_revoked_has(set, ids[1], NOW + 9)
       && !oa_revoked_has(set, ids[1], NOW + 10), "until its time");

    (void) put(2, NOW + 20);
    ok(!oa_revoked_has(set, ids[1], NOW + 10)
       && oa_revoked_has(set, ids[2], NOW + 10), "each has its own");

    (void) put(1, NOW + 15);
    ok(oa_revoked_has(set, ids[1], NOW + 14)
       && !oa_revoked_has(set, ids[1], NOW + 15), "which can be moved on");

    (void) put(1, NOW + 5);
    ok(oa_revoked_has(set, ids[1], NOW + 4)
       && !oa_revoked_has(set, ids[1], NOW + 5), "and back");

    ok(put(1, NOW) == NGX_OK && !has(1) && has(2), "now: it is out");
    ok(put(3, 0) == NGX_OK && !has(3) && used() == 1,
       "one that is not there is not put in to take it out");

    (void) put(1, NOW + 30);
    ok(has(1) && used() == 2, "and in once more");

    (void) put(4, NGX_MAX_TIME_T_VALUE);
    ok(oa_revoked_has(set, ids[4], NGX_MAX_TIME_T_VALUE - 1), "for ever");
}


static void
against_a_model(void)
{
    time_t      now, until, model[300];
    ngx_uint_t  i, k, n, bad;

    fresh();
    memset(model, 0, sizeof(model));
    now = NOW;
    bad = 0;

    for (i = 0; i < 30000; i++) {
        n = random() % 300;
        now += random() % 2;
        until = now + random() % 400 - 50;

        bad += oa_revoked_put(set, ids[n], until, now) != NGX_OK;
        model[n] = until;

        if (i % 50 == 0) {
            for (k = 0; k < 300; k++) {
                bad += oa_revoked_has(set, ids[k], now) != (model[k] > now);
            }
        }
    }

    ok(bad == 0, "30000 changes: as a plain array has it (%lu not)",
       (unsigned long) bad);
}


static void
full(void)
{
    time_t      until[NAMES];
    ngx_int_t   rc;
    ngx_uint_t  i, k, bad, gone, there, later, first;
    u_char      known[NAMES];

    fresh();
    memset(known, 0, sizeof(known));

    (void) put(0, NGX_MAX_TIME_T_VALUE);

    for (i = 1, bad = 0, first = 0, there = 1; i < NAMES; i++) {
        until[i] = LATER + random() % 10000;
        rc = put(i, until[i]);
        known[i] = 1;
        bad += has(i) != 1;

        if (rc == NGX_BUSY && first == 0) {
            first = i;
        }

        for (k = 1, gone = 0; k <= i; k++) {
            if (known[k] && !has(k)) {
                known[k] = 0;
                gone++;
            }
        }

        bad += gone != (rc == NGX_BUSY);
        there += rc == NGX_OK;
    }

    for (k = 1, later = 0; k < NAMES; k++) {
        later += known[k] && until[k] > LATER + 5000;
    }

    ok(bad == 0, "each that came is in, for one at most that had to go");
    ok(first > ROOM / 2, "the first had to when %lu of %d were in",
       (unsigned long) first, ROOM);
    ok(there > ROOM * 9 / 10 && used() == there, "in the end %lu are in",
       (unsigned long) there);
    ok(later > there * 9 / 10 && has(0),
       "those that had the most time left: %lu of the upper half",
       (unsigned long) later);

    /* the same room once more, when all have expired but one */

    for (i = 1, bad = 0; i < ROOM / 2; i++) {
        bad += oa_revoked_put(set, ids[i], LATER + 20000, LATER + 10000)
               != NGX_OK;
    }

    ok(bad == 0, "expired ones cost nothing");
    ok(oa_revoked_has(set, ids[0], LATER + 10000), "one that has not is kept");
}


static void
sweep(void)
{
    uint32_t    gen, old;
    ngx_uint_t  i, bad, row;

    fresh();

    for (i = 0; i < 200; i++) {
        (void) put(i, LATER + i);
    }

    old = oa_revoked_begin(set);
    gen = oa_revoked_begin(set);

    for (i = 0; i < 200; i += 2) {
        (void) put(i, LATER - i);
    }

    (void) put(1000, LATER);

    ok(oa_revoked_sweep(set, old, 0) == 0 && used() == 201,
       "a read that another has overtaken sweeps nothing");

    for (i = 0, bad = 0; i < 200; i++) {
        bad += !has(i);
    }

    ok(bad == 0, "until the sweep all are in force");

    row = 0;

    do {
        row = oa_revoked_sweep(set, gen, row);
    } while (row);

    for (i = 0, bad = 0; i < 200; i++) {
        bad += has(i) != (i % 2 == 0);
    }

    ok(bad == 0 && has(1000) && used() == 101,
       "it leaves what the read brought");
    ok(oa_revoked_has(set, ids[0], LATER - 1), "for as long as it said");

    (void) put(1, LATER * 2);
    ok(oa_revoked_has(set, ids[1], LATER * 2 - 1), "and what comes later");

    gen = oa_revoked_begin(set);
    (void) oa_revoked_sweep(set, gen, 0);

    ok(used() == 0 && !has(0) && !has(1), "a read that brought nothing");
}


/* A set of a larger zone: the sweep goes in steps, puts come in between. */

static void
sweep_in_steps(void)
{
    size_t         n;
    uint32_t       gen;
    ngx_uint_t     i, row, steps, bad;
    oa_revoked_t  *large;

    n = oa_revoked_size(4096);
    large = shared(n);
    oa_revoked_create(large, n, seed);

    for (i = 0; i < NAMES / 2; i++) {
        (void) oa_revoked_put(large, ids[i], LATER, NOW);
    }

    gen = oa_revoked_begin(large);

    for (row = 0, steps = 0; /* void */ ; steps++) {
        row = oa_revoked_sweep(large, gen, row);

        if (row == 0) {
            break;
        }

        (void) oa_revoked_put(large, ids[NAMES / 2 + steps], LATER * 2, NOW);
    }

    for (i = 0, bad = 0; i < NAMES; i++) {
        bad += oa_revoked_has(large, ids[i], NOW)
               != (i >= NAMES / 2 && i < NAMES / 2 + steps);
    }

    ok(bad == 0 && steps > 10, "a sweep in %lu steps, and puts in between",
       (unsigned long) steps);

    (void) munmap(large, n + 4096);
}


/*
 * Two ids for one place, and a third that has the first half of the one and
 * the second half of the other: it is never put in.  Its tag and rows are such
 * that a reader who looks for it looks there.
 */

static u_char  one[16];
static u_char  other[16];
static u_char  mixed[16];
static u_char  behind[16];     /* differs from one in its first half only */


static uint64_t
place(const uint64_t *id, uint32_t *row)
{
    uint64_t  key[2], hash;

    memcpy(key, seed, sizeof(key));

    hash = oa_siphash(key, id, 2);

    row[0] = oa_hash_below((uint32_t) hash, ROOM / 8);
    row[1] = oa_hash_below(hash >> 32, ROOM / 8);

    return hash & 0xfffe;
}


static void
find_mixed(void)
{
    uint32_t  row[2], at;
    uint64_t  a[2], b[2], m[2], d[2], tag;

    a[0] = 1;
    a[1] = 0;

    do {
        a[1]++;
        tag = place(a, row);
    } while (row[0] != row[1]);

    at = row[0];
    m[0] = a[0];
    m[1] = a[1];

    do {
        m[1]++;
    } while (place(m, row) != tag || row[0] != at);

    d[0] = a[0];
    d[1] = a[1];

    do {
        d[0]++;
    } while (place(d, row) != tag || row[0] != at);

    b[0] = 2;
    b[1] = m[1];

    do {
        b[0]++;
        (void) place(b, row);
    } while (row[0] != at || row[1] != at);

    memcpy(one, a, 16);
    memcpy(other, b, 16);
    memcpy(mixed, m, 16);
    memcpy(behind, d, 16);
}


/* All places are taken, but that the two fight for. */

static void
fill(void)
{
    ngx_uint_t  i;

    fresh();

    for (i = 0; i < NAMES; i++) {
        (void) put(i, LATER * 2 + i);
    }

    (void) oa_revoked_put(set, one, LATER, NOW);
}


static int
look_for_mixed(void *shm)
{
    ngx_uint_t  found;

    procs_mark();
    found = oa_revoked_has(shm, mixed, NOW);
    procs_mark();

    return found != 0;
}


static ngx_uint_t  period;
static ngx_uint_t  moment;


static void
exchange(void *shm)
{
    if (++moment % period == 0) {
        (void) oa_revoked_put(shm, moment / period % 2 ? other : one, LATER,
                              NOW);
    }
}


static void
reader_overtaken(void)
{
    int  bad;

    fill();

    ok(oa_revoked_has(set, one, NOW)
       && !oa_revoked_has(set, mixed, NOW)
       && !oa_revoked_has(set, behind, NOW), "half of an id is not it");

    ok(oa_revoked_has(set, one, NOW)
       && oa_revoked_put(set, other, LATER, NOW) == NGX_BUSY
       && !oa_revoked_has(set, one, NOW), "two ids for one place");

    for (period = 1, bad = 0; period <= 12; period++) {
        bad = between_steps(set, look_for_mixed, exchange);

        if (bad) {
            break;
        }
    }

    if (bad == -1) {
        ok(1, "# SKIP a child cannot be traced");
        return;
    }

    ok(bad == 0, "a reader whose entry becomes another, at each instruction");
}


static ngx_uint_t  state_bad;
static ngx_uint_t  state_mark;    /* id that must be in force */
static uint32_t    state_gen;


static int
put_one(void *shm)
{
    ngx_int_t  rc;

    procs_mark();
    rc = oa_revoked_put(shm, one, LATER, NOW);
    procs_mark();

    return rc != NGX_BUSY;
}


static int
put_again(void *shm)
{
    ngx_int_t  rc;

    procs_mark();
    rc = oa_revoked_put(shm, ids[state_mark], LATER * 4, NOW);
    procs_mark();

    return rc != NGX_OK;
}


static int
begin(void *shm)
{
    procs_mark();
    (void) oa_revoked_begin(shm);
    procs_mark();

    return 0;
}


static int
begin_and_sweep(void *shm)
{
    uint32_t  gen;

    gen = oa_revoked_begin(shm);
    (void) oa_revoked_put(shm, ids[state_mark], LATER, NOW);

    procs_mark();
    (void) oa_revoked_sweep(shm, gen, 0);
    procs_mark();

    return 0;
}


static void
check_state(void *copy)
{
    ngx_uint_t  neither;

    state_bad += !oa_revoked_has(copy, ids[state_mark], NOW)
                 || oa_revoked_has(copy, mixed, NOW);

    /* the next writer: a place that neither holds is free */

    neither = !oa_revoked_has(copy, one, NOW)
              && !oa_revoked_has(copy, other, NOW);

    state_bad += oa_revoked_put(copy, one, LATER, NOW) != NGX_OK && neither;
    state_bad += !oa_revoked_has(copy, one, NOW)
                 || oa_revoked_has(copy, mixed, NOW);

    (void) oa_revoked_put(copy, other, LATER, NOW);
    state_bad += !oa_revoked_has(copy, other, NOW)
                 || oa_revoked_has(copy, one, NOW)
                 || oa_revoked_has(copy, mixed, NOW)
                 || !oa_revoked_has(copy, ids[state_mark], NOW);

    (void) oa_revoked_put(copy, other, 0, NOW);
    state_bad += oa_revoked_has(copy, other, NOW);
}


/* Of a sweep that was under way when the next read began. */

static void
check_begin(void *copy)
{
    (void) oa_revoked_sweep(copy, state_gen, 0);

    state_bad += !oa_revoked_has(copy, ids[state_mark], NOW);
}


/* Of a read that a death broke off: the next one decides. */

static void
check_sweep(void *copy)
{
    state_bad += !oa_revoked_has(copy, ids[state_mark], NOW);

    (void) oa_revoked_put(copy, one, LATER * 5, NOW);
    state_bad += !oa_revoked_has(copy, one, LATER * 5 - 1)
                 || !oa_revoked_has(copy, ids[state_mark], LATER - 1);
}


static void
deaths(void)
{
    int  put, again, swept, begun;

    fill();
    state_mark = NAMES - 1;
    (void) oa_revoked_put(set, other, LATER, NOW);
    put = each_state(set, size, put_one, check_state);

    if (put == -1) {
        ok(1, "# SKIP a child cannot be traced");
        return;
    }

    fill();
    again = each_state(set, size, put_again, check_state);

    ok(put >= 5 && again >= 2 && state_bad == 0,
       "a put that died in each of %d states, and one of %d: others see what "
       "was in force", put, again);

    /* few, since each is a state of its own */

    fresh();
    (void) oa_revoked_put(set, ids[1], LATER, NOW);
    (void) oa_revoked_put(set, ids[2], LATER * 2, NOW);
    state_mark = 3;
    swept = each_state(set, size, begin_and_sweep, check_sweep);

    ok(swept >= 4 && state_bad == 0, "a sweep in each of %d", swept);

    state_gen = oa_revoked_begin(set);
    (void) oa_revoked_put(set, ids[state_mark], LATER, NOW);
    begun = each_state(set, size, begin, check_begin);

    ok(begun == 2 && state_bad == 0,
       "the beginning of a read, while another sweeps");
}


typedef struct {
    uint64_t  there;
    uint64_t  not_there;
} counts_t;


static counts_t  *counts;


/*
 * Ten are always in, those above come and go, and half of one with half of
 * another is never in.
 */

static int
reader(void *shm)
{
    int         bad;
    u_char      id[16];
    ngx_uint_t  found;

    for (bad = 0; !*procs_stop; /* void */ ) {
        bad += !oa_revoked_has(shm, ids[random() % 10], NOW);
        bad += oa_revoked_has(shm, mixed, NOW);

        memcpy(id, ids[10 + random() % 600], 8);
        memcpy(id + 8, ids[700 + random() % 600] + 8, 8);
        bad += oa_revoked_has(shm, id, NOW);

        found = oa_revoked_has(shm, ids[10 + random() % 1500], NOW);
        (void) __atomic_add_fetch(found ? &counts->there : &counts->not_there,
                                  1, __ATOMIC_RELAXED);
    }

    return bad;
}


static void
writer(void *shm)
{
    uint32_t    gen;
    ngx_uint_t  i, n, row;

    for ( ;; ) {
        gen = oa_revoked_begin(shm);

        for (i = 0; i < 200; i++) {
            n = random() % 10;
            (void) oa_revoked_put(shm, ids[n], LATER * 2 + i, NOW);

            n = 10 + random() % 1500;
            (void) oa_revoked_put(shm, ids[n], i % 7 ? LATER + i : 0, NOW);

            (void) oa_revoked_put(shm, i % 2 ? one : other, LATER - 1 + i % 4,
                                  NOW);
        }

        for (n = 0; n < 10; n++) {
            (void) oa_revoked_put(shm, ids[n], LATER * 2, NOW);
        }

        for (row = oa_revoked_sweep(shm, gen, 0);
             row;
             row = oa_revoked_sweep(shm, gen, row))
        {
            /* void */
        }
    }
}


static void
killed_writers(void)
{
    int         kills, bad;
    ngx_uint_t  n;

    fresh();
    counts = shared(4096);

    for (n = 0; n < 10; n++) {
        (void) put(n, LATER * 2);
    }

    kills = torture(set, 2, reader, writer, &bad);

    ok(bad == 0 && kills > 10,
       "three readers, %d writers killed: nobody missed what was in force, "
       "or saw what was not", kills);
    ok(counts->there > 1000 && counts->not_there > 1000,
       "%lu found, %lu not", (unsigned long) counts->there,
       (unsigned long) counts->not_there);
}


int
main(void)
{
    ngx_uint_t  i, k;

    (void) alarm(300);

    srandom(1);

    for (i = 0; i < NAMES; i++) {
        for (k = 0; k < 16; k++) {
            ids[i][k] = (u_char) (random() >> 8);
        }
    }

    find_mixed();

    sizes();
    times();
    against_a_model();
    full();
    sweep();
    sweep_in_steps();
    reader_overtaken();
    deaths();
    killed_writers();

    return done_testing();
}
