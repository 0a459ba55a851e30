
/*
 * Tokens as Supabase signs them, one a line, all of one length:
 *
 *     tokens RS256|ES256 FIRST N FILE
 *     tokens jwks                          the set of keys, to stdout
 *
 * They are numbered from FIRST: a number that was not used before makes a
 * token that was never seen.
 */


#include "keys.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ecdsa.h>
#include <openssl/sha.h>


#define THREADS       2
#define LIFE          (7 * 86400)
#define PAYLOAD_MAX   1024
#define TOKEN_MAX     2048

#define RSA_KID       "6f1d2a58-0b7c-4e39-9d84-5a1c3e7f2b60"
#define EC_KID        "c3a9e417-82d5-4b06-a1f7-0e6b9d4c8f25"
#define HEADER(alg, kid)                                                      \
    "{\"alg\":\"" alg "\",\"kid\":\"" kid "\",\"typ\":\"JWT\"}"


/* what is modulo one prime, and how it comes back */

typedef struct {
    uint64_t       p;
    uint64_t       d;                    /* 1/e mod (p - 1) */
    uint64_t       inverse;              /* 1/rest mod p */
    uint64_t       rest[KEY_PRIMES];     /* n/p, lowest word first */
} part_t;


typedef struct {
    uint32_t       first;
    uint32_t       n;
    char          *out;
    pthread_t      thread;
} job_t;


typedef size_t (*sign_pt)(const char *input, size_t len, unsigned char *sig);


static key_rsa_t      rsa;
static key_ec_t       ec;
static part_t         parts[KEY_PRIMES];
static uint64_t       modulus[KEY_PRIMES];

static const char    *header;
static sign_pt        sign;
static size_t         token_len;
static unsigned long  issued;


static void
die(const char *what)
{
    fprintf(stderr, "tokens: %s: %s\n", what, strerror(errno));
    exit(1);
}


static size_t
base64url(char *out, const void *in, size_t len)
{
    char                 *p;
    uint32_t              v;
    const unsigned char  *s;

    static const char  abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "abcdefghijklmnopqrstuvwxyz0123456789-_";

    p = out;

    for (s = in; len; s += 3, len -= 3) {
        v = (uint32_t) s[0] << 16;

        if (len > 1) {
            v |= (uint32_t) s[1] << 8;
        }

        if (len > 2) {
            v |= s[2];
        }

        *p++ = abc[v >> 18];
        *p++ = abc[v >> 12 & 0x3f];

        if (len == 1) {
            break;
        }

        *p++ = abc[v >> 6 & 0x3f];

        if (len == 2) {
            break;
        }

        *p++ = abc[v & 0x3f];
    }

    return (size_t) (p - out);
}


/* RSA */

static void
words(uint64_t *out, const BIGNUM *bn)
{
    int            i, k;
    unsigned char  buf[KEY_RSA_BYTES];

    key_must(BN_bn2lebinpad(bn, buf, sizeof(buf)) == sizeof(buf));

    for (i = 0; i < KEY_PRIMES; i++) {
        out[i] = 0;

        for (k = 7; k >= 0; k--) {
            out[i] = out[i] << 8 | buf[i * 8 + k];
        }
    }
}


static void
rsa_init(void)
{
    int      i;
    BIGNUM  *p, *e, *v, *rest;
    BN_CTX  *ctx;

    ctx = BN_CTX_new();
    p = BN_new();
    e = BN_new();
    v = BN_new();
    rest = BN_new();

    key_must(ctx != NULL && p != NULL && e != NULL && v != NULL
             && rest != NULL);
    key_must(BN_set_word(e, KEY_RSA_E));

    words(modulus, rsa.n);

    for (i = 0; i < KEY_PRIMES; i++) {
        parts[i].p = rsa.primes[i];

        key_must(BN_set_word(p, parts[i].p - 1));
        key_must(BN_mod_inverse(v, e, p, ctx) != NULL);
        parts[i].d = BN_get_word(v);

        key_must(BN_add_word(p, 1));
        key_must(BN_div(rest, NULL, rsa.n, p, ctx));
        words(parts[i].rest, rest);

        key_must(BN_mod_inverse(v, rest, p, ctx) != NULL);
        parts[i].inverse = BN_get_word(v);
    }

    BN_free(p);
    BN_free(e);
    BN_free(v);
    BN_free(rest);
    BN_CTX_free(ctx);
}


static inline uint64_t
mulmod(uint64_t a, uint64_t b, uint64_t p)
{
    return (uint64_t) ((unsigned __int128) a * b % p);
}


static uint64_t
root(const uint64_t *m, const part_t *part)
{
    int       i;
    uint64_t  r, s, d;

    r = 0;

    for (i = KEY_PRIMES - 1; i >= 0; i--) {
        r = (uint64_t) (((unsigned __int128) r << 64 | m[i]) % part->p);
    }

    s = 1;

    for (d = part->d; d; d >>= 1) {
        if (d & 1) {
            s = mulmod(s, r, part->p);
        }

        r = mulmod(r, r, part->p);
    }

    return mulmod(s, part->inverse, part->p);
}


