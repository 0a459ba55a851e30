
/*
 * oa_routes_json_feed(): the same of a document in pieces as of the whole,
 * and as jansson has it when it loads the whole.
 */


#include "fuzz.h"
#include <jansson.h>
#include "oa_routes_json.h"


typedef struct {
    u_char      *text;
    size_t       len;
    size_t       size;
    ngx_uint_t   rows;
} fuzz_rows_t;

typedef struct {
    fuzz_rows_t        rows;
    ngx_int_t          rc;
    oa_routes_json_t   reader;
} fuzz_result_t;


static ngx_int_t
collect(void *data, const oa_route_t *route)
{
    fuzz_rows_t *rows = data;

    if (rows->size - rows->len < OA_ROUTES_JSON_ROW_MAX) {
        rows->size = rows->size * 2 + OA_ROUTES_JSON_ROW_MAX;
        rows->text = realloc(rows->text, rows->size);
        must(rows->text != NULL);
    }

    rows->len = oa_routes_json_row(rows->text + rows->len, route)
                - rows->text;
    rows->rows++;

    return NGX_OK;
}


static void
feed(fuzz_result_t *result, const u_char *doc, size_t len, size_t step)
{
    u_char  *p;
    size_t   start, end, used;

    ngx_memzero(result, sizeof(fuzz_result_t));
    oa_routes_json_init(&result->reader);

    start = 0;
    end = 0;

    do {
        must(end < len || end == 0);

        end = ngx_min(end + step, len);
        used = (size_t) -1;

        p = fuzz_copy(doc + start, end - start);

        result->rc = oa_routes_json_feed(&result->reader, p, end - start,
                                         end == len, &used, collect,
                                         &result->rows);
        free(p);

        must(used <= end - start);
        start += used;

    } while (result->rc == NGX_AGAIN);

    if (result->rc == NGX_OK) {
        must(start == len);

    } else {
        must(result->rc == NGX_ERROR);
        must(result->reader.error != NULL);
    }
}


/* What jansson makes of it: NGX_DECLINED when it has no opinion. */

static ngx_int_t
oracle(const u_char *doc, size_t len, fuzz_rows_t *rows)
{
    json_t        *root, *routes, *row, *value;
    char           number[OA_COLS][24];
    size_t         i, col;
    ngx_int_t      rc;
    ngx_str_t      cols[OA_COLS];
    const char    *why;
    oa_route_t     route;
    json_error_t   err;

    ngx_memzero(rows, sizeof(fuzz_rows_t));

    /* jansson passes over a zero byte behind a number */

    if (memchr(doc, '\0', len)) {
        return NGX_ERROR;
    }

    root = json_loadb((const char *) doc, len, 0, &err);

    if (root == NULL) {
        return NGX_ERROR;
    }

    json_decref(root);

    /* of keys that occur twice only we know which may */

    root = json_loadb((const char *) doc, len, JSON_REJECT_DUPLICATES, &err);

    if (root == NULL) {
        return NGX_DECLINED;
    }

    rc = NGX_ERROR;

    routes = json_object_get(root, "routes");

    if (!json_is_array(routes)) {
        goto done;
    }

    json_array_foreach(routes, i, row) {

        if (!json_is_object(row)) {
            goto done;
        }

        for (col = 0; col < OA_COLS; col++) {
            ngx_str_null(&cols[col]);

            value = json_object_get(row,
                                    (char *) oa_route_columns[col].data);

            if (value == NULL || json_is_null(value)) {
                continue;
            }

            if (col == OA_COL_VERSION && json_is_integer(value)) {
                cols[col].len = (size_t) sprintf(number[col], "%lld",
                                       (long long) json_integer_value(value));
                cols[col].data = (u_char *) number[col];
                continue;
            }

            if (col == OA_COL_VERSION || !json_is_string(value)) {
                goto done;
            }

            cols[col].len = json_string_length(value);
            cols[col].data = (u_char *) json_string_value(value);
        }

        if (oa_route_parse(cols, &route, &why) != NGX_OK) {
            goto done;
        }

        (void) collect(rows, &route);
    }

    rc = NGX_OK;

done:

    json_decref(root);

    return rc;
}


static void
same(const fuzz_rows_t *a, const fuzz_rows_t *b)
{
    must(a->rows == b->rows);
    must(a->len == b->len);
    must(a->len == 0 || memcmp(a->text, b->text, a->len) == 0);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char         *doc, *p, *end;
    size_t          len, step;
    ngx_int_t       rc;
    fuzz_rows_t     rows;
    fuzz_result_t   whole, parts;

    static const ngx_str_t  row =
        ngx_string("{\"subdomain\":\"a\",\"route_id\":\"1\","
                   "\"status\":\"running\",");

    if (size < 2 || size > 4096) {
        return 0;
    }

    /* long documents in longer pieces: each is parsed again and again */

    step = 1 + data[0] % 61 + size / 256;

    /* as it is, or as the rows of a document, or as the rest of a row */

    doc = fuzz_alloc(size + 256);
    p = doc;

    switch (data[1] % 4) {
    case 1:
    case 3:
        p = ngx_cpymem(p, "{\"routes\":[", 11);

        if (data[1] % 4 == 3) {
            p = ngx_cpymem(p, row.data, row.len);
        }

        break;
    }

    p = ngx_cpymem(p, data + 2, size - 2);

    switch (data[1] % 4) {
    case 3:
        *p++ = '}';
        /* fall through */
    case 1:
        *p++ = ']';
        *p++ = '}';
        break;
    }

    end = p;
    len = end - doc;

    feed(&whole, doc, len, len ? len : 1);
    feed(&parts, doc, len, step);

    must(whole.rc == parts.rc);
    must(whole.reader.line == parts.reader.line);
    must(whole.reader.error == parts.reader.error);
    same(&whole.rows, &parts.rows);

    rc = oracle(doc, len, &rows);

    if (rc == NGX_DECLINED) {
        free(rows.text);

    } else {
        must(rc == whole.rc);

        if (rc == NGX_OK) {
            same(&whole.rows, &rows);
        }

        free(rows.text);
    }

    free(parts.rows.text);
    free(whole.rows.text);
    free(doc);

    return 0;
}
