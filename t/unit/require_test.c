
#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include "oa_require.h"
#include "tap.h"


/* The conditions that hold: "=", "!", "i", "h", "<" and ">", "{" and "}". */

typedef struct {
    const char  *claim;                /* NULL: absent */
    const char  *value;
    const char  *holds;
} test_case_t;


static const struct {
    oa_require_op_e   op;
    char              mark;
    ngx_str_t         name;
} ops[] = {
    { OA_REQUIRE_EQ, '=', ngx_string("eq") },
    { OA_REQUIRE_NE, '!', ngx_string("ne") },
    { OA_REQUIRE_IN, 'i', ngx_string("in") },
    { OA_REQUIRE_HAS, 'h', ngx_string("has") },
    { OA_REQUIRE_MATCH, 'm', ngx_string("match") },
    { OA_REQUIRE_GT, '>', ngx_string("gt") },
    { OA_REQUIRE_GE, '}', ngx_string("ge") },
    { OA_REQUIRE_LT, '<', ngx_string("lt") },
    { OA_REQUIRE_LE, '{', ngx_string("le") }
};


static const test_case_t  cases[] = {
    { NULL, "a", "" },
    { NULL, "", "" },
    { "null", "a", "" },
    { "null", "", "" },
    { "null", "null", "" },

    /* strings */

    { "\"aal2\"", "aal2", "=ih" },
    { "\"aal1\"", "aal2", "!" },
    { "\"aal2\"", "aal", "!" },
    { "\"aal\"", "aal2", "!" },
    { "\"AAL2\"", "aal2", "!" },
    { "\"\\u0061al2\"", "aal2", "=ih" },
    { "\"\\u0061al1\"", "aal2", "!" },
    { "\"\"", "", "=i" },
    { "\"\"", "a", "!" },
    { "\"a\"", "", "!" },
    { "\"5\"", "5", "=ih" },
    { "\"5\"", "5.0", "!" },
    { "\"5\"", "4", "!" },
    { "\"true\"", "true", "=ih" },
    { "\"null\"", "null", "=ih" },
    { "\"a\xc3\xbc\"", "a\xc3\xbc", "=ih" },
    { "\"a\\u00fc\"", "a\xc3\xbc", "=ih" },

    /* lists */

    { "\"b\"", "a,b,c", "!i" },
    { "\"a\"", "a,b,c", "!i" },
    { "\"c\"", "a,b,c", "!i" },
    { "\"d\"", "a,b,c", "!" },
    { "\"a,b\"", "a,b,c", "!" },
    { "\"a,b,c\"", "a,b,c", "=h" },
    { "\"\"", "a,b,c", "!" },
    { "\"\"", "a,,c", "!i" },
    { "\"\"", "a,", "!i" },
    { "\" b\"", "a, b", "!i" },
    { "\"b\"", "a, b", "!" },
    { "2", "1,2,3", "!i" },
    { "2.0", "1,2,3", "!i" },
    { "4", "1,2,3", "!" },
    { "true", "true,false", "!i" },
    { "null", "null,a", "" },
    { "[\"a\"]", "a,b", "" },

    /* words */

    { "\"read write\"", "read", "!h" },
    { "\"read write\"", "write", "!h" },
    { "\"read write all\"", "write", "!h" },
    { "\"read  write\"", "write", "!h" },
    { "\" read \"", "read", "!h" },
    { "\"read:all write\"", "read", "!" },
    { "\"readwrite\"", "read", "!" },
    { "\"read write\"", "rea", "!" },
    { "\"read write\"", "read write", "=i" },
    { "\"read\\twrite\"", "read", "!" },
    { "\"read\\u0020wr\\u0069te\"", "write", "!h" },
    { "\"a  b\"", "", "!" },

    /* booleans */

    { "true", "true", "=i" },
    { "true", "false", "!" },
    { "false", "false", "=i" },
    { "false", "", "!" },
    { "true", "True", "!" },
    { "true", "1", "!" },
    { "true", "tru", "!" },

    /* numbers */

    { "5", "5", "=i{}" },
    { "5", "5.0", "=i{}" },
    { "5.0", "5", "=i{}" },
    { "5e0", "5", "=i{}" },
    { "50", "5e1", "=i{}" },
    { "-0", "0", "=i{}" },
    { "5", "4", "!>}" },
    { "5", "6", "!<{" },
    { "5", "10", "!<{" },
    { "10", "5", "!>}" },
    { "-5", "4", "!<{" },
    { "-5", "-6", "!>}" },
    { "0.1", "0.2", "!<{" },
    { "1e300", "1e299", "!>}" },
    { "5", "05", "!" },
    { "5", "+5", "!" },
    { "5", " 5", "!" },
    { "5", "5 ", "!" },
    { "5", "0x5", "!" },
    { "5", "five", "!" },
    { "5", "", "!" },
    { "5", "1e309", "!" },
    { "5", "99999999999999999999", "!" },
    { "5", "nan", "!" },
    { "5", "inf", "!" },

    /* integers that are one double */

    { "9007199254740993", "9007199254740993", "=i{}" },
    { "9007199254740993", "9007199254740992", "!>}" },
    { "9007199254740992", "9007199254740993", "!<{" },
    { "9223372036854775807", "9223372036854775806", "!>}" },
    { "-9223372036854775808", "-9223372036854775807", "!<{" },
    { "-9223372036854775808", "-9223372036854775808", "=i{}" },
    { "9223372036854775807", "9223372036854775807.0", "=i{}" },
    { "99999999999999999999.5", "99999999999999999999.5", "=i{}" },

    /* arrays */

    { "[]", "", "" },
    { "[\"a\",\"b\"]", "b", "h" },
    { "[\"a\",\"b\"]", "c", "" },
    { "[\"a b\"]", "a", "" },
    { "[\"\\u0061\"]", "a", "h" },
    { "[\"\"]", "", "h" },
    { "[1,2]", "2", "h" },
    { "[1,2]", "2.0", "h" },
    { "[1,2]", "3", "" },
    { "[true]", "true", "h" },
    { "[null]", "null", "" },
    { "[null]", "", "" },
    { "[[\"a\"]]", "a", "" },
    { "[{\"a\":1}]", "a", "" },
    { "[\"a\"]", "[\"a\"]", "" },

    /* objects */

    { "{}", "", "" },
    { "{\"admin\":true}", "admin", "h" },
    { "{\"admin\":null}", "admin", "h" },
    { "{\"\\u0061dmin\":0}", "admin", "h" },
    { "{\"a\":\"admin\"}", "admin", "" },
    { "{\"a\":{\"admin\":1}}", "admin", "" },
    { "{\"a.b\":1}", "a.b", "h" },
    { "{\"a\":{\"b\":1}}", "a.b", "" },
    { "{\"\":1}", "", "h" }
};


