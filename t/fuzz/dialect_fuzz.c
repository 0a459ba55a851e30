
/*
 * Dialects: what is walked is what jansson finds, all that goes out is JSON
 * of the right shape, and there is one end at most.
 */


#include "fuzz.h"
#include <jansson.h>
#include "oa_dialect.h"
#include "oa_json.h"
#include "oa_walk.h"


enum {
    ROOT = 0,
    CHOICES,
    CHOICE,
    DELTA,
    CONTENT,
    ERROR,
    NODES
};

static const oa_walk_node_t  nodes[NODES] = {
    { ROOT, ngx_null_string },
    { ROOT, ngx_string("choices") },
    { CHOICES, ngx_null_string },
    { CHOICE, ngx_string("delta") },
    { DELTA, ngx_string("content") },
    { ROOT, ngx_string("error") }
};


/* What jansson and we take on purpose differently is not compared. */

static ngx_uint_t
is_comparable(const u_char *p, size_t len)
{
    u_char         c;
    size_t         i, depth;
    ngx_uint_t     valid;
    const u_char  *last;

    depth = 0;
    last = p + len;

    while (p < last) {
        c = *p;

        if (c == '[' || c == '{') {
            depth++;
        }

        /* surrogates, NUL in names, and names with escapes */

        if (c == '\\' && last - p > 1 && p[1] == 'u') {
            return 0;
        }

        if (c == '\0') {
            return 0;
        }

        if (c >= 0x80) {
            i = oa_json_utf8(p, last, &valid);

            if (!valid) {
                return 0;
            }

            p += i;
            continue;
        }

        p++;
    }

    return depth <= OA_WALK_DEPTH;
}


static void
same_value(const ngx_str_t *value, const json_t *json)
{
    json_t        *v;
    json_error_t   err;

    must((value->data != NULL) == (json != NULL));

    if (json == NULL) {
        return;
    }

    v = json_loadb((char *) value->data, value->len, JSON_DECODE_ANY, &err);
    must(v != NULL);
    must(json_equal(v, json));
    json_decref(v);
}


static void
test_walk(const uint8_t *data, size_t size)
{
    json_t        *json, *choices, *choice, *delta;
    ngx_str_t      s, value[NODES];
    ngx_int_t      rc;
    ngx_uint_t     members;
    json_error_t   err;

    s.len = size;
    s.data = fuzz_copy(data, size);

    rc = oa_walk(&s, nodes, NODES, value, &members);
    must(rc == NGX_OK || rc == NGX_ERROR);

    if (!is_comparable(data, size)) {
        free(s.data);
        return;
    }

    json = json_loadb((char *) s.data, size, JSON_DECODE_ANY, &err);

    if (json == NULL) {
        must(rc == NGX_ERROR
             || json_error_code(&err) == json_error_numeric_overflow);
        free(s.data);
        return;
    }

    json_decref(json);

    json = json_loadb((char *) s.data, size,
                      JSON_DECODE_ANY|JSON_REJECT_DUPLICATES, &err);

    if (json == NULL) {
        free(s.data);
        return;
    }

    must(rc == NGX_OK);
    must(members == json_object_size(json));

    choices = json_object_get(json, "choices");
    choice = json_array_get(choices, 0);
    delta = json_object_get(choice, "delta");

    same_value(&value[ROOT], json);
    same_value(&value[CHOICES], choices);
    same_value(&value[CHOICE], choice);
    same_value(&value[DELTA], delta);
    same_value(&value[CONTENT], json_object_get(delta, "content"));
    same_value(&value[ERROR], json_object_get(json, "error"));

    json_decref(json);
    free(s.data);
}


/* One event, "data: " JSON and a blank line, and no more. */

static void
test_shape(const u_char *p, size_t len, const char *member)
{
    size_t           used;
    ngx_str_t        value[2], text;
    ngx_uint_t       members;
    oa_sse_t         sse;
    oa_sse_event_t   event;
    oa_walk_node_t   shape[2];

    oa_sse_init(&sse);
    must(oa_sse_next(&sse, p, len, &used, &event) == NGX_OK);
    must(used == len && event.lines == 1 && event.name.len == 0);

    ngx_memzero(shape, sizeof(shape));
    shape[1].name.data = (u_char *) member;
    shape[1].name.len = strlen(member);

    must(oa_walk(&event.data, shape, 2, value, &members) == NGX_OK);
    must(members == 1 || members == 2);
    must(oa_walk_string(&value[1], &text));
}


