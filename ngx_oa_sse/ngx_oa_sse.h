
/*
 * ngx_oa_sse: streams.
 *
 * A stream (ngx_oa_stream.c) is an exchange with an agent's machine and a
 * buffer of its last events in the zone.  A reader (ngx_oa_reader.c) is a
 * request that is answered from that buffer, in whatever worker it came to.
 * The stream does not know who reads it but for those of its own worker, whom
 * it wakes; the others look by themselves (ngx_oa_streams.c).  So a stream
 * goes on when its readers have gone, and a reader need not know whether its
 * stream still runs.
 *
 * Every stream ends once, by ngx_oa_stream_end(): the end is its last event.
 * Where there is none in the buffer (the writer died, or the zone was full) a
 * reader says it from the state of the stream.
 */


#ifndef _NGX_OA_SSE_H_INCLUDED_
#define _NGX_OA_SSE_H_INCLUDED_


#include "ngx_oa_core.h"
#include "ngx_oa_resolve.h"
#include "oa_dialect.h"
#include "oa_media_type.h"
#include "oa_response.h"
#include "oa_sse.h"
#include "oa_stream.h"
#include "oa_stream_id.h"


/* bytes of one event; what is longer ends the stream */
#define NGX_OA_SSE_EVENT_MAX    (4 * 1024 * 1024)

/* bytes of a client's body */
#define NGX_OA_SSE_BODY_MAX     (16 * 1024 * 1024)

/* how often readers in other workers, and of what has ended, tell that they
   are there; the shortest oa_sse_keep may ask for more */
#define NGX_OA_SSE_TOUCH        500          /* ms */

/* to find the machine, to connect, TLS: all together */
#define NGX_OA_SSE_CONNECT      10000        /* ms */


/* Configuration */


typedef struct {
    ngx_str_t                    name;
    ngx_http_complex_value_t     value;
} ngx_oa_sse_header_t;

typedef struct {
    ngx_http_complex_value_t    *url;          /* NULL: not a location of
                                                  streams */
    ngx_array_t                 *allow;        /* ngx_str_t, suffixes of hosts;
                                                  NULL: any */
    ngx_uint_t                   dialect;
    ngx_str_t                    token;        /* of the configuration */
    ngx_http_complex_value_t    *token_value;  /* or of a variable */
    ngx_array_t                 *headers;      /* ngx_oa_sse_header_t */
    ngx_msec_t                   heartbeat;
    ngx_msec_t                   keep;
    ngx_msec_t                   idle_timeout;
    ngx_msec_t                   max_duration;
    size_t                       buffer;
    ngx_uint_t                   max_streams;
    u_char                       digest[OA_STREAM_ID]; /* of the location */
} ngx_oa_sse_loc_conf_t;


typedef struct {
    ngx_uint_t                   used;         /* by some oa_sse_pass */
    ngx_uint_t                   tls;          /* by an https one */
    ngx_str_t                    router;       /* our name in ids */
    ngx_oa_fly_t                *fly;
    ngx_msec_t                   touch;        /* how often readers tell that
                                                  they are there */
    ngx_int_t                    machine_token; /* indexes of variables, */
    ngx_int_t                    route_id;      /* NGX_ERROR: there is none */
    ngx_int_t                    request_id;
    ngx_oa_zone_t               *zone;
    ngx_oa_zone_part_t           part;
    ngx_oa_duty_t                duty;
#if (NGX_SSL)
    ngx_ssl_t                   *ssl;
#endif
} ngx_oa_sse_main_conf_t;


extern ngx_module_t  ngx_oa_sse_module;

