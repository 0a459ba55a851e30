
#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include "oa_base64url.h"
#include "oa_jwk_int.h"


/* Of a number or coordinate; some write zeros before n. */
#define OA_JWK_PART_MAX  (OA_JWK_RSA_MAX / 8 + 8)

#define OA_JWK_RS_PS                                                          \
    ((1 << OA_ALG_RS256) | (1 << OA_ALG_RS384) | (1 << OA_ALG_RS512)          \
     | (1 << OA_ALG_PS256) | (1 << OA_ALG_PS384) | (1 << OA_ALG_PS512))


static ngx_int_t oa_jwk_parse(const json_t *jwk, oa_jwk_t *key,
    const char **why);
static ngx_int_t oa_jwk_parse_use(const json_t *jwk, const char **why);
static ngx_int_t oa_jwk_parse_kind(const json_t *jwk, oa_jwk_t *key,
    const char **why);
static ngx_int_t oa_jwk_parse_key(const json_t *jwk, oa_jwk_t *key,
    const char **why);
static ngx_int_t oa_jwk_part(const json_t *jwk, const char *name, u_char *buf,
    ngx_str_t *part);
static ngx_uint_t oa_jwk_is(const json_t *value, const ngx_str_t *text);
static ngx_uint_t oa_jwk_is_twin(const oa_jwks_t *set, const oa_jwk_t *key);
static ngx_uint_t oa_jwk_has_kid(const oa_jwk_t *key, const u_char *kid,
    size_t len);
static void oa_jwk_free(oa_jwk_t *key);


/* RFC 7518, 3.1, 6.2.1.1; RFC 8037, 2 */

static const oa_jwk_kind_t  oa_jwk_kinds[] = {

    { OA_KTY_RSA, ngx_string("RSA"), ngx_null_string,
      NULL, 0, 0, OA_JWK_RS_PS },

    { OA_KTY_EC, ngx_string("EC"), ngx_string("P-256"),
      "prime256v1", 32, 64, 1 << OA_ALG_ES256 },

    { OA_KTY_EC, ngx_string("EC"), ngx_string("P-384"),
      "secp384r1", 48, 96, 1 << OA_ALG_ES384 },

    { OA_KTY_EC, ngx_string("EC"), ngx_string("P-521"),
      "secp521r1", 66, 132, 1 << OA_ALG_ES512 },

    { OA_KTY_OKP, ngx_string("OKP"), ngx_string("Ed25519"),
      "ED25519", 32, 64, 1 << OA_ALG_EDDSA },

    { OA_KTY_OKP, ngx_string("OKP"), ngx_string("Ed448"),
      "ED448", 57, 114, 1 << OA_ALG_EDDSA }
};


static const oa_jwk_kind_t  oa_jwk_oct = {
    OA_KTY_OCT, ngx_string("oct"), ngx_null_string,
    NULL, 0, 32, 1 << OA_ALG_HS256
};


/* RFC 7518, 6.2.2, 6.3.2, 6.4 */

static const char * const  oa_jwk_private[] = {
    "d", "p", "q", "dp", "dq", "qi", "oth", "k"
};


