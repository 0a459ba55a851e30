
/*
 * oa_url_parse(): of what it takes, libcurl would go to the host that it
 * found, and to no stranger in clear text.
 */


#include "fuzz.h"
#include "oa_url.h"


static ngx_uint_t
ends(const ngx_str_t *s, const char *tail)
{
    size_t  len;

    len = strlen(tail);

    return s->len > len && memcmp(s->data + s->len - len, tail, len) == 0;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char      *url, *value;
    size_t     i;
    oa_url_t   u;

    url = (char *) fuzz_alloc(size + 1);
    memcpy(url, data, size);
    url[size] = '\0';

    if (oa_url_parse(&u, url) == NULL) {

        must(u.host.len > 0 && u.host.len <= OA_URL_HOST_MAX);
        must(u.host.data[u.host.len] == '\0');
        must(u.port != 0);

        if (u.kind != OA_URL_ADDRESS) {
            for (i = 0; i < u.host.len; i++) {
                must(strchr("abcdefghijklmnopqrstuvwxyz0123456789-_.",
                            u.host.data[i]));
            }

            must(u.host.data[0] != '.' && !ends(&u.host, "."));
        }

        if (!u.tls) {
            must(ends(&u.host, ".internal")
                 || strcmp((char *) u.host.data, "localhost") == 0
                 || strcmp((char *) u.host.data, "[::1]") == 0
                 || strncmp((char *) u.host.data, "127.", 4) == 0);
        }

        must(curl_url_get(u.handle, CURLUPART_HOST, &value, 0) == CURLUE_OK);
        must(strcasecmp(value, (char *) u.host.data) == 0);
        curl_free(value);

        must(curl_url_get(u.handle, CURLUPART_SCHEME, &value, 0)
             == CURLUE_OK);
        must(strcmp(value, u.tls ? "https" : "http") == 0);
        curl_free(value);

        oa_url_free(&u);
    }

    free(url);

    return 0;
}
