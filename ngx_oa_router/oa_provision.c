
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_provision_int.h"


static void oa_provision_regions(oa_provision_t *p);
static void oa_provision_begin(oa_provision_t *p);
static void oa_provision_claimed(oa_provision_t *p,
    const oa_provision_row_t *row);
static void oa_provision_act(oa_provision_t *p, oa_act_t *act);
static void oa_provision_done(oa_provision_t *p);
static void oa_provision_answer(oa_provision_t *p,
    const oa_provision_in_t *in);


oa_provision_t *
oa_provision_new(oa_provision_task_e task, const oa_provision_conf_t *conf,
    const oa_provision_row_t *row, const oa_provision_route_t *route,
    const char **why)
{
    oa_provision_t  *p;

    p = calloc(1, sizeof(oa_provision_t));
    if (p == NULL) {
        *why = "no memory";
        return NULL;
    }

    p->task = task;
    p->conf = conf;
    p->route = route;
    p->back = OA_STEPS;

    if (oa_provision_load(p, row, why) != NGX_OK) {
        free(p);
        return NULL;
    }

    oa_provision_error(p, "timeout", NULL);
    oa_provision_regions(p);

    p->begun = p->stage;
    p->personalized = (p->stage >= OA_STAGE_HEALTH);

    return p;
}


void
oa_provision_free(oa_provision_t *p)
{
    oa_provision_drop_body(p);
    free(p);
}


/* The route's own first, none twice. */

static void
oa_provision_regions(oa_provision_t *p)
{
    ngx_uint_t        i, k;
    const ngx_str_t  *region;

    for (i = 0; i <= p->conf->nregions; i++) {
        region = (i == 0) ? &p->route->region : &p->conf->regions[i - 1];

        for (k = 0; k < p->nregions; k++) {
            if (region->len == p->regions[k].len
                && ngx_memcmp(region->data, p->regions[k].data, region->len)
                   == 0)
            {
                break;
            }
        }

        if (region->len && k == p->nregions) {
            p->regions[p->nregions++] = *region;
        }
    }
}


void
oa_provision_next(oa_provision_t *p, const oa_provision_in_t *in,
    oa_act_t *act)
{
    p->now = in->now;
    p->random = in->random;

    oa_provision_drop_body(p);

    switch (in->in) {

    case OA_IN_BEGIN:
        p->began = in->now;
        oa_provision_begin(p);
        break;

    case OA_IN_STORED:
        p->dirty = 0;
        break;

    case OA_IN_CLAIMED:
        oa_provision_claimed(p, in->row);
        break;

    case OA_IN_NOT_CLAIMED:
        oa_provision_advance(p);
        break;

    case OA_IN_WAITED:
        p->pause = 0;
        break;

    case OA_IN_ANSWER:
    case OA_IN_NO_ANSWER:
        oa_provision_answer(p, in);
        break;
    }

    oa_provision_act(p, act);
}


static void
oa_provision_begin(oa_provision_t *p)
{
    if (p->task == OA_PROVISION_DESTROY) {

        if (p->app.len == 0) {
            oa_provision_end(p, OA_ACT_DONE);
            return;
        }

        /* one may have been made and not been recorded */

        p->other = p->machine;
        p->step = p->machine.len ? OA_STEP_DESTROY : OA_STEP_MACHINE_LOOK;
        return;
    }

    if (!oa_provision_makes(p)) {

        if (p->app.len == 0 || p->machine.len == 0) {
            oa_provision_error(p, "no_machine", NULL);
            oa_provision_end(p, OA_ACT_GONE);
            return;
        }

        p->step = OA_STEP_STATE;
        return;
    }

    if (p->app.len == 0 && p->conf->pool && p->task == OA_PROVISION_MAKE) {
        oa_provision_enter(p, OA_STEP_CLAIM);
        return;
    }

    if (p->machine.len && p->stage == OA_STAGE_CLAIM) {
        p->state.claimed = 1;
        p->dirty = 1;
    }

    if (p->app.len && p->machine.len == 0
        && (p->stage < OA_STAGE_APP || p->stage > OA_STAGE_MACHINE))
    {
        /* it had a machine, whose remains may have its name and volume */

        if (oa_provision_rename(p) == NGX_OK) {
            p->begun = OA_STAGE_NONE;
            oa_provision_enter(p, OA_STEP_MACHINE);
            p->step = OA_STEP_MACHINE_LOOK;
        }

        return;
    }

    oa_provision_advance(p);
}


