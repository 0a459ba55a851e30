
/*
 * Judging a token: a cached decision, or signature first and claims after.
 */


#include "ngx_oa_auth.h"
#include "oa_base64url.h"
#include "oa_field.h"


static ngx_uint_t ngx_oa_auth_judge_cached(ngx_oa_auth_loc_conf_t *alcf,
    ngx_oa_auth_ctx_t *ctx);
static ngx_int_t ngx_oa_auth_judge_anew(ngx_http_request_t *r,
    ngx_oa_auth_loc_conf_t *alcf, ngx_oa_auth_ctx_t *ctx, ngx_uint_t wait);
static ngx_oa_issuer_t *ngx_oa_auth_pick_issuer(ngx_oa_auth_loc_conf_t *alcf,
    const oa_jws_t *jws);
static oa_auth_error_e ngx_oa_auth_judge_claims(ngx_oa_issuer_t *issuer,
    const oa_jws_t *jws, const oa_jwk_t *key);
static oa_auth_error_e ngx_oa_auth_facts(ngx_oa_issuer_t *issuer,
    const oa_claims_t *claims, const oa_policy_facts_t *good,
    const oa_jwk_t *key);
static size_t ngx_oa_auth_copy_text(u_char *p, const oa_claim_t *claim);
static oa_auth_error_e ngx_oa_auth_judge_now(ngx_oa_issuer_t *issuer);
static ngx_int_t ngx_oa_auth_take_facts(ngx_http_request_t *r,
    ngx_oa_auth_ctx_t *ctx);


/* One token at a time: what lies here is read before the next one comes. */
static u_char            ngx_oa_auth_json[OA_JWS_MAX];
static oa_jws_headers_t  ngx_oa_auth_headers;
static oa_token_facts_t  ngx_oa_auth_known;


static ngx_str_t  ngx_oa_auth_errors[OA_AUTH_ERRORS] = {
    ngx_string(""),
    ngx_string("missing"),
    ngx_string("malformed"),
    ngx_string("algorithm"),
    ngx_string("key"),
    ngx_string("signature"),
    ngx_string("payload"),
    ngx_string("expired"),
    ngx_string("not_yet_valid"),
    ngx_string("issuer"),
    ngx_string("audience"),
    ngx_string("claim"),
    ngx_string("revoked"),
    ngx_string("keys_unavailable")
};


ngx_str_t *
ngx_oa_auth_error_name(oa_auth_error_e error)
{
    return &ngx_oa_auth_errors[error];
}


ngx_int_t
ngx_oa_auth_judge(ngx_http_request_t *r, ngx_oa_auth_loc_conf_t *alcf,
    ngx_oa_auth_ctx_t *ctx, ngx_uint_t wait)
{
    ctx->conf = alcf;
    ctx->issuer = NULL;
    ctx->hit = 0;

    ctx->error = ngx_oa_auth_find_token(r, alcf, ctx);

    if (ctx->error != OA_AUTH_OK) {
        return NGX_OK;
    }

    return ngx_oa_auth_judge_token(r, alcf, ctx, wait);
}


