
/*
 * The change feed: how a commit in the database becomes a route in the zone.
 *
 * One worker of all listens.  A notification is only a hint, since any role
 * can send one: the names it brings are read from oa.routes, and what is read
 * there counts.
 *
 * Sequences are not commit order, so what was missed is found by transaction
 * ids: the position of the feed is the xmin of a read, below which all
 * transactions had ended; the next read asks for every change whose
 * transaction was not below it.  The listener's own beat, sent through
 * another connection, brings the next position, so the position is never
 * more than a few seconds old, and tells that LISTEN is in force at all.
 */


#include "ngx_oa_router.h"

#include <jansson.h>


#define NGX_OA_FEED_BEAT     5000    /* ms */
#define NGX_OA_FEED_RETRY    1000    /* jittered, +- a half */
#define NGX_OA_FEED_TIMEOUT  30000   /* of a query that reads many rows */
#define NGX_OA_FEED_PAGE     1000    /* routes */
#define NGX_OA_FEED_CHANGES  2000    /* routes; beyond, all are read */
#define NGX_OA_FEED_SWEEP    64      /* pages */
#define NGX_OA_FEED_HINTS    256     /* names; beyond, all changes are read */


typedef enum {
    NGX_OA_FEED_DEAF = 0,            /* LISTEN is not in force */
    NGX_OA_FEED_POSITION,            /* asking where we are */
    NGX_OA_FEED_CATCH_UP,            /* reading what was missed */
    NGX_OA_FEED_FULL_READ,           /* reading all, page by page */
    NGX_OA_FEED_SWEEPING,            /* removing what was not read */
    NGX_OA_FEED_IN_STEP,
    NGX_OA_FEED_HINTED,              /* in step, reading hinted names */
    NGX_OA_FEED_RETRYING             /* after a failed read */
} ngx_oa_feed_state_e;


typedef struct {
    u_char                       len;
    u_char                       data[63];
} ngx_oa_feed_name_t;


struct ngx_oa_feed_s {
    ngx_oa_routes_t             *routes;
    ngx_oa_feed_state_e          state;
    ngx_oa_pg_listener_t         listener;

    ngx_oa_pg_query_t            query;        /* one at a time */
    char                         param[NGX_OA_FEED_HINTS * 64 + 3];

    ngx_event_t                  timer;        /* what comes next */
    ngx_connection_t             timer_conn;

    ngx_event_t                  beat_timer;
    uint64_t                     beat;         /* number of the last one */
    uint64_t                     heard;

    uint64_t                     position;     /* of the read under way */
    uint64_t                     identity;
    ngx_uint_t                   page;         /* of the sweep */
    ngx_uint_t                   nread;

    ngx_oa_feed_name_t           hints[NGX_OA_FEED_HINTS];
    ngx_uint_t                   nhints;
    unsigned                     overflow:1;   /* hints were dropped */
    unsigned                     beat_due:1;
};


static void ngx_oa_feed_move(ngx_oa_feed_t *feed, ngx_oa_feed_state_e state);
static void ngx_oa_feed_ready(void *data);
static void ngx_oa_feed_lost(void *data, ngx_str_t *reason);
static void ngx_oa_feed_notify(void *data, ngx_str_t *payload);
static ngx_int_t ngx_oa_feed_hint(ngx_oa_feed_t *feed, json_t *json);
static void ngx_oa_feed_remember(ngx_oa_feed_t *feed, ngx_str_t *label);
static void ngx_oa_feed_next(ngx_oa_feed_t *feed);
static void ngx_oa_feed_query(ngx_oa_feed_t *feed, const char *sql,
    ngx_uint_t nparams);
