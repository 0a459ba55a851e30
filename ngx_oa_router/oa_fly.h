
/*
 * The Machines API of Fly.io: what its answers mean.
 * https://fly.io/docs/machines/api/
 *
 * Nothing that it says is taken as it is: an id that could not stand in a
 * path or a host's name makes the answer unreadable.  What is to be done about
 * a refusal is a table (oa_fly_error.c), whatever the walk that asked.
 *
 * Pure: bytes in, struct out; no request, no event loop.  jansson allocates
 * while an answer is read.
 */


#ifndef _OA_FLY_H_INCLUDED_
#define _OA_FLY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_reason.h"


#define OA_FLY_ID_MAX  63

/* [a-z0-9_-]{1,63}; of an address also ":" and "."; empty: none */
typedef struct {
    size_t               len;
    u_char               data[OA_FLY_ID_MAX + 1];
} oa_fly_id_t;

/* What a state of a machine comes to. */
typedef enum {
    OA_FLY_SETTLING = 0,               /* look again; also a state unknown */
    OA_FLY_STARTING,                   /* can be waited for */
    OA_FLY_STARTED,
    OA_FLY_STOPPED,                    /* or suspended: can be started */
    OA_FLY_DEAD,                       /* but still there: has its name and
                                          its volume */
    OA_FLY_DESTROYED                   /* or replaced, migrated */
} oa_fly_state_e;

typedef struct {
    oa_fly_id_t          id;
    oa_fly_id_t          region;
    oa_fly_state_e       state;
} oa_fly_machine_t;

typedef struct {
    oa_fly_id_t          id;
    oa_fly_id_t          region;
} oa_fly_volume_t;


/* Copies a text that is [a-z0-9_-]{1,63}, else NGX_ERROR and id is empty. */
ngx_int_t oa_fly_id(oa_fly_id_t *id, const u_char *p, size_t len);

/* The same for an address, IPv6 in its usual text. */
ngx_int_t oa_fly_address(oa_fly_id_t *id, const u_char *p, size_t len);

/* [a-z0-9]{2,8}? */
ngx_uint_t oa_fly_is_region(const oa_fly_id_t *id);


/*
 * Answers.  NGX_ERROR: it is not what it should be.  Those that look for one
 * thing in a list: NGX_DECLINED if it is not there.
 */

/* The slug of the organization, empty if it is not told. */
ngx_int_t oa_fly_app(const ngx_str_t *answer, oa_fly_id_t *org);

/* POST .../ip_assignments, and the first private one of its list. */
ngx_int_t oa_fly_ip(const ngx_str_t *answer, oa_fly_id_t *ip);
ngx_int_t oa_fly_find_ip(const ngx_str_t *answer, oa_fly_id_t *ip);

ngx_int_t oa_fly_volume(const ngx_str_t *answer, oa_fly_volume_t *volume);

/* One of this name that is not being destroyed. */
ngx_int_t oa_fly_find_volume(const ngx_str_t *answer, const ngx_str_t *name,
    oa_fly_volume_t *volume);

ngx_int_t oa_fly_machine(const ngx_str_t *answer, oa_fly_machine_t *machine);

/*
 * One, not OA_FLY_DESTROYED, which has this name, maybe with "-" and more
 * behind it, or has this volume mounted (unless it is empty); a live one
 * before a dead one.
 */
ngx_int_t oa_fly_find_machine(const ngx_str_t *answer, const ngx_str_t *name,
    const ngx_str_t *volume, oa_fly_machine_t *machine);

/* Of a command; absent means 0. */
ngx_int_t oa_fly_exit_code(const ngx_str_t *answer, int64_t *code);


/* Refusals */


typedef enum {
    OA_FLY_APP = 0,                    /* POST /apps */
    OA_FLY_APP_GET,
    OA_FLY_IP,
    OA_FLY_IP_LIST,
    OA_FLY_VOLUME,
    OA_FLY_VOLUME_LIST,
    OA_FLY_MACHINE,
    OA_FLY_MACHINE_LIST,
    OA_FLY_MACHINE_GET,
    OA_FLY_START,
    OA_FLY_WAIT,                       /* ?state=started */
    OA_FLY_EXEC,
    OA_FLY_SUSPEND,
    OA_FLY_STOP,
    OA_FLY_DESTROY,
    OA_FLY_WAIT_DESTROYED,
    OA_FLY_VOLUME_DROP,
    OA_FLY_APP_DROP,
    OA_FLY_CALLS
} oa_fly_call_e;

typedef enum {
    OA_FLY_OK = 0,
    OA_FLY_RETRY,                      /* it may have been done */
    OA_FLY_REFUSED,                    /* not done; the same may go later */
    OA_FLY_TAKEN,                      /* the name is: look who has it */
    OA_FLY_FOREIGN,                    /* it is somebody else's: new name */
    OA_FLY_ABSENT,                     /* what was asked about is not there */
    OA_FLY_NO_APP,                     /* nor is the app */
    OA_FLY_CAPACITY,                   /* not here: next region */
    OA_FLY_CLAIMED,                    /* the volume, by a machine */
    OA_FLY_LOST,                       /* the volume is not there */
    OA_FLY_AGAIN,                      /* waited in vain: look, wait again */
    OA_FLY_LATER,                      /* nothing that a walk could mend */
    OA_FLY_FINAL                       /* it will never be otherwise */
} oa_fly_verdict_e;

typedef struct {
    oa_fly_verdict_e     verdict;
    const char          *code;         /* [a-z_]+, static; empty if OK */
    oa_reason_t          text;         /* of the API's, cleaned */
} oa_fly_error_t;

/* What an answer comes to. */
void oa_fly_error(oa_fly_error_t *error, oa_fly_call_e call,
    ngx_uint_t status, const ngx_str_t *answer);


#endif /* _OA_FLY_H_INCLUDED_ */
