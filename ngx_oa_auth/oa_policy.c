
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_policy.h"


#define OA_POLICY_EXP_MAX   9007199254740992.0       /* 2^53 */
#define OA_POLICY_UUID_LEN  36

/* Bytes of an escape, "\uXXXX", which may stand for one. */
#define OA_POLICY_ESCAPE    6


static oa_auth_error_e oa_policy_times(const oa_policy_t *policy,
    const oa_claims_t *claims, time_t now, time_t *exp);
static oa_auth_error_e oa_policy_not_before(const oa_claim_t *claim,
    double latest);
static ngx_uint_t oa_policy_audience(const oa_policy_t *policy,
    const oa_claim_t *aud);
static ngx_uint_t oa_policy_is_audience(const oa_policy_t *policy,
    const oa_claim_t *aud);
static ngx_int_t oa_policy_subject(const oa_claims_t *claims,
    oa_policy_facts_t *facts);
static ngx_uint_t oa_policy_supabase(const oa_policy_t *policy,
    const oa_claims_t *claims, const oa_policy_facts_t *facts);
static ngx_uint_t oa_policy_uuid(const oa_claim_t *claim, u_char *uuid);


static const ngx_str_t  oa_policy_authenticated =
    ngx_string("authenticated");


oa_auth_error_e
oa_policy_judge(const oa_policy_t *policy, const oa_claims_t *claims,
    time_t now, oa_policy_facts_t *facts)
{
    oa_auth_error_e  error;

    ngx_memzero(facts, sizeof(oa_policy_facts_t));

    error = oa_policy_times(policy, claims, now, &facts->exp);

    if (error != OA_AUTH_OK) {
        return error;
    }

    if (policy->issuer.len && !oa_claim_is(&claims->iss, &policy->issuer)) {
        return OA_AUTH_ISSUER;
    }

    if (policy->naudience && !oa_policy_audience(policy, &claims->aud)) {
        return OA_AUTH_AUDIENCE;
    }

    if (oa_policy_subject(claims, facts) != NGX_OK) {
        return OA_AUTH_CLAIM;
    }

    if (policy->supabase && !oa_policy_supabase(policy, claims, facts)) {
        return OA_AUTH_CLAIM;
    }

    return OA_AUTH_OK;
}


static oa_auth_error_e
oa_policy_times(const oa_policy_t *policy, const oa_claims_t *claims,
    time_t now, time_t *exp)
{
    double           number, latest;
    oa_auth_error_e  nbf, iat;

    latest = (double) now + (double) policy->leeway;

    nbf = oa_policy_not_before(&claims->nbf, latest);
    iat = oa_policy_not_before(&claims->iat, latest);

    if (oa_claim_number(&claims->exp, &number) != NGX_OK
        || !(number > 0 && number < OA_POLICY_EXP_MAX)
        || nbf == OA_AUTH_CLAIM
        || iat == OA_AUTH_CLAIM)
    {
        return OA_AUTH_CLAIM;
    }

    *exp = (time_t) number;

    if ((double) *exp < number) {
        (*exp)++;
    }

    if (*exp <= now - policy->leeway) {
        return OA_AUTH_EXPIRED;
    }

    return (nbf != OA_AUTH_OK) ? nbf : iat;
}


static oa_auth_error_e
oa_policy_not_before(const oa_claim_t *claim, double latest)
{
    double  number;

    if (claim->type == OA_CLAIM_ABSENT) {
        return OA_AUTH_OK;
    }

    if (oa_claim_number(claim, &number) != NGX_OK) {
        return OA_AUTH_CLAIM;
    }

    return (number > latest) ? OA_AUTH_NOT_YET_VALID : OA_AUTH_OK;
}


static ngx_uint_t
oa_policy_audience(const oa_policy_t *policy, const oa_claim_t *aud)
{
    oa_claim_t     member;
    const u_char  *p;

    p = NULL;

    while (oa_claim_next(aud, &p, &member) == NGX_OK) {
        if (oa_policy_is_audience(policy, &member)) {
            return 1;
        }
    }

    return oa_policy_is_audience(policy, aud);
}


