
/*
 * ngx_oa_core: the ground floor of the suite.
 *
 * Everything that auth, router and sse share lives here: secrets and the
 * Fly environment read by the master, one shared zone with its duties and
 * flights, libpq on nginx's event loop, the problem documents, and the hooks
 * by which the modules above meet each other.  Nothing here knows a route, a
 * token or a stream.
 */


#ifndef _NGX_OA_CORE_H_INCLUDED_
#define _NGX_OA_CORE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <libpq-fe.h>
#include <pthread.h>

#include "oa_feed.h"


/*
 * A plain reload after a package upgrade leaves the old core in the process
 * while the modules above it are new.  Each module therefore compares, in its
 * preconfiguration, the number it was compiled with and the one that the
 * loaded core exports, through ngx_oa_check_abi().
 */

#define NGX_OA_CORE_ABI  3

extern const ngx_uint_t  ngx_oa_core_abi;

#define ngx_oa_check_abi(cf)                                                  \
    ((ngx_oa_core_abi == NGX_OA_CORE_ABI) ? NGX_OK                            \
        : (ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,                           \
               "ngx_oa_core_module in memory has ABI %ui, this module needs " \
               "%ui: restart nginx, a reload cannot replace it",              \
               ngx_oa_core_abi, (ngx_uint_t) NGX_OA_CORE_ABI), NGX_ERROR))


/* Secrets and the environment */


/*
 * Reads a secret named in the configuration: "env:NAME" or "file:PATH", one
 * trailing newline dropped.  To be called while the configuration is read,
 * in the master.  The bytes live in cf->pool.  Logs (the name, never the
 * value) and returns NGX_ERROR when it is unset, unreadable, empty or over
 * 64 KiB, or when value has neither form.
 */
ngx_int_t ngx_oa_secret(ngx_conf_t *cf, ngx_str_t *value, ngx_str_t *secret);


/*
 * What Fly tells a machine about itself (https://fly.io/docs/machines/
 * runtime-environment/), read by the master since workers have no
 * environment.  Empty strings outside Fly.
 */
typedef struct {
    ngx_str_t                    machine_id;
    ngx_str_t                    app_name;
    ngx_str_t                    region;
} ngx_oa_fly_t;

ngx_oa_fly_t *ngx_oa_fly(ngx_conf_t *cf);


/* The shared zone */


/*
 * One zone serves the whole suite, is kept over reloads, and stays usable
 * when a worker is killed at any instruction.  After a kill -9 nginx frees
 * the slab mutex of the zone and nothing else, so: writers hold that mutex
 * and announce themselves; the next writer that finds an announcement left
 * behind runs the repair function of whoever left it.  Readers take no lock.
 *
 * Memory is handed out as pages of 4096 bytes, never returned to the slab:
 * the slab's own lists would not survive a death.
 */

#define NGX_OA_PAGE_SIZE  4096

typedef struct ngx_oa_zone_s  ngx_oa_zone_t;

/*
 * A part of the zone that belongs to one module: set up once when the zone
 * is new, found again on each reload.
 */
typedef struct {
    /* names the part, at most 15 bytes, unique in the zone */
    ngx_str_t                    name;

    /*
     * contiguous bytes needed in a zone with the given number of pages;
     * rounded up to pages by the caller
     */
    size_t                     (*size)(ngx_uint_t npages);

    /*
     * makes the part (fresh: its bytes are zero) or meets it again after a
     * reload; with the lock held, in the master
     */
    ngx_int_t                  (*init)(ngx_oa_zone_t *zone, void *part,
                                   ngx_uint_t fresh, void *data,
                                   ngx_log_t *log);

    /* puts right what a writer left half done; with the lock held */
    void                       (*repair)(ngx_oa_zone_t *zone, void *part,
                                   ngx_log_t *log);
    void                        *data;

    /* out: where the part is; valid from init on */
    void                        *addr;
} ngx_oa_zone_part_t;

/*
 * The zone, created with the default size if the configuration has none yet.
 * Configuration time.  NULL on error, logged.
 */
ngx_oa_zone_t *ngx_oa_zone(ngx_conf_t *cf);

/* Registers a part.  part must live as long as the cycle.  Logged on error. */
ngx_int_t ngx_oa_zone_add(ngx_conf_t *cf, ngx_oa_zone_part_t *part);

