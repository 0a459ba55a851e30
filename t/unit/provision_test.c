
/* The walk, over a small Machines API. */


#include "fly_walk.h"


#define ERROR(text)  "{\"error\":\"" text "\",\"status\":\"unknown\"}"


static void
test_whole(void)
{
    api_t  *api;

    walk_setup(WHOLE);
    api = walk_api();

    api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, 0);

    ok(walk_is_right(api, 1), "a machine is made");
    ok(strcmp(api->row.app, "oa-" KEY) == 0, "the app is named by the job");
    ok(strcmp(api->volumes[0].name, "oa_" KEY) == 0, "so is the volume");
    ok(strcmp(api->machines[0].name, "oa-" KEY) == 0, "so is the machine");
    ok(strcmp(api->row.region, "ams") == 0, "it is in the route's region");
    ok(api->requests == 6, "nothing is asked for twice");
    ok(api->execs == 1, "it is not personalized, but asked for its health");
    ok(api->waited == 0, "nothing is waited for");
    ok(strcmp(api->body[OA_FLY_APP], "{\"app_name\":\"oa-" KEY "\","
              "\"org_slug\":\"acme\",\"network\":\"oa-" KEY "\"}") == 0,
       "the app has a network of its own");
    ok(strcmp(api->body[OA_FLY_IP], "{\"type\":\"private_v6\",\"network\":"
              "\"oa-" KEY "\"}") == 0, "and an address there");
    ok(strcmp(api->body[OA_FLY_VOLUME], "{\"size_gb\":1,\"name\":\"oa_" KEY
              "\",\"region\":\"ams\"}") == 0, "the volume's body");
    ok(strcmp(api->body[OA_FLY_MACHINE], "{\"name\":\"oa-" KEY "\","
              "\"region\":\"ams\",\"config\":{\"image\":\"i\",\"mounts\":[{"
              "\"volume\":\"vol_1\",\"path\":\"/data\"}]}}") == 0,
       "the machine's body");
    ok(strcmp(api->path[OA_FLY_WAIT], "GET /apps/oa-" KEY "/machines/m1/wait?"
              "state=started&timeout=60") == 0, "the wait");
    ok(strcmp(api->row.state, "{}") == 0,
       "the volume is not known to be fresh any more");

    free(api);

    walk_setup(PROBED);
    api = walk_api();
    api->probe_fails = 20;
    ngx_str_set(&walk_conf.ip_network, "default");

    api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, 0);

    ok(walk_is_right(api, 0), "a machine is probed until it listens");
    ok(api->probes == 21 && api->calls[OA_FLY_MACHINE_GET] == 2,
       "and looked at in between");
    ok(strstr(api->body[OA_FLY_IP], "\"network\":\"default\"") != NULL,
       "an address in another network");
    ok(api->exceeded == 0, "within the rate limits");

    free(api);
}


static void
test_rate(void)
{
    api_t       *api;
    ngx_uint_t   i;

    static const char  names[] = "aabbccddeeffgghhiijj";

    walk_setup(VOLUME);
    api = walk_api();
    api->born = "replacing";

    api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, 0);

    ok(api->end == OA_ACT_FAILED && strcmp(api->code, "not_started") == 0,
       "a machine that never starts fails");
    ok(api->retry >= 2500 && api->retry <= 5000, "with another attempt");
    ok(api->exceeded == 0, "and asked within the rate limits");
    ok(api->nmachines == 1, "there is one machine only");

    free(api);

    api = walk_api();
    api_fault(api, OA_FLY_VOLUME, 0, 400, ERROR("no capacity"), NOTHING);

    for (i = 3; i < 10; i++) {
        walk_conf.regions[i].data = (u_char *) &names[i * 2];
        walk_conf.regions[i].len = 2;
    }

    walk_conf.nregions = 10;
    api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, 0);

    ok(api->end == OA_ACT_FAILED && api->calls[OA_FLY_VOLUME] == 10,
       "all regions are asked once");
    ok(api->exceeded == 0, "within the rate limits, too");

    free(api);
}


/* What an answer makes of the walk, wherever it can come. */

