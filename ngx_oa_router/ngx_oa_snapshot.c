
/*
 * The snapshot: what a start without the database serves.
 *
 * It has the form of a routes file.  It is written beside and renamed, in
 * full, since that takes a fraction of a second for a million routes.
 */


#include "ngx_oa_router.h"
#include "ngx_oa_rows.h"


#define NGX_OA_SNAPSHOT_BUFFER  65536


typedef struct {
    u_char                      *start;
    u_char                      *pos;
    ngx_uint_t                   n;
} ngx_oa_snapshot_buf_t;


static ngx_int_t ngx_oa_snapshot_write(ngx_oa_routes_file_t *reader,
    u_char *temp, ino_t *ino);
static void ngx_oa_snapshot_row(void *data, const oa_route_t *route);
static ngx_int_t ngx_oa_snapshot_flush(ngx_fd_t fd, u_char *p, size_t size);


void
ngx_oa_snapshot_load(ngx_oa_routes_file_t *reader)
{
    uint8_t              gen;
    ngx_fd_t             fd;
    ngx_int_t            rc;
    ngx_uint_t           level;
    ngx_oa_routes_t     *routes;
    ngx_oa_rows_t        rows;

    routes = reader->routes;

    if (routes->info->state != OA_TABLE_INIT) {
        return;
    }

    ngx_memzero(&rows, sizeof(ngx_oa_rows_t));

    rows.routes = routes;
    rows.path = &routes->snapshot;
    rows.log = reader->log;
    rows.stop = &reader->thread.stop;

    fd = open((char *) routes->snapshot.data, O_RDONLY|O_NOFOLLOW|O_CLOEXEC);

    if (fd == -1) {
        level = (ngx_errno == NGX_ENOENT) ? NGX_LOG_NOTICE : NGX_LOG_ERR;

        ngx_log_error(level, reader->log, ngx_errno,
                      "oa_routes \"%V\": no snapshot, open() \"%V\" failed",
                      &routes->name, &routes->snapshot);
        rc = NGX_DECLINED;

    } else {
        rc = ngx_oa_rows_read(&rows, fd);
        (void) close(fd);
    }

    if (rc == NGX_ERROR) {
        ngx_oa_count(NGX_OA_COUNT_SNAPSHOT_ERRORS);
    }

    if (rc == NGX_OK) {

        /* a whole read of the database takes another gen and so ends this */

        gen = routes->info->gen;

        if (routes->info->state == OA_TABLE_INIT) {
            rc = ngx_oa_rows_apply(&rows, gen);
        }

        if (rc == NGX_OK) {
            ngx_log_error(NGX_LOG_NOTICE, reader->log, 0,
                          "oa_routes \"%V\": %ui routes read from the "
                          "snapshot", &routes->name, rows.n);
        }
    }

    ngx_oa_zone_lock(routes->zone);

    if (routes->info->state == OA_TABLE_INIT && !reader->thread.stop) {
        routes->info->state = (rc == NGX_OK) ? OA_TABLE_SNAPSHOT
                                             : OA_TABLE_COLD;
    }

    ngx_oa_zone_unlock(routes->zone);

    ngx_oa_rows_done(&rows);
}


