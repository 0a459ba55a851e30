
/*
 * The directives of streams that take more than a number.
 */


#include "ngx_oa_sse.h"
#include "oa_field.h"


static ngx_int_t ngx_oa_sse_check_url(ngx_conf_t *cf,
    ngx_oa_sse_loc_conf_t *slcf, ngx_str_t *url);
static ngx_int_t ngx_oa_sse_check_host(ngx_conf_t *cf,
    ngx_oa_sse_loc_conf_t *slcf, ngx_str_t *host);
static ngx_int_t ngx_oa_sse_check_static(ngx_conf_t *cf, ngx_str_t *url);
static ngx_http_complex_value_t *ngx_oa_sse_compile(ngx_conf_t *cf,
    ngx_str_t *value);


ngx_conf_enum_t  ngx_oa_sse_dialects[] = {
    { ngx_string("seed"), OA_DIALECT_SEED },
    { ngx_string("openclaw"), OA_DIALECT_OPENCLAW },
    { ngx_string("raw"), OA_DIALECT_RAW },
    { ngx_null_string, 0 }
};

ngx_conf_num_bounds_t  ngx_oa_sse_bounds = {
    ngx_conf_check_num_bounds, 0, 100000
};


/* Variables by which our own token goes to our own machines alone. */
static const ngx_str_t  ngx_oa_sse_hosts[] = {
    ngx_string("oa_machine_host"),
    ngx_string("oa_flycast_host")
};

#define NGX_OA_SSE_HOSTS                                                      \
    (sizeof(ngx_oa_sse_hosts) / sizeof(ngx_oa_sse_hosts[0]))

/* What belongs to the exchange, and is not for oa_sse_set_header. */
static const ngx_str_t  ngx_oa_sse_ours[] = {
    ngx_string("authorization"),
    ngx_string("connection"),
    ngx_string("content-length"),
    ngx_string("expect"),
    ngx_string("keep-alive"),
    ngx_string("te"),
    ngx_string("trailer"),
    ngx_string("transfer-encoding"),
    ngx_string("upgrade"),
    ngx_null_string
};


char *
ngx_oa_sse_pass(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_oa_sse_loc_conf_t *slcf = conf;

    ngx_str_t                 *value, *suffix;
    ngx_uint_t                 i;
    ngx_oa_sse_main_conf_t    *smcf;
    ngx_http_core_loc_conf_t  *clcf;

    if (slcf->url) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 2; i < cf->args->nelts; i++) {

        if (value[i].len <= sizeof("allow=") - 1
            || ngx_strncmp(value[i].data, "allow=", sizeof("allow=") - 1) != 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", expected "
                               "\"allow=SUFFIX\", the end of a host",
                               &value[i]);
            return NGX_CONF_ERROR;
        }

        if (slcf->allow == NULL) {
            slcf->allow = ngx_array_create(cf->pool, 2, sizeof(ngx_str_t));
            if (slcf->allow == NULL) {
                return NGX_CONF_ERROR;
            }
        }

        suffix = ngx_array_push(slcf->allow);
        if (suffix == NULL) {
            return NGX_CONF_ERROR;
        }

        suffix->data = value[i].data + sizeof("allow=") - 1;
        suffix->len = value[i].len - (sizeof("allow=") - 1);

        /* whole labels only, with the dot or without */

        if (suffix->data[0] == '.') {
            suffix->data++;
            suffix->len--;
        }

        if (suffix->len == 0) {
            return "has an \"allow\" without a host";
        }

        ngx_strlow(suffix->data, suffix->data, suffix->len);
    }

    if (ngx_oa_sse_check_url(cf, slcf, &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    slcf->url = ngx_oa_sse_compile(cf, &value[1]);
    if (slcf->url == NULL) {
        return NGX_CONF_ERROR;
    }

    smcf = ngx_http_conf_get_module_main_conf(cf, ngx_oa_sse_module);
    smcf->used = 1;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_oa_sse_handler;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_oa_sse_check_url(ngx_conf_t *cf, ngx_oa_sse_loc_conf_t *slcf,
    ngx_str_t *url)
{
    size_t                   len;
    u_char                  *p, *last;
    ngx_str_t                host;
    ngx_oa_sse_main_conf_t  *smcf;

    if (ngx_strncasecmp(url->data, (u_char *) "http://", 7) == 0) {
        len = 7;

    } else if (ngx_strncasecmp(url->data, (u_char *) "https://", 8) == 0) {
        len = 8;

#if (NGX_SSL)
        smcf = ngx_http_conf_get_module_main_conf(cf, ngx_oa_sse_module);
        smcf->tls = 1;

        ngx_oa_trusted_need(cf);
#else
        (void) smcf;
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"https\" needs an nginx with SSL");
        return NGX_ERROR;
#endif

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid URL \"%V\", expected one that begins with "
                           "\"http://\" or \"https://\"", url);
        return NGX_ERROR;
    }

    last = url->data + url->len;
    host.data = url->data + len;

    for (p = host.data; p < last && *p != '/' && *p != '?'; p++) {
        /* void */
    }

    host.len = p - host.data;

    if (host.len == 0 || ngx_strlchr(host.data, p, '@')) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid host in the URL, expected \"HOST[:PORT]\" "
                           "without a user");
        return NGX_ERROR;
    }

    if (ngx_strlchr(host.data, p, '$')) {
        return ngx_oa_sse_check_host(cf, slcf, &host);
    }

    /* arguments may have variables, and still be those of a known host */

    host.len += len;
    host.data = url->data;

    return ngx_oa_sse_check_static(cf, &host);
}


