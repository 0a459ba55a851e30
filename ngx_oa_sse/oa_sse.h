
/*
 * Server-Sent Events (WHATWG HTML, 9.2), read and written.
 *
 * The reader finds where events end, and leaves their bytes where they are:
 * what it says of an event are spans of its raw bytes.  A stream comes in
 * pieces that are cut anywhere.  The caller keeps the bytes of an unfinished
 * event in front of those that come; the reader looks at no byte twice but
 * those of the line that it is in the middle of, once, when that line ends.
 *
 * A line ends with CR, LF or CRLF.  An event that ends with CR ends there and
 * does not wait for what follows; a LF behind it is passed over, and is no
 * part of its raw bytes.  When it is written again, all events that end with
 * CR get one, so that what comes out does not depend on the cuts.
 *
 * Bytes are not decoded: what is not UTF-8 stays as it is for whoever reads.
 *
 * Pure: bytes in, spans or bytes out; no request, no event loop, no
 * allocation.
 */


#ifndef _OA_SSE_H_INCLUDED_
#define _OA_SSE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * An event, or what else there is between two blank lines.  Strings point
 * into raw; they are empty, with data, where there is no such field.  Of
 * fields that occur several times the last one counts.
 */
typedef struct {
    ngx_str_t            raw;         /* up to the end of the blank line */
    ngx_str_t            data;        /* value of the first data line */
    ngx_uint_t           lines;       /* of data; without one nothing is
                                         dispatched by a browser */
    ngx_str_t            name;        /* of "event" */
    ngx_str_t            id;          /* not one that has a NUL in it */
    uint64_t             retry;       /* ms, OA_SSE_NO_RETRY: none */
    unsigned             has_id:1;    /* it has an id, even an empty one */
    unsigned             id_lines:1;  /* lines that oa_sse_spans() takes out */
    unsigned             comment:1;   /* raw is one comment line that stands
                                         in front of an event, and lines is 0;
                                         no blank line ends it */
    unsigned             done:1;      /* all its data is "[DONE]" */
} oa_sse_event_t;

#define OA_SSE_NO_RETRY  ((uint64_t) -1)
#define OA_SSE_RETRY_MAX ((uint64_t) NGX_MAX_INT32_VALUE)


typedef struct {
    size_t               pos;         /* private */
    size_t               len;
} oa_sse_span_t;

typedef struct {
    size_t               scanned;     /* private; of the unfinished event */
    size_t               line;
    oa_sse_span_t        data;
    oa_sse_span_t        name;
    oa_sse_span_t        id;
    uint64_t             retry;
    ngx_uint_t           lines;
    unsigned             began:1;
    unsigned             has_id:1;
    unsigned             id_lines:1;
} oa_sse_t;

void oa_sse_init(oa_sse_t *sse);

/*
 * Looks for the end of an event in len bytes at p.  In either case *used
 * bytes are done with, and the next call begins behind them.
 *
 * NGX_OK: an event, whose strings point to those bytes; a retry over
 * OA_SSE_RETRY_MAX is cut to it.  NGX_AGAIN: more is needed; the rest, from
 * *used on, begins an event that is not finished.  How long an event may be is
 * for the caller to say, and what is left when a stream ends is to be dropped.
 * Blank lines between events are passed over.
 */
ngx_int_t oa_sse_next(oa_sse_t *sse, const u_char *p, size_t len,
    size_t *used, oa_sse_event_t *event);

/*
 * What is left when a stream ends, len bytes at p, as if a blank line ended
 * it: 1 if it has data.  It is not to be passed on, but tells how the stream
 * ended: in the middle of an event, or with a [DONE] that lacks its end.
 */
ngx_uint_t oa_sse_rest(oa_sse_t *sse, const u_char *p, size_t len,
    oa_sse_event_t *event);

/*
 * All data of an event, its lines joined by LF.  Where there are several they
 * are written to buf, which has event->raw.len bytes.
 */
void oa_sse_data(const oa_sse_event_t *event, u_char *buf, ngx_str_t *data);


/*
 * An event as it goes on: prefix (whole lines: our id), and its raw bytes
 * without their own lines of "id".  A line that is taken out between CR and
 * LF leaves an empty comment, so that they do not become one end of a line.
 */
typedef struct {
    const u_char        *p;           /* private */
    const u_char        *last;
    ngx_str_t            prefix;
    ngx_uint_t           kept;        /* the last byte kept, or 0 */
    unsigned             begun:1;
    unsigned             id_lines:1;
} oa_sse_spans_t;

void oa_sse_spans(oa_sse_spans_t *spans, const oa_sse_event_t *event,
    const ngx_str_t *prefix);

/* Has it, without a prefix, but one span, which is raw? */
#define oa_sse_is_one_span(event)                                             \
    (!(event)->id_lines && (event)->raw.data[(event)->raw.len - 1] == LF)

/*
 * The next span, never an empty one; 0: there are no more.  Without lines of
 * "id" there are at most three: prefix, raw, and LF behind a CR.
 */
ngx_uint_t oa_sse_span(oa_sse_spans_t *spans, ngx_str_t *span);


/* What we write (oa_sse_write.c) */


typedef struct {
    ngx_str_t            id;          /* empty: none */
    ngx_str_t            name;        /* of "event"; empty: none */
    ngx_msec_t           retry;       /* 0: none */
    ngx_str_t            data;        /* a data line for each of its lines;
                                         data NULL: none */
} oa_sse_message_t;

/* id and name must have no line end in them, and id no NUL. */
size_t oa_sse_message_size(const oa_sse_message_t *message);

/* Writes exactly that many bytes to p and returns their end. */
u_char *oa_sse_message(u_char *p, const oa_sse_message_t *message);


/*
 * The end of a stream that failed: data: {"error":"TEXT","code":"CODE"}.
 * Arbitrary bytes are escaped; those that stood in a JSON string already,
 * and were checked, are not.
 */
typedef struct {
    ngx_str_t            id;          /* empty: none */
    ngx_str_t            text;
    ngx_str_t            code;
    unsigned             escaped:1;   /* text and code are */
} oa_sse_error_t;

size_t oa_sse_error_size(const oa_sse_error_t *error);
u_char *oa_sse_error(u_char *p, const oa_sse_error_t *error);


/*
 * event: gap, data: {"from":FROM,"to":TO}: the numbers of the events that are
 * lost, both included; without a TO of which it is not known.  At most
 * OA_SSE_GAP_MAX + id->len bytes; their end.
 */
#define OA_SSE_GAP_MAX                                                        \
    (sizeof("id: \nevent: gap\ndata: {\"from\":,\"to\":}\n\n") - 1 + 2 * 20)

u_char *oa_sse_gap(u_char *p, const ngx_str_t *id, uint64_t from,
    uint64_t to);


extern const ngx_str_t  oa_sse_done;         /* data: [DONE] */
extern const ngx_str_t  oa_sse_heartbeat;    /* a comment and a blank line */


#endif /* _OA_SSE_H_INCLUDED_ */
