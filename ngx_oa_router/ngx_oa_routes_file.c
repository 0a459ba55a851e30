
/*
 * Routes in files: the file that is their source, and the snapshot that is
 * kept of those in a database.
 *
 * Whoever has the duty runs one thread for it, since to read a file is to
 * wait for a disk.  The thread touches the table under the lock of the zone,
 * a batch at a time, and nothing else of the worker.
 */


#include "ngx_oa_router.h"
#include "oa_routes_json.h"

#include <pthread.h>


#define NGX_OA_FILE_POLL    200      /* ms */
#define NGX_OA_FILE_BUFFER  65536
#define NGX_OA_FILE_BATCH   64       /* routes, while the lock is held */
#define NGX_OA_SWEEP_BATCH  64       /* pages */


struct ngx_oa_routes_file_s {
    ngx_oa_routes_t             *routes;
    ngx_log_t                   *log;

    pthread_t                    thread;
    pthread_mutex_t              mutex;
    pthread_cond_t               cond;
    volatile ngx_uint_t          stop;

    uint64_t                     written;      /* changes in the snapshot */
    ngx_uint_t                   failed;       /* was said already */
};


/* What tells a changed file from an unchanged one. */
typedef struct {
    uint64_t                     ino;
    uint64_t                     size;
    uint64_t                     mtime;
} ngx_oa_file_id_t;


/*
 * A file is read to its end before a row of it counts, as a broken one must
 * change nothing.  Rows are kept packed: as many bytes as in the zone.
 */
typedef struct {
    ngx_oa_routes_t             *routes;
    ngx_str_t                   *path;
    ngx_log_t                   *log;
    volatile ngx_uint_t         *stop;

    oa_routes_json_t             json;

    u_char                      *rows;
    size_t                       size;
    size_t                       room;
    ngx_uint_t                   n;
    ngx_uint_t                   slots;

    uint64_t                    *seen;         /* hashes of the labels */
    size_t                       seen_size;    /* a power of two */
} ngx_oa_file_load_t;


static void *ngx_oa_file_thread(void *data);
static ngx_uint_t ngx_oa_file_wait(ngx_oa_routes_file_t *reader);
static void ngx_oa_file_follow(ngx_oa_routes_file_t *reader,
    ngx_oa_file_id_t *last);
static ngx_int_t ngx_oa_file_stat(ngx_str_t *path, ngx_oa_file_id_t *id);
static ngx_int_t ngx_oa_file_load(ngx_oa_routes_t *routes,
    ngx_oa_file_id_t *id, ngx_log_t *log, volatile ngx_uint_t *stop);
static ngx_int_t ngx_oa_file_read(ngx_oa_file_load_t *load, ngx_fd_t fd);
static ngx_int_t ngx_oa_file_row(void *data, const oa_route_t *route);
static ngx_int_t ngx_oa_file_seen(ngx_oa_file_load_t *load, uint64_t hash);
static ngx_int_t ngx_oa_file_apply(ngx_oa_file_load_t *load, uint8_t gen);
static ngx_int_t ngx_oa_file_sweep(ngx_oa_file_load_t *load, uint8_t gen);
static void ngx_oa_file_load_done(ngx_oa_file_load_t *load);
static void ngx_oa_snapshot_load(ngx_oa_routes_file_t *reader);
static void ngx_oa_snapshot_keep(ngx_oa_routes_file_t *reader);
static ngx_int_t ngx_oa_snapshot_write(ngx_oa_routes_file_t *reader,
    u_char *temp);
static ngx_int_t ngx_oa_snapshot_flush(ngx_fd_t fd, u_char *p, size_t size);


ngx_int_t
ngx_oa_routes_file_start(ngx_oa_routes_t *routes)
{
    int                    err;
    sigset_t               all, old;
    ngx_oa_routes_file_t  *reader;

    reader = ngx_calloc(sizeof(ngx_oa_routes_file_t), ngx_cycle->log);
    if (reader == NULL) {
        return NGX_ERROR;
    }

    reader->routes = routes;
    reader->log = ngx_cycle->log;

    err = pthread_mutex_init(&reader->mutex, NULL);

    if (err == 0) {
        err = pthread_cond_init(&reader->cond, NULL);
    }

    if (err == 0) {

        /* signals are for the event loop */

        sigfillset(&all);
        (void) pthread_sigmask(SIG_BLOCK, &all, &old);
        err = pthread_create(&reader->thread, NULL, ngx_oa_file_thread,
                             reader);
        (void) pthread_sigmask(SIG_SETMASK, &old, NULL);
    }

    if (err) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, err,
                      "pthread_create() failed");
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

    (void) pthread_mutex_lock(&reader->mutex);
    reader->stop = 1;
    (void) pthread_cond_signal(&reader->cond);
    (void) pthread_mutex_unlock(&reader->mutex);

    (void) pthread_join(reader->thread, NULL);

    (void) pthread_cond_destroy(&reader->cond);
    (void) pthread_mutex_destroy(&reader->mutex);
    ngx_free(reader);

    routes->reader = NULL;
}


