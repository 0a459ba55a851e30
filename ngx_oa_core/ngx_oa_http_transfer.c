
/*
 * Transfers: what libcurl is told, and what it brings.
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


/* bytes of an answer that there is room for at first */
#define NGX_OA_HTTP_FIRST  4096


static ngx_int_t ngx_oa_http_setup(ngx_oa_http_exchange_t *ex);
static ngx_int_t ngx_oa_http_addresses(ngx_oa_http_exchange_t *ex);
static ngx_int_t ngx_oa_http_append(struct curl_slist **list,
    const char *line);
static ngx_int_t ngx_oa_http_method(ngx_oa_http_exchange_t *ex);
static size_t ngx_oa_http_header(char *data, size_t size, size_t n, void *ctx);
static size_t ngx_oa_http_body(char *data, size_t size, size_t n, void *ctx);
static CURLcode ngx_oa_http_tls(CURL *easy, void *ssl_ctx, void *data);
static int ngx_oa_http_resolver(void *resolver, void *reserved, void *data);


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


/* What all have in common. */
static CURL  *ngx_oa_http_template;


ngx_int_t
ngx_oa_http_transfer_init(ngx_oa_http_conf_t *hcf)
{
    CURL        *easy;
    CURLcode     rc;
    ngx_uint_t   i;

    easy = curl_easy_init();
    if (easy == NULL) {
        return NGX_ERROR;
    }

    ngx_oa_http_template = easy;

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
ngx_oa_http_transfer_exit(void)
{
    curl_easy_cleanup(ngx_oa_http_template);
    ngx_oa_http_template = NULL;
}


ngx_int_t
ngx_oa_http_transfer(ngx_oa_http_exchange_t *ex)
{
    ex->easy = curl_easy_duphandle(ngx_oa_http_template);

    return ex->easy ? ngx_oa_http_setup(ex) : NGX_ERROR;
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
