
#include <ngx_config.h>
#include <ngx_core.h>
#include "response_reader.h"
#include "tap.h"


#define V11      "HTTP/1.1 "
#define OK       V11 "200 OK\r\n"
#define TYPE     "Content-Type: text/event-stream\r\n"
#define CHUNKED  "Transfer-Encoding: chunked\r\n"
#define LENGTH   "Content-Length: "

#define HEAD_CHUNKED  OK CHUNKED "\r\n"


typedef struct {
    const char  *name;
    ngx_str_t    answer;
    ngx_str_t    told;                /* STATUS TYPE|CODING{BODY}END(REST) */
} test_case_t;


#define CASE(name, answer, told)                                              \
    { name, ngx_string(answer), ngx_string(told) }

/* An answer that has no status, since its head is wrong. */

#define WRONG(name, answer, why)                                              \
    { name, ngx_string(answer), ngx_string("0 |{}" why "()") }


static const test_case_t  cases[] = {

    /* status lines */

    CASE("nothing", "", "0 |{}no head()"),
    CASE("a stream", OK TYPE CHUNKED "\r\n"
         "9\r\ndata: a\n\n\r\n" "9\r\ndata: b\n\n\r\n0\r\n\r\n",
         "200 text/event-stream|{data: a\n\ndata: b\n\n}done()"),
    CASE("HTTP/1.0", "HTTP/1.0 200 OK\r\n" TYPE "\r\ndata: a\n\n",
         "200 text/event-stream|{data: a\n\n}complete()"),
    CASE("no reason", V11 "503 \r\n\r\n", "503 |{}complete()"),
    CASE("no space before a reason", V11 "503\r\n\r\n", "503 |{}complete()"),
    CASE("a long reason", V11 "404 Not \xff Found: X\r\n\r\n",
         "404 |{}complete()"),
    CASE("ends of lines, LF", V11 "200 OK\nContent-Type: a\n\nx",
         "200 a|{x}complete()"),
    CASE("ends of lines, mixed", V11 "200 OK\nContent-Type: a\r\n\nx",
         "200 a|{x}complete()"),
    CASE("the highest status", V11 "999 X\r\n\r\n", "999 |{}complete()"),

    CASE("a head that is cut", OK "Content-Type: text/", "0 |{}no head()"),
    CASE("a blank line that is cut", OK "\r", "0 |{}no head()"),
    CASE("an answer that begins", "HTTP/", "0 |{}no head()"),

    WRONG("not HTTP", "SSH-2.0-x\r\n", "it is not HTTP/1.0 or HTTP/1.1"),
    WRONG("TLS", "\x15\x03\x01", "it is not HTTP/1.0 or HTTP/1.1"),
    WRONG("HTTP/2", "HTTP/2 200 OK\r\n\r\n",
          "it is not HTTP/1.0 or HTTP/1.1"),
    WRONG("ICY", "ICY 200 OK\r\n\r\n", "it is not HTTP/1.0 or HTTP/1.1"),
    WRONG("HTTP in lower case", "http/1.1 200 OK\r\n\r\n",
          "it is not HTTP/1.0 or HTTP/1.1"),
    WRONG("a blank line in front", "\r\n" OK "\r\n",
          "it is not HTTP/1.0 or HTTP/1.1"),
    WRONG("HTTP/1.2", "HTTP/1.2 200 OK\r\n\r\n",
          "its status line is malformed"),
    WRONG("HTTP/1.01", "HTTP/1.01 200 OK\r\n\r\n",
          "its status line is malformed"),
    WRONG("HTTP/1", "HTTP/1. 200 OK\r\n\r\n",
          "its status line is malformed"),
    WRONG("two spaces", "HTTP/1.1  200 OK\r\n\r\n",
          "its status line is malformed"),
    WRONG("spaces in a status", V11 "2 0 0 OK\r\n\r\n",
          "its status line is malformed"),
    WRONG("two digits", V11 "20 OK\r\n\r\n", "its status line is malformed"),
    WRONG("four digits", V11 "2000 OK\r\n\r\n",
          "its status line is malformed"),
    WRONG("a status below 100", V11 "099 OK\r\n\r\n",
          "its status line is malformed"),
    WRONG("no status", V11 "\r\n\r\n", "its status line is malformed"),
    WRONG("CR in a reason", V11 "200 O\rK\r\n\r\n",
          "its status line is malformed"),

    /* lines of the head */

    CASE("any case", OK "cONTENT-tYPE: Text/X\r\nCONTENT-ENCODING: gzip\r\n"
         "content-length: 1\r\n\r\nx", "200 Text/X|gzip{x}done()"),
    CASE("white space around a value", OK "Content-Type: \t a b\t \r\n"
         "Content-Length:\t1\t\r\n\r\nx", "200 a b|{x}done()"),
    CASE("an empty value", OK "Content-Type:\r\nContent-Encoding: \t\r\n"
         "X:\r\n\r\n", "200 |{}complete()"),
    CASE("other names", OK "Content-Types: a\r\nContent-Typ: b\r\n"
         "Content_Type: c\r\nX.!#$%&'*+-^_`|~9: d\r\n\r\n",
         "200 |{}complete()"),
    CASE("a long name", OK "X-012345678901234567890123456789Content-Length: "
         "7\r\n\r\nx", "200 |{x}complete()"),
    CASE("a colon in a value", OK "Content-Type: a:b\r\n\r\n",
         "200 a:b|{}complete()"),

    WRONG("a folded line", OK "X: a\r\n b\r\n\r\n",
          "a line of its head is malformed"),
    WRONG("a folded line, tab", OK "X: a\r\n\tb\r\n\r\n",
          "a line of its head is malformed"),
    WRONG("a folded first line", OK " X: a\r\n\r\n",
          "a line of its head is malformed"),
    WRONG("NUL", OK "X: a\0b\r\n\r\n", "a line of its head is malformed"),
    WRONG("NUL behind a space", OK "X: a \0\r\n\r\n",
          "a line of its head is malformed"),
    WRONG("NUL first", OK "X:\0\r\n\r\n", "a line of its head is malformed"),
    WRONG("CR in a value", OK "X: a\rb\r\n\r\n",
          "a line of its head is malformed"),
    WRONG("a space before the colon", OK LENGTH "1\r\nX : a\r\n\r\n",
          "a line of its head is malformed"),
    WRONG("no name", OK ": a\r\n\r\n", "a line of its head is malformed"),
    WRONG("no colon", OK "X\r\n\r\n", "a name in its head is malformed"),
    WRONG("no token", OK "X(a): b\r\n\r\n",
          "a name in its head is malformed"),
    WRONG("no ASCII", OK "X\xff: b\r\n\r\n",
          "a name in its head is malformed"),
    WRONG("two status lines", OK OK "\r\n",
          "a line of its head is malformed"),

    WRONG("two types", OK TYPE "X: y\r\n" TYPE "\r\n",
          "it has two of Content-Type"),
    WRONG("two types, one empty", OK "Content-Type:\r\n" TYPE "\r\n",
          "it has two of Content-Type"),
    WRONG("two encodings", OK "Content-Encoding: identity\r\n"
          "Content-Encoding: gzip\r\n\r\n", "it has two of Content-Encoding"),

    /* answers in front */

    CASE("100", V11 "100 Continue\r\n\r\n" OK TYPE "\r\nx",
         "200 text/event-stream|{x}complete()"),
    CASE("several", V11 "103 Early Hints\r\nLink: a\r\n\r\n"
         V11 "100\n\n" V11 "404 X\r\n" LENGTH "1\r\n\r\nx",
         "404 |{x}done()"),
    CASE("its fields do not count", V11 "102 X\r\n" TYPE LENGTH "7\r\n\r\n"
         V11 "200 X\r\n\r\nx", "200 |{x}complete()"),
    CASE("and no more", V11 "100 Continue\r\n\r\n", "0 |{}no head()"),
    WRONG("and something else", V11 "100 Continue\r\n\r\nx",
          "it is not HTTP/1.0 or HTTP/1.1"),
    WRONG("a wrong one", V11 "100 Continue\r\nX\r\n\r\n" OK "\r\n",
          "a name in its head is malformed"),
    WRONG("101", V11 "101 Switching Protocols\r\n\r\n",
          "it switches protocols"),

    /* how long the body is */

    CASE("a length", OK LENGTH "5\r\n\r\nhello", "200 |{hello}done()"),
    CASE("more than the length", OK LENGTH "5\r\n\r\nhello you",
         "200 |{hello}done( you)"),
    CASE("less than the length", OK LENGTH "5\r\n\r\nhell",
         "200 |{hell}cut()"),
    CASE("nothing of the length", OK LENGTH "5\r\n\r\n", "200 |{}cut()"),
    CASE("no length", OK LENGTH "0\r\n\r\nx", "200 |{}done(x)"),
    CASE("the same length twice", OK LENGTH "2\r\n" LENGTH " 2 \r\n\r\nab",
         "200 |{ab}done()"),
    CASE("a length with zeros", OK LENGTH "0002\r\n\r\nab",
         "200 |{ab}done()"),
    CASE("the longest length", OK LENGTH "9223372036854775807\r\n\r\nab",
         "200 |{ab}cut()"),
    CASE("to the end", OK "\r\n", "200 |{}complete()"),

    WRONG("two lengths", OK LENGTH "1\r\n" LENGTH "2\r\n\r\nab",
          "it has two of Content-Length"),
    WRONG("two lengths, one empty", OK LENGTH "\r\n" LENGTH "2\r\n\r\nab",
          "it has two of Content-Length"),
    WRONG("a list of lengths", OK LENGTH "2, 2\r\n\r\nab",
          "its Content-Length is no number, or too large"),
    WRONG("a sign", OK LENGTH "+2\r\n\r\nab",
          "its Content-Length is no number, or too large"),
    WRONG("below zero", OK LENGTH "-1\r\n\r\nab",
          "its Content-Length is no number, or too large"),
    WRONG("hexadecimal", OK LENGTH "0x2\r\n\r\nab",
          "its Content-Length is no number, or too large"),
    WRONG("a letter", OK LENGTH "2a\r\n\r\nab",
          "its Content-Length is no number, or too large"),
    WRONG("an empty length", OK LENGTH "\r\n\r\nab",
          "its Content-Length is no number, or too large"),
    WRONG("a length that is too large", OK LENGTH "9223372036854775808\r\n"
          "\r\n", "its Content-Length is no number, or too large"),
    WRONG("a length that is much too large", OK LENGTH
          "99999999999999999999999999999999999999\r\n\r\n",
          "its Content-Length is no number, or too large"),

    CASE("chunked, any case", OK "TRANSFER-ENCODING: \tChunKed \r\n\r\n"
         "1\r\na\r\n0\r\n\r\n", "200 |{a}done()"),
    WRONG("chunked and a length", OK CHUNKED LENGTH "1\r\n\r\n",
          "it has both Transfer-Encoding and Content-Length"),
    WRONG("a length and chunked", OK LENGTH "1\r\n" CHUNKED "\r\n",
          "it has both Transfer-Encoding and Content-Length"),
    WRONG("identity and a length", OK LENGTH "1\r\nTransfer-Encoding: "
          "identity\r\n\r\n",
          "it has both Transfer-Encoding and Content-Length"),
    WRONG("chunked in HTTP/1.0", "HTTP/1.0 200 OK\r\n" CHUNKED "\r\n",
          "it has a Transfer-Encoding in HTTP/1.0"),
    WRONG("chunked twice", OK CHUNKED CHUNKED "\r\n",
          "it has two of Transfer-Encoding"),
    WRONG("chunked twice in one", OK "Transfer-Encoding: chunked, chunked"
          "\r\n\r\n", "its Transfer-Encoding is not \"chunked\""),
    WRONG("gzip, chunked", OK "Transfer-Encoding: gzip, chunked\r\n\r\n",
          "its Transfer-Encoding is not \"chunked\""),
    WRONG("identity", OK "Transfer-Encoding: identity\r\n\r\n",
          "its Transfer-Encoding is not \"chunked\""),
    WRONG("xchunked", OK "Transfer-Encoding: xchunked\r\n\r\n",
          "its Transfer-Encoding is not \"chunked\""),
    WRONG("chunkee", OK "Transfer-Encoding: chunkee\r\n\r\n",
          "its Transfer-Encoding is not \"chunked\""),
    WRONG("a parameter", OK "Transfer-Encoding: chunked;q=1\r\n\r\n",
          "its Transfer-Encoding is not \"chunked\""),
    WRONG("an empty one", OK "Transfer-Encoding:\r\n\r\n",
          "its Transfer-Encoding is not \"chunked\""),

    CASE("204", V11 "204 X\r\n\r\nx", "204 |{}done(x)"),
    CASE("204 with chunks", V11 "204 X\r\n" CHUNKED "\r\n0\r\n\r\n",
         "204 |{}done(0\r\n\r\n)"),
    CASE("304 with a length", V11 "304 X\r\n" LENGTH "5\r\n\r\n",
         "304 |{}done()"),
    CASE("205 has what it says", V11 "205 X\r\n" LENGTH "1\r\n\r\nx",
         "205 |{x}done()"),

    /* chunks */

    CASE("no chunks", HEAD_CHUNKED "0\r\n\r\n", "200 |{}done()"),
    CASE("sizes", HEAD_CHUNKED "0a\r\n0123456789\r\n00B\r\n01234567890\r\n"
         "000\r\n\r\n", "200 |{012345678901234567890}done()"),
    CASE("extensions", HEAD_CHUNKED "1;a=\"b\"\r\nx\r\n1 ; c\r\ny\r\n"
         "0;d\r\n\r\n", "200 |{xy}done()"),
    CASE("trailers", HEAD_CHUNKED "1\r\nx\r\n0\r\nX: y\r\n" LENGTH "7\r\n"
         "\r\nmore", "200 |{x}done(more)"),
    CASE("ends of lines are data", HEAD_CHUNKED "4\r\n\r\n\r\n\r\n"
         "2\r\n0\r\r\n0\r\n\r\n", "200 |{\r\n\r\n0\r}done()"),
    CASE("cut in a size", HEAD_CHUNKED "1\r\nx\r\n1", "200 |{x}cut()"),
    CASE("cut in a chunk", HEAD_CHUNKED "5\r\nabc", "200 |{abc}cut()"),
    CASE("cut behind a chunk", HEAD_CHUNKED "1\r\nx\r\n",
         "200 |{x}cut()"),
    CASE("cut in the last chunk", HEAD_CHUNKED "1\r\nx\r\n0\r\n",
         "200 |{x}cut()"),
    CASE("cut in the last CRLF", HEAD_CHUNKED "1\r\nx\r\n0\r\n\r",
         "200 |{x}cut()"),
    CASE("a chunk that is huge", HEAD_CHUNKED "7fffffffffffff0\r\nabc",
         "200 |{abc}cut()"),

    CASE("no size", HEAD_CHUNKED "\r\nx", "200 |{}malformed()"),
    CASE("no hexadecimal digit", HEAD_CHUNKED "1\r\nx\r\ng\r\n",
         "200 |{x}malformed()"),
    CASE("a size below zero", HEAD_CHUNKED "-1\r\nx\r\n",
         "200 |{}malformed()"),
    CASE("0x", HEAD_CHUNKED "0x1\r\nx\r\n", "200 |{}malformed()"),
    CASE("a space before a size", HEAD_CHUNKED " 1\r\nx\r\n",
         "200 |{}malformed()"),
    CASE("a size that is too large", HEAD_CHUNKED
         "1\r\nx\r\n80000000000000000\r\ny\r\n", "200 |{x}malformed()"),
    CASE("a size that would be below zero", HEAD_CHUNKED
         "8000000000000000\r\nx", "200 |{}malformed()"),
    CASE("a size of all ones", HEAD_CHUNKED
         "ffffffffffffffff\r\nx", "200 |{}malformed()"),
    CASE("data behind a chunk", HEAD_CHUNKED "1\r\nxy\r\n",
         "200 |{x}malformed()"),
    CASE("a bare CR", HEAD_CHUNKED "1\rx", "200 |{}malformed()"),
    CASE("events that are no chunks", HEAD_CHUNKED "data: a\n\n",
         "200 |{}malformed()")
};


