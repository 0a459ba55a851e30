
#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include <jansson.h>
#include "oa_sse.h"
#include "sse_reference.h"
#include "tap.h"


#define BOM  "\xef\xbb\xbf"


typedef struct {
    const char  *name;
    ngx_str_t    stream;
    ngx_str_t    told;                /* [name]id(retry){data} */
} test_case_t;


#define CASE(name, stream, told)                                              \
    { name, ngx_string(stream), ngx_string(told) }


/* What the public cases of EventSource's format look at. */

static const test_case_t  cases[] = {

    CASE("nothing", "", ""),
    CASE("an event", "data: a\n\n", "[]{a}"),
    CASE("CR", "data: a\r\rdata: b\r\r", "[]{a}[]{b}"),
    CASE("CRLF", "data: a\r\n\r\ndata: b\r\n\r\n", "[]{a}[]{b}"),
    CASE("ends of lines, mixed",
         "data:test\r\ndata\ndata:test\r\n\rdata:2\n\r\n",
         "[]{test\n\ntest}[]{2}"),
    CASE("LF CR is two", "data: a\n\rdata: b\n\r", "[]{a}[]{b}"),
    CASE("CR CR LF is two", "data: a\r\r\ndata: b\n\n", "[]{a}[]{b}"),
    CASE("blank lines", "\n\r\r\n\n\ndata: a\n\n\n\n\r\r\r\n"
         "data: b\n\n\n", "[]{a}[]{b}"),

    CASE("a BOM", BOM "data:1\n\n" BOM "data:2\n\ndata:3\n\n",
         "[]{1}[]{3}"),
    CASE("two BOMs", BOM BOM "data:1\n\ndata:2\n\n", "[]{2}"),
    CASE("a BOM behind a blank line", "\n" BOM "data:1\n\ndata:2\n\n",
         "[]{2}"),
    CASE("part of a BOM", "\xef\xbb" "data:1\n\ndata:2\n\n", "[]{2}"),
    CASE("a BOM alone", BOM "\n\n" BOM "\n\ndata: a\n\n", "[]{a}"),

    CASE("comments", "data:1\r:\0\n:\r\ndata:2\n: long\rdata:3\n:data:no\r"
         ":\ndata:4\n\n", "[]{1\n2\n3\n4}"),
    CASE("comments in front", ":\n: a\r\n:\r:\n\ndata: a\n\n:b\n\n:c\r\r",
         "[]{a}"),
    CASE("no blank line at the end", "data: a\n\ndata: b\n", "[]{a}"),
    CASE("no end of a line at the end", "data: a\n\ndata: b", "[]{a}"),
    CASE("only a line", "data: a", ""),

    CASE("empty data", "data:\n\ndata\ndata\n\ndata:test\n\n",
         "[]{}[]{\n}[]{test}"),
    CASE("leading space", "data:\ttest\rdata: \ndata:test\ndata:  x\n\n",
         "[]{\ttest\n\ntest\n x}"),
    CASE("a colon in a value", "data:a: b:c\n\n", "[]{a: b:c}"),
    CASE("fields", "data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\n"
         "da-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n",
         "[]{\0\n 2\n1\n3\n\n4}"),
    CASE("a space before the colon", "data :x\nevent :y\ndata:a\n\n",
         "[]{a}"),
    CASE("no data", "event: x\n\nid: 1\n\nretry: 5\n\nx\n\ndata: a\n\n",
         "[]1(5){a}"),
    CASE("prefixes of names", "dat:1\ndata1:2\nevents:3\neven:4\ni:5\n"
         "ids:6\nretr:7\nretrys:8\nd\ne\nr\ndata:a\n\n", "[]{a}"),

    CASE("event", "event:test\ndata:x\n\ndata:x\n\n", "[test]{x}[]{x}"),
    CASE("an empty event", "event: \ndata:data\n\n", "[]{data}"),
    CASE("the last event counts", "event: a\nevent: b\ndata: x\n\n"
         "event: a\nevent\ndata: x\n\n", "[b]{x}[]{x}"),
    CASE("an event is forgotten", "event: a\n\ndata: x\n\n", "[]{x}"),

    CASE("id", "id: 1\ndata: a\n\ndata: b\n\nid: 2\r\n\r\ndata: c\n\n",
         "[]1{a}[]1{b}[]2{c}"),
    CASE("an empty id", "id: 1\ndata: a\n\nid:\ndata: b\n\n"
         "id: 1\ndata: a\n\nid\ndata: b\n\n", "[]1{a}[]{b}[]1{a}[]{b}"),
    CASE("an id with a NUL", "id: 1\ndata: a\n\nid: 2\0""2\ndata: b\n\n"
         "id:3\nid: \0\ndata: c\n\n", "[]1{a}[]1{b}[]3{c}"),
    CASE("an id of UTF-8", "id: \xe2\x80\xa6\ndata: a\n\n",
         "[]\xe2\x80\xa6{a}"),

    CASE("retry", "retry:3000\ndata:x\n\n", "[](3000){x}"),
    CASE("retry in other words", "retry:3000\nretry:1000x\nretry:\nretry\n"
         "retry: -1\nretry: 1.5\nretry:  7\nretry:8 \nretry:\xd9\xa3\n"
         "data:x\n\n", "[](3000){x}"),
    CASE("a retry with zeros", "retry: 0010\ndata:x\n\n", "[](10){x}"),
    CASE("a long retry", "retry: 99999999999999999999999999\ndata:x\n\n",
         "[](2147483647){x}"),
    CASE("a retry that just fits", "retry: 2147483647\ndata:x\n\n",
         "[](2147483647){x}"),

    CASE("NUL", "data:\0\n\n\n\n", "[]{\0}"),
    CASE("UTF-8", "data:ok\xe2\x80\xa6\xf0\x9f\x98\x80\n\n",
         "[]{ok\xe2\x80\xa6\xf0\x9f\x98\x80}"),
    CASE("not UTF-8", "data:\xff\xe2\n\ndata:\x8d\x8a\x85\n\n",
         "[]{\xff\xe2}[]{\x8d\x8a\x85}"),
    CASE("other ends of lines", "data:a\x0b" "b\x0c" "c\xc2\x85" "d"
         "\xe2\x80\xa8" "e\n\n",
         "[]{a\x0b" "b\x0c" "c\xc2\x85" "d\xe2\x80\xa8" "e}"),

    CASE("[DONE]", "data: [DONE]\n\ndata:[DONE]\n\ndata:  [DONE]\n\n"
         "data: [DONE] \n\ndata: [done]\n\ndata: [DONE]\ndata\n\n",
         "[]{[DONE]}[]{[DONE]}[]{ [DONE]}[]{[DONE] }[]{[done]}"
         "[]{[DONE]\n}"),

    /* lengths around those that are looked at at once */

    CASE("7 bytes", "data:xx\n\n", "[]{xx}"),
    CASE("15 bytes", "data:0123456789\n\n", "[]{0123456789}"),
    CASE("16 bytes", "data:01234567890\n\n", "[]{01234567890}"),
    CASE("17 bytes", "data:012345678901\n\n", "[]{012345678901}"),
    CASE("tabs and controls", "data:\t\t\t\t\t\t\x01\x02\x0e\x0f\x10\t\t\t\t"
         "\t\t\t\t\t\t\t\t\t\x09\x0b\x0c\n\n",
         "[]{\t\t\t\t\t\t\x01\x02\x0e\x0f\x10\t\t\t\t"
         "\t\t\t\t\t\t\t\t\t\x09\x0b\x0c}"),
    CASE("ids everywhere", "id\rid: 1\r\nevent: e\rid: 2\n\n"
         "data: a\rid: 3\n\nid:4\ndata: b\rid\r\n\r\n"
         "data: c\r\nid\nid\r\n\n:id\nid:5\rdata: d\rid: 6\n:id: 7\rid: 8\n"
         "\n",
         "[]3{a}[]{b}[]{c}[]8{d}")
};


