
/*
 * The module of streams: its directives and its life.
 */


#include "ngx_oa_sse.h"

#include <openssl/evp.h>


static ngx_int_t ngx_oa_sse_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_oa_sse_postconfiguration(ngx_conf_t *cf);
static void *ngx_oa_sse_create_main_conf(ngx_conf_t *cf);
static void *ngx_oa_sse_create_loc_conf(ngx_conf_t *cf);
static char *ngx_oa_sse_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_oa_sse_digest_location(ngx_conf_t *cf,
    ngx_oa_sse_loc_conf_t *slcf);
static ngx_int_t ngx_oa_sse_variable(ngx_conf_t *cf, const char *name);
#if (NGX_SSL)
static ngx_int_t ngx_oa_sse_init_tls(ngx_conf_t *cf,
    ngx_oa_sse_main_conf_t *smcf);
#endif
static ngx_int_t ngx_oa_sse_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_oa_sse_init_process(ngx_cycle_t *cycle);
static ngx_uint_t ngx_oa_sse_is_stream(ngx_http_request_t *r);


#define NGX_OA_HTTP_SRV_LOC                                                   \
    (NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF)


static ngx_command_t  ngx_oa_sse_commands[] = {

    { ngx_string("oa_sse_pass"),
      NGX_HTTP_LOC_CONF|NGX_HTTP_LIF_CONF|NGX_CONF_1MORE,
      ngx_oa_sse_pass,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("oa_sse_dialect"),
      NGX_OA_HTTP_SRV_LOC|NGX_CONF_TAKE1,
      ngx_oa_sse_dialect,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("oa_sse_token"),
      NGX_OA_HTTP_SRV_LOC|NGX_CONF_TAKE1,
      ngx_oa_sse_token,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("oa_sse_set_header"),
      NGX_OA_HTTP_SRV_LOC|NGX_CONF_TAKE2,
      ngx_oa_sse_set_header,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("oa_sse_heartbeat"),
      NGX_OA_HTTP_SRV_LOC|NGX_CONF_TAKE1,
      ngx_oa_sse_number,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_oa_sse_loc_conf_t, heartbeat),
      &ngx_oa_sse_time },

    { ngx_string("oa_sse_buffer"),
      NGX_OA_HTTP_SRV_LOC|NGX_CONF_TAKE1,
      ngx_oa_sse_number,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_oa_sse_loc_conf_t, buffer),
      &ngx_oa_sse_size },

    { ngx_string("oa_sse_keep"),
      NGX_OA_HTTP_SRV_LOC|NGX_CONF_TAKE1,
      ngx_oa_sse_number,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_oa_sse_loc_conf_t, keep),
      &ngx_oa_sse_time },

    { ngx_string("oa_sse_idle_timeout"),
      NGX_OA_HTTP_SRV_LOC|NGX_CONF_TAKE1,
      ngx_oa_sse_number,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_oa_sse_loc_conf_t, idle_timeout),
      &ngx_oa_sse_time },

    { ngx_string("oa_sse_max_duration"),
      NGX_OA_HTTP_SRV_LOC|NGX_CONF_TAKE1,
      ngx_oa_sse_number,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_oa_sse_loc_conf_t, max_duration),
      &ngx_oa_sse_time },

    { ngx_string("oa_sse_max_streams"),
      NGX_OA_HTTP_SRV_LOC|NGX_CONF_TAKE1,
      ngx_oa_sse_number,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_oa_sse_loc_conf_t, max_streams),
      &ngx_oa_sse_count },

      ngx_null_command
};


static ngx_http_module_t  ngx_oa_sse_module_ctx = {
    ngx_oa_sse_preconfiguration,           /* preconfiguration */
    ngx_oa_sse_postconfiguration,          /* postconfiguration */

    ngx_oa_sse_create_main_conf,           /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_oa_sse_create_loc_conf,            /* create location configuration */
    ngx_oa_sse_merge_loc_conf              /* merge location configuration */
};


