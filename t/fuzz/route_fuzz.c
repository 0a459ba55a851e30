
/* A row that passes oa_route_parse() survives packing and the file. */


#include "fuzz.h"
#include "oa_routes_json.h"


static void
same(const oa_route_t *a, const oa_route_t *b)
{
    must(fuzz_same(&a->subdomain, &b->subdomain));
    must(fuzz_same(&a->route_id, &b->route_id));
    must(fuzz_same(&a->user_id, &b->user_id));
    must(fuzz_same(&a->agent_id, &b->agent_id));
    must(fuzz_same(&a->app, &b->app));
    must(fuzz_same(&a->machine, &b->machine));
    must(fuzz_same(&a->region, &b->region));
    must(a->status == b->status);
    must(a->access == b->access);
    must(a->version == b->version);
}


static ngx_int_t
read_back(void *data, const oa_route_t *route)
{
    same(data, route);

    return NGX_OK;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char             *p, *text, doc[OA_ROUTES_JSON_ROW_MAX + 32];
    size_t              n, used;
    ngx_str_t           cols[OA_COLS];
    ngx_uint_t          i;
    const char         *why;
    oa_route_t          route, back;
    oa_route_head_t     head;
    oa_routes_json_t    reader;

    static const ngx_str_t  defaults[OA_COLS] = {
        ngx_string("a"), ngx_string("1"), ngx_null_string, ngx_null_string,
        ngx_null_string, ngx_null_string, ngx_null_string,
        ngx_string("running"), ngx_null_string, ngx_null_string
    };

    /* columns divided by newlines; "!" takes one that passes */

    for (i = 0; i < OA_COLS; i++) {
        for (n = 0; n < size && data[n] != '\n'; n++) { /* void */ }

        cols[i].len = n;
        cols[i].data = fuzz_copy(data, n);

        if (n == 0 || (n == 1 && data[0] == '!')) {
            free(cols[i].data);
            cols[i].len = defaults[i].len;
            cols[i].data = NULL;

            if (defaults[i].data) {
                cols[i].data = fuzz_copy(defaults[i].data, cols[i].len);
            }
        }

        n = ngx_min(n + 1, size);
        data += n;
        size -= n;
    }

    why = NULL;

    if (oa_route_parse(cols, &route, &why) != NGX_OK) {
        must(why != NULL);
        goto done;
    }

    n = oa_route_pack_size(&route, &head);
    must(n <= OA_ROUTE_PACKED_MAX);
    must(n == oa_route_packed_size(&head));

    p = fuzz_alloc(n);
    text = fuzz_alloc(3 * 36);

    oa_route_pack(&route, &head, p);
    oa_route_unpack(&head, p, text, &back);
    same(&route, &back);

    free(text);
    free(p);

    p = ngx_cpymem(doc, "{\"routes\":[", 11);
    p = oa_routes_json_row(p, &route);
    p = ngx_cpymem(p, "]}", 2);

    oa_routes_json_init(&reader);
    must(oa_routes_json_feed(&reader, doc, p - doc, 1, &used, read_back,
                             &route)
         == NGX_OK);

done:

    for (i = 0; i < OA_COLS; i++) {
        free(cols[i].data);
    }

    return 0;
}
