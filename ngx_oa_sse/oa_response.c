
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "oa_field.h"
#include "oa_response.h"


#define OA_RESPONSE_PREFIX  "HTTP/1."

#define oa_is_ows(c)  ((c) == ' ' || (c) == '\t')


typedef struct {
    ngx_uint_t    version;            /* nginx's: 1000, 1001 */
    ngx_uint_t    status;
    ngx_str_t     type;               /* data is NULL: no such field */
    ngx_str_t     encoding;
    ngx_str_t     length;
    ngx_str_t     transfer;
} oa_response_head_t;

typedef struct {
    ngx_str_t     name;
    size_t        offset;             /* in oa_response_head_t */
    ngx_uint_t    again;              /* may be there twice, the same */
    const char   *why;
} oa_response_field_t;


static ngx_uint_t oa_response_begins(const u_char *p, const u_char *last);
static ngx_int_t oa_response_blank_line(oa_response_t *r, const u_char *p,
    size_t len);
static ngx_int_t oa_response_read(oa_response_head_t *head, u_char *p,
    u_char *last, const char **why);
static ngx_int_t oa_response_line(oa_response_head_t *head,
    const ngx_http_request_t *request, const char **why);
static ngx_int_t oa_response_frame(oa_response_t *r,
    const oa_response_head_t *head, const char **why);
static ngx_int_t oa_response_chunk(oa_response_t *r, u_char **p,
    u_char *last);


static const oa_response_field_t  oa_response_fields[] = {

    { ngx_string("Content-Type"),
      offsetof(oa_response_head_t, type), 0,
      "it has two of Content-Type" },

    { ngx_string("Content-Encoding"),
      offsetof(oa_response_head_t, encoding), 0,
      "it has two of Content-Encoding" },

    { ngx_string("Content-Length"),
      offsetof(oa_response_head_t, length), 1,
      "it has two of Content-Length" },

    { ngx_string("Transfer-Encoding"),
      offsetof(oa_response_head_t, transfer), 0,
      "it has two of Transfer-Encoding" }
};


/* nginx's parser of chunks does nothing with a request but ask its log. */

static ngx_log_t           oa_response_log;
static ngx_connection_t    oa_response_connection = {
    .log = &oa_response_log
};
static ngx_http_request_t  oa_response_request = {
    .connection = &oa_response_connection
};


ngx_int_t
oa_response_head(oa_response_t *r, u_char *p, size_t len, size_t *used,
    const char **why)
{
    u_char              *last;
    oa_response_head_t   head;

    len = ngx_min(len, OA_RESPONSE_HEAD_MAX);

    for ( ;; ) {

        /* what is not HTTP may never have a blank line */

        if (!oa_response_begins(p + r->begin, p + len)) {
            *why = "it is not HTTP/1.0 or HTTP/1.1";
            return NGX_ERROR;
        }

        if (oa_response_blank_line(r, p, len) != NGX_OK) {

            if (len < OA_RESPONSE_HEAD_MAX) {
                return NGX_AGAIN;
            }

            *why = "its head is too long";
            return NGX_ERROR;
        }

        last = p + r->scanned;

        if (oa_response_read(&head, p + r->begin, last, why) != NGX_OK) {
            return NGX_ERROR;
        }

        if (head.status == NGX_HTTP_SWITCHING_PROTOCOLS) {
            *why = "it switches protocols";
            return NGX_ERROR;
        }

        if (head.status >= NGX_HTTP_OK) {
            *used = last - p;
            return oa_response_frame(r, &head, why);
        }

        r->begin = r->scanned;
    }
}


/* Is it, as far as it goes, the beginning of an answer? */

static ngx_uint_t
oa_response_begins(const u_char *p, const u_char *last)
{
    size_t  n;

    n = ngx_min((size_t) (last - p), sizeof(OA_RESPONSE_PREFIX) - 1);

    return ngx_memcmp(p, OA_RESPONSE_PREFIX, n) == 0;
}


