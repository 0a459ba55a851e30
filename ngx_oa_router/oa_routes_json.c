
#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include "oa_routes_json.h"


/* What is to come next. */
typedef enum {
    OA_ROUTES_JSON_DOCUMENT = 0,
    OA_ROUTES_JSON_FIRST_NAME,         /* or the end of the document */
    OA_ROUTES_JSON_NAME,
    OA_ROUTES_JSON_COLON,
    OA_ROUTES_JSON_VALUE,
    OA_ROUTES_JSON_ROWS_COLON,
    OA_ROUTES_JSON_ROWS,
    OA_ROUTES_JSON_FIRST_ROW,          /* or the end of the rows */
    OA_ROUTES_JSON_ROW,
    OA_ROUTES_JSON_ROW_COMMA,
    OA_ROUTES_JSON_COMMA,
    OA_ROUTES_JSON_END
} oa_routes_json_state_e;


static ngx_int_t oa_routes_json_value(oa_routes_json_t *reader,
    const u_char *p, size_t avail, unsigned last, size_t flags,
    json_t **value, size_t *used);
static const char *oa_routes_json_text(enum json_error_code code);
static ngx_int_t oa_routes_json_route(oa_routes_json_t *reader,
    json_t *object, oa_routes_json_row_pt row, void *data);
static ngx_int_t oa_routes_json_error(oa_routes_json_t *reader,
    const char *error);
static ngx_uint_t oa_routes_json_lines(const u_char *p, size_t len);
static u_char *oa_routes_json_member(u_char *p, ngx_uint_t col,
    const ngx_str_t *value);
static u_char *oa_routes_json_name(u_char *p, ngx_uint_t col);
static u_char *oa_routes_json_decimal(u_char *p, u_char *last, uint64_t n);


static const char * const  oa_routes_json_types[OA_COLS] = {
    "subdomain is not a string",
    "route_id is not a string",
    "user_id is not a string",
    "agent_id is not a string",
    "app is not a string",
    "machine is not a string",
    "region is not a string",
    "status is not a string",
    "access is not a string",
    "version is not an integer from 0 to 9223372036854775807"
};


static const ngx_str_t  oa_routes_json_routes = ngx_string("routes");


void
oa_routes_json_init(oa_routes_json_t *reader)
{
    ngx_memzero(reader, sizeof(oa_routes_json_t));

    reader->line = 1;
    reader->state = OA_ROUTES_JSON_DOCUMENT;
}


