
/*
 * What libcurl makes of a URL is looked at, not the URL: there is no second
 * reading of it that could differ.
 */


#include "oa_url.h"


static const char *oa_url_check(oa_url_t *u);
static ngx_uint_t oa_url_has(oa_url_t *u, CURLUPart part);
static const char *oa_url_host(oa_url_t *u);
static ngx_uint_t oa_url_is_name(const ngx_str_t *host);
static ngx_uint_t oa_url_is_private(const oa_url_t *u);
static ngx_uint_t oa_url_port(oa_url_t *u);


const char *
oa_url_parse(oa_url_t *u, const char *url)
{
    size_t       scheme;
    const char  *error;

    /* libcurl guesses, and forgives a slash too few or too many */

    if (ngx_strncasecmp((u_char *) url, (u_char *) "https://", 8) == 0) {
        u->tls = 1;
        scheme = 8;

    } else if (ngx_strncasecmp((u_char *) url, (u_char *) "http://", 7) == 0) {
        u->tls = 0;
        scheme = 7;

    } else {
        return "does not begin with \"https://\" or \"http://\"";
    }

    if (url[scheme] == '/') {
        return "has no host";
    }

    if (strchr(url, '#')) {
        return "has a fragment";
    }

    u->handle = curl_url();
    if (u->handle == NULL) {
        return "could not be parsed: no memory";
    }

    error = "is invalid";

    if (curl_url_set(u->handle, CURLUPART_URL, url, 0) == CURLUE_OK) {
        error = oa_url_check(u);
    }

    if (error) {
        oa_url_free(u);
    }

    return error;
}


void
oa_url_free(oa_url_t *u)
{
    curl_url_cleanup(u->handle);
    u->handle = NULL;
}


static const char *
oa_url_check(oa_url_t *u)
{
    const char  *error;

    if (oa_url_has(u, CURLUPART_USER) || oa_url_has(u, CURLUPART_PASSWORD)) {
        return "has a user";
    }

    error = oa_url_host(u);
    if (error) {
        return error;
    }

    if (!oa_url_port(u)) {
        return "has an invalid port";
    }

    if (!u->tls && !oa_url_is_private(u)) {
        return "must begin with \"https://\": plain http is for loopback and "
               "hosts below \".internal\"";
    }

    return NULL;
}


static ngx_uint_t
oa_url_has(oa_url_t *u, CURLUPart part)
{
    char       *value;
    CURLUcode   rc;

    value = NULL;

    rc = curl_url_get(u->handle, part, &value, 0);

    curl_free(value);

    return rc == CURLUE_OK;
}


static const char *
oa_url_host(oa_url_t *u)
{
    char             *value;
    size_t            len;
    struct in_addr    in;

    value = NULL;

    if (curl_url_get(u->handle, CURLUPART_HOST, &value, 0) != CURLUE_OK) {
        return "has no host";
    }

    len = ngx_strlen(value);

    if (len > OA_URL_HOST_MAX) {
        curl_free(value);
        return "has too long a host";
    }

    ngx_strlow(u->text, (u_char *) value, len);
    u->text[len] = '\0';

    curl_free(value);

    u->host.data = u->text;
    u->host.len = len;

    if (u->text[0] == '[' || inet_pton(AF_INET, (char *) u->text, &in) == 1) {
        u->kind = OA_URL_ADDRESS;
        return NULL;
    }

    if (!oa_url_is_name(&u->host)) {
        return "has an invalid host";
    }

    u->kind = (ngx_strcmp(u->text, "localhost") == 0) ? OA_URL_LOCALHOST
                                                      : OA_URL_NAME;

    return NULL;
}


/* Labels of letters, digits, "-" and "_"; no dot at the end. */

static ngx_uint_t
oa_url_is_name(const ngx_str_t *host)
{
    u_char      ch;
    ngx_uint_t  i, label;

    label = 0;

    for (i = 0; i < host->len; i++) {
        ch = host->data[i];

        if (ch == '.') {
            if (label == 0) {
                return 0;
            }

            label = 0;
            continue;
        }

        if ((ch < 'a' || ch > 'z') && (ch < '0' || ch > '9') && ch != '-'
            && ch != '_')
        {
            return 0;
        }

        if (++label > 63) {
            return 0;
        }
    }

    return label != 0;
}


static ngx_uint_t
oa_url_is_private(const oa_url_t *u)
{
    const ngx_str_t  *host = &u->host;

    static const ngx_str_t  internal = ngx_string(".internal");

    switch (u->kind) {

    case OA_URL_LOCALHOST:
        return 1;

    case OA_URL_ADDRESS:
        return ngx_strncmp(host->data, "127.", 4) == 0
               || ngx_strcmp(host->data, "[::1]") == 0;

    default:
        return host->len > internal.len
               && ngx_strncmp(host->data + host->len - internal.len,
                              internal.data, internal.len)
                  == 0;
    }
}


static ngx_uint_t
oa_url_port(oa_url_t *u)
{
    char       *value;
    ngx_int_t   n;

    value = NULL;

    if (curl_url_get(u->handle, CURLUPART_PORT, &value, CURLU_DEFAULT_PORT)
        != CURLUE_OK)
    {
        return 0;
    }

    n = ngx_atoi((u_char *) value, ngx_strlen(value));

    curl_free(value);

    if (n < 1 || n > 65535) {
        return 0;
    }

    u->port = (in_port_t) n;

    return 1;
}