static void
test_refusals(void)
{
    api_t       *api;
    ngx_uint_t   i, right;

    static const struct {
        oa_fly_call_e    call;
        ngx_uint_t       nth;          /* 0: each */
        ngx_uint_t       status;
        const char      *body;
        ngx_uint_t       effect;
        ngx_uint_t       volumes;      /* at the end, 9: it fails */
        const char      *code;         /* or else the region */
        ngx_uint_t       final;
        const char      *name;
    } tests[] = {

#define EACH(call, name)                                                      \
    { call, 1, 500, "x", NOTHING, 1, "ams", 0, name ": 500" },                \
    { call, 1, 503, "x", EFFECT, 1, "ams", 0, name ": 503, but done" },       \
    { call, 1, 0, "", NOTHING, 1, "ams", 0, name ": no answer" },             \
    { call, 1, 0, "", EFFECT, 1, "ams", 0, name ": no answer, but done" },    \
    { call, 1, 200, "{\"id\":", EFFECT, 1, "ams", 0, name ": cut short" },    \
    { call, 1, 429, "x", NOTHING, 1, "ams", 0, name ": 429" },                \
    { call, 1, 409, ERROR("lease held"), NOTHING, 1, "ams", 0,                \
      name ": 409" },                                                         \
    { call, 1, 302, "", NOTHING, 1, "ams", 0, name ": 302" },                 \
    { call, 0, 500, "x", NOTHING, 9, "api_down", 0, name ": 500 always" },    \
    { call, 0, 429, "x", NOTHING, 9, "rate_limited", 0,                       \
      name ": 429 always" },                                                  \
    { call, 0, 401, "x", NOTHING, 9, "unauthorized", 0, name ": 401" },       \
    { call, 0, 400, ERROR("no"), NOTHING, 9, "refused", 1, name ": 400" }

        EACH(OA_FLY_APP, "app"),
        EACH(OA_FLY_IP, "ip"),
        EACH(OA_FLY_VOLUME, "volume"),
        EACH(OA_FLY_MACHINE, "machine"),

        /* a command is the same however often it runs */

        EACH(OA_FLY_EXEC, "health"),

        { OA_FLY_WAIT, 1, 408, ERROR("deadline_exceeded"), NOTHING, 1, "ams",
          0, "wait: 408" },
        { OA_FLY_WAIT, 1, 412, ERROR("x"), NOTHING, 1, "ams", 0,
          "wait: 412" },
        { OA_FLY_WAIT, 1, 500, "", NOTHING, 1, "ams", 0, "wait: 500" },
        { OA_FLY_WAIT, 1, 0, "", NOTHING, 1, "ams", 0, "wait: no answer" },
        { OA_FLY_WAIT, 0, 408, ERROR("deadline_exceeded"), NOTHING, 9,
          "not_started", 0, "wait: 408 always" },
        { OA_FLY_EXEC, 1, 412, ERROR("x"), NOTHING, 1, "ams", 0,
          "health: 412" },

        /* names */

        { OA_FLY_APP, 1, 422, ERROR("taken"), EFFECT, 1, "ams", 0,
          "an app that is ours already" },
        { OA_FLY_APP, 0, 422, ERROR("organization not found"), NOTHING, 9,
          "refused", 1, "an app that is taken by nobody" },
        { OA_FLY_APP, 1, 403, ERROR("x"), NOTHING, 9, "forbidden", 0,
          "an app that may not be made" },
        { OA_FLY_MACHINE, 1, 422,
          "{\"error\":\"x\",\"status\":\"name_taken\"}", EFFECT, 1, "ams", 0,
          "a machine that is ours already" },
        { OA_FLY_MACHINE, 0, 422,
          "{\"error\":\"x\",\"status\":\"name_taken\"}", NOTHING, 9,
          "name_taken", 0, "a machine's name that nobody has" },

        /* capacity */

        { OA_FLY_VOLUME, 1, 400, ERROR("no capacity in ams"), NOTHING, 1,
          "fra", 0, "volume: no capacity" },
        { OA_FLY_VOLUME, 1, 422,
          "{\"error\":\"x\",\"status\":\"insufficient_capacity\"}", NOTHING,
          1, "fra", 0, "volume: insufficient_capacity" },
        { OA_FLY_VOLUME, 1, 403, ERROR("over the allowed quota"), NOTHING, 1,
          "fra", 0, "volume: quota" },
        { OA_FLY_VOLUME, 0, 400, ERROR("no capacity in x"), NOTHING, 9,
          "no_capacity", 0, "volume: no capacity anywhere" },
        { OA_FLY_MACHINE, 1, 409, ERROR("insufficient memory"), NOTHING, 1,
          "fra", 0, "machine: insufficient memory" },
        { OA_FLY_MACHINE, 1, 412, ERROR("insufficient resources to create new "
          "machine with existing volume"), NOTHING, 1, "fra", 0,
          "machine: insufficient resources" },
        { OA_FLY_MACHINE, 1, 403, ERROR("over the allowed quota"), NOTHING, 1,
          "fra", 0, "machine: quota" },
        { OA_FLY_MACHINE, 0, 409, ERROR("insufficient memory"), NOTHING, 9,
          "no_capacity", 0, "machine: no memory anywhere" },

        /* volumes */

        { OA_FLY_MACHINE, 1, 412, ERROR("volume is already claimed by "
          "machine m1"), EFFECT, 1, "ams", 0, "a volume claimed by ours" },
        { OA_FLY_MACHINE, 1, 412, ERROR("volume is already claimed by "
          "machine m1"), NOTHING, 1, "ams", 0, "a volume claimed by none" },
        { OA_FLY_MACHINE, 0, 412, ERROR("volume is already claimed by "
          "machine m1"), NOTHING, 9, "volume_claimed", 0,
          "a volume claimed by none for ever" },
        { OA_FLY_MACHINE, 1, 400, ERROR("volume vol_1 not found"), NOTHING, 2,
          "ams", 0, "a volume that is not found" },
        { OA_FLY_MACHINE, 0, 400, ERROR("volume vol_1 not found"), NOTHING, 9,
          "volume_lost", 0, "volumes that are never found" },

        /* apps that come late, or are gone */

        { OA_FLY_IP, 1, 404, ERROR("app not found"), NOTHING, 1, "ams", 0,
          "ip: 404" },
        { OA_FLY_VOLUME, 1, 404, ERROR("app not found"), NOTHING, 1, "ams", 0,
          "volume: 404" },
        { OA_FLY_MACHINE, 1, 404, ERROR("app not found"), NOTHING, 1, "ams",
          0, "machine: 404" },
        { OA_FLY_MACHINE, 0, 404, ERROR("app not found"), NOTHING, 9,
          "app_not_found", 0, "machine: 404 always" }
    };

    walk_setup("{\"config\":{\"image\":\"i\"},\"volume\":{\"size_gb\":1,"
               "\"path\":\"/d\"},\"health\":[\"check\"]}");

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        api = walk_api();

        api_fault(api, tests[i].call, tests[i].nth, tests[i].status,
                  tests[i].body, tests[i].effect);

        api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, 0);

        if (tests[i].volumes != 9) {
            right = walk_is_right(api, tests[i].volumes)
                    && strcmp(api->row.region, tests[i].code) == 0
                    && api->napps == 1;

        } else {
            right = api->end == OA_ACT_FAILED
                    && strcmp(api->code, tests[i].code) == 0
                    && (api->retry == 0) == tests[i].final
                    && api->napps <= 1 && api->nips <= 1
                    && api_count(api->machines, api->nmachines) <= 1;
        }

        ok(right && api->exceeded == 0, "%s", tests[i].name);

        if (!right) {
            printf("# %d %s \"%s\", retry %d, %s; volumes %d\n", api->end,
                   api->code, api->text, (int) api->retry, api->row.region,
                   (int) api->nvolumes);
        }

        free(api);
    }
}