static void
holds(const test_case_t *c)
{
    char          doc[256], got[16], want[16], name[128], *p;
    size_t        i, len;
    u_char       *json, *text;
    ngx_str_t     value;
    oa_claims_t   claims;

    len = (size_t) snprintf(doc, sizeof(doc), c->claim ? "{\"exp\":%s}" : "{}",
                            c->claim);

    value.len = strlen(c->value);

    json = malloc(len);
    value.data = malloc(value.len ? value.len : 1);

    if (json == NULL || value.data == NULL) {
        abort();
    }

    memcpy(json, doc, len);
    memcpy(value.data, c->value, value.len);

    if (oa_claims_scan(json, len, &claims) != NGX_OK) {
        ok(0, "no JSON: %s", doc);
    }

    text = malloc(claims.exp.raw.len ? claims.exp.raw.len : 1);
    if (text == NULL) {
        abort();
    }

    p = got;

    for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        if (oa_require_holds(ops[i].op, &claims.exp, &value, text)) {
            *p++ = ops[i].mark;
        }
    }

    *p = '\0';

    /* the marks in the order of the conditions */

    p = want;

    for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        if (strchr(c->holds, ops[i].mark)) {
            *p++ = ops[i].mark;
        }
    }

    *p = '\0';

    (void) snprintf(name, sizeof(name), "%s and \"%s\": [%s]",
                    c->claim ? show(c->claim, strlen(c->claim)) : "absent",
                    show(c->value, value.len), c->holds);

    is_bytes(got, strlen(got), want, strlen(want), name);

    free(text);
    free(value.data);
    free(json);
}


int
main(void)
{
    ngx_str_t   name;
    ngx_uint_t  i;

    static const ngx_str_t  no_ops[] = {
        ngx_string(""), ngx_string("e"), ngx_string("eqq"),
        ngx_string("EQ"), ngx_string("=="), ngx_string("not")
    };

    for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        ok(oa_require_op(&ops[i].name) == ops[i].op, "the condition %s",
           ops[i].name.data);
    }

    for (i = 0; i < sizeof(no_ops) / sizeof(no_ops[0]); i++) {
        name = no_ops[i];
        ok(oa_require_op(&name) == OA_REQUIRE_OPS, "\"%s\" is none",
           name.data);
    }

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        holds(&cases[i]);
    }

    return done_testing();
}
