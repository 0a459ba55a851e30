
/*
 * Runs Wycheproof's json_web_signature_test.json, whose name is the argument;
 * see t/jws_vectors.t.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <stdlib.h>
#include "oa_base64url.h"
#include "oa_jwk.h"
#include "tap.h"


/* Where we are stricter than the file says, or the file is wrong. */

static const struct {
    ngx_int_t    id;
    const char  *why;
} differ[] = {
    { 346, "PS384, with a key that is for PS256 only" },
    { 347, "ES512, with a key for \"ES521\", which is no algorithm" },
    { 350, "PS384, with a key that is for PS256 only" },
    { 351, "ES512, with a key for \"ES521\", which is no algorithm" },
    { 367, "its bytes are those of 357, which is valid" },
    { 370, "its bytes are those of 357, which is valid" },
    { 372, "called valid, with a \"?\" in its header" },
    { 373, "called valid, with a \"?\" in its payload" }
};


static const char *
differs(ngx_int_t id)
{
    ngx_uint_t  i;

    for (i = 0; i < sizeof(differ) / sizeof(differ[0]); i++) {
        if (differ[i].id == id) {
            return differ[i].why;
        }
    }

    return NULL;
}


/* The keys of a group; NULL where they must not even be taken. */

static oa_jwks_t *
group_keys(const json_t *group)
{
    char        *text;
    u_char       buf[1024];
    json_t      *jwk, *root;
    oa_jwks_t   *set;
    ngx_int_t    rc;
    ngx_str_t    secret;
    const char  *k, *why;

    jwk = json_object_get(group, "public");

    if (jwk == NULL) {
        jwk = json_object_get(group, "private");
        k = json_string_value(json_object_get(jwk, "k"));

        if (k == NULL || strlen(k) > sizeof(buf)
            || oa_base64url_decode(buf, (u_char *) k, strlen(k)) != NGX_OK)
        {
            abort();
        }

        secret.data = buf;
        secret.len = oa_base64url_decoded(strlen(k));

        rc = oa_jwks_secret(&secret, &set);

        ok((rc == NGX_OK) == (secret.len >= 32),
           "a secret of %lu bytes is %s", (unsigned long) secret.len,
           rc == NGX_OK ? "taken" : "refused");

        return rc == NGX_OK ? set : NULL;
    }

    root = json_pack("{s:[O]}", "keys", jwk);
    text = root ? json_dumps(root, 0) : NULL;

    if (text == NULL
        || oa_jwks_parse((u_char *) text, strlen(text), &set, NULL, NULL,
                         &why)
           != NGX_OK)
    {
        abort();
    }

    free(text);
    json_decref(root);

    return set;
}


static const char *
refusal(const oa_jwks_t *set, const char *text)
{
    u_char            payload[OA_JWS_MAX];
    oa_jws_t          jws;
    oa_jwk_t         *key;
    ngx_str_t         token;
    oa_jws_header_t   h;

    token.len = strlen(text);
    token.data = (u_char *) text;

    if (set == NULL) {
        return "keys";
    }

    if (oa_jws_split(&token, &jws) != NGX_OK) {
        return "segments";
    }

    if (oa_jws_header(&jws.header, &h) != OA_AUTH_OK) {
        return "header";
    }

    if (oa_jwks_find(set, &h, &key) != OA_AUTH_OK) {
        return "key";
    }

    switch (oa_jwk_verify(key, h.alg, &jws.input, &jws.signature)) {
    case NGX_OK:
        break;

    case NGX_DECLINED:
        return "signature";

    default:
        return "ERROR";
    }

    if (oa_base64url_decode(payload, jws.payload.data, jws.payload.len)
        != NGX_OK)
    {
        return "payload";
    }

    return NULL;
}


int
main(int argc, char **argv)
{
    int           valid;
    size_t        i, j;
    json_t       *root, *groups, *group, *tests, *test;
    ngx_int_t     id;
    oa_jwks_t    *set;
    ngx_uint_t    ngood, nbad, ndiffer;
    const char   *jws, *result, *comment, *why, *refused;
    json_error_t  error;

    if (argc != 2) {
        printf("1..0 # SKIP no file of vectors is named\n");
        return 0;
    }

    root = json_load_file(argv[1], 0, &error);
    groups = json_object_get(root, "testGroups");

    if (groups == NULL) {
        fprintf(stderr, "%s: %s\n", argv[1], error.text);
        return 1;
    }

    ngood = 0;
    nbad = 0;
    ndiffer = 0;

    json_array_foreach(groups, i, group) {
        set = group_keys(group);
        tests = json_object_get(group, "tests");

        json_array_foreach(tests, j, test) {
            id = json_integer_value(json_object_get(test, "tcId"));
            jws = json_string_value(json_object_get(test, "jws"));
            result = json_string_value(json_object_get(test, "result"));
            comment = json_string_value(json_object_get(test, "comment"));

            if (jws == NULL || result == NULL || comment == NULL) {
                abort();
            }

            /* without their secret none is good */

            valid = (strcmp(result, "valid") == 0) && set;
            why = differs(id);

            if (why) {
                ndiffer++;
                valid = !valid;
            }

            refused = refusal(set, jws);

            ok((refused == NULL) == valid
               && (refused == NULL || strcmp(refused, "ERROR") != 0),
               "%ld %s: %s%s%s%s", (long) id, comment,
               refused ? "refused: " : "good", refused ? refused : "",
               why ? ": " : "", why ? why : "");

            if (refused) {
                nbad++;

            } else {
                ngood++;
            }
        }

        oa_jwks_free(set);
    }

    printf("# %lu good, %lu refused, %lu of them not as the file says\n",
           (unsigned long) ngood, (unsigned long) nbad,
           (unsigned long) ndiffer);

    json_decref(root);

    return done_testing();
}
