
/*
 * Queries: each worker's pool of connections and the queue before it.
 *
 * A query that is out is in one of three places, which query->conn names:
 * waiting for a connection, running on one, or failed and about to be told.
 * Handlers are called last of all, when nothing is left to be done here.
 */


#include "ngx_oa_pg.h"


#define NGX_OA_PG_QUEUE  1024
#define NGX_OA_PG_IDLE   60000


typedef struct {
    ngx_oa_pg_conf_t            *conf;
    ngx_oa_pg_conn_t            *conns;
    ngx_oa_pg_query_t          **running;    /* by connection; NULL: none */

    ngx_queue_t                  waiting;
    ngx_uint_t                   nwaiting;

    ngx_queue_t                  failed;
    ngx_event_t                  event;      /* tells the failed */

    /* since the last answer */
    ngx_uint_t                   failures;
    ngx_uint_t                   down;

    /* the last failure */
    ngx_str_t                    error;
    u_char                       reason[NGX_OA_PG_REASON];

    /* the last ERROR of the server */
    u_char                       message[NGX_OA_PG_REASON];
} ngx_oa_pg_pool_t;


static void ngx_oa_pg_dispatch(void);
static void ngx_oa_pg_run(ngx_oa_pg_conn_t *pc);
static void ngx_oa_pg_grow(void);
static void ngx_oa_pg_trouble(ngx_str_t *reason);
static void ngx_oa_pg_fail(ngx_oa_pg_query_t *q);
static void ngx_oa_pg_take(ngx_oa_pg_query_t *q);
static void ngx_oa_pg_failed_handler(ngx_event_t *ev);
static void ngx_oa_pg_timeout_handler(ngx_event_t *ev);
static void ngx_oa_pg_connected(ngx_oa_pg_conn_t *pc);
static void ngx_oa_pg_next(ngx_oa_pg_conn_t *pc);
static void ngx_oa_pg_answer(ngx_oa_pg_conn_t *pc, PGresult *res);
static void ngx_oa_pg_notify(ngx_oa_pg_conn_t *pc, PGnotify *n);
static void ngx_oa_pg_lost(ngx_oa_pg_conn_t *pc, ngx_oa_pg_loss_t *loss);
static void ngx_oa_pg_waited(ngx_oa_pg_conn_t *pc);


static ngx_oa_pg_pool_t  ngx_oa_pg_pool;


static const ngx_oa_pg_owner_t  ngx_oa_pg_owner = {
    ngx_oa_pg_connected,
    ngx_oa_pg_answer,
    ngx_oa_pg_notify,
    ngx_oa_pg_lost,
    ngx_oa_pg_waited
};


#define ngx_oa_pg_running(pc)                                                 \
    ngx_oa_pg_pool.running[(pc) - ngx_oa_pg_pool.conns]


ngx_int_t
ngx_oa_pg_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t         i;
    ngx_oa_pg_conf_t  *pgcf;
    ngx_oa_pg_pool_t  *pool;

    pool = &ngx_oa_pg_pool;
    pgcf = ngx_oa_pg_conf_cycle(cycle);

    if (pgcf == NULL || pgcf->keywords == NULL) {
        return NGX_OK;
    }

    /* would have libpq read a service file at each connect */

    (void) unsetenv("PGSERVICE");

    pool->conns = ngx_pcalloc(cycle->pool, pgcf->connections
                                           * sizeof(ngx_oa_pg_conn_t));
    pool->running = ngx_pcalloc(cycle->pool, pgcf->connections
                                             * sizeof(ngx_oa_pg_query_t *));

    if (pool->conns == NULL || pool->running == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < pgcf->connections; i++) {
        ngx_oa_pg_conn_init(&pool->conns[i], &ngx_oa_pg_owner, NULL);
    }

    ngx_queue_init(&pool->waiting);
    ngx_queue_init(&pool->failed);

    pool->event.handler = ngx_oa_pg_failed_handler;
    pool->event.log = cycle->log;

    pool->conf = pgcf;

    return NGX_OK;
}