/* The part of that name in this configuration, or NULL. */
ngx_oa_zone_part_t *ngx_oa_zone_part(ngx_conf_t *cf, const ngx_str_t *name);

/*
 * The writer's lock.  ngx_oa_zone_lock() repairs before it returns if the
 * last holder died inside; never blocks for longer than other writers hold
 * it, which must be microseconds.
 */
void ngx_oa_zone_lock(ngx_oa_zone_t *zone);
void ngx_oa_zone_unlock(ngx_oa_zone_t *zone);

/* One page, with the lock held; NULL when the zone is full.  Not zeroed. */
void *ngx_oa_zone_page(ngx_oa_zone_t *zone);
void ngx_oa_zone_page_free(ngx_oa_zone_t *zone, void *page);

/* Pages that are not handed out. */
ngx_uint_t ngx_oa_zone_free_pages(ngx_oa_zone_t *zone);

/* Start and number of all pages: a page may be named by its index. */
u_char *ngx_oa_zone_pages(ngx_oa_zone_t *zone, ngx_uint_t *npages);


/* Does the process that left its pid in the zone still exist? */
#define ngx_oa_alive(pid)                                                     \
    ((pid) == ngx_pid || kill(pid, 0) == 0 || ngx_errno != NGX_ESRCH)


/* Metrics */


/*
 * Counters in the zone, summed over all workers, kept over reloads.  Only
 * ever add a line, at the end of a module's block.
 */
typedef enum {
    NGX_OA_COUNT_REPAIRS = 0,          /* torn updates put right */
    NGX_OA_COUNT_PG_CONNECTS,
    NGX_OA_COUNT_PG_FAILURES,          /* connections lost or refused */
    NGX_OA_COUNT_PG_QUERIES,
    NGX_OA_COUNT_PG_TIMEOUTS,
    NGX_OA_COUNT_PG_REFUSED,           /* queue full */
    NGX_OA_COUNT_FLIGHTS_FULL,
    NGX_OA_COUNT_HTTP_EXCHANGES,
    NGX_OA_COUNT_HTTP_FAILURES,        /* no answer, timeouts included */
    NGX_OA_COUNT_HTTP_TIMEOUTS,
    NGX_OA_COUNT_HTTP_REFUSED,         /* too many at once */

    NGX_OA_COUNT_ROUTE_MISSES = 16,
    NGX_OA_COUNT_ROUTE_UNKNOWN,
    NGX_OA_COUNT_ROUTE_REJECTED,       /* rows refused by their grammar */
    NGX_OA_COUNT_ROUTE_EVICTED,
    NGX_OA_COUNT_ROUTE_CHANGES,
    NGX_OA_COUNT_FILE_LOADS,
    NGX_OA_COUNT_FILE_ERRORS,
    NGX_OA_COUNT_SNAPSHOT_ERRORS,
    NGX_OA_COUNT_FEED_HINTS,
    NGX_OA_COUNT_FEED_BAD_HINTS,
    NGX_OA_COUNT_FEED_LOST,
    NGX_OA_COUNT_FEED_FULL_READS,
    NGX_OA_COUNT_REPLAYS,
    NGX_OA_COUNT_REPLAY_LOOPS,
    NGX_OA_COUNT_REPLAY_FAILED,
    NGX_OA_COUNT_VERIFY_OK,
    NGX_OA_COUNT_VERIFY_REFUSED,

    NGX_OA_COUNT_KEYS_FETCHES = 48,
    NGX_OA_COUNT_KEYS_FAILURES,        /* of a fetch, or of reading a file */
    NGX_OA_COUNT_KEYS_CHANGES,         /* sets that differed from the last */
    NGX_OA_COUNT_KEYS_SKIPPED,         /* keys of such sets passed over */
    NGX_OA_COUNT_KEYS_ASKED,           /* fetches for an unknown kid */
    NGX_OA_COUNT_KEYS_UNKNOWN,         /* tokens of an unknown kid */
    NGX_OA_COUNT_KEYS_UNAVAILABLE,     /* tokens that no keys were there for */

    NGX_OA_COUNT_REVOKED_HINTS = 64,
    NGX_OA_COUNT_REVOKED_BAD_HINTS,
    NGX_OA_COUNT_REVOKED_LOST,
    NGX_OA_COUNT_REVOKED_FULL_READS,
    NGX_OA_COUNT_REVOKED_EVICTED,      /* in force, for want of room */

    NGX_OA_COUNT_TOKEN_HITS = 80,      /* cached decisions */
    NGX_OA_COUNT_TOKEN_RESULTS,        /* plus each of oa_auth_error_e */

    NGX_OA_COUNT_STREAMS = 96,         /* opened */
    NGX_OA_COUNT_STREAM_ATTACHED,      /* by an Idempotency-Key */
    NGX_OA_COUNT_STREAM_RESUMED,
    NGX_OA_COUNT_STREAM_NOT_FOUND,
    NGX_OA_COUNT_STREAM_TOO_MANY,
    NGX_OA_COUNT_STREAM_FULL,          /* refused: the zone is */
    NGX_OA_COUNT_STREAM_MISMATCH,
    NGX_OA_COUNT_STREAM_REPLAYED,      /* to the router that has it */
    NGX_OA_COUNT_STREAM_DONE,
    NGX_OA_COUNT_STREAM_FAILED,
    NGX_OA_COUNT_STREAM_STOPPED,
    NGX_OA_COUNT_STREAM_ABANDONED,
    NGX_OA_COUNT_STREAM_LOST,          /* told to a reader */
    NGX_OA_COUNT_STREAM_GAPS,          /* likewise */
    NGX_OA_COUNT_STREAM_DRAINED,       /* readers asked to come back */
    NGX_OA_COUNT_STREAM_STRANGE,       /* events that were not understood */
    NGX_OA_COUNT_STREAM_PROMPT_TOKENS, /* of language models, as told */
    NGX_OA_COUNT_STREAM_COMPLETION_TOKENS,
    NGX_OA_COUNT_MESSAGE_REFUSED,      /* bodies that have none */
    NGX_OA_COUNT_MESSAGE_RULES,        /* plus each of oa_message_rule_e */

    NGX_OA_COUNT_MAX = 128
} ngx_oa_count_e;

