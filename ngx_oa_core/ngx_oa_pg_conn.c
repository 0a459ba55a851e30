
/*
 * A connection to PostgreSQL: libpq on nginx's event loop.
 *
 * The descriptor is libpq's.  libpq may close it and open another in every
 * PQconnectPoll(), even under the same number, so the ngx_connection_t around
 * it is taken off before each such call and a new one put on afterwards.
 * Events are level-triggered, because libpq does not read until EAGAIN.
 */


#include "ngx_oa_pg.h"


#define NGX_OA_PG_BACKOFF_MIN  50
#define NGX_OA_PG_BACKOFF_MAX  5000


static void ngx_oa_pg_conn_move(ngx_oa_pg_conn_t *pc, ngx_oa_pg_state_e state);
static void ngx_oa_pg_conn_expire(ngx_oa_pg_conn_t *pc, ngx_msec_t timeout);
static void ngx_oa_pg_conn_resolved(void *data, const char *error);
static void ngx_oa_pg_conn_start(ngx_oa_pg_conn_t *pc);
static void ngx_oa_pg_conn_poll(ngx_oa_pg_conn_t *pc);
static ngx_int_t ngx_oa_pg_conn_attach(ngx_oa_pg_conn_t *pc,
    ngx_uint_t read, ngx_uint_t write);
static void ngx_oa_pg_conn_detach(ngx_oa_pg_conn_t *pc, ngx_uint_t flags);
static void ngx_oa_pg_conn_read_handler(ngx_event_t *rev);
static void ngx_oa_pg_conn_write_handler(ngx_event_t *wev);
static void ngx_oa_pg_conn_timer_handler(ngx_event_t *ev);
static void ngx_oa_pg_conn_input(ngx_oa_pg_conn_t *pc);
static void ngx_oa_pg_conn_answer(ngx_oa_pg_conn_t *pc);
static ngx_int_t ngx_oa_pg_conn_flush(ngx_oa_pg_conn_t *pc);
static void ngx_oa_pg_conn_lost(ngx_oa_pg_conn_t *pc, const char *message);
static ngx_uint_t ngx_oa_pg_is_shutdown(const PGresult *res);
static void ngx_oa_pg_conn_notice(void *data, const PGresult *res);


#if (NGX_DEBUG)

static const char  *ngx_oa_pg_states[] = {
    "closed", "resolving", "connecting", "ready", "busy", "waiting"
};

#endif


void
ngx_oa_pg_conn_init(ngx_oa_pg_conn_t *pc, const ngx_oa_pg_owner_t *owner,
    void *data)
{
    ngx_memzero(pc, sizeof(ngx_oa_pg_conn_t));

    pc->owner = owner;
    pc->data = data;

    /* no timer of a connection keeps an exiting worker */

    pc->timer.handler = ngx_oa_pg_conn_timer_handler;
    pc->timer.data = pc;
    pc->timer.log = ngx_cycle->log;
    pc->timer.cancelable = 1;

    pc->resolve.handler = ngx_oa_pg_conn_resolved;
    pc->resolve.data = pc;
}


static void
ngx_oa_pg_conn_move(ngx_oa_pg_conn_t *pc, ngx_oa_pg_state_e state)
{
    ngx_log_debug3(NGX_LOG_DEBUG_EVENT, ngx_cycle->log, 0,
                   "oa postgres %p: %s -> %s", pc,
                   ngx_oa_pg_states[pc->state], ngx_oa_pg_states[state]);

    pc->state = state;

    if (state == NGX_OA_PG_CONNECTING) {
        /* the time runs since the name was asked for */
        return;
    }

    ngx_oa_pg_conn_expire(pc, 0);
}


/* Sets how long the state may last; 0: for ever. */

static void
ngx_oa_pg_conn_expire(ngx_oa_pg_conn_t *pc, ngx_msec_t timeout)
{
    if (pc->timer.timer_set) {
        ngx_del_timer(&pc->timer);
    }

    if (timeout) {
        ngx_add_timer(&pc->timer, timeout);
    }
}


void
ngx_oa_pg_conn_open(ngx_oa_pg_conn_t *pc)
{
    ngx_oa_pg_conf_t  *pgcf;

    pgcf = ngx_oa_pg_conf_cycle((ngx_cycle_t *) ngx_cycle);

    pc->nfarewell = 0;
    pc->shutdown = 0;

    if (pgcf->host.len == 0) {
        ngx_oa_pg_conn_expire(pc, pgcf->timeout);
        ngx_oa_pg_conn_start(pc);
        return;
    }

    ngx_oa_pg_conn_move(pc, NGX_OA_PG_RESOLVING);
    ngx_oa_pg_conn_expire(pc, pgcf->timeout);

    ngx_oa_resolve(&pc->resolve, &pgcf->host);
}


