
#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <openssl/sha.h>
#include "oa_provision_int.h"


#define OA_PROVISION_ID_MAX  64


static ngx_int_t oa_provision_load_state(oa_provision_t *p,
    const ngx_str_t *text);
static ngx_int_t oa_provision_number(json_t *state, const char *name,
    json_int_t max, ngx_uint_t *n);
static ngx_int_t oa_provision_text(json_t *state, const char *name,
    oa_fly_id_t *id);
static u_char *oa_provision_put(u_char *p, const char *name,
    const oa_fly_id_t *id);


const ngx_str_t  oa_stages[OA_STAGES] = {
    ngx_string(""),
    ngx_string("claim"),
    ngx_string("app"),
    ngx_string("ip"),
    ngx_string("volume"),
    ngx_string("machine"),
    ngx_string("start"),
    ngx_string("personalize"),
    ngx_string("health"),
    ngx_string("ready")
};


ngx_int_t
oa_provision_load(oa_provision_t *p, const oa_provision_row_t *row,
    const char **why)
{
    u_char      digest[SHA256_DIGEST_LENGTH];
    ngx_uint_t  i;

    const struct {
        const ngx_str_t  *text;
        oa_fly_id_t      *id;
    } ids[] = {
        { &row->app, &p->app },
        { &row->volume, &p->volume },
        { &row->machine, &p->machine },
        { &row->region, &p->region }
    };

    if (row->id.len == 0 || row->id.len > OA_PROVISION_ID_MAX) {
        *why = "the job's id is not 1 to 64 bytes";
        return NGX_ERROR;
    }

    if (SHA256(row->id.data, row->id.len, digest) == NULL) {
        *why = "the job's id cannot be hashed";
        return NGX_ERROR;
    }

    (void) ngx_hex_dump(p->key, digest, OA_PROVISION_KEY / 2);

    for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        if (ids[i].text->len
            && oa_fly_id(ids[i].id, ids[i].text->data, ids[i].text->len)
               != NGX_OK)
        {
            *why = "an id is not 1 to 63 of [a-z0-9_-]";
            return NGX_ERROR;
        }
    }

    if (row->app.len == 0
        && (row->ip.len || row->volume.len || row->machine.len))
    {
        *why = "an address, volume or machine is of no app";
        return NGX_ERROR;
    }

    if (row->ip.len
        && oa_fly_address(&p->ip, row->ip.data, row->ip.len) != NGX_OK)
    {
        *why = "ip is not an address";
        return NGX_ERROR;
    }

    if (row->state.len
        && oa_provision_load_state(p, &row->state) != NGX_OK)
    {
        *why = "state is not what a walk has written";
        return NGX_ERROR;
    }

    for (i = OA_STAGES - 1; i > OA_STAGE_NONE; i--) {
        if (row->stage.len == oa_stages[i].len
            && ngx_memcmp(row->stage.data, oa_stages[i].data, row->stage.len)
               == 0)
        {
            break;
        }
    }

    p->stage = (oa_stage_e) i;
    p->attempt = row->attempt;

    return NGX_OK;
}


static ngx_int_t
oa_provision_load_state(oa_provision_t *p, const ngx_str_t *text)
{
    json_t                *root;
    ngx_int_t              rc;
    oa_provision_state_t  *state;

    state = &p->state;
    rc = NGX_ERROR;

    root = json_loadb((char *) text->data, text->len, JSON_REJECT_DUPLICATES,
                      NULL);

    if (json_is_object(root)
        && oa_provision_number(root, "serial", OA_PROVISION_SERIAL,
                               &state->serial) == NGX_OK
        && oa_provision_number(root, "at", OA_PROVISION_REGIONS, &state->at)
           == NGX_OK
        && oa_provision_number(root, "claimed", 1, &state->claimed) == NGX_OK
        && oa_provision_number(root, "fresh", 1, &state->fresh) == NGX_OK
        && oa_provision_number(root, "lost", 1, &state->lost) == NGX_OK
        && oa_provision_text(root, "source", &state->source) == NGX_OK
        && oa_provision_text(root, "old", &state->old) == NGX_OK)
    {
        rc = NGX_OK;
    }

    json_decref(root);

    return rc;
}


