
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_walk.h"


#define OA_WALK_COUNT_MAX  (((int64_t) 1 << 53) - 1)

/* No path leads here. */
#define OA_WALK_NOWHERE    OA_WALK_NODES


/* What is to come next. */
typedef enum {
    OA_WALK_VALUE = 0,
    OA_WALK_FIRST_VALUE,               /* or the end of the array */
    OA_WALK_FIRST_NAME,                /* or the end of the object */
    OA_WALK_NAME,
    OA_WALK_AFTER                      /* a value has ended */
} oa_walk_state_e;

/* An object or array that is open. */
typedef struct {
    ngx_uint_t           node;
    ngx_uint_t           count;        /* of its members or elements */
    const u_char        *start;
    ngx_uint_t           object;
} oa_walk_level_t;


static ngx_uint_t oa_walk_child(const oa_walk_node_t *nodes, ngx_uint_t n,
    ngx_uint_t parent, const u_char *name, size_t len);
static const u_char *oa_walk_space(const u_char *p, const u_char *last);
static const u_char *oa_walk_scalar(const u_char *p, const u_char *last);
static const u_char *oa_walk_quoted(const u_char *p, const u_char *last);
static const u_char *oa_walk_number(const u_char *p, const u_char *last);
static const u_char *oa_walk_digits(const u_char *p, const u_char *last);
static uint32_t oa_walk_unit(const u_char *p);
static u_char *oa_walk_utf8(u_char *dst, uint32_t c);
static ngx_uint_t oa_walk_note(ngx_str_t *values, ngx_uint_t node,
    const u_char *start, const u_char *end);


static const ngx_str_t  oa_walk_literals[] = {
    ngx_string("true"),
    ngx_string("false"),
    ngx_string("null"),
    ngx_null_string
};


ngx_int_t
oa_walk(const ngx_str_t *json, const oa_walk_node_t *nodes, ngx_uint_t n,
    ngx_str_t *values, ngx_uint_t *members)
{
    ngx_uint_t        node, depth;
    const u_char     *p, *q, *last;
    oa_walk_state_e   state;
    oa_walk_level_t  *level, levels[OA_WALK_DEPTH];

    ngx_memzero(values, n * sizeof(ngx_str_t));

    if (members) {
        *members = 0;
    }

    p = json->data;
    last = p + json->len;
    level = NULL;
    depth = 0;
    node = 0;
    state = OA_WALK_VALUE;

    for ( ;; ) {

        p = oa_walk_space(p, last);

        if (p == last) {
            return NGX_ERROR;
        }

        switch (state) {

        case OA_WALK_FIRST_NAME:
        case OA_WALK_NAME:

            if (*p == '}' && state == OA_WALK_FIRST_NAME) {
                state = OA_WALK_AFTER;
                continue;
            }

            q = (*p == '"') ? oa_walk_quoted(p, last) : NULL;

            if (q == NULL) {
                return NGX_ERROR;
            }

            /* an empty name is an element's */

            node = (q - p > 2) ? oa_walk_child(nodes, n, level->node, p + 1,
                                               q - p - 2)
                               : OA_WALK_NOWHERE;
            level->count++;

            p = oa_walk_space(q, last);

            if (p == last || *p != ':') {
                return NGX_ERROR;
            }

            p++;
            state = OA_WALK_VALUE;
            continue;

        case OA_WALK_FIRST_VALUE:

            if (*p == ']') {
                state = OA_WALK_AFTER;
                continue;
            }

            node = oa_walk_child(nodes, n, level->node, p, 0);
            level->count++;

            /* fall through */

        case OA_WALK_VALUE:

            if (*p == '{' || *p == '[') {

                if (depth == OA_WALK_DEPTH) {
                    return NGX_ERROR;
                }

                level = &levels[depth++];
                level->node = node;
                level->count = 0;
                level->start = p;
                level->object = (*p++ == '{');

                state = level->object ? OA_WALK_FIRST_NAME
                                      : OA_WALK_FIRST_VALUE;
                continue;
            }

            q = oa_walk_scalar(p, last);

            if (q == NULL || oa_walk_note(values, node, p, q) != NGX_OK) {
                return NGX_ERROR;
            }

            p = q;
            break;

        case OA_WALK_AFTER:

            if (*p == ',') {
                p++;
                node = OA_WALK_NOWHERE;
                state = level->object ? OA_WALK_NAME : OA_WALK_VALUE;
                continue;
            }

            if (*p++ != (level->object ? '}' : ']')
                || oa_walk_note(values, level->node, level->start, p)
                   != NGX_OK)
            {
                return NGX_ERROR;
            }

            if (--depth == 0 && members && level->object) {
                *members = level->count;
            }

            level = depth ? &levels[depth - 1] : NULL;
            break;
        }

        /* a value has ended */

        if (depth == 0) {
            return oa_walk_space(p, last) == last ? NGX_OK : NGX_ERROR;
        }

        state = OA_WALK_AFTER;
    }
}