static void ngx_oa_feed_ask_position(ngx_oa_feed_t *feed);
static void ngx_oa_feed_ask_hinted(ngx_oa_feed_t *feed);
static void ngx_oa_feed_begin_full_read(ngx_oa_feed_t *feed);
static void ngx_oa_feed_ask_page(ngx_oa_feed_t *feed);
static void ngx_oa_feed_answer(ngx_oa_pg_query_t *query, PGresult *res);
static ngx_int_t ngx_oa_feed_got_position(ngx_oa_feed_t *feed,
    PGresult *res);
static ngx_int_t ngx_oa_feed_got_page(ngx_oa_feed_t *feed, PGresult *res);
static void ngx_oa_feed_sweep(ngx_oa_feed_t *feed);
static void ngx_oa_feed_in_step(ngx_oa_feed_t *feed);
static void ngx_oa_feed_retry(ngx_oa_feed_t *feed);
static void ngx_oa_feed_timer_handler(ngx_event_t *ev);
static void ngx_oa_feed_beat_handler(ngx_event_t *ev);
static ngx_int_t ngx_oa_feed_xid(PGresult *res, int col, uint64_t *xid);
static void ngx_oa_feed_set_state(ngx_oa_feed_t *feed,
    oa_table_state_e state);


static const char  *ngx_oa_feed_states[] = {
    "deaf", "position", "catch up", "full read", "sweeping", "in step",
    "hinted", "retrying"
};


ngx_int_t
ngx_oa_feed_start(ngx_oa_routes_t *routes)
{
    ngx_oa_feed_t  *feed;

    feed = ngx_calloc(sizeof(ngx_oa_feed_t), ngx_cycle->log);
    if (feed == NULL) {
        return NGX_ERROR;
    }

    feed->routes = routes;

    feed->timer_conn.fd = (ngx_socket_t) -1;
    feed->timer.handler = ngx_oa_feed_timer_handler;
    feed->timer.data = &feed->timer_conn;
    feed->timer.log = ngx_cycle->log;
    feed->timer.cancelable = 1;
    feed->timer_conn.data = feed;

    feed->beat_timer = feed->timer;
    feed->beat_timer.handler = ngx_oa_feed_beat_handler;

    feed->beat = ngx_random();
    feed->heard = feed->beat;

    feed->listener.channel = "oa_routes";
    feed->listener.ready = ngx_oa_feed_ready;
    feed->listener.notify = ngx_oa_feed_notify;
    feed->listener.lost = ngx_oa_feed_lost;
    feed->listener.data = feed;

    if (ngx_oa_pg_listen(&feed->listener) != NGX_OK) {
        ngx_free(feed);
        return NGX_ERROR;
    }

    routes->feed = feed;

    /* without a snapshot there is nothing to wait for */

    if (routes->snapshot.len == 0) {
        ngx_oa_zone_lock(routes->zone);

        if (routes->info->state == OA_TABLE_INIT) {
            routes->info->state = OA_TABLE_COLD;
        }

        ngx_oa_zone_unlock(routes->zone);
    }

    return NGX_OK;
}


void
ngx_oa_feed_stop(ngx_oa_routes_t *routes)
{
    ngx_oa_feed_t  *feed;

    feed = routes->feed;
    if (feed == NULL) {
        return;
    }

    ngx_oa_pg_unlisten(&feed->listener);
    ngx_oa_pg_withdraw(&feed->query);

    if (feed->timer.timer_set) {
        ngx_del_timer(&feed->timer);
    }

    if (feed->beat_timer.timer_set) {
        ngx_del_timer(&feed->beat_timer);
    }

    ngx_free(feed);
    routes->feed = NULL;
}


static void
ngx_oa_feed_move(ngx_oa_feed_t *feed, ngx_oa_feed_state_e state)
{
    ngx_log_debug3(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "oa feed \"%V\": %s -> %s", &feed->routes->name,
                   ngx_oa_feed_states[feed->state], ngx_oa_feed_states[state]);

    feed->state = state;
}


