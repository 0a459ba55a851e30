
/*
 * All streams: their part of the zone, and what a worker looks after.
 *
 * A worker that has streams or readers looks around: each 100 ms whether one
 * of its streams is to stop, and whether it must go itself; each 5 ms, where
 * it has readers of streams of other workers, whether there is something new.
 * The worker with the duty forgets what was kept long enough, and finds the
 * streams of dead ones.
 */


#include "ngx_oa_sse.h"

#include <openssl/rand.h>


#define NGX_OA_STREAMS_TICK     100          /* ms */
#define NGX_OA_STREAMS_LOOK     5
#define NGX_OA_STREAMS_SWEEP    1000

/* all of them in so many sweeps */
#define NGX_OA_STREAMS_SWEEPS   10

/* before worker_shutdown_timeout readers leave, at most so long */
#define NGX_OA_STREAMS_MARGIN   5000         /* ms */


static size_t ngx_oa_streams_size(ngx_uint_t npages);
static ngx_int_t ngx_oa_streams_init(ngx_oa_zone_t *zone, void *part,
    ngx_uint_t fresh, void *data, ngx_log_t *log);
static void ngx_oa_streams_repair(ngx_oa_zone_t *zone, void *part,
    ngx_log_t *log);
static void ngx_oa_streams_lock(void *data);
static void ngx_oa_streams_unlock(void *data);
static void *ngx_oa_streams_new_page(void *data);
static void ngx_oa_streams_free_page(void *data, void *page);
static ngx_uint_t ngx_oa_streams_is_alive(void *data, ngx_pid_t pid);
static ngx_uint_t ngx_oa_streams_is_other(void *data, ngx_pid_t pid);
static void ngx_oa_streams_start(void *data);
static void ngx_oa_streams_stop(void *data);
static void ngx_oa_streams_sweep(ngx_event_t *ev);
static void ngx_oa_streams_tick(ngx_event_t *ev);
static void ngx_oa_streams_look_at_stops(void);
static void ngx_oa_streams_look_at_readers(void);
static void ngx_oa_streams_drain(void);
static void ngx_oa_streams_may_leave(ngx_oa_reader_t *rd, void *data);
static void ngx_oa_streams_cut(void);


ngx_oa_streams_t  ngx_oa_streams;

static ngx_event_t        ngx_oa_streams_sweeper;
static ngx_connection_t   ngx_oa_streams_sweeper_conn;
static ngx_event_t        ngx_oa_streams_ticker;
static ngx_connection_t   ngx_oa_streams_ticker_conn;

/* What was seen last. */
static uint64_t           ngx_oa_streams_seen_change;
static uint64_t           ngx_oa_streams_seen_stop;
static ngx_msec_t         ngx_oa_streams_looked;
static ngx_msec_t         ngx_oa_streams_touch;
static ngx_msec_t         ngx_oa_streams_touched;
static ngx_msec_t         ngx_oa_streams_exiting;


