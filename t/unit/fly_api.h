
/*
 * A small Machines API for the tests of the walk, and the row of its job: it
 * keeps apps, volumes and machines, refuses what the real one would refuse,
 * and does what it is told to do wrong.
 */


#ifndef _OA_FLY_API_H_INCLUDED_
#define _OA_FLY_API_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include "oa_provision.h"


#define API_MAX    16
#define API_TEXT   65
#define API_FAULTS 16

#define EFFECT     1                   /* it is done all the same */
#define NOTHING    0

typedef struct {
    char                 name[API_TEXT];
    char                 id[API_TEXT];
    char                 app[API_TEXT];
    char                 region[API_TEXT];
    char                 volume[API_TEXT];   /* mounted, or the source */
    char                 state[API_TEXT];
    ngx_uint_t           gone;
} api_thing_t;

/* Of the nth call (0: of each): this answer; status 0: none. */
typedef struct {
    oa_fly_call_e        call;
    ngx_uint_t           nth;
    ngx_uint_t           status;
    const char          *body;
    ngx_uint_t           effect;
} api_fault_t;

typedef struct {
    char                 stage[API_TEXT];
    char                 app[API_TEXT];
    char                 ip[API_TEXT];
    char                 volume[API_TEXT];
    char                 machine[API_TEXT];
    char                 region[API_TEXT];
    char                 state[512];
    ngx_uint_t           attempt;
    ngx_uint_t           stored;
} api_row_t;

typedef struct {
    api_thing_t          apps[API_MAX];
    api_thing_t          ips[API_MAX];
    api_thing_t          volumes[API_MAX];
    api_thing_t          machines[API_MAX];
    ngx_uint_t           napps, nips, nvolumes, nmachines;

    const char          *full;         /* no machine in this region, or NULL */
    ngx_uint_t           full_status;
    const char          *full_error;
    const char          *born;         /* a new machine's state, or NULL */
    ngx_uint_t           exec_fails;   /* so many commands fail */
    ngx_uint_t           probe_fails;
    const char          *pool;         /* the machine to be claimed, or NULL */
    api_fault_t          faults[API_FAULTS];
    ngx_uint_t           nfaults;

    ngx_uint_t           calls[OA_FLY_CALLS];
    ngx_uint_t           acts, requests, execs, probes, claims;
    ngx_uint_t           exceeded;     /* a rate limit was, so often */
    double               tokens[OA_FLY_CALLS];
    ngx_msec_t           filled[OA_FLY_CALLS];
    ngx_msec_t           now;
    ngx_msec_t           waited;
    uint32_t             random;

    api_row_t            row;
    char                 body[OA_FLY_CALLS][4096];   /* the last sent */
    char                 path[OA_FLY_CALLS][256];

    ngx_uint_t           status;
    char                 answer[16384];

    /* the end */
    oa_act_e             end;
    ngx_msec_t           retry;
    char                 code[64];
    char                 text[OA_REASON_MAX + 1];
} api_t;


static __attribute__((unused)) void
api_fault(api_t *api, oa_fly_call_e call, ngx_uint_t nth, ngx_uint_t status,
    const char *body, ngx_uint_t effect)
{
    api_fault_t  *fault;

    if (api->nfaults == API_FAULTS) {
        abort();
    }

    fault = &api->faults[api->nfaults++];
    fault->call = call;
    fault->nth = nth;
    fault->status = status;
    fault->body = body;
    fault->effect = effect;
}


static __attribute__((format(printf, 3, 4))) void
api_say(api_t *api, ngx_uint_t status, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    vsnprintf(api->answer, sizeof(api->answer), fmt, args);
    va_end(args);

    api->status = status;
}


static void
api_no(api_t *api, ngx_uint_t status, const char *error)
{
    api_say(api, status, "{\"error\":\"%s\",\"status\":\"unknown\"}", error);
}


static api_thing_t *
api_find(api_thing_t *things, ngx_uint_t n, const char *id)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        if (strcmp(things[i].id, id) == 0) {
            return &things[i];
        }
    }

    return NULL;
}