static ngx_uint_t
oa_policy_is_audience(const oa_policy_t *policy, const oa_claim_t *aud)
{
    ngx_uint_t  i;

    for (i = 0; i < policy->naudience; i++) {
        if (oa_claim_is(aud, &policy->audience[i])) {
            return 1;
        }
    }

    return 0;
}


/* Whom the token is about, as far as it says so. */

static ngx_int_t
oa_policy_subject(const oa_claims_t *claims, oa_policy_facts_t *facts)
{
    u_char             buf[OA_POLICY_SUB_MAX * OA_POLICY_ESCAPE];
    ngx_str_t          sub;
    const oa_claim_t  *claim;

    facts->has_session = oa_policy_uuid(&claims->session_id, facts->session);
    facts->sub_is_uuid = oa_policy_uuid(&claims->sub, facts->user);

    claim = &claims->sub;

    if (claim->type == OA_CLAIM_ABSENT) {
        return NGX_OK;
    }

    if (claim->type != OA_CLAIM_STRING || claim->raw.len > sizeof(buf)) {
        return NGX_ERROR;
    }

    oa_claim_text(claim, buf, &sub);

    if (sub.len > OA_POLICY_SUB_MAX || !oa_claim_is_plain(&sub)) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Is it a user's own token, or what is accepted beside? */

static ngx_uint_t
oa_policy_supabase(const oa_policy_t *policy, const oa_claims_t *claims,
    const oa_policy_facts_t *facts)
{
    ngx_uint_t  unlike;

    unlike = 0;

    if (claims->is_anonymous.type != OA_CLAIM_ABSENT
        && claims->is_anonymous.type != OA_CLAIM_FALSE)
    {
        unlike |= OA_ACCEPT_ANONYMOUS;
    }

    if (!oa_claim_is(&claims->role, &oa_policy_authenticated)) {
        unlike |= OA_ACCEPT_SERVICE_ROLE;
    }

    if (claims->client_id.type != OA_CLAIM_ABSENT) {
        unlike |= OA_ACCEPT_THIRD_PARTY;
    }

    if (!facts->has_session || !facts->sub_is_uuid) {
        unlike |= OA_ACCEPT_NO_SESSION;
    }

    return (unlike & ~policy->accept) == 0
           && claims->role.type == OA_CLAIM_STRING;
}


static ngx_uint_t
oa_policy_uuid(const oa_claim_t *claim, u_char *uuid)
{
    u_char     buf[OA_POLICY_UUID_LEN * OA_POLICY_ESCAPE];
    ngx_str_t  text;

    if (claim->type != OA_CLAIM_STRING || claim->raw.len > sizeof(buf)) {
        return 0;
    }

    oa_claim_text(claim, buf, &text);

    return oa_uuid(text.data, text.len, uuid) == NGX_OK;
}


ngx_int_t
oa_uuid(const u_char *text, size_t len, u_char *uuid)
{
    u_char      bytes[16], c;
    ngx_uint_t  i, n;

    if (len != OA_POLICY_UUID_LEN) {
        return NGX_ERROR;
    }

    n = 0;
    ngx_memzero(bytes, sizeof(bytes));

    for (i = 0; i < OA_POLICY_UUID_LEN; i++) {
        c = text[i];

        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (c != '-') {
                return NGX_ERROR;
            }

            continue;
        }

        if (c >= '0' && c <= '9') {
            c -= '0';

        } else {
            c = (u_char) ((c | 0x20) - 'a');

            if (c > 5) {
                return NGX_ERROR;
            }

            c += 10;
        }

        bytes[n / 2] = (u_char) (bytes[n / 2] << 4 | c);
        n++;
    }

    ngx_memcpy(uuid, bytes, sizeof(bytes));

    return NGX_OK;
}