void ngx_oa_count(ngx_oa_count_e what);
void ngx_oa_count_more(ngx_oa_count_e what, ngx_uint_t n);


/* Duties: what one worker does for all */


/*
 * A duty is a lease in the zone with a pid and a beat.  start() is called in
 * the worker that gained it, stop() in the one that must give it up: because
 * it exits (at once, also on a graceful shutdown) or because it stood still
 * for so long that another took over.  A worker that dies is succeeded within
 * half a second.
 */
typedef struct {
    ngx_str_t                    name;       /* at most 31 bytes, unique */
    void                       (*start)(void *data);
    void                       (*stop)(void *data);
    void                        *data;

    unsigned                     held:1;     /* read only */
} ngx_oa_duty_t;

/* Configuration time; duty must live as long as the cycle. */
ngx_int_t ngx_oa_duty_add(ngx_conf_t *cf, ngx_oa_duty_t *duty);


/* Flights: one caller does, the others of all workers wait */


typedef struct ngx_oa_flight_s  ngx_oa_flight_t;

/*
 * landed() is called once, from the event loop, when the flight has ended:
 * NGX_OK or the code given to ngx_oa_flight_land(), NGX_ABORT if its pilot
 * died, NGX_BUSY after timeout.  The flight may be boarded again at once.
 */
struct ngx_oa_flight_s {
    uint64_t                     key;        /* a hash of what is sought */
    ngx_msec_t                   timeout;
    void                       (*landed)(ngx_oa_flight_t *flight,
                                   ngx_int_t rc);
    void                        *data;

    ngx_queue_t                  queue;      /* private */
    ngx_msec_t                   deadline;   /* private */
    ngx_int_t                    rc;         /* private */
};

/*
 * NGX_OK: the caller is the pilot: it does the work, then calls
 * ngx_oa_flight_land() with the key.  NGX_AGAIN: somebody else is, landed()
 * will be called; until then flight must stay where it is, or be left by
 * ngx_oa_flight_leave().
 */
ngx_int_t ngx_oa_flight_board(ngx_oa_flight_t *flight);
void ngx_oa_flight_leave(ngx_oa_flight_t *flight);
void ngx_oa_flight_land(uint64_t key, ngx_int_t rc);