static void *
ngx_oa_file_thread(void *data)
{
    ngx_oa_routes_file_t *reader = data;

    ngx_oa_file_id_t  last;

    ngx_memzero(&last, sizeof(ngx_oa_file_id_t));

    if (reader->routes->source == NGX_OA_SOURCE_POSTGRES) {
        ngx_oa_snapshot_load(reader);
    }

    do {
        if (reader->routes->source == NGX_OA_SOURCE_FILE) {
            ngx_oa_file_follow(reader, &last);

        } else {
            ngx_oa_snapshot_keep(reader);
        }

    } while (!ngx_oa_file_wait(reader));

    return NULL;
}


/* Waits for the next look; is it time to end? */

static ngx_uint_t
ngx_oa_file_wait(ngx_oa_routes_file_t *reader)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_REALTIME, &ts);

    ts.tv_nsec += NGX_OA_FILE_POLL * 1000000;

    if (ts.tv_nsec >= 1000000000) {
        ts.tv_sec++;
        ts.tv_nsec -= 1000000000;
    }

    (void) pthread_mutex_lock(&reader->mutex);

    if (!reader->stop) {
        (void) pthread_cond_timedwait(&reader->cond, &reader->mutex, &ts);
    }

    (void) pthread_mutex_unlock(&reader->mutex);

    return reader->stop;
}


/*
 * A file that looks different from what was read last is read when it looks
 * the same twice in a row: its writer may not be done.
 */

static void
ngx_oa_file_follow(ngx_oa_routes_file_t *reader, ngx_oa_file_id_t *last)
{
    ngx_oa_routes_t   *routes;
    oa_table_info_t   *info;
    ngx_oa_file_id_t   id;

    routes = reader->routes;
    info = routes->info;

    if (ngx_oa_file_stat(&routes->file, &id) != NGX_OK) {

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

    if (ngx_memcmp(&id, last, sizeof(ngx_oa_file_id_t)) != 0) {
        *last = id;
        return;
    }

    (void) ngx_oa_file_load(routes, &id, reader->log, &reader->stop);
}


void
ngx_oa_routes_file_load(ngx_oa_routes_t *routes, ngx_log_t *log)
{
    oa_table_info_t   *info;
    ngx_oa_file_id_t   id;

    info = routes->info;

    if (ngx_oa_file_stat(&routes->file, &id) != NGX_OK) {
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

    (void) ngx_oa_file_load(routes, &id, log, NULL);
}


static ngx_int_t
ngx_oa_file_stat(ngx_str_t *path, ngx_oa_file_id_t *id)
{
    struct stat  st;

    if (stat((char *) path->data, &st) == -1) {
        return NGX_ERROR;
    }

    id->ino = st.st_ino;
    id->size = st.st_size;
    id->mtime = (uint64_t) st.st_mtim.tv_sec * 1000000000
                + st.st_mtim.tv_nsec;

    return NGX_OK;
}


static ngx_int_t
ngx_oa_file_load(ngx_oa_routes_t *routes, ngx_oa_file_id_t *id,
    ngx_log_t *log, volatile ngx_uint_t *stop)
{
    uint8_t              gen;
    ngx_fd_t             fd;
    ngx_int_t            rc;
    ngx_uint_t           slots;
    oa_table_info_t     *info;
    ngx_oa_file_load_t   load;

    info = routes->info;

    ngx_memzero(&load, sizeof(ngx_oa_file_load_t));

    load.routes = routes;
    load.path = &routes->file;
    load.log = log;
    load.stop = stop;

    fd = open((char *) routes->file.data, O_RDONLY|O_CLOEXEC);

    if (fd == -1) {
        ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                      "oa_routes \"%V\": open() \"%V\" failed, "
                      "the routes read before stay",
                      &routes->name, &routes->file);
        rc = NGX_ERROR;

    } else {
        rc = ngx_oa_file_read(&load, fd);
        (void) close(fd);
    }

    if (rc == NGX_OK) {
        slots = (ngx_oa_zone_free_pages(routes->zone)
                 + oa_table_pages(routes->table))
                * (OA_TABLE_PAGE / OA_TABLE_SLOT);

        if (load.slots > slots) {
            ngx_log_error(NGX_LOG_ERR, log, 0,
                          "oa_routes \"%V\": the %ui routes of \"%V\" need "
                          "%uzk of oa_zone, it has room for %uzk, "
                          "the routes read before stay",
                          &routes->name, load.n, &routes->file,
                          (size_t) load.slots * OA_TABLE_SLOT / 1024,
                          (size_t) slots * OA_TABLE_SLOT / 1024);
            rc = NGX_ERROR;
        }
    }

    if (rc == NGX_ABORT) {
        ngx_oa_file_load_done(&load);
        return NGX_ABORT;
    }

    /* a broken file is not read again before it changes */

    ngx_oa_zone_lock(routes->zone);

    info->file_ino = id->ino;
    info->file_size = id->size;
    info->file_mtime = id->mtime;

    if (rc != NGX_OK) {

        if (info->state == OA_TABLE_LIVE) {
            info->state = OA_TABLE_STALE;

        } else if (info->state == OA_TABLE_INIT) {
            info->state = OA_TABLE_COLD;
        }

        ngx_oa_zone_unlock(routes->zone);

        ngx_oa_count(NGX_OA_COUNT_FILE_ERRORS);
        ngx_oa_file_load_done(&load);

        return NGX_ERROR;
    }

    gen = ++info->gen;

    ngx_oa_zone_unlock(routes->zone);

    rc = ngx_oa_file_apply(&load, gen);

    if (rc == NGX_OK) {
        rc = ngx_oa_file_sweep(&load, gen);
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
                      &routes->name, load.n, &routes->file);
        ngx_oa_count(NGX_OA_COUNT_FILE_LOADS);
    }

    ngx_oa_file_load_done(&load);

    return rc;
}


