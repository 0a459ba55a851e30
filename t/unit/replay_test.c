
#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include <jansson.h>
#include "oa_replay.h"
#include "tap.h"


#define N63  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define MACHINE  "3d8d9930b32d89"
#define USER     "a3bb189e-8bf9-3888-9912-ace4e6543002"
#define USER64   "YTNiYjE4OWUtOGJmOS0zODg4LTk5MTItYWNlNGU2NTQzMDAy"
#define EXP      1767225600

/*
 * Known answers, by the openssl command:
 *
 *   printf %s TEXT | openssl dgst -sha256 -mac HMAC -macopt KEY -binary
 *
 * with key:master-key over "alice-app" and "alice-app/3d8d9930b32d89", and
 * the first of these, as hexkey, over the states.
 */

#define KEY_APP                                                               \
    "a564af37c1cf4e84b9abaf62b4ae797cff519e34753182c98b94504af59e64c2"
#define KEY_APP64  "pWSvN8HPToS5q69itK55fP9RnjR1MYLJi5RQSvWeZMI"
#define KEY_MACHINE                                                           \
    "fcaa1c68558aae3e4f7008f3dcf43172f866db71591e6e66c2ac58066f0c7f9d"

#define STATE                                                                 \
    "v1.1767225600." USER64 ".GVm_PyMYHvHTftE3oOz1kmv2nFKRW7rjtkRfcuJEcy0"
#define STATE_ANY                                                             \
    "v1.1767225600." USER64 ".5mDaz-_Pj1kiVnAcHSkqXza-ly1ZeGfF2HE0ZDH6Qcs"
#define STATE_NOBODY                                                          \
    "v1.1767225600.-.jkwGCkctpZkSOLcKIWKCM_ffhdIQZOVE3cA1Shh55wA"
#define STATE_BYTES                                                           \
    "v1.9223372036854775807.AP8QQA."                                          \
    "XfPa6509KxgJt1iV0Mn0yMhOwPpwMXSGsojm9s4vVQU"
#define STATE_PER_MACHINE                                                     \
    "v1.0.-.HnlnOScC8mA4IwVDPaKBnAFKfrxatIwoEqaK5BHd-bs"


static const ngx_str_t  none = ngx_null_string;
static const ngx_str_t  machine = ngx_string(MACHINE);
static const ngx_str_t  user = ngx_string(USER);

static u_char  key[OA_REPLAY_KEY_LEN];
static u_char  key_machine[OA_REPLAY_KEY_LEN];


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


static void
unhex(u_char *dst, const char *hex)
{
    unsigned  byte;

    while (*hex) {
        if (sscanf(hex, "%2x", &byte) != 1) {
            abort();
        }

        *dst++ = (u_char) byte;
        hex += 2;
    }
}


static void
test_header(void)
{
    u_char       *p, *end;
    char          name[80];
    ngx_uint_t    i;
    oa_replay_t   replay;

    static const struct {
        oa_replay_t   replay;
        ngx_str_t     want;
    } tests[] = {

        { { ngx_string("a"), ngx_string("m"), ngx_null_string,
            ngx_null_string, ngx_null_string, 0 },
          ngx_string("app=a;instance=m") },

        { { ngx_string("a"), ngx_string("m"), ngx_null_string,
            ngx_null_string, ngx_null_string, 1 },
          ngx_string("app=a;prefer_instance=m") },

        { { ngx_string("a"), ngx_string("m"), ngx_string("v1.1.-.x"),
            ngx_string("20s"), ngx_string("prefer_self"), 0 },
          ngx_string("app=a;instance=m;state=v1.1.-.x;timeout=20s;"
                     "fallback=prefer_self") },

        { { ngx_string("a"), ngx_string("m"), ngx_string("s"),
            ngx_string("800ms"), ngx_string("force_self"), 1 },
          ngx_string("app=a;prefer_instance=m;state=s;timeout=800ms;"
                     "fallback=force_self") },

        { { ngx_string("a"), ngx_null_string, ngx_null_string,
            ngx_null_string, ngx_null_string, 0 },
          ngx_string("app=a") },

        { { ngx_null_string, ngx_string("m"), ngx_null_string,
            ngx_string("2s"), ngx_null_string, 0 },
          ngx_string("instance=m;timeout=2s") },

        { { ngx_null_string, ngx_null_string, ngx_null_string,
            ngx_null_string, ngx_null_string, 0 },
          ngx_string("") }
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        replay = tests[i].replay;

        p = malloc(oa_replay_header_size(&replay));
        if (p == NULL) {
            abort();
        }

        end = oa_replay_header(p, &replay);

        snprintf(name, sizeof(name), "header \"%s\"", tests[i].want.data);
        is_bytes(p, end - p, tests[i].want.data, tests[i].want.len, name);

        free(p);
    }
}


