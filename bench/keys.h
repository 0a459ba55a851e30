
/*
 * The keys of the benchmark, the same in every program and run.
 *
 * The RSA modulus is a product of 32 primes of 64 bits instead of two of 1024:
 * worthless as a key, but a signature takes a few microseconds for each small
 * prime instead of most of a millisecond.  A verifier knows nothing of the
 * factors, and does with this modulus exactly what it does with any of 2048
 * bits.
 */


#ifndef _BENCH_KEYS_H_INCLUDED_
#define _BENCH_KEYS_H_INCLUDED_


#include "hosts.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>


#define KEY_RSA_BITS    2048
#define KEY_RSA_BYTES   (KEY_RSA_BITS / 8)
#define KEY_RSA_E       65537
#define KEY_PRIMES      (KEY_RSA_BITS / 64)

#define KEY_EC_BYTES    32
#define KEY_EC_POINT    (1 + 2 * KEY_EC_BYTES)


typedef struct {
    EVP_PKEY       *pkey;
    BIGNUM         *n;
    uint64_t        primes[KEY_PRIMES];
} key_rsa_t;


typedef struct {
    EVP_PKEY       *pkey;
    unsigned char   point[KEY_EC_POINT];
} key_ec_t;


/* For what must not fail. */

#define key_must(ok)  ((ok) ? (void) 0 : key_failed(#ok))


static inline void
key_failed(const char *what)
{
    fprintf(stderr, "failed: %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}


static inline EVP_PKEY *
key_from(const char *type, int selection, OSSL_PARAM_BLD *bld)
{
    EVP_PKEY      *pkey;
    OSSL_PARAM    *params;
    EVP_PKEY_CTX  *ctx;

    pkey = NULL;

    params = OSSL_PARAM_BLD_to_param(bld);
    ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);

    key_must(params != NULL && ctx != NULL
             && EVP_PKEY_fromdata_init(ctx) == 1
             && EVP_PKEY_fromdata(ctx, &pkey, selection, params) == 1);

    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(bld);

    return pkey;
}


static inline void
key_rsa(key_rsa_t *key)
{
    int              i;
    BIGNUM          *p;
    BN_CTX          *ctx;
    uint64_t         v;
    OSSL_PARAM_BLD  *bld;

    ctx = BN_CTX_new();
    p = BN_new();
    key->n = BN_new();
    bld = OSSL_PARAM_BLD_new();

    key_must(ctx != NULL && p != NULL && key->n != NULL && bld != NULL);
    key_must(BN_one(key->n));

    for (i = 0; i < KEY_PRIMES; i++) {

        /* six bits set at the top: the product has all of its 2048 bits */

        v = host_mix64(0x525341 + (uint64_t) i) | 0xfc00000000000001;

        for ( ;; ) {
            key_must(BN_set_word(p, v));

            if ((v - 1) % KEY_RSA_E != 0 && BN_check_prime(p, ctx, NULL) == 1)
            {
                break;
            }

            v += 2;
        }

        key->primes[i] = v;
        key_must(BN_mul(key->n, key->n, p, ctx));
    }

    key_must(BN_num_bits(key->n) == KEY_RSA_BITS);
    key_must(OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, key->n));
    key_must(OSSL_PARAM_BLD_push_uint(bld, OSSL_PKEY_PARAM_RSA_E, KEY_RSA_E));

    key->pkey = key_from("RSA", EVP_PKEY_PUBLIC_KEY, bld);

    BN_free(p);
    BN_CTX_free(ctx);
}


static inline void
key_ec(key_ec_t *key)
{
    int              i;
    BIGNUM          *d;
    EC_GROUP        *group;
    EC_POINT        *point;
    OSSL_PARAM_BLD  *bld;

    group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    d = BN_new();
    bld = OSSL_PARAM_BLD_new();

    key_must(group != NULL && d != NULL && bld != NULL);

    point = EC_POINT_new(group);
    key_must(point != NULL);

    for (i = 0; i < 3; i++) {
        key_must(BN_lshift(d, d, 64)
                 && BN_add_word(d, host_mix64(0x4543 + (uint64_t) i)));
    }

    key_must(EC_POINT_mul(group, point, d, NULL, NULL, NULL));
    key_must(EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED,
                                key->point, sizeof(key->point), NULL)
             == sizeof(key->point));

    key_must(OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME,
                                             "P-256", 0));
    key_must(OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY,
                                              key->point,
                                              sizeof(key->point)));
    key_must(OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PRIV_KEY, d));

    key->pkey = key_from("EC", EVP_PKEY_KEYPAIR, bld);

    EC_POINT_free(point);
    EC_GROUP_free(group);
    BN_free(d);
}


#endif /* _BENCH_KEYS_H_INCLUDED_ */
