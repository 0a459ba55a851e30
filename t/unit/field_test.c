
/* HTTP fields. */


#include "oa_field.h"
#include "tap.h"


static ngx_str_t
str(const char *s)
{
    ngx_str_t  value;

    value.data = (u_char *) s;
    value.len = strlen(s);

    return value;
}


static void
test_token(void)
{
    size_t     i;
    ngx_str_t  s;

    static const struct {
        const char  *s;
        int          token;
        int          list;
    } tests[] = {
        { "sb-ref-auth-token", 1, 1 },
        { "!#$%&'*+-.^_`|~09azAZ", 1, 1 },
        { "", 0, 1 },
        { "a b", 0, 1 },
        { "a,b", 0, 1 },
        { "a, \tb,", 0, 1 },
        { "a;b", 0, 0 },
        { "a=b", 0, 0 },
        { "a\"", 0, 0 },
        { "a/b", 0, 0 },
        { "a\r\nb", 0, 0 },
        { "a\x7f", 0, 0 },
        { "\xc3\xa9", 0, 0 }
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        s = str(tests[i].s);

        ok((int) oa_is_token(&s) == tests[i].token, "token: \"%s\"",
           show(s.data, s.len));
        ok((int) oa_is_token_list(&s) == tests[i].list, "list: \"%s\"",
           show(s.data, s.len));
    }

    ngx_str_set(&s, "a\0b");
    ok(!oa_is_token(&s) && !oa_is_token_list(&s), "no NUL");
}


static void
test_bearer(void)
{
    size_t     i;
    ngx_str_t  s, token;

    static const struct {
        const char  *s;
        const char  *token;          /* NULL: another scheme */
    } tests[] = {
        { "Bearer a.b.c", "a.b.c" },
        { "bearer a", "a" },
        { "BEARER\ta", "a" },
        { "Bearer   a  ", "a" },
        { "Bearer a b", "a b" },
        { "Bearer", "" },
        { "Bearer ", "" },
        { "Bearerx a", NULL },
        { "Beare a", NULL },
        { "Basic YTpi", NULL },
        { "", NULL },
        { " Bearer a", NULL }
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        s = str(tests[i].s);

        if (tests[i].token == NULL) {
            ok(oa_field_bearer(&s, &token) == NGX_DECLINED,
               "no bearer: \"%s\"", tests[i].s);
            continue;
        }

        ok(oa_field_bearer(&s, &token) == NGX_OK
           && token.len == strlen(tests[i].token)
           && memcmp(token.data, tests[i].token, token.len) == 0,
           "bearer: \"%s\"", tests[i].s);
    }
}


static void
test_has(void)
{
    size_t     i;
    ngx_str_t  s, member = ngx_string("text/event-stream");

    static const struct {
        const char  *s;
        int          has;
    } tests[] = {
        { "text/event-stream", 1 },
        { "Text/Event-Stream", 1 },
        { "a, text/event-stream", 1 },
        { "text/event-stream;q=0.5, b", 1 },
        { "a ,\ttext/event-stream ; q=1,b", 1 },
        { ",,text/event-stream", 1 },
        { "", 0 },
        { ",", 0 },
        { "text/event-streams", 0 },
        { "text/event-strea", 0 },
        { "text/event-stream x", 0 },
        { "a;text/event-stream", 0 },
        { "*/*", 0 }
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        s = str(tests[i].s);

        ok((int) oa_field_has(&s, &member) == tests[i].has, "\"%s\"",
           tests[i].s);
    }
}


int
main(void)
{
    test_token();
    test_bearer();
    test_has();

    return done_testing();
}
