
#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include "oa_handler.h"
#include "oa_json.h"
#include "oa_label.h"


#define OA_HANDLER_PAYLOAD  "{\"payload\":"
#define OA_HANDLER_ATTEMPT  ",\"attempt\":"
#define OA_HANDLER_OPTIONS  ",\"options\":{\"idempotencyKey\":\""
#define OA_HANDLER_QUEUE    "\",\"concurrencyKey\":\""
#define OA_HANDLER_RUN      "run_"

#define LEN(s)              (sizeof(s) - 1)


static const ngx_str_t *oa_handler_member(const oa_handler_job_t *job,
    ngx_uint_t i);
static size_t oa_handler_header(u_char *buf, const char *name,
    const ngx_str_t *value);
static ngx_int_t oa_handler_machine(oa_handler_answer_t *a, json_t *root);
static ngx_int_t oa_handler_label(json_t *value, oa_fly_id_t *id);


const ngx_str_t  oa_handler_formats[OA_HANDLERS] = {
    ngx_string("plain"),
    ngx_string("trigger.dev")
};


/* What is in front of each value, and behind the one before it. */

static const struct {
    ngx_str_t            text;
    size_t               offset;
} oa_handler_members[] = {
    { ngx_string("{\"route_id\":\""), offsetof(oa_handler_job_t, route_id) },
    { ngx_string("\",\"user_id\":\""), offsetof(oa_handler_job_t, user_id) },
    { ngx_string("\",\"agent_id\":\""), offsetof(oa_handler_job_t, agent_id) },
    { ngx_string("\",\"subdomain\":\""),
      offsetof(oa_handler_job_t, subdomain) },
    { ngx_string("\",\"region\":\""), offsetof(oa_handler_job_t, region) },
    { ngx_string("\",\"reason\":\""), offsetof(oa_handler_job_t, reason) },
    { ngx_null_string, 0 }
};


static const ngx_str_t *
oa_handler_member(const oa_handler_job_t *job, ngx_uint_t i)
{
    return (const ngx_str_t *)
               ((const u_char *) job + oa_handler_members[i].offset);
}


size_t
oa_handler_body_size(oa_handler_format_e format, const oa_handler_job_t *job)
{
    u_char      number[NGX_INT_T_LEN];
    size_t      size;
    ngx_uint_t  i;

    size = 0;

    for (i = 0; oa_handler_members[i].text.len; i++) {
        size += oa_handler_members[i].text.len
                + oa_json_escape_size(oa_handler_member(job, i));
    }

    size += LEN("\"" OA_HANDLER_ATTEMPT "}")
            + (size_t) (ngx_sprintf(number, "%ui", job->attempt) - number);

    if (format == OA_HANDLER_TRIGGER) {
        size += LEN(OA_HANDLER_PAYLOAD OA_HANDLER_OPTIONS OA_HANDLER_QUEUE
                    "\"}}")
                + oa_json_escape_size(&job->key)
                + oa_json_escape_size(&job->route_id);
    }

    return size;
}


u_char *
oa_handler_body(u_char *p, oa_handler_format_e format,
    const oa_handler_job_t *job)
{
    ngx_uint_t  i;

    if (format == OA_HANDLER_TRIGGER) {
        p = ngx_cpymem(p, OA_HANDLER_PAYLOAD, LEN(OA_HANDLER_PAYLOAD));
    }

    for (i = 0; oa_handler_members[i].text.len; i++) {
        p = ngx_cpymem(p, oa_handler_members[i].text.data,
                       oa_handler_members[i].text.len);
        p = oa_json_escape(p, oa_handler_member(job, i));
    }

    p = ngx_sprintf(p, "\"" OA_HANDLER_ATTEMPT "%ui}", job->attempt);

    if (format == OA_HANDLER_TRIGGER) {
        p = ngx_cpymem(p, OA_HANDLER_OPTIONS, LEN(OA_HANDLER_OPTIONS));
        p = oa_json_escape(p, &job->key);
        p = ngx_cpymem(p, OA_HANDLER_QUEUE, LEN(OA_HANDLER_QUEUE));
        p = oa_json_escape(p, &job->route_id);
        p = ngx_cpymem(p, "\"}}", 3);
    }

    return p;
}