/* Fed in three pieces, cut before a and before b. */

static void
feed(sse_reader_t *reader, const ngx_str_t *stream, size_t a, size_t b)
{
    sse_reader_init(reader);

    sse_reader_feed(reader, stream->data, a);
    sse_reader_feed(reader, stream->data + a, b - a);
    sse_reader_feed(reader, stream->data + b, stream->len - b);
}


static ngx_uint_t
alike(const sse_reader_t *a, const sse_reader_t *b)
{
    return sse_same(&a->told, &b->told) && sse_same(&a->raw, &b->raw)
           && sse_same(&a->rewritten, &b->rewritten)
           && sse_same(&a->rest, &b->rest);
}


static void
test_case(const test_case_t *test)
{
    size_t         a, b, bad_a, bad_b, i;
    sse_text_t     reference;
    sse_reader_t   whole, parts;

    ngx_memzero(&reference, sizeof(sse_text_t));

    feed(&whole, &test->stream, 0, test->stream.len);
    sse_reference(test->stream.data, test->stream.len, &reference);

    is_bytes(whole.told.data, whole.told.len, test->told.data,
             test->told.len, test->name);
    ok(sse_same(&whole.told, &reference), "%s: as the reference has it",
       test->name);

    bad_a = 0;
    bad_b = 0;
    i = 0;

    for (a = 0; a <= test->stream.len; a++) {
        for (b = a; b <= test->stream.len; b++) {
            feed(&parts, &test->stream, a, b);

            if (!alike(&whole, &parts)) {
                i++;
                bad_a = a;
                bad_b = b;
            }

            sse_reader_free(&parts);
        }
    }

    ok(i == 0, "%s: cut anywhere", test->name);

    if (i) {
        printf("# %lu cuts, the last at %lu and %lu\n", (unsigned long) i,
               (unsigned long) bad_a, (unsigned long) bad_b);
    }

    sse_reader_init(&parts);

    for (i = 0; i < test->stream.len; i++) {
        sse_reader_feed(&parts, test->stream.data + i, 1);
        sse_reader_feed(&parts, test->stream.data + i, 0);
    }

    ok(alike(&whole, &parts), "%s: byte by byte", test->name);

    sse_reader_free(&parts);
    sse_reader_free(&whole);
    sse_free(&reference);
}


