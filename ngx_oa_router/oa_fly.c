
#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include "oa_fly.h"
#include "oa_label.h"


/* An unknown member may say anything; one of ours twice is not to be read. */
#define OA_FLY_FLAGS  JSON_REJECT_DUPLICATES


static ngx_int_t oa_fly_chars(oa_fly_id_t *id, const u_char *p, size_t len,
    ngx_uint_t address);
static json_t *oa_fly_load(const ngx_str_t *answer);
static ngx_int_t oa_fly_get(json_t *object, const char *name,
    oa_fly_id_t *id);
static ngx_int_t oa_fly_get_region(json_t *object, oa_fly_id_t *region);
static ngx_int_t oa_fly_get_ip(json_t *object, oa_fly_id_t *ip);
static ngx_int_t oa_fly_get_volume(json_t *object, oa_fly_volume_t *volume);
static ngx_int_t oa_fly_get_machine(json_t *object, oa_fly_machine_t *machine);
static ngx_uint_t oa_fly_is(const json_t *value, const ngx_str_t *text);
static ngx_uint_t oa_fly_begins(const json_t *value, const ngx_str_t *name);
static ngx_uint_t oa_fly_mounts(json_t *machine, const ngx_str_t *volume);


static const struct {
    const char          *name;
    oa_fly_state_e       state;
} oa_fly_states[] = {
    { "created", OA_FLY_STARTING },
    { "creating", OA_FLY_STARTING },
    { "starting", OA_FLY_STARTING },
    { "restarting", OA_FLY_STARTING },
    { "updating", OA_FLY_SETTLING },
    { "replacing", OA_FLY_SETTLING },
    { "stopping", OA_FLY_SETTLING },
    { "suspending", OA_FLY_SETTLING },
    { "started", OA_FLY_STARTED },
    { "stopped", OA_FLY_STOPPED },
    { "suspended", OA_FLY_STOPPED },
    { "failed", OA_FLY_DEAD },
    { "launch_failed", OA_FLY_DEAD },
    { "destroying", OA_FLY_DEAD },
    { "destroyed", OA_FLY_DESTROYED },
    { "replaced", OA_FLY_DESTROYED },
    { "migrated", OA_FLY_DESTROYED },
    { NULL, OA_FLY_SETTLING }
};


ngx_int_t
oa_fly_id(oa_fly_id_t *id, const u_char *p, size_t len)
{
    return oa_fly_chars(id, p, len, 0);
}


ngx_int_t
oa_fly_address(oa_fly_id_t *id, const u_char *p, size_t len)
{
    return oa_fly_chars(id, p, len, 1);
}


static ngx_int_t
oa_fly_chars(oa_fly_id_t *id, const u_char *p, size_t len, ngx_uint_t address)
{
    size_t  i;

    id->len = 0;
    id->data[0] = '\0';

    if (len == 0 || len > OA_FLY_ID_MAX) {
        return NGX_ERROR;
    }

    for (i = 0; i < len; i++) {
        if ((p[i] >= 'a' && p[i] <= (address ? 'f' : 'z'))
            || (p[i] >= '0' && p[i] <= '9')
            || (address ? p[i] == ':' || p[i] == '.'
                        : p[i] == '-' || p[i] == '_'))
        {
            continue;
        }

        return NGX_ERROR;
    }

    ngx_memcpy(id->data, p, len);
    id->data[len] = '\0';
    id->len = len;

    return NGX_OK;
}


ngx_uint_t
oa_fly_is_region(const oa_fly_id_t *id)
{
    size_t  i;

    for (i = 0; i < id->len; i++) {
        if (id->data[i] == '-' || id->data[i] == '_') {
            return 0;
        }
    }

    return id->len >= 2 && id->len <= 8;
}


