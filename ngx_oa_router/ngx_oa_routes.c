
/*
 * Routes: the oa_routes block, and finding one of its names.
 */


#include "ngx_oa_router.h"


/*
 * A query for a name belongs to nobody: the request that began it may go
 * while others still wait for its end.
 */
typedef struct {
    ngx_oa_pg_query_t            query;
    ngx_oa_routes_t             *routes;
    uint64_t                     key;
    ngx_str_t                    label;
    u_char                       label_buf[64];
    char                         param[68];    /* a text[] of one label */
} ngx_oa_lookup_t;


static char *ngx_oa_routes_param(ngx_conf_t *cf, ngx_command_t *dummy,
    void *conf);
static char *ngx_oa_routes_domain(ngx_conf_t *cf, ngx_oa_routes_t *routes);
static char *ngx_oa_routes_source(ngx_conf_t *cf, ngx_oa_routes_t *routes);
static char *ngx_oa_routes_path(ngx_conf_t *cf, ngx_str_t *value,
    ngx_str_t *path);
static char *ngx_oa_routes_check(ngx_conf_t *cf, ngx_oa_routes_t *routes);
static ngx_int_t ngx_oa_lookup_start(ngx_oa_routes_t *routes, uint64_t key,
    const ngx_str_t *label);
static void ngx_oa_lookup_handler(ngx_oa_pg_query_t *query, PGresult *res);
static ngx_int_t ngx_oa_lookup_apply(ngx_oa_lookup_t *lookup, PGresult *res);
static ngx_int_t ngx_oa_routes_apply_row(ngx_oa_routes_t *routes,
    const ngx_str_t *cols, oa_table_put_e put);
static void ngx_oa_routes_duty_start(void *data);
static void ngx_oa_routes_duty_stop(void *data);


/* Whole pages of rows are read at a time; the lock is not held for so long. */
#define NGX_OA_ROUTES_BATCH  100


char *
ngx_oa_routes_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_oa_router_main_conf_t *rmcf = conf;

    char              *rv;
    ngx_str_t         *value;
    ngx_uint_t         i;
    ngx_conf_t         save;
    ngx_oa_routes_t   *routes, **p;

    value = cf->args->elts;
    p = rmcf->routes.elts;

    if (value[1].len == 0 || value[1].len > 23) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the name of \"oa_routes\" must have 1 to 23 "
                           "characters");
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < rmcf->routes.nelts; i++) {
        if (p[i]->name.len == value[1].len
            && ngx_memcmp(p[i]->name.data, value[1].data, value[1].len) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate oa_routes \"%V\"", &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    if (rmcf->routes.nelts == OA_TABLES) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "there can be at most %d oa_routes", OA_TABLES);
        return NGX_CONF_ERROR;
    }

    routes = ngx_pcalloc(cf->pool, sizeof(ngx_oa_routes_t));
    if (routes == NULL) {
        return NGX_CONF_ERROR;
    }

    routes->name = value[1];
    routes->conf_file = cf->conf_file->file.name;
    routes->conf_line = cf->conf_file->line;
    routes->negative_ttl = NGX_CONF_UNSET_MSEC;
    routes->table = &rmcf->table;
    routes->zone = ngx_oa_zone(cf);

    p = ngx_array_push(&rmcf->routes);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    *p = routes;

    save = *cf;
    cf->handler = ngx_oa_routes_param;
    cf->handler_conf = (char *) routes;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_oa_routes_check(cf, routes);
}


