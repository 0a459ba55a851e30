
/*
 * Exchanges.
 *
 * Each has a connection of its own.  One that was kept would save little, as
 * we ask seldom, and libcurl sends a request again, be it a POST, where a kept
 * connection turns out to be dead.
 *
 * libcurl resolves nothing: it is given the addresses, and where it does not
 * find them it fails (ngx_oa_http_resolver()).
 */


#include "ngx_oa_http.h"

#include <openssl/ssl.h>


#define NGX_OA_HTTP_FIRST  4096


static ngx_int_t ngx_oa_http_template(ngx_oa_http_conf_t *hcf);
static void ngx_oa_http_resolved(void *data, const char *error);
static void ngx_oa_http_start(ngx_oa_http_exchange_t *ex);
static ngx_int_t ngx_oa_http_setup(ngx_oa_http_exchange_t *ex);
static ngx_int_t ngx_oa_http_addresses(ngx_oa_http_exchange_t *ex);
static ngx_int_t ngx_oa_http_append(struct curl_slist **list,
    const char *line);
static ngx_int_t ngx_oa_http_method(ngx_oa_http_exchange_t *ex);
static size_t ngx_oa_http_header(char *data, size_t size, size_t n, void *ctx);
static size_t ngx_oa_http_body(char *data, size_t size, size_t n, void *ctx);
static CURLcode ngx_oa_http_tls(CURL *easy, void *ssl_ctx, void *data);
static int ngx_oa_http_resolver(void *resolver, void *reserved, void *data);
static void ngx_oa_http_failed(ngx_event_t *ev);
static void ngx_oa_http_timeout(ngx_event_t *ev);
static const char *ngx_oa_http_late(ngx_oa_http_exchange_t *ex);
static const char *ngx_oa_http_incomplete(ngx_oa_http_exchange_t *ex);
static const char *ngx_oa_http_unreachable(ngx_oa_http_exchange_t *ex);
static void ngx_oa_http_tell(ngx_oa_http_exchange_t *ex);
static void ngx_oa_http_result(ngx_oa_http_exchange_t *ex);
static void ngx_oa_http_detach(ngx_oa_http_exchange_t *ex);
static void ngx_oa_http_free(ngx_oa_http_exchange_t *ex);


/*
 * Of libcurl's defaults some are wanted as they are: no redirect, cookie,
 * netrc or HTTP/0.9 answer.
 */

static const struct {
    CURLoption                   option;
    long                         value;
} ngx_oa_http_numbers[] = {
    { CURLOPT_NOSIGNAL, 1 },
    { CURLOPT_FOLLOWLOCATION, 0 },
    { CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1 },
    { CURLOPT_HTTP09_ALLOWED, 0 },
    { CURLOPT_FORBID_REUSE, 1 },
    { CURLOPT_SSL_VERIFYPEER, 1 },
    { CURLOPT_SSL_VERIFYHOST, 2 },
    { CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2 },
    { CURLOPT_SSL_SESSIONID_CACHE, 0 }
};

/* Without CAINFO and CAPATH libcurl reads no file of certificates. */

static const struct {
    CURLoption                   option;
    const char                  *value;
} ngx_oa_http_strings[] = {
    { CURLOPT_PROXY, "" },
    { CURLOPT_NOPROXY, "*" },
    { CURLOPT_PROTOCOLS_STR, "http,https" },
    { CURLOPT_CAINFO, NULL },
    { CURLOPT_CAPATH, NULL },
    { CURLOPT_USERAGENT, "ngx_oa" }
};

/* Ours, or none of a header that libcurl would make. */

static const char  *ngx_oa_http_added[] = {
    "Connection: close", "Expect:", "Content-Type:", NULL
};


/* NULL: this worker makes no exchange, or no more. */
static CURL        *ngx_oa_http_easy;

static ngx_queue_t  ngx_oa_http_exchanges;
static ngx_uint_t   ngx_oa_http_nexchanges;


