
/* Percent-encoding, there and back, and names that are encoded. */


#include "fuzz.h"
#include "oa_percent.h"


static void
test_encode(const uint8_t *data, size_t size)
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

    /* and back, in place */

    end = oa_percent_decode(dst, dst, need);

    must(end && (size_t) (end - dst) == size);
    must(size == 0 || memcmp(dst, data, size) == 0);

    free(dst);
    free(src);
}


static void
test_decode(const uint8_t *data, size_t size)
{
    char       hex[3];
    u_char    *src, *dst, *end, *want, *q;
    size_t     i;
    ngx_str_t  name;

    src = fuzz_copy(data, size);
    dst = fuzz_alloc(size);
    want = fuzz_alloc(size);
    q = want;

    for (i = 0; i < size; i++) {
        if (data[i] != '%') {
            *q++ = data[i];
            continue;
        }

        if (size - i < 3 || !isxdigit(data[i + 1]) || !isxdigit(data[i + 2])) {
            break;
        }

        hex[0] = (char) data[i + 1];
        hex[1] = (char) data[i + 2];
        hex[2] = '\0';
        *q++ = (u_char) strtol(hex, NULL, 16);
        i += 2;
    }

    end = oa_percent_decode(dst, src, size);

    name.len = q - want;
    name.data = want;

    if (i < size) {
        must(end == NULL);

    } else {
        must(end - dst == q - want);
        must(size == 0 || memcmp(dst, want, q - want) == 0);

        must(oa_percent_match(src, src + size, &name, 0) == src + size);

        for (i = 0; i < name.len; i++) {
            want[i] = isupper(want[i]) ? tolower(want[i]) : toupper(want[i]);
        }

        must(oa_percent_match(src, src + size, &name, 1) == src + size);
    }

    free(want);
    free(dst);
    free(src);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    test_encode(data, size);
    test_decode(data, size);

    return 0;
}
