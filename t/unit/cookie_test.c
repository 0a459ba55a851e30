
#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include "oa_base64url.h"
#include "oa_cookie.h"
#include "tap.h"


#define NAME   "sb-ref-auth-token"
#define LONG   OA_COOKIE_MAX


/* Two Cookie headers; a base64 cookie is made of JSON between "<" and ">". */

typedef struct {
    ngx_str_t    one;
    ngx_str_t    two;
    ngx_int_t    rc;
    ngx_str_t    token;
    const char  *what;
} test_token_t;


#define READ(what, cookie, token)                                             \
    { ngx_string(cookie), ngx_null_string, NGX_OK, ngx_string(token), what }
#define READ2(what, one, two, token)                                          \
    { ngx_string(one), ngx_string(two), NGX_OK, ngx_string(token), what }
#define NOT(what, cookie, rc)                                                 \
    { ngx_string(cookie), ngx_null_string, rc, ngx_null_string, what }
#define NOT2(what, one, two, rc)                                              \
    { ngx_string(one), ngx_string(two), rc, ngx_null_string, what }

#define NONE   NGX_DECLINED
#define BAD    NGX_ERROR


/* the worked example, of project "abcdefghijklmnopqrst" */

static const ngx_str_t  example_name =
    ngx_string("sb-abcdefghijklmnopqrst-auth-token");

static const ngx_str_t  example = ngx_string(
    "sb-abcdefghijklmnopqrst-auth-token=base64-eyJhY2Nlc3NfdG9rZW4iOiJleUpoYk"
    "djaU9pSkZVekkxTmlJc0ltdHBaQ0k2SW1zeElpd2lkSGx3SWpvaVNsZFVJbjAuZXlKemRXSW"
    "lPaUoxTVNJc0ltVjRjQ0k2TkRFd01qUTBORGd3TUgwLnE2dXJxNnVycTZ1cnE2dXJxNnVycT"
    "Z1cnE2dXJxNnVycTZ1cnE2dXJxNnVycTZ1cnE2dXJxNnVycTZ1cnE2dXJxNnVycTZ1cnE2dX"
    "JxNnVycTZ1cnF3IiwidG9rZW5fdHlwZSI6ImJlYXJlciIsImV4cGlyZXNfaW4iOjM2MDAsIm"
    "V4cGlyZXNfYXQiOjQxMDI0NDQ4MDAsInJlZnJlc2hfdG9rZW4iOiJyMSIsInVzZXIiOnsiaW"
    "QiOiJ1MSJ9fQ");

static const ngx_str_t  example_token = ngx_string(
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsxIiwidHlwIjoiSldUIn0.eyJzdWIiOiJ1MSIsImV4"
    "cCI6NDEwMjQ0NDgwMH0.q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq"
    "6urq6urq6urq6urq6urq6urq6urq6urqw");


