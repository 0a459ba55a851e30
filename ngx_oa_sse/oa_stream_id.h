
/*
 * Names of streams and of their events: ROUTER-STREAM, ROUTER-STREAM-SEQ.
 *
 * ROUTER is the machine whose zone holds the stream, a DNS label, or "local";
 * STREAM 128 random bits as 32 hexadecimal digits in lower case; SEQ a number
 * from 1 to 2^63 - 1 in decimal.  ROUTER may have a "-" in it, the others
 * have none.  Each has one form, and no other is taken: what comes back in
 * Last-Event-ID is whatever a client likes to send.  What passes can stand in
 * a replay header, a header and an event as it is.
 *
 * Pure: bytes in, struct out; no request, no event loop, no allocation.
 */


#ifndef _OA_STREAM_ID_H_INCLUDED_
#define _OA_STREAM_ID_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_label.h"


#define OA_STREAM_ID_BYTES  16
#define OA_STREAM_ID_MAX    (OA_LABEL_MAX + 1 + OA_STREAM_ID_BYTES * 2)
#define OA_STREAM_SEQ_MAX   ((uint64_t) INT64_MAX)

/* Of an event's id, and of the line that says it. */
#define OA_STREAM_EVENT_ID_MAX    (OA_STREAM_ID_MAX + 1 + 19)
#define OA_STREAM_EVENT_LINE_MAX  (sizeof("id: \n") - 1                       \
                                   + OA_STREAM_EVENT_ID_MAX)

typedef struct {
    ngx_str_t            router;      /* points into the text */
    u_char               stream[OA_STREAM_ID_BYTES];
    uint64_t             seq;         /* 0: none, it is a stream's name */
} oa_stream_id_t;

extern const ngx_str_t  oa_stream_local;

/* Reads a stream's name or an event's id.  NGX_DECLINED: it is neither. */
ngx_int_t oa_stream_id_parse(const ngx_str_t *text, oa_stream_id_t *id);

/*
 * Writes the name of a stream, or the id of an event where id->seq is not 0,
 * and returns its end.  The router must be a DNS label.
 */
u_char *oa_stream_id(u_char *p, const oa_stream_id_t *id);

/*
 * Writes an event's id, NAME-SEQ, and the line that says it, "id: NAME-SEQ" and
 * LF, given a name as oa_stream_id() wrote it.
 */
u_char *oa_stream_event_id(u_char *p, const ngx_str_t *name, uint64_t seq);
u_char *oa_stream_event_line(u_char *p, const ngx_str_t *name, uint64_t seq);

/* The end of such a line, from the number on. */
u_char *oa_stream_event_number(u_char *p, uint64_t seq);


#endif /* _OA_STREAM_ID_H_INCLUDED_ */
