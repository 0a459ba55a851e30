
#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include "oa_routes_json.h"
#include "tap.h"


#define N63   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define N128  N63 N63 "aa"
#define ROW   "{\"subdomain\":\"a\",\"route_id\":\"1\",\"status\":\"running\"}"


/* What a reading came to, as a text: rows, then the verdict. */

typedef struct {
    char               text[4096];
    size_t             len;
    ngx_uint_t         rows;
    ngx_uint_t         stop;           /* refuse this row */
    const char        *reason;
    oa_routes_json_t   reader;
} test_result_t;


static ngx_int_t
collect(void *data, const oa_route_t *route)
{
    test_result_t *result = data;

    u_char      row[OA_ROUTES_JSON_ROW_MAX];
    size_t      len;

    result->rows++;

    if (result->rows == result->stop) {
        result->reader.error = result->reason;
        return NGX_ERROR;
    }

    len = (size_t) (oa_routes_json_row(row, route) - row);

    if (result->len + len + 32 < sizeof(result->text)) {
        memcpy(result->text + result->len, row, len);
        result->len += len;
        result->len += (size_t) sprintf(result->text + result->len, "@%lu\n",
                                        (unsigned long) result->reader.line);
    }

    return NGX_OK;
}


/*
 * Feeds step bytes more at a time, from a buffer of exactly the bytes that
 * are there, as a caller with a small buffer would.
 */

static void
feed(test_result_t *result, const void *doc, size_t len, size_t step)
{
    u_char     *p;
    size_t      start, end, used;
    unsigned    last;
    ngx_int_t   rc;

    result->len = 0;
    result->rows = 0;

    oa_routes_json_init(&result->reader);

    start = 0;
    end = 0;

    for ( ;; ) {
        end = ngx_min(end + step, len);
        last = (end == len);

        p = malloc(end - start ? end - start : 1);
        if (p == NULL) {
            abort();
        }

        memcpy(p, (const u_char *) doc + start, end - start);

        used = (size_t) -1;
        rc = oa_routes_json_feed(&result->reader, p, end - start, last, &used,
                                 collect, result);

        free(p);

        if (used > end - start) {
            abort();
        }

        start += used;

        if (rc != NGX_AGAIN) {
            break;
        }

        if (last) {
            abort();
        }
    }

    if (rc == NGX_OK) {
        result->len += (size_t) sprintf(result->text + result->len,
                                        start == len ? "ok" : "left over");

    } else {
        result->len += (size_t) snprintf(result->text + result->len, 200,
                                         "%lu: %s",
                                         (unsigned long) result->reader.line,
                                         result->reader.error);
    }
}


static void
is(const char *doc, size_t len, const char *want, const char *name)
{
    size_t         step;
    ngx_uint_t     bad;
    test_result_t  whole, part;

    ngx_memzero(&whole, sizeof(whole));
    ngx_memzero(&part, sizeof(part));

    feed(&whole, doc, len, len);
    is_bytes(whole.text, whole.len, want, strlen(want), name);

    bad = 0;

    for (step = 1; step <= ngx_min(len, 9); step++) {
        feed(&part, doc, len, step);

        if (part.len != whole.len
            || memcmp(part.text, whole.text, whole.len) != 0)
        {
            printf("# step %d: %s\n", (int) step,
                   show(part.text, part.len));
            bad++;
        }
    }

    ok(bad == 0, "%s, cut in pieces", name);
}