static const test_token_t  tokens[] = {

    /* what it is made of */

    READ("base64, the token first",
         NAME "=<{\"access_token\":\"a.b.c\",\"user\":{}}>", "a.b.c"),
    READ("base64, the token behind others",
         NAME "=<{\"user\":{\"id\":\"u\"},\"access_token\":\"a.b.c\"}>",
         "a.b.c"),
    READ("base64, white space in the JSON",
         NAME "=< { \"access_token\" : \"a.b.c\" } >", "a.b.c"),
    READ("base64, a token to be unescaped",
         NAME "=<{\"access_token\":\"a.\\u0062\\u002ec\"}>", "a.b.c"),
    READ("base64, an array",
         NAME "=<[\"a.b.c\",\"refresh\",null,null,null]>", "a.b.c"),
    READ("base64, an array with white space",
         NAME "=<[ \"a.b.c\" ]>", "a.b.c"),
    READ("base64, numbers that no integer holds",
         NAME "=<{\"n\":123456789012345678901234567890,"
         "\"access_token\":\"a.b.c\"}>", "a.b.c"),
    READ("percent-encoded JSON",
         NAME "=%7B%22access_token%22%3A%22a.b.c%22%2C%22n%22%3A%22"
         "%C3%BC%22%7D", "a.b.c"),
    READ("bare JSON",
         NAME "={\"access_token\":\"a.b.c\",\"n\":[1,2]}", "a.b.c"),
    READ("bare JSON, the token behind others",
         NAME "={\"n\":[1,2],\"access_token\":\"a.b.c\"}", "a.b.c"),
    READ("bare JSON with a percent sign that encodes nothing",
         NAME "={\"n\":\"100%\",\"access_token\":\"a.b.c\"}", "a.b.c"),
    READ("auth-helpers' array, percent-encoded",
         NAME "=%5B%22a.b.c%22%2C%22refresh%22%2Cnull%2Cnull%2Cnull%5D",
         "a.b.c"),
    READ("auth-helpers' array, bare", NAME "=[\"a.b.c\",\"r\"]", "a.b.c"),
    READ("the bare token", NAME "=a.b.c", "a.b.c"),
    READ("the bare token, percent-encoded", NAME "=a%2Eb%2ec", "a.b.c"),
    READ("a prefix that is percent-encoded",
         NAME "=base64%2DeyJhY2Nlc3NfdG9rZW4iOiJhLmIuYyJ9", "a.b.c"),

    /* base64url as lenient as it is read by the original */

    READ("base64, padding", NAME "=base64-WyJhLmIuYyIsMV0%3D", "a.b.c"),
    READ("base64, white space",
         NAME "=base64-WyJ hLm\tIuYyIs MV0", "a.b.c"),
    READ("base64, white space, encoded",
         NAME "=base64-%0AWyJh%0D%0ALmIuYyIsMV0", "a.b.c"),
    READ("base64, white space before the prefix is no prefix",
         NAME "=%20base64-WyJhLmIuYyIsMV0", " base64-WyJhLmIuYyIsMV0"),
    READ("base64, spare bits", NAME "=base64-WyJhLmIuYyIsMV1", "a.b.c"),
    READ("base64, one character too many",
         NAME "=base64-WyJhLmIuYyIsMTJdA", "a.b.c"),
    NOT("base64, not of the URL", NAME "=base64-WyI/LmIuYyIsMV0", BAD),
    NOT("base64, a plus sign", NAME "=base64-WyI+LmIuYyIsMV0", BAD),
    NOT("base64, a comma", NAME "=base64-WyJh,LmIuYyIsMV0", BAD),
    NOT("base64, high bytes", NAME "=base64-WyJh\x80LmIuYyIsMV0", BAD),
    NOT("base64, a control character",
        NAME "=base64-WyJh%0BLmIuYyIsMV0", BAD),
    NOT("base64 of nothing is no session", NAME "=base64-=", BAD),
    READ("the prefix alone is a bare token", NAME "=base64-", "base64-"),
    NOT("base64 of text", NAME "=<a.b.c>", BAD),
    NOT("base64 of a string", NAME "=<\"a.b.c\">", BAD),
    NOT("base64 of null", NAME "=<null>", BAD),

    /* no session in it */

    NOT("an object without a token", NAME "=<{\"user\":{}}>", BAD),
    NOT("a token that is empty", NAME "=<{\"access_token\":\"\"}>", BAD),
    NOT("a token that is null", NAME "=<{\"access_token\":null}>", BAD),
    NOT("a token that is a number", NAME "=<{\"access_token\":1}>", BAD),
    NOT("a token deeper down",
        NAME "=<{\"session\":{\"access_token\":\"a.b.c\"}}>", BAD),
    NOT("a token behind the first of an array", NAME "=<[null,\"a.b.c\"]>",
        BAD),
    NOT("an empty array", NAME "=<[]>", BAD),
    NOT("an array of an empty string", NAME "=<[\"\"]>", BAD),
    NOT("an empty object", NAME "=<{}>", BAD),
    NOT("JSON that is cut in the token",
        NAME "=<{\"access_token\":\"a.b>", BAD),
    NOT("JSON that is cut before it", NAME "=<{\"access_tok>", BAD),
    NOT("JSON that is cut behind others",
        NAME "=<{\"n\":1,\"access_token\":\"a.b.c\">", BAD),
    NOT("an opening brace", NAME "={", BAD),
    NOT("an opening bracket", NAME "=[", BAD),
    NOT("an array that is cut", NAME "=[\"a.b.c", BAD),
    NOT("the token twice",
        NAME "=<{\"n\":1,\"access_token\":\"a\",\"access_token\":\"b\"}>",
        BAD),
    NOT("an escaped quote", NAME "=<{\"access_token\":\"a\\\">", BAD),
    NOT("a NUL", NAME "=<{\"n\":1,\"access_token\":\"a\\u0000\"}>", BAD),
    READ("what stands behind a leading token is not looked at",
         NAME "=<{\"access_token\":\"a.b.c\",garbage>", "a.b.c"),

    /* names */

    NOT("no header", "", NONE),
    NOT("another cookie", "a=b", NONE),
    NOT("another project", "sb-ref2-auth-token=a.b.c", NONE),
    NOT("a longer name", NAME "s=a.b.c", NONE),
    NOT("a longer name in front", "x" NAME "=a.b.c", NONE),
    NOT("a shorter name", "sb-ref-auth-toke=a.b.c", NONE),
    NOT("the code verifier", NAME "-code-verifier=a.b.c", NONE),
    NOT("a chunk of the code verifier", NAME "-code-verifier.0=a", NONE),
    NOT("the user", NAME "-user=a.b.c", NONE),
    NOT("another case", "SB-ref-auth-token=a.b.c", NONE),
    NOT("a name that is encoded", "sb%2Dref-auth-token=a.b.c", NONE),
    NOT("a name without a value", NAME, NONE),
    NOT("a name in a value", "a=" NAME "=a.b.c", NONE),
    NOT("behind a comma", "a=b, " NAME "=a.b.c", NONE),
    NOT("a name in front of another", NAME "; a=a.b.c", NONE),
    NOT("empty", NAME "=", NONE),
    NOT("white space", NAME "=  \t", NONE),
    READ("among others", "a=b; " NAME "=a.b.c; c=d", "a.b.c"),
    READ("without spaces", "a=b;" NAME "=a.b.c;c=d", "a.b.c"),
    READ("white space around it", "a=b;\t " NAME " \t=\t a.b.c \t;", "a.b.c"),
    READ("empty pairs", ";;;" NAME "=a.b.c;;", "a.b.c"),
    READ("behind what is no pair", "x; " NAME "=a.b.c", "a.b.c"),
    READ("a value with equals signs", NAME "=a.b=c=", "a.b=c="),
    READ("quotes are not taken off", NAME "=\"a.b.c\"", "\"a.b.c\""),
    READ("a quote before it hides nothing",
         "a=\"; " NAME "=a.b.c; b=\"", "a.b.c"),
    READ2("in the second header", "a=b", NAME "=a.b.c", "a.b.c"),

    /* chunks */

    READ("one chunk", NAME ".0=a.b.c", "a.b.c"),
    READ("two chunks", NAME ".0=a.b; " NAME ".1=.c", "a.b.c"),
    READ("two chunks the other way round",
         NAME ".1=.c; a=b; " NAME ".0=a.b", "a.b.c"),
    READ2("two chunks in two headers", NAME ".1=.c", NAME ".0=a.b", "a.b.c"),
    READ("a gap ends it", NAME ".0=a.b; " NAME ".2=.c", "a.b"),
    READ("an empty one ends it",
         NAME ".0=a.b; " NAME ".1=; " NAME ".2=.c", "a.b"),
    NOT("no first one", NAME ".1=a.b.c", NONE),
    NOT("an empty first one", NAME ".0=; " NAME ".1=a.b.c", NONE),
    READ("the whole one first", NAME ".0=x; " NAME "=a.b.c; " NAME ".1=y",
         "a.b.c"),
    READ("an empty whole one is none", NAME "=; " NAME ".0=a.b.c", "a.b.c"),
    READ("each chunk is decoded by itself",
         NAME ".0=a%2Eb; " NAME ".1=%2; " NAME ".2=Ec", "a.b%2Ec"),
    READ("a chunk that cannot be decoded is left as it is",
         NAME ".0=%2E%; " NAME ".1=%2E", "%2E%."),
    READ("a prefix in two chunks",
         NAME ".0=bas; " NAME ".1=e64-WyJhLmIu; " NAME ".2=YyIsMV0",
         "a.b.c"),
    READ("base64 cut anywhere", NAME ".0=base64-WyJhL; " NAME ".1=m; "
         NAME ".2=IuYyIsM; " NAME ".3=V0", "a.b.c"),
    READ("JSON cut anywhere", NAME ".0=%7B%22access_token%22%3A%22a; "
         NAME ".1=.b; " NAME ".2=.c%22%7D", "a.b.c"),
    READ("sixteen chunks",
         NAME ".0=a; " NAME ".1=b; " NAME ".2=c; " NAME ".3=d; "
         NAME ".4=e; " NAME ".5=f; " NAME ".6=g; " NAME ".7=h; "
         NAME ".8=i; " NAME ".9=j; " NAME ".10=k; " NAME ".11=l; "
         NAME ".12=m; " NAME ".13=n; " NAME ".14=o; " NAME ".15=p; "
         NAME ".16=", "abcdefghijklmnop"),
    NOT("seventeen chunks",
        NAME ".0=a; " NAME ".1=b; " NAME ".2=c; " NAME ".3=d; "
        NAME ".4=e; " NAME ".5=f; " NAME ".6=g; " NAME ".7=h; "
        NAME ".8=i; " NAME ".9=j; " NAME ".10=k; " NAME ".11=l; "
        NAME ".12=m; " NAME ".13=n; " NAME ".14=o; " NAME ".15=p; "
        NAME ".16=q", BAD),
    READ("a number that is none",
         NAME ".0=a.b; " NAME ".01=x; " NAME ".1x=x; " NAME ".=x; "
         NAME ".+1=x; " NAME ".100=x; " NAME ".1=.c", "a.b.c"),
    NOT("a number with a zero in front", NAME ".00=a.b.c", NONE),
    NOT("a sign as a number", NAME ".-0=a.b.c", NONE),

    /* two of one name */

    READ("the same twice", NAME "=a.b.c; " NAME "=a.b.c", "a.b.c"),
    READ2("the same in two headers", NAME "=a.b.c", NAME "= a.b.c", "a.b.c"),
    NOT("two different ones", NAME "=a.b.c; " NAME "=a.b.d", BAD),
    NOT2("two different ones in two headers", NAME "=a.b.c", NAME "=a.b.d",
         BAD),
    NOT("the second is longer", NAME "=a.b.c; " NAME "=a.b.cc", BAD),
    NOT("the second is empty", NAME "=a.b.c; " NAME "=", BAD),
    NOT("the first is empty", NAME "=; " NAME "=a.b.c", BAD),
    NOT("the third differs",
        NAME "=a.b.c; " NAME "=a.b.c; " NAME "=x", BAD),
    NOT("two first chunks", NAME ".0=a; " NAME ".0=b", BAD),
    NOT("two second chunks",
        NAME ".0=a; " NAME ".1=b; " NAME ".1=c", BAD),
    NOT("an end that is none in the second place",
        NAME ".0=a; " NAME ".1=; " NAME ".1=c", BAD),
    READ("two chunks that do not count",
         NAME ".0=a; " NAME ".2=b; " NAME ".2=c", "a"),
    READ("two chunks beside the whole one",
         NAME "=a.b.c; " NAME ".0=b; " NAME ".0=c", "a.b.c")
};