static void
test_events(const uint8_t *data, size_t size, oa_dialect_e dialect)
{
    u_char              *stream, *buf, *out, *p;
    size_t               pos, used, n;
    ngx_uint_t           i, ended;
    oa_sse_t             sse;
    oa_dialect_t         d;
    oa_sse_event_t       event;
    oa_dialect_act_e     act;
    oa_dialect_frame_t   frame;

    stream = fuzz_copy(data, size);
    oa_sse_init(&sse);
    oa_dialect_init(&d, dialect);
    ended = 0;

    for (pos = 0; /* void */ ; pos += used) {

        if (oa_sse_next(&sse, stream + pos, size - pos, &used, &event)
            != NGX_OK)
        {
            break;
        }

        buf = fuzz_alloc(event.raw.len);
        act = oa_dialect_event(&d, &event, buf, &frame);

        must(!ended || act == OA_DIALECT_NOTHING);
        must(event.lines || act == OA_DIALECT_NOTHING
             || (act == OA_DIALECT_PASS && event.retry != OA_SSE_NO_RETRY));

        switch (act) {

        case OA_DIALECT_FRAME:
            must(dialect == OA_DIALECT_OPENCLAW);

            n = frame.part[0].len + frame.part[1].len + frame.part[2].len;
            must(n <= event.raw.len + 64);
            out = fuzz_alloc(n);
            p = out;

            for (i = 0; i < 3; i++) {
                p = ngx_cpymem(p, frame.part[i].data, frame.part[i].len);
            }

            test_shape(out, n, "text");
            free(out);
            break;

        case OA_DIALECT_FAILED:
            must(dialect != OA_DIALECT_RAW);

            n = oa_sse_error_size(&frame.error);
            must(n <= event.raw.len + 128);
            out = fuzz_alloc(n);
            must(oa_sse_error(out, &frame.error) == out + n);

            test_shape(out, n, "error");
            test_shape(out, n, "code");
            free(out);

            ended = 1;
            break;

        case OA_DIALECT_DONE:
            must(event.done);
            ended = 1;
            break;

        case OA_DIALECT_PASS:
            must(dialect != OA_DIALECT_OPENCLAW);
            break;

        case OA_DIALECT_NOTHING:
            break;
        }

        must(d.ended == ended);
        free(buf);
    }

    free(stream);
}


static void
test_request(const uint8_t *data, size_t size, oa_dialect_e dialect)
{
    u_char                *buf, *out, *copy;
    size_t                 n, i;
    json_t                *in, *json, *message;
    ngx_str_t              body, user;
    ngx_int_t              rc;
    const char            *why;
    json_error_t           err;
    oa_message_t           clean;
    oa_dialect_request_t   request;

    body.len = size;
    body.data = fuzz_copy(data, size);
    buf = fuzz_alloc(size);
    why = NULL;

    rc = oa_dialect_read(&body, 50, buf, &request, &why);
    must(rc == NGX_OK || why != NULL);

    in = json_loadb((char *) body.data, size,
                    JSON_ALLOW_NUL|JSON_REJECT_DUPLICATES, &err);
    message = json_object_get(in, "message");

    if (is_comparable(data, size)) {

        if (rc == NGX_OK) {
            must(json_is_string(message)
                 || json_error_code(&err) == json_error_numeric_overflow
                 || json_error_code(&err) == json_error_duplicate_key);

        } else {
            must(!json_is_string(message)
                 || json_object_get(in, "sessionId"));
        }
    }

    if (rc != NGX_OK) {
        goto done;
    }

    must(request.message.text.len <= 150);

    for (i = 0; i < request.message.text.len; i++) {
        must(request.message.text.data[i] >= 0x20
             || strchr("\t\r\n", request.message.text.data[i]));
        must(request.message.text.data[i] != 0x7f);
    }

    if (message == NULL) {
        goto done;
    }

    /* as jansson decodes it, which knows no half characters */

    n = json_string_length(message);
    copy = fuzz_copy(json_string_value(message), n);
    oa_message_clean(&clean, copy, n, 50);

    must(fuzz_same(&clean.text, &request.message.text));
    must(clean.cut == request.message.cut);
    must(clean.controls == request.message.controls);
    must(clean.rules == request.message.rules);
    must(clean.cut || clean.text.len + clean.controls == n);

    free(copy);

    message = json_object_get(in, "sessionId");

    if (json_is_string(message)) {
        must(json_string_length(message) == request.session.len);
        must(memcmp(json_string_value(message), request.session.data,
                    request.session.len) == 0);
    }

    user.len = size & 7;
    user.data = (u_char *) "a\"\\\n\xff\0b";

    n = oa_dialect_body_size(dialect, &request, &user);
    out = fuzz_alloc(n);
    must(oa_dialect_body(out, dialect, &request, &user) == out + n);

    json = json_loadb((char *) out, n, JSON_ALLOW_NUL, &err);
    must(json != NULL);

    message = (dialect == OA_DIALECT_SEED)
              ? json_object_get(json, "message")
              : json_object_get(json_array_get(json_object_get(json,
                                                               "messages"),
                                               0),
                                "content");

    must(json_string_length(message) == request.message.text.len);
    must(memcmp(json_string_value(message), request.message.text.data,
                request.message.text.len) == 0);

    json_decref(json);
    free(out);

done:

    json_decref(in);
    free(body.data);
    free(buf);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 4096) {
        return 0;
    }

    switch (data[0] % 6) {
    case 0:
        test_walk(data + 1, size - 1);
        break;

    case 1:
    case 2:
        test_request(data + 1, size - 1, data[0] % 6 - 1);
        break;

    default:
        test_events(data + 1, size - 1, data[0] % 6 - 3);
        break;
    }

    return 0;
}