static int
at_least(const uint64_t *sum, const uint64_t *n)
{
    int  i;

    if (sum[KEY_PRIMES]) {
        return 1;
    }

    for (i = KEY_PRIMES - 1; i > 0 && sum[i] == n[i]; i--) { /* void */ }

    return sum[i] >= n[i];
}


/* The e-th root of m: one modulo each prime, joined. */

static void
rsa_root(const uint64_t *m, uint64_t *sum)
{
    int                i, k;
    uint64_t           t;
    unsigned __int128  v;

    memset(sum, 0, (KEY_PRIMES + 1) * sizeof(uint64_t));

    for (i = 0; i < KEY_PRIMES; i++) {
        t = root(m, &parts[i]);
        v = 0;

        for (k = 0; k < KEY_PRIMES; k++) {
            v += (unsigned __int128) t * parts[i].rest[k] + sum[k];
            sum[k] = (uint64_t) v;
            v >>= 64;
        }

        sum[KEY_PRIMES] += (uint64_t) v;
    }

    while (at_least(sum, modulus)) {
        v = 0;

        for (k = 0; k < KEY_PRIMES; k++) {
            v = (unsigned __int128) sum[k] - modulus[k] - (uint64_t) v;
            sum[k] = (uint64_t) v;
            v = v >> 64 & 1;
        }

        sum[KEY_PRIMES] -= (uint64_t) v;
    }
}


/* RSASSA-PKCS1-v1_5 */

static size_t
rsa_sign(const char *input, size_t len, unsigned char *sig)
{
    int            i, k;
    size_t         at;
    uint64_t       m[KEY_PRIMES], s[KEY_PRIMES + 1];
    unsigned char  em[KEY_RSA_BYTES];

    static const unsigned char  info[] = {
        0x00, 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
        0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20
    };

    memset(em, 0xff, sizeof(em));
    em[0] = 0x00;
    em[1] = 0x01;

    at = sizeof(em) - SHA256_DIGEST_LENGTH;
    memcpy(em + at - sizeof(info), info, sizeof(info));
    SHA256((const unsigned char *) input, len, em + at);

    for (i = 0; i < KEY_PRIMES; i++) {
        m[i] = 0;

        for (k = 0; k < 8; k++) {
            m[i] = m[i] << 8 | em[(KEY_PRIMES - 1 - i) * 8 + k];
        }
    }

    rsa_root(m, s);

    for (i = 0; i < KEY_RSA_BYTES; i++) {
        sig[KEY_RSA_BYTES - 1 - i] = (unsigned char) (s[i / 8] >> i % 8 * 8);
    }

    return KEY_RSA_BYTES;
}


/* ECDSA */

static size_t
ec_sign(const char *input, size_t len, unsigned char *sig)
{
    size_t                n;
    ECDSA_SIG            *rs;
    unsigned char         digest[SHA256_DIGEST_LENGTH], der[128];
    const unsigned char  *p;

    static _Thread_local EVP_PKEY_CTX  *ctx;

    if (ctx == NULL) {
        ctx = EVP_PKEY_CTX_new(ec.pkey, NULL);
        key_must(ctx != NULL && EVP_PKEY_sign_init(ctx) == 1);
    }

    SHA256((const unsigned char *) input, len, digest);

    n = sizeof(der);
    key_must(EVP_PKEY_sign(ctx, der, &n, digest, sizeof(digest)) == 1);

    p = der;
    rs = d2i_ECDSA_SIG(NULL, &p, (long) n);
    key_must(rs != NULL);

    key_must(BN_bn2binpad(ECDSA_SIG_get0_r(rs), sig, KEY_EC_BYTES)
             == KEY_EC_BYTES);
    key_must(BN_bn2binpad(ECDSA_SIG_get0_s(rs), sig + KEY_EC_BYTES,
                          KEY_EC_BYTES)
             == KEY_EC_BYTES);

    ECDSA_SIG_free(rs);

    return 2 * KEY_EC_BYTES;
}


/* The token of a number; its length. */

static size_t
token(char *out, uint32_t i)
{
    int            n;
    char           sub[HOST_UUID_LEN], session[HOST_UUID_LEN];
    char           label[HOST_LABEL_LEN], payload[PAYLOAD_MAX];
    size_t         len;
    unsigned char  sig[KEY_RSA_BYTES];

    host_uuid(sub, i, 4);
    host_uuid(session, i, 5);
    host_label(label, i);

    n = snprintf(payload, sizeof(payload),
        "{\"iss\":\"https://abcdefghijklmnopqrst.supabase.co/auth/v1\","
        "\"sub\":\"%.*s\",\"aud\":\"authenticated\",\"exp\":%lu,\"iat\":%lu,"
        "\"email\":\"%.*s@example.com\",\"phone\":\"\","
        "\"app_metadata\":{\"provider\":\"email\",\"providers\":[\"email\"]},"
        "\"user_metadata\":{\"email\":\"%.*s@example.com\","
        "\"email_verified\":true,\"phone_verified\":false,\"sub\":\"%.*s\"},"
        "\"role\":\"authenticated\",\"aal\":\"aal1\","
        "\"amr\":[{\"method\":\"password\",\"timestamp\":%lu}],"
        "\"session_id\":\"%.*s\",\"is_anonymous\":false}",
        HOST_UUID_LEN, sub, issued + LIFE, issued, HOST_LABEL_LEN, label,
        HOST_LABEL_LEN, label, HOST_UUID_LEN, sub, issued, HOST_UUID_LEN,
        session);

    key_must(n > 0 && n < PAYLOAD_MAX);

    len = base64url(out, header, strlen(header));
    out[len++] = '.';
    len += base64url(out + len, payload, (size_t) n);

    n = (int) sign(out, len, sig);
    out[len++] = '.';
    len += base64url(out + len, sig, (size_t) n);

    return len;
}


