
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_dialect_int.h"
#include "oa_json.h"


static void oa_openclaw_usage(const ngx_str_t *value, int64_t *count);


/* What a frame may have that matters. */
enum {
    OA_OPENCLAW_ROOT = 0,
    OA_OPENCLAW_CHOICES,
    OA_OPENCLAW_CHOICE,
    OA_OPENCLAW_DELTA,
    OA_OPENCLAW_CONTENT,
    OA_OPENCLAW_FINISH,
    OA_OPENCLAW_USAGE,
    OA_OPENCLAW_PROMPT,
    OA_OPENCLAW_COMPLETION,
    OA_OPENCLAW_TOTAL,
    OA_OPENCLAW_ERROR,
    OA_OPENCLAW_ERROR_MESSAGE,
    OA_OPENCLAW_ERROR_TYPE,
    OA_OPENCLAW_NODES
};

static const oa_walk_node_t  oa_openclaw_nodes[OA_OPENCLAW_NODES] = {
    { OA_OPENCLAW_ROOT, ngx_null_string },
    { OA_OPENCLAW_ROOT, ngx_string("choices") },
    { OA_OPENCLAW_CHOICES, ngx_null_string },
    { OA_OPENCLAW_CHOICE, ngx_string("delta") },
    { OA_OPENCLAW_DELTA, ngx_string("content") },
    { OA_OPENCLAW_CHOICE, ngx_string("finish_reason") },
    { OA_OPENCLAW_ROOT, ngx_string("usage") },
    { OA_OPENCLAW_USAGE, ngx_string("prompt_tokens") },
    { OA_OPENCLAW_USAGE, ngx_string("completion_tokens") },
    { OA_OPENCLAW_USAGE, ngx_string("total_tokens") },
    { OA_OPENCLAW_ROOT, ngx_string("error") },
    { OA_OPENCLAW_ERROR, ngx_string("message") },
    { OA_OPENCLAW_ERROR, ngx_string("type") }
};


static const ngx_str_t  oa_openclaw_open =
    ngx_string("{\"model\":\"openclaw\",\"stream\":true,"
               "\"stream_options\":{\"include_usage\":true},");
static const ngx_str_t  oa_openclaw_user = ngx_string("\"user\":\"");
static const ngx_str_t  oa_openclaw_user_end = ngx_string("\",");
static const ngx_str_t  oa_openclaw_messages =
    ngx_string("\"messages\":[{\"role\":\"user\",\"content\":\"");
static const ngx_str_t  oa_openclaw_close = ngx_string("\"}]}");

static const ngx_str_t  oa_openclaw_text = ngx_string("data: {\"text\":");
static const ngx_str_t  oa_openclaw_text_end = ngx_string("}\n\n");


size_t
oa_openclaw_body_size(const oa_dialect_request_t *request,
    const ngx_str_t *user)
{
    size_t  size;

    size = oa_openclaw_open.len + oa_openclaw_messages.len
           + oa_json_escape_size(&request->message.text)
           + oa_openclaw_close.len;

    if (user->len || request->session.len) {
        size += oa_openclaw_user.len + oa_json_escape_size(user)
                + oa_openclaw_user_end.len;
    }

    if (request->session.len) {
        size += 1 + oa_json_escape_size(&request->session);
    }

    return size;
}


u_char *
oa_openclaw_body(u_char *p, const oa_dialect_request_t *request,
    const ngx_str_t *user)
{
    p = oa_dialect_put(p, &oa_openclaw_open);

    if (user->len || request->session.len) {
        p = oa_dialect_put(p, &oa_openclaw_user);
        p = oa_json_escape(p, user);

        if (request->session.len) {
            *p++ = ':';
            p = oa_json_escape(p, &request->session);
        }

        p = oa_dialect_put(p, &oa_openclaw_user_end);
    }

    p = oa_dialect_put(p, &oa_openclaw_messages);
    p = oa_json_escape(p, &request->message.text);

    return oa_dialect_put(p, &oa_openclaw_close);
}


oa_dialect_act_e
oa_openclaw_event(oa_dialect_t *d, const ngx_str_t *json,
    oa_dialect_frame_t *frame)
{
    ngx_str_t  text, value[OA_OPENCLAW_NODES];

    if (oa_walk(json, oa_openclaw_nodes, OA_OPENCLAW_NODES, value, NULL)
        != NGX_OK)
    {
        d->strange++;
        return OA_DIALECT_NOTHING;
    }

    if (oa_walk_is(&value[OA_OPENCLAW_ERROR])) {

        if (!oa_walk_string(&value[OA_OPENCLAW_ERROR_MESSAGE],
                            &frame->error.text)
            && !oa_walk_string(&value[OA_OPENCLAW_ERROR],
                               &frame->error.text))
        {
            ngx_str_set(&frame->error.text, "the agent failed");
        }

        frame->error.escaped = 1;
        ngx_str_null(&frame->error.id);
        oa_dialect_code(&value[OA_OPENCLAW_ERROR_TYPE], &frame->error.code);

        return OA_DIALECT_FAILED;
    }

    oa_openclaw_usage(&value[OA_OPENCLAW_PROMPT], &d->usage.prompt);
    oa_openclaw_usage(&value[OA_OPENCLAW_COMPLETION], &d->usage.completion);
    oa_openclaw_usage(&value[OA_OPENCLAW_TOTAL], &d->usage.total);

    if (oa_walk_is(&value[OA_OPENCLAW_FINISH])) {
        d->finished = 1;
    }

    if (!oa_walk_string(&value[OA_OPENCLAW_CONTENT], &text)
        || text.len == 0)
    {
        return OA_DIALECT_NOTHING;
    }

    frame->part[0] = oa_openclaw_text;
    frame->part[1] = value[OA_OPENCLAW_CONTENT];
    frame->part[2] = oa_openclaw_text_end;

    return OA_DIALECT_FRAME;
}


static void
oa_openclaw_usage(const ngx_str_t *value, int64_t *count)
{
    int64_t  n;

    n = oa_walk_count(value);

    if (n != -1) {
        *count = n;
    }
}
