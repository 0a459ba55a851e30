
/* URLs of servers that we ask.  Pure; the parser is libcurl's. */


#ifndef _OA_URL_H_INCLUDED_
#define _OA_URL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <curl/curl.h>


/* a name in the DNS (RFC 1035, 2.3.4), without its last dot */
#define OA_URL_HOST_MAX  253


typedef enum {
    OA_URL_NAME = 0,                   /* to be resolved */
    OA_URL_LOCALHOST,
    OA_URL_ADDRESS
} oa_url_host_e;

typedef struct {
    CURLU                       *handle;     /* for CURLOPT_CURLU */
    ngx_uint_t                   tls;
    oa_url_host_e                kind;
    ngx_str_t                    host;       /* lower case, NUL-terminated;
                                                IPv6 in brackets */
    in_port_t                    port;
    u_char                       text[OA_URL_HOST_MAX + 1];
} oa_url_t;


/*
 * Takes an absolute URL: https, or http to loopback or to a host below
 * ".internal"; without user and fragment.  NULL, then oa_url_free() is to be
 * called; or what is wrong with it, to be put behind "the URL ".
 */
const char *oa_url_parse(oa_url_t *u, const char *url);

void oa_url_free(oa_url_t *u);


#endif /* _OA_URL_H_INCLUDED_ */
