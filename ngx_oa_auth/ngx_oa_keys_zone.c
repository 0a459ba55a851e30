
/*
 * Keys: what lies in the zone.
 */


#include "ngx_oa_keys.h"
#include "oa_json.h"


/* Those of the old workers of a reload stay until the next ones. */
#define NGX_OA_KEYS_SLOTS    (2 * NGX_OA_ISSUERS)

/* Of each bank, before other parts take what is left of the zone. */
#define NGX_OA_KEYS_RESERVE  2

/* Of a kid in the log. */
#define NGX_OA_KEYS_KID_LOG  64


typedef struct {
    uint64_t                     owners;       /* so many there have been */
    ngx_oa_keys_slot_t           slots[NGX_OA_KEYS_SLOTS];
} ngx_oa_keys_part_t;

typedef struct {
    ngx_oa_keys_t               *keys;
    ngx_oa_keys_source_e         source;
    ngx_log_t                   *log;
} ngx_oa_keys_teller_t;


static size_t ngx_oa_keys_part_size(ngx_uint_t npages);
static ngx_int_t ngx_oa_keys_part_init(ngx_oa_zone_t *zone, void *addr,
    ngx_uint_t fresh, void *data, ngx_log_t *log);
static ngx_oa_keys_slot_t *ngx_oa_keys_slot(ngx_oa_keys_part_t *part,
    ngx_array_t *all, ngx_oa_keys_t *keys);
static ngx_uint_t ngx_oa_keys_is_wanted(ngx_array_t *all,
    ngx_oa_keys_slot_t *slot);
static void ngx_oa_keys_take(ngx_oa_keys_part_t *part,
    ngx_oa_keys_slot_t *slot, ngx_oa_keys_t *keys);
static void ngx_oa_keys_first(ngx_oa_keys_t *keys, ngx_log_t *log);
static void ngx_oa_keys_text(ngx_oa_keys_slot_t *slot, ngx_uint_t source,
    oa_text_t *text);
static ngx_int_t ngx_oa_keys_pages(ngx_oa_keys_t *keys, oa_text_bank_t *bank,
    ngx_uint_t n);
static void ngx_oa_keys_mark_skipped(void *data, const ngx_str_t *kid,
    const char *why);
static void ngx_oa_keys_tell_skipped(void *data, const ngx_str_t *kid,
    const char *why);
static const char *ngx_oa_keys_name(ngx_oa_keys_t *keys,
    ngx_oa_keys_source_e source);


