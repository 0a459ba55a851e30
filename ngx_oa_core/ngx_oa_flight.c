
/*
 * Flights: one caller does, the others of all workers wait.
 *
 * Who waits in the pilot's own worker hears of the landing at once; the
 * other workers look every few milliseconds while somebody waits there.
 */


#include "ngx_oa_core_int.h"


#define NGX_OA_FLIGHT_POLL    10
#define NGX_OA_FLIGHT_GRACE   1000


static ngx_oa_shm_flight_t *ngx_oa_flight_find(uint64_t key);
static ngx_oa_shm_flight_t *ngx_oa_flight_place(uint64_t key);
static ngx_uint_t ngx_oa_flight_lost(ngx_oa_shm_flight_t *sf);
static void ngx_oa_flight_poll(ngx_event_t *ev);
static void ngx_oa_flights_deliver(ngx_queue_t *landed);


static ngx_queue_t       ngx_oa_flight_waiting;
static ngx_event_t       ngx_oa_flight_timer;
static ngx_connection_t  ngx_oa_flight_timer_conn;


void
ngx_oa_flights_init_process(ngx_cycle_t *cycle)
{
    ngx_queue_init(&ngx_oa_flight_waiting);

    ngx_oa_flight_timer_conn.fd = (ngx_socket_t) -1;
    ngx_oa_flight_timer.handler = ngx_oa_flight_poll;
    ngx_oa_flight_timer.data = &ngx_oa_flight_timer_conn;
    ngx_oa_flight_timer.log = cycle->log;
}


ngx_int_t
ngx_oa_flight_board(ngx_oa_flight_t *flight)
{
    ngx_int_t             rc;
    ngx_oa_shm_flight_t  *sf;

    rc = NGX_OK;

    ngx_oa_zone_lock(ngx_oa_zone_running);

    sf = ngx_oa_flight_find(flight->key);

    if (sf == NULL) {
        sf = ngx_oa_flight_place(flight->key);

    } else if (sf->state == NGX_OA_FLIGHT_AIRBORNE
               && !ngx_oa_flight_lost(sf))
    {
        rc = NGX_AGAIN;
    }

    if (rc == NGX_OK && sf) {
        sf->state = NGX_OA_FLIGHT_FREE;
        sf->key = flight->key;
        sf->pid = ngx_pid;
        sf->since = ngx_current_msec;
        sf->deadline = ngx_current_msec + flight->timeout;
        sf->rc = NGX_OK;
        ngx_memory_barrier();
        sf->state = NGX_OA_FLIGHT_AIRBORNE;
    }

    ngx_oa_zone_unlock(ngx_oa_zone_running);

    if (rc == NGX_AGAIN) {
        flight->deadline = ngx_current_msec + flight->timeout;
        ngx_queue_insert_tail(&ngx_oa_flight_waiting, &flight->queue);

        if (!ngx_oa_flight_timer.timer_set) {
            ngx_add_timer(&ngx_oa_flight_timer, NGX_OA_FLIGHT_POLL);
        }

    } else if (sf == NULL) {
        ngx_oa_count(NGX_OA_COUNT_FLIGHTS_FULL);
    }

    return rc;
}


void
ngx_oa_flight_leave(ngx_oa_flight_t *flight)
{
    ngx_queue_remove(&flight->queue);
}


void
ngx_oa_flight_land(uint64_t key, ngx_int_t rc)
{
    ngx_queue_t          *q, *next, landed;
    ngx_oa_flight_t      *flight;
    ngx_oa_shm_flight_t  *sf;

    ngx_oa_zone_lock(ngx_oa_zone_running);

    sf = ngx_oa_flight_find(key);

    if (sf && sf->state == NGX_OA_FLIGHT_AIRBORNE && sf->pid == ngx_pid) {
        sf->rc = rc;
        sf->since = ngx_current_msec;
        ngx_memory_barrier();
        sf->state = NGX_OA_FLIGHT_LANDED;
    }

    ngx_oa_zone_unlock(ngx_oa_zone_running);

    ngx_queue_init(&landed);

    for (q = ngx_queue_head(&ngx_oa_flight_waiting);
         q != ngx_queue_sentinel(&ngx_oa_flight_waiting);
         q = next)
    {
        next = ngx_queue_next(q);
        flight = ngx_queue_data(q, ngx_oa_flight_t, queue);

        if (flight->key == key) {
            flight->rc = rc;
            ngx_queue_remove(q);
            ngx_queue_insert_tail(&landed, q);
        }
    }

    ngx_oa_flights_deliver(&landed);
}