static void
json_is(const oa_replay_json_t *json, const char *want, const char *name)
{
    u_char        *p, *end;
    size_t         size;
    json_t        *doc;
    json_error_t   err;

    size = oa_replay_json_size(json);

    p = malloc(size);
    if (p == NULL) {
        abort();
    }

    end = oa_replay_json(p, json);

    is_bytes(p, end - p, want, strlen(want), name);

    doc = json_loadb((char *) p, end - p, JSON_REJECT_DUPLICATES, &err);
    ok(doc != NULL && (size_t) (end - p) <= size, "%s: JSON, %lu of %lu",
       name, (unsigned long) (end - p), (unsigned long) size);

    json_decref(doc);
    free(p);
}


static void
test_json(void)
{
    ngx_str_t         hide[2];
    ngx_keyval_t      set[2];
    oa_replay_json_t  json;

    ngx_memzero(&json, sizeof(json));

    json_is(&json, "{}", "nothing");

    ngx_str_set(&json.replay.app, "a");
    ngx_str_set(&json.replay.machine, "m");

    json_is(&json, "{\"app\":\"a\",\"instance\":\"m\"}", "app and machine");

    json.replay.prefer = 1;
    ngx_str_set(&json.replay.state, "v1.1.-.x");
    ngx_str_set(&json.replay.timeout, "20s");
    ngx_str_set(&json.replay.fallback, "prefer_self");

    json_is(&json, "{\"app\":\"a\",\"prefer_instance\":\"m\","
            "\"state\":\"v1.1.-.x\",\"timeout\":\"20s\","
            "\"fallback\":\"prefer_self\"}", "all of a replay");

    ngx_memzero(&json.replay, sizeof(json.replay));
    ngx_str_set(&json.replay.app, "a");
    ngx_str_set(&json.path, "/a?b=\"\\\x01\xff");

    json_is(&json, "{\"app\":\"a\",\"transform\":{\"path\":"
            "\"/a?b=\\\"\\\\\\u0001\xef\xbf\xbd\"}}", "a path");

    ngx_str_set(&hide[0], "Authorization");
    ngx_str_set(&hide[1], "x\"y");
    json.delete_headers = hide;
    json.ndelete = 2;
    ngx_str_null(&json.path);

    json_is(&json, "{\"app\":\"a\",\"transform\":{\"delete_headers\":["
            "\"Authorization\",\"x\\\"y\"]}}", "headers deleted");

    ngx_str_set(&set[0].key, "Authorization");
    ngx_str_set(&set[0].value, "Bearer x\r\ny");
    ngx_str_set(&set[1].key, "X");
    ngx_str_null(&set[1].value);
    json.set_headers = set;
    json.nset = 2;

    json_is(&json, "{\"app\":\"a\",\"transform\":{\"delete_headers\":["
            "\"Authorization\",\"x\\\"y\"],\"set_headers\":["
            "{\"name\":\"Authorization\","
            "\"value\":\"Bearer x\\u000d\\u000ay\"},"
            "{\"name\":\"X\",\"value\":\"\"}]}}", "headers set");

    ngx_str_set(&json.path, "/");
    ngx_str_set(&json.cache_prefix, "/a/*");
    json.cache_ttl = 300;

    json_is(&json, "{\"app\":\"a\",\"transform\":{\"path\":\"/\","
            "\"delete_headers\":[\"Authorization\",\"x\\\"y\"],"
            "\"set_headers\":[{\"name\":\"Authorization\","
            "\"value\":\"Bearer x\\u000d\\u000ay\"},"
            "{\"name\":\"X\",\"value\":\"\"}]},"
            "\"cache\":{\"prefix\":\"/a/*\",\"ttl\":300}}", "everything");

    ngx_memzero(&json, sizeof(json));
    ngx_str_set(&json.cache_prefix, "/a/*");
    json.cache_ttl = 2147483647;

    json_is(&json, "{\"cache\":{\"prefix\":\"/a/*\",\"ttl\":2147483647}}",
            "a cache alone");
}


