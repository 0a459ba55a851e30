
/*
 * The answer of a machine (RFC 9112), read as it comes in.
 *
 * The head is read when all of it is there, the body as spans of the bytes
 * that came, wherever those were cut.  Lines are nginx's to parse; what is
 * decided here is what nginx leaves open, and always the strict way, since
 * agents are other people's code: where the end of a body could be read in
 * two ways, the answer is refused.
 *
 * The connection is asked for one answer ("Connection: close"), and never for
 * HEAD or an upgrade.  Whether the end of a line in between chunks may be a
 * lone LF is up to the nginx that this is built with: since 1.29.4 it may not.
 *
 * Pure: bytes in, spans out; no event loop, no allocation.  The request that
 * nginx's parsers ask for is only where they keep their state.
 */


#ifndef _OA_RESPONSE_H_INCLUDED_
#define _OA_RESPONSE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* Of the head, with all answers 1xx in front of it. */
#define OA_RESPONSE_HEAD_MAX     16384

/* Of what is not body between two of its bytes, or behind the last one: sizes
   and extensions of chunks, trailers. */
#define OA_RESPONSE_FRAMING_MAX  16384

typedef enum {
    OA_RESPONSE_UNREAD = 0,           /* the head is not there yet */
    OA_RESPONSE_SIZED,
    OA_RESPONSE_CHUNKED,
    OA_RESPONSE_TO_THE_END            /* of the connection */
} oa_response_body_e;

/* Zeroed, it is an answer of which nothing has come. */
typedef struct {
    ngx_uint_t           status;      /* 200 to 999 */
    ngx_str_t            content_type;      /* point into the head, or */
    ngx_str_t            content_encoding;  /* are empty */
    off_t                left;        /* private; of the body, or the chunk */
    uint32_t             begin;       /* of the head behind those of 1xx */
    uint32_t             scanned;
    uint32_t             framing;
    unsigned             body:2;      /* oa_response_body_e */
    unsigned             chunk:8;     /* nginx's state in between chunks */
} oa_response_t;

/*
 * Reads the head in len bytes at p.  NGX_OK: it was there, *used bytes, with
 * its blank line and all answers 1xx before it; the body begins behind them.
 * NGX_AGAIN: call again with these bytes, which may have moved, and more
 * behind them; no byte is looked at more often for it.  NGX_ERROR: *why is a
 * static text that tells what is wrong.
 *
 * Two of Content-Type, Content-Encoding or Transfer-Encoding are wrong, and
 * two of Content-Length that are not the same (6.3); any Transfer-Encoding but
 * "chunked", or one beside a Content-Length or in HTTP/1.0 (6.1); a folded
 * line (5.2); 101, since nobody asked for an upgrade.
 */
ngx_int_t oa_response_head(oa_response_t *r, u_char *p, size_t len,
    size_t *used, const char **why);

/*
 * The next bytes of the body from *p up to last; to be called until it is not
 * NGX_OK, even where *p is last.  NGX_OK: span is of them, not empty, and *p
 * behind it.  NGX_AGAIN: there are no more here.  NGX_DONE: nor elsewhere; the
 * body was complete, and *p is behind it, trailers passed over.  NGX_ERROR:
 * the chunks are malformed, or have more than OA_RESPONSE_FRAMING_MAX between
 * them.
 */
ngx_int_t oa_response_body(oa_response_t *r, u_char **p, u_char *last,
    ngx_str_t *span);

/* The connection has ended, and all that came was read: was it all? */
ngx_uint_t oa_response_is_complete(const oa_response_t *r);


#endif /* _OA_RESPONSE_H_INCLUDED_ */