ngx_module_t  ngx_oa_sse_module = {
    NGX_MODULE_V1,
    &ngx_oa_sse_module_ctx,                /* module context */
    ngx_oa_sse_commands,                   /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_oa_sse_init_module,                /* init module */
    ngx_oa_sse_init_process,               /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_oa_sse_preconfiguration(ngx_conf_t *cf)
{
    return ngx_oa_check_abi(cf);
}


static void *
ngx_oa_sse_create_main_conf(ngx_conf_t *cf)
{
    ngx_oa_sse_main_conf_t  *smcf;

    smcf = ngx_pcalloc(cf->pool, sizeof(ngx_oa_sse_main_conf_t));

    if (smcf) {
        smcf->touch = NGX_OA_SSE_TOUCH;
    }

    return smcf;
}


static void *
ngx_oa_sse_create_loc_conf(ngx_conf_t *cf)
{
    ngx_oa_sse_loc_conf_t  *slcf;

    slcf = ngx_pcalloc(cf->pool, sizeof(ngx_oa_sse_loc_conf_t));
    if (slcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     slcf->url = NULL;
     *     slcf->allow = NULL;
     *     slcf->token = { 0, NULL };
     *     slcf->token_value = NULL;
     */

    slcf->dialect = NGX_CONF_UNSET_UINT;
    slcf->headers = NGX_CONF_UNSET_PTR;
    slcf->heartbeat = NGX_CONF_UNSET_MSEC;
    slcf->keep = NGX_CONF_UNSET_MSEC;
    slcf->idle_timeout = NGX_CONF_UNSET_MSEC;
    slcf->max_duration = NGX_CONF_UNSET_MSEC;
    slcf->buffer = NGX_CONF_UNSET_SIZE;
    slcf->max_streams = NGX_CONF_UNSET_UINT;

    return slcf;
}


static char *
ngx_oa_sse_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_oa_sse_loc_conf_t *prev = parent;
    ngx_oa_sse_loc_conf_t *conf = child;

    ngx_oa_sse_main_conf_t    *smcf;
    ngx_http_core_loc_conf_t  *clcf;

    smcf = ngx_http_conf_get_module_main_conf(cf, ngx_oa_sse_module);
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /* the handler of a location is that of its "if" and "limit_except" too */

    if (conf->url == NULL && prev->url && clcf->noname) {
        conf->url = prev->url;
        conf->allow = prev->allow;
        clcf->handler = ngx_oa_sse_handler;
    }

    ngx_conf_merge_uint_value(conf->dialect, prev->dialect, OA_DIALECT_SEED);
    ngx_conf_merge_ptr_value(conf->headers, prev->headers, NULL);
    ngx_conf_merge_msec_value(conf->heartbeat, prev->heartbeat, 15000);
    ngx_conf_merge_msec_value(conf->keep, prev->keep, 60000);
    ngx_conf_merge_msec_value(conf->idle_timeout, prev->idle_timeout, 300000);
    ngx_conf_merge_msec_value(conf->max_duration, prev->max_duration, 3600000);
    ngx_conf_merge_size_value(conf->buffer, prev->buffer, 256 * 1024);
    ngx_conf_merge_uint_value(conf->max_streams, prev->max_streams, 20);

    if (conf->token.data == NULL && conf->token_value == NULL) {
        conf->token = prev->token;
        conf->token_value = prev->token_value;
    }

    if (conf->keep < 4 * smcf->touch) {
        smcf->touch = ngx_max(conf->keep / 4, 10);
    }

    if (clcf->noname) {
        ngx_memcpy(conf->digest, prev->digest, OA_STREAM_ID);

    } else if (ngx_oa_sse_digest_location(cf, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/*
 * The same location after a reload is the same to an Idempotency-Key; but
 * "/a", "= /a" and "~ /a" are three.
 */

static ngx_int_t
ngx_oa_sse_digest_location(ngx_conf_t *cf, ngx_oa_sse_loc_conf_t *slcf)
{
    int                        ok;
    u_char                     md[EVP_MAX_MD_SIZE];
    ngx_str_t                  kind;
    EVP_MD_CTX                *ctx;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    ngx_str_set(&kind, " ");

    if (clcf->exact_match) {
        ngx_str_set(&kind, "=");
    }

#if (NGX_PCRE)
    if (clcf->regex) {
        ngx_str_set(&kind, "~");
    }
#endif

    ctx = EVP_MD_CTX_new();

    ok = ctx != NULL
         && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1
         && EVP_DigestUpdate(ctx, kind.data, kind.len) == 1
         && EVP_DigestUpdate(ctx, clcf->name.data, clcf->name.len) == 1
         && EVP_DigestFinal_ex(ctx, md, NULL) == 1;

    EVP_MD_CTX_free(ctx);

    if (!ok) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "SHA-256 of a location failed");
        return NGX_ERROR;
    }

    ngx_memcpy(slcf->digest, md, OA_STREAM_ID);

    return NGX_OK;
}


static ngx_int_t
ngx_oa_sse_postconfiguration(ngx_conf_t *cf)
{
    ngx_oa_sse_main_conf_t  *smcf;

    smcf = ngx_http_conf_get_module_main_conf(cf, ngx_oa_sse_module);

    if (!smcf->used) {
        return NGX_OK;
    }

    smcf->fly = ngx_oa_fly(cf);
    smcf->router = smcf->fly->machine_id;

    if (smcf->router.len == 0) {
        smcf->router = oa_stream_local;

    } else if (!oa_is_label(smcf->router.data, smcf->router.len)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "FLY_MACHINE_ID \"%V\" is no name of a machine",
                      &smcf->router);
        return NGX_ERROR;
    }

    smcf->machine_token = ngx_oa_sse_variable(cf, "oa_machine_token");
    smcf->route_id = ngx_oa_sse_variable(cf, "oa_route_id");
    smcf->request_id = ngx_oa_sse_variable(cf, "request_id");

#if (NGX_SSL)
    if (smcf->tls && ngx_oa_sse_init_tls(cf, smcf) != NGX_OK) {
        return NGX_ERROR;
    }
#endif

    ngx_oa_sse_limit_bodies();

    return ngx_oa_streams_add(cf, smcf);
}


/* A variable of a module that may not be there. */

static ngx_int_t
ngx_oa_sse_variable(ngx_conf_t *cf, const char *name)
{
    ngx_str_t                   s;
    ngx_uint_t                  i;
    ngx_hash_key_t             *key;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    s.data = (u_char *) name;
    s.len = ngx_strlen(name);

    key = cmcf->variables_keys->keys.elts;

    for (i = 0; i < cmcf->variables_keys->keys.nelts; i++) {
        if (key[i].key.len == s.len
            && ngx_memcmp(key[i].key.data, s.data, s.len) == 0)
        {
            return ngx_http_get_variable_index(cf, &s);
        }
    }

    return NGX_ERROR;
}


#if (NGX_SSL)

static ngx_int_t
ngx_oa_sse_init_tls(ngx_conf_t *cf, ngx_oa_sse_main_conf_t *smcf)
{
    ngx_pool_cleanup_t  *cln;

    smcf->ssl = ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t));
    if (smcf->ssl == NULL) {
        return NGX_ERROR;
    }

    smcf->ssl->log = cf->log;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    if (ngx_ssl_create(smcf->ssl, NGX_SSL_TLSv1_2|NGX_SSL_TLSv1_3, NULL)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = smcf->ssl;

    if (SSL_CTX_set1_verify_cert_store(smcf->ssl->ctx, ngx_oa_trusted(cf))
        != 1)
    {
        ngx_ssl_error(NGX_LOG_EMERG, cf->log, 0,
                      "SSL_CTX_set1_verify_cert_store() failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}

#endif


static ngx_int_t
ngx_oa_sse_init_module(ngx_cycle_t *cycle)
{
    ngx_oa_sse_main_conf_t  *smcf;

    smcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_oa_sse_module);

    if (smcf && smcf->used) {
        ngx_oa_is_stream = ngx_oa_sse_is_stream;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_oa_sse_init_process(ngx_cycle_t *cycle)
{
    ngx_oa_sse_main_conf_t  *smcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    smcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_oa_sse_module);

    return (smcf && smcf->used) ? ngx_oa_streams_init_process(smcf) : NGX_OK;
}


static ngx_uint_t
ngx_oa_sse_is_stream(ngx_http_request_t *r)
{
    ngx_oa_sse_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_oa_sse_module);

    return slcf->url != NULL;
}
