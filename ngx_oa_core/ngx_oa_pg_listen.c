
/*
 * Listeners: a connection each, that comes back for ever.
 */


#include "ngx_oa_pg.h"


/* PostgreSQL's identifiers have 63 bytes, quoted at most 128 */
#define NGX_OA_PG_LISTEN_LEN  160

/* a connection that lasted for less was none: the backoff goes on */
#define NGX_OA_PG_STEADY      5000


typedef struct ngx_oa_pg_ear_s  ngx_oa_pg_ear_t;

struct ngx_oa_pg_ear_s {
    ngx_oa_pg_conn_t             conn;
    ngx_oa_pg_listener_t        *listener;   /* NULL: free */
    ngx_oa_pg_ear_t             *next;

    ngx_uint_t                   failures;
    ngx_msec_t                   since;      /* hears */

    unsigned                     hears:1;    /* LISTEN is in force */
    unsigned                     down:1;     /* and the listener knows */
};


static ngx_oa_pg_ear_t *ngx_oa_pg_ear(void);
static void ngx_oa_pg_ear_connected(ngx_oa_pg_conn_t *pc);
static void ngx_oa_pg_ear_answer(ngx_oa_pg_conn_t *pc, PGresult *res);
static void ngx_oa_pg_ear_notify(ngx_oa_pg_conn_t *pc, PGnotify *n);
static void ngx_oa_pg_ear_lost(ngx_oa_pg_conn_t *pc, ngx_oa_pg_loss_t *loss);
static void ngx_oa_pg_ear_failed(ngx_oa_pg_ear_t *ear, ngx_str_t *reason);
static void ngx_oa_pg_ear_waited(ngx_oa_pg_conn_t *pc);


static const ngx_oa_pg_owner_t  ngx_oa_pg_ear_owner = {
    ngx_oa_pg_ear_connected,
    ngx_oa_pg_ear_answer,
    ngx_oa_pg_ear_notify,
    ngx_oa_pg_ear_lost,
    ngx_oa_pg_ear_waited
};


/*
 * Never freed but used again: a listener may be given up inside its own
 * callbacks, and there are few.
 */

static ngx_oa_pg_ear_t  *ngx_oa_pg_ears;


ngx_int_t
ngx_oa_pg_listen(ngx_oa_pg_listener_t *listener)
{
    ngx_oa_pg_ear_t   *ear;
    ngx_oa_pg_conf_t  *pgcf;

    pgcf = ngx_oa_pg_conf_cycle((ngx_cycle_t *) ngx_cycle);

    if (pgcf == NULL || pgcf->keywords == NULL || listener->conn) {
        return NGX_ERROR;
    }

    ear = ngx_oa_pg_ear();
    if (ear == NULL) {
        return NGX_ERROR;
    }

    ear->listener = listener;
    ear->failures = 0;
    ear->hears = 0;
    ear->down = 0;

    listener->conn = ear;

    /* from the event loop: no callback from inside this function */

    ngx_oa_pg_conn_wait(&ear->conn, 1);

    return NGX_OK;
}


static ngx_oa_pg_ear_t *
ngx_oa_pg_ear(void)
{
    ngx_oa_pg_ear_t  *ear;

    for (ear = ngx_oa_pg_ears; ear; ear = ear->next) {
        if (ear->listener == NULL) {
            return ear;
        }
    }

    ear = ngx_pcalloc(ngx_cycle->pool, sizeof(ngx_oa_pg_ear_t));
    if (ear == NULL) {
        return NULL;
    }

    ngx_oa_pg_conn_init(&ear->conn, &ngx_oa_pg_ear_owner, ear);

    ear->next = ngx_oa_pg_ears;
    ngx_oa_pg_ears = ear;

    return ear;
}


void
ngx_oa_pg_relisten(ngx_oa_pg_listener_t *listener)
{
    ngx_oa_pg_ear_t  *ear;

    ear = listener->conn;

    if (ear == NULL || !ear->hears) {
        /* nothing to drop; a new one is on its way */
        return;
    }

    ear->hears = 0;

    ngx_oa_pg_conn_close(&ear->conn);
    ngx_oa_pg_conn_wait(&ear->conn, 1);
}