ngx_int_t
ngx_oa_http_init_process(ngx_cycle_t *cycle)
{
    ngx_oa_http_conf_t  *hcf;

    hcf = ngx_oa_http_conf_cycle(cycle);

    if (!hcf->used) {
        return NGX_OK;
    }

    ngx_queue_init(&ngx_oa_http_exchanges);

    /* not in the master: its environment may name a file for TLS keys */

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK
        || ngx_oa_http_template(hcf) != NGX_OK
        || ngx_oa_http_loop_init() != NGX_OK)
    {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "libcurl %s could not be set up", curl_version());
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* What all exchanges have in common. */

static ngx_int_t
ngx_oa_http_template(ngx_oa_http_conf_t *hcf)
{
    CURL        *easy;
    CURLcode     rc;
    ngx_uint_t   i;

    easy = curl_easy_init();
    if (easy == NULL) {
        return NGX_ERROR;
    }

    ngx_oa_http_easy = easy;

    rc = CURLE_OK;

    for (i = 0; i < sizeof(ngx_oa_http_numbers)
                    / sizeof(ngx_oa_http_numbers[0]); i++)
    {
        rc |= curl_easy_setopt(easy, ngx_oa_http_numbers[i].option,
                               ngx_oa_http_numbers[i].value);
    }

    for (i = 0; i < sizeof(ngx_oa_http_strings)
                    / sizeof(ngx_oa_http_strings[0]); i++)
    {
        rc |= curl_easy_setopt(easy, ngx_oa_http_strings[i].option,
                               ngx_oa_http_strings[i].value);
    }

    rc |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, ngx_oa_http_header);
    rc |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ngx_oa_http_body);

    if (hcf->tls) {
        rc |= curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION,
                               ngx_oa_http_tls);
    }

    return rc == CURLE_OK ? NGX_OK : NGX_ERROR;
}


void
ngx_oa_http_exit_process(void)
{
    ngx_queue_t             *queue;
    ngx_oa_http_exchange_t  *ex;

    if (ngx_oa_http_easy == NULL) {
        return;
    }

    while (!ngx_queue_empty(&ngx_oa_http_exchanges)) {
        queue = ngx_queue_head(&ngx_oa_http_exchanges);
        ex = ngx_queue_data(queue, ngx_oa_http_exchange_t, queue);

        ngx_oa_http_cancel(ex->http);
    }

    ngx_oa_http_loop_exit();

    curl_easy_cleanup(ngx_oa_http_easy);
    ngx_oa_http_easy = NULL;
}


ngx_int_t
ngx_oa_http_send(ngx_oa_http_t *http)
{
    const char              *error;
    ngx_oa_http_exchange_t  *ex;

    if (ngx_oa_http_easy == NULL) {
        return NGX_ERROR;
    }

    if (ngx_oa_http_nexchanges >= NGX_OA_HTTP_EXCHANGES) {
        ngx_oa_count(NGX_OA_COUNT_HTTP_REFUSED);
        return NGX_BUSY;
    }

    ex = ngx_calloc(sizeof(ngx_oa_http_exchange_t), ngx_cycle->log);
    if (ex == NULL) {
        return NGX_ERROR;
    }

    ngx_oa_count(NGX_OA_COUNT_HTTP_EXCHANGES);

    ex->http = http;
    http->exchange = ex;

    ngx_queue_insert_tail(&ngx_oa_http_exchanges, &ex->queue);
    ngx_oa_http_nexchanges++;

    ex->resolve.handler = ngx_oa_http_resolved;
    ex->resolve.data = ex;

    ex->failed.handler = ngx_oa_http_failed;
    ex->failed.data = ex;
    ex->failed.log = ngx_cycle->log;

    /*
     * A request that waits for an answer has no timer of its own: it is this
     * one that keeps an exiting worker until the answer is there.
     */

    ex->timer.handler = ngx_oa_http_timeout;
    ex->timer.data = ex;
    ex->timer.log = ngx_cycle->log;

    ngx_add_timer(&ex->timer, http->timeout);

    error = oa_url_parse(&ex->url, http->url);

    if (error) {
        ngx_snprintf(ex->reason, NGX_OA_HTTP_REASON - 1, "the URL %s", error);
        ngx_oa_http_fail(ex, (char *) ex->reason);

    } else if (ex->url.kind == OA_URL_NAME) {
        ngx_oa_resolve(&ex->resolve, &ex->url.host);

    } else {
        ngx_oa_http_start(ex);
    }

    return NGX_OK;
}


