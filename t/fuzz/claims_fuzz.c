
/*
 * Claims: the verdict of oa_claims_scan(), the claims that it finds, and every
 * value by its path, as jansson has them.
 */


#include "fuzz.h"
#include <jansson.h>
#include <math.h>
#include "oa_claims.h"
#include "oa_require.h"


/* A path of OA_CLAIMS_DEPTH names, each byte of which may be escaped. */
#define FUZZ_PATH  (2 * OA_CLAIMS_MAX + OA_CLAIMS_DEPTH)


typedef struct {
    u_char      *json;
    size_t       len;
    size_t       path_len;
    u_char       path[FUZZ_PATH];
} fuzz_doc_t;


#define known(name)  { #name, offsetof(oa_claims_t, name) }

static const struct {
    const char  *name;
    size_t       offset;
} knowns[] = {
    known(iss),
    known(sub),
    known(aud),
    known(exp),
    known(nbf),
    known(iat),
    known(role),
    known(session_id),
    known(client_id),
    known(is_anonymous)
};


static size_t
depth(const json_t *value)
{
    size_t       i, deepest;
    json_t      *member;
    const char  *key;

    deepest = 0;

    if (json_is_array(value)) {
        json_array_foreach(value, i, member) {
            deepest = ngx_max(deepest, depth(member));
        }

        return deepest + 1;
    }

    if (json_is_object(value)) {
        json_object_foreach((json_t *) value, key, member) {
            deepest = ngx_max(deepest, depth(member));
        }

        return deepest + 1;
    }

    return 0;
}


/* jansson's verdict, and where ours is meant to be another. */

static json_t *
oracle(const u_char *json, size_t len)
{
    json_t        *root;
    json_error_t   err;

    /* it passes over a zero byte behind a number */

    if (len > OA_CLAIMS_MAX || memchr(json, '\0', len)) {
        return NULL;
    }

    root = json_loadb((const char *) json, len, JSON_REJECT_DUPLICATES, &err);

    if (!json_is_object(root) || depth(root) > OA_CLAIMS_DEPTH) {
        json_decref(root);
        return NULL;
    }

    return root;
}


static void
text_is(const oa_claim_t *claim, const char *want, size_t len)
{
    u_char     *buf;
    ngx_str_t   text, wanted;

    buf = fuzz_alloc(claim->raw.len);
    oa_claim_text(claim, buf, &text);

    wanted.len = len;
    wanted.data = fuzz_copy(want, len);

    must(fuzz_same(&text, &wanted));

    if (claim->type == OA_CLAIM_STRING) {
        must(oa_claim_is(claim, &wanted));

        if (len) {
            wanted.len--;
            must(!oa_claim_is(claim, &wanted));
            wanted.len++;

            wanted.data[len - 1] ^= 1;
        }
    }

    must(len == 0 || !oa_claim_is(claim, &wanted));

    free(wanted.data);
    free(buf);
}


static void
same(const json_t *want, const oa_claim_t *claim)
{
    double         number;
    json_t        *value;
    json_error_t   err;

    if (want == NULL) {
        must(claim->type == OA_CLAIM_ABSENT);
        text_is(claim, "", 0);
        return;
    }

    must((oa_claim_number(claim, &number) == NGX_OK)
         == json_is_number(want));

    switch (json_typeof(want)) {

    case JSON_NULL:
        must(claim->type == OA_CLAIM_NULL);
        text_is(claim, "", 0);
        break;

    case JSON_TRUE:
        must(claim->type == OA_CLAIM_TRUE);
        text_is(claim, "true", 4);
        break;

    case JSON_FALSE:
        must(claim->type == OA_CLAIM_FALSE);
        text_is(claim, "false", 5);
        break;

    case JSON_STRING:
        must(claim->type == OA_CLAIM_STRING);
        text_is(claim, json_string_value(want), json_string_length(want));
        break;

    case JSON_INTEGER:
    case JSON_REAL:
        must(claim->type == OA_CLAIM_NUMBER);
        must(number == json_number_value(want));
        break;

    case JSON_ARRAY:
    case JSON_OBJECT:
        must(claim->type
             == (json_is_array(want) ? OA_CLAIM_ARRAY : OA_CLAIM_OBJECT));

        value = json_loadb((const char *) claim->raw.data, claim->raw.len,
                           0, &err);
        must(value != NULL);
        must(json_equal(value, want));
        json_decref(value);
        break;
    }
}


static ngx_uint_t
holds(oa_require_op_e op, const oa_claim_t *claim, const ngx_str_t *value)
{
    u_char      *text;
    ngx_uint_t   rc;

    text = fuzz_alloc(claim->raw.len);
    rc = oa_require_holds(op, claim, value, text);
    free(text);

    must(rc <= 1);

    return rc;
}


/* What is so of any claim and any value. */

