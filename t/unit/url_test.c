
/* oa_url.c: which URLs are taken, and what is found in them. */


#include <ngx_config.h>
#include <ngx_core.h>

#include "oa_url.h"
#include "tap.h"


typedef struct {
    const char                  *url;
    const char                  *host;       /* NULL: refused */
    ngx_uint_t                   port;
    oa_url_host_e                kind;
    ngx_uint_t                   tls;
} case_t;


static const case_t  cases[] = {

    /* taken */

    { "https://a.example/x", "a.example", 443, OA_URL_NAME, 1 },
    { "https://a.example", "a.example", 443, OA_URL_NAME, 1 },
    { "HTTPS://A.Example:8443/X?y", "a.example", 8443, OA_URL_NAME, 1 },
    { "https://a_b-c.example:1", "a_b-c.example", 1, OA_URL_NAME, 1 },
    { "https://a.example?x@y:z", "a.example", 443, OA_URL_NAME, 1 },
    { "https://a.example/@b:c", "a.example", 443, OA_URL_NAME, 1 },
    { "https://192.0.2.1:65535/", "192.0.2.1", 65535, OA_URL_ADDRESS, 1 },
    { "https://[2001:DB8::1]/", "[2001:db8::1]", 443, OA_URL_ADDRESS, 1 },
    { "https://localhost/", "localhost", 443, OA_URL_LOCALHOST, 1 },

    /* plain http, where nobody else is */

    { "http://localhost/", "localhost", 80, OA_URL_LOCALHOST, 0 },
    { "http://LocalHost:8/", "localhost", 8, OA_URL_LOCALHOST, 0 },
    { "http://127.0.0.1", "127.0.0.1", 80, OA_URL_ADDRESS, 0 },
    { "http://127.255.0.9:9", "127.255.0.9", 9, OA_URL_ADDRESS, 0 },
    { "http://[::1]:80", "[::1]", 80, OA_URL_ADDRESS, 0 },
    { "http://_api.internal:4280/v1", "_api.internal", 4280, OA_URL_NAME, 0 },
    { "http://M1.vm.App.Internal", "m1.vm.app.internal", 80, OA_URL_NAME, 0 },

    /* an address in another form is that address */

    { "http://127.1/", "127.0.0.1", 80, OA_URL_ADDRESS, 0 },
    { "http://2130706433/", "127.0.0.1", 80, OA_URL_ADDRESS, 0 },

    /* and where others are */

    { "http://a.example/", NULL, 0, 0, 0 },
    { "http://192.0.2.1/", NULL, 0, 0, 0 },
    { "http://3221225985/", NULL, 0, 0, 0 },
    { "http://0.0.0.0/", NULL, 0, 0, 0 },
    { "http://[::]/", NULL, 0, 0, 0 },
    { "http://[::ffff:192.0.2.1]/", NULL, 0, 0, 0 },
    { "http://internal/", NULL, 0, 0, 0 },
    { "http://.internal/", NULL, 0, 0, 0 },
    { "http://ainternal/", NULL, 0, 0, 0 },
    { "http://a.internal.example/", NULL, 0, 0, 0 },
    { "http://a.example/.internal", NULL, 0, 0, 0 },
    { "http://a.example?.internal", NULL, 0, 0, 0 },
    { "http://a.example\\.internal/", NULL, 0, 0, 0 },
    { "http://127.0.0.1.example/", NULL, 0, 0, 0 },
    { "http://127.a.example/", NULL, 0, 0, 0 },
    { "http://localhost.example/", NULL, 0, 0, 0 },
    { "http://a.localhost/", NULL, 0, 0, 0 },

    /* not what we ask */

    { "", NULL, 0, 0, 0 },
    { "a.example/", NULL, 0, 0, 0 },
    { "//a.example/", NULL, 0, 0, 0 },
    { "https:/a.example/", NULL, 0, 0, 0 },
    { "https:a.example/", NULL, 0, 0, 0 },
    { "httpss://a.example/", NULL, 0, 0, 0 },
    { " https://a.example/", NULL, 0, 0, 0 },
    { "ftp://a.example/", NULL, 0, 0, 0 },
    { "file:///etc/passwd", NULL, 0, 0, 0 },
    { "https://", NULL, 0, 0, 0 },
    { "https:///a", NULL, 0, 0, 0 },
    { "https://:443/", NULL, 0, 0, 0 },

    /* users, fragments, control characters */

    { "https://u@a.example/", NULL, 0, 0, 0 },
    { "https://u:p@a.example/", NULL, 0, 0, 0 },
    { "https://:p@a.example/", NULL, 0, 0, 0 },
    { "http://127.0.0.1@a.example/", NULL, 0, 0, 0 },
    { "http://a.example@127.0.0.1/", NULL, 0, 0, 0 },
    { "https://a.example/#", NULL, 0, 0, 0 },
    { "https://a.example#b", NULL, 0, 0, 0 },
    { "https://a.example/ b", NULL, 0, 0, 0 },
    { "https://a.example/\r\nb", NULL, 0, 0, 0 },
    { "https://a.example/\x7f", NULL, 0, 0, 0 },

    /* hosts that are none */

    { "https://a..example/", NULL, 0, 0, 0 },
    { "https://.a.example/", NULL, 0, 0, 0 },
    { "https://a.example./", NULL, 0, 0, 0 },
    { "https://a+b.example/", NULL, 0, 0, 0 },
    { "https://a%2fb.example/", NULL, 0, 0, 0 },
    { "https://a,b.example/", NULL, 0, 0, 0 },
    { "https://b\xc3\xbc.example/", NULL, 0, 0, 0 },
    { "https://[::1/", NULL, 0, 0, 0 },
    { "https://[a.example]/", NULL, 0, 0, 0 },

    /* ports */

    { "https://a.example:0/", NULL, 0, 0, 0 },
    { "https://a.example:65536/", NULL, 0, 0, 0 },
    { "https://a.example:-1/", NULL, 0, 0, 0 },
    { "https://a.example:x/", NULL, 0, 0, 0 }
};


