
/*
 * libcurl's multi interface on nginx's event loop.
 *
 * The descriptors are libcurl's.  It says which events it wants of each; a
 * ngx_connection_t is put around it for as long as it wants any.  Events are
 * level-triggered, because libcurl does not read until EAGAIN.
 *
 * Inside its callbacks libcurl must not be called: the timer of no delay is a
 * posted event, and an exchange fails later.
 */


#include "ngx_oa_http.h"


static int ngx_oa_http_loop_socket(CURL *easy, curl_socket_t fd, int what,
    void *data, void *attached);
static ngx_connection_t *ngx_oa_http_loop_attach(curl_socket_t fd);
static void ngx_oa_http_loop_detach(ngx_connection_t *c);
static ngx_int_t ngx_oa_http_loop_want(ngx_event_t *ev, ngx_int_t event,
    ngx_uint_t wanted);
static void ngx_oa_http_loop_no_socket(CURL *easy);
static int ngx_oa_http_loop_timer(CURLM *multi, long delay, void *data);
static void ngx_oa_http_loop_socket_handler(ngx_event_t *ev);
static void ngx_oa_http_loop_timer_handler(ngx_event_t *ev);
static void ngx_oa_http_loop_run(curl_socket_t fd, int what);


static CURLM       *ngx_oa_http_multi;
static ngx_event_t  ngx_oa_http_timer;


ngx_int_t
ngx_oa_http_loop_init(void)
{
    CURLM      *multi;
    CURLMcode   rc;

    multi = curl_multi_init();
    if (multi == NULL) {
        return NGX_ERROR;
    }

    ngx_oa_http_multi = multi;

    /* it is the exchanges that keep an exiting worker */

    ngx_oa_http_timer.handler = ngx_oa_http_loop_timer_handler;
    ngx_oa_http_timer.data = &ngx_oa_http_timer;
    ngx_oa_http_timer.log = ngx_cycle->log;
    ngx_oa_http_timer.cancelable = 1;

    rc = curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION,
                           ngx_oa_http_loop_socket);

    if (rc == CURLM_OK) {
        rc = curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION,
                               ngx_oa_http_loop_timer);
    }

    return rc == CURLM_OK ? NGX_OK : NGX_ERROR;
}


void
ngx_oa_http_loop_exit(void)
{
    /* may take sockets off */

    (void) curl_multi_cleanup(ngx_oa_http_multi);
    ngx_oa_http_multi = NULL;

    (void) ngx_oa_http_loop_timer(NULL, -1, NULL);
}


ngx_int_t
ngx_oa_http_loop_add(CURL *easy)
{
    CURLMcode  rc;

    rc = curl_multi_add_handle(ngx_oa_http_multi, easy);

    return rc == CURLM_OK ? NGX_OK : NGX_ERROR;
}


void
ngx_oa_http_loop_remove(CURL *easy)
{
    /* of one that was not added nothing comes */

    (void) curl_multi_remove_handle(ngx_oa_http_multi, easy);
}


static int
ngx_oa_http_loop_socket(CURL *easy, curl_socket_t fd, int what, void *data,
    void *attached)
{
    ngx_connection_t  *c;

    c = attached;

    if (what == CURL_POLL_REMOVE) {
        if (c) {
            ngx_oa_http_loop_detach(c);
            (void) curl_multi_assign(ngx_oa_http_multi, fd, NULL);
        }

        return 0;
    }

    if (c == NULL) {
        c = ngx_oa_http_loop_attach(fd);

        if (c == NULL) {
            ngx_oa_http_loop_no_socket(easy);
            return 0;
        }

        if (curl_multi_assign(ngx_oa_http_multi, fd, c) != CURLM_OK) {
            ngx_oa_http_loop_detach(c);
            ngx_oa_http_loop_no_socket(easy);
            return 0;
        }
    }

    if (ngx_oa_http_loop_want(c->read, NGX_READ_EVENT, what & CURL_POLL_IN)
        != NGX_OK
        || ngx_oa_http_loop_want(c->write, NGX_WRITE_EVENT,
                                 what & CURL_POLL_OUT)
           != NGX_OK)
    {
        ngx_oa_http_loop_no_socket(easy);
    }

    return 0;
}


