
#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include "oa_handler.h"
#include "tap.h"


#define BODY  "{\"route_id\":\"r1\",\"user_id\":\"u1\",\"agent_id\":\"\","    \
              "\"subdomain\":\"ada\",\"region\":\"ams\",\"reason\":"          \
              "\"visit \\\"\",\"attempt\":12}"
#define M63   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"


static void
test_body(void)
{
    u_char              *p;
    size_t               size;
    ngx_uint_t           i;

    static const char * const  want[OA_HANDLERS] = {
        BODY,
        "{\"payload\":" BODY ",\"options\":{\"idempotencyKey\":\"j-7\","
        "\"concurrencyKey\":\"r1\"}}"
    };

    static const oa_handler_job_t  job = {
        ngx_string("j-7"), ngx_string("r1"), ngx_string("u1"),
        ngx_null_string, ngx_string("ada"), ngx_string("ams"),
        ngx_string("visit \""), 12
    };

    for (i = 0; i < OA_HANDLERS; i++) {
        size = oa_handler_body_size((oa_handler_format_e) i, &job);

        p = malloc(size);
        if (p == NULL) {
            abort();
        }

        ok(oa_handler_body(p, (oa_handler_format_e) i, &job) == p + size,
           "the size of %s", oa_handler_formats[i].data);
        is_bytes(p, size, want[i], strlen(want[i]),
                 (char *) oa_handler_formats[i].data);
        free(p);
    }
}


static void
test_headers(void)
{
    u_char       *buf;
    ngx_str_t     token, key, id;
    const char   *headers[OA_HANDLER_HEADERS];

    ngx_str_set(&token, "tr_1");
    ngx_str_set(&key, "j-7");
    ngx_str_set(&id, "abc");

    buf = malloc(oa_handler_headers_size(&token, &key, &id));
    if (buf == NULL) {
        abort();
    }

    ok(oa_handler_headers(buf, &token, &key, &id, headers) == NGX_OK
       && strcmp(headers[0], "Content-Type: application/json") == 0
       && strcmp(headers[1], "Authorization: Bearer tr_1") == 0
       && strcmp(headers[2], "Idempotency-Key: j-7") == 0
       && strcmp(headers[3], "X-Request-Id: abc") == 0
       && headers[4] == NULL, "headers");

    ngx_str_null(&token);
    ok(oa_handler_headers(buf, &token, &key, &id, headers) == NGX_OK
       && strcmp(headers[1], "Idempotency-Key: j-7") == 0
       && headers[3] == NULL, "without a token");

    ngx_str_set(&token, "a\r\nb");
    ok(oa_handler_headers(buf, &token, &key, &id, headers) == NGX_ERROR,
       "a line's end in a token");

    free(buf);
}


static void
test_answers(void)
{
    ngx_uint_t            i;
    oa_handler_answer_t   a;

    static const struct {
        oa_handler_format_e    format;
        ngx_uint_t             status;
        ngx_str_t              answer;
        oa_handler_verdict_e   verdict;
        const char            *code;
    } tests[] = {

#define PLAIN(status, answer, verdict, code)                                  \
    { OA_HANDLER_PLAIN, status, ngx_string(answer), OA_HANDLER_ ## verdict,   \
      code }
#define TRIGGER(status, answer, verdict, code)                                \
    { OA_HANDLER_TRIGGER, status, ngx_string(answer),                         \
      OA_HANDLER_ ## verdict, code }
#define BAD(answer)  PLAIN(200, answer, RETRY, "bad_answer")

        PLAIN(200, "{\"app\":\"a\",\"machine\":\"m\",\"region\":\"ams\"}",
              READY, ""),
        PLAIN(200, "{\"app\":\"a\",\"machine\":\"m\",\"more\":[1]}", READY,
              ""),
        PLAIN(200, "{\"app\":\"a\",\"machine\":\"m\",\"region\":null}", READY,
              ""),
        BAD("{\"app\":\"a\",\"machine\":\"m\",\"region\":\"a\"}"),
        BAD("{\"app\":\"a\",\"machine\":\"m\",\"region\":\"a-b\"}"),
        BAD("{\"app\":\"a\",\"machine\":\"m\",\"region\":1}"),
        BAD("{\"app\":\"a\",\"machine\":\"m;app=b\"}"),
        BAD("{\"app\":\"a\",\"machine\":\"m_1\"}"),
        BAD("{\"app\":\"a\",\"machine\":\"" M63 "a\"}"),
        BAD("{\"app\":\"A\",\"machine\":\"m\"}"),
        BAD("{\"app\":\"a.b\",\"machine\":\"m\"}"),
        BAD("{\"app\":\"\",\"machine\":\"m\"}"),
        BAD("{\"app\":\"a\",\"app\":\"b\",\"machine\":\"m\"}"),
        BAD("{\"machine\":\"m\"}"),
        BAD("{\"app\":\"a\"}"),
        BAD("{\"app\":{},\"machine\":[]}"),
        BAD("[]"),
        BAD(""),
        BAD("<html>"),
        BAD("{\"id\":\"run_1\"}"),
        PLAIN(202, "x", ACCEPTED, ""),
        PLAIN(201, "", RETRY, "bad_answer"),
        PLAIN(204, "", RETRY, "bad_answer"),
        PLAIN(302, "", RETRY, "bad_answer"),
        PLAIN(400, "no", REFUSED, "refused"),
        PLAIN(404, "no", REFUSED, "refused"),
        PLAIN(429, "", RETRY, "rate_limited"),
        PLAIN(500, "", RETRY, "handler_down"),
        PLAIN(503, "", RETRY, "handler_down"),
        PLAIN(0, "", RETRY, "no_answer"),
        TRIGGER(200, "{\"id\":\"run_1\",\"isCached\":true}", ACCEPTED, ""),
        TRIGGER(200, "{\"id\":\"x\"}", RETRY, "bad_answer"),
        TRIGGER(200, "{\"app\":\"a\",\"machine\":\"m\"}", RETRY,
                "bad_answer"),
        TRIGGER(202, "", ACCEPTED, ""),
        TRIGGER(404, "unknown task", REFUSED, "refused"),
        TRIGGER(422, "", REFUSED, "refused"),
        TRIGGER(429, "", RETRY, "rate_limited")
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        oa_handler_answer(&a, tests[i].format, tests[i].status,
                          &tests[i].answer);

        ok(a.verdict == tests[i].verdict && strcmp(a.code, tests[i].code) == 0,
           "%s: %d %s", oa_handler_formats[tests[i].format].data,
           (int) tests[i].status,
           show(tests[i].answer.data, tests[i].answer.len));
    }

    oa_handler_answer(&a, OA_HANDLER_PLAIN, 200, &tests[0].answer);
    ok(strcmp((char *) a.app.data, "a") == 0
       && strcmp((char *) a.machine.data, "m") == 0
       && strcmp((char *) a.region.data, "ams") == 0, "what it told");

    oa_handler_answer(&a, OA_HANDLER_TRIGGER, 404, &tests[34].answer);
    is_bytes(a.text.data, a.text.len, "unknown task", 12, "why it refused");
}


int
main(void)
{
    test_body();
    test_headers();
    test_answers();

    return done_testing();
}
