
/*
 * PostgreSQL inside the core: one connection is a small machine of states
 * (ngx_oa_pg_conn.c) that knows neither queries nor channels.  Its owner, the
 * pool (ngx_oa_pg.c) or a listener (ngx_oa_pg_listen.c), is told what happens.
 */


#ifndef _NGX_OA_PG_H_INCLUDED_
#define _NGX_OA_PG_H_INCLUDED_


#include "ngx_oa_core.h"
#include "ngx_oa_resolve.h"


/* bytes of an error's first line that are kept */
#define NGX_OA_PG_REASON  256


/* Configuration */


/* All zero: there is no oa_postgres. */
typedef struct {
    /*
     * conninfo as PQconnectStartParams() takes it: nparams pairs, room for
     * a host and a hostaddr that are known at run time only, and a NULL
     */
    const char                 **keywords;
    const char                 **values;
    ngx_uint_t                   nparams;

    /* the name to resolve before each attempt; empty: none */
    ngx_str_t                    host;

    ngx_uint_t                   connections;
    ngx_msec_t                   timeout;
} ngx_oa_pg_conf_t;

char *ngx_oa_pg_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * Begins a connection, to the addresses of rs where the host is a name: libpq
 * is given them as hostaddr, and host beside it as often; it tries them in
 * turn and verifies the certificate of host.  NULL: no memory.
 */
PGconn *ngx_oa_pg_connect(ngx_oa_pg_conf_t *pgcf, ngx_oa_resolve_t *rs);

ngx_int_t ngx_oa_pg_init_process(ngx_cycle_t *cycle);
void ngx_oa_pg_exit_process(ngx_cycle_t *cycle);

/* Where the core's main configuration keeps it; by ngx_oa_core_module.c. */
ngx_oa_pg_conf_t *ngx_oa_pg_conf(ngx_conf_t *cf);
ngx_oa_pg_conf_t *ngx_oa_pg_conf_cycle(ngx_cycle_t *cycle);


/* A connection */


typedef enum {
    NGX_OA_PG_CLOSED = 0,
    NGX_OA_PG_RESOLVING,               /* host -> hostaddr */
    NGX_OA_PG_CONNECTING,              /* PQconnectPoll() */
    NGX_OA_PG_READY,                   /* nothing is asked */
    NGX_OA_PG_BUSY,                    /* a query is out */
    NGX_OA_PG_WAITING,                 /* closed, until the backoff is over */
    NGX_OA_PG_STATES
} ngx_oa_pg_state_e;

typedef struct ngx_oa_pg_conn_s  ngx_oa_pg_conn_t;

typedef struct {
    ngx_oa_pg_state_e            was;        /* before it was lost */
    ngx_str_t                    reason;     /* lives until lost() returns */
    unsigned                     answering:1; /* bytes came since the query */
    unsigned                     shutdown:1; /* the server said that it goes */
} ngx_oa_pg_loss_t;

/* All of these may do anything to the connection. */
typedef struct {
    /* CONNECTING -> READY */
    void                       (*connected)(ngx_oa_pg_conn_t *pc);

    /* BUSY -> READY; clears res */
    void                       (*answer)(ngx_oa_pg_conn_t *pc, PGresult *res);

    void                       (*notify)(ngx_oa_pg_conn_t *pc, PGnotify *n);

    /* any -> CLOSED, not by ngx_oa_pg_conn_close() */
    void                       (*lost)(ngx_oa_pg_conn_t *pc,
                                   ngx_oa_pg_loss_t *loss);

    /* WAITING -> CLOSED */
    void                       (*waited)(ngx_oa_pg_conn_t *pc);
} ngx_oa_pg_owner_t;

struct ngx_oa_pg_conn_s {
    ngx_oa_pg_state_e            state;
    const ngx_oa_pg_owner_t     *owner;
    void                        *data;       /* the owner's */

    PGconn                      *pg;
    ngx_connection_t            *c;          /* wraps libpq's descriptor */
    PGresult                    *res;        /* an answer not yet complete */
    ngx_oa_resolve_t             resolve;

    ngx_event_t                  timer;      /* how long a state may last */

    /* changes with each close: tells a callback's caller to let go */
    ngx_uint_t                   generation;

    unsigned                     answering:1;
    unsigned                     shutdown:1;
    unsigned                     answered:1; /* the owner's: a query, once */
    unsigned                     idled:1;    /* the owner's: until the query */

    /* the first line of a FATAL that came without a query */
    size_t                       nfarewell;
    u_char                       farewell[NGX_OA_PG_REASON];
};

void ngx_oa_pg_conn_init(ngx_oa_pg_conn_t *pc, const ngx_oa_pg_owner_t *owner,
    void *data);

/* CLOSED -> RESOLVING or CONNECTING; may call lost(). */
void ngx_oa_pg_conn_open(ngx_oa_pg_conn_t *pc);

/* READY -> BUSY, for at most timeout; may call lost(). */
void ngx_oa_pg_conn_send(ngx_oa_pg_conn_t *pc, const char *sql,
    ngx_uint_t nparams, const char *const *params, ngx_msec_t timeout);

/* Lets a READY one idle, for at most timeout, or until the worker exits. */
void ngx_oa_pg_conn_park(ngx_oa_pg_conn_t *pc, ngx_msec_t timeout);

/* any -> CLOSED, calls nobody */
void ngx_oa_pg_conn_close(ngx_oa_pg_conn_t *pc);

/* CLOSED -> WAITING */
void ngx_oa_pg_conn_wait(ngx_oa_pg_conn_t *pc, ngx_msec_t delay);

/* The delay after so many failures: 50 ms, doubled up to 5 s, jittered. */
ngx_msec_t ngx_oa_pg_backoff(ngx_uint_t failures);

/* The first line of a message of libpq in buf, NGX_OA_PG_REASON long. */
size_t ngx_oa_pg_first_line(u_char *buf, const char *message);


/* Listeners */


void ngx_oa_pg_listen_exit(void);


#endif /* _NGX_OA_PG_H_INCLUDED_ */