static __attribute__((unused)) ngx_uint_t
api_count(const api_thing_t *things, ngx_uint_t n)
{
    ngx_uint_t  i, count;

    for (i = 0, count = 0; i < n; i++) {
        count += !things[i].gone;
    }

    return count;
}


static api_thing_t *
api_add(api_thing_t *things, ngx_uint_t *n, const char *prefix)
{
    api_thing_t  *thing;

    if (*n == API_MAX) {
        abort();
    }

    thing = &things[*n];
    memset(thing, 0, sizeof(api_thing_t));
    snprintf(thing->id, API_TEXT, "%s%d", prefix, (int) ++*n);

    return thing;
}


static void
api_copy(char *dst, json_t *object, const char *name)
{
    const char  *s;

    s = json_string_value(json_object_get(object, name));
    snprintf(dst, API_TEXT, "%s", s ? s : "");
}


static size_t
api_machine(char *p, size_t size, const api_thing_t *m)
{
    return (size_t) snprintf(p, size, "{\"id\":\"%s\",\"name\":\"%s\","
                             "\"state\":\"%s\",\"region\":\"%s\",\"config\":"
                             "{\"mounts\":[{\"volume\":\"%s\"}]}}", m->id,
                             m->name, m->state, m->region, m->volume);
}


static void
api_list(api_t *api, const api_thing_t *things, ngx_uint_t n,
    ngx_uint_t machines)
{
    size_t      len;
    ngx_uint_t  i;

    len = (size_t) sprintf(api->answer, "[");

    for (i = 0; i < n; i++) {
        if (things[i].gone) {
            continue;
        }

        if (len > 1) {
            api->answer[len++] = ',';
        }

        if (machines) {
            len += api_machine(api->answer + len, 1024, &things[i]);
            continue;
        }

        len += (size_t) sprintf(api->answer + len, "{\"id\":\"%s\",\"name\":"
                                "\"%s\",\"region\":\"%s\",\"state\":"
                                "\"created\",\"ip\":\"%s\"}", things[i].id,
                                things[i].name, things[i].region,
                                things[i].id);
    }

    sprintf(api->answer + len, "]");
    api->status = 200;
}


static void
api_new_machine(api_t *api, json_t *body, const char *app)
{
    ngx_uint_t    i;
    json_t       *mounts;
    api_thing_t  *m, *v, new;

    memset(&new, 0, sizeof(new));
    api_copy(new.name, body, "name");
    api_copy(new.region, body, "region");

    mounts = json_object_get(json_object_get(body, "config"), "mounts");
    api_copy(new.volume, json_array_get(mounts, 0), "volume");

    for (i = 0; i < api->nmachines; i++) {
        m = &api->machines[i];

        if (!m->gone && strcmp(m->name, new.name) == 0) {
            api_say(api, 409, "{\"error\":\"unique machine name violation\","
                    "\"status\":\"name_taken\"}");
            return;
        }

        if (!m->gone && new.volume[0] && strcmp(m->volume, new.volume) == 0) {
            api_no(api, 412, "volume is already claimed by machine x");
            return;
        }
    }

    if (api->full && strcmp(api->full, new.region) == 0) {
        api_no(api, api->full_status, api->full_error);
        return;
    }

    if (new.volume[0]) {
        v = api_find(api->volumes, api->nvolumes, new.volume);

        if (v == NULL || v->gone) {
            api_no(api, 400, "volume vol_x not found");
            return;
        }

        if (strcmp(v->region, new.region) != 0) {
            api_no(api, 400, "the volume is in another region");
            return;
        }
    }

    m = api_add(api->machines, &api->nmachines, "m");
    strcpy(m->name, new.name);
    strcpy(m->region, new.region);
    strcpy(m->volume, new.volume);
    snprintf(m->app, API_TEXT, "%s", app);
    strcpy(m->state, api->born ? api->born : "created");

    api_machine(api->answer, sizeof(api->answer), m);
    api->status = 200;
}