/*
 * Looks for the blank line, and leaves r->scanned behind it.  Else that is
 * where to go on: at a LF, as long as it is not known what follows.
 */

static ngx_int_t
oa_response_blank_line(oa_response_t *r, const u_char *p, size_t len)
{
    const u_char  *lf, *next, *last;

    last = p + len;
    lf = p + r->scanned;

    for ( ;; ) {
        lf = memchr(lf, LF, last - lf);

        if (lf == NULL) {
            r->scanned = (uint32_t) len;
            return NGX_AGAIN;
        }

        next = lf + 1;

        if (next < last && *next == CR) {
            next++;
        }

        if (next == last) {
            r->scanned = (uint32_t) (lf - p);
            return NGX_AGAIN;
        }

        if (*next == LF) {
            r->scanned = (uint32_t) (next + 1 - p);
            return NGX_OK;
        }

        lf = next;
    }
}


/* Of a head that is all there. */

static ngx_int_t
oa_response_read(oa_response_head_t *head, u_char *p, u_char *last,
    const char **why)
{
    ngx_int_t           rc;
    ngx_buf_t           b;
    ngx_http_status_t   status;
    ngx_http_request_t  request;

    ngx_memzero(head, sizeof(oa_response_head_t));
    ngx_memzero(&b, sizeof(ngx_buf_t));
    ngx_memzero(&status, sizeof(ngx_http_status_t));
    ngx_memzero(&request, sizeof(ngx_http_request_t));

    b.pos = p;
    b.last = last;

    rc = ngx_http_parse_status_line(&request, &b, &status);

    /* nginx passes over spaces, so look where the three digits stand */

    if (rc != NGX_OK
        || status.start != p + sizeof(OA_RESPONSE_PREFIX "x ") - 1
        || status.http_version > 1001
        || status.code < NGX_HTTP_CONTINUE)
    {
        *why = "its status line is malformed";
        return NGX_ERROR;
    }

    head->version = status.http_version;
    head->status = status.code;

    for ( ;; ) {
        rc = ngx_http_parse_header_line(&request, &b, 1);

        if (rc == NGX_HTTP_PARSE_HEADER_DONE) {
            return NGX_OK;
        }

        if (rc != NGX_OK) {
            *why = "a line of its head is malformed";
            return NGX_ERROR;
        }

        if (oa_response_line(head, &request, why) != NGX_OK) {
            return NGX_ERROR;
        }
    }
}