static void
try(const case_t *c)
{
    oa_url_t     u;
    const char  *error;

    error = oa_url_parse(&u, c->url);

    if (c->host == NULL) {
        ok(error != NULL, "refused: \"%s\"", show(c->url, strlen(c->url)));

        if (error == NULL) {
            oa_url_free(&u);
        }

        return;
    }

    ok(error == NULL, "taken: \"%s\"", c->url);

    if (error) {
        printf("# %s\n", error);
        return;
    }

    is_bytes(u.host.data, u.host.len, c->host, strlen(c->host), "its host");
    ok(u.host.data[u.host.len] == '\0', "which ends");
    ok(u.port == c->port, "its port");
    ok(u.kind == c->kind, "its kind");
    ok(u.tls == c->tls, "its scheme");

    oa_url_free(&u);
}


static void
lengths(void)
{
    u_char       url[512];
    oa_url_t     u;
    ngx_uint_t   n;
    const char  *error;

    /* 63 bytes a label, 253 in all */

    for (n = 63; n <= 64; n++) {
        ngx_memzero(url, sizeof(url));
        ngx_memcpy(url, "https://", 8);
        ngx_memset(url + 8, 'a', n);

        error = oa_url_parse(&u, (char *) url);
        ok((error == NULL) == (n == 63), "a label of %u", (unsigned) n);

        if (error == NULL) {
            oa_url_free(&u);
        }
    }

    for (n = OA_URL_HOST_MAX; n <= OA_URL_HOST_MAX + 1; n++) {
        ngx_memzero(url, sizeof(url));
        ngx_memset(url + 8, 'a', n);
        ngx_memcpy(url, "https://", 8);
        url[8 + 60] = '.';
        url[8 + 120] = '.';
        url[8 + 180] = '.';
        url[8 + 240] = '.';

        error = oa_url_parse(&u, (char *) url);
        ok((error == NULL) == (n == OA_URL_HOST_MAX), "a host of %u",
           (unsigned) n);

        if (error == NULL) {
            ok(u.host.len == n, "all of it");
            oa_url_free(&u);
        }
    }
}


int
main(void)
{
    ngx_uint_t  i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        try(&cases[i]);
    }

    lengths();

    return done_testing();
}