/* Threads: what may wait for a disk */


/*
 * A thread of a worker: work() is called in it at once, and again pause
 * milliseconds after each return.  It may write to the log, and to the zone
 * under its lock, and touches nothing else of the worker; where it takes long
 * it looks at stop.
 */
typedef struct ngx_oa_thread_s  ngx_oa_thread_t;

struct ngx_oa_thread_s {
    void                       (*work)(ngx_oa_thread_t *thread);
    void                        *data;
    ngx_msec_t                   pause;

    volatile ngx_uint_t          stop;       /* read only */

    ngx_uint_t                   running;    /* private from here on */
    pthread_t                    tid;
    pthread_mutex_t              mutex;
    pthread_cond_t               cond;
};

/* In a worker; one that runs already runs on.  Logged on error. */
ngx_int_t ngx_oa_thread_start(ngx_oa_thread_t *thread);

/* Waits for work() to return.  Harmless if it does not run. */
void ngx_oa_thread_stop(ngx_oa_thread_t *thread);

/* What tells a changed file from an unchanged one. */
typedef struct {
    uint64_t                     ino;
    uint64_t                     size;
    uint64_t                     mtime;      /* ns */
} ngx_oa_file_id_t;

/* path is NUL-terminated.  NGX_ERROR: ngx_errno tells why. */
ngx_int_t ngx_oa_file_id(const ngx_str_t *path, ngx_oa_file_id_t *id);


/* PostgreSQL: libpq on the event loop */


#define NGX_OA_PG_MAX_PARAMS  4

typedef struct ngx_oa_pg_query_s  ngx_oa_pg_query_t;

/*
 * A query in flight.  The caller owns it and the bytes its parameters point
 * to; both stay where they are until handler was called or the query was
 * withdrawn.  Parameters and results are in text format.
 *
 * handler gets the result (PGRES_TUPLES_OK or PGRES_COMMAND_OK; cleared by
 * the caller of handler), or NULL and the reason in error: refused
 * connection, timeout, or the server's own message.  handler may free the
 * query and may send another.
 */
struct ngx_oa_pg_query_s {
    const char                  *sql;
    ngx_uint_t                   nparams;
    const char                  *params[NGX_OA_PG_MAX_PARAMS];
    ngx_msec_t                   timeout;    /* 0: timeout of oa_postgres */
    void                       (*handler)(ngx_oa_pg_query_t *query,
                                   PGresult *res);
    void                        *data;
    ngx_str_t                    error;
    char                         sqlstate[6];  /* of it; or empty */

    ngx_queue_t                  queue;      /* private from here on */
    ngx_event_t                  timer;
    void                        *conn;
};

/*
 * Sends the query over one of this worker's connections, or queues it until
 * one is free, for at most timeout in all.  NGX_OK: handler will be called,
 * never from inside this function.  NGX_BUSY: the queue is full.
 */
ngx_int_t ngx_oa_pg_query(ngx_oa_pg_query_t *query);

/* Withdraws a query: handler will not be called.  Harmless if none is out. */
void ngx_oa_pg_withdraw(ngx_oa_pg_query_t *query);

/* Is there an oa_postgres in this configuration? */
ngx_uint_t ngx_oa_pg_configured(ngx_conf_t *cf);


/*
 * A connection of its own that listens on one channel and comes back by
 * itself, with jittered backoff.  ready() is called each time LISTEN is in
 * force: all that was committed before may have been missed, all that is
 * committed after will be notified.  payload is not NUL-terminated and
 * lives until notify() returns.
 */
typedef struct {
    const char                  *channel;    /* an SQL identifier */
    void                       (*ready)(void *data);
    void                       (*notify)(void *data, ngx_str_t *payload);
    void                       (*lost)(void *data, ngx_str_t *reason);
    void                        *data;
    void                        *conn;       /* private */
} ngx_oa_pg_listener_t;

ngx_int_t ngx_oa_pg_listen(ngx_oa_pg_listener_t *listener);
/* Drops the connection and makes a new one (the beat was not heard). */
void ngx_oa_pg_relisten(ngx_oa_pg_listener_t *listener);
void ngx_oa_pg_unlisten(ngx_oa_pg_listener_t *listener);


/* Feeds: how a commit in the database comes into the zone */