static ngx_int_t
ngx_oa_file_read(ngx_oa_file_load_t *load, ngx_fd_t fd)
{
    size_t      have, used;
    ssize_t     n;
    u_char     *buf;
    ngx_int_t   rc;

    buf = ngx_alloc(NGX_OA_FILE_BUFFER, load->log);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    oa_routes_json_init(&load->json);

    have = 0;

    do {
        if (load->stop && *load->stop) {
            rc = NGX_ABORT;
            break;
        }

        n = read(fd, buf + have, NGX_OA_FILE_BUFFER - have);

        if (n == -1) {
            if (ngx_errno == NGX_EINTR) {
                rc = NGX_AGAIN;
                continue;
            }

            ngx_log_error(NGX_LOG_ERR, load->log, ngx_errno,
                          "oa_routes \"%V\": read() \"%V\" failed, "
                          "the routes read before stay",
                          &load->routes->name, load->path);
            rc = NGX_ERROR;
            break;
        }

        have += n;

        rc = oa_routes_json_feed(&load->json, buf, have, n == 0, &used,
                                 ngx_oa_file_row, load);

        if (rc == NGX_ERROR) {
            ngx_log_error(NGX_LOG_ERR, load->log, 0,
                          "oa_routes \"%V\": %s in %V:%ui, "
                          "the routes read before stay",
                          &load->routes->name, load->json.error, load->path,
                          load->json.line);
            break;
        }

        have -= used;
        ngx_memmove(buf, buf + used, have);

    } while (rc == NGX_AGAIN);

    ngx_free(buf);

    return rc;
}


static ngx_int_t
ngx_oa_file_row(void *data, const oa_route_t *route)
{
    ngx_oa_file_load_t *load = data;

    size_t            size, room;
    u_char           *p;
    uint64_t          hash;
    ngx_int_t         rc;
    oa_route_head_t   head;

    hash = oa_table_hash(load->routes->id, route->subdomain.data,
                         route->subdomain.len);

    rc = ngx_oa_file_seen(load, hash);

    if (rc != NGX_OK) {
        load->json.error = (rc == NGX_DECLINED) ? "a subdomain occurs twice"
                                                : "out of memory";
        return NGX_ERROR;
    }

    ngx_memzero(&head, sizeof(oa_route_head_t));
    size = oa_route_pack_size(route, &head);

    if (load->size + sizeof(oa_route_head_t) + size > load->room) {
        room = load->room ? load->room * 2 : 1024 * 1024;

        p = realloc(load->rows, room);
        if (p == NULL) {
            load->json.error = "out of memory";
            return NGX_ERROR;
        }

        load->rows = p;
        load->room = room;
    }

    p = load->rows + load->size;
    p = ngx_cpymem(p, &head, sizeof(oa_route_head_t));
    oa_route_pack(route, &head, p);

    load->size += sizeof(oa_route_head_t) + size;
    load->slots += oa_table_slots(size);
    load->n++;

    return NGX_OK;
}