void
ngx_oa_snapshot_keep(ngx_oa_routes_file_t *reader)
{
    ino_t             ino;
    u_char           *temp;
    uint64_t          changes;
    ngx_int_t         rc;
    struct stat       st;
    ngx_oa_routes_t  *routes;

    routes = reader->routes;
    changes = routes->info->changes;

    /* what was read in part must not take the place of what is whole */

    if ((routes->info->state != OA_TABLE_LIVE
         && routes->info->state != OA_TABLE_STALE)
        || changes == reader->written)
    {
        return;
    }

    temp = ngx_alloc(routes->snapshot.len + sizeof(".tmp"), reader->log);
    if (temp == NULL) {
        return;
    }

    ngx_sprintf(temp, "%V.tmp%Z", &routes->snapshot);

    rc = ngx_oa_snapshot_write(reader, temp, &ino);

    /* a holder of the duty that stood still and woke may be at it, too */

    if (rc == NGX_OK
        && (stat((char *) temp, &st) == -1 || st.st_ino != ino
            || rename((char *) temp, (char *) routes->snapshot.data) == -1))
    {
        rc = NGX_ERROR;
    }

    if (rc == NGX_OK) {
        reader->written = changes;
        reader->failed = 0;

    } else if (rc == NGX_ERROR && !reader->failed) {
        reader->failed = 1;
        ngx_log_error(NGX_LOG_ERR, reader->log, ngx_errno,
                      "oa_routes \"%V\": the snapshot \"%V\" cannot be "
                      "written", &routes->name, &routes->snapshot);
        ngx_oa_count(NGX_OA_COUNT_SNAPSHOT_ERRORS);
    }

    if (rc != NGX_OK) {
        (void) unlink((char *) temp);
    }

    ngx_free(temp);
}


static ngx_int_t
ngx_oa_snapshot_write(ngx_oa_routes_file_t *reader, u_char *temp, ino_t *ino)
{
    size_t                  room;
    ngx_fd_t                fd;
    ngx_int_t               rc;
    ngx_err_t               err;
    ngx_uint_t              page;
    struct stat             st;
    ngx_oa_routes_t        *routes;
    ngx_oa_snapshot_buf_t   buf;

    routes = reader->routes;
    st.st_ino = 0;

    (void) unlink((char *) temp);

    fd = open((char *) temp, O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC,
              0600);
    if (fd == -1) {
        return NGX_ERROR;
    }

    /* a page of routes always fits behind what is not flushed yet */

    room = (OA_TABLE_PAGE / OA_TABLE_SLOT) * (OA_ROUTES_JSON_ROW_MAX + 2);

    buf.n = 0;
    buf.start = ngx_alloc(NGX_OA_SNAPSHOT_BUFFER + room, reader->log);
    if (buf.start == NULL) {
        (void) close(fd);
        return NGX_ERROR;
    }

    buf.pos = ngx_cpymem(buf.start, "{\"routes\":[",
                         sizeof("{\"routes\":[") - 1);

    rc = NGX_OK;
    page = 0;

    do {
        if (reader->thread.stop) {
            rc = NGX_ABORT;
            break;
        }

        page = oa_table_each(routes->table, routes->id, page,
                             ngx_oa_snapshot_row, &buf);

        if (buf.pos - buf.start >= NGX_OA_SNAPSHOT_BUFFER) {
            rc = ngx_oa_snapshot_flush(fd, buf.start, buf.pos - buf.start);
            buf.pos = buf.start;
        }

    } while (page && rc == NGX_OK);

    if (rc == NGX_OK) {
        buf.pos = ngx_cpymem(buf.pos, "\n]}\n", sizeof("\n]}\n") - 1);
        rc = ngx_oa_snapshot_flush(fd, buf.start, buf.pos - buf.start);
    }

    if (rc == NGX_OK && fstat(fd, &st) == -1) {
        rc = NGX_ERROR;
    }

    err = ngx_errno;
    *ino = st.st_ino;

    if (close(fd) == -1 && rc == NGX_OK) {
        err = ngx_errno;
        rc = NGX_ERROR;
    }

    ngx_free(buf.start);
    ngx_set_errno(err);

    return rc;
}


static void
ngx_oa_snapshot_row(void *data, const oa_route_t *route)
{
    ngx_oa_snapshot_buf_t *buf = data;

    if (buf->n++) {
        *buf->pos++ = ',';
    }

    *buf->pos++ = '\n';
    buf->pos = oa_routes_json_row(buf->pos, route);
}


static ngx_int_t
ngx_oa_snapshot_flush(ngx_fd_t fd, u_char *p, size_t size)
{
    ssize_t  n;

    while (size) {
        n = write(fd, p, size);

        if (n == -1) {
            if (ngx_errno == NGX_EINTR) {
                continue;
            }

            return NGX_ERROR;
        }

        p += n;
        size -= n;
    }

    return NGX_OK;
}
