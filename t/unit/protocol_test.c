
#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include "oa_protocol.h"
#include "tap.h"


#define JWT  "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1In0.c2ln"


typedef struct {
    ngx_str_t    in;
    ngx_int_t    rc;
    ngx_str_t    token;
    ngx_str_t    stripped;
} test_protocol_t;


#define READ(in, token, stripped)                                             \
    { ngx_string(in), NGX_OK, ngx_string(token), ngx_string(stripped) }
#define NOT(in, rc, stripped)                                                 \
    { ngx_string(in), rc, ngx_null_string, ngx_string(stripped) }


static const test_protocol_t  protocols[] = {
    READ("bearer, a.b.c", "a.b.c", "bearer"),
    READ("bearer,a.b.c", "a.b.c", "bearer"),
    READ("Bearer, a.b.c", "a.b.c", "Bearer"),
    READ("BEARER \t,\t a.b.c \t", "a.b.c", "BEARER"),
    READ(" bearer, a.b.c", "a.b.c", "bearer"),
    READ("bearer, a.b.c, chat", "a.b.c", "bearer, chat"),
    READ("chat, bearer, a.b.c", "a.b.c", "chat, bearer"),
    READ("chat,bearer,a.b.c,v2", "a.b.c", "chat,bearer,v2"),
    READ("chat,  bearer,  a.b.c,\tv2", "a.b.c", "chat, bearer,v2"),
    READ("bearer, , a.b.c", "a.b.c", "bearer"),
    READ(",,bearer,,a.b.c,,", "a.b.c", "bearer"),
    READ("bearer, " JWT, JWT, "bearer"),
    READ("bearer, " JWT ", " JWT, JWT, "bearer"),
    READ("bearer, x, " JWT, "x", "bearer"),
    READ(JWT ", bearer, x", "x", "bearer"),

    NOT("", NGX_DECLINED, ""),
    NOT(" ,\t, ", NGX_DECLINED, ""),
    NOT("chat", NGX_DECLINED, "chat"),
    NOT("chat, superchat", NGX_DECLINED, "chat, superchat"),
    NOT("chat , superchat ,", NGX_DECLINED, "chat, superchat"),
    NOT("bearers, a.b.c", NGX_DECLINED, "bearers, a.b.c"),
    NOT("beare, a.b.c", NGX_DECLINED, "beare, a.b.c"),
    NOT("bearer a.b.c", NGX_DECLINED, "bearer a.b.c"),
    NOT("base64url.bearer.authorization.k8s.io.x, v4", NGX_DECLINED,
        "base64url.bearer.authorization.k8s.io.x, v4"),

    NOT("bearer", NGX_ERROR, "bearer"),
    NOT("bearer,", NGX_ERROR, "bearer"),
    NOT("bearer, \t", NGX_ERROR, "bearer"),
    NOT("a.b.c, bearer", NGX_ERROR, "a.b.c, bearer"),
    NOT("bearer, bearer", NGX_ERROR, "bearer"),
    NOT("bearer, bearer, a.b.c", NGX_ERROR, "bearer"),
    NOT("bearer, a.b.c, bearer", NGX_ERROR, "bearer, bearer"),
    NOT("bearer, a.b.c, Bearer, d.e.f", NGX_ERROR, "bearer, Bearer"),
    NOT("bearer, a.b.c, bearer, a.b.c", NGX_ERROR, "bearer, bearer"),

    /* a token, wherever it stands */

    NOT(JWT, NGX_DECLINED, ""),
    NOT("chat, " JWT, NGX_DECLINED, "chat"),
    NOT(JWT ", bearer", NGX_ERROR, "bearer"),
    NOT("ewogImFsZyI6IngifQ.e30.c2ln", NGX_DECLINED, ""),
    NOT("eyJ.eyJ", NGX_DECLINED, "eyJ.eyJ"),
    NOT("e", NGX_DECLINED, "e"),
    NOT("echo.v1.0", NGX_DECLINED, "echo.v1.0"),
    NOT("wamp.2.json", NGX_DECLINED, "wamp.2.json"),
    NOT("v12.stomp, v11.stomp", NGX_DECLINED, "v12.stomp, v11.stomp"),
    NOT("graphql-transport-ws", NGX_DECLINED, "graphql-transport-ws")
};


static u_char *
copy(const ngx_str_t *s)
{
    u_char  *p;

    p = malloc(s->len ? s->len : 1);
    if (p == NULL) {
        abort();
    }

    ngx_memcpy(p, s->data, s->len);

    return p;
}


int
main(void)
{
    char        name[120];
    u_char     *dst, *end;
    ngx_int_t   rc;
    ngx_str_t   in, token;
    ngx_uint_t  i;

    for (i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
        in.len = protocols[i].in.len;
        in.data = copy(&protocols[i].in);
        dst = copy(&protocols[i].in);

        snprintf(name, sizeof(name), "\"%s\"", show(in.data, in.len));

        rc = oa_protocol_token(&in, &token);

        ok(rc == protocols[i].rc, "%s: %ld", name, (long) rc);

        if (protocols[i].rc == NGX_OK) {
            is_bytes(token.data, token.len, protocols[i].token.data,
                     protocols[i].token.len, name);
        }

        end = oa_protocol_strip(dst, &in);
        is_bytes(dst, end - dst, protocols[i].stripped.data,
                 protocols[i].stripped.len, name);

        end = oa_protocol_strip(in.data, &in);
        is_bytes(in.data, end - in.data, protocols[i].stripped.data,
                 protocols[i].stripped.len, name);

        free(dst);
        free(in.data);
    }

    ngx_str_null(&in);
    ok(oa_protocol_token(&in, &token) == NGX_DECLINED
       && oa_protocol_strip((u_char *) name, &in) == (u_char *) name,
       "no header");

    return done_testing();
}