/* Fed in three pieces, cut before a and before b. */

static void
feed(response_reader_t *reader, const ngx_str_t *answer, size_t a, size_t b)
{
    reader_init(reader, answer->len);

    reader_feed(reader, answer->data, a);
    reader_feed(reader, answer->data + a, b - a);
    reader_feed(reader, answer->data + b, answer->len - b);
}


static void
test_case(const test_case_t *test)
{
    char               *told;
    size_t              a, b, i, n, size;
    response_reader_t   whole, parts;

    feed(&whole, &test->answer, 0, test->answer.len);

    size = test->answer.len + 128;
    told = (char *) reader_alloc(size);

    n = (size_t) snprintf(told, size, "%lu %.*s|%.*s{",
                          (unsigned long) whole.response.status,
                          (int) whole.type.len, whole.type.data,
                          (int) whole.encoding.len, whole.encoding.data);
    ngx_memcpy(told + n, whole.body.data, whole.body.len);
    n += whole.body.len;
    n += (size_t) snprintf(told + n, size - n, "}%s(%.*s)",
                           reader_end(&whole), (int) whole.rest.len,
                           whole.rest.data);

    is_bytes(told, n, test->told.data, test->told.len, test->name);

    i = 0;

    for (a = 0; a <= test->answer.len; a++) {
        for (b = a; b <= test->answer.len; b++) {
            feed(&parts, &test->answer, a, b);

            if (!reader_same(&whole, &parts) && i++ == 0) {
                printf("# cut at %lu and %lu\n", (unsigned long) a,
                       (unsigned long) b);
            }

            reader_free(&parts);
        }
    }

    ok(i == 0, "%s: cut anywhere", test->name);

    reader_init(&parts, test->answer.len);

    for (i = 0; i < test->answer.len; i++) {
        reader_feed(&parts, test->answer.data + i, 1);
        reader_feed(&parts, "", 0);
    }

    ok(reader_same(&whole, &parts), "%s: byte by byte", test->name);

    reader_free(&parts);
    reader_free(&whole);
    free(told);
}