static ngx_int_t
oa_response_line(oa_response_head_t *head, const ngx_http_request_t *request,
    const char **why)
{
    ngx_str_t                   name, value, *known;
    ngx_uint_t                  i;
    const oa_response_field_t  *field;

    name.data = request->header_name_start;
    name.len = request->header_name_end - name.data;

    /* nginx takes a line without a colon for a name */

    if (!oa_is_token(&name) || *request->header_name_end != ':') {
        *why = "a name in its head is malformed";
        return NGX_ERROR;
    }

    value.data = request->header_start;
    value.len = request->header_end - value.data;

    while (value.len && oa_is_ows(value.data[0])) {
        value.data++;
        value.len--;
    }

    while (value.len && oa_is_ows(value.data[value.len - 1])) {
        value.len--;
    }

    for (i = 0;
         i < sizeof(oa_response_fields) / sizeof(oa_response_fields[0]);
         i++)
    {
        field = &oa_response_fields[i];

        if (name.len != field->name.len
            || ngx_strncasecmp(name.data, field->name.data, name.len) != 0)
        {
            continue;
        }

        known = (ngx_str_t *) ((u_char *) head + field->offset);

        if (known->data == NULL) {
            *known = value;
            return NGX_OK;
        }

        if (field->again && known->len == value.len
            && ngx_memcmp(known->data, value.data, value.len) == 0)
        {
            return NGX_OK;
        }

        *why = field->why;
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Where the body ends (RFC 9112, 6.3). */

static ngx_int_t
oa_response_frame(oa_response_t *r, const oa_response_head_t *head,
    const char **why)
{
    off_t               left;
    oa_response_body_e  body;

    left = 0;
    body = OA_RESPONSE_TO_THE_END;

    if (head->transfer.data) {

        if (head->length.data) {
            *why = "it has both Transfer-Encoding and Content-Length";
            return NGX_ERROR;
        }

        if (head->version < 1001) {
            *why = "it has a Transfer-Encoding in HTTP/1.0";
            return NGX_ERROR;
        }

        if (head->transfer.len != sizeof("chunked") - 1
            || ngx_strncasecmp(head->transfer.data, (u_char *) "chunked",
                               sizeof("chunked") - 1)
               != 0)
        {
            *why = "its Transfer-Encoding is not \"chunked\"";
            return NGX_ERROR;
        }

        body = OA_RESPONSE_CHUNKED;
    }

    if (head->length.data) {
        left = ngx_atoof(head->length.data, head->length.len);

        if (left == NGX_ERROR) {
            *why = "its Content-Length is no number, or too large";
            return NGX_ERROR;
        }

        body = OA_RESPONSE_SIZED;
    }

    if (head->status == NGX_HTTP_NO_CONTENT
        || head->status == NGX_HTTP_NOT_MODIFIED)
    {
        left = 0;
        body = OA_RESPONSE_SIZED;
    }

    r->status = head->status;
    r->content_type = head->type;
    r->content_encoding = head->encoding;
    r->left = left;
    r->body = body;

    return NGX_OK;
}


ngx_int_t
oa_response_body(oa_response_t *r, u_char **p, u_char *last, ngx_str_t *span)
{
    size_t     n;
    ngx_int_t  rc;

    if (r->body == OA_RESPONSE_CHUNKED) {
        rc = oa_response_chunk(r, p, last);

        if (rc != NGX_OK) {
            return rc;
        }

    } else if (r->body == OA_RESPONSE_SIZED && r->left == 0) {
        return NGX_DONE;
    }

    n = last - *p;

    if (n == 0) {
        return NGX_AGAIN;
    }

    if (r->body != OA_RESPONSE_TO_THE_END) {
        n = (size_t) ngx_min((off_t) n, r->left);
        r->left -= (off_t) n;
    }

    span->data = *p;
    span->len = n;

    *p += n;

    return NGX_OK;
}


/* NGX_OK: at *p are bytes of a chunk, and r->left is how many it has. */

static ngx_int_t
oa_response_chunk(oa_response_t *r, u_char **p, u_char *last)
{
    size_t              framing;
    ngx_int_t           rc;
    ngx_buf_t           b;
    ngx_http_chunked_t  chunked;

    /* all that the parser looks at */

    b.pos = *p;
    b.last = last;
    chunked.state = r->chunk;
    chunked.size = r->left;

#if (nginx_version >= 1027002)
    rc = ngx_http_parse_chunked(&oa_response_request, &b, &chunked, 0);
#else
    rc = ngx_http_parse_chunked(&oa_response_request, &b, &chunked);
#endif

    framing = r->framing + (b.pos - *p);

    if (rc == NGX_ERROR || framing > OA_RESPONSE_FRAMING_MAX) {
        return NGX_ERROR;
    }

    *p = b.pos;
    r->chunk = (unsigned) chunked.state;
    r->left = chunked.size;
    r->framing = (rc == NGX_OK) ? 0 : (uint32_t) framing;

    if (rc == NGX_DONE) {

        /* of the last chunk, and so of the body, nothing is left */

        r->body = OA_RESPONSE_SIZED;
    }

    return rc;
}


ngx_uint_t
oa_response_is_complete(const oa_response_t *r)
{
    return r->body == OA_RESPONSE_TO_THE_END
           || (r->body == OA_RESPONSE_SIZED && r->left == 0);
}
