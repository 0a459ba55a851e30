
/*
 * The directives of the replay.
 */


#include "ngx_oa_router.h"
#include "oa_field.h"


static char *ngx_oa_replay_param(ngx_conf_t *cf, ngx_oa_replay_conf_t *replay,
    ngx_str_t *value);
static char *ngx_oa_replay_cache(ngx_conf_t *cf, ngx_oa_replay_conf_t *replay,
    ngx_str_t *value);
static ngx_uint_t ngx_oa_replay_value(ngx_str_t *arg, const char *name,
    ngx_str_t *value);


char *
ngx_oa_replay(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_oa_router_loc_conf_t *rlcf = conf;

    char                      *rv;
    ngx_str_t                 *value;
    ngx_uint_t                 i;
    ngx_oa_replay_conf_t      *replay;
    ngx_http_core_loc_conf_t  *clcf;

    if (rlcf->replay) {
        return "is duplicate";
    }

    replay = ngx_pcalloc(cf->pool, sizeof(ngx_oa_replay_conf_t));
    if (replay == NULL) {
        return NGX_CONF_ERROR;
    }

    replay->status = NGX_HTTP_TEMPORARY_REDIRECT;
    replay->conf_file = cf->conf_file->file.name;
    replay->conf_line = cf->conf_file->line;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        rv = ngx_oa_replay_param(cf, replay, &value[i]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (replay->format == NGX_OA_FORMAT_JSON
        && replay->status == NGX_HTTP_NO_CONTENT)
    {
        return "cannot be \"format=json\" with \"status=204\", which has no "
               "body";
    }

    if (replay->format == NGX_OA_FORMAT_JSON && replay->forward_credentials) {
        return "cannot be \"format=json\" with \"forward_credentials\": json "
               "never forwards them";
    }

    rlcf->replay = replay;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_oa_replay_handler;

    return NGX_CONF_OK;
}


static ngx_uint_t
ngx_oa_replay_value(ngx_str_t *arg, const char *name, ngx_str_t *value)
{
    size_t  len;

    len = ngx_strlen(name);

    if (arg->len <= len || ngx_strncmp(arg->data, name, len) != 0) {
        return 0;
    }

    value->data = arg->data + len;
    value->len = arg->len - len;

    return 1;
}


static char *
ngx_oa_replay_param(ngx_conf_t *cf, ngx_oa_replay_conf_t *replay,
    ngx_str_t *arg)
{
    ngx_int_t  n;
    ngx_str_t  value;

    if (ngx_strcmp(arg->data, "prefer") == 0) {
        replay->prefer = 1;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(arg->data, "forward_credentials") == 0) {
        replay->forward_credentials = 1;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(arg->data, "format=header") == 0) {
        replay->format = NGX_OA_FORMAT_HEADER;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(arg->data, "format=json") == 0) {
        replay->format = NGX_OA_FORMAT_JSON;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(arg->data, "fallback=prefer_self") == 0
        || ngx_strcmp(arg->data, "fallback=force_self") == 0)
    {
        (void) ngx_oa_replay_value(arg, "fallback=", &replay->fallback);
        return NGX_CONF_OK;
    }

    if (ngx_oa_replay_value(arg, "timeout=", &value)) {
        n = oa_replay_duration(&value);

        if (n == NGX_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid timeout in \"%V\", expected one of "
                               "1ms to 10m, like \"20s\"", arg);
            return NGX_CONF_ERROR;
        }

        replay->timeout = value;
        replay->timeout_sec = (n + 999) / 1000;
        return NGX_CONF_OK;
    }

    if (ngx_oa_replay_value(arg, "status=", &value)) {
        n = ngx_atoi(value.data, value.len);

        if (n != 200 && n != 204 && n != 307 && n != 409) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid status in \"%V\", expected 200, 204, "
                               "307 or 409", arg);
            return NGX_CONF_ERROR;
        }

        replay->status = n;
        return NGX_CONF_OK;
    }

    if (ngx_oa_replay_value(arg, "cache=", &value)) {
        return ngx_oa_replay_cache(cf, replay, &value);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\", expected format=header|json,"
                       " forward_credentials, prefer, timeout=TIME, "
                       "fallback=prefer_self|force_self, cache=PATH[,TIME] or "
                       "status=CODE", arg);

    return NGX_CONF_ERROR;
}


