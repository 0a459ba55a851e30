
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_json.h"
#include "oa_replay.h"


#define oa_replay_literal(p, text)                                            \
    ngx_cpymem(p, text, sizeof(text) - 1)


static u_char *oa_replay_field(u_char *p, const u_char *start,
    const ngx_str_t *name, const ngx_str_t *value);
static u_char *oa_replay_member(u_char *p, const ngx_str_t *name,
    const ngx_str_t *value);
static size_t oa_replay_member_size(const ngx_str_t *name,
    const ngx_str_t *value);
static u_char *oa_replay_quote(u_char *p, const ngx_str_t *value);
static u_char *oa_replay_transform(u_char *p, const oa_replay_json_t *json);


static const ngx_str_t  oa_replay_app = ngx_string("app");
static const ngx_str_t  oa_replay_instance = ngx_string("instance");
static const ngx_str_t  oa_replay_prefer = ngx_string("prefer_instance");
static const ngx_str_t  oa_replay_state_name = ngx_string("state");
static const ngx_str_t  oa_replay_timeout = ngx_string("timeout");
static const ngx_str_t  oa_replay_fallback = ngx_string("fallback");
static const ngx_str_t  oa_replay_path = ngx_string("path");
static const ngx_str_t  oa_replay_name = ngx_string("name");
static const ngx_str_t  oa_replay_value = ngx_string("value");
static const ngx_str_t  oa_replay_prefix = ngx_string("prefix");


size_t
oa_replay_header_size(const oa_replay_t *replay)
{
    return sizeof("app=;prefer_instance=;state=;timeout=;fallback=") - 1
           + replay->app.len + replay->machine.len + replay->state.len
           + replay->timeout.len + replay->fallback.len;
}


u_char *
oa_replay_header(u_char *p, const oa_replay_t *replay)
{
    u_char  *start;

    start = p;

    p = oa_replay_field(p, start, &oa_replay_app, &replay->app);
    p = oa_replay_field(p, start, replay->prefer ? &oa_replay_prefer
                                                 : &oa_replay_instance,
                        &replay->machine);
    p = oa_replay_field(p, start, &oa_replay_state_name, &replay->state);
    p = oa_replay_field(p, start, &oa_replay_timeout, &replay->timeout);
    p = oa_replay_field(p, start, &oa_replay_fallback, &replay->fallback);

    return p;
}


static u_char *
oa_replay_field(u_char *p, const u_char *start, const ngx_str_t *name,
    const ngx_str_t *value)
{
    if (value->len == 0) {
        return p;
    }

    if (p != start) {
        *p++ = ';';
    }

    p = ngx_cpymem(p, name->data, name->len);
    *p++ = '=';

    return ngx_cpymem(p, value->data, value->len);
}


size_t
oa_replay_json_size(const oa_replay_json_t *json)
{
    size_t              size;
    ngx_uint_t          i;
    const oa_replay_t  *replay;

    replay = &json->replay;

    size = sizeof("{\"transform\":{\"delete_headers\":[],\"set_headers\":[]},"
                  "\"cache\":{\"ttl\":}}") - 1 + NGX_INT64_LEN;

    size += oa_replay_member_size(&oa_replay_app, &replay->app);
    size += oa_replay_member_size(&oa_replay_prefer, &replay->machine);
    size += oa_replay_member_size(&oa_replay_state_name, &replay->state);
    size += oa_replay_member_size(&oa_replay_timeout, &replay->timeout);
    size += oa_replay_member_size(&oa_replay_fallback, &replay->fallback);
    size += oa_replay_member_size(&oa_replay_path, &json->path);
    size += oa_replay_member_size(&oa_replay_prefix, &json->cache_prefix);

    for (i = 0; i < json->ndelete; i++) {
        size += sizeof("\"\",") - 1
                + oa_json_escape_size(&json->delete_headers[i]);
    }

    for (i = 0; i < json->nset; i++) {
        size += sizeof("{},") - 1
                + oa_replay_member_size(&oa_replay_name,
                                        &json->set_headers[i].key)
                + oa_replay_member_size(&oa_replay_value,
                                        &json->set_headers[i].value);
    }

    return size;
}


/* Every member is written with a comma behind it; the last one goes again. */

u_char *
oa_replay_json(u_char *p, const oa_replay_json_t *json)
{
    const oa_replay_t  *replay;

    replay = &json->replay;

    *p++ = '{';

    if (replay->app.len) {
        p = oa_replay_member(p, &oa_replay_app, &replay->app);
    }

    if (replay->machine.len) {
        p = oa_replay_member(p, replay->prefer ? &oa_replay_prefer
                                               : &oa_replay_instance,
                             &replay->machine);
    }

    if (replay->state.len) {
        p = oa_replay_member(p, &oa_replay_state_name, &replay->state);
    }

    if (replay->timeout.len) {
        p = oa_replay_member(p, &oa_replay_timeout, &replay->timeout);
    }

    if (replay->fallback.len) {
        p = oa_replay_member(p, &oa_replay_fallback, &replay->fallback);
    }

    if (json->path.len || json->ndelete || json->nset) {
        p = oa_replay_literal(p, "\"transform\":");
        p = oa_replay_transform(p, json);
        *p++ = ',';
    }

    if (json->cache_prefix.len) {
        p = oa_replay_literal(p, "\"cache\":{");
        p = oa_replay_member(p, &oa_replay_prefix, &json->cache_prefix);
        p = oa_replay_literal(p, "\"ttl\":");
        p = oa_replay_decimal(p, json->cache_ttl);
        p = oa_replay_literal(p, "},");
    }

    if (p[-1] == ',') {
        p--;
    }

    *p++ = '}';

    return p;
}