void
ngx_oa_pg_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t         i;
    ngx_oa_pg_pool_t  *pool;

    pool = &ngx_oa_pg_pool;

    if (pool->conf == NULL) {
        return;
    }

    for (i = 0; i < pool->conf->connections; i++) {
        ngx_oa_pg_conn_close(&pool->conns[i]);
    }

    ngx_oa_pg_listen_exit();

    pool->conf = NULL;
}


ngx_int_t
ngx_oa_pg_query(ngx_oa_pg_query_t *q)
{
    ngx_oa_pg_pool_t  *pool;

    pool = &ngx_oa_pg_pool;

    if (pool->conf == NULL || pool->nwaiting >= NGX_OA_PG_QUEUE) {
        ngx_oa_count(NGX_OA_COUNT_PG_REFUSED);
        return NGX_BUSY;
    }

    ngx_str_null(&q->error);

    /*
     * A request that waits for its answer has no timer of its own: it is
     * this one that keeps an exiting worker until the answer is there.
     */

    ngx_memzero(&q->timer, sizeof(ngx_event_t));

    q->timer.handler = ngx_oa_pg_timeout_handler;
    q->timer.data = q;
    q->timer.log = ngx_cycle->log;

    ngx_add_timer(&q->timer, q->timeout ? q->timeout : pool->conf->timeout);

    q->conn = &pool->waiting;
    ngx_queue_insert_tail(&pool->waiting, &q->queue);
    pool->nwaiting++;

    ngx_oa_pg_dispatch();

    return NGX_OK;
}


void
ngx_oa_pg_withdraw(ngx_oa_pg_query_t *q)
{
    if (q->conn) {
        ngx_oa_pg_take(q);
    }
}


/*
 * Takes a query from where it is.  A connection that runs it goes on, drops
 * the answer, and is closed if there is none in time.
 */

static void
ngx_oa_pg_take(ngx_oa_pg_query_t *q)
{
    if (q->conn == &ngx_oa_pg_pool.waiting) {
        ngx_queue_remove(&q->queue);
        ngx_oa_pg_pool.nwaiting--;

    } else if (q->conn == &ngx_oa_pg_pool.failed) {
        ngx_queue_remove(&q->queue);

    } else {
        ngx_oa_pg_running((ngx_oa_pg_conn_t *) q->conn) = NULL;
    }

    if (q->timer.timer_set) {
        ngx_del_timer(&q->timer);
    }

    q->conn = NULL;
}


/* Gives the waiting queries to the connections that are ready. */

static void
ngx_oa_pg_dispatch(void)
{
    ngx_uint_t  i;

    for (i = 0; i < ngx_oa_pg_pool.conf->connections; i++) {

        if (ngx_oa_pg_pool.nwaiting == 0) {
            return;
        }

        if (ngx_oa_pg_pool.conns[i].state == NGX_OA_PG_READY) {
            ngx_oa_pg_run(&ngx_oa_pg_pool.conns[i]);
        }
    }

    ngx_oa_pg_grow();
}


/* Runs the next query on a connection that is ready. */

static void
ngx_oa_pg_run(ngx_oa_pg_conn_t *pc)
{
    ngx_queue_t        *queue;
    ngx_oa_pg_query_t  *q;

    queue = ngx_queue_head(&ngx_oa_pg_pool.waiting);
    q = ngx_queue_data(queue, ngx_oa_pg_query_t, queue);

    ngx_queue_remove(queue);
    ngx_oa_pg_pool.nwaiting--;

    q->conn = pc;
    ngx_oa_pg_running(pc) = q;

    /*
     * The query may have spent most of its time in the queue.  It is not the
     * connection's fault: the server has the whole time.
     */

    ngx_oa_pg_conn_send(pc, q->sql, q->nparams, q->params,
                        q->timeout ? q->timeout
                                   : ngx_oa_pg_pool.conf->timeout);
}


/* Opens connections while more are of use; without hope fails the waiting. */