ngx_int_t
oa_routes_json_feed(oa_routes_json_t *reader, const u_char *buf, size_t len,
    unsigned last, size_t *used, oa_routes_json_row_pt row, void *data)
{
    size_t      pos, n;
    json_t     *value;
    ngx_int_t   rc;

    *used = 0;

    for (pos = 0; /* void */ ; /* void */ ) {

        while (pos < len
               && (buf[pos] == ' ' || buf[pos] == '\t'
                   || buf[pos] == '\r' || buf[pos] == '\n'))
        {
            if (buf[pos++] == '\n') {
                reader->line++;
            }
        }

        *used = pos;

        if (pos == len) {
            if (!last) {
                return NGX_AGAIN;
            }

            if (reader->state == OA_ROUTES_JSON_END) {
                return NGX_OK;
            }

            return oa_routes_json_error(reader, "the document has no end");
        }

        switch ((oa_routes_json_state_e) reader->state) {

        case OA_ROUTES_JSON_DOCUMENT:

            if (buf[pos] != '{') {
                return oa_routes_json_error(reader,
                                       "the document is not a JSON object");
            }

            pos++;
            reader->state = OA_ROUTES_JSON_FIRST_NAME;
            break;

        case OA_ROUTES_JSON_FIRST_NAME:
        case OA_ROUTES_JSON_NAME:

            if (buf[pos] == '}'
                && reader->state == OA_ROUTES_JSON_FIRST_NAME)
            {
                return oa_routes_json_error(reader,
                                       "the document has no \"routes\"");
            }

            if (buf[pos] != '"') {
                return oa_routes_json_error(reader, "a name is expected");
            }

            rc = oa_routes_json_value(reader, &buf[pos], len - pos, last,
                                      JSON_DECODE_ANY, &value, &n);
            if (rc != NGX_OK) {
                return rc;
            }

            reader->state = OA_ROUTES_JSON_COLON;

            if (json_string_length(value) == oa_routes_json_routes.len
                && ngx_memcmp(json_string_value(value),
                              oa_routes_json_routes.data,
                              oa_routes_json_routes.len)
                   == 0)
            {
                reader->state = OA_ROUTES_JSON_ROWS_COLON;
            }

            json_decref(value);

            if (reader->state == OA_ROUTES_JSON_ROWS_COLON) {
                if (reader->seen) {
                    return oa_routes_json_error(reader,
                                                "\"routes\" occurs twice");
                }

                reader->seen = 1;
            }

            pos += n;
            break;

        case OA_ROUTES_JSON_COLON:
        case OA_ROUTES_JSON_ROWS_COLON:

            if (buf[pos] != ':') {
                return oa_routes_json_error(reader, "\":\" is expected");
            }

            pos++;
            reader->state = (reader->state == OA_ROUTES_JSON_COLON)
                            ? OA_ROUTES_JSON_VALUE : OA_ROUTES_JSON_ROWS;
            break;

        case OA_ROUTES_JSON_VALUE:

            rc = oa_routes_json_value(reader, &buf[pos], len - pos, last,
                                      JSON_DECODE_ANY, &value, &n);
            if (rc != NGX_OK) {
                return rc;
            }

            json_decref(value);

            reader->line += oa_routes_json_lines(&buf[pos], n);
            pos += n;
            reader->state = OA_ROUTES_JSON_COMMA;
            break;

        case OA_ROUTES_JSON_ROWS:

            if (buf[pos] != '[') {
                return oa_routes_json_error(reader,
                                            "\"routes\" is not an array");
            }

            pos++;
            reader->state = OA_ROUTES_JSON_FIRST_ROW;
            break;

        case OA_ROUTES_JSON_FIRST_ROW:
        case OA_ROUTES_JSON_ROW:

            if (buf[pos] == ']'
                && reader->state == OA_ROUTES_JSON_FIRST_ROW)
            {
                pos++;
                reader->state = OA_ROUTES_JSON_COMMA;
                break;
            }

            if (buf[pos] != '{') {
                return oa_routes_json_error(reader,
                                            "a route is not an object");
            }

            rc = oa_routes_json_value(reader, &buf[pos], len - pos, last,
                                      JSON_REJECT_DUPLICATES, &value, &n);
            if (rc != NGX_OK) {
                return rc;
            }

            rc = oa_routes_json_route(reader, value, row, data);

            json_decref(value);

            if (rc != NGX_OK) {
                return NGX_ERROR;
            }

            reader->line += oa_routes_json_lines(&buf[pos], n);
            pos += n;
            reader->state = OA_ROUTES_JSON_ROW_COMMA;
            break;

        case OA_ROUTES_JSON_ROW_COMMA:

            if (buf[pos] == ',') {
                reader->state = OA_ROUTES_JSON_ROW;

            } else if (buf[pos] == ']') {
                reader->state = OA_ROUTES_JSON_COMMA;

            } else {
                return oa_routes_json_error(reader,
                                   "\",\" or \"]\" is expected after a route");
            }

            pos++;
            break;

        case OA_ROUTES_JSON_COMMA:

            if (buf[pos] == ',') {
                reader->state = OA_ROUTES_JSON_NAME;

            } else if (buf[pos] != '}') {
                return oa_routes_json_error(reader,
                                            "\",\" or \"}\" is expected");

            } else if (!reader->seen) {
                return oa_routes_json_error(reader,
                                            "the document has no \"routes\"");

            } else {
                reader->state = OA_ROUTES_JSON_END;
            }

            pos++;
            break;

        case OA_ROUTES_JSON_END:

            return oa_routes_json_error(reader,
                                        "bytes after the document's end");
        }
    }
}


/*
 * One value, decoded by jansson.  A failure may only mean that the value is
 * not all there: it counts when no more bytes can come, or may.
 */

static ngx_int_t
oa_routes_json_value(oa_routes_json_t *reader, const u_char *p, size_t avail,
    unsigned last, size_t flags, json_t **value, size_t *used)
{
    size_t        len;
    json_t       *v;
    json_error_t  err;

    len = ngx_min(avail, OA_ROUTES_JSON_VALUE_MAX);

    v = json_loadb((const char *) p, len, flags | JSON_DISABLE_EOF_CHECK,
                   &err);

    if (v == NULL) {

        if (len < OA_ROUTES_JSON_VALUE_MAX) {
            if (!last) {
                return NGX_AGAIN;
            }

        } else if (json_error_code(&err) == json_error_premature_end_of_input
                   || (size_t) err.position + 8 > len)
        {
            /* cut inside a string's character, a literal or a number */
            return oa_routes_json_error(reader, "over 16 KiB");
        }

        if (err.line > 0) {
            reader->line += (ngx_uint_t) err.line - 1;
        }

        return oa_routes_json_error(reader,
                                oa_routes_json_text(json_error_code(&err)));
    }

    *used = (size_t) err.position;

    /* jansson passes over a zero byte behind a number */

    if (memchr(p, '\0', *used)) {
        json_decref(v);
        return oa_routes_json_error(reader, "a zero byte");
    }

    /* what has no delimiter at its end may go on */

    if (*used == len
        && !json_is_object(v) && !json_is_array(v) && !json_is_string(v))
    {
        if (len == OA_ROUTES_JSON_VALUE_MAX) {
            json_decref(v);
            return oa_routes_json_error(reader, "over 16 KiB");
        }

        if (!last) {
            json_decref(v);
            return NGX_AGAIN;
        }
    }

    *value = v;

    return NGX_OK;
}


/* jansson's own texts quote the document */