static u_char *
oa_replay_transform(u_char *p, const oa_replay_json_t *json)
{
    ngx_uint_t  i;

    *p++ = '{';

    if (json->path.len) {
        p = oa_replay_member(p, &oa_replay_path, &json->path);
    }

    if (json->ndelete) {
        p = oa_replay_literal(p, "\"delete_headers\":[");

        for (i = 0; i < json->ndelete; i++) {
            p = oa_replay_quote(p, &json->delete_headers[i]);
            *p++ = ',';
        }

        p[-1] = ']';
        *p++ = ',';
    }

    if (json->nset) {
        p = oa_replay_literal(p, "\"set_headers\":[");

        for (i = 0; i < json->nset; i++) {
            *p++ = '{';
            p = oa_replay_member(p, &oa_replay_name,
                                 &json->set_headers[i].key);
            p = oa_replay_member(p, &oa_replay_value,
                                 &json->set_headers[i].value);
            p[-1] = '}';
            *p++ = ',';
        }

        p[-1] = ']';
        *p++ = ',';
    }

    p[-1] = '}';

    return p;
}


static u_char *
oa_replay_member(u_char *p, const ngx_str_t *name, const ngx_str_t *value)
{
    *p++ = '"';
    p = ngx_cpymem(p, name->data, name->len);
    *p++ = '"';
    *p++ = ':';
    p = oa_replay_quote(p, value);
    *p++ = ',';

    return p;
}


static size_t
oa_replay_member_size(const ngx_str_t *name, const ngx_str_t *value)
{
    return sizeof("\"\":\"\",") - 1 + name->len + oa_json_escape_size(value);
}


static u_char *
oa_replay_quote(u_char *p, const ngx_str_t *value)
{
    *p++ = '"';
    p = oa_json_escape(p, value);
    *p++ = '"';

    return p;
}


u_char *
oa_replay_decimal(u_char *p, uint64_t n)
{
    u_char  *q, buf[NGX_INT64_LEN];

    q = buf + NGX_INT64_LEN;

    do {
        *--q = (u_char) ('0' + n % 10);
        n /= 10;
    } while (n);

    return ngx_cpymem(p, q, buf + NGX_INT64_LEN - q);
}


ngx_int_t
oa_replay_src_parse(const ngx_str_t *value, oa_replay_src_t *src)
{
    u_char      *p, *end, *last, *next, *equal;
    ngx_str_t   *field;
    ngx_uint_t   i;

    static const ngx_str_t  names[] = {
        ngx_string("instance"),
        ngx_string("app"),
        ngx_string("region"),
        ngx_string("state"),
        ngx_string("reason")
    };

    ngx_str_t   *fields[] = {
        &src->instance,
        &src->app,
        &src->region,
        &src->state,
        &src->reason
    };

    ngx_memzero(src, sizeof(oa_replay_src_t));

    if (value->len == 0) {
        return NGX_ERROR;
    }

    p = value->data;
    last = p + value->len;

    for ( ;; ) {
        next = ngx_strlchr(p, last, ';');
        end = next ? next : last;

        while (p < end && *p == ' ') {
            p++;
        }

        while (p < end && end[-1] == ' ') {
            end--;
        }

        equal = ngx_strlchr(p, end, '=');

        if (equal == NULL) {
            return NGX_ERROR;
        }

        for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {

            if (names[i].len != (size_t) (equal - p)
                || ngx_memcmp(names[i].data, p, names[i].len) != 0)
            {
                continue;
            }

            field = fields[i];

            /* an empty value has data too: it was seen */

            if (field->data) {
                return NGX_ERROR;
            }

            field->data = equal + 1;
            field->len = end - field->data;

            break;
        }

        if (next == NULL) {
            return NGX_OK;
        }

        p = next + 1;
    }
}


ngx_int_t
oa_replay_duration(const ngx_str_t *value)
{
    size_t     i;
    ngx_int_t  n, unit;

    n = 0;

    for (i = 0; i < value->len; i++) {
        if (value->data[i] < '0' || value->data[i] > '9') {
            break;
        }

        if (i == sizeof("600000") - 1) {
            return NGX_ERROR;
        }

        n = n * 10 + (value->data[i] - '0');
    }

    if (i == 0) {
        return NGX_ERROR;
    }

    if (value->len - i == 2 && ngx_memcmp(&value->data[i], "ms", 2) == 0) {
        unit = 1;

    } else if (value->len - i == 1 && value->data[i] == 's') {
        unit = 1000;

    } else if (value->len - i == 1 && value->data[i] == 'm') {
        unit = 60 * 1000;

    } else {
        return NGX_ERROR;
    }

    n *= unit;

    if (n < 1 || n > 10 * 60 * 1000) {
        return NGX_ERROR;
    }

    return n;
}
