
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_json.h"
#include "oa_claims_int.h"


/* Up to so many names each is compared with each; more are sorted. */
#define OA_CLAIMS_FEW      32


/*
 * The names of all objects that are open lie one behind the other; each object
 * looks at its own when it closes.  A name has no zero byte, so that one of up
 * to 8 bytes is its key, and longer ones with one key are compared.
 */
typedef struct {
    uint64_t             key;          /* its first 8 bytes, or zeros */
    ngx_str_t            name;         /* unescaped */
} oa_claims_name_t;

typedef struct {
    const u_char        *last;
    ngx_uint_t           depth;
    ngx_uint_t           nnames;
    u_char              *text;         /* free bytes of buf */
    u_char               buf[OA_CLAIMS_MAX];

    /* '"":' and a value are 4 bytes */
    oa_claims_name_t     names[OA_CLAIMS_MAX / 4];
} oa_claims_scan_t;


static const u_char *oa_claims_value(oa_claims_scan_t *s, const u_char *p,
    oa_claim_t *claim);
static const u_char *oa_claims_object(oa_claims_scan_t *s, const u_char *p,
    oa_claims_t *claims);
static const u_char *oa_claims_array(oa_claims_scan_t *s, const u_char *p);
static const u_char *oa_claims_string(const u_char *p, const u_char *last,
    oa_claim_t *claim);
static const u_char *oa_claims_escape(const u_char *p, const u_char *last);
static const u_char *oa_claims_literal(const u_char *p, const u_char *last,
    oa_claim_t *claim);
static oa_claims_name_t *oa_claims_name(oa_claims_scan_t *s,
    const oa_claim_t *name);
static uint64_t oa_claims_key(const ngx_str_t *name, const u_char *last);
static oa_claim_t *oa_claims_known(oa_claims_t *claims,
    const oa_claims_name_t *name);
static ngx_uint_t oa_claims_unique(oa_claims_name_t *names, ngx_uint_t n);
static ngx_uint_t oa_claims_same(const oa_claims_name_t *a,
    const oa_claims_name_t *b);
static ngx_int_t oa_claims_order(const oa_claims_name_t *a,
    const oa_claims_name_t *b);
static void oa_claims_sort(oa_claims_name_t *names, ngx_uint_t n);


typedef struct {
    u_char               name[16];     /* and zeros */
    size_t               len;
    size_t               offset;
} oa_claims_known_t;


