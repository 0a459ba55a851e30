
/*
 * Arguments with a token: what is taken out, is masked and is found, against
 * the same written naively.  What was stripped or masked holds no token.
 */


#include "fuzz.h"
#include "oa_args.h"
#include "oa_percent.h"


/* decodes the whole name first, then looks at it */

static ngx_uint_t
is_token(const u_char *p, size_t len, ngx_uint_t exact)
{
    char      hex[3], name[13];
    size_t    i, n;
    ngx_int_t c;

    n = 0;

    for (i = 0; i < len && p[i] != '='; i++) {
        c = p[i];

        if (c == '%' && len - i > 2 && isxdigit(p[i + 1])
            && isxdigit(p[i + 2]))
        {
            hex[0] = (char) p[i + 1];
            hex[1] = (char) p[i + 2];
            hex[2] = '\0';
            c = strtol(hex, NULL, 16);
            i += 2;
        }

        if (n == 12 || c == '\0') {
            return 0;
        }

        name[n++] = (char) c;
    }

    name[n] = '\0';

    return exact ? strcmp(name, "access_token") == 0
                 : strcasecmp(name, "access_token") == 0;
}


static void
test_strip(const uint8_t *data, size_t size)
{
    u_char      *dst, *end, *want, *q;
    size_t       i, start;
    ngx_str_t    args, value;
    ngx_uint_t   first;

    args.len = size;
    args.data = fuzz_copy(data, size);

    dst = fuzz_alloc(size);
    want = fuzz_alloc(size + 1);

    q = want;
    first = 1;
    start = 0;

    for (i = 0; i <= size && size; i++) {
        if (i < size && data[i] != '&') {
            continue;
        }

        if (!is_token(data + start, i - start, 0)) {
            if (!first) {
                *q++ = '&';
            }

            first = 0;
            memcpy(q, data + start, i - start);
            q += i - start;
        }

        start = i + 1;
    }

    end = oa_args_strip(dst, &args, &oa_args_token, 1);

    must(end - dst == q - want);
    must(memcmp(dst, want, q - want) == 0);

    end = oa_args_strip(args.data, &args, &oa_args_token, 1);

    must(end - args.data == q - want);
    must(memcmp(args.data, want, q - want) == 0);

    args.len = end - args.data;

    must(oa_args_find(&args, &oa_args_token, dst, &value) == NGX_DECLINED);
    must(oa_args_strip(dst, &args, &oa_args_token, 1) == dst + args.len);

    free(want);
    free(dst);
    free(args.data);
}


static void
test_find(const uint8_t *data, size_t size)
{
    u_char         *buf, *want, *end;
    size_t          i, start, len;
    ngx_int_t       rc, want_rc;
    ngx_str_t       args, value, first;
    const uint8_t  *eq;

    args.len = size;
    args.data = fuzz_copy(data, size);
    buf = fuzz_alloc(size);
    want = fuzz_alloc(size);

    rc = oa_args_find(&args, &oa_args_token, buf, &value);

    ngx_str_null(&first);
    want_rc = NGX_DECLINED;
    start = 0;

    for (i = 0; i <= size && size; i++) {
        if (i < size && data[i] != '&') {
            continue;
        }

        if (is_token(data + start, i - start, 1)) {
            eq = memchr(data + start, '=', i - start);
            len = eq ? (size_t) (data + i - eq - 1) : 0;

            if (want_rc == NGX_DECLINED) {
                want_rc = NGX_OK;
                first.len = len;
                first.data = (u_char *) (eq ? eq + 1 : data + i);

            } else if (len != first.len
                       || memcmp(data + i - len, first.data, len) != 0)
            {
                want_rc = NGX_ERROR;
            }
        }

        start = i + 1;
    }

    if (want_rc == NGX_OK) {
        end = oa_percent_decode(want, first.data, first.len);

        if (end == NULL) {
            want_rc = NGX_ERROR;

        } else {
            first.len = end - want;
            first.data = want;
        }
    }

    must(rc == want_rc);
    must(rc != NGX_OK || fuzz_same(&value, &first));

    free(want);
    free(buf);
    free(args.data);
}


static void
test_mask(const uint8_t *data, size_t size)
{
    u_char     *dst, *end, *buf;
    size_t      need;
    ngx_int_t   rc;
    ngx_str_t   args, masked, value;

    args.len = size;
    args.data = fuzz_copy(data, size);

    must(oa_args_mask(NULL, &args, &oa_args_token, 1, &need) == NULL);

    dst = fuzz_alloc(need);
    end = oa_args_mask(dst, &args, &oa_args_token, 1, NULL);
    must((size_t) (end - dst) == need);

    masked.len = need;
    masked.data = dst;
    buf = fuzz_alloc(need);

    rc = oa_args_find(&masked, &oa_args_token, buf, &value);

    if (rc == NGX_OK) {
        must(value.len == 0
             || (value.len == 3 && memcmp(value.data, "***", 3) == 0));
    }

    /* the other arguments are what they were */

    end = oa_args_strip(args.data, &args, &oa_args_token, 1);
    args.len = end - args.data;

    end = oa_args_strip(dst, &masked, &oa_args_token, 1);
    masked.len = end - dst;

    must(fuzz_same(&args, &masked));

    free(buf);
    free(dst);
    free(args.data);
}


static void
test_redact(const uint8_t *data, size_t size)
{
    u_char  *p, *end;
    size_t   len;

    p = fuzz_copy(data, size);

    end = oa_args_redact(p, p + size, &oa_args_token, 1);
    len = end - p;

    must(len <= size);

    /* what is masked stays so */

    must(oa_args_redact(p, p + len, &oa_args_token, 1) == end);

    free(p);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    test_strip(data, size);
    test_find(data, size);
    test_mask(data, size);
    test_redact(data, size);

    return 0;
}
