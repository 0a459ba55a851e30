
/*
 * A machine for a route: the walk through the Machines API that makes one,
 * finds it again, wakes it, or takes it away.
 *
 * A walk is driven from outside.  oa_provision_next() is told what became of
 * the last act and says which one is next, until one of the last three: the
 * walk does no I/O, knows no clock, and draws no lots.
 *
 * It may die between any two acts, and another goes on from the job's row
 * alone.  So:
 * - The row is written first.  Where something in it has changed, the next act
 *   is OA_ACT_STORE, and nothing is asked for before that is done.
 * - Names are made of the job's id and a serial number in the row.  The API
 *   refuses a second app or machine of a name: who has it is looked up, and is
 *   ours.  Volumes can have the same name: whoever comes to a step that may
 *   have been begun looks for the name first.
 * - An answer that did not come, or cannot be read, means that it may have
 *   been done.  What creates is not asked for again before a look.
 * - What was made is recorded as the API tells it, one id at a time.
 *
 * Every step has one refusal too many: OA_ACT_FAILED with the time after which
 * the job may be tried again; and all of a walk has a timeout.  Requests of
 * one kind keep the API's rate limits, 1 a second.
 *
 * A volume that a machine of the route has run with holds what its user did.
 * It is never dropped by a walk but one of OA_PROVISION_DESTROY: where it has
 * no room beside it for a machine, it is forked.
 *
 * Pure: answers in, acts out; no request, no event loop.  jansson allocates
 * while an answer is read; a body is malloc()ed, and cleansed before it goes.
 */


#ifndef _OA_PROVISION_H_INCLUDED_
#define _OA_PROVISION_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_fly.h"
#include "oa_template.h"


#define OA_PROVISION_REGIONS    16
#define OA_PROVISION_PATCH_MAX  1024
#define OA_PROVISION_PATH_MAX   256


typedef enum {
    OA_PROVISION_MAKE = 0,             /* a route's machine: from the pool,
                                          made, or found; it runs then */
    OA_PROVISION_POOL,                 /* an entry of the pool, made */
    OA_PROVISION_WAKE,                 /* the machine runs then, or is gone */
    OA_PROVISION_CHECK,                /* is it there?  one look */
    OA_PROVISION_SUSPEND,
    OA_PROVISION_STOP,
    OA_PROVISION_DESTROY               /* machine, volume, and the app if it
                                          was made for this job */
} oa_provision_task_e;

/* The stages of a row, in the order of the walk. */
typedef enum {
    OA_STAGE_NONE = 0,                 /* "", or one that is not known */
    OA_STAGE_CLAIM,
    OA_STAGE_APP,
    OA_STAGE_IP,
    OA_STAGE_VOLUME,
    OA_STAGE_MACHINE,
    OA_STAGE_START,
    OA_STAGE_PERSONALIZE,
    OA_STAGE_HEALTH,
    OA_STAGE_READY,
    OA_STAGES
} oa_stage_e;

/* "", "claim", "app", "ip", "volume", "machine", "start" ... "ready" */
extern const ngx_str_t  oa_stages[OA_STAGES];


/* Of a provisioner; stays while its walks do. */
typedef struct {
    const oa_template_t *template;
    ngx_str_t            org;          /* slug */
    ngx_str_t            app_network;  /* empty: one of its own, of its name */
    ngx_str_t            ip_network;   /* from where it can be reached; empty:
                                          that of the app */
    ngx_str_t            regions[OA_PROVISION_REGIONS];
    ngx_uint_t           nregions;
    ngx_uint_t           retries;      /* of one step */
    ngx_uint_t           attempts;     /* of a job, then it failed for good;
                                          0: no end */
    ngx_msec_t           timeout;      /* of a walk */
    ngx_msec_t           backoff;      /* of a job, doubled each time */
    ngx_msec_t           backoff_max;
    unsigned             pool:1;       /* there is one to claim from */
} oa_provision_conf_t;

/* A job's row as the database has it; copied.  Empty: NULL. */
typedef struct {
    ngx_str_t            id;           /* 1..64 bytes of any kind; of a job,
                                          or of an entry of the pool */
    ngx_str_t            stage;
    ngx_str_t            app;
    ngx_str_t            ip;
    ngx_str_t            volume;
    ngx_str_t            machine;
    ngx_str_t            region;       /* of the volume, or the machine, or
                                          where one is asked for */
    ngx_str_t            state;        /* JSON, this walk's own */
    ngx_uint_t           attempt;      /* that failed before */
} oa_provision_row_t;

