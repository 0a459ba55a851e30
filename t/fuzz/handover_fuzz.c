
/*
 * oa_handover_parse(): whatever comes, the strings lie in body or buffer, and
 * the page to go on to is a path of this host.
 */


#include "fuzz.h"
#include "oa_handover.h"


static ngx_uint_t
lies_in(const ngx_str_t *s, const u_char *p, size_t len)
{
    return s->len == 0 || (s->data >= p && s->data + s->len <= p + len);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char         *buf;
    ngx_int_t       rc;
    ngx_str_t       body;
    oa_handover_t   handover;

    static const ngx_str_t  types[] = {
        ngx_string("application/x-www-form-urlencoded"),
        ngx_string("application/json")
    };

    if (size < 1 || size > 4096) {
        return 0;
    }

    body.len = size - 1;
    body.data = fuzz_copy(data + 1, body.len);
    buf = fuzz_alloc(2 * body.len);

    rc = oa_handover_parse(&types[data[0] & 1], &body, buf, &handover);

    must(rc == NGX_OK || rc == NGX_ERROR);

    if (rc == NGX_OK) {
        must(lies_in(&handover.token, body.data, body.len)
             || lies_in(&handover.token, buf, 2 * body.len));
        must(lies_in(&handover.next, body.data, body.len)
             || lies_in(&handover.next, buf, 2 * body.len));
        must(handover.next.len == 0 || handover.next.data[0] == '/');
        must(handover.next.len < 2
             || (handover.next.data[1] != '/'
                 && handover.next.data[1] != '\\'));
    }

    free(buf);
    free(body.data);

    return 0;
}