static void
test_keys(void)
{
    u_char       out[OA_REPLAY_KEY_LEN], *p;
    ngx_str_t    master, app, name, text;
    ngx_uint_t   i;

    static const struct {
        const char  *text;
        size_t       len;
        ngx_int_t    rc;
    } tests[] = {
        { KEY_APP, 64, NGX_OK },
        { "A564AF37C1CF4E84B9ABAF62B4AE797C"
          "FF519E34753182C98B94504AF59E64C2", 64, NGX_OK },
        { KEY_APP64, 43, NGX_OK },

        { KEY_APP, 63, NGX_ERROR },
        { KEY_APP "a", 65, NGX_ERROR },
        { KEY_APP64, 42, NGX_ERROR },
        { KEY_APP64 "=", 44, NGX_ERROR },
        { KEY_APP64 "\n", 44, NGX_ERROR },
        { "", 0, NGX_ERROR },
        { "g564af37c1cf4e84b9abaf62b4ae797c"
          "ff519e34753182c98b94504af59e64c2", 64, NGX_ERROR },
        { "a564af37c1cf4e84b9abaf62b4ae797c"
          "ff519e34753182c98b94504af59e64c:", 64, NGX_ERROR },
        /* trailing bits; the other alphabet; a NUL */
        { "pWSvN8HPToS5q69itK55fP9RnjR1MYLJi5RQSvWeZMJ", 43, NGX_ERROR },
        { "pWSvN8HPToS5q69itK55fP9RnjR1MYLJi5RQSvWe+MI", 43, NGX_ERROR },
        { "pWSvN8HPToS5q69itK55fP9RnjR1MYLJi5RQSvWe/MI", 43, NGX_ERROR },
        { "pWSvN8HPToS5q69itK55fP9RnjR1MYLJi5RQSvWe\0MI", 43, NGX_ERROR }
    };

    /* RFC 4231, 4.2 and 4.3 */

    ngx_str_set(&master, "\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"
                         "\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b");
    ngx_str_set(&app, "Hi There");
    unhex(key, "b0344c61d8db38535ca8afceaf0bf12b"
               "881dc200c9833da726e9376c2e32cff7");

    ok(oa_replay_derive(&master, &app, &none, out) == NGX_OK
       && memcmp(out, key, OA_REPLAY_KEY_LEN) == 0, "RFC 4231, case 1");

    ngx_str_set(&master, "Jefe");
    ngx_str_set(&app, "what do ya want for nothing?");
    unhex(key, "5bdcc146bf60754e6a042426089575c7"
               "5a003f089d2739839dec58b964ec3843");

    ok(oa_replay_derive(&master, &app, &none, out) == NGX_OK
       && memcmp(out, key, OA_REPLAY_KEY_LEN) == 0, "RFC 4231, case 2");

    unhex(key, KEY_APP);
    unhex(key_machine, KEY_MACHINE);

    ngx_str_set(&master, "master-key");
    ngx_str_set(&app, "alice-app");

    ok(oa_replay_derive(&master, &app, &none, out) == NGX_OK
       && memcmp(out, key, OA_REPLAY_KEY_LEN) == 0, "an app's key");
    ok(oa_replay_derive(&master, &app, &machine, out) == NGX_OK
       && memcmp(out, key_machine, OA_REPLAY_KEY_LEN) == 0,
       "a machine's key");

    ngx_str_set(&name, N63);
    ok(oa_replay_derive(&master, &name, &name, out) == NGX_OK,
       "the longest names");

    ngx_str_set(&name, N63 "a");
    ok(oa_replay_derive(&master, &name, &none, out) == NGX_ERROR
       && oa_replay_derive(&master, &app, &name, out) == NGX_ERROR,
       "longer names are refused");
    ok(oa_replay_derive(&master, &none, &machine, out) == NGX_ERROR,
       "no app");
    ok(oa_replay_derive(&none, &app, &none, out) == NGX_ERROR, "no key");

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        p = copy(tests[i].text, tests[i].len);
        text.len = tests[i].len;
        text.data = p;

        ok(oa_replay_decode_key(&text, out) == tests[i].rc
           && (tests[i].rc != NGX_OK
               || memcmp(out, key, OA_REPLAY_KEY_LEN) == 0),
           "key \"%s\" (%d) is %s", show(p, text.len), (int) text.len,
           tests[i].rc == NGX_OK ? "read" : "refused");

        free(p);
    }

    text.len = OA_REPLAY_KEY_LEN;
    text.data = key;
    ok(oa_replay_decode_key(&text, out) == NGX_OK
       && memcmp(out, key, OA_REPLAY_KEY_LEN) == 0, "32 bytes are the key");
}


