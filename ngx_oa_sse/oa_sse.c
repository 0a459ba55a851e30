
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_sse.h"


/* Is it the field of this name, with or without a value? */

#define oa_sse_is(p, len, name)                                               \
    ((len) >= sizeof(name) - 1                                                \
     && ngx_memcmp(p, name, sizeof(name) - 1) == 0                            \
     && ((len) == sizeof(name) - 1 || (p)[sizeof(name) - 1] == ':'))

#define OA_SSE_ONES   ((uint64_t) 0x0101010101010101)
#define OA_SSE_HIGHS  (OA_SSE_ONES * 0x80)

/* Not zero where one of eight bytes is below n, which is at most 0x80. */

#define oa_sse_below(word, n)                                                 \
    (((word) - OA_SSE_ONES * (n)) & ~(word) & OA_SSE_HIGHS)


static void oa_sse_line(oa_sse_t *sse, const u_char *base, const u_char *end);
static void oa_sse_retry(oa_sse_t *sse, const u_char *p, size_t len);
static void oa_sse_event(oa_sse_t *sse, const u_char *base, size_t len,
    oa_sse_event_t *event);
static const u_char *oa_sse_eol(const u_char *p, const u_char *last);
static const u_char *oa_sse_next_line(const u_char *p, const u_char *last);
static const u_char *oa_sse_value(const u_char *p, const u_char *end,
    size_t name);
static ngx_uint_t oa_sse_is_id(const u_char *p, const u_char *last);


static const u_char  oa_sse_bom[] = { 0xef, 0xbb, 0xbf };
static const u_char  oa_sse_lf[] = "\n";
static const u_char  oa_sse_comment[] = ":\n";


void
oa_sse_init(oa_sse_t *sse)
{
    ngx_memzero(sse, sizeof(oa_sse_t));

    sse->retry = OA_SSE_NO_RETRY;
}


ngx_int_t
oa_sse_next(oa_sse_t *sse, const u_char *p, size_t len, size_t *used,
    oa_sse_event_t *event)
{
    size_t         n;
    const u_char  *base, *line, *end, *last;

    *used = 0;

    if (len == 0) {
        return NGX_AGAIN;
    }

    base = p;
    last = p + len;

    if (!sse->began) {
        n = ngx_min(len, sizeof(oa_sse_bom));

        if (ngx_memcmp(p, oa_sse_bom, n) == 0) {
            if (n < sizeof(oa_sse_bom)) {
                return NGX_AGAIN;
            }

            base += n;
        }

        sse->began = 1;
    }

    if (sse->scanned == 0) {

        /* blank lines, and the second half of a CRLF */

        while (base < last && (*base == CR || *base == LF)) {
            base++;
        }
    }

    *used = base - p;

    for ( ;; ) {
        line = base + sse->line;

        if (sse->line && line < last && *line == LF && line[-1] == CR) {
            sse->scanned = ++sse->line;
            line++;
        }

        end = oa_sse_eol(base + sse->scanned, last);

        if (end == last) {
            sse->scanned = last - base;
            return NGX_AGAIN;
        }

        if (end == line || (sse->line == 0 && *base == ':')) {
            break;
        }

        oa_sse_line(sse, base, end);

        sse->line = end + 1 - base;
        sse->scanned = sse->line;
    }

    n = end + 1 - base;

    oa_sse_event(sse, base, n, event);
    *used += n;

    return NGX_OK;
}


ngx_uint_t
oa_sse_rest(oa_sse_t *sse, const u_char *p, size_t len, oa_sse_event_t *event)
{
    if (len == 0) {
        return 0;
    }

    if (sse->line < len) {
        oa_sse_line(sse, p, p + len);
    }

    oa_sse_event(sse, p, len, event);

    return event->lines != 0;
}


static void
oa_sse_line(oa_sse_t *sse, const u_char *base, const u_char *end)
{
    size_t         len;
    const u_char  *p, *value;

    p = base + sse->line;
    len = end - p;

    if (oa_sse_is(p, len, "data")) {

        if (sse->lines++ == 0) {
            value = oa_sse_value(p, end, 4);
            sse->data.pos = value - base;
            sse->data.len = end - value;
        }

    } else if (oa_sse_is(p, len, "event")) {
        value = oa_sse_value(p, end, 5);
        sse->name.pos = value - base;
        sse->name.len = end - value;

    } else if (oa_sse_is(p, len, "id")) {
        sse->id_lines = 1;
        value = oa_sse_value(p, end, 2);

        if (value == end || memchr(value, '\0', end - value) == NULL) {
            sse->has_id = 1;
            sse->id.pos = value - base;
            sse->id.len = end - value;
        }

    } else if (oa_sse_is(p, len, "retry")) {
        value = oa_sse_value(p, end, 5);
        oa_sse_retry(sse, value, end - value);
    }
}


static void
oa_sse_retry(oa_sse_t *sse, const u_char *p, size_t len)
{
    size_t    i;
    uint64_t  retry;

    if (len == 0) {
        return;
    }

    retry = 0;

    for (i = 0; i < len; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return;
        }

        retry = retry * 10 + (uint64_t) (p[i] - '0');
        retry = ngx_min(retry, OA_SSE_RETRY_MAX);
    }

    sse->retry = retry;
}


/* Tells what was seen, and begins anew. */

