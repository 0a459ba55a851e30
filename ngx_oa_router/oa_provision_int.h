
/*
 * What the files of the walk share: oa_provision.c drives it,
 * oa_provision_move.c goes from step to step, oa_provision_row.c is about the
 * row.  oa_provision_step.c says what a step asks for, oa_provision_answer.c
 * what becomes of it (oa_provision_run.c: of a machine that is to run), and
 * oa_provision_refused.c if it was refused.
 */


#ifndef _OA_PROVISION_INT_H_INCLUDED_
#define _OA_PROVISION_INT_H_INCLUDED_


#include "oa_provision.h"


#define OA_PROVISION_KEY       20      /* hexadecimal digits of a job's hash */
#define OA_PROVISION_SERIAL    99999   /* the last */
#define OA_PROVISION_STARTS    3       /* of one machine in a walk */
#define OA_PROVISION_REPLACED  2       /* machines in a walk */

/* an id, or "-" and a serial number behind the key */
#define OA_PROVISION_NAME      (sizeof("oa--") - 1 + OA_PROVISION_KEY         \
                                + NGX_INT_T_LEN)


typedef enum {
    OA_STEP_CLAIM = 0,
    OA_STEP_APP,
    OA_STEP_APP_LOOK,
    OA_STEP_IP,
    OA_STEP_IP_LOOK,
    OA_STEP_VOLUME,
    OA_STEP_VOLUME_LOOK,
    OA_STEP_MACHINE,
    OA_STEP_MACHINE_LOOK,
    OA_STEP_STATE,
    OA_STEP_START,
    OA_STEP_WAIT,
    OA_STEP_PERSONALIZE,
    OA_STEP_HEALTH,
    OA_STEP_PROBE,
    OA_STEP_SUSPEND,
    OA_STEP_STOP,
    OA_STEP_DESTROY,
    OA_STEP_DESTROYED,
    OA_STEP_VOLUME_DROP,
    OA_STEP_APP_DROP,
    OA_STEPS
} oa_step_e;

typedef struct {
    oa_stage_e           stage;        /* NONE: as it was */
    oa_step_e            look;         /* was it done?  or itself */
    oa_fly_call_e        call;
    const char          *method;
    const char          *path;         /* @a app, @m machine, @o the other
                                          machine, @v volume, @t seconds */
    ngx_msec_t           gap;          /* between two of these */
    ngx_msec_t           timeout;
    ngx_int_t          (*body)(oa_provision_t *p);     /* or NULL */
    ngx_int_t          (*done)(oa_provision_t *p, const ngx_str_t *answer);
                                       /* NGX_ERROR: it cannot be read */
} oa_step_t;

extern const oa_step_t  oa_steps[OA_STEPS];


/* The "state" of a row. */
typedef struct {
    ngx_uint_t           serial;       /* of names */
    ngx_uint_t           at;           /* of the regions */
    ngx_uint_t           claimed;      /* it was the pool's */
    ngx_uint_t           fresh;        /* the volume was made by a walk, and
                                          no machine of the route that was
                                          ready had it; else it holds data */
    ngx_uint_t           lost;         /* a volume was, once */
    oa_fly_id_t          source;       /* the volume to be forked, or that the
                                          volume is a fork of */
    oa_fly_id_t          old;          /* that a volume in use was forked of */
} oa_provision_state_t;

struct oa_provision_s {
    oa_provision_task_e          task;
    const oa_provision_conf_t   *conf;
    const oa_provision_route_t  *route;
    ngx_str_t                    regions[OA_PROVISION_REGIONS + 1];
    ngx_uint_t                   nregions;
    ngx_uint_t                   attempt;
    u_char                       key[OA_PROVISION_KEY];

    /* the row */
    oa_stage_e                   stage;
    oa_fly_id_t                  app;
    oa_fly_id_t                  ip;
    oa_fly_id_t                  volume;
    oa_fly_id_t                  machine;
    oa_fly_id_t                  region;
    oa_provision_state_t         state;
    ngx_uint_t                   dirty;    /* not stored yet */

    /* the walk */
    oa_step_e                    step;
    oa_step_e                    back;     /* behind a look for the app, or
                                              OA_STEPS */
    oa_stage_e                   begun;    /* maybe, by another walk */
    oa_fly_id_t                  other;    /* a dead machine, to be destroyed;
                                              not of the row, maybe */
    ngx_uint_t                   failures; /* of the step */
    ngx_uint_t                   starts;
    ngx_uint_t                   replaced;
    ngx_uint_t                   probes;
    unsigned                     refused:1;       /* its name is taken, or its
                                                     volume claimed */
    unsigned                     personalized:1;
    unsigned                     made_app:1;      /* so nothing is in it */
    oa_fly_error_t               error;    /* the step's last */
    oa_reason_t                  refusal;  /* of what is taken */

    /* what is next */
    oa_act_e                     end;      /* or OA_ACT_STORE: not yet */
    ngx_msec_t                   pause;
    ngx_msec_t                   retry;    /* of OA_ACT_FAILED */

