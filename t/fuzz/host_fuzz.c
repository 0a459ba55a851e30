
/* oa_host_label() against the same grammar, written with a cursor at front. */


#include "fuzz.h"
#include "oa_host.h"
#include "oa_route.h"


static const ngx_str_t  domain = ngx_string("oa.example");


static ngx_uint_t
expected(const u_char *p, size_t len, u_char *label, size_t *label_len)
{
    size_t  i, n;

    for (n = 0; n < len && p[n] != '.'; n++) {
        if (n == 63) {
            return 0;
        }

        label[n] = ngx_tolower(p[n]);
    }

    *label_len = n;

    if (!oa_is_label(label, n)) {
        return 0;
    }

    if (len - n < 1 + domain.len) {
        return 0;
    }

    n++;

    for (i = 0; i < domain.len; i++) {
        if (ngx_tolower(p[n + i]) != domain.data[i]) {
            return 0;
        }
    }

    n += domain.len;

    if (n < len && p[n] == '.') {
        n++;
    }

    if (n < len && p[n] == ':') {
        n++;

        while (n < len && p[n] >= '0' && p[n] <= '9') {
            n++;
        }
    }

    return n == len;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char      buf[63], want[63], *p;
    size_t      tail, want_len;
    ngx_int_t   rc;
    ngx_str_t   host, label;
    ngx_uint_t  good;

    /* with an odd first byte the domain stands before the last bytes */

    if (size && (data[0] & 1)) {
        tail = (data[0] >> 1) & 0xf;
        tail = ngx_min(tail, size - 1);

        host.len = size - 1 + 1 + domain.len;
        host.data = fuzz_alloc(host.len);

        p = host.data;
        memcpy(p, data + 1, size - 1 - tail);
        p += size - 1 - tail;
        *p++ = '.';
        memcpy(p, domain.data, domain.len);
        p += domain.len;
        memcpy(p, data + size - tail, tail);

    } else {
        host.len = size;
        host.data = fuzz_copy(data, size);
    }

    good = expected(host.data, host.len, want, &want_len);
    rc = oa_host_label(&host, &domain, buf, &label);

    if (good) {
        must(rc == NGX_OK);
        must(label.len == want_len);
        must(memcmp(label.data, want, want_len) == 0);
        must(oa_label_hash(label.data, label.len, 1)
             == oa_label_hash(want, want_len, 1));

    } else {
        must(rc == NGX_DECLINED);
    }

    free(host.data);

    return 0;
}
