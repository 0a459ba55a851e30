
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_backoff.h"


ngx_msec_t
oa_backoff(ngx_msec_t base, ngx_msec_t max, ngx_uint_t failures,
    uint32_t random)
{
    ngx_msec_t  ms, half;

    for (ms = base; failures > 1 && ms < max; failures--) {
        ms = (ms > max / 2) ? max : ms * 2;
    }

    ms = ngx_min(ms, max);
    half = ms / 2;

    return ms - half + (half ? random % (half + 1) : 0);
}


ngx_uint_t
oa_breaker_allow(oa_breaker_t *b, const oa_breaker_conf_t *conf,
    ngx_msec_t now, ngx_msec_t *wait)
{
    ngx_msec_int_t  left;

    *wait = 0;

    if (b->state == OA_BREAKER_CLOSED) {
        return 1;
    }

    left = (ngx_msec_int_t) (b->until - now);

    if (left > 0) {
        *wait = (ngx_msec_t) left;
        return 0;
    }

    b->state = OA_BREAKER_HALF_OPEN;
    b->until = now + conf->time;

    return 1;
}


void
oa_breaker_end(oa_breaker_t *b, const oa_breaker_conf_t *conf, ngx_msec_t now,
    ngx_uint_t good)
{
    if (good) {

        /* one that had passed before it opened says nothing about now */

        if (b->state != OA_BREAKER_OPEN) {
            b->state = OA_BREAKER_CLOSED;
            b->failures = 0;
        }

        return;
    }

    if (b->state == OA_BREAKER_OPEN) {
        return;
    }

    b->failures++;

    if (conf->failures == 0
        || (b->state == OA_BREAKER_CLOSED && b->failures < conf->failures))
    {
        return;
    }

    b->state = OA_BREAKER_OPEN;
    b->until = now + conf->time;
}
