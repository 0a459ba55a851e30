
/*
 * HTTP: what the configuration says, checked before there is an exchange.
 *
 * Trusted certificates are parsed once, by the master.  libcurl would read
 * the file for each connection, and that costs a worker 20 ms.
 */


#include "ngx_oa_http.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>


static ngx_int_t ngx_oa_http_load(ngx_conf_t *cf, const char *file);
static void ngx_oa_http_unload(void *data);


ngx_int_t
ngx_oa_http_url(ngx_conf_t *cf, const ngx_str_t *url, const char **checked)
{
    u_char              *p;
    oa_url_t             u;
    ngx_int_t            rc;
    ngx_str_t            host;
    const char          *error;
    ngx_oa_http_conf_t  *hcf;

    hcf = ngx_oa_http_conf(cf);

    p = ngx_pnalloc(cf->pool, url->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, url->data, url->len);
    p[url->len] = '\0';

    error = (ngx_strlen(p) == url->len) ? oa_url_parse(&u, (char *) p)
                                        : "has a zero byte";

    if (error) {
        /* it may have a password: not shown */
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "the URL %s", error);
        return NGX_ERROR;
    }

    rc = NGX_OK;

    if (u.kind == OA_URL_NAME) {
        host.len = u.host.len;
        host.data = ngx_pstrdup(cf->pool, &u.host);

        rc = (host.data == NULL) ? NGX_ERROR : ngx_oa_resolve_need(cf, &host);
    }

    hcf->used = 1;
    hcf->tls |= u.tls;

    oa_url_free(&u);

    *checked = (char *) p;

    return rc;
}


char *
ngx_oa_http_trusted(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t           *value, file;
    ngx_oa_http_conf_t  *hcf;

    hcf = ngx_oa_http_conf(cf);

    if (hcf->trusted) {
        return "is duplicate";
    }

    value = cf->args->elts;
    file = value[1];

    if (ngx_conf_full_name(cf->cycle, &file, 1) != NGX_OK
        || ngx_oa_http_load(cf, (char *) file.data) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


void
ngx_oa_trusted_need(ngx_conf_t *cf)
{
    ngx_oa_http_conf(cf)->trust = 1;
}


void *
ngx_oa_trusted(ngx_conf_t *cf)
{
    return ngx_oa_http_conf(cf)->trusted;
}


ngx_int_t
ngx_oa_http_postconf(ngx_conf_t *cf)
{
    ngx_oa_http_conf_t      *hcf;
    curl_version_info_data  *info;

    hcf = ngx_oa_http_conf(cf);

    if (!hcf->tls && !hcf->trust) {
        return NGX_OK;
    }

    info = curl_version_info(CURLVERSION_NOW);

    if (hcf->tls
        && (info->ssl_version == NULL
            || ngx_strncmp(info->ssl_version, "OpenSSL/", 8) != 0))
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "libcurl is built with \"%s\", expected the one with "
                      "OpenSSL", info->ssl_version ? info->ssl_version : "");
        return NGX_ERROR;
    }

    if (hcf->trusted) {
        return NGX_OK;
    }

    /* the system's, as libcurl was told when it was built */

    if (info->cainfo == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "the system has no bundle of certificates, expected "
                      "\"oa_trusted_certificate\" in the http block");
        return NGX_ERROR;
    }

    return ngx_oa_http_load(cf, info->cainfo);
}


static ngx_int_t
ngx_oa_http_load(ngx_conf_t *cf, const char *file)
{
    const char          *reason;
    X509_STORE          *store;
    unsigned long        error;
    ngx_pool_cleanup_t  *cln;
    ngx_oa_http_conf_t  *hcf;

    hcf = ngx_oa_http_conf(cf);

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    store = X509_STORE_new();
    if (store == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_oa_http_unload;
    cln->data = store;

    ERR_clear_error();

    if (X509_STORE_load_locations(store, file, NULL) != 1) {
        error = ERR_peek_error();
        reason = ERR_reason_error_string(error);

        /* of an errno there is none where strerror() was not asked before */

        if (reason == NULL && ERR_SYSTEM_ERROR(error)) {
            reason = strerror(ERR_GET_REASON(error));
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "trusted certificates cannot be loaded from "
                           "\"%s\" (%s), expected a file of certificates in "
                           "PEM in \"oa_trusted_certificate\"",
                           file, reason ? reason : "no certificate in it");

        ERR_clear_error();

        return NGX_ERROR;
    }

    ERR_clear_error();

    hcf->trusted = store;

    return NGX_OK;
}


static void
ngx_oa_http_unload(void *data)
{
    X509_STORE_free(data);
}
