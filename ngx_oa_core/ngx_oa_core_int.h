
/*
 * ngx_oa_core, for its own files only.
 */


#ifndef _NGX_OA_CORE_INT_H_INCLUDED_
#define _NGX_OA_CORE_INT_H_INCLUDED_


#include "ngx_oa_core.h"
#include "ngx_oa_http.h"
#include "ngx_oa_pg.h"
#include "ngx_oa_resolve.h"


#define NGX_OA_ZONE_DEFAULT  (64 * 1024 * 1024)
#define NGX_OA_ZONE_MIN      (1024 * 1024)
#define NGX_OA_ZONE_MAX      ((off_t) 2 * 1024 * 1024 * 1024)

#define NGX_OA_ZONE_PARTS    16
#define NGX_OA_DUTIES        32
#define NGX_OA_FLIGHTS       4096
#define NGX_OA_FLIGHT_WAYS   8

/*
 * Counters are kept by worker number, so that a hot one does not travel
 * between cores; two workers with one number share it by atomic adds.
 */
#define NGX_OA_COUNTER_SETS  16


/* What lies in the zone */


typedef struct {
    u_char                       name[16];
    void                        *addr;
    size_t                       size;
    ngx_uint_t                   torn;         /* and nobody knew how to put
                                                  it right */
} ngx_oa_shm_part_t;


typedef struct {
    u_char                       name[32];
    ngx_pid_t                    pid;          /* 0: nobody's */
    ngx_msec_t                   beat;
} ngx_oa_shm_duty_t;


typedef enum {
    NGX_OA_FLIGHT_FREE = 0,
    NGX_OA_FLIGHT_AIRBORNE,
    NGX_OA_FLIGHT_LANDED
} ngx_oa_flight_state_e;


typedef struct {
    uint64_t                     key;
    ngx_msec_t                   since;        /* of the present state */
    ngx_msec_t                   deadline;
    ngx_pid_t                    pid;
    int32_t                      rc;
    ngx_oa_flight_state_e        state;
} ngx_oa_shm_flight_t;


typedef struct {
    ngx_uint_t                   abi;
    ngx_pid_t                    writer;       /* left behind by a death */

    ngx_uint_t                   npages;
    u_char                      *pages;
    ngx_uint_t                   fresh;        /* first page never used */
    ngx_uint_t                   free;         /* first returned one + 1 */
    ngx_uint_t                   nfree;        /* returned ones */

    ngx_oa_shm_part_t            parts[NGX_OA_ZONE_PARTS];
    ngx_oa_shm_duty_t            duties[NGX_OA_DUTIES];
    ngx_oa_shm_flight_t          flights[NGX_OA_FLIGHTS];

    ngx_atomic_t                 counters[NGX_OA_COUNTER_SETS]
                                         [NGX_OA_COUNT_MAX];
} ngx_oa_shm_t;


/* What each process knows of it */


struct ngx_oa_zone_s {
    size_t                       size;
    ngx_shm_zone_t              *shm_zone;
    ngx_slab_pool_t             *shpool;
    ngx_oa_shm_t                *shm;
    ngx_array_t                  parts;        /* ngx_oa_zone_part_t * */
    ngx_log_t                   *log;
};


typedef struct {
    ngx_oa_duty_t               *duty;
    ngx_uint_t                   slot;
} ngx_oa_duty_slot_t;


typedef struct {
    ngx_oa_zone_t                zone;
    ngx_array_t                  duties;       /* ngx_oa_duty_slot_t */
    ngx_oa_fly_t                 fly;
    ngx_oa_http_conf_t           http;
    ngx_oa_pg_conf_t             pg;
    ngx_oa_resolve_conf_t        resolve;
    ngx_int_t                    request_id;   /* index of $request_id */
} ngx_oa_core_main_conf_t;


extern ngx_module_t  ngx_oa_core_module;

/* The zone of the running cycle; NULL while there is none. */
extern ngx_oa_zone_t  *ngx_oa_zone_running;


ngx_int_t ngx_oa_zone_create(ngx_conf_t *cf, ngx_oa_core_main_conf_t *cmcf);

/* Finds or makes the slot of each duty; with the lock held, in the master. */
ngx_int_t ngx_oa_duties_attach(ngx_oa_core_main_conf_t *cmcf, ngx_log_t *log);
ngx_int_t ngx_oa_duties_init_process(ngx_cycle_t *cycle,
    ngx_oa_core_main_conf_t *cmcf);
void ngx_oa_duties_exit_process(void);

void ngx_oa_flights_init_process(ngx_cycle_t *cycle);

#endif /* _NGX_OA_CORE_INT_H_INCLUDED_ */