    ngx_msec_t                   began;
    ngx_msec_t                   now;
    uint32_t                     random;
    uint32_t                     asked;    /* bits of steps */
    ngx_msec_t                   last[OA_STEPS];

    u_char                      *body;     /* malloc()ed, or NULL */
    size_t                       body_len;
    u_char                       patch[OA_PROVISION_PATCH_MAX];
    char                         path[OA_PROVISION_PATH_MAX];
};


/* Moves (oa_provision_move.c) */

/* To the first step that the row lacks something of. */
void oa_provision_advance(oa_provision_t *p);

/* To this step, of which nothing has failed yet. */
void oa_provision_enter(oa_provision_t *p, oa_step_e step);

/* To this step after a pause, which is one failure more. */
void oa_provision_retry(oa_provision_t *p, oa_step_e step,
    ngx_uint_t retry_after);

/* To this step after a pause, which the timeout of the walk bounds. */
void oa_provision_pause(oa_provision_t *p, oa_step_e step, ngx_msec_t ms);

void oa_provision_end(oa_provision_t *p, oa_act_e end);

/* With the walk's error. */
void oa_provision_fail(oa_provision_t *p, ngx_uint_t final);

/* Sets the walk's error; text may be NULL. */
void oa_provision_error(oa_provision_t *p, const char *code,
    const char *text);

ngx_uint_t oa_provision_makes(const oa_provision_t *p);


/* Answers (oa_provision_answer.c) */

/* A machine is gone: another one, unless there were too many. */
void oa_provision_machine_lost(oa_provision_t *p);

/* (oa_provision_run.c): the machine runs; it is well, or not */
void oa_provision_started(oa_provision_t *p);
void oa_provision_probed(oa_provision_t *p, ngx_uint_t good);


/* Refusals (oa_provision_refused.c) */

void oa_provision_refused(oa_provision_t *p, ngx_uint_t retry_after);

/* The next region into the row; NGX_DECLINED: there is none, it failed. */
ngx_int_t oa_provision_next_region(oa_provision_t *p);


/* The row (oa_provision_row.c) */

/* Names that no step has asked for yet; NGX_ERROR: it failed. */
ngx_int_t oa_provision_rename(oa_provision_t *p);

/* Of sep "-" or "_".  buf has OA_PROVISION_NAME bytes. */
void oa_provision_name(const oa_provision_t *p, char sep, u_char *buf,
    ngx_str_t *name);

/* What all names of the job begin with. */
void oa_provision_base(const oa_provision_t *p, u_char *buf, ngx_str_t *name);

/* Copies the ids of a row; NGX_ERROR: *why. */
ngx_int_t oa_provision_load(oa_provision_t *p, const oa_provision_row_t *row,
    const char **why);

void oa_provision_patch(oa_provision_t *p, ngx_str_t *patch);

void oa_provision_set(oa_fly_id_t *id, const ngx_str_t *s);
void oa_provision_str(const oa_fly_id_t *id, ngx_str_t *s);


/* Requests (oa_provision_step.c) */

/* NGX_ERROR: no memory. */
ngx_int_t oa_provision_request(oa_provision_t *p, oa_act_t *act);
void oa_provision_drop_body(oa_provision_t *p);

/* What becomes of them */
ngx_int_t oa_done_app(oa_provision_t *p, const ngx_str_t *answer);
ngx_int_t oa_done_app_look(oa_provision_t *p, const ngx_str_t *answer);
ngx_int_t oa_done_ip(oa_provision_t *p, const ngx_str_t *answer);
ngx_int_t oa_done_ip_look(oa_provision_t *p, const ngx_str_t *answer);
ngx_int_t oa_done_volume(oa_provision_t *p, const ngx_str_t *answer);
ngx_int_t oa_done_volume_look(oa_provision_t *p, const ngx_str_t *answer);
ngx_int_t oa_done_machine(oa_provision_t *p, const ngx_str_t *answer);
ngx_int_t oa_done_machine_look(oa_provision_t *p, const ngx_str_t *answer);
ngx_int_t oa_done_state(oa_provision_t *p, const ngx_str_t *answer);
ngx_int_t oa_done_start(oa_provision_t *p, const ngx_str_t *answer);
ngx_int_t oa_done_wait(oa_provision_t *p, const ngx_str_t *answer);
ngx_int_t oa_done_personalize(oa_provision_t *p, const ngx_str_t *answer);
ngx_int_t oa_done_health(oa_provision_t *p, const ngx_str_t *answer);
ngx_int_t oa_done_sleep(oa_provision_t *p, const ngx_str_t *answer);
ngx_int_t oa_done_destroy(oa_provision_t *p, const ngx_str_t *answer);
ngx_int_t oa_done_destroyed(oa_provision_t *p, const ngx_str_t *answer);
ngx_int_t oa_done_volume_drop(oa_provision_t *p, const ngx_str_t *answer);
ngx_int_t oa_done_app_drop(oa_provision_t *p, const ngx_str_t *answer);


#endif /* _OA_PROVISION_INT_H_INCLUDED_ */
