
/*
 * Duties: leases in the zone.
 */


#include "ngx_oa_core_int.h"


/*
 * A holder beats on every tick.  Whoever has not been heard for a while is
 * succeeded at once if its process is gone, and after the long time if it
 * merely stands still.
 */
#define NGX_OA_DUTY_TICK   100
#define NGX_OA_DUTY_QUIET  300
#define NGX_OA_DUTY_LOST   3000


static ngx_uint_t ngx_oa_duty_is_wanted(ngx_oa_core_main_conf_t *cmcf,
    ngx_oa_shm_duty_t *sd);
static void ngx_oa_duty_tick(ngx_event_t *ev);
static void ngx_oa_duty_try(ngx_oa_duty_slot_t *ds);
static void ngx_oa_duty_keep(ngx_oa_duty_slot_t *ds);
static void ngx_oa_duties_give_up(void);
static void ngx_oa_duty_shutdown(ngx_event_t *ev);
static ngx_int_t ngx_oa_duty_watch_shutdown(ngx_cycle_t *cycle);


static ngx_array_t       *ngx_oa_duties;
static ngx_event_t        ngx_oa_duty_timer;
static ngx_connection_t   ngx_oa_duty_timer_conn;
static ngx_connection_t  *ngx_oa_duty_sentinel;


