
/*
 * Feeds: how a commit in the database comes into the zone.
 *
 * One worker of all listens.  A notification is only a hint, since any role
 * can send one: the names it brings are read, and what is read counts.  What
 * was missed while nobody listened is found by the position (oa_feed.h).
 *
 * The listener's own beat, sent through another connection, brings the next
 * position, so that it is never more than a few seconds old, and tells that
 * LISTEN is in force at all.
 */


#include "ngx_oa_core_int.h"


#define NGX_OA_FEED_BEAT     5000    /* ms */
#define NGX_OA_FEED_RETRY    1000    /* jittered, +- a half */
#define NGX_OA_FEED_TIMEOUT  30000   /* of a query that reads many rows */
#define NGX_OA_FEED_KEY      128     /* bytes of the key of a row */


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


struct ngx_oa_feed_s {
    const ngx_oa_feed_source_t  *source;
    oa_feed_mark_t              *mark;
    uint32_t                     turn;

    ngx_oa_feed_state_e          state;
    ngx_oa_pg_listener_t         listener;

    ngx_oa_pg_query_t            query;        /* one at a time */
    char                         param[OA_FEED_ARRAY];

    ngx_event_t                  timer;        /* what comes next */
    ngx_connection_t             timer_conn;

    ngx_event_t                  beat_timer;
    uint64_t                     beat;         /* number of the last one */
    uint64_t                     heard;
    oa_feed_beat_t               answer;       /* of the read under way */

    ngx_uint_t                   from;         /* of the sweep */
    ngx_uint_t                   nread;

    oa_feed_hints_t              hints;
    unsigned                     beat_due:1;
};


static void ngx_oa_feed_move(ngx_oa_feed_t *feed, ngx_oa_feed_state_e state);
static void ngx_oa_feed_ready(void *data);
static void ngx_oa_feed_lost(void *data, ngx_str_t *reason);
static void ngx_oa_feed_stale(ngx_oa_feed_t *feed);
static void ngx_oa_feed_mark(ngx_oa_feed_t *feed, oa_feed_state_e state);
static void ngx_oa_feed_notify(void *data, ngx_str_t *payload);
static ngx_uint_t ngx_oa_feed_is_beat(ngx_oa_feed_t *feed,
    ngx_str_t *payload);
static void ngx_oa_feed_next(ngx_oa_feed_t *feed);
static void ngx_oa_feed_query(ngx_oa_feed_t *feed, const char *sql);
static void ngx_oa_feed_ask_position(ngx_oa_feed_t *feed);
static void ngx_oa_feed_ask_hinted(ngx_oa_feed_t *feed);
static void ngx_oa_feed_begin_full_read(ngx_oa_feed_t *feed);
static void ngx_oa_feed_answer(ngx_oa_pg_query_t *query, PGresult *res);
static ngx_int_t ngx_oa_feed_got_position(ngx_oa_feed_t *feed,
    PGresult *res);
static ngx_int_t ngx_oa_feed_got_changes(ngx_oa_feed_t *feed, PGresult *res);
static ngx_int_t ngx_oa_feed_got_page(ngx_oa_feed_t *feed, PGresult *res);
static ngx_int_t ngx_oa_feed_got_hinted(ngx_oa_feed_t *feed, PGresult *res);
static void ngx_oa_feed_sweep(ngx_oa_feed_t *feed);
static void ngx_oa_feed_in_step(ngx_oa_feed_t *feed);
static void ngx_oa_feed_retry(ngx_oa_feed_t *feed);
static void ngx_oa_feed_timer_handler(ngx_event_t *ev);
static void ngx_oa_feed_beat_handler(ngx_event_t *ev);


static const char  *ngx_oa_feed_states[] = {
    "deaf", "position", "catch up", "full read", "sweeping", "in step",
    "hinted", "retrying"
};


