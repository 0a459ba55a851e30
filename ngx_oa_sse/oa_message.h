
/*
 * What a person says to an agent, cleaned on its way: control characters out,
 * length capped, suspicious phrases noticed.  They are never blocked: people
 * may talk about such things.
 *
 * Pure: bytes in, bytes out; no request, no event loop, no allocation.
 */


#ifndef _OA_MESSAGE_H_INCLUDED_
#define _OA_MESSAGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* Characters, as JavaScript counts them: those above U+FFFF are two. */
#define OA_MESSAGE_MAX  10000


typedef enum {
    OA_MESSAGE_IGNORE_INSTRUCTIONS = 0,
    OA_MESSAGE_SYSTEM_PROMPT,
    OA_MESSAGE_YOU_ARE_NOW,
    OA_MESSAGE_RULES
} oa_message_rule_e;

/* Names of the rules, for a log: "ignore_instructions" ... */
extern const ngx_str_t  oa_message_rules[OA_MESSAGE_RULES];

typedef struct {
    ngx_str_t            text;
    ngx_uint_t           controls;    /* that were taken out */
    ngx_uint_t           rules;       /* bit (1 << rule): it was found */
    unsigned             cut:1;       /* it was longer than max */
} oa_message_t;

/*
 * Cleans UTF-8 text in place: takes out U+0000 to U+001F but tab, LF and CR,
 * and U+007F; keeps max characters; then looks for phrases, in any case of
 * ASCII letters and with any white space between their words.
 */
void oa_message_clean(oa_message_t *message, u_char *p, size_t len,
    size_t max);


/* A message is never logged, but a hash of it: 64 bits of its SHA-256. */

#define OA_MESSAGE_HASH  16           /* hexadecimal digits */

/* NGX_ERROR: OpenSSL fails. */
ngx_int_t oa_message_hash(const ngx_str_t *text, u_char *hash);


#endif /* _OA_MESSAGE_H_INCLUDED_ */
