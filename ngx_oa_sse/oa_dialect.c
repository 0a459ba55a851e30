
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_dialect_int.h"
#include "oa_json.h"


#define OA_DIALECT_CODE_MAX  64


static oa_dialect_act_e oa_seed_event(oa_dialect_t *d,
    const ngx_str_t *json, oa_dialect_frame_t *frame);
static ngx_uint_t oa_dialect_begins(const u_char *p, const ngx_str_t *text,
    const ngx_str_t *with);


const ngx_str_t  oa_dialect_names[OA_DIALECTS] = {
    ngx_string("seed"),
    ngx_string("openclaw"),
    ngx_string("raw")
};


/* What a client's body may have that matters. */
enum {
    OA_REQUEST_ROOT = 0,
    OA_REQUEST_MESSAGE,
    OA_REQUEST_SESSION,
    OA_REQUEST_NODES
};

static const oa_walk_node_t  oa_request_nodes[OA_REQUEST_NODES] = {
    { OA_REQUEST_ROOT, ngx_null_string },
    { OA_REQUEST_ROOT, ngx_string("message") },
    { OA_REQUEST_ROOT, ngx_string("sessionId") }
};


/* An event of a machine that speaks seed, if it is an error. */
enum {
    OA_SEED_ROOT = 0,
    OA_SEED_ERROR,
    OA_SEED_CODE,
    OA_SEED_NODES
};

static const oa_walk_node_t  oa_seed_nodes[OA_SEED_NODES] = {
    { OA_SEED_ROOT, ngx_null_string },
    { OA_SEED_ROOT, ngx_string("error") },
    { OA_SEED_ROOT, ngx_string("code") }
};


static const ngx_str_t  oa_seed_error = ngx_string("\"error\"");
static const ngx_str_t  oa_seed_code = ngx_string("\"code\"");
static const ngx_str_t  oa_seed_open = ngx_string("{\"message\":\"");
static const ngx_str_t  oa_seed_close = ngx_string("\"}");
static const ngx_str_t  oa_dialect_agent_error = ngx_string("agent_error");


ngx_int_t
oa_dialect_read(const ngx_str_t *body, size_t max, u_char *buf,
    oa_dialect_request_t *request, const char **why)
{
    u_char     *p;
    ngx_str_t   text, value[OA_REQUEST_NODES];

    ngx_memzero(request, sizeof(oa_dialect_request_t));

    if (oa_walk(body, oa_request_nodes, OA_REQUEST_NODES, value, NULL)
        != NGX_OK
        || value[OA_REQUEST_ROOT].data[0] != '{')
    {
        *why = "the body is not a JSON object";
        return NGX_ERROR;
    }

    if (!oa_walk_string(&value[OA_REQUEST_MESSAGE], &text)) {
        *why = "\"message\" is not a string";
        return NGX_ERROR;
    }

    p = oa_walk_decode(buf, &text);
    oa_message_clean(&request->message, buf, p - buf, max);

    if (!oa_walk_is(&value[OA_REQUEST_SESSION])) {
        return NGX_OK;
    }

    if (!oa_walk_string(&value[OA_REQUEST_SESSION], &text)) {
        *why = "\"sessionId\" is not a string";
        return NGX_ERROR;
    }

    request->session.data = p;
    request->session.len = oa_walk_decode(p, &text) - p;

    if (request->session.len > OA_DIALECT_SESSION_MAX) {
        *why = "\"sessionId\" is longer than 128 bytes";
        return NGX_ERROR;
    }

    return NGX_OK;
}


size_t
oa_dialect_body_size(oa_dialect_e dialect,
    const oa_dialect_request_t *request, const ngx_str_t *user)
{
    if (dialect == OA_DIALECT_OPENCLAW) {
        return oa_openclaw_body_size(request, user);
    }

    return oa_seed_open.len + oa_json_escape_size(&request->message.text)
           + oa_seed_close.len;
}