ngx_oa_feed_t *
ngx_oa_feed_start(const ngx_oa_feed_source_t *source, oa_feed_mark_t *mark)
{
    ngx_oa_feed_t  *feed;

    feed = ngx_calloc(sizeof(ngx_oa_feed_t), ngx_cycle->log);
    if (feed == NULL) {
        return NULL;
    }

    feed->source = source;
    feed->mark = mark;

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

    feed->listener.channel = source->channel;
    feed->listener.ready = ngx_oa_feed_ready;
    feed->listener.notify = ngx_oa_feed_notify;
    feed->listener.lost = ngx_oa_feed_lost;
    feed->listener.data = feed;

    if (ngx_oa_pg_listen(&feed->listener) != NGX_OK) {
        ngx_free(feed);
        return NULL;
    }

    ngx_oa_zone_lock(ngx_oa_zone_running);
    feed->turn = ++mark->turn;
    ngx_oa_zone_unlock(ngx_oa_zone_running);

    return feed;
}


void
ngx_oa_feed_stop(ngx_oa_feed_t *feed)
{
    ngx_oa_pg_unlisten(&feed->listener);
    ngx_oa_pg_withdraw(&feed->query);

    if (feed->timer.timer_set) {
        ngx_del_timer(&feed->timer);
    }

    if (feed->beat_timer.timer_set) {
        ngx_del_timer(&feed->beat_timer);
    }

    ngx_free(feed);
}


ngx_uint_t
ngx_oa_feed_is_ours(ngx_oa_feed_t *feed)
{
    return feed->mark->turn == feed->turn;
}


ngx_uint_t
ngx_oa_feed_is_in_step(ngx_oa_feed_t *feed)
{
    return feed->state >= NGX_OA_FEED_IN_STEP;
}


static void
ngx_oa_feed_move(ngx_oa_feed_t *feed, ngx_oa_feed_state_e state)
{
    ngx_log_debug3(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "oa feed \"%s\": %s -> %s", feed->source->channel,
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
                      "%V: the change feed is lost: %V",
                      &feed->source->name, reason);
        ngx_oa_count(feed->source->counters + NGX_OA_FEED_COUNT_LOST);
    }

    ngx_oa_pg_withdraw(&feed->query);

    if (feed->timer.timer_set) {
        ngx_del_timer(&feed->timer);
    }

    if (feed->beat_timer.timer_set) {
        ngx_del_timer(&feed->beat_timer);
    }

    feed->hints.n = 0;
    feed->hints.overflow = 0;
    feed->beat_due = 0;

    ngx_oa_feed_stale(feed);
    ngx_oa_feed_move(feed, NGX_OA_FEED_DEAF);
}


static void
ngx_oa_feed_stale(ngx_oa_feed_t *feed)
{
    ngx_oa_zone_lock(ngx_oa_zone_running);

    if (ngx_oa_feed_is_ours(feed) && feed->mark->state == OA_FEED_LIVE) {
        ngx_oa_feed_mark(feed, OA_FEED_STALE);
    }

    ngx_oa_zone_unlock(ngx_oa_zone_running);
}


static void
ngx_oa_feed_mark(ngx_oa_feed_t *feed, oa_feed_state_e state)
{
    feed->mark->state = state;

    if (feed->source->changed_state) {
        feed->source->changed_state(feed->source->data, state);
    }
}


static void
ngx_oa_feed_notify(void *data, ngx_str_t *payload)
{
    ngx_oa_feed_t *feed = data;

    u_char                       buf[OA_FEED_NAME];
    ngx_int_t                    rc;
    ngx_str_t                    name;
    const ngx_oa_feed_source_t  *source;

    if (ngx_oa_feed_is_beat(feed, payload)) {
        return;
    }

    source = feed->source;
    name.data = buf;

    rc = source->hint(source->data, payload, &name);

    if (rc == NGX_OK) {
        rc = oa_feed_hint(&feed->hints, &name);

    } else if (rc == NGX_AGAIN) {
        feed->hints.overflow = 1;
    }

    if (rc == NGX_ERROR) {
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "%V: a notification was passed over: neither a hint "
                      "nor a beat", &source->name);
        ngx_oa_count(source->counters + NGX_OA_FEED_COUNT_BAD_HINTS);
        return;
    }

    ngx_oa_count(source->counters + NGX_OA_FEED_COUNT_HINTS);

    if (feed->state == NGX_OA_FEED_IN_STEP) {
        ngx_oa_feed_next(feed);
    }
}


/* The bytes are those that the database writes, or it is another's. */