static ngx_uint_t
oa_walk_child(const oa_walk_node_t *nodes, ngx_uint_t n, ngx_uint_t parent,
    const u_char *name, size_t len)
{
    ngx_uint_t  i;

    if (parent == OA_WALK_NOWHERE) {
        return OA_WALK_NOWHERE;
    }

    for (i = parent + 1; i < n; i++) {
        if (nodes[i].parent == parent
            && nodes[i].name.len == len
            && (len == 0 || ngx_memcmp(nodes[i].name.data, name, len) == 0))
        {
            return i;
        }
    }

    return OA_WALK_NOWHERE;
}


static const u_char *
oa_walk_space(const u_char *p, const u_char *last)
{
    while (p < last && (*p == ' ' || *p == '\t' || *p == CR || *p == LF)) {
        p++;
    }

    return p;
}


/* Where a string, number or literal ends; NULL: it is none. */

static const u_char *
oa_walk_scalar(const u_char *p, const u_char *last)
{
    const ngx_str_t  *literal;

    if (*p == '"') {
        return oa_walk_quoted(p, last);
    }

    if (*p == '-' || (*p >= '0' && *p <= '9')) {
        return oa_walk_number(p, last);
    }

    for (literal = oa_walk_literals; literal->len; literal++) {
        if ((size_t) (last - p) >= literal->len
            && ngx_memcmp(p, literal->data, literal->len) == 0)
        {
            return p + literal->len;
        }
    }

    return NULL;
}


static const u_char *
oa_walk_quoted(const u_char *p, const u_char *last)
{
    u_char      c;
    ngx_uint_t  i;

    for (p++; p < last; p++) {

        if (*p == '"') {
            return p + 1;
        }

        if (*p < 0x20) {
            return NULL;
        }

        if (*p != '\\') {
            continue;
        }

        if (++p == last) {
            return NULL;
        }

        if (*p != 'u') {
            if (*p == '\0' || strchr("\"\\/bfnrt", *p) == NULL) {
                return NULL;
            }

            continue;
        }

        for (i = 0; i < 4; i++) {
            if (++p == last) {
                return NULL;
            }

            c = (u_char) (*p | 0x20);

            if ((c < '0' || c > '9') && (c < 'a' || c > 'f')) {
                return NULL;
            }
        }
    }

    return NULL;
}


static const u_char *
oa_walk_number(const u_char *p, const u_char *last)
{
    if (*p == '-') {
        p++;
    }

    /* a zero stands alone */

    p = (p < last && *p == '0') ? p + 1 : oa_walk_digits(p, last);

    if (p && p < last && *p == '.') {
        p = oa_walk_digits(p + 1, last);
    }

    if (p && p < last && (*p == 'e' || *p == 'E')) {
        p++;

        if (p < last && (*p == '+' || *p == '-')) {
            p++;
        }

        p = oa_walk_digits(p, last);
    }

    return p;
}


/* Behind at least one of them; NULL: there is none. */