typedef struct {
    ngx_str_t    in;
    ngx_str_t    out;                  /* no data: refused */
} test_pair_t;


#define PAIR(in, out)  { ngx_string(in), ngx_string(out) }
#define NOPE(in)       { ngx_string(in), ngx_null_string }


static const ngx_str_t  names[] = {
    ngx_string(NAME),
    ngx_string("__Host-oa")
};


static const test_pair_t  strips[] = {
    PAIR("", ""),
    PAIR("a=b", "a=b"),
    PAIR("a=b; c=d", "a=b; c=d"),
    PAIR("a=b;c=d", "a=b;c=d"),
    PAIR(" a=b", "a=b"),
    PAIR("x", "x"),
    PAIR(";", ""),
    PAIR("a=b; ; c=d;", "a=b; c=d"),

    PAIR(NAME "=x", ""),
    PAIR(NAME "=x;", ""),
    PAIR(NAME "=", ""),
    PAIR(NAME, ""),
    PAIR(NAME "=x; a=b", "a=b"),
    PAIR("a=b; " NAME "=x", "a=b"),
    PAIR("a=b; " NAME "=x; c=d", "a=b; c=d"),
    PAIR("a=b;" NAME "=x;c=d", "a=b;c=d"),
    PAIR(NAME "=x; " NAME "=y; a=b; " NAME "=z", "a=b"),
    PAIR(NAME ".0=x; " NAME ".1=y; a=b; " NAME ".15=z", "a=b"),
    PAIR(NAME ".16=x; " NAME ".999999999999999999999=y; a=b", "a=b"),
    PAIR(NAME ".=x; " NAME ".00=y; a=b", "a=b"),
    PAIR("__Host-oa=x; a=b; __host-OA=y", "a=b"),
    PAIR(NAME "={\"access_token\":\"x\",\"a\":\"b\"}; a=b", "a=b"),

    /* as others may read them */

    PAIR("SB-REF-AUTH-TOKEN=x; a=b", "a=b"),
    PAIR("Sb-Ref-Auth-Token.0=x; a=b", "a=b"),
    PAIR("sb%2Dref%2dauth-token=x; a=b", "a=b"),
    PAIR(NAME " =x; " NAME "\t= y; a=b", "a=b"),
    PAIR("\t" NAME "=x; a=b", "a=b"),
    PAIR("\x01" NAME "\x02=x; a=b", "a=b"),
    PAIR("=" NAME "=x; a=b", "a=b"),
    PAIR("\"" NAME "\"=x; a=b", "a=b"),
    PAIR("$Version=1; " NAME "=x; $Path=/", "$Version=1; $Path=/"),
    PAIR("a=b, " NAME "=x; c=d", "a=b; c=d"),
    PAIR("a=b," NAME "=x, c=d", "a=b"),
    PAIR("a=b " NAME "=x; c=d", "a=b; c=d"),
    PAIR("a=b, c=d, " NAME ".0=x", "a=b, c=d"),
    PAIR(NAME " x=y; a=b", "a=b"),
    PAIR(NAME ".9\"" NAME "=x\"; a=b", "a=b"),
    PAIR(NAME "," NAME "=x; a=b", "a=b"),
    PAIR("a=\"b; " NAME "=x; c=d\"", "a=\"b; c=d\""),
    PAIR("a=\"" NAME "=x\"", "a"),
    PAIR("a=\"\\\"; " NAME "=x; c", "a=\"\\\"; c"),

    /* not ours */

    PAIR(NAME "-code-verifier=x; a=b", NAME "-code-verifier=x; a=b"),
    PAIR(NAME "-user=x", NAME "-user=x"),
    PAIR("sb-ref2-auth-token=x", "sb-ref2-auth-token=x"),
    PAIR("x" NAME "=x", "x" NAME "=x"),
    PAIR(NAME "s=x", NAME "s=x"),
    PAIR(NAME ".0x=x", NAME ".0x=x"),
    PAIR(NAME ".0.1=x", NAME ".0.1=x"),
    PAIR("a=x" NAME, "a=x" NAME),
    PAIR("a=" NAME, "a=" NAME),
    PAIR("a=b, " NAME, "a=b, " NAME),
    PAIR("a=x-" NAME "=b", "a=x-" NAME "=b")
};


