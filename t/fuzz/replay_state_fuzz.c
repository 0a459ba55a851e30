
/*
 * oa_replay_state_verify(), with states that are signed whatever they say:
 * what passes is what oa_replay_state() writes, byte for byte.
 */


#include "fuzz.h"
#include <openssl/hmac.h>
#include "oa_replay.h"


static const ngx_str_t  any = ngx_null_string;
static const ngx_str_t  machine = ngx_string("3d8d9930b32d89");

static u_char  key[OA_REPLAY_KEY_LEN] = "0123456789abcdef0123456789abcde";


static void
encode(u_char *dst, const u_char *src)
{
    size_t  i, bit;

    static const char  chars[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    /* 43 characters of 32 bytes, bit by bit */

    for (i = 0; i < 43; i++) {
        unsigned  n = 0;

        for (bit = i * 6; bit < i * 6 + 6; bit++) {
            n = n * 2 + (bit < 256 ? (src[bit / 8] >> (7 - bit % 8)) & 1 : 0);
        }

        dst[i] = (u_char) chars[n];
    }
}


static void
check(const u_char *text, size_t len, ngx_uint_t is_signed,
    const ngx_str_t *target, time_t now)
{
    char         digits[21];
    u_char       buf[OA_REPLAY_SUB_MAX], again[OA_REPLAY_STATE_MAX];
    size_t       n;
    time_t       exp;
    ngx_int_t    rc;
    ngx_str_t    state, sub;
    const char  *why;

    state.len = len;
    state.data = fuzz_copy(text, len);
    why = NULL;

    rc = oa_replay_state_verify(&state, key, now, &machine, buf, &sub, &why);

    if (rc != NGX_OK) {
        must(rc == NGX_DECLINED);
        must(why != NULL);

        if (is_signed) {
            must(strcmp(why, "signature") != 0);

        } else {
            must(strcmp(why, "expired") != 0);
        }

        free(state.data);
        return;
    }

    must(is_signed);
    must(sub.len <= OA_REPLAY_SUB_MAX);

    for (n = 0; n < 20 && state.data[3 + n] != '.'; n++) {
        digits[n] = (char) state.data[3 + n];
    }

    digits[n] = '\0';
    exp = (time_t) strtoll(digits, NULL, 10);

    must(exp > now);
    must(oa_replay_state(again, &n, key, exp, &sub, target) == NGX_OK);
    must(n == state.len);
    must(memcmp(again, state.data, n) == 0);

    free(state.data);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char            text[1024], mac[32];
    size_t            len;
    time_t            now;
    unsigned int      n;
    const ngx_str_t  *target;

    if (size < 1 || size > 512) {
        return 0;
    }

    check(data, size, 0, &any, 0);

    target = (data[0] & 1) ? &machine : &any;
    now = (data[0] & 2) ? 1767225600 : 0;

    /* "v1.", unless the fuzzer has an idea of its own */

    len = 0;

    if (!(data[0] & 4)) {
        memcpy(text, "v1.", 3);
        len = 3;
    }

    memcpy(text + len, data + 1, size - 1);
    len += size - 1;
    text[len++] = '.';

    if (target->len) {
        memcpy(text + len, target->data, target->len);
    }

    must(HMAC(EVP_sha256(), key, OA_REPLAY_KEY_LEN, text, len + target->len,
              mac, &n) != NULL);
    encode(text + len, mac);

    check(text, len + 43, 1, target, now);

    return 0;
}