/* NGX_DECLINED: the hash was there.  Hashes have 64 bits: equal is the same. */

static ngx_int_t
ngx_oa_file_seen(ngx_oa_file_load_t *load, uint64_t hash)
{
    size_t     i, k, size;
    uint64_t  *seen;

    if (hash == 0) {
        hash = 1;
    }

    if (load->n >= load->seen_size / 2) {
        size = load->seen_size ? load->seen_size * 2 : 4096;

        seen = ngx_calloc(size * sizeof(uint64_t), load->log);
        if (seen == NULL) {
            return NGX_ERROR;
        }

        for (i = 0; i < load->seen_size; i++) {
            if (load->seen[i] == 0) {
                continue;
            }

            k = load->seen[i] & (size - 1);

            while (seen[k]) {
                k = (k + 1) & (size - 1);
            }

            seen[k] = load->seen[i];
        }

        ngx_free(load->seen);
        load->seen = seen;
        load->seen_size = size;
    }

    k = hash & (load->seen_size - 1);

    while (load->seen[k]) {
        if (load->seen[k] == hash) {
            return NGX_DECLINED;
        }

        k = (k + 1) & (load->seen_size - 1);
    }

    load->seen[k] = hash;

    return NGX_OK;
}


/*
 * Takes the rows into the table.  Two may be at it when a reload meets a
 * change: whoever began last has the newer file and the higher gen, and the
 * other ends.
 */

