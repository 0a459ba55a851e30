
/*
 * Which of two media types an Accept header prefers.
 */


#include "oa_accept.h"


static ngx_uint_t oa_accept_is(const u_char *p, size_t len, const char *type);
static ngx_uint_t oa_accept_weight(const u_char *p, const u_char *last);


ngx_uint_t
oa_accept_html(const ngx_str_t *accept)
{
    size_t         len;
    ngx_uint_t     html, json, weight;
    const u_char  *p, *last, *end, *type;

    html = 0;
    json = 0;

    p = accept->data;
    last = p + accept->len;

    while (p < last) {

        for (end = p; end < last && *end != ','; end++) { /* void */ }

        while (p < end && (*p == ' ' || *p == '\t')) {
            p++;
        }

        type = p;

        while (p < end && *p != ';' && *p != ' ' && *p != '\t') {
            p++;
        }

        len = p - type;
        weight = oa_accept_weight(p, end);

        if (oa_accept_is(type, len, "text/html")) {
            html = ngx_max(html, weight);

        } else if (oa_accept_is(type, len, "application/json")
                   || oa_accept_is(type, len, "application/problem+json"))
        {
            json = ngx_max(json, weight);
        }

        p = end + 1;
    }

    return html && html >= json;
}


static ngx_uint_t
oa_accept_is(const u_char *p, size_t len, const char *type)
{
    size_t  i;

    for (i = 0; i < len && type[i]; i++) {
        if (ngx_tolower(p[i]) != (u_char) type[i]) {
            return 0;
        }
    }

    return i == len && type[i] == '\0';
}


/* The weight in thousandths; 1000 without one, 0 where it is no weight. */

static ngx_uint_t
oa_accept_weight(const u_char *p, const u_char *last)
{
    ngx_uint_t  weight, unit;

    for ( ;; ) {
        while (p < last && *p != ';') {
            p++;
        }

        if (p == last) {
            return 1000;
        }

        p++;

        while (p < last && (*p == ' ' || *p == '\t')) {
            p++;
        }

        if (last - p > 2 && (*p == 'q' || *p == 'Q') && p[1] == '=') {
            p += 2;
            break;
        }
    }

    if (*p != '0' && *p != '1') {
        return 0;
    }

    weight = (*p++ - '0') * 1000;

    if (p < last && *p == '.') {
        p++;

        for (unit = 100; unit && p < last; unit /= 10, p++) {
            if (*p < '0' || *p > '9') {
                break;
            }

            weight += (*p - '0') * unit;
        }
    }

    return ngx_min(weight, 1000);
}
