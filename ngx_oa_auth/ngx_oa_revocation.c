
/*
 * Revocations: sessions that ended and users who were banned, from the
 * database into the zone.
 *
 * One worker follows the feed (sql/50_revocations.sql) for all.  What is known
 * stays in force until its time, whether the database is there or not, and
 * over reloads.
 */


#include "ngx_oa_auth.h"

#include <openssl/rand.h>


#define NGX_OA_REVOKED_COLUMNS  2    /* id, seconds */
#define NGX_OA_REVOKED_BATCH    100  /* rows, while the lock is held */
#define NGX_OA_REVOKED_MAX      (100 * 365 * 86400L)  /* seconds */
#define NGX_OA_REVOKED_QUIET    60   /* s, until the same is said again */


/* In the zone the mark comes first, and the set on the next cache line. */

#define NGX_OA_REVOKED_SET                                                    \
    ngx_align(sizeof(oa_feed_mark_t), 64)


struct ngx_oa_revocation_s {
    ngx_oa_zone_t               *zone;
    ngx_oa_zone_part_t           part;
    ngx_oa_duty_t                duty;

    oa_revoked_t                *set;
    ngx_oa_feed_source_t         source;
    ngx_oa_feed_t               *feed;
    uint32_t                     gen;          /* of the full read */

    ngx_uint_t                   evicted;      /* since it was said */
    time_t                       said;
};


static size_t ngx_oa_revocation_zone_size(ngx_uint_t npages);
static ngx_int_t ngx_oa_revocation_zone_init(ngx_oa_zone_t *zone, void *part,
    ngx_uint_t fresh, void *data, ngx_log_t *log);
static void ngx_oa_revocation_duty_start(void *data);
static void ngx_oa_revocation_duty_stop(void *data);
static ngx_int_t ngx_oa_revocation_hint(void *data, const ngx_str_t *payload,
    ngx_str_t *name);
static ngx_int_t ngx_oa_revocation_apply(void *data, PGresult *res);
static ngx_int_t ngx_oa_revocation_row(PGresult *res, int row, u_char *id,
    time_t *left);
static void ngx_oa_revocation_begin(void *data);
static ngx_uint_t ngx_oa_revocation_sweep(void *data, ngx_uint_t from);


/* The set of the running cycle; NULL while there is none. */

static oa_revoked_t  *ngx_oa_revoked;


static const ngx_oa_feed_source_t  ngx_oa_revocation_source = {
    ngx_string("oa_auth"),
    "revocations",
    "oa_revocations",
    NGX_OA_COUNT_REVOKED_HINTS,
    "SELECT xmin, floor, identity FROM oa.revocations_beat($1)",
    "SELECT id, seconds FROM oa.revocations_of($1)",
    "SELECT id, seconds FROM oa.revocations_since($1) LIMIT 2001",
    "SELECT id, seconds FROM oa.revocations_in_force($1)",
    ngx_oa_revocation_hint,
    ngx_oa_revocation_apply,
    ngx_oa_revocation_begin,
    ngx_oa_revocation_sweep,
    NULL,
    NULL
};


ngx_int_t
ngx_oa_revocation_add(ngx_conf_t *cf, ngx_oa_revocation_t **revocation)
{
    ngx_oa_revocation_t  *rev;

    rev = ngx_pcalloc(cf->pool, sizeof(ngx_oa_revocation_t));
    if (rev == NULL) {
        return NGX_ERROR;
    }

    rev->zone = ngx_oa_zone(cf);

    ngx_str_set(&rev->part.name, "revoked");
    rev->part.size = ngx_oa_revocation_zone_size;
    rev->part.init = ngx_oa_revocation_zone_init;
    rev->part.data = rev;

    if (ngx_oa_zone_add(cf, &rev->part) != NGX_OK) {
        return NGX_ERROR;
    }

    *revocation = rev;

    if (!ngx_oa_pg_configured(cf)) {
        return NGX_OK;
    }

    rev->source = ngx_oa_revocation_source;
    rev->source.data = rev;

    ngx_str_set(&rev->duty.name, "revocations");
    rev->duty.start = ngx_oa_revocation_duty_start;
    rev->duty.stop = ngx_oa_revocation_duty_stop;
    rev->duty.data = rev;

    return ngx_oa_duty_add(cf, &rev->duty);
}


void
ngx_oa_revocation_init_module(ngx_oa_revocation_t *rev)
{
    ngx_oa_revoked = rev ? rev->set : NULL;
}


ngx_uint_t
ngx_oa_is_revoked(const u_char *session, const u_char *user)
{
    time_t  now;

    now = ngx_time();

    return (session && oa_revoked_has(ngx_oa_revoked, session, now))
           || (user && oa_revoked_has(ngx_oa_revoked, user, now));
}