/* A chunk that comes at once is one span, and comes with its event. */

static void
test_spans(void)
{
    response_reader_t  reader;

    reader_init(&reader, 4096);

    reader_feed(&reader, HEAD_CHUNKED, sizeof(HEAD_CHUNKED) - 1);
    ok(reader.spans == 0 && reader.response.status == 200,
       "a head alone, without a span");

    reader_feed(&reader, "9\r\ndata: a\n\n\r\n", 14);
    ok(reader.spans == 1 && reader.body.len == 9, "a chunk, one span");

    reader_feed(&reader, "9\r\ndata: b\n\n", 12);
    ok(reader.spans == 2 && reader.body.len == 18,
       "a chunk whose end is to come, all of its bytes");

    reader_feed(&reader, "\r\n9\r\ndata: c\n\n\r\n2\r\n\n\n", 21);
    ok(reader.spans == 4 && reader.body.len == 29, "two chunks, two spans");

    reader_feed(&reader, "\r\n0\r\n\r\n", 7);
    ok(reader.spans == 4 && reader.rc == NGX_DONE, "the last one, no span");

    reader_feed(&reader, "x", 1);
    reader_feed(&reader, "y", 1);
    ok(reader.rc == NGX_DONE && reader.rest.len == 2,
       "what comes behind is none");

    reader_free(&reader);
}


