
#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/evp.h>
#include "oa_json.h"
#include "oa_message.h"


static ngx_uint_t oa_message_is_control(u_char c);
static ngx_uint_t oa_message_has(const ngx_str_t *text,
    const ngx_str_t *phrase);
static ngx_uint_t oa_message_begins(const u_char *p, const u_char *last,
    const ngx_str_t *phrase);


const ngx_str_t  oa_message_rules[OA_MESSAGE_RULES] = {
    ngx_string("ignore_instructions"),
    ngx_string("system_prompt"),
    ngx_string("you_are_now")
};

/* In lower case; a space is any white space. */

static const ngx_str_t  oa_message_phrases[OA_MESSAGE_RULES] = {
    ngx_string("ignore previous instructions"),
    ngx_string("system prompt"),
    ngx_string("you are now")
};


void
oa_message_clean(oa_message_t *message, u_char *p, size_t len, size_t max)
{
    size_t       n, left, units;
    u_char      *dst, *last;
    ngx_uint_t   i, valid;

    ngx_memzero(message, sizeof(oa_message_t));

    message->text.data = p;

    dst = p;
    last = p + len;
    left = max;

    while (p < last) {

        if (*p < 0x80) {
            if (oa_message_is_control(*p)) {
                message->controls++;
                p++;
                continue;
            }

            n = 1;

        } else {
            n = oa_json_utf8(p, last, &valid);
        }

        /* UTF-16 has two units for what UTF-8 has four bytes for */

        units = (n == 4) ? 2 : 1;

        if (left < units) {
            message->cut = 1;
            break;
        }

        left -= units;

        while (n--) {
            *dst++ = *p++;
        }
    }

    message->text.len = dst - message->text.data;

    for (i = 0; i < OA_MESSAGE_RULES; i++) {
        if (oa_message_has(&message->text, &oa_message_phrases[i])) {
            message->rules |= (ngx_uint_t) 1 << i;
        }
    }
}


static ngx_uint_t
oa_message_is_control(u_char c)
{
    return (c < 0x20 && c != '\t' && c != LF && c != CR) || c == 0x7f;
}


static ngx_uint_t
oa_message_has(const ngx_str_t *text, const ngx_str_t *phrase)
{
    const u_char  *p, *last;

    last = text->data + text->len;

    for (p = text->data; p < last; p++) {
        if (ngx_tolower(*p) == phrase->data[0]
            && oa_message_begins(p, last, phrase))
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
oa_message_begins(const u_char *p, const u_char *last,
    const ngx_str_t *phrase)
{
    size_t  i;

    for (i = 0; i < phrase->len; i++) {

        if (phrase->data[i] != ' ') {
            if (p == last || ngx_tolower(*p) != phrase->data[i]) {
                return 0;
            }

            p++;
            continue;
        }

        if (p == last || (*p != ' ' && *p != '\t' && *p != CR && *p != LF)) {
            return 0;
        }

        while (p < last && (*p == ' ' || *p == '\t' || *p == CR || *p == LF)) {
            p++;
        }
    }

    return 1;
}


ngx_int_t
oa_message_hash(const ngx_str_t *text, u_char *hash)
{
    u_char        digest[EVP_MAX_MD_SIZE];
    unsigned int  len;

    if (EVP_Digest(text->data, text->len, digest, &len, EVP_sha256(), NULL)
        != 1)
    {
        return NGX_ERROR;
    }

    (void) ngx_hex_dump(hash, digest, OA_MESSAGE_HASH / 2);

    return NGX_OK;
}