/* Under our ids a page gets the same, with them. */

static void
test_rewritten(const test_case_t *test)
{
    sse_text_t     got;
    sse_reader_t   reader;

    ngx_memzero(&got, sizeof(sse_text_t));

    feed(&reader, &test->stream, 0, test->stream.len);
    sse_reference(reader.rewritten.data, reader.rewritten.len, &got);

    is_bytes(got.data, got.len, reader.ours.data, reader.ours.len,
             "the same under our ids");

    sse_reader_free(&reader);
    sse_free(&got);
}


static void
test_raw(void)
{
    sse_reader_t  reader;

    static const ngx_str_t  stream =
        ngx_string(BOM "\n:hi\r\n\r\ndata: a\r\nid: 7\r\n\r\n\n"
                   "x: y\ndata: b\r\n\r\n" "retry: 1\n\ndata: c\n\n");

    static const char  raw[] =
        "#:hi\r><data: a\r\nid: 7\r\n\r><x: y\ndata: b\r\n\r>"
        "<retry: 1\n\n><data: c\n\n>";

    static const char  rewritten[] =
        "id: 1\ndata: a\r\n\r\n"
        "id: 2\nx: y\ndata: b\r\n\r\n"
        "id: 3\ndata: c\n\n";

    feed(&reader, &stream, 0, stream.len);

    is_bytes(reader.raw.data, reader.raw.len, raw, sizeof(raw) - 1,
             "raw bytes");
    is_bytes(reader.rewritten.data, reader.rewritten.len, rewritten,
             sizeof(rewritten) - 1, "rewritten bytes");

    sse_reader_free(&reader);
}


static void
test_spans(const char *name, const ngx_str_t *raw, const char *want)
{
    size_t           used;
    u_char          *p, buf[256];
    ngx_str_t        span, prefix;
    oa_sse_t         sse;
    oa_sse_event_t   event;
    oa_sse_spans_t   spans;

    oa_sse_init(&sse);
    ngx_str_set(&prefix, "id: 1\n");

    if (oa_sse_next(&sse, raw->data, raw->len, &used, &event) != NGX_OK) {
        ok(0, "%s: an event", name);
        return;
    }

    oa_sse_spans(&spans, &event, &prefix);
    p = buf;

    while (oa_sse_span(&spans, &span)) {
        ok(span.len != 0, "%s: a span is not empty", name);
        p = ngx_cpymem(p, span.data, span.len);
        *p++ = '|';
    }

    is_bytes(buf, p - buf, want, strlen(want), name);
    ok(!oa_sse_span(&spans, &span), "%s: no more", name);

    ngx_str_null(&prefix);
    p = sse_rewrite(buf, &event, &prefix);
    ok((size_t) (p - buf) <= event.raw.len + 1, "%s: no longer", name);

    if (oa_sse_is_one_span(&event)) {
        is_bytes(buf, p - buf, (char *) event.raw.data, event.raw.len, name);
    }
}


