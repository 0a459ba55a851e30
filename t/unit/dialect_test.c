
#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include <jansson.h>
#include "oa_dialect.h"
#include "tap.h"


#define FFFD  "\xef\xbf\xbd"
#define N128                                                                  \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"        \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"


static u_char  memory[4096];


static ngx_int_t
read_body(const char *body, size_t len, oa_dialect_request_t *request,
    const char **why)
{
    u_char     *p, *buf;
    ngx_str_t   s;
    ngx_int_t   rc;

    /* exactly as long, for a sanitizer's sake */

    s.len = len;
    s.data = malloc(len ? len : 1);
    buf = malloc(len ? len : 1);

    if (s.data == NULL || buf == NULL) {
        abort();
    }

    ngx_memcpy(s.data, body, len);

    rc = oa_dialect_read(&s, 20, buf, request, why);

    free(s.data);

    if (rc == NGX_OK) {
        p = ngx_cpymem(memory, request->message.text.data,
                       request->message.text.len);
        request->message.text.data = memory;

        if (request->session.len) {
            ngx_memcpy(p, request->session.data, request->session.len);
            request->session.data = p;
        }
    }

    free(buf);

    return rc;
}


static void
is_body(const char *name, oa_dialect_e dialect, const char *body,
    const char *user, const char *want)
{
    u_char                *p, *end;
    size_t                 size;
    json_t                *json;
    ngx_str_t              s;
    const char            *why;
    json_error_t           err;
    oa_dialect_request_t   request;

    if (read_body(body, strlen(body), &request, &why) != NGX_OK) {
        ok(0, "%s: %s", name, why);
        return;
    }

    s.data = (u_char *) user;
    s.len = strlen(user);

    size = oa_dialect_body_size(dialect, &request, &s);
    p = malloc(size);

    if (p == NULL) {
        abort();
    }

    end = oa_dialect_body(p, dialect, &request, &s);

    ok((size_t) (end - p) == size, "%s: its size", name);
    is_bytes(p, end - p, want, strlen(want), name);

    json = json_loadb((char *) p, size, 0, &err);
    ok(json != NULL, "%s: JSON", name);
    json_decref(json);

    free(p);
}


static void
is_no_body(const char *body, size_t len, const char *reason)
{
    const char            *why;
    oa_dialect_request_t   request;

    why = "nothing";

    ok(read_body(body, len, &request, &why) == NGX_ERROR
       && strstr(why, reason),
       "no body: %s (%s)", show(body, len), why);
}


