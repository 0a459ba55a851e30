
/*
 * A request to oa_sse_pass, for its own files: what it wants
 * (ngx_oa_sse_handler.c), and how a stream begins (ngx_oa_sse_begin.c).
 */


#ifndef _NGX_OA_SSE_REQUEST_H_INCLUDED_
#define _NGX_OA_SSE_REQUEST_H_INCLUDED_


#include "ngx_oa_sse.h"


/* What the request is about, put together once its body is there. */
typedef struct {
    ngx_http_request_t          *request;
    ngx_oa_sse_main_conf_t      *main;
    ngx_oa_sse_loc_conf_t       *conf;
    ngx_oa_identity_t            identity;
    oa_stream_conf_t             stream;
    ngx_int_t                    rc;           /* of an answer that was given:
                                                  then NGX_ABORT is returned */
} ngx_oa_sse_request_t;


extern const ngx_oa_problem_t  ngx_oa_sse_full;
extern const ngx_oa_problem_t  ngx_oa_sse_large;

/* Begins a stream, or attaches to one.  As a content handler, or NGX_ABORT. */
ngx_int_t ngx_oa_sse_begin(ngx_oa_sse_request_t *rq);

/* Answers with a problem: NGX_ABORT. */
ngx_int_t ngx_oa_sse_answer(ngx_oa_sse_request_t *rq,
    const ngx_oa_problem_t *problem);

/* 405, with Allow. */
ngx_int_t ngx_oa_sse_not_allowed(ngx_http_request_t *r);

/* OA_STREAM_ID bytes of the SHA-256 of a, and of b, which may be NULL. */
ngx_int_t ngx_oa_sse_digest(u_char *digest, const ngx_str_t *a,
    const ngx_str_t *b);

/* The name of the stream with this id, in r->pool. */
ngx_int_t ngx_oa_sse_name(ngx_oa_sse_request_t *rq, const u_char *id,
    ngx_str_t *name);


#endif /* _NGX_OA_SSE_REQUEST_H_INCLUDED_ */