static ngx_int_t
verify(const void *data, size_t len, const u_char *k, time_t now,
    const ngx_str_t *target, ngx_str_t *sub, const char **why)
{
    u_char         *p;
    ngx_int_t       rc;
    ngx_str_t       state;

    static u_char   buf[OA_REPLAY_SUB_MAX];

    p = copy(data, len);
    state.len = len;
    state.data = p;

    ngx_str_null(sub);
    *why = "";

    rc = oa_replay_state_verify(&state, k, now, target, buf, sub, why);

    free(p);

    return rc;
}


static void
test_state(void)
{
    u_char       buf[OA_REPLAY_STATE_MAX], *p, bytes[OA_REPLAY_SUB_MAX + 1];
    size_t       len, i, n;
    ngx_str_t    sub, got, name;
    ngx_uint_t   bad;
    const char  *why;

    ok(oa_replay_state(buf, &len, key, EXP, &user, &machine) == NGX_OK,
       "a state");
    is_bytes(buf, len, STATE, sizeof(STATE) - 1, "for a user and a machine");

    ok(oa_replay_state(buf, &len, key, EXP, &user, &none) == NGX_OK,
       "a state");
    is_bytes(buf, len, STATE_ANY, sizeof(STATE_ANY) - 1,
             "for a user and any machine");

    ok(oa_replay_state(buf, &len, key, EXP, &none, &machine) == NGX_OK,
       "a state");
    is_bytes(buf, len, STATE_NOBODY, sizeof(STATE_NOBODY) - 1,
             "for nobody and a machine");

    ngx_str_set(&sub, "\0\xff\x10@");
    ngx_str_set(&name, "m");
    ok(oa_replay_state(buf, &len, key, NGX_MAX_TIME_T_VALUE, &sub, &name)
       == NGX_OK, "a state");
    is_bytes(buf, len, STATE_BYTES, sizeof(STATE_BYTES) - 1,
             "for bytes, far ahead");

    ok(oa_replay_state(buf, &len, key_machine, 0, &none, &machine) == NGX_OK,
       "a state");
    is_bytes(buf, len, STATE_PER_MACHINE, sizeof(STATE_PER_MACHINE) - 1,
             "with a machine's own key");

    ngx_memset(bytes, 'u', sizeof(bytes));
    sub.data = bytes;
    sub.len = OA_REPLAY_SUB_MAX + 1;
    ok(oa_replay_state(buf, &len, key, EXP, &sub, &machine) == NGX_ERROR,
       "a user's id of 129 bytes is refused");
    ok(oa_replay_state(buf, &len, key, -1, &user, &machine) == NGX_ERROR,
       "a negative EXP is refused");

    ngx_str_set(&name, N63 "a");
    ok(oa_replay_state(buf, &len, key, EXP, &user, &name) == NGX_ERROR,
       "a machine of 64 bytes is refused");

    /* there and back, for users of every length; alphabet */

    ngx_str_set(&name, N63);
    bad = 0;

    for (n = 0; n <= OA_REPLAY_SUB_MAX; n++) {
        for (i = 0; i < n; i++) {
            bytes[i] = (u_char) (i * 37 + n * 11);
        }

        sub.len = n;
        p = malloc(OA_REPLAY_STATE_MAX);
        if (p == NULL) {
            abort();
        }

        if (oa_replay_state(p, &len, key, NGX_MAX_TIME_T_VALUE, &sub, &name)
            != NGX_OK
            || len > OA_REPLAY_STATE_MAX
            || verify(p, len, key, NGX_MAX_TIME_T_VALUE - 1, &name, &got,
                      &why)
               != NGX_OK
            || got.len != n || memcmp(got.data, bytes, n) != 0)
        {
            bad++;
        }

        for (i = 0; i < len; i++) {
            if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                       "0123456789._~:-", p[i]) == NULL)
            {
                bad++;
            }
        }

        free(p);
    }

    ok(bad == 0, "users of all lengths, there and back");
}