static void
ngx_oa_feed_ready(void *data)
{
    ngx_oa_feed_t *feed = data;

    feed->heard = feed->beat;

    if (!feed->beat_timer.timer_set) {
        ngx_add_timer(&feed->beat_timer, NGX_OA_FEED_BEAT);
    }

    ngx_oa_feed_ask_position(feed);
}


static void
ngx_oa_feed_lost(void *data, ngx_str_t *reason)
{
    ngx_oa_feed_t *feed = data;

    if (feed->state != NGX_OA_FEED_DEAF) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "oa_routes \"%V\": the change feed is lost: %V",
                      &feed->routes->name, reason);
        ngx_oa_count(NGX_OA_COUNT_FEED_LOST);
    }

    ngx_oa_pg_withdraw(&feed->query);

    if (feed->timer.timer_set) {
        ngx_del_timer(&feed->timer);
    }

    if (feed->beat_timer.timer_set) {
        ngx_del_timer(&feed->beat_timer);
    }

    feed->nhints = 0;
    feed->overflow = 0;
    feed->beat_due = 0;

    if (feed->routes->info->state == OA_TABLE_LIVE) {
        ngx_oa_feed_set_state(feed, OA_TABLE_STALE);
    }

    ngx_oa_feed_move(feed, NGX_OA_FEED_DEAF);
}


static void
ngx_oa_feed_notify(void *data, ngx_str_t *payload)
{
    ngx_oa_feed_t *feed = data;

    json_t        *json;
    json_error_t   err;

    json = json_loadb((char *) payload->data, payload->len, 0, &err);

    if (json == NULL || ngx_oa_feed_hint(feed, json) != NGX_OK) {
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "oa_routes \"%V\": a notification was passed over: "
                      "neither a hint nor a beat", &feed->routes->name);
        ngx_oa_count(NGX_OA_COUNT_FEED_BAD_HINTS);
    }

    json_decref(json);
}


static ngx_int_t
ngx_oa_feed_hint(ngx_oa_feed_t *feed, json_t *json)
{
    json_t           *value;
    uint64_t          beat, version;
    ngx_str_t         label;
    ngx_oa_routes_t  *routes;

    value = json_object_get(json, "beat");

    if (json_is_string(value)) {
        beat = strtoull(json_string_value(value), NULL, 10);

        /* each listener's numbers begin elsewhere: this is not another's */

        if (beat == feed->beat) {
            feed->heard = beat;
        }

        return NGX_OK;
    }

    value = json_object_get(json, "subdomain");

    if (!json_is_string(value)) {
        return NGX_ERROR;
    }

    label.len = json_string_length(value);
    label.data = (u_char *) json_string_value(value);

    if (!oa_is_label(label.data, label.len)) {
        return NGX_ERROR;
    }

    ngx_oa_count(NGX_OA_COUNT_FEED_HINTS);

    value = json_object_get(json, "version");

    if (json_is_integer(value) && feed->state >= NGX_OA_FEED_IN_STEP) {
        routes = feed->routes;

        ngx_oa_zone_lock(routes->zone);
        version = oa_table_version(routes->table, routes->id, &label);
        ngx_oa_zone_unlock(routes->zone);

        if (version >= (uint64_t) json_integer_value(value)) {
            return NGX_OK;
        }
    }

    ngx_oa_feed_remember(feed, &label);

    if (feed->state == NGX_OA_FEED_IN_STEP) {
        ngx_oa_feed_next(feed);
    }

    return NGX_OK;
}


static void
ngx_oa_feed_remember(ngx_oa_feed_t *feed, ngx_str_t *label)
{
    ngx_uint_t           i;
    ngx_oa_feed_name_t  *name;

    for (i = 0; i < feed->nhints; i++) {
        name = &feed->hints[i];

        if (name->len == label->len
            && ngx_memcmp(name->data, label->data, label->len) == 0)
        {
            return;
        }
    }

    if (feed->nhints == NGX_OA_FEED_HINTS) {
        feed->overflow = 1;
        return;
    }

    name = &feed->hints[feed->nhints++];
    name->len = label->len;
    ngx_memcpy(name->data, label->data, label->len);
}


