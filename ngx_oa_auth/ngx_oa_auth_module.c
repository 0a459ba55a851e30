
/*
 * The auth module: its directives and its life.
 */


#include "ngx_oa_auth.h"
#include "oa_args.h"

#include <openssl/rand.h>


static ngx_int_t ngx_oa_auth_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_oa_auth_postconfiguration(ngx_conf_t *cf);
static void *ngx_oa_auth_create_main_conf(ngx_conf_t *cf);
static void *ngx_oa_auth_create_loc_conf(ngx_conf_t *cf);
static char *ngx_oa_auth_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_array_t *ngx_oa_auth_default_sources(ngx_conf_t *cf);
static char *ngx_oa_auth_check_session(ngx_conf_t *cf,
    ngx_oa_auth_loc_conf_t *conf);
static ngx_int_t ngx_oa_auth_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_oa_auth_init_process(ngx_cycle_t *cycle);
static void ngx_oa_auth_exit_process(ngx_cycle_t *cycle);
static ngx_oa_auth_main_conf_t *ngx_oa_auth_main(ngx_cycle_t *cycle);
static ngx_uint_t ngx_oa_auth_is_on(void **loc_conf);
static ngx_int_t ngx_oa_auth_issuers(ngx_conf_t *cf, ngx_array_t *names);
static size_t ngx_oa_auth_cache_size(ngx_uint_t npages);
static ngx_int_t ngx_oa_auth_cache_init(ngx_oa_zone_t *zone, void *part,
    ngx_uint_t fresh, void *data, ngx_log_t *log);


oa_token_cache_t  *ngx_oa_auth_cache;


static const ngx_oa_auth_conf_t  ngx_oa_auth_conf_hooks = {
    ngx_oa_auth_is_on,
    ngx_oa_auth_issuers
};


#define NGX_OA_HTTP_SRV_LOC                                                   \
    (NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF)


