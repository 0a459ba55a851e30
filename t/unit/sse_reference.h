
/*
 * Server-Sent Events as the standard tells it, line by line and slowly: what
 * a browser hands to a page.  And the reader under test, fed in pieces, told
 * in the same words.
 */


#ifndef _OA_SSE_REFERENCE_H_INCLUDED_
#define _OA_SSE_REFERENCE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include "oa_sse.h"


/* All spans, one behind the other; their end. */

static u_char *
sse_rewrite(u_char *dst, const oa_sse_event_t *event, const ngx_str_t *prefix)
{
    ngx_str_t       span;
    oa_sse_spans_t  spans;

    oa_sse_spans(&spans, event, prefix);

    while (oa_sse_span(&spans, &span)) {
        dst = ngx_cpymem(dst, span.data, span.len);
    }

    return dst;
}


/* Bytes that grow. */
typedef struct {
    u_char      *data;
    size_t       len;
    size_t       size;
} sse_text_t;


static __attribute__((unused)) void
sse_add(sse_text_t *text, const void *data, size_t len)
{
    if (text->size - text->len < len) {
        text->size = text->size * 2 + len;
        text->data = realloc(text->data, text->size);

        if (text->data == NULL) {
            abort();
        }
    }

    if (len) {
        ngx_memcpy(text->data + text->len, data, len);
        text->len += len;
    }
}


static __attribute__((unused)) void
sse_add_text(sse_text_t *text, const char *s)
{
    sse_add(text, s, strlen(s));
}


static __attribute__((unused)) void
sse_clear(sse_text_t *text)
{
    text->len = 0;
}


static __attribute__((unused)) void
sse_free(sse_text_t *text)
{
    free(text->data);
    ngx_memzero(text, sizeof(sse_text_t));
}


static __attribute__((unused)) ngx_uint_t
sse_same(const sse_text_t *a, const sse_text_t *b)
{
    return a->len == b->len
           && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}


/* What a page gets: [name]id(retry){data} */

static __attribute__((unused)) void
sse_tell(sse_text_t *out, const sse_text_t *name, const sse_text_t *id,
    uint64_t retry, const void *data, size_t len)
{
    char  number[32];

    sse_add_text(out, "[");
    sse_add(out, name->data, name->len);
    sse_add_text(out, "]");
    sse_add(out, id->data, id->len);

    if (retry != OA_SSE_NO_RETRY) {
        (void) snprintf(number, sizeof(number), "(%llu)",
                        (unsigned long long) retry);
        sse_add_text(out, number);
    }

    sse_add_text(out, "{");
    sse_add(out, data, len);
    sse_add_text(out, "}");
}


static __attribute__((unused)) void
sse_reference(const u_char *stream, size_t size, sse_text_t *out)
{
    size_t       i, len, name_len, value_len;
    uint64_t     retry, n;
    ngx_uint_t   digits;
    sse_text_t   lines, data, name, id;
    u_char      *line, *value;

    ngx_memzero(&lines, sizeof(sse_text_t));
    ngx_memzero(&data, sizeof(sse_text_t));
    ngx_memzero(&name, sizeof(sse_text_t));
    ngx_memzero(&id, sizeof(sse_text_t));
    retry = OA_SSE_NO_RETRY;

    if (size >= 3 && memcmp(stream, "\xef\xbb\xbf", 3) == 0) {
        stream += 3;
        size -= 3;
    }

    /* all ends of lines become LF */

    for (i = 0; i < size; i++) {

        if (stream[i] == '\n' && i && stream[i - 1] == '\r') {
            continue;
        }

        sse_add(&lines, stream[i] == '\r' ? (const u_char *) "\n"
                                          : &stream[i], 1);
    }

    line = lines.data;

    for (i = 0; i < lines.len; i++) {

        if (lines.data[i] != '\n') {
            continue;
        }

        len = &lines.data[i] - line;

        if (len == 0) {

            if (data.len) {
                sse_tell(out, &name, &id, retry, data.data, data.len - 1);
            }

            sse_clear(&data);
            sse_clear(&name);
            line = &lines.data[i + 1];
            continue;
        }

        for (name_len = 0; name_len < len; name_len++) {
            if (line[name_len] == ':') {
                break;
            }
        }

        value = line + name_len;
        value_len = len - name_len;

        if (value_len) {
            value++;
            value_len--;
        }

        if (value_len && *value == ' ') {
            value++;
            value_len--;
        }

        if (name_len == 4 && memcmp(line, "data", 4) == 0) {
            sse_add(&data, value, value_len);
            sse_add(&data, "\n", 1);

        } else if (name_len == 5 && memcmp(line, "event", 5) == 0) {
            sse_clear(&name);
            sse_add(&name, value, value_len);

        } else if (name_len == 2 && memcmp(line, "id", 2) == 0) {

            if (memchr(value, '\0', value_len) == NULL) {
                sse_clear(&id);
                sse_add(&id, value, value_len);
            }

        } else if (name_len == 5 && memcmp(line, "retry", 5) == 0) {
            digits = value_len != 0;
            n = 0;

            for (len = 0; len < value_len; len++) {
                if (value[len] < '0' || value[len] > '9') {
                    digits = 0;
                    break;
                }

                if (n < OA_SSE_RETRY_MAX) {
                    n = n * 10 + (value[len] - '0');
                }
            }

            if (digits) {
                retry = ngx_min(n, OA_SSE_RETRY_MAX);
            }
        }

        line = &lines.data[i + 1];
    }

    sse_free(&lines);
    sse_free(&data);
    sse_free(&name);
    sse_free(&id);
}