#define oa_claims_known_claim(name)                                           \
    { #name, sizeof(#name) - 1, offsetof(oa_claims_t, name) }

/* in the order in which Supabase writes them */

static const oa_claims_known_t  oa_claims_knowns[] = {
    oa_claims_known_claim(iss),
    oa_claims_known_claim(sub),
    oa_claims_known_claim(aud),
    oa_claims_known_claim(exp),
    oa_claims_known_claim(iat),
    oa_claims_known_claim(role),
    oa_claims_known_claim(session_id),
    oa_claims_known_claim(is_anonymous),
    oa_claims_known_claim(client_id),
    oa_claims_known_claim(nbf)
};


typedef struct {
    oa_claim_type_e      type;
    ngx_str_t            text;
} oa_claims_literal_t;

static const oa_claims_literal_t  oa_claims_literals[] = {
    { OA_CLAIM_FALSE, ngx_string("false") },
    { OA_CLAIM_TRUE, ngx_string("true") },
    { OA_CLAIM_NULL, ngx_string("null") }
};


ngx_int_t
oa_claims_scan(const u_char *json, size_t len, oa_claims_t *claims)
{
    const u_char      *p;
    oa_claims_scan_t   s;

    ngx_memzero(claims, sizeof(oa_claims_t));

    if (len > OA_CLAIMS_MAX) {
        return NGX_ERROR;
    }

    s.last = json + len;
    s.depth = 0;
    s.nnames = 0;
    s.text = s.buf;

    p = oa_claims_space(json, s.last);

    if (p == s.last || *p != '{') {
        return NGX_ERROR;
    }

    p = oa_claims_object(&s, p, claims);

    if (p == NULL || oa_claims_space(p, s.last) != s.last) {
        ngx_memzero(claims, sizeof(oa_claims_t));
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* These return the end of what is at p, or NULL. */

static const u_char *
oa_claims_value(oa_claims_scan_t *s, const u_char *p, oa_claim_t *claim)
{
    const u_char  *end;

    if (p == s->last) {
        return NULL;
    }

    claim->escaped = 0;

    switch (*p) {

    case '"':
        return oa_claims_string(p + 1, s->last, claim);

    case '{':
        claim->type = OA_CLAIM_OBJECT;
        end = oa_claims_object(s, p, NULL);
        break;

    case '[':
        claim->type = OA_CLAIM_ARRAY;
        end = oa_claims_array(s, p);
        break;

    case 'f':
    case 'n':
    case 't':
        end = oa_claims_literal(p, s->last, claim);
        break;

    default:
        claim->type = OA_CLAIM_NUMBER;
        end = oa_claims_number_end(p, s->last);
        break;
    }

    if (end) {
        claim->raw.data = (u_char *) p;
        claim->raw.len = end - p;
    }

    return end;
}


/* claims is NULL but for the outermost one */

static const u_char *
oa_claims_object(oa_claims_scan_t *s, const u_char *p, oa_claims_t *claims)
{
    oa_claim_t         value, *claim;
    ngx_uint_t         first;
    oa_claims_name_t  *name;

    if (++s->depth > OA_CLAIMS_DEPTH) {
        return NULL;
    }

    first = s->nnames;

    p = oa_claims_space(p + 1, s->last);

    if (p < s->last && *p == '}') {
        s->depth--;
        return p + 1;
    }

    for ( ;; ) {

        if (p == s->last || *p != '"') {
            return NULL;
        }

        p = oa_claims_string(p + 1, s->last, &value);
        if (p == NULL) {
            return NULL;
        }

        name = oa_claims_name(s, &value);

        p = oa_claims_space(p, s->last);

        if (p == s->last || *p != ':') {
            return NULL;
        }

        p = oa_claims_space(p + 1, s->last);

        claim = claims ? oa_claims_known(claims, name) : NULL;

        p = oa_claims_value(s, p, claim ? claim : &value);
        if (p == NULL) {
            return NULL;
        }

        p = oa_claims_space(p, s->last);

        if (p == s->last || (*p != ',' && *p != '}')) {
            return NULL;
        }

        if (*p++ == '}') {
            break;
        }

        p = oa_claims_space(p, s->last);
    }

    if (!oa_claims_unique(&s->names[first], s->nnames - first)) {
        return NULL;
    }

    s->nnames = first;
    s->depth--;

    return p;
}


static const u_char *
oa_claims_array(oa_claims_scan_t *s, const u_char *p)
{
    oa_claim_t  value;

    if (++s->depth > OA_CLAIMS_DEPTH) {
        return NULL;
    }

    p = oa_claims_space(p + 1, s->last);

    if (p < s->last && *p == ']') {
        s->depth--;
        return p + 1;
    }

    for ( ;; ) {

        p = oa_claims_value(s, p, &value);
        if (p == NULL) {
            return NULL;
        }

        p = oa_claims_space(p, s->last);

        if (p == s->last || (*p != ',' && *p != ']')) {
            return NULL;
        }

        if (*p++ == ']') {
            break;
        }

        p = oa_claims_space(p, s->last);
    }

    s->depth--;

    return p;
}


/* p is behind the quote */

static const u_char *
oa_claims_string(const u_char *p, const u_char *last, oa_claim_t *claim)
{
    ngx_uint_t  valid;

    claim->type = OA_CLAIM_STRING;
    claim->raw.data = (u_char *) p;
    claim->escaped = 0;

    for ( ;; ) {

        p = oa_claims_plain(p, last);

        if (p == last || *p < 0x20) {
            return NULL;
        }

        if (*p == '"') {
            claim->raw.len = p - claim->raw.data;
            return p + 1;
        }

        if (*p == '\\') {
            claim->escaped = 1;

            p = oa_claims_escape(p + 1, last);
            if (p == NULL) {
                return NULL;
            }

            continue;
        }

        p += oa_json_utf8(p, last, &valid);

        if (!valid) {
            return NULL;
        }
    }
}


/* p is behind the backslash */

static const u_char *
oa_claims_escape(const u_char *p, const u_char *last)
{
    int32_t  c;

    if (p == last) {
        return NULL;
    }

    if (*p != 'u') {
        return oa_claims_escapes[*p] ? p + 1 : NULL;
    }

    if (last - p < 5) {
        return NULL;
    }

    c = oa_claims_hex(p + 1);
    p += 5;

    if (c <= 0 || (c >= 0xdc00 && c <= 0xdfff)) {
        return NULL;
    }

    if (c < 0xd800 || c > 0xdfff) {
        return p;
    }

    /* the first one of a pair */

    if (last - p < 6 || p[0] != '\\' || p[1] != 'u') {
        return NULL;
    }

    c = oa_claims_hex(p + 2);

    return (c >= 0xdc00 && c <= 0xdfff) ? p + 6 : NULL;
}


static const u_char *
oa_claims_literal(const u_char *p, const u_char *last, oa_claim_t *claim)
{
    ngx_uint_t                  i;
    const oa_claims_literal_t  *literal;

    for (i = 0; i < sizeof(oa_claims_literals) / sizeof(literal[0]); i++) {
        literal = &oa_claims_literals[i];

        if ((size_t) (last - p) >= literal->text.len
            && ngx_memcmp(p, literal->text.data, literal->text.len) == 0)
        {
            claim->type = literal->type;
            return p + literal->text.len;
        }
    }

    return NULL;
}


/* Puts a name on the stack. */

static oa_claims_name_t *
oa_claims_name(oa_claims_scan_t *s, const oa_claim_t *raw)
{
    const u_char      *p, *end;
    oa_claims_name_t  *name;

    name = &s->names[s->nnames++];
    name->name = raw->raw;

    if (!raw->escaped) {
        name->key = oa_claims_key(&name->name, s->last);
        return name;
    }

    p = raw->raw.data;
    end = p + raw->raw.len;

    name->name.data = s->text;

    while (p < end) {
        s->text += oa_claims_unescape(&p, s->text);
    }

    name->name.len = s->text - name->name.data;
    name->key = oa_claims_key(&name->name, s->text);

    return name;
}


/* Bytes up to last can be read. */

static uint64_t
oa_claims_key(const ngx_str_t *name, const u_char *last)
{
    u_char    text[8];
    uint64_t  key, mask;

    static const u_char  masks[9][8] = {
        { 0 },
        { 0xff },
        { 0xff, 0xff },
        { 0xff, 0xff, 0xff },
        { 0xff, 0xff, 0xff, 0xff },
        { 0xff, 0xff, 0xff, 0xff, 0xff },
        { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
        { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
        { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }
    };

    if (last - name->data >= 8) {
        ngx_memcpy(&key, name->data, 8);
        ngx_memcpy(&mask, masks[ngx_min(name->len, 8)], 8);

        return key & mask;
    }

    ngx_memzero(text, 8);
    ngx_memcpy(text, name->data, name->len);
    ngx_memcpy(&key, text, 8);

    return key;
}


/* Where the value goes of a name that everybody needs; or NULL. */

static oa_claim_t *
oa_claims_known(oa_claims_t *claims, const oa_claims_name_t *name)
{
    uint64_t                  key;
    ngx_uint_t                i;
    const oa_claims_known_t  *known;

    for (i = 0; i < sizeof(oa_claims_knowns) / sizeof(known[0]); i++) {
        known = &oa_claims_knowns[i];

        ngx_memcpy(&key, known->name, 8);

        if (key == name->key
            && known->len == name->name.len
            && ngx_memcmp(known->name, name->name.data, known->len) == 0)
        {
            return (oa_claim_t *) ((u_char *) claims + known->offset);
        }
    }

    return NULL;
}


static ngx_uint_t
oa_claims_unique(oa_claims_name_t *names, ngx_uint_t n)
{
    ngx_uint_t  i, j;

    if (n > OA_CLAIMS_FEW) {
        oa_claims_sort(names, n);

        for (i = 1; i < n; i++) {
            if (oa_claims_same(&names[i - 1], &names[i])) {
                return 0;
            }
        }

        return 1;
    }

    for (i = 1; i < n; i++) {
        for (j = 0; j < i; j++) {
            if (names[i].key == names[j].key
                && oa_claims_same(&names[i], &names[j]))
            {
                return 0;
            }
        }
    }

    return 1;
}


static ngx_uint_t
oa_claims_same(const oa_claims_name_t *a, const oa_claims_name_t *b)
{
    return a->key == b->key
           && a->name.len == b->name.len
           && ngx_memcmp(a->name.data, b->name.data, a->name.len) == 0;
}


/* Any order will do. */

static ngx_int_t
oa_claims_order(const oa_claims_name_t *a, const oa_claims_name_t *b)
{
    if (a->key != b->key) {
        return (a->key < b->key) ? -1 : 1;
    }

    if (a->name.len != b->name.len) {
        return (a->name.len < b->name.len) ? -1 : 1;
    }

    return ngx_memcmp(a->name.data, b->name.data, a->name.len);
}


/*
 * Shell's, with Sedgewick's gaps: n^(4/3) whatever the order of the names,
 * which may be a user's; and the C library's may allocate.
 */

static void
oa_claims_sort(oa_claims_name_t *names, ngx_uint_t n)
{
    ngx_uint_t        i, j, g, gap;
    oa_claims_name_t  name;

    static const ngx_uint_t  gaps[] = { 1073, 281, 77, 23, 8, 1 };

    for (g = 0; g < sizeof(gaps) / sizeof(gaps[0]); g++) {
        gap = gaps[g];

        for (i = gap; i < n; i++) {
            name = names[i];

            for (j = i;
                 j >= gap && oa_claims_order(&name, &names[j - gap]) < 0;
                 j -= gap)
            {
                names[j] = names[j - gap];
            }

            names[j] = name;
        }
    }
}