/* Feeds n bytes of fill between front and back, in pieces of step bytes. */

static void
feed_long(response_reader_t *reader, const char *front, size_t n,
    const char *back, size_t step)
{
    u_char  *p;
    size_t   pos, len, front_len;

    front_len = strlen(front);
    len = front_len + n + strlen(back);

    p = reader_alloc(len);
    ngx_memcpy(p, front, front_len);
    ngx_memset(p + front_len, 'x', n);
    ngx_memcpy(p + front_len + n, back, strlen(back));

    reader_init(reader, len);

    for (pos = 0; pos < len; pos += step) {
        step = ngx_min(step, len - pos);
        reader_feed(reader, p + pos, step);
    }

    free(p);
}


static void
test_long(const char *name, const char *front, const char *back,
    size_t around, size_t max, const char *fits, const char *too_long)
{
    size_t              i, n;
    response_reader_t   reader;

    static const size_t  steps[] = { 1 << 20, 4096, 777 };

    n = max - around;

    for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        feed_long(&reader, front, n, back, steps[i]);
        ok(strcmp(reader_end(&reader), fits) == 0, "%s: it fits, %lu", name,
           (unsigned long) steps[i]);
        reader_free(&reader);

        feed_long(&reader, front, n + 1, back, steps[i]);
        ok(strcmp(reader_end(&reader), too_long) == 0,
           "%s: it is too long, %lu", name, (unsigned long) steps[i]);
        reader_free(&reader);
    }

    feed_long(&reader, front, 10 * max, "", 777);
    ok(strcmp(reader_end(&reader), too_long) == 0, "%s: it never ends",
       name);
    reader_free(&reader);
}


