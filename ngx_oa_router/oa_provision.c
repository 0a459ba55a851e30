
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_backoff.h"
#include "oa_provision_int.h"


#define OA_PROVISION_BACKOFF      1000   /* of a step */
#define OA_PROVISION_BACKOFF_MAX  30000
#define OA_PROVISION_RETRY_MAX    86400  /* seconds; of a Retry-After */


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


ngx_uint_t
oa_provision_makes(const oa_provision_t *p)
{
    return p->task == OA_PROVISION_MAKE || p->task == OA_PROVISION_POOL;
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