/* The variables of a host decide who gets our token. */

static ngx_int_t
ngx_oa_sse_check_host(ngx_conf_t *cf, ngx_oa_sse_loc_conf_t *slcf,
    ngx_str_t *host)
{
    u_char      *p, *last;
    ngx_str_t    name;
    ngx_uint_t   i;

    last = host->data + host->len;

    for (p = host->data; p < last; /* void */ ) {

        if (*p++ != '$') {
            continue;
        }

        if (p < last && *p == '{') {
            p++;
        }

        name.data = p;

        while (p < last
               && ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z')
                   || (*p >= '0' && *p <= '9') || *p == '_'))
        {
            p++;
        }

        name.len = p - name.data;

        for (i = 0; i < NGX_OA_SSE_HOSTS; i++) {
            if (name.len == ngx_oa_sse_hosts[i].len
                && ngx_memcmp(name.data, ngx_oa_sse_hosts[i].data, name.len)
                   == 0)
            {
                break;
            }
        }

        if (i == NGX_OA_SSE_HOSTS && slcf->allow == NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "the machine's token would go to whatever host "
                               "\"$%V\" names, expected $oa_machine_host, "
                               "$oa_flycast_host, or \"allow=SUFFIX\"", &name);
            return NGX_ERROR;
        }
    }

    /* be it an address by chance, a name is what it is meant to be */

    return ngx_oa_resolve_need(cf, host);
}


static ngx_int_t
ngx_oa_sse_check_static(ngx_conf_t *cf, ngx_str_t *url)
{
    ngx_url_t  u;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url.data = ngx_strlchr(url->data, url->data + url->len, '/') + 2;
    u.url.len = url->data + url->len - u.url.data;
    u.default_port = 80;
    u.no_resolve = 1;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.family == AF_UNIX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid host in the URL \"%V\"%s%s", url,
                           u.err ? ": " : "", u.err ? u.err : "");
        return NGX_ERROR;
    }

    if (u.naddrs
        || (u.host.len == sizeof("localhost") - 1
            && ngx_strncasecmp(u.host.data, (u_char *) "localhost", 9) == 0))
    {
        return NGX_OK;
    }

    return ngx_oa_resolve_need(cf, &u.host);
}


char *
ngx_oa_sse_token(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_oa_sse_loc_conf_t *slcf = conf;

    ngx_str_t  *value;

    if (slcf->token.data || slcf->token_value) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        ngx_str_set(&slcf->token, "");
        return NGX_CONF_OK;
    }

    if (value[1].data[0] == '$') {
        slcf->token_value = ngx_oa_sse_compile(cf, &value[1]);

        return slcf->token_value ? NGX_CONF_OK : NGX_CONF_ERROR;
    }

    return ngx_oa_secret(cf, &value[1], &slcf->token) == NGX_OK
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


char *
ngx_oa_sse_set_header(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_oa_sse_loc_conf_t *slcf = conf;

    ngx_str_t                         *value;
    ngx_uint_t                         i;
    ngx_oa_sse_header_t               *h;
    ngx_http_compile_complex_value_t   ccv;

    value = cf->args->elts;

    if (!oa_is_token(&value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name of a header \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    for (i = 0; ngx_oa_sse_ours[i].len; i++) {
        if (ngx_oa_sse_ours[i].len == value[1].len
            && ngx_strncasecmp(ngx_oa_sse_ours[i].data, value[1].data,
                               value[1].len)
               == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "header \"%V\" cannot be set%s", &value[1],
                               i == 0 ? ", expected \"oa_sse_token\"" : "");
            return NGX_CONF_ERROR;
        }
    }

    if (!ngx_oa_target_is_text(&value[2], 0x20)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the value of header \"%V\" has a control "
                           "character", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (slcf->headers == NGX_CONF_UNSET_PTR) {
        slcf->headers = ngx_array_create(cf->pool, 4,
                                         sizeof(ngx_oa_sse_header_t));
        if (slcf->headers == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    h = ngx_array_push(slcf->headers);
    if (h == NULL) {
        return NGX_CONF_ERROR;
    }

    h->name = value[1];

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &value[2];
    ccv.complex_value = &h->value;

    return ngx_http_compile_complex_value(&ccv) == NGX_OK ? NGX_CONF_OK
                                                          : NGX_CONF_ERROR;
}


static ngx_http_complex_value_t *
ngx_oa_sse_compile(ngx_conf_t *cf, ngx_str_t *value)
{
    ngx_http_complex_value_t          *cv;
    ngx_http_compile_complex_value_t   ccv;

    cv = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (cv == NULL) {
        return NULL;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = value;
    ccv.complex_value = cv;

    return ngx_http_compile_complex_value(&ccv) == NGX_OK ? cv : NULL;
}