#define L63  "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghij012"


static const test_pair_t  projects[] = {
    PAIR("https://abcdefghijklmnopqrst.supabase.co",
         "sb-abcdefghijklmnopqrst-auth-token"),
    PAIR("https://abc.supabase.co/", "sb-abc-auth-token"),
    PAIR("https://abc.supabase.co/auth/v1", "sb-abc-auth-token"),
    PAIR("https://ABC.Supabase.CO", "sb-abc-auth-token"),
    PAIR("HTTPS://abc.supabase.co", "sb-abc-auth-token"),
    PAIR("https://abc.supabase.co:8443/x", "sb-abc-auth-token"),
    PAIR("https://abc.supabase.co?x", "sb-abc-auth-token"),
    PAIR("https://abc.supabase.co#x", "sb-abc-auth-token"),
    PAIR("http://localhost:54321", "sb-localhost-auth-token"),
    PAIR("http://127.0.0.1:54321", "sb-127-auth-token"),
    PAIR("https://auth", "sb-auth-auth-token"),
    PAIR("https://a-b_c.example", "sb-a-b_c-auth-token"),
    PAIR("https://" L63 ".example", "sb-" L63 "-auth-token"),
    NOPE("https://" L63 "3.example"),
    NOPE(""),
    NOPE("abc.supabase.co"),
    NOPE("https:"),
    NOPE("https://"),
    NOPE("https:///"),
    NOPE("https://:443"),
    NOPE("https://.supabase.co"),
    NOPE("https://[::1]/"),
    NOPE("https://user@abc.supabase.co"),
    NOPE("https://user:pass@abc.supabase.co"),
    NOPE("https://abc.supabase.co:443x"),
    NOPE("https://abc.supabase.co\\x"),
    NOPE("https://a b.supabase.co"),
    NOPE("https://b\xc3\xbc" "cher.example"),
    NOPE("ftp://abc.supabase.co"),
    NOPE("wss://abc.supabase.co")
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

    if (s->len) {
        ngx_memcpy(p, s->data, s->len);
    }

    return p;
}