static void
test_requests(void)
{
    is_body("seed", OA_DIALECT_SEED,
            "{\"sessionId\":\"s1\",\"message\":\"Hi \\\"you\\\"\\n\","
            "\"userId\":\"someone\"}", "sub",
            "{\"message\":\"Hi \\\"you\\\"\\u000a\"}");

    is_body("cleaned", OA_DIALECT_SEED,
            "{\"message\":\"\\u0000a\\u001bb\\u007f\xc3\xb6\\ud83d\\ude00\"}",
            "", "{\"message\":\"ab\xc3\xb6\xf0\x9f\x98\x80\"}");

    is_body("all escapes", OA_DIALECT_SEED,
            "{\"message\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00DF\\u20aC\"}", "",
            "{\"message\":\"\\\"\\\\/\\u000a\\u000d\\u0009"
            "\xc3\x9f\xe2\x82\xac\"}");

    is_body("no characters", OA_DIALECT_SEED,
            "{\"message\":\"\xff\\ud83d\\u0041\\ude00\\ud83d\\ud83d\\ude00"
            "\\udbff\"}", "",
            "{\"message\":\"" FFFD FFFD "A" FFFD FFFD
            "\xf0\x9f\x98\x80" FFFD "\"}");

    is_body("a session of 128", OA_DIALECT_OPENCLAW,
            "{\"message\":\"a\",\"sessionId\":\"" N128 "\"}", "",
            "{\"model\":\"openclaw\",\"stream\":true,\"stream_options\":"
            "{\"include_usage\":true},\"user\":\":" N128 "\",\"messages\":"
            "[{\"role\":\"user\",\"content\":\"a\"}]}");

    is_body("cut", OA_DIALECT_SEED,
            "{\"message\":\"0123456789012345678901234\"}", "",
            "{\"message\":\"01234567890123456789\"}");

    is_body("empty", OA_DIALECT_SEED, "{\"message\":\"\"}", "",
            "{\"message\":\"\"}");

    is_body("openclaw", OA_DIALECT_OPENCLAW,
            "{\"sessionId\":\"s\\\"1\",\"message\":\"Hi \\\"you\\\"\"}", "sub",
            "{\"model\":\"openclaw\",\"stream\":true,\"stream_options\":"
            "{\"include_usage\":true},\"user\":\"sub:s\\\"1\",\"messages\":"
            "[{\"role\":\"user\",\"content\":\"Hi \\\"you\\\"\"}]}");

    is_body("openclaw, no session", OA_DIALECT_OPENCLAW,
            "{\"message\":\"Hi\",\"sessionId\":null}", "sub",
            "{\"model\":\"openclaw\",\"stream\":true,\"stream_options\":"
            "{\"include_usage\":true},\"user\":\"sub\",\"messages\":"
            "[{\"role\":\"user\",\"content\":\"Hi\"}]}");

    is_body("openclaw, no user", OA_DIALECT_OPENCLAW,
            "{\"message\":\"Hi\",\"sessionId\":\"s\"}", "",
            "{\"model\":\"openclaw\",\"stream\":true,\"stream_options\":"
            "{\"include_usage\":true},\"user\":\":s\",\"messages\":"
            "[{\"role\":\"user\",\"content\":\"Hi\"}]}");

    is_body("openclaw, nobody", OA_DIALECT_OPENCLAW,
            "{\"message\":\"Hi\",\"sessionId\":\"\"}", "",
            "{\"model\":\"openclaw\",\"stream\":true,\"stream_options\":"
            "{\"include_usage\":true},\"messages\":"
            "[{\"role\":\"user\",\"content\":\"Hi\"}]}");

    is_no_body("", 0, "JSON object");
    is_no_body("x", 1, "JSON object");
    is_no_body("[]", 2, "JSON object");
    is_no_body("\"message\"", 9, "JSON object");
    is_no_body("{\"message\":\"a\"", 14, "JSON object");
    is_no_body("{\"message\":\"a\"} x", 17, "JSON object");
    is_no_body("{\"message\":\"\\x\"}", 16, "JSON object");
    is_no_body("{\"message\":\"a\",\"message\":\"b\"}", 29, "JSON object");
    is_no_body("{}", 2, "\"message\"");
    is_no_body("{\"message\":1}", 13, "\"message\"");
    is_no_body("{\"message\":null}", 16, "\"message\"");
    is_no_body("{\"message\":[\"a\"]}", 17, "\"message\"");
    is_no_body("{\"message\":\"a\",\"sessionId\":1}", 29, "sessionId");
    is_no_body("{\"message\":\"a\",\"sessionId\":\"a" N128 "\"}",
               sizeof("{\"message\":\"a\",\"sessionId\":\"a" N128 "\"}") - 1,
               "longer");
}


/*
 * What becomes of a stream: PASS as "<raw>", a frame as its bytes, the ends
 * as "DONE" and "FAILED text code", nothing as ".".
 */

static void
is_stream(const char *name, oa_dialect_e dialect, const char *stream,
    const char *want, oa_dialect_t *d)
{
    char                 out[2048];
    u_char              *p, *buf;
    size_t               pos, used, len;
    ngx_uint_t           i;
    oa_sse_t             sse;
    oa_sse_event_t       event;
    oa_dialect_frame_t   frame;

    oa_dialect_init(d, dialect);
    oa_sse_init(&sse);
    p = (u_char *) out;
    len = strlen(stream);

    for (pos = 0; /* void */ ; pos += used) {

        if (oa_sse_next(&sse, (u_char *) stream + pos, len - pos, &used,
                        &event)
            != NGX_OK)
        {
            break;
        }

        buf = malloc(event.raw.len);

        if (buf == NULL) {
            abort();
        }

        ngx_memset(&frame, 0xa5, sizeof(oa_dialect_frame_t));

        switch (oa_dialect_event(d, &event, buf, &frame)) {

        case OA_DIALECT_NOTHING:
            *p++ = '.';
            break;

        case OA_DIALECT_PASS:
            *p++ = '<';
            p = ngx_cpymem(p, event.raw.data, event.raw.len);
            *p++ = '>';
            break;

        case OA_DIALECT_FRAME:
            for (i = 0; i < 3; i++) {
                p = ngx_cpymem(p, frame.part[i].data, frame.part[i].len);
            }
            break;

        case OA_DIALECT_DONE:
            p = ngx_cpymem(p, "DONE", 4);
            break;

        case OA_DIALECT_FAILED:
            p = ngx_cpymem(p, "FAILED ", 7);
            p = oa_sse_error(p, &frame.error);
            break;
        }

        free(buf);
    }

    is_bytes(out, p - (u_char *) out, want, strlen(want), name);
}