static void
api_on_machine(api_t *api, oa_fly_call_e call, const char *id)
{
    api_thing_t  *m;

    m = api_find(api->machines, api->nmachines, id);

    if (m == NULL || (m->gone && call != OA_FLY_MACHINE_GET)) {
        api_no(api, 404, "machine not found");
        return;
    }

    switch (call) {

    case OA_FLY_MACHINE_GET:
        api_machine(api->answer, sizeof(api->answer), m);
        api->status = 200;
        return;

    case OA_FLY_START:
        if (strcmp(m->state, "stopped") != 0
            && strcmp(m->state, "suspended") != 0
            && strcmp(m->state, "started") != 0)
        {
            api_no(api, 412, "failed_precondition: unable to start machine "
                   "from current state: 'replacing'");
            return;
        }

        strcpy(m->state, "starting");
        api_say(api, 200, "{\"previous_state\":\"stopped\"}");
        return;

    case OA_FLY_WAIT:
        if (strcmp(m->state, "created") == 0
            || strcmp(m->state, "starting") == 0)
        {
            strcpy(m->state, "started");
        }

        if (strcmp(m->state, "started") != 0) {
            api_no(api, 408, "deadline_exceeded: machine failed to reach "
                   "desired state, started, currently stopped");
            return;
        }

        break;

    case OA_FLY_EXEC:
        if (strcmp(m->state, "started") != 0) {
            api_no(api, 412, "machine not running");
            return;
        }

        api->execs++;

        if (api->exec_fails) {
            api->exec_fails--;
            api_say(api, 200, "{\"exit_code\":3,\"stderr\":\"secret\"}");
            return;
        }

        api_say(api, 200, "{\"stdout\":\"x\"}");
        return;

    case OA_FLY_SUSPEND:
        strcpy(m->state, "suspended");
        break;

    case OA_FLY_STOP:
        strcpy(m->state, "stopped");
        break;

    case OA_FLY_DESTROY:
        strcpy(m->state, "destroying");
        break;

    default:
        strcpy(m->state, "destroyed");
        m->gone = 1;
    }

    api_say(api, 200, "{\"ok\":true}");
}


static void
api_do(api_t *api, oa_fly_call_e call, const char *path, json_t *body)
{
    char          app[API_TEXT], id[API_TEXT];
    ngx_uint_t    i;
    api_thing_t  *thing;

    app[0] = '\0';
    id[0] = '\0';

    (void) sscanf(path, "/apps/%64[^/?]/%*[^/]/%64[^/?]", app, id);

    if (call == OA_FLY_APP) {
        api_copy(app, body, "app_name");
    }

    thing = NULL;

    for (i = 0; i < api->napps; i++) {
        if (strcmp(api->apps[i].name, app) == 0 && !api->apps[i].gone) {
            thing = &api->apps[i];
        }
    }

    if (call != OA_FLY_APP && thing == NULL) {
        api_no(api, 404, "app not found");
        return;
    }

    switch (call) {

    case OA_FLY_APP:
        if (thing) {
            api_no(api, 422, "Name has already been taken");
            return;
        }

        thing = api_add(api->apps, &api->napps, "app");
        strcpy(thing->name, app);
        api_say(api, 201, "{\"id\":\"x\",\"created_at\":1}");
        return;

    case OA_FLY_APP_GET:
        if (strcmp(thing->state, "foreign") == 0) {
            api_no(api, 403, "forbidden");
            return;
        }

        api_say(api, 200, "{\"id\":\"x\",\"name\":\"%s\",\"organization\":"
                "{\"slug\":\"acme\"}}", app);
        return;

    case OA_FLY_IP:
        (void) api_add(api->ips, &api->nips, "fdaa:0:1::");
        api_say(api, 200, "{\"ip\":\"fdaa:0:1::%d\",\"region\":\"global\"}",
                (int) api->nips);
        return;

    case OA_FLY_IP_LIST:
        api_list(api, api->ips, api->nips, 0);
        return;

    case OA_FLY_VOLUME:
        thing = api_add(api->volumes, &api->nvolumes, "vol_");
        api_copy(thing->name, body, "name");
        api_copy(thing->region, body, "region");
        api_copy(thing->volume, body, "source_volume_id");
        api_say(api, 200, "{\"id\":\"%s\",\"region\":\"%s\"}", thing->id,
                thing->region);
        return;

    case OA_FLY_VOLUME_LIST:
        api_list(api, api->volumes, api->nvolumes, 0);
        return;

    case OA_FLY_VOLUME_DROP:
        thing = api_find(api->volumes, api->nvolumes, id);

        if (thing == NULL || thing->gone) {
            api_no(api, 404, "volume not found");
            return;
        }

        for (i = 0; i < api->nmachines; i++) {
            if (!api->machines[i].gone
                && strcmp(api->machines[i].volume, id) == 0)
            {
                api_no(api, 412, "the volume is attached");
                return;
            }
        }

        thing->gone = 1;
        api_say(api, 200, "{}");
        return;

    case OA_FLY_APP_DROP:
        thing->gone = 1;
        api_say(api, 202, "%s", "");
        return;

    case OA_FLY_MACHINE:
        api_new_machine(api, body, app);
        return;

    case OA_FLY_MACHINE_LIST:
        api_list(api, api->machines, api->nmachines, 1);
        return;

    default:
        api_on_machine(api, call, id);
    }
}


