
#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include "oa_json.h"
#include "oa_template_int.h"


static const ngx_str_t  oa_template_values[OA_VALUES] = {
    ngx_string("route_id"),
    ngx_string("user_id"),
    ngx_string("agent_id"),
    ngx_string("subdomain"),
    ngx_string("region"),
    ngx_string("machine_token"),
    ngx_string("#name"),
    ngx_string("#volume_name"),
    ngx_string("#volume"),
    ngx_string("#source")
};


ngx_int_t
oa_template_cut(oa_template_t *t, oa_template_text_e text, json_t *body,
    ngx_pool_t *pool, const char **why)
{
    char                *dump;
    u_char              *data;
    size_t               len;
    oa_value_e           value;
    ngx_uint_t           n;
    const u_char        *p, *end, *place, *last;
    oa_template_part_t  *parts;

    dump = body ? json_dumps(body, JSON_COMPACT) : NULL;
    if (dump == NULL) {
        *why = OA_TEMPLATE_MEMORY;
        return NGX_ERROR;
    }

    len = ngx_strlen(dump);
    data = ngx_pnalloc(pool, len);

    if (data == NULL) {
        free(dump);
        *why = OA_TEMPLATE_MEMORY;
        return NGX_ERROR;
    }

    ngx_memcpy(data, dump, len);
    free(dump);

    last = data + len;
    p = data;

    for (n = 1; oa_template_place(p, last, OA_VALUES, &p, &value); n++) {
        /* void */
    }

    parts = ngx_palloc(pool, n * sizeof(oa_template_part_t));
    if (parts == NULL) {
        *why = OA_TEMPLATE_MEMORY;
        return NGX_ERROR;
    }

    t->texts[text] = parts;
    p = data;

    do {
        place = oa_template_place(p, last, OA_VALUES, &end, &value);

        parts->text.data = (u_char *) p;
        parts->text.len = (size_t) ((place ? place : last) - p);
        parts->value = value;
        parts++;

        p = end;

    } while (place);

    return NGX_OK;
}


const u_char *
oa_template_place(const u_char *p, const u_char *last, ngx_uint_t n,
    const u_char **end, oa_value_e *value)
{
    ngx_uint_t        i;
    const ngx_str_t  *name;

    *value = OA_VALUES;

    for ( /* void */ ; last - p >= 2; p++) {

        if (p[0] != '{' || p[1] != '{') {
            continue;
        }

        *end = p + 2;

        for (i = 0; i < n; i++) {
            name = &oa_template_values[i];

            if ((size_t) (last - p) >= name->len + 4
                && ngx_memcmp(p + 2, name->data, name->len) == 0
                && p[2 + name->len] == '}' && p[3 + name->len] == '}')
            {
                *end = p + name->len + 4;
                *value = (oa_value_e) i;
                break;
            }
        }

        return p;
    }

    *end = last;

    return NULL;
}


size_t
oa_template_size(const oa_template_t *t, oa_template_text_e text,
    const ngx_str_t *values)
{
    size_t                     size;
    const oa_template_part_t  *part;

    size = 0;

    for (part = t->texts[text]; part->value != OA_VALUES; part++) {
        size += part->text.len + oa_json_escape_size(&values[part->value]);
    }

    return size + part->text.len;
}


u_char *
oa_template_fill(u_char *p, const oa_template_t *t, oa_template_text_e text,
    const ngx_str_t *values)
{
    const oa_template_part_t  *part;

    for (part = t->texts[text]; part->value != OA_VALUES; part++) {
        p = ngx_cpymem(p, part->text.data, part->text.len);
        p = oa_json_escape(p, &values[part->value]);
    }

    return ngx_cpymem(p, part->text.data, part->text.len);
}
