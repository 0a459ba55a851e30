
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_stream_id.h"
#include "tap.h"


#define HEX  "00112233445566778899aabbccddeeff"
#define N63  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"


typedef struct {
    ngx_str_t    text;
    const char  *router;
    uint64_t     seq;
} test_good_t;


#define GOOD(text, router, seq)  { ngx_string(text), router, seq }


static const test_good_t  good[] = {
    GOOD("local-" HEX, "local", 0),
    GOOD("local-" HEX "-1", "local", 1),
    GOOD("3d8d9930b32d89-" HEX "-42", "3d8d9930b32d89", 42),
    GOOD("a-" HEX "-9223372036854775807", "a", 9223372036854775807ULL),
    GOOD(N63 "-" HEX "-9223372036854775807", N63, 9223372036854775807ULL),
    GOOD("a-b-c-" HEX, "a-b-c", 0),
    GOOD("a-b-c-" HEX "-7", "a-b-c", 7),
    GOOD("1-2-" HEX "-3", "1-2", 3),
    GOOD("a-" HEX "-" HEX, "a-" HEX, 0)
};


static const ngx_str_t  bad[] = {
    ngx_string(""),
    ngx_string("-"),
    ngx_string("--"),
    ngx_string("1"),
    ngx_string("42"),
    ngx_string("local"),
    ngx_string("local-"),
    ngx_string("local-1"),
    ngx_string("local--1"),
    ngx_string(HEX),
    ngx_string(HEX "-1"),
    ngx_string("-" HEX),
    ngx_string("-" HEX "-1"),
    ngx_string("local" HEX "-1"),
    ngx_string("local-" HEX "-"),
    ngx_string("local-" HEX "-0"),
    ngx_string("local-" HEX "-01"),
    ngx_string("local-" HEX "-+1"),
    ngx_string("local-" HEX "--1"),
    ngx_string("local-" HEX "-1 "),
    ngx_string(" local-" HEX "-1"),
    ngx_string("local-" HEX "-1\n"),
    ngx_string("local-" HEX "-1\r\nx: y"),
    ngx_string("local-" HEX "-1;instance=x"),
    ngx_string("local-" HEX "-1,"),
    ngx_string("local-" HEX "-1\0"),
    ngx_string("local-" HEX "-0x1"),
    ngx_string("local-" HEX "-1e3"),
    ngx_string("local-" HEX "-9223372036854775808"),
    ngx_string("local-" HEX "-18446744073709551617"),
    ngx_string("local-" HEX "-99999999999999999999"),
    ngx_string("local-0" HEX "-1"),
    ngx_string("local-0112233445566778899aabbccddeeff-1"),
    ngx_string("local-00112233445566778899AABBCCDDEEFF-1"),
    ngx_string("local-0011223344556677-8899aabbccddeeff-1"),
    ngx_string("local-00112233445566778899aabbccddeefg-1"),
    ngx_string("local_" HEX "-1"),
    ngx_string("LOCAL-" HEX "-1"),
    ngx_string("lo.cal-" HEX "-1"),
    ngx_string("lo;cal-" HEX "-1"),
    ngx_string("lo\"cal-" HEX "-1"),
    ngx_string("lo\ncal-" HEX "-1"),
    ngx_string("lo\0cal-" HEX "-1"),
    ngx_string("-local-" HEX "-1"),
    ngx_string("local--" HEX "-1"),
    ngx_string("\xc3\xbc-" HEX "-1"),
    ngx_string("a" N63 "-" HEX "-1"),
    ngx_string("a" N63 "-" HEX),
    ngx_string(N63 N63 "-" HEX "-1")
};


static ngx_int_t
parse(const ngx_str_t *text, oa_stream_id_t *id, u_char **copy)
{
    ngx_str_t  s;

    /* exactly as long, for a sanitizer's sake */

    s.len = text->len;
    s.data = malloc(s.len ? s.len : 1);

    if (s.data == NULL) {
        abort();
    }

    ngx_memcpy(s.data, text->data, s.len);
    *copy = s.data;

    return oa_stream_id_parse(&s, id);
}


static void
test_good(const test_good_t *test)
{
    u_char          *copy, *p, buf[OA_STREAM_EVENT_ID_MAX];
    u_char           line[OA_STREAM_EVENT_LINE_MAX];
    size_t           n;
    ngx_str_t        name;
    oa_stream_id_t   id;

    if (!ok(parse(&test->text, &id, &copy) == NGX_OK, "%s",
            test->text.data))
    {
        free(copy);
        return;
    }

    is_bytes(id.router.data, id.router.len, test->router,
             strlen(test->router), "its router");
    is_bytes(id.stream, OA_STREAM_ID_BYTES,
             "\x00\x11\x22\x33\x44\x55\x66\x77"
             "\x88\x99\xaa\xbb\xcc\xdd\xee\xff", 16, "its stream");
    ok(id.seq == test->seq, "its number");

    p = oa_stream_id(buf, &id);
    is_bytes(buf, p - buf, test->text.data, test->text.len, "and back");

    if (id.seq) {
        n = id.seq;
        id.seq = 0;
        name.data = buf;
        name.len = oa_stream_id(buf, &id) - buf;

        p = oa_stream_event_line(line, &name, n);
        ok(p - line == (ptrdiff_t) test->text.len + 5
           && memcmp(line, "id: ", 4) == 0
           && memcmp(line + 4, test->text.data, test->text.len) == 0
           && p[-1] == '\n',
           "its line");
    }

    free(copy);
}


int
main(void)
{
    u_char          *copy;
    ngx_uint_t       i;
    oa_stream_id_t   id;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        test_good(&good[i]);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ok(parse(&bad[i], &id, &copy) == NGX_DECLINED, "not \"%s\"",
           show(bad[i].data, bad[i].len));
        free(copy);
    }

    ok(oa_is_label(oa_stream_local.data, oa_stream_local.len),
       "\"local\" is a router, too");

    return done_testing();
}
