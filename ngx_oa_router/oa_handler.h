
/*
 * An upstream handler: an URL that is told which route needs a machine, and
 * makes it.  In its plain form it is told the job itself; a task of
 * trigger.dev gets it as its payload.
 *
 * Pure: bytes in, bytes or struct out; no request, no event loop.  jansson
 * allocates while an answer is read.
 */


#ifndef _OA_HANDLER_H_INCLUDED_
#define _OA_HANDLER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_fly.h"
#include "oa_reason.h"


typedef enum {
    OA_HANDLER_PLAIN = 0,
    OA_HANDLER_TRIGGER,
    OA_HANDLERS
} oa_handler_format_e;

/* "plain", "trigger.dev" */
extern const ngx_str_t  oa_handler_formats[OA_HANDLERS];

typedef struct {
    ngx_str_t            key;          /* the same for all attempts of a job,
                                          and for none of another */
    ngx_str_t            route_id;
    ngx_str_t            user_id;
    ngx_str_t            agent_id;
    ngx_str_t            subdomain;
    ngx_str_t            region;
    ngx_str_t            reason;
    ngx_uint_t           attempt;
} oa_handler_job_t;


/* The body, JSON. */
size_t oa_handler_body_size(oa_handler_format_e format,
    const oa_handler_job_t *job);

/* Writes exactly that many bytes to p and returns their end. */
u_char *oa_handler_body(u_char *p, oa_handler_format_e format,
    const oa_handler_job_t *job);


/*
 * The headers: "Name: value" each, and NULL.  buf has
 * oa_handler_headers_size() bytes; there is a secret in it, which the caller
 * cleanses.  An empty token has no header.  NGX_ERROR: a value has a control
 * character.
 */

#define OA_HANDLER_HEADERS  5

size_t oa_handler_headers_size(const ngx_str_t *token, const ngx_str_t *key,
    const ngx_str_t *request_id);

ngx_int_t oa_handler_headers(u_char *buf, const ngx_str_t *token,
    const ngx_str_t *key, const ngx_str_t *request_id,
    const char *headers[OA_HANDLER_HEADERS]);


typedef enum {
    OA_HANDLER_READY = 0,              /* app, machine, region are told */
    OA_HANDLER_ACCEPTED,               /* the change feed will tell */
    OA_HANDLER_RETRY,
    OA_HANDLER_REFUSED                 /* for good */
} oa_handler_verdict_e;

typedef struct {
    oa_handler_verdict_e  verdict;
    oa_fly_id_t           app;         /* DNS labels */
    oa_fly_id_t           machine;
    oa_fly_id_t           region;      /* [a-z0-9]{2,8}, or empty if the
                                          handler did not tell */
    const char           *code;        /* [a-z_]+, unless READY, ACCEPTED */
    oa_reason_t           text;        /* of the answer's beginning */
} oa_handler_answer_t;

/*
 * What an answer comes to; status 0: there was none.  For RETRY the caller
 * takes its Retry-After, or oa_backoff().
 */
void oa_handler_answer(oa_handler_answer_t *a, oa_handler_format_e format,
    ngx_uint_t status, const ngx_str_t *answer);


#endif /* _OA_HANDLER_H_INCLUDED_ */
