
#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include "oa_origin.h"
#include "tap.h"


typedef struct {
    ngx_str_t    origin;
    ngx_str_t    host;
    ngx_uint_t   secure;               /* good where we were asked by https */
    ngx_uint_t   plain;                /* and where not */
} test_origin_t;


#define ORIGIN(origin, host, secure, plain)                                   \
    { ngx_string(origin), ngx_string(host), secure, plain }


static const test_origin_t  origins[] = {
    ORIGIN("https://a.example", "a.example", 1, 1),
    ORIGIN("HTTPS://A.Example", "a.eXample", 1, 1),
    ORIGIN("http://a.example", "a.example", 0, 1),
    ORIGIN("https://a.example:8443", "a.example:8443", 1, 1),
    ORIGIN("http://a.example:8080", "a.example:8080", 0, 1),
    ORIGIN("https://a.example:443", "a.example", 1, 1),
    ORIGIN("https://a.example", "a.example:443", 1, 1),
    ORIGIN("http://a.example", "a.example:80", 0, 1),
    ORIGIN("http://a.example:80", "a.example", 0, 1),
    ORIGIN("http://127.0.0.1:8080", "127.0.0.1:8080", 0, 1),
    ORIGIN("https://[::1]", "[::1]", 1, 1),
    ORIGIN("https://[FE80::1]:8443", "[fe80::1]:8443", 1, 1),

    /* siblings, and other ports */

    ORIGIN("https://b.example", "a.example", 0, 0),
    ORIGIN("https://x.a.example", "a.example", 0, 0),
    ORIGIN("https://example", "a.example", 0, 0),
    ORIGIN("https://a.example.evil.example", "a.example", 0, 0),
    ORIGIN("https://a.example.", "a.example", 0, 0),
    ORIGIN("https://a.exampl", "a.example", 0, 0),
    ORIGIN("https://a.example:8443", "a.example", 0, 0),
    ORIGIN("https://a.example", "a.example:8443", 0, 0),
    ORIGIN("https://a.example:80", "a.example", 0, 0),
    ORIGIN("https://a.example", "a.example:80", 0, 0),
    ORIGIN("http://a.example:443", "a.example", 0, 0),
    ORIGIN("http://a.example", "a.example:443", 0, 0),
    ORIGIN("https://a.example:80", "a.example:443", 0, 0),
    ORIGIN("https://[::1]", "[::2]", 0, 0),

    /* no origins */

    ORIGIN("null", "null", 0, 0),
    ORIGIN("null", "a.example", 0, 0),
    ORIGIN("", "a.example", 0, 0),
    ORIGIN("a.example", "a.example", 0, 0),
    ORIGIN("//a.example", "a.example", 0, 0),
    ORIGIN("https:a.example", "a.example", 0, 0),
    ORIGIN("https:/a.example", "a.example", 0, 0),
    ORIGIN("https://", "a.example", 0, 0),
    ORIGIN("https://a.example/", "a.example", 0, 0),
    ORIGIN("https://a.example/x", "a.example", 0, 0),
    ORIGIN("https://a.example https://b.example", "a.example", 0, 0),
    ORIGIN("https://a.example, https://b.example", "a.example", 0, 0),
    ORIGIN("https://u@a.example", "a.example", 0, 0),
    ORIGIN("https://a.example:", "a.example", 0, 0),
    ORIGIN("https://a.example:0443", "a.example", 0, 0),
    ORIGIN("https://a.example:443x", "a.example", 0, 0),
    ORIGIN("https://a.example#", "a.example", 0, 0),
    ORIGIN("https://a.example?", "a.example", 0, 0),
    ORIGIN("https://a.example\\", "a.example", 0, 0),
    ORIGIN("ftp://a.example", "a.example", 0, 0),
    ORIGIN("wss://a.example", "a.example", 0, 0),
    ORIGIN("httpss://a.example", "a.example", 0, 0),
    ORIGIN("*", "a.example", 0, 0),
    ORIGIN("https://a.example", "", 0, 0),
    ORIGIN("https://a.example", "a.example:x", 0, 0),
    ORIGIN("https://a.example", "a.example, b.example", 0, 0)
};