ngx_int_t
oa_fly_app(const ngx_str_t *answer, oa_fly_id_t *org)
{
    json_t     *root, *slug;
    ngx_int_t   rc;

    org->len = 0;

    root = oa_fly_load(answer);
    rc = json_is_object(root) ? NGX_OK : NGX_ERROR;
    slug = json_object_get(json_object_get(root, "organization"), "slug");

    if (slug) {
        rc = oa_fly_get(json_object_get(root, "organization"), "slug", org);
    }

    json_decref(root);

    return rc;
}


ngx_int_t
oa_fly_ip(const ngx_str_t *answer, oa_fly_id_t *ip)
{
    json_t     *root;
    ngx_int_t   rc;

    root = oa_fly_load(answer);
    rc = oa_fly_get_ip(root, ip);

    json_decref(root);

    return rc;
}


ngx_int_t
oa_fly_find_ip(const ngx_str_t *answer, oa_fly_id_t *ip)
{
    size_t      i;
    json_t     *root, *list, *value;
    ngx_int_t   rc;

    static const u_char  private[] = { 'f', 'd', 'a', 'a', ':' };

    ip->len = 0;

    root = oa_fly_load(answer);
    list = json_is_object(root) ? json_object_get(root, "ips") : root;
    rc = json_is_array(list) ? NGX_DECLINED : NGX_ERROR;

    json_array_foreach(list, i, value) {
        if (oa_fly_get_ip(value, ip) == NGX_OK
            && ip->len > sizeof(private)
            && ngx_memcmp(ip->data, private, sizeof(private)) == 0)
        {
            rc = NGX_OK;
            break;
        }
    }

    if (rc != NGX_OK) {
        ip->len = 0;
    }

    json_decref(root);

    return rc;
}


ngx_int_t
oa_fly_volume(const ngx_str_t *answer, oa_fly_volume_t *volume)
{
    json_t     *root;
    ngx_int_t   rc;

    root = oa_fly_load(answer);
    rc = oa_fly_get_volume(root, volume);

    json_decref(root);

    return rc;
}


ngx_int_t
oa_fly_find_volume(const ngx_str_t *answer, const ngx_str_t *name,
    oa_fly_volume_t *volume)
{
    size_t       i;
    json_t      *root, *value;
    ngx_int_t    rc;
    const char  *state;

    root = oa_fly_load(answer);
    rc = json_is_array(root) ? NGX_DECLINED : NGX_ERROR;

    json_array_foreach(root, i, value) {

        if (!oa_fly_is(json_object_get(value, "name"), name)) {
            continue;
        }

        state = json_string_value(json_object_get(value, "state"));

        if (state && ngx_strstr(state, "destroy")) {
            continue;
        }

        if (oa_fly_get_volume(value, volume) == NGX_OK) {
            rc = NGX_OK;
            break;
        }

        /* it is there, but what it is cannot be told */

        rc = NGX_ERROR;
    }

    json_decref(root);

    return rc;
}


ngx_int_t
oa_fly_machine(const ngx_str_t *answer, oa_fly_machine_t *machine)
{
    json_t     *root;
    ngx_int_t   rc;

    root = oa_fly_load(answer);
    rc = oa_fly_get_machine(root, machine);

    json_decref(root);

    return rc;
}


ngx_int_t
oa_fly_find_machine(const ngx_str_t *answer, const ngx_str_t *name,
    const ngx_str_t *volume, oa_fly_machine_t *machine)
{
    size_t             i;
    json_t            *root, *value;
    ngx_int_t          rc;
    oa_fly_machine_t   m;

    root = oa_fly_load(answer);
    rc = json_is_array(root) ? NGX_DECLINED : NGX_ERROR;

    json_array_foreach(root, i, value) {

        if (!oa_fly_begins(json_object_get(value, "name"), name)
            && !(volume->len && oa_fly_mounts(value, volume)))
        {
            continue;
        }

        if (oa_fly_get_machine(value, &m) != NGX_OK) {
            rc = NGX_ERROR;
            break;
        }

        if (m.state == OA_FLY_DESTROYED
            || (rc == NGX_OK && m.state == OA_FLY_DEAD))
        {
            continue;
        }

        *machine = m;
        rc = NGX_OK;

        if (m.state != OA_FLY_DEAD) {
            break;
        }
    }

    json_decref(root);

    return rc;
}