/* 1 a second of each call, 5 of GET machine; bursts of 3 and 10. */

static void
api_rate(api_t *api, oa_fly_call_e call)
{
    double  rate, burst;

    rate = (call == OA_FLY_MACHINE_GET) ? 5 : 1;
    burst = (call == OA_FLY_MACHINE_GET) ? 10 : 3;

    if (api->calls[call] == 1) {
        api->tokens[call] = burst;

    } else {
        api->tokens[call] += rate * (double) (api->now - api->filled[call])
                             / 1000;
        api->tokens[call] = ngx_min(api->tokens[call], burst);
    }

    api->filled[call] = api->now;
    api->tokens[call] -= 1;

    if (api->tokens[call] < -0.001) {
        api->exceeded++;
    }
}


/* 1: there is an answer */

static ngx_uint_t
api_request(api_t *api, const oa_act_t *act)
{
    json_t       *body;
    ngx_uint_t    i, nth;
    api_fault_t  *fault;

    api->requests++;
    api->now += 40;
    nth = ++api->calls[act->call];
    api_rate(api, act->call);

    body = act->body.len ? json_loadb((char *) act->body.data, act->body.len,
                                      0, NULL)
                         : NULL;

    if (act->body.len && !json_is_object(body)) {
        abort();
    }

    snprintf(api->body[act->call], sizeof(api->body[0]), "%.*s",
             (int) act->body.len,
             act->body.data ? (char *) act->body.data : "");
    snprintf(api->path[act->call], sizeof(api->path[0]), "%s %s", act->method,
             act->path);

    fault = NULL;

    for (i = 0; i < api->nfaults; i++) {
        if (api->faults[i].call == act->call
            && (api->faults[i].nth == 0 || api->faults[i].nth == nth))
        {
            fault = &api->faults[i];
            break;
        }
    }

    if (fault == NULL || fault->effect) {
        api_do(api, act->call, act->path, body);
    }

    json_decref(body);

    if (fault) {
        api_say(api, fault->status, "%s", fault->body ? fault->body : "");
    }

    if (api->status == 408) {
        api->now += act->timeout - 5000;
    }

    return api->status != 0;
}