static void
test_limits(void)
{
    test_long("a head", OK "X: ", "\r\n\r\nbody",
              sizeof(OK "X: " "\r\n\r\n") - 1, OA_RESPONSE_HEAD_MAX,
              "complete", "its head is too long");

    test_long("a head behind another",
              V11 "100 X\r\nY: z\r\n\r\n" OK "X: ", "\r\n\r\nbody",
              sizeof(V11 "100 X\r\nY: z\r\n\r\n" OK "X: " "\r\n\r\n") - 1,
              OA_RESPONSE_HEAD_MAX, "complete", "its head is too long");

    test_long("trailers", HEAD_CHUNKED "1\r\na\r\n0\r\nX: ", "\r\n\r\n",
              sizeof("\r\n0\r\nX: " "\r\n\r\n") - 1,
              OA_RESPONSE_FRAMING_MAX, "done", "malformed");

    test_long("an extension", HEAD_CHUNKED "1\r\na\r\n2;", "\r\na",
              sizeof("\r\n2;" "\r\n") - 1,
              OA_RESPONSE_FRAMING_MAX, "cut", "malformed");
}


/* What is between chunks is bounded, not all of it in a stream. */

static void
test_many_chunks(void)
{
    size_t              i, n;
    response_reader_t   reader;

    n = OA_RESPONSE_FRAMING_MAX;

    reader_init(&reader, n * 8 + sizeof(HEAD_CHUNKED));
    reader_feed(&reader, HEAD_CHUNKED, sizeof(HEAD_CHUNKED) - 1);

    for (i = 0; i < n; i++) {
        reader_feed(&reader, "2\r\nab\r\n", 7);
    }

    ok(reader.rc == NGX_AGAIN && reader.body.len == n * 2
       && reader.spans == n, "many chunks");

    reader_free(&reader);
}