/* ngx_oa_sse_conf.c */
char *ngx_oa_sse_pass(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_oa_sse_token(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_oa_sse_set_header(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_oa_sse_dialect(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_oa_sse_number(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* "post" of a directive that is a number: how nginx reads it, and what may be
   there. */
typedef struct {
    char                      *(*set)(ngx_conf_t *cf, ngx_command_t *cmd,
                                   void *conf);
    ngx_uint_t                   min;
    ngx_uint_t                   max;
    const char                  *expected;
} ngx_oa_sse_range_t;

extern ngx_oa_sse_range_t  ngx_oa_sse_time;
extern ngx_oa_sse_range_t  ngx_oa_sse_size;
extern ngx_oa_sse_range_t  ngx_oa_sse_count;

/* The content handler: ngx_oa_sse_handler.c */
ngx_int_t ngx_oa_sse_handler(ngx_http_request_t *r);

/* NGX_OA_SSE_BODY_MAX, also where client_max_body_size allows more. */
void ngx_oa_sse_limit_bodies(void);


/* How a stream ends */


typedef enum {
    NGX_OA_END_DONE = 0,
    NGX_OA_END_AGENT,                  /* the agent told of an error */
    NGX_OA_END_UNREACHABLE,
    NGX_OA_END_STATUS,
    NGX_OA_END_TYPE,
    NGX_OA_END_PROTOCOL,
    NGX_OA_END_TRUNCATED,
    NGX_OA_END_EVENT,
    NGX_OA_END_IDLE,
    NGX_OA_END_DURATION,
    NGX_OA_END_STOPPED,
    NGX_OA_END_ABANDONED,
    NGX_OA_END_SHUTDOWN,
    NGX_OA_END_INTERNAL,
    NGX_OA_END_LOST,                   /* not by a stream, but of one */
    NGX_OA_ENDS
} ngx_oa_end_e;

/* What is said of it; ngx_oa_stream.c. */
typedef struct {
    ngx_str_t                    code;
    ngx_str_t                    text;
} ngx_oa_end_t;

extern const ngx_oa_end_t  ngx_oa_ends[NGX_OA_ENDS];


/* Where a machine is: ngx_oa_target.c */


typedef struct {
    ngx_str_t                    host;         /* IPv6 without brackets */
    ngx_str_t                    authority;    /* for Host */
    ngx_str_t                    uri;          /* path and arguments */
    in_port_t                    port;
    unsigned                     tls:1;
    unsigned                     address:1;    /* the host is one */
} ngx_oa_target_t;

/*
 * The machine that a request is for.  NGX_DECLINED: there is none, or it is
 * none that our token may go to, logged.
 */
ngx_int_t ngx_oa_target(ngx_http_request_t *r, ngx_oa_sse_loc_conf_t *slcf,
    ngx_oa_target_t *target);

/* Has it no byte below "least" (but tab where that is space), nor DEL? */
ngx_uint_t ngx_oa_target_is_text(const ngx_str_t *s, u_char least);

/* Does the host end with one of the suffixes of oa_sse_pass, if it has any? */
ngx_uint_t ngx_oa_target_is_allowed(ngx_oa_sse_loc_conf_t *slcf,
    const ngx_str_t *host);

/*
 * What is sent to it, with the body, in a memory of its own (ngx_alloc()):
 * *request.  NGX_DECLINED: a header's value cannot be sent, logged.
 */
ngx_int_t ngx_oa_target_request(ngx_http_request_t *r,
    ngx_oa_sse_loc_conf_t *slcf, const ngx_oa_target_t *target,
    const ngx_str_t *body, ngx_str_t *request);

/* Frees it, with the token that is in it; harmless if it is empty. */
void ngx_oa_target_forget(ngx_str_t *request);


/* Streams: ngx_oa_stream.c */


typedef enum {
    NGX_OA_STREAM_RESOLVING = 0,
    NGX_OA_STREAM_CONNECTING,
    NGX_OA_STREAM_HANDSHAKING,
    NGX_OA_STREAM_HEAD,                /* asked, no answer yet */
    NGX_OA_STREAM_BODY
} ngx_oa_stream_state_e;

typedef struct ngx_oa_stream_s  ngx_oa_stream_t;
typedef struct ngx_oa_peer_s    ngx_oa_peer_t;

struct ngx_oa_stream_s {
    ngx_oa_stream_state_e        state;
    oa_stream_writer_t           writer;
    ngx_queue_t                  queue;        /* of all of the worker */
    ngx_queue_t                  readers;      /* of this worker */

    ngx_oa_sse_loc_conf_t       *conf;
    ngx_oa_peer_t               *peer;         /* until the machine is there */
    ngx_connection_t            *connection;
    ngx_str_t                    request;      /* to be sent, until it was */
    size_t                       sent;

    u_char                      *buf;          /* an unfinished head, event */
    size_t                       size;
    size_t                       len;

    size_t                       unseen;       /* written since its readers
                                                  had their turn */
    oa_response_t                response;
    oa_sse_t                     sse;
    oa_dialect_t                 dialect;

    ngx_event_t                  timer;
    ngx_msec_t                   started;
    ngx_msec_t                   heard;        /* from the machine */
    ngx_msec_t                   alone;        /* since; 0: it has readers */

    ngx_str_t                    name;         /* ROUTER-STREAM */
    u_char                      *number;       /* of an event, in: */
    u_char                       line[OA_STREAM_EVENT_LINE_MAX];
};


/* A stream that oa_stream_open() has opened.  NULL: no memory. */
ngx_oa_stream_t *ngx_oa_stream_create(ngx_oa_sse_loc_conf_t *slcf,
    const oa_stream_writer_t *w, const ngx_str_t *name);

/*
 * Begins its exchange, which takes the memory of request.  It may end, and st
 * be gone, inside of this function.
 */
void ngx_oa_stream_begin(ngx_oa_stream_t *st, const ngx_oa_target_t *target,
    const ngx_str_t *request);

/* The only way a stream goes: the end is told, st is freed. */
void ngx_oa_stream_end(ngx_oa_stream_t *st, ngx_oa_end_e end);

/* The same with a line in the log, of what failed and why. */
void ngx_oa_stream_fail(ngx_oa_stream_t *st, ngx_oa_end_e end, ngx_err_t err,
    const char *why);

/* It has no reader in this worker any more. */
void ngx_oa_stream_is_alone(ngx_oa_stream_t *st);


/* The way to the machine: ngx_oa_peer.c */


/*
 * Begins; ngx_oa_stream_connected() is called, or the stream fails, as it does
 * where the target has no host.
 */
void ngx_oa_peer_connect(ngx_oa_stream_t *st, const ngx_oa_target_t *target);
void ngx_oa_peer_free(ngx_oa_stream_t *st);
void ngx_oa_stream_connected(ngx_oa_stream_t *st);

/* To be looked at first where an event of the connection is handled. */
void ngx_oa_stream_close(ngx_oa_stream_t *st);


/* Readers: ngx_oa_reader.c */


typedef enum {
    NGX_OA_READER_HELD = 0,            /* no header was sent yet */
    NGX_OA_READER_OPEN,
    NGX_OA_READER_ENDED                /* all was written, if not sent */
} ngx_oa_reader_state_e;

typedef struct {
    ngx_oa_reader_state_e        state;
    ngx_http_request_t          *request;
    ngx_oa_sse_loc_conf_t       *conf;
    oa_stream_cursor_t           cursor;
    ngx_oa_stream_t             *stream;       /* NULL: not of this worker */
    ngx_queue_t                  queue;        /* of the stream, or of all who
                                                  look by themselves */
    ngx_event_t                  event;        /* something is new, or time */
    uint64_t                     changed;      /* as it was seen last */
    uint64_t                     delivered;    /* the last event */

    ngx_int_t                    rc;           /* to be finalized with */

    ngx_buf_t                    buf;          /* what is being sent */
    ngx_chain_t                  out;
    ngx_msec_t                   wrote;

    ngx_str_t                    name;         /* ROUTER-STREAM */
    unsigned                     busy:1;       /* buf is not yet sent, */
    unsigned                     plain:1;      /* and goes past all filters */
} ngx_oa_reader_t;


/* Bytes of what is said of a stream that was lost, at the most. */
#define NGX_OA_READER_LOST_MAX  (OA_SSE_GAP_MAX + OA_STREAM_EVENT_ID_MAX + 256)

/* Does the request accept an event stream, by name? */
ngx_uint_t ngx_oa_reader_is_sse(ngx_http_request_t *r);

/*
 * Answers the request with a stream, from the event behind seq on.  st is
 * NULL unless it is a stream of this worker.  The request is finalized when
 * all was sent; the value is for a content handler.
 */
ngx_int_t ngx_oa_reader_begin(ngx_http_request_t *r, oa_stream_ref_t ref,
    const ngx_str_t *name, uint64_t seq, ngx_oa_stream_t *st);

/*
 * Answers with what is known of a stream that there is no more: seq is the
 * last event that the client has.
 */
ngx_int_t ngx_oa_reader_lost(ngx_http_request_t *r, const ngx_str_t *name,
    uint64_t seq);

/* Something is new: to be looked at soon. */
void ngx_oa_reader_wake(ngx_oa_reader_t *rd);

/* The same at once; the reader may be gone after it.  data is not used. */
void ngx_oa_reader_go(ngx_oa_reader_t *rd, void *data);

/* Calls each() for all readers of a queue, any of which may go meanwhile. */
void ngx_oa_readers_each(ngx_queue_t *readers,
    void (*each)(ngx_oa_reader_t *rd, void *data), void *data);

/*
 * An event that is too large for the buffer, an ngx_oa_large_t, for who has
 * read all before it: those who have not will find a gap.
 */
typedef struct {
    uint64_t                     seq;
    const u_char                *data;
    size_t                       len;
} ngx_oa_large_t;

void ngx_oa_reader_push(ngx_oa_reader_t *rd, void *data);

/* Asks the client to come back: to another worker, as this one goes. */
void ngx_oa_reader_send_off(ngx_oa_reader_t *rd);


/* All streams: ngx_oa_streams.c */


/* The handle, and the streams and readers of this worker. */
typedef struct {
    oa_streams_t                 zone;
    ngx_queue_t                  streams;      /* ngx_oa_stream_t */
    ngx_queue_t                  readers;      /* those who look themselves */
    ngx_oa_stream_t            **own;          /* by their place in the zone */
} ngx_oa_streams_t;

extern ngx_oa_streams_t  ngx_oa_streams;

#define ngx_oa_now()  ((uint64_t) ngx_current_msec)

ngx_int_t ngx_oa_streams_add(ngx_conf_t *cf, ngx_oa_sse_main_conf_t *smcf);
ngx_int_t ngx_oa_streams_init_process(ngx_oa_sse_main_conf_t *smcf);

/* The stream, if it is one of this worker; or NULL. */
ngx_oa_stream_t *ngx_oa_streams_own(oa_stream_ref_t ref);

/* There is something to look after. */
void ngx_oa_streams_watch(void);


#endif /* _NGX_OA_SSE_H_INCLUDED_ */
