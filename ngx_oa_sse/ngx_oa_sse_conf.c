
/*
 * The directives of streams.
 */


#include "ngx_oa_sse.h"
#include "oa_field.h"


static ngx_int_t ngx_oa_sse_check_url(ngx_conf_t *cf,
    ngx_oa_sse_loc_conf_t *slcf, ngx_str_t *url);
static ngx_int_t ngx_oa_sse_check_host(ngx_conf_t *cf,
    ngx_oa_sse_loc_conf_t *slcf, ngx_str_t *host);
static ngx_int_t ngx_oa_sse_check_static(ngx_conf_t *cf,
    ngx_oa_sse_loc_conf_t *slcf, ngx_str_t *host);
static ngx_int_t ngx_oa_sse_parse(ngx_conf_t *cf, ngx_str_t *host,
    ngx_url_t *u);
static ngx_http_complex_value_t *ngx_oa_sse_compile(ngx_conf_t *cf,
    ngx_str_t *value);


/* more than a timer of 32 bits holds is no limit any more */

ngx_oa_sse_range_t  ngx_oa_sse_time = {
    ngx_conf_set_msec_slot, 1, 24 * 24 * 60 * 60 * (ngx_uint_t) 1000,
    "a time above 0 and of at most 24d"
};

ngx_oa_sse_range_t  ngx_oa_sse_size = {
    ngx_conf_set_size_slot,
    OA_STREAM_PAGES_MIN * NGX_OA_PAGE_SIZE,
    OA_STREAM_PAGES_MAX * NGX_OA_PAGE_SIZE,
    "a size between 8k and 16m"
};

ngx_oa_sse_range_t  ngx_oa_sse_count = {
    ngx_conf_set_num_slot, 0, 100000,
    "a number up to 100000, 0 for no limit"
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

    last = url->data + url->len;

    for (p = url->data; p < last; p++) {
        if (*p <= ' ' || *p == 0x7f || *p == '#') {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid URL \"%V\", expected one without "
                               "spaces, control characters and \"#\"", url);
            return NGX_ERROR;
        }
    }

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

    return ngx_strlchr(host.data, p, '$')
           ? ngx_oa_sse_check_host(cf, slcf, &host)
           : ngx_oa_sse_check_static(cf, slcf, &host);
}


/* The variables of a host decide who gets our token. */

static ngx_int_t
ngx_oa_sse_check_host(ngx_conf_t *cf, ngx_oa_sse_loc_conf_t *slcf,
    ngx_str_t *host)
{
    u_char      *p, *dst, *last;
    ngx_str_t    name, sample;
    ngx_url_t    u;
    ngx_uint_t   i, brace;

    sample.data = ngx_pnalloc(cf->pool, host->len);
    if (sample.data == NULL) {
        return NGX_ERROR;
    }

    dst = sample.data;
    last = host->data + host->len;

    for (p = host->data; p < last; /* void */ ) {

        if (*p != '$') {
            *dst++ = *p++;
            continue;
        }

        p++;

        brace = (p < last && *p == '{');
        p += brace;

        name.data = p;

        while (p < last
               && ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z')
                   || (*p >= '0' && *p <= '9') || *p == '_'))
        {
            p++;
        }

        name.len = p - name.data;

        if (brace && p < last && *p == '}') {
            p++;
        }

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

        *dst++ = '1';
    }

    sample.len = dst - sample.data;

    /* with anything for its variables it must be a host, maybe with a port */

    if (ngx_oa_sse_parse(cf, &sample, &u) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid host in the URL \"%V\"%s%s", host,
                           u.err ? ": " : "", u.err ? u.err : "");
        return NGX_ERROR;
    }

    /* be it an address by chance, a name is what it is meant to be */

    return ngx_oa_resolve_need(cf, host);
}


static ngx_int_t
ngx_oa_sse_check_static(ngx_conf_t *cf, ngx_oa_sse_loc_conf_t *slcf,
    ngx_str_t *host)
{
    ngx_url_t  u;

    if (ngx_oa_sse_parse(cf, host, &u) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid host in the URL \"%V\"%s%s", host,
                           u.err ? ": " : "", u.err ? u.err : "");
        return NGX_ERROR;
    }

    if (!ngx_oa_target_is_allowed(slcf, &u.host)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "host \"%V\" ends with none of the suffixes of "
                           "\"allow\"", &u.host);
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


static ngx_int_t
ngx_oa_sse_parse(ngx_conf_t *cf, ngx_str_t *host, ngx_url_t *u)
{
    ngx_memzero(u, sizeof(ngx_url_t));

    u->url = *host;
    u->default_port = 80;
    u->no_resolve = 1;

    if (ngx_parse_url(cf->pool, u) != NGX_OK) {
        return NGX_ERROR;
    }

    return (u->family == AF_UNIX || u->host.len == 0) ? NGX_ERROR : NGX_OK;
}


char *
ngx_oa_sse_token(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_oa_sse_loc_conf_t *slcf = conf;

    size_t      i;
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

    if (ngx_oa_secret(cf, &value[1], &slcf->token) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < slcf->token.len; i++) {
        if (slcf->token.data[i] <= ' ' || slcf->token.data[i] >= 0x7f) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" holds no token, expected visible "
                               "characters of ASCII alone", &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


char *
ngx_oa_sse_dialect(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_oa_sse_loc_conf_t *slcf = conf;

    ngx_str_t   *value;
    ngx_uint_t   i;

    if (slcf->dialect != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 0; i < OA_DIALECTS; i++) {
        if (value[1].len == oa_dialect_names[i].len
            && ngx_strncmp(value[1].data, oa_dialect_names[i].data,
                           value[1].len)
               == 0)
        {
            slcf->dialect = i;
            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid dialect \"%V\", expected \"seed\", "
                       "\"openclaw\" or \"raw\"", &value[1]);

    return NGX_CONF_ERROR;
}


char *
ngx_oa_sse_number(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                 *value;
    ngx_uint_t                *number;
    ngx_command_t              plain;
    const ngx_oa_sse_range_t  *range;

    range = cmd->post;
    number = (ngx_uint_t *) ((char *) conf + cmd->offset);

    if (*number != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    plain = *cmd;
    plain.post = NULL;

    if (range->set(cf, &plain, conf) == NGX_CONF_OK
        && *number >= range->min && *number <= range->max)
    {
        return NGX_CONF_OK;
    }

    value = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" of \"%V\", expected %s",
                       &value[1], &cmd->name, range->expected);

    return NGX_CONF_ERROR;
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
