
#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include "oa_claims.h"
#include "tap.h"


#define UUID  "0b9f4b1e-6c1f-4e0d-9a51-5a3f0d6a2b11"


typedef struct {
    ngx_str_t    json;
    const char  *name;
} test_doc_t;


#define DOC(json, name)  { ngx_string(json), name }


static const char  supabase[] =
    "{\"iss\":\"https://abcdefghijklmnopqrst.supabase.co/auth/v1\","
    "\"sub\":\"" UUID "\",\"aud\":\"authenticated\",\"exp\":1764025200,"
    "\"iat\":1764021600,\"email\":\"alice@example.com\",\"phone\":\"\","
    "\"app_metadata\":{\"provider\":\"email\",\"providers\":[\"email\"]},"
    "\"user_metadata\":{\"name\":\"Al\\u003cice\",\"sub\":\"nobody\"},"
    "\"role\":\"authenticated\",\"aal\":\"aal1\","
    "\"amr\":[{\"method\":\"password\",\"timestamp\":1764021600},"
    "{\"method\":\"totp\",\"timestamp\":1764021700}],"
    "\"session_id\":\"d7e1f0a2-3b4c-4d5e-8f60-718293a4b5c6\","
    "\"is_anonymous\":false}";


static const test_doc_t  good[] = {
    DOC("{}", "nothing"),
    DOC(" \t\r\n{ \t\r\n} \t\r\n", "white space"),
    DOC(" { \"a\" : 1 , \"b\" : [ 1 , 2 ] , \"c\" : { } , \"d\" : [ ] } ",
        "white space between all"),
    DOC("{\"\":1}", "an empty name"),
    DOC("{\"a\":{\"a\":1},\"b\":{\"a\":1}}", "one name in several objects"),
    DOC("{\"a\":[{\"a\":1},{\"a\":1}]}",
        "one name in the objects of an array"),
    DOC("{\"a\":1,\"A\":2,\"aa\":3}", "names that differ in case or length"),
    DOC("{\"abcdefgh\":1,\"abcdefghi\":2,\"abcdefghj\":3}",
        "names that begin with the same 8 bytes"),
    DOC("{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "escapes"),
    DOC("{\"a\":\"\\u0001\\u00fc\\u20AC\\ud83d\\uDE00\"}", "more escapes"),
    DOC("{\"a\":\"\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"}", "UTF-8"),
    DOC("{\"a\":\"\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xf4\x8f\xbf\xbf\"}",
        "the edges of UTF-8"),
    DOC("{\"a\":[0,-0,1,-1,10,1.5,-0.0,1e5,1E+5,1e-5,0e0]}", "numbers"),
    DOC("{\"a\":[9223372036854775807,-9223372036854775808]}",
        "integers of 64 bits"),
    DOC("{\"a\":[1.7976931348623157e308,-1.7976931348623157e308]}",
        "the largest doubles"),
    DOC("{\"a\":[1.7976931348623158e308,"
        "179769313486231570000000000000000000000e270]}",
        "what is rounded to them"),
    DOC("{\"a\":[1e-400,5e-324,0e999999999999999999999]}",
        "what is rounded to zero, and zeros"),
    DOC("{\"a\":[0.0000000001e317,1e-99999999999999999999]}",
        "large exponents of small numbers"),
    DOC("{\"a\":[true,false,null]}", "literals")
};


static const test_doc_t  bad[] = {
    DOC("", "nothing at all"),
    DOC(" ", "white space alone"),
    DOC("[]", "an array"),
    DOC("[\"a\":1}", "an object that begins as an array"),
    DOC("\"a\"", "a string"),
    DOC("1", "a number"),
    DOC("null", "null"),
    DOC("\xef\xbb\xbf{}", "a byte order mark"),
    DOC("{}x", "bytes behind it"),
    DOC("{}{}", "an object behind it"),
    DOC("{}\0", "a zero byte behind it"),
    DOC("\0{}", "a zero byte before it"),
    DOC("{\"a\":1\0}", "a zero byte behind a number"),
    DOC("{\"a\":true\0}", "a zero byte behind a literal"),
    DOC("{\"a\0\":1}", "a zero byte in a name"),
    DOC("{\"a\":\"\0\"}", "a zero byte in a string"),
    DOC("{\v}", "another white space"),

    DOC("{", "no end"),
    DOC("{\"a", "no end of a name"),
    DOC("{\"a\"", "no colon"),
    DOC("{\"a\":", "no value"),
    DOC("{\"a\":1", "no end behind a value"),
    DOC("{\"a\":1,", "no end behind a comma"),
    DOC("{\"a\":[", "no end of an array"),
    DOC("{\"a\":[1", "no end behind a member"),
    DOC("{\"a\":[1,", "no member"),
    DOC("{\"a\":\"b", "no end of a string"),
    DOC("{\"a\":\"b\\", "no end of an escape"),
    DOC("{\"a\":\"\\u00", "no end of a longer one"),
    DOC("{\"a\":\"\\u00fc", "no end behind an escape"),
    DOC("{\"a\":\"\\ud83d", "no second surrogate"),
    DOC("{\"a\":\"\\ud83d\\ude0", "no end of the second surrogate"),
    DOC("{\"a\":tru", "no end of a literal"),
    DOC("{\"a\":\"\xe2\x82", "no end of a character"),

    DOC("{,}", "a comma alone"),
    DOC("{\"a\":1,}", "a comma at the end"),
    DOC("{\"a\":1 \"b\":2}", "no comma"),
    DOC("{\"a\" 1}", "no colon"),
    DOC("{\"a\"::1}", "two colons"),
    DOC("{a:1}", "a name without quotes"),
    DOC("{'a':1}", "other quotes"),
    DOC("{1:1}", "a number as a name"),
    DOC("{\"a\":[1,]}", "a comma at the end of an array"),
    DOC("{\"a\":[,1]}", "a comma at its begin"),
    DOC("{\"a\":[1 2]}", "no comma in it"),
    DOC("{\"a\":[1}", "an array that ends as an object"),
    DOC("{\"a\":{]", "an object that ends as an array"),
    DOC("{\"a\":1/*b*/}", "a comment"),

    DOC("{\"a\":1,\"a\":1}", "a name twice"),
    DOC("{\"a\":1,\"b\":2,\"c\":3,\"a\":4}", "a name twice, apart"),
    DOC("{\"\":1,\"\":1}", "the empty name twice"),
    DOC("{\"a\":1,\"\\u0061\":1}", "a name twice, once escaped"),
    DOC("{\"\\u00fc\":1,\"\xc3\xbc\":1}", "a name twice, once in UTF-8"),
    DOC("{\"a/\":1,\"a\\/\":1}", "a name twice, by another escape"),
    DOC("{\"a\":{\"b\":1,\"b\":1}}", "a name twice in an object within"),
    DOC("{\"a\":[[{\"b\":1,\"b\":1}]]}", "a name twice in an array's object"),
    DOC("{\"a\":1,\"b\":{\"c\":1},\"a\":1}", "a name twice around an object"),
    DOC("{\"abcdefghi\":1,\"abcdefgh\":2,\"abcdefghi\":3}",
        "a long name twice"),
    DOC("{\"exp\":1,\"exp\":4102444800}", "exp twice"),

    DOC("{\"a\":\"\x1f\"}", "a control"),
    DOC("{\"a\":\"\n\"}", "a line end in a string"),
    DOC("{\"\t\":1}", "a control in a name"),
    DOC("{\"a\":\"\\x\"}", "no such escape"),
    DOC("{\"a\":\"\\U0041\"}", "an escape in capitals"),
    DOC("{\"a\":\"\\u004g\"}", "no hexadecimal digit"),
    DOC("{\"a\":\"\\u-041\"}", "a sign in an escape"),
    DOC("{\"a\":\"\\u0000\"}", "\\u0000"),
    DOC("{\"\\u0000\":1}", "\\u0000 in a name"),
    DOC("{\"a\":\"\\ud83d\"}", "a first surrogate alone"),
    DOC("{\"a\":\"\\ud83dx\\ude00\"}", "surrogates apart"),
    DOC("{\"a\":\"\\ud83d\\u0041\"}", "a first one before no second"),
    DOC("{\"a\":\"\\ud83d\\ud83d\"}", "two first ones"),
    DOC("{\"a\":\"\\ud83d\\n\"}", "a first one before another escape"),
    DOC("{\"a\":\"\\udc00\"}", "a second surrogate alone, the first"),
    DOC("{\"a\":\"\\udfff\"}", "and the last"),
    DOC("{\"a\":\"\\udc00\\udc00\"}", "two second ones"),
    DOC("{\"a\":\"\\ude00\\ud83d\"}", "surrogates the other way round"),
    DOC("{\"a\":\"\x80\"}", "a continuation alone"),
    DOC("{\"a\":\"\xc3\"}", "a character cut"),
    DOC("{\"a\":\"\xc0\xaf\"}", "an overlong form of 2 bytes"),
    DOC("{\"a\":\"\xe0\x9f\xbf\"}", "an overlong form of 3 bytes"),
    DOC("{\"a\":\"\xf0\x8f\xbf\xbf\"}", "an overlong form of 4 bytes"),
    DOC("{\"a\":\"\xed\xa0\x80\"}", "a surrogate in UTF-8"),
    DOC("{\"a\":\"\xf4\x90\x80\x80\"}", "above U+10FFFF"),
    DOC("{\"a\":\"\xff\"}", "no byte of UTF-8"),
    DOC("{\"a\":\xc3\xbc}", "UTF-8 outside a string"),

    DOC("{\"a\":01}", "a zero before a number"),
    DOC("{\"a\":-01}", "a zero before a negative one"),
    DOC("{\"a\":+1}", "a plus sign"),
    DOC("{\"a\":-}", "a minus sign alone"),
    DOC("{\"a\":.5}", "a fraction alone"),
    DOC("{\"a\":1.}", "a point alone"),
    DOC("{\"a\":1.e5}", "a point before an exponent"),
    DOC("{\"a\":1e}", "no exponent"),
    DOC("{\"a\":1e+}", "a sign of no exponent"),
    DOC("{\"a\":0x10}", "a hexadecimal number"),
    DOC("{\"a\":1_000}", "a number with an underscore"),
    DOC("{\"a\":NaN}", "NaN"),
    DOC("{\"a\":Infinity}", "Infinity"),
    DOC("{\"a\":-Infinity}", "-Infinity"),
    DOC("{\"exp\":9223372036854775808}", "an integer over 64 bits"),
    DOC("{\"exp\":-9223372036854775809}", "a negative one"),
    DOC("{\"exp\":10000000000000000000}", "one of 20 digits"),
    DOC("{\"exp\":1e309}", "1e309"),
    DOC("{\"exp\":-1e309}", "-1e309"),
    DOC("{\"exp\":1.7976931348623159e308}", "what no double can hold"),
    DOC("{\"exp\":0.0000000001e319}", "nor this"),
    DOC("{\"exp\":1e99999999999999999999999}", "nor an endless exponent"),
    DOC("{\"a\":True}", "a literal in capitals"),
    DOC("{\"a\":truth}", "another literal"),
    DOC("{\"a\":nullnull}", "a literal twice")
};


/* In a buffer of exactly its bytes. */

static u_char *
copy(const void *data, size_t len)
{
    u_char  *p;

    p = malloc(len ? len : 1);
    if (p == NULL) {
        abort();
    }

    memcpy(p, data, len);

    return p;
}


static ngx_int_t
scan(const void *json, size_t len)
{
    u_char       *p;
    ngx_int_t     rc;
    oa_claims_t   claims, none;

    p = copy(json, len);
    memset(&claims, 0xa5, sizeof(claims));
    memset(&none, 0, sizeof(none));

    rc = oa_claims_scan(p, len, &claims);

    if (rc != NGX_OK && memcmp(&claims, &none, sizeof(none)) != 0) {
        ok(0, "refused, but claims are there");
    }

    free(p);

    return rc;
}


static void
verdicts(void)
{
    size_t      len;
    u_char      text[35];
    ngx_uint_t  i, c, n, plain;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        ok(scan(good[i].json.data, good[i].json.len) == NGX_OK,
           "good: %s", good[i].name);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ok(scan(bad[i].json.data, bad[i].json.len) == NGX_ERROR,
           "refused: %s", bad[i].name);
    }

    /* any byte at any place of a string */

    n = 0;

    for (i = 0; i < 20; i++) {
        for (c = 0; c < 256; c++) {
            memcpy(text, "{\"abcdefgh\":\"                    \"}", 35);
            text[13 + i] = (u_char) c;

            plain = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';

            n += ((scan(text, 35) == NGX_OK) != plain);
        }
    }

    ok(n == 0, "a byte that stands for itself in a string, or does not");

    n = 0;

    for (len = 0; len < sizeof(supabase) - 1; len++) {
        n += (scan(supabase, len) == NGX_OK);
    }

    ok(n == 0, "refused: a payload cut anywhere");
}