static void
test_names(void)
{
    api_t        *api;
    ngx_uint_t    i;

    walk_setup(VOLUME);
    api = walk_api();

    strcpy(api_add(api->apps, &api->napps, "app")->name, "oa-" KEY);
    strcpy(api->apps[0].state, "foreign");

    api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, 0);

    ok(walk_is_right(api, 1), "a foreign app has our name");
    ok(strcmp(api->row.app, "oa-" KEY "-1") == 0, "a new one has a new name");

    free(api);

    api = walk_api();

    for (i = 0; i < 8; i++) {
        snprintf(api_add(api->apps, &api->napps, "app")->name, API_TEXT,
                 i ? "oa-" KEY "-%d" : "oa-" KEY, (int) i);
        strcpy(api->apps[i].state, "foreign");
    }

    api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, 0);

    ok(api->end == OA_ACT_FAILED && strcmp(api->code, "name_taken") == 0,
       "not for ever");

    free(api);

    ngx_str_set(&walk_conf.org, "other");
    api = walk_api();
    strcpy(api_add(api->apps, &api->napps, "app")->name, "oa-" KEY);

    api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, 0);

    ok(walk_is_right(api, 1) && strcmp(api->row.app, "oa-" KEY "-1") == 0,
       "an app that we can see may be of another organization");

    free(api);
}


