
/*
 * JSON, walked: a text is checked in one pass, and on the way values at some
 * paths are noted as they stand there.  No tree is built, nothing is copied.
 *
 * It takes what RFC 8259 defines, nested up to OA_WALK_DEPTH levels.  Two
 * things are left to whoever reads a string, which is shown to people and not
 * acted upon: bytes that are not UTF-8, and halves of surrogate pairs as
 * \uXXXX, which agents send when an emoji is cut between two events, and which
 * fit together again behind us.
 *
 * Pure: bytes in, spans or bytes out; no request, no event loop, no
 * allocation.
 */


#ifndef _OA_WALK_H_INCLUDED_
#define _OA_WALK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define OA_WALK_DEPTH  32
#define OA_WALK_NODES  16

/*
 * A tree of paths.  The first node is the document, and its own parent; a
 * parent stands before its children.  A node is the member of this name in
 * its parent, or the first element where the name is empty.
 */
typedef struct {
    ngx_uint_t           parent;
    ngx_str_t            name;
} oa_walk_node_t;

/*
 * Fills the values of n nodes (at most OA_WALK_NODES) with the texts of what
 * is there, strings with their quotes; data is NULL where nothing is.  Names
 * are compared as they are written: one with an escape is none of those.
 * *members is the number of members of the document, 0 if it is no object;
 * members may be NULL.  NGX_ERROR: it is not JSON, too deep, or a node occurs
 * twice.
 */
ngx_int_t oa_walk(const ngx_str_t *json, const oa_walk_node_t *nodes,
    ngx_uint_t n, ngx_str_t *values, ngx_uint_t *members);

/* Is there a value, other than null? */
ngx_uint_t oa_walk_is(const ngx_str_t *value);

/* Is a value a string?  Then *text is what is between its quotes. */
ngx_uint_t oa_walk_string(const ngx_str_t *value, ngx_str_t *text);

/*
 * Decodes what oa_walk_string() gave to at most as many bytes, and returns
 * their end.  Half of a surrogate pair becomes U+FFFD.
 */
u_char *oa_walk_decode(u_char *dst, const ngx_str_t *text);

/* An integer from 0 to 2^53 - 1, or -1. */
int64_t oa_walk_count(const ngx_str_t *value);


#endif /* _OA_WALK_H_INCLUDED_ */