static size_t
ngx_oa_revocation_zone_size(ngx_uint_t npages)
{
    return NGX_OA_REVOKED_SET + oa_revoked_size(npages);
}


static ngx_int_t
ngx_oa_revocation_zone_init(ngx_oa_zone_t *zone, void *part, ngx_uint_t fresh,
    void *data, ngx_log_t *log)
{
    ngx_oa_revocation_t *rev = data;

    u_char      seed[16];
    ngx_uint_t  npages;

    rev->set = (oa_revoked_t *) ((u_char *) part + NGX_OA_REVOKED_SET);

    if (!fresh) {
        return NGX_OK;
    }

    if (RAND_bytes(seed, sizeof(seed)) != 1) {
        ngx_log_error(NGX_LOG_EMERG, log, 0, "RAND_bytes() failed");
        return NGX_ERROR;
    }

    (void) ngx_oa_zone_pages(zone, &npages);

    oa_revoked_create(rev->set, oa_revoked_size(npages), seed);

    return NGX_OK;
}


static void
ngx_oa_revocation_duty_start(void *data)
{
    ngx_oa_revocation_t *rev = data;

    rev->feed = ngx_oa_feed_start(&rev->source, rev->part.addr);

    if (rev->feed == NULL) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "oa_auth: the feed of revocations cannot be started");
    }
}


static void
ngx_oa_revocation_duty_stop(void *data)
{
    ngx_oa_revocation_t *rev = data;

    if (rev->feed) {
        ngx_oa_feed_stop(rev->feed);
        rev->feed = NULL;
    }
}


static ngx_int_t
ngx_oa_revocation_hint(void *data, const ngx_str_t *payload, ngx_str_t *name)
{
    u_char  id[16];

    if (payload->len == 1 && payload->data[0] == '*') {
        return NGX_AGAIN;
    }

    if (oa_uuid(payload->data, payload->len, id) != NGX_OK) {
        return NGX_ERROR;
    }

    name->len = payload->len;
    ngx_memcpy(name->data, payload->data, payload->len);

    return NGX_OK;
}


/*
 * Rows have no version: one that another worker has read since must not be
 * overwritten by an older one.
 */

static ngx_int_t
ngx_oa_revocation_apply(void *data, PGresult *res)
{
    ngx_oa_revocation_t *rev = data;

    int        row, rows;
    time_t     now, left;
    u_char     id[16];
    ngx_int_t  rc;

    if (PQnfields(res) != NGX_OA_REVOKED_COLUMNS) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "oa_auth: revocations have %d columns, expected %d",
                      PQnfields(res), NGX_OA_REVOKED_COLUMNS);
        return NGX_ERROR;
    }

    rc = NGX_OK;
    now = ngx_time();
    rows = PQntuples(res);

    ngx_oa_zone_lock(rev->zone);

    for (row = 0; row < rows; row++) {

        if (row % NGX_OA_REVOKED_BATCH == NGX_OA_REVOKED_BATCH - 1) {
            ngx_oa_zone_unlock(rev->zone);
            ngx_oa_zone_lock(rev->zone);
        }

        if (!ngx_oa_feed_is_ours(rev->feed)) {
            break;
        }

        if (ngx_oa_revocation_row(res, row, id, &left) != NGX_OK) {
            rc = NGX_ERROR;
            break;
        }

        if (oa_revoked_put(rev->set, id, left ? now + left : 0, now)
            == NGX_BUSY)
        {
            rev->evicted++;
            ngx_oa_count(NGX_OA_COUNT_REVOKED_EVICTED);
        }
    }

    ngx_oa_zone_unlock(rev->zone);

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "oa_auth: a revocation is no UUID and number");
    }

    if (rev->evicted && now - rev->said >= NGX_OA_REVOKED_QUIET) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "oa_auth: no room in oa_zone for all revocations, %ui "
                      "that were in force are forgotten", rev->evicted);

        rev->evicted = 0;
        rev->said = now;
    }

    return rc;
}


static ngx_int_t
ngx_oa_revocation_row(PGresult *res, int row, u_char *id, time_t *left)
{
    if (oa_uuid((u_char *) PQgetvalue(res, row, 0), PQgetlength(res, row, 0),
                id)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    *left = ngx_atotm((u_char *) PQgetvalue(res, row, 1),
                      PQgetlength(res, row, 1));

    if (*left == NGX_ERROR) {
        return NGX_ERROR;
    }

    *left = ngx_min(*left, NGX_OA_REVOKED_MAX);

    return NGX_OK;
}


static void
ngx_oa_revocation_begin(void *data)
{
    ngx_oa_revocation_t *rev = data;

    rev->gen = oa_revoked_begin(rev->set);
}


static ngx_uint_t
ngx_oa_revocation_sweep(void *data, ngx_uint_t from)
{
    ngx_oa_revocation_t *rev = data;

    return oa_revoked_sweep(rev->set, rev->gen, from);
}