static void
test_documents(void)
{
    char         name[100];
    ngx_uint_t   i;

#define OUT  "{\"subdomain\":\"a\",\"route_id\":\"1\",\"status\":\"running\"," \
             "\"access\":\"owner\",\"version\":0}"
#define DOC(doc, want)   { ngx_string(doc), want }
#define FIELD(field)                                                          \
    "{\"routes\":[\n{\"subdomain\":\"a\",\"route_id\":\"1\","                 \
    "\"status\":\"running\"," field "}]}"

    static const struct {
        ngx_str_t    doc;
        const char  *want;
    } tests[] = {

        DOC("{\"routes\":[]}", "ok"),
        DOC(" \t\r\n{ \"routes\" \n: [ ] \r\n} \n\n", "ok"),
        DOC("{\"routes\":[" ROW "]}", OUT "@1\nok"),
        DOC("{\"routes\":[\n" ROW ",\n" ROW "\n]}\n",
            OUT "@2\n" OUT "@3\nok"),
        DOC("{\"routes\":[" ROW " \n , \n\n" ROW " ] }",
            OUT "@1\n" OUT "@4\nok"),
        DOC("{\"ro\\u0075tes\":[" ROW "]}", OUT "@1\nok"),

        /* other members */

        DOC("{\"a\":1,\"routes\":[" ROW "],\"b\":{\"routes\":[2]},\n\"c\":"
            "[\n\n1],\"d\":null,\"e\":-1.5e3,\"f\":\"routes\",\"g\":true}",
            OUT "@1\nok"),
        DOC("{\"a\":\n{\n}\n,\"routes\":[" ROW "],\"a\":0}", OUT "@4\nok"),
        DOC("{\"routes\":[],\"Routes\":0,\"route\":0,\"routess\":0}", "ok"),

        /* a row's other keys, order, escapes, null, line ends in it */

        DOC("{\"routes\":[{\"x\":[{\"app\":1}],\"status\":\"run\\u006eing\","
            "\"route_id\":\"1\",\"version\":7,\"subdomain\":\"a\"}]}",
            "{\"subdomain\":\"a\",\"route_id\":\"1\",\"status\":\"running\","
            "\"access\":\"owner\",\"version\":7}@1\nok"),
        DOC("{\"routes\":[{\"subdomain\":\"a\",\n\"route_id\":\"1\",\n"
            "\"status\":\"running\",\"app\":null,\"version\":null,"
            "\"access\":null,\"user_id\":null}\n," ROW "]}",
            OUT "@1\n" OUT "@4\nok"),
        DOC(FIELD("\"user_id\":\"u\",\"agent_id\":\"g\",\"app\":\"p\","
            "\"machine\":\"m\",\"region\":\"ams\",\"access\":\"public\","
            "\"version\":9223372036854775807"),
            "{\"subdomain\":\"a\",\"route_id\":\"1\",\"user_id\":\"u\","
            "\"agent_id\":\"g\",\"app\":\"p\",\"machine\":\"m\","
            "\"region\":\"ams\",\"status\":\"running\","
            "\"access\":\"public\",\"version\":9223372036854775807}@2\nok"),

        /* grammar */

        DOC(FIELD("\"app\":\"A\""),
            "2: app is not a DNS label in lower case"),
        DOC(FIELD("\"app\":\"a;b\""),
            "2: app is not a DNS label in lower case"),
        DOC(FIELD("\"machine\":\"a\\nb\""),
            "2: machine is not a DNS label in lower case"),
        DOC(FIELD("\"region\":\"a\""), "2: region is not 2 to 8 of [a-z0-9]"),
        DOC(FIELD("\"app\":1"), "2: app is not a string"),
        DOC(FIELD("\"app\":{}"), "2: app is not a string"),
        DOC(FIELD("\"access\":true"), "2: access is not a string"),
        DOC(FIELD("\"version\":\"1\""), "2: version is not an integer from "
            "0 to 9223372036854775807"),
        DOC(FIELD("\"version\":1.0"), "2: version is not an integer from "
            "0 to 9223372036854775807"),
        DOC(FIELD("\"version\":-1"), "2: version is not an integer from "
            "0 to 9223372036854775807"),
        DOC(FIELD("\"version\":9223372036854775808"),
            "2: a number is out of range"),
        DOC(FIELD("\"app\":\"a\",\n\"app\":\"a\""),
            "3: a key occurs twice"),
        DOC(FIELD("\"app\":\"a\\u0000\""), "2: a NUL in a string"),
        DOC(FIELD("\"a\\u0000\":1"), "2: a NUL in a string"),
        DOC(FIELD("\"app\":\"\xff\""), "2: not UTF-8"),
        DOC(FIELD("\"user_id\":\"b\xc3\xbc\""), "2: user_id is not at most "
            "128 of [A-Za-z0-9._:@|+/=-]"),
        DOC("{\"routes\":[{\"route_id\":\"1\",\"status\":\"running\"}]}",
            "1: subdomain is not a DNS label in lower case"),
        DOC("{\"routes\":[{\"subdomain\":\"a\",\"status\":\"running\"}]}",
            "1: route_id is not 1 to 128 of [A-Za-z0-9._:@|+/=-]"),
        DOC("{\"routes\":[" ROW ",\n\n{}]}",
            OUT "@1\n3: subdomain is not a DNS label in lower case"),

        /* form */

        DOC("", "1: the document has no end"),
        DOC("\n\n", "3: the document has no end"),
        DOC("{", "1: the document has no end"),
        DOC("{}", "1: the document has no \"routes\""),
        DOC("{\"a\":1}", "1: the document has no \"routes\""),
        DOC("[]", "1: the document is not a JSON object"),
        DOC("\xef\xbb\xbf{\"routes\":[]}",
            "1: the document is not a JSON object"),
        DOC("{\"routes\"", "1: the document has no end"),
        DOC("{\"routes\":", "1: the document has no end"),
        DOC("{\"routes\":[", "1: the document has no end"),
        DOC("{\"routes\":[\n]", "2: the document has no end"),
        DOC("{\"rou", "1: the document has no end"),
        DOC("{\"routes\":[" ROW ",", OUT "@1\n1: the document has no end"),
        DOC("{\"routes\":[{\"subdomain\":\"a\",\n\"rou",
            "2: the document has no end"),
        DOC("{\"routes\":[],\n\"a\":tru", "2: not JSON"),
        DOC("{\"routes\":[],\"a\":12", "1: the document has no end"),
        DOC("{\"routes\":[]}x", "1: bytes after the document's end"),
        DOC("{\"routes\":[]}\n{}", "2: bytes after the document's end"),
        DOC("{\"routes\":[]}\0", "1: bytes after the document's end"),
        DOC("{\"routes\":[],\n\"routes\":[]}", "2: \"routes\" occurs twice"),
        DOC("{\"routes\":{}}", "1: \"routes\" is not an array"),
        DOC("{\"routes\":null}", "1: \"routes\" is not an array"),
        DOC("{\"routes\":[1]}", "1: a route is not an object"),
        DOC("{\"routes\":[[]]}", "1: a route is not an object"),
        DOC("{\"routes\":[" ROW ",]}", OUT "@1\n1: a route is not an object"),
        DOC("{\"routes\":[," ROW "]}", "1: a route is not an object"),
        DOC("{\"routes\":[" ROW "\n" ROW "]}",
            OUT "@1\n2: \",\" or \"]\" is expected after a route"),
        DOC("{\"routes\":[" ROW "}",
            OUT "@1\n1: \",\" or \"]\" is expected after a route"),
        DOC("{\"routes\":[],}", "1: a name is expected"),
        DOC("{,\"routes\":[]}", "1: a name is expected"),
        DOC("{routes:[]}", "1: a name is expected"),
        DOC("{\"routes\" []}", "1: \":\" is expected"),
        DOC("{\"routes\",[]}", "1: \":\" is expected"),
        DOC("{\"routes\":[]]", "1: \",\" or \"}\" is expected"),
        DOC("{\"routes\":[] \"a\":1}", "1: \",\" or \"}\" is expected"),
        DOC("{\"a\":1 2,\"routes\":[]}", "1: \",\" or \"}\" is expected"),
        DOC("{\"a\":,\"routes\":[]}", "1: not JSON"),
        DOC("{\"a\":truefalse,\"routes\":[]}", "1: not JSON"),
        DOC("{\"a\":01,\"routes\":[]}", "1: not JSON"),
        DOC("{\"a\n\":1,\"routes\":[]}", "1: not JSON"),
        DOC("{\"routes\":[{\"subdomain\":\"a\",\n\n'x':1}]}", "3: not JSON"),
        DOC("{\"routes\":[{\"subdomain\":\"a\" \"x\":1}]}", "1: not JSON"),
        DOC("{\"routes\":[" ROW ",\n{\"app\":\"\n\"}]}",
            OUT "@1\n2: not JSON"),
        DOC("// x\n{\"routes\":[]}", "1: the document is not a JSON object")
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        snprintf(name, sizeof(name), "%s",
                 show(tests[i].doc.data, tests[i].doc.len));
        is((char *) tests[i].doc.data, tests[i].doc.len, tests[i].want, name);
    }
}


