
/* oa_args_without_token() and oa_percent_encode(). */


#include "fuzz.h"
#include "oa_host.h"


/* decodes the whole name first, then looks at it */

static ngx_uint_t
is_token(const u_char *p, size_t len)
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

    return strcasecmp(name, "access_token") == 0;
}


static void
test_args(const uint8_t *data, size_t size)
{
    u_char      *dst, *end, *want, *q;
    size_t       i, start;
    ngx_str_t    args;
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

        if (!is_token(data + start, i - start)) {
            if (!first) {
                *q++ = '&';
            }

            first = 0;
            memcpy(q, data + start, i - start);
            q += i - start;
        }

        start = i + 1;
    }

    end = oa_args_without_token(dst, &args);

    must(end - dst == q - want);
    must(memcmp(dst, want, q - want) == 0);

    end = oa_args_without_token(args.data, &args);

    must(end - args.data == q - want);
    must(memcmp(args.data, want, q - want) == 0);

    free(want);
    free(dst);
    free(args.data);
}


static void
test_percent(const uint8_t *data, size_t size)
{
    char     hex[3];
    u_char  *src, *dst, *end, *p;
    size_t   need, i;

    src = fuzz_copy(data, size);

    must(oa_percent_encode(NULL, src, size, &need) == NULL);
    must(need >= size && need <= size * 3);

    dst = fuzz_alloc(need);
    end = oa_percent_encode(dst, src, size, NULL);

    must((size_t) (end - dst) == need);

    for (p = dst, i = 0; p < end; i++) {
        must(i < size);

        if (*p != '%') {
            must(isalnum(*p) || strchr("-._~", *p));
            must(*p++ == src[i]);
            continue;
        }

        must(end - p >= 3);
        hex[0] = (char) p[1];
        hex[1] = (char) p[2];
        hex[2] = '\0';
        must(strtol(hex, NULL, 16) == src[i]);
        p += 3;
    }

    must(i == size);

    free(dst);
    free(src);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    test_args(data, size);
    test_percent(data, size);

    return 0;
}