static void
conditions(const oa_claim_t *claim, const ngx_str_t *value)
{
    double      number;
    ngx_uint_t  eq, ne, gt, ge, lt, le, scalar;

    eq = holds(OA_REQUIRE_EQ, claim, value);
    ne = holds(OA_REQUIRE_NE, claim, value);
    gt = holds(OA_REQUIRE_GT, claim, value);
    ge = holds(OA_REQUIRE_GE, claim, value);
    lt = holds(OA_REQUIRE_LT, claim, value);
    le = holds(OA_REQUIRE_LE, claim, value);

    scalar = claim->type == OA_CLAIM_STRING
             || claim->type == OA_CLAIM_NUMBER
             || claim->type == OA_CLAIM_FALSE
             || claim->type == OA_CLAIM_TRUE;

    must(eq + ne == scalar);
    must(ge == (gt | (ge & le)) && le == (lt | (ge & le)));

    if (claim->type == OA_CLAIM_NUMBER
        && oa_claims_number(value, &number) == NGX_OK)
    {
        must(gt + lt + eq == 1 && ge == gt + eq && le == lt + eq);

    } else {
        must(gt + ge + lt + le == 0);
    }

    if (value->len == 0 || memchr(value->data, ',', value->len) == NULL) {
        must(holds(OA_REQUIRE_IN, claim, value) == eq);
    }

    must(holds(OA_REQUIRE_MATCH, claim, value) == 0);

    if (scalar && claim->type != OA_CLAIM_STRING) {
        must(holds(OA_REQUIRE_HAS, claim, value) == 0);
    }
}


static void
find(const fuzz_doc_t *doc, const u_char *path, size_t len, oa_claim_t *claim)
{
    ngx_str_t   s;

    s.len = len;
    s.data = fuzz_copy(path, len);

    ngx_memset(claim, 0xa5, sizeof(oa_claim_t));

    oa_claims_find(doc->json, doc->len, &s, claim);

    must(claim->raw.len == 0 || claim->raw.data >= doc->json);
    must(claim->raw.len == 0
         || claim->raw.data + claim->raw.len <= doc->json + doc->len);

    free(s.data);
}


/* Every value below this one, by its path. */

static void
walk(fuzz_doc_t *doc, json_t *value, const oa_claim_t *claim)
{
    char           index[NGX_INT_T_LEN + 1];
    size_t         i, len;
    u_char        *p;
    json_t        *member;
    ngx_str_t      name;
    oa_claim_t     got, other;
    const char    *key;
    const u_char  *next;

    len = doc->path_len;

    if (json_is_array(value)) {
        next = NULL;

        json_array_foreach(value, i, member) {
            must(oa_claim_next(claim, &next, &other) == NGX_OK);
            same(member, &other);

            p = doc->path + len;

            if (len) {
                *p++ = '.';
            }

            p = ngx_cpymem(p, index, sprintf(index, "%zu", i));
            doc->path_len = p - doc->path;

            find(doc, doc->path, doc->path_len, &got);
            must(got.raw.data == other.raw.data);
            must(got.raw.len == other.raw.len);
            same(member, &got);

            walk(doc, member, &got);
        }

        must(oa_claim_next(claim, &next, &other) == NGX_DONE);
    }

    if (json_is_object(value)) {
        json_object_foreach(value, key, member) {
            name.len = strlen(key);
            name.data = fuzz_copy(key, name.len);

            oa_claim_member(claim, &name, &other);
            same(member, &other);
            must(holds(OA_REQUIRE_HAS, claim, &name) == 1);

            free(name.data);

            p = doc->path + len;

            if (len) {
                *p++ = '.';
            }

            for (i = 0; key[i]; i++) {
                if (key[i] == '.' || key[i] == '\\') {
                    *p++ = '\\';
                }

                *p++ = (u_char) key[i];
            }

            doc->path_len = p - doc->path;

            /* a path that is one empty name would be no path */

            if (doc->path_len) {
                find(doc, doc->path, doc->path_len, &got);
                must(got.raw.data == other.raw.data);
                must(got.raw.len == other.raw.len);
                same(member, &got);

                walk(doc, member, &got);
            }
        }
    }

    doc->path_len = len;
}


/* The value at any path. */

static json_t *
look_up(json_t *value, const u_char *path, size_t len)
{
    char    *name, *end;
    size_t   i, n;

    if (len == 0) {
        return NULL;
    }

    name = (char *) fuzz_alloc(len + 1);
    i = 0;

    for ( ;; ) {

        for (n = 0; i < len && path[i] != '.'; i++) {

            if (path[i] == '\\') {
                i++;

                if (i == len || (path[i] != '.' && path[i] != '\\')) {
                    value = NULL;
                    goto done;
                }
            }

            name[n++] = (char) path[i];
        }

        name[n] = '\0';

        if (strlen(name) < n) {
            value = NULL;

        } else if (json_is_array(value)) {
            value = (n && n < 8 && strspn(name, "0123456789") == n
                     && (name[0] != '0' || n == 1))
                    ? json_array_get(value, strtoul(name, &end, 10)) : NULL;

        } else {
            value = json_object_get(value, name);
        }

        if (i++ == len) {
            break;
        }
    }

done:

    free(name);

    return value;
}


