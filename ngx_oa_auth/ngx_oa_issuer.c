
/*
 * Issuers: the oa_issuer block.
 */


#include "ngx_oa_auth.h"
#include "oa_field.h"

#include <openssl/evp.h>


/* The leeway that RFC 8725 and common sense allow for clocks. */
#define NGX_OA_LEEWAY_MAX     120
#define NGX_OA_HMAC_KEY_MIN   32


typedef struct {
    ngx_oa_issuer_t             *issuer;
    ngx_array_t                  audience;     /* ngx_str_t */
    ngx_uint_t                   seen;         /* bits of parameters */
    ngx_flag_t                   accept_given;
} ngx_oa_issuer_conf_t;

typedef struct {
    ngx_str_t                    name;
    ngx_uint_t                   max;          /* arguments */
    char                      *(*set)(ngx_conf_t *cf,
                                   ngx_oa_issuer_conf_t *ic);
} ngx_oa_issuer_param_t;


static char *ngx_oa_issuer_param(ngx_conf_t *cf, ngx_command_t *dummy,
    void *conf);
static char *ngx_oa_issuer_jwks_uri(ngx_conf_t *cf, ngx_oa_issuer_conf_t *ic);
static char *ngx_oa_issuer_jwks_file(ngx_conf_t *cf,
    ngx_oa_issuer_conf_t *ic);
static char *ngx_oa_issuer_secret(ngx_conf_t *cf, ngx_oa_issuer_conf_t *ic);
static char *ngx_oa_issuer_issuer(ngx_conf_t *cf, ngx_oa_issuer_conf_t *ic);
static char *ngx_oa_issuer_audience(ngx_conf_t *cf, ngx_oa_issuer_conf_t *ic);
static char *ngx_oa_issuer_algorithms(ngx_conf_t *cf,
    ngx_oa_issuer_conf_t *ic);
static char *ngx_oa_issuer_leeway(ngx_conf_t *cf, ngx_oa_issuer_conf_t *ic);
static char *ngx_oa_issuer_refresh(ngx_conf_t *cf, ngx_oa_issuer_conf_t *ic);
static char *ngx_oa_issuer_max_stale(ngx_conf_t *cf,
    ngx_oa_issuer_conf_t *ic);
static char *ngx_oa_issuer_accept(ngx_conf_t *cf, ngx_oa_issuer_conf_t *ic);
static char *ngx_oa_issuer_cookie(ngx_conf_t *cf, ngx_oa_issuer_conf_t *ic);
static char *ngx_oa_issuer_time(ngx_conf_t *cf, time_t max, time_t *time);
static char *ngx_oa_issuer_check(ngx_conf_t *cf, ngx_oa_issuer_conf_t *ic);
static ngx_int_t ngx_oa_issuer_hide_cookie(ngx_conf_t *cf,
    ngx_oa_auth_main_conf_t *amcf, ngx_oa_issuer_t *issuer);
static ngx_int_t ngx_oa_issuer_default_cookie(ngx_conf_t *cf,
    ngx_oa_issuer_t *issuer);
static ngx_uint_t ngx_oa_issuer_is_supabase(ngx_oa_issuer_t *issuer);
static ngx_int_t ngx_oa_issuer_digest(ngx_oa_issuer_t *issuer);


static ngx_oa_issuer_param_t  ngx_oa_issuer_params[] = {
    { ngx_string("jwks_uri"), 1, ngx_oa_issuer_jwks_uri },
    { ngx_string("jwks_file"), 1, ngx_oa_issuer_jwks_file },
    { ngx_string("secret"), 1, ngx_oa_issuer_secret },
    { ngx_string("issuer"), 1, ngx_oa_issuer_issuer },
    { ngx_string("audience"), 16, ngx_oa_issuer_audience },
    { ngx_string("algorithms"), OA_ALGS, ngx_oa_issuer_algorithms },
    { ngx_string("leeway"), 1, ngx_oa_issuer_leeway },
    { ngx_string("refresh"), 1, ngx_oa_issuer_refresh },
    { ngx_string("max_stale"), 1, ngx_oa_issuer_max_stale },
    { ngx_string("accept"), 4, ngx_oa_issuer_accept },
    { ngx_string("cookie"), 1, ngx_oa_issuer_cookie },
    { ngx_null_string, 0, NULL }
};


