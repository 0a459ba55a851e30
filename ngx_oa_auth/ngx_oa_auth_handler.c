
/*
 * Who is asking: the hook for whoever decides on access, and the access of
 * locations where no router does.
 */


#include "ngx_oa_auth.h"


static void ngx_oa_auth_cleanup(void *data);
static void ngx_oa_auth_landed(ngx_oa_flight_t *flight, ngx_int_t rc);
static ngx_int_t ngx_oa_auth_decide(ngx_http_request_t *r,
    ngx_oa_auth_loc_conf_t *alcf, ngx_oa_auth_ctx_t *ctx);
static ngx_oa_auth_require_t *ngx_oa_auth_fails(ngx_http_request_t *r,
    ngx_oa_auth_loc_conf_t *alcf, ngx_oa_auth_ctx_t *ctx);
static ngx_uint_t ngx_oa_auth_holds(ngx_http_request_t *r,
    ngx_oa_auth_ctx_t *ctx, ngx_oa_auth_require_t *require);

static const ngx_oa_problem_t  ngx_oa_problem_token = {
    401, ngx_string("token_invalid"),
    ngx_string("The token was refused."), 0, ngx_null_string
};

static const ngx_oa_problem_t  ngx_oa_problem_keys = {
    503, ngx_string("keys_unavailable"),
    ngx_string("Tokens cannot be verified now. Try again in a moment."), 5,
    ngx_null_string
};

static const ngx_oa_problem_t  ngx_oa_problem_scope = {
    403, ngx_string("insufficient_scope"),
    ngx_string("The token does not allow this."), 0, ngx_null_string
};


ngx_oa_auth_ctx_t *
ngx_oa_auth_ctx(ngx_http_request_t *r)
{
    ngx_oa_auth_ctx_t  *ctx;

    ctx = ngx_oa_request_ctx(r, &ngx_oa_auth_module, ngx_oa_auth_cleanup);

    if (ctx) {
        return ctx;
    }

    ctx = ngx_palloc(r->pool, sizeof(ngx_oa_auth_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    ngx_memzero(ctx, offsetof(ngx_oa_auth_ctx_t, flight));
    ctx->request = r;

    ngx_http_set_ctx(r, ctx, ngx_oa_auth_module);

    return ctx;
}


static void
ngx_oa_auth_cleanup(void *data)
{
    ngx_oa_kept_t *kept = data;

    ngx_oa_auth_ctx_t  *ctx;

    ctx = kept->ctx;

    if (ctx->state == NGX_OA_AUTH_WAITING) {
        ngx_oa_flight_leave(&ctx->flight);
    }
}


/* Of every request, before it has a location. */

ngx_int_t
ngx_oa_auth_begin(ngx_http_request_t *r)
{
    ngx_oa_auth_mask_log(r);
    ngx_oa_auth_prefetch_bucket(r);

    return NGX_DECLINED;
}


/*
 * What is known now, for the variables, under the location in force: that of
 * another one, before a rewrite, is not asked.  An error page is told why.
 */

ngx_oa_auth_ctx_t *
ngx_oa_auth_peek(ngx_http_request_t *r)
{
    ngx_oa_auth_ctx_t       *ctx;
    ngx_oa_auth_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_oa_auth_module);

    ctx = ngx_oa_auth_ctx(r);
    if (ctx == NULL) {
        return NULL;
    }

    if (ctx->state == NGX_OA_AUTH_WAITING
        || ctx->state == NGX_OA_AUTH_LANDED
        || ctx->state == NGX_OA_AUTH_REFUSED)
    {
        return ctx;
    }

    if (alcf->issuers == NULL) {
        return NULL;
    }

    if (ctx->conf != alcf) {
        (void) ngx_oa_auth_judge(r, alcf, ctx, 0);
        ctx->state = NGX_OA_AUTH_PEEKED;
    }

    return ctx;
}


ngx_int_t
ngx_oa_auth_identify(ngx_http_request_t *r, ngx_oa_identity_t *identity)
{
    ngx_int_t                rc;
    ngx_oa_auth_ctx_t       *ctx;
    ngx_oa_auth_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_oa_auth_module);

    if (alcf->issuers == NULL) {
        return NGX_DECLINED;
    }

    ctx = ngx_oa_auth_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_oa_auth_decide(r, alcf, ctx);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_memzero(identity, sizeof(ngx_oa_identity_t));

    identity->problem = ctx->problem;

    if (ctx->error == OA_AUTH_MISSING) {
        identity->who = NGX_OA_NOBODY;
        identity->needed = (alcf->requires && !alcf->optional);

    } else if (ctx->problem) {
        identity->who = NGX_OA_REFUSED;

    } else {
        identity->who = NGX_OA_KNOWN;
        identity->issuer = ctx->issuer->name;
        identity->sub = ctx->sub;
    }

    return NGX_OK;
}


