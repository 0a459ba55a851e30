
/*
 * Rows: a document of routes, read as a whole and then taken into the table.
 *
 * Runs in the master while it starts, and in the thread of a worker.
 */


#include "ngx_oa_router.h"
#include "ngx_oa_rows.h"


#define NGX_OA_ROWS_BUFFER  65536
#define NGX_OA_ROWS_BATCH   64       /* routes, while the lock is held */
#define NGX_OA_ROWS_SWEEP   64       /* pages, while the lock is held */


static ngx_int_t ngx_oa_rows_add(void *data, const oa_route_t *route);
static ngx_int_t ngx_oa_rows_seen(ngx_oa_rows_t *rows, uint64_t hash);


ngx_int_t
ngx_oa_rows_read(ngx_oa_rows_t *rows, ngx_fd_t fd)
{
    size_t      have, used;
    ssize_t     n;
    u_char     *buf;
    ngx_int_t   rc;

    buf = ngx_alloc(NGX_OA_ROWS_BUFFER, rows->log);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    oa_routes_json_init(&rows->json);

    have = 0;

    do {
        if (rows->stop && *rows->stop) {
            rc = NGX_ABORT;
            break;
        }

        n = read(fd, buf + have, NGX_OA_ROWS_BUFFER - have);

        if (n == -1) {
            if (ngx_errno == NGX_EINTR) {
                rc = NGX_AGAIN;
                continue;
            }

            ngx_log_error(NGX_LOG_ERR, rows->log, ngx_errno,
                          "oa_routes \"%V\": read() \"%V\" failed, "
                          "the routes read before stay",
                          &rows->routes->name, rows->path);
            rc = NGX_ERROR;
            break;
        }

        have += n;

        rc = oa_routes_json_feed(&rows->json, buf, have, n == 0, &used,
                                 ngx_oa_rows_add, rows);

        if (rc == NGX_ERROR) {
            ngx_log_error(NGX_LOG_ERR, rows->log, 0,
                          "oa_routes \"%V\": %s in %V:%ui, "
                          "the routes read before stay",
                          &rows->routes->name, rows->json.error, rows->path,
                          rows->json.line);
            break;
        }

        have -= used;
        ngx_memmove(buf, buf + used, have);

    } while (rc == NGX_AGAIN);

    ngx_free(buf);

    return rc;
}


static ngx_int_t
ngx_oa_rows_add(void *data, const oa_route_t *route)
{
    ngx_oa_rows_t *rows = data;

    size_t            size, room;
    u_char           *p;
    uint64_t          hash;
    ngx_int_t         rc;
    oa_route_head_t   head;

    hash = oa_table_hash(rows->routes->table, rows->routes->id,
                         route->subdomain.data, route->subdomain.len);

    rc = ngx_oa_rows_seen(rows, hash);

    if (rc != NGX_OK) {
        rows->json.error = (rc == NGX_DECLINED) ? "a subdomain occurs twice"
                                                : "out of memory";
        return NGX_ERROR;
    }

    ngx_memzero(&head, sizeof(oa_route_head_t));
    size = oa_route_pack_size(route, &head);

    if (rows->size + sizeof(oa_route_head_t) + size > rows->room) {
        room = rows->room ? rows->room * 2 : 1024 * 1024;

        p = realloc(rows->packed, room);
        if (p == NULL) {
            rows->json.error = "out of memory";
            return NGX_ERROR;
        }

        rows->packed = p;
        rows->room = room;
    }

    p = rows->packed + rows->size;
    p = ngx_cpymem(p, &head, sizeof(oa_route_head_t));
    oa_route_pack(route, &head, p);

    rows->size += sizeof(oa_route_head_t) + size;
    rows->slots += oa_table_slots(size);
    rows->n++;

    return NGX_OK;
}


/* NGX_DECLINED: the hash was there.  Of 64 bits, equal is the same. */

static ngx_int_t
ngx_oa_rows_seen(ngx_oa_rows_t *rows, uint64_t hash)
{
    size_t     i, k, size;
    uint64_t  *seen;

    if (hash == 0) {
        hash = 1;
    }

    if (rows->n >= rows->seen_size / 2) {
        size = rows->seen_size ? rows->seen_size * 2 : 4096;

        seen = ngx_calloc(size * sizeof(uint64_t), rows->log);
        if (seen == NULL) {
            return NGX_ERROR;
        }

        for (i = 0; i < rows->seen_size; i++) {
            if (rows->seen[i] == 0) {
                continue;
            }

            k = rows->seen[i] & (size - 1);

            while (seen[k]) {
                k = (k + 1) & (size - 1);
            }

            seen[k] = rows->seen[i];
        }

        ngx_free(rows->seen);
        rows->seen = seen;
        rows->seen_size = size;
    }

    k = hash & (rows->seen_size - 1);

    while (rows->seen[k]) {
        if (rows->seen[k] == hash) {
            return NGX_DECLINED;
        }

        k = (k + 1) & (rows->seen_size - 1);
    }

    rows->seen[k] = hash;

    return NGX_OK;
}


/*
 * Takes the rows into the table.  Two may be at it when a reload meets a
 * change: whoever began last has the newer file and the higher gen, and the
 * other ends.
 */

ngx_int_t
ngx_oa_rows_apply(ngx_oa_rows_t *rows, uint8_t gen)
{
    u_char            text[3 * 36], *p, *last;
    ngx_uint_t        n;
    oa_route_t        route;
    ngx_oa_routes_t  *routes;
    oa_route_head_t   head;

    routes = rows->routes;
    p = rows->packed;
    last = p + rows->size;

    while (p < last) {

        if (rows->stop && *rows->stop) {
            return NGX_ABORT;
        }

        ngx_oa_zone_lock(routes->zone);

        if (routes->info->gen != gen) {
            ngx_oa_zone_unlock(routes->zone);
            return NGX_ABORT;
        }

        for (n = 0; n < NGX_OA_ROWS_BATCH && p < last; n++) {
            ngx_memcpy(&head, p, sizeof(oa_route_head_t));
            p += sizeof(oa_route_head_t);

            oa_route_unpack(&head, p, text, &route);
            p += oa_route_packed_size(&head);

            if (oa_table_put(routes->table, routes->id, &route, gen,
                             ngx_current_msec, OA_TABLE_WANTED)
                == NGX_ERROR)
            {
                ngx_oa_zone_unlock(routes->zone);

                ngx_log_error(NGX_LOG_ERR, rows->log, 0,
                              "oa_routes \"%V\": no room in oa_zone for the "
                              "routes of \"%V\"", &routes->name, rows->path);
                return NGX_ERROR;
            }
        }

        ngx_oa_zone_unlock(routes->zone);
    }

    return NGX_OK;
}


ngx_int_t
ngx_oa_rows_sweep(ngx_oa_rows_t *rows, uint8_t gen)
{
    ngx_uint_t        page;
    ngx_oa_routes_t  *routes;

    page = 0;
    routes = rows->routes;

    do {
        ngx_oa_zone_lock(routes->zone);

        if (routes->info->gen != gen) {
            ngx_oa_zone_unlock(routes->zone);
            return NGX_ABORT;
        }

        page = oa_table_sweep(routes->table, routes->id, gen, page,
                              NGX_OA_ROWS_SWEEP);

        ngx_oa_zone_unlock(routes->zone);

    } while (page);

    return NGX_OK;
}


void
ngx_oa_rows_done(ngx_oa_rows_t *rows)
{
    free(rows->packed);
    ngx_free(rows->seen);
}
