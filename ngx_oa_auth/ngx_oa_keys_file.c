
/*
 * Keys: jwks_file, read by the master with the configuration, and followed by
 * a thread of the worker with the duty, since to read a file is to wait for a
 * disk.
 */


#include "ngx_oa_keys.h"


#define NGX_OA_KEYS_POLL  200          /* ms */


static void ngx_oa_keys_file_work(ngx_oa_thread_t *thread);
static ngx_int_t ngx_oa_keys_file_load(ngx_oa_keys_t *keys);
static void ngx_oa_keys_file_failed(ngx_oa_keys_t *keys, ngx_err_t err,
    const char *why);
static void ngx_oa_keys_file_tell(ngx_oa_keys_t *keys, ngx_err_t err,
    const char *why);
static ngx_int_t ngx_oa_keys_file_read(const ngx_str_t *path, u_char *buf,
    ngx_str_t *text, ngx_err_t *err, const char **why);


char *
ngx_oa_keys_file_conf(ngx_conf_t *cf, ngx_oa_keys_t *keys)
{
    u_char              *buf;
    ngx_err_t            err;
    ngx_str_t           *path;
    const char          *why;
    ngx_oa_keys_mark_t   mark;

    path = &keys->issuer->jwks_file;

    buf = ngx_pnalloc(cf->pool, OA_JWKS_MAX + 1);
    if (buf == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_oa_keys_file_read(path, buf, &keys->first, &err, &why) != NGX_OK
        || ngx_oa_keys_judge(&keys->first, &mark, &why) != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, err,
                           "\"%V\" is no set of keys: %s", path, why);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


void
ngx_oa_keys_file_start(ngx_oa_keys_t *keys)
{
    ngx_oa_keys_file_t  *file;

    file = &keys->file;

    ngx_memzero(file, sizeof(ngx_oa_keys_file_t));

    file->thread.work = ngx_oa_keys_file_work;
    file->thread.data = keys;
    file->thread.pause = NGX_OA_KEYS_POLL;

    if (ngx_oa_thread_start(&file->thread) != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "oa_issuer \"%V\": changes of \"%V\" are not seen",
                      &keys->issuer->name, &keys->issuer->jwks_file);
    }
}


void
ngx_oa_keys_file_stop(ngx_oa_keys_t *keys)
{
    ngx_oa_thread_stop(&keys->file.thread);
}


/* Read once it looks the same twice in a row: its writer may not be done. */

static void
ngx_oa_keys_file_work(ngx_oa_thread_t *thread)
{
    ngx_oa_keys_t       *keys;
    ngx_oa_file_id_t     id;
    ngx_oa_keys_file_t  *file;

    keys = thread->data;
    file = &keys->file;

    if (ngx_oa_file_id(&keys->issuer->jwks_file, &id) != NGX_OK) {
        ngx_oa_keys_file_failed(keys, ngx_errno, "stat() failed");
        return;
    }

    if (ngx_memcmp(&id, &file->done, sizeof(ngx_oa_file_id_t)) == 0) {
        file->failed = 0;
        return;
    }

    if (ngx_memcmp(&id, &file->seen, sizeof(ngx_oa_file_id_t)) != 0) {
        file->seen = id;
        return;
    }

    if (ngx_oa_keys_file_load(keys) == NGX_OK) {
        file->done = id;
        file->failed = 0;
    }
}


/* A broken file is not read again before it changes: it is NGX_OK, too. */

static ngx_int_t
ngx_oa_keys_file_load(ngx_oa_keys_t *keys)
{
    u_char              *buf;
    ngx_err_t            err;
    ngx_int_t            rc;
    ngx_str_t            text;
    const char          *why;
    ngx_oa_keys_mark_t   mark;

    buf = ngx_alloc(OA_JWKS_MAX + 1, ngx_cycle->log);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_oa_keys_file_read(&keys->issuer->jwks_file, buf, &text, &err,
                               &why);

    if (rc != NGX_OK) {
        ngx_oa_keys_file_failed(keys, err, why);
        goto done;
    }

    if (ngx_oa_keys_judge(&text, &mark, &why) != NGX_OK) {
        ngx_oa_keys_file_tell(keys, 0, why);
        goto done;
    }

    ngx_oa_zone_lock(keys->zone);

    rc = ngx_oa_keys_publish(keys, NGX_OA_KEYS_FILE, &text, &mark);

    ngx_oa_zone_unlock(keys->zone);

    if (rc == NGX_ERROR) {
        ngx_oa_keys_file_failed(keys, 0, "oa_zone has no room for it");
        goto done;
    }

    if (rc == NGX_OK) {
        ngx_oa_keys_tell(keys, NGX_OA_KEYS_FILE, &text, &mark,
                         ngx_cycle->log);
    }

    rc = NGX_OK;

done:

    ngx_free(buf);

    return rc;
}


/* What is tried again on each turn is said once. */

static void
ngx_oa_keys_file_failed(ngx_oa_keys_t *keys, ngx_err_t err, const char *why)
{
    if (!keys->file.failed) {
        keys->file.failed = 1;
        ngx_oa_keys_file_tell(keys, err, why);
    }
}


static void
ngx_oa_keys_file_tell(ngx_oa_keys_t *keys, ngx_err_t err, const char *why)
{
    ngx_oa_count(NGX_OA_COUNT_KEYS_FAILURES);

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, err,
                  "oa_issuer \"%V\": \"%V\" is no set of keys: %s; "
                  "what was read before stays",
                  &keys->issuer->name, &keys->issuer->jwks_file, why);
}


/* buf has OA_JWKS_MAX + 1 bytes. */

static ngx_int_t
ngx_oa_keys_file_read(const ngx_str_t *path, u_char *buf, ngx_str_t *text,
    ngx_err_t *err, const char **why)
{
    size_t    size;
    ssize_t   n;
    ngx_fd_t  fd;

    *err = 0;

    /* a pipe in its place must not hold us */

    fd = open((char *) path->data, O_RDONLY|O_CLOEXEC|O_NONBLOCK);

    if (fd == -1) {
        *err = ngx_errno;
        *why = "open() failed";
        return NGX_ERROR;
    }

    size = 0;

    do {
        n = read(fd, buf + size, OA_JWKS_MAX + 1 - size);

        if (n > 0) {
            size += n;
        }

    } while (n > 0 || (n == -1 && ngx_errno == NGX_EINTR));

    if (n == -1) {
        *err = ngx_errno;
        *why = "read() failed";
    }

    (void) close(fd);

    if (n == -1) {
        return NGX_ERROR;
    }

    /* one byte too many is for the parser to refuse */

    text->data = buf;
    text->len = size;

    return NGX_OK;
}