/* In step, with no query out: what is there to do? */

static void
ngx_oa_feed_next(ngx_oa_feed_t *feed)
{
    if (feed->overflow || feed->beat_due) {
        ngx_oa_feed_ask_position(feed);

    } else if (feed->nhints) {
        ngx_oa_feed_ask_hinted(feed);

    } else {
        ngx_oa_feed_move(feed, NGX_OA_FEED_IN_STEP);
    }
}


static void
ngx_oa_feed_query(ngx_oa_feed_t *feed, const char *sql, ngx_uint_t nparams)
{
    ngx_oa_pg_query_t  *query;

    query = &feed->query;

    ngx_memzero(query, sizeof(ngx_oa_pg_query_t));

    query->sql = sql;
    query->nparams = nparams;
    query->params[0] = feed->param;
    query->timeout = NGX_OA_FEED_TIMEOUT;
    query->handler = ngx_oa_feed_answer;
    query->data = feed;

    if (ngx_oa_pg_query(query) != NGX_OK) {
        ngx_oa_feed_retry(feed);
    }
}


static void
ngx_oa_feed_ask_position(ngx_oa_feed_t *feed)
{
    /*
     * What was hinted up to now is committed, and all that is committed will
     * be read behind the position.
     */

    feed->nhints = 0;
    feed->overflow = 0;
    feed->beat_due = 0;

    feed->beat++;
    ngx_sprintf((u_char *) feed->param, "%uL%Z", feed->beat);

    ngx_oa_feed_move(feed, NGX_OA_FEED_POSITION);
    ngx_oa_feed_query(feed, "SELECT xmin, floor, identity"
                            " FROM oa.feed_beat($1)", 1);
}


static void
ngx_oa_feed_ask_hinted(ngx_oa_feed_t *feed)
{
    u_char      *p;
    ngx_uint_t   i;

    /* labels need no quoting */

    p = (u_char *) feed->param;

    for (i = 0; i < feed->nhints; i++) {
        *p++ = (i == 0) ? '{' : ',';
        p = ngx_cpymem(p, feed->hints[i].data, feed->hints[i].len);
    }

    *p++ = '}';
    *p = '\0';

    feed->nhints = 0;

    ngx_oa_feed_move(feed, NGX_OA_FEED_HINTED);
    ngx_oa_feed_query(feed, "SELECT " NGX_OA_ROUTES_COLUMNS
                            " FROM oa.routes_named($1)", 1);
}


static void
ngx_oa_feed_begin_full_read(ngx_oa_feed_t *feed)
{
    ngx_oa_count(NGX_OA_COUNT_FEED_FULL_READS);

    ngx_oa_zone_lock(feed->routes->zone);
    feed->routes->info->gen++;
    ngx_oa_zone_unlock(feed->routes->zone);

    feed->param[0] = '\0';
    feed->nread = 0;

    ngx_oa_feed_move(feed, NGX_OA_FEED_FULL_READ);
}


static void
ngx_oa_feed_ask_page(ngx_oa_feed_t *feed)
{
    ngx_oa_feed_query(feed, "SELECT " NGX_OA_ROUTES_COLUMNS " FROM oa.routes"
                            " WHERE subdomain > $1"
                            " ORDER BY subdomain LIMIT 1000", 1);
}