static void
ngx_oa_pg_conn_resolved(void *data, const char *error)
{
    ngx_oa_pg_conn_t *pc = data;

    u_char             message[NGX_OA_PG_REASON];
    ngx_oa_pg_conf_t  *pgcf;

    if (error) {
        pgcf = ngx_oa_pg_conf_cycle((ngx_cycle_t *) ngx_cycle);

        ngx_snprintf(message, sizeof(message),
                     "host \"%V\" could not be resolved: %s%Z",
                     &pgcf->host, error);
        message[sizeof(message) - 1] = '\0';

        ngx_oa_pg_conn_lost(pc, (char *) message);
        return;
    }

    ngx_oa_pg_conn_start(pc);
}


static void
ngx_oa_pg_conn_start(ngx_oa_pg_conn_t *pc)
{
    ngx_oa_pg_conf_t  *pgcf;

    pgcf = ngx_oa_pg_conf_cycle((ngx_cycle_t *) ngx_cycle);

    ngx_oa_pg_conn_move(pc, NGX_OA_PG_CONNECTING);

    pc->pg = ngx_oa_pg_connect(pgcf, &pc->resolve);

    ngx_oa_resolve_done(&pc->resolve);

    if (pc->pg == NULL) {
        ngx_oa_pg_conn_lost(pc, "no memory for a connection");
        return;
    }

    if (PQstatus(pc->pg) == CONNECTION_BAD) {
        ngx_oa_pg_conn_lost(pc, PQerrorMessage(pc->pg));
        return;
    }

    (void) PQsetNoticeReceiver(pc->pg, ngx_oa_pg_conn_notice, pc);

    if (ngx_oa_pg_conn_attach(pc, 0, 1) != NGX_OK) {
        ngx_oa_pg_conn_lost(pc, "no connection of nginx is free");
    }
}


static void
ngx_oa_pg_conn_poll(ngx_oa_pg_conn_t *pc)
{
    ngx_int_t                  rc;
    PostgresPollingStatusType  status;

    ngx_oa_pg_conn_detach(pc, 0);

    status = PQconnectPoll(pc->pg);

    switch (status) {

    case PGRES_POLLING_READING:
        rc = ngx_oa_pg_conn_attach(pc, 1, 0);
        break;

    case PGRES_POLLING_WRITING:
        rc = ngx_oa_pg_conn_attach(pc, 0, 1);
        break;

    case PGRES_POLLING_OK:
        rc = ngx_oa_pg_conn_attach(pc, 1, 0);
        break;

    default:
        ngx_oa_pg_conn_lost(pc, PQerrorMessage(pc->pg));
        return;
    }

    if (rc != NGX_OK) {
        ngx_oa_pg_conn_lost(pc, "no connection of nginx is free");
        return;
    }

    if (status != PGRES_POLLING_OK) {
        return;
    }

    if (PQsetnonblocking(pc->pg, 1) != 0) {
        ngx_oa_pg_conn_lost(pc, PQerrorMessage(pc->pg));
        return;
    }

    ngx_oa_count(NGX_OA_COUNT_PG_CONNECTS);

    ngx_oa_pg_conn_move(pc, NGX_OA_PG_READY);

    pc->owner->connected(pc);
}