/* Where a router is bound it calls the hook; here it is only us. */

ngx_int_t
ngx_oa_auth_handler(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_oa_auth_ctx_t       *ctx;
    ngx_oa_auth_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_oa_auth_module);

    if (alcf->issuers == NULL
        || alcf->session.len
        || (ngx_oa_is_routed && ngx_oa_is_routed(r)))
    {
        return NGX_DECLINED;
    }

    ctx = ngx_oa_auth_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    /* an error page may be a file, but nothing that has a handler */

    if (ctx->state == NGX_OA_AUTH_REFUSED && r->internal
        && r->content_handler == NULL)
    {
        return NGX_DECLINED;
    }

    rc = ngx_oa_auth_decide(r, alcf, ctx);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ctx->problem == NULL
        || (ctx->error == OA_AUTH_MISSING && alcf->optional))
    {
        return NGX_DECLINED;
    }

    ctx->state = NGX_OA_AUTH_REFUSED;

    if (ngx_oa_request_keep(r, ctx, &ctx->kept, ngx_oa_auth_cleanup)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_finalize_request(r, ngx_oa_problem(r, ctx->problem));

    return NGX_DONE;
}


/*
 * NGX_OK: ctx->problem is that of a token which is missing or was refused, or
 * NULL for one that is good and meets all conditions.
 */