static ngx_command_t  ngx_oa_auth_commands[] = {

    { ngx_string("oa_issuer"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_oa_issuer_block,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("oa_auth"),
      NGX_OA_HTTP_SRV_LOC|NGX_CONF_1MORE,
      ngx_oa_auth,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("oa_auth_token"),
      NGX_OA_HTTP_SRV_LOC|NGX_CONF_1MORE,
      ngx_oa_auth_token,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("oa_auth_origin"),
      NGX_OA_HTTP_SRV_LOC|NGX_CONF_1MORE,
      ngx_oa_auth_origin,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_oa_auth_loc_conf_t, origins),
      NULL },

    { ngx_string("oa_auth_require"),
      NGX_OA_HTTP_SRV_LOC|NGX_CONF_TAKE1|NGX_CONF_TAKE3|NGX_CONF_TAKE4,
      ngx_oa_auth_require,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("oa_auth_claim_set"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2,
      ngx_oa_auth_claim_set,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("oa_cors_origin"),
      NGX_OA_HTTP_SRV_LOC|NGX_CONF_1MORE,
      ngx_oa_cors_origin,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_oa_auth_loc_conf_t, cors),
      NULL },

    { ngx_string("oa_session"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_oa_auth_session,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_oa_auth_module_ctx = {
    ngx_oa_auth_preconfiguration,          /* preconfiguration */
    ngx_oa_auth_postconfiguration,         /* postconfiguration */

    ngx_oa_auth_create_main_conf,          /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_oa_auth_create_loc_conf,           /* create location configuration */
    ngx_oa_auth_merge_loc_conf             /* merge location configuration */
};


ngx_module_t  ngx_oa_auth_module = {
    NGX_MODULE_V1,
    &ngx_oa_auth_module_ctx,               /* module context */
    ngx_oa_auth_commands,                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_oa_auth_init_module,               /* init module */
    ngx_oa_auth_init_process,              /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_oa_auth_exit_process,              /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_oa_auth_preconfiguration(ngx_conf_t *cf)
{
    if (ngx_oa_check_abi(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_oa_auth_conf = &ngx_oa_auth_conf_hooks;

    return ngx_oa_add_variables(cf, ngx_oa_auth_vars);
}


static void *
ngx_oa_auth_create_main_conf(ngx_conf_t *cf)
{
    ngx_oa_auth_main_conf_t  *amcf;

    amcf = ngx_pcalloc(cf->pool, sizeof(ngx_oa_auth_main_conf_t));
    if (amcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&amcf->issuers, cf->pool, 2, sizeof(ngx_oa_issuer_t *))
        != NGX_OK
        || ngx_array_init(&amcf->cookies, cf->pool, 4, sizeof(ngx_str_t))
           != NGX_OK
        || ngx_array_init(&amcf->args, cf->pool, 2, sizeof(ngx_str_t))
           != NGX_OK
        || ngx_array_init(&amcf->sessions, cf->pool, 2, sizeof(ngx_str_t))
           != NGX_OK
        || ngx_oa_auth_add_name(&amcf->args, &oa_args_token) != NGX_OK)
    {
        return NULL;
    }

    return amcf;
}


static void *
ngx_oa_auth_create_loc_conf(ngx_conf_t *cf)
{
    ngx_oa_auth_loc_conf_t  *alcf;

    alcf = ngx_pcalloc(cf->pool, sizeof(ngx_oa_auth_loc_conf_t));
    if (alcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     alcf->optional = 0;
     *     alcf->session = { 0, NULL };
     */

    alcf->issuers = NGX_CONF_UNSET_PTR;
    alcf->sources = NGX_CONF_UNSET_PTR;
    alcf->origins = NGX_CONF_UNSET_PTR;
    alcf->requires = NGX_CONF_UNSET_PTR;
    alcf->cors = NGX_CONF_UNSET_PTR;

    return alcf;
}


static char *
ngx_oa_auth_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_oa_auth_loc_conf_t *prev = parent;
    ngx_oa_auth_loc_conf_t *conf = child;

    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (conf->issuers == NGX_CONF_UNSET_PTR) {
        conf->issuers = prev->issuers;
        conf->optional = prev->optional;
    }

    if (conf->issuers == NGX_CONF_UNSET_PTR) {
        conf->issuers = NULL;
    }

    if (conf->requires != NGX_CONF_UNSET_PTR && conf->requires
        && conf->issuers == NULL && clcf->name.len)
    {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "\"oa_auth_require\" in location \"%V\" asks nothing of "
                      "anybody: no \"oa_auth\" is on there", &clcf->name);
    }

    ngx_conf_merge_ptr_value(conf->origins, prev->origins, NULL);
    ngx_conf_merge_ptr_value(conf->requires, prev->requires, NULL);
    ngx_conf_merge_ptr_value(conf->cors, prev->cors, NULL);

    if (conf->sources == NGX_CONF_UNSET_PTR) {

        if (prev->sources == NGX_CONF_UNSET_PTR) {
            prev->sources = ngx_oa_auth_default_sources(cf);

            if (prev->sources == NULL) {
                return NGX_CONF_ERROR;
            }
        }

        conf->sources = prev->sources;
    }

    /* the handler of a location is that of its "if" and "limit_except" too */

    if (conf->session.len == 0 && prev->session.len && clcf->noname) {
        conf->session = prev->session;
        clcf->handler = ngx_oa_session_handler;
    }

    return ngx_oa_auth_check_session(cf, conf);
}


static ngx_array_t *
ngx_oa_auth_default_sources(ngx_conf_t *cf)
{
    ngx_uint_t             from;
    ngx_array_t           *sources;
    ngx_oa_auth_source_t  *source;

    sources = ngx_array_create(cf->pool, 2, sizeof(ngx_oa_auth_source_t));
    if (sources == NULL) {
        return NULL;
    }

    for (from = NGX_OA_FROM_HEADER; from <= NGX_OA_FROM_COOKIE; from++) {
        source = ngx_array_push(sources);
        if (source == NULL) {
            return NULL;
        }

        source->from = from;
        ngx_str_null(&source->name);
    }

    return sources;
}


/*
 * Everybody may come to a session, so it must be all that there is.  And it
 * needs somebody to judge the token: oa_auth, or its namesake.
 */

static char *
ngx_oa_auth_check_session(ngx_conf_t *cf, ngx_oa_auth_loc_conf_t *conf)
{
    ngx_str_t                  name;
    ngx_oa_issuer_t           *issuer, **p;
    ngx_oa_auth_main_conf_t   *amcf;
    ngx_http_core_loc_conf_t  *clcf;

    if (conf->session.len == 0) {
        return NGX_CONF_OK;
    }

    name.data = conf->session.data + (sizeof("__Host-") - 1);
    name.len = conf->session.len - (sizeof("__Host-") - 1);

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler != ngx_oa_session_handler) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"oa_session %V\" has another handler beside it "
                           "in location \"%V\"", &name, &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (conf->issuers) {
        return NGX_CONF_OK;
    }

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_oa_auth_module);

    issuer = ngx_oa_issuer_find(amcf, &name);

    if (issuer == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"oa_session %V\" needs an \"oa_auth\", or an "
                           "\"oa_issuer %V { ... }\" before it", &name, &name);
        return NGX_CONF_ERROR;
    }

    amcf->used = 1;

    conf->issuers = ngx_array_create(cf->pool, 1, sizeof(ngx_oa_issuer_t *));
    if (conf->issuers == NULL) {
        return NGX_CONF_ERROR;
    }

    p = ngx_array_push(conf->issuers);
    *p = issuer;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_oa_auth_postconfiguration(ngx_conf_t *cf)
{
    ngx_oa_auth_main_conf_t  *amcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_oa_auth_module);

    amcf->tls = (ngx_oa_fly(cf)->app_name.len != 0);

    if (amcf->cors && ngx_oa_cors_init(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!amcf->used) {
        return NGX_OK;
    }

    amcf->zone = ngx_oa_zone(cf);

    ngx_str_set(&amcf->part.name, "tokens");
    amcf->part.size = ngx_oa_auth_cache_size;
    amcf->part.init = ngx_oa_auth_cache_init;
    amcf->part.data = amcf;

    if (ngx_oa_zone_add(cf, &amcf->part) != NGX_OK
        || ngx_oa_revocation_add(cf, &amcf->revocation) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* PRECONTENT: where "satisfy any" has no say */

    if (ngx_oa_add_handler(cf, NGX_HTTP_POST_READ_PHASE, ngx_oa_auth_begin)
        != NGX_OK
        || ngx_oa_add_handler(cf, NGX_HTTP_PREACCESS_PHASE,
                                   ngx_oa_auth_prefetch_record)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_oa_add_handler(cf, NGX_HTTP_PRECONTENT_PHASE,
                                   ngx_oa_auth_handler);
}


static ngx_oa_auth_main_conf_t *
ngx_oa_auth_main(ngx_cycle_t *cycle)
{
    ngx_oa_auth_main_conf_t  *amcf;

    amcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_oa_auth_module);

    return amcf && amcf->used ? amcf : NULL;
}


static ngx_int_t
ngx_oa_auth_init_module(ngx_cycle_t *cycle)
{
    ngx_oa_auth_main_conf_t  *amcf;

    ngx_oa_cors_init_module();

    amcf = ngx_oa_auth_main(cycle);

    if (amcf == NULL) {
        return NGX_OK;
    }

    ngx_oa_auth_cache = amcf->part.addr;
    ngx_oa_revocation_init_module(amcf->revocation);

    ngx_oa_identify = ngx_oa_auth_identify;
    ngx_oa_credentials = ngx_oa_auth_credentials;
    ngx_oa_is_session = ngx_oa_session_is;

    return NGX_OK;
}


static ngx_int_t
ngx_oa_auth_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                 i;
    ngx_oa_issuer_t          **issuer;
    ngx_oa_auth_main_conf_t   *amcf;

    ngx_oa_cors_init_process();

    amcf = ngx_oa_auth_main(cycle);

    if (amcf == NULL
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    issuer = amcf->issuers.elts;

    for (i = 0; i < amcf->issuers.nelts; i++) {
        if (ngx_oa_keys_init_process(issuer[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_oa_auth_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                 i;
    ngx_oa_issuer_t          **issuer;
    ngx_oa_auth_main_conf_t   *amcf;

    amcf = ngx_oa_auth_main(cycle);

    if (amcf == NULL
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return;
    }

    issuer = amcf->issuers.elts;

    for (i = 0; i < amcf->issuers.nelts; i++) {
        ngx_oa_keys_exit_process(issuer[i]);
    }
}


/* What others ask of the configuration */


static ngx_uint_t
ngx_oa_auth_is_on(void **loc_conf)
{
    ngx_oa_auth_loc_conf_t  *alcf;

    alcf = loc_conf[ngx_oa_auth_module.ctx_index];

    return alcf->issuers != NULL;
}


static ngx_int_t
ngx_oa_auth_issuers(ngx_conf_t *cf, ngx_array_t *names)
{
    ngx_str_t                 *name;
    ngx_uint_t                 i;
    ngx_oa_issuer_t          **issuer;
    ngx_oa_auth_main_conf_t   *amcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_oa_auth_module);
    issuer = amcf->issuers.elts;

    for (i = 0; i < amcf->issuers.nelts; i++) {
        name = ngx_array_push(names);
        if (name == NULL) {
            return NGX_ERROR;
        }

        *name = issuer[i]->name;
    }

    return NGX_OK;
}


/* The cache in the zone */


static size_t
ngx_oa_auth_cache_size(ngx_uint_t npages)
{
    return oa_token_cache_size(npages);
}


static ngx_int_t
ngx_oa_auth_cache_init(ngx_oa_zone_t *zone, void *part, ngx_uint_t fresh,
    void *data, ngx_log_t *log)
{
    ngx_oa_auth_main_conf_t *amcf = data;

    u_char      seed[16];
    ngx_uint_t  npages;

    if (!fresh) {
        return NGX_OK;
    }

    if (RAND_bytes(seed, sizeof(seed)) != 1) {
        ngx_log_error(NGX_LOG_EMERG, log, 0, "RAND_bytes() failed");
        return NGX_ERROR;
    }

    (void) ngx_oa_zone_pages(zone, &npages);

    oa_token_cache_create(part, amcf->part.size(npages), seed);

    return NGX_OK;
}