static char *
ngx_oa_routes_param(ngx_conf_t *cf, ngx_command_t *dummy, void *conf)
{
    ngx_oa_routes_t *routes = conf;

    ngx_str_t   *value;
    ngx_msec_t   ttl;

    value = cf->args->elts;

    if (ngx_strcmp(value[0].data, "source") == 0) {
        return ngx_oa_routes_source(cf, routes);
    }

    if (cf->args->nelts != 2) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number of arguments in \"%V\" of "
                           "oa_routes", &value[0]);
        return NGX_CONF_ERROR;
    }

    if (ngx_strcmp(value[0].data, "domain") == 0) {
        return ngx_oa_routes_domain(cf, routes);
    }

    if (ngx_strcmp(value[0].data, "snapshot") == 0) {
        return ngx_oa_routes_path(cf, &value[1], &routes->snapshot);
    }

    if (ngx_strcmp(value[0].data, "users") == 0) {
        if (routes->users.len) {
            return "duplicate \"users\" in oa_routes";
        }

        routes->users = value[1];
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[0].data, "negative_ttl") == 0) {
        if (routes->negative_ttl != NGX_CONF_UNSET_MSEC) {
            return "duplicate \"negative_ttl\" in oa_routes";
        }

        ttl = ngx_parse_time(&value[1], 0);

        if (ttl == (ngx_msec_t) NGX_ERROR || ttl > 3600 * 1000) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid negative_ttl \"%V\", expected a time "
                               "up to 1h", &value[1]);
            return NGX_CONF_ERROR;
        }

        routes->negative_ttl = ttl;
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown \"%V\" in oa_routes, expected domain, source, "
                       "snapshot, negative_ttl or users", &value[0]);

    return NGX_CONF_ERROR;
}


static char *
ngx_oa_routes_domain(ngx_conf_t *cf, ngx_oa_routes_t *routes)
{
    u_char     *p, *last, *dot;
    ngx_str_t  *value;

    if (routes->domain.len) {
        return "duplicate \"domain\" in oa_routes";
    }

    value = cf->args->elts;
    ngx_strlow(value[1].data, value[1].data, value[1].len);

    p = value[1].data;
    last = p + value[1].len;

    for ( ;; ) {
        dot = ngx_strlchr(p, last, '.');

        if (!oa_is_label(p, (dot ? dot : last) - p)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid domain \"%V\", expected a host name "
                               "like \"openagents.example\"", &value[1]);
            return NGX_CONF_ERROR;
        }

        if (dot == NULL) {
            break;
        }

        p = dot + 1;
    }

    if (value[1].len > 189) {
        return "a \"domain\" of over 189 characters in oa_routes";
    }

    routes->domain = value[1];

    return NGX_CONF_OK;
}


static char *
ngx_oa_routes_source(ngx_conf_t *cf, ngx_oa_routes_t *routes)
{
    ngx_str_t  *value;

    if (routes->source != NGX_OA_SOURCE_UNSET) {
        return "duplicate \"source\" in oa_routes";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "postgres") == 0) {
        routes->source = NGX_OA_SOURCE_POSTGRES;
        return NGX_CONF_OK;
    }

    if (cf->args->nelts == 3 && ngx_strcmp(value[1].data, "file") == 0) {
        routes->source = NGX_OA_SOURCE_FILE;
        return ngx_oa_routes_path(cf, &value[2], &routes->file);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid source in oa_routes, expected \"postgres\" or "
                       "\"file PATH\"");

    return NGX_CONF_ERROR;
}


