
/* What the files of the template share. */


#ifndef _OA_TEMPLATE_INT_H_INCLUDED_
#define _OA_TEMPLATE_INT_H_INCLUDED_


#include <jansson.h>
#include "oa_template.h"


#define OA_TEMPLATE_MEMORY  "cannot be kept: no memory"


/* Texts (oa_template_text.c) */

/*
 * The next "{{...}}", which can only stand in a string, and its end.  Without
 * one the end is last, and the value OA_VALUES, as it is for one that is none
 * of the first n.
 */
const u_char *oa_template_place(const u_char *p, const u_char *last,
    ngx_uint_t n, const u_char **end, oa_value_e *value);

/* Keeps a body as a text, cut at its places; NGX_ERROR: *why. */
ngx_int_t oa_template_cut(oa_template_t *t, oa_template_text_e text,
    json_t *body, ngx_pool_t *pool, const char **why);


#endif /* _OA_TEMPLATE_INT_H_INCLUDED_ */