static void
oa_provision_claimed(oa_provision_t *p, const oa_provision_row_t *row)
{
    const char  *why;

    if (oa_provision_load(p, row, &why) != NGX_OK || p->machine.len == 0) {
        oa_provision_error(p, "bad_row", NULL);
        oa_provision_fail(p, 0);
        return;
    }

    p->state.claimed = 1;

    oa_provision_advance(p);
}


static void
oa_provision_answer(oa_provision_t *p, const oa_provision_in_t *in)
{
    oa_fly_error_t    error;
    const oa_step_t  *step;

    step = &oa_steps[p->step];

    if (p->step == OA_STEP_PROBE) {
        oa_provision_probed(p, in->in == OA_IN_ANSWER && in->status >= 200
                               && in->status < 400);
        return;
    }

    if (in->in == OA_IN_NO_ANSWER) {
        oa_provision_error(p, "no_answer", NULL);
        p->error.verdict = OA_FLY_RETRY;
        oa_provision_refused(p, 0);
        return;
    }

    oa_fly_error(&error, step->call, in->status, &in->answer);

    if (error.verdict != OA_FLY_OK) {
        p->error = error;

    } else if (step->done(p, &in->answer) != NGX_OK) {
        oa_provision_error(p, "bad_answer", NULL);
        p->error.verdict = OA_FLY_RETRY;

    } else {
        return;
    }

    oa_provision_refused(p, in->retry_after);
}


static void
oa_provision_act(oa_provision_t *p, oa_act_t *act)
{
    ngx_msec_t        spent, since;
    const oa_step_t  *step;

    ngx_memzero(act, sizeof(oa_act_t));

    spent = p->now - p->began;
    step = &oa_steps[p->step];

    /* nobody is to hold a job that could not go on before it has to end */

    if (p->end == OA_ACT_STORE
        && (spent >= p->conf->timeout || p->pause > p->conf->timeout - spent))
    {
        oa_provision_fail(p, 0);
    }

    if (p->end == OA_ACT_DONE) {
        if (oa_provision_makes(p)) {
            oa_provision_done(p);
            oa_provision_patch(p, &act->patch);
        }

        act->act = OA_ACT_DONE;
        return;
    }

    if (p->dirty) {
        act->act = OA_ACT_STORE;
        oa_provision_patch(p, &act->patch);
        return;
    }

    if (p->end != OA_ACT_STORE) {
        act->act = p->end;
        act->wait = p->retry;
        act->code = p->error.code;
        act->text = &p->error.text;
        return;
    }

    act->act = OA_ACT_WAIT;

    if (p->pause) {
        act->wait = p->pause;
        return;
    }

    if (p->step == OA_STEP_CLAIM) {
        act->act = OA_ACT_CLAIM;
        act->regions = p->regions;
        act->nregions = p->nregions;
        return;
    }

    since = p->now - p->last[p->step];

    if ((p->asked & ((uint32_t) 1 << p->step)) && since < step->gap) {
        act->wait = step->gap - since;
        return;
    }

    p->asked |= (uint32_t) 1 << p->step;
    p->last[p->step] = p->now;

    if (oa_provision_request(p, act) != NGX_OK) {
        oa_provision_drop_body(p);
        oa_provision_error(p, "no_memory", NULL);
        oa_provision_fail(p, 0);

        ngx_memzero(act, sizeof(oa_act_t));
        act->act = OA_ACT_FAILED;
        act->wait = p->retry;
        act->code = p->error.code;
        act->text = &p->error.text;
    }
}


/* What is left of the walk in the row of a job that is done. */

static void
oa_provision_done(oa_provision_t *p)
{
    p->stage = OA_STAGE_READY;
    p->state.at = 0;
    p->state.lost = 0;
    p->state.claimed = 0;

    if (p->task == OA_PROVISION_MAKE) {
        p->state.fresh = 0;
    }

    if (p->state.source.len) {
        p->state.old = p->state.source;
        p->state.source.len = 0;
    }
}


oa_stage_e
oa_provision_stage(const oa_provision_t *p)
{
    return p->stage;
}


void
oa_provision_placement(const oa_provision_t *p, ngx_str_t *app,
    ngx_str_t *machine, ngx_str_t *region)
{
    oa_provision_str(&p->app, app);
    oa_provision_str(&p->machine, machine);
    oa_provision_str(&p->region, region);
}
