
/*
 * A reader, for its own files: what it reads (ngx_oa_reader.c), and how that
 * is sent (ngx_oa_reader_send.c).
 */


#ifndef _NGX_OA_READER_H_INCLUDED_
#define _NGX_OA_READER_H_INCLUDED_


#include "ngx_oa_sse.h"


/* bytes taken at once */
#define NGX_OA_READER_TAKE   65536

/* of a chunk, before its data and behind it */
#define NGX_OA_CHUNK_HEAD    (sizeof("ffffffffffffffff\r\n") - 1)
#define NGX_OA_CHUNK_TAIL    (sizeof("\r\n") - 1)


/* Where all that is sent lies first, with room for a chunk around it. */
extern u_char  ngx_oa_reader_memory[];

#define ngx_oa_reader_data  (ngx_oa_reader_memory + NGX_OA_CHUNK_HEAD)


/* The head of the answer.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_oa_reader_open(ngx_http_request_t *r, const ngx_str_t *name);

/*
 * Sends bytes: of send() they have room for a chunk around them, copy() makes
 * it.  NGX_OK: they are sent; NGX_AGAIN: a copy, or the rest of it, is on its
 * way, and nothing else may be sent before ngx_oa_reader_flush() is NGX_OK.
 */
ngx_int_t ngx_oa_reader_send(ngx_oa_reader_t *rd, u_char *data, size_t len);
ngx_int_t ngx_oa_reader_copy(ngx_oa_reader_t *rd, const u_char *data,
    size_t len);

/* NGX_OK: all was sent that there was; NGX_AGAIN: not yet. */
ngx_int_t ngx_oa_reader_flush(ngx_oa_reader_t *rd);

/*
 * What was not taken by the client is waited for, not for ever.  NGX_AGAIN or
 * NGX_ERROR.
 */
ngx_int_t ngx_oa_reader_wait(ngx_oa_reader_t *rd);


#endif /* _NGX_OA_READER_H_INCLUDED_ */