static void
ngx_oa_pg_grow(void)
{
    ngx_uint_t          i, count[NGX_OA_PG_STATES], opening, open;
    ngx_queue_t        *queue;
    ngx_oa_pg_conn_t   *closed;
    ngx_oa_pg_pool_t   *pool;
    ngx_oa_pg_query_t  *q;

    pool = &ngx_oa_pg_pool;

    while (pool->nwaiting) {

        ngx_memzero(count, sizeof(count));
        closed = NULL;

        for (i = 0; i < pool->conf->connections; i++) {
            count[pool->conns[i].state]++;

            if (pool->conns[i].state == NGX_OA_PG_CLOSED) {
                closed = &pool->conns[i];
            }
        }

        opening = count[NGX_OA_PG_RESOLVING] + count[NGX_OA_PG_CONNECTING];
        open = count[NGX_OA_PG_READY] + count[NGX_OA_PG_BUSY];

        if (count[NGX_OA_PG_WAITING] && opening + open == 0) {
            queue = ngx_queue_head(&pool->waiting);
            q = ngx_queue_data(queue, ngx_oa_pg_query_t, queue);

            ngx_queue_remove(queue);
            pool->nwaiting--;

            ngx_oa_pg_fail(q);

            continue;
        }

        /* after a failure one connection finds out for all */

        if (closed == NULL || count[NGX_OA_PG_WAITING]
            || opening >= (pool->failures ? 1 : pool->nwaiting))
        {
            return;
        }

        ngx_oa_pg_conn_open(closed);
    }
}


/* Says once that there is trouble, and remembers it for who has to be told. */

static void
ngx_oa_pg_trouble(ngx_str_t *reason)
{
    ngx_uint_t         level;
    ngx_oa_pg_pool_t  *pool;

    pool = &ngx_oa_pg_pool;

    pool->error.data = pool->reason;
    pool->error.len = reason->len;
    ngx_memcpy(pool->reason, reason->data, reason->len);

    level = pool->down ? NGX_LOG_INFO : NGX_LOG_ERR;

    ngx_log_error(level, ngx_cycle->log, 0, "oa_postgres: %V", reason);

    pool->down = 1;
}


/* Handlers are not called from here: the caller may be ngx_oa_pg_query(). */

static void
ngx_oa_pg_fail(ngx_oa_pg_query_t *q)
{
    q->conn = &ngx_oa_pg_pool.failed;
    ngx_queue_insert_tail(&ngx_oa_pg_pool.failed, &q->queue);

    /* not ngx_posted_events: a handler that asks again must not spin there */

    ngx_post_event(&ngx_oa_pg_pool.event, &ngx_posted_next_events);
}


static void
ngx_oa_pg_failed_handler(ngx_event_t *ev)
{
    ngx_queue_t         now, *queue;
    ngx_oa_pg_pool_t   *pool;
    ngx_oa_pg_query_t  *q;

    pool = &ngx_oa_pg_pool;

    if (ngx_queue_empty(&pool->failed)) {
        return;
    }

    /* whoever fails from now on is told next time */

    ngx_queue_init(&now);
    ngx_queue_add(&now, &pool->failed);
    ngx_queue_init(&pool->failed);

    while (!ngx_queue_empty(&now)) {
        queue = ngx_queue_head(&now);
        q = ngx_queue_data(queue, ngx_oa_pg_query_t, queue);

        ngx_oa_pg_take(q);

        q->error = pool->error;
        q->handler(q, NULL);
    }
}


static void
ngx_oa_pg_timeout_handler(ngx_event_t *ev)
{
    ngx_oa_pg_query_t *q = ev->data;

    ngx_str_t          running = ngx_string("query timed out");
    ngx_str_t          waiting = ngx_string("timed out waiting for a "
                                            "connection");
    ngx_oa_pg_pool_t  *pool;

    pool = &ngx_oa_pg_pool;

    if (q->conn == &pool->failed) {
        q->error = pool->error;

    } else if (q->conn == &pool->waiting) {
        q->error = pool->down ? pool->error : waiting;
        ngx_oa_count(NGX_OA_COUNT_PG_TIMEOUTS);

    } else {
        q->error = running;
        ngx_oa_count(NGX_OA_COUNT_PG_TIMEOUTS);
    }

    ngx_oa_pg_take(q);

    q->handler(q, NULL);
}