static void
test_verify(void)
{
    ngx_int_t    rc;
    ngx_str_t    sub, other;
    ngx_uint_t   i;
    const char  *why;

    ok(verify(STATE, sizeof(STATE) - 1, key, EXP - 1, &machine, &sub, &why)
       == NGX_OK, "good until a second before EXP");
    is_bytes(sub.data, sub.len, USER, sizeof(USER) - 1, "and names the user");

    ok(verify(STATE, sizeof(STATE) - 1, key, 0, &machine, &sub, &why)
       == NGX_OK, "good long before EXP");

    for (i = 0; i < 3; i++) {
        static const time_t  late[] = { EXP, EXP + 1, NGX_MAX_TIME_T_VALUE };

        rc = verify(STATE, sizeof(STATE) - 1, key, late[i], &machine, &sub,
                    &why);
        ok(rc == NGX_DECLINED && strcmp(why, "expired") == 0
           && sub.data == NULL, "from EXP on expired: %d", (int) i);
    }

    ok(verify(STATE_ANY, sizeof(STATE_ANY) - 1, key, 0, &machine, &sub, &why)
       == NGX_OK && sub.len == sizeof(USER) - 1,
       "a state for any machine is good here");
    ok(verify(STATE_ANY, sizeof(STATE_ANY) - 1, key, 0, &none, &sub, &why)
       == NGX_OK, "and on a machine without a name");
    ok(verify(STATE_NOBODY, sizeof(STATE_NOBODY) - 1, key, 0, &machine, &sub,
              &why)
       == NGX_OK && sub.len == 0 && sub.data, "nobody is an empty user");

    ngx_str_set(&other, "3d8d9930b32d80");
    rc = verify(STATE, sizeof(STATE) - 1, key, 0, &other, &sub, &why);
    ok(rc == NGX_DECLINED && strcmp(why, "signature") == 0,
       "another machine's is refused");

    rc = verify(STATE, sizeof(STATE) - 1, key, 0, &none, &sub, &why);
    ok(rc == NGX_DECLINED && strcmp(why, "signature") == 0,
       "a machine's own is refused where there is no machine");

    rc = verify(STATE, sizeof(STATE) - 1, key_machine, 0, &machine, &sub,
                &why);
    ok(rc == NGX_DECLINED && strcmp(why, "signature") == 0,
       "another app's key is refused");

    rc = verify(STATE, sizeof(STATE) - 1, key_machine, EXP, &machine, &sub,
                &why);
    ok(rc == NGX_DECLINED && strcmp(why, "signature") == 0,
       "what is not signed is not called expired");

    ngx_str_set(&other, N63 "a");
    rc = verify(STATE_ANY, sizeof(STATE_ANY) - 1, key, 0, &other, &sub, &why);
    ok(rc == NGX_DECLINED && strcmp(why, "signature") == 0,
       "no machine has a name of 64 bytes");
}


