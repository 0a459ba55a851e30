
/*
 * The file that is the source of routes, and the thread that follows it.
 *
 * Whoever has the duty runs one thread for an oa_routes, since to read a file
 * is to wait for a disk; for routes of a database it keeps the snapshot.  The
 * thread touches the table under the lock of the zone, a batch at a time, and
 * nothing else of the worker.
 */


#include "ngx_oa_router.h"
#include "ngx_oa_rows.h"


#define NGX_OA_FILE_POLL  200        /* ms */


static void ngx_oa_file_work(ngx_oa_thread_t *thread);
static void ngx_oa_file_follow(ngx_oa_routes_file_t *reader);
static void ngx_oa_file_load(ngx_oa_routes_t *routes, ngx_oa_file_id_t *id,
    ngx_log_t *log, volatile ngx_uint_t *stop);
static ngx_int_t ngx_oa_file_read(ngx_oa_rows_t *rows);


ngx_int_t
ngx_oa_routes_file_start(ngx_oa_routes_t *routes)
{
    ngx_oa_routes_file_t  *reader;

    reader = ngx_calloc(sizeof(ngx_oa_routes_file_t), ngx_cycle->log);
    if (reader == NULL) {
        return NGX_ERROR;
    }

    reader->routes = routes;
    reader->log = ngx_cycle->log;
    reader->thread.work = ngx_oa_file_work;
    reader->thread.data = reader;
    reader->thread.pause = NGX_OA_FILE_POLL;

    if (ngx_oa_thread_start(&reader->thread) != NGX_OK) {
        ngx_free(reader);
        return NGX_ERROR;
    }

    routes->reader = reader;

    return NGX_OK;
}


void
ngx_oa_routes_file_stop(ngx_oa_routes_t *routes)
{
    ngx_oa_routes_file_t  *reader;

    reader = routes->reader;
    if (reader == NULL) {
        return;
    }

    ngx_oa_thread_stop(&reader->thread);
    ngx_free(reader);

    routes->reader = NULL;
}


static void
ngx_oa_file_work(ngx_oa_thread_t *thread)
{
    ngx_oa_routes_file_t  *reader;

    reader = thread->data;

    if (reader->routes->source == NGX_OA_SOURCE_FILE) {
        ngx_oa_file_follow(reader);
        return;
    }

    if (!reader->loaded) {
        reader->loaded = 1;
        ngx_oa_snapshot_load(reader);
    }

    ngx_oa_snapshot_keep(reader);
}


/*
 * A file that looks different from what was read last is read when it looks
 * the same twice in a row: its writer may not be done.
 */

static void
ngx_oa_file_follow(ngx_oa_routes_file_t *reader)
{
    ngx_oa_routes_t   *routes;
    oa_table_info_t   *info;
    ngx_oa_file_id_t   id;

    routes = reader->routes;
    info = routes->info;

    if (ngx_oa_file_id(&routes->file, &id) != NGX_OK) {

        if (!reader->failed) {
            reader->failed = 1;
            ngx_log_error(NGX_LOG_ERR, reader->log, ngx_errno,
                          "oa_routes \"%V\": stat() \"%V\" failed, "
                          "the routes read before stay",
                          &routes->name, &routes->file);
            ngx_oa_count(NGX_OA_COUNT_FILE_ERRORS);
        }

        return;
    }

    reader->failed = 0;

    if (id.ino == info->file_ino
        && id.size == info->file_size
        && id.mtime == info->file_mtime)
    {
        return;
    }

    if (ngx_memcmp(&id, &reader->last, sizeof(ngx_oa_file_id_t)) != 0) {
        reader->last = id;
        return;
    }

    ngx_oa_file_load(routes, &id, reader->log, &reader->thread.stop);
}


void
ngx_oa_routes_file_load(ngx_oa_routes_t *routes, ngx_log_t *log)
{
    oa_table_info_t   *info;
    ngx_oa_file_id_t   id;

    info = routes->info;

    if (ngx_oa_file_id(&routes->file, &id) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                      "oa_routes \"%V\": stat() \"%V\" failed",
                      &routes->name, &routes->file);
        ngx_oa_count(NGX_OA_COUNT_FILE_ERRORS);
        return;
    }

    if (info->state == OA_TABLE_LIVE
        && id.ino == info->file_ino
        && id.size == info->file_size
        && id.mtime == info->file_mtime)
    {
        return;
    }

    ngx_oa_file_load(routes, &id, log, NULL);
}


