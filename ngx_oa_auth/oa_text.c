
/*
 * A text in shared memory.
 */


#include "oa_text.h"


#define OA_TEXT_TRIES  10

#define oa_text_load(p)      __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define oa_text_store(p, n)  __atomic_store_n(p, n, __ATOMIC_RELEASE)


ngx_int_t
oa_text_get(const oa_text_t *text, u_char *buf, size_t *len)
{
    size_t           i, n;
    uint64_t         seq;
    ngx_uint_t       tries;
    oa_text_bank_t  *bank;

    for (tries = 0; tries < OA_TEXT_TRIES; tries++) {
        seq = oa_text_load(text->seq);
        bank = &text->banks[seq & 1];

        /* while it is written to, anything may be in it */

        n = ngx_min(oa_text_load(&bank->len), (size_t) OA_TEXT_MAX);

        for (i = 0; i < n && bank->pages[i / OA_TEXT_PAGE]; i += OA_TEXT_PAGE)
        {
            ngx_memcpy(buf + i, bank->pages[i / OA_TEXT_PAGE],
                       ngx_min(n - i, OA_TEXT_PAGE));
        }

        __atomic_thread_fence(__ATOMIC_ACQUIRE);

        if (oa_text_load(text->seq) == seq) {
            *len = n;
            return NGX_OK;
        }
    }

    return NGX_AGAIN;
}


ngx_uint_t
oa_text_is(const oa_text_t *text, const u_char *tag)
{
    oa_text_bank_t  *bank;

    bank = &text->banks[*text->seq & 1];

    return bank->len && ngx_memcmp(bank->tag, tag, OA_TEXT_TAG) == 0;
}


oa_text_bank_t *
oa_text_next(const oa_text_t *text)
{
    return &text->banks[(*text->seq + 1) & 1];
}


void
oa_text_put(const oa_text_t *text, const u_char *bytes, size_t len,
    const u_char *tag)
{
    size_t           i;
    oa_text_bank_t  *bank;

    bank = oa_text_next(text);

    /*
     * A reader may still be in this bank, which was in force before: it must
     * see the number of the last change before it can see any of these bytes.
     */

    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    for (i = 0; i < len; i += OA_TEXT_PAGE) {
        ngx_memcpy(bank->pages[i / OA_TEXT_PAGE], bytes + i,
                   ngx_min(len - i, OA_TEXT_PAGE));
    }

    oa_text_store(&bank->len, len);
    ngx_memcpy(bank->tag, tag, OA_TEXT_TAG);

    oa_text_store(text->seq, *text->seq + 1);
}