/* A copy of a header, with its JSON between "<" and ">" as a cookie has it. */

static void
expand(ngx_str_t *header, const ngx_str_t *text)
{
    u_char  *p, *open, *close;

    static const ngx_str_t  prefix = ngx_string("base64-");

    header->data = malloc(text->len * 2 + prefix.len + 1);
    if (header->data == NULL) {
        abort();
    }

    if (text->len == 0) {
        header->len = 0;
        return;
    }

    open = ngx_strlchr(text->data, text->data + text->len, '<');

    if (open == NULL) {
        free(header->data);
        header->data = copy(text);
        header->len = text->len;
        return;
    }

    close = text->data + text->len - 1;

    p = ngx_cpymem(header->data, text->data, open - text->data);
    p = ngx_cpymem(p, prefix.data, prefix.len);
    p = oa_base64url_encode(p, open + 1, close - open - 1);

    header->len = p - header->data;
}


static void
test_tokens(void)
{
    u_char      *buf;
    ngx_int_t    rc;
    ngx_str_t    cookies[2], token;
    ngx_uint_t   i;

    static const ngx_str_t  name = ngx_string(NAME);

    buf = malloc(OA_COOKIE_MAX);
    if (buf == NULL) {
        abort();
    }

    for (i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        expand(&cookies[0], &tokens[i].one);
        expand(&cookies[1], &tokens[i].two);

        ngx_str_null(&token);
        rc = oa_cookie_token(cookies, 2, &name, buf, &token);

        ok(rc == tokens[i].rc, "%s: %s", tokens[i].what,
           tokens[i].rc == NGX_OK ? "read"
           : tokens[i].rc == NONE ? "none" : "no good");

        if (tokens[i].rc == NGX_OK) {
            is_bytes(token.data, token.len, tokens[i].token.data,
                     tokens[i].token.len, tokens[i].what);
            ok(token.data >= buf
               && token.data + token.len <= buf + OA_COOKIE_MAX,
               "%s: it is in the buffer", tokens[i].what);
        }

        free(cookies[0].data);
        free(cookies[1].data);
    }

    ok(oa_cookie_token(NULL, 0, &name, buf, &token) == NGX_DECLINED,
       "no headers");

    rc = oa_cookie_token(&example, 1, &example_name, buf, &token);
    ok(rc == NGX_OK, "the worked example");
    is_bytes(token.data, token.len, example_token.data, example_token.len,
             "its token");

    free(buf);
}


