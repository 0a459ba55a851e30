
#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include <jansson.h>
#include "oa_json.h"
#include "tap.h"


#define FFFD  "\xef\xbf\xbd"


typedef struct {
    ngx_str_t    in;
    ngx_str_t    out;
} test_pair_t;


#define PAIR(in, out)  { ngx_string(in), ngx_string(out) }


static const test_pair_t  pairs[] = {
    PAIR("", ""),
    PAIR("abc /'<>&", "abc /'<>&"),
    PAIR("\"\\", "\\\"\\\\"),
    PAIR("a\"b\\c", "a\\\"b\\\\c"),
    PAIR("\0\x01\x08\t\n\f\r\x1f",
         "\\u0000\\u0001\\u0008\\u0009\\u000a\\u000c\\u000d\\u001f"),
    PAIR("\x7f", "\x7f"),

    PAIR("\xc3\xbc", "\xc3\xbc"),
    PAIR("\xc2\x80\xdf\xbf", "\xc2\x80\xdf\xbf"),
    PAIR("\xe0\xa0\x80\xef\xbf\xbf", "\xe0\xa0\x80\xef\xbf\xbf"),
    PAIR("\xed\x9f\xbf\xee\x80\x80", "\xed\x9f\xbf\xee\x80\x80"),
    PAIR("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf",
         "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"),

    /* The Unicode Standard, tables 3-8 to 3-11 */

    PAIR("\x61\xf1\x80\x80\xe1\x80\xc2\x62\x80\x63\x80\xbf\x64",
         "a" FFFD FFFD FFFD "b" FFFD "c" FFFD FFFD "d"),
    PAIR("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41",
         FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD "A"),
    PAIR("\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41",
         FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD "A"),
    PAIR("\xf4\x91\x92\x93\xff\x41\x80\xbf\x42",
         FFFD FFFD FFFD FFFD FFFD "A" FFFD FFFD "B"),
    PAIR("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41",
         FFFD FFFD FFFD FFFD "A"),

    /* cut */

    PAIR("\xc3", FFFD),
    PAIR("\xe2\x82", FFFD),
    PAIR("\xf0\x9f\x98", FFFD),
    PAIR("\xf0", FFFD),
    PAIR("\x80", FFFD),
    PAIR("\xff", FFFD),
    PAIR("\xf5\x80\x80\x80", FFFD FFFD FFFD FFFD),
    PAIR("\xc3\"", FFFD "\\\""),
    PAIR("\xe2\x82\\", FFFD "\\\\"),
    PAIR("\xf0\x9f\x98\n", FFFD "\\u000a")
};


static u_char *
escape(const u_char *in, size_t len, size_t *size, ngx_uint_t *exact)
{
    u_char     *src, *dst, *end;
    ngx_str_t   s;

    src = malloc(len ? len : 1);
    if (src == NULL) {
        abort();
    }

    ngx_memcpy(src, in, len);

    s.len = len;
    s.data = src;

    *size = oa_json_escape_size(&s);

    dst = malloc(*size ? *size : 1);
    if (dst == NULL) {
        abort();
    }

    end = oa_json_escape(dst, &s);
    *exact = ((size_t) (end - dst) == *size);

    free(src);

    return dst;
}


int
main(void)
{
    char          name[100], quoted[64];
    u_char       *out, in[4];
    size_t        size;
    json_t       *json;
    ngx_str_t     null;
    ngx_uint_t    i, c, d, bad, exact;
    json_error_t  err;

    for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        out = escape(pairs[i].in.data, pairs[i].in.len, &size, &exact);

        snprintf(name, sizeof(name), "\"%s\" (%d)",
                 show(pairs[i].in.data, pairs[i].in.len),
                 (int) pairs[i].in.len);
        is_bytes(out, size, pairs[i].out.data, pairs[i].out.len, name);
        ok(exact, "%s: as long as was said", name);

        free(out);
    }

    ngx_str_null(&null);
    ok(oa_json_escape_size(&null) == 0
       && oa_json_escape((u_char *) name, &null) == (u_char *) name,
       "nothing");

    /* any two bytes, behind one that begins a longer character */

    static const u_char  lead[] = { 'a', 0xc3, 0xe2, 0xed, 0xf0, 0xf4 };

    bad = 0;

    for (i = 0; i < sizeof(lead); i++) {
        for (c = 0; c < 256; c++) {
            for (d = 0; d < 256; d += 5) {
                in[0] = lead[i];
                in[1] = (u_char) c;
                in[2] = (u_char) d;
                in[3] = 0x80;

                out = escape(in, 4, &size, &exact);

                quoted[0] = '"';
                memcpy(&quoted[1], out, size);
                quoted[size + 1] = '"';

                json = json_loadb(quoted, size + 2,
                                  JSON_DECODE_ANY|JSON_ALLOW_NUL, &err);

                if (json == NULL || !exact) {
                    bad++;
                }

                json_decref(json);
                free(out);
            }
        }
    }

    ok(bad == 0, "a JSON parser takes whatever comes out");

    return done_testing();
}
