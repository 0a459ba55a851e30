
/*
 * A stream, for its own files: its life (ngx_oa_stream.c), the machine's
 * answer (ngx_oa_stream_answer.c), the events (ngx_oa_stream_events.c).
 */


#ifndef _NGX_OA_STREAM_H_INCLUDED_
#define _NGX_OA_STREAM_H_INCLUDED_


#include "ngx_oa_sse.h"


/* bytes read at once */
#define NGX_OA_STREAM_READ  65536


/* What was read and is not done with, and the room behind it. */
typedef struct {
    u_char                      *start;        /* of what is unfinished */
    u_char                      *last;
    u_char                      *end;          /* of the memory */
} ngx_oa_stream_read_t;


/* The connection can be read from; the stream may be gone after it. */
void ngx_oa_stream_receive(ngx_oa_stream_t *st);

/*
 * Takes the events there are; what is left begins one that is not finished.
 * NGX_ERROR: the stream has ended, and is gone.
 */
ngx_int_t ngx_oa_stream_events(ngx_oa_stream_t *st, ngx_oa_stream_read_t *rd);

/* Writes to p, and returns the end of it; or into the buffer, p being NULL. */
u_char *ngx_oa_stream_put(ngx_oa_stream_t *st, u_char *p, const ngx_str_t *s);

/* It ends with what the agent has told, as ngx_oa_stream_end() with ours. */
void ngx_oa_stream_agent_failed(ngx_oa_stream_t *st, oa_sse_error_t *error);


#endif /* _NGX_OA_STREAM_H_INCLUDED_ */
