
#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include "oa_args.h"
#include "tap.h"


typedef struct {
    ngx_str_t    in;
    ngx_str_t    out;
} test_pair_t;


#define PAIR(in, out)  { ngx_string(in), ngx_string(out) }


static const test_pair_t  args[] = {
    PAIR("", ""),
    PAIR("a=1", "a=1"),
    PAIR("a=1&b=2", "a=1&b=2"),
    PAIR("&", "&"),
    PAIR("&&a&&", "&&a&&"),
    PAIR("a=%2G&b=%", "a=%2G&b=%"),
    PAIR("b=2&a=1&b=1", "b=2&a=1&b=1"),

    PAIR("access_token", ""),
    PAIR("access_token=", ""),
    PAIR("access_token=x", ""),
    PAIR("access_token=x&a=1", "a=1"),
    PAIR("a=1&access_token=x", "a=1"),
    PAIR("a=1&access_token=x&b=2", "a=1&b=2"),
    PAIR("a=1&access_token&b=2", "a=1&b=2"),
    PAIR("a=1&access_token", "a=1"),
    PAIR("access_token=x&access_token=y", ""),
    PAIR("access_token=x&a=1&access_token=y&access_token=z", "a=1"),
    PAIR("access_token=x&", ""),
    PAIR("&access_token=x", ""),
    PAIR("access_token=x&&a", "&a"),
    PAIR("a&&access_token=x&&b", "a&&&b"),
    PAIR("access_token=a=b=c&d", "d"),
    PAIR("access_token=a;b&d", "d"),

    PAIR("%61ccess_token=x&a=1", "a=1"),
    PAIR("a=1&access%5ftoken=x", "a=1"),
    PAIR("a=1&access%5Ftoken=x", "a=1"),
    PAIR("%61%63%63%65%73%73%5f%74%6f%6b%65%6e=x&a=1", "a=1"),
    PAIR("%41ccess_toke%4e=x&a=1", "a=1"),
    PAIR("Access_Token=x&a=1", "a=1"),
    PAIR("ACCESS_TOKEN=x&a=1", "a=1"),

    PAIR("access_token%3Dx", "access_token%3Dx"),
    PAIR("%2561ccess_token=x", "%2561ccess_token=x"),
    PAIR("access_token%00=x", "access_token%00=x"),
    PAIR("access_token[]=x", "access_token[]=x"),
    PAIR("access_tokens=x", "access_tokens=x"),
    PAIR("access_toke=x", "access_toke=x"),
    PAIR("xaccess_token=x", "xaccess_token=x"),
    PAIR("my_access_token=x", "my_access_token=x"),
    PAIR("token=x", "token=x"),
    PAIR("a=access_token=x", "a=access_token=x"),
    PAIR("a=access_token", "a=access_token"),
    PAIR("?access_token=x", "?access_token=x"),
    PAIR("access-token=x", "access-token=x"),
    PAIR("access_toke%6=x", "access_toke%6=x"),
    PAIR("access_toke%", "access_toke%"),
    PAIR("access_toke%6", "access_toke%6"),
    PAIR("access_toke%6g=x", "access_toke%6g=x"),
    PAIR("=access_token", "=access_token"),
    PAIR("=", "=")
};


static const ngx_str_t  names[] = {
    ngx_string("access_token"),
    ngx_string("jwt"),
    ngx_string("token")
};


typedef struct {
    ngx_str_t    args;
    ngx_int_t    rc;
    ngx_str_t    value;
} test_find_t;


#define FOUND(args, value)  { ngx_string(args), NGX_OK, ngx_string(value) }
#define NOT(args, rc)       { ngx_string(args), rc, ngx_null_string }