static void
ngx_oa_feed_answer(ngx_oa_pg_query_t *query, PGresult *res)
{
    ngx_oa_feed_t *feed = query->data;

    ngx_int_t  rc;

    if (res == NULL) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "oa_routes \"%V\": reading changes failed (%s): %V",
                      &feed->routes->name, ngx_oa_feed_states[feed->state],
                      &query->error);

        /* the position was refused: see oa.routes_changed() */

        if (ngx_strcmp(query->sqlstate, "OA001") == 0) {
            feed->routes->info->position = 0;
        }

        ngx_oa_feed_retry(feed);
        return;
    }

    switch (feed->state) {

    case NGX_OA_FEED_POSITION:
        rc = ngx_oa_feed_got_position(feed, res);
        break;

    case NGX_OA_FEED_CATCH_UP:

        if (PQntuples(res) > NGX_OA_FEED_CHANGES) {
            ngx_oa_feed_begin_full_read(feed);
            ngx_oa_feed_ask_page(feed);
            rc = NGX_OK;
            break;
        }

        rc = ngx_oa_routes_apply(feed->routes, res, OA_TABLE_NEWS);

        if (rc == NGX_OK) {
            ngx_oa_feed_in_step(feed);
        }

        break;

    case NGX_OA_FEED_FULL_READ:
        rc = ngx_oa_feed_got_page(feed, res);
        break;

    case NGX_OA_FEED_HINTED:
        rc = ngx_oa_routes_apply(feed->routes, res, OA_TABLE_NEWS);

        if (rc == NGX_OK) {
            ngx_oa_feed_next(feed);
        }

        break;

    default:
        rc = NGX_ERROR;
        break;
    }

    if (rc != NGX_OK) {
        ngx_oa_feed_retry(feed);
    }
}


static ngx_int_t
ngx_oa_feed_got_position(ngx_oa_feed_t *feed, PGresult *res)
{
    uint64_t          floor;
    oa_table_info_t  *info;

    info = feed->routes->info;

    if (PQntuples(res) != 1
        || ngx_oa_feed_xid(res, 0, &feed->position) != NGX_OK
        || ngx_oa_feed_xid(res, 1, &floor) != NGX_OK
        || PQnfields(res) < 3)
    {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "oa_routes \"%V\": oa.feed_beat() gave no position",
                      &feed->routes->name);
        return NGX_ERROR;
    }

    feed->identity = oa_label_hash((u_char *) PQgetvalue(res, 0, 2),
                                   PQgetlength(res, 0, 2), 0);

    /*
     * No position yet, tombstones behind it that are gone, or a feed that is
     * another one or went back in time: everything is read again.
     */

    if (info->position == 0
        || info->identity != feed->identity
        || info->position <= floor
        || info->position > feed->position
        || (info->state != OA_TABLE_LIVE && info->state != OA_TABLE_STALE))
    {
        ngx_oa_feed_begin_full_read(feed);
        ngx_oa_feed_ask_page(feed);
        return NGX_OK;
    }

    ngx_sprintf((u_char *) feed->param, "%uL%Z", info->position);

    ngx_oa_feed_move(feed, NGX_OA_FEED_CATCH_UP);
    ngx_oa_feed_query(feed, "SELECT " NGX_OA_ROUTES_COLUMNS
                            " FROM oa.routes_changed($1) LIMIT 2001", 1);

    return NGX_OK;
}


static ngx_int_t
ngx_oa_feed_got_page(ngx_oa_feed_t *feed, PGresult *res)
{
    int  n, len;

    if (ngx_oa_routes_apply(feed->routes, res, OA_TABLE_NEWS) != NGX_OK) {
        return NGX_ERROR;
    }

    n = PQntuples(res);
    feed->nread += n;

    if (n == NGX_OA_FEED_PAGE) {
        len = PQgetlength(res, n - 1, OA_COL_SUBDOMAIN);

        if ((size_t) len >= sizeof(feed->param)) {
            return NGX_ERROR;
        }

        ngx_memcpy(feed->param, PQgetvalue(res, n - 1, OA_COL_SUBDOMAIN),
                   len + 1);

        ngx_oa_feed_ask_page(feed);
        return NGX_OK;
    }

    feed->page = 0;

    ngx_oa_feed_move(feed, NGX_OA_FEED_SWEEPING);
    ngx_oa_feed_sweep(feed);

    return NGX_OK;
}


