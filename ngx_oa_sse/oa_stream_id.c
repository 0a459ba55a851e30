
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_stream_id.h"


#define OA_STREAM_HEX      (OA_STREAM_ID_BYTES * 2)
#define OA_STREAM_SEQ_LEN  19


static ngx_int_t oa_stream_id_hex(const u_char *p, u_char *stream);
static ngx_int_t oa_stream_id_seq(const u_char *p, size_t len, uint64_t *seq);
static u_char *oa_stream_id_decimal(u_char *p, uint64_t n);


const ngx_str_t  oa_stream_local = ngx_string("local");


ngx_int_t
oa_stream_id_parse(const ngx_str_t *text, oa_stream_id_t *id)
{
    size_t         len, part;
    const u_char  *p;

    if (text->len > OA_STREAM_EVENT_ID_MAX) {
        return NGX_DECLINED;
    }

    p = text->data;
    len = text->len;
    id->seq = 0;

    /* of the last part the length tells what it is */

    for (part = 0; part < len && p[len - 1 - part] != '-'; part++) {
        /* void */
    }

    if (part < OA_STREAM_HEX) {

        if (part == len
            || oa_stream_id_seq(p + len - part, part, &id->seq) != NGX_OK)
        {
            return NGX_DECLINED;
        }

        len -= part + 1;
    }

    if (len < OA_STREAM_HEX + 1) {
        return NGX_DECLINED;
    }

    len -= OA_STREAM_HEX + 1;

    if (p[len] != '-'
        || oa_stream_id_hex(p + len + 1, id->stream) != NGX_OK
        || !oa_is_label(p, len))
    {
        return NGX_DECLINED;
    }

    id->router.data = text->data;
    id->router.len = len;

    return NGX_OK;
}


static ngx_int_t
oa_stream_id_hex(const u_char *p, u_char *stream)
{
    u_char      c, nibble;
    ngx_uint_t  i;

    for (i = 0; i < OA_STREAM_HEX; i++) {
        c = p[i];

        if (c >= '0' && c <= '9') {
            nibble = (u_char) (c - '0');

        } else if (c >= 'a' && c <= 'f') {
            nibble = (u_char) (c - 'a' + 10);

        } else {
            return NGX_ERROR;
        }

        stream[i / 2] = (u_char) ((i & 1) ? (stream[i / 2] | nibble)
                                          : (nibble << 4));
    }

    return NGX_OK;
}


static ngx_int_t
oa_stream_id_seq(const u_char *p, size_t len, uint64_t *seq)
{
    size_t    i;
    uint64_t  n;

    if (len == 0 || len > OA_STREAM_SEQ_LEN || p[0] == '0') {
        return NGX_ERROR;
    }

    n = 0;

    for (i = 0; i < len; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return NGX_ERROR;
        }

        /* 19 digits do not overflow 64 bits */
        n = n * 10 + (uint64_t) (p[i] - '0');
    }

    if (n > OA_STREAM_SEQ_MAX) {
        return NGX_ERROR;
    }

    *seq = n;

    return NGX_OK;
}


u_char *
oa_stream_id(u_char *p, const oa_stream_id_t *id)
{
    ngx_uint_t  i;

    static const u_char  hex[] = "0123456789abcdef";

    p = ngx_cpymem(p, id->router.data, id->router.len);
    *p++ = '-';

    for (i = 0; i < OA_STREAM_ID_BYTES; i++) {
        *p++ = hex[id->stream[i] >> 4];
        *p++ = hex[id->stream[i] & 0xf];
    }

    if (id->seq) {
        *p++ = '-';
        p = oa_stream_id_decimal(p, id->seq);
    }

    return p;
}


u_char *
oa_stream_event_line(u_char *p, const ngx_str_t *name, uint64_t seq)
{
    p = ngx_cpymem(p, "id: ", sizeof("id: ") - 1);
    p = oa_stream_event_id(p, name, seq);
    *p++ = LF;

    return p;
}


u_char *
oa_stream_event_id(u_char *p, const ngx_str_t *name, uint64_t seq)
{
    p = ngx_cpymem(p, name->data, name->len);
    *p++ = '-';

    return oa_stream_id_decimal(p, seq);
}


u_char *
oa_stream_event_number(u_char *p, uint64_t seq)
{
    p = oa_stream_id_decimal(p, seq);
    *p++ = LF;

    return p;
}


/* ngx_sprintf() takes as long as all else of a line */

static u_char *
oa_stream_id_decimal(u_char *p, uint64_t n)
{
    u_char   number[NGX_INT64_LEN];
    u_char  *last, *q;

    last = number + NGX_INT64_LEN;
    q = last;

    do {
        *--q = (u_char) ('0' + n % 10);
        n /= 10;
    } while (n);

    return ngx_cpymem(p, q, last - q);
}