static void
numbers(const u_char *data, size_t len)
{
    double         number;
    json_t        *value;
    ngx_str_t      text;
    ngx_int_t      rc;
    json_error_t   err;

    text.len = len;
    text.data = fuzz_copy(data, len);

    rc = oa_claims_number(&text, &number);

    value = NULL;

    if (len && len <= OA_CLAIMS_MAX && data[0] > ' '
        && data[len - 1] > ' ' && memchr(data, '\0', len) == NULL)
    {
        value = json_loadb((const char *) data, len, JSON_DECODE_ANY, &err);
    }

    if (json_is_number(value)) {
        must(rc == NGX_OK);
        must(number == json_number_value(value));

    } else {
        must(rc == NGX_ERROR);
    }

    json_decref(value);
    free(text.data);
}


static void
scan(const u_char *json, size_t len, const u_char *path, size_t path_len)
{
    size_t        i;
    json_t       *root, *value;
    ngx_int_t     rc;
    ngx_str_t     text;
    oa_claim_t    claim;
    fuzz_doc_t   *doc;
    oa_claims_t   claims;
    const u_char *p;

    doc = (fuzz_doc_t *) fuzz_alloc(sizeof(fuzz_doc_t));
    doc->json = fuzz_copy(json, len);
    doc->len = len;
    doc->path_len = 0;

    ngx_memset(&claims, 0xa5, sizeof(oa_claims_t));

    rc = oa_claims_scan(doc->json, len, &claims);
    root = oracle(json, len);

    must(rc == (root ? NGX_OK : NGX_ERROR));

    for (i = 0; i < sizeof(knowns) / sizeof(knowns[0]); i++) {
        same(json_object_get(root, knowns[i].name),
             (oa_claim_t *) ((u_char *) &claims + knowns[i].offset));
    }

    if (root) {
        p = json;

        while (*p != '{') {
            p++;
        }

        claim.type = OA_CLAIM_OBJECT;
        claim.raw.data = doc->json + (p - json);
        claim.raw.len = len - (p - json);
        claim.escaped = 0;

        walk(doc, root, &claim);

        value = look_up(root, path, path_len);
        find(doc, path, path_len, &claim);
        same(value, &claim);

        text.len = path_len;
        text.data = fuzz_copy(path, path_len);

        conditions(&claim, &text);

        for (i = 0; i < sizeof(knowns) / sizeof(knowns[0]); i++) {
            conditions((oa_claim_t *) ((u_char *) &claims + knowns[i].offset),
                       &text);
        }

        free(text.data);
    }

    json_decref(root);
    free(doc->json);
    free(doc);
}


/* An object of many names, some of them the same but for their escapes. */

static void
names(const uint8_t *data, size_t size)
{
    size_t   i, n;
    u_char  *json, *p;

    static const char  long_name[] = "abcdefghijklmno";

    json = fuzz_alloc(size * 40 + 2);
    p = json;

    for (i = 0; i + 1 < size; i += 2) {
        *p++ = i ? ',' : '{';
        *p++ = '"';

        n = data[i] % 4 ? 5 + data[i] % 4 : 0;
        p = ngx_cpymem(p, long_name, n);

        if (data[i] & 0x40) {
            p += sprintf((char *) p, "\\u%04x", 'a' + data[i + 1] % 16);

        } else {
            *p++ = (u_char) ('a' + data[i + 1] % 16);
        }

        if (data[i] & 0x80) {
            p = ngx_cpymem(p, "\xc3\xbc", 2);
        }

        *p++ = (u_char) ('0' + (data[i + 1] >> 4));
        p = ngx_cpymem(p, "\":1", 3);
    }

    if (p > json) {
        *p++ = '}';
    }

    scan(json, p - json, data, ngx_min(size, 8));

    free(json);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t         path_len;
    u_char        *json, *p;

    static const u_char  head[] = "{\"exp\":";

    if (size < 1 || size > 2048) {
        return 0;
    }

    /* a path or value, and behind it a document */

    path_len = ngx_min((size_t) data[0] / 4, size - 1);

    switch (data[0] % 4) {

    case 0:
        names(data + 1, size - 1);
        break;

    case 1:
        json = fuzz_alloc(size + sizeof(head));
        p = ngx_cpymem(json, head, sizeof(head) - 1);
        p = ngx_cpymem(p, data + 1 + path_len, size - 1 - path_len);
        *p++ = '}';

        scan(json, p - json, data + 1, path_len);
        free(json);
        break;

    case 2:
        numbers(data + 1, size - 1);
        break;

    default:
        scan(data + 1 + path_len, size - 1 - path_len, data + 1, path_len);
        break;
    }

    return 0;
}