/* A session of a real size, in chunks of every size, and the largest. */

static void
test_sizes(void)
{
    size_t       len, left, n, size, json_len;
    u_char      *buf, *json, *value, *p;
    ngx_int_t    rc;
    ngx_str_t    cookies[OA_COOKIE_CHUNKS + 2], jwt, token;
    ngx_uint_t   i, bad, nchunks;

    static const ngx_str_t  name = ngx_string(NAME);

    buf = malloc(OA_COOKIE_MAX);
    json = malloc(LONG * 2);
    value = malloc(LONG * 2);

    if (buf == NULL || json == NULL || value == NULL) {
        abort();
    }

    /* the token is at the front, then at the end */

    for (n = 0; n < 2; n++) {
        jwt.len = 4000;
        jwt.data = malloc(jwt.len);
        if (jwt.data == NULL) {
            abort();
        }

        for (i = 0; i < jwt.len; i++) {
            jwt.data[i] = (u_char) ("abcdefghijklmnopqrstuvwxyz"[i % 26]);
        }

        p = json;

        if (n == 0) {
            p = ngx_cpymem(p, "{\"access_token\":\"", 17);
            p = ngx_cpymem(p, jwt.data, jwt.len);
            p = ngx_cpymem(p, "\",\"n\":\"", 7);
            ngx_memset(p, 'x', 4000);
            p = ngx_cpymem(p + 4000, "\"}", 2);

        } else {
            p = ngx_cpymem(p, "{\"n\":\"", 6);
            ngx_memset(p, 'x', 4000);
            p = ngx_cpymem(p + 4000, "\",\"access_token\":\"", 18);
            p = ngx_cpymem(p, jwt.data, jwt.len);
            p = ngx_cpymem(p, "\"}", 2);
        }

        json_len = p - json;

        p = ngx_cpymem(value, "base64-", 7);
        p = oa_base64url_encode(p, json, json_len);
        len = p - value;

        bad = 0;

        for (size = 1 + len / OA_COOKIE_CHUNKS; size < len; size += 97) {
            nchunks = 0;
            left = len;

            for (p = value; left; p += ngx_min(size, left),
                                  left -= ngx_min(size, left))
            {
                cookies[nchunks].data = malloc(64 + size);
                if (cookies[nchunks].data == NULL) {
                    abort();
                }

                cookies[nchunks].len =
                    (size_t) snprintf((char *) cookies[nchunks].data,
                                      64 + size, "%s.%lu=%.*s", NAME,
                                      (unsigned long) nchunks,
                                      (int) ngx_min(size, left), p);
                nchunks++;
            }

            rc = oa_cookie_token(cookies, nchunks, &name, buf, &token);

            if (rc != NGX_OK || token.len != jwt.len
                || ngx_memcmp(token.data, jwt.data, jwt.len) != 0)
            {
                bad++;
            }

            for (i = 0; i < nchunks; i++) {
                free(cookies[i].data);
            }
        }

        ok(bad == 0, "a large session in chunks of every size, its token %s",
           n ? "last" : "first");

        free(jwt.data);
    }

    /* the largest value, and one byte more */

    for (len = OA_COOKIE_MAX; len <= OA_COOKIE_MAX + 1; len++) {
        cookies[0].len = sizeof(NAME) + len;
        cookies[0].data = malloc(cookies[0].len);
        if (cookies[0].data == NULL) {
            abort();
        }

        p = ngx_cpymem(cookies[0].data, NAME "=", sizeof(NAME));
        ngx_memset(p, 'x', len);

        rc = oa_cookie_token(cookies, 1, &name, buf, &token);

        if (len == OA_COOKIE_MAX) {
            ok(rc == NGX_OK && token.len == len, "a value of OA_COOKIE_MAX");

        } else {
            ok(rc == NGX_ERROR, "a larger value");
        }

        free(cookies[0].data);
    }

    /* so in two chunks */

    for (i = 0; i < 2; i++) {
        cookies[i].len = sizeof(NAME) + 2 + OA_COOKIE_MAX / 2 + i;
        cookies[i].data = malloc(cookies[i].len);
        if (cookies[i].data == NULL) {
            abort();
        }

        p = ngx_cpymem(cookies[i].data, i ? NAME ".1=" : NAME ".0=",
                       sizeof(NAME) + 2);
        ngx_memset(p, 'x', OA_COOKIE_MAX / 2 + i);
    }

    ok(oa_cookie_token(cookies, 2, &name, buf, &token) == NGX_ERROR,
       "two chunks that are too large together");

    cookies[1].len--;

    ok(oa_cookie_token(cookies, 2, &name, buf, &token) == NGX_OK
       && token.len == OA_COOKIE_MAX,
       "two that are not");

    free(cookies[0].data);
    free(cookies[1].data);

    /* brackets without end */

    cookies[0].len = sizeof(NAME) + OA_COOKIE_MAX;
    cookies[0].data = malloc(cookies[0].len);
    if (cookies[0].data == NULL) {
        abort();
    }

    p = ngx_cpymem(cookies[0].data, NAME "=", sizeof(NAME));
    ngx_memset(p, '[', OA_COOKIE_MAX);

    ok(oa_cookie_token(cookies, 1, &name, buf, &token) == NGX_ERROR,
       "JSON as deep as it is long");

    free(cookies[0].data);
    free(value);
    free(json);
    free(buf);
}