ngx_int_t
ngx_oa_auth_judge_token(ngx_http_request_t *r, ngx_oa_auth_loc_conf_t *alcf,
    ngx_oa_auth_ctx_t *ctx, ngx_uint_t wait)
{
    ngx_int_t  rc;

    ctx->conf = alcf;
    ctx->issuer = NULL;
    ctx->hit = 0;
    ngx_str_null(&ctx->payload);

    if (ctx->bearer.data != ctx->token.data
        || ctx->bearer.len != ctx->token.len)
    {
        ctx->hash = oa_token_cache_hash(ngx_oa_auth_cache, &ctx->token);
    }

    if (!ngx_oa_auth_judge_cached(alcf, ctx)) {

        rc = ngx_oa_auth_judge_anew(r, alcf, ctx, wait);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (ctx->error == OA_AUTH_OK) {
        return ngx_oa_auth_take_facts(r, ctx);
    }

    ctx->issuer = NULL;

    /* people come back after an hour */

    if (ctx->error == OA_AUTH_EXPIRED
        && ctx->source->from == NGX_OA_FROM_COOKIE)
    {
        ctx->error = OA_AUTH_MISSING;
    }

    return NGX_OK;
}


/* What the request goes on to know. */

static ngx_int_t
ngx_oa_auth_take_facts(ngx_http_request_t *r, ngx_oa_auth_ctx_t *ctx)
{
    u_char            *p;
    oa_token_facts_t  *facts;

    facts = &ngx_oa_auth_known;

    p = ngx_pnalloc(r->pool, facts->sub_len + facts->role_len);
    if (p == NULL) {
        ctx->error = OA_AUTH_KEYS_UNAVAILABLE;
        return NGX_ERROR;
    }

    ngx_memcpy(p, facts->text, facts->sub_len + facts->role_len);

    ctx->sub.data = p;
    ctx->sub.len = facts->sub_len;
    ctx->role.data = p + facts->sub_len;
    ctx->role.len = facts->role_len;
    ctx->exp = facts->exp;

    return NGX_OK;
}


/*
 * A large cache is in no processor's: its memory is asked for early, in two
 * steps, where a token is easily found.
 */

void
ngx_oa_auth_prefetch_bucket(ngx_http_request_t *r)
{
    ngx_str_t           token;
    ngx_oa_auth_ctx_t  *ctx;

    if (r->headers_in.authorization == NULL
        || oa_field_bearer(&r->headers_in.authorization->value, &token)
           != NGX_OK)
    {
        return;
    }

    ctx = ngx_oa_auth_ctx(r);

    if (ctx) {
        ctx->bearer = token;
        ctx->hash = oa_token_cache_hash(ngx_oa_auth_cache, &token);

        oa_token_cache_prefetch(ngx_oa_auth_cache, ctx->hash);
    }
}


ngx_int_t
ngx_oa_auth_prefetch_record(ngx_http_request_t *r)
{
    ngx_oa_auth_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_oa_auth_module);

    if (ctx && ctx->bearer.len) {
        oa_token_cache_prefetch_record(ngx_oa_auth_cache, ctx->hash);
    }

    return NGX_DECLINED;
}


/*
 * A cached decision holds while its issuer's block and its key are those that
 * it was made with.  What time brings is judged again.
 */

static ngx_uint_t
ngx_oa_auth_judge_cached(ngx_oa_auth_loc_conf_t *alcf, ngx_oa_auth_ctx_t *ctx)
{
    ngx_uint_t         i;
    oa_token_facts_t  *facts;
    ngx_oa_issuer_t  **issuer;

    facts = &ngx_oa_auth_known;

    if (oa_token_cache_get(ngx_oa_auth_cache, ctx->hash, &ctx->token, facts)
        != NGX_OK)
    {
        return 0;
    }

    issuer = alcf->issuers->elts;

    for (i = 0; i < alcf->issuers->nelts; i++) {
        if (ngx_memcmp(issuer[i]->digest, facts->policy,
                       sizeof(facts->policy))
            == 0)
        {
            break;
        }
    }

    if (i == alcf->issuers->nelts
        || ngx_oa_keys_find_print(issuer[i], facts->print) == NULL)
    {
        return 0;
    }

    /* one that takes any "iss" may not be the one that is picked here */

    if (alcf->issuers->nelts > 1 && issuer[i]->policy.issuer.len == 0) {
        return 0;
    }

    ctx->hit = 1;
    ctx->issuer = issuer[i];
    ctx->error = ngx_oa_auth_judge_now(issuer[i]);

    return 1;
}