static ngx_int_t
ngx_oa_pg_conn_attach(ngx_oa_pg_conn_t *pc, ngx_uint_t read, ngx_uint_t write)
{
    int                fd;
    ngx_connection_t  *c;

    fd = PQsocket(pc->pg);
    if (fd < 0) {
        return NGX_ERROR;
    }

    c = ngx_get_connection(fd, ngx_cycle->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->data = pc;
    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = ngx_oa_pg_conn_read_handler;
    c->write->handler = ngx_oa_pg_conn_write_handler;

    pc->c = c;

    if (read
        && ngx_add_event(c->read, NGX_READ_EVENT, NGX_LEVEL_EVENT) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (write
        && ngx_add_event(c->write, NGX_WRITE_EVENT, NGX_LEVEL_EVENT) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * flags: NGX_CLOSE_EVENT when libpq closed the descriptor or is about to.
 * ngx_close_connection() would close it a second time.
 */

static void
ngx_oa_pg_conn_detach(ngx_oa_pg_conn_t *pc, ngx_uint_t flags)
{
    ngx_connection_t  *c;

    c = pc->c;

    if (c == NULL) {
        return;
    }

    pc->c = NULL;

    if (c->read->active) {
        (void) ngx_del_event(c->read, NGX_READ_EVENT, flags);
    }

    if (c->write->active) {
        (void) ngx_del_event(c->write, NGX_WRITE_EVENT, flags);
    }

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    c->read->closed = 1;
    c->write->closed = 1;

    ngx_free_connection(c);
    c->fd = (ngx_socket_t) -1;
}


static void
ngx_oa_pg_conn_read_handler(ngx_event_t *rev)
{
    ngx_connection_t  *c;
    ngx_oa_pg_conn_t  *pc;

    c = rev->data;
    pc = c->data;

    if (c->close) {
        /* a worker that exits closes what is idle */
        ngx_oa_pg_conn_close(pc);
        return;
    }

    if (pc->state == NGX_OA_PG_CONNECTING) {
        ngx_oa_pg_conn_poll(pc);
        return;
    }

    ngx_oa_pg_conn_input(pc);
}


static void
ngx_oa_pg_conn_write_handler(ngx_event_t *wev)
{
    ngx_connection_t  *c;
    ngx_oa_pg_conn_t  *pc;

    c = wev->data;
    pc = c->data;

    if (pc->state == NGX_OA_PG_CONNECTING) {
        ngx_oa_pg_conn_poll(pc);
        return;
    }

    (void) ngx_oa_pg_conn_flush(pc);
}


static void
ngx_oa_pg_conn_timer_handler(ngx_event_t *ev)
{
    ngx_oa_pg_conn_t *pc = ev->data;

    if (pc->state == NGX_OA_PG_WAITING) {
        ngx_oa_pg_conn_move(pc, NGX_OA_PG_CLOSED);
        pc->owner->waited(pc);
        return;
    }

    if (pc->state == NGX_OA_PG_READY) {
        ngx_oa_pg_conn_close(pc);
        return;
    }

    /* a cancel request would block */

    ngx_oa_pg_conn_lost(pc, pc->state == NGX_OA_PG_BUSY ? "no answer in time"
                                                        : "connect timed out");
}


void
ngx_oa_pg_conn_park(ngx_oa_pg_conn_t *pc, ngx_msec_t timeout)
{
    /* nginx closes it when the worker is told to exit */

    pc->c->idle = 1;

    ngx_oa_pg_conn_expire(pc, timeout);
}


void
ngx_oa_pg_conn_send(ngx_oa_pg_conn_t *pc, const char *sql, ngx_uint_t nparams,
    const char *const *params, ngx_msec_t timeout)
{
    ngx_oa_pg_conn_move(pc, NGX_OA_PG_BUSY);
    ngx_oa_pg_conn_expire(pc, timeout);

    pc->c->idle = 0;
    pc->answering = 0;

    ngx_oa_count(NGX_OA_COUNT_PG_QUERIES);

    if (PQsendQueryParams(pc->pg, sql, (int) nparams, NULL, params, NULL, NULL,
                          0)
        == 0)
    {
        ngx_oa_pg_conn_lost(pc, PQerrorMessage(pc->pg));
        return;
    }

    (void) ngx_oa_pg_conn_flush(pc);
}


static ngx_int_t
ngx_oa_pg_conn_flush(ngx_oa_pg_conn_t *pc)
{
    int           rc;
    ngx_int_t     ok;
    ngx_event_t  *wev;

    rc = PQflush(pc->pg);

    if (rc < 0) {
        ngx_oa_pg_conn_lost(pc, PQerrorMessage(pc->pg));
        return NGX_ERROR;
    }

    wev = pc->c->write;
    ok = NGX_OK;

    if (rc && !wev->active) {
        ok = ngx_add_event(wev, NGX_WRITE_EVENT, NGX_LEVEL_EVENT);

    } else if (rc == 0 && wev->active) {
        ok = ngx_del_event(wev, NGX_WRITE_EVENT, 0);
    }

    if (ok != NGX_OK) {
        ngx_oa_pg_conn_lost(pc, "no event could be set");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_oa_pg_conn_input(ngx_oa_pg_conn_t *pc)
{
    PGnotify    *n;
    ngx_uint_t   generation;

    if (PQconsumeInput(pc->pg) == 0) {
        ngx_oa_pg_conn_lost(pc, PQerrorMessage(pc->pg));
        return;
    }

    generation = pc->generation;

    if (pc->state == NGX_OA_PG_BUSY) {
        pc->answering = 1;

        if (ngx_oa_pg_conn_flush(pc) != NGX_OK) {
            return;
        }

        ngx_oa_pg_conn_answer(pc);
    }

    while (pc->generation == generation) {
        n = PQnotifies(pc->pg);

        if (n == NULL) {
            break;
        }

        pc->owner->notify(pc, n);
        PQfreemem(n);
    }

    if (pc->generation == generation && pc->state == NGX_OA_PG_READY
        && pc->nfarewell)
    {
        ngx_oa_pg_conn_lost(pc, "");
    }
}


static void
ngx_oa_pg_conn_answer(ngx_oa_pg_conn_t *pc)
{
    PGresult        *res, *other;
    ExecStatusType   status;

    for ( ;; ) {

        if (PQisBusy(pc->pg)) {
            return;
        }

        res = PQgetResult(pc->pg);

        if (res == NULL) {
            break;
        }

        status = PQresultStatus(res);

        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT
            || status == PGRES_COPY_BOTH)
        {
            PQclear(res);
            ngx_oa_pg_conn_lost(pc, "COPY is not supported");
            return;
        }

        if (ngx_oa_pg_is_shutdown(res)) {
            pc->shutdown = 1;
        }

        /* of several the first, but an error tells more */

        other = NULL;

        if (pc->res == NULL) {
            pc->res = res;

        } else if (status == PGRES_FATAL_ERROR) {
            other = pc->res;
            pc->res = res;

        } else {
            other = res;
        }

        PQclear(other);
    }

    if (PQstatus(pc->pg) != CONNECTION_OK) {
        ngx_oa_pg_conn_lost(pc, PQerrorMessage(pc->pg));
        return;
    }

    res = pc->res;
    pc->res = NULL;

    ngx_oa_pg_conn_move(pc, NGX_OA_PG_READY);

    pc->owner->answer(pc, res);
}


void
ngx_oa_pg_conn_close(ngx_oa_pg_conn_t *pc)
{
    ngx_oa_resolve_done(&pc->resolve);

    if (pc->res) {
        PQclear(pc->res);
        pc->res = NULL;
    }

    ngx_oa_pg_conn_detach(pc, NGX_CLOSE_EVENT);

    if (pc->pg) {
        PQfinish(pc->pg);
        pc->pg = NULL;
    }

    pc->generation++;

    ngx_oa_pg_conn_move(pc, NGX_OA_PG_CLOSED);
}


void
ngx_oa_pg_conn_wait(ngx_oa_pg_conn_t *pc, ngx_msec_t delay)
{
    ngx_oa_pg_conn_move(pc, NGX_OA_PG_WAITING);
    ngx_oa_pg_conn_expire(pc, delay);
}


static void
ngx_oa_pg_conn_lost(ngx_oa_pg_conn_t *pc, const char *message)
{
    u_char            reason[NGX_OA_PG_REASON];
    ngx_oa_pg_loss_t  loss;

    /* what the server said last is worth more than "closed unexpectedly" */

    if (pc->res && PQresultStatus(pc->res) == PGRES_FATAL_ERROR) {
        message = PQresultErrorMessage(pc->res);
    }

    loss.reason.data = reason;
    loss.reason.len = ngx_oa_pg_first_line(reason, message);

    if (pc->res == NULL && pc->nfarewell) {
        loss.reason.len = pc->nfarewell;
        ngx_memcpy(reason, pc->farewell, pc->nfarewell);
    }

    loss.was = pc->state;
    loss.answering = pc->answering;
    loss.shutdown = pc->shutdown;

    ngx_oa_pg_conn_close(pc);

    ngx_oa_count(NGX_OA_COUNT_PG_FAILURES);

    pc->owner->lost(pc, &loss);
}


/* Class 57P: the server goes, or sends us away; our transaction is undone. */

static ngx_uint_t
ngx_oa_pg_is_shutdown(const PGresult *res)
{
    const char  *state;

    state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

    return state && ngx_strncmp(state, "57P", 3) == 0;
}


static void
ngx_oa_pg_conn_notice(void *data, const PGresult *res)
{
    ngx_oa_pg_conn_t *pc = data;

    const char  *severity;

    severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);

    if (severity && ngx_strcmp(severity, "FATAL") == 0) {
        pc->nfarewell = ngx_oa_pg_first_line(pc->farewell,
                                             PQresultErrorMessage(res));
        pc->shutdown = ngx_oa_pg_is_shutdown(res);
    }
}


size_t
ngx_oa_pg_first_line(u_char *buf, const char *message)
{
    size_t  len;

    for (len = 0; len < NGX_OA_PG_REASON; len++) {

        if (message[len] == '\0' || message[len] == '\n') {
            break;
        }

        buf[len] = (u_char) message[len] < 0x20 ? ' ' : message[len];
    }

    return len;
}


ngx_msec_t
ngx_oa_pg_backoff(ngx_uint_t failures)
{
    ngx_msec_t  delay;

    delay = NGX_OA_PG_BACKOFF_MIN;

    while (failures > 1 && delay < NGX_OA_PG_BACKOFF_MAX) {
        delay *= 2;
        failures--;
    }

    delay = ngx_min(delay, NGX_OA_PG_BACKOFF_MAX);

    return delay - ngx_random() % (delay / 2);
}