static ngx_conf_bitmask_t  ngx_oa_issuer_accepts[] = {
    { ngx_string("anonymous"), OA_ACCEPT_ANONYMOUS },
    { ngx_string("service_role"), OA_ACCEPT_SERVICE_ROLE },
    { ngx_string("third_party"), OA_ACCEPT_THIRD_PARTY },
    { ngx_string("no_session"), OA_ACCEPT_NO_SESSION },
    { ngx_string("none"), 0 },
    { ngx_null_string, 0 }
};


char *
ngx_oa_issuer_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_oa_auth_main_conf_t *amcf = conf;

    char                   *rv;
    ngx_str_t              *value;
    ngx_conf_t              save;
    ngx_oa_issuer_t        *issuer, **p;
    ngx_oa_issuer_conf_t   *ic;

    value = cf->args->elts;

    if (value[1].len == 0 || value[1].len > 23
        || ngx_strlchr(value[1].data, value[1].data + value[1].len, '"')
        || ngx_strcmp(value[1].data, "off") == 0
        || ngx_strcmp(value[1].data, "optional") == 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name \"%V\" of \"oa_issuer\", expected 1 "
                           "to 23 characters other than a quote, and not "
                           "\"off\" or \"optional\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (ngx_oa_issuer_find(amcf, &value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate oa_issuer \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (amcf->issuers.nelts == NGX_OA_ISSUERS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "there can be at most %d oa_issuer",
                           NGX_OA_ISSUERS);
        return NGX_CONF_ERROR;
    }

    issuer = ngx_pcalloc(cf->pool, sizeof(ngx_oa_issuer_t));
    if (issuer == NULL) {
        return NGX_CONF_ERROR;
    }

    issuer->name = value[1];
    issuer->index = amcf->issuers.nelts;
    issuer->conf_file = cf->conf_file->file.name;
    issuer->conf_line = cf->conf_file->line;

    issuer->policy.leeway = 30;
    issuer->refresh = 300;
    issuer->max_stale = 3600;

    p = ngx_array_push(&amcf->issuers);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    *p = issuer;

    ic = ngx_pcalloc(cf->temp_pool, sizeof(ngx_oa_issuer_conf_t));
    if (ic == NULL) {
        return NGX_CONF_ERROR;
    }

    ic->issuer = issuer;

    if (ngx_array_init(&ic->audience, cf->pool, 2, sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    save = *cf;
    cf->handler = ngx_oa_issuer_param;
    cf->handler_conf = (char *) ic;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    issuer->policy.audience = ic->audience.elts;
    issuer->policy.naudience = ic->audience.nelts;

    rv = ngx_oa_issuer_check(cf, ic);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    issuer->login.status = NGX_HTTP_UNAUTHORIZED;
    ngx_str_set(&issuer->login.code, "login_required");
    ngx_str_set(&issuer->login.detail, "Log in to come here.");

    issuer->login.challenge.data = ngx_pnalloc(cf->pool,
                                               sizeof("Bearer realm=\"\"")
                                               + issuer->name.len);
    if (issuer->login.challenge.data == NULL) {
        return NGX_CONF_ERROR;
    }

    issuer->login.challenge.len = ngx_sprintf(issuer->login.challenge.data,
                                              "Bearer realm=\"%V\"",
                                              &issuer->name)
                                  - issuer->login.challenge.data;

    if (issuer->cookie.len
        && ngx_oa_issuer_hide_cookie(cf, amcf, issuer) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_oa_keys_add(cf, issuer);
}


/*
 * No machine gets it, nor the verifier that stands beside it while somebody
 * logs in (RFC 7636).
 */

static ngx_int_t
ngx_oa_issuer_hide_cookie(ngx_conf_t *cf, ngx_oa_auth_main_conf_t *amcf,
    ngx_oa_issuer_t *issuer)
{
    ngx_str_t  verifier;

    verifier.data = ngx_pnalloc(cf->pool, issuer->cookie.len
                                          + sizeof("-code-verifier"));
    if (verifier.data == NULL) {
        return NGX_ERROR;
    }

    verifier.len = ngx_sprintf(verifier.data, "%V-code-verifier",
                               &issuer->cookie)
                   - verifier.data;

    if (ngx_oa_auth_add_name(&amcf->cookies, &issuer->cookie) != NGX_OK
        || ngx_oa_auth_add_name(&amcf->cookies, &verifier) != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "there are more names of cookies than the %d that "
                           "can be remembered", NGX_OA_CREDENTIALS);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_oa_issuer_t *
ngx_oa_issuer_find(ngx_oa_auth_main_conf_t *amcf, const ngx_str_t *name)
{
    ngx_uint_t         i;
    ngx_oa_issuer_t  **issuers;

    issuers = amcf->issuers.elts;

    for (i = 0; i < amcf->issuers.nelts; i++) {
        if (issuers[i]->name.len == name->len
            && ngx_memcmp(issuers[i]->name.data, name->data, name->len) == 0)
        {
            return issuers[i];
        }
    }

    return NULL;
}


static char *
ngx_oa_issuer_param(ngx_conf_t *cf, ngx_command_t *dummy, void *conf)
{
    ngx_oa_issuer_conf_t *ic = conf;

    ngx_str_t              *value;
    ngx_uint_t              i;
    ngx_oa_issuer_param_t  *param;

    value = cf->args->elts;

    for (i = 0; ngx_oa_issuer_params[i].name.len; i++) {
        param = &ngx_oa_issuer_params[i];

        if (param->name.len != value[0].len
            || ngx_memcmp(param->name.data, value[0].data, value[0].len) != 0)
        {
            continue;
        }

        if (cf->args->nelts < 2 || cf->args->nelts > param->max + 1) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid number of arguments in \"%V\" of "
                               "oa_issuer", &value[0]);
            return NGX_CONF_ERROR;
        }

        /* several audiences may stand on several lines */

        if ((ic->seen & (1 << i)) && param->set != ngx_oa_issuer_audience) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate \"%V\" in oa_issuer \"%V\"",
                               &value[0], &ic->issuer->name);
            return NGX_CONF_ERROR;
        }

        ic->seen |= 1 << i;

        return param->set(cf, ic);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown parameter \"%V\" of oa_issuer, expected "
                       "jwks_uri, jwks_file, secret, issuer, audience, "
                       "algorithms, leeway, refresh, max_stale, accept or "
                       "cookie", &value[0]);

    return NGX_CONF_ERROR;
}