static void
test_seed(void)
{
    oa_dialect_t  d;

    is_stream("seed: as it is", OA_DIALECT_SEED,
              "data: {\"text\":\"a\"}\n\n: c\n\nevent: tool\ndata: x\n\n"
              "id: 1\n\nretry: 1\n\n", "<data: {\"text\":\"a\"}\n\n>."
              "<event: tool\ndata: x\n\n>.<retry: 1\n\n>", &d);
    ok(oa_dialect_is_complete(&d), "seed: complete without [DONE]");

    is_stream("seed: a time that is none", OA_DIALECT_SEED,
              "retry: x\n\nretry\n\ndata: a\n\n", "..<data: a\n\n>", &d);
    is_stream("raw: a time alone", OA_DIALECT_RAW, "retry: 1\n\n",
              "<retry: 1\n\n>", &d);
    is_stream("openclaw: none but ours", OA_DIALECT_OPENCLAW,
              "retry: 1\n\n", ".", &d);
    is_stream("seed: none behind the end", OA_DIALECT_SEED,
              "data: [DONE]\n\nretry: 1\n\n", "DONE.", &d);

    is_stream("seed: [DONE] is the end", OA_DIALECT_SEED,
              "data: a\n\ndata: [DONE]\n\ndata: [DONE]\n\ndata: b\n\n",
              "<data: a\n\n>DONE..", &d);

    is_stream("seed: an error is the end", OA_DIALECT_SEED,
              "data: {\"error\":\"no \\\"memory\\\"\"}\n\ndata: [DONE]\n\n",
              "FAILED data: {\"error\":\"no \\\"memory\\\"\","
              "\"code\":\"agent_error\"}\n\n.", &d);

    is_stream("seed: an error with a code", OA_DIALECT_SEED,
              "data: { \"code\" : \"rate_limit\",\ndata:\"error\":\"slow\"}"
              "\n\n", "FAILED data: {\"error\":\"slow\","
              "\"code\":\"rate_limit\"}\n\n", &d);

    is_stream("seed: a code that cannot be shown", OA_DIALECT_SEED,
              "data: {\"error\":\"x\",\"code\":\"Rate\\n\"}\n\n",
              "FAILED data: {\"error\":\"x\",\"code\":\"agent_error\"}\n\n",
              &d);

    is_stream("seed: talk of errors is none", OA_DIALECT_SEED,
              "data: {\"text\":\"\\\"error\\\"\"}\n\n"
              "data: {\"text\":\"a\",\"error\":\"b\"}\n\n"
              "data: {\"x\":{\"error\":\"b\"}}\n\n"
              "data: {\"error\":null}\n\n"
              "data: [\"error\"]\n\n"
              "data: \"error\"\n\n",
              "<data: {\"text\":\"\\\"error\\\"\"}\n\n>"
              "<data: {\"text\":\"a\",\"error\":\"b\"}\n\n>"
              "<data: {\"x\":{\"error\":\"b\"}}\n\n>"
              "<data: {\"error\":null}\n\n>"
              "<data: [\"error\"]\n\n>"
              "<data: \"error\"\n\n>", &d);
    ok(d.strange == 0, "seed: nothing strange");

    is_stream("seed: no JSON", OA_DIALECT_SEED,
              "data: {\"error\":\"b\n\n", "<data: {\"error\":\"b\n\n>", &d);
    ok(d.strange == 1, "seed: strange");
}


