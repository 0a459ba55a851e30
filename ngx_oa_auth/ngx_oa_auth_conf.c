
/*
 * The directives of a location.
 */


#include "ngx_oa_auth.h"
#include "oa_args.h"
#include "oa_field.h"


static ngx_int_t ngx_oa_auth_pick(ngx_conf_t *cf, ngx_array_t *issuers,
    ngx_oa_issuer_t *issuer);
static ngx_int_t ngx_oa_auth_check_path(ngx_conf_t *cf, ngx_str_t *path);
static ngx_int_t ngx_oa_auth_require_parse(ngx_conf_t *cf,
    ngx_oa_auth_require_t *require, ngx_str_t *value);
static ngx_int_t ngx_oa_auth_require_error(ngx_conf_t *cf,
    ngx_oa_auth_require_t *require, ngx_str_t *value);


static ngx_str_t  ngx_oa_auth_froms[] = {
    ngx_string("header"),
    ngx_string("cookie"),
    ngx_string("query"),
    ngx_string("protocol")
};


ngx_int_t
ngx_oa_auth_add_name(ngx_array_t *names, const ngx_str_t *name)
{
    ngx_str_t   *n;
    ngx_uint_t   i;

    n = names->elts;

    for (i = 0; i < names->nelts; i++) {
        if (ngx_oa_auth_is(&n[i], name)) {
            return NGX_OK;
        }
    }

    if (names->nelts == NGX_OA_CREDENTIALS) {
        return NGX_ERROR;
    }

    n = ngx_array_push(names);
    if (n == NULL) {
        return NGX_ERROR;
    }

    *n = *name;

    return NGX_OK;
}


char *
ngx_oa_auth(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_oa_auth_loc_conf_t *alcf = conf;

    ngx_str_t                *value;
    ngx_uint_t                i;
    ngx_oa_issuer_t          *issuer;
    ngx_oa_auth_main_conf_t  *amcf;

    if (alcf->issuers != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        alcf->issuers = NULL;
        return NGX_CONF_OK;
    }

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_oa_auth_module);
    amcf->used = 1;

    alcf->issuers = ngx_array_create(cf->pool, 2, sizeof(ngx_oa_issuer_t *));
    if (alcf->issuers == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (i > 1 && i == cf->args->nelts - 1
            && ngx_strcmp(value[i].data, "optional") == 0)
        {
            alcf->optional = 1;
            break;
        }

        issuer = ngx_oa_issuer_find(amcf, &value[i]);

        if (issuer == NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "unknown oa_issuer \"%V\": an \"oa_issuer %V "
                               "{ ... }\" must stand before it",
                               &value[i], &value[i]);
            return NGX_CONF_ERROR;
        }

        if (ngx_oa_auth_pick(cf, alcf->issuers, issuer) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/* The token's "iss" picks one of several, so no two may have the same. */

static ngx_int_t
ngx_oa_auth_pick(ngx_conf_t *cf, ngx_array_t *issuers,
    ngx_oa_issuer_t *issuer)
{
    ngx_uint_t         i;
    ngx_oa_issuer_t  **other;

    other = issuers->elts;

    for (i = 0; i < issuers->nelts; i++) {
        if (ngx_oa_auth_is(&other[i]->policy.issuer, &issuer->policy.issuer)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "oa_issuer \"%V\" and \"%V\" have the same "
                               "\"issuer\", a token could be either's",
                               &other[i]->name, &issuer->name);
            return NGX_ERROR;
        }
    }

    other = ngx_array_push(issuers);
    if (other == NULL) {
        return NGX_ERROR;
    }

    *other = issuer;

    return NGX_OK;
}