static ngx_uint_t
ngx_oa_feed_is_beat(ngx_oa_feed_t *feed, ngx_str_t *payload)
{
    u_char     buf[sizeof("{\"beat\":\"\"}") + NGX_INT64_LEN], *p;
    ngx_str_t  any = ngx_string("{\"beat\":");

    if (payload->len < any.len
        || ngx_memcmp(payload->data, any.data, any.len) != 0)
    {
        return 0;
    }

    p = ngx_sprintf(buf, "%V\"%uL\"}", &any, feed->beat);

    if (payload->len == (size_t) (p - buf)
        && ngx_memcmp(payload->data, buf, payload->len) == 0)
    {
        feed->heard = feed->beat;
    }

    return 1;
}


/* In step, with no query out: what is there to do? */

static void
ngx_oa_feed_next(ngx_oa_feed_t *feed)
{
    if (feed->hints.overflow || feed->beat_due) {
        ngx_oa_feed_ask_position(feed);

    } else if (feed->hints.n) {
        ngx_oa_feed_ask_hinted(feed);

    } else {
        ngx_oa_feed_move(feed, NGX_OA_FEED_IN_STEP);
    }
}


static void
ngx_oa_feed_query(ngx_oa_feed_t *feed, const char *sql)
{
    ngx_oa_pg_query_t  *query;

    query = &feed->query;

    ngx_memzero(query, sizeof(ngx_oa_pg_query_t));

    query->sql = sql;
    query->nparams = 1;
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

    feed->hints.n = 0;
    feed->hints.overflow = 0;
    feed->beat_due = 0;

    feed->beat++;
    ngx_sprintf((u_char *) feed->param, "%uL%Z", feed->beat);

    ngx_oa_feed_move(feed, NGX_OA_FEED_POSITION);
    ngx_oa_feed_query(feed, feed->source->beat);
}


static void
ngx_oa_feed_ask_hinted(ngx_oa_feed_t *feed)
{
    oa_feed_hints_array(&feed->hints, (u_char *) feed->param);

    ngx_oa_feed_move(feed, NGX_OA_FEED_HINTED);
    ngx_oa_feed_query(feed, feed->source->named);
}


static void
ngx_oa_feed_begin_full_read(ngx_oa_feed_t *feed)
{
    ngx_oa_count(feed->source->counters + NGX_OA_FEED_COUNT_FULL_READS);

    ngx_oa_zone_lock(ngx_oa_zone_running);

    if (ngx_oa_feed_is_ours(feed)) {
        feed->source->begin(feed->source->data);
    }

    ngx_oa_zone_unlock(ngx_oa_zone_running);

    feed->param[0] = '\0';
    feed->nread = 0;

    ngx_oa_feed_move(feed, NGX_OA_FEED_FULL_READ);
    ngx_oa_feed_query(feed, feed->source->page);
}


static void
ngx_oa_feed_answer(ngx_oa_pg_query_t *query, PGresult *res)
{
    ngx_oa_feed_t *feed = query->data;

    ngx_int_t  rc;

    if (!ngx_oa_feed_is_ours(feed)) {

        /*
         * This worker stood still, and the answer is older than what another
         * one has read since.  The duty will be given up on its next tick.
         */

        return;
    }

    if (res == NULL) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "%V: reading changes failed (%s): %V",
                      &feed->source->name, ngx_oa_feed_states[feed->state],
                      &query->error);

        ngx_oa_feed_retry(feed);

        /* the position was refused */

        if (ngx_strcmp(query->sqlstate, NGX_OA_FEED_REFUSED) == 0) {
            feed->mark->position = 0;
        }

        return;
    }

    switch (feed->state) {

    case NGX_OA_FEED_POSITION:
        rc = ngx_oa_feed_got_position(feed, res);
        break;

    case NGX_OA_FEED_CATCH_UP:
        rc = ngx_oa_feed_got_changes(feed, res);
        break;

    case NGX_OA_FEED_FULL_READ:
        rc = ngx_oa_feed_got_page(feed, res);
        break;

    case NGX_OA_FEED_HINTED:
        rc = ngx_oa_feed_got_hinted(feed, res);
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
    int        i;
    ngx_int_t  rc;
    ngx_str_t  col[3];

    rc = (PQntuples(res) == 1 && PQnfields(res) >= 3) ? NGX_OK : NGX_ERROR;

    if (rc == NGX_OK) {
        for (i = 0; i < 3; i++) {
            col[i].data = (u_char *) PQgetvalue(res, 0, i);
            col[i].len = PQgetlength(res, 0, i);
        }

        rc = oa_feed_beat(&feed->answer, &col[0], &col[1], &col[2]);
    }

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "%V: the database gave no position: %s",
                      &feed->source->name, feed->source->beat);
        return NGX_ERROR;
    }

    if (oa_feed_is_gap(feed->mark, &feed->answer)) {
        ngx_oa_feed_begin_full_read(feed);
        return NGX_OK;
    }

    ngx_sprintf((u_char *) feed->param, "%uL%Z", feed->mark->position);

    ngx_oa_feed_move(feed, NGX_OA_FEED_CATCH_UP);
    ngx_oa_feed_query(feed, feed->source->changed);

    return NGX_OK;
}