/* What goes into the template; stays while the walk does.  region may be
   empty; it is where the route should be. */
typedef struct {
    ngx_str_t            route_id;
    ngx_str_t            user_id;
    ngx_str_t            agent_id;
    ngx_str_t            subdomain;
    ngx_str_t            region;
    ngx_str_t            machine_token;
} oa_provision_route_t;


typedef enum {
    OA_ACT_STORE = 0,                  /* patch into the row */
    OA_ACT_CLAIM,                      /* an entry of the pool, into the row;
                                          nearest first of regions */
    OA_ACT_REQUEST,                    /* to the Machines API */
    OA_ACT_PROBE,                      /* GET http://[the machine]:port/path:
                                          any answer below 400 is good */
    OA_ACT_WAIT,
    OA_ACT_DONE,                       /* with the last patch of the row */
    OA_ACT_GONE,                       /* there is no machine, or it is dead;
                                          not of OA_PROVISION_MAKE */
    OA_ACT_FAILED
} oa_act_e;

/* Strings live until the next call. */
typedef struct {
    oa_act_e             act;
    ngx_str_t            patch;        /* STORE, DONE: a JSON object with
                                          stage, app, ip, volume, machine,
                                          region (strings or null) and state
                                          (an object) */
    const ngx_str_t     *regions;      /* CLAIM */
    ngx_uint_t           nregions;
    oa_fly_call_e        call;         /* REQUEST: which, for metrics */
    const char          *method;       /* REQUEST, PROBE */
    const char          *path;         /* of the API's base, or the machine */
    ngx_str_t            body;         /* JSON; empty: none */
    ngx_uint_t           port;         /* PROBE */
    ngx_msec_t           timeout;      /* REQUEST, PROBE */
    ngx_msec_t           wait;         /* WAIT; FAILED: until another attempt,
                                          0: it is final */
    const char          *code;         /* FAILED, GONE: [a-z_]+ */
    const oa_reason_t   *text;         /* FAILED: more, maybe empty */
} oa_act_t;


typedef enum {
    OA_IN_BEGIN = 0,
    OA_IN_STORED,
    OA_IN_CLAIMED,                     /* row: what is in it now */
    OA_IN_NOT_CLAIMED,
    OA_IN_ANSWER,
    OA_IN_NO_ANSWER,                   /* or it was cut short, or too long */
    OA_IN_WAITED
} oa_in_e;

/* What became of an act. */
typedef struct {
    oa_in_e                    in;
    ngx_msec_t                 now;
    uint32_t                   random;
    ngx_uint_t                 status;       /* ANSWER */
    ngx_uint_t                 retry_after;  /* ANSWER: seconds, 0: none */
    ngx_str_t                  answer;       /* ANSWER */
    const oa_provision_row_t  *row;          /* CLAIMED */
} oa_provision_in_t;

typedef struct oa_provision_s  oa_provision_t;


/*
 * Begins a walk.  NULL: no memory, or *why is a static text that tells what is
 * wrong with the row, which is left as it is.  conf, and what route points to,
 * stay until oa_provision_free().
 */
oa_provision_t *oa_provision_new(oa_provision_task_e task,
    const oa_provision_conf_t *conf, const oa_provision_row_t *row,
    const oa_provision_route_t *route, const char **why);

/*
 * What became of the last act (OA_IN_BEGIN at first) in, the next act out.
 * Each act must be ended before the next call; that a row is not ours any more
 * ends the walk: it is freed.
 */
void oa_provision_next(oa_provision_t *p, const oa_provision_in_t *in,
    oa_act_t *act);

/* Where it is, for progress. */
oa_stage_e oa_provision_stage(const oa_provision_t *p);

/* The placement as it is known now, e.g. for a probe's host. */
void oa_provision_placement(const oa_provision_t *p, ngx_str_t *app,
    ngx_str_t *machine, ngx_str_t *region);

/* At any time; cleanses what is secret. */
void oa_provision_free(oa_provision_t *p);


#endif /* _OA_PROVISION_H_INCLUDED_ */
