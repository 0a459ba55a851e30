
#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <openssl/sha.h>
#include "oa_template_int.h"


#define OA_TEMPLATE_TIMEOUT      10    /* seconds, of a command */
#define OA_TEMPLATE_TIMEOUT_MAX  60
#define OA_TEMPLATE_PATH_MAX     128


static ngx_int_t oa_template_read(oa_template_t *t, json_t *root,
    ngx_pool_t *pool, const char **why);
static ngx_int_t oa_template_machine(oa_template_t *t, json_t *root,
    ngx_pool_t *pool, const char **why);
static ngx_int_t oa_template_volume(oa_template_t *t, json_t *volume,
    ngx_pool_t *pool, const char **why);
static ngx_int_t oa_template_health(oa_template_t *t, json_t *health,
    ngx_pool_t *pool, const char **why);
static ngx_int_t oa_template_command(oa_template_t *t, oa_template_text_e text,
    json_t *value, ngx_pool_t *pool, const char **why);
static ngx_uint_t oa_template_is_path(const json_t *value);
static ngx_int_t oa_template_check(json_t *root, const char **why);


ngx_int_t
oa_template_parse(oa_template_t *t, const ngx_str_t *json, ngx_pool_t *pool,
    const char **why)
{
    u_char         digest[SHA256_DIGEST_LENGTH];
    json_t        *root;
    ngx_int_t      rc;
    json_error_t   error;

    ngx_memzero(t, sizeof(oa_template_t));

    if (json->len > OA_TEMPLATE_MAX) {
        *why = "has over 64 KiB";
        return NGX_ERROR;
    }

    root = json_loadb((char *) json->data, json->len, JSON_REJECT_DUPLICATES,
                      &error);
    if (root == NULL) {

        /* jansson's own texts quote what is there */

        *why = (char *) ngx_pnalloc(pool, NGX_INT_T_LEN
                                         + sizeof("is not JSON in line "));
        if (*why == NULL) {
            *why = OA_TEMPLATE_MEMORY;
            return NGX_ERROR;
        }

        *ngx_sprintf((u_char *) *why, "is not JSON in line %d", error.line)
            = '\0';

        return NGX_ERROR;
    }

    rc = oa_template_read(t, root, pool, why);

    json_decref(root);

    if (SHA256(json->data, json->len, digest) == NULL) {
        *why = "cannot be hashed";
        return NGX_ERROR;
    }

    (void) ngx_hex_dump(t->digest, digest, OA_TEMPLATE_DIGEST / 2);

    return rc;
}


