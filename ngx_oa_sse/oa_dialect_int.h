
/* What the files of the dialects share. */


#ifndef _OA_DIALECT_INT_H_INCLUDED_
#define _OA_DIALECT_INT_H_INCLUDED_


#include "oa_dialect.h"
#include "oa_walk.h"


/* OpenClaw's chat completions (oa_openclaw.c) */

size_t oa_openclaw_body_size(const oa_dialect_request_t *request,
    const ngx_str_t *user);
u_char *oa_openclaw_body(u_char *p, const oa_dialect_request_t *request,
    const ngx_str_t *user);
oa_dialect_act_e oa_openclaw_event(oa_dialect_t *d, const ngx_str_t *json,
    oa_dialect_frame_t *frame);


/* The code of a machine's error, if it is one that can be shown as it is. */
void oa_dialect_code(const ngx_str_t *value, ngx_str_t *code);

u_char *oa_dialect_put(u_char *p, const ngx_str_t *s);


#endif /* _OA_DIALECT_INT_H_INCLUDED_ */
