
/*
 * Reads what oa_claims_scan() has accepted: nothing is checked again, and what
 * is begun also ends.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_claims_int.h"


static const u_char *oa_claims_step(const u_char *p, const u_char *last,
    u_char *buf, ngx_str_t *name);
static void oa_claims_index(const oa_claim_t *array, const ngx_str_t *index,
    oa_claim_t *member);
static const u_char *oa_claims_read(const u_char *p, const u_char *last,
    oa_claim_t *claim);
static const u_char *oa_claims_read_string(const u_char *p,
    const u_char *last, oa_claim_t *claim);
static const u_char *oa_claims_read_nested(const u_char *p,
    const u_char *last);
static const u_char *oa_claims_read_word(const u_char *p);


/* By the first byte; any other begins a number. */

static const u_char  oa_claims_types[256] = {
    ['"'] = OA_CLAIM_STRING,
    ['['] = OA_CLAIM_ARRAY,
    ['f'] = OA_CLAIM_FALSE,
    ['n'] = OA_CLAIM_NULL,
    ['t'] = OA_CLAIM_TRUE,
    ['{'] = OA_CLAIM_OBJECT
};


void
oa_claims_find(const u_char *json, size_t len, const ngx_str_t *path,
    oa_claim_t *claim)
{
    u_char         buf[OA_CLAIMS_MAX];
    ngx_str_t      name;
    oa_claim_t     parent;
    const u_char  *p, *last;

    ngx_memzero(claim, sizeof(oa_claim_t));

    if (len == 0 || path->len == 0) {
        return;
    }

    last = json + len;
    (void) oa_claims_read(oa_claims_space(json, last), last, claim);

    p = path->data;
    last = p + path->len;

    for ( ;; ) {
        parent = *claim;
        ngx_memzero(claim, sizeof(oa_claim_t));

        p = oa_claims_step(p, last, buf, &name);

        if (p == NULL) {
            return;
        }

        if (parent.type == OA_CLAIM_ARRAY) {
            oa_claims_index(&parent, &name, claim);

        } else {
            oa_claim_member(&parent, &name, claim);
        }

        if (p == last || claim->type == OA_CLAIM_ABSENT) {
            return;
        }

        p++;                           /* the dot */
    }
}


ngx_uint_t
oa_claims_is_path(const ngx_str_t *path)
{
    u_char         buf[OA_CLAIMS_MAX];
    ngx_str_t      name;
    const u_char  *p, *last;

    if (path->len == 0) {
        return 0;
    }

    p = path->data;
    last = p + path->len;

    for ( ;; ) {
        p = oa_claims_step(p, last, buf, &name);

        if (p == NULL || p == last) {
            return p != NULL;
        }

        p++;                           /* the dot */
    }
}


/* The name at p in a path, unescaped into buf; returns its end, or NULL. */

static const u_char *
oa_claims_step(const u_char *p, const u_char *last, u_char *buf,
    ngx_str_t *name)
{
    name->data = buf;
    name->len = 0;

    for ( /* void */ ; p < last && *p != '.'; p++) {

        if (*p == '\\') {
            p++;

            if (p == last || (*p != '.' && *p != '\\')) {
                return NULL;
            }
        }

        if (name->len == OA_CLAIMS_MAX) {
            return NULL;
        }

        buf[name->len++] = *p;
    }

    return p;
}


static void
oa_claims_index(const oa_claim_t *array, const ngx_str_t *index,
    oa_claim_t *member)
{
    ngx_int_t      n;
    const u_char  *p;

    n = ngx_atoi(index->data, index->len);

    if (n == NGX_ERROR || (index->data[0] == '0' && index->len > 1)) {
        return;
    }

    p = NULL;

    do {
        if (oa_claim_next(array, &p, member) != NGX_OK) {
            ngx_memzero(member, sizeof(oa_claim_t));
            return;
        }

    } while (n--);
}


void
oa_claim_member(const oa_claim_t *object, const ngx_str_t *name,
    oa_claim_t *member)
{
    oa_claim_t     key;
    const u_char  *p, *last;

    if (object->type == OA_CLAIM_OBJECT) {

        p = object->raw.data;
        last = p + object->raw.len;

        p = oa_claims_space(p + 1, last);

        while (*p != '}') {
            p = oa_claims_read(p, last, &key);
            p = oa_claims_space(p, last) + 1;          /* ":" */
            p = oa_claims_space(p, last);

            p = oa_claims_read(p, last, member);

            if (oa_claim_is(&key, name)) {
                return;
            }

            p = oa_claims_space(p, last);

            if (*p == ',') {
                p = oa_claims_space(p + 1, last);
            }
        }
    }

    ngx_memzero(member, sizeof(oa_claim_t));
}


ngx_int_t
oa_claim_next(const oa_claim_t *array, const u_char **next,
    oa_claim_t *member)
{
    const u_char  *p, *last;

    if (array->type != OA_CLAIM_ARRAY) {
        return NGX_DONE;
    }

    p = *next;
    last = array->raw.data + array->raw.len;

    if (p == NULL) {
        p = oa_claims_space(array->raw.data + 1, last);
    }

    if (*p == ']') {
        return NGX_DONE;
    }

    p = oa_claims_read(p, last, member);
    p = oa_claims_space(p, last);

    if (*p == ',') {
        p = oa_claims_space(p + 1, last);
    }

    *next = p;

    return NGX_OK;
}


/* The value at p; returns its end. */

static const u_char *
oa_claims_read(const u_char *p, const u_char *last, oa_claim_t *claim)
{
    const u_char  *end;

    claim->type = oa_claims_types[*p];
    claim->escaped = 0;

    switch (claim->type) {

    case OA_CLAIM_STRING:
        return oa_claims_read_string(p + 1, last, claim);

    case OA_CLAIM_ARRAY:
    case OA_CLAIM_OBJECT:
        end = oa_claims_read_nested(p, last);
        break;

    case OA_CLAIM_ABSENT:
        claim->type = OA_CLAIM_NUMBER;
        /* fall through */

    default:
        end = oa_claims_read_word(p);
        break;
    }

    claim->raw.data = (u_char *) p;
    claim->raw.len = end - p;

    return end;
}


/* p is behind the quote */

static const u_char *
oa_claims_read_string(const u_char *p, const u_char *last, oa_claim_t *claim)
{
    claim->raw.data = (u_char *) p;

    for ( ;; ) {
        p = oa_claims_plain(p, last);

        if (*p == '"') {
            break;
        }

        if (*p == '\\') {
            claim->escaped = 1;
            p++;
        }

        p++;
    }

    claim->raw.len = p - claim->raw.data;

    return p + 1;
}


static const u_char *
oa_claims_read_nested(const u_char *p, const u_char *last)
{
    oa_claim_t  string;
    ngx_uint_t  depth;

    depth = 0;

    for ( ;; ) {

        switch (*p) {

        case '"':
            p = oa_claims_read_string(p + 1, last, &string);
            continue;

        case '[':
        case '{':
            depth++;
            break;

        case ']':
        case '}':
            if (--depth == 0) {
                return p + 1;
            }

            break;
        }

        p++;
    }
}


/* A number or a literal. */

static const u_char *
oa_claims_read_word(const u_char *p)
{
    while (*p != ',' && *p != ']' && *p != '}' && !oa_claims_is_space(*p)) {
        p++;
    }

    return p;
}
