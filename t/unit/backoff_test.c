
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_backoff.h"
#include "tap.h"


static void
test_backoff(void)
{
    uint32_t     random;
    ngx_uint_t   i, bad;
    ngx_msec_t   ms, low, high;

    static const struct {
        ngx_msec_t  base;
        ngx_msec_t  max;
        ngx_uint_t  failures;
        ngx_msec_t  want;              /* at most; at least half of it */
    } tests[] = {
        { 1000, 30000, 0, 1000 },
        { 1000, 30000, 1, 1000 },
        { 1000, 30000, 2, 2000 },
        { 1000, 30000, 5, 16000 },
        { 1000, 30000, 6, 30000 },
        { 1000, 30000, 1000000, 30000 },
        { 1000, 500, 1, 500 },
        { 1, (ngx_msec_t) -1, 100, (ngx_msec_t) -1 },
        { 0, 1000, 5, 0 },
        { 1, 1, 1, 1 }
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        bad = 0;
        low = (ngx_msec_t) -1;
        high = 0;

        for (random = 0; random < 100000; random++) {
            ms = oa_backoff(tests[i].base, tests[i].max, tests[i].failures,
                            random * 2654435761u);
            low = ngx_min(low, ms);
            high = ngx_max(high, ms);
            bad += ms > tests[i].want || ms < tests[i].want / 2;
        }

        ok(bad == 0, "%lu failures: at most %lu",
           (unsigned long) tests[i].failures, (unsigned long) tests[i].want);

        if (tests[i].want >= 500 && tests[i].want < 100000) {
            ok(low < tests[i].want * 51 / 100
               && high > tests[i].want * 99 / 100, "spread over half of it");
        }
    }
}


static void
test_breaker(void)
{
    ngx_msec_t          now, wait;
    ngx_uint_t          i;
    oa_breaker_t        b;
    oa_breaker_conf_t   conf;

    memset(&b, 0, sizeof(b));
    conf.failures = 3;
    conf.time = 1000;
    now = (ngx_msec_t) -500;           /* the clock turns over */

    ok(oa_breaker_allow(&b, &conf, now, &wait) && wait == 0, "closed");

    oa_breaker_end(&b, &conf, now, 0);
    oa_breaker_end(&b, &conf, now, 0);
    oa_breaker_end(&b, &conf, now, 1);
    oa_breaker_end(&b, &conf, now, 0);
    oa_breaker_end(&b, &conf, now, 0);
    ok(oa_breaker_allow(&b, &conf, now, &wait), "not so many in a row");

    oa_breaker_end(&b, &conf, now, 0);
    ok(b.state == OA_BREAKER_OPEN
       && !oa_breaker_allow(&b, &conf, now, &wait) && wait == 1000, "open");

    oa_breaker_end(&b, &conf, now, 1);
    ok(b.state == OA_BREAKER_OPEN, "the end of an older one says nothing");

    now += 400;
    oa_breaker_end(&b, &conf, now, 0);
    ok(!oa_breaker_allow(&b, &conf, now, &wait) && wait == 600,
       "nor does it stay open for longer");

    now += 600;
    ok(oa_breaker_allow(&b, &conf, now, &wait)
       && b.state == OA_BREAKER_HALF_OPEN, "half-open: one passes");
    ok(!oa_breaker_allow(&b, &conf, now, &wait) && wait == 1000,
       "and no other");

    oa_breaker_end(&b, &conf, now, 0);
    ok(b.state == OA_BREAKER_OPEN, "it failed: open again");

    now += 1000;
    ok(oa_breaker_allow(&b, &conf, now, &wait), "one passes");
    now += 1000;
    ok(oa_breaker_allow(&b, &conf, now, &wait), "it died: another one");

    oa_breaker_end(&b, &conf, now, 1);
    ok(b.state == OA_BREAKER_CLOSED && b.failures == 0
       && oa_breaker_allow(&b, &conf, now, &wait), "closed");

    conf.failures = 0;

    for (i = 0; i < 100; i++) {
        oa_breaker_end(&b, &conf, now, 0);
    }

    ok(oa_breaker_allow(&b, &conf, now, &wait), "one that never opens");
}


int
main(void)
{
    test_backoff();
    test_breaker();

    return done_testing();
}
