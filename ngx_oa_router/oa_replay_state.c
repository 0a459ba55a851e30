
#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include "oa_base64url.h"
#include "oa_replay.h"


#define OA_REPLAY_MAC_LEN     32
#define OA_REPLAY_MAC_CHARS   43
#define OA_REPLAY_LABEL_MAX   63
#define OA_REPLAY_MASTER_MAX  65536
#define OA_REPLAY_EXP_DIGITS  19

/* "v1.EXP.SUB.TARGET" */
#define OA_REPLAY_TEXT_MAX                                                    \
    (OA_REPLAY_STATE_MAX - OA_REPLAY_MAC_CHARS + OA_REPLAY_LABEL_MAX)


static ngx_int_t oa_replay_sign(const u_char *key, const u_char *text,
    size_t len, const ngx_str_t *target, u_char *mac);
static ngx_int_t oa_replay_mac(const u_char *key, size_t key_len,
    const u_char *text, size_t len, u_char *mac);
static ngx_int_t oa_replay_exp(const u_char *p, size_t len, time_t *exp);
static ngx_int_t oa_replay_hex(u_char c);


ngx_int_t
oa_replay_derive(const ngx_str_t *master, const ngx_str_t *app,
    const ngx_str_t *machine, u_char *key)
{
    u_char  *p, text[OA_REPLAY_LABEL_MAX * 2 + 1];

    if (master->len == 0 || master->len > OA_REPLAY_MASTER_MAX
        || app->len == 0 || app->len > OA_REPLAY_LABEL_MAX
        || machine->len > OA_REPLAY_LABEL_MAX)
    {
        return NGX_ERROR;
    }

    p = ngx_cpymem(text, app->data, app->len);

    if (machine->len) {
        *p++ = '/';
        p = ngx_cpymem(p, machine->data, machine->len);
    }

    return oa_replay_mac(master->data, master->len, text, p - text, key);
}


ngx_int_t
oa_replay_decode_key(const ngx_str_t *text, u_char *key)
{
    size_t     i;
    ngx_int_t  high, low;

    switch (text->len) {

    case OA_REPLAY_KEY_LEN:
        ngx_memcpy(key, text->data, OA_REPLAY_KEY_LEN);
        return NGX_OK;

    case OA_REPLAY_MAC_CHARS:
        if (oa_base64url_decode(key, text->data, text->len) != NGX_OK) {
            break;
        }

        return NGX_OK;

    case OA_REPLAY_KEY_LEN * 2:
        for (i = 0; i < OA_REPLAY_KEY_LEN; i++) {
            high = oa_replay_hex(text->data[2 * i]);
            low = oa_replay_hex(text->data[2 * i + 1]);

            if (high == NGX_ERROR || low == NGX_ERROR) {
                break;
            }

            key[i] = (u_char) ((high << 4) | low);
        }

        if (i == OA_REPLAY_KEY_LEN) {
            return NGX_OK;
        }

        break;
    }

    OPENSSL_cleanse(key, OA_REPLAY_KEY_LEN);

    return NGX_ERROR;
}


ngx_int_t
oa_replay_state(u_char *buf, size_t *len, const u_char *key, time_t exp,
    const ngx_str_t *sub, const ngx_str_t *target)
{
    u_char  *p, mac[OA_REPLAY_MAC_LEN];

    if (exp < 0 || sub->len > OA_REPLAY_SUB_MAX) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(buf, "v1.", 3);
    p = oa_replay_decimal(p, (uint64_t) exp);
    *p++ = '.';

    if (sub->len) {
        p = oa_base64url_encode(p, sub->data, sub->len);

    } else {
        *p++ = '-';
    }

    *p++ = '.';

    if (oa_replay_sign(key, buf, p - buf, target, mac) != NGX_OK) {
        return NGX_ERROR;
    }

    p = oa_base64url_encode(p, mac, OA_REPLAY_MAC_LEN);
    *len = p - buf;

    return NGX_OK;
}