static char *
ngx_oa_replay_cache(ngx_conf_t *cf, ngx_oa_replay_conf_t *replay,
    ngx_str_t *value)
{
    u_char      *p, *last;
    ngx_int_t    ttl;
    ngx_str_t    time;

    ttl = 60;
    last = value->data + value->len;
    p = ngx_strlchr(value->data, last, ',');

    if (p) {
        time.data = p + 1;
        time.len = last - time.data;
        ttl = ngx_parse_time(&time, 1);
        last = p;
    }

    replay->cache_path.data = value->data;
    replay->cache_path.len = last - value->data;
    replay->cache_ttl = ttl;

    /* "/" first and "*" last, and nothing that ends a header's field */

    for (p = value->data; p < last; p++) {
        if (*p <= 0x20 || *p >= 0x7f || *p == ';' || *p == '"'
            || (*p == '*' && p != last - 1))
        {
            break;
        }
    }

    if (p < last || last - value->data < 2 || value->data[0] != '/'
        || last[-1] != '*' || ttl == NGX_ERROR || ttl < 10)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid cache \"%V\", expected a path that ends "
                           "with \"*\" and a time of 10s or more, like "
                           "\"/static/*,60s\"", value);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_oa_replay_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_oa_router_loc_conf_t *rlcf = conf;

    ngx_str_t  *value;

    if (rlcf->replay_key.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    rlcf->replay_key_per_machine = 0;

    if (cf->args->nelts == 3) {
        if (ngx_strcmp(value[2].data, "per=machine") == 0) {
            rlcf->replay_key_per_machine = 1;

        } else if (ngx_strcmp(value[2].data, "per=app") != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", expected per=app or "
                               "per=machine", &value[2]);
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_oa_secret(cf, &value[1], &rlcf->replay_key) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_oa_replay_set_header(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_oa_router_loc_conf_t *rlcf = conf;

    ngx_str_t                         *value;
    ngx_oa_set_header_t               *sh;
    ngx_http_compile_complex_value_t   ccv;

    value = cf->args->elts;

    if (!oa_is_token(&value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is not the name of a header", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (rlcf->set_headers == NGX_CONF_UNSET_PTR) {
        rlcf->set_headers = ngx_array_create(cf->pool, 4,
                                             sizeof(ngx_oa_set_header_t));
        if (rlcf->set_headers == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    sh = ngx_array_push(rlcf->set_headers);
    if (sh == NULL) {
        return NGX_CONF_ERROR;
    }

    sh->name = value[1];

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &value[2];
    ccv.complex_value = &sh->value;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_oa_replay_hide_header(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_oa_router_loc_conf_t *rlcf = conf;

    ngx_str_t  *value, *name;

    value = cf->args->elts;

    if (!oa_is_token(&value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is not the name of a header", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (rlcf->hide_headers == NGX_CONF_UNSET_PTR) {
        rlcf->hide_headers = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));
        if (rlcf->hide_headers == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    name = ngx_array_push(rlcf->hide_headers);
    if (name == NULL) {
        return NGX_CONF_ERROR;
    }

    *name = value[1];

    return NGX_CONF_OK;
}


/* What goes together and what does not, once all is merged. */

char *
ngx_oa_replay_check(ngx_conf_t *cf, ngx_oa_router_loc_conf_t *rlcf)
{
    void                     ***loc_conf;
    const char                 *why;
    ngx_oa_replay_conf_t       *replay;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_oa_router_main_conf_t  *rmcf;

    replay = rlcf->replay;

    if (replay == NULL) {
        return NGX_CONF_OK;
    }

    rmcf = ngx_http_conf_get_module_main_conf(cf, ngx_oa_router_module);

    loc_conf = ngx_array_push(&rmcf->replays);
    if (loc_conf == NULL) {
        return NGX_CONF_ERROR;
    }

    *loc_conf = ((ngx_http_conf_ctx_t *) cf->ctx)->loc_conf;

    why = NULL;
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (rlcf->routes == NULL) {
        why = "needs an \"oa_router\"";

    } else if (replay->cache_path.len
               && (rlcf->replay_key.len || replay->timeout.len
                   || replay->fallback.len))
    {
        why = "with \"cache=\" cannot go with \"oa_replay_key\", "
              "\"timeout=\" or \"fallback=\": Fly ignores them on cached "
              "replays";

    } else if (replay->format == NGX_OA_FORMAT_HEADER
               && (rlcf->set_headers || rlcf->hide_headers))
    {
        why = "must be \"format=json\" for \"oa_replay_set_header\" and "
              "\"oa_replay_hide_header\"";

    } else if (replay->status == NGX_HTTP_NO_CONTENT
               && (rlcf->set_headers || rlcf->hide_headers))
    {
        why = "with \"status=204\" has no body for \"oa_replay_set_header\" "
              "and \"oa_replay_hide_header\"";

    } else if (rlcf->large.len
               && clcf->client_max_body_size != 0
               && clcf->client_max_body_size <= NGX_OA_REPLAY_BODY_MAX)
    {
        why = "with \"oa_replay_large\" needs a \"client_max_body_size\" of 0 "
              "or above 1m";
    }

    if (why) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"oa_replay\" directive %s in %V:%ui",
                      why, &replay->conf_file, replay->conf_line);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/*
 * Authentication may come from a module that reads its directives later than
 * this one, so it is looked at when all have been read.
 */

ngx_int_t
ngx_oa_replay_check_auth(ngx_oa_router_main_conf_t *rmcf, ngx_log_t *log)
{
    void                    ***loc_conf;
    ngx_uint_t                 i;
    const char                *why;
    ngx_oa_replay_conf_t      *replay;
    ngx_oa_router_loc_conf_t  *rlcf;

    if (ngx_oa_auth_conf == NULL) {
        return NGX_OK;
    }

    loc_conf = rmcf->replays.elts;

    for (i = 0; i < rmcf->replays.nelts; i++) {
        rlcf = loc_conf[i][ngx_oa_router_module.ctx_index];
        replay = rlcf->replay;

        why = NULL;

        if (!ngx_oa_auth_conf->is_on(loc_conf[i])) {
            continue;
        }

        if (replay->format == NGX_OA_FORMAT_HEADER
            && !replay->forward_credentials)
        {
            why = "\"oa_replay format=header\" with \"oa_auth\" hands the "
                  "user's token to the agent's machine: write "
                  "\"forward_credentials\" if that is meant, or leave "
                  "\"format\" out";

        } else if (replay->cache_path.len
                   && rlcf->access != NGX_OA_ACCESS_PUBLIC)
        {
            why = "\"oa_replay cache=\" with \"oa_auth\" lets Fly replay "
                  "without asking for whom: it needs \"oa_access public\"";
        }

        if (why) {
            ngx_log_error(NGX_LOG_EMERG, log, 0,
                          "%s, in %V:%ui", why, &replay->conf_file,
                          replay->conf_line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