/*
 * A head that comes a byte at a time: bytes that were looked at are not
 * looked at again, or they would be found to be blank lines.
 */

static void
test_once(void)
{
    u_char         *p;
    size_t          i, n, len, used;
    ngx_int_t       rc;
    const char     *why;
    oa_response_t   r;

    static const u_char  head[] = OK TYPE "X: a\r\nY: b\nZ: c\r\n\r\n";

    ngx_memzero(&r, sizeof(oa_response_t));

    rc = NGX_AGAIN;
    len = sizeof(head) - 1;

    for (i = 1; i < len; i++) {
        p = reader_copy(head, i);

        /* all but the beginning, and an end of a line that may go on */

        for (n = sizeof("HTTP/1.") - 1; n + 3 < i; n++) {
            p[n] = LF;
        }

        rc = oa_response_head(&r, p, i, &used, &why);
        free(p);

        if (rc != NGX_AGAIN) {
            break;
        }
    }

    ok(rc == NGX_AGAIN && i == len, "no byte is looked at again");

    p = reader_copy(head, len);
    rc = oa_response_head(&r, p, len, &used, &why);
    ok(rc == NGX_OK && used == len && r.content_type.len == 17,
       "and in the end all is there");

    free(p);
}


int
main(void)
{
    size_t  i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        test_case(&cases[i]);
    }

    test_spans();
    test_limits();
    test_many_chunks();
    test_once();

    ok(sizeof(oa_response_t) <= 64, "small: %lu bytes",
       (unsigned long) sizeof(oa_response_t));

    return done_testing();
}
