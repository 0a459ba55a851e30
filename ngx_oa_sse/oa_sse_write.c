
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_json.h"
#include "oa_sse.h"


static size_t oa_sse_field_size(const ngx_str_t *name, size_t len);
static u_char *oa_sse_field(u_char *p, const ngx_str_t *name,
    const ngx_str_t *value);
static ngx_uint_t oa_sse_cut(ngx_str_t *rest, ngx_str_t *line);
static u_char *oa_sse_put(u_char *p, const ngx_str_t *s);


const ngx_str_t  oa_sse_done = ngx_string("data: [DONE]\n\n");
const ngx_str_t  oa_sse_heartbeat = ngx_string(":\n\n");

static const ngx_str_t  oa_sse_field_id = ngx_string("id: ");
static const ngx_str_t  oa_sse_field_name = ngx_string("event: ");
static const ngx_str_t  oa_sse_field_retry = ngx_string("retry: ");
static const ngx_str_t  oa_sse_field_data = ngx_string("data: ");

static const ngx_str_t  oa_sse_error_text =
    ngx_string("data: {\"error\":\"");
static const ngx_str_t  oa_sse_error_code = ngx_string("\",\"code\":\"");
static const ngx_str_t  oa_sse_error_end = ngx_string("\"}\n\n");


size_t
oa_sse_message_size(const oa_sse_message_t *message)
{
    size_t     size;
    u_char     number[NGX_INT64_LEN];
    ngx_str_t  rest, line;

    size = 1;

    if (message->id.len) {
        size += oa_sse_field_size(&oa_sse_field_id, message->id.len);
    }

    if (message->name.len) {
        size += oa_sse_field_size(&oa_sse_field_name, message->name.len);
    }

    if (message->retry) {
        size += oa_sse_field_size(&oa_sse_field_retry,
                                  ngx_sprintf(number, "%M", message->retry)
                                  - number);
    }

    rest = message->data;

    while (oa_sse_cut(&rest, &line)) {
        size += oa_sse_field_size(&oa_sse_field_data, line.len);
    }

    return size;
}


u_char *
oa_sse_message(u_char *p, const oa_sse_message_t *message)
{
    u_char     number[NGX_INT64_LEN];
    ngx_str_t  rest, line;

    if (message->id.len) {
        p = oa_sse_field(p, &oa_sse_field_id, &message->id);
    }

    if (message->name.len) {
        p = oa_sse_field(p, &oa_sse_field_name, &message->name);
    }

    if (message->retry) {
        line.data = number;
        line.len = ngx_sprintf(number, "%M", message->retry) - number;
        p = oa_sse_field(p, &oa_sse_field_retry, &line);
    }

    rest = message->data;

    while (oa_sse_cut(&rest, &line)) {
        p = oa_sse_field(p, &oa_sse_field_data, &line);
    }

    *p++ = LF;

    return p;
}


size_t
oa_sse_error_size(const oa_sse_error_t *error)
{
    size_t  size;

    size = oa_sse_error_text.len + oa_sse_error_code.len
           + oa_sse_error_end.len;

    if (error->id.len) {
        size += oa_sse_field_size(&oa_sse_field_id, error->id.len);
    }

    if (error->escaped) {
        return size + error->text.len + error->code.len;
    }

    return size + oa_json_escape_size(&error->text)
           + oa_json_escape_size(&error->code);
}


u_char *
oa_sse_error(u_char *p, const oa_sse_error_t *error)
{
    if (error->id.len) {
        p = oa_sse_field(p, &oa_sse_field_id, &error->id);
    }

    p = oa_sse_put(p, &oa_sse_error_text);
    p = error->escaped ? oa_sse_put(p, &error->text)
                       : oa_json_escape(p, &error->text);

    p = oa_sse_put(p, &oa_sse_error_code);
    p = error->escaped ? oa_sse_put(p, &error->code)
                       : oa_json_escape(p, &error->code);

    return oa_sse_put(p, &oa_sse_error_end);
}


u_char *
oa_sse_gap(u_char *p, const ngx_str_t *id, uint64_t from, uint64_t to)
{
    if (id->len) {
        p = oa_sse_field(p, &oa_sse_field_id, id);
    }

    p = ngx_sprintf(p, "event: gap\ndata: {\"from\":%uL", from);

    if (to) {
        p = ngx_sprintf(p, ",\"to\":%uL", to);
    }

    return ngx_sprintf(p, "}\n\n");
}


static size_t
oa_sse_field_size(const ngx_str_t *name, size_t len)
{
    return name->len + len + 1;
}


static u_char *
oa_sse_field(u_char *p, const ngx_str_t *name, const ngx_str_t *value)
{
    p = oa_sse_put(p, name);
    p = oa_sse_put(p, value);
    *p++ = LF;

    return p;
}


/* Cuts the first line off; 0: there is none.  No data is left by the last. */

static ngx_uint_t
oa_sse_cut(ngx_str_t *rest, ngx_str_t *line)
{
    size_t  i;

    if (rest->data == NULL) {
        return 0;
    }

    *line = *rest;

    for (i = 0; i < line->len; i++) {
        if (line->data[i] == CR || line->data[i] == LF) {
            break;
        }
    }

    if (i == line->len) {
        ngx_str_null(rest);
        return 1;
    }

    line->len = i++;

    if (i < rest->len && rest->data[i] == LF && rest->data[i - 1] == CR) {
        i++;
    }

    rest->data += i;
    rest->len -= i;

    return 1;
}


static u_char *
oa_sse_put(u_char *p, const ngx_str_t *s)
{
    return s->len ? ngx_cpymem(p, s->data, s->len) : p;
}
