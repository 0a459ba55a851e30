
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_json.h"
#include "oa_reason.h"


static ngx_uint_t oa_reason_is_word(u_char c);
static ngx_int_t oa_reason_put(oa_reason_t *reason, const u_char *p,
    size_t len);


void
oa_reason(oa_reason_t *reason, const ngx_str_t *text)
{
    size_t         n;
    ngx_uint_t     valid;
    const u_char  *p, *q, *last;

    reason->len = 0;

    if (text->len == 0) {
        return;
    }

    p = text->data;
    last = p + text->len;

    while (p < last) {

        for (q = p; q < last && oa_reason_is_word(*q); q++) { /* void */ }

        n = (size_t) (q - p);

        if (n >= OA_REASON_SECRET) {
            if (oa_reason_put(reason, (u_char *) "***", 3) != NGX_OK) {
                return;
            }

            p = q;
            continue;
        }

        if (n) {
            n = ngx_min(n, OA_REASON_MAX - reason->len);

            if (n == 0 || oa_reason_put(reason, p, n) != NGX_OK) {
                return;
            }

            p = q;
            continue;
        }

        if (*p < 0x80) {
            n = 1;
            valid = (*p > 0x20 && *p != 0x7f);

        } else {
            n = oa_json_utf8(p, last, &valid);

            /* C1 controls */

            if (n == 2 && p[0] == 0xc2 && p[1] < 0xa0) {
                valid = 0;
            }
        }

        if (valid) {
            if (oa_reason_put(reason, p, n) != NGX_OK) {
                return;
            }

        } else if (reason->len && reason->data[reason->len - 1] != ' '
                   && oa_reason_put(reason, (u_char *) " ", 1) != NGX_OK)
        {
            return;
        }

        p += n;
    }
}


static ngx_uint_t
oa_reason_is_word(u_char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9')
           || c == '_' || c == '+' || c == '/' || c == '=' || c == '.'
           || c == '~' || c == '-';
}


static ngx_int_t
oa_reason_put(oa_reason_t *reason, const u_char *p, size_t len)
{
    if (len > OA_REASON_MAX - reason->len) {
        return NGX_ERROR;
    }

    ngx_memcpy(reason->data + reason->len, p, len);
    reason->len += len;

    return NGX_OK;
}
