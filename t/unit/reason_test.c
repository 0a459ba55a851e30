
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_reason.h"
#include "tap.h"


#define S23  "aaaaaaaaaaaaaaaaaaaaaaa"
#define A16  "aaaa bbbb cccc. "


int
main(void)
{
    ngx_uint_t    i;
    oa_reason_t   reason;

    static const struct {
        ngx_str_t    in;
        ngx_str_t    out;
        const char  *name;
    } tests[] = {
        { ngx_string(""), ngx_string(""), "nothing" },
        { ngx_string("no capacity in ams"), ngx_string("no capacity in ams"),
          "a text" },
        { ngx_string("  a\r\n\t b\x7f\x01" "c "), ngx_string("a b c "),
          "controls and white space" },
        { ngx_string("a\0b"), ngx_string("a b"), "a zero byte" },
        { ngx_string("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"),
          ngx_string("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"), "UTF-8" },
        { ngx_string("a\xff\xc3 b\xe2\x82"), ngx_string("a b "),
          "what is not UTF-8" },
        { ngx_string("a\xc2\x9b" "31m"), ngx_string("a 31m"),
          "a control of two bytes" },
        { ngx_string("T=" S23), ngx_string("***"), "a word with its name" },
        { ngx_string("x " S23 " y"), ngx_string("x " S23 " y"),
          "a word of 23" },
        { ngx_string("x " S23 "a y"), ngx_string("x *** y"), "a word of 24" },
        { ngx_string("\"" S23 S23 "\""), ngx_string("\"***\""),
          "a long word in quotes" },
        { ngx_string("FlyV1 fm2_" S23 ",fm2_" S23),
          ngx_string("FlyV1 ***,***"),
          "two tokens" },
        { ngx_string("aaaaaaaaaaaa\xff" "aaaaaaaaaaaa"),
          ngx_string("aaaaaaaaaaaa aaaaaaaaaaaa"), "nothing joins words" },
        { ngx_string(S23 S23), ngx_string("***"), "nothing but one" },
        { ngx_string(A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16
                     A16 "aaaa bbbb cccc.\xc3\xa4"),
          ngx_string(A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16
                     A16 "aaaa bbbb cccc."), "cut between characters" },
        { ngx_string(A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16
                     A16 "aaaa bbbb c " S23 S23),
          ngx_string(A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16
                     A16 "aaaa bbbb c ***"), "a secret at the cut" },
        { ngx_string(A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16
                     A16 "aaaa bbbb cccc dddd"),
          ngx_string(A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16
                     A16 "aaaa bbbb cccc d"), "cut" }
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        oa_reason(&reason, &tests[i].in);
        is_bytes(reason.data, reason.len, tests[i].out.data,
                 tests[i].out.len, tests[i].name);
    }

    return done_testing();
}
