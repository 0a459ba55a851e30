
/*
 * The hosts of the benchmark, as functions of a number.
 *
 * Nothing is looked up: a table of a million hosts in the generator would
 * share the last level cache with the nginx that is measured, and make the
 * bigger table look slower than it is.
 */


#ifndef _BENCH_HOSTS_H_INCLUDED_
#define _BENCH_HOSTS_H_INCLUDED_


#include <stdint.h>
#include <stddef.h>


#define HOST_DOMAIN       "openagents.example"

#define HOST_LABEL_LEN    9                   /* "u" and 8 digits */
#define HOST_MACHINE_LEN  14
#define HOST_APP_LEN      (3 + HOST_LABEL_LEN)
#define HOST_UUID_LEN     36

/* app=APP;instance=MACHINE */
#define HOST_REPLAY_LEN   (4 + HOST_APP_LEN + 10 + HOST_MACHINE_LEN)


static inline void
host_hex(char *p, uint64_t v, size_t n)
{
    while (n--) {
        p[n] = "0123456789abcdef"[v & 0xf];
        v >>= 4;
    }
}


/* A bijection: different numbers have different labels. */

static inline uint32_t
host_mix32(uint32_t x)
{
    x ^= x >> 16;
    x *= 0x7feb352d;
    x ^= x >> 15;
    x *= 0x846ca68b;
    x ^= x >> 16;

    return x;
}


static inline uint64_t
host_mix64(uint64_t x)
{
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;

    return x ^ (x >> 31);
}


static inline void
host_label(char *p, uint32_t i)
{
    *p = 'u';
    host_hex(p + 1, host_mix32(i), HOST_LABEL_LEN - 1);
}


static inline void
host_app(char *p, uint32_t i)
{
    p[0] = 'o';
    p[1] = 'a';
    p[2] = '-';
    host_label(p + 3, i);
}


static inline void
host_machine(char *p, uint32_t i)
{
    host_hex(p, host_mix64(i), HOST_MACHINE_LEN);
}


static inline void
host_replay(char *p, uint32_t i)
{
    __builtin_memcpy(p, "app=", 4);
    host_app(p + 4, i);
    __builtin_memcpy(p + 4 + HOST_APP_LEN, ";instance=", 10);
    host_machine(p + 4 + HOST_APP_LEN + 10, i);
}


/* what tells the route's, the user's and the agent's number apart */

static inline void
host_uuid(char *p, uint32_t i, uint32_t what)
{
    uint64_t  hi, lo;

    hi = host_mix64(((uint64_t) what << 32) | i);
    lo = host_mix64(hi);

    host_hex(p, hi >> 32, 8);
    p[8] = '-';
    host_hex(p + 9, hi >> 16, 4);
    p[13] = '-';
    host_hex(p + 14, (hi & 0x0fff) | 0x4000, 4);
    p[18] = '-';
    host_hex(p + 19, ((lo >> 48) & 0x3fff) | 0x8000, 4);
    p[23] = '-';
    host_hex(p + 24, lo, 12);
}


#endif /* _BENCH_HOSTS_H_INCLUDED_ */