static ngx_connection_t *
ngx_oa_http_loop_attach(curl_socket_t fd)
{
    ngx_connection_t  *c;

    c = ngx_get_connection(fd, ngx_cycle->log);
    if (c == NULL) {
        return NULL;
    }

    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = ngx_oa_http_loop_socket_handler;
    c->write->handler = ngx_oa_http_loop_socket_handler;

    return c;
}


/* ngx_close_connection() would close what is libcurl's to close. */

static void
ngx_oa_http_loop_detach(ngx_connection_t *c)
{
    (void) ngx_oa_http_loop_want(c->read, NGX_READ_EVENT, 0);
    (void) ngx_oa_http_loop_want(c->write, NGX_WRITE_EVENT, 0);

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    c->read->closed = 1;
    c->write->closed = 1;

    ngx_free_connection(c);
    c->fd = (ngx_socket_t) -1;
}


static ngx_int_t
ngx_oa_http_loop_want(ngx_event_t *ev, ngx_int_t event, ngx_uint_t wanted)
{
    if (wanted && !ev->active) {
        return ngx_add_event(ev, event, NGX_LEVEL_EVENT);
    }

    if (!wanted && ev->active) {
        return ngx_del_event(ev, event, 0);
    }

    return NGX_OK;
}


/* An error told to libcurl would end all transfers at once. */

static void
ngx_oa_http_loop_no_socket(CURL *easy)
{
    char  *ex;

    ex = NULL;

    (void) curl_easy_getinfo(easy, CURLINFO_PRIVATE, &ex);

    /* libcurl closes connections with a handle of its own */

    if (ex) {
        ngx_oa_http_fail((ngx_oa_http_exchange_t *) ex,
                         "no connection of nginx is free");
    }
}


static int
ngx_oa_http_loop_timer(CURLM *multi, long delay, void *data)
{
    ngx_event_t  *ev;

    ev = &ngx_oa_http_timer;

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    if (ev->posted) {
        ngx_delete_posted_event(ev);
    }

    if (delay > 0) {
        ngx_add_timer(ev, (ngx_msec_t) delay);

    } else if (delay == 0) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }

    return 0;
}


static void
ngx_oa_http_loop_socket_handler(ngx_event_t *ev)
{
    ngx_connection_t  *c;

    c = ev->data;

    if (c->close) {
        /* worker_shutdown_timeout is over */
        ngx_oa_http_fail_all("the worker exits");
        return;
    }

    ngx_oa_http_loop_run(c->fd, ev->write ? CURL_CSELECT_OUT
                                          : CURL_CSELECT_IN);
}


static void
ngx_oa_http_loop_timer_handler(ngx_event_t *ev)
{
    ngx_oa_http_loop_run(CURL_SOCKET_TIMEOUT, 0);
}


static void
ngx_oa_http_loop_run(curl_socket_t fd, int what)
{
    int         n;
    char       *ex;
    CURL       *easy;
    CURLMsg    *msg;
    CURLcode    result;
    CURLMcode   rc;

    rc = curl_multi_socket_action(ngx_oa_http_multi, fd, what, &n);

    if (rc != CURLM_OK) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0, "libcurl: %s",
                      curl_multi_strerror(rc));
        ngx_oa_http_fail_all("libcurl has failed");
    }

    /* a handler may begin and cancel exchanges, and so change the list */

    while ((msg = curl_multi_info_read(ngx_oa_http_multi, &n)) != NULL) {

        if (msg->msg != CURLMSG_DONE) {
            continue;
        }

        easy = msg->easy_handle;
        result = msg->data.result;
        ex = NULL;

        (void) curl_easy_getinfo(easy, CURLINFO_PRIVATE, &ex);

        ngx_oa_http_completed((ngx_oa_http_exchange_t *) ex, result);
    }
}