size_t
oa_handler_headers_size(const ngx_str_t *token, const ngx_str_t *key,
    const ngx_str_t *request_id)
{
    return sizeof("Authorization: Bearer ") + token->len
           + sizeof("Idempotency-Key: ") + key->len
           + sizeof("X-Request-Id: ") + request_id->len;
}


ngx_int_t
oa_handler_headers(u_char *buf, const ngx_str_t *token, const ngx_str_t *key,
    const ngx_str_t *request_id, const char *headers[OA_HANDLER_HEADERS])
{
    size_t      i, len;
    ngx_uint_t  k, n;

    const struct {
        const char       *name;
        const ngx_str_t  *value;
    } ours[] = {
        { "Authorization: Bearer ", token },
        { "Idempotency-Key: ", key },
        { "X-Request-Id: ", request_id }
    };

    n = 0;
    headers[n++] = "Content-Type: application/json";

    for (k = 0; k < sizeof(ours) / sizeof(ours[0]); k++) {

        if (ours[k].value->len == 0) {
            continue;
        }

        len = oa_handler_header(buf, ours[k].name, ours[k].value);

        for (i = 0; i < len; i++) {
            if (buf[i] < 0x20 || buf[i] == 0x7f) {
                return NGX_ERROR;
            }
        }

        headers[n++] = (char *) buf;
        buf += len + 1;
    }

    headers[n] = NULL;

    return NGX_OK;
}


static size_t
oa_handler_header(u_char *buf, const char *name, const ngx_str_t *value)
{
    u_char  *p;

    p = ngx_cpymem(buf, name, ngx_strlen(name));
    p = ngx_cpymem(p, value->data, value->len);
    *p = '\0';

    return (size_t) (p - buf);
}


void
oa_handler_answer(oa_handler_answer_t *a, oa_handler_format_e format,
    ngx_uint_t status, const ngx_str_t *answer)
{
    json_t       *root;
    const char   *id;

    ngx_memzero(a, sizeof(oa_handler_answer_t));

    a->code = "";

    if (status == 202) {
        a->verdict = OA_HANDLER_ACCEPTED;
        return;
    }

    if (status == 200) {

        root = answer->len ? json_loadb((char *) answer->data, answer->len,
                                        JSON_REJECT_DUPLICATES, NULL)
                           : NULL;

        a->verdict = OA_HANDLER_RETRY;
        a->code = "bad_answer";

        if (format == OA_HANDLER_PLAIN) {
            if (oa_handler_machine(a, root) == NGX_OK) {
                a->verdict = OA_HANDLER_READY;
                a->code = "";
            }

        } else {
            id = json_string_value(json_object_get(root, "id"));

            if (id && ngx_strncmp(id, OA_HANDLER_RUN, LEN(OA_HANDLER_RUN))
                      == 0)
            {
                a->verdict = OA_HANDLER_ACCEPTED;
                a->code = "";
            }
        }

        json_decref(root);
        return;
    }

    if (status) {
        oa_reason(&a->text, answer);
    }

    a->verdict = OA_HANDLER_RETRY;

    if (status == 429) {
        a->code = "rate_limited";

    } else if (status >= 400 && status < 500) {
        a->verdict = OA_HANDLER_REFUSED;
        a->code = "refused";

    } else if (status >= 500) {
        a->code = "handler_down";

    } else {
        a->code = status ? "bad_answer" : "no_answer";
    }
}


static ngx_int_t
oa_handler_machine(oa_handler_answer_t *a, json_t *root)
{
    json_t  *region;

    if (oa_handler_label(json_object_get(root, "app"), &a->app) != NGX_OK
        || oa_handler_label(json_object_get(root, "machine"), &a->machine)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    region = json_object_get(root, "region");

    if (region == NULL || json_is_null(region)) {
        return NGX_OK;
    }

    if (oa_handler_label(region, &a->region) != NGX_OK
        || !oa_fly_is_region(&a->region))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
oa_handler_label(json_t *value, oa_fly_id_t *id)
{
    size_t         len;
    const u_char  *s;

    s = (const u_char *) json_string_value(value);
    len = json_string_length(value);

    if (s == NULL || !oa_is_label(s, len)) {
        return NGX_ERROR;
    }

    return oa_fly_id(id, s, len);
}