static void
limits(void)
{
    size_t      i, len;
    char        json[OA_CLAIMS_MAX + 64], *p;
    ngx_uint_t  n, twice;

    /* one object, and so many arrays or objects in it */

    for (n = OA_CLAIMS_DEPTH - 1; n <= OA_CLAIMS_DEPTH; n++) {
        p = json + sprintf(json, "{\"a\":");
        memset(p, '[', n);
        memset(p + n, ']', n);
        p[2 * n] = '}';

        ok((scan(json, p + 2 * n + 1 - json) == NGX_OK)
           == (n < OA_CLAIMS_DEPTH), "%lu levels of arrays",
           (unsigned long) n + 1);

        p = json;

        for (i = 0; i < n; i++) {
            p += sprintf(p, "{\"a\":");
        }

        p += sprintf(p, "{}");
        memset(p, '}', n);

        ok((scan(json, p + n - json) == NGX_OK) == (n < OA_CLAIMS_DEPTH),
           "%lu levels of objects", (unsigned long) n + 1);
    }

    p = json + sprintf(json, "{\"a\":[");

    for (i = 0; i < 100; i++) {
        p += sprintf(p, "[],{},{\"a\":[1]},");
    }

    p += sprintf(p, "1]}");
    ok(scan(json, p - json) == NGX_OK, "what is closed is no depth");

    p = json + sprintf(json, "{\"a\":\"");
    memset(p, 'x', OA_CLAIMS_MAX);

    for (len = OA_CLAIMS_MAX; len <= OA_CLAIMS_MAX + 1; len++) {
        json[len - 2] = '"';
        json[len - 1] = '}';

        ok((scan(json, len) == NGX_OK) == (len == OA_CLAIMS_MAX),
           "%lu bytes", (unsigned long) len);

        json[len - 2] = 'x';
        json[len - 1] = 'x';
    }

    /* nothing but names: the most that there can be */

    p = json;
    *p++ = '{';

    while (p - json + 7 <= OA_CLAIMS_MAX) {
        p += sprintf(p, "\"\":0,");
    }

    p[-1] = '}';
    ok(scan(json, p - json) == NGX_ERROR, "as many names as there can be");

    /* many names: with all different, and with each of some twice */

    for (n = 31; n <= 34; n++) {
        ngx_uint_t  bad_verdicts = 0;

        for (twice = 0; twice <= n; twice++) {
            p = json;
            *p++ = '{';

            for (i = 0; i < n; i++) {
                p += sprintf(p, "\"abcdefgh%03d\":1,",
                             (int) ((i == twice ? 0 : i) * 7 % 37));
            }

            p[-1] = '}';

            if ((scan(json, p - json) == NGX_OK)
                != (twice == n || twice == 0))
            {
                bad_verdicts++;
            }
        }

        ok(bad_verdicts == 0, "%lu names, one of them twice",
           (unsigned long) n);
    }

    for (twice = 0; twice < 2; twice++) {
        p = json;
        *p++ = '{';

        for (i = 0; p - json < OA_CLAIMS_MAX - 64; i++) {
            p += sprintf(p, "\"%x\":0,", (int) (i * 5) % 4096);
        }

        p += sprintf(p, "\"%s\":0}", twice ? "\\u0035" : "x");

        ok((scan(json, p - json) == NGX_OK) == !twice,
           "%lu names, %s", (unsigned long) i,
           twice ? "one of them twice, and escaped" : "all different");
    }

    /* of objects that are open at once */

    p = json + sprintf(json, "{\"a\":1,\"b\":{\"a\":1,\"b\":{\"a\":1");
    ok(scan(json, sprintf(p, "}},\"c\":1}") + p - json) == NGX_OK,
       "the names of an outer object are others");
    ok(scan(json, sprintf(p, "}},\"b\":1}") + p - json) == NGX_ERROR,
       "and are still known behind an inner one");
    ok(scan(json, sprintf(p, "},\"a\":1}}") + p - json) == NGX_ERROR,
       "at any depth");
}


