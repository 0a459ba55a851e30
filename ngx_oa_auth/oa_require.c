
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_require.h"


static ngx_uint_t oa_require_is_scalar(const oa_claim_t *claim);
static ngx_uint_t oa_require_eq(const oa_claim_t *claim,
    const ngx_str_t *value);
static ngx_uint_t oa_require_in(const oa_claim_t *claim,
    const ngx_str_t *list);
static ngx_uint_t oa_require_has(const oa_claim_t *claim,
    const ngx_str_t *value, u_char *text);
static ngx_uint_t oa_require_has_word(const ngx_str_t *words,
    const ngx_str_t *word);
static ngx_int_t oa_require_compare(const oa_claim_t *claim,
    const ngx_str_t *value, ngx_int_t *order);
static ngx_int_t oa_require_int64(const ngx_str_t *text, int64_t *n);


static const ngx_str_t  oa_require_ops[OA_REQUIRE_OPS] = {
    ngx_string("eq"),
    ngx_string("ne"),
    ngx_string("in"),
    ngx_string("has"),
    ngx_string("match"),
    ngx_string("gt"),
    ngx_string("ge"),
    ngx_string("lt"),
    ngx_string("le")
};


oa_require_op_e
oa_require_op(const ngx_str_t *name)
{
    ngx_uint_t  op;

    for (op = 0; op < OA_REQUIRE_OPS; op++) {
        if (name->len == oa_require_ops[op].len
            && ngx_memcmp(name->data, oa_require_ops[op].data, name->len) == 0)
        {
            break;
        }
    }

    return (oa_require_op_e) op;
}


ngx_uint_t
oa_require_holds(oa_require_op_e op, const oa_claim_t *claim,
    const ngx_str_t *value, u_char *text)
{
    ngx_int_t  order;

    switch (op) {

    case OA_REQUIRE_EQ:
        return oa_require_eq(claim, value);

    case OA_REQUIRE_NE:
        return oa_require_is_scalar(claim) && !oa_require_eq(claim, value);

    case OA_REQUIRE_IN:
        return oa_require_in(claim, value);

    case OA_REQUIRE_HAS:
        return oa_require_has(claim, value, text);

    case OA_REQUIRE_GT:
    case OA_REQUIRE_GE:
    case OA_REQUIRE_LT:
    case OA_REQUIRE_LE:

        if (oa_require_compare(claim, value, &order) != NGX_OK) {
            return 0;
        }

        return (order > 0) ? (op == OA_REQUIRE_GT || op == OA_REQUIRE_GE)
               : (order < 0) ? (op == OA_REQUIRE_LT || op == OA_REQUIRE_LE)
                             : (op == OA_REQUIRE_GE || op == OA_REQUIRE_LE);

    default:
        return 0;
    }
}


static ngx_uint_t
oa_require_is_scalar(const oa_claim_t *claim)
{
    switch (claim->type) {

    case OA_CLAIM_FALSE:
    case OA_CLAIM_TRUE:
    case OA_CLAIM_NUMBER:
    case OA_CLAIM_STRING:
        return 1;

    default:
        return 0;
    }
}


static ngx_uint_t
oa_require_eq(const oa_claim_t *claim, const ngx_str_t *value)
{
    ngx_int_t  order;

    switch (claim->type) {

    case OA_CLAIM_STRING:
        return oa_claim_is(claim, value);

    case OA_CLAIM_NUMBER:
        return oa_require_compare(claim, value, &order) == NGX_OK
               && order == 0;

    case OA_CLAIM_FALSE:
    case OA_CLAIM_TRUE:
        return claim->raw.len == value->len
               && ngx_memcmp(claim->raw.data, value->data, value->len) == 0;

    default:
        return 0;
    }
}


static ngx_uint_t
oa_require_in(const oa_claim_t *claim, const ngx_str_t *list)
{
    u_char     *p, *last;
    ngx_str_t   value;

    p = list->data;
    last = p + list->len;

    for ( ;; ) {
        value.data = p;

        while (p < last && *p != ',') {
            p++;
        }

        value.len = p - value.data;

        if (oa_require_eq(claim, &value)) {
            return 1;
        }

        if (p == last) {
            return 0;
        }

        p++;
    }
}


static ngx_uint_t
oa_require_has(const oa_claim_t *claim, const ngx_str_t *value, u_char *text)
{
    ngx_str_t      words;
    oa_claim_t     member;
    const u_char  *p;

    switch (claim->type) {

    case OA_CLAIM_ARRAY:
        p = NULL;

        while (oa_claim_next(claim, &p, &member) == NGX_OK) {
            if (oa_require_eq(&member, value)) {
                return 1;
            }
        }

        return 0;

    case OA_CLAIM_OBJECT:
        oa_claim_member(claim, value, &member);
        return member.type != OA_CLAIM_ABSENT;

    case OA_CLAIM_STRING:
        oa_claim_text(claim, text, &words);
        return oa_require_has_word(&words, value);

    default:
        return 0;
    }
}


/* Words stand between single spaces (RFC 6749, 3.3). */

static ngx_uint_t
oa_require_has_word(const ngx_str_t *words, const ngx_str_t *word)
{
    u_char  *p, *last, *start;

    if (word->len == 0) {
        return 0;
    }

    p = words->data;
    last = p + words->len;

    while (p < last) {
        start = p;

        while (p < last && *p != ' ') {
            p++;
        }

        if ((size_t) (p - start) == word->len
            && ngx_memcmp(start, word->data, word->len) == 0)
        {
            return 1;
        }

        p++;
    }

    return 0;
}


/* Integers as they are: a double has but 53 bits. */

static ngx_int_t
oa_require_compare(const oa_claim_t *claim, const ngx_str_t *value,
    ngx_int_t *order)
{
    double   a, b;
    int64_t  m, n;

    if (oa_claim_number(claim, &a) != NGX_OK
        || oa_claims_number(value, &b) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (oa_require_int64(&claim->raw, &m) == NGX_OK
        && oa_require_int64(value, &n) == NGX_OK)
    {
        *order = (m > n) - (m < n);

    } else {
        *order = (a > b) - (a < b);
    }

    return NGX_OK;
}


/* text is a number; NGX_DECLINED when it has a fraction or exponent. */

static ngx_int_t
oa_require_int64(const ngx_str_t *text, int64_t *n)
{
    u_char     *p, *last, *digits;
    ngx_int_t   sign;

    digits = text->data;
    last = digits + text->len;
    sign = 1;

    if (*digits == '-') {
        sign = -1;
        digits++;
    }

    for (p = digits; p < last; p++) {
        if (*p < '0' || *p > '9') {
            return NGX_DECLINED;
        }
    }

    *n = 0;

    for (p = digits; p < last; p++) {
        *n = *n * 10 + sign * (*p - '0');
    }

    return NGX_OK;
}