/*
 * The reader, fed with a stream that is cut at some places.  told is what a
 * page gets; raw has all events that dispatch, comments and other blocks as
 * they came, rewritten has those events under our ids.
 */

typedef struct {
    oa_sse_t     sse;
    sse_text_t   rest;
    sse_text_t   told;
    sse_text_t   raw;
    sse_text_t   rewritten;
    sse_text_t   ours;
    sse_text_t   id;
    uint64_t     retry;
    uint64_t     ours_retry;
    ngx_uint_t   events;
} sse_reader_t;


static __attribute__((unused)) void
sse_reader_init(sse_reader_t *reader)
{
    ngx_memzero(reader, sizeof(sse_reader_t));
    oa_sse_init(&reader->sse);
    reader->retry = OA_SSE_NO_RETRY;
    reader->ours_retry = OA_SSE_NO_RETRY;
}


static __attribute__((unused)) void
sse_reader_free(sse_reader_t *reader)
{
    sse_free(&reader->rest);
    sse_free(&reader->told);
    sse_free(&reader->raw);
    sse_free(&reader->rewritten);
    sse_free(&reader->ours);
    sse_free(&reader->id);
}


static __attribute__((unused)) void
sse_reader_event(sse_reader_t *reader, const oa_sse_event_t *event)
{
    char         line[32];
    u_char      *buf, *end;
    size_t       n;
    ngx_str_t    data, prefix;
    sse_text_t   name, id;

    sse_add_text(&reader->raw, event->comment ? "#" : "<");
    sse_add(&reader->raw, event->raw.data, event->raw.len);
    sse_add_text(&reader->raw, ">");

    if (event->comment) {
        return;
    }

    if (event->has_id) {
        sse_clear(&reader->id);
        sse_add(&reader->id, event->id.data, event->id.len);
    }

    if (event->retry != OA_SSE_NO_RETRY) {
        reader->retry = event->retry;
    }

    if (event->lines == 0) {
        return;
    }

    buf = malloc(event->raw.len);

    if (buf == NULL) {
        abort();
    }

    oa_sse_data(event, buf, &data);

    if (event->done != (data.len == 6 && event->lines == 1
                        && memcmp(data.data, "[DONE]", 6) == 0))
    {
        abort();
    }

    if (memcmp(event->data.data, data.data, event->data.len) != 0
        || (event->lines > 1 ? data.data[event->data.len] != '\n'
                             : data.len != event->data.len))
    {
        abort();
    }

    name.data = event->name.data;
    name.len = event->name.len;

    sse_tell(&reader->told, &name, &reader->id, reader->retry, data.data,
             data.len);

    if (event->retry != OA_SSE_NO_RETRY) {
        reader->ours_retry = event->retry;
    }

    n = (size_t) snprintf(line, sizeof(line), "id: %lu\n",
                          (unsigned long) ++reader->events);
    prefix.data = (u_char *) line;
    prefix.len = n;

    id.data = prefix.data + 4;
    id.len = n - 5;
    sse_tell(&reader->ours, &name, &id, reader->ours_retry, data.data,
             data.len);
    free(buf);

    n += event->raw.len + 1;
    buf = malloc(n);

    if (buf == NULL) {
        abort();
    }

    end = sse_rewrite(buf, event, &prefix);

    if ((size_t) (end - buf) > n) {
        abort();
    }

    sse_add(&reader->rewritten, buf, end - buf);
    free(buf);
}


static __attribute__((unused)) void
sse_reader_feed(sse_reader_t *reader, const u_char *p, size_t len)
{
    u_char          *buf;
    size_t           pos, used;
    ngx_int_t        rc;
    oa_sse_event_t   event;

    sse_add(&reader->rest, p, len);
    pos = 0;

    /* in memory of exactly that size */

    buf = malloc(reader->rest.len ? reader->rest.len : 1);

    if (buf == NULL) {
        abort();
    }

    if (reader->rest.len) {
        ngx_memcpy(buf, reader->rest.data, reader->rest.len);
    }

    do {
        used = (size_t) -1;
        rc = oa_sse_next(&reader->sse, buf + pos, reader->rest.len - pos,
                         &used, &event);

        if (used > reader->rest.len - pos) {
            abort();
        }

        pos += used;

        if (rc == NGX_OK) {
            if (used == 0
                || event.raw.data + event.raw.len != buf + pos)
            {
                abort();
            }

            sse_reader_event(reader, &event);
        }

    } while (rc == NGX_OK);

    reader->rest.len -= pos;

    if (reader->rest.len) {
        ngx_memmove(reader->rest.data, buf + pos, reader->rest.len);
    }

    free(buf);
}


#endif /* _OA_SSE_REFERENCE_H_INCLUDED_ */
