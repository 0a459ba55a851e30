
/*
 * The change feed of routes: oa.routes in the table.
 */


#include "ngx_oa_router.h"

#include <jansson.h>


#define NGX_OA_ROUTES_SWEEP  64      /* pages, while the lock is held */


static ngx_int_t ngx_oa_routes_feed_hint(void *data, const ngx_str_t *payload,
    ngx_str_t *name);
static ngx_int_t ngx_oa_routes_feed_label(ngx_oa_routes_t *routes,
    json_t *json, ngx_str_t *name);
static ngx_int_t ngx_oa_routes_feed_apply(void *data, PGresult *res);
static void ngx_oa_routes_feed_begin(void *data);
static ngx_uint_t ngx_oa_routes_feed_sweep(void *data, ngx_uint_t from);
static void ngx_oa_routes_feed_state(void *data, oa_feed_state_e state);


static const ngx_oa_feed_source_t  ngx_oa_routes_feed = {
    ngx_null_string,
    "routes",
    "oa_routes",
    NGX_OA_COUNT_FEED_HINTS,
    "SELECT xmin, floor, identity FROM oa.feed_beat($1)",
    "SELECT " NGX_OA_ROUTES_COLUMNS " FROM oa.routes_named($1)",
    "SELECT " NGX_OA_ROUTES_COLUMNS " FROM oa.routes_changed($1) LIMIT 2001",
    "SELECT " NGX_OA_ROUTES_COLUMNS " FROM oa.routes WHERE subdomain > $1"
        " ORDER BY subdomain LIMIT 1000",
    ngx_oa_routes_feed_hint,
    ngx_oa_routes_feed_apply,
    ngx_oa_routes_feed_begin,
    ngx_oa_routes_feed_sweep,
    ngx_oa_routes_feed_state,
    NULL
};


ngx_int_t
ngx_oa_routes_feed_init(ngx_conf_t *cf, ngx_oa_routes_t *routes)
{
    ngx_str_t  *name;

    routes->feed_source = ngx_oa_routes_feed;
    routes->feed_source.data = routes;

    name = &routes->feed_source.name;

    name->data = ngx_pnalloc(cf->pool, sizeof("oa_routes \"\"")
                                       + routes->name.len);
    if (name->data == NULL) {
        return NGX_ERROR;
    }

    name->len = ngx_sprintf(name->data, "oa_routes \"%V\"", &routes->name)
                - name->data;

    return NGX_OK;
}


ngx_int_t
ngx_oa_routes_feed_start(ngx_oa_routes_t *routes)
{
    oa_table_info_t  *info;

    info = routes->info;

    ngx_oa_zone_lock(routes->zone);

    /* without a snapshot there is nothing to wait for */

    if (info->state == OA_TABLE_INIT && routes->snapshot.len == 0) {
        info->state = OA_TABLE_COLD;
    }

    /* a snapshot has no position; a file must be read again after this */

    if (info->state < OA_TABLE_LIVE) {
        info->feed.position = 0;
    }

    info->file_ino = 0;

    ngx_oa_zone_unlock(routes->zone);

    routes->feed = ngx_oa_feed_start(&routes->feed_source, &info->feed);

    return routes->feed ? NGX_OK : NGX_ERROR;
}


void
ngx_oa_routes_feed_stop(ngx_oa_routes_t *routes)
{
    if (routes->feed) {
        ngx_oa_feed_stop(routes->feed);
        routes->feed = NULL;
    }
}


static ngx_int_t
ngx_oa_routes_feed_hint(void *data, const ngx_str_t *payload, ngx_str_t *name)
{
    json_t        *json;
    ngx_int_t      rc;
    json_error_t   err;

    json = json_loadb((char *) payload->data, payload->len, 0, &err);

    rc = ngx_oa_routes_feed_label(data, json, name);

    json_decref(json);

    return rc;
}


static ngx_int_t
ngx_oa_routes_feed_label(ngx_oa_routes_t *routes, json_t *json,
    ngx_str_t *name)
{
    json_t     *value;
    uint64_t    version;
    ngx_str_t   label;

    value = json_object_get(json, "subdomain");

    if (!json_is_string(value)) {
        return NGX_ERROR;
    }

    label.len = json_string_length(value);
    label.data = (u_char *) json_string_value(value);

    if (!oa_is_label(label.data, label.len)) {
        return NGX_ERROR;
    }

    name->len = label.len;
    ngx_memcpy(name->data, label.data, label.len);

    value = json_object_get(json, "version");

    if (json_is_integer(value) && ngx_oa_feed_is_in_step(routes->feed)) {
        ngx_oa_zone_lock(routes->zone);
        version = oa_table_version(routes->table, routes->id, &label);
        ngx_oa_zone_unlock(routes->zone);

        if (version >= (uint64_t) json_integer_value(value)) {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_oa_routes_feed_apply(void *data, PGresult *res)
{
    return ngx_oa_routes_apply(data, res, OA_TABLE_NEWS);
}


static void
ngx_oa_routes_feed_begin(void *data)
{
    ngx_oa_routes_t *routes = data;

    routes->info->gen++;
}


static ngx_uint_t
ngx_oa_routes_feed_sweep(void *data, ngx_uint_t from)
{
    ngx_oa_routes_t *routes = data;

    return oa_table_sweep(routes->table, routes->id, routes->info->gen, from,
                          NGX_OA_ROUTES_SWEEP);
}


static void
ngx_oa_routes_feed_state(void *data, oa_feed_state_e state)
{
    ngx_oa_routes_t *routes = data;

    if (state == OA_FEED_LIVE) {
        routes->info->state = OA_TABLE_LIVE;

    } else if (routes->info->state == OA_TABLE_LIVE) {
        routes->info->state = OA_TABLE_STALE;
    }
}
