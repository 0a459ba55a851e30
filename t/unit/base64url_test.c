
#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include "oa_base64url.h"
#include "tap.h"


static const char  chars[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";


static u_char *
copy(const void *data, size_t len)
{
    u_char  *p;

    /* exactly as long, for a sanitizer's sake */

    p = malloc(len ? len : 1);
    if (p == NULL) {
        abort();
    }

    ngx_memcpy(p, data, len);

    return p;
}


static ngx_int_t
decode(const char *text, size_t len, u_char *dst)
{
    u_char     *src, *out;
    ngx_int_t   rc;

    src = copy(text, len);
    out = copy("", 0);
    out = realloc(out, oa_base64url_decoded(len) + (len < 2));
    if (out == NULL) {
        abort();
    }

    rc = oa_base64url_decode(out, src, len);

    if (rc == NGX_OK) {
        ngx_memcpy(dst, out, oa_base64url_decoded(len));
    }

    free(src);
    free(out);

    return rc;
}


static void
test_known(void)
{
    u_char       buf[64], *p;
    ngx_uint_t   i;

    static const struct {
        ngx_str_t    bytes;
        ngx_str_t    text;
    } tests[] = {

        /* RFC 4648, 10 */
        { ngx_string(""), ngx_string("") },
        { ngx_string("f"), ngx_string("Zg") },
        { ngx_string("fo"), ngx_string("Zm8") },
        { ngx_string("foo"), ngx_string("Zm9v") },
        { ngx_string("foob"), ngx_string("Zm9vYg") },
        { ngx_string("fooba"), ngx_string("Zm9vYmE") },
        { ngx_string("foobar"), ngx_string("Zm9vYmFy") },

        /* RFC 7515, C */
        { ngx_string("\x03\xec\xff\xe0\xc1"), ngx_string("A-z_4ME") },

        { ngx_string("\xfb\xff\xbf"), ngx_string("-_-_") },
        { ngx_string("\xff\xff\xff\xff"), ngx_string("_____w") },
        { ngx_string("\0\0"), ngx_string("AAA") }
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        ok(oa_base64url_encoded(tests[i].bytes.len) == tests[i].text.len
           && oa_base64url_decoded(tests[i].text.len) == tests[i].bytes.len,
           "sizes of \"%s\"", tests[i].text.data);

        p = oa_base64url_encode(buf, tests[i].bytes.data, tests[i].bytes.len);
        is_bytes(buf, p - buf, tests[i].text.data, tests[i].text.len,
                 "encodes");

        if (ok(decode((char *) tests[i].text.data, tests[i].text.len, buf)
               == NGX_OK, "is canonical"))
        {
            is_bytes(buf, tests[i].bytes.len, tests[i].bytes.data,
                     tests[i].bytes.len, "decodes");
        }
    }
}


static void
test_refused(void)
{
    u_char      buf[64];
    ngx_uint_t  i;

    static const struct {
        ngx_str_t    text;
        const char  *why;
    } tests[] = {
        { ngx_string("A"), "a length of 4n + 1" },
        { ngx_string("AAAAA"), "a length of 4n + 1" },
        { ngx_string("Zg=="), "padding" },
        { ngx_string("Zm8="), "padding" },
        { ngx_string("Zm9v===="), "padding behind a whole group" },
        { ngx_string("Zg=Zg==="), "padding inside" },
        { ngx_string("Zm9v\n"), "a newline at the end" },
        { ngx_string("Zm9vZg\r\n"), "a line's end at the end" },
        { ngx_string("Zm 9v"), "a space" },
        { ngx_string(" Zm9v"), "a space at the start" },
        { ngx_string("Zm9v\tZg"), "a tab" },
        { ngx_string("+/+/"), "base64 that is not base64url" },
        { ngx_string("AAA+"), "a plus" },
        { ngx_string("AAA/"), "a slash" },
        { ngx_string("AA\0A"), "a NUL" },
        { ngx_string("AAA\xff"), "a byte above ASCII" },
        { ngx_string("AAA\xc1"), "a byte above ASCII" },
        { ngx_string("Zh"), "spare bits: 1 of 4" },
        { ngx_string("Zo"), "spare bits: 8 of 4" },
        { ngx_string("Zm9"), "spare bits: 1 of 2" },
        { ngx_string("Zm-"), "spare bits: 2 of 2" },
        { ngx_string("Zm9vYmF_"), NULL },
        { ngx_string("Zm9vYh"), "spare bits behind a whole group" },
        { ngx_string("A.AA"), "a dot" }
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        if (tests[i].why == NULL) {
            ok(decode((char *) tests[i].text.data, tests[i].text.len, buf)
               == NGX_OK, "the last sextet of a whole group has none");
            continue;
        }

        ok(decode((char *) tests[i].text.data, tests[i].text.len, buf)
           == NGX_ERROR, "refused: %s", tests[i].why);
    }
}


/* Each byte at each place of each length up to three groups. */

static void
test_each_byte(void)
{
    char        text[12];
    u_char      buf[12];
    size_t      len, i;
    ngx_int_t   rc, want;
    ngx_uint_t  c, wrong;
    const char *p;

    wrong = 0;

    for (len = 2; len <= sizeof(text); len++) {
        if (len % 4 == 1) {
            continue;
        }

        for (i = 0; i < len; i++) {
            for (c = 0; c < 256; c++) {
                memset(text, 'A', sizeof(text));
                text[i] = (char) c;

                p = c ? strchr(chars, (int) c) : NULL;
                want = p ? NGX_OK : NGX_ERROR;

                if (p && i == len - 1) {
                    if (len % 4 == 2 && (p - chars) % 16) {
                        want = NGX_ERROR;
                    }

                    if (len % 4 == 3 && (p - chars) % 4) {
                        want = NGX_ERROR;
                    }
                }

                rc = decode(text, len, buf);

                if (rc != want) {
                    wrong++;
                }
            }
        }
    }

    ok(wrong == 0, "each byte at each place: %lu wrong",
       (unsigned long) wrong);
}


static void
test_round(void)
{
    u_char      bytes[259], text[352], again[352], *p;
    size_t      len, i;
    ngx_uint_t  wrong;

    wrong = 0;

    for (len = 0; len <= sizeof(bytes); len++) {
        for (i = 0; i < len; i++) {
            bytes[i] = (u_char) (i * 167 + len * 13);
        }

        p = oa_base64url_encode(text, bytes, len);

        if ((size_t) (p - text) != oa_base64url_encoded(len)
            || oa_base64url_decoded((size_t) (p - text)) != len
            || decode((char *) text, p - text, again) != NGX_OK
            || memcmp(again, bytes, len) != 0)
        {
            wrong++;
        }

        /* in its own place */

        if (oa_base64url_decode(text, text, p - text) != NGX_OK
            || memcmp(text, bytes, len) != 0)
        {
            wrong++;
        }
    }

    ok(wrong == 0, "there and back, all lengths up to 259, also in place");
}


int
main(void)
{
    test_known();
    test_refused();
    test_each_byte();
    test_round();

    return done_testing();
}