static ngx_int_t
ngx_oa_feed_got_changes(ngx_oa_feed_t *feed, PGresult *res)
{
    if (PQntuples(res) > NGX_OA_FEED_CHANGES) {
        ngx_oa_feed_begin_full_read(feed);
        return NGX_OK;
    }

    if (feed->source->apply(feed->source->data, res) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_oa_feed_in_step(feed);

    return NGX_OK;
}


static ngx_int_t
ngx_oa_feed_got_page(ngx_oa_feed_t *feed, PGresult *res)
{
    int  n, len;

    if (feed->source->apply(feed->source->data, res) != NGX_OK) {
        return NGX_ERROR;
    }

    n = PQntuples(res);
    feed->nread += n;

    if (n == NGX_OA_FEED_PAGE) {
        len = PQgetlength(res, n - 1, 0);

        if (len >= NGX_OA_FEED_KEY) {
            return NGX_ERROR;
        }

        ngx_memcpy(feed->param, PQgetvalue(res, n - 1, 0), len + 1);

        ngx_oa_feed_query(feed, feed->source->page);
        return NGX_OK;
    }

    feed->from = 0;

    ngx_oa_feed_move(feed, NGX_OA_FEED_SWEEPING);
    ngx_oa_feed_sweep(feed);

    return NGX_OK;
}


static ngx_int_t
ngx_oa_feed_got_hinted(ngx_oa_feed_t *feed, PGresult *res)
{
    if (feed->source->apply(feed->source->data, res) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_oa_feed_next(feed);

    return NGX_OK;
}


static void
ngx_oa_feed_sweep(ngx_oa_feed_t *feed)
{
    ngx_oa_zone_lock(ngx_oa_zone_running);

    if (!ngx_oa_feed_is_ours(feed)) {
        ngx_oa_zone_unlock(ngx_oa_zone_running);
        return;
    }

    feed->from = feed->source->sweep(feed->source->data, feed->from);

    ngx_oa_zone_unlock(ngx_oa_zone_running);

    if (feed->from) {
        ngx_add_timer(&feed->timer, 1);
        return;
    }

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "%V: %ui %s read from the database",
                  &feed->source->name, feed->nread, feed->source->rows);

    ngx_oa_feed_in_step(feed);
}


static void
ngx_oa_feed_in_step(ngx_oa_feed_t *feed)
{
    oa_feed_mark_t  *mark;

    mark = feed->mark;

    if (mark->state == OA_FEED_STALE) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "%V: the change feed is back, nothing was missed",
                      &feed->source->name);
    }

    ngx_oa_zone_lock(ngx_oa_zone_running);

    if (ngx_oa_feed_is_ours(feed)) {
        /* in this order: half of it is a gap */

        mark->position = feed->answer.position;
        ngx_memory_barrier();
        ngx_memcpy(mark->identity, feed->answer.identity,
                   sizeof(mark->identity));

        ngx_oa_feed_mark(feed, OA_FEED_LIVE);
    }

    ngx_oa_zone_unlock(ngx_oa_zone_running);

    ngx_oa_feed_next(feed);
}


static void
ngx_oa_feed_retry(ngx_oa_feed_t *feed)
{
    ngx_oa_feed_stale(feed);
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
                      "%V: the listener did not hear its own beat: is "
                      "oa_postgres behind a pooler in transaction mode, which "
                      "drops LISTEN?", &feed->source->name);

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
