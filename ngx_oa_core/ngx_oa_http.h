
/*
 * HTTP inside the core: an exchange (ngx_oa_http.c) is one transfer of
 * libcurl's (ngx_oa_http_transfer.c), with its time and its end; the loop
 * (ngx_oa_http_loop.c) gives libcurl the sockets and the timer of nginx, and
 * knows no exchange but to say that it is over.
 */


#ifndef _NGX_OA_HTTP_INT_H_INCLUDED_
#define _NGX_OA_HTTP_INT_H_INCLUDED_


#include "ngx_oa_core.h"
#include "ngx_oa_resolve.h"
#include "oa_url.h"


#if (LIBCURL_VERSION_NUM < 0x075500)
#error libcurl 7.85 or later is needed
#endif


/* a worker's, at once */
#define NGX_OA_HTTP_EXCHANGES  64

/* bytes of all headers of an answer */
#define NGX_OA_HTTP_HEADERS    65536

/* bytes of an error that is made here */
#define NGX_OA_HTTP_REASON     384


/* Configuration */


/* All zero: no URL was checked, nothing will be asked. */
typedef struct {
    ngx_uint_t                   used;
    ngx_uint_t                   tls;        /* https is used */
    ngx_uint_t                   trust;      /* certificates, elsewhere */
    void                        *trusted;    /* X509_STORE * */
} ngx_oa_http_conf_t;

char *ngx_oa_http_trusted(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_int_t ngx_oa_http_postconf(ngx_conf_t *cf);

/* Where the core's main configuration keeps it; by ngx_oa_core_module.c. */
ngx_oa_http_conf_t *ngx_oa_http_conf(ngx_conf_t *cf);
ngx_oa_http_conf_t *ngx_oa_http_conf_cycle(ngx_cycle_t *cycle);


/* Exchanges */


typedef struct {
    ngx_oa_http_t               *http;
    ngx_queue_t                  queue;      /* of all of the worker */

    oa_url_t                     url;
    ngx_oa_resolve_t             resolve;
    ngx_event_t                  timer;
    ngx_event_t                  failed;     /* tells an error later */

    CURL                        *easy;
    struct curl_slist           *addresses;
    struct curl_slist           *headers;

    u_char                      *answer;
    size_t                       size;
    size_t                       len;
    size_t                       header_size;
    ngx_uint_t                   headed;     /* the head came whole */

    const char                  *error;      /* the first; or NULL */
    char                         message[CURL_ERROR_SIZE];
    u_char                       reason[NGX_OA_HTTP_REASON];
} ngx_oa_http_exchange_t;

ngx_int_t ngx_oa_http_init_process(ngx_cycle_t *cycle);
void ngx_oa_http_exit_process(void);

/* The transfer is over: handler is called. */
void ngx_oa_http_completed(ngx_oa_http_exchange_t *ex, CURLcode rc);

/* handler will be called with this error, unless there is one already. */
void ngx_oa_http_fail(ngx_oa_http_exchange_t *ex, const char *error);
void ngx_oa_http_fail_all(const char *error);


/* Transfers */


ngx_int_t ngx_oa_http_transfer_init(ngx_oa_http_conf_t *hcf);
void ngx_oa_http_transfer_exit(void);

/* Makes ex->easy, from the exchange and its addresses.  Not begun yet. */
ngx_int_t ngx_oa_http_transfer(ngx_oa_http_exchange_t *ex);


/* The loop */


ngx_int_t ngx_oa_http_loop_init(void);
void ngx_oa_http_loop_exit(void);

/* easy has the exchange as CURLOPT_PRIVATE. */
ngx_int_t ngx_oa_http_loop_add(CURL *easy);
void ngx_oa_http_loop_remove(CURL *easy);


#endif /* _NGX_OA_HTTP_INT_H_INCLUDED_ */