static char *
ngx_oa_issuer_jwks_uri(ngx_conf_t *cf, ngx_oa_issuer_conf_t *ic)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    return ngx_oa_http_url(cf, &value[1], &ic->issuer->jwks_uri) == NGX_OK
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_oa_issuer_jwks_file(ngx_conf_t *cf, ngx_oa_issuer_conf_t *ic)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (value[1].len == 0) {
        return "has an empty \"jwks_file\"";
    }

    ic->issuer->jwks_file = value[1];

    return ngx_conf_full_name(cf->cycle, &ic->issuer->jwks_file, 1) == NGX_OK
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_oa_issuer_secret(ngx_conf_t *cf, ngx_oa_issuer_conf_t *ic)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_oa_secret(cf, &value[1], &ic->issuer->secret) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ic->issuer->secret.len < NGX_OA_HMAC_KEY_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" holds %uz bytes, a secret for HS256 needs "
                           "%d at the least", &value[1],
                           ic->issuer->secret.len, NGX_OA_HMAC_KEY_MIN);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_oa_issuer_issuer(ngx_conf_t *cf, ngx_oa_issuer_conf_t *ic)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (value[1].len == 0) {
        return "has an empty \"issuer\"";
    }

    ic->issuer->policy.issuer = value[1];

    return NGX_CONF_OK;
}


static char *
ngx_oa_issuer_audience(ngx_conf_t *cf, ngx_oa_issuer_conf_t *ic)
{
    ngx_str_t   *value, *audience;
    ngx_uint_t   i;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (value[i].len == 0) {
            return "has an empty \"audience\"";
        }

        audience = ngx_array_push(&ic->audience);
        if (audience == NULL) {
            return NGX_CONF_ERROR;
        }

        *audience = value[i];
    }

    return NGX_CONF_OK;
}