static void
oa_sse_event(oa_sse_t *sse, const u_char *base, size_t len,
    oa_sse_event_t *event)
{
    u_char  *raw;

    /* an ngx_str_t has no const in it */
    raw = (u_char *) base;

    event->raw.len = len;
    event->raw.data = raw;
    event->data.len = sse->data.len;
    event->data.data = raw + sse->data.pos;
    event->lines = sse->lines;
    event->name.len = sse->name.len;
    event->name.data = raw + sse->name.pos;
    event->id.len = sse->id.len;
    event->id.data = raw + sse->id.pos;
    event->retry = sse->retry;
    event->has_id = sse->has_id;
    event->id_lines = sse->id_lines;
    event->comment = (*base == ':');
    event->done = (sse->lines == 1
                   && sse->data.len == sizeof("[DONE]") - 1
                   && ngx_memcmp(event->data.data, "[DONE]",
                                 sizeof("[DONE]") - 1)
                      == 0);

    oa_sse_init(sse);
    sse->began = 1;
}


/*
 * Where a line ends, or last.  Most bytes are of long lines, and not below
 * 0x10: sixteen at a time are looked at for one that is.
 */

static const u_char *
oa_sse_eol(const u_char *p, const u_char *last)
{
    uint64_t       a, b;
    const u_char  *end;

    for ( ;; ) {

        while (last - p >= 16) {
            ngx_memcpy(&a, p, 8);
            ngx_memcpy(&b, p + 8, 8);

            if (oa_sse_below(a, 0x10) | oa_sse_below(b, 0x10)) {
                break;
            }

            p += 16;
        }

        end = p + ngx_min(last - p, 16);

        for ( /* void */ ; p < end; p++) {
            if (*p == LF || *p == CR) {
                return p;
            }
        }

        if (p == last) {
            return last;
        }
    }
}


/* Of the lines of an event, all of which have their ends. */

static const u_char *
oa_sse_next_line(const u_char *p, const u_char *last)
{
    p = oa_sse_eol(p, last);

    if (p == last) {
        return last;
    }

    p++;

    if (p < last && *p == LF && p[-1] == CR) {
        p++;
    }

    return p;
}


/* The value of a line whose field's name has so many bytes. */

static const u_char *
oa_sse_value(const u_char *p, const u_char *end, size_t name)
{
    p += name;

    if (p < end) {
        p++;
    }

    if (p < end && *p == ' ') {
        p++;
    }

    return p;
}


static ngx_uint_t
oa_sse_is_id(const u_char *p, const u_char *last)
{
    size_t  len;

    if (p == last || *p != 'i') {
        return 0;
    }

    /* three bytes tell: "id" and ":" or the end of the line */

    len = oa_sse_eol(p, p + ngx_min(last - p, 3)) - p;

    return oa_sse_is(p, len, "id");
}


void
oa_sse_data(const oa_sse_event_t *event, u_char *buf, ngx_str_t *data)
{
    u_char        *dst;
    ngx_uint_t     n;
    const u_char  *p, *end, *last, *value;

    if (event->lines < 2) {
        *data = event->data;
        return;
    }

    n = 0;
    dst = buf;
    p = event->raw.data;
    last = p + event->raw.len;

    for ( /* void */ ; p < last; p = oa_sse_next_line(end, last)) {

        end = oa_sse_eol(p, last);

        if (!oa_sse_is(p, (size_t) (end - p), "data")) {
            continue;
        }

        if (n++) {
            *dst++ = LF;
        }

        value = oa_sse_value(p, end, 4);
        dst = ngx_cpymem(dst, value, end - value);
    }

    data->data = buf;
    data->len = dst - buf;
}


void
oa_sse_spans(oa_sse_spans_t *spans, const oa_sse_event_t *event,
    const ngx_str_t *prefix)
{
    spans->p = event->raw.data;
    spans->last = event->raw.data + event->raw.len;
    spans->prefix = *prefix;
    spans->kept = 0;
    spans->begun = 0;
    spans->id_lines = event->id_lines;
}


ngx_uint_t
oa_sse_span(oa_sse_spans_t *spans, ngx_str_t *span)
{
    const u_char  *p, *end;

    if (!spans->begun) {
        spans->begun = 1;

        if (spans->prefix.len) {
            *span = spans->prefix;
            return 1;
        }
    }

    p = spans->p;
    end = spans->last;

    if (spans->id_lines) {

        while (oa_sse_is_id(p, spans->last)) {
            p = oa_sse_next_line(p, spans->last);
        }

        if (p != spans->p && p < spans->last && *p == LF
            && spans->kept == CR)
        {
            spans->p = p;
            spans->kept = LF;

            span->data = (u_char *) oa_sse_comment;
            span->len = sizeof(oa_sse_comment) - 1;
            return 1;
        }

        end = p;

        while (end < spans->last && !oa_sse_is_id(end, spans->last)) {
            end = oa_sse_next_line(end, spans->last);
        }
    }

    if (p == end) {

        if (spans->kept != CR) {
            return 0;
        }

        spans->kept = 0;

        span->data = (u_char *) oa_sse_lf;
        span->len = 1;
        return 1;
    }

    spans->p = end;
    spans->kept = end[-1];

    span->data = (u_char *) p;
    span->len = end - p;

    return 1;
}
