
#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include "oa_percent.h"
#include "tap.h"


typedef struct {
    ngx_str_t    in;
    ngx_str_t    out;                  /* no data: refused */
} test_pair_t;


#define PAIR(in, out)  { ngx_string(in), ngx_string(out) }
#define NONE(in)       { ngx_string(in), ngx_null_string }


static const test_pair_t  texts[] = {
    PAIR("", ""),
    PAIR("ABCXYZabcxyz0189-._~", "ABCXYZabcxyz0189-._~"),
    PAIR("https://alice.oa.example/a b?c=d&e=%20#f",
         "https%3A%2F%2Falice.oa.example%2Fa%20b%3Fc%3Dd%26e%3D%2520%23f"),
    PAIR("\0\r\n\x7f\x80\xff", "%00%0D%0A%7F%80%FF"),
    PAIR("\"'<>\\^`{|}+*!()[];,@$", "%22%27%3C%3E%5C%5E%60%7B%7C%7D%2B%2A"
         "%21%28%29%5B%5D%3B%2C%40%24")
};


static const test_pair_t  encoded[] = {
    PAIR("", ""),
    PAIR("abc+-._~", "abc+-._~"),
    PAIR("%41%5f%5F%7e", "A__~"),
    PAIR("%2541", "%41"),
    PAIR("%00%0d%ff", "\0\r\xff"),
    PAIR("\0\xff", "\0\xff"),
    NONE("%"),
    NONE("a%"),
    NONE("a%4"),
    NONE("%4"),
    NONE("%%41"),
    NONE("%4g"),
    NONE("%g4"),
    NONE("%-1"),
    NONE("% 1"),
    NONE("%\xb0\x30")
};


typedef struct {
    ngx_str_t    text;
    ngx_str_t    name;
    int          exact;                /* where it ends, or -1 */
    int          caseless;
} test_match_t;


static const test_match_t  matches[] = {
    { ngx_string("name"), ngx_string("name"), 4, 4 },
    { ngx_string("name=x"), ngx_string("name"), 4, 4 },
    { ngx_string("names"), ngx_string("name"), 4, 4 },
    { ngx_string("nam"), ngx_string("name"), -1, -1 },
    { ngx_string(""), ngx_string("name"), -1, -1 },
    { ngx_string("x"), ngx_string(""), 0, 0 },
    { ngx_string("NAME"), ngx_string("name"), -1, 4 },
    { ngx_string("name"), ngx_string("Name"), -1, 4 },
    { ngx_string("n%61me=x"), ngx_string("name"), 6, 6 },
    { ngx_string("n%41me=x"), ngx_string("name"), -1, 6 },
    { ngx_string("%6e%61%6D%65"), ngx_string("name"), 12, 12 },
    { ngx_string("nam%65"), ngx_string("name"), 6, 6 },
    { ngx_string("nam%6"), ngx_string("name"), -1, -1 },
    { ngx_string("nam%"), ngx_string("name"), -1, -1 },
    { ngx_string("nam%6x"), ngx_string("name"), -1, -1 },
    { ngx_string("n%2561me"), ngx_string("name"), -1, -1 },
    { ngx_string("n%25"), ngx_string("n%"), 4, 4 },
    { ngx_string("n%"), ngx_string("n%"), -1, -1 },
    { ngx_string("a[b"), ngx_string("a{b"), -1, -1 },
    { ngx_string("a_b"), ngx_string("a\x7f" "b"), -1, -1 },
    { ngx_string("\xe4"), ngx_string("\xc4"), -1, -1 }
};


static u_char *
copy(const ngx_str_t *s)
{
    u_char  *p;

    /* exactly as long, for a sanitizer's sake */

    p = malloc(s->len ? s->len : 1);
    if (p == NULL) {
        abort();
    }

    ngx_memcpy(p, s->data, s->len);

    return p;
}


static void
test_encode(void)
{
    char        name[120];
    u_char     *dst, *end, *src;
    size_t      size, again;
    ngx_uint_t  i;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        src = copy(&texts[i].in);
        size = 0;

        end = oa_percent_encode(NULL, src, texts[i].in.len, &size);

        ok(end == NULL && size == texts[i].out.len, "size of \"%s\"",
           show(src, texts[i].in.len));

        dst = malloc(size ? size : 1);
        if (dst == NULL) {
            abort();
        }

        end = oa_percent_encode(dst, src, texts[i].in.len,
                                i % 2 ? NULL : &again);

        snprintf(name, sizeof(name), "percent \"%s\"",
                 show(src, texts[i].in.len));
        is_bytes(dst, end - dst, texts[i].out.data, texts[i].out.len, name);

        free(dst);
        free(src);
    }
}


static void
test_decode(void)
{
    char        name[120];
    u_char     *src, *dst, *end;
    ngx_uint_t  i;

    for (i = 0; i < sizeof(encoded) / sizeof(encoded[0]); i++) {
        src = copy(&encoded[i].in);
        dst = copy(&encoded[i].in);

        snprintf(name, sizeof(name), "decoded \"%s\"",
                 show(src, encoded[i].in.len));

        end = oa_percent_decode(dst, src, encoded[i].in.len);

        if (encoded[i].out.data == NULL) {
            ok(end == NULL, "%s: refused", name);

        } else {
            is_bytes(dst, end - dst, encoded[i].out.data,
                     encoded[i].out.len, name);

            end = oa_percent_decode(src, src, encoded[i].in.len);

            snprintf(name, sizeof(name), "decoded \"%s\", in place",
                     show(encoded[i].in.data, encoded[i].in.len));
            is_bytes(src, end - src, encoded[i].out.data,
                     encoded[i].out.len, name);
        }

        free(dst);
        free(src);
    }
}


static void
test_match(void)
{
    int            want;
    u_char        *text, *last;
    ngx_uint_t     i, caseless;
    const u_char  *end;

    for (i = 0; i < sizeof(matches) / sizeof(matches[0]); i++) {
        for (caseless = 0; caseless < 2; caseless++) {
            text = copy(&matches[i].text);
            last = text + matches[i].text.len;
            want = caseless ? matches[i].caseless : matches[i].exact;

            end = oa_percent_match(text, last, &matches[i].name, caseless);

            ok(want == -1 ? end == NULL : end == text + want,
               "\"%s\" %s \"%s\"%s",
               show(matches[i].text.data, matches[i].text.len),
               want == -1 ? "is not" : "begins with",
               show(matches[i].name.data, matches[i].name.len),
               caseless ? ", without case" : "");

            free(text);
        }
    }
}


int
main(void)
{
    test_encode();
    test_decode();
    test_match();

    return done_testing();
}
