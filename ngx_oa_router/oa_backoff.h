
/*
 * When to try again, and whether to try at all.
 *
 * Pure: numbers in, numbers out.  Times are milliseconds of one clock.
 */


#ifndef _OA_BACKOFF_H_INCLUDED_
#define _OA_BACKOFF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Milliseconds to wait after this many failures (at least 1): base, doubled
 * for each after the first, at most max, of which random takes up to a half,
 * so that those who failed together do not come again together.
 */
ngx_msec_t oa_backoff(ngx_msec_t base, ngx_msec_t max, ngx_uint_t failures,
    uint32_t random);


/*
 * A circuit breaker.  Closed, it lets all pass; after as many failures in a
 * row it opens, and lets nothing pass for a time; then it is half-open, and
 * lets one pass, whose end closes or opens it.  Where that end is never told,
 * since its worker died, another may pass after the same time.
 *
 * Zeroed, it is closed.  It may lie in shared memory, under a lock.
 */

typedef enum {
    OA_BREAKER_CLOSED = 0,
    OA_BREAKER_OPEN,
    OA_BREAKER_HALF_OPEN
} oa_breaker_state_e;

typedef struct {
    ngx_uint_t           failures;     /* that open it; 0: never */
    ngx_msec_t           time;         /* that it stays open */
} oa_breaker_conf_t;

typedef struct {
    oa_breaker_state_e   state;
    ngx_uint_t           failures;     /* in a row */
    ngx_msec_t           until;        /* unless closed: nothing passes */
} oa_breaker_t;

/*
 * May this one pass?  If not, *wait is after how many milliseconds one may;
 * else 0.
 */
ngx_uint_t oa_breaker_allow(oa_breaker_t *b, const oa_breaker_conf_t *conf,
    ngx_msec_t now, ngx_msec_t *wait);

/* The end of one that passed: did the other side work? */
void oa_breaker_end(oa_breaker_t *b, const oa_breaker_conf_t *conf,
    ngx_msec_t now, ngx_uint_t good);


#endif /* _OA_BACKOFF_H_INCLUDED_ */
