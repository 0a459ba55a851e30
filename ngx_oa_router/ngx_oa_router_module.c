
/*
 * The router module: its directives and its life.
 */


#include "ngx_oa_router.h"

#include <openssl/rand.h>


static ngx_int_t ngx_oa_router_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_oa_router_postconfiguration(ngx_conf_t *cf);
static void *ngx_oa_router_create_main_conf(ngx_conf_t *cf);
static void *ngx_oa_router_create_loc_conf(ngx_conf_t *cf);
static char *ngx_oa_router_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_oa_router_init_module(ngx_cycle_t *cycle);
static char *ngx_oa_router(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static ngx_int_t ngx_oa_router_check_users(ngx_conf_t *cf,
    ngx_oa_router_main_conf_t *rmcf);
static char *ngx_oa_router_login_url(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_uint_t ngx_oa_router_is_bound(ngx_http_request_t *r);
static char *ngx_oa_router_machine_key(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_oa_router_large(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static size_t ngx_oa_router_zone_size(ngx_uint_t npages);
static ngx_int_t ngx_oa_router_zone_init(ngx_oa_zone_t *zone, void *part,
    ngx_uint_t fresh, void *data, ngx_log_t *log);
static void ngx_oa_router_zone_repair(ngx_oa_zone_t *zone, void *part,
    ngx_log_t *log);
static void *ngx_oa_router_new_page(void *data);


static ngx_conf_enum_t  ngx_oa_router_access[] = {
    { ngx_string("route"), NGX_OA_ACCESS_ROUTE },
    { ngx_string("owner"), NGX_OA_ACCESS_OWNER },
    { ngx_string("authenticated"), NGX_OA_ACCESS_AUTHENTICATED },
    { ngx_string("public"), NGX_OA_ACCESS_PUBLIC },
    { ngx_null_string, 0 }
};


#define NGX_OA_HTTP_SRV_LOC                                                   \
    (NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF)


static ngx_command_t  ngx_oa_router_commands[] = {

    { ngx_string("oa_routes"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_oa_routes_block,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("oa_router"),
      NGX_OA_HTTP_SRV_LOC|NGX_CONF_TAKE1,
      ngx_oa_router,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("oa_access"),
      NGX_OA_HTTP_SRV_LOC|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_oa_router_loc_conf_t, access),
      ngx_oa_router_access },

    { ngx_string("oa_login_url"),
      NGX_OA_HTTP_SRV_LOC|NGX_CONF_TAKE1,
      ngx_oa_router_login_url,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("oa_machine_key"),
      NGX_OA_HTTP_SRV_LOC|NGX_CONF_TAKE1,
      ngx_oa_router_machine_key,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("oa_replay"),
      NGX_HTTP_LOC_CONF|NGX_CONF_ANY,
      ngx_oa_replay,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("oa_replay_key"),
      NGX_OA_HTTP_SRV_LOC|NGX_CONF_TAKE12,
      ngx_oa_replay_key,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("oa_replay_set_header"),
      NGX_OA_HTTP_SRV_LOC|NGX_CONF_TAKE2,
      ngx_oa_replay_set_header,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("oa_replay_hide_header"),
      NGX_OA_HTTP_SRV_LOC|NGX_CONF_TAKE1,
      ngx_oa_replay_hide_header,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("oa_replay_large"),
      NGX_OA_HTTP_SRV_LOC|NGX_CONF_TAKE1,
      ngx_oa_router_large,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("oa_replay_verify"),
      NGX_OA_HTTP_SRV_LOC|NGX_CONF_TAKE1,
      ngx_oa_replay_verify,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_oa_router_module_ctx = {
    ngx_oa_router_preconfiguration,        /* preconfiguration */
    ngx_oa_router_postconfiguration,       /* postconfiguration */

    ngx_oa_router_create_main_conf,        /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_oa_router_create_loc_conf,         /* create location configuration */
    ngx_oa_router_merge_loc_conf           /* merge location configuration */
};


ngx_module_t  ngx_oa_router_module = {
    NGX_MODULE_V1,
    &ngx_oa_router_module_ctx,             /* module context */
    ngx_oa_router_commands,                /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_oa_router_init_module,             /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_oa_router_preconfiguration(ngx_conf_t *cf)
{
    if (ngx_oa_check_abi(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_oa_add_variables(cf, ngx_oa_router_vars);
}


static void *
ngx_oa_router_create_main_conf(ngx_conf_t *cf)
{
    ngx_oa_router_main_conf_t  *rmcf;

    rmcf = ngx_pcalloc(cf->pool, sizeof(ngx_oa_router_main_conf_t));
    if (rmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&rmcf->routes, cf->pool, 4, sizeof(ngx_oa_routes_t *))
        != NGX_OK
        || ngx_array_init(&rmcf->replays, cf->pool, 4, sizeof(void **))
           != NGX_OK)
    {
        return NULL;
    }

    return rmcf;
}


static void *
ngx_oa_router_create_loc_conf(ngx_conf_t *cf)
{
    ngx_oa_router_loc_conf_t  *rlcf;

    rlcf = ngx_pcalloc(cf->pool, sizeof(ngx_oa_router_loc_conf_t));
    if (rlcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     rlcf->machine_key = { 0, NULL };
     *     rlcf->replay = NULL;
     *     rlcf->replay_key = { 0, NULL };
     *     rlcf->large = { 0, NULL };
     */

    rlcf->routes = NGX_CONF_UNSET_PTR;
    rlcf->access = NGX_CONF_UNSET_UINT;
    rlcf->set_headers = NGX_CONF_UNSET_PTR;
    rlcf->hide_headers = NGX_CONF_UNSET_PTR;
    rlcf->verify_key = NGX_CONF_UNSET_PTR;
    rlcf->login_url = NGX_CONF_UNSET_PTR;

    return rlcf;
}


static char *
ngx_oa_router_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_oa_router_loc_conf_t *prev = parent;
    ngx_oa_router_loc_conf_t *conf = child;

    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /* the handler of a location is that of its "if" and "limit_except" too */

    if (conf->replay == NULL && prev->replay && clcf->noname) {
        conf->replay = prev->replay;
        clcf->handler = ngx_oa_replay_handler;
    }

    ngx_conf_merge_ptr_value(conf->routes, prev->routes, NULL);
    ngx_conf_merge_uint_value(conf->access, prev->access,
                              NGX_OA_ACCESS_ROUTE);
    ngx_conf_merge_str_value(conf->machine_key, prev->machine_key, "");
    ngx_conf_merge_ptr_value(conf->set_headers, prev->set_headers, NULL);
    ngx_conf_merge_ptr_value(conf->hide_headers, prev->hide_headers, NULL);
    ngx_conf_merge_ptr_value(conf->verify_key, prev->verify_key, NULL);
    ngx_conf_merge_ptr_value(conf->login_url, prev->login_url, NULL);
    ngx_conf_merge_str_value(conf->large, prev->large, "");

    if (conf->replay_key.data == NULL) {
        conf->replay_key = prev->replay_key;
        conf->replay_key_per_machine = prev->replay_key_per_machine;
    }

    return ngx_oa_replay_check(cf, conf);
}


static ngx_int_t
ngx_oa_router_postconfiguration(ngx_conf_t *cf)
{
    ngx_uint_t                  i;
    ngx_oa_routes_t           **routes;
    ngx_oa_router_main_conf_t  *rmcf;

    rmcf = ngx_http_conf_get_module_main_conf(cf, ngx_oa_router_module);
    rmcf->fly = ngx_oa_fly(cf);

    routes = rmcf->routes.elts;

    for (i = 0; i < rmcf->routes.nelts; i++) {
        if (routes[i]->source == NGX_OA_SOURCE_POSTGRES
            && !ngx_oa_pg_configured(cf))
        {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "oa_routes \"%V\": \"source postgres\" needs an "
                          "\"oa_postgres\" in %V:%ui", &routes[i]->name,
                          &routes[i]->conf_file, routes[i]->conf_line);
            return NGX_ERROR;
        }
    }

    if (ngx_oa_router_check_users(cf, rmcf) != NGX_OK
        || ngx_oa_replay_check_auth(rmcf, cf->log) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (rmcf->routes.nelts) {
        ngx_str_set(&rmcf->part.name, "routes");
        rmcf->part.size = ngx_oa_router_zone_size;
        rmcf->part.init = ngx_oa_router_zone_init;
        rmcf->part.repair = ngx_oa_router_zone_repair;
        rmcf->part.data = rmcf;

        if (ngx_oa_zone_add(cf, &rmcf->part) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    /* in a phase the handler added last runs first */

    if (rmcf->routes.nelts
        && (ngx_oa_add_handler(cf, NGX_HTTP_PRECONTENT_PHASE,
                                      ngx_oa_router_handler)
            != NGX_OK
            || ngx_oa_add_handler(cf, NGX_HTTP_POST_READ_PHASE,
                                         ngx_oa_router_prefetch_index)
               != NGX_OK
            || ngx_oa_add_handler(cf, NGX_HTTP_PREACCESS_PHASE,
                                         ngx_oa_router_prefetch_record)
               != NGX_OK))
    {
        return NGX_ERROR;
    }

    if (!rmcf->verify) {
        return NGX_OK;
    }

    return ngx_oa_add_handler(cf, NGX_HTTP_PRECONTENT_PHASE,
                                     ngx_oa_replay_verify_handler);
}


/*
 * The same subject of two issuers is two users: with several issuers it must
 * be said whose own the routes.
 */

static ngx_int_t
ngx_oa_router_check_users(ngx_conf_t *cf, ngx_oa_router_main_conf_t *rmcf)
{
    ngx_str_t         *name;
    ngx_uint_t         i, n;
    ngx_array_t        names;
    ngx_oa_routes_t  **routes;

    if (ngx_oa_auth_conf == NULL) {
        return NGX_OK;
    }

    if (ngx_array_init(&names, cf->temp_pool, 4, sizeof(ngx_str_t)) != NGX_OK
        || ngx_oa_auth_conf->issuers(cf, &names) != NGX_OK)
    {
        return NGX_ERROR;
    }

    name = names.elts;
    routes = rmcf->routes.elts;

    for (i = 0; i < rmcf->routes.nelts; i++) {

        if (names.nelts == 0 || (routes[i]->users.len == 0 && names.nelts == 1))
        {
            continue;
        }

        for (n = 0; n < names.nelts; n++) {
            if (name[n].len == routes[i]->users.len
                && ngx_memcmp(name[n].data, routes[i]->users.data,
                              name[n].len)
                   == 0)
            {
                break;
            }
        }

        if (n < names.nelts) {
            continue;
        }

        if (routes[i]->users.len) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "oa_routes \"%V\": \"users %V\" names no oa_issuer "
                          "in %V:%ui", &routes[i]->name, &routes[i]->users,
                          &routes[i]->conf_file, routes[i]->conf_line);

        } else {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "oa_routes \"%V\": with several oa_issuer it needs "
                          "\"users\" with the one whose subjects own routes "
                          "in %V:%ui", &routes[i]->name,
                          &routes[i]->conf_file, routes[i]->conf_line);
        }

        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_oa_router_is_bound(ngx_http_request_t *r)
{
    ngx_oa_router_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_oa_router_module);

    return rlcf->routes != NULL;
}


/* Files are read before the first request, and again on a reload. */

static ngx_int_t
ngx_oa_router_init_module(ngx_cycle_t *cycle)
{
    ngx_uint_t                   i;
    ngx_oa_routes_t            **routes;
    ngx_oa_router_main_conf_t   *rmcf;

    rmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_oa_router_module);

    if (rmcf == NULL) {
        return NGX_OK;
    }

    ngx_oa_is_routed = ngx_oa_router_is_bound;

    routes = rmcf->routes.elts;

    for (i = 0; i < rmcf->routes.nelts; i++) {
        if (routes[i]->source == NGX_OA_SOURCE_FILE) {
            ngx_oa_routes_file_load(routes[i], cycle->log);
        }
    }

    return NGX_OK;
}


static char *
ngx_oa_router(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_oa_router_loc_conf_t *rlcf = conf;

    ngx_str_t                   *value;
    ngx_uint_t                   i;
    ngx_oa_routes_t            **routes;
    ngx_oa_router_main_conf_t   *rmcf;

    if (rlcf->routes != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        rlcf->routes = NULL;
        return NGX_CONF_OK;
    }

    rmcf = ngx_http_conf_get_module_main_conf(cf, ngx_oa_router_module);
    routes = rmcf->routes.elts;

    for (i = 0; i < rmcf->routes.nelts; i++) {
        if (routes[i]->name.len == value[1].len
            && ngx_memcmp(routes[i]->name.data, value[1].data, value[1].len)
               == 0)
        {
            rlcf->routes = routes[i];
            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown oa_routes \"%V\": an \"oa_routes %V { ... }\" "
                       "must stand before it", &value[1], &value[1]);

    return NGX_CONF_ERROR;
}


/* Like ngx_http_set_complex_value_slot(), which takes no "off". */

static char *
ngx_oa_router_login_url(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_oa_router_loc_conf_t *rlcf = conf;

    ngx_str_t                         *value;
    ngx_http_compile_complex_value_t   ccv;

    if (rlcf->login_url != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        rlcf->login_url = NULL;
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value[1].data, "https://", 8) != 0
        && ngx_strncmp(value[1].data, "http://", 7) != 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid URL \"%V\", expected one that begins with "
                           "\"https://\" or \"http://\", or \"off\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    rlcf->login_url = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (rlcf->login_url == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &value[1];
    ccv.complex_value = rlcf->login_url;

    return ngx_http_compile_complex_value(&ccv) == NGX_OK ? NGX_CONF_OK
                                                          : NGX_CONF_ERROR;
}


static char *
ngx_oa_router_machine_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_oa_router_loc_conf_t *rlcf = conf;

    ngx_str_t  *value;

    if (rlcf->machine_key.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_oa_secret(cf, &value[1], &rlcf->machine_key) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_oa_router_large(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_oa_router_loc_conf_t *rlcf = conf;

    ngx_str_t  *value;

    if (rlcf->large.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len < 2 || value[1].data[0] != '@') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\", expected a named location "
                           "like \"@direct\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    rlcf->large = value[1];

    return NGX_CONF_OK;
}


/* The table in the zone */


static size_t
ngx_oa_router_zone_size(ngx_uint_t npages)
{
    return oa_table_size(npages);
}


static ngx_int_t
ngx_oa_router_zone_init(ngx_oa_zone_t *zone, void *part, ngx_uint_t fresh,
    void *data, ngx_log_t *log)
{
    ngx_oa_router_main_conf_t *rmcf = data;

    uint64_t           seed;
    ngx_uint_t         i;
    oa_table_t        *table;
    ngx_oa_routes_t  **routes;

    table = &rmcf->table;

    table->shm = part;
    table->pages = ngx_oa_zone_pages(zone, &table->npages);
    table->new_page = ngx_oa_router_new_page;
    table->data = zone;

    if (fresh) {
        if (RAND_bytes((u_char *) &seed, sizeof(uint64_t)) != 1) {
            ngx_log_error(NGX_LOG_EMERG, log, 0, "RAND_bytes() failed");
            return NGX_ERROR;
        }

        oa_table_create(table, part, seed);
    }

    routes = rmcf->routes.elts;

    for (i = 0; i < rmcf->routes.nelts; i++) {
        routes[i]->info = oa_table_info(table, &routes[i]->name,
                                        &routes[i]->id);

        if (routes[i]->info == NULL) {
            ngx_log_error(NGX_LOG_EMERG, log, 0,
                          "oa_routes \"%V\": %d names were used since nginx "
                          "started, no more fit into oa_zone",
                          &routes[i]->name, OA_TABLES);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_oa_router_zone_repair(ngx_oa_zone_t *zone, void *part, ngx_log_t *log)
{
    oa_table_t  table;

    table.shm = part;
    table.pages = ngx_oa_zone_pages(zone, &table.npages);
    table.new_page = NULL;
    table.data = NULL;

    oa_table_repair(&table);
}


static void *
ngx_oa_router_new_page(void *data)
{
    return ngx_oa_zone_page(data);
}
