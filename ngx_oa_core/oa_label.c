
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_label.h"


ngx_uint_t
oa_is_label(const u_char *p, size_t len)
{
    size_t  i;

    if (len == 0 || len > OA_LABEL_MAX || p[0] == '-' || p[len - 1] == '-') {
        return 0;
    }

    for (i = 0; i < len; i++) {
        if ((p[i] < 'a' || p[i] > 'z')
            && (p[i] < '0' || p[i] > '9')
            && p[i] != '-')
        {
            return 0;
        }
    }

    return 1;
}