static void
test_malformed(void)
{
    u_char       state[sizeof(STATE)];
    size_t       i, n;
    ngx_int_t    rc;
    ngx_str_t    sub;
    ngx_uint_t   bit, passed;
    const char  *why;

#define MAC     "jkwGCkctpZkSOLcKIWKCM_ffhdIQZOVE3cA1Shh55wA"
#define SUB128  USER64 USER64 USER64 "YWFhYWFhYWFhYWFhYWFhYWFhYWE"
#define SUB129  USER64 USER64 USER64 "YWFhYWFhYWFhYWFhYWFhYWFhYWFh"

    static const ngx_str_t  tests[] = {
        ngx_string(""),
        ngx_string("v1"),
        ngx_string("v1."),
        ngx_string("v1..."),
        ngx_string("v1.1.-."),
        ngx_string("v1.1.-"),
        ngx_string("." MAC),
        ngx_string("v1." MAC),
        ngx_string("v1.1." MAC),
        ngx_string("v1.-." MAC),
        ngx_string("v1..-." MAC),
        ngx_string("v1.1767225600.." MAC),
        ngx_string("v1.1767225600-." MAC),
        ngx_string("V1.1767225600.-." MAC),
        ngx_string("v2.1767225600.-." MAC),
        ngx_string("v0.1767225600.-." MAC),
        ngx_string("v1:1767225600.-." MAC),
        ngx_string(" v1.1767225600.-." MAC),
        ngx_string("v1.1767225600.-." MAC " "),
        ngx_string("v1.1767225600.-." MAC "="),
        ngx_string("v1.1767225600.-." MAC "."),
        ngx_string("v1.1767225600.-." MAC "\0"),
        ngx_string("v1.1767225600.-." MAC MAC),
        ngx_string("v1.1767225600.-.x." MAC),
        ngx_string("v1.1767225600.-..jkwGCkctpZkSOLcKIWKCM_ffhdIQZOVE3cA1Shh5"
                   "5wA"),
        /* EXP */
        ngx_string("v1.01767225600.-." MAC),
        ngx_string("v1.00.-." MAC),
        ngx_string("v1.+1.-." MAC),
        ngx_string("v1.-1.-." MAC),
        ngx_string("v1. 1.-." MAC),
        ngx_string("v1.1 .-." MAC),
        ngx_string("v1.1e3.-." MAC),
        ngx_string("v1.0x1.-." MAC),
        ngx_string("v1.1\0.-." MAC),
        ngx_string("v1.9223372036854775808.-." MAC),
        ngx_string("v1.9999999999999999999.-." MAC),
        ngx_string("v1.18446744073709551617.-." MAC),
        ngx_string("v1.11111111111111111111.-." MAC),
        /* SUB */
        ngx_string("v1.1767225600.--." MAC),        /* not zero at its end */
        ngx_string("v1.1767225600.A." MAC),
        ngx_string("v1.1767225600.YR." MAC),
        ngx_string("v1.1767225600.YWF." MAC),
        ngx_string("v1.1767225600.YQ==." MAC),
        ngx_string("v1.1767225600.YWE=." MAC),
        ngx_string("v1.1767225600.YWFhY." MAC),
        ngx_string("v1.1767225600.YWFhA." MAC),
        ngx_string("v1.1767225600.YW Fh." MAC),
        ngx_string("v1.1767225600.YWF+." MAC),
        ngx_string("v1.1767225600.YWF/." MAC),
        ngx_string("v1.1767225600.YWF\xc3." MAC),
        ngx_string("v1.1767225600." SUB129 "." MAC),
        /* MAC */
        ngx_string("v1.1767225600.-.jkwGCkctpZkSOLcKIWKCM_ffhdIQZOVE3cA1Shh5"
                   "5w"),
        ngx_string("v1.1767225600.-.jkwGCkctpZkSOLcKIWKCM_ffhdIQZOVE3cA1Shh5"
                   "5wB"),
        ngx_string("v1.1767225600.-.jkwGCkctpZkSOLcKIWKCM_ffhdIQZOVE3cA1Shh5"
                   "5wAA"),
        ngx_string("v1.1767225600.-.jkwGCkctpZkSOLcKIWKCM/ffhdIQZOVE3cA1Shh5"
                   "5wA"),
        ngx_string("v1.1767225600.-.jkwGCkctpZkSOLcKIWKCM ffhdIQZOVE3cA1Shh5"
                   "5wA"),
        ngx_string("v1.1767225600.-.jkwGCkctpZkSOLcKIWKCM\0ffhdIQZOVE3cA1Shh"
                   "55wA")
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        rc = verify(tests[i].data, tests[i].len, key, 0, &machine, &sub,
                    &why);
        ok(rc == NGX_DECLINED && strcmp(why, "malformed") == 0,
           "malformed: \"%s\"", show(tests[i].data, tests[i].len));
    }

    /* the same form, but not signed */

    rc = verify("v1.1767225600." SUB128 "." MAC,
                sizeof("v1.1767225600." SUB128 "." MAC) - 1, key, 0, &machine,
                &sub, &why);
    ok(rc == NGX_DECLINED && strcmp(why, "signature") == 0,
       "a user of 128 bytes is well-formed: %s", why);

    rc = verify("v1.1767225601.-." MAC, sizeof(STATE_NOBODY) - 1, key, 0,
                &machine, &sub, &why);
    ok(rc == NGX_DECLINED && strcmp(why, "signature") == 0, "another EXP");

    rc = verify("v1.1767225600.YQ." MAC, sizeof(STATE_NOBODY), key, 0,
                &machine, &sub, &why);
    ok(rc == NGX_DECLINED && strcmp(why, "signature") == 0, "another user");

    rc = verify("v1.1767225600.-.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                sizeof(STATE_NOBODY) - 1, key, 0, &machine, &sub, &why);
    ok(rc == NGX_DECLINED && strcmp(why, "signature") == 0, "no MAC");

    /* every bit, every shorter one */

    passed = 0;

    for (i = 0; i < sizeof(STATE) - 1; i++) {
        for (bit = 0; bit < 8; bit++) {
            memcpy(state, STATE, sizeof(STATE) - 1);
            state[i] ^= (u_char) (1 << bit);

            if (verify(state, sizeof(STATE) - 1, key, 0, &machine, &sub,
                       &why)
                != NGX_DECLINED || sub.data)
            {
                passed++;
            }
        }
    }

    ok(passed == 0, "no state passes with one bit changed");

    passed = 0;

    for (n = 0; n < sizeof(STATE) - 1; n++) {
        if (verify(STATE, n, key, 0, &machine, &sub, &why) != NGX_DECLINED
            || strcmp(why, "malformed") != 0)
        {
            passed++;
        }
    }

    ok(passed == 0, "no state passes cut short");

    passed = 0;

    for (i = 0; i < OA_REPLAY_KEY_LEN * 8; i++) {
        key[i / 8] ^= (u_char) (1 << (i % 8));

        if (verify(STATE, sizeof(STATE) - 1, key, 0, &machine, &sub, &why)
            != NGX_DECLINED)
        {
            passed++;
        }

        key[i / 8] ^= (u_char) (1 << (i % 8));
    }

    ok(passed == 0, "no state passes with one bit of the key changed");
}


static ngx_int_t
field_is(const ngx_str_t *field, const char *want)
{
    if (want == NULL) {
        return field->data == NULL && field->len == 0;
    }

    return field->data && field->len == strlen(want)
           && memcmp(field->data, want, field->len) == 0;
}


static void
test_src(void)
{
    u_char           *p;
    ngx_int_t         rc;
    ngx_str_t         value;
    ngx_uint_t        i;
    oa_replay_src_t   src;

    static const struct {
        ngx_str_t    value;
        const char  *instance;
        const char  *app;
        const char  *region;
        const char  *state;
        const char  *reason;
    } good[] = {

        { ngx_string("instance=00bb33ff;region=iad;t=1649781256567;state=s"),
          "00bb33ff", NULL, "iad", "s", NULL },
        { ngx_string("instance=a;app=b;region=c;replay_source=x;"
                     "reason=timeout;elapsed_ms=20000"),
          "a", "b", "c", NULL, "timeout" },
        { ngx_string("  instance=a ;  region=b  ;t=1 "),
          "a", NULL, "b", NULL, NULL },
        { ngx_string("state=a=b=="), NULL, NULL, NULL, "a=b==", NULL },
        { ngx_string("state="), NULL, NULL, NULL, "", NULL },
        { ngx_string("state=;instance="), "", NULL, NULL, "", NULL },
        { ngx_string("="), NULL, NULL, NULL, NULL, NULL },
        { ngx_string("t=1;t=2"), NULL, NULL, NULL, NULL, NULL },
        { ngx_string("State=a;STATE=b"), NULL, NULL, NULL, NULL, NULL },
        { ngx_string("state =a"), NULL, NULL, NULL, NULL, NULL },
        { ngx_string("states=a;stat=b;xstate=c"),
          NULL, NULL, NULL, NULL, NULL },
        { ngx_string("state\0=a"), NULL, NULL, NULL, NULL, NULL },
        { ngx_string("t=state=a"), NULL, NULL, NULL, NULL, NULL },
        { ngx_string("state= a b "), NULL, NULL, NULL, " a b", NULL },
        { ngx_string("state=a,instance=b"),
          NULL, NULL, NULL, "a,instance=b", NULL }
    };

    static const ngx_str_t  bad[] = {
        ngx_string(""),
        ngx_string(" "),
        ngx_string(";"),
        ngx_string("a"),
        ngx_string("state"),
        ngx_string("state=a;"),
        ngx_string(";state=a"),
        ngx_string("state=a;;instance=b"),
        ngx_string("state=a; ;instance=b"),
        ngx_string("state=a;b"),
        ngx_string("state=a;state=a"),
        ngx_string("state=a;t=1;state=b"),
        ngx_string("state=;state=b"),
        ngx_string("state=a; state=b"),
        ngx_string("instance=a;instance=b"),
        ngx_string("app=a;app="),
        ngx_string("region=a;region=b"),
        ngx_string("reason=a;reason=b")
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        p = copy(good[i].value.data, good[i].value.len);
        value.len = good[i].value.len;
        value.data = p;

        ngx_memset(&src, 0xff, sizeof(src));
        rc = oa_replay_src_parse(&value, &src);

        ok(rc == NGX_OK
           && field_is(&src.instance, good[i].instance)
           && field_is(&src.app, good[i].app)
           && field_is(&src.region, good[i].region)
           && field_is(&src.state, good[i].state)
           && field_is(&src.reason, good[i].reason),
           "source \"%s\"", show(p, value.len));

        free(p);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        p = copy(bad[i].data, bad[i].len);
        value.len = bad[i].len;
        value.data = p;

        ok(oa_replay_src_parse(&value, &src) == NGX_ERROR,
           "source \"%s\" is malformed", show(p, value.len));

        free(p);
    }

    ok(oa_replay_src_parse(&none, &src) == NGX_ERROR, "no source");
}


static void
test_duration(void)
{
    u_char      *p;
    ngx_str_t    value;
    ngx_uint_t   i;

    static const struct {
        ngx_str_t   value;
        ngx_int_t   want;
    } tests[] = {
        { ngx_string("1ms"), 1 },
        { ngx_string("800ms"), 800 },
        { ngx_string("1s"), 1000 },
        { ngx_string("20s"), 20000 },
        { ngx_string("010s"), 10000 },
        { ngx_string("1m"), 60000 },
        { ngx_string("10m"), 600000 },
        { ngx_string("600s"), 600000 },
        { ngx_string("600000ms"), 600000 },
        { ngx_string("600001ms"), NGX_ERROR },
        { ngx_string("601s"), NGX_ERROR },
        { ngx_string("11m"), NGX_ERROR },
        { ngx_string("999999m"), NGX_ERROR },
        { ngx_string("0ms"), NGX_ERROR },
        { ngx_string("0s"), NGX_ERROR },
        { ngx_string("000000s"), NGX_ERROR },
        { ngx_string("0000001s"), NGX_ERROR },
        { ngx_string("99999999999999999999s"), NGX_ERROR },
        { ngx_string("18446744073709551617ms"), NGX_ERROR },
        { ngx_string(""), NGX_ERROR },
        { ngx_string("1"), NGX_ERROR },
        { ngx_string("s"), NGX_ERROR },
        { ngx_string("ms"), NGX_ERROR },
        { ngx_string("1h"), NGX_ERROR },
        { ngx_string("1S"), NGX_ERROR },
        { ngx_string("1Ms"), NGX_ERROR },
        { ngx_string("1 s"), NGX_ERROR },
        { ngx_string(" 1s"), NGX_ERROR },
        { ngx_string("1s "), NGX_ERROR },
        { ngx_string("1s\0"), NGX_ERROR },
        { ngx_string("1m1s"), NGX_ERROR },
        { ngx_string("1mss"), NGX_ERROR },
        { ngx_string("-1s"), NGX_ERROR },
        { ngx_string("+1s"), NGX_ERROR },
        { ngx_string("1.5s"), NGX_ERROR },
        { ngx_string("1s;state=x"), NGX_ERROR }
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        p = copy(tests[i].value.data, tests[i].value.len);
        value.len = tests[i].value.len;
        value.data = p;

        ok(oa_replay_duration(&value) == tests[i].want,
           "duration \"%s\" is %ld", show(p, value.len),
           (long) tests[i].want);

        free(p);
    }
}


int
main(void)
{
    test_header();
    test_json();
    test_keys();
    test_state();
    test_verify();
    test_malformed();
    test_src();
    test_duration();

    return done_testing();
}