static ngx_int_t
oa_provision_number(json_t *state, const char *name, json_int_t max,
    ngx_uint_t *n)
{
    json_t      *value;
    json_int_t   i;

    value = json_object_get(state, name);
    if (value == NULL) {
        return NGX_OK;
    }

    i = json_integer_value(value);

    if (!json_is_integer(value) || i < 0 || i > max) {
        return NGX_ERROR;
    }

    *n = (ngx_uint_t) i;

    return NGX_OK;
}


static ngx_int_t
oa_provision_text(json_t *state, const char *name, oa_fly_id_t *id)
{
    json_t  *value;

    value = json_object_get(state, name);
    if (value == NULL) {
        return NGX_OK;
    }

    if (!json_is_string(value)) {
        return NGX_ERROR;
    }

    return oa_fly_id(id, (u_char *) json_string_value(value),
                     json_string_length(value));
}


/* Nothing in it has to be escaped. */

void
oa_provision_patch(oa_provision_t *p, ngx_str_t *patch)
{
    u_char                      *s;
    const char                  *sep;
    ngx_uint_t                   i;
    const oa_provision_state_t  *state;

    state = &p->state;

    const struct {
        const char   *name;
        ngx_uint_t    n;
    } numbers[] = {
        { "serial", state->serial },
        { "at", state->at },
        { "claimed", state->claimed },
        { "fresh", state->fresh },
        { "lost", state->lost }
    };

    s = ngx_sprintf(p->patch, "{\"stage\":\"%V\"", &oa_stages[p->stage]);
    s = oa_provision_put(s, "app", &p->app);
    s = oa_provision_put(s, "ip", &p->ip);
    s = oa_provision_put(s, "volume", &p->volume);
    s = oa_provision_put(s, "machine", &p->machine);
    s = oa_provision_put(s, "region", &p->region);
    s = ngx_sprintf(s, ",\"state\":{");

    sep = "";

    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (numbers[i].n) {
            s = ngx_sprintf(s, "%s\"%s\":%ui", sep, numbers[i].name,
                            numbers[i].n);
            sep = ",";
        }
    }

    if (state->source.len) {
        s = ngx_sprintf(s, "%s\"source\":\"%s\"", sep, state->source.data);
        sep = ",";
    }

    if (state->old.len) {
        s = ngx_sprintf(s, "%s\"old\":\"%s\"", sep, state->old.data);
    }

    s = ngx_cpymem(s, "}}", 2);

    patch->data = p->patch;
    patch->len = (size_t) (s - p->patch);
}


static u_char *
oa_provision_put(u_char *p, const char *name, const oa_fly_id_t *id)
{
    if (id->len == 0) {
        return ngx_sprintf(p, ",\"%s\":null", name);
    }

    return ngx_sprintf(p, ",\"%s\":\"%s\"", name, id->data);
}


ngx_int_t
oa_provision_rename(oa_provision_t *p)
{
    p->dirty = 1;

    if (p->state.serial < OA_PROVISION_SERIAL) {
        p->state.serial++;
        return NGX_OK;
    }

    oa_provision_error(p, "names_used_up", NULL);
    oa_provision_fail(p, 1);

    return NGX_ERROR;
}


void
oa_provision_name(const oa_provision_t *p, char sep, u_char *buf,
    ngx_str_t *name)
{
    u_char  *s;

    s = ngx_sprintf(buf, "oa%c%*s", sep, (size_t) OA_PROVISION_KEY, p->key);

    if (p->state.serial) {
        s = ngx_sprintf(s, "%c%ui", sep, p->state.serial);
    }

    name->data = buf;
    name->len = (size_t) (s - buf);
}


void
oa_provision_base(const oa_provision_t *p, u_char *buf, ngx_str_t *name)
{
    name->data = buf;
    name->len = (size_t) (ngx_sprintf(buf, "oa-%*s",
                                      (size_t) OA_PROVISION_KEY, p->key)
                          - buf);
}


/* Of text that was checked. */

void
oa_provision_set(oa_fly_id_t *id, const ngx_str_t *s)
{
    (void) oa_fly_id(id, s->data, s->len);
}


void
oa_provision_str(const oa_fly_id_t *id, ngx_str_t *s)
{
    s->len = id->len;
    s->data = (u_char *) id->data;
}
