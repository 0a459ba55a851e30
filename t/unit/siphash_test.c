
/* SipHash-1-3, held against OpenSSL's. */


#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "oa_siphash.h"
#include "tap.h"


static uint64_t
reference(const uint64_t *key, const uint64_t *words, ngx_uint_t n)
{
    size_t        len;
    uint64_t      hash;
    EVP_MAC      *mac;
    unsigned int  size, c, d;
    OSSL_PARAM    params[4];
    EVP_MAC_CTX  *ctx;

    size = 8;
    c = 1;
    d = 3;
    hash = 0;

    params[0] = OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_SIZE, &size);
    params[1] = OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_C_ROUNDS, &c);
    params[2] = OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_D_ROUNDS, &d);
    params[3] = OSSL_PARAM_construct_end();

    mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    ctx = EVP_MAC_CTX_new(mac);

    if (EVP_MAC_init(ctx, (const u_char *) key, 16, params) != 1
        || EVP_MAC_update(ctx, (const u_char *) words, n * 8) != 1
        || EVP_MAC_final(ctx, (u_char *) &hash, &len, sizeof(hash)) != 1)
    {
        printf("Bail out! OpenSSL has no SipHash\n");
        exit(1);
    }

    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);

    return hash;
}


int
main(void)
{
    uint64_t    key[2], words[16];
    ngx_uint_t  i, k, n, bad;

    for (i = 0, bad = 0; i < 2000; i++) {
        for (k = 0; k < 16; k++) {
            words[k] = (uint64_t) random() << 40 ^ (uint64_t) random() << 20
                       ^ (uint64_t) random();
        }

        key[0] = words[0] * 3;
        key[1] = words[1] * 5;
        n = i % 17;

        bad += oa_siphash(key, words, n) != reference(key, words, n);
    }

    ok(bad == 0, "0 to 16 words: as OpenSSL has it");

    ok(oa_hash_below(0, 7) == 0 && oa_hash_below(0xffffffff, 7) == 6
       && oa_hash_below(0x80000000, 8) == 4
       && oa_hash_below(0xffffffff, 1) == 0, "a number below another");

    return done_testing();
}
