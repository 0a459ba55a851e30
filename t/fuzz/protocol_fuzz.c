
/*
 * A token among WebSocket subprotocols, against the list split naively; and
 * what is stripped holds neither the token nor anything like a JWT.
 */


#include "fuzz.h"
#include "oa_protocol.h"


#define MEMBERS  4096


static ngx_str_t  members[MEMBERS];


static ngx_uint_t
split(const ngx_str_t *list)
{
    size_t      i, start, from, to;
    ngx_uint_t  n;

    n = 0;
    start = 0;

    for (i = 0; i <= list->len; i++) {
        if (i < list->len && list->data[i] != ',') {
            continue;
        }

        from = start;
        to = i;

        while (from < to && (list->data[from] == ' '
                             || list->data[from] == '\t'))
        {
            from++;
        }

        while (to > from && (list->data[to - 1] == ' '
                             || list->data[to - 1] == '\t'))
        {
            to--;
        }

        if (from < to) {
            must(n < MEMBERS);
            members[n].data = list->data + from;
            members[n++].len = to - from;
        }

        start = i + 1;
    }

    return n;
}


static ngx_uint_t
is_bearer(const ngx_str_t *s)
{
    return s->len == 6 && strncasecmp((char *) s->data, "bearer", 6) == 0;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char      *dst, *end;
    size_t       dots, j;
    ngx_int_t    rc;
    ngx_str_t    list, left, token, kept;
    ngx_uint_t   i, n, bearers, at;

    if (size > MEMBERS) {
        return 0;
    }

    list.len = size;
    list.data = fuzz_copy(data, size);
    dst = fuzz_alloc(size);

    rc = oa_protocol_token(&list, &token);
    n = split(&list);
    bearers = 0;
    at = 0;

    for (i = 0; i < n; i++) {
        if (is_bearer(&members[i])) {
            bearers++;
            at = i + 1;
        }
    }

    must(rc == (bearers == 0 ? NGX_DECLINED
                : bearers == 1 && at < n ? NGX_OK : NGX_ERROR));
    must(rc != NGX_OK || fuzz_same(&token, &members[at]));

    end = oa_protocol_strip(dst, &list);
    must((size_t) (end - dst) <= size);

    left.len = end - dst;
    left.data = dst;

    /* in order, members of the old list are left, but none behind "bearer" */

    at = 0;
    kept.data = left.data;

    for (i = 0; i < n; i++) {

        dots = 0;

        for (j = 0; j < members[i].len; j++) {
            dots += (members[i].data[j] == '.');
        }

        if (i && is_bearer(&members[i - 1])) {
            continue;
        }

        /* "e" and what "{" leaves of the second character */

        if (dots >= 2 && members[i].data[0] == 'e'
            && memchr("wxyz-_0123456789", members[i].data[1], 16))
        {
            continue;
        }

        if (at) {
            must(kept.data < end && *kept.data == ',');
            kept.data++;

            if (kept.data < end && *kept.data == ' ') {
                kept.data++;
            }
        }

        at = 1;
        must((size_t) (end - kept.data) >= members[i].len);
        must(memcmp(kept.data, members[i].data, members[i].len) == 0);
        kept.data += members[i].len;
    }

    must(kept.data == end);

    end = oa_protocol_strip(list.data, &list);
    must((size_t) (end - list.data) == left.len);
    must(left.len == 0 || memcmp(list.data, left.data, left.len) == 0);

    free(dst);
    free(list.data);

    return 0;
}