/* A document of head, fill times n, tail. */

static char *
build(const char *head, const char *fill, size_t n, const char *tail,
    size_t *len)
{
    char    *p, *q;
    size_t   i;

    p = malloc(strlen(head) + strlen(fill) * n + strlen(tail) + 1);
    if (p == NULL) {
        abort();
    }

    q = p + sprintf(p, "%s", head);

    for (i = 0; i < n; i++) {
        q += sprintf(q, "%s", fill);
    }

    q += sprintf(q, "%s", tail);
    *len = (size_t) (q - p);

    return p;
}


static void
test_limits(void)
{
    char           *doc;
    size_t          len, step;
    ngx_uint_t      i, bad;
    test_result_t   whole, part;

#define MAX  OA_ROUTES_JSON_VALUE_MAX
#define TAIL  "\",\"subdomain\":\"a\",\"route_id\":\"1\","                    \
              "\"status\":\"running\"}"
#define LEN(s)  (sizeof(s) - 1)

    static const struct {
        const char  *head;
        const char  *fill;
        size_t       n;
        const char  *tail;
        const char  *want;
        const char  *name;
    } tests[] = {

        { "{\"routes\":[{\"x\":\"", "x", MAX - LEN("{\"x\":\"" TAIL),
          TAIL "]}", OUT "@1\nok", "a row of 16 KiB" },
        { "{\"routes\":[{\"x\":\"", "x", MAX - LEN("{\"x\":\"" TAIL) + 1,
          TAIL "]}", "1: over 16 KiB", "a row of a byte more" },
        { "{\"routes\":[\n{\"x\":\"", "\xf0\x9f\x98\x80", MAX, TAIL "]}",
          "2: over 16 KiB", "a row cut in a character" },
        { "{\"routes\":[{\"x\":[", "true,", MAX, "]}]}",
          "1: over 16 KiB", "a row cut in a literal" },
        { "{\"routes\":[{\"x\":", "7", MAX, "}]}",
          "1: over 16 KiB", "a row cut in a number" },
        { "{\"routes\":[{\"x\":\"", "x", MAX, "",
          "1: over 16 KiB", "a row without an end" },
        { "{\"routes\":[{", " ", MAX, "}]}",
          "1: over 16 KiB", "a row of nothing" },
        { "{\"routes\":[", " ", MAX * 2, ROW "]}",
          OUT "@1\nok", "white space before a row has no limit" },
        { "{\"routes\":[", "\n", MAX * 2, ROW "]}",
          OUT "@32769\nok", "nor have lines" },
        { "{\"", "x", MAX - 2, "\":1,\"routes\":[]}", "ok",
          "a name of 16 KiB" },
        { "{\"", "x", MAX - 1, "\":1,\"routes\":[]}", "1: over 16 KiB",
          "a name of a byte more" },
        { "{\"x\":\"", "x", MAX - 2, "\",\"routes\":[]}", "ok",
          "a member of 16 KiB" },
        { "{\"x\":\"", "x", MAX - 1, "\",\"routes\":[]}", "1: over 16 KiB",
          "a member of a byte more" },
        { "{\"x\":1.", "0", MAX - 3, ",\"routes\":[]}", "ok",
          "a number of 16 KiB but one" },
        { "{\"x\":1.", "0", MAX - 2, ",\"routes\":[]}", "1: over 16 KiB",
          "a number of 16 KiB" },
        { "{\"x\":", "[", MAX - 1, "", "1: nested too deeply",
          "nested too deeply" }
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        doc = build(tests[i].head, tests[i].fill, tests[i].n, tests[i].tail,
                    &len);

        ngx_memzero(&whole, sizeof(whole));
        ngx_memzero(&part, sizeof(part));

        feed(&whole, doc, len, len);
        is_bytes(whole.text, whole.len, tests[i].want,
                 strlen(tests[i].want), tests[i].name);

        bad = 0;

        for (step = 1021; step < MAX * 2; step += 2039) {
            feed(&part, doc, len, step);

            if (part.len != whole.len
                || memcmp(part.text, whole.text, whole.len) != 0)
            {
                printf("# step %d: %s\n", (int) step,
                       show(part.text, part.len));
                bad++;
            }
        }

        ok(bad == 0, "%s, cut in pieces", tests[i].name);

        free(doc);
    }
}