static void
api_store(api_t *api, const ngx_str_t *patch)
{
    char    *state;
    json_t  *root, *value;

    root = json_loadb((char *) patch->data, patch->len,
                      JSON_REJECT_DUPLICATES, NULL);
    value = json_object_get(root, "state");
    state = json_dumps(value, JSON_COMPACT);

    if (state == NULL || json_object_size(root) != 7) {
        abort();
    }

    api_copy(api->row.stage, root, "stage");
    api_copy(api->row.app, root, "app");
    api_copy(api->row.ip, root, "ip");
    api_copy(api->row.volume, root, "volume");
    api_copy(api->row.machine, root, "machine");
    api_copy(api->row.region, root, "region");
    snprintf(api->row.state, sizeof(api->row.state), "%s", state);
    api->row.stored++;

    free(state);
    json_decref(root);
}


static void
api_row(const api_t *api, oa_provision_row_t *row)
{
    const api_row_t  *r = &api->row;

#define STR(s)  { strlen(s), (u_char *) (s) }

    oa_provision_row_t  new = {
        STR("5f2b"), STR(r->stage), STR(r->app), STR(r->ip), STR(r->volume),
        STR(r->machine), STR(r->region), STR(r->state), r->attempt
    };

    *row = new;
}


/*
 * Walks to the end, or until it dies behind so many acts (0: never), whose
 * last has been done, but is not known to have been.
 */

static void
api_walk(api_t *api, oa_provision_task_e task,
    const oa_provision_conf_t *conf, const oa_provision_route_t *route,
    ngx_uint_t acts)
{
    oa_act_t             act;
    ngx_uint_t           n;
    api_thing_t         *m;
    const char          *why;
    oa_provision_t      *p;
    oa_provision_in_t    in;
    oa_provision_row_t   row;

    api_row(api, &row);

    p = oa_provision_new(task, conf, &row, route, &why);
    if (p == NULL) {
        printf("# %s\n", why);
        abort();
    }

    memset(&in, 0, sizeof(in));
    api->code[0] = '\0';

    for (n = 1; ; n++) {

        if (n > 10000) {
            abort();
        }

        in.now = api->now;
        in.random = api->random++ * 2654435761u;

        oa_provision_next(p, &in, &act);

        api->acts++;
        api->end = act.act;

        switch (act.act) {

        case OA_ACT_STORE:
            api_store(api, &act.patch);
            in.in = OA_IN_STORED;
            break;

        case OA_ACT_CLAIM:
            api->claims++;
            in.in = OA_IN_NOT_CLAIMED;

            if (api->pool) {
                m = api_find(api->machines, api->nmachines, api->pool);
                strcpy(api->row.app, m->app);
                strcpy(api->row.ip, "fdaa::9");
                strcpy(api->row.volume, m->volume);
                strcpy(api->row.machine, m->id);
                strcpy(api->row.region, m->region);

                api_row(api, &row);
                in.row = &row;
                in.in = OA_IN_CLAIMED;
            }

            break;

        case OA_ACT_REQUEST:
            in.in = api_request(api, &act) ? OA_IN_ANSWER : OA_IN_NO_ANSWER;
            in.status = api->status;
            in.retry_after = (api->status == 429) ? 2 : 0;
            in.answer.data = (u_char *) api->answer;
            in.answer.len = strlen(api->answer);
            break;

        case OA_ACT_PROBE:
            api->probes++;
            in.in = OA_IN_ANSWER;
            in.status = 200;

            if (api->probe_fails) {
                api->probe_fails--;
                in.in = OA_IN_NO_ANSWER;
            }

            break;

        case OA_ACT_WAIT:
            if (act.wait == 0) {
                abort();
            }

            api->now += act.wait;
            api->waited += act.wait;
            in.in = OA_IN_WAITED;
            break;

        case OA_ACT_DONE:
            if (act.patch.len) {
                api_store(api, &act.patch);
            }

            break;

        default:
            api->retry = act.wait;
            snprintf(api->code, sizeof(api->code), "%s", act.code);
            snprintf(api->text, sizeof(api->text), "%.*s",
                     (int) act.text->len, act.text->data);
        }

        if (n == acts || act.act >= OA_ACT_DONE) {
            break;
        }
    }

    oa_provision_free(p);
}


#endif /* _OA_FLY_API_H_INCLUDED_ */