static void
test_strip(void)
{
    char        text[160];
    u_char     *dst, *end, *buf;
    ngx_str_t   in, out, token;
    ngx_uint_t  i, n;

    buf = malloc(OA_COOKIE_MAX);
    if (buf == NULL) {
        abort();
    }

    for (i = 0; i < sizeof(strips) / sizeof(strips[0]); i++) {
        in.len = strips[i].in.len;
        in.data = copy(&strips[i].in);
        dst = copy(&strips[i].in);

        end = oa_cookie_strip(dst, &in, names, 2);

        snprintf(text, sizeof(text), "\"%s\" stripped",
                 show(in.data, in.len));
        is_bytes(dst, end - dst, strips[i].out.data, strips[i].out.len, text);

        end = oa_cookie_strip(in.data, &in, names, 2);

        snprintf(text, sizeof(text), "\"%s\" stripped in place",
                 show(strips[i].in.data, strips[i].in.len));
        is_bytes(in.data, end - in.data, strips[i].out.data,
                 strips[i].out.len, text);

        out.len = end - in.data;
        out.data = in.data;

        for (n = 0; n < 2; n++) {
            ok(oa_cookie_token(&out, 1, &names[n], buf, &token)
               == NGX_DECLINED,
               "%s: there is no token", text);
        }

        free(dst);
        free(in.data);
    }

    in.len = strips[1].in.len;
    in.data = copy(&strips[1].in);
    end = oa_cookie_strip(in.data, &in, NULL, 0);
    ok((size_t) (end - in.data) == in.len, "no names");
    free(in.data);

    ngx_str_null(&in);
    ok(oa_cookie_strip(buf, &in, names, 2) == buf, "no header to strip");

    free(buf);
}


static void
test_names(void)
{
    char        text[120];
    u_char     *end, buf[OA_COOKIE_NAME];
    ngx_str_t   url;
    ngx_uint_t  i;

    for (i = 0; i < sizeof(projects) / sizeof(projects[0]); i++) {
        url.len = projects[i].in.len;
        url.data = copy(&projects[i].in);

        end = oa_cookie_name(buf, &url);

        if (projects[i].out.data == NULL) {
            ok(end == NULL, "\"%s\" names no cookie", show(url.data, url.len));

        } else {
            snprintf(text, sizeof(text), "the cookie of \"%s\"",
                     show(url.data, url.len));
            is_bytes(buf, end ? end - buf : 0, projects[i].out.data,
                     projects[i].out.len, text);
        }

        free(url.data);
    }
}


int
main(void)
{
    test_tokens();
    test_sizes();
    test_strip();
    test_names();

    return done_testing();
}