static void
test_errors(void)
{
    api_t  *api;

    walk_setup(VOLUME);
    api = walk_api();
    api_fault(api, OA_FLY_MACHINE, 0, 400, ERROR("bad\\nvalue: T=" TOKEN
              " \\u0007 end"), NOTHING);

    api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, 0);

    ok(strstr(api->body[OA_FLY_MACHINE], TOKEN) != NULL,
       "the machine is told its token");
    ok(api->end == OA_ACT_FAILED && strcmp(api->text, "bad value: *** end")
       == 0, "nobody else is");

    walk_conf.attempts = 3;
    memset(api->faults, 0, sizeof(api->faults));
    api->faults[0].call = OA_FLY_MACHINE;
    api->faults[0].status = 500;
    api->row.attempt = 1;
    api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, 0);
    ok(api->end == OA_ACT_FAILED && api->retry >= 5000
       && api->retry <= 10000, "the second attempt's backoff is twice");

    api->row.attempt = 2;
    api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, 0);
    ok(api->end == OA_ACT_FAILED && api->retry == 0,
       "the last attempt is final");

    free(api);

    api = walk_api();
    walk_conf.nregions = 0;
    api_fault(api, OA_FLY_VOLUME, 0, 400, "no capacity", NOTHING);
    api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, 0);
    ok(api->end == OA_ACT_FAILED && strcmp(api->code, "no_capacity") == 0,
       "the route's region is one");

    free(api);
}


static void
test_no_volume(void)
{
    api_t  *api;

    walk_setup(PLAIN);
    api = walk_api();
    api_fault(api, OA_FLY_MACHINE, 0, 400, ERROR("volume not found"),
              NOTHING);
    api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, 0);

    ok(api->end == OA_ACT_FAILED && api->retry == 0
       && strcmp(api->code, "volume_lost") == 0,
       "a volume is not found that was not asked for");
    free(api);

    api = walk_api();
    api_fault(api, OA_FLY_MACHINE, 1, 409, ERROR("insufficient memory"),
              NOTHING);
    api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, 0);

    ok(walk_is_right(api, 0) && strcmp(api->row.region, "fra") == 0,
       "a machine alone goes to the next region");
    free(api);
}