ngx_int_t
oa_jwks_parse(const u_char *json, size_t len, oa_jwks_t **set,
    oa_jwk_skipped_pt skipped, void *data, const char **why)
{
    size_t         i, n;
    json_t        *root, *keys;
    oa_jwk_t      *key;
    oa_jwks_t     *s;
    ngx_int_t      rc;
    const char    *reason;
    json_error_t   error;

    *set = NULL;

    if (len > OA_JWKS_MAX) {
        *why = "it is too large";
        return NGX_ERROR;
    }

    root = json_loadb(len ? (const char *) json : "", len,
                      JSON_REJECT_DUPLICATES, &error);
    keys = json_object_get(root, "keys");

    if (!json_is_array(keys)) {
        json_decref(root);
        *why = root ? "it is no object with an array \"keys\""
                    : "it is no JSON without duplicate names";
        return NGX_ERROR;
    }

    n = json_array_size(keys);

    if (n > OA_JWKS_KEYS) {
        json_decref(root);
        *why = "it has too many keys";
        return NGX_ERROR;
    }

    *why = "out of memory";

    s = OPENSSL_zalloc(sizeof(oa_jwks_t));
    if (s == NULL) {
        json_decref(root);
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {

        key = OPENSSL_zalloc(sizeof(oa_jwk_t));
        if (key == NULL) {
            break;
        }

        reason = NULL;
        rc = oa_jwk_parse(json_array_get(keys, i), key, &reason);

        if (rc == NGX_OK && oa_jwk_is_twin(s, key)) {
            reason = "its kid is that of another";
            rc = NGX_DECLINED;
        }

        if (rc == NGX_OK) {
            s->keys[s->nkeys++] = key;
            continue;
        }

        if (rc == NGX_DECLINED && skipped) {
            skipped(data, &key->kid, reason);
        }

        oa_jwk_free(key);

        if (rc == NGX_ERROR) {
            break;
        }
    }

    json_decref(root);

    if (i < n) {
        oa_jwks_free(s);
        return NGX_ERROR;
    }

    *set = s;
    *why = NULL;

    return NGX_OK;
}


static ngx_int_t
oa_jwk_parse(const json_t *jwk, oa_jwk_t *key, const char **why)
{
    json_t     *kid;
    ngx_int_t   rc;

    if (!json_is_object(jwk)) {
        *why = "it is no object";
        return NGX_DECLINED;
    }

    kid = json_object_get(jwk, "kid");

    if (kid) {
        if (!json_is_string(kid)
            || json_string_length(kid) > OA_JWS_KID_MAX)
        {
            *why = "its kid is no string, or too long";
            return NGX_DECLINED;
        }

        key->has_kid = 1;
        key->kid.len = json_string_length(kid);
        key->kid.data = key->kid_data;
        ngx_memcpy(key->kid_data, json_string_value(kid), key->kid.len);
    }

    rc = oa_jwk_parse_use(jwk, why);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = oa_jwk_parse_kind(jwk, key, why);
    if (rc != NGX_OK) {
        return rc;
    }

    return oa_jwk_parse_key(jwk, key, why);
}


/* RFC 7517, 4.2, 4.3 */

static ngx_int_t
oa_jwk_parse_use(const json_t *jwk, const char **why)
{
    size_t   i;
    json_t  *use, *ops;

    static const ngx_str_t  sig = ngx_string("sig");
    static const ngx_str_t  verify = ngx_string("verify");

    use = json_object_get(jwk, "use");

    if (use && !oa_jwk_is(use, &sig)) {
        *why = "its use is not \"sig\"";
        return NGX_DECLINED;
    }

    ops = json_object_get(jwk, "key_ops");

    if (ops == NULL) {
        return NGX_OK;
    }

    /* of what is no array the size is 0 */

    for (i = 0; i < json_array_size(ops); i++) {
        if (oa_jwk_is(json_array_get(ops, i), &verify)) {
            return NGX_OK;
        }
    }

    *why = "its key_ops do not have \"verify\"";

    return NGX_DECLINED;
}


static ngx_int_t
oa_jwk_parse_kind(const json_t *jwk, oa_jwk_t *key, const char **why)
{
    json_t               *alg, *crv, *kty;
    oa_alg_e              id;
    ngx_uint_t            i;
    const oa_jwk_kind_t  *kind;

    kty = json_object_get(jwk, "kty");
    crv = json_object_get(jwk, "crv");
    alg = json_object_get(jwk, "alg");

    if (oa_jwk_is(kty, &oa_jwk_oct.kty)) {
        *why = "it is a secret";
        return NGX_DECLINED;
    }

    kind = NULL;

    for (i = 0; i < sizeof(oa_jwk_kinds) / sizeof(oa_jwk_kinds[0]); i++) {
        if (oa_jwk_is(kty, &oa_jwk_kinds[i].kty)
            && (oa_jwk_kinds[i].crv.len == 0
                || oa_jwk_is(crv, &oa_jwk_kinds[i].crv)))
        {
            kind = &oa_jwk_kinds[i];
            break;
        }
    }

    if (kind == NULL) {
        *why = "its kty and crv are none that are known";
        return NGX_DECLINED;
    }

    key->kind = kind;
    key->algs = kind->algs;
    key->signature = kind->signature;

    if (alg == NULL) {
        return NGX_OK;
    }

    id = OA_ALG_NONE;

    if (json_is_string(alg)) {
        id = oa_alg((u_char *) json_string_value(alg),
                    json_string_length(alg));
    }

    key->algs &= (ngx_uint_t) 1 << id;

    if (key->algs == 0) {
        *why = "its alg is none for such a key";
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
oa_jwk_parse_key(const json_t *jwk, oa_jwk_t *key, const char **why)
{
    u_char               bufs[2][OA_JWK_PART_MAX];
    ngx_int_t            rc;
    ngx_str_t            parts[6];
    ngx_uint_t           i, n;
    const char * const  *names;

    static const char * const  rsa_names[] = { "n", "e" };
    static const char * const  curve_names[] = { "x", "y" };

    for (i = 0; i < sizeof(oa_jwk_private) / sizeof(oa_jwk_private[0]); i++) {
        if (json_object_get(jwk, oa_jwk_private[i])) {
            *why = "it is a private key";
            return NGX_DECLINED;
        }
    }

    names = (key->kind->type == OA_KTY_RSA) ? rsa_names : curve_names;
    n = (key->kind->type == OA_KTY_OKP) ? 1 : 2;

    ngx_str_null(&parts[1]);

    for (i = 0; i < n; i++) {
        if (oa_jwk_part(jwk, names[i], bufs[i], &parts[i]) != NGX_OK) {
            *why = "a part of it is missing, too long or no base64url";
            return NGX_DECLINED;
        }

        if (key->kind->size && parts[i].len != key->kind->size) {
            *why = "a coordinate has a wrong length";
            return NGX_DECLINED;
        }
    }

    switch (key->kind->type) {

    case OA_KTY_RSA:
        rc = oa_jwk_open_rsa(key, &parts[0], &parts[1], why);
        break;

    case OA_KTY_EC:
        rc = oa_jwk_open_ec(key, &parts[0], &parts[1], why);
        break;

    default: /* OA_KTY_OKP */
        rc = oa_jwk_open_okp(key, &parts[0], why);
        break;
    }

    if (rc != NGX_OK) {
        return rc;
    }

    parts[2] = key->kid;
    parts[3] = key->kind->kty;
    parts[4] = key->kind->crv;
    parts[5].len = sizeof(key->algs);
    parts[5].data = (u_char *) &key->algs;

    return oa_jwk_digest(parts, 6, key->print);
}


static ngx_int_t
oa_jwk_part(const json_t *jwk, const char *name, u_char *buf, ngx_str_t *part)
{
    size_t         len;
    json_t        *value;
    const u_char  *text;

    value = json_object_get(jwk, name);

    if (!json_is_string(value)) {
        return NGX_ERROR;
    }

    text = (const u_char *) json_string_value(value);
    len = json_string_length(value);

    part->len = oa_base64url_decoded(len);
    part->data = buf;

    if (part->len == 0 || part->len > OA_JWK_PART_MAX) {
        return NGX_ERROR;
    }

    return oa_base64url_decode(buf, text, len);
}


static ngx_uint_t
oa_jwk_is(const json_t *value, const ngx_str_t *text)
{
    return json_is_string(value)
           && json_string_length(value) == text->len
           && ngx_memcmp(json_string_value(value), text->data, text->len) == 0;
}


static ngx_uint_t
oa_jwk_is_twin(const oa_jwks_t *set, const oa_jwk_t *key)
{
    ngx_uint_t  i;

    if (!key->has_kid) {
        return 0;
    }

    for (i = 0; i < set->nkeys; i++) {
        if (oa_jwk_has_kid(set->keys[i], key->kid_data, key->kid.len)) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
oa_jwk_has_kid(const oa_jwk_t *key, const u_char *kid, size_t len)
{
    return key->has_kid
           && key->kid.len == len
           && ngx_memcmp(key->kid_data, kid, len) == 0;
}


ngx_int_t
oa_jwks_secret(const ngx_str_t *secret, oa_jwks_t **set)
{
    oa_jwk_t   *key;
    oa_jwks_t  *s;

    *set = NULL;

    if (secret->len < OA_JWK_SECRET_MIN) {
        return NGX_ERROR;
    }

    s = OPENSSL_zalloc(sizeof(oa_jwks_t));
    if (s == NULL) {
        return NGX_ERROR;
    }

    key = OPENSSL_zalloc(sizeof(oa_jwk_t));
    if (key == NULL) {
        OPENSSL_free(s);
        return NGX_ERROR;
    }

    s->nkeys = 1;
    s->keys[0] = key;

    key->kind = &oa_jwk_oct;
    key->algs = oa_jwk_oct.algs;
    key->signature = oa_jwk_oct.signature;

    if (oa_jwk_open_secret(key, secret) != NGX_OK
        || oa_jwk_digest(secret, 1, key->print) != NGX_OK)
    {
        oa_jwks_free(s);
        return NGX_ERROR;
    }

    *set = s;

    return NGX_OK;
}


void
oa_jwks_free(oa_jwks_t *set)
{
    ngx_uint_t  i;

    if (set == NULL) {
        return;
    }

    for (i = 0; i < set->nkeys; i++) {
        oa_jwk_free(set->keys[i]);
    }

    OPENSSL_free(set);
}


static void
oa_jwk_free(oa_jwk_t *key)
{
    oa_jwk_close(key);
    OPENSSL_free(key);
}


oa_auth_error_e
oa_jwks_find(const oa_jwks_t *set, const oa_jws_header_t *h, oa_jwk_t **key)
{
    oa_jwk_t    *k, *found;
    ngx_uint_t   i, alg, fits;

    alg = (ngx_uint_t) 1 << h->alg;
    found = NULL;

    for (i = 0; i < set->nkeys; i++) {
        k = set->keys[i];
        fits = k->algs & alg;

        if (k->kind->type == OA_KTY_OCT
            || (h->has_kid && oa_jwk_has_kid(k, h->kid, h->kid_len)))
        {
            *key = k;
            return fits ? OA_AUTH_OK : OA_AUTH_ALGORITHM;
        }

        if (h->has_kid || !fits) {
            continue;
        }

        if (found) {
            return OA_AUTH_KEY;
        }

        found = k;
    }

    if (found == NULL) {
        return OA_AUTH_KEY;
    }

    *key = found;

    return OA_AUTH_OK;
}


oa_jwk_t *
oa_jwks_find_print(const oa_jwks_t *set, const u_char *print)
{
    ngx_uint_t  i;

    for (i = 0; i < set->nkeys; i++) {
        if (ngx_memcmp(set->keys[i]->print, print, OA_JWK_PRINT) == 0) {
            return set->keys[i];
        }
    }

    return NULL;
}


const u_char *
oa_jwk_print(const oa_jwk_t *key)
{
    return key->print;
}


const ngx_str_t *
oa_jwk_kid(const oa_jwk_t *key)
{
    return &key->kid;
}
