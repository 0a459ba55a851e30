
/*
 * What those that measure share: clocks, chance, and a histogram.
 */


#ifndef _BENCH_MEASURE_H_INCLUDED_
#define _BENCH_MEASURE_H_INCLUDED_


#include <stdint.h>
#include <time.h>


#define NSEC           1000000000ull
#define MSEC           1000000ull

/* a histogram of 64 steps in each doubling: within 1.6 % */

#define STEP_BITS      6
#define STEPS          (1 << STEP_BITS)
#define BUCKETS        (STEPS * 48)


typedef struct {
    uint64_t       n;
    uint64_t       bucket[BUCKETS];
} histogram_t;


/* Prints why, with errno, and ends the program. */
void die(const char *what) __attribute__((noreturn));


/* In nanoseconds. */

static inline uint64_t
now(clockid_t id)
{
    struct timespec  ts;

    if (clock_gettime(id, &ts) == -1) {
        die("clock_gettime");
    }

    return (uint64_t) ts.tv_sec * NSEC + (uint64_t) ts.tv_nsec;
}


/* A number below n; the state is not 0. */

static inline uint32_t
draw(uint64_t *rnd, uint32_t n)
{
    *rnd ^= *rnd >> 12;
    *rnd ^= *rnd << 25;
    *rnd ^= *rnd >> 27;

    return (uint32_t) ((((*rnd * 0x2545f4914f6cdd1d) >> 32) * n) >> 32);
}


static inline void
histogram_add(histogram_t *h, uint64_t value)
{
    unsigned  exp, i;

    if (value < STEPS) {
        i = (unsigned) value;

    } else {
        exp = 63 - (unsigned) __builtin_clzll(value) - STEP_BITS;
        i = (exp + 1) * STEPS + (unsigned) ((value >> exp) - STEPS);
    }

    h->bucket[i < BUCKETS ? i : BUCKETS - 1]++;
    h->n++;
}


/* Thousandths of the value at a share; within a bucket they lie evenly. */

static inline double
histogram_quantile(const histogram_t *h, double share)
{
    double    want;
    unsigned  i, exp;
    uint64_t  sum, low;

    want = (double) h->n * share;
    sum = 0;

    for (i = 0; i < BUCKETS - 1; i++) {

        if ((double) (sum + h->bucket[i]) > want) {
            break;
        }

        sum += h->bucket[i];
    }

    exp = i < STEPS ? 0 : i / STEPS - 1;
    low = i < STEPS ? i : (uint64_t) (i % STEPS + STEPS) << exp;

    if (h->bucket[i] == 0) {
        return (double) low / 1e3;
    }

    return ((double) low + (double) (1ull << exp) * (want - (double) sum)
                           / (double) h->bucket[i])
           / 1e3;
}


#endif /* _BENCH_MEASURE_H_INCLUDED_ */