static void
test_pool(void)
{
    api_t        *api;
    ngx_uint_t    i;
    api_thing_t  *m;

    static const char * const  states[] = { "stopped", "suspended", "started",
                                            "starting" };

    walk_setup(WHOLE);
    walk_conf.pool = 1;

    api = walk_api();
    api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, 0);
    ok(walk_is_right(api, 1) && api->claims == 1,
       "an empty pool: a machine is made");
    free(api);

    for (i = 0; i < 4; i++) {
        api = walk_api();

        strcpy(api_add(api->apps, &api->napps, "app")->name, "pooled");
        strcpy(api_add(api->volumes, &api->nvolumes, "vol_p")->region, "fra");
        m = api_add(api->machines, &api->nmachines, "p");
        strcpy(m->app, "pooled");
        strcpy(m->volume, "vol_p1");
        strcpy(m->region, "fra");
        strcpy(m->state, states[i]);
        api->pool = "p1";

        api->exec_fails = 2;
        api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, 0);

        ok(walk_is_right(api, 1) && api->execs == 4
           && strstr(api->body[OA_FLY_EXEC], "check") != NULL
           && api->calls[OA_FLY_APP] == 0,
           "a machine of the pool that is %s, personalized at the third "
           "time", states[i]);
        ok(strcmp(api->row.state, "{}") == 0,
           "which is the route's then");

        free(api);
    }

    api = walk_api();
    strcpy(api_add(api->apps, &api->napps, "app")->name, "pooled");
    strcpy(api_add(api->volumes, &api->nvolumes, "vol_p")->region, "fra");
    m = api_add(api->machines, &api->nmachines, "p");
    strcpy(m->app, "pooled");
    strcpy(m->volume, "vol_p1");
    strcpy(m->region, "fra");
    strcpy(m->state, "failed");
    api->pool = "p1";

    api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, 0);
    ok(walk_is_right(api, 1) && api->nmachines == 2,
       "a machine of the pool that is dead: another one in its app");
    free(api);

    api = walk_api();
    walk_conf.pool = 1;
    api_walk(api, OA_PROVISION_POOL, &walk_conf, &walk_route, 0);
    ok(walk_is_right(api, 1) && api->claims == 0
       && strcmp(api->row.state, "{\"fresh\":1}") == 0,
       "an entry of the pool, whose volume is fresh");

    api_walk(api, OA_PROVISION_DESTROY, &walk_conf, &walk_route, 0);
    ok(api->end == OA_ACT_DONE
       && api_count(api->machines, api->nmachines) == 0
       && api_count(api->volumes, api->nvolumes) == 0
       && api_count(api->apps, api->napps) == 0, "and its end");

    api_walk(api, OA_PROVISION_DESTROY, &walk_conf, &walk_route, 0);
    ok(api->end == OA_ACT_DONE, "which can come twice");
    free(api);

    api = walk_api();
    strcpy(api_add(api->apps, &api->napps, "app")->name, "shared");
    strcpy(api->row.app, "shared");
    api_walk(api, OA_PROVISION_DESTROY, &walk_conf, &walk_route, 0);
    ok(api->end == OA_ACT_DONE && api->calls[OA_FLY_APP_DROP] == 0,
       "an app that was not made for it stays");
    free(api);
}


/* A route whose machine has died, or has no room any more. */

static void
test_again(void)
{
    api_t        *api;
    ngx_uint_t    i;

    static const char * const  dead[] = { "failed", "destroying",
                                          "launch_failed" };

    walk_setup(VOLUME);

    api = walk_api();
    walk_done(api);
    api->machines[0].gone = 1;
    strcpy(api->machines[0].state, "destroyed");
    api->row.machine[0] = '\0';
    api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, 0);
    ok(walk_is_right(api, 1) && api->nmachines == 2
       && strcmp(api->row.volume, "vol_1") == 0,
       "a machine that is gone: another one on its volume");
    ok(strcmp(api->machines[1].name, "oa-" KEY "-1") == 0,
       "of another name");
    free(api);

    api = walk_api();
    walk_done(api);
    api->machines[0].gone = 1;
    api->row.machine[0] = '\0';
    api->row.ip[0] = '\0';
    api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, 0);
    ok(walk_is_right(api, 1) && strcmp(api->row.ip, "fdaa:0:1::1") == 0,
       "an address that was not written down is found");
    free(api);

    for (i = 0; i < 3; i++) {
        api = walk_api();
        walk_done(api);
        strcpy(api->machines[0].state, dead[i]);
        api->row.machine[0] = '\0';
        api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, 0);
        ok(walk_is_right(api, 1) && api->nmachines == 2
           && strcmp(api->row.volume, "vol_1") == 0,
           "a machine that is %s goes first", dead[i]);
        free(api);
    }

    api = walk_api();
    walk_done(api);
    strcpy(api->machines[0].id, "m9");
    api->row.machine[0] = '\0';
    api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, 0);
    ok(walk_is_right(api, 1) && api->nmachines == 1
       && strcmp(api->row.machine, "m9") == 0,
       "one that is somewhere else now is taken");
    free(api);

    api = walk_api();
    walk_done(api);
    api->machines[0].gone = 1;
    api->row.machine[0] = '\0';
    api_fault(api, OA_FLY_MACHINE, 1, 412, ERROR("insufficient resources to "
              "create new machine with existing volume"), NOTHING);
    api_fault(api, OA_FLY_MACHINE, 2, 409, ERROR("insufficient memory"),
              NOTHING);
    api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, 0);
    ok(walk_is_right(api, 2) && strcmp(api->row.volume, "vol_3") == 0,
       "a volume with data is forked until there is room");
    ok(strcmp(api->volumes[1].volume, "vol_1") == 0
       && strcmp(api->volumes[2].volume, "vol_1") == 0
       && !api->volumes[0].gone && api->volumes[1].gone,
       "always of the first, which stays");
    ok(strstr(api->row.state, "\"old\":\"vol_1\"") != NULL,
       "and which the row knows");
    free(api);

    api = walk_api();
    walk_done(api);
    api->machines[0].gone = 1;
    api->row.machine[0] = '\0';
    api_fault(api, OA_FLY_MACHINE, 0, 409, ERROR("insufficient memory"),
              NOTHING);
    api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, 0);
    ok(api->end == OA_ACT_FAILED && api->retry && !api->volumes[0].gone,
       "no room anywhere: the volume stays");
    api->nfaults = 0;
    api->now += 60000;
    api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, 0);
    ok(walk_is_right(api, 2)
       && (strcmp(api->row.volume, "vol_1") == 0
           || strcmp(api_find(api->volumes, api->nvolumes,
                              api->row.volume)->volume, "vol_1") == 0),
       "and what was on it is there at the next attempt");
    free(api);

    api = walk_api();
    walk_done(api);
    api->napps = 0;
    api->nvolumes = 0;
    api->nmachines = 0;
    api->nips = 0;
    api->row.machine[0] = '\0';
    api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, 0);
    ok(walk_is_right(api, 1), "all of it is gone: all of it is made");
    free(api);
}