static const u_char *
oa_walk_digits(const u_char *p, const u_char *last)
{
    const u_char  *start;

    for (start = p; p < last && *p >= '0' && *p <= '9'; p++) {
        /* void */
    }

    return p == start ? NULL : p;
}


static ngx_uint_t
oa_walk_note(ngx_str_t *values, ngx_uint_t node, const u_char *start,
    const u_char *end)
{
    if (node == OA_WALK_NOWHERE) {
        return NGX_OK;
    }

    if (values[node].data) {
        return NGX_ERROR;
    }

    values[node].data = (u_char *) start;
    values[node].len = end - start;

    return NGX_OK;
}


ngx_uint_t
oa_walk_is(const ngx_str_t *value)
{
    return value->data
           && (value->len != 4 || ngx_memcmp(value->data, "null", 4) != 0);
}


ngx_uint_t
oa_walk_string(const ngx_str_t *value, ngx_str_t *text)
{
    if (value->len < 2 || value->data[0] != '"') {
        return 0;
    }

    text->data = value->data + 1;
    text->len = value->len - 2;

    return 1;
}


u_char *
oa_walk_decode(u_char *dst, const ngx_str_t *text)
{
    uint32_t       c, low;
    const u_char  *p, *last, *escape;

    static const u_char  plain[] = "\"\\/bfnrt";
    static const u_char  meant[] = "\"\\/\b\f\n\r\t";

    p = text->data;
    last = p + text->len;

    while (p < last) {

        if (*p != '\\') {
            *dst++ = *p++;
            continue;
        }

        /* all escapes are whole: it was walked */

        p++;

        if (*p != 'u') {
            escape = memchr(plain, *p++, sizeof(plain) - 1);

            if (escape) {
                *dst++ = meant[escape - plain];
            }

            continue;
        }

        c = oa_walk_unit(p + 1);
        p += 5;

        if (c >= 0xd800 && c <= 0xdfff) {
            low = (c <= 0xdbff && last - p >= 6 && p[0] == '\\'
                   && p[1] == 'u')
                  ? oa_walk_unit(p + 2) : 0;

            if (low >= 0xdc00 && low <= 0xdfff) {
                c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
                p += 6;

            } else {
                c = 0xfffd;
            }
        }

        dst = oa_walk_utf8(dst, c);
    }

    return dst;
}


/* Four hexadecimal digits. */

static uint32_t
oa_walk_unit(const u_char *p)
{
    uint32_t    c;
    ngx_uint_t  i;

    c = 0;

    for (i = 0; i < 4; i++) {
        c = (c << 4) | (uint32_t) (p[i] <= '9' ? p[i] - '0'
                                               : (p[i] | 0x20) - 'a' + 10);
    }

    return c;
}


static u_char *
oa_walk_utf8(u_char *dst, uint32_t c)
{
    if (c < 0x80) {
        *dst++ = (u_char) c;
        return dst;
    }

    if (c < 0x800) {
        *dst++ = (u_char) (0xc0 | (c >> 6));

    } else {

        if (c < 0x10000) {
            *dst++ = (u_char) (0xe0 | (c >> 12));

        } else {
            *dst++ = (u_char) (0xf0 | (c >> 18));
            *dst++ = (u_char) (0x80 | ((c >> 12) & 0x3f));
        }

        *dst++ = (u_char) (0x80 | ((c >> 6) & 0x3f));
    }

    *dst++ = (u_char) (0x80 | (c & 0x3f));

    return dst;
}


int64_t
oa_walk_count(const ngx_str_t *value)
{
    size_t   i;
    int64_t  n;

    if (value->len == 0 || value->len > 16) {
        return -1;
    }

    n = 0;

    for (i = 0; i < value->len; i++) {
        if (value->data[i] < '0' || value->data[i] > '9') {
            return -1;
        }

        n = n * 10 + (value->data[i] - '0');
    }

    return n > OA_WALK_COUNT_MAX ? -1 : n;
}