static const test_find_t  finds[] = {
    FOUND("access_token=x", "x"),
    FOUND("a=1&access_token=x.y.z&b=2", "x.y.z"),
    FOUND("access_token=x&a", "x"),
    FOUND("&&access_token=x&&", "x"),
    FOUND("access_token=x=y?z", "x=y?z"),
    FOUND("access_token=a;b", "a;b"),
    FOUND("access_token=a+b", "a+b"),
    FOUND("access_token=x%2Ey%2ez", "x.y.z"),
    FOUND("access_token=%26%3d%25", "&=%"),
    FOUND("%61ccess%5ftoken=x", "x"),
    FOUND("access_token=", ""),
    FOUND("access_token", ""),
    FOUND("a&access_token&b", ""),

    /* twice the same is one, two different ones are an attack */

    FOUND("access_token=x&access_token=x", "x"),
    FOUND("access_token=x&a&%61ccess_token=x", "x"),
    FOUND("access_token&access_token=", ""),
    NOT("access_token=x&access_token=y", NGX_ERROR),
    NOT("access_token=x&access_token=xy", NGX_ERROR),
    NOT("access_token=&access_token=x", NGX_ERROR),
    NOT("access_token=x&access_token", NGX_ERROR),
    NOT("access_token=x&access_token=x&access_token=y", NGX_ERROR),
    NOT("access_token=x&%61ccess_token=y", NGX_ERROR),

    NOT("access_token=%", NGX_ERROR),
    NOT("access_token=x%2", NGX_ERROR),
    NOT("access_token=x%2&a", NGX_ERROR),
    NOT("access_token=%zz", NGX_ERROR),

    NOT("", NGX_DECLINED),
    NOT("a=1&b", NGX_DECLINED),
    NOT("Access_Token=x", NGX_DECLINED),
    NOT("access_tokens=x", NGX_DECLINED),
    NOT("access_toke=x", NGX_DECLINED),
    NOT("xaccess_token=x", NGX_DECLINED),
    NOT("a=access_token=x", NGX_DECLINED),
    NOT("a=1;access_token=x", NGX_DECLINED),
    NOT("?access_token=x", NGX_DECLINED),
    NOT("access_token%3dx", NGX_DECLINED),
    NOT("access_token%=x", NGX_DECLINED),
    NOT("access_token+=x", NGX_DECLINED)
};


static const test_pair_t  masks[] = {
    PAIR("", ""),
    PAIR("&", "&"),
    PAIR("a=1&&b=2&", "a=1&&b=2&"),
    PAIR("access_token=x", "access_token=***"),
    PAIR("access_token=eyJ.eyJ.abc", "access_token=***"),
    PAIR("a=1&access_token=xyz&b=2", "a=1&access_token=***&b=2"),
    PAIR("access_token=x&access_token=y",
         "access_token=***&access_token=***"),
    PAIR("jwt=x&token=y&tok=z", "jwt=***&token=***&tok=z"),
    PAIR("ACCESS_TOKEN=x&%61ccess_token=x",
         "ACCESS_TOKEN=***&%61ccess_token=***"),
    PAIR("access_token==", "access_token=***"),
    PAIR("access_token=&a", "access_token=&a"),
    PAIR("access_token&a", "access_token&a"),
    PAIR("access_token%3Dx", "access_token%3Dx"),
    PAIR("a=access_token=x", "a=access_token=x")
};


