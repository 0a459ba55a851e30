
#include <ngx_config.h>
#include <ngx_core.h>
#include <math.h>
#include <stdlib.h>
#include "oa_claims_int.h"


#define OA_CLAIMS_DIGITS   19          /* of 2^63 */

/* What is below 10 to the power of this, a double can hold. */
#define OA_CLAIMS_DECADES  308

/* An exponent of so many decides, whatever stands before it. */
#define OA_CLAIMS_POWERS   10000


static ngx_inline const u_char *oa_claims_digits(const u_char *p,
    const u_char *last);
static ngx_uint_t oa_claims_is_int64(const u_char *p, size_t len,
    ngx_uint_t negative);
static ngx_int_t oa_claims_double(const u_char *p, size_t len,
    double *number);


const u_char *
oa_claims_number_end(const u_char *p, const u_char *last)
{
    double         number;
    ngx_int_t      power, n;
    ngx_uint_t     negative;
    const u_char  *start, *digits;

    start = p;
    negative = (p < last && *p == '-');
    digits = start + negative;

    p = oa_claims_digits(digits, last);

    if (p == digits || (*digits == '0' && p - digits > 1)) {
        return NULL;
    }

    if (p == last || (*p != '.' && *p != 'e' && *p != 'E')) {
        return oa_claims_is_int64(digits, p - digits, negative) ? p : NULL;
    }

    /* it is below 10 to the power of so many */

    power = p - digits;

    if (*p == '.') {
        digits = p + 1;
        p = oa_claims_digits(digits, last);

        if (p == digits) {
            return NULL;
        }
    }

    if (p < last && (*p == 'e' || *p == 'E')) {
        p++;
        negative = (p < last && *p == '-');

        if (p < last && (*p == '-' || *p == '+')) {
            p++;
        }

        digits = p;
        p = oa_claims_digits(digits, last);

        if (p == digits) {
            return NULL;
        }

        for (n = 0; digits < p && n < OA_CLAIMS_POWERS; digits++) {
            n = n * 10 + (*digits - '0');
        }

        power += negative ? -n : n;
    }

    if (power > OA_CLAIMS_DECADES
        && oa_claims_double(start, p - start, &number) != NGX_OK)
    {
        return NULL;
    }

    return p;
}


static ngx_inline const u_char *
oa_claims_digits(const u_char *p, const u_char *last)
{
    while (p < last && *p >= '0' && *p <= '9') {
        p++;
    }

    return p;
}


static ngx_uint_t
oa_claims_is_int64(const u_char *p, size_t len, ngx_uint_t negative)
{
    static const u_char  max[] = "9223372036854775807";
    static const u_char  min[] = "9223372036854775808";

    if (len != OA_CLAIMS_DIGITS) {
        return len < OA_CLAIMS_DIGITS;
    }

    return ngx_memcmp(p, negative ? min : max, OA_CLAIMS_DIGITS) <= 0;
}


ngx_int_t
oa_claim_number(const oa_claim_t *claim, double *number)
{
    ngx_int_t  n;

    if (claim->type != OA_CLAIM_NUMBER) {
        return NGX_ERROR;
    }

    /* most are small integers */

    n = ngx_atoi(claim->raw.data, claim->raw.len);

    if (n != NGX_ERROR) {
        *number = (double) n;
        return NGX_OK;
    }

    return oa_claims_double(claim->raw.data, claim->raw.len, number);
}


ngx_int_t
oa_claims_number(const ngx_str_t *text, double *number)
{
    const u_char  *last;

    if (text->len == 0) {
        return NGX_ERROR;
    }

    last = text->data + text->len;

    if (oa_claims_number_end(text->data, last) != last) {
        return NGX_ERROR;
    }

    return oa_claims_double(text->data, text->len, number);
}


/* Of what looks like a number. */

static ngx_int_t
oa_claims_double(const u_char *p, size_t len, double *number)
{
    char    *end, text[OA_CLAIMS_MAX + 1];
    double   value;

    if (len > OA_CLAIMS_MAX) {
        return NGX_ERROR;
    }

    ngx_memcpy(text, p, len);
    text[len] = '\0';

    value = strtod(text, &end);

    if (end != text + len || isinf(value)) {
        return NGX_ERROR;
    }

    *number = value;

    return NGX_OK;
}
