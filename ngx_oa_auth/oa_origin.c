
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_origin.h"


/* an origin, or a host alone, in its parts */

typedef struct {
    ngx_str_t            scheme;
    ngx_str_t            host;         /* with the brackets of an address */
    ngx_str_t            port;         /* digits, or nothing */
} oa_origin_t;


static ngx_int_t oa_origin_parse(const ngx_str_t *text, oa_origin_t *origin);
static ngx_int_t oa_origin_authority(const u_char *p, const u_char *last,
    oa_origin_t *origin);
static ngx_uint_t oa_origin_default_port(const oa_origin_t *origin);
static ngx_uint_t oa_origin_same(const ngx_str_t *a, const ngx_str_t *b);


static const ngx_str_t  oa_origin_http = ngx_string("http");
static const ngx_str_t  oa_origin_https = ngx_string("https");


ngx_uint_t
oa_origin_is(const ngx_str_t *origin, const ngx_str_t *host,
    ngx_uint_t secure, const ngx_str_t *others, ngx_uint_t n)
{
    ngx_uint_t   i;
    oa_origin_t  page, own;

    for (i = 0; i < n; i++) {
        if (oa_origin_same(origin, &others[i])) {
            return 1;
        }
    }

    if (oa_origin_parse(origin, &page) != NGX_OK || host->len == 0) {
        return 0;
    }

    if (!oa_origin_same(&page.scheme, &oa_origin_https)
        && (secure || !oa_origin_same(&page.scheme, &oa_origin_http)))
    {
        return 0;
    }

    if (oa_origin_authority(host->data, host->data + host->len, &own)
        != NGX_OK)
    {
        return 0;
    }

    /* what a default port is, the page's scheme says */

    own.scheme = page.scheme;

    if (oa_origin_default_port(&page)) {
        page.port.len = 0;
    }

    if (oa_origin_default_port(&own)) {
        own.port.len = 0;
    }

    return oa_origin_same(&page.host, &own.host)
           && oa_origin_same(&page.port, &own.port);
}


ngx_uint_t
oa_is_origin(const ngx_str_t *text)
{
    size_t       i;
    oa_origin_t  origin;

    for (i = 0; i < text->len; i++) {
        if (text->data[i] >= 'A' && text->data[i] <= 'Z') {
            return 0;
        }
    }

    return oa_origin_parse(text, &origin) == NGX_OK
           && !oa_origin_default_port(&origin);
}


static ngx_int_t
oa_origin_parse(const ngx_str_t *text, oa_origin_t *origin)
{
    u_char   c;
    u_char  *p, *last;

    if (text->len == 0) {
        return NGX_ERROR;
    }

    p = text->data;
    last = p + text->len;

    /* RFC 3986, 3.1 */

    while (p < last) {
        c = ngx_tolower(*p);

        if (!((c >= 'a' && c <= 'z')
              || (p > text->data
                  && ((c >= '0' && c <= '9')
                      || c == '+' || c == '-' || c == '.'))))
        {
            break;
        }

        p++;
    }

    if (p == text->data || last - p < 3 || ngx_memcmp(p, "://", 3) != 0) {
        return NGX_ERROR;
    }

    origin->scheme.data = text->data;
    origin->scheme.len = p - text->data;

    return oa_origin_authority(p + 3, last, origin);
}


/* "name", "name:port", "[address]", "[address]:port" */

static ngx_int_t
oa_origin_authority(const u_char *p, const u_char *last, oa_origin_t *origin)
{
    u_char         c;
    ngx_uint_t     port, address;
    const u_char  *start;

    start = p;
    address = (p < last && *p == '[');

    if (address) {
        p++;
    }

    for ( /* void */ ; p < last; p++) {
        c = ngx_tolower(*p);

        if (!((c >= '0' && c <= '9') || c == '.'
              || (address ? ((c >= 'a' && c <= 'f') || c == ':')
                          : ((c >= 'a' && c <= 'z') || c == '-' || c == '_'))))
        {
            break;
        }
    }

    if (address) {
        if (p - start < 3 || p == last || *p != ']') {
            return NGX_ERROR;
        }

        p++;
    }

    if (p == start) {
        return NGX_ERROR;
    }

    origin->host.data = (u_char *) start;
    origin->host.len = p - start;
    ngx_str_null(&origin->port);

    if (p == last) {
        return NGX_OK;
    }

    if (*p++ != ':' || p == last || last - p > 5 || *p == '0') {
        return NGX_ERROR;
    }

    origin->port.data = (u_char *) p;
    origin->port.len = last - p;
    port = 0;

    for ( /* void */ ; p < last; p++) {
        if (*p < '0' || *p > '9') {
            return NGX_ERROR;
        }

        port = port * 10 + (*p - '0');
    }

    return port > 65535 ? NGX_ERROR : NGX_OK;
}


static ngx_uint_t
oa_origin_default_port(const oa_origin_t *origin)
{
    ngx_uint_t  i;

    static const struct {
        ngx_str_t  scheme;
        ngx_str_t  port;
    } defaults[] = {
        { ngx_string("http"), ngx_string("80") },
        { ngx_string("https"), ngx_string("443") }
    };

    for (i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++) {
        if (oa_origin_same(&origin->scheme, &defaults[i].scheme)) {
            return oa_origin_same(&origin->port, &defaults[i].port);
        }
    }

    return 0;
}


static ngx_uint_t
oa_origin_same(const ngx_str_t *a, const ngx_str_t *b)
{
    return a->len == b->len
           && (a->len == 0
               || ngx_strncasecmp(a->data, b->data, a->len) == 0);
}