void
ngx_oa_http_cancel(ngx_oa_http_t *http)
{
    ngx_oa_http_exchange_t  *ex;

    ex = http->exchange;

    if (ex) {
        ngx_oa_http_detach(ex);
        ngx_oa_http_free(ex);
    }
}


static void
ngx_oa_http_resolved(void *data, const char *error)
{
    ngx_oa_http_exchange_t *ex = data;

    if (error) {
        ngx_snprintf(ex->reason, NGX_OA_HTTP_REASON - 1,
                     "host \"%V\" could not be resolved: %s",
                     &ex->url.host, error);
        ngx_oa_http_fail(ex, (char *) ex->reason);
        return;
    }

    ngx_oa_http_start(ex);
}


static void
ngx_oa_http_start(ngx_oa_http_exchange_t *ex)
{
    ex->easy = curl_easy_duphandle(ngx_oa_http_easy);

    if (ex->easy == NULL || ngx_oa_http_setup(ex) != NGX_OK) {
        ngx_oa_http_fail(ex, "no memory for an exchange");
        return;
    }

    if (ngx_oa_http_loop_add(ex->easy) != NGX_OK) {
        ngx_oa_http_fail(ex, "the exchange could not be begun");
    }
}


static ngx_int_t
ngx_oa_http_setup(ngx_oa_http_exchange_t *ex)
{
    CURL                *easy;
    CURLcode             rc;
    ngx_uint_t           i;
    ngx_msec_int_t       left;
    const char *const   *header;

    easy = ex->easy;

    /* ours come last: of two with one name libcurl takes the first */

    for (header = ex->http->headers; header && *header; header++) {
        if (ngx_oa_http_append(&ex->headers, *header) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    for (i = 0; ngx_oa_http_added[i]; i++) {
        if (ngx_oa_http_append(&ex->headers, ngx_oa_http_added[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ex->url.kind != OA_URL_ADDRESS && ngx_oa_http_addresses(ex) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* libcurl shares it among the addresses */

    left = (ngx_msec_int_t) (ex->timer.timer.key - ngx_current_msec);
    left = ngx_max(left, 1);

    rc = curl_easy_setopt(easy, CURLOPT_CURLU, ex->url.handle);
    rc |= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, ex->headers);
    rc |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) left);
    rc |= curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE,
                           (curl_off_t) ex->http->max);
    rc |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, ex);
    rc |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, ex);
    rc |= curl_easy_setopt(easy, CURLOPT_PRIVATE, ex);
    rc |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, ex->message);

    if (rc != CURLE_OK) {
        return NGX_ERROR;
    }

    return ngx_oa_http_method(ex);
}


/* "+HOST:PORT:ADDRESS,[ADDRESS]": an entry that does not stay for ever. */