static ngx_int_t
ngx_oa_auth_decide(ngx_http_request_t *r, ngx_oa_auth_loc_conf_t *alcf,
    ngx_oa_auth_ctx_t *ctx)
{
    ngx_int_t               rc;
    ngx_oa_issuer_t       **issuer;
    ngx_oa_auth_require_t  *require;

    if (ctx->state == NGX_OA_AUTH_WAITING) {
        return NGX_AGAIN;
    }

    if (ctx->state == NGX_OA_AUTH_JUDGED && ctx->conf == alcf) {
        return NGX_OK;
    }

    ctx->flight.landed = ngx_oa_auth_landed;
    ctx->flight.data = ctx;

    rc = ngx_oa_auth_judge(r, alcf, ctx, ctx->waits < NGX_OA_AUTH_WAITS);

    if (rc == NGX_AGAIN) {
        return ngx_oa_auth_wait(r, ctx);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    /* should memory be short below, nobody has passed */

    ctx->state = NGX_OA_AUTH_JUDGED;
    ctx->problem = &ngx_oa_problem_keys;

    ngx_oa_count(NGX_OA_COUNT_TOKEN_RESULTS + ctx->error);

    if (ctx->hit) {
        ngx_oa_count(NGX_OA_COUNT_TOKEN_HITS);
    }

    switch (ctx->error) {

    case OA_AUTH_OK:
        require = ngx_oa_auth_fails(r, alcf, ctx);

        if (require == NULL) {
            ctx->problem = NULL;
            return NGX_OK;
        }

        return ngx_oa_auth_refuse(r, ctx, &ngx_oa_problem_scope,
                                  require->error);

    case OA_AUTH_MISSING:
        issuer = alcf->issuers->elts;
        ctx->problem = &issuer[0]->login;
        return NGX_OK;

    default:
        return ngx_oa_auth_refuse_token(r, ctx);
    }
}


ngx_int_t
ngx_oa_auth_wait(ngx_http_request_t *r, ngx_oa_auth_ctx_t *ctx)
{
    ctx->waits++;

    if (ngx_oa_request_keep(r, ctx, &ctx->kept, ngx_oa_auth_cleanup)
        != NGX_OK)
    {
        ngx_oa_flight_leave(&ctx->flight);
        return NGX_ERROR;
    }

    ctx->state = NGX_OA_AUTH_WAITING;
    ngx_oa_request_wait(r);

    return NGX_AGAIN;
}


static void
ngx_oa_auth_landed(ngx_oa_flight_t *flight, ngx_int_t rc)
{
    ngx_oa_auth_ctx_t *ctx = flight->data;

    if (rc == NGX_BUSY) {
        ctx->waits = NGX_OA_AUTH_WAITS;
    }

    ctx->state = NGX_OA_AUTH_LANDED;

    ngx_oa_request_go_on(ctx->request);
}


/* The first condition that does not hold. */

static ngx_oa_auth_require_t *
ngx_oa_auth_fails(ngx_http_request_t *r, ngx_oa_auth_loc_conf_t *alcf,
    ngx_oa_auth_ctx_t *ctx)
{
    ngx_uint_t              i;
    ngx_oa_auth_require_t  *require;

    if (alcf->requires == NULL) {
        return NULL;
    }

    require = alcf->requires->elts;

    for (i = 0; i < alcf->requires->nelts; i++) {
        if (!ngx_oa_auth_holds(r, ctx, &require[i])) {
            return &require[i];
        }
    }

    return NULL;
}


static ngx_uint_t
ngx_oa_auth_holds(ngx_http_request_t *r, ngx_oa_auth_ctx_t *ctx,
    ngx_oa_auth_require_t *require)
{
    u_char     *text;
    ngx_str_t   value;
    oa_claim_t  claim;

    if (ngx_oa_auth_payload(r, ctx) != NGX_OK) {
        return 0;
    }

    oa_claims_find(ctx->payload.data, ctx->payload.len, &require->path,
                   &claim);

    text = ngx_pnalloc(r->pool, claim.raw.len + 1);
    if (text == NULL) {
        return 0;
    }

    if (require->op == OA_REQUIRE_MATCH) {

        if (claim.type != OA_CLAIM_STRING) {
            return 0;
        }

        oa_claim_text(&claim, text, &value);

#if (NGX_PCRE)
        return ngx_regex_exec(require->regex, &value, NULL, 0) >= 0;
#else
        return 0;
#endif
    }

    if (ngx_http_complex_value(r, &require->value, &value) != NGX_OK) {
        return 0;
    }

    return oa_require_holds(require->op, &claim, &value, text);
}


ngx_int_t
ngx_oa_auth_refuse_token(ngx_http_request_t *r, ngx_oa_auth_ctx_t *ctx)
{
    if (ctx->error == OA_AUTH_KEYS_UNAVAILABLE) {
        ctx->problem = &ngx_oa_problem_keys;
        return NGX_OK;
    }

    return ngx_oa_auth_refuse(r, ctx, &ngx_oa_problem_token, 0);
}


ngx_int_t
ngx_oa_auth_refuse(ngx_http_request_t *r, ngx_oa_auth_ctx_t *ctx,
    const ngx_oa_problem_t *problem, ngx_uint_t status)
{
    u_char             *p;
    ngx_oa_issuer_t   **issuer;
    ngx_oa_problem_t   *copy;

    copy = ngx_palloc(r->pool, sizeof(ngx_oa_problem_t));
    if (copy == NULL) {
        return NGX_ERROR;
    }

    *copy = *problem;
    ctx->problem = copy;

    if (status) {
        copy->status = status;
    }

    issuer = ctx->conf->issuers->elts;

    p = ngx_pnalloc(r->pool, sizeof("Bearer realm=\"\", "
                                    "error=\"insufficient_scope\", "
                                    "error_description=\"not_yet_valid\"")
                             + issuer[0]->name.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    copy->challenge.data = p;

    if (ctx->error) {
        p = ngx_sprintf(p, "Bearer realm=\"%V\", error=\"invalid_token\", "
                        "error_description=\"%V\"", &issuer[0]->name,
                        ngx_oa_auth_error_name(ctx->error));

    } else {
        p = ngx_sprintf(p, "Bearer realm=\"%V\", error=\"%V\"",
                        &issuer[0]->name, &copy->code);
    }

    copy->challenge.len = p - copy->challenge.data;

    return NGX_OK;
}