static void *
mint(void *data)
{
    job_t     *job = data;

    char       buf[TOKEN_MAX];
    uint32_t   i;

    for (i = 0; i < job->n; i++) {
        key_must(token(buf, job->first + i) == token_len);

        buf[token_len] = '\n';
        memcpy(job->out + i * (token_len + 1), buf, token_len + 1);
    }

    return NULL;
}


static void
mint_all(uint32_t first, uint32_t n, const char *path)
{
    int       fd, i;
    char     *out, buf[TOKEN_MAX];
    job_t     jobs[THREADS];
    size_t    size;
    uint32_t  from, to;

    token_len = token(buf, first);
    size = n * (token_len + 1);

    fd = open(path, O_RDWR|O_CREAT|O_TRUNC|O_CLOEXEC, 0644);
    if (fd == -1 || ftruncate(fd, (off_t) size) == -1) {
        die(path);
    }

    out = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);
    if (out == MAP_FAILED) {
        die("mmap");
    }

    for (i = 0; i < THREADS; i++) {
        from = (uint32_t) ((uint64_t) n * (unsigned) i / THREADS);
        to = (uint32_t) ((uint64_t) n * ((unsigned) i + 1) / THREADS);

        jobs[i].first = first + from;
        jobs[i].n = to - from;
        jobs[i].out = out + from * (token_len + 1);

        errno = pthread_create(&jobs[i].thread, NULL, mint, &jobs[i]);
        if (errno) {
            die("pthread_create");
        }
    }

    for (i = 0; i < THREADS; i++) {
        errno = pthread_join(jobs[i].thread, NULL);
        if (errno) {
            die("pthread_join");
        }
    }

    if (munmap(out, size) == -1 || close(fd) == -1) {
        die(path);
    }
}


static void
print_jwks(void)
{
    char           n[KEY_RSA_BYTES * 2], x[64], y[64];
    unsigned char  buf[KEY_RSA_BYTES];

    key_must(BN_bn2binpad(rsa.n, buf, sizeof(buf)) == sizeof(buf));

    n[base64url(n, buf, sizeof(buf))] = '\0';
    x[base64url(x, ec.point + 1, KEY_EC_BYTES)] = '\0';
    y[base64url(y, ec.point + 1 + KEY_EC_BYTES, KEY_EC_BYTES)] = '\0';

    printf("{\"keys\":["
           "{\"kid\":\"" RSA_KID "\",\"alg\":\"RS256\",\"kty\":\"RSA\","
           "\"use\":\"sig\",\"key_ops\":[\"verify\"],"
           "\"n\":\"%s\",\"e\":\"AQAB\"},"
           "{\"kid\":\"" EC_KID "\",\"alg\":\"ES256\",\"kty\":\"EC\","
           "\"use\":\"sig\",\"key_ops\":[\"verify\"],"
           "\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"}]}\n",
           n, x, y);

    if (fflush(stdout) == EOF) {
        die("write");
    }
}


static uint32_t
number(const char *s)
{
    char           *end;
    unsigned long   v;

    errno = 0;
    v = strtoul(s, &end, 10);

    if (errno || end == s || *end != '\0' || v > UINT32_MAX) {
        errno = EINVAL;
        die(s);
    }

    return (uint32_t) v;
}


int
main(int argc, char **argv)
{
    key_rsa(&rsa);
    key_ec(&ec);

    if (argc == 2 && strcmp(argv[1], "jwks") == 0) {
        print_jwks();
        return 0;
    }

    if (argc != 5) {
        goto usage;
    }

    if (strcmp(argv[1], "RS256") == 0) {
        rsa_init();
        header = HEADER("RS256", RSA_KID);
        sign = rsa_sign;

    } else if (strcmp(argv[1], "ES256") == 0) {
        header = HEADER("ES256", EC_KID);
        sign = ec_sign;

    } else {
        goto usage;
    }

    issued = (unsigned long) time(NULL);
    mint_all(number(argv[2]), number(argv[3]), argv[4]);

    return 0;

usage:

    fputs("usage: tokens jwks | tokens RS256|ES256 FIRST N FILE\n", stderr);

    return 2;
}