static const char *
oa_routes_json_text(enum json_error_code code)
{
    switch (code) {

    case json_error_out_of_memory:
        return "no memory";

    case json_error_premature_end_of_input:
        return "the document has no end";

    case json_error_invalid_utf8:
        return "not UTF-8";

    case json_error_null_character:
    case json_error_null_byte_in_key:
        return "a NUL in a string";

    case json_error_duplicate_key:
        return "a key occurs twice";

    case json_error_numeric_overflow:
        return "a number is out of range";

    case json_error_stack_overflow:
        return "nested too deeply";

    default:
        return "not JSON";
    }
}


static ngx_int_t
oa_routes_json_route(oa_routes_json_t *reader, json_t *object,
    oa_routes_json_row_pt row, void *data)
{
    u_char      *last, number[NGX_INT64_LEN];
    json_t      *value;
    ngx_str_t    cols[OA_COLS];
    ngx_uint_t   i, col;
    const char  *key, *why;
    oa_route_t   route;

    ngx_memzero(cols, sizeof(cols));

    last = number + NGX_INT64_LEN;
    col = 0;

    json_object_foreach(object, key, value) {

        /* keys are mostly in the order of the columns */

        for (i = 0; i < OA_COLS; i++) {
            if (ngx_strcmp(key, oa_route_columns[col].data) == 0) {
                break;
            }

            col = (col + 1) % OA_COLS;
        }

        if (i == OA_COLS || json_is_null(value)) {
            continue;
        }

        if (col == OA_COL_VERSION) {
            if (!json_is_integer(value) || json_integer_value(value) < 0) {
                return oa_routes_json_error(reader,
                                            oa_routes_json_types[col]);
            }

            cols[col].data = oa_routes_json_decimal(number, last,
                                        (uint64_t) json_integer_value(value));
            cols[col].len = last - cols[col].data;
            continue;
        }

        if (!json_is_string(value)) {
            return oa_routes_json_error(reader, oa_routes_json_types[col]);
        }

        cols[col].data = (u_char *) json_string_value(value);
        cols[col].len = json_string_length(value);
    }

    if (oa_route_parse(cols, &route, &why) != NGX_OK) {
        return oa_routes_json_error(reader, why);
    }

    if (row(data, &route) != NGX_OK) {
        return oa_routes_json_error(reader, reader->error ? reader->error
                                                          : "refused");
    }

    return NGX_OK;
}


static ngx_int_t
oa_routes_json_error(oa_routes_json_t *reader, const char *error)
{
    reader->error = error;

    return NGX_ERROR;
}


static ngx_uint_t
oa_routes_json_lines(const u_char *p, size_t len)
{
    ngx_uint_t     n;
    const u_char  *last;

    n = 0;
    last = p + len;

    while (p < last) {
        p = memchr(p, '\n', last - p);

        if (p == NULL) {
            break;
        }

        p++;
        n++;
    }

    return n;
}


u_char *
oa_routes_json_row(u_char *p, const oa_route_t *route)
{
    u_char  *q, *last, number[NGX_INT64_LEN];

    /* the first one is never empty */

    p = oa_routes_json_member(p, OA_COL_SUBDOMAIN, &route->subdomain);
    p = oa_routes_json_member(p, OA_COL_ROUTE_ID, &route->route_id);
    p = oa_routes_json_member(p, OA_COL_USER_ID, &route->user_id);
    p = oa_routes_json_member(p, OA_COL_AGENT_ID, &route->agent_id);
    p = oa_routes_json_member(p, OA_COL_APP, &route->app);
    p = oa_routes_json_member(p, OA_COL_MACHINE, &route->machine);
    p = oa_routes_json_member(p, OA_COL_REGION, &route->region);
    p = oa_routes_json_member(p, OA_COL_STATUS,
                              oa_route_status_name(route->status));
    p = oa_routes_json_member(p, OA_COL_ACCESS,
                              oa_route_access_name(route->access));
    p = oa_routes_json_name(p, OA_COL_VERSION);

    last = number + NGX_INT64_LEN;
    q = oa_routes_json_decimal(number, last, route->version);

    p = ngx_cpymem(p, q, last - q);
    *p++ = '}';

    return p;
}


/* The grammars of a route leave nothing to escape. */

static u_char *
oa_routes_json_member(u_char *p, ngx_uint_t col, const ngx_str_t *value)
{
    if (value->len == 0) {
        return p;
    }

    p = oa_routes_json_name(p, col);
    *p++ = '"';
    p = ngx_cpymem(p, value->data, value->len);
    *p++ = '"';

    return p;
}


static u_char *
oa_routes_json_name(u_char *p, ngx_uint_t col)
{
    *p++ = (col == OA_COL_SUBDOMAIN) ? '{' : ',';
    *p++ = '"';
    p = ngx_cpymem(p, oa_route_columns[col].data, oa_route_columns[col].len);
    *p++ = '"';
    *p++ = ':';

    return p;
}


/* Ends at last; returns where it begins. */

static u_char *
oa_routes_json_decimal(u_char *p, u_char *last, uint64_t n)
{
    do {
        *--last = (u_char) ('0' + n % 10);
        n /= 10;
    } while (n && last > p);

    return last;
}
