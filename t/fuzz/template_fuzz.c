
/* A template is refused, or each of its texts is JSON whatever is put in. */


#include "fuzz.h"
#include <jansson.h>
#include "oa_template.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char         *p, *text;
    size_t          len;
    json_t         *json;
    ngx_str_t       in, values[OA_VALUES];
    ngx_uint_t      i;
    ngx_pool_t     *pool;
    const char     *why;
    oa_template_t   t;

    if (size < 16) {
        return 0;
    }

    /* the values are of the first bytes */

    for (i = 0; i < OA_VALUES; i++) {
        values[i].data = (u_char *) data + i;
        values[i].len = data[i] % 7;
    }

    in.len = size - 16;
    in.data = p = fuzz_copy(data + 16, in.len);

    pool = ngx_create_pool(1024, ngx_cycle->log);
    must(pool);

    why = NULL;

    if (oa_template_parse(&t, &in, pool, &why) != NGX_OK) {
        must(why && why[0]);
        goto done;
    }

    must(t.texts[OA_TEMPLATE_MACHINE]);
    must(!t.texts[OA_TEMPLATE_VOLUME] == !t.texts[OA_TEMPLATE_FORK]);

    for (i = 0; i < OA_TEMPLATE_TEXTS; i++) {
        if (t.texts[i] == NULL) {
            continue;
        }

        len = oa_template_size(&t, (oa_template_text_e) i, values);
        text = fuzz_alloc(len);
        must(oa_template_fill(text, &t, (oa_template_text_e) i, values)
             == text + len);

        json = json_loadb((char *) text, len, JSON_ALLOW_NUL, NULL);
        must(json_is_object(json));

        json_decref(json);
        free(text);
    }

done:

    ngx_destroy_pool(pool);
    free(p);

    return 0;
}
