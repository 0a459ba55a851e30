
/*
 * oa_auth_require: one condition on one claim.
 *
 * Pure: struct in, verdict out; no request, no event loop, no allocation.
 */


#ifndef _OA_REQUIRE_H_INCLUDED_
#define _OA_REQUIRE_H_INCLUDED_


#include "oa_claims.h"


typedef enum {
    OA_REQUIRE_EQ = 0,                 /* a scalar with this text */
    OA_REQUIRE_NE,
    OA_REQUIRE_IN,                     /* one of "a,b,c" */
    OA_REQUIRE_HAS,                    /* an array with such a member, or an
                                          object with such a name, or a string
                                          with such a word ("scope") */
    OA_REQUIRE_MATCH,                  /* the caller's: a regular expression */
    OA_REQUIRE_GT,                     /* numbers */
    OA_REQUIRE_GE,
    OA_REQUIRE_LT,
    OA_REQUIRE_LE,
    OA_REQUIRE_OPS
} oa_require_op_e;

/* By its name, or OA_REQUIRE_OPS. */
oa_require_op_e oa_require_op(const ngx_str_t *name);

/*
 * Does the condition hold?  None holds for a claim that is absent or null.
 * eq, ne and in take strings, numbers and booleans, and hold for no array or
 * object; numbers are compared as numbers where both sides are one.  gt and
 * its kin hold for numbers only.  text is scratch of claim->raw.len bytes.
 */
ngx_uint_t oa_require_holds(oa_require_op_e op, const oa_claim_t *claim,
    const ngx_str_t *value, u_char *text);


#endif /* _OA_REQUIRE_H_INCLUDED_ */
