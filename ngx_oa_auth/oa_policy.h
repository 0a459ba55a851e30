
/*
 * Policy: whether claims that are signed are also good.
 *
 * Pure: struct in, verdict out; no request, no event loop, no allocation.
 */


#ifndef _OA_POLICY_H_INCLUDED_
#define _OA_POLICY_H_INCLUDED_


#include "oa_auth_error.h"
#include "oa_claims.h"


/* What a Supabase issuer signs beside its users' own tokens. */
#define OA_ACCEPT_ANONYMOUS     0x01   /* is_anonymous */
#define OA_ACCEPT_SERVICE_ROLE  0x02   /* role: service_role, or another than
                                          authenticated */
#define OA_ACCEPT_THIRD_PARTY   0x04   /* client_id: an OAuth client's */
#define OA_ACCEPT_NO_SESSION    0x08   /* sub or session_id are no UUID */

#define OA_POLICY_SUB_MAX       255    /* bytes (OpenID Connect Core 2) */


typedef struct {
    ngx_str_t            issuer;       /* empty: any */
    const ngx_str_t     *audience;     /* any one of them; none: any */
    ngx_uint_t           naudience;
    time_t               leeway;       /* seconds */
    ngx_uint_t           supabase;     /* the rows above apply ... */
    ngx_uint_t           accept;       /* ... but for these */
} oa_policy_t;

/* What is remembered of a good token; times in seconds. */
typedef struct {
    time_t               exp;          /* without leeway, rounded up */
    unsigned             has_session:1;
    unsigned             sub_is_uuid:1;
    u_char               session[16];  /* the UUIDs' bytes */
    u_char               user[16];
} oa_policy_facts_t;

/*
 * Judges claims of oa_claims_scan() at the time now, and fills facts on
 * OA_AUTH_OK.
 *
 * OA_AUTH_CLAIM: exp missing or no number in (0, 2^53); iat or nbf that are no
 * numbers; sub that is no string, over OA_POLICY_SUB_MAX or with controls (it
 * may be missing); with supabase, a role that is no string and whatever accept
 * does not name.  OA_AUTH_EXPIRED: exp + leeway <= now.
 * OA_AUTH_NOT_YET_VALID: nbf - leeway > now, or iat - leeway > now.
 * OA_AUTH_ISSUER: not exactly policy's.  OA_AUTH_AUDIENCE: aud neither is nor
 * has one of policy's.  Times are judged before issuer, then audience, then
 * the kind of the token.
 */
oa_auth_error_e oa_policy_judge(const oa_policy_t *policy,
    const oa_claims_t *claims, time_t now, oa_policy_facts_t *facts);

/* The 16 bytes of a UUID of 36 characters, in either case; else NGX_ERROR. */
ngx_int_t oa_uuid(const u_char *text, size_t len, u_char *uuid);


#endif /* _OA_POLICY_H_INCLUDED_ */