static ngx_int_t
ngx_oa_auth_judge_anew(ngx_http_request_t *r, ngx_oa_auth_loc_conf_t *alcf,
    ngx_oa_auth_ctx_t *ctx, ngx_uint_t wait)
{
    oa_jws_t                  jws;
    oa_jwk_t                 *key;
    ngx_int_t                 rc;
    oa_jws_header_t           header;
    ngx_oa_issuer_t          *issuer;
    const oa_jws_header_t    *cached;
    ngx_oa_auth_main_conf_t  *amcf;

    if (oa_jws_split(&ctx->token, &jws) != NGX_OK) {
        ctx->error = OA_AUTH_MALFORMED;
        return NGX_OK;
    }

    ctx->error = oa_jws_header_cached(&ngx_oa_auth_headers, &jws.header,
                                      &cached);

    if (ctx->error != OA_AUTH_OK) {
        return NGX_OK;
    }

    /* to look for the key may wake others, whose headers come after this one */

    header = *cached;

    issuer = ngx_oa_auth_pick_issuer(alcf, &jws);

    if (issuer == NULL) {
        ctx->error = OA_AUTH_ISSUER;
        return NGX_OK;
    }

    if (!(issuer->algorithms & (1u << header.alg))) {
        ctx->error = OA_AUTH_ALGORITHM;
        return NGX_OK;
    }

    rc = ngx_oa_keys_find(issuer, &header, wait ? &ctx->flight : NULL, &key,
                          &ctx->error);

    if (rc == NGX_AGAIN) {
        ctx->error = OA_AUTH_KEYS_UNAVAILABLE;
        return NGX_AGAIN;
    }

    if (ctx->error != OA_AUTH_OK) {
        return NGX_OK;
    }

    /* there is time for the memory to come in */

    oa_token_cache_prefetch_put(ngx_oa_auth_cache, ctx->token.len);

    switch (oa_jwk_verify(key, header.alg, &jws.input, &jws.signature)) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        ctx->error = OA_AUTH_SIGNATURE;
        return NGX_OK;

    default:
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "oa_issuer \"%V\": OpenSSL failed to verify with key "
                      "\"%V\"", &issuer->name, oa_jwk_kid(key));
        ctx->error = OA_AUTH_SIGNATURE;
        return NGX_OK;
    }

    ctx->error = ngx_oa_auth_judge_claims(issuer, &jws, key);

    if (ctx->error != OA_AUTH_OK) {
        return NGX_OK;
    }

    ctx->issuer = issuer;

    /* a revoked token was good but for that, and must not be verified anew */

    amcf = ngx_http_get_module_main_conf(r, ngx_oa_auth_module);

    ngx_oa_zone_lock(amcf->zone);
    (void) oa_token_cache_put(ngx_oa_auth_cache, ctx->hash, &ctx->token,
                              &ngx_oa_auth_known);
    ngx_oa_zone_unlock(amcf->zone);

    ctx->error = ngx_oa_auth_judge_now(issuer);

    return NGX_OK;
}


/*
 * Of several issuers the token's "iss" picks one, before anything vouches for
 * it: the keys of that one must, or the token is refused.
 */

static ngx_oa_issuer_t *
ngx_oa_auth_pick_issuer(ngx_oa_auth_loc_conf_t *alcf, const oa_jws_t *jws)
{
    size_t             len;
    ngx_uint_t         i;
    oa_claims_t        claims;
    ngx_oa_issuer_t  **issuer, *any;

    issuer = alcf->issuers->elts;

    if (alcf->issuers->nelts == 1) {
        return issuer[0];
    }

    len = oa_base64url_decoded(jws->payload.len);

    if (oa_base64url_decode(ngx_oa_auth_json, jws->payload.data,
                            jws->payload.len)
        != NGX_OK
        || oa_claims_scan(ngx_oa_auth_json, len, &claims) != NGX_OK)
    {
        return NULL;
    }

    any = NULL;

    for (i = 0; i < alcf->issuers->nelts; i++) {

        if (issuer[i]->policy.issuer.len == 0) {
            any = issuer[i];

        } else if (oa_claim_is(&claims.iss, &issuer[i]->policy.issuer)) {
            return issuer[i];
        }
    }

    return any;
}


