
/*
 * Secrets, read by the master with the configuration.
 */


#include "ngx_oa_core.h"


#define NGX_OA_SECRET_MAX  65536


static ngx_int_t ngx_oa_secret_file(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *secret);


ngx_int_t
ngx_oa_secret(ngx_conf_t *cf, ngx_str_t *value, ngx_str_t *secret)
{
    char       *env;
    ngx_str_t   name;

    /* strings of a configuration end with a NUL */

    if (value->len > 4 && ngx_strncmp(value->data, "env:", 4) == 0) {
        env = getenv((char *) value->data + 4);

        if (env == NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "environment variable \"%s\" is not set",
                               value->data + 4);
            return NGX_ERROR;
        }

        secret->len = ngx_strlen(env);

        if (secret->len > NGX_OA_SECRET_MAX) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" holds more than %d bytes", value,
                               NGX_OA_SECRET_MAX);
            return NGX_ERROR;
        }

        secret->data = ngx_pnalloc(cf->pool, secret->len + 1);
        if (secret->data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(secret->data, env, secret->len + 1);

    } else if (value->len > 5 && ngx_strncmp(value->data, "file:", 5) == 0) {
        name.len = value->len - 5;
        name.data = value->data + 5;

        if (ngx_conf_full_name(cf->cycle, &name, 1) != NGX_OK
            || ngx_oa_secret_file(cf, &name, secret) != NGX_OK)
        {
            return NGX_ERROR;
        }

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "a secret must be \"env:NAME\" or \"file:PATH\"");
        return NGX_ERROR;
    }

    if (secret->len && secret->data[secret->len - 1] == '\n') {
        secret->data[--secret->len] = '\0';
    }

    if (secret->len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" is empty", value);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_oa_secret_file(ngx_conf_t *cf, ngx_str_t *name, ngx_str_t *secret)
{
    size_t     size;
    ssize_t    n;
    u_char    *p;
    ngx_fd_t   fd;

    fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", name);
        return NGX_ERROR;
    }

    /* its size may be unknown (a pipe), so it is read to its end */

    size = 0;
    n = NGX_ERROR;

    p = ngx_pnalloc(cf->pool, NGX_OA_SECRET_MAX + 2);

    while (p) {
        n = ngx_read_fd(fd, p + size, NGX_OA_SECRET_MAX + 1 - size);

        if (n == -1 && ngx_errno == NGX_EINTR) {
            continue;
        }

        if (n <= 0) {
            break;
        }

        size += n;

        if (size > NGX_OA_SECRET_MAX) {
            break;
        }
    }

    if (n == -1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_read_fd_n " \"%V\" failed", name);
    }

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", name);
    }

    if (p == NULL || n == -1) {
        return NGX_ERROR;
    }

    if (size > NGX_OA_SECRET_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" holds more than %d bytes", name,
                           NGX_OA_SECRET_MAX);
        return NGX_ERROR;
    }

    p[size] = '\0';

    secret->len = size;
    secret->data = p;

    return NGX_OK;
}