ngx_int_t
oa_replay_state_verify(const ngx_str_t *state, const u_char *key, time_t now,
    const ngx_str_t *target, u_char *buf, ngx_str_t *sub, const char **why)
{
    u_char     *p, *last, *dot, *end, mac[OA_REPLAY_MAC_LEN],
                good[OA_REPLAY_MAC_LEN];
    size_t      sub_len;
    time_t      exp;
    ngx_int_t   rc;
    ngx_uint_t  differ;

    static const ngx_str_t  any = ngx_null_string;

    *why = "malformed";

    if (state->len > OA_REPLAY_STATE_MAX
        || state->len < sizeof("v1.0.-.") - 1 + OA_REPLAY_MAC_CHARS
        || ngx_memcmp(state->data, "v1.", 3) != 0)
    {
        return NGX_DECLINED;
    }

    p = state->data + 3;

    /* the last dot, and thus all that is signed but the target */
    end = state->data + state->len - OA_REPLAY_MAC_CHARS;
    last = end - 1;

    if (*last != '.') {
        return NGX_DECLINED;
    }

    dot = ngx_strlchr(p, last, '.');

    if (dot == NULL || oa_replay_exp(p, dot - p, &exp) != NGX_OK) {
        return NGX_DECLINED;
    }

    p = dot + 1;

    if (last - p == 1 && *p == '-') {
        sub_len = 0;

    } else {
        sub_len = oa_base64url_decoded(last - p);

        if (sub_len == 0
            || sub_len > OA_REPLAY_SUB_MAX
            || oa_base64url_decode(buf, p, last - p) != NGX_OK)
        {
            return NGX_DECLINED;
        }
    }

    if (oa_base64url_decode(mac, end, OA_REPLAY_MAC_CHARS) != NGX_OK) {
        return NGX_DECLINED;
    }

    *why = "signature";

    /* both are always compared: which of them matched is not to be timed */

    rc = oa_replay_sign(key, state->data, end - state->data, target, good);
    differ = (CRYPTO_memcmp(mac, good, OA_REPLAY_MAC_LEN) != 0);

    if (rc == NGX_OK) {
        rc = oa_replay_sign(key, state->data, end - state->data, &any, good);
        differ &= (CRYPTO_memcmp(mac, good, OA_REPLAY_MAC_LEN) != 0);
    }

    OPENSSL_cleanse(good, OA_REPLAY_MAC_LEN);

    if (rc != NGX_OK || differ) {
        return NGX_DECLINED;
    }

    if (now >= exp) {
        *why = "expired";
        return NGX_DECLINED;
    }

    sub->len = sub_len;
    sub->data = buf;

    return NGX_OK;
}


/* text ends in the dot before TARGET */

static ngx_int_t
oa_replay_sign(const u_char *key, const u_char *text, size_t len,
    const ngx_str_t *target, u_char *mac)
{
    u_char  *p, buf[OA_REPLAY_TEXT_MAX];

    ngx_memzero(mac, OA_REPLAY_MAC_LEN);

    if (target->len > OA_REPLAY_LABEL_MAX
        || len > OA_REPLAY_TEXT_MAX - OA_REPLAY_LABEL_MAX)
    {
        return NGX_ERROR;
    }

    p = ngx_cpymem(buf, text, len);

    if (target->len) {
        p = ngx_cpymem(p, target->data, target->len);
    }

    return oa_replay_mac(key, OA_REPLAY_KEY_LEN, buf, p - buf, mac);
}


static ngx_int_t
oa_replay_mac(const u_char *key, size_t key_len, const u_char *text,
    size_t len, u_char *mac)
{
    unsigned int  n;

    n = 0;

    if (HMAC(EVP_sha256(), key, (int) key_len, text, len, mac, &n) == NULL
        || n != OA_REPLAY_MAC_LEN)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
oa_replay_exp(const u_char *p, size_t len, time_t *exp)
{
    size_t    i;
    uint64_t  n;

    if (len == 0
        || len > OA_REPLAY_EXP_DIGITS
        || (p[0] == '0' && len > 1))
    {
        return NGX_ERROR;
    }

    n = 0;

    for (i = 0; i < len; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return NGX_ERROR;
        }

        /* 19 digits do not overflow 64 bits */
        n = n * 10 + (uint64_t) (p[i] - '0');
    }

    if (n > (uint64_t) NGX_MAX_TIME_T_VALUE) {
        return NGX_ERROR;
    }

    *exp = (time_t) n;

    return NGX_OK;
}


static ngx_int_t
oa_replay_hex(u_char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }

    return NGX_ERROR;
}