static oa_auth_error_e
ngx_oa_auth_judge_claims(ngx_oa_issuer_t *issuer, const oa_jws_t *jws,
    const oa_jwk_t *key)
{
    size_t             len;
    oa_claims_t        claims;
    oa_auth_error_e    error;
    oa_policy_facts_t  good;

    /* what is signed is also canonical: no two tokens are one */

    len = oa_base64url_decoded(jws->payload.len);

    if (oa_base64url_decode(ngx_oa_auth_json, jws->payload.data,
                            jws->payload.len)
        != NGX_OK)
    {
        return OA_AUTH_MALFORMED;
    }

    if (oa_claims_scan(ngx_oa_auth_json, len, &claims) != NGX_OK) {
        return OA_AUTH_PAYLOAD;
    }

    error = oa_policy_judge(&issuer->policy, &claims, ngx_time(), &good);

    if (error != OA_AUTH_OK) {
        return error;
    }

    return ngx_oa_auth_facts(issuer, &claims, &good, key);
}


static oa_auth_error_e
ngx_oa_auth_facts(ngx_oa_issuer_t *issuer, const oa_claims_t *claims,
    const oa_policy_facts_t *good, const oa_jwk_t *key)
{
    oa_token_facts_t  *facts;

    facts = &ngx_oa_auth_known;

    if (claims->sub.raw.len + claims->role.raw.len > sizeof(facts->text)) {
        return OA_AUTH_CLAIM;
    }

    ngx_memcpy(facts->print, oa_jwk_print(key), sizeof(facts->print));
    ngx_memcpy(facts->policy, issuer->digest, sizeof(facts->policy));
    ngx_memcpy(facts->session, good->session, sizeof(facts->session));
    ngx_memcpy(facts->user, good->user, sizeof(facts->user));

    facts->exp = good->exp;
    facts->has_session = good->has_session;
    facts->has_user = good->sub_is_uuid;

    facts->sub_len = ngx_oa_auth_copy_text(facts->text, &claims->sub);
    facts->role_len = ngx_oa_auth_copy_text(facts->text + facts->sub_len,
                                            &claims->role);

    return OA_AUTH_OK;
}


static size_t
ngx_oa_auth_copy_text(u_char *p, const oa_claim_t *claim)
{
    ngx_str_t  text;

    if (claim->type != OA_CLAIM_STRING) {
        return 0;
    }

    oa_claim_text(claim, p, &text);
    ngx_memmove(p, text.data, text.len);

    return text.len;
}


/* What time has brought: the token's end, or that of its session. */

static oa_auth_error_e
ngx_oa_auth_judge_now(ngx_oa_issuer_t *issuer)
{
    oa_token_facts_t  *facts;

    facts = &ngx_oa_auth_known;

    if (facts->exp + issuer->policy.leeway <= ngx_time()) {
        return OA_AUTH_EXPIRED;
    }

    if (ngx_oa_is_revoked(facts->has_session ? facts->session : NULL,
                          facts->has_user ? facts->user : NULL))
    {
        return OA_AUTH_REVOKED;
    }

    return OA_AUTH_OK;
}


ngx_int_t
ngx_oa_auth_payload(ngx_http_request_t *r, ngx_oa_auth_ctx_t *ctx)
{
    oa_jws_t  jws;

    if (ctx->payload.data) {
        return NGX_OK;
    }

    if (oa_jws_split(&ctx->token, &jws) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->payload.len = oa_base64url_decoded(jws.payload.len);

    ctx->payload.data = ngx_pnalloc(r->pool, ctx->payload.len);
    if (ctx->payload.data == NULL) {
        return NGX_ERROR;
    }

    return oa_base64url_decode(ctx->payload.data, jws.payload.data,
                               jws.payload.len);
}
