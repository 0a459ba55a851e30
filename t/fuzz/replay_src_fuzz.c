
/* oa_replay_src_parse() against a field-by-field search of the same value. */


#include "fuzz.h"
#include "oa_replay.h"


/* NGX_ERROR: the value is malformed, as far as this field goes */

static ngx_int_t
find(const u_char *p, size_t len, const char *name, ngx_str_t *value)
{
    size_t      from, to, next, equal;
    ngx_uint_t  n;

    n = 0;
    next = 0;
    ngx_str_null(value);

    do {
        from = next;

        for (to = from; to < len && p[to] != ';'; to++) { /* void */ }

        next = to + 1;

        for (equal = from; equal < to && p[equal] != '='; equal++) {
            /* void */
        }

        if (equal == to) {
            return NGX_ERROR;
        }

        while (p[from] == ' ') {
            from++;
        }

        while (to > equal + 1 && p[to - 1] == ' ') {
            to--;
        }

        if (equal - from == strlen(name)
            && memcmp(p + from, name, strlen(name)) == 0)
        {
            value->data = (u_char *) p + equal + 1;
            value->len = to - equal - 1;
            n++;
        }

    } while (next <= len);

    return n > 1 ? NGX_ERROR : NGX_OK;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_int_t         rc, want;
    ngx_str_t         value, field[5];
    ngx_uint_t        i;
    oa_replay_src_t   src;

    static const char  *names[] = {
        "instance", "app", "region", "state", "reason"
    };

    value.len = size;
    value.data = fuzz_copy(data, size);

    rc = oa_replay_src_parse(&value, &src);
    want = NGX_OK;

    for (i = 0; i < 5; i++) {
        if (find(value.data, value.len, names[i], &field[i]) != NGX_OK) {
            want = NGX_ERROR;
        }
    }

    must(rc == want);

    if (rc == NGX_OK) {
        must(fuzz_same(&src.instance, &field[0]));
        must(fuzz_same(&src.app, &field[1]));
        must(fuzz_same(&src.region, &field[2]));
        must(fuzz_same(&src.state, &field[3]));
        must(fuzz_same(&src.reason, &field[4]));
        must((src.state.data == NULL) == (field[3].data == NULL));
    }

    (void) oa_replay_duration(&value);

    free(value.data);

    return 0;
}
