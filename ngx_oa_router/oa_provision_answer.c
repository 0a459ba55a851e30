
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_provision_int.h"


#define OA_PROVISION_POLL    500       /* while a machine settles */
#define OA_PROVISION_SECOND  1000
#define OA_PROVISION_PROBES  8         /* then the machine is looked at */


static void oa_provision_volume(oa_provision_t *p,
    const oa_fly_volume_t *volume);
static ngx_uint_t oa_provision_is_ours(const oa_provision_t *p);
static void oa_provision_health(oa_provision_t *p);
static void oa_provision_clear(oa_provision_t *p);


ngx_int_t
oa_done_app(oa_provision_t *p, const ngx_str_t *answer)
{
    oa_fly_id_t  org;

    if (oa_fly_app(answer, &org) != NGX_OK) {
        return NGX_ERROR;
    }

    p->made_app = 1;
    oa_provision_advance(p);

    return NGX_OK;
}


ngx_int_t
oa_done_app_look(oa_provision_t *p, const ngx_str_t *answer)
{
    oa_fly_id_t       org;
    const ngx_str_t  *our;

    if (oa_fly_app(answer, &org) != NGX_OK) {
        return NGX_ERROR;
    }

    if (p->back != OA_STEPS) {

        /* it is there: what was not found will be */

        oa_provision_retry(p, p->back, 0);
        p->back = OA_STEPS;
        return NGX_OK;
    }

    our = &p->conf->org;

    if (org.len && our->len
        && (org.len != our->len
            || ngx_memcmp(org.data, our->data, org.len) != 0))
    {
        oa_provision_error(p, "name_taken", NULL);
        p->error.verdict = OA_FLY_FOREIGN;
        oa_provision_refused(p, 0);
        return NGX_OK;
    }

    oa_provision_advance(p);

    return NGX_OK;
}


ngx_int_t
oa_done_ip(oa_provision_t *p, const ngx_str_t *answer)
{
    if (oa_fly_ip(answer, &p->ip) != NGX_OK) {
        return NGX_ERROR;
    }

    p->dirty = 1;
    oa_provision_advance(p);

    return NGX_OK;
}


ngx_int_t
oa_done_ip_look(oa_provision_t *p, const ngx_str_t *answer)
{
    ngx_int_t  rc;

    rc = oa_fly_find_ip(answer, &p->ip);

    if (rc == NGX_DECLINED) {
        p->step = OA_STEP_IP;
        return NGX_OK;
    }

    if (rc == NGX_OK) {
        p->dirty = 1;
        oa_provision_advance(p);
    }

    return rc;
}


ngx_int_t
oa_done_volume(oa_provision_t *p, const ngx_str_t *answer)
{
    oa_fly_volume_t  volume;

    if (oa_fly_volume(answer, &volume) != NGX_OK) {
        return NGX_ERROR;
    }

    oa_provision_volume(p, &volume);
    oa_provision_advance(p);

    return NGX_OK;
}


ngx_int_t
oa_done_volume_look(oa_provision_t *p, const ngx_str_t *answer)
{
    u_char           buf[OA_PROVISION_NAME];
    ngx_int_t        rc;
    ngx_str_t        name;
    oa_fly_volume_t  volume;

    oa_provision_name(p, '_', buf, &name);

    rc = oa_fly_find_volume(answer, &name, &volume);

    if (rc == NGX_DECLINED) {
        p->step = OA_STEP_VOLUME;
        return NGX_OK;
    }

    if (rc == NGX_OK) {
        oa_provision_volume(p, &volume);
        oa_provision_advance(p);
    }

    return rc;
}


static void
oa_provision_volume(oa_provision_t *p, const oa_fly_volume_t *volume)
{
    p->volume = volume->id;
    p->region = volume->region;
    p->state.fresh = 1;
    p->dirty = 1;
}


ngx_int_t
oa_done_machine(oa_provision_t *p, const ngx_str_t *answer)
{
    oa_fly_machine_t  machine;

    if (oa_fly_machine(answer, &machine) != NGX_OK) {
        return NGX_ERROR;
    }

    p->machine = machine.id;
    p->region = machine.region;
    p->dirty = 1;

    oa_provision_enter(p, OA_STEP_WAIT);

    return NGX_OK;
}


