
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_provision_int.h"


#define OA_PROVISION_POLL    500       /* while a machine settles */
#define OA_PROVISION_SECOND  1000
#define OA_PROVISION_PROBES  8         /* then the machine is looked at */


static void oa_provision_health(oa_provision_t *p);


ngx_int_t
oa_done_state(oa_provision_t *p, const ngx_str_t *answer)
{
    oa_fly_machine_t  machine;

    if (oa_fly_machine(answer, &machine) != NGX_OK) {
        return NGX_ERROR;
    }

    if (oa_provision_makes(p)
        && (machine.region.len != p->region.len
            || ngx_memcmp(machine.region.data, p->region.data, p->region.len)
               != 0))
    {
        p->region = machine.region;
        p->dirty = 1;
    }

    if (machine.state == OA_FLY_DEAD || machine.state == OA_FLY_DESTROYED) {

        if (!oa_provision_makes(p)) {
            oa_provision_error(p, "machine_dead", NULL);
            oa_provision_end(p, OA_ACT_GONE);
            return NGX_OK;
        }

        if (machine.state == OA_FLY_DESTROYED) {
            oa_provision_machine_lost(p);
            return NGX_OK;
        }

        p->other = p->machine;
        p->step = OA_STEP_DESTROY;
        return NGX_OK;
    }

    if (p->task == OA_PROVISION_CHECK) {
        oa_provision_end(p, OA_ACT_DONE);
        return NGX_OK;
    }

    if (machine.state == OA_FLY_SETTLING) {
        oa_provision_pause(p, OA_STEP_STATE, OA_PROVISION_POLL);
        return NGX_OK;
    }

    if (p->task == OA_PROVISION_SUSPEND || p->task == OA_PROVISION_STOP) {

        if (machine.state == OA_FLY_STOPPED) {
            oa_provision_end(p, OA_ACT_DONE);

        } else if (machine.state == OA_FLY_STARTING) {
            oa_provision_pause(p, OA_STEP_STATE, OA_PROVISION_POLL);

        } else {
            p->step = (p->task == OA_PROVISION_STOP) ? OA_STEP_STOP
                                                     : OA_STEP_SUSPEND;
        }

        return NGX_OK;
    }

    if (machine.state == OA_FLY_STARTED) {
        oa_provision_started(p);

    } else if (machine.state == OA_FLY_STARTING) {
        p->step = OA_STEP_WAIT;

    } else {
        p->step = OA_STEP_START;
    }

    return NGX_OK;
}


ngx_int_t
oa_done_start(oa_provision_t *p, const ngx_str_t *answer)
{
    /* one that was started and has stopped again will do so once more */

    if (++p->starts > OA_PROVISION_STARTS) {
        oa_provision_error(p, "does_not_stay", NULL);
        oa_provision_fail(p, 0);
        return NGX_OK;
    }

    p->step = OA_STEP_WAIT;

    return NGX_OK;
}


ngx_int_t
oa_done_wait(oa_provision_t *p, const ngx_str_t *answer)
{
    oa_provision_started(p);

    return NGX_OK;
}


void
oa_provision_started(oa_provision_t *p)
{
    if (!oa_provision_makes(p)) {
        oa_provision_end(p, OA_ACT_DONE);
        return;
    }

    if (p->state.claimed && !p->personalized
        && p->conf->template->texts[OA_TEMPLATE_PERSONALIZE])
    {
        if (p->stage != OA_STAGE_PERSONALIZE) {
            oa_provision_enter(p, OA_STEP_PERSONALIZE);

        } else {
            p->step = OA_STEP_PERSONALIZE;
        }

        return;
    }

    oa_provision_health(p);
}


ngx_int_t
oa_done_personalize(oa_provision_t *p, const ngx_str_t *answer)
{
    u_char   text[sizeof("exit code ") + NGX_INT64_LEN];
    int64_t  code;

    if (oa_fly_exit_code(answer, &code) != NGX_OK) {
        return NGX_ERROR;
    }

    if (code != 0) {

        /* what it wrote may say what it was given */

        *ngx_sprintf(text, "exit code %L", code) = '\0';
        oa_provision_error(p, "personalize_failed", (char *) text);
        oa_provision_retry(p, OA_STEP_PERSONALIZE, 0);
        return NGX_OK;
    }

    p->personalized = 1;
    oa_provision_health(p);

    return NGX_OK;
}


static void
oa_provision_health(oa_provision_t *p)
{
    oa_step_e  step;

    if (p->conf->template->texts[OA_TEMPLATE_HEALTH]) {
        step = OA_STEP_HEALTH;

    } else if (p->conf->template->health_port) {
        step = OA_STEP_PROBE;

    } else {
        oa_provision_end(p, OA_ACT_DONE);
        return;
    }

    if (p->stage != OA_STAGE_HEALTH) {
        oa_provision_enter(p, step);

    } else {
        p->step = step;
    }
}


ngx_int_t
oa_done_health(oa_provision_t *p, const ngx_str_t *answer)
{
    int64_t  code;

    if (oa_fly_exit_code(answer, &code) != NGX_OK) {
        return NGX_ERROR;
    }

    oa_provision_probed(p, code == 0);

    return NGX_OK;
}


void
oa_provision_probed(oa_provision_t *p, ngx_uint_t good)
{
    if (good) {
        oa_provision_end(p, OA_ACT_DONE);
        return;
    }

    p->failures = 0;
    oa_provision_error(p, "unhealthy", NULL);

    oa_provision_pause(p, ++p->probes % OA_PROVISION_PROBES ? p->step
                                                            : OA_STEP_STATE,
                       p->step == OA_STEP_PROBE ? OA_PROVISION_POLL
                                                : OA_PROVISION_SECOND);
}


/* Suspended or stopped, or it will be. */

ngx_int_t
oa_done_sleep(oa_provision_t *p, const ngx_str_t *answer)
{
    oa_provision_end(p, OA_ACT_DONE);

    return NGX_OK;
}
