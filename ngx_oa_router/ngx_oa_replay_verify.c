
/*
 * oa_replay_verify: the other end, on the agent's own machine.  What a router
 * that has the key has replayed to this machine passes, and nothing else.
 */


#include "ngx_oa_router.h"

#include <openssl/crypto.h>


static const ngx_str_t  ngx_oa_h_replay_src = ngx_string("fly-replay-src");

static const ngx_oa_problem_t  ngx_oa_problem_unverified = {
    403, ngx_string("replay_unverified"),
    ngx_string("This machine answers only to its router."), 0,
    ngx_null_string
};


char *
ngx_oa_replay_verify(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_oa_router_loc_conf_t *rlcf = conf;

    ngx_int_t                   rc;
    ngx_str_t                  *value, secret;
    ngx_oa_fly_t               *fly;
    ngx_oa_router_main_conf_t  *rmcf;

    if (rlcf->verify_key != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        rlcf->verify_key = NULL;
        return NGX_CONF_OK;
    }

    fly = ngx_oa_fly(cf);

    if (fly->machine_id.len == 0) {
        return "needs FLY_MACHINE_ID in the environment: a replay is bound to "
               "its machine";
    }

    if (ngx_oa_secret(cf, &value[1], &secret) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    rlcf->verify_key = ngx_pnalloc(cf->pool, OA_REPLAY_KEY_LEN);
    if (rlcf->verify_key == NULL) {
        return NGX_CONF_ERROR;
    }

    rc = oa_replay_decode_key(&secret, rlcf->verify_key);

    OPENSSL_cleanse(secret.data, secret.len);

    rmcf = ngx_http_conf_get_module_main_conf(cf, ngx_oa_router_module);
    rmcf->verify = 1;

    if (rc != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" holds no derived key, expected 43 "
                           "characters of base64url or 64 hexadecimal digits",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_oa_replay_verify_handler(ngx_http_request_t *r)
{
    u_char                      buf[OA_REPLAY_SUB_MAX];
    ngx_str_t                  *value, sub;
    ngx_uint_t                  count;
    const char                 *why;
    oa_replay_src_t             src;
    ngx_oa_router_ctx_t        *ctx;
    ngx_oa_router_loc_conf_t   *rlcf;
    ngx_oa_router_main_conf_t  *rmcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_oa_router_module);

    if (rlcf->verify_key == NULL) {
        return NGX_DECLINED;
    }

    ctx = ngx_oa_router_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    /* an error page may be a file, but nothing that has a handler */

    if (ctx->unverified && r->internal && r->content_handler == NULL) {
        return NGX_DECLINED;
    }

    if (ngx_oa_router_keep(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    rmcf = ngx_http_get_module_main_conf(r, ngx_oa_router_module);

    value = ngx_oa_request_header(r, &ngx_oa_h_replay_src, &count);

    if (count == 0) {
        why = "no fly-replay-src";

    } else if (count > 1) {
        why = "several fly-replay-src";

    } else if (oa_replay_src_parse(value, &src) != NGX_OK) {
        why = "malformed fly-replay-src";

    } else if (src.state.len == 0) {
        why = "no state";

    } else if (oa_replay_state_verify(&src.state, rlcf->verify_key,
                                      ngx_time(), &rmcf->fly->machine_id,
                                      buf, &sub, &why)
               == NGX_OK)
    {
        ctx->replay_sub.len = sub.len;
        ctx->replay_sub.data = ngx_pnalloc(r->pool, sub.len);
        if (ctx->replay_sub.data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(ctx->replay_sub.data, sub.data, sub.len);

        ngx_oa_count(NGX_OA_COUNT_VERIFY_OK);

        return NGX_DECLINED;
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "replay refused: %s", why);

    ngx_oa_count(NGX_OA_COUNT_VERIFY_REFUSED);

    ctx->unverified = 1;

    ngx_http_finalize_request(r, ngx_oa_problem(r,
                                                &ngx_oa_problem_unverified));

    return NGX_DONE;
}