/*
 * Whatever has a name of the job or its volume is the job's: it is taken as it
 * is, or out of the way if it is dead.
 */

ngx_int_t
oa_done_machine_look(oa_provision_t *p, const ngx_str_t *answer)
{
    u_char            buf[OA_PROVISION_NAME];
    ngx_int_t         rc;
    ngx_str_t         name, volume;
    oa_fly_machine_t  machine;

    oa_provision_base(p, buf, &name);
    oa_provision_str(&p->volume, &volume);

    rc = oa_fly_find_machine(answer, &name, &volume, &machine);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED) {

        if (p->task == OA_PROVISION_DESTROY) {
            p->other.len = 0;
            return oa_done_destroyed(p, answer);
        }

        if (p->refused) {

            /* a list may be behind: what is there can be seen later */

            oa_provision_retry(p, OA_STEP_MACHINE, 0);
            p->refused = 0;
            return NGX_OK;
        }

        if (p->failures == 0) {
            oa_provision_advance(p);

        } else {
            p->step = OA_STEP_MACHINE;
        }

        return NGX_OK;
    }

    if (machine.state == OA_FLY_DEAD || p->task == OA_PROVISION_DESTROY) {
        p->other = machine.id;
        p->step = OA_STEP_DESTROY;
        return NGX_OK;
    }

    p->machine = machine.id;
    p->region = machine.region;
    p->dirty = 1;

    oa_provision_advance(p);

    return NGX_OK;
}


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


ngx_int_t
oa_done_destroy(oa_provision_t *p, const ngx_str_t *answer)
{
    p->step = OA_STEP_DESTROYED;

    return NGX_OK;
}


ngx_int_t
oa_done_destroyed(oa_provision_t *p, const ngx_str_t *answer)
{
    if (p->task != OA_PROVISION_DESTROY) {
        oa_provision_machine_lost(p);
        return NGX_OK;
    }

    if (p->volume.len) {
        p->step = OA_STEP_VOLUME_DROP;

    } else if (oa_provision_is_ours(p)) {
        p->step = OA_STEP_APP_DROP;

    } else {
        oa_provision_end(p, OA_ACT_DONE);
    }

    return NGX_OK;
}


/* The app was made for this job, of whatever serial number. */

static ngx_uint_t
oa_provision_is_ours(const oa_provision_t *p)
{
    u_char     buf[OA_PROVISION_NAME];
    ngx_str_t  name;

    oa_provision_base(p, buf, &name);

    return p->app.len >= name.len
           && ngx_memcmp(p->app.data, name.data, name.len) == 0
           && (p->app.len == name.len || p->app.data[name.len] == '-');
}


ngx_int_t
oa_done_volume_drop(oa_provision_t *p, const ngx_str_t *answer)
{
    p->volume.len = 0;
    p->state.fresh = 0;

    if (p->task == OA_PROVISION_DESTROY) {
        return oa_done_destroyed(p, answer);
    }

    /* it had no room beside it, and nothing on it */

    if (oa_provision_rename(p) == NGX_OK
        && oa_provision_next_region(p) == NGX_OK)
    {
        oa_provision_enter(p, OA_STEP_VOLUME);
    }

    return NGX_OK;
}


ngx_int_t
oa_done_app_drop(oa_provision_t *p, const ngx_str_t *answer)
{
    oa_provision_end(p, OA_ACT_DONE);

    return NGX_OK;
}


void
oa_provision_machine_lost(oa_provision_t *p)
{
    oa_provision_clear(p);

    if (++p->replaced > OA_PROVISION_REPLACED) {
        oa_provision_error(p, "machine_dead", NULL);
        oa_provision_fail(p, 0);
        return;
    }

    oa_provision_advance(p);
}


static void
oa_provision_clear(oa_provision_t *p)
{
    p->machine.len = 0;
    p->starts = 0;
    p->dirty = 1;

    (void) oa_provision_rename(p);
}