static const ngx_str_t  good[] = {
    ngx_string("https://a.example"),
    ngx_string("http://a.example"),
    ngx_string("https://a.example:8443"),
    ngx_string("http://localhost:3000"),
    ngx_string("http://a.example:443"),
    ngx_string("https://a.example:80"),
    ngx_string("https://a.example:65535"),
    ngx_string("https://xn--bcher-kva.example"),
    ngx_string("https://a_b.example"),
    ngx_string("https://127.0.0.1"),
    ngx_string("https://[::1]"),
    ngx_string("https://[2001:db8::1]:8443"),
    ngx_string("capacitor://localhost"),
    ngx_string("chrome-extension://abcdefghijklmnop"),
    ngx_string("app+x.1://host:80")
};


static const ngx_str_t  bad[] = {
    ngx_string(""),
    ngx_string("*"),
    ngx_string("null"),
    ngx_string("a.example"),
    ngx_string("https://*.example"),
    ngx_string("https://a.example/"),
    ngx_string("https://A.example"),
    ngx_string("HTTPS://a.example"),
    ngx_string("https://a.example:443"),
    ngx_string("http://a.example:80"),
    ngx_string("https://a.example:0"),
    ngx_string("https://a.example:65536"),
    ngx_string("https://a.example:99999"),
    ngx_string("https://a.example:100000"),
    ngx_string("https://a.example:08443"),
    ngx_string("https://a.example:-1"),
    ngx_string("https://u@a.example"),
    ngx_string("https://a.example "),
    ngx_string(" https://a.example"),
    ngx_string("https://b\xc3\xbc" "cher.example"),
    ngx_string("https://[::1"),
    ngx_string("https://[]"),
    ngx_string("https://[::1]x"),
    ngx_string("https://[a.example]"),
    ngx_string("https://::1"),
    ngx_string("1https://a.example"),
    ngx_string("://a.example"),
    ngx_string("ht_tp://a.example"),
    ngx_string("https:/")
};


static u_char *
copy(const ngx_str_t *s)
{
    u_char  *p;

    p = malloc(s->len ? s->len : 1);
    if (p == NULL) {
        abort();
    }

    ngx_memcpy(p, s->data, s->len);

    return p;
}


int
main(void)
{
    ngx_str_t   origin, host, others[2];
    ngx_uint_t  i, secure, want;

    ngx_str_set(&others[0], "https://app.example");
    ngx_str_set(&others[1], "http://localhost:3000");

    for (i = 0; i < sizeof(origins) / sizeof(origins[0]); i++) {
        origin.len = origins[i].origin.len;
        origin.data = copy(&origins[i].origin);
        host.len = origins[i].host.len;
        host.data = copy(&origins[i].host);

        for (secure = 0; secure < 2; secure++) {
            want = secure ? origins[i].secure : origins[i].plain;

            ok(oa_origin_is(&origin, &host, secure, others, 2) == want,
               "\"%s\" is %sthat of \"%s\"%s",
               show(origin.data, origin.len), want ? "" : "not ",
               show(host.data, host.len), secure ? " over https" : "");
        }

        free(host.data);
        free(origin.data);
    }

    ngx_str_set(&host, "a.example");

    for (i = 0; i < 2; i++) {
        ok(oa_origin_is(&others[i], &host, 1, others, 2), "one of others");
        ok(!oa_origin_is(&others[i], &host, 1, NULL, 0), "not without them");
    }

    ngx_str_set(&origin, "HTTPS://App.example");
    ok(oa_origin_is(&origin, &host, 1, others, 2), "without case");

    ngx_str_set(&origin, "http://app.example");
    ok(!oa_origin_is(&origin, &host, 1, others, 2), "of another scheme");

    ngx_str_set(&origin, "https://app.example.");
    ok(!oa_origin_is(&origin, &host, 1, others, 2), "longer than one");

    ngx_str_null(&origin);
    ok(!oa_origin_is(&origin, &host, 1, others, 2), "no origin");

    ngx_str_set(&origin, "https://app.example");
    ngx_str_null(&host);
    ok(oa_origin_is(&origin, &host, 1, others, 2), "one of others, no host");

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        origin.len = good[i].len;
        origin.data = copy(&good[i]);
        ok(oa_is_origin(&origin), "\"%s\" is an origin",
           show(origin.data, origin.len));
        free(origin.data);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        origin.len = bad[i].len;
        origin.data = copy(&bad[i]);
        ok(!oa_is_origin(&origin), "\"%s\" is no origin",
           show(origin.data, origin.len));
        free(origin.data);
    }

    return done_testing();
}