void
ngx_oa_pg_unlisten(ngx_oa_pg_listener_t *listener)
{
    ngx_oa_pg_ear_t  *ear;

    ear = listener->conn;

    if (ear == NULL) {
        return;
    }

    listener->conn = NULL;
    ear->listener = NULL;

    ngx_oa_pg_conn_close(&ear->conn);
}


void
ngx_oa_pg_listen_exit(void)
{
    ngx_oa_pg_ear_t  *ear;

    for (ear = ngx_oa_pg_ears; ear; ear = ear->next) {
        if (ear->listener) {
            ngx_oa_pg_unlisten(ear->listener);
        }
    }

    ngx_oa_pg_ears = NULL;
}


static void
ngx_oa_pg_ear_connected(ngx_oa_pg_conn_t *pc)
{
    ngx_oa_pg_ear_t *ear = pc->data;

    char              *identifier;
    u_char             sql[NGX_OA_PG_LISTEN_LEN];
    ngx_oa_pg_conf_t  *pgcf;

    pgcf = ngx_oa_pg_conf_cycle((ngx_cycle_t *) ngx_cycle);

    identifier = PQescapeIdentifier(pc->pg, ear->listener->channel,
                                    ngx_strlen(ear->listener->channel));

    /* NULL leads to an ERROR, and that to another attempt */

    ngx_snprintf(sql, sizeof(sql), "LISTEN %s%Z",
                 identifier ? identifier : "");
    sql[sizeof(sql) - 1] = '\0';

    PQfreemem(identifier);

    ngx_oa_pg_conn_send(pc, (char *) sql, 0, NULL, pgcf->timeout);
}


static void
ngx_oa_pg_ear_answer(ngx_oa_pg_conn_t *pc, PGresult *res)
{
    ngx_oa_pg_ear_t *ear = pc->data;

    u_char     buf[NGX_OA_PG_REASON];
    ngx_str_t  reason;

    if (PQresultStatus(res) != PGRES_COMMAND_OK) {
        reason.data = buf;
        reason.len = ngx_oa_pg_first_line(buf, PQresultErrorMessage(res));

        PQclear(res);

        ngx_oa_pg_conn_close(pc);
        ngx_oa_pg_ear_failed(ear, &reason);
        return;
    }

    PQclear(res);

    if (ear->down) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "oa_postgres: listening on \"%s\" again",
                      ear->listener->channel);
    }

    ear->hears = 1;
    ear->down = 0;
    ear->since = ngx_current_msec;

    ear->listener->ready(ear->listener->data);
}


static void
ngx_oa_pg_ear_notify(ngx_oa_pg_conn_t *pc, PGnotify *n)
{
    ngx_oa_pg_ear_t *ear = pc->data;

    ngx_str_t  payload;

    if (!ear->hears || ngx_strcmp(n->relname, ear->listener->channel) != 0) {
        return;
    }

    payload.data = (u_char *) n->extra;
    payload.len = ngx_strlen(n->extra);

    ear->listener->notify(ear->listener->data, &payload);
}


static void
ngx_oa_pg_ear_lost(ngx_oa_pg_conn_t *pc, ngx_oa_pg_loss_t *loss)
{
    ngx_oa_pg_ear_failed(pc->data, &loss->reason);
}


static void
ngx_oa_pg_ear_failed(ngx_oa_pg_ear_t *ear, ngx_str_t *reason)
{
    ngx_uint_t  down, level;

    down = ear->down;
    level = down ? NGX_LOG_INFO : NGX_LOG_ERR;

    if (ear->hears && ngx_current_msec - ear->since >= NGX_OA_PG_STEADY) {
        ear->failures = 0;
    }

    ear->hears = 0;
    ear->down = 1;
    ear->failures++;

    ngx_log_error(level, ngx_cycle->log, 0,
                  "oa_postgres: not listening on \"%s\": %V",
                  ear->listener->channel, reason);

    ngx_oa_pg_conn_wait(&ear->conn, ngx_oa_pg_backoff(ear->failures));

    if (!down) {
        ear->listener->lost(ear->listener->data, reason);
    }
}


static void
ngx_oa_pg_ear_waited(ngx_oa_pg_conn_t *pc)
{
    ngx_oa_pg_conn_open(pc);
}
