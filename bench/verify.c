
/*
 * The bare verification of tokens, as an arm of the load generator:
 *
 *     verify CPU RS256|ES256 FILE
 *
 * It does what no verifier can leave out, in the cheapest way that OpenSSL
 * has: SHA-256 and EVP_PKEY_verify() with contexts that were made once.  The
 * signatures are decoded before, and a token that is no good ends the program.
 *
 * A line "WARM COUNT", both in ns, starts a turn; one "TOKENS NS CPU_NS" is
 * what was done in it.
 */


#define _GNU_SOURCE

#include "keys.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include <openssl/ecdsa.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>


/* more than the caches would keep of a few, less than is worth waiting for */

#define TOKENS    4096
#define NSEC      1000000000ull


typedef struct {
    char           *input;
    size_t          input_len;
    size_t          sig_len;
    unsigned char   sig[KEY_RSA_BYTES];
} token_t;


static token_t        tokens[TOKENS];
static unsigned       ntokens;

static EVP_MD        *sha256;
static EVP_MD_CTX    *hash;
static EVP_PKEY_CTX  *key;


static void
die(const char *what)
{
    fprintf(stderr, "verify: %s: %s\n", what, strerror(errno));
    exit(1);
}


static uint64_t
now(clockid_t id)
{
    struct timespec  ts;

    if (clock_gettime(id, &ts) == -1) {
        die("clock_gettime");
    }

    return (uint64_t) ts.tv_sec * NSEC + (uint64_t) ts.tv_nsec;
}


static size_t
decode(unsigned char *out, const char *s, size_t len)
{
    size_t       n;
    unsigned     bits;
    uint32_t     v;
    const char  *p;

    static const char  abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "abcdefghijklmnopqrstuvwxyz0123456789-_";

    n = 0;
    v = 0;

    for (bits = 0; len; len--) {
        p = strchr(abc, *s++);
        key_must(p != NULL && n < KEY_RSA_BYTES);

        v = v << 6 | (uint32_t) (p - abc);
        bits += 6;

        if (bits >= 8) {
            bits -= 8;
            out[n++] = (unsigned char) (v >> bits);
        }
    }

    return n;
}


/* OpenSSL wants ECDSA's signatures in DER. */

static size_t
der(unsigned char *sig)
{
    int             n;
    BIGNUM         *r, *s;
    ECDSA_SIG      *rs;
    unsigned char  *p;

    r = BN_bin2bn(sig, KEY_EC_BYTES, NULL);
    s = BN_bin2bn(sig + KEY_EC_BYTES, KEY_EC_BYTES, NULL);
    rs = ECDSA_SIG_new();

    key_must(r != NULL && s != NULL && rs != NULL
             && ECDSA_SIG_set0(rs, r, s) == 1);

    p = sig;
    n = i2d_ECDSA_SIG(rs, &p);
    key_must(n > 0 && n <= KEY_RSA_BYTES);

    ECDSA_SIG_free(rs);

    return (size_t) n;
}


static void
read_tokens(const char *path, int ecdsa)
{
    char     *line, *dot;
    FILE     *f;
    size_t    size;
    token_t  *t;
    ssize_t   len;

    f = fopen(path, "r");
    if (f == NULL) {
        die(path);
    }

    line = NULL;
    size = 0;

    while (ntokens < TOKENS && (len = getline(&line, &size, f)) > 0) {

        dot = strrchr(line, '.');
        key_must(dot != NULL && line[len - 1] == '\n');

        t = &tokens[ntokens++];
        t->sig_len = decode(t->sig, dot + 1,
                            (size_t) (line + len - 1 - (dot + 1)));

        if (ecdsa) {
            key_must(t->sig_len == 2 * KEY_EC_BYTES);
            t->sig_len = der(t->sig);
        }

        t->input_len = (size_t) (dot - line);
        t->input = strndup(line, t->input_len);
        key_must(t->input != NULL);
    }

    key_must(ntokens > 0);

    free(line);

    if (fclose(f) == EOF) {
        die(path);
    }
}


static void
make_contexts(int ecdsa)
{
    key_ec_t   ec;
    key_rsa_t  rsa;

    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    hash = EVP_MD_CTX_new();

    key_must(sha256 != NULL && hash != NULL
             && EVP_DigestInit_ex2(hash, sha256, NULL) == 1);

    if (ecdsa) {
        key_ec(&ec);
        key = EVP_PKEY_CTX_new(ec.pkey, NULL);

    } else {
        key_rsa(&rsa);
        key = EVP_PKEY_CTX_new(rsa.pkey, NULL);
    }

    key_must(key != NULL && EVP_PKEY_verify_init(key) == 1);

    if (!ecdsa) {
        key_must(EVP_PKEY_CTX_set_rsa_padding(key, RSA_PKCS1_PADDING) == 1);
    }

    key_must(EVP_PKEY_CTX_set_signature_md(key, sha256) == 1);
}


static void
verify(const token_t *t)
{
    unsigned char  digest[SHA256_DIGEST_LENGTH];

    key_must(EVP_DigestInit_ex2(hash, NULL, NULL) == 1
             && EVP_DigestUpdate(hash, t->input, t->input_len) == 1
             && EVP_DigestFinal_ex(hash, digest, NULL) == 1);

    key_must(EVP_PKEY_verify(key, t->sig, t->sig_len, digest, sizeof(digest))
             == 1);
}


int
main(int argc, char **argv)
{
    int                 ecdsa;
    char                line[64];
    unsigned            i;
    uint64_t            start, cpu, t, n;
    cpu_set_t           set;
    unsigned long long  warm, count;

    if (argc != 4) {
        fputs("usage: verify CPU RS256|ES256 FILE\n", stderr);
        return 2;
    }

    CPU_ZERO(&set);
    CPU_SET(strtoul(argv[1], NULL, 10), &set);

    if (sched_setaffinity(0, sizeof(set), &set) == -1) {
        die("sched_setaffinity");
    }

    ecdsa = (strcmp(argv[2], "ES256") == 0);

    read_tokens(argv[3], ecdsa);
    make_contexts(ecdsa);

    i = 0;

    while (fgets(line, sizeof(line), stdin) != NULL) {

        if (sscanf(line, "%llu %llu", &warm, &count) != 2) {
            errno = EINVAL;
            die(line);
        }

        start = now(CLOCK_MONOTONIC);

        while (now(CLOCK_MONOTONIC) - start < warm) {
            verify(&tokens[i++ % ntokens]);
        }

        n = 0;
        cpu = now(CLOCK_PROCESS_CPUTIME_ID);
        start = now(CLOCK_MONOTONIC);

        do {
            verify(&tokens[i++ % ntokens]);
            n++;
            t = now(CLOCK_MONOTONIC) - start;
        } while (t < count);

        cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;

        printf("%llu %llu %llu\n", (unsigned long long) n,
               (unsigned long long) t, (unsigned long long) cpu);

        if (fflush(stdout) == EOF) {
            die("write");
        }
    }

    return 0;
}