static void
is_raw(const oa_claim_t *claim, oa_claim_type_e type, const char *raw,
    const char *name)
{
    ok(claim->type == type, "%s: its type", name);
    is_bytes(claim->raw.data, claim->raw.len, raw, strlen(raw), name);
}


static void
known(void)
{
    u_char       *json;
    oa_claims_t   c;

    static const char  all[] =
        "{\"is_anonymous\":true,\"client_id\":{\"a\":[1]},"
        "\"session_id\":[],\"role\":\"r\\\"\",\"iat\":1,\"nbf\":-2.5e3,"
        "\"exp\":3,\"aud\": [ \"a\" ] ,\"sub\":null,\"iss\":false,"
        "\"isss\":1,\"ro\":1,\"session_i\":1,\"session_idd\":1,"
        "\"SUB\":1,\"is_anonymouS\":1,\"a\":{\"iss\":\"inner\"}}";

    static const char  escaped[] =
        "{\"\\u0069ss\":\"a\",\"client\\u005fid\":\"b\",\"exp\":1}";

    json = copy(supabase, sizeof(supabase) - 1);
    ok(oa_claims_scan(json, sizeof(supabase) - 1, &c) == NGX_OK,
       "a payload of Supabase");

    is_raw(&c.iss, OA_CLAIM_STRING,
           "https://abcdefghijklmnopqrst.supabase.co/auth/v1", "its iss");
    is_raw(&c.sub, OA_CLAIM_STRING, UUID, "its sub, not that of metadata");
    is_raw(&c.aud, OA_CLAIM_STRING, "authenticated", "its aud");
    is_raw(&c.exp, OA_CLAIM_NUMBER, "1764025200", "its exp");
    is_raw(&c.iat, OA_CLAIM_NUMBER, "1764021600", "its iat");
    is_raw(&c.role, OA_CLAIM_STRING, "authenticated", "its role");
    is_raw(&c.session_id, OA_CLAIM_STRING,
           "d7e1f0a2-3b4c-4d5e-8f60-718293a4b5c6", "its session_id");
    is_raw(&c.is_anonymous, OA_CLAIM_FALSE, "false", "its is_anonymous");
    is_raw(&c.nbf, OA_CLAIM_ABSENT, "", "no nbf");
    is_raw(&c.client_id, OA_CLAIM_ABSENT, "", "no client_id");
    free(json);

    json = copy(all, sizeof(all) - 1);
    ok(oa_claims_scan(json, sizeof(all) - 1, &c) == NGX_OK,
       "claims of other types, in another order, with names like theirs");

    is_raw(&c.iss, OA_CLAIM_FALSE, "false", "iss");
    is_raw(&c.sub, OA_CLAIM_NULL, "null", "sub");
    is_raw(&c.aud, OA_CLAIM_ARRAY, "[ \"a\" ]", "aud");
    is_raw(&c.exp, OA_CLAIM_NUMBER, "3", "exp");
    is_raw(&c.nbf, OA_CLAIM_NUMBER, "-2.5e3", "nbf");
    is_raw(&c.iat, OA_CLAIM_NUMBER, "1", "iat");
    is_raw(&c.role, OA_CLAIM_STRING, "r\\\"", "role");
    ok(c.role.escaped && !c.iss.escaped, "which is escaped, and alone");
    is_raw(&c.session_id, OA_CLAIM_ARRAY, "[]", "session_id");
    is_raw(&c.client_id, OA_CLAIM_OBJECT, "{\"a\":[1]}", "client_id");
    is_raw(&c.is_anonymous, OA_CLAIM_TRUE, "true", "is_anonymous");
    free(json);

    json = copy(escaped, sizeof(escaped) - 1);
    ok(oa_claims_scan(json, sizeof(escaped) - 1, &c) == NGX_OK,
       "names with escapes");
    is_raw(&c.iss, OA_CLAIM_STRING, "a", "an escaped iss");
    is_raw(&c.client_id, OA_CLAIM_STRING, "b", "an escaped client_id");
    free(json);
}


