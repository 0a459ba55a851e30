
/*
 * The core module: its directives and its life.
 */


#include "ngx_oa_core_int.h"


static ngx_int_t ngx_oa_core_preconfiguration(ngx_conf_t *cf);
static void *ngx_oa_core_create_main_conf(ngx_conf_t *cf);
static char *ngx_oa_core_init_main_conf(ngx_conf_t *cf, void *conf);
static char *ngx_oa_core_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static ngx_int_t ngx_oa_core_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_oa_core_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_oa_core_init_process(ngx_cycle_t *cycle);
static void ngx_oa_core_exit_process(ngx_cycle_t *cycle);
static ngx_int_t ngx_oa_core_env(ngx_conf_t *cf, const char *name,
    ngx_str_t *value);


const ngx_uint_t    ngx_oa_core_abi = NGX_OA_CORE_ABI;

ngx_oa_identify_pt     ngx_oa_identify;
ngx_oa_credentials_pt  ngx_oa_credentials;
ngx_oa_ask_pt          ngx_oa_is_routed;
ngx_oa_ask_pt          ngx_oa_is_session;
ngx_oa_ask_pt          ngx_oa_is_stream;

const ngx_oa_auth_conf_t  *ngx_oa_auth_conf;


static ngx_command_t  ngx_oa_core_commands[] = {

    { ngx_string("oa_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_oa_core_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("oa_postgres"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE123,
      ngx_oa_pg_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("oa_trusted_certificate"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_oa_http_trusted,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_oa_core_module_ctx = {
    ngx_oa_core_preconfiguration,          /* preconfiguration */
    ngx_oa_core_postconfiguration,         /* postconfiguration */

    ngx_oa_core_create_main_conf,          /* create main configuration */
    ngx_oa_core_init_main_conf,            /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_oa_core_module = {
    NGX_MODULE_V1,
    &ngx_oa_core_module_ctx,               /* module context */
    ngx_oa_core_commands,                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_oa_core_init_module,               /* init module */
    ngx_oa_core_init_process,              /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_oa_core_exit_process,              /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/*
 * The hooks of the modules above, which may be gone with a reload: of the
 * configuration that is read they are filled anew before it is; of the one
 * that runs, when it begins to.
 */

static ngx_int_t
ngx_oa_core_preconfiguration(ngx_conf_t *cf)
{
    ngx_oa_auth_conf = NULL;

    return NGX_OK;
}


static void *
ngx_oa_core_create_main_conf(ngx_conf_t *cf)
{
    ngx_oa_core_main_conf_t  *cmcf;

    cmcf = ngx_pcalloc(cf->pool, sizeof(ngx_oa_core_main_conf_t));
    if (cmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&cmcf->zone.parts, cf->pool, 4,
                       sizeof(ngx_oa_zone_part_t *))
        != NGX_OK
        || ngx_array_init(&cmcf->duties, cf->pool, 4,
                          sizeof(ngx_oa_duty_slot_t))
           != NGX_OK
        || ngx_array_init(&cmcf->resolve.names, cf->pool, 2,
                          sizeof(ngx_oa_resolve_name_t))
           != NGX_OK)
    {
        return NULL;
    }

    if (ngx_oa_core_env(cf, "FLY_MACHINE_ID", &cmcf->fly.machine_id) != NGX_OK
        || ngx_oa_core_env(cf, "FLY_APP_NAME", &cmcf->fly.app_name) != NGX_OK
        || ngx_oa_core_env(cf, "FLY_REGION", &cmcf->fly.region) != NGX_OK)
    {
        return NULL;
    }

    return cmcf;
}


static char *
ngx_oa_core_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_oa_core_main_conf_t *cmcf = conf;

    if (cmcf->zone.size == 0) {
        cmcf->zone.size = NGX_OA_ZONE_DEFAULT;
    }

    return ngx_oa_zone_create(cf, cmcf) == NGX_OK ? NGX_CONF_OK
                                                  : NGX_CONF_ERROR;
}


static char *
ngx_oa_core_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_oa_core_main_conf_t *cmcf = conf;

    off_t       size;
    ngx_str_t  *value;

    if (cmcf->zone.size) {
        return "is duplicate";
    }

    value = cf->args->elts;
    size = ngx_parse_offset(&value[1]);

    if (size == NGX_ERROR || size < NGX_OA_ZONE_MIN || size > NGX_OA_ZONE_MAX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid size \"%V\" in \"oa_zone\", expected 1m "
                           "to 2g", &value[1]);
        return NGX_CONF_ERROR;
    }

    cmcf->zone.size = size;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_oa_core_postconfiguration(ngx_conf_t *cf)
{
    ngx_str_t                 name = ngx_string("request_id");
    ngx_oa_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_oa_core_module);

    cmcf->request_id = ngx_http_get_variable_index(cf, &name);
    if (cmcf->request_id == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (ngx_oa_resolve_postconf(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_oa_http_postconf(cf);
}


static ngx_int_t
ngx_oa_core_init_module(ngx_cycle_t *cycle)
{
    ngx_oa_core_main_conf_t  *cmcf;

    cmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_oa_core_module);

    ngx_oa_zone_running = cmcf ? &cmcf->zone : NULL;

    ngx_oa_identify = NULL;
    ngx_oa_credentials = NULL;
    ngx_oa_is_routed = NULL;
    ngx_oa_is_session = NULL;
    ngx_oa_is_stream = NULL;

    return NGX_OK;
}


static ngx_int_t
ngx_oa_core_init_process(ngx_cycle_t *cycle)
{
    ngx_oa_core_main_conf_t  *cmcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    cmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_oa_core_module);
    if (cmcf == NULL) {
        return NGX_OK;
    }

    ngx_oa_flights_init_process(cycle);

    if (ngx_oa_http_init_process(cycle) != NGX_OK
        || ngx_oa_pg_init_process(cycle) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_oa_duties_init_process(cycle, cmcf);
}


static void
ngx_oa_core_exit_process(ngx_cycle_t *cycle)
{
    if (ngx_oa_zone_running == NULL
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return;
    }

    ngx_oa_duties_exit_process();
    ngx_oa_http_exit_process();
    ngx_oa_pg_exit_process(cycle);
}


static ngx_int_t
ngx_oa_core_env(ngx_conf_t *cf, const char *name, ngx_str_t *value)
{
    char  *env;

    env = getenv(name);
    if (env == NULL) {
        return NGX_OK;
    }

    value->len = ngx_strlen(env);
    value->data = ngx_pnalloc(cf->pool, value->len);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(value->data, env, value->len);

    return NGX_OK;
}


ngx_oa_fly_t *
ngx_oa_fly(ngx_conf_t *cf)
{
    ngx_oa_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_oa_core_module);

    return &cmcf->fly;
}


ngx_oa_zone_t *
ngx_oa_zone(ngx_conf_t *cf)
{
    ngx_oa_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_oa_core_module);

    return &cmcf->zone;
}


ngx_int_t
ngx_oa_duty_add(ngx_conf_t *cf, ngx_oa_duty_t *duty)
{
    ngx_oa_duty_slot_t       *ds;
    ngx_oa_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_oa_core_module);

    ds = ngx_array_push(&cmcf->duties);
    if (ds == NULL) {
        return NGX_ERROR;
    }

    ds->duty = duty;
    ds->slot = 0;

    return NGX_OK;
}


ngx_oa_pg_conf_t *
ngx_oa_pg_conf(ngx_conf_t *cf)
{
    ngx_oa_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_oa_core_module);

    return &cmcf->pg;
}


ngx_oa_pg_conf_t *
ngx_oa_pg_conf_cycle(ngx_cycle_t *cycle)
{
    ngx_oa_core_main_conf_t  *cmcf;

    cmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_oa_core_module);

    return cmcf ? &cmcf->pg : NULL;
}


ngx_oa_http_conf_t *
ngx_oa_http_conf(ngx_conf_t *cf)
{
    ngx_oa_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_oa_core_module);

    return &cmcf->http;
}


ngx_oa_http_conf_t *
ngx_oa_http_conf_cycle(ngx_cycle_t *cycle)
{
    ngx_oa_core_main_conf_t  *cmcf;

    cmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_oa_core_module);

    return cmcf ? &cmcf->http : NULL;
}


ngx_oa_resolve_conf_t *
ngx_oa_resolve_conf(ngx_conf_t *cf)
{
    ngx_oa_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_oa_core_module);

    return &cmcf->resolve;
}


ngx_oa_resolve_conf_t *
ngx_oa_resolve_conf_cycle(ngx_cycle_t *cycle)
{
    ngx_oa_core_main_conf_t  *cmcf;

    cmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_oa_core_module);

    return cmcf ? &cmcf->resolve : NULL;
}
