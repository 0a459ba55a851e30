
/*
 * The replay: what is said to Fly Proxy, and what it says to us.
 * https://fly.io/docs/networking/dynamic-request-routing/
 *
 * Pure: bytes in, bytes or struct out; no request, no event loop, no
 * allocation.
 */


#ifndef _OA_REPLAY_H_INCLUDED_
#define _OA_REPLAY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* What is to be replayed where.  Empty strings and zeros are left out. */
typedef struct {
    ngx_str_t            app;
    ngx_str_t            machine;
    ngx_str_t            state;
    ngx_str_t            timeout;      /* a Fly duration, e.g. "20s" */
    ngx_str_t            fallback;     /* "prefer_self" or "force_self" */
    unsigned             prefer:1;     /* prefer_instance, not instance */
} oa_replay_t;

/* Upper bound of what oa_replay_header() writes. */
size_t oa_replay_header_size(const oa_replay_t *replay);

/*
 * The value of a fly-replay header:
 * app=APP;instance=MACHINE[;state=S][;timeout=T][;fallback=F]
 * Returns the end of what was written.
 */
u_char *oa_replay_header(u_char *p, const oa_replay_t *replay);


/* A number in decimal, at most 20 bytes; the end of what was written. */
u_char *oa_replay_decimal(u_char *p, uint64_t n);


/* The json form, application/vnd.fly.replay+json. */
typedef struct {
    oa_replay_t          replay;
    ngx_str_t            path;         /* transform.path, with arguments;
                                          empty: as it came */
    const ngx_str_t     *delete_headers;
    ngx_uint_t           ndelete;
    const ngx_keyval_t  *set_headers;
    ngx_uint_t           nset;
    ngx_str_t            cache_prefix;
    ngx_uint_t           cache_ttl;    /* seconds */
} oa_replay_json_t;

size_t oa_replay_json_size(const oa_replay_json_t *json);
u_char *oa_replay_json(u_char *p, const oa_replay_json_t *json);


/*
 * State (oa_replay_state.c): v1.EXP.SUB.MAC
 *
 * EXP is in unix seconds, SUB base64url of the user's id or "-", MAC
 * base64url(HMAC-SHA256(K, "v1.EXP.SUB.TARGET")), without padding.  TARGET is
 * the machine, or empty where any machine of the app may answer.  K is
 * HMAC-SHA256(key, APP), or HMAC-SHA256(key, "APP/MACHINE").
 */

#define OA_REPLAY_KEY_LEN    32
#define OA_REPLAY_SUB_MAX    128       /* of the decoded user's id */
#define OA_REPLAY_STATE_MAX  (3 + 20 + 1 + (OA_REPLAY_SUB_MAX * 4 + 2) / 3  \
                              + 1 + 43)

/*
 * K.  machine is empty unless keys are made per machine.  NGX_ERROR when
 * OpenSSL fails, or master or app is empty, or a name is over 63 bytes.  The
 * caller cleanses key.
 */
ngx_int_t oa_replay_derive(const ngx_str_t *master, const ngx_str_t *app,
    const ngx_str_t *machine, u_char *key);

/*
 * K as an operator writes it on the agent's machine: 43 characters of
 * base64url, or 64 hexadecimal digits, or the 32 bytes themselves.
 * NGX_ERROR for anything else.
 */
ngx_int_t oa_replay_decode_key(const ngx_str_t *text, u_char *key);

/*
 * Writes a state of at most OA_REPLAY_STATE_MAX bytes to buf and its length
 * to *len.  sub is empty for nobody.  NGX_ERROR when sub is longer than
 * OA_REPLAY_SUB_MAX, target than 63 bytes, exp is negative or OpenSSL fails.
 */
ngx_int_t oa_replay_state(u_char *buf, size_t *len, const u_char *key,
    time_t exp, const ngx_str_t *sub, const ngx_str_t *target);

/*
 * Checks a state in constant time with respect to the MAC.  target is this
 * machine: a state for it, or for any machine of its app (empty TARGET), is
 * good.  On NGX_OK sub points into buf (OA_REPLAY_SUB_MAX bytes), empty for
 * "-".  NGX_DECLINED otherwise, and *why is a static text: "malformed",
 * "signature" (also when OpenSSL fails or target is over 63 bytes) or
 * "expired" (it is signed, and now is EXP or later).  Nothing but the
 * canonical form passes: EXP in decimal without leading zeros, base64url
 * without padding and with zero trailing bits.
 */
ngx_int_t oa_replay_state_verify(const ngx_str_t *state, const u_char *key,
    time_t now, const ngx_str_t *target, u_char *buf, ngx_str_t *sub,
    const char **why);


/*
 * fly-replay-src and fly-replay-failed: fields joined by ";".  Unknown fields
 * are passed over; one of those below that occurs twice, or any without "=",
 * makes the whole malformed (NGX_ERROR).  Spaces around fields are dropped.
 * data is NULL where a field did not occur.
 */
typedef struct {
    ngx_str_t            instance;
    ngx_str_t            app;
    ngx_str_t            region;
    ngx_str_t            state;
    ngx_str_t            reason;
} oa_replay_src_t;

ngx_int_t oa_replay_src_parse(const ngx_str_t *value, oa_replay_src_t *src);

/*
 * Is it a duration that Fly takes: digits and "ms" or "s" or "m", 1ms to 10m?
 * Its milliseconds, or NGX_ERROR.
 */
ngx_int_t oa_replay_duration(const ngx_str_t *value);


#endif /* _OA_REPLAY_H_INCLUDED_ */