#define NGX_OA_FEED_PAGE     1000    /* rows */
#define NGX_OA_FEED_CHANGES  2000    /* rows; beyond, all are read */

/* SQLSTATE where changes since a position are not known. */
#define NGX_OA_FEED_REFUSED  "OA001"

/* Counters of a feed, one behind the other. */
enum {
    NGX_OA_FEED_COUNT_HINTS = 0,
    NGX_OA_FEED_COUNT_BAD_HINTS,
    NGX_OA_FEED_COUNT_LOST,
    NGX_OA_FEED_COUNT_FULL_READS
};

/*
 * What a feed is of.  Each query has one parameter, in text format.  All
 * functions are called from the event loop of the one worker that follows it.
 */
typedef struct {
    ngx_str_t                    name;       /* for the log */
    const char                  *rows;       /* what they are, likewise */
    const char                  *channel;    /* an SQL identifier */
    ngx_oa_count_e               counters;   /* the first of four */

    /*
     * of a number: notifies the channel of {"beat":"NUMBER"}, and gives the
     * feed's xmin, floor and identity
     */
    const char                  *beat;

    /* of a text[]: the rows that have these names */
    const char                  *named;

    /*
     * of a position: rows whose transaction was not below it, and one row over
     * NGX_OA_FEED_CHANGES where there are more; may refuse the position
     */
    const char                  *changed;

    /*
     * of a key, at first empty: the next NGX_OA_FEED_PAGE rows behind it; the
     * first column is the key
     */
    const char                  *page;

    /*
     * What a notification hints at.  NGX_OK: name, of OA_FEED_NAME bytes at
     * most, is filled; NGX_AGAIN: all that has changed; NGX_DECLINED: nothing
     * new; NGX_ERROR: it is no hint.
     */
    ngx_int_t                  (*hint)(void *data, const ngx_str_t *payload,
                                   ngx_str_t *name);

    /* takes rows into the zone; NGX_ERROR: they must be read again */
    ngx_int_t                  (*apply)(void *data, PGresult *res);

    /*
     * With the lock held: a full read begins; what it did not bring is taken
     * out, some of it, from here on, until 0 is returned; and the feed is
     * live, or stale after it was (may be NULL).
     */
    void                       (*begin)(void *data);
    ngx_uint_t                 (*sweep)(void *data, ngx_uint_t from);
    void                       (*changed_state)(void *data,
                                   oa_feed_state_e state);
    void                        *data;
} ngx_oa_feed_source_t;

typedef struct ngx_oa_feed_s  ngx_oa_feed_t;

/*
 * Follows a feed, for the holder of a duty, until it is stopped.  mark lies in
 * the zone.  source stays where it is.  NULL on error.
 */
ngx_oa_feed_t *ngx_oa_feed_start(const ngx_oa_feed_source_t *source,
    oa_feed_mark_t *mark);
void ngx_oa_feed_stop(ngx_oa_feed_t *feed);

/*
 * Is nobody else following it meanwhile, as happens when a worker stands
 * still?  To be asked with the lock held by whoever cannot tell an old row
 * from a new one.
 */
ngx_uint_t ngx_oa_feed_is_ours(ngx_oa_feed_t *feed);

/* Was all read that was committed when LISTEN came into force? */
ngx_uint_t ngx_oa_feed_is_in_step(ngx_oa_feed_t *feed);


/* HTTP: libcurl on the event loop */


typedef struct ngx_oa_http_s  ngx_oa_http_t;

/*
 * One exchange with a server of ours: a set of keys, the Machines API, a
 * handler.  The caller owns it and all that it points to; both stay where
 * they are until handler was called or the exchange was cancelled.
 *
 * The name in url is resolved by nginx's resolver.  TLS certificates are
 * verified against oa_trusted_certificate.  No redirect is followed, no proxy
 * used, no cookie or connection kept.  An answer over max bytes, cut short, or
 * with a body but neither Content-Length nor chunks, is an error.  The error
 * may be logged: no header or body is in it.
 */
struct ngx_oa_http_s {
    const char                  *method;     /* "GET" ... */
    const char                  *url;        /* from ngx_oa_http_url() */
    const char *const           *headers;    /* "Name: value", up to NULL;
                                                or NULL */
    ngx_str_t                    body;       /* data NULL: none */
    ngx_msec_t                   timeout;    /* of all, the name included */
    size_t                       max;        /* bytes of an answer */

