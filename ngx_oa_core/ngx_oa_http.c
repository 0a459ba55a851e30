
/*
 * Exchanges: from the URL by way of the addresses and the transfer to the
 * handler, within their time.  Handlers are called last of all, when nothing
 * is under way any more.
 */


#include "ngx_oa_http.h"


static void ngx_oa_http_resolved(void *data, const char *error);
static void ngx_oa_http_start(ngx_oa_http_exchange_t *ex);
static void ngx_oa_http_failed(ngx_event_t *ev);
static void ngx_oa_http_timeout(ngx_event_t *ev);
static const char *ngx_oa_http_late(ngx_oa_http_exchange_t *ex);
static const char *ngx_oa_http_incomplete(ngx_oa_http_exchange_t *ex);
static const char *ngx_oa_http_unreachable(ngx_oa_http_exchange_t *ex);
static void ngx_oa_http_tell(ngx_oa_http_exchange_t *ex);
static void ngx_oa_http_result(ngx_oa_http_exchange_t *ex);
static void ngx_oa_http_detach(ngx_oa_http_exchange_t *ex);
static void ngx_oa_http_free(ngx_oa_http_exchange_t *ex);


/* This worker makes exchanges. */
static ngx_uint_t   ngx_oa_http_running;

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
        || ngx_oa_http_transfer_init(hcf) != NGX_OK
        || ngx_oa_http_loop_init() != NGX_OK)
    {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "libcurl could not be set up: %s", curl_version());
        return NGX_ERROR;
    }

    ngx_oa_http_running = 1;

    return NGX_OK;
}


void
ngx_oa_http_exit_process(void)
{
    ngx_queue_t             *queue;
    ngx_oa_http_exchange_t  *ex;

    if (!ngx_oa_http_running) {
        return;
    }

    ngx_oa_http_running = 0;

    while (!ngx_queue_empty(&ngx_oa_http_exchanges)) {
        queue = ngx_queue_head(&ngx_oa_http_exchanges);
        ex = ngx_queue_data(queue, ngx_oa_http_exchange_t, queue);

        ngx_oa_http_cancel(ex->http);
    }

    ngx_oa_http_loop_exit();
    ngx_oa_http_transfer_exit();
}


ngx_int_t
ngx_oa_http_send(ngx_oa_http_t *http)
{
    const char              *error;
    ngx_oa_http_exchange_t  *ex;

    if (!ngx_oa_http_running) {
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
    if (ngx_oa_http_transfer(ex) != NGX_OK) {
        ngx_oa_http_fail(ex, "no memory for an exchange");
        return;
    }

    if (ngx_oa_http_loop_add(ex->easy) != NGX_OK) {
        ngx_oa_http_fail(ex, "the exchange could not be begun");
    }
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
