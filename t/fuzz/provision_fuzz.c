
/*
 * The Machines API may answer anything: a walk ends, asks for nothing but
 * paths that it can mean, writes rows that another walk can read, and tells
 * nobody a token.
 */


#include "fuzz.h"
#include <jansson.h>
#include "oa_provision.h"


#define TOKEN  "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I"


static const char * const  fuzz_templates[] = {
    "{\"config\":{\"image\":\"{{machine_token}}\"}}",
    "{\"config\":{\"image\":\"{{machine_token}}\"},\"volume\":{\"size_gb\":1,"
    "\"path\":\"/d\"},\"personalize\":[\"{{machine_token}}\"],\"health\":"
    "[\"c\"]}"
};

static const ngx_uint_t  fuzz_statuses[] = {
    200, 200, 200, 200, 201, 400, 401, 403, 404, 408, 409, 412, 422, 429, 500
};


static void
test_path(const oa_act_t *act)
{
    const char  *p;

    must(act->method && act->path && act->path[0] == '/');
    must(act->timeout);

    for (p = act->path; *p; p++) {
        must((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9')
             || strchr("/-_?=&", *p));
        must(p[0] != '/' || p[1] != '/');
    }
}


static void
test_patch(const ngx_str_t *patch, const oa_provision_conf_t *conf,
    const oa_provision_route_t *route)
{
    char                *state;
    json_t              *root;
    ngx_uint_t           i;
    ngx_str_t           *s;
    const char          *why;
    oa_provision_t      *p;
    oa_provision_row_t   row;

    const struct {
        const char  *name;
        ngx_str_t   *text;
    } cols[] = {
        { "stage", &row.stage },
        { "app", &row.app },
        { "ip", &row.ip },
        { "volume", &row.volume },
        { "machine", &row.machine },
        { "region", &row.region }
    };

    must(patch->len <= OA_PROVISION_PATCH_MAX);

    root = json_loadb((char *) patch->data, patch->len,
                      JSON_REJECT_DUPLICATES, NULL);
    must(json_object_size(root) == 7);

    ngx_memzero(&row, sizeof(row));
    ngx_str_set(&row.id, "1");

    for (i = 0; i < sizeof(cols) / sizeof(cols[0]); i++) {
        s = cols[i].text;
        s->data = (u_char *) json_string_value(json_object_get(root,
                                                            cols[i].name));
        s->len = s->data ? strlen((char *) s->data) : 0;
    }

    state = json_dumps(json_object_get(root, "state"), JSON_COMPACT);
    must(state);
    row.state.data = (u_char *) state;
    row.state.len = strlen(state);

    p = oa_provision_new(OA_PROVISION_MAKE, conf, &row, route, &why);
    must(p);
    oa_provision_free(p);

    free(state);
    json_decref(root);
}


static void
test_text(const oa_act_t *act)
{
    size_t      i;
    ngx_str_t   text;

    must(act->code && act->code[0] && act->text->len <= OA_REASON_MAX);

    text.len = act->text->len;
    text.data = fuzz_copy(act->text->data, text.len + 1);
    text.data[text.len] = '\0';

    must(!strstr((char *) text.data, TOKEN));

    for (i = 0; i < text.len; i++) {
        must(text.data[i] >= 0x20 && text.data[i] != 0x7f);
    }

    free(text.data);
}


static void
walk(const uint8_t *data, size_t size, const oa_template_t *template)
{
    u_char               *copy;
    size_t                len;
    oa_act_t              act;
    ngx_uint_t            n;
    const char           *why;
    oa_provision_t       *p;
    oa_provision_in_t     in;
    oa_provision_row_t    row;
    oa_provision_conf_t   conf;

    static const oa_provision_route_t  route = {
        ngx_string("r"), ngx_string("u"), ngx_null_string, ngx_string("s"),
        ngx_string("ams"), ngx_string(TOKEN)
    };

    ngx_memzero(&conf, sizeof(conf));
    ngx_memzero(&row, sizeof(row));
    ngx_memzero(&in, sizeof(in));

    conf.template = template;
    ngx_str_set(&conf.org, "acme");
    ngx_str_set(&conf.regions[0], "fra");
    conf.nregions = 1;
    conf.retries = 3;
    conf.timeout = 120000;
    conf.backoff = 1000;
    conf.backoff_max = 10000;

    ngx_str_set(&row.id, "1");

    if (data[1] & 1) {
        ngx_str_set(&row.app, "a");
    }

    if ((data[1] & 3) == 3) {
        ngx_str_set(&row.volume, "vol_1");
        ngx_str_set(&row.state, "{\"serial\":1}");
    }

    if ((data[1] & 5) == 5) {
        ngx_str_set(&row.machine, "m1");
    }

    row.stage = oa_stages[(data[1] >> 3) % OA_STAGES];

    p = oa_provision_new((oa_provision_task_e)
                             (data[0] / 2 % (OA_PROVISION_DESTROY + 1)),
                         &conf, &row, &route, &why);
    must(p);

    data += 2;
    size -= 2;
    copy = NULL;

    for (n = 0; ; n++) {
        must(n < 2000);

        in.random += 2654435761u;
        oa_provision_next(p, &in, &act);

        free(copy);
        copy = NULL;

        switch (act.act) {

        case OA_ACT_STORE:
            test_patch(&act.patch, &conf, &route);
            in.in = OA_IN_STORED;
            break;

        case OA_ACT_CLAIM:
            in.in = OA_IN_NOT_CLAIMED;
            break;

        case OA_ACT_WAIT:
            must(act.wait && act.wait <= conf.timeout);
            in.now += act.wait;
            in.in = OA_IN_WAITED;
            break;

        case OA_ACT_REQUEST:
        case OA_ACT_PROBE:
            test_path(&act);

            in.now += 10;
            in.in = OA_IN_NO_ANSWER;

            if (size == 0 || data[0] >= 240) {
                size -= size ? 1 : 0;
                data += size ? 1 : 0;
                break;
            }

            /* a status, and what is up to the next zero byte */

            in.in = OA_IN_ANSWER;
            in.status = fuzz_statuses[data[0] % (sizeof(fuzz_statuses)
                                                 / sizeof(fuzz_statuses[0]))];
            in.retry_after = data[0] & 0x10 ? 3 : 0;

            data++;
            size--;

            for (len = 0; len < size && data[len]; len++) { /* void */ }

            copy = fuzz_copy(data, len);
            in.answer.data = copy;
            in.answer.len = len;

            data += ngx_min(len + 1, size);
            size -= ngx_min(len + 1, size);
            break;

        case OA_ACT_DONE:
            if (act.patch.len) {
                test_patch(&act.patch, &conf, &route);
            }

            goto done;

        case OA_ACT_GONE:
            must(act.code);
            goto done;

        case OA_ACT_FAILED:
            test_text(&act);
            goto done;
        }
    }

done:

    oa_provision_free(p);
    free(copy);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t      json;
    ngx_uint_t     i;
    const char    *why;

    static ngx_pool_t     *pool;
    static oa_template_t   templates[2];

    if (pool == NULL) {
        pool = ngx_create_pool(1024, ngx_cycle->log);
        must(pool);

        for (i = 0; i < 2; i++) {
            json.data = (u_char *) fuzz_templates[i];
            json.len = strlen(fuzz_templates[i]);
            must(oa_template_parse(&templates[i], &json, pool, &why)
                 == NGX_OK);
        }
    }

    if (size >= 2) {
        walk(data, size, &templates[data[0] & 1]);
    }

    return 0;
}
