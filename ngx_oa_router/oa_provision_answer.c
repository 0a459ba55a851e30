
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_provision_int.h"


static void oa_provision_volume(oa_provision_t *p,
    const oa_fly_volume_t *volume);
static ngx_uint_t oa_provision_is_ours(const oa_provision_t *p);
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