static void
ngx_oa_flight_poll(ngx_event_t *ev)
{
    ngx_queue_t          *q, *next, landed;
    ngx_oa_flight_t      *flight;
    ngx_oa_shm_flight_t  *sf;

    ngx_queue_init(&landed);

    for (q = ngx_queue_head(&ngx_oa_flight_waiting);
         q != ngx_queue_sentinel(&ngx_oa_flight_waiting);
         q = next)
    {
        next = ngx_queue_next(q);
        flight = ngx_queue_data(q, ngx_oa_flight_t, queue);

        /*
         * Read without the lock: an entry that changes meanwhile is seen
         * again by the next look.  One that has gone was landed long ago.
         */

        sf = ngx_oa_flight_find(flight->key);

        if (sf == NULL) {
            flight->rc = NGX_OK;

        } else if (sf->state == NGX_OA_FLIGHT_LANDED) {
            flight->rc = sf->rc;

        } else if (ngx_oa_flight_lost(sf)) {
            flight->rc = NGX_ABORT;

        } else if ((ngx_msec_int_t) (flight->deadline - ngx_current_msec)
                   <= 0)
        {
            flight->rc = NGX_BUSY;

        } else {
            continue;
        }

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&landed, q);
    }

    ngx_oa_flights_deliver(&landed);

    /* who waits is a request, and holds an exiting worker rightly */

    if (!ngx_queue_empty(&ngx_oa_flight_waiting) && !ev->timer_set) {
        ngx_add_timer(ev, NGX_OA_FLIGHT_POLL);
    }
}


/* A callback may board again, or leave for another that has landed too. */

static void
ngx_oa_flights_deliver(ngx_queue_t *landed)
{
    ngx_queue_t      *q;
    ngx_oa_flight_t  *flight;

    while (!ngx_queue_empty(landed)) {
        q = ngx_queue_head(landed);
        ngx_queue_remove(q);

        flight = ngx_queue_data(q, ngx_oa_flight_t, queue);
        flight->landed(flight, flight->rc);
    }
}


static ngx_oa_shm_flight_t *
ngx_oa_flight_find(uint64_t key)
{
    ngx_uint_t            i;
    ngx_oa_shm_flight_t  *sf;

    sf = &ngx_oa_zone_running->shm->flights[
             key % (NGX_OA_FLIGHTS / NGX_OA_FLIGHT_WAYS) * NGX_OA_FLIGHT_WAYS];

    for (i = 0; i < NGX_OA_FLIGHT_WAYS; i++) {
        if (sf[i].key == key && sf[i].state != NGX_OA_FLIGHT_FREE) {
            return &sf[i];
        }
    }

    return NULL;
}


/*
 * A free entry, a lost one, or the one that landed first: who still waits for
 * that one finds it gone, which is as good as landed.
 */

static ngx_oa_shm_flight_t *
ngx_oa_flight_place(uint64_t key)
{
    ngx_uint_t            i;
    ngx_oa_shm_flight_t  *sf, *landed;

    sf = &ngx_oa_zone_running->shm->flights[
             key % (NGX_OA_FLIGHTS / NGX_OA_FLIGHT_WAYS) * NGX_OA_FLIGHT_WAYS];

    landed = NULL;

    for (i = 0; i < NGX_OA_FLIGHT_WAYS; i++) {
        switch (sf[i].state) {

        case NGX_OA_FLIGHT_FREE:
            return &sf[i];

        case NGX_OA_FLIGHT_LANDED:

            if (landed == NULL
                || (ngx_msec_int_t) (sf[i].since - landed->since) < 0)
            {
                landed = &sf[i];
            }

            break;

        case NGX_OA_FLIGHT_AIRBORNE:

            if (ngx_oa_flight_lost(&sf[i])) {
                return &sf[i];
            }

            break;
        }
    }

    return landed;
}


/*
 * Overdue, or its pilot has died.  A pilot ends its own work at the deadline,
 * so it is given a while more than that.
 */

static ngx_uint_t
ngx_oa_flight_lost(ngx_oa_shm_flight_t *sf)
{
    return (ngx_msec_int_t) (ngx_current_msec - sf->deadline)
           > NGX_OA_FLIGHT_GRACE
           || !ngx_oa_alive(sf->pid);
}
