
/*
 * What a login page hands over.
 */


#include "oa_handover.h"
#include "oa_args.h"
#include "oa_media_type.h"

#include <jansson.h>


static ngx_int_t oa_handover_form(const ngx_str_t *body, u_char *buf,
    oa_handover_t *handover);
static ngx_int_t oa_handover_json(const ngx_str_t *body, u_char *buf,
    oa_handover_t *handover);
static ngx_int_t oa_handover_member(json_t *json, const char *name,
    u_char **buf, ngx_str_t *value);


static const ngx_str_t  oa_handover_type_form =
    ngx_string("application/x-www-form-urlencoded");
static const ngx_str_t  oa_handover_type_json =
    ngx_string("application/json");
static const ngx_str_t  oa_handover_next = ngx_string("next");

static const char  oa_handover_attributes[] =
    "; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=";


ngx_int_t
oa_handover_parse(const ngx_str_t *type, const ngx_str_t *body, u_char *buf,
    oa_handover_t *handover)
{
    ngx_int_t  rc;

    ngx_memzero(handover, sizeof(oa_handover_t));

    if (oa_media_type_is(type, &oa_handover_type_form)) {
        handover->form = 1;
        rc = oa_handover_form(body, buf, handover);

    } else if (oa_media_type_is(type, &oa_handover_type_json)) {
        rc = oa_handover_json(body, buf, handover);

    } else {
        return NGX_DECLINED;
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    return handover->next.len == 0 || oa_handover_is_path(&handover->next)
           ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
oa_handover_form(const ngx_str_t *body, u_char *buf, oa_handover_t *handover)
{
    if (oa_args_find(body, &oa_args_token, buf, &handover->token)
        == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    return oa_args_find(body, &oa_handover_next, buf + body->len,
                        &handover->next)
           == NGX_ERROR ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
oa_handover_json(const ngx_str_t *body, u_char *buf, oa_handover_t *handover)
{
    json_t        *json;
    ngx_int_t      rc;
    json_error_t   err;

    json = json_loadb((char *) body->data, body->len, JSON_REJECT_DUPLICATES,
                      &err);

    rc = NGX_ERROR;

    if (json_is_object(json)
        && oa_handover_member(json, "access_token", &buf, &handover->token)
           == NGX_OK
        && oa_handover_member(json, "next", &buf, &handover->next) == NGX_OK)
    {
        rc = NGX_OK;
    }

    json_decref(json);

    return rc;
}


/* A string is never longer than it was as JSON. */

static ngx_int_t
oa_handover_member(json_t *json, const char *name, u_char **buf,
    ngx_str_t *value)
{
    json_t  *member;

    member = json_object_get(json, name);

    if (member == NULL) {
        return NGX_OK;
    }

    if (!json_is_string(member)) {
        return NGX_ERROR;
    }

    value->len = json_string_length(member);
    value->data = *buf;

    *buf = ngx_cpymem(*buf, json_string_value(member), value->len);

    return NGX_OK;
}


ngx_uint_t
oa_handover_is_path(const ngx_str_t *path)
{
    size_t  i;

    if (path->len == 0 || path->data[0] != '/'
        || (path->len > 1 && (path->data[1] == '/' || path->data[1] == '\\')))
    {
        return 0;
    }

    for (i = 0; i < path->len; i++) {
        if (path->data[i] <= 0x20 || path->data[i] >= 0x7f
            || path->data[i] == '\\')
        {
            return 0;
        }
    }

    return 1;
}


size_t
oa_handover_cookie_size(const ngx_str_t *name, const ngx_str_t *token)
{
    return name->len + 1 + token->len + sizeof(oa_handover_attributes)
           + NGX_TIME_T_LEN;
}


u_char *
oa_handover_cookie(u_char *p, const ngx_str_t *name, const ngx_str_t *token,
    time_t max_age)
{
    p = ngx_cpymem(p, name->data, name->len);
    *p++ = '=';

    if (token->len) {
        p = ngx_cpymem(p, token->data, token->len);
    }

    return ngx_sprintf(p, "%s%T", oa_handover_attributes, max_age);
}