static void
found(const char *json, const char *path, oa_claim_type_e type,
    const char *text)
{
    size_t       len;
    u_char      *doc, *buf;
    ngx_str_t    s, p;
    oa_claim_t   claim;
    oa_claims_t  claims;

    len = strlen(json);
    doc = copy(json, len);

    if (oa_claims_scan(doc, len, &claims) != NGX_OK) {
        ok(0, "%s is refused", json);
    }

    p.len = strlen(path);
    p.data = copy(path, p.len);
    memset(&claim, 0xa5, sizeof(claim));

    oa_claims_find(doc, len, &p, &claim);

    ok(claim.type == type, "\"%s\" is of the type %d", path, (int) type);

    buf = copy(claim.raw.data ? claim.raw.data : doc, claim.raw.len);
    oa_claim_text(&claim, buf, &s);
    is_bytes(s.data, s.len, text, strlen(text), "and its text");

    free(buf);
    free(p.data);
    free(doc);
}


static void
paths(void)
{
    u_char       long_path[OA_CLAIMS_MAX + 2];
    ngx_str_t    path;
    oa_claim_t   claim;

    static const char  doc[] =
        " { \"a\" : { \"b\" : [ 10 , [ 20 , 21 ] , { \"c\" : \"x\" } ] } ,"
        "\"a.b\":\"dot\",\"ab\":\"none\",\"a\\\\b\":\"backslash\","
        "\"0\":\"zero\","
        "\"\":{\"\":\"empty\"},\"n\":null,\"t\":true,\"f\":false,"
        "\"\\u00fc\":\"\\ud83d\\ude00\\n\",\"arr\":[],\"obj\":{},"
        "\"s\":\"b\",\"esc\":\"\\\"]}\\\\\",\"last\":[[\"}\"],1e2]}";

    found(supabase, "email", OA_CLAIM_STRING, "alice@example.com");
    found(supabase, "phone", OA_CLAIM_STRING, "");
    found(supabase, "session_id", OA_CLAIM_STRING,
          "d7e1f0a2-3b4c-4d5e-8f60-718293a4b5c6");
    found(supabase, "app_metadata.provider", OA_CLAIM_STRING, "email");
    found(supabase, "app_metadata.providers.0", OA_CLAIM_STRING, "email");
    found(supabase, "app_metadata.providers.1", OA_CLAIM_ABSENT, "");
    found(supabase, "app_metadata.providers", OA_CLAIM_ARRAY,
          "[\"email\"]");
    found(supabase, "user_metadata.name", OA_CLAIM_STRING, "Al<ice");
    found(supabase, "amr.0.method", OA_CLAIM_STRING, "password");
    found(supabase, "amr.1.method", OA_CLAIM_STRING, "totp");
    found(supabase, "amr.1.timestamp", OA_CLAIM_NUMBER, "1764021700");
    found(supabase, "is_anonymous", OA_CLAIM_FALSE, "false");
    found(supabase, "nobody", OA_CLAIM_ABSENT, "");

    found(doc, "a", OA_CLAIM_OBJECT,
          "{ \"b\" : [ 10 , [ 20 , 21 ] , { \"c\" : \"x\" } ] }");
    found(doc, "a.b.0", OA_CLAIM_NUMBER, "10");
    found(doc, "a.b.1.1", OA_CLAIM_NUMBER, "21");
    found(doc, "a.b.2.c", OA_CLAIM_STRING, "x");
    found(doc, "a.b.3", OA_CLAIM_ABSENT, "");
    found(doc, "a.b.c", OA_CLAIM_ABSENT, "");
    found(doc, "a.b.-1", OA_CLAIM_ABSENT, "");
    found(doc, "a.b.00", OA_CLAIM_ABSENT, "");
    found(doc, "a.b.01", OA_CLAIM_ABSENT, "");
    found(doc, "a.b.", OA_CLAIM_ABSENT, "");
    found(doc, "a.b.0x", OA_CLAIM_ABSENT, "");
    found(doc, "a.b.99999999999999999999", OA_CLAIM_ABSENT, "");
    found(doc, "a\\.b", OA_CLAIM_STRING, "dot");
    found(doc, "a\\\\b", OA_CLAIM_STRING, "backslash");
    found(doc, "a\\b", OA_CLAIM_ABSENT, "");
    found(doc, "a\\", OA_CLAIM_ABSENT, "");
    found(doc, "0", OA_CLAIM_STRING, "zero");
    found(doc, ".", OA_CLAIM_STRING, "empty");
    found(doc, "", OA_CLAIM_ABSENT, "");
    found(doc, "..", OA_CLAIM_ABSENT, "");
    found(doc, "a.", OA_CLAIM_ABSENT, "");
    found(doc, ".a", OA_CLAIM_ABSENT, "");
    found(doc, "n", OA_CLAIM_NULL, "");
    found(doc, "n.a", OA_CLAIM_ABSENT, "");
    found(doc, "t", OA_CLAIM_TRUE, "true");
    found(doc, "f", OA_CLAIM_FALSE, "false");
    found(doc, "\xc3\xbc", OA_CLAIM_STRING, "\xf0\x9f\x98\x80\n");
    found(doc, "arr.0", OA_CLAIM_ABSENT, "");
    found(doc, "obj.a", OA_CLAIM_ABSENT, "");
    found(doc, "obj", OA_CLAIM_OBJECT, "{}");
    found(doc, "s.b", OA_CLAIM_ABSENT, "");
    found(doc, "esc", OA_CLAIM_STRING, "\"]}\\");
    found(doc, "last.0.0", OA_CLAIM_STRING, "}");
    found(doc, "last.1", OA_CLAIM_NUMBER, "1e2");
    found(doc, "A", OA_CLAIM_ABSENT, "");

    memset(long_path, 'a', sizeof(long_path));
    path.data = long_path;
    path.len = sizeof(long_path);
    oa_claims_find((u_char *) doc, sizeof(doc) - 1, &path, &claim);
    ok(claim.type == OA_CLAIM_ABSENT, "a name longer than any payload");

    ngx_str_null(&path);
    oa_claims_find((u_char *) doc, sizeof(doc) - 1, &path, &claim);
    ok(claim.type == OA_CLAIM_ABSENT, "no path");

    ngx_str_set(&path, "a");
    oa_claims_find(NULL, 0, &path, &claim);
    ok(claim.type == OA_CLAIM_ABSENT, "no payload");
}