char *
ngx_oa_auth_token(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_oa_auth_loc_conf_t *alcf = conf;

    u_char                   *p;
    ngx_str_t                *value, kind, name;
    ngx_uint_t                i, from;
    ngx_oa_auth_source_t     *source;
    ngx_oa_auth_main_conf_t  *amcf;

    if (alcf->sources != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    alcf->sources = ngx_array_create(cf->pool, 4,
                                     sizeof(ngx_oa_auth_source_t));
    if (alcf->sources == NULL) {
        return NGX_CONF_ERROR;
    }

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_oa_auth_module);
    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        kind = value[i];
        ngx_str_null(&name);

        p = ngx_strlchr(kind.data, kind.data + kind.len, '=');

        if (p) {
            name.data = p + 1;
            name.len = kind.data + kind.len - name.data;
            kind.len = p - kind.data;
        }

        for (from = NGX_OA_FROM_HEADER; from <= NGX_OA_FROM_PROTOCOL; from++) {
            if (ngx_oa_auth_is(&ngx_oa_auth_froms[from], &kind)) {
                break;
            }
        }

        if (from > NGX_OA_FROM_PROTOCOL
            || (p && (!oa_is_token(&name) || from == NGX_OA_FROM_HEADER
                      || from == NGX_OA_FROM_PROTOCOL)))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid source \"%V\", expected \"header\", "
                               "\"cookie[=name]\", \"query[=name]\" or "
                               "\"protocol\"", &value[i]);
            return NGX_CONF_ERROR;
        }

        if (from == NGX_OA_FROM_QUERY && name.len == 0) {
            name = oa_args_token;
        }

        if ((from == NGX_OA_FROM_QUERY
             && ngx_oa_auth_add_name(&amcf->args, &name) != NGX_OK)
            || (from == NGX_OA_FROM_COOKIE && name.len
                && ngx_oa_auth_add_name(&amcf->cookies, &name) != NGX_OK))
        {
            return "has more names than can be remembered";
        }

        source = ngx_array_push(alcf->sources);
        if (source == NULL) {
            return NGX_CONF_ERROR;
        }

        source->from = from;
        source->name = name;
    }

    return NGX_CONF_OK;
}


char *
ngx_oa_auth_origin(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *field = conf;

    ngx_str_t     *value, *origin;
    ngx_uint_t     i;
    ngx_array_t  **origins;

    origins = (ngx_array_t **) (field + cmd->offset);

    if (*origins != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        *origins = NULL;
        return NGX_CONF_OK;
    }

    *origins = ngx_array_create(cf->pool, cf->args->nelts,
                                sizeof(ngx_str_t));
    if (*origins == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {
        ngx_strlow(value[i].data, value[i].data, value[i].len);

        if (!oa_is_origin(&value[i])) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid origin \"%V\", expected one like "
                               "\"https://app.example\", without a path",
                               &value[i]);
            return NGX_CONF_ERROR;
        }

        origin = ngx_array_push(*origins);
        if (origin == NULL) {
            return NGX_CONF_ERROR;
        }

        *origin = value[i];
    }

    return NGX_CONF_OK;
}


