
/*
 * Claims, for their own files only.
 */


#ifndef _OA_CLAIMS_INT_H_INCLUDED_
#define _OA_CLAIMS_INT_H_INCLUDED_


#include "oa_claims.h"


#define oa_claims_is_space(c)                                                 \
    ((c) == ' ' || (c) == '\n' || (c) == '\t' || (c) == '\r')


#define OA_CLAIMS_ONES  0x0101010101010101ull

/* Is one of eight bytes a control, a quote, a backslash, or not ASCII? */
#define oa_claims_special(w)                                                  \
    ((((w) - OA_CLAIMS_ONES * 0x20)                                           \
      | (((w) ^ OA_CLAIMS_ONES * '"') - OA_CLAIMS_ONES)                       \
      | (((w) ^ OA_CLAIMS_ONES * '\\') - OA_CLAIMS_ONES)                      \
      | (w))                                                                  \
     & OA_CLAIMS_ONES * 0x80)


/* Passes over what stands for itself in a string. */

static ngx_inline const u_char *
oa_claims_plain(const u_char *p, const u_char *last)
{
    uint64_t  w;

    while (last - p >= (ptrdiff_t) sizeof(uint64_t)) {
        ngx_memcpy(&w, p, sizeof(uint64_t));

        if (oa_claims_special(w)) {
            break;
        }

        p += sizeof(uint64_t);
    }

    while (p < last
           && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\')
    {
        p++;
    }

    return p;
}


/* White space. */

static ngx_inline const u_char *
oa_claims_space(const u_char *p, const u_char *last)
{
    while (p < last && oa_claims_is_space(*p)) {
        p++;
    }

    return p;
}


/* What stands for c behind a backslash, or 0. */
extern const u_char  oa_claims_escapes[256];

/* Four hexadecimal digits; -1 when they are none. */
int32_t oa_claims_hex(const u_char *p);

/* The end of a number that can be held, at p; or NULL. */
const u_char *oa_claims_number_end(const u_char *p, const u_char *last);

/*
 * What one step through a string that was accepted, unescaped, writes to utf8,
 * up to 4 bytes: their number.
 */
size_t oa_claims_unescape(const u_char **p, u_char *utf8);


#endif /* _OA_CLAIMS_INT_H_INCLUDED_ */