static ngx_int_t
ngx_oa_http_addresses(ngx_oa_http_exchange_t *ex)
{
    u_char       line[1 + OA_URL_HOST_MAX + sizeof(":65535:")
                      + NGX_OA_RESOLVE_ADDRS * (NGX_INET6_ADDRSTRLEN + 3)];
    u_char      *p, *last;
    CURLcode     rc;
    ngx_str_t   *addr;
    ngx_uint_t   i;

    last = line + sizeof(line) - 1;

    p = ngx_slprintf(line, last, "+%V:%ui:", &ex->url.host,
                     (ngx_uint_t) ex->url.port);

    if (ex->url.kind == OA_URL_LOCALHOST) {
        p = ngx_slprintf(p, last, "127.0.0.1,[::1]");
    }

    for (i = 0; i < ex->resolve.naddrs; i++) {
        addr = &ex->resolve.addrs[i];

        p = ngx_slprintf(p, last,
                         ngx_strlchr(addr->data, addr->data + addr->len, ':')
                         ? "%s[%V]" : "%s%V", i ? "," : "", addr);
    }

    *p = '\0';

    if (ngx_oa_http_append(&ex->addresses, (char *) line) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = curl_easy_setopt(ex->easy, CURLOPT_RESOLVE, ex->addresses);
    rc |= curl_easy_setopt(ex->easy, CURLOPT_RESOLVER_START_FUNCTION,
                           ngx_oa_http_resolver);

    return rc == CURLE_OK ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_oa_http_append(struct curl_slist **list, const char *line)
{
    struct curl_slist  *longer;

    longer = curl_slist_append(*list, line);
    if (longer == NULL) {
        return NGX_ERROR;
    }

    *list = longer;

    return NGX_OK;
}


static ngx_int_t
ngx_oa_http_method(ngx_oa_http_exchange_t *ex)
{
    CURLcode        rc;
    ngx_oa_http_t  *http;

    http = ex->http;

    if (ngx_strcmp(http->method, "HEAD") == 0) {
        rc = curl_easy_setopt(ex->easy, CURLOPT_NOBODY, 1L);
        return rc == CURLE_OK ? NGX_OK : NGX_ERROR;
    }

    rc = CURLE_OK;

    /* POST, PUT and PATCH have a body, maybe an empty one */

    if (http->body.data || http->method[0] == 'P') {
        rc |= curl_easy_setopt(ex->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                               (curl_off_t) http->body.len);
        rc |= curl_easy_setopt(ex->easy, CURLOPT_POSTFIELDS,
                               http->body.data ? (char *) http->body.data
                                               : "");
    }

    rc |= curl_easy_setopt(ex->easy, CURLOPT_CUSTOMREQUEST, http->method);

    return rc == CURLE_OK ? NGX_OK : NGX_ERROR;
}


static size_t
ngx_oa_http_header(char *data, size_t size, size_t n, void *ctx)
{
    ngx_oa_http_exchange_t *ex = ctx;

    size *= n;

    if (size == 0) {
        return 0;
    }

    if (size > NGX_OA_HTTP_HEADERS - ex->header_size) {
        ex->error = "the headers of the answer are too large";
        return CURL_WRITEFUNC_ERROR;
    }

    ex->header_size += size;

    if (size > 5 && ngx_strncmp(data, "HTTP/", 5) == 0) {
        ex->headed = 0;

    } else if (data[0] == '\r' || data[0] == '\n') {
        ex->headed = 1;
    }

    return size;
}


static size_t
ngx_oa_http_body(char *data, size_t size, size_t n, void *ctx)
{
    ngx_oa_http_exchange_t *ex = ctx;

    u_char  *p;
    size_t   max, room;

    size *= n;
    max = ex->http->max;

    if (size > max - ex->len) {
        ex->error = "the answer is too large";
        return CURL_WRITEFUNC_ERROR;
    }

    if (size > ex->size - ex->len) {
        room = ngx_max(2 * ex->size, NGX_OA_HTTP_FIRST);
        room = ngx_min(ngx_max(room, ex->len + size), max);

        p = ngx_alloc(room, ngx_cycle->log);
        if (p == NULL) {
            ex->error = "no memory for the answer";
            return CURL_WRITEFUNC_ERROR;
        }

        if (ex->answer) {
            ngx_memcpy(p, ex->answer, ex->len);
            ngx_free(ex->answer);
        }

        ex->answer = p;
        ex->size = room;
    }

    if (size) {
        ngx_memcpy(ex->answer + ex->len, data, size);
        ex->len += size;
    }

    return size;
}


static CURLcode
ngx_oa_http_tls(CURL *easy, void *ssl_ctx, void *data)
{
    ngx_oa_http_conf_t  *hcf;

    hcf = ngx_oa_http_conf_cycle((ngx_cycle_t *) ngx_cycle);

    if (hcf->trusted == NULL) {
        return CURLE_SSL_CACERT_BADFILE;
    }

    SSL_CTX_set1_cert_store(ssl_ctx, hcf->trusted);

    return CURLE_OK;
}


/* Called before libcurl resolves a name by itself, which it must not. */

static int
ngx_oa_http_resolver(void *resolver, void *reserved, void *data)
{
    return 1;
}


void
ngx_oa_http_fail(ngx_oa_http_exchange_t *ex, const char *error)
{
    if (ex->error == NULL) {
        ex->error = error;
    }

    ngx_post_event(&ex->failed, &ngx_posted_next_events);
}


void
ngx_oa_http_fail_all(const char *error)
{
    ngx_queue_t             *q;
    ngx_oa_http_exchange_t  *ex;

    for (q = ngx_queue_head(&ngx_oa_http_exchanges);
         q != ngx_queue_sentinel(&ngx_oa_http_exchanges);
         q = ngx_queue_next(q))
    {
        ex = ngx_queue_data(q, ngx_oa_http_exchange_t, queue);

        ngx_oa_http_fail(ex, error);
    }
}


static void
ngx_oa_http_failed(ngx_event_t *ev)
{
    ngx_oa_http_exchange_t *ex = ev->data;

    ngx_oa_http_tell(ex);
}


static void
ngx_oa_http_timeout(ngx_event_t *ev)
{
    ngx_oa_http_exchange_t *ex = ev->data;

    if (ex->error == NULL) {
        ex->error = ngx_oa_http_late(ex);
    }

    ngx_oa_http_tell(ex);
}


static const char *
ngx_oa_http_late(ngx_oa_http_exchange_t *ex)
{
    long        status;
    curl_off_t  sent;

    status = 0;
    sent = 0;

    ngx_oa_count(NGX_OA_COUNT_HTTP_TIMEOUTS);

    if (ex->easy == NULL) {
        return "host could not be resolved in time";
    }

    (void) curl_easy_getinfo(ex->easy, CURLINFO_PRETRANSFER_TIME_T, &sent);
    (void) curl_easy_getinfo(ex->easy, CURLINFO_RESPONSE_CODE, &status);

    return status ? "the answer was not complete in time"
                  : sent ? "no answer in time" : "no connection in time";
}


void
ngx_oa_http_completed(ngx_oa_http_exchange_t *ex, CURLcode rc)
{
    if (ex->error == NULL) {

        switch (rc) {

        case CURLE_OK:
            ex->error = ngx_oa_http_incomplete(ex);
            break;

        case CURLE_COULDNT_CONNECT:
            ex->error = ngx_oa_http_unreachable(ex);
            break;

        case CURLE_OPERATION_TIMEDOUT:
            ex->error = ngx_oa_http_late(ex);
            break;

        case CURLE_FILESIZE_EXCEEDED:
            ex->error = "the answer is too large";
            break;

        default:
            ex->error = ex->message[0] ? ex->message : curl_easy_strerror(rc);
        }
    }

    ngx_oa_http_tell(ex);
}


/*
 * libcurl takes the end of a connection for the end of a head, or of a body
 * of no known length, be it announced (close_notify) or not.
 */

static const char *
ngx_oa_http_incomplete(ngx_oa_http_exchange_t *ex)
{
    curl_off_t           length;
    struct curl_header  *coding;

    if (!ex->headed) {
        return "the answer was cut short";
    }

    length = -1;

    (void) curl_easy_getinfo(ex->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T,
                             &length);

    if (ex->len && length < 0
        && curl_easy_header(ex->easy, "Transfer-Encoding", 0, CURLH_HEADER,
                            -1, &coding)
           != CURLHE_OK)
    {
        return "the answer has no length, it may be cut short";
    }

    return NULL;
}


/* libcurl's own words leave out why. */

static const char *
ngx_oa_http_unreachable(ngx_oa_http_exchange_t *ex)
{
    long  err;

    err = 0;

    (void) curl_easy_getinfo(ex->easy, CURLINFO_OS_ERRNO, &err);

    ngx_snprintf(ex->reason, NGX_OA_HTTP_REASON - 1,
                 "no connection to %V:%ui (%l: %s)", &ex->url.host,
                 (ngx_uint_t) ex->url.port, err,
                 err ? strerror((int) err) : "no address answers");

    return (char *) ex->reason;
}


/* Calls the handler, last of all: nothing is under way any more. */

static void
ngx_oa_http_tell(ngx_oa_http_exchange_t *ex)
{
    ngx_oa_http_t  *http;

    http = ex->http;

    ngx_oa_http_detach(ex);
    ngx_oa_http_result(ex);

    if (http->error.len) {
        ngx_oa_count(NGX_OA_COUNT_HTTP_FAILURES);
    }

    ngx_log_debug3(NGX_LOG_DEBUG_EVENT, ngx_cycle->log, 0,
                   "oa http %p: %ui \"%V\"", http, http->status, &http->error);

    http->handler(http);

    ngx_oa_http_free(ex);
}


static void
ngx_oa_http_result(ngx_oa_http_exchange_t *ex)
{
    char           *type;
    long            status;
    u_char         *p;
    curl_off_t      retry_after;
    ngx_oa_http_t  *http;

    http = ex->http;

    ngx_str_null(&http->error);
    ngx_str_null(&http->content_type);
    ngx_str_null(&http->answer);
    http->status = 0;
    http->retry_after = 0;

    if (ex->error) {
        http->error.data = (u_char *) ex->error;
        http->error.len = ngx_strlen(ex->error);

        /* it will be logged, and may quote the server */

        if (ex->error == ex->message) {
            for (p = http->error.data; *p; p++) {
                if (*p < 0x20 || *p == 0x7f) {
                    *p = ' ';
                }
            }
        }

        return;
    }

    type = NULL;
    status = 0;
    retry_after = 0;

    (void) curl_easy_getinfo(ex->easy, CURLINFO_CONTENT_TYPE, &type);
    (void) curl_easy_getinfo(ex->easy, CURLINFO_RESPONSE_CODE, &status);
    (void) curl_easy_getinfo(ex->easy, CURLINFO_RETRY_AFTER, &retry_after);

    http->status = status;
    http->retry_after = (time_t) ngx_max(retry_after, 0);

    if (type) {
        http->content_type.data = (u_char *) type;
        http->content_type.len = ngx_strlen(type);
    }

    http->answer.data = ex->answer;
    http->answer.len = ex->len;
}


/* Ends whatever is under way.  What the handler is given stays. */

static void
ngx_oa_http_detach(ngx_oa_http_exchange_t *ex)
{
    ex->http->exchange = NULL;

    ngx_queue_remove(&ex->queue);
    ngx_oa_http_nexchanges--;

    ngx_oa_resolve_done(&ex->resolve);

    if (ex->timer.timer_set) {
        ngx_del_timer(&ex->timer);
    }

    if (ex->easy) {
        ngx_oa_http_loop_remove(ex->easy);
    }

    /* last: libcurl may have called us */

    if (ex->failed.posted) {
        ngx_delete_posted_event(&ex->failed);
    }
}


static void
ngx_oa_http_free(ngx_oa_http_exchange_t *ex)
{
    if (ex->easy) {
        curl_easy_cleanup(ex->easy);
    }

    if (ex->url.handle) {
        oa_url_free(&ex->url);
    }

    curl_slist_free_all(ex->addresses);
    curl_slist_free_all(ex->headers);

    if (ex->answer) {
        ngx_free(ex->answer);
    }

    ngx_free(ex);
}