char *
ngx_oa_auth_require(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_oa_auth_loc_conf_t *alcf = conf;

    ngx_str_t              *value;
    ngx_oa_auth_require_t  *require;

    value = cf->args->elts;

    if (cf->args->nelts == 2) {

        if (ngx_strcmp(value[1].data, "off") != 0) {
            return "is invalid: expected \"claim op value [error=code]\" or "
                   "\"off\"";
        }

        if (alcf->requires != NGX_CONF_UNSET_PTR) {
            return "is duplicate";
        }

        alcf->requires = NULL;
        return NGX_CONF_OK;
    }

    if (alcf->requires == NULL || cf->args->nelts == 3) {
        return "is invalid: expected \"claim op value [error=code]\"";
    }

    if (alcf->requires == NGX_CONF_UNSET_PTR) {
        alcf->requires = ngx_array_create(cf->pool, 2,
                                          sizeof(ngx_oa_auth_require_t));
        if (alcf->requires == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    require = ngx_array_push(alcf->requires);
    if (require == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(require, sizeof(ngx_oa_auth_require_t));

    require->path = value[1];
    require->error = NGX_HTTP_FORBIDDEN;
    require->op = oa_require_op(&value[2]);

    if (ngx_oa_auth_check_path(cf, &require->path) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (require->op == OA_REQUIRE_OPS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid operator \"%V\", expected eq, ne, in, "
                           "has, match, gt, ge, lt or le", &value[2]);
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 5
        && ngx_oa_auth_require_error(cf, require, &value[4]) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_oa_auth_require_parse(cf, require, &value[3]) == NGX_OK
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_oa_auth_check_path(ngx_conf_t *cf, ngx_str_t *path)
{
    if (oa_claims_is_path(path)) {
        return NGX_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid claim \"%V\", expected names joined by dots, "
                       "with a backslash before a dot or backslash in a name",
                       path);

    return NGX_ERROR;
}


static ngx_int_t
ngx_oa_auth_require_parse(ngx_conf_t *cf, ngx_oa_auth_require_t *require,
    ngx_str_t *value)
{
    double                             number;
    ngx_http_compile_complex_value_t   ccv;

    if (require->op == OA_REQUIRE_MATCH) {
#if (NGX_PCRE)
        u_char                errstr[NGX_MAX_CONF_ERRSTR];
        ngx_regex_compile_t   rc;

        ngx_memzero(&rc, sizeof(ngx_regex_compile_t));

        rc.pattern = *value;
        rc.err.len = NGX_MAX_CONF_ERRSTR;
        rc.err.data = errstr;
        rc.pool = cf->pool;

        if (ngx_regex_compile(&rc) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%V", &rc.err);
            return NGX_ERROR;
        }

        require->regex = rc.regex;

        return NGX_OK;
#else
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"match\" needs nginx with PCRE");
        return NGX_ERROR;
#endif
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = value;
    ccv.complex_value = &require->value;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_ERROR;
    }

    if (require->op >= OA_REQUIRE_GT && require->value.lengths == NULL
        && oa_claims_number(value, &number) != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number \"%V\"", value);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_oa_auth_require_error(ngx_conf_t *cf, ngx_oa_auth_require_t *require,
    ngx_str_t *value)
{
    ngx_int_t  status;

    if (value->len > 6 && ngx_strncmp(value->data, "error=", 6) == 0) {
        status = ngx_atoi(value->data + 6, value->len - 6);

        if (status == NGX_HTTP_UNAUTHORIZED || status == NGX_HTTP_FORBIDDEN
            || status == NGX_HTTP_NOT_FOUND || status == 402)
        {
            require->error = status;
            return NGX_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\", expected \"error=\" and "
                       "401, 402, 403 or 404", value);

    return NGX_ERROR;
}


char *
ngx_oa_auth_claim_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t            *value, *path;
    ngx_http_variable_t  *var;

    value = cf->args->elts;

    if (value[1].len < 2 || value[1].data[0] != '$') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid variable name \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (ngx_oa_auth_check_path(cf, &value[2]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    value[1].len--;
    value[1].data++;

    path = ngx_palloc(cf->pool, sizeof(ngx_str_t));
    if (path == NULL) {
        return NGX_CONF_ERROR;
    }

    *path = value[2];

    var = ngx_http_add_variable(cf, &value[1], NGX_HTTP_VAR_NOCACHEABLE);
    if (var == NULL) {
        return NGX_CONF_ERROR;
    }

    var->get_handler = ngx_oa_auth_claim_variable;
    var->data = (uintptr_t) path;

    return NGX_CONF_OK;
}


char *
ngx_oa_auth_session(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_oa_auth_loc_conf_t *alcf = conf;

    ngx_str_t                 *value;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_oa_auth_main_conf_t   *amcf;

    if (alcf->session.len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (!oa_is_token(&value[1]) || value[1].len > NGX_OA_SESSION_NAME) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is not the name of a cookie", &value[1]);
        return NGX_CONF_ERROR;
    }

    alcf->session.data = ngx_pnalloc(cf->pool, sizeof("__Host-")
                                               + value[1].len);
    if (alcf->session.data == NULL) {
        return NGX_CONF_ERROR;
    }

    alcf->session.len = ngx_sprintf(alcf->session.data, "__Host-%V",
                                    &value[1])
                        - alcf->session.data;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_oa_auth_module);

    if (ngx_oa_auth_add_name(&amcf->sessions, &alcf->session) != NGX_OK
        || ngx_oa_auth_add_name(&amcf->cookies, &alcf->session) != NGX_OK)
    {
        return "has more names than can be remembered";
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_oa_session_handler;

    return NGX_CONF_OK;
}
