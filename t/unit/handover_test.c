
/* What a login page hands over. */


#include "oa_handover.h"
#include "tap.h"


#define FORM  "application/x-www-form-urlencoded"
#define JSON  "application/json"


static const struct {
    const char  *type;
    const char  *body;
    ngx_int_t    rc;
    const char  *token;
    const char  *next;
} bodies[] = {
    { FORM, "access_token=a.b.c", NGX_OK, "a.b.c", "" },
    { FORM "; charset=utf-8", "access_token=a.b.c&next=%2Fchat%3Fa%3Db",
      NGX_OK, "a.b.c", "/chat?a=b" },
    { FORM, "next=%2F&access_token=a%2Eb%2Ec&x=y", NGX_OK, "a.b.c", "/" },
    { FORM, "next=/a", NGX_OK, "", "/a" },
    { FORM, "x=y", NGX_OK, "", "" },
    { FORM, "access_token=a&access_token=b", NGX_ERROR, NULL, NULL },
    { FORM, "access_token=a&access_token=a", NGX_OK, "a", "" },
    { FORM, "access_token=%zz", NGX_ERROR, NULL, NULL },
    { FORM, "access_token=a&next=%2F%2Fevil.example", NGX_ERROR, NULL, NULL },
    { FORM, "access_token=a&next=https://evil.example", NGX_ERROR, NULL,
      NULL },
    { FORM, "access_token=a&next=/a&next=/b", NGX_ERROR, NULL, NULL },
    { FORM, "{\"access_token\":\"a\"}", NGX_OK, "", "" },

    { JSON, "{\"access_token\":\"a.b.c\"}", NGX_OK, "a.b.c", "" },
    { JSON "; charset=utf-8",
      "{\"next\":\"\\/chat\",\"access_token\":\"\\u0061.b.c\",\"x\":[1]}",
      NGX_OK, "a.b.c", "/chat" },
    { JSON, "{}", NGX_OK, "", "" },
    { JSON, "{\"access_token\":1}", NGX_ERROR, NULL, NULL },
    { JSON, "{\"access_token\":null}", NGX_ERROR, NULL, NULL },
    { JSON, "{\"access_token\":\"a\",\"access_token\":\"b\"}", NGX_ERROR,
      NULL, NULL },
    { JSON, "{\"access_token\":\"a\"} x", NGX_ERROR, NULL, NULL },
    { JSON, "[\"a\"]", NGX_ERROR, NULL, NULL },
    { JSON, "", NGX_ERROR, NULL, NULL },
    { JSON, "{\"access_token\":\"a\",\"next\":\"/\\t/evil\"}", NGX_ERROR,
      NULL, NULL },

    { "text/plain", "access_token=a", NGX_DECLINED, NULL, NULL },
    { "multipart/form-data; boundary=x", "access_token=a", NGX_DECLINED, NULL,
      NULL },
    { "", "access_token=a", NGX_DECLINED, NULL, NULL }
};


static void
test_parse(void)
{
    size_t         i;
    u_char        *buf;
    ngx_int_t      rc;
    ngx_str_t      type, body;
    oa_handover_t  handover;

    for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        type.data = (u_char *) bodies[i].type;
        type.len = strlen(bodies[i].type);
        body.data = (u_char *) bodies[i].body;
        body.len = strlen(bodies[i].body);

        buf = malloc(2 * body.len + 1);
        rc = oa_handover_parse(&type, &body, buf, &handover);

        ok(rc == bodies[i].rc, "%s: %s", bodies[i].type, bodies[i].body);

        if (rc == NGX_OK && bodies[i].token) {
            is_bytes(handover.token.data, handover.token.len, bodies[i].token,
                     strlen(bodies[i].token), "the token");
            is_bytes(handover.next.data, handover.next.len, bodies[i].next,
                     strlen(bodies[i].next), "what comes next");
        }

        if (rc != NGX_DECLINED) {
            ok(handover.form == (strncmp(bodies[i].type, FORM,
                                         sizeof(FORM) - 1) == 0),
               "a form is one");
        }

        free(buf);
    }
}


static void
test_path(void)
{
    size_t     i;
    ngx_str_t  path;

    static const char  *good[] = {
        "/", "/a", "/a//b", "/?next=//x", "/%2F/x", "/a?b=c#d", "/:80"
    };

    static const char  *bad[] = {
        "", "a", "//", "//evil.example", "/\\evil.example", "\\/evil.example",
        "/a\\b", "/\t/evil.example", "/\r\nX: y", " /a", "/a b", "/\xc3\xa9",
        "https://evil.example", "javascript:alert(1)", "?a", "/\x7f"
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        path.data = (u_char *) good[i];
        path.len = strlen(good[i]);
        ok(oa_handover_is_path(&path), "a path: %s", good[i]);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        path.data = (u_char *) bad[i];
        path.len = strlen(bad[i]);
        ok(!oa_handover_is_path(&path), "none: %s",
           show(path.data, path.len));
    }

    ngx_str_set(&path, "/a\0b");
    ok(!oa_handover_is_path(&path), "none with a NUL");
}


static void
test_cookie(void)
{
    u_char     *buf, *last;
    size_t      size;
    ngx_str_t   name = ngx_string("__Host-user"), token = ngx_string("a.b.c");

    static const char  set[] = "__Host-user=a.b.c; Path=/; Secure; HttpOnly; "
                               "SameSite=Lax; Max-Age=3600";
    static const char  gone[] = "__Host-user=; Path=/; Secure; HttpOnly; "
                                "SameSite=Lax; Max-Age=0";

    size = oa_handover_cookie_size(&name, &token);
    buf = malloc(size);

    last = oa_handover_cookie(buf, &name, &token, 3600);
    is_bytes(buf, last - buf, set, sizeof(set) - 1, "a cookie");
    ok((size_t) (last - buf) <= size, "no longer than its size");

    token.len = 0;
    last = oa_handover_cookie(buf, &name, &token, 0);
    is_bytes(buf, last - buf, gone, sizeof(gone) - 1,
             "one that is taken away");

    free(buf);
}


int
main(void)
{
    test_parse();
    test_path();
    test_cookie();

    return done_testing();
}