static char *
ngx_oa_issuer_algorithms(ngx_conf_t *cf, ngx_oa_issuer_conf_t *ic)
{
    oa_alg_e     alg;
    ngx_str_t   *value;
    ngx_uint_t   i;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        alg = oa_alg(value[i].data, value[i].len);

        if (alg == OA_ALG_NONE) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid algorithm \"%V\", expected RS256, "
                               "RS384, RS512, PS256, PS384, PS512, ES256, "
                               "ES384, ES512, EdDSA or HS256", &value[i]);
            return NGX_CONF_ERROR;
        }

        ic->issuer->algorithms |= 1 << alg;
    }

    return NGX_CONF_OK;
}


static char *
ngx_oa_issuer_leeway(ngx_conf_t *cf, ngx_oa_issuer_conf_t *ic)
{
    return ngx_oa_issuer_time(cf, NGX_OA_LEEWAY_MAX,
                              &ic->issuer->policy.leeway);
}


static char *
ngx_oa_issuer_refresh(ngx_conf_t *cf, ngx_oa_issuer_conf_t *ic)
{
    return ngx_oa_issuer_time(cf, 86400, &ic->issuer->refresh);
}


static char *
ngx_oa_issuer_max_stale(ngx_conf_t *cf, ngx_oa_issuer_conf_t *ic)
{
    return ngx_oa_issuer_time(cf, 7 * 86400, &ic->issuer->max_stale);
}


static char *
ngx_oa_issuer_time(ngx_conf_t *cf, time_t max, time_t *time)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    *time = ngx_parse_time(&value[1], 1);

    if (*time == (time_t) NGX_ERROR || *time > max) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid time \"%V\" in \"%V\" of oa_issuer, "
                           "expected up to %Ts", &value[1], &value[0], max);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_oa_issuer_accept(ngx_conf_t *cf, ngx_oa_issuer_conf_t *ic)
{
    ngx_str_t           *value;
    ngx_uint_t           i;
    ngx_conf_bitmask_t  *accept;

    value = cf->args->elts;
    ic->accept_given = 1;

    for (i = 1; i < cf->args->nelts; i++) {

        for (accept = ngx_oa_issuer_accepts; accept->name.len; accept++) {
            if (accept->name.len == value[i].len
                && ngx_memcmp(accept->name.data, value[i].data, value[i].len)
                   == 0)
            {
                break;
            }
        }

        if (accept->name.len == 0
            || (accept->mask == 0 && cf->args->nelts > 2))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid value \"%V\" in \"accept\" of "
                               "oa_issuer, expected anonymous, service_role, "
                               "third_party, no_session, or none alone",
                               &value[i]);
            return NGX_CONF_ERROR;
        }

        ic->issuer->policy.accept |= accept->mask;
    }

    return NGX_CONF_OK;
}


static char *
ngx_oa_issuer_cookie(ngx_conf_t *cf, ngx_oa_issuer_conf_t *ic)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (!oa_is_token(&value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is not the name of a cookie", &value[1]);
        return NGX_CONF_ERROR;
    }

    ic->issuer->cookie = value[1];

    return NGX_CONF_OK;
}


