
/*
 * Reads lines of a cookie's name, a tab and a Cookie header, and answers each
 * with the token, "-" where there is no cookie or "!" where it is no good,
 * a tab, and what of the header is left without it.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <stdio.h>
#include <stdlib.h>
#include "oa_cookie.h"


static u_char  buf[OA_COOKIE_MAX];


int
main(void)
{
    char       *line, *tab;
    size_t      size;
    ssize_t     len;
    u_char     *end;
    ngx_int_t   rc;
    ngx_str_t   name, cookie, token;

    line = NULL;
    size = 0;

    for ( ;; ) {
        len = getline(&line, &size, stdin);

        if (len < 1) {
            break;
        }

        if (line[len - 1] == '\n') {
            len--;
        }

        tab = memchr(line, '\t', len);

        if (tab == NULL) {
            return 1;
        }

        name.data = (u_char *) line;
        name.len = tab - line;

        cookie.data = (u_char *) tab + 1;
        cookie.len = line + len - (tab + 1);

        rc = oa_cookie_token(&cookie, 1, &name, buf, &token);

        if (rc == NGX_OK) {
            printf("%.*s", (int) token.len, token.data);

        } else {
            printf("%s", rc == NGX_DECLINED ? "-" : "!");
        }

        end = oa_cookie_strip(cookie.data, &cookie, &name, 1);

        printf("\t%.*s\n", (int) (end - cookie.data), cookie.data);
    }

    free(line);

    return 0;
}
