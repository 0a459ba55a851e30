
/*
 * An answer of a machine: the same in pieces as at once, whatever it is; and
 * the bytes of a body come back out of whatever frame they were put into.
 */


#include "fuzz.h"
#include "response_reader.h"


#define OK       "HTTP/1.1 200 OK\r\n"
#define CHUNKED  "Transfer-Encoding: chunked\r\n\r\n"


static uint32_t
next(uint32_t *random)
{
    *random = *random * 1103515245 + 12345;

    return *random >> 16;
}


/* Pieces of 0 to 7 bytes, or to 127. */

static void
feed(response_reader_t *reader, const u_char *p, size_t size,
    uint32_t *random)
{
    size_t    n, pos;
    uint32_t  max;

    max = (size > 1024 || next(random) & 1) ? 127 : 7;

    for (pos = 0; pos < size; pos += n) {
        n = next(random) & max;
        n = ngx_min(n, size - pos);
        reader_feed(reader, p + pos, n);
    }
}


static void
test_head(const response_reader_t *reader)
{
    size_t            i;
    const ngx_str_t  *type;

    must(reader->used && reader->used <= OA_RESPONSE_HEAD_MAX);
    must(reader->response.status >= 200 && reader->response.status <= 999);

    type = &reader->type;

    for (i = 0; i < type->len; i++) {
        must(type->data[i] != CR && type->data[i] != LF && type->data[i]);
    }

    if (type->len) {
        must(!strchr(" \t", type->data[0]));
        must(!strchr(" \t", type->data[type->len - 1]));
    }
}


static void
test_pieces(const u_char *p, size_t size, uint32_t *random)
{
    response_reader_t  whole, parts;

    reader_init(&whole, size);
    reader_feed(&whole, p, size);

    if (whole.response.status) {
        test_head(&whole);
    }

    reader_init(&parts, size);
    feed(&parts, p, size, random);
    must(reader_same(&whole, &parts));

    reader_free(&whole);
    reader_free(&parts);
}


/* Behind a head that says chunks, as most inputs do not get that far. */

static void
test_chunks(const u_char *p, size_t size, uint32_t *random)
{
    ngx_str_t  answer;

    answer.len = 0;
    answer.data = fuzz_alloc(sizeof(OK CHUNKED) + size);

    reader_add(&answer, OK CHUNKED, sizeof(OK CHUNKED) - 1);
    reader_add(&answer, p, size);

    test_pieces(answer.data, answer.len, random);

    free(answer.data);
}


static void
test_body(const u_char *p, size_t size, uint32_t *random)
{
    int                 n;
    char                line[64];
    size_t              pos, len;
    uint32_t            frame;
    ngx_str_t           answer;
    response_reader_t   reader;

    static const char  *ends[] = { "complete", "done", "done" };

    answer.len = 0;
    answer.data = fuzz_alloc(size * 32 + 256);

    frame = next(random) % 3;

    reader_add(&answer, OK, sizeof(OK) - 1);

    switch (frame) {

    case 0:
        reader_add(&answer, "\r\n", 2);
        reader_add(&answer, p, size);
        break;

    case 1:
        n = snprintf(line, sizeof(line), "content-length: %lu\r\n\r\n",
                     (unsigned long) size);
        reader_add(&answer, line, n);
        reader_add(&answer, p, size);
        reader_add(&answer, "rest", 4);
        break;

    default:
        reader_add(&answer, CHUNKED, sizeof(CHUNKED) - 1);

        for (pos = 0; pos < size; pos += len) {
            len = (next(random) & 63) + 1;
            len = ngx_min(len, size - pos);
            n = snprintf(line, sizeof(line), next(random) & 1 ? "%02lx%s\r\n"
                                                              : "%lX%s\r\n",
                         (unsigned long) len, next(random) & 1 ? ";x" : "");
            reader_add(&answer, line, n);
            reader_add(&answer, p + pos, len);
            reader_add(&answer, "\r\n", 2);
        }

        reader_add(&answer, "0\r\nX: y\r\n\r\nrest", 15);
    }

    reader_init(&reader, answer.len);
    feed(&reader, answer.data, answer.len, random);

    must(strcmp(reader_end(&reader), ends[frame]) == 0);
    must(reader.body.len == size);
    must(size == 0 || memcmp(reader.body.data, p, size) == 0);
    must(reader.rest.len == (frame ? 4 : 0));

    reader_free(&reader);
    free(answer.data);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t  random;

    if (size < 2) {
        return 0;
    }

    random = data[0] | (data[1] << 8);
    data += 2;
    size -= 2;

    test_pieces(data, size, &random);
    test_chunks(data, size, &random);
    test_body(data, size, &random);

    return 0;
}