ngx_int_t
ngx_oa_duties_attach(ngx_oa_core_main_conf_t *cmcf, ngx_log_t *log)
{
    ngx_uint_t           i, n, found;
    ngx_str_t           *name;
    ngx_oa_shm_duty_t   *sd;
    ngx_oa_duty_slot_t  *ds;

    ds = cmcf->duties.elts;

    for (i = 0; i < cmcf->duties.nelts; i++) {
        name = &ds[i].duty->name;
        found = NGX_OA_DUTIES;

        if (name->len >= sizeof(sd->name)) {
            ngx_log_error(NGX_LOG_EMERG, log, 0,
                          "the name of duty \"%V\" is too long", name);
            return NGX_ERROR;
        }

        for (n = 0; n < NGX_OA_DUTIES; n++) {
            sd = &cmcf->zone.shm->duties[n];

            if (ngx_strncmp(sd->name, name->data, name->len) == 0
                && sd->name[name->len] == '\0')
            {
                found = n;
                break;
            }

            /* a name of an earlier configuration is forgotten when free */

            if (found == NGX_OA_DUTIES && sd->pid == 0
                && !ngx_oa_duty_is_wanted(cmcf, sd))
            {
                found = n;
            }
        }

        if (found == NGX_OA_DUTIES) {
            ngx_log_error(NGX_LOG_EMERG, log, 0,
                          "zone \"ngx_oa\": no place for duty \"%V\"", name);
            return NGX_ERROR;
        }

        sd = &cmcf->zone.shm->duties[found];

        if (n == NGX_OA_DUTIES) {
            ngx_memzero(sd, sizeof(ngx_oa_shm_duty_t));
            ngx_memcpy(sd->name, name->data, name->len);
        }

        ds[i].slot = found;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_oa_duty_is_wanted(ngx_oa_core_main_conf_t *cmcf, ngx_oa_shm_duty_t *sd)
{
    ngx_str_t           *name;
    ngx_uint_t           i;
    ngx_oa_duty_slot_t  *ds;

    ds = cmcf->duties.elts;

    for (i = 0; i < cmcf->duties.nelts; i++) {
        name = &ds[i].duty->name;

        if (ngx_strncmp(sd->name, name->data, name->len) == 0
            && sd->name[name->len] == '\0')
        {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_oa_duties_init_process(ngx_cycle_t *cycle, ngx_oa_core_main_conf_t *cmcf)
{
    ngx_oa_duties = &cmcf->duties;

    if (ngx_oa_duties->nelts == 0) {
        return NGX_OK;
    }

    ngx_oa_duty_timer_conn.fd = (ngx_socket_t) -1;
    ngx_oa_duty_timer.handler = ngx_oa_duty_tick;
    ngx_oa_duty_timer.data = &ngx_oa_duty_timer_conn;
    ngx_oa_duty_timer.log = cycle->log;
    ngx_oa_duty_timer.cancelable = 1;

    /* not before the event loop runs: start() expects it */

    ngx_add_timer(&ngx_oa_duty_timer, 1);

    return ngx_oa_duty_watch_shutdown(cycle);
}


static void
ngx_oa_duty_tick(ngx_event_t *ev)
{
    ngx_uint_t           i;
    ngx_oa_duty_slot_t  *ds;

    if (ngx_exiting) {
        ngx_oa_duties_give_up();
        return;
    }

    ds = ngx_oa_duties->elts;

    for (i = 0; i < ngx_oa_duties->nelts; i++) {
        if (ds[i].duty->held) {
            ngx_oa_duty_keep(&ds[i]);

        } else {
            ngx_oa_duty_try(&ds[i]);
        }
    }

    ngx_add_timer(ev, NGX_OA_DUTY_TICK);
}


static void
ngx_oa_duty_try(ngx_oa_duty_slot_t *ds)
{
    ngx_pid_t           pid;
    ngx_msec_int_t      quiet;
    ngx_oa_shm_duty_t  *sd;

    sd = &ngx_oa_zone_running->shm->duties[ds->slot];

    pid = sd->pid;
    quiet = (ngx_msec_int_t) (ngx_current_msec - sd->beat);

    if (pid != 0
        && (quiet < NGX_OA_DUTY_QUIET
            || (quiet < NGX_OA_DUTY_LOST && ngx_oa_alive(pid))))
    {
        return;
    }

    ngx_oa_zone_lock(ngx_oa_zone_running);

    if (sd->pid != pid) {
        ngx_oa_zone_unlock(ngx_oa_zone_running);
        return;
    }

    sd->beat = ngx_current_msec;
    sd->pid = ngx_pid;

    ngx_oa_zone_unlock(ngx_oa_zone_running);

    if (pid == 0) {
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "duty \"%V\" taken", &ds->duty->name);

    } else {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "duty \"%V\" taken over from process %P, "
                      "unheard for %M ms",
                      &ds->duty->name, pid, (ngx_msec_t) quiet);
    }

    ds->duty->held = 1;
    ds->duty->start(ds->duty->data);
}


static void
ngx_oa_duty_keep(ngx_oa_duty_slot_t *ds)
{
    ngx_oa_shm_duty_t  *sd;

    sd = &ngx_oa_zone_running->shm->duties[ds->slot];

    if (sd->pid == ngx_pid) {
        sd->beat = ngx_current_msec;
        return;
    }

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "duty \"%V\" lost to process %P: this worker stood still "
                  "for over %d ms", &ds->duty->name, sd->pid,
                  NGX_OA_DUTY_LOST);

    ds->duty->held = 0;
    ds->duty->stop(ds->duty->data);
}


static void
ngx_oa_duties_give_up(void)
{
    ngx_uint_t           i;
    ngx_oa_shm_duty_t   *sd;
    ngx_oa_duty_slot_t  *ds;

    ds = ngx_oa_duties->elts;

    for (i = 0; i < ngx_oa_duties->nelts; i++) {
        if (!ds[i].duty->held) {
            continue;
        }

        ds[i].duty->held = 0;
        ds[i].duty->stop(ds[i].duty->data);

        sd = &ngx_oa_zone_running->shm->duties[ds[i].slot];

        ngx_oa_zone_lock(ngx_oa_zone_running);

        if (sd->pid == ngx_pid) {
            sd->pid = 0;
        }

        ngx_oa_zone_unlock(ngx_oa_zone_running);
    }
}


void
ngx_oa_duties_exit_process(void)
{
    if (ngx_oa_duties == NULL || ngx_oa_duties->nelts == 0) {
        return;
    }

    ngx_oa_duties_give_up();

    if (ngx_oa_duty_sentinel) {
        ngx_oa_duty_sentinel->fd = 0;
        ngx_free_connection(ngx_oa_duty_sentinel);
        ngx_oa_duty_sentinel->fd = (ngx_socket_t) -1;
        ngx_oa_duty_sentinel = NULL;
    }
}


/*
 * nginx has no hook for the begin of a graceful shutdown, but it calls the
 * read handlers of idle connections then.  So one connection, that has no
 * socket, is always idle.
 */

static ngx_int_t
ngx_oa_duty_watch_shutdown(ngx_cycle_t *cycle)
{
    ngx_connection_t  *c;

    c = ngx_get_connection(0, cycle->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->fd = (ngx_socket_t) -2;
    c->idle = 1;
    c->read->handler = ngx_oa_duty_shutdown;
    c->read->log = cycle->log;

    ngx_oa_duty_sentinel = c;

    return NGX_OK;
}


static void
ngx_oa_duty_shutdown(ngx_event_t *ev)
{
    ngx_oa_duties_give_up();
}