static const test_pair_t  redacted[] = {
    PAIR("", ""),
    PAIR("?", "?"),
    PAIR("access_token=xyz", "access_token=xyz"),
    PAIR("request: \"GET /?access_token=eyJ.eyJ.abc HTTP/1.1\", host: \"a\"",
         "request: \"GET /?access_token=*** HTTP/1.1\", host: \"a\""),
    PAIR("upstream: \"http://a/?a&jwt=eyJ.eyJ.abc\", host: \"a\"",
         "upstream: \"http://a/?a&jwt=***\", host: \"a\""),
    PAIR("/?jwt=abcd&b=c&token=efgh ?token=ijkl", "/?jwt=***&b=c&token=*** "
                                                  "?token=***"),
    PAIR("/?ACCESS%5fTOKEN=abcd", "/?ACCESS%5fTOKEN=***"),
    PAIR("/?jwt=&jwt=x&jwt=yz&jwt", "/?jwt=&jwt=*&jwt=**&jwt"),
    PAIR("/?jwt=a?jwt=b=c", "/?jwt=***"),
    PAIR("/?jwt=abc\td", "/?jwt=***\td"),
    PAIR("/?jwts=abc&my_jwt=abc&access_toke", "/?jwts=abc&my_jwt=abc"
                                              "&access_toke"),
    PAIR("/?a?&jwt=abcd", "/?a?&jwt=***")
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
test_strip(void)
{
    char        name[120];
    u_char     *dst, *end;
    ngx_str_t   s;
    ngx_uint_t  i;

    for (i = 0; i < sizeof(args) / sizeof(args[0]); i++) {
        s.len = args[i].in.len;
        s.data = copy(&args[i].in);

        dst = malloc(s.len ? s.len : 1);
        if (dst == NULL) {
            abort();
        }

        end = oa_args_strip(dst, &s, &oa_args_token, 1);

        snprintf(name, sizeof(name), "arguments \"%s\"",
                 show(s.data, s.len));
        is_bytes(dst, end - dst, args[i].out.data, args[i].out.len, name);

        end = oa_args_strip(s.data, &s, &oa_args_token, 1);

        snprintf(name, sizeof(name), "arguments \"%s\", in place",
                 show(args[i].in.data, args[i].in.len));
        is_bytes(s.data, end - s.data, args[i].out.data, args[i].out.len,
                 name);

        free(dst);
        free(s.data);
    }

    ngx_str_null(&s);
    ok(oa_args_strip((u_char *) name, &s, &oa_args_token, 1)
       == (u_char *) name,
       "no arguments");

    /* several names, and none */

    ngx_str_set(&s, "a=1&jwt=x&access_token=y&tokens=z&Token=z&b");
    dst = copy(&s);

    end = oa_args_strip(dst, &s, names, 3);
    is_bytes(dst, end - dst, "a=1&tokens=z&b", 14, "several names");

    end = oa_args_strip(dst, &s, NULL, 0);
    is_bytes(dst, end - dst, s.data, s.len, "no names");

    free(dst);
}


static void
test_find(void)
{
    char        name[120];
    u_char     *buf;
    ngx_int_t   rc;
    ngx_str_t   s, value;
    ngx_uint_t  i;

    for (i = 0; i < sizeof(finds) / sizeof(finds[0]); i++) {
        s.len = finds[i].args.len;
        s.data = copy(&finds[i].args);
        buf = copy(&finds[i].args);

        rc = oa_args_find(&s, &oa_args_token, buf, &value);

        snprintf(name, sizeof(name), "the token in \"%s\"",
                 show(s.data, s.len));

        ok(rc == finds[i].rc, "%s: %ld", name, (long) rc);

        if (rc == NGX_OK) {
            is_bytes(value.data, value.len, finds[i].value.data,
                     finds[i].value.len, name);
        }

        free(buf);
        free(s.data);
    }

    ngx_str_null(&s);
    ok(oa_args_find(&s, &oa_args_token, NULL, &value) == NGX_DECLINED,
       "no token in no arguments");
}


static void
test_mask(void)
{
    char        name[120];
    u_char     *dst, *end, *src;
    size_t      size;
    ngx_str_t   s;
    ngx_uint_t  i;

    for (i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
        src = copy(&masks[i].in);
        s.len = masks[i].in.len;
        s.data = src;

        end = oa_args_mask(NULL, &s, names, 3, &size);

        ok(end == NULL && size == masks[i].out.len, "size of \"%s\", masked",
           show(src, s.len));

        dst = malloc(size ? size : 1);
        if (dst == NULL) {
            abort();
        }

        end = oa_args_mask(dst, &s, names, 3, NULL);

        snprintf(name, sizeof(name), "masked \"%s\"", show(src, s.len));
        is_bytes(dst, end - dst, masks[i].out.data, masks[i].out.len, name);

        free(dst);
        free(src);
    }

    ngx_str_null(&s);
    ok(oa_args_mask(NULL, &s, names, 3, &size) == NULL && size == 0,
       "no arguments to mask");
}


static void
test_redact(void)
{
    char        name[160];
    u_char     *p, *end;
    ngx_uint_t  i;

    for (i = 0; i < sizeof(redacted) / sizeof(redacted[0]); i++) {
        p = copy(&redacted[i].in);

        snprintf(name, sizeof(name), "redacted \"%s\"",
                 show(p, redacted[i].in.len));

        end = oa_args_redact(p, p + redacted[i].in.len, names, 3);
        is_bytes(p, end - p, redacted[i].out.data, redacted[i].out.len, name);

        free(p);
    }
}


int
main(void)
{
    test_strip();
    test_find();
    test_mask();
    test_redact();

    return done_testing();
}