static void
ngx_oa_pg_connected(ngx_oa_pg_conn_t *pc)
{
    pc->answered = 0;
    pc->idled = 0;

    ngx_oa_pg_next(pc);
}


/* A connection is ready: what now? */

static void
ngx_oa_pg_next(ngx_oa_pg_conn_t *pc)
{
    if (ngx_oa_pg_pool.nwaiting) {
        ngx_oa_pg_run(pc);
        return;
    }

    if (ngx_exiting) {
        ngx_oa_pg_conn_close(pc);
        return;
    }

    pc->idled = 1;

    ngx_oa_pg_conn_park(pc, NGX_OA_PG_IDLE);
}


static void
ngx_oa_pg_answer(ngx_oa_pg_conn_t *pc, PGresult *res)
{
    const char         *message, *sqlstate;
    ngx_oa_pg_pool_t   *pool;
    ngx_oa_pg_query_t  *q;

    pool = &ngx_oa_pg_pool;

    pool->failures = 0;

    if (pool->down) {
        pool->down = 0;
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "oa_postgres: the database answers again");
    }

    pc->answered = 1;
    pc->idled = 0;

    q = ngx_oa_pg_running(pc);

    if (q) {
        ngx_oa_pg_take(q);
    }

    if (PQtransactionStatus(pc->pg) == PQTRANS_IDLE) {
        ngx_oa_pg_next(pc);

    } else {
        /* a query of ours left a transaction open */
        ngx_oa_pg_conn_close(pc);
        ngx_oa_pg_dispatch();
    }

    if (q == NULL) {
        PQclear(res);
        return;
    }

    switch (PQresultStatus(res)) {

    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
        q->handler(q, res);
        break;

    default:
        message = PQresultErrorMessage(res);

        if (message[0] == '\0') {
            message = "no result";
        }

        q->error.data = pool->message;
        q->error.len = ngx_oa_pg_first_line(pool->message, message);

        sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
        ngx_cpystrn((u_char *) q->sqlstate, (u_char *) (sqlstate ? sqlstate
                                                                 : ""),
                    sizeof(q->sqlstate));

        q->handler(q, NULL);
    }

    PQclear(res);
}


static void
ngx_oa_pg_notify(ngx_oa_pg_conn_t *pc, PGnotify *n)
{
    /* a query of ours said LISTEN: nobody hears it */
}


static void
ngx_oa_pg_lost(ngx_oa_pg_conn_t *pc, ngx_oa_pg_loss_t *loss)
{
    ngx_uint_t          i;
    ngx_oa_pg_pool_t   *pool;
    ngx_oa_pg_query_t  *q;

    pool = &ngx_oa_pg_pool;

    q = ngx_oa_pg_running(pc);
    ngx_oa_pg_running(pc) = NULL;

    if (loss->was == NGX_OA_PG_READY
        || (q && loss->was == NGX_OA_PG_BUSY && pc->idled
            && (!loss->answering || loss->shutdown)))
    {
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "oa_postgres: idle connection lost: %V", &loss->reason);

        if (q) {

            /*
             * The query never ran.  It runs again, and once only: no other
             * connection that sat idle is left for it.
             */

            for (i = 0; i < pool->conf->connections; i++) {
                if (pool->conns[i].state == NGX_OA_PG_READY) {
                    ngx_oa_pg_conn_close(&pool->conns[i]);
                }
            }

            q->conn = &pool->waiting;
            ngx_queue_insert_head(&pool->waiting, &q->queue);
            pool->nwaiting++;
        }

        ngx_oa_pg_dispatch();
        return;
    }

    ngx_oa_pg_trouble(&loss->reason);

    if (loss->was != NGX_OA_PG_BUSY || !pc->answered) {
        pool->failures++;
        ngx_oa_pg_conn_wait(pc, ngx_oa_pg_backoff(pool->failures));
    }

    if (q) {
        ngx_oa_pg_fail(q);
    }

    ngx_oa_pg_dispatch();
}


static void
ngx_oa_pg_waited(ngx_oa_pg_conn_t *pc)
{
    ngx_oa_pg_dispatch();
}
