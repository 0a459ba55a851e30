
/*
 * The reader of answers, fed in pieces, each in memory of exactly its size;
 * what it tells can be compared.
 */


#ifndef _OA_RESPONSE_READER_H_INCLUDED_
#define _OA_RESPONSE_READER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include "oa_response.h"


typedef struct {
    oa_response_t   response;
    ngx_int_t       rc;               /* NGX_AGAIN until it is over */
    const char     *why;
    ngx_str_t       head;             /* as long as it is not all there */
    ngx_str_t       type;
    ngx_str_t       encoding;
    ngx_str_t       body;
    ngx_str_t       rest;             /* what is behind the body */
    size_t          used;
    ngx_uint_t      spans;
} response_reader_t;


#define reader_must(cond)                                                     \
    if (!(cond)) {                                                            \
        fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond);    \
        abort();                                                              \
    }


static __attribute__((unused)) u_char *
reader_alloc(size_t size)
{
    u_char  *p;

    p = malloc(size ? size : 1);
    reader_must(p != NULL);

    return p;
}


static __attribute__((unused)) void
reader_add(ngx_str_t *s, const void *data, size_t len)
{
    if (len) {
        ngx_memcpy(s->data + s->len, data, len);
        s->len += len;
    }
}


static __attribute__((unused)) u_char *
reader_copy(const void *data, size_t len)
{
    ngx_str_t  s;

    s.len = 0;
    s.data = reader_alloc(len);
    reader_add(&s, data, len);

    return s.data;
}


/* For an answer of at most so many bytes. */

static __attribute__((unused)) void
reader_init(response_reader_t *reader, size_t size)
{
    ngx_memzero(reader, sizeof(response_reader_t));

    reader->rc = NGX_AGAIN;
    reader->head.data = reader_alloc(size);
    reader->type.data = reader_alloc(size);
    reader->encoding.data = reader_alloc(size);
    reader->body.data = reader_alloc(size);
    reader->rest.data = reader_alloc(size);
}


static __attribute__((unused)) void
reader_free(response_reader_t *reader)
{
    free(reader->head.data);
    free(reader->type.data);
    free(reader->encoding.data);
    free(reader->body.data);
    free(reader->rest.data);
}


static __attribute__((unused)) void
reader_body(response_reader_t *reader, u_char *p, u_char *last)
{
    u_char     *start;
    ngx_str_t   span;

    for ( ;; ) {
        start = p;
        reader->rc = oa_response_body(&reader->response, &p, last, &span);

        if (reader->rc != NGX_OK) {
            break;
        }

        reader_must(span.len && span.data >= start && span.data < last
                    && span.len == (size_t) (p - span.data));
        reader_add(&reader->body, span.data, span.len);
        reader->spans++;
    }

    if (reader->rc == NGX_ERROR) {
        return;
    }

    reader_must(p >= start && p <= last);
    reader_must(reader->rc == NGX_DONE || p == last);
    reader_add(&reader->rest, p, last - p);
}


static __attribute__((unused)) void
reader_feed(response_reader_t *reader, const void *data, size_t len)
{
    u_char         *p;
    size_t          size;
    oa_response_t  *r;

    if (reader->rc == NGX_ERROR) {
        return;
    }

    r = &reader->response;

    if (r->status) {
        p = reader_copy(data, len);
        reader_body(reader, p, p + len);
        free(p);
        return;
    }

    reader_add(&reader->head, data, len);
    size = reader->head.len;
    p = reader_copy(reader->head.data, size);

    reader->rc = oa_response_head(r, p, size, &reader->used, &reader->why);

    if (reader->rc == NGX_OK) {
        reader_must(reader->used <= size);

        if (r->content_type.len) {
            reader_must(r->content_type.data > p
                        && r->content_type.data + r->content_type.len
                           < p + reader->used);
        }

        reader_add(&reader->type, r->content_type.data, r->content_type.len);
        reader_add(&reader->encoding, r->content_encoding.data,
                   r->content_encoding.len);
        reader->head.len = 0;
        reader_body(reader, p + reader->used, p + size);

    } else {
        reader_must(r->status == 0 && !oa_response_is_complete(r));
    }

    free(p);
}


/* What a glue would make of it, if the connection ended now. */

static __attribute__((unused)) const char *
reader_end(const response_reader_t *reader)
{
    if (reader->rc == NGX_ERROR) {
        return reader->why ? reader->why : "malformed";
    }

    if (reader->response.status == 0) {
        return "no head";
    }

    if (reader->rc == NGX_DONE) {
        reader_must(oa_response_is_complete(&reader->response));
        return "done";
    }

    return oa_response_is_complete(&reader->response) ? "complete" : "cut";
}


static __attribute__((unused)) ngx_uint_t
reader_same(const response_reader_t *a, const response_reader_t *b)
{
#define same(s)  (a->s.len == b->s.len                                        \
                  && memcmp(a->s.data, b->s.data, a->s.len) == 0)

    return strcmp(reader_end(a), reader_end(b)) == 0
           && a->response.status == b->response.status
           && a->used == b->used
           && same(type) && same(encoding) && same(body) && same(rest);

#undef same
}


#endif /* _OA_RESPONSE_READER_H_INCLUDED_ */