static void
test_openclaw(void)
{
    oa_dialect_t  d;

    is_stream("openclaw: a run", OA_DIALECT_OPENCLAW,
              "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\","
              "\"created\":1,\"model\":\"openclaw\",\"choices\":[{\"index\":0,"
              "\"delta\":{\"role\":\"assistant\"}}]}\n\n"
              "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":"
              "\"Hel\"},\"finish_reason\":null}],\"usage\":null}\n\n"
              "data: {\"choices\":[{\"delta\":{\"content\":"
              "\"lo \\\"\\u00f6\xc3\xb6\\n\"}}]}\n\n"
              "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}"
              "]}\n\n"
              "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":12,"
              "\"completion_tokens\":34,\"total_tokens\":46}}\n\n"
              "data: [DONE]\n\n",
              ".data: {\"text\":\"Hel\"}\n\n"
              "data: {\"text\":\"lo \\\"\\u00f6\xc3\xb6\\n\"}\n\n"
              "..DONE", &d);
    ok(d.usage.prompt == 12 && d.usage.completion == 34
       && d.usage.total == 46, "openclaw: usage");
    ok(d.finished && d.ended && d.strange == 0, "openclaw: finished");

    is_stream("openclaw: cut", OA_DIALECT_OPENCLAW,
              "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n",
              "data: {\"text\":\"a\"}\n\n", &d);
    ok(!oa_dialect_is_complete(&d), "openclaw: not complete");
    ok(d.usage.prompt == -1 && d.usage.total == -1, "openclaw: no usage");

    is_stream("openclaw: no [DONE]", OA_DIALECT_OPENCLAW,
              "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},"
              "\"finish_reason\":\"length\"}]}\n\n",
              "data: {\"text\":\"a\"}\n\n", &d);
    ok(oa_dialect_is_complete(&d), "openclaw: but complete");

    is_stream("openclaw: an error", OA_DIALECT_OPENCLAW,
              "data: {\"error\":{\"message\":\"no \\\"key\\\"\","
              "\"type\":\"api_error\"}}\n\ndata: [DONE]\n\n",
              "FAILED data: {\"error\":\"no \\\"key\\\"\","
              "\"code\":\"api_error\"}\n\n.", &d);

    is_stream("openclaw: errors of other shapes", OA_DIALECT_OPENCLAW,
              "data: {\"error\":\"x\"}\n\n",
              "FAILED data: {\"error\":\"x\",\"code\":\"agent_error\"}\n\n",
              &d);
    is_stream("openclaw: an error that says nothing", OA_DIALECT_OPENCLAW,
              "data: {\"error\":{\"type\":7}}\n\n",
              "FAILED data: {\"error\":\"the agent failed\","
              "\"code\":\"agent_error\"}\n\n", &d);

    is_stream("openclaw: half an emoji", OA_DIALECT_OPENCLAW,
              "data: {\"choices\":[{\"delta\":{\"content\":\"\\ud83d\"}}]}"
              "\n\n"
              "data: {\"choices\":[{\"delta\":{\"content\":\"\\ude00\"}}]}"
              "\n\n",
              "data: {\"text\":\"\\ud83d\"}\n\ndata: {\"text\":\"\\ude00\"}"
              "\n\n", &d);

    is_stream("openclaw: lines", OA_DIALECT_OPENCLAW,
              "data: {\"choices\":[{\"delta\":\ndata: {\"content\":\"a\"}\n"
              "data: }]}\n\n", "data: {\"text\":\"a\"}\n\n", &d);

    is_stream("openclaw: of no text", OA_DIALECT_OPENCLAW,
              "data: {\"choices\":[{\"delta\":{\"content\":\"\"}}]}\n\n"
              "data: {\"choices\":[{\"delta\":{\"content\":null}}]}\n\n"
              "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,"
              "\"function\":{\"name\":\"x\",\"arguments\":\"{}\"}}]}}]}\n\n"
              "data: {\"choices\":{\"0\":{\"delta\":{\"content\":\"a\"}}}}"
              "\n\n"
              "data: {\"choices\":{\"\":{\"delta\":{\"content\":\"a\"}}}}"
              "\n\n"
              "data: {\"choices\":[1,{\"delta\":{\"content\":\"a\"}}]}\n\n"
              "data: {\"error\":null}\n\n"
              "data: {}\n\n"
              "data: []\n\n"
              "data: 1\n\n",
              "..........", &d);
    ok(d.strange == 0, "openclaw: nothing strange");

    is_stream("openclaw: strange", OA_DIALECT_OPENCLAW,
              "data: hello\n\n"
              "data\n\n"
              "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]\n\n"
              "data: {\"choices\":[{\"delta\":{\"content\":\"a\","
              "\"content\":\"b\"}}]}\n\n"
              "data: {\"choices\":[{\"delta\":{\"content\":\"\t\"}}]}\n\n"
              "data: {\"choices\":[{\"delta\":{\"content\":\"\\x\"}}]}\n\n"
              "data: {} {}\n\n"
              "data: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]"
              "]]]]]]]]]]]]]]\n\n"
              "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n",
              "........data: {\"text\":\"a\"}\n\n", &d);
    ok(d.strange == 8, "openclaw: counted");
}


static void
test_raw(void)
{
    oa_dialect_t  d;

    is_stream("raw", OA_DIALECT_RAW,
              "data: {\"error\":\"x\"}\n\n:c\nid: 1\ndata: a\n\n"
              "event: x\n\ndata: [DONE]\n\ndata: b\n\n",
              "<data: {\"error\":\"x\"}\n\n>.<id: 1\ndata: a\n\n>.DONE.",
              &d);
    ok(oa_dialect_is_complete(&d), "raw: complete");
}


int
main(void)
{
    ngx_uint_t  i;

    static const char *const  names[] = { "seed", "openclaw", "raw" };

    for (i = 0; i < OA_DIALECTS; i++) {
        is_bytes(oa_dialect_names[i].data, oa_dialect_names[i].len, names[i],
                 strlen(names[i]), names[i]);
    }

    test_requests();
    test_seed();
    test_openclaw();
    test_raw();

    return done_testing();
}
