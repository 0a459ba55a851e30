
#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include "oa_json.h"
#include "oa_replay.h"


#define OA_REPLAY_MAC_LEN     32
#define OA_REPLAY_MAC_CHARS   43
#define OA_REPLAY_LABEL_MAX   63
#define OA_REPLAY_MASTER_MAX  65536
#define OA_REPLAY_EXP_DIGITS  19

/* "v1.EXP.SUB.TARGET" */
#define OA_REPLAY_TEXT_MAX                                                    \
    (OA_REPLAY_STATE_MAX - OA_REPLAY_MAC_CHARS + OA_REPLAY_LABEL_MAX)

#define oa_replay_literal(p, text)                                            \
    ngx_cpymem(p, text, sizeof(text) - 1)


static u_char *oa_replay_field(u_char *p, const u_char *start,
    const ngx_str_t *name, const ngx_str_t *value);
static u_char *oa_replay_member(u_char *p, const ngx_str_t *name,
    const ngx_str_t *value);
static size_t oa_replay_member_size(const ngx_str_t *name,
    const ngx_str_t *value);
static u_char *oa_replay_quote(u_char *p, const ngx_str_t *value);
static u_char *oa_replay_transform(u_char *p, const oa_replay_json_t *json);
static u_char *oa_replay_decimal(u_char *p, uint64_t n);
static ngx_int_t oa_replay_mac(const u_char *key, size_t key_len,
    const u_char *text, size_t len, u_char *mac);
static ngx_int_t oa_replay_sign(const u_char *key, const u_char *text,
    size_t len, const ngx_str_t *target, u_char *mac);
static ngx_int_t oa_replay_exp(const u_char *p, size_t len, time_t *exp);
static u_char *oa_replay_base64url(u_char *dst, const u_char *src,
    size_t len);
static ngx_int_t oa_replay_unbase64url(u_char *dst, const u_char *src,
    size_t len);
static ngx_int_t oa_replay_sextet(u_char c);
static ngx_int_t oa_replay_hex(u_char c);


static const ngx_str_t  oa_replay_app = ngx_string("app");
static const ngx_str_t  oa_replay_instance = ngx_string("instance");
static const ngx_str_t  oa_replay_prefer = ngx_string("prefer_instance");
static const ngx_str_t  oa_replay_state_name = ngx_string("state");
static const ngx_str_t  oa_replay_timeout = ngx_string("timeout");
static const ngx_str_t  oa_replay_fallback = ngx_string("fallback");
static const ngx_str_t  oa_replay_path = ngx_string("path");
static const ngx_str_t  oa_replay_name = ngx_string("name");
static const ngx_str_t  oa_replay_value = ngx_string("value");
static const ngx_str_t  oa_replay_prefix = ngx_string("prefix");


size_t
oa_replay_header_size(const oa_replay_t *replay)
{
    return sizeof("app=;prefer_instance=;state=;timeout=;fallback=") - 1
           + replay->app.len + replay->machine.len + replay->state.len
           + replay->timeout.len + replay->fallback.len;
}


u_char *
oa_replay_header(u_char *p, const oa_replay_t *replay)
{
    u_char  *start;

    start = p;

    p = oa_replay_field(p, start, &oa_replay_app, &replay->app);
    p = oa_replay_field(p, start, replay->prefer ? &oa_replay_prefer
                                                 : &oa_replay_instance,
                        &replay->machine);
    p = oa_replay_field(p, start, &oa_replay_state_name, &replay->state);
    p = oa_replay_field(p, start, &oa_replay_timeout, &replay->timeout);
    p = oa_replay_field(p, start, &oa_replay_fallback, &replay->fallback);

    return p;
}


static u_char *
oa_replay_field(u_char *p, const u_char *start, const ngx_str_t *name,
    const ngx_str_t *value)
{
    if (value->len == 0) {
        return p;
    }

    if (p != start) {
        *p++ = ';';
    }

    p = ngx_cpymem(p, name->data, name->len);
    *p++ = '=';

    return ngx_cpymem(p, value->data, value->len);
}


size_t
oa_replay_json_size(const oa_replay_json_t *json)
{
    size_t              size;
    ngx_uint_t          i;
    const oa_replay_t  *replay;

    replay = &json->replay;

    size = sizeof("{\"transform\":{\"delete_headers\":[],\"set_headers\":[]},"
                  "\"cache\":{\"ttl\":}}") - 1 + NGX_INT64_LEN;

    size += oa_replay_member_size(&oa_replay_app, &replay->app);
    size += oa_replay_member_size(&oa_replay_prefer, &replay->machine);
    size += oa_replay_member_size(&oa_replay_state_name, &replay->state);
    size += oa_replay_member_size(&oa_replay_timeout, &replay->timeout);
    size += oa_replay_member_size(&oa_replay_fallback, &replay->fallback);
    size += oa_replay_member_size(&oa_replay_path, &json->path);
    size += oa_replay_member_size(&oa_replay_prefix, &json->cache_prefix);

    for (i = 0; i < json->ndelete; i++) {
        size += sizeof("\"\",") - 1
                + oa_json_escape_size(&json->delete_headers[i]);
    }

    for (i = 0; i < json->nset; i++) {
        size += sizeof("{},") - 1
                + oa_replay_member_size(&oa_replay_name,
                                        &json->set_headers[i].key)
                + oa_replay_member_size(&oa_replay_value,
                                        &json->set_headers[i].value);
    }

    return size;
}