    void                       (*handler)(ngx_oa_http_t *http);
    void                        *data;

    /* out, until handler returns */
    ngx_str_t                    error;      /* empty: there is an answer */
    ngx_uint_t                   status;
    ngx_str_t                    content_type; /* as sent, or empty */
    time_t                       retry_after;  /* seconds, 0: none */
    ngx_str_t                    answer;

    void                        *exchange;   /* private; NULL at first */
};

/*
 * Checks, in the configuration, a URL that exchanges will be made with: https,
 * or http to loopback or a host below ".internal"; no user, no fragment; and
 * a resolver where its host is a name (other than localhost).  To be called
 * while directives are read; without a call there is no exchange.  On NGX_OK
 * *checked is NUL-terminated in cf->pool; it may be the beginning of the URLs
 * that are asked for later, which go on from its path.  Otherwise logged,
 * NGX_ERROR.
 */
ngx_int_t ngx_oa_http_url(ngx_conf_t *cf, const ngx_str_t *url,
    const char **checked);

/*
 * Begins an exchange.  NGX_OK: handler will be called, never from inside this
 * function.  NGX_BUSY: too many are under way; NGX_ERROR: no memory, or the
 * worker has exited.  An exchange keeps an exiting worker, for the request
 * that waits for it: where none does, it is to be cancelled (by the stop() of
 * a duty).
 */
ngx_int_t ngx_oa_http_send(ngx_oa_http_t *http);

/* handler will not be called.  Harmless if nothing is under way. */
void ngx_oa_http_cancel(ngx_oa_http_t *http);

/*
 * For connections of one's own: the certificates that are trusted, those of
 * oa_trusted_certificate or the system's, as an X509_STORE.  They are needed
 * once that was said, while directives are read, and there from
 * postconfiguration on; the store belongs to the configuration.
 */
void ngx_oa_trusted_need(ngx_conf_t *cf);
void *ngx_oa_trusted(ngx_conf_t *cf);


/* Requests and answers */


/* For postconfiguration: in a phase the handler added last runs first. */
ngx_int_t ngx_oa_add_handler(ngx_conf_t *cf, ngx_http_phases phase,
    ngx_http_handler_pt handler);

/* For preconfiguration: a list that ends with ngx_http_null_variable. */
ngx_int_t ngx_oa_add_variables(ngx_conf_t *cf, ngx_http_variable_t *vars);

/* What a variable's handler found. */
void ngx_oa_variable(ngx_http_variable_value_t *v, const ngx_str_t *value);

/*
 * The value of a request header, and how often it was sent (count may be
 * NULL).  name is lower case.  NULL if it was not sent.
 */
ngx_str_t *ngx_oa_request_header(ngx_http_request_t *r, const ngx_str_t *name,
    ngx_uint_t *count);

/*
 * A phase handler that returns NGX_AGAIN waits: the client may go meanwhile.
 * To go on runs the phases from that handler; the request may be gone after.
 */
void ngx_oa_request_wait(ngx_http_request_t *r);
void ngx_oa_request_go_on(ngx_http_request_t *r);

/*
 * An internal redirect clears the contexts of all modules.  One that was kept
 * is found again, by the handler that is called with its ngx_oa_kept_t when
 * the request ends.
 */
typedef struct {
    ngx_http_request_t          *request;
    void                        *ctx;
} ngx_oa_kept_t;

/* The context of a module, found again and set if it was kept; or NULL. */
void *ngx_oa_request_ctx(ngx_http_request_t *r, ngx_module_t *module,
    ngx_pool_cleanup_pt handler);

/* Keeps a context, once: *kept is 0 at first. */
ngx_int_t ngx_oa_request_keep(ngx_http_request_t *r, void *ctx,
    ngx_uint_t *kept, ngx_pool_cleanup_pt handler);

/* Adds a header to the answer; key and value are not copied.  NULL: error. */
ngx_table_elt_t *ngx_oa_response_header(ngx_http_request_t *r,
    const ngx_str_t *key, const ngx_str_t *value);


/* Problems: RFC 9457 answers */