static void
test_wake(void)
{
    api_t       *api;
    ngx_uint_t   i;

    static const struct {
        oa_provision_task_e   task;
        const char           *state;
        oa_act_e              end;
        const char           *then;
        ngx_uint_t            starts;
    } tests[] = {
        { OA_PROVISION_WAKE, "started", OA_ACT_DONE, "started", 0 },
        { OA_PROVISION_WAKE, "stopped", OA_ACT_DONE, "started", 1 },
        { OA_PROVISION_WAKE, "suspended", OA_ACT_DONE, "started", 1 },
        { OA_PROVISION_WAKE, "starting", OA_ACT_DONE, "started", 0 },
        { OA_PROVISION_WAKE, "created", OA_ACT_DONE, "started", 0 },
        { OA_PROVISION_WAKE, "replacing", OA_ACT_FAILED, "replacing", 0 },
        { OA_PROVISION_WAKE, "stopping", OA_ACT_FAILED, "stopping", 0 },
        { OA_PROVISION_WAKE, "suspending", OA_ACT_FAILED, "suspending", 0 },
        { OA_PROVISION_WAKE, "nobody knows", OA_ACT_FAILED, "nobody knows",
          0 },
        { OA_PROVISION_WAKE, "failed", OA_ACT_GONE, "failed", 0 },
        { OA_PROVISION_WAKE, "destroying", OA_ACT_GONE, "destroying", 0 },
        { OA_PROVISION_WAKE, "destroyed", OA_ACT_GONE, "destroyed", 0 },
        { OA_PROVISION_WAKE, "replaced", OA_ACT_GONE, "replaced", 0 },
        { OA_PROVISION_WAKE, "migrated", OA_ACT_GONE, "migrated", 0 },
        { OA_PROVISION_CHECK, "stopped", OA_ACT_DONE, "stopped", 0 },
        { OA_PROVISION_CHECK, "replacing", OA_ACT_DONE, "replacing", 0 },
        { OA_PROVISION_CHECK, "destroyed", OA_ACT_GONE, "destroyed", 0 },
        { OA_PROVISION_CHECK, "failed", OA_ACT_GONE, "failed", 0 },
        { OA_PROVISION_SUSPEND, "started", OA_ACT_DONE, "suspended", 0 },
        { OA_PROVISION_SUSPEND, "stopped", OA_ACT_DONE, "stopped", 0 },
        { OA_PROVISION_SUSPEND, "destroyed", OA_ACT_GONE, "destroyed", 0 },
        { OA_PROVISION_STOP, "started", OA_ACT_DONE, "stopped", 0 },
        { OA_PROVISION_STOP, "suspended", OA_ACT_DONE, "suspended", 0 },
        { OA_PROVISION_STOP, "failed", OA_ACT_GONE, "failed", 0 }
    };

    walk_setup(VOLUME);

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        api = walk_api();
        walk_done(api);

        strcpy(api->machines[0].state, tests[i].state);
        api->row.stored = 0;
        api_walk(api, tests[i].task, &walk_conf, &walk_route, 0);

        ok(api->end == tests[i].end
           && strcmp(api->machines[0].state, tests[i].then) == 0
           && api->calls[OA_FLY_START] == tests[i].starts
           && api->row.stored == 0 && api->exceeded == 0,
           "task %d of a machine that is %s", tests[i].task, tests[i].state);
        free(api);
    }

    api = walk_api();
    walk_done(api);
    api->machines[0].state[0] = '\0';
    strcpy(api->machines[0].id, "m7");
    api_walk(api, OA_PROVISION_WAKE, &walk_conf, &walk_route, 0);
    ok(api->end == OA_ACT_GONE, "a machine that is not found is gone");
    free(api);

    api = walk_api();
    api_walk(api, OA_PROVISION_WAKE, &walk_conf, &walk_route, 0);
    ok(api->end == OA_ACT_GONE && api->requests == 0,
       "a route without a machine");
    free(api);

    for (i = 0; i < 5; i++) {

        static const struct {
            ngx_uint_t    status;
            const char   *body;
        } faults[] = {
            { 412, ERROR("failed_precondition: unable to start machine from "
              "current state: 'created'") },
            { 429, "" },
            { 500, "" },
            { 0, "" },
            { 412, ERROR("insufficient resources") }
        };

        api = walk_api();
        walk_done(api);
        strcpy(api->machines[0].state, "stopped");
        api_fault(api, OA_FLY_START, 1, faults[i].status, faults[i].body,
                  NOTHING);
        api_walk(api, OA_PROVISION_WAKE, &walk_conf, &walk_route, 0);
        ok(api->end == OA_ACT_DONE && api->calls[OA_FLY_START] == 2
           && api->exceeded == 0, "a start that was answered with %d",
           (int) faults[i].status);
        free(api);
    }

    api = walk_api();
    walk_done(api);
    strcpy(api->machines[0].state, "stopped");
    api_fault(api, OA_FLY_START, 0, 200, "{}", NOTHING);
    api_walk(api, OA_PROVISION_WAKE, &walk_conf, &walk_route, 0);
    ok(api->end == OA_ACT_FAILED && api->calls[OA_FLY_START] == 4
       && strcmp(api->code, "does_not_stay") == 0,
       "a machine that stops again and again");
    free(api);
}