ngx_int_t
ngx_oa_streams_add(ngx_conf_t *cf, ngx_oa_sse_main_conf_t *smcf)
{
    smcf->zone = ngx_oa_zone(cf);
    if (smcf->zone == NULL) {
        return NGX_ERROR;
    }

    ngx_str_set(&smcf->part.name, "streams");
    smcf->part.size = ngx_oa_streams_size;
    smcf->part.init = ngx_oa_streams_init;
    smcf->part.repair = ngx_oa_streams_repair;
    smcf->part.data = smcf;

    if (ngx_oa_zone_add(cf, &smcf->part) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_set(&smcf->duty.name, "streams");
    smcf->duty.start = ngx_oa_streams_start;
    smcf->duty.stop = ngx_oa_streams_stop;

    return ngx_oa_duty_add(cf, &smcf->duty);
}


static size_t
ngx_oa_streams_size(ngx_uint_t npages)
{
    return oa_streams_size(npages);
}


static void
ngx_oa_streams_handle(oa_streams_t *t, ngx_oa_zone_t *zone, void *part)
{
    ngx_memzero(t, sizeof(oa_streams_t));

    t->shm = part;
    t->pages = ngx_oa_zone_pages(zone, &t->npages);

    t->lock = ngx_oa_streams_lock;
    t->unlock = ngx_oa_streams_unlock;
    t->new_page = ngx_oa_streams_new_page;
    t->free_page = ngx_oa_streams_free_page;
    t->alive = ngx_oa_streams_is_alive;
    t->data = zone;
}


static ngx_int_t
ngx_oa_streams_init(ngx_oa_zone_t *zone, void *part, ngx_uint_t fresh,
    void *data, ngx_log_t *log)
{
    u_char        seed[16];
    oa_streams_t  t;

    if (!fresh) {
        return NGX_OK;
    }

    if (RAND_bytes(seed, sizeof(seed)) != 1) {
        ngx_log_error(NGX_LOG_EMERG, log, 0, "RAND_bytes() failed");
        return NGX_ERROR;
    }

    ngx_oa_streams_handle(&t, zone, part);
    oa_streams_create(&t, part, seed);

    return NGX_OK;
}


static void
ngx_oa_streams_repair(ngx_oa_zone_t *zone, void *part, ngx_log_t *log)
{
    oa_streams_t  t;

    ngx_oa_streams_handle(&t, zone, part);
    oa_streams_repair(&t);
}


static void
ngx_oa_streams_lock(void *data)
{
    ngx_oa_zone_lock(data);
}


static void
ngx_oa_streams_unlock(void *data)
{
    ngx_oa_zone_unlock(data);
}


static void *
ngx_oa_streams_new_page(void *data)
{
    return ngx_oa_zone_page(data);
}


/* The list of free pages is in their first bytes. */

static void
ngx_oa_streams_free_page(void *data, void *page)
{
    ngx_oa_zone_page_free(data, page);
}


static ngx_uint_t
ngx_oa_streams_is_alive(void *data, ngx_pid_t pid)
{
    return ngx_oa_alive(pid);
}


/* A worker that begins has no stream yet: those of its pid are a dead one's. */

static ngx_uint_t
ngx_oa_streams_is_other(void *data, ngx_pid_t pid)
{
    return pid != ngx_pid && ngx_oa_alive(pid);
}


ngx_int_t
ngx_oa_streams_init_process(ngx_oa_sse_main_conf_t *smcf)
{
    oa_streams_t      *t;
    oa_stream_stat_t   stat;

    t = &ngx_oa_streams.zone;

    ngx_oa_streams_handle(t, smcf->zone, smcf->part.addr);
    ngx_oa_streams_touch = smcf->touch;

    t->alive = ngx_oa_streams_is_other;
    oa_streams_sweep(t, ngx_oa_now(), (ngx_uint_t) -1);
    t->alive = ngx_oa_streams_is_alive;

    ngx_queue_init(&ngx_oa_streams.streams);
    ngx_queue_init(&ngx_oa_streams.readers);

    ngx_oa_streams_ticker_conn.fd = (ngx_socket_t) -1;
    ngx_oa_streams_ticker.handler = ngx_oa_streams_tick;
    ngx_oa_streams_ticker.data = &ngx_oa_streams_ticker_conn;
    ngx_oa_streams_ticker.log = ngx_cycle->log;
    ngx_oa_streams_ticker.cancelable = 1;

    ngx_oa_streams_sweeper_conn.fd = (ngx_socket_t) -1;
    ngx_oa_streams_sweeper.handler = ngx_oa_streams_sweep;
    ngx_oa_streams_sweeper.data = &ngx_oa_streams_sweeper_conn;
    ngx_oa_streams_sweeper.log = ngx_cycle->log;
    ngx_oa_streams_sweeper.cancelable = 1;

    oa_streams_stat(t, &stat);

    ngx_oa_streams.own = ngx_calloc(stat.streams * sizeof(ngx_oa_stream_t *),
                                    ngx_cycle->log);

    return ngx_oa_streams.own ? NGX_OK : NGX_ERROR;
}


ngx_oa_stream_t *
ngx_oa_streams_own(oa_stream_ref_t ref)
{
    ngx_oa_stream_t  *st;

    st = ngx_oa_streams.own[ref.slot];

    return (st && st->writer.ref.seq == ref.seq) ? st : NULL;
}


/* The duty */


static void
ngx_oa_streams_start(void *data)
{
    ngx_add_timer(&ngx_oa_streams_sweeper, NGX_OA_STREAMS_SWEEP);
}


static void
ngx_oa_streams_stop(void *data)
{
    if (ngx_oa_streams_sweeper.timer_set) {
        ngx_del_timer(&ngx_oa_streams_sweeper);
    }
}


static void
ngx_oa_streams_sweep(ngx_event_t *ev)
{
    oa_stream_stat_t  stat;

    oa_streams_stat(&ngx_oa_streams.zone, &stat);

    oa_streams_sweep(&ngx_oa_streams.zone, ngx_oa_now(),
                     stat.streams / NGX_OA_STREAMS_SWEEPS + 1);

    ngx_add_timer(ev, NGX_OA_STREAMS_SWEEP);
}


/* The ticker */


void
ngx_oa_streams_watch(void)
{
    ngx_msec_t      pause;
    ngx_msec_int_t  left;

    pause = ngx_queue_empty(&ngx_oa_streams.readers) ? NGX_OA_STREAMS_TICK
                                                     : NGX_OA_STREAMS_LOOK;

    if (ngx_oa_streams_ticker.timer_set) {

        /* nobody who comes may put it off */

        left = ngx_oa_streams_ticker.timer.key - ngx_current_msec;

        if (left <= (ngx_msec_int_t) pause) {
            return;
        }

        ngx_del_timer(&ngx_oa_streams_ticker);
    }

    ngx_add_timer(&ngx_oa_streams_ticker, pause);
}


static void
ngx_oa_streams_tick(ngx_event_t *ev)
{
    if (ngx_current_msec - ngx_oa_streams_looked >= NGX_OA_STREAMS_TICK) {
        ngx_oa_streams_looked = ngx_current_msec;

        ngx_oa_streams_look_at_stops();

        if (ngx_exiting) {
            ngx_oa_streams_drain();
        }
    }

    ngx_oa_streams_look_at_readers();

    if (!ngx_queue_empty(&ngx_oa_streams.streams)
        || !ngx_queue_empty(&ngx_oa_streams.readers))
    {
        ngx_oa_streams_watch();
    }
}


static void
ngx_oa_streams_look_at_stops(void)
{
    uint64_t          stops;
    ngx_queue_t      *q, *next;
    ngx_oa_stream_t  *st;

    stops = oa_streams_stops(&ngx_oa_streams.zone);

    if (stops == ngx_oa_streams_seen_stop) {
        return;
    }

    ngx_oa_streams_seen_stop = stops;

    for (q = ngx_queue_head(&ngx_oa_streams.streams);
         q != ngx_queue_sentinel(&ngx_oa_streams.streams);
         q = next)
    {
        next = ngx_queue_next(q);
        st = ngx_queue_data(q, ngx_oa_stream_t, queue);

        if (oa_stream_stopped(&st->writer)) {
            ngx_oa_stream_end(st, NGX_OA_END_STOPPED);
        }
    }
}


/* Those of other workers' streams. */

static void
ngx_oa_streams_look_at_readers(void)
{
    uint64_t          changed;
    ngx_uint_t        touch;
    ngx_queue_t      *q;
    oa_streams_t     *t;
    ngx_oa_reader_t  *rd;

    if (ngx_queue_empty(&ngx_oa_streams.readers)) {
        return;
    }

    t = &ngx_oa_streams.zone;

    touch = (ngx_current_msec - ngx_oa_streams_touched
             >= ngx_oa_streams_touch);

    changed = oa_streams_changed(t);

    if (changed == ngx_oa_streams_seen_change && !touch) {
        return;
    }

    ngx_oa_streams_seen_change = changed;

    if (touch) {
        ngx_oa_streams_touched = ngx_current_msec;
    }

    for (q = ngx_queue_head(&ngx_oa_streams.readers);
         q != ngx_queue_sentinel(&ngx_oa_streams.readers);
         q = ngx_queue_next(q))
    {
        rd = ngx_queue_data(q, ngx_oa_reader_t, queue);

        if (touch) {
            oa_stream_touch(t, rd->cursor.ref, ngx_oa_now());
            (void) oa_stream_check(t, rd->cursor.ref, ngx_oa_now());
        }

        changed = oa_stream_changed(t, rd->cursor.ref);

        if (changed != rd->changed) {
            rd->changed = changed;
            ngx_oa_reader_wake(rd);
        }
    }
}


/*
 * Streams go on in a worker that exits, and its readers with them, as long as
 * worker_shutdown_timeout lets them.  Shortly before, the readers are sent to
 * the new workers, a few at a time; there they find what was buffered.
 */

static void
ngx_oa_streams_drain(void)
{
    ngx_msec_t        limit, margin, passed;
    ngx_uint_t        ticks;
    ngx_queue_t      *q;
    ngx_oa_stream_t  *st;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                           ngx_core_module);
    limit = ccf->shutdown_timeout;

    if (limit == 0) {
        return;
    }

    if (ngx_oa_streams_exiting == 0) {
        ngx_oa_streams_exiting = ngx_current_msec;
    }

    margin = ngx_min(limit / 2, NGX_OA_STREAMS_MARGIN);
    passed = ngx_current_msec - ngx_oa_streams_exiting;

    if (passed < limit - margin) {
        return;
    }

    if (passed >= limit) {
        ngx_oa_streams_cut();
        return;
    }

    /* of those that are still there one in so many; half the time is spare */

    passed -= limit - margin;
    ticks = (passed < margin / 2)
            ? (margin / 2 - passed) / NGX_OA_STREAMS_TICK + 1 : 1;

    ngx_oa_readers_each(&ngx_oa_streams.readers, ngx_oa_streams_may_leave,
                        &ticks);

    for (q = ngx_queue_head(&ngx_oa_streams.streams);
         q != ngx_queue_sentinel(&ngx_oa_streams.streams);
         q = ngx_queue_next(q))
    {
        st = ngx_queue_data(q, ngx_oa_stream_t, queue);

        ngx_oa_readers_each(&st->readers, ngx_oa_streams_may_leave, &ticks);
    }
}


static void
ngx_oa_streams_may_leave(ngx_oa_reader_t *rd, void *data)
{
    ngx_uint_t *ticks = data;

    if (ngx_random() % *ticks == 0) {
        ngx_oa_reader_send_off(rd);
    }
}


/* nginx closes the connections: a stream that has none yet is left to us. */

static void
ngx_oa_streams_cut(void)
{
    ngx_queue_t      *q;
    ngx_oa_stream_t  *st;

    while (!ngx_queue_empty(&ngx_oa_streams.streams)) {
        q = ngx_queue_head(&ngx_oa_streams.streams);
        st = ngx_queue_data(q, ngx_oa_stream_t, queue);

        ngx_oa_stream_end(st, NGX_OA_END_SHUTDOWN);
    }
}