static ngx_int_t
ngx_oa_file_apply(ngx_oa_file_load_t *load, uint8_t gen)
{
    u_char            text[3 * 36], *p, *last;
    ngx_uint_t        n;
    oa_route_t        route;
    ngx_oa_routes_t  *routes;
    oa_route_head_t   head;

    routes = load->routes;
    p = load->rows;
    last = p + load->size;

    while (p < last) {

        if (load->stop && *load->stop) {
            return NGX_ABORT;
        }

        ngx_oa_zone_lock(routes->zone);

        if (routes->info->gen != gen) {
            ngx_oa_zone_unlock(routes->zone);
            return NGX_ABORT;
        }

        for (n = 0; n < NGX_OA_FILE_BATCH && p < last; n++) {
            ngx_memcpy(&head, p, sizeof(oa_route_head_t));
            p += sizeof(oa_route_head_t);

            oa_route_unpack(&head, p, text, &route);
            p += oa_route_packed_size(&head);

            if (oa_table_put(routes->table, routes->id, &route, gen,
                             ngx_current_msec)
                == NGX_ERROR)
            {
                ngx_oa_zone_unlock(routes->zone);

                ngx_log_error(NGX_LOG_ERR, load->log, 0,
                              "oa_routes \"%V\": no room in oa_zone for the "
                              "routes of \"%V\"", &routes->name, load->path);
                return NGX_ERROR;
            }
        }

        ngx_oa_zone_unlock(routes->zone);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_oa_file_sweep(ngx_oa_file_load_t *load, uint8_t gen)
{
    ngx_uint_t        page;
    ngx_oa_routes_t  *routes;

    page = 0;
    routes = load->routes;

    do {
        ngx_oa_zone_lock(routes->zone);

        if (routes->info->gen != gen) {
            ngx_oa_zone_unlock(routes->zone);
            return NGX_ABORT;
        }

        page = oa_table_sweep(routes->table, routes->id, gen, page,
                              NGX_OA_SWEEP_BATCH);

        ngx_oa_zone_unlock(routes->zone);

    } while (page);

    return NGX_OK;
}


static void
ngx_oa_file_load_done(ngx_oa_file_load_t *load)
{
    free(load->rows);
    ngx_free(load->seen);
}


/* What the snapshot has is only wanted while nothing better is there. */

static void
ngx_oa_snapshot_load(ngx_oa_routes_file_t *reader)
{
    uint8_t              gen;
    ngx_fd_t             fd;
    ngx_int_t            rc;
    ngx_uint_t           level;
    ngx_oa_routes_t     *routes;
    ngx_oa_file_load_t   load;

    routes = reader->routes;

    if (routes->info->state != OA_TABLE_INIT) {
        return;
    }

    ngx_memzero(&load, sizeof(ngx_oa_file_load_t));

    load.routes = routes;
    load.path = &routes->snapshot;
    load.log = reader->log;
    load.stop = &reader->stop;

    fd = open((char *) routes->snapshot.data, O_RDONLY|O_NOFOLLOW|O_CLOEXEC);

    if (fd == -1) {
        level = (ngx_errno == NGX_ENOENT) ? NGX_LOG_NOTICE : NGX_LOG_ERR;

        ngx_log_error(level, reader->log, ngx_errno,
                      "oa_routes \"%V\": no snapshot, open() \"%V\" failed",
                      &routes->name, &routes->snapshot);
        rc = NGX_DECLINED;

    } else {
        rc = ngx_oa_file_read(&load, fd);
        (void) close(fd);
    }

    if (rc == NGX_ERROR) {
        ngx_oa_count(NGX_OA_COUNT_SNAPSHOT_ERRORS);
    }

    if (rc == NGX_OK) {

        /* a whole read of the database takes another gen and so ends this */

        gen = routes->info->gen;

        if (routes->info->state == OA_TABLE_INIT) {
            rc = ngx_oa_file_apply(&load, gen);
        }

        if (rc == NGX_OK) {
            ngx_log_error(NGX_LOG_NOTICE, reader->log, 0,
                          "oa_routes \"%V\": %ui routes read from the "
                          "snapshot", &routes->name, load.n);
        }
    }

    ngx_oa_zone_lock(routes->zone);

    if (rc != NGX_ABORT && routes->info->state == OA_TABLE_INIT) {
        routes->info->state = (rc == NGX_OK) ? OA_TABLE_SNAPSHOT
                                             : OA_TABLE_COLD;
    }

    ngx_oa_zone_unlock(routes->zone);

    ngx_oa_file_load_done(&load);
}


static void
ngx_oa_snapshot_keep(ngx_oa_routes_file_t *reader)
{
    u_char           *temp;
    uint64_t          changes;
    ngx_int_t         rc;
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

    rc = ngx_oa_snapshot_write(reader, temp);

    if (rc == NGX_OK
        && rename((char *) temp, (char *) routes->snapshot.data) == -1)
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


typedef struct {
    u_char                      *start;
    u_char                      *pos;
    ngx_uint_t                   n;
} ngx_oa_snapshot_buf_t;


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
ngx_oa_snapshot_write(ngx_oa_routes_file_t *reader, u_char *temp)
{
    size_t                  room;
    ngx_fd_t                fd;
    ngx_int_t               rc;
    ngx_err_t               err;
    ngx_uint_t              page;
    ngx_oa_routes_t        *routes;
    ngx_oa_snapshot_buf_t   buf;

    routes = reader->routes;

    (void) unlink((char *) temp);

    fd = open((char *) temp, O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC,
              0600);
    if (fd == -1) {
        return NGX_ERROR;
    }

    /* a page of routes always fits behind what is not flushed yet */

    room = (OA_TABLE_PAGE / OA_TABLE_SLOT) * (OA_ROUTES_JSON_ROW_MAX + 2);

    buf.n = 0;
    buf.start = ngx_alloc(NGX_OA_FILE_BUFFER + room, reader->log);
    if (buf.start == NULL) {
        (void) close(fd);
        return NGX_ERROR;
    }

    buf.pos = ngx_cpymem(buf.start, "{\"routes\":[",
                         sizeof("{\"routes\":[") - 1);

    rc = NGX_OK;
    page = 0;

    do {
        if (reader->stop) {
            rc = NGX_ABORT;
            break;
        }

        page = oa_table_each(routes->table, routes->id, page,
                             ngx_oa_snapshot_row, &buf);

        if (buf.pos - buf.start >= NGX_OA_FILE_BUFFER) {
            rc = ngx_oa_snapshot_flush(fd, buf.start, buf.pos - buf.start);
            buf.pos = buf.start;
        }

    } while (page && rc == NGX_OK);

    if (rc == NGX_OK) {
        buf.pos = ngx_cpymem(buf.pos, "\n]}\n", sizeof("\n]}\n") - 1);
        rc = ngx_oa_snapshot_flush(fd, buf.start, buf.pos - buf.start);
    }

    err = ngx_errno;

    if (close(fd) == -1 && rc == NGX_OK) {
        err = ngx_errno;
        rc = NGX_ERROR;
    }

    ngx_free(buf.start);
    ngx_set_errno(err);

    return rc;
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