static void
test_refused(void)
{
    test_result_t  result;

    static const char  doc[] = "{\"routes\":[\n" ROW ",\n" ROW ",\n" ROW "]}";

    ngx_memzero(&result, sizeof(result));
    result.stop = 2;
    feed(&result, doc, sizeof(doc) - 1, sizeof(doc));

    is_bytes(result.text, result.len, OUT "@2\n3: refused",
             sizeof(OUT "@2\n3: refused") - 1, "a row that is refused");

    result.reason = "subdomain occurs twice";
    feed(&result, doc, sizeof(doc) - 1, sizeof(doc));

    is_bytes(result.text, result.len, OUT "@2\n3: subdomain occurs twice",
             sizeof(OUT "@2\n3: subdomain occurs twice") - 1,
             "with a reason");
    ok(result.rows == 2, "nothing is read behind it");
}


static void
test_writer(void)
{
    char         doc[OA_ROUTES_JSON_ROW_MAX + 32];
    u_char      *p, *end;
    size_t       len;
    oa_route_t   route;

    ngx_str_set(&route.subdomain, N63);
    ngx_str_set(&route.route_id, N128);
    ngx_str_set(&route.user_id, N128);
    ngx_str_set(&route.agent_id, N128);
    ngx_str_set(&route.app, N63);
    ngx_str_set(&route.machine, N63);
    ngx_str_set(&route.region, "aaaaaaaa");
    route.status = OA_ROUTE_PROVISIONING;
    route.access = OA_ACCESS_AUTHENTICATED;
    route.version = (uint64_t) -1;

    p = malloc(OA_ROUTES_JSON_ROW_MAX);
    if (p == NULL) {
        abort();
    }

    end = oa_routes_json_row(p, &route);
    ok((size_t) (end - p) == OA_ROUTES_JSON_ROW_MAX,
       "the longest row has %lu bytes", (unsigned long) (end - p));

    route.version = 9223372036854775807ULL;

    end = oa_routes_json_row(p, &route);

    len = (size_t) sprintf(doc, "{\"routes\":[\n%.*s\n]}\n", (int) (end - p),
                           p);

    {
        test_result_t  result;

        ngx_memzero(&result, sizeof(result));
        feed(&result, doc, len, len);

        ok(result.rows == 1 && result.len == (size_t) (end - p) + 5
           && memcmp(result.text, p, end - p) == 0,
           "and reads back");
    }

    free(p);
}


int
main(void)
{
    test_documents();
    test_limits();
    test_refused();
    test_writer();

    return done_testing();
}
