
/*
 * Dialects: what clients and machines say to each other.
 *
 * Clients of seed and openclaw send {"message":"..."} and get the seed's
 * events: {"text":"..."}, and at the end [DONE] or {"error","code"}.  A
 * machine that speaks seed is passed on as it is, but for its ends; one that
 * speaks openclaw (chat completions) is translated both ways, and its usage
 * noted.  raw passes all but a [DONE].  The end is never the machine's own:
 * who asks writes it, once.
 *
 * An event goes in, spans of what goes out come out: a text is not decoded
 * and encoded again but passed as it is written.
 *
 * Pure: bytes in, spans or bytes out; no request, no event loop, no
 * allocation.
 */


#ifndef _OA_DIALECT_H_INCLUDED_
#define _OA_DIALECT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_message.h"
#include "oa_sse.h"


typedef enum {
    OA_DIALECT_SEED = 0,
    OA_DIALECT_OPENCLAW,
    OA_DIALECT_RAW,
    OA_DIALECTS
} oa_dialect_e;

/* "seed", "openclaw", "raw" */
extern const ngx_str_t  oa_dialect_names[OA_DIALECTS];


/* Requests */


#define OA_DIALECT_SESSION_MAX  128

typedef struct {
    oa_message_t         message;
    ngx_str_t            session;     /* "sessionId"; empty: none */
} oa_dialect_request_t;

/*
 * Reads a client's body: a JSON object with "message", a string, which is
 * cleaned (max as in oa_message_clean()), and maybe "sessionId", a string of
 * at most OA_DIALECT_SESSION_MAX bytes; other members are passed over.  buf
 * has body->len bytes; the strings point there, and go on as UTF-8 whatever
 * they are.  NGX_ERROR: *why is a static text that tells what it lacks.  Not
 * for raw, whose bodies go as they are.
 */
ngx_int_t oa_dialect_read(const ngx_str_t *body, size_t max, u_char *buf,
    oa_dialect_request_t *request, const char **why);

/*
 * The body for the machine.  seed: {"message":"..."}.  openclaw: a chat
 * completion that is streamed, with usage.  Its "user", by which OpenClaw
 * finds a conversation again, is made of user, a text of ours that is the
 * same each time the same person comes and has no colon, and the session:
 * USER:SESSION, USER, or for who is nobody :SESSION, or left out.  A session is
 * what a client says: it must not make its user somebody else.
 */
size_t oa_dialect_body_size(oa_dialect_e dialect,
    const oa_dialect_request_t *request, const ngx_str_t *user);

/* Writes exactly that many bytes to p and returns their end. */
u_char *oa_dialect_body(u_char *p, oa_dialect_e dialect,
    const oa_dialect_request_t *request, const ngx_str_t *user);


/* Events */


typedef enum {
    OA_DIALECT_NOTHING = 0,           /* nothing for the client */
    OA_DIALECT_PASS,                  /* the event as it is, with our id */
    OA_DIALECT_FRAME,                 /* our id and the parts of the frame */
    OA_DIALECT_DONE,                  /* the end: it went well */
    OA_DIALECT_FAILED                 /* the end: it did not */
} oa_dialect_act_e;

typedef struct {
    int64_t              prompt;      /* tokens; -1: not told */
    int64_t              completion;
    int64_t              total;
} oa_dialect_usage_t;

typedef struct {
    oa_dialect_e         dialect;
    oa_dialect_usage_t   usage;       /* as it was told last */
    ngx_uint_t           strange;     /* events that were not understood */
    unsigned             finished:1;  /* the agent has said that it has */
    unsigned             ended:1;     /* DONE or FAILED was returned */
} oa_dialect_t;

/*
 * What goes out.  Strings point to the event, to buf or to constants.
 */
typedef struct {
    ngx_str_t            part[3];     /* of OA_DIALECT_FRAME: a data line and
                                         a blank line, one behind the other */
    oa_sse_error_t       error;       /* of OA_DIALECT_FAILED: text, code */
} oa_dialect_frame_t;

void oa_dialect_init(oa_dialect_t *d, oa_dialect_e dialect);

/*
 * What becomes of an event of the machine.  buf has event->raw.len bytes.
 * Behind an end everything is OA_DIALECT_NOTHING, as is what has no data, and
 * what a browser would not dispatch: unless it says by "retry" when to come
 * back.
 *
 * A machine's error is told with its own "code" or "type" if that is
 * [a-z0-9_.-]{1,64}, else with "agent_error".  In seed it is an object of
 * "error", a string, and maybe "code", and nothing else: agents may talk
 * about errors, too.
 */
oa_dialect_act_e oa_dialect_event(oa_dialect_t *d,
    const oa_sse_event_t *event, u_char *buf, oa_dialect_frame_t *frame);

/*
 * A machine's answer was complete and has no [DONE] or error in it: did it
 * go well?  OpenClaw says when it has finished, the others do not.
 */
ngx_uint_t oa_dialect_is_complete(const oa_dialect_t *d);


#endif /* _OA_DIALECT_H_INCLUDED_ */
