
/* A provisioner and a route for the tests of the walk. */


#ifndef _OA_FLY_WALK_H_INCLUDED_
#define _OA_FLY_WALK_H_INCLUDED_


#include "fly_api.h"
#include "tap.h"


#define KEY    "536b2ffbe8fd00063b50"
#define TOKEN  "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I"

#define PLAIN      "{\"config\":{\"image\":\"i\",\"env\":{"                   \
                   "\"T\":\"{{machine_token}}\"}}}"
#define VOLUME     "{\"config\":{\"image\":\"i\",\"env\":{"                   \
                   "\"T\":\"{{machine_token}}\"}},"                           \
                   "\"volume\":{\"size_gb\":1,\"path\":\"/data\"}}"
#define WHOLE      "{\"config\":{\"image\":\"i\"},"                           \
                   "\"volume\":{\"size_gb\":1,\"path\":\"/data\"},"           \
                   "\"personalize\":[\"set\",\"{{machine_token}}\"],"         \
                   "\"health\":[\"check\"]}"
#define PROBED     "{\"config\":{\"image\":\"i\"},"                           \
                   "\"health\":{\"port\":80,\"path\":\"/\"}}"


static const oa_provision_route_t  walk_route = {
    ngx_string("r1"), ngx_string("u1"), ngx_string("a1"), ngx_string("ada"),
    ngx_string("ams"), ngx_string(TOKEN)
};

static oa_template_t        walk_template;
static oa_provision_conf_t  walk_conf;
static ngx_pool_t          *walk_pool;


static void
walk_setup(const char *template)
{
    ngx_str_t    json;
    const char  *why;

    if (walk_pool == NULL) {
        walk_pool = ngx_create_pool(1024, ngx_cycle->log);
    }

    json.data = (u_char *) template;
    json.len = strlen(template);

    if (walk_pool == NULL
        || oa_template_parse(&walk_template, &json, walk_pool, &why)
           != NGX_OK)
    {
        abort();
    }

    memset(&walk_conf, 0, sizeof(walk_conf));
    walk_conf.template = &walk_template;
    ngx_str_set(&walk_conf.org, "acme");
    ngx_str_set(&walk_conf.regions[0], "ams");
    ngx_str_set(&walk_conf.regions[1], "fra");
    ngx_str_set(&walk_conf.regions[2], "cdg");
    walk_conf.nregions = 3;
    walk_conf.retries = 5;
    walk_conf.timeout = 300000;
    walk_conf.backoff = 5000;
    walk_conf.backoff_max = 300000;
}


static api_t *
walk_api(void)
{
    api_t  *api;

    api = calloc(1, sizeof(api_t));
    if (api == NULL) {
        abort();
    }

    api->now = (ngx_msec_t) -5000;     /* the clock may turn over */

    return api;
}


/* A job that was done. */

static __attribute__((unused)) void
walk_done(api_t *api)
{
    api_walk(api, OA_PROVISION_MAKE, &walk_conf, &walk_route, 0);

    if (api->end != OA_ACT_DONE) {
        abort();
    }

    memset(api->calls, 0, sizeof(api->calls));
    api->now += 60000;
}


/*
 * Whatever happened: one machine that runs, with the only volume that is
 * there (or so many), and the row says so.
 */

static ngx_uint_t
walk_is_right(const api_t *api, ngx_uint_t volumes)
{
    ngx_uint_t          i, live;
    const api_thing_t  *m;

    m = NULL;
    live = 0;

    for (i = 0; i < api->nmachines; i++) {
        if (!api->machines[i].gone) {
            m = &api->machines[i];
            live++;
        }
    }

    if (api->end == OA_ACT_DONE && live == 1
        && strcmp(m->state, "started") == 0
        && strcmp(m->id, api->row.machine) == 0
        && strcmp(m->region, api->row.region) == 0
        && strcmp(m->volume, api->row.volume) == 0
        && strcmp(api->row.stage, "ready") == 0
        && api->row.app[0] && api->row.ip[0]
        && api_count(api->volumes, api->nvolumes) == volumes
        && api_count(api->ips, api->nips) <= 1)
    {
        return 1;
    }

    printf("# end %d %s %s, machines %d, volumes %d, ips %d; row %s %s %s %s "
           "%s %s\n", api->end, api->code, api->text, (int) live,
           (int) api_count(api->volumes, api->nvolumes), (int) api->nips,
           api->row.stage, api->row.app, api->row.volume, api->row.machine,
           api->row.region, api->row.state);

    return 0;
}


#endif /* _OA_FLY_WALK_H_INCLUDED_ */