u_char *
oa_dialect_body(u_char *p, oa_dialect_e dialect,
    const oa_dialect_request_t *request, const ngx_str_t *user)
{
    if (dialect == OA_DIALECT_OPENCLAW) {
        return oa_openclaw_body(p, request, user);
    }

    p = oa_dialect_put(p, &oa_seed_open);
    p = oa_json_escape(p, &request->message.text);

    return oa_dialect_put(p, &oa_seed_close);
}


void
oa_dialect_init(oa_dialect_t *d, oa_dialect_e dialect)
{
    ngx_memzero(d, sizeof(oa_dialect_t));

    d->dialect = dialect;
    d->usage.prompt = -1;
    d->usage.completion = -1;
    d->usage.total = -1;
}


oa_dialect_act_e
oa_dialect_event(oa_dialect_t *d, const oa_sse_event_t *event, u_char *buf,
    oa_dialect_frame_t *frame)
{
    ngx_str_t         data;
    oa_dialect_act_e  act;

    if (d->ended) {
        return OA_DIALECT_NOTHING;
    }

    if (event->lines == 0) {
        return (event->retry == OA_SSE_NO_RETRY
                || d->dialect == OA_DIALECT_OPENCLAW) ? OA_DIALECT_NOTHING
                                                      : OA_DIALECT_PASS;
    }

    if (event->done) {
        d->ended = 1;
        return OA_DIALECT_DONE;
    }

    if (d->dialect == OA_DIALECT_RAW) {
        return OA_DIALECT_PASS;
    }

    oa_sse_data(event, buf, &data);

    act = (d->dialect == OA_DIALECT_SEED) ? oa_seed_event(d, &data, frame)
                                          : oa_openclaw_event(d, &data, frame);

    if (act == OA_DIALECT_FAILED) {
        d->ended = 1;
    }

    return act;
}


static oa_dialect_act_e
oa_seed_event(oa_dialect_t *d, const ngx_str_t *json,
    oa_dialect_frame_t *frame)
{
    u_char      *p;
    ngx_str_t    value[OA_SEED_NODES];
    ngx_uint_t   members, known;

    /* an object that has nothing else begins with one of them */

    p = ngx_strlchr(json->data, json->data + json->len, '"');

    if (p == NULL
        || (!oa_dialect_begins(p, json, &oa_seed_error)
            && !oa_dialect_begins(p, json, &oa_seed_code)))
    {
        return OA_DIALECT_PASS;
    }

    if (oa_walk(json, oa_seed_nodes, OA_SEED_NODES, value, &members)
        != NGX_OK)
    {
        d->strange++;
        return OA_DIALECT_PASS;
    }

    known = value[OA_SEED_CODE].data ? 2 : 1;

    if (members != known
        || !oa_walk_string(&value[OA_SEED_ERROR], &frame->error.text))
    {
        return OA_DIALECT_PASS;
    }

    frame->error.escaped = 1;
    ngx_str_null(&frame->error.id);
    oa_dialect_code(&value[OA_SEED_CODE], &frame->error.code);

    return OA_DIALECT_FAILED;
}


static ngx_uint_t
oa_dialect_begins(const u_char *p, const ngx_str_t *text,
    const ngx_str_t *with)
{
    return (size_t) (text->data + text->len - p) >= with->len
           && ngx_memcmp(p, with->data, with->len) == 0;
}


ngx_uint_t
oa_dialect_is_complete(const oa_dialect_t *d)
{
    return d->dialect != OA_DIALECT_OPENCLAW || d->finished;
}


void
oa_dialect_code(const ngx_str_t *value, ngx_str_t *code)
{
    u_char  c;
    size_t  i;

    if (!oa_walk_string(value, code)
        || code->len == 0 || code->len > OA_DIALECT_CODE_MAX)
    {
        *code = oa_dialect_agent_error;
        return;
    }

    for (i = 0; i < code->len; i++) {
        c = code->data[i];

        if ((c < 'a' || c > 'z') && (c < '0' || c > '9')
            && c != '_' && c != '.' && c != '-')
        {
            *code = oa_dialect_agent_error;
            return;
        }
    }
}


u_char *
oa_dialect_put(u_char *p, const ngx_str_t *s)
{
    return s->len ? ngx_cpymem(p, s->data, s->len) : p;
}