ngx_int_t
ngx_oa_keys_zone_add(ngx_conf_t *cf, ngx_oa_keys_t *keys)
{
    ngx_str_t            name = ngx_string("keys");
    ngx_array_t         *all;
    ngx_oa_keys_t      **p;
    ngx_oa_zone_part_t  *part;

    part = ngx_oa_zone_part(cf, &name);

    if (part == NULL) {
        part = ngx_pcalloc(cf->pool, sizeof(ngx_oa_zone_part_t));
        if (part == NULL) {
            return NGX_ERROR;
        }

        part->name = name;
        part->size = ngx_oa_keys_part_size;
        part->init = ngx_oa_keys_part_init;

        part->data = ngx_array_create(cf->pool, NGX_OA_ISSUERS,
                                      sizeof(ngx_oa_keys_t *));
        if (part->data == NULL || ngx_oa_zone_add(cf, part) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    all = part->data;

    p = ngx_array_push(all);
    if (p == NULL) {
        return NGX_ERROR;
    }

    *p = keys;

    return NGX_OK;
}


static size_t
ngx_oa_keys_part_size(ngx_uint_t npages)
{
    return sizeof(ngx_oa_keys_part_t);
}


static ngx_int_t
ngx_oa_keys_part_init(ngx_oa_zone_t *zone, void *addr, ngx_uint_t fresh,
    void *data, ngx_log_t *log)
{
    ngx_oa_keys_part_t *part = addr;
    ngx_array_t        *all = data;

    ngx_uint_t           i, source, bank;
    ngx_oa_keys_t      **keys;
    ngx_oa_keys_slot_t  *slot;

    keys = all->elts;

    for (i = 0; i < all->nelts; i++) {
        slot = ngx_oa_keys_slot(part, all, keys[i]);

        if (ngx_memcmp(slot->digest, keys[i]->digest, NGX_OA_KEYS_DIGEST) != 0)
        {
            ngx_oa_keys_take(part, slot, keys[i]);
        }

        keys[i]->slot = slot;
        keys[i]->owner = slot->owner;

        for (source = 0; source < NGX_OA_KEYS_SOURCES; source++) {

            if (source == NGX_OA_KEYS_FILE ? keys[i]->first.len == 0
                                           : keys[i]->issuer->jwks_uri == NULL)
            {
                continue;
            }

            for (bank = 0; bank < 2; bank++) {
                (void) ngx_oa_keys_pages(keys[i], &slot->banks[source][bank],
                                         NGX_OA_KEYS_RESERVE);
            }
        }

        keys[i]->since = ngx_current_msec;

        if (keys[i]->first.len) {
            ngx_oa_keys_first(keys[i], log);
        }
    }

    return NGX_OK;
}


/* Its own, a free one, or the one that has been of no use for the longest. */

static ngx_oa_keys_slot_t *
ngx_oa_keys_slot(ngx_oa_keys_part_t *part, ngx_array_t *all,
    ngx_oa_keys_t *keys)
{
    ngx_uint_t           i;
    ngx_oa_keys_slot_t  *slot, *best;

    best = NULL;

    for (i = 0; i < NGX_OA_KEYS_SLOTS; i++) {
        slot = &part->slots[i];

        if (slot->owner == 0) {

            if (best == NULL || best->owner) {
                best = slot;
            }

            continue;
        }

        if (ngx_memcmp(slot->digest, keys->digest, NGX_OA_KEYS_DIGEST) == 0) {
            return slot;
        }

        if (!ngx_oa_keys_is_wanted(all, slot)
            && (best == NULL || slot->owner < best->owner))
        {
            best = slot;
        }
    }

    return best;
}


static ngx_uint_t
ngx_oa_keys_is_wanted(ngx_array_t *all, ngx_oa_keys_slot_t *slot)
{
    ngx_uint_t       i;
    ngx_oa_keys_t  **keys;

    keys = all->elts;

    for (i = 0; i < all->nelts; i++) {
        if (ngx_memcmp(slot->digest, keys[i]->digest, NGX_OA_KEYS_DIGEST) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* Whoever had the slot finds that it has changed, and then by whom. */

static void
ngx_oa_keys_take(ngx_oa_keys_part_t *part, ngx_oa_keys_slot_t *slot,
    ngx_oa_keys_t *keys)
{
    oa_text_t            text;
    ngx_uint_t           source;
    ngx_oa_keys_mark_t   mark;

    ngx_memzero(&mark, sizeof(ngx_oa_keys_mark_t));

    ngx_oa_keys_store(&slot->owner, ++part->owners);

    for (source = 0; source < NGX_OA_KEYS_SOURCES; source++) {
        ngx_oa_keys_text(slot, source, &text);
        oa_text_put(&text, NULL, 0, (u_char *) &mark);
    }

    slot->good = 0;
    slot->ended = 0;
    slot->begun = 0;
    slot->started = 0;
    slot->asked = 0;
    slot->failures = 0;
    slot->due = ngx_current_msec;

    ngx_memcpy(slot->digest, keys->digest, NGX_OA_KEYS_DIGEST);
}


/* What the master read of the file, so that it is served from the first. */

static void
ngx_oa_keys_first(ngx_oa_keys_t *keys, ngx_log_t *log)
{
    const char          *why;
    ngx_oa_keys_mark_t   mark;

    if (ngx_oa_keys_judge(&keys->first, &mark, &why) == NGX_OK
        && ngx_oa_keys_publish(keys, NGX_OA_KEYS_FILE, &keys->first, &mark)
           == NGX_OK)
    {
        ngx_oa_keys_tell(keys, NGX_OA_KEYS_FILE, &keys->first, &mark, log);
    }
}


static void
ngx_oa_keys_text(ngx_oa_keys_slot_t *slot, ngx_uint_t source, oa_text_t *text)
{
    text->seq = &slot->seq[source];
    text->banks = slot->banks[source];
}


ngx_int_t
ngx_oa_keys_copy(ngx_oa_keys_t *keys, ngx_oa_keys_source_e source,
    u_char *buf, size_t *len)
{
    ngx_int_t  rc;
    oa_text_t  text;

    ngx_oa_keys_text(keys->slot, source, &text);

    rc = oa_text_get(&text, buf, len);

    if (rc == NGX_OK && ngx_oa_keys_load(&keys->slot->owner) != keys->owner) {
        return NGX_DECLINED;
    }

    return rc;
}


ngx_int_t
ngx_oa_keys_publish(ngx_oa_keys_t *keys, ngx_oa_keys_source_e source,
    const ngx_str_t *set, const ngx_oa_keys_mark_t *mark)
{
    oa_text_t    text;
    ngx_uint_t   n;

    ngx_oa_keys_text(keys->slot, source, &text);

    if (keys->slot->owner != keys->owner
        || oa_text_is(&text, (u_char *) mark))
    {
        return NGX_DECLINED;
    }

    n = (set->len + OA_TEXT_PAGE - 1) / OA_TEXT_PAGE;

    if (ngx_oa_keys_pages(keys, oa_text_next(&text), n) != NGX_OK) {
        return NGX_ERROR;
    }

    oa_text_put(&text, set->data, set->len, (u_char *) mark);

    return NGX_OK;
}


static ngx_int_t
ngx_oa_keys_pages(ngx_oa_keys_t *keys, oa_text_bank_t *bank, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {

        if (bank->pages[i] == NULL) {
            bank->pages[i] = ngx_oa_zone_page(keys->zone);
        }

        if (bank->pages[i] == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_oa_keys_judge(const ngx_str_t *text, ngx_oa_keys_mark_t *mark,
    const char **why)
{
    uint64_t      sum[2];
    oa_jwks_t    *set;
    ngx_uint_t    i;

    ngx_memzero(mark, sizeof(ngx_oa_keys_mark_t));

    if (oa_jwks_parse(text->data, text->len, &set, ngx_oa_keys_mark_skipped,
                      mark, why)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < set->nkeys; i++) {
        ngx_memcpy(sum, oa_jwk_print(set->keys[i]), OA_JWK_PRINT);

        mark->keys[0] += sum[0];
        mark->keys[1] += sum[1];
    }

    mark->nkeys = set->nkeys;

    oa_jwks_free(set);

    return NGX_OK;
}


static void
ngx_oa_keys_mark_skipped(void *data, const ngx_str_t *kid, const char *why)
{
    ngx_oa_keys_mark_t *mark = data;

    mark->skipped += ((uint64_t) ngx_murmur_hash2(kid->data, kid->len) << 32)
                     + ngx_murmur_hash2((u_char *) why, ngx_strlen(why));
    mark->nskipped++;
}


void
ngx_oa_keys_tell(ngx_oa_keys_t *keys, ngx_oa_keys_source_e source,
    const ngx_str_t *text, const ngx_oa_keys_mark_t *mark, ngx_log_t *log)
{
    oa_jwks_t            *set;
    ngx_uint_t            level;
    const char           *why;
    ngx_oa_keys_teller_t  teller;

    ngx_oa_count(NGX_OA_COUNT_KEYS_CHANGES);

    level = mark->nkeys ? NGX_LOG_NOTICE : NGX_LOG_WARN;

    ngx_log_error(level, log, 0, "oa_issuer \"%V\": %uD keys read from \"%s\"",
                  &keys->issuer->name, mark->nkeys,
                  ngx_oa_keys_name(keys, source));

    if (mark->nskipped == 0) {
        return;
    }

    teller.keys = keys;
    teller.source = source;
    teller.log = log;

    if (oa_jwks_parse(text->data, text->len, &set, ngx_oa_keys_tell_skipped,
                      &teller, &why)
        == NGX_OK)
    {
        oa_jwks_free(set);
    }
}


static void
ngx_oa_keys_tell_skipped(void *data, const ngx_str_t *kid, const char *why)
{
    ngx_oa_keys_teller_t *teller = data;

    u_char     buf[NGX_OA_KEYS_KID_LOG * 6];
    ngx_str_t  text;

    ngx_oa_count(NGX_OA_COUNT_KEYS_SKIPPED);

    text.len = ngx_min(kid->len, NGX_OA_KEYS_KID_LOG);
    text.data = kid->data;

    text.len = oa_json_escape(buf, &text) - buf;
    text.data = buf;

    ngx_log_error(NGX_LOG_WARN, teller->log, 0,
                  "oa_issuer \"%V\": the key \"%V\" of \"%s\" is passed over: "
                  "%s", &teller->keys->issuer->name, &text,
                  ngx_oa_keys_name(teller->keys, teller->source), why);
}


static const char *
ngx_oa_keys_name(ngx_oa_keys_t *keys, ngx_oa_keys_source_e source)
{
    return source == NGX_OA_KEYS_FILE
           ? (const char *) keys->issuer->jwks_file.data
           : keys->issuer->jwks_uri;
}
