
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_provision_int.h"


static void oa_refused_foreign(oa_provision_t *p);
static void oa_refused_absent(oa_provision_t *p);
static void oa_refused_no_app(oa_provision_t *p);
static void oa_refused_capacity(oa_provision_t *p);
static void oa_refused_lost(oa_provision_t *p);


void
oa_provision_refused(oa_provision_t *p, ngx_uint_t retry_after)
{
    switch (p->error.verdict) {

    case OA_FLY_OK:
    case OA_FLY_RETRY:
        oa_provision_retry(p, oa_steps[p->step].look, retry_after);
        break;

    case OA_FLY_REFUSED:
        oa_provision_retry(p, p->step, retry_after);
        break;

    case OA_FLY_TAKEN:
    case OA_FLY_CLAIMED:
        p->refused = 1;
        p->refusal = p->error.text;
        p->step = oa_steps[p->step].look;
        break;

    case OA_FLY_FOREIGN:
        oa_refused_foreign(p);
        break;

    case OA_FLY_ABSENT:
        oa_refused_absent(p);
        break;

    case OA_FLY_NO_APP:
        oa_refused_no_app(p);
        break;

    case OA_FLY_CAPACITY:
        oa_refused_capacity(p);
        break;

    case OA_FLY_LOST:
        oa_refused_lost(p);
        break;

    case OA_FLY_AGAIN:
        oa_provision_pause(p, oa_steps[p->step].look == p->step
                              && oa_steps[p->step].call != OA_FLY_EXEC
                              ? p->step : OA_STEP_STATE, 1000);
        break;

    case OA_FLY_LATER:
        oa_provision_fail(p, 0);
        break;

    case OA_FLY_FINAL:
        oa_provision_fail(p, 1);
        break;
    }
}


static void
oa_refused_foreign(oa_provision_t *p)
{
    ngx_uint_t  failures;

    if (p->ip.len || p->volume.len || p->machine.len) {

        /* it was ours, and what is in it still is */

        oa_provision_error(p, "forbidden", NULL);
        oa_provision_fail(p, 0);
        return;
    }

    p->app.len = 0;

    if (oa_provision_rename(p) != NGX_OK) {
        return;
    }

    failures = p->failures + 1;

    if (failures > p->conf->retries) {
        oa_provision_fail(p, 0);
        return;
    }

    oa_provision_advance(p);

    p->failures = failures;
}


static void
oa_refused_absent(oa_provision_t *p)
{
    if (p->step != OA_STEP_APP_LOOK) {

        if (oa_provision_makes(p)) {
            oa_provision_machine_lost(p);
            return;
        }

        oa_provision_end(p, OA_ACT_GONE);
        return;
    }

    if (p->refused) {

        /* nobody has the name, and it was refused: so something else was */

        oa_provision_error(p, "refused", NULL);
        p->error.text = p->refusal;
        oa_provision_fail(p, 1);
        return;
    }

    if (p->back != OA_STEPS) {

        /* and all that was in it went with it */

        p->ip.len = 0;
        p->volume.len = 0;
        p->machine.len = 0;
        p->state.source.len = 0;
        p->state.fresh = 0;
        p->back = OA_STEPS;
        p->stage = OA_STAGE_APP;
        p->dirty = 1;
    }

    p->step = OA_STEP_APP;
}


static void
oa_refused_no_app(oa_provision_t *p)
{
    oa_step_e  step;

    if (p->task == OA_PROVISION_DESTROY) {
        oa_provision_end(p, OA_ACT_DONE);
        return;
    }

    step = p->step;

    oa_provision_retry(p, OA_STEP_APP_LOOK, 0);

    p->back = step;
}


static void
oa_refused_capacity(oa_provision_t *p)
{
    oa_step_e  step;

    step = p->step;

    if (step == OA_STEP_MACHINE && p->volume.len
        && p->conf->template->texts[OA_TEMPLATE_VOLUME])
    {
        if (p->state.fresh) {
            p->step = OA_STEP_VOLUME_DROP;
            return;
        }

        if (oa_provision_next_region(p) != NGX_OK
            || oa_provision_rename(p) != NGX_OK)
        {
            return;
        }

        p->state.source = p->volume;
        p->volume.len = 0;

        oa_provision_enter(p, OA_STEP_VOLUME);
        return;
    }

    if (oa_provision_next_region(p) == NGX_OK) {
        oa_provision_enter(p, step);
    }
}


ngx_int_t
oa_provision_next_region(oa_provision_t *p)
{
    ngx_uint_t        i;
    const ngx_str_t  *region;

    p->dirty = 1;

    for (i = p->state.at + 1; i < p->nregions; i++) {
        region = &p->regions[i];

        if (region->len != p->region.len
            || ngx_memcmp(region->data, p->region.data, region->len) != 0)
        {
            p->state.at = i;
            oa_provision_set(&p->region, region);
            return NGX_OK;
        }
    }

    /* the next attempt begins with the first again */

    p->state.at = 0;

    if (p->volume.len == 0) {
        p->region.len = 0;
    }

    oa_provision_fail(p, 0);

    return NGX_DECLINED;
}


static void
oa_refused_lost(oa_provision_t *p)
{
    if (p->conf->template->texts[OA_TEMPLATE_VOLUME] == NULL) {

        /* one that the template names itself */

        oa_provision_fail(p, 1);
        return;
    }

    if (p->state.lost) {
        oa_provision_fail(p, 0);
        return;
    }

    p->state.lost = 1;

    if (p->step == OA_STEP_VOLUME) {
        p->state.source.len = 0;
    }

    p->volume.len = 0;
    p->state.fresh = 0;

    if (oa_provision_rename(p) == NGX_OK) {
        oa_provision_enter(p, OA_STEP_VOLUME);
    }
}
