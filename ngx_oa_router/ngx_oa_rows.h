
/*
 * Rows: a document of routes, read as a whole and then taken into the table.
 */


#ifndef _NGX_OA_ROWS_H_INCLUDED_
#define _NGX_OA_ROWS_H_INCLUDED_


#include "ngx_oa_router.h"
#include "oa_routes_json.h"


/*
 * A document is read to its end before a row of it counts, as a broken one
 * must change nothing.  Rows are kept packed: as many bytes as in the zone.
 * The first four fields are for the caller to set, all others to zero.
 */
typedef struct {
    ngx_oa_routes_t             *routes;
    ngx_str_t                   *path;         /* for the log */
    ngx_log_t                   *log;
    volatile ngx_uint_t         *stop;         /* or NULL */

    oa_routes_json_t             json;

    u_char                      *packed;
    size_t                       size;
    size_t                       room;
    ngx_uint_t                   n;
    ngx_uint_t                   slots;        /* that they need in the zone */

    uint64_t                    *seen;         /* hashes of the labels */
    size_t                       seen_size;    /* a power of two */
} ngx_oa_rows_t;


/* NGX_ERROR is logged with its line; NGX_ABORT: stop was set. */
ngx_int_t ngx_oa_rows_read(ngx_oa_rows_t *rows, ngx_fd_t fd);

/*
 * Takes them into the table as the read gen.  NGX_ABORT: stop was set, or a
 * newer read has begun.
 */
ngx_int_t ngx_oa_rows_apply(ngx_oa_rows_t *rows, uint8_t gen);

/* Removes what the read gen did not bring; likewise. */
ngx_int_t ngx_oa_rows_sweep(ngx_oa_rows_t *rows, uint8_t gen);

void ngx_oa_rows_done(ngx_oa_rows_t *rows);


/*
 * What the thread of a worker does for one oa_routes: ngx_oa_routes_file.c
 * runs it.
 */
struct ngx_oa_routes_file_s {
    ngx_oa_routes_t             *routes;
    ngx_log_t                   *log;
    ngx_oa_thread_t              thread;

    ngx_oa_file_id_t             last;         /* the file as it was seen */
    ngx_uint_t                   loaded;       /* the snapshot was */
    uint64_t                     written;      /* changes in the snapshot */
    ngx_uint_t                   failed;       /* was said already */
};


/* The snapshot of a table: ngx_oa_snapshot.c */

/* What it has is only wanted while nothing better is there. */
void ngx_oa_snapshot_load(ngx_oa_routes_file_t *reader);

/* Writes it, if routes have changed since. */
void ngx_oa_snapshot_keep(ngx_oa_routes_file_t *reader);


#endif /* _NGX_OA_ROWS_H_INCLUDED_ */