static char *
ngx_oa_issuer_check(ngx_conf_t *cf, ngx_oa_issuer_conf_t *ic)
{
    ngx_uint_t        public;
    ngx_oa_issuer_t  *issuer;

    issuer = ic->issuer;
    public = issuer->jwks_uri || issuer->jwks_file.len;

    if (!public && issuer->secret.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "oa_issuer \"%V\" has no keys: it needs a "
                           "\"jwks_uri\", a \"jwks_file\" or a \"secret\"",
                           &issuer->name);
        return NGX_CONF_ERROR;
    }

    /* a public key is never an HMAC secret: no set has both */

    if (public && issuer->secret.len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "oa_issuer \"%V\" has a \"secret\" and public "
                           "keys, write two oa_issuer", &issuer->name);
        return NGX_CONF_ERROR;
    }

    if (issuer->algorithms == 0) {
        issuer->algorithms = public ? ~(1u << OA_ALG_HS256)
                                    : 1u << OA_ALG_HS256;

    } else if (public ? (issuer->algorithms & (1u << OA_ALG_HS256)) != 0
                      : issuer->algorithms != (1u << OA_ALG_HS256))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the \"algorithms\" of oa_issuer \"%V\" do not "
                           "fit its keys: HS256 goes with a \"secret\", and "
                           "only HS256", &issuer->name);
        return NGX_CONF_ERROR;
    }

    if (issuer->policy.issuer.len == 0 || issuer->policy.naudience == 0) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "oa_issuer \"%V\" has no \"%s\": tokens for "
                           "anything else signed by its keys are taken",
                           &issuer->name, issuer->policy.issuer.len
                                          ? "audience" : "issuer");
    }

    if (issuer->refresh == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the \"refresh\" of oa_issuer \"%V\" must be 1s "
                           "at the least", &issuer->name);
        return NGX_CONF_ERROR;
    }

    if (issuer->jwks_uri && issuer->max_stale < issuer->refresh) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the \"max_stale\" of oa_issuer \"%V\" is below "
                           "its \"refresh\"", &issuer->name);
        return NGX_CONF_ERROR;
    }

    issuer->policy.supabase = ngx_oa_issuer_is_supabase(issuer);

    if (issuer->policy.supabase && issuer->cookie.len == 0
        && ngx_oa_issuer_default_cookie(cf, issuer) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    /* the kinds of tokens are told apart where they were named, too */

    issuer->policy.supabase |= ic->accept_given;

    return ngx_oa_issuer_digest(issuer) == NGX_OK ? NGX_CONF_OK
                                                  : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_oa_issuer_default_cookie(ngx_conf_t *cf, ngx_oa_issuer_t *issuer)
{
    u_char     *last;
    ngx_str_t   url;

    if (issuer->policy.issuer.len) {
        url = issuer->policy.issuer;

    } else {
        url.data = (u_char *) issuer->jwks_uri;
        url.len = ngx_strlen(url.data);
    }

    issuer->cookie.data = ngx_pnalloc(cf->pool, OA_COOKIE_NAME);
    if (issuer->cookie.data == NULL) {
        return NGX_ERROR;
    }

    last = oa_cookie_name(issuer->cookie.data, &url);

    if (last) {
        issuer->cookie.len = last - issuer->cookie.data;
    }

    return NGX_OK;
}


/* Supabase's auth server stands below this path, hosted or not. */

static ngx_uint_t
ngx_oa_issuer_is_supabase(ngx_oa_issuer_t *issuer)
{
    u_char     *p;
    ngx_str_t   url;

    url = issuer->policy.issuer;

    if (url.len == 0) {

        if (issuer->jwks_uri == NULL) {
            return 0;
        }

        url.data = (u_char *) issuer->jwks_uri;
        url.len = ngx_strlen(url.data);
    }

    p = ngx_strlcasestrn(url.data, url.data + url.len,
                         (u_char *) "/auth/v1", sizeof("/auth/v1") - 2);

    return p && (p + 8 == url.data + url.len || p[8] == '/');
}


/*
 * A cached decision was made under this block as it stood then: all that can
 * change a verdict is in the digest.  Keys have prints of their own.
 */

static ngx_int_t
ngx_oa_issuer_digest(ngx_oa_issuer_t *issuer)
{
    u_char           md[EVP_MAX_MD_SIZE];
    uint64_t         n[5];
    EVP_MD_CTX      *ctx;
    ngx_int_t        rc;
    ngx_uint_t       i;
    unsigned int     len;
    const ngx_str_t *s;

    ctx = EVP_MD_CTX_new();
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    n[0] = issuer->algorithms;
    n[1] = issuer->policy.leeway;
    n[2] = issuer->policy.supabase;
    n[3] = issuer->policy.accept;
    n[4] = issuer->policy.naudience;

    rc = EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1
         && EVP_DigestUpdate(ctx, n, sizeof(n)) == 1;

    /* each string with its NUL: they end where the configuration has it */

    for (i = 0; i < issuer->policy.naudience + 2; i++) {

        switch (i) {
        case 0:
            s = &issuer->name;
            break;

        case 1:
            s = &issuer->policy.issuer;
            break;

        default:
            s = &issuer->policy.audience[i - 2];
            break;
        }

        rc = rc && EVP_DigestUpdate(ctx, s->data, s->len) == 1
             && EVP_DigestUpdate(ctx, "", 1) == 1;
    }

    rc = rc && EVP_DigestFinal_ex(ctx, md, &len) == 1;

    EVP_MD_CTX_free(ctx);

    if (!rc) {
        return NGX_ERROR;
    }

    ngx_memcpy(issuer->digest, md, sizeof(issuer->digest));

    return NGX_OK;
}