static void
ngx_oa_feed_sweep(ngx_oa_feed_t *feed)
{
    ngx_oa_routes_t  *routes;

    routes = feed->routes;

    ngx_oa_zone_lock(routes->zone);

    feed->page = oa_table_sweep(routes->table, routes->id, routes->info->gen,
                                feed->page, NGX_OA_FEED_SWEEP);

    ngx_oa_zone_unlock(routes->zone);

    if (feed->page) {
        ngx_add_timer(&feed->timer, 1);
        return;
    }

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "oa_routes \"%V\": %ui routes read from the database",
                  &routes->name, feed->nread);

    ngx_oa_feed_in_step(feed);
}


static void
ngx_oa_feed_in_step(ngx_oa_feed_t *feed)
{
    if (feed->routes->info->state == OA_TABLE_STALE) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "oa_routes \"%V\": the change feed is back, nothing "
                      "was missed", &feed->routes->name);
    }

    feed->routes->info->position = feed->position;
    feed->routes->info->identity = feed->identity;
    ngx_oa_feed_set_state(feed, OA_TABLE_LIVE);

    ngx_oa_feed_next(feed);
}


static void
ngx_oa_feed_retry(ngx_oa_feed_t *feed)
{
    if (feed->routes->info->state == OA_TABLE_LIVE) {
        ngx_oa_feed_set_state(feed, OA_TABLE_STALE);
    }

    ngx_oa_feed_move(feed, NGX_OA_FEED_RETRYING);

    ngx_add_timer(&feed->timer,
                  NGX_OA_FEED_RETRY / 2 + ngx_random() % NGX_OA_FEED_RETRY);
}


static void
ngx_oa_feed_timer_handler(ngx_event_t *ev)
{
    ngx_connection_t *c = ev->data;
    ngx_oa_feed_t    *feed = c->data;

    if (feed->state == NGX_OA_FEED_SWEEPING) {
        ngx_oa_feed_sweep(feed);
        return;
    }

    ngx_oa_feed_ask_position(feed);
}


static void
ngx_oa_feed_beat_handler(ngx_event_t *ev)
{
    ngx_connection_t *c = ev->data;
    ngx_oa_feed_t    *feed = c->data;

    ngx_str_t  reason = ngx_string("its beat was not heard");

    if (feed->heard != feed->beat && feed->state == NGX_OA_FEED_IN_STEP) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "oa_routes \"%V\": the listener did not hear its own "
                      "beat: is oa_postgres behind a pooler in transaction "
                      "mode, which drops LISTEN?", &feed->routes->name);

        ngx_oa_feed_lost(feed, &reason);
        ngx_oa_pg_relisten(&feed->listener);
        return;
    }

    ngx_add_timer(ev, NGX_OA_FEED_BEAT);

    feed->beat_due = 1;

    if (feed->state == NGX_OA_FEED_IN_STEP) {
        ngx_oa_feed_next(feed);
    }
}


static ngx_int_t
ngx_oa_feed_xid(PGresult *res, int col, uint64_t *xid)
{
    u_char     *p;
    ngx_int_t   n;

    if (PQnfields(res) <= col || PQgetisnull(res, 0, col)) {
        return NGX_ERROR;
    }

    /* 64 bits, but no database gets to the upper half */

    p = (u_char *) PQgetvalue(res, 0, col);
    n = ngx_atoof(p, PQgetlength(res, 0, col));

    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    *xid = n;

    return NGX_OK;
}


static void
ngx_oa_feed_set_state(ngx_oa_feed_t *feed, oa_table_state_e state)
{
    ngx_oa_routes_t  *routes;

    routes = feed->routes;

    ngx_oa_zone_lock(routes->zone);
    routes->info->state = state;
    ngx_oa_zone_unlock(routes->zone);
}