ngx_int_t
oa_fly_exit_code(const ngx_str_t *answer, int64_t *code)
{
    json_t     *root, *value;
    ngx_int_t   rc;

    *code = 0;

    root = oa_fly_load(answer);
    value = json_object_get(root, "exit_code");
    rc = json_is_object(root) ? NGX_OK : NGX_ERROR;

    if (json_is_integer(value)) {
        *code = json_integer_value(value);

    } else if (value && !json_is_null(value)) {
        rc = NGX_ERROR;
    }

    json_decref(root);

    return rc;
}


static json_t *
oa_fly_load(const ngx_str_t *answer)
{
    if (answer->len == 0) {
        return NULL;
    }

    return json_loadb((char *) answer->data, answer->len, OA_FLY_FLAGS, NULL);
}


static ngx_int_t
oa_fly_get(json_t *object, const char *name, oa_fly_id_t *id)
{
    json_t  *value;

    value = json_object_get(object, name);

    if (!json_is_string(value)) {
        id->len = 0;
        return NGX_ERROR;
    }

    return oa_fly_id(id, (u_char *) json_string_value(value),
                     json_string_length(value));
}


static ngx_int_t
oa_fly_get_region(json_t *object, oa_fly_id_t *region)
{
    if (oa_fly_get(object, "region", region) != NGX_OK
        || !oa_fly_is_region(region))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
oa_fly_get_ip(json_t *object, oa_fly_id_t *ip)
{
    json_t  *value;

    value = json_object_get(object, "ip");

    if (!json_is_string(value)) {
        ip->len = 0;
        return NGX_ERROR;
    }

    return oa_fly_address(ip, (u_char *) json_string_value(value),
                          json_string_length(value));
}


static ngx_int_t
oa_fly_get_volume(json_t *object, oa_fly_volume_t *volume)
{
    if (oa_fly_get(object, "id", &volume->id) != NGX_OK) {
        return NGX_ERROR;
    }

    return oa_fly_get_region(object, &volume->region);
}


static ngx_int_t
oa_fly_get_machine(json_t *object, oa_fly_machine_t *machine)
{
    json_t      *state;
    ngx_uint_t   i;

    state = json_object_get(object, "state");

    if (!json_is_string(state)
        || oa_fly_get(object, "id", &machine->id) != NGX_OK
        || !oa_is_label(machine->id.data, machine->id.len)
        || oa_fly_get_region(object, &machine->region) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; oa_fly_states[i].name; i++) {
        if (ngx_strcmp(oa_fly_states[i].name, json_string_value(state)) == 0) {
            break;
        }
    }

    machine->state = oa_fly_states[i].state;

    return NGX_OK;
}


static ngx_uint_t
oa_fly_is(const json_t *value, const ngx_str_t *text)
{
    return json_is_string(value) && json_string_length(value) == text->len
           && ngx_memcmp(json_string_value(value), text->data, text->len)
              == 0;
}


static ngx_uint_t
oa_fly_begins(const json_t *value, const ngx_str_t *name)
{
    const char  *s;

    s = json_string_value(value);

    return s && ngx_strncmp(s, name->data, name->len) == 0
           && (s[name->len] == '\0' || s[name->len] == '-');
}


static ngx_uint_t
oa_fly_mounts(json_t *machine, const ngx_str_t *volume)
{
    size_t   i;
    json_t  *mounts, *mount;

    mounts = json_object_get(json_object_get(machine, "config"), "mounts");

    json_array_foreach(mounts, i, mount) {
        if (oa_fly_is(json_object_get(mount, "volume"), volume)) {
            return 1;
        }
    }

    return 0;
}
