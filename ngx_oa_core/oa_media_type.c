
/*
 * Media types.
 */


#include "oa_media_type.h"


ngx_uint_t
oa_media_type_is(const ngx_str_t *content_type, const ngx_str_t *type)
{
    size_t         i;
    const u_char  *p, *last;

    if (content_type->len < type->len) {
        return 0;
    }

    p = content_type->data;
    last = p + content_type->len;

    for (i = 0; i < type->len; i++) {
        if (ngx_tolower(*p) != type->data[i]) {
            return 0;
        }

        p++;
    }

    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    return p == last || *p == ';';
}