typedef struct {
    ngx_uint_t                   status;     /* HTTP status */
    ngx_str_t                    code;       /* machine readable, [a-z_]+ */
    ngx_str_t                    detail;     /* a sentence for people */
    time_t                       retry_after; /* seconds; 0: none */
    ngx_str_t                    challenge;  /* for WWW-Authenticate */
} ngx_oa_problem_t;

/*
 * Answers the request with a problem: application/problem+json, or an HTML
 * page where Accept prefers it; where the operator has an error_page for the
 * status, that one.  The value is for ngx_http_finalize_request(), which a
 * phase handler calls before it returns NGX_DONE.
 */
ngx_int_t ngx_oa_problem(ngx_http_request_t *r, const ngx_oa_problem_t *p);


/* Hooks: how the modules above meet */


typedef enum {
    NGX_OA_NOBODY = 0,                         /* there is no token */
    NGX_OA_KNOWN,
    NGX_OA_REFUSED                             /* the token, and with it the
                                                  request */
} ngx_oa_who_e;

/* Who is asking, as far as it was proven.  A user is (issuer, sub). */
typedef struct {
    ngx_oa_who_e                 who;
    ngx_str_t                    issuer;       /* of one who is known */
    ngx_str_t                    sub;
    const ngx_oa_problem_t      *problem;      /* for all others; in r->pool */
    ngx_uint_t                   needed;       /* nobody may not pass, even
                                                  where all else is public */
} ngx_oa_identity_t;

/*
 * Filled by ngx_oa_auth, called by whoever decides on access.  NGX_OK: the
 * identity is known.  NGX_DECLINED: no authentication is configured here.
 * NGX_AGAIN: not known yet, the phases of the request will be run again.
 * NGX_ERROR.  NULL while no such module is loaded.
 */
typedef ngx_int_t (*ngx_oa_identify_pt)(ngx_http_request_t *r,
    ngx_oa_identity_t *identity);

extern ngx_oa_identify_pt  ngx_oa_identify;


/* A question about a request. */
typedef ngx_uint_t (*ngx_oa_ask_pt)(ngx_http_request_t *r);

/*
 * Filled by ngx_oa_router: is a router bound here?  Then who may pass, and
 * what becomes of a request without a token, is the router's to judge.
 */
extern ngx_oa_ask_pt  ngx_oa_is_routed;

/*
 * Filled by ngx_oa_auth: does this location begin or end a session?  Then it
 * is for everybody, whatever route the host has.
 */
extern ngx_oa_ask_pt  ngx_oa_is_session;

/*
 * Filled by ngx_oa_sse: is this a location of streams?  Then a cookie counts
 * only for our own pages, whatever the request accepts.
 */
extern ngx_oa_ask_pt  ngx_oa_is_stream;


/*
 * What must not travel to an agent's machine, beside Authorization: filled by
 * ngx_oa_auth, called by whoever passes a request on.
 */
typedef struct {
    ngx_uint_t                   cookie_changed;
    ngx_str_t                    cookie;     /* what is left; maybe nothing */
    ngx_uint_t                   protocol_changed;
    ngx_str_t                    protocol;   /* of Sec-WebSocket-Protocol */
    ngx_uint_t                   referer_changed; /* it goes as a whole */
    const ngx_str_t             *args;       /* names of arguments that may
                                                hold a token */
    ngx_uint_t                   nargs;
} ngx_oa_credentials_t;

/* NGX_OK or NGX_ERROR; bytes live in r->pool. */
typedef ngx_int_t (*ngx_oa_credentials_pt)(ngx_http_request_t *r,
    ngx_oa_credentials_t *credentials);

extern ngx_oa_credentials_pt  ngx_oa_credentials;


/*
 * What ngx_oa_auth tells of the configuration, once it has been read: where
 * oa_auth is on, given the configuration of a location, and the issuers there
 * are (ngx_str_t).  NULL while no such module is loaded.
 */
typedef struct {
    ngx_uint_t                 (*is_on)(void **loc_conf);
    ngx_int_t                  (*issuers)(ngx_conf_t *cf,
                                   ngx_array_t *names);
} ngx_oa_auth_conf_t;

extern const ngx_oa_auth_conf_t  *ngx_oa_auth_conf;


#endif /* _NGX_OA_CORE_H_INCLUDED_ */