static void
ngx_oa_file_load(ngx_oa_routes_t *routes, ngx_oa_file_id_t *id,
    ngx_log_t *log, volatile ngx_uint_t *stop)
{
    uint8_t           gen;
    ngx_int_t         rc;
    ngx_oa_rows_t     rows;
    oa_table_info_t  *info;

    info = routes->info;

    ngx_memzero(&rows, sizeof(ngx_oa_rows_t));

    rows.routes = routes;
    rows.path = &routes->file;
    rows.log = log;
    rows.stop = stop;

    rc = ngx_oa_file_read(&rows);

    if (rc == NGX_ABORT) {
        ngx_oa_rows_done(&rows);
        return;
    }

    ngx_oa_zone_lock(routes->zone);

    /* a broken file is not read again before it changes */

    info->file_ino = id->ino;
    info->file_size = id->size;
    info->file_mtime = id->mtime;

    if (rc == NGX_OK) {
        gen = ++info->gen;

        /* a feed that was followed before begins anew */

        info->feed.position = 0;

    } else {
        gen = 0;
        info->state = (info->state < OA_TABLE_LIVE) ? OA_TABLE_COLD
                                                    : OA_TABLE_STALE;
    }

    ngx_oa_zone_unlock(routes->zone);

    if (rc != NGX_OK) {
        ngx_oa_count(NGX_OA_COUNT_FILE_ERRORS);
        ngx_oa_rows_done(&rows);
        return;
    }

    rc = ngx_oa_rows_apply(&rows, gen);

    if (rc == NGX_OK) {
        rc = ngx_oa_rows_sweep(&rows, gen);
    }

    ngx_oa_zone_lock(routes->zone);

    if (rc == NGX_OK) {
        info->state = OA_TABLE_LIVE;

    } else if (info->gen == gen) {

        /* whoever comes next must read it again */

        info->file_ino = 0;
    }

    ngx_oa_zone_unlock(routes->zone);

    if (rc == NGX_OK) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "oa_routes \"%V\": %ui routes read from \"%V\"",
                      &routes->name, rows.n, &routes->file);
        ngx_oa_count(NGX_OA_COUNT_FILE_LOADS);
    }

    ngx_oa_rows_done(&rows);
}


static ngx_int_t
ngx_oa_file_read(ngx_oa_rows_t *rows)
{
    ngx_fd_t          fd;
    ngx_int_t         rc;
    ngx_uint_t        slots;
    ngx_oa_routes_t  *routes;

    routes = rows->routes;

    fd = open((char *) routes->file.data, O_RDONLY|O_CLOEXEC);

    if (fd == -1) {
        ngx_log_error(NGX_LOG_ERR, rows->log, ngx_errno,
                      "oa_routes \"%V\": open() \"%V\" failed, "
                      "the routes read before stay",
                      &routes->name, &routes->file);
        return NGX_ERROR;
    }

    rc = ngx_oa_rows_read(rows, fd);

    (void) close(fd);

    if (rc != NGX_OK) {
        return rc;
    }

    slots = (ngx_oa_zone_free_pages(routes->zone)
             + oa_table_pages(routes->table))
            * (OA_TABLE_PAGE / OA_TABLE_SLOT);

    if (rows->slots > slots) {
        ngx_log_error(NGX_LOG_ERR, rows->log, 0,
                      "oa_routes \"%V\": the %ui routes of \"%V\" need %uzk "
                      "of oa_zone, it has room for %uzk, the routes read "
                      "before stay",
                      &routes->name, rows->n, &routes->file,
                      (size_t) rows->slots * OA_TABLE_SLOT / 1024,
                      (size_t) slots * OA_TABLE_SLOT / 1024);
        return NGX_ERROR;
    }

    return NGX_OK;
}
