
/*
 * A walk that dies behind each of its acts, whatever the API does meanwhile:
 * another goes on from the row, and nothing is made twice.
 */


#include "fly_walk.h"


typedef struct {
    const char          *template;
    ngx_uint_t           pool;         /* there is a machine to claim */
    ngx_uint_t           again;        /* the route's machine has died */
    oa_fly_call_e        call;         /* the first fails, or those that are
                                          not done in ams; OA_FLY_CALLS */
    ngx_uint_t           status;
    const char          *body;
    ngx_uint_t           effect;
    ngx_uint_t           volumes;
    const char          *name;
} deaths_t;


static api_t *
prepare(const deaths_t *d)
{
    api_t        *api;
    api_thing_t  *m;

    walk_setup(d->template);

    api = walk_api();

    if (d->again) {
        walk_done(api);
        strcpy(api->machines[0].state, "failed");
        api->row.machine[0] = '\0';
    }

    if (d->pool) {
        walk_conf.pool = 1;

        strcpy(api_add(api->apps, &api->napps, "app")->name, "pooled");
        strcpy(api_add(api->volumes, &api->nvolumes, "vol_p")->region, "fra");
        m = api_add(api->machines, &api->nmachines, "p");
        strcpy(m->app, "pooled");
        strcpy(m->volume, "vol_p1");
        strcpy(m->region, "fra");
        strcpy(m->state, "stopped");
        api->pool = "p1";
    }

    if (d->call == OA_FLY_MACHINE && d->effect == NOTHING) {
        api->full = "ams";
        api->full_status = d->status;
        api->full_error = d->body;

    } else if (d->call != OA_FLY_CALLS) {
        api_fault(api, d->call, 1, d->status, d->body, d->effect);
    }

    return api;
}


static void
test(const deaths_t *d)
{
    api_t       *api;
    ngx_uint_t   n, k, acts, apps, made, bad, step;

    api = prepare(d);
    acts = api->acts;
    api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, 0);

    ok(walk_is_right(api, d->volumes), "%s: alive", d->name);

    acts = api->acts - acts;
    apps = api->napps;
    made = api->nmachines;
    free(api);

    bad = 0;

    /* once, and once more on the way of the second */

    for (n = 1; n < acts; n++) {
        for (k = 0; k < acts; k++) {
            api = prepare(d);

            api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, n);

            if (k) {
                api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, k);
            }

            for (step = 0; step < 3 && api->end != OA_ACT_DONE; step++) {
                api->now += 1000;
                api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, 0);
            }

            if (!walk_is_right(api, d->volumes) || api->napps != apps
                || api->nmachines != made)
            {
                printf("# died behind act %d, and %d: %d apps, %d machines\n",
                       (int) n, (int) k, (int) api->napps,
                       (int) api->nmachines);
                bad++;
            }

            free(api);
        }
    }

    ok(bad == 0, "%s: dead behind each of %d acts", d->name, (int) acts);
}


int
main(void)
{
    ngx_uint_t  i;

    static const deaths_t  tests[] = {

        { PLAIN, 0, 0, OA_FLY_CALLS, 0, NULL, 0, 0, "a machine" },
        { VOLUME, 0, 0, OA_FLY_CALLS, 0, NULL, 0, 1, "with a volume" },
        { WHOLE, 0, 0, OA_FLY_CALLS, 0, NULL, 0, 1, "with a health" },
        { WHOLE, 1, 0, OA_FLY_CALLS, 0, NULL, 0, 1, "of the pool" },
        { VOLUME, 0, 1, OA_FLY_CALLS, 0, NULL, 0, 1, "another one" },

        { VOLUME, 0, 0, OA_FLY_APP, 503, "", EFFECT, 1, "app: 503" },
        { VOLUME, 0, 0, OA_FLY_IP, 503, "", EFFECT, 1, "ip: 503" },
        { VOLUME, 0, 0, OA_FLY_VOLUME, 503, "", EFFECT, 1, "volume: 503" },
        { VOLUME, 0, 0, OA_FLY_MACHINE, 503, "", EFFECT, 1, "machine: 503" },
        { VOLUME, 0, 0, OA_FLY_VOLUME, 400, "no capacity", NOTHING, 1,
          "volume: no capacity" },
        { VOLUME, 0, 0, OA_FLY_MACHINE, 409, "insufficient memory", NOTHING,
          1, "machine: no capacity" },
        { VOLUME, 0, 1, OA_FLY_MACHINE, 412, "insufficient resources",
          NOTHING, 2, "another one: no capacity" }
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        test(&tests[i]);
    }

    ngx_destroy_pool(walk_pool);

    return done_testing();
}
