
/*
 * A text in shared memory that now and then is replaced as a whole.
 *
 * It has two banks.  The text in force is in the one that the lowest bit of
 * its sequence number names; another one is written to the other bank, and
 * one store of the number puts it in force.  A reader takes no lock: it copies
 * a bank and looks whether the number stayed the same.  A writer that dies has
 * changed nothing: nothing has to be repaired.
 *
 * Pure: bytes of memory in, text out; no request, no event loop, no allocation.
 */


#ifndef _OA_TEXT_H_INCLUDED_
#define _OA_TEXT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define OA_TEXT_MAX   65536
#define OA_TEXT_PAGE  4096
#define OA_TEXT_TAG   32


typedef struct {
    size_t               len;
    u_char               tag[OA_TEXT_TAG];
    u_char              *pages[OA_TEXT_MAX / OA_TEXT_PAGE];
} oa_text_bank_t;

/* Zeroed memory is no text. */
typedef struct {
    uint64_t            *seq;          /* where the number is; never goes
                                          back */
    oa_text_bank_t      *banks;        /* two */
} oa_text_t;


/*
 * Copies the text in force to buf, of OA_TEXT_MAX bytes; *len 0 is none.
 * NGX_AGAIN: it changes too fast.
 */
ngx_int_t oa_text_get(const oa_text_t *text, u_char *buf, size_t *len);

/* The rest is for the holder of the lock. */

/* Is there a text, and does it have this tag of OA_TEXT_TAG bytes? */
ngx_uint_t oa_text_is(const oa_text_t *text, const u_char *tag);

/*
 * The bank that the next text is written to.  It must have pages for it, which
 * the caller sees to: a pointer that is there never changes.
 */
oa_text_bank_t *oa_text_next(const oa_text_t *text);

/* Replaces the text; with len 0 there is none any more. */
void oa_text_put(const oa_text_t *text, const u_char *bytes, size_t len,
    const u_char *tag);


#endif /* _OA_TEXT_H_INCLUDED_ */
