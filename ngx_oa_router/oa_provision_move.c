
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_backoff.h"
#include "oa_provision_int.h"


#define OA_PROVISION_BACKOFF      1000   /* of a step */
#define OA_PROVISION_BACKOFF_MAX  30000
#define OA_PROVISION_RETRY_MAX    86400  /* seconds; of a Retry-After */


ngx_uint_t
oa_provision_makes(const oa_provision_t *p)
{
    return p->task == OA_PROVISION_MAKE || p->task == OA_PROVISION_POOL;
}


void
oa_provision_advance(oa_provision_t *p)
{
    u_char     buf[OA_PROVISION_NAME];
    ngx_str_t  name;

    if (p->machine.len) {
        oa_provision_enter(p, OA_STEP_STATE);
        return;
    }

    if (p->app.len == 0) {
        oa_provision_name(p, '-', buf, &name);
        oa_provision_set(&p->app, &name);

        p->begun = OA_STAGE_NONE;
        oa_provision_enter(p, OA_STEP_APP);
        return;
    }

    if (p->begun == OA_STAGE_APP) {
        oa_provision_enter(p, OA_STEP_APP);
        return;
    }

    if (p->ip.len == 0) {
        oa_provision_enter(p, OA_STEP_IP);
        return;
    }

    if (p->volume.len == 0 && p->conf->template->texts[OA_TEMPLATE_VOLUME]) {
        oa_provision_enter(p, OA_STEP_VOLUME);
        return;
    }

    oa_provision_enter(p, OA_STEP_MACHINE);
}


void
oa_provision_enter(oa_provision_t *p, oa_step_e step)
{
    oa_stage_e  stage;

    p->step = step;
    p->failures = 0;
    p->refused = 0;
    p->back = OA_STEPS;

    oa_provision_error(p, "timeout", NULL);

    if (!oa_provision_makes(p)) {
        return;
    }

    stage = oa_steps[step].stage;

    if (step == OA_STEP_VOLUME || step == OA_STEP_MACHINE) {

        if (p->nregions == 0 && p->region.len == 0) {
            oa_provision_error(p, "no_region", NULL);
            oa_provision_fail(p, 1);
            return;
        }

        if (p->region.len == 0) {
            p->state.at = (p->state.at < p->nregions) ? p->state.at : 0;
            oa_provision_set(&p->region, &p->regions[p->state.at]);
            p->dirty = 1;
        }
    }

    if (stage != OA_STAGE_NONE && stage != p->stage) {
        p->stage = stage;
        p->dirty = 1;
    }

    if (p->begun == stage && stage <= OA_STAGE_MACHINE
        && oa_steps[step].look != OA_STEPS)
    {
        p->step = oa_steps[step].look;
    }

    /* an app that was there may have an address that nobody wrote down */

    if (step == OA_STEP_IP && !p->made_app) {
        p->step = OA_STEP_IP_LOOK;
    }

    p->begun = OA_STAGE_NONE;
}


void
oa_provision_retry(oa_provision_t *p, oa_step_e step, ngx_uint_t retry_after)
{
    p->step = step;
    p->failures++;
    p->pause = (ngx_msec_t) ngx_min(retry_after, OA_PROVISION_RETRY_MAX)
               * 1000;

    if (p->failures > p->conf->retries) {
        oa_provision_fail(p, 0);
        return;
    }

    if (p->pause == 0) {
        p->pause = oa_backoff(OA_PROVISION_BACKOFF, OA_PROVISION_BACKOFF_MAX,
                              p->failures, p->random);
    }
}


void
oa_provision_pause(oa_provision_t *p, oa_step_e step, ngx_msec_t ms)
{
    p->step = step;
    p->pause = ms;
}


void
oa_provision_end(oa_provision_t *p, oa_act_e end)
{
    p->end = end;
}


void
oa_provision_fail(oa_provision_t *p, ngx_uint_t final)
{
    ngx_msec_t                  ms;
    const oa_provision_conf_t  *conf;

    conf = p->conf;
    p->end = OA_ACT_FAILED;
    p->retry = 0;

    if (final || (conf->attempts && p->attempt + 1 >= conf->attempts)) {
        return;
    }

    ms = oa_backoff(conf->backoff, conf->backoff_max, p->attempt + 1,
                    p->random);

    p->retry = ngx_max(ngx_max(ms, p->pause), 1);
}


void
oa_provision_error(oa_provision_t *p, const char *code, const char *text)
{
    ngx_str_t  s;

    s.data = (u_char *) text;
    s.len = text ? ngx_strlen(text) : 0;

    p->error.code = code;
    oa_reason(&p->error.text, &s);
}
