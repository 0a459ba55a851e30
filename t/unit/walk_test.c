
#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include "oa_walk.h"
#include "tap.h"


enum {
    ROOT = 0,
    A,
    A0,
    A0B,
    C,
    NODES
};

static const oa_walk_node_t  nodes[NODES] = {
    { ROOT, ngx_null_string },
    { ROOT, ngx_string("a") },
    { A, ngx_null_string },
    { A0, ngx_string("b") },
    { ROOT, ngx_string("c") }
};


static ngx_int_t
walk(const char *text, ngx_str_t *value, ngx_uint_t *members)
{
    static u_char  *p;

    ngx_str_t  s;

    /* exactly as long, for a sanitizer's sake; the last one stays */

    free(p);

    s.len = strlen(text);
    p = malloc(s.len ? s.len : 1);

    if (p == NULL) {
        abort();
    }

    ngx_memcpy(p, text, s.len);
    s.data = p;

    return oa_walk(&s, nodes, NODES, value, members);
}


static void
good(const char *text, ngx_uint_t members, const char *a, const char *a0,
    const char *a0b, const char *c)
{
    ngx_str_t    value[NODES];
    ngx_uint_t   i, n, fine;
    const char  *want[NODES];

    want[ROOT] = NULL;
    want[A] = a;
    want[A0] = a0;
    want[A0B] = a0b;
    want[C] = c;

    n = 99;

    fine = (walk(text, value, &n) == NGX_OK && n == members
            && value[ROOT].len);

    for (i = A; fine && i < NODES; i++) {
        fine = want[i] ? (value[i].len == strlen(want[i])
                          && memcmp(value[i].data, want[i], value[i].len)
                             == 0)
                       : (value[i].data == NULL);
    }

    ok(fine, "%s", show(text, strlen(text)));
}


static const char *const  bad[] = {
    "", " ", "{", "}", "[", "]", "{]", "[}", "{\"a\"}", "{\"a\":}", "{a:1}",
    "{\"a\":1,}", "{,}", "{\"a\" 1}", "{\"a\":1 \"c\":2}", "{1:2}",
    "[1,]", "[,1]", "[1 2]", "[1}", "{\"a\":1]", "1 2", "{} x", "[]]",
    "{\"a\":[{\"b\":1,\"b\":2}]}", "{\"a\":1,\"a\":2}",
    "{\"a\":[1],\"a\":[]}", "tru", "True", "nul", "nulll", "falsee",
    "-", "+1", "01", "-01", "1.", ".1", "1e", "1e+", "1.e1", "0x1", "1a",
    "NaN", "Infinity", "\"", "\"a", "\"\\", "\"\\\"", "\"\\x\"", "\"\\u12\"",
    "\"\\u123g\"", "\"\\u123\"", "\"\t\"", "\"\x1f\"", "'a'", "\xef\xbb\xbf{}",
    "// c\n1"
};


int
main(void)
{
    char         deep[80];
    ngx_str_t    text, value[NODES];
    ngx_uint_t   i;

    good("{}", 0, NULL, NULL, NULL, NULL);
    good("[]", 0, NULL, NULL, NULL, NULL);
    good(" 1 ", 0, NULL, NULL, NULL, NULL);
    good("\"a\"", 0, NULL, NULL, NULL, NULL);
    good("{\"a\":1}", 1, "1", NULL, NULL, NULL);
    good("{\"c\":\"x\\\"y\" , \"d\":{\"a\":2,\"c\":3}}", 2, NULL, NULL, NULL,
         "\"x\\\"y\"");
    good("\r\n\t{ \"a\" : [ { \"b\" : [ 1 , 2 ] } , { \"b\" : 2 } ] } ", 1,
         "[ { \"b\" : [ 1 , 2 ] } , { \"b\" : 2 } ]", "{ \"b\" : [ 1 , 2 ] }",
         "[ 1 , 2 ]", NULL);
    good("{\"a\":[0,{\"b\":2}]}", 1, "[0,{\"b\":2}]", "0", NULL, NULL);
    good("{\"a\":[]}", 1, "[]", NULL, NULL, NULL);
    good("{\"a\":{\"\":1}}", 1, "{\"\":1}", NULL, NULL, NULL);
    good("{\"\":1,\"\":2}", 2, NULL, NULL, NULL, NULL);
    good("{\"\\u0061\":1,\"x\":1,\"x\":2}", 3, NULL, NULL, NULL, NULL);
    good("[{\"a\":1},{\"a\":2}]", 0, NULL, NULL, NULL, NULL);
    good("{\"c\":-0.5e-10}", 1, NULL, NULL, NULL, "-0.5e-10");
    good("{\"c\":[0,-0,0.0,1E5,true,false,null]}", 1, NULL, NULL, NULL,
         "[0,-0,0.0,1E5,true,false,null]");
    good("{\"c\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\uD83d\x7f\xff\"}", 1, NULL,
         NULL, NULL, "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\uD83d\x7f\xff\"");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ok(walk(bad[i], value, NULL) == NGX_ERROR, "not %s",
           show(bad[i], strlen(bad[i])));
    }

    for (i = 31; i <= 33; i++) {
        ngx_memset(deep, '[', i);
        ngx_memset(deep + i, ']', i);
        deep[i * 2] = '\0';

        ok(walk(deep, value, NULL)
           == (i <= OA_WALK_DEPTH ? NGX_OK : NGX_ERROR),
           "%lu levels", (unsigned long) i);
    }

    (void) walk("\"ab\"", value, NULL);
    ok(oa_walk_string(&value[ROOT], &text) && text.len == 2
       && text.data == value[ROOT].data + 1, "a string");
    (void) walk("12", value, NULL);
    ok(!oa_walk_string(&value[ROOT], &text), "no string");
    ok(oa_walk_count(&value[ROOT]) == 12, "a number");
    (void) walk("9007199254740991", value, NULL);
    ok(oa_walk_count(&value[ROOT]) == 9007199254740991, "2^53 - 1");
    (void) walk("9007199254740992", value, NULL);
    ok(oa_walk_count(&value[ROOT]) == -1, "2^53");
    (void) walk("18446744073709551617", value, NULL);
    ok(oa_walk_count(&value[ROOT]) == -1, "more");
    (void) walk("-1", value, NULL);
    ok(oa_walk_count(&value[ROOT]) == -1, "-1");
    (void) walk("1.0", value, NULL);
    ok(oa_walk_count(&value[ROOT]) == -1, "1.0");
    ok(oa_walk_count(&value[C]) == -1, "nothing");

    return done_testing();
}