static void
path_grammar(void)
{
    size_t     i;
    ngx_str_t  path;

    static const struct {
        const char  *path;
        int          good;
    } cases[] = {
        { "a", 1 }, { "a.b", 1 }, { "a..b", 1 }, { ".", 1 }, { "a.", 1 },
        { "a\\.b", 1 }, { "a\\\\", 1 }, { "\\..\\.", 1 },
        { "", 0 }, { "\\", 0 }, { "a\\", 0 }, { "a\\b", 0 },
        { "a.b\\c", 0 }, { "a.\\", 0 }, { "a\\\\\\", 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        path.len = strlen(cases[i].path);
        path.data = copy((u_char *) cases[i].path, path.len);

        ok(oa_claims_is_path(&path) == (ngx_uint_t) cases[i].good,
           "\"%s\" is %s path", cases[i].path, cases[i].good ? "a" : "no");

        free(path.data);
    }
}


/* The claim "exp" of {"exp":VALUE}, in memory that is there until the end. */

static oa_claim_t
claim_of(const char *value)
{
    char         *json;
    oa_claims_t   claims;

    static char    pool[32][256];
    static size_t  next;

    json = pool[next++ % 32];
    (void) snprintf(json, sizeof(pool[0]), "{\"exp\":%s}", value);

    if (oa_claims_scan((u_char *) json, strlen(json), &claims) != NGX_OK) {
        ok(0, "%s is refused", json);
    }

    return claims.exp;
}


static void
values(void)
{
    double         number;
    ngx_str_t      text;
    ngx_uint_t     i;
    oa_claim_t     claim, member;
    const u_char  *p;

    static const struct {
        const char  *text;
        double       number;
    } numbers[] = {
        { "0", 0 },
        { "-0", 0 },
        { "1764025200", 1764025200.0 },
        { "-5", -5 },
        { "0.1", 0.1 },
        { "1764025200.25", 1764025200.25 },
        { "1.5e3", 1500 },
        { "2E-3", 0.002 },
        { "999999999999999", 999999999999999.0 },
        { "9007199254740993", 9007199254740992.0 },
        { "9223372036854775807", 9223372036854775807.0 },
        { "1e308", 1e308 },
        { "1e-400", 0 },
        { "0.1000000000000000055511151231257827021181583404541015625", 0.1 }
    };

    static const ngx_str_t  none[] = {
        ngx_string(""), ngx_string("-"), ngx_string("+1"),
        ngx_string(" 1"), ngx_string("1 "), ngx_string("1\0"),
        ngx_string("01"), ngx_string("1."), ngx_string(".5"),
        ngx_string("1e"), ngx_string("0x1"), ngx_string("1,2"),
        ngx_string("nan"), ngx_string("inf"), ngx_string("1e309"),
        ngx_string("9223372036854775808"), ngx_string("one")
    };

    static const char * const  others[] = {
        "\"5\"", "true", "null", "[5]", "{\"a\":5}"
    };

    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        claim = claim_of(numbers[i].text);
        number = -1;

        ok(oa_claim_number(&claim, &number) == NGX_OK
           && number == numbers[i].number, "the number %s", numbers[i].text);

        text.len = strlen(numbers[i].text);
        text.data = copy(numbers[i].text, text.len);
        number = -1;

        ok(oa_claims_number(&text, &number) == NGX_OK
           && number == numbers[i].number, "and as a text");

        free(text.data);
    }

    for (i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        text.len = none[i].len;
        text.data = copy(none[i].data, text.len);

        ok(oa_claims_number(&text, &number) == NGX_ERROR,
           "\"%s\" (%lu) is no number", show(text.data, text.len),
           (unsigned long) text.len);

        free(text.data);
    }

    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        claim = claim_of(others[i]);
        ok(oa_claim_number(&claim, &number) == NGX_ERROR,
           "%s is no number", others[i]);
    }

    memset(&claim, 0, sizeof(claim));
    ok(oa_claim_number(&claim, &number) == NGX_ERROR,
       "nor is what is not there");

    /* oa_claim_is() */

    ngx_str_set(&text, "a\xc3\xbc\"");
    claim = claim_of("\"a\xc3\xbc\\\"\"");
    ok(oa_claim_is(&claim, &text), "a string is a text");
    claim = claim_of("\"\\u0061\\u00FC\\u0022\"");
    ok(oa_claim_is(&claim, &text), "also escaped");
    claim = claim_of("\"\\u0061\\u00FC\\u0022x\"");
    ok(!oa_claim_is(&claim, &text), "not a longer one");
    claim = claim_of("\"\\u0061\\u00FC\"");
    ok(!oa_claim_is(&claim, &text), "nor a shorter one");
    claim = claim_of("\"\\u0061\\u00Fd\\u0022\"");
    ok(!oa_claim_is(&claim, &text), "nor another");
    claim = claim_of("\"A\xc3\xbc\\\"\"");
    ok(!oa_claim_is(&claim, &text), "nor in another case");
    text.len = 2;
    claim = claim_of("\"a\\u00fc\"");
    ok(!oa_claim_is(&claim, &text), "nor where the text ends in a character");

    ngx_str_set(&text, "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf"
                       "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
    claim = claim_of("\"\\u007f\\u0080\\u07ff\\u0800\\uffff"
                     "\\ud800\\udc00\\udbff\\udfff\"");
    ok(oa_claim_is(&claim, &text), "escapes of 1, 2, 3 and 4 bytes");

    ngx_str_set(&text, "5");
    claim = claim_of("5");
    ok(!oa_claim_is(&claim, &text), "a number is no text");

    ngx_str_null(&text);
    claim = claim_of("\"\"");
    ok(oa_claim_is(&claim, &text), "the empty string");
    claim = claim_of("null");
    ok(!oa_claim_is(&claim, &text), "null is no empty string");
    memset(&claim, 0, sizeof(claim));
    ok(!oa_claim_is(&claim, &text), "nor is what is not there");

    /* oa_claim_is_plain() */

    ok(oa_claim_is_plain(&text), "nothing is plain");
    ngx_str_set(&text, "a \xc3\xbc~");
    ok(oa_claim_is_plain(&text), "so is UTF-8");
    ngx_str_set(&text, "a\r\nSet-Cookie: b");
    ok(!oa_claim_is_plain(&text), "a line end is not");
    ngx_str_set(&text, "a\x7f");
    ok(!oa_claim_is_plain(&text), "nor is DEL");

    /* oa_claim_next() */

    claim = claim_of("[ \"a]\" , [ 1 , 2 ] ,null,{\"b\":[]},-1.5 ]");
    p = NULL;

    ok(oa_claim_next(&claim, &p, &member) == NGX_OK, "a member");
    is_raw(&member, OA_CLAIM_STRING, "a]", "of strings");
    ok(oa_claim_next(&claim, &p, &member) == NGX_OK, "a second");
    is_raw(&member, OA_CLAIM_ARRAY, "[ 1 , 2 ]", "of arrays");
    ok(oa_claim_next(&claim, &p, &member) == NGX_OK, "a third");
    is_raw(&member, OA_CLAIM_NULL, "null", "of nulls");
    ok(oa_claim_next(&claim, &p, &member) == NGX_OK, "a fourth");
    is_raw(&member, OA_CLAIM_OBJECT, "{\"b\":[]}", "of objects");
    ok(oa_claim_next(&claim, &p, &member) == NGX_OK, "a fifth");
    is_raw(&member, OA_CLAIM_NUMBER, "-1.5", "of numbers");
    ok(oa_claim_next(&claim, &p, &member) == NGX_DONE, "no more");
    ok(oa_claim_next(&claim, &p, &member) == NGX_DONE, "nor later");

    claim = claim_of("[ ]");
    p = NULL;
    ok(oa_claim_next(&claim, &p, &member) == NGX_DONE, "an empty array");

    claim = claim_of("\"[1]\"");
    p = NULL;
    ok(oa_claim_next(&claim, &p, &member) == NGX_DONE, "no array");

    /* oa_claim_member() */

    ngx_str_set(&text, "b.c");
    claim = claim_of("{ \"b\" : {\"b.c\":1} , \"b.\\u0063\" : \"x\" }");
    oa_claim_member(&claim, &text, &member);
    is_raw(&member, OA_CLAIM_STRING, "x", "a member by its name");
    ngx_str_set(&text, "x");
    oa_claim_member(&claim, &text, &member);
    is_raw(&member, OA_CLAIM_ABSENT, "", "not by a value");
    claim = claim_of("[\"x\"]");
    oa_claim_member(&claim, &text, &member);
    is_raw(&member, OA_CLAIM_ABSENT, "", "nor of an array");
}


int
main(void)
{
    verdicts();
    limits();
    known();
    paths();
    path_grammar();
    values();

    return done_testing();
}