/* Every member is written with a comma behind it; the last one goes again. */

u_char *
oa_replay_json(u_char *p, const oa_replay_json_t *json)
{
    const oa_replay_t  *replay;

    replay = &json->replay;

    *p++ = '{';

    if (replay->app.len) {
        p = oa_replay_member(p, &oa_replay_app, &replay->app);
    }

    if (replay->machine.len) {
        p = oa_replay_member(p, replay->prefer ? &oa_replay_prefer
                                               : &oa_replay_instance,
                             &replay->machine);
    }

    if (replay->state.len) {
        p = oa_replay_member(p, &oa_replay_state_name, &replay->state);
    }

    if (replay->timeout.len) {
        p = oa_replay_member(p, &oa_replay_timeout, &replay->timeout);
    }

    if (replay->fallback.len) {
        p = oa_replay_member(p, &oa_replay_fallback, &replay->fallback);
    }

    if (json->path.len || json->ndelete || json->nset) {
        p = oa_replay_literal(p, "\"transform\":");
        p = oa_replay_transform(p, json);
        *p++ = ',';
    }

    if (json->cache_prefix.len) {
        p = oa_replay_literal(p, "\"cache\":{");
        p = oa_replay_member(p, &oa_replay_prefix, &json->cache_prefix);
        p = oa_replay_literal(p, "\"ttl\":");
        p = oa_replay_decimal(p, json->cache_ttl);
        p = oa_replay_literal(p, "},");
    }

    if (p[-1] == ',') {
        p--;
    }

    *p++ = '}';

    return p;
}


static u_char *
oa_replay_transform(u_char *p, const oa_replay_json_t *json)
{
    ngx_uint_t  i;

    *p++ = '{';

    if (json->path.len) {
        p = oa_replay_member(p, &oa_replay_path, &json->path);
    }

    if (json->ndelete) {
        p = oa_replay_literal(p, "\"delete_headers\":[");

        for (i = 0; i < json->ndelete; i++) {
            p = oa_replay_quote(p, &json->delete_headers[i]);
            *p++ = ',';
        }

        p[-1] = ']';
        *p++ = ',';
    }

    if (json->nset) {
        p = oa_replay_literal(p, "\"set_headers\":[");

        for (i = 0; i < json->nset; i++) {
            *p++ = '{';
            p = oa_replay_member(p, &oa_replay_name,
                                 &json->set_headers[i].key);
            p = oa_replay_member(p, &oa_replay_value,
                                 &json->set_headers[i].value);
            p[-1] = '}';
            *p++ = ',';
        }

        p[-1] = ']';
        *p++ = ',';
    }

    p[-1] = '}';

    return p;
}


static u_char *
oa_replay_member(u_char *p, const ngx_str_t *name, const ngx_str_t *value)
{
    *p++ = '"';
    p = ngx_cpymem(p, name->data, name->len);
    *p++ = '"';
    *p++ = ':';
    p = oa_replay_quote(p, value);
    *p++ = ',';

    return p;
}


static size_t
oa_replay_member_size(const ngx_str_t *name, const ngx_str_t *value)
{
    return sizeof("\"\":\"\",") - 1 + name->len + oa_json_escape_size(value);
}


static u_char *
oa_replay_quote(u_char *p, const ngx_str_t *value)
{
    *p++ = '"';
    p = oa_json_escape(p, value);
    *p++ = '"';

    return p;
}