/* A line of 1 MB and more, read as a socket gives it. */

static void
test_long(void)
{
    size_t         n, pos, size;
    u_char        *p;
    sse_text_t     reference;
    sse_reader_t   reader;

    n = 1200000;
    size = n + 64;
    p = malloc(size);

    if (p == NULL) {
        abort();
    }

    ngx_memset(p, 'x', size);
    ngx_memcpy(p, "data: ", 6);
    ngx_memcpy(p + n, "\r\n\r\ndata: b\n\n", 13);
    size = n + 13;

    ngx_memzero(&reference, sizeof(sse_text_t));
    sse_reference(p, size, &reference);

    sse_reader_init(&reader);

    for (pos = 0; pos < size; pos += 65521) {
        sse_reader_feed(&reader, p + pos, ngx_min(65521, size - pos));
    }

    ok(reader.events == 2, "a long line is one event");
    ok(sse_same(&reader.told, &reference), "all of it");
    ok(reader.rest.len == 0, "nothing is left");

    sse_reader_free(&reader);
    sse_free(&reference);
    free(p);
}


static void
is_message(const oa_sse_message_t *message, const char *want,
    const char *name)
{
    u_char  *p, *end;
    size_t   size;

    size = oa_sse_message_size(message);
    p = malloc(size);

    if (p == NULL) {
        abort();
    }

    end = oa_sse_message(p, message);

    ok((size_t) (end - p) == size, "%s: its size", name);
    is_bytes(p, end - p, want, strlen(want), name);
    free(p);
}


static void
test_messages(void)
{
    oa_sse_message_t  message;

    ngx_memzero(&message, sizeof(oa_sse_message_t));
    ngx_str_set(&message.data, "a");
    is_message(&message, "data: a\n\n", "data");

    ngx_str_set(&message.data, "");
    is_message(&message, "data: \n\n", "empty data");

    ngx_str_set(&message.data, "a\nb\r\nc\rd\n");
    is_message(&message, "data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n",
               "lines of data");

    ngx_str_set(&message.data, "\n\r");
    is_message(&message, "data: \ndata: \ndata: \n\n", "blank lines of data");

    ngx_str_set(&message.id, "m-1");
    ngx_str_set(&message.name, "status");
    ngx_str_set(&message.data, "{}");
    message.retry = 1500;
    is_message(&message, "id: m-1\nevent: status\nretry: 1500\ndata: {}\n\n",
               "all fields");

    ngx_memzero(&message, sizeof(oa_sse_message_t));
    message.retry = 4294967295;
    is_message(&message, "retry: 4294967295\n\n", "retry alone");
}


static void
is_error(const oa_sse_error_t *error, const char *want, const char *name)
{
    u_char  *p, *end;
    size_t   size;

    size = oa_sse_error_size(error);
    p = malloc(size);

    if (p == NULL) {
        abort();
    }

    end = oa_sse_error(p, error);

    ok((size_t) (end - p) == size, "%s: its size", name);
    is_bytes(p, end - p, want, strlen(want), name);
    free(p);
}


static void
test_ends(void)
{
    u_char          buf[OA_SSE_GAP_MAX + 3], *p;
    ngx_str_t       id;
    oa_sse_error_t  error;

    static const char  gap[] =
        "id: m-9\nevent: gap\ndata: {\"from\":3,\"to\":9}\n\n";
    static const char  endless[] = "event: gap\ndata: {\"from\":3}\n\n";

    ngx_memzero(&error, sizeof(oa_sse_error_t));
    ngx_str_set(&error.text, "say \"no\"\r\n\r\ndata: [DONE]\0\xff");
    ngx_str_set(&error.code, "upstream_reset");
    is_error(&error, "data: {\"error\":\"say \\\"no\\\"\\u000d\\u000a\\u000d"
             "\\u000adata: [DONE]\\u0000\xef\xbf\xbd\","
             "\"code\":\"upstream_reset\"}\n\n", "an error is escaped");

    ngx_str_set(&error.id, "m-7");
    ngx_str_set(&error.text, "a \\\"b\\\"");
    error.escaped = 1;
    is_error(&error, "id: m-7\ndata: {\"error\":\"a \\\"b\\\"\","
             "\"code\":\"upstream_reset\"}\n\n", "or was escaped");

    ngx_str_set(&id, "m-9");
    p = oa_sse_gap(buf, &id, 3, 9);
    is_bytes(buf, p - buf, gap, sizeof(gap) - 1, "a gap");

    ngx_str_null(&id);
    p = oa_sse_gap(buf, &id, 3, 0);
    is_bytes(buf, p - buf, endless, sizeof(endless) - 1,
             "a gap with no end");

    ngx_str_set(&id, "m-9");
    p = oa_sse_gap(buf, &id, (uint64_t) -1, (uint64_t) -1);
    ok((size_t) (p - buf) == OA_SSE_GAP_MAX + id.len, "the longest gap");
}