static char *
ngx_oa_routes_path(ngx_conf_t *cf, ngx_str_t *value, ngx_str_t *path)
{
    if (path->len) {
        return "duplicate path in oa_routes";
    }

    if (value->len == 0) {
        return "empty path in oa_routes";
    }

    *path = *value;

    if (ngx_conf_full_name(cf->cycle, path, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_oa_routes_check(ngx_conf_t *cf, ngx_oa_routes_t *routes)
{
    ngx_str_t   *name;
    const char  *why;

    why = NULL;

    if (routes->domain.len == 0) {
        why = "has no \"domain\"";

    } else if (routes->source == NGX_OA_SOURCE_UNSET) {
        why = "has no \"source\"";

    } else if (routes->source == NGX_OA_SOURCE_FILE && routes->snapshot.len) {
        why = "has a \"snapshot\", which goes with \"source postgres\" only";
    }

    if (why) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"oa_routes\" directive %s", why);
        return NGX_CONF_ERROR;
    }

    ngx_conf_init_msec_value(routes->negative_ttl, 5000);

    name = &routes->duty.name;
    name->data = ngx_pnalloc(cf->pool, sizeof("routes:") + routes->name.len);
    if (name->data == NULL) {
        return NGX_CONF_ERROR;
    }

    name->len = ngx_sprintf(name->data, "routes:%V", &routes->name)
                - name->data;

    routes->duty.start = ngx_oa_routes_duty_start;
    routes->duty.stop = ngx_oa_routes_duty_stop;
    routes->duty.data = routes;

    if (ngx_oa_duty_add(cf, &routes->duty) != NGX_OK
        || ngx_oa_routes_feed_init(cf, routes) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static void
ngx_oa_routes_duty_start(void *data)
{
    ngx_oa_routes_t *routes = data;

    if (routes->source == NGX_OA_SOURCE_FILE || routes->snapshot.len) {
        if (ngx_oa_routes_file_start(routes) != NGX_OK) {
            ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                          "oa_routes \"%V\": the thread that reads its file "
                          "cannot be started", &routes->name);
        }
    }

    if (routes->source == NGX_OA_SOURCE_POSTGRES
        && ngx_oa_routes_feed_start(routes) != NGX_OK)
    {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "oa_routes \"%V\": the change feed cannot be started",
                      &routes->name);
    }
}


static void
ngx_oa_routes_duty_stop(void *data)
{
    ngx_oa_routes_t *routes = data;

    ngx_oa_routes_feed_stop(routes);
    ngx_oa_routes_file_stop(routes);
}


ngx_int_t
ngx_oa_routes_get(ngx_oa_routes_t *routes, uint64_t hash,
    const ngx_str_t *label, oa_table_copy_t *copy)
{
    ngx_int_t  rc;

    rc = oa_table_get(routes->table, routes->id, hash, label,
                      ngx_current_msec, routes->negative_ttl, copy);

    if (rc != NGX_AGAIN) {
        return rc;
    }

    /* whoever was writing has died: taking the lock puts it right */

    ngx_oa_zone_lock(routes->zone);

    rc = oa_table_get(routes->table, routes->id, hash, label,
                      ngx_current_msec, routes->negative_ttl, copy);

    ngx_oa_zone_unlock(routes->zone);

    return rc == NGX_OK ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_oa_routes_ask(ngx_oa_routes_t *routes, const ngx_str_t *label,
    ngx_oa_flight_t *flight, ngx_uint_t again)
{
    oa_table_copy_t  copy;

    if (ngx_oa_flight_board(flight) == NGX_AGAIN) {
        return NGX_OK;
    }

    /* another flight may have landed since the caller looked */

    if (!again
        && ngx_oa_routes_get(routes, flight->key, label, &copy) == NGX_OK)
    {
        ngx_oa_flight_land(flight->key, NGX_OK);
        return NGX_DECLINED;
    }

    if (ngx_oa_lookup_start(routes, flight->key, label) != NGX_OK) {
        ngx_oa_flight_land(flight->key, NGX_ERROR);
        return NGX_ERROR;
    }

    /* now as a passenger; with no seat left nobody would be told the end */

    return ngx_oa_flight_board(flight) == NGX_AGAIN ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_oa_lookup_start(ngx_oa_routes_t *routes, uint64_t key,
    const ngx_str_t *label)
{
    ngx_oa_lookup_t  *lookup;

    lookup = ngx_calloc(sizeof(ngx_oa_lookup_t), ngx_cycle->log);
    if (lookup == NULL) {
        return NGX_ERROR;
    }

    lookup->routes = routes;
    lookup->key = key;
    lookup->label.len = label->len;
    lookup->label.data = lookup->label_buf;
    ngx_memcpy(lookup->label_buf, label->data, label->len);

    /* quoted: somebody may be named "null" */

    ngx_sprintf((u_char *) lookup->param, "{\"%V\"}%Z", label);

    lookup->query.sql = "SELECT " NGX_OA_ROUTES_COLUMNS
                        " FROM oa.routes_named($1)";
    lookup->query.nparams = 1;
    lookup->query.params[0] = lookup->param;
    lookup->query.handler = ngx_oa_lookup_handler;
    lookup->query.data = lookup;

    if (ngx_oa_pg_query(&lookup->query) != NGX_OK) {
        ngx_free(lookup);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_oa_lookup_handler(ngx_oa_pg_query_t *query, PGresult *res)
{
    ngx_oa_lookup_t *lookup = query->data;

    uint64_t   key;
    ngx_int_t  rc;

    if (res == NULL) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "oa_routes \"%V\": asking for \"%V\" failed: %V",
                      &lookup->routes->name, &lookup->label, &query->error);
        rc = NGX_ERROR;

    } else {
        rc = ngx_oa_lookup_apply(lookup, res);
    }

    key = lookup->key;
    ngx_free(lookup);

    ngx_oa_flight_land(key, rc);
}


static ngx_int_t
ngx_oa_lookup_apply(ngx_oa_lookup_t *lookup, PGresult *res)
{
    ngx_int_t         rc;
    ngx_oa_routes_t  *routes;

    routes = lookup->routes;

    if (PQntuples(res)) {
        return ngx_oa_routes_apply(routes, res, OA_TABLE_WANTED);
    }

    ngx_oa_zone_lock(routes->zone);

    rc = oa_table_put_negative(routes->table, routes->id, &lookup->label, 0,
                               routes->info->gen, ngx_current_msec);

    ngx_oa_zone_unlock(routes->zone);

    return rc == NGX_ERROR ? NGX_ERROR : NGX_OK;
}


ngx_int_t
ngx_oa_routes_apply(ngx_oa_routes_t *routes, PGresult *res,
    oa_table_put_e put)
{
    int        row, rows, col;
    ngx_int_t  rc;
    ngx_str_t  cols[OA_COLS];

    if (PQnfields(res) != OA_COLS) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "oa_routes \"%V\": rows have %d columns, expected %d",
                      &routes->name, PQnfields(res), (int) OA_COLS);
        return NGX_ERROR;
    }

    rc = NGX_OK;
    rows = PQntuples(res);

    ngx_oa_zone_lock(routes->zone);

    for (row = 0; row < rows; row++) {

        for (col = 0; col < (int) OA_COLS; col++) {
            if (PQgetisnull(res, row, col)) {
                ngx_str_null(&cols[col]);
                continue;
            }

            cols[col].len = PQgetlength(res, row, col);
            cols[col].data = (u_char *) PQgetvalue(res, row, col);
        }

        if (ngx_oa_routes_apply_row(routes, cols, put) == NGX_ERROR) {
            rc = NGX_ERROR;
        }

        if (row % NGX_OA_ROUTES_BATCH == NGX_OA_ROUTES_BATCH - 1) {
            ngx_oa_zone_unlock(routes->zone);
            ngx_oa_zone_lock(routes->zone);
        }
    }

    ngx_oa_zone_unlock(routes->zone);

    return rc;
}


static ngx_int_t
ngx_oa_routes_apply_row(ngx_oa_routes_t *routes, const ngx_str_t *cols,
    oa_table_put_e put)
{
    ngx_int_t        n;
    uint8_t          gen;
    uint32_t         now;
    oa_route_t       route;
    const char      *why;
    const ngx_str_t *name;

    gen = routes->info->gen;
    now = ngx_current_msec;
    name = &cols[OA_COL_SUBDOMAIN];

    if (cols[OA_COL_ROUTE_ID].data
        && oa_route_parse(cols, &route, &why) == NGX_OK)
    {
        if (oa_table_put(routes->table, routes->id, &route, gen, now, put)
            != NGX_ERROR)
        {
            return NGX_OK;
        }

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "oa_routes \"%V\": no room for \"%V\" in oa_zone",
                      &routes->name, name);
        return NGX_ERROR;
    }

    if (!oa_is_label(name->data, name->len)) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "oa_routes \"%V\": a row was refused: subdomain is not "
                      "a DNS label", &routes->name);
        ngx_oa_count(NGX_OA_COUNT_ROUTE_REJECTED);
        return NGX_OK;
    }

    if (cols[OA_COL_ROUTE_ID].data) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "oa_routes \"%V\": the row of \"%V\" was refused: %s",
                      &routes->name, name, why);
        ngx_oa_count(NGX_OA_COUNT_ROUTE_REJECTED);
    }

    /* whatever was known of the name is wrong now */

    n = ngx_atoof(cols[OA_COL_VERSION].data, cols[OA_COL_VERSION].len);

    return oa_table_put_negative(routes->table, routes->id, name,
                                 n > 0 ? (uint64_t) n : 1, gen, now);
}