static u_char *
oa_replay_decimal(u_char *p, uint64_t n)
{
    u_char  *q, buf[NGX_INT64_LEN];

    q = buf + NGX_INT64_LEN;

    do {
        *--q = (u_char) ('0' + n % 10);
        n /= 10;
    } while (n);

    return ngx_cpymem(p, q, buf + NGX_INT64_LEN - q);
}


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
        if (oa_replay_unbase64url(key, text->data, text->len) != NGX_OK) {
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

    p = oa_replay_literal(buf, "v1.");
    p = oa_replay_decimal(p, (uint64_t) exp);
    *p++ = '.';

    if (sub->len) {
        p = oa_replay_base64url(p, sub->data, sub->len);

    } else {
        *p++ = '-';
    }

    *p++ = '.';

    if (oa_replay_sign(key, buf, p - buf, target, mac) != NGX_OK) {
        return NGX_ERROR;
    }

    p = oa_replay_base64url(p, mac, OA_REPLAY_MAC_LEN);
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
        sub_len = (last - p) * 3 / 4;

        if (sub_len == 0
            || sub_len > OA_REPLAY_SUB_MAX
            || oa_replay_unbase64url(buf, p, last - p) != NGX_OK)
        {
            return NGX_DECLINED;
        }
    }

    if (oa_replay_unbase64url(mac, end, OA_REPLAY_MAC_CHARS) != NGX_OK) {
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


static u_char *
oa_replay_base64url(u_char *dst, const u_char *src, size_t len)
{
    uint32_t  bits;

    static const u_char  chars[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    while (len >= 3) {
        bits = ((uint32_t) src[0] << 16) | ((uint32_t) src[1] << 8) | src[2];

        *dst++ = chars[bits >> 18];
        *dst++ = chars[(bits >> 12) & 0x3f];
        *dst++ = chars[(bits >> 6) & 0x3f];
        *dst++ = chars[bits & 0x3f];

        src += 3;
        len -= 3;
    }

    if (len == 0) {
        return dst;
    }

    bits = (uint32_t) src[0] << 16;

    if (len == 2) {
        bits |= (uint32_t) src[1] << 8;
    }

    *dst++ = chars[bits >> 18];
    *dst++ = chars[(bits >> 12) & 0x3f];

    if (len == 2) {
        *dst++ = chars[(bits >> 6) & 0x3f];
    }

    return dst;
}


/* Writes len * 3 / 4 bytes; only the canonical form passes. */

static ngx_int_t
oa_replay_unbase64url(u_char *dst, const u_char *src, size_t len)
{
    size_t      i;
    uint32_t    bits;
    ngx_int_t   sextet;
    ngx_uint_t  n;

    if (len % 4 == 1) {
        return NGX_ERROR;
    }

    bits = 0;
    n = 0;

    for (i = 0; i < len; i++) {
        sextet = oa_replay_sextet(src[i]);

        if (sextet == NGX_ERROR) {
            return NGX_ERROR;
        }

        bits = (bits << 6) | (uint32_t) sextet;
        n += 6;

        if (n >= 8) {
            n -= 8;
            *dst++ = (u_char) (bits >> n);
            bits &= (1U << n) - 1;
        }
    }

    return bits ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
oa_replay_sextet(u_char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }

    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }

    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }

    if (c == '-') {
        return 62;
    }

    if (c == '_') {
        return 63;
    }

    return NGX_ERROR;
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


ngx_int_t
oa_replay_src_parse(const ngx_str_t *value, oa_replay_src_t *src)
{
    u_char      *p, *end, *last, *next, *equal;
    ngx_str_t   *field;
    ngx_uint_t   i;

    static const ngx_str_t  names[] = {
        ngx_string("instance"),
        ngx_string("app"),
        ngx_string("region"),
        ngx_string("state"),
        ngx_string("reason")
    };

    ngx_str_t   *fields[] = {
        &src->instance,
        &src->app,
        &src->region,
        &src->state,
        &src->reason
    };

    ngx_memzero(src, sizeof(oa_replay_src_t));

    if (value->len == 0) {
        return NGX_ERROR;
    }

    p = value->data;
    last = p + value->len;

    for ( ;; ) {
        next = ngx_strlchr(p, last, ';');
        end = next ? next : last;

        while (p < end && *p == ' ') {
            p++;
        }

        while (p < end && end[-1] == ' ') {
            end--;
        }

        equal = ngx_strlchr(p, end, '=');

        if (equal == NULL) {
            return NGX_ERROR;
        }

        for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {

            if (names[i].len != (size_t) (equal - p)
                || ngx_memcmp(names[i].data, p, names[i].len) != 0)
            {
                continue;
            }

            field = fields[i];

            /* an empty value has data too: it was seen */

            if (field->data) {
                return NGX_ERROR;
            }

            field->data = equal + 1;
            field->len = end - field->data;

            break;
        }

        if (next == NULL) {
            return NGX_OK;
        }

        p = next + 1;
    }
}


ngx_int_t
oa_replay_duration(const ngx_str_t *value)
{
    size_t     i;
    ngx_int_t  n, unit;

    n = 0;

    for (i = 0; i < value->len; i++) {
        if (value->data[i] < '0' || value->data[i] > '9') {
            break;
        }

        if (i == sizeof("600000") - 1) {
            return NGX_ERROR;
        }

        n = n * 10 + (value->data[i] - '0');
    }

    if (i == 0) {
        return NGX_ERROR;
    }

    if (value->len - i == 2 && ngx_memcmp(&value->data[i], "ms", 2) == 0) {
        unit = 1;

    } else if (value->len - i == 1 && value->data[i] == 's') {
        unit = 1000;

    } else if (value->len - i == 1 && value->data[i] == 'm') {
        unit = 60 * 1000;

    } else {
        return NGX_ERROR;
    }

    n *= unit;

    if (n < 1 || n > 10 * 60 * 1000) {
        return NGX_ERROR;
    }

    return n;
}