static ngx_int_t
oa_template_read(oa_template_t *t, json_t *root, ngx_pool_t *pool,
    const char **why)
{
    json_t      *value;
    const char  *key;

    if (!json_is_object(root)) {
        *why = "is not an object";
        return NGX_ERROR;
    }

    json_object_foreach(root, key, value) {
        if (ngx_strcmp(key, "config") != 0 && ngx_strcmp(key, "volume") != 0
            && ngx_strcmp(key, "personalize") != 0
            && ngx_strcmp(key, "health") != 0)
        {
            *why = "has a member that is none of config, volume, personalize, "
                   "health";
            return NGX_ERROR;
        }
    }

    if (oa_template_check(root, why) != NGX_OK
        || oa_template_machine(t, root, pool, why) != NGX_OK)
    {
        return NGX_ERROR;
    }

    value = json_object_get(root, "volume");

    if (value && oa_template_volume(t, value, pool, why) != NGX_OK) {
        return NGX_ERROR;
    }

    value = json_object_get(root, "personalize");

    if (value
        && oa_template_command(t, OA_TEMPLATE_PERSONALIZE, value, pool, why)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    value = json_object_get(root, "health");

    if (value && oa_template_health(t, value, pool, why) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* {"name", "region", "config"}, with the volume mounted */

static ngx_int_t
oa_template_machine(oa_template_t *t, json_t *root, ngx_pool_t *pool,
    const char **why)
{
    json_t     *config, *volume, *path, *mounts, *body;
    ngx_int_t   rc;

    config = json_object_get(root, "config");

    if (!json_is_object(config)) {
        *why = "has no \"config\" that is an object";
        return NGX_ERROR;
    }

    if (!json_is_string(json_object_get(config, "image"))) {
        *why = "has no \"image\" in \"config\" that is a string";
        return NGX_ERROR;
    }

    volume = json_object_get(root, "volume");

    if (volume) {
        path = json_object_get(volume, "path");

        if (!oa_template_is_path(path)) {
            *why = "has a \"volume\" without a \"path\" that begins with "
                   "\"/\"";
            return NGX_ERROR;
        }

        if (json_object_get(config, "mounts")) {
            *why = "has both \"volume\" and \"mounts\"";
            return NGX_ERROR;
        }

        mounts = json_pack("[{s:s,s:O}]", "volume", "{{#volume}}", "path",
                           path);

        if (json_object_set_new(config, "mounts", mounts) != 0) {
            *why = OA_TEMPLATE_MEMORY;
            return NGX_ERROR;
        }
    }

    body = json_pack("{s:s,s:s,s:O}", "name", "{{#name}}", "region",
                     "{{region}}", "config", config);

    rc = oa_template_cut(t, OA_TEMPLATE_MACHINE, body, pool, why);

    json_decref(body);

    return rc;
}


static ngx_int_t
oa_template_volume(oa_template_t *t, json_t *volume, ngx_pool_t *pool,
    const char **why)
{
    size_t       i;
    json_t      *size;
    ngx_int_t    rc;

    static const char * const  ours[] = { "name", "region",
                                          "source_volume_id", NULL };

    size = json_object_get(volume, "size_gb");

    if (!json_is_integer(size) || json_integer_value(size) < 1) {
        *why = "has a \"volume\" without a \"size_gb\" of 1 or more";
        return NGX_ERROR;
    }

    for (i = 0; ours[i]; i++) {
        if (json_object_get(volume, ours[i])) {
            *why = "has a \"volume\" with a name, region or source: they are "
                   "not the template's to say";
            return NGX_ERROR;
        }
    }

    if (json_object_del(volume, "path") != 0
        || json_object_set_new(volume, "name",
                               json_string("{{#volume_name}}")) != 0
        || json_object_set_new(volume, "region",
                               json_string("{{region}}")) != 0)
    {
        *why = OA_TEMPLATE_MEMORY;
        return NGX_ERROR;
    }

    rc = oa_template_cut(t, OA_TEMPLATE_VOLUME, volume, pool, why);

    if (rc != NGX_OK) {
        return rc;
    }

    if (json_object_set_new(volume, "source_volume_id",
                            json_string("{{#source}}")) != 0)
    {
        *why = OA_TEMPLATE_MEMORY;
        return NGX_ERROR;
    }

    return oa_template_cut(t, OA_TEMPLATE_FORK, volume, pool, why);
}


static ngx_int_t
oa_template_health(oa_template_t *t, json_t *health, ngx_pool_t *pool,
    const char **why)
{
    json_t        *port, *path;
    json_int_t     n;
    const char    *s;

    port = json_object_get(health, "port");

    if (port == NULL) {
        return oa_template_command(t, OA_TEMPLATE_HEALTH, health, pool, why);
    }

    path = json_object_get(health, "path");
    n = json_integer_value(port);

    if (!json_is_integer(port) || n < 1 || n > 65535
        || !oa_template_is_path(path) || json_object_size(health) != 2)
    {
        *why = "has a \"health\" that is neither a command nor \"port\" and "
               "\"path\"";
        return NGX_ERROR;
    }

    for (s = json_string_value(path); *s; s++) {
        if (*s <= 0x20 || *s == 0x7f || *s == '#' || *s == '{') {
            *why = "has a \"path\" in \"health\" that is no path of an URL";
            return NGX_ERROR;
        }
    }

    t->health_port = (ngx_uint_t) n;
    t->health_path.len = json_string_length(path);
    t->health_path.data = ngx_pnalloc(pool, t->health_path.len);

    if (t->health_path.data == NULL) {
        *why = OA_TEMPLATE_MEMORY;
        return NGX_ERROR;
    }

    ngx_memcpy(t->health_path.data, json_string_value(path),
               t->health_path.len);

    return NGX_OK;
}


static ngx_uint_t
oa_template_is_path(const json_t *value)
{
    return json_is_string(value) && json_string_value(value)[0] == '/'
           && json_string_length(value) <= OA_TEMPLATE_PATH_MAX;
}


/* The body of POST .../exec: the words alone, or the object as it is. */

static ngx_int_t
oa_template_command(oa_template_t *t, oa_template_text_e text, json_t *value,
    ngx_pool_t *pool, const char **why)
{
    size_t        i;
    json_t       *body, *words, *word, *timeout;
    ngx_int_t     rc;
    json_int_t    n;

    *why = "has a command that is neither an array of strings nor an object "
           "with such a \"command\"";

    words = json_is_object(value) ? json_object_get(value, "command") : value;

    if (json_array_size(words) == 0) {
        return NGX_ERROR;
    }

    json_array_foreach(words, i, word) {
        if (!json_is_string(word)) {
            return NGX_ERROR;
        }
    }

    body = json_is_object(value) ? json_incref(value)
                                 : json_pack("{s:O}", "command", words);
    rc = NGX_ERROR;
    timeout = json_object_get(body, "timeout");

    if (body && timeout == NULL) {
        timeout = json_integer(OA_TEMPLATE_TIMEOUT);

        if (json_object_set_new(body, "timeout", timeout) != 0) {
            *why = OA_TEMPLATE_MEMORY;
            goto done;
        }
    }

    n = json_integer_value(timeout);

    if (n < 1 || n > OA_TEMPLATE_TIMEOUT_MAX) {
        *why = "has a command with a \"timeout\" that is not 1 to 60 seconds";
        goto done;
    }

    t->timeouts[text] = (ngx_msec_t) n * 1000;

    rc = oa_template_cut(t, text, body, pool, why);

done:

    json_decref(body);

    return rc;
}


/* No places but those above, before those are put in that are ours alone. */

static ngx_int_t
oa_template_check(json_t *root, const char **why)
{
    char          *text;
    ngx_int_t      rc;
    oa_value_e     value;
    const u_char  *p, *last;

    text = json_dumps(root, JSON_COMPACT);
    if (text == NULL) {
        *why = OA_TEMPLATE_MEMORY;
        return NGX_ERROR;
    }

    rc = NGX_OK;
    p = (u_char *) text;
    last = p + ngx_strlen(text);

    while (oa_template_place(p, last, OA_VALUE_NAME, &p, &value)) {

        if (value == OA_VALUES) {
            *why = "has a {{...}} that is none of {{route_id}}, {{user_id}}, "
                   "{{agent_id}}, {{subdomain}}, {{region}}, "
                   "{{machine_token}}";
            rc = NGX_ERROR;
            break;
        }
    }

    free(text);

    return rc;
}
