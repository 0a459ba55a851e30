
/*
 * oa_sse_next(): the same of a stream in pieces as of the whole, and what the
 * standard says a page gets, as it came and under our ids.
 */


#include "fuzz.h"
#include "sse_reference.h"


static void
test_message(const uint8_t *data, size_t size)
{
    u_char            *p, *end;
    size_t             need, i;
    ngx_str_t          back;
    sse_text_t         want, got, none;
    oa_sse_message_t   message;

    ngx_memzero(&message, sizeof(oa_sse_message_t));
    ngx_memzero(&want, sizeof(sse_text_t));
    ngx_memzero(&got, sizeof(sse_text_t));
    ngx_memzero(&none, sizeof(sse_text_t));

    message.data.data = fuzz_copy(data, size);
    message.data.len = size;

    need = oa_sse_message_size(&message);
    p = fuzz_alloc(need);
    end = oa_sse_message(p, &message);
    must((size_t) (end - p) == need);

    /* whatever ended its lines */

    back.data = fuzz_alloc(size);
    back.len = 0;

    for (i = 0; i < size; i++) {
        if (data[i] == '\n' && i && data[i - 1] == '\r') {
            continue;
        }

        back.data[back.len++] = data[i] == '\r' ? '\n' : data[i];
    }

    sse_reference(p, need, &got);
    sse_tell(&want, &none, &none, OA_SSE_NO_RETRY, back.data, back.len);
    must(sse_same(&want, &got));

    sse_free(&want);
    sse_free(&got);
    free(back.data);
    free(message.data.data);
    free(p);
}


/* The same as of an event that ends there. */

static void
test_rest(sse_reader_t *reader)
{
    size_t          used;
    u_char         *p;
    oa_sse_t        sse;
    ngx_uint_t      rest;
    oa_sse_event_t  event, ended;

    if (reader->rest.len == 0) {
        must(!oa_sse_rest(&reader->sse, NULL, 0, &event));
        return;
    }

    p = fuzz_alloc(reader->rest.len + 2);
    ngx_memcpy(p, reader->rest.data, reader->rest.len);
    p[reader->rest.len] = '\n';
    p[reader->rest.len + 1] = '\n';

    sse = reader->sse;
    must(oa_sse_next(&sse, p, reader->rest.len + 2, &used, &ended) == NGX_OK);

    rest = oa_sse_rest(&reader->sse, reader->rest.data, reader->rest.len,
                       &event);

    must(rest == (ended.lines != 0));
    must(event.lines == ended.lines && event.done == ended.done);

    free(p);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t         n, pos;
    uint32_t       cut;
    sse_text_t     told, ours;
    sse_reader_t   whole, parts;

    if (size < 2 || size > 4096) {
        return 0;
    }

    test_message(data, size);

    /* pieces of 0 to 7 bytes, or to 127 */

    cut = data[0] | (data[1] << 8);
    data += 2;
    size -= 2;

    sse_reader_init(&whole);
    sse_reader_feed(&whole, data, size);

    sse_reader_init(&parts);

    for (pos = 0; pos < size; pos += n) {
        cut = cut * 1103515245 + 12345;
        n = (cut >> 16) & ((cut & 0x1000) || size > 512 ? 127 : 7);
        n = ngx_min(n, size - pos);
        sse_reader_feed(&parts, data + pos, n);
    }

    must(sse_same(&whole.raw, &parts.raw));
    must(sse_same(&whole.told, &parts.told));
    must(sse_same(&whole.rewritten, &parts.rewritten));
    must(sse_same(&whole.rest, &parts.rest));

    ngx_memzero(&told, sizeof(sse_text_t));
    ngx_memzero(&ours, sizeof(sse_text_t));

    sse_reference(data, size, &told);
    must(sse_same(&whole.told, &told));

    sse_reference(whole.rewritten.data, whole.rewritten.len, &ours);
    must(sse_same(&whole.ours, &ours));

    test_rest(&whole);
    test_rest(&parts);

    sse_free(&told);
    sse_free(&ours);
    sse_reader_free(&whole);
    sse_reader_free(&parts);

    return 0;
}