static void
test_rest(const char *text, ngx_uint_t lines, ngx_uint_t done)
{
    size_t          used, len;
    u_char         *p;
    oa_sse_t        sse;
    ngx_uint_t      rest;
    oa_sse_event_t  event;

    len = strlen(text);
    p = malloc(len + 1);

    if (p == NULL) {
        abort();
    }

    ngx_memcpy(p, text, len);
    oa_sse_init(&sse);

    ok(oa_sse_next(&sse, p, len, &used, &event) == NGX_AGAIN,
       "an event without its end");

    rest = oa_sse_rest(&sse, p + used, len - used, &event);

    ok(rest == (lines != 0), "what is left has %u lines of data",
       (unsigned) lines);

    if (rest) {
        ok(event.lines == lines && event.done == done,
           done ? "it is [DONE]" : "it is not [DONE]");
    }

    free(p);
}


int
main(void)
{
    ngx_uint_t  i;

    static const ngx_str_t  plain = ngx_string("data: a\n\n");
    static const ngx_str_t  cr = ngx_string("data: a\r\r");
    static const ngx_str_t  crlf = ngx_string("data: a\r\n\r\n");
    static const ngx_str_t  first = ngx_string("id: 5\r\ndata: a\n\n");
    static const ngx_str_t  between =
        ngx_string("data: a\nid\nid:\ndata: b\n\n");
    static const ngx_str_t  trap = ngx_string("data: a\rid: 5\n\n");
    static const ngx_str_t  twice = ngx_string("data: a\rid: 5\nid\n\n");
    static const ngx_str_t  harmless = ngx_string("data: a\rid: 5\n\r");
    static const ngx_str_t  only = ngx_string("id: 5\n\n");

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        test_case(&cases[i]);
        test_rewritten(&cases[i]);
    }

    test_raw();

    test_rest("", 0, 0);
    test_rest("\n\n", 0, 0);
    test_rest(":[DONE]", 0, 0);
    test_rest("id: [DONE]\nevent: a", 0, 0);
    test_rest("da", 0, 0);
    test_rest("data", 1, 0);
    test_rest("data: a\n", 1, 0);
    test_rest("data: a\ndata: b", 2, 0);
    test_rest("data: [DONE]", 1, 1);
    test_rest("\ndata:[DONE]\r", 1, 1);
    test_rest("id: 1\r\ndata: [DONE]\r\n", 1, 1);
    test_rest("data: [DONE]\ndata", 2, 0);
    test_rest("data: [DONE", 1, 0);

    test_spans("LF", &plain, "id: 1\n|data: a\n\n|");
    test_spans("CR gets a LF", &cr, "id: 1\n|data: a\r\r|\n|");
    test_spans("CRLF keeps it", &crlf, "id: 1\n|data: a\r\n\r|\n|");
    test_spans("an id in front", &first, "id: 1\n|data: a\n\n|");
    test_spans("ids between", &between, "id: 1\n|data: a\n|data: b\n\n|");
    test_spans("an id between CR and LF", &trap,
               "id: 1\n|data: a\r|:\n|\n|");
    test_spans("two ids between CR and LF", &twice,
               "id: 1\n|data: a\r|:\n|\n|");
    test_spans("an id between CR and CR", &harmless,
               "id: 1\n|data: a\r|\r|\n|");
    test_spans("an id alone", &only, "id: 1\n|\n|");

    test_long();
    test_messages();
    test_ends();

    return done_testing();
}