static void
test_rows(void)
{
    ngx_uint_t           i;
    const char          *why;
    oa_provision_row_t   row;
    oa_provision_t      *p;

    static const char * const  states[] = {
        "x", "[]", "{\"serial\":-1}", "{\"serial\":100000}", "{\"fresh\":2}",
        "{\"source\":1}", "{\"source\":\"a/b\"}", "{\"at\":1,\"at\":1}"
    };

    walk_setup(PLAIN);

    for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        memset(&row, 0, sizeof(row));
        ngx_str_set(&row.id, "1");
        row.state.data = (u_char *) states[i];
        row.state.len = strlen(states[i]);

        p = oa_provision_new(OA_PROVISION_MAKE, &walk_conf, &row, &walk_route,
                             &why);
        ok(p == NULL, "a state of %s is none", states[i]);
    }

    memset(&row, 0, sizeof(row));
    p = oa_provision_new(OA_PROVISION_MAKE, &walk_conf, &row, &walk_route,
                         &why);
    ok(p == NULL, "a job without an id");

    ngx_str_set(&row.id, "1");
    ngx_str_set(&row.machine, "a/../b");
    p = oa_provision_new(OA_PROVISION_MAKE, &walk_conf, &row, &walk_route,
                         &why);
    ok(p == NULL, "an id with a slash");
}


int
main(void)
{
    test_whole();
    test_rate();
    test_refusals();
    test_names();
    test_errors();
    test_no_volume();
    test_pool();
    test_again();
    test_wake();
    test_rows();

    ngx_destroy_pool(walk_pool);

    return done_testing();
}
