
/*
 * Keys, for the files that keep them.
 *
 * What an issuer's sources last brought lies in the zone as it came, text, and
 * each worker makes keys of it for itself when it has changed.  One flight at
 * a time fetches, in whatever worker somebody had a reason to: the worker with
 * the duty by the clock, another for a request that cannot be judged yet.
 */


#ifndef _NGX_OA_KEYS_H_INCLUDED_
#define _NGX_OA_KEYS_H_INCLUDED_


#include "ngx_oa_auth.h"
#include "oa_text.h"


#define NGX_OA_KEYS_DIGEST  16

#define NGX_OA_KEYS_FETCH   5000       /* ms, of a fetch */
#define NGX_OA_KEYS_WAIT    10000      /* ms, of a request for one */
#define NGX_OA_KEYS_ASK     30000      /* ms between two for unknown kids */


/* Of two keys with one kid, that of the first source counts. */
typedef enum {
    NGX_OA_KEYS_FILE = 0,
    NGX_OA_KEYS_URI,
    NGX_OA_KEYS_SOURCES
} ngx_oa_keys_source_e;


/*
 * The tag of a text.  It tells a set without its bytes, whose order servers
 * like to change: sums over the prints of its keys, and over what was passed
 * over.
 */
typedef struct {
    uint64_t                     keys[2];
    uint64_t                     skipped;
    uint32_t                     nkeys;
    uint32_t                     nskipped;
} ngx_oa_keys_mark_t;


/*
 * One issuer's place in the zone.  It belongs to a digest of where its keys
 * come from, so that old and new workers of a reload that changes the source
 * do not share it.
 */
typedef struct {
    /* what each request looks at */
    uint64_t                     seq[NGX_OA_KEYS_SOURCES];  /* of the texts */
    ngx_msec_t                   good;         /* last good answer; or 0 */
    ngx_uint_t                   ended;        /* the last fetch that did */
    ngx_msec_t                   begun;        /* when that one began */

    ngx_uint_t                   started;      /* fetches: their numbers */
    ngx_msec_t                   asked;        /* last, for a kid; or 0 */
    ngx_msec_t                   due;          /* the next one by the clock */
    ngx_uint_t                   failures;     /* in a row */

    uint64_t                     owner;        /* who took it; 0: free */
    u_char                       digest[NGX_OA_KEYS_DIGEST];

    oa_text_bank_t               banks[NGX_OA_KEYS_SOURCES][2];
} ngx_oa_keys_slot_t;


/* The keys of a worker as they were at one moment. */

typedef struct ngx_oa_keyring_s  ngx_oa_keyring_t;

struct ngx_oa_keyring_s {
    oa_jwks_t                   *sets[NGX_OA_KEYS_SOURCES];
    oa_jwks_t                    all;          /* keys of the sets */
    oa_jwks_t                   *set;          /* the one to look in */
    ngx_oa_keyring_t            *next;         /* in retirement */
};


/* The thread that follows jwks_file. */

typedef struct {
    ngx_oa_thread_t              thread;
    ngx_oa_file_id_t             seen;
    ngx_oa_file_id_t             done;
    ngx_uint_t                   failed;       /* was said already */
} ngx_oa_keys_file_t;


struct ngx_oa_keys_s {
    ngx_oa_issuer_t             *issuer;
    ngx_oa_zone_t               *zone;
    ngx_oa_keys_slot_t          *slot;         /* NULL: it has a secret */
    uint64_t                     owner;        /* of the slot, if it is ours */
    u_char                       digest[NGX_OA_KEYS_DIGEST];
    ngx_str_t                    first;        /* jwks_file, in the master */
    ngx_msec_t                   since;        /* the configuration was read */
    ngx_msec_t                   max_stale;
    ngx_oa_duty_t                duty;

    /* in a worker */

    ngx_oa_keyring_t            *ring;         /* NULL: memory is short */
    uint64_t                     epoch;        /* of the slot, in the ring */
    ngx_uint_t                   fresh;        /* those of the URL are in it */
    ngx_oa_keyring_t            *retired;
    ngx_event_t                  retire;

    ngx_oa_http_t                http;
    ngx_uint_t                   fetching;     /* the number of the fetch */
    ngx_msec_t                   begun;
    ngx_oa_flight_t              flight;       /* of the duty */
    ngx_event_t                  timer;
    ngx_connection_t             timer_conn;
    ngx_uint_t                   told_stale;   /* was said already */

    ngx_oa_keys_file_t           file;
};


/* Anything that a reader without the lock looks at. */
#define ngx_oa_keys_load(p)      __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define ngx_oa_keys_store(p, n)  __atomic_store_n(p, n, __ATOMIC_RELEASE)

/* Are the keys of the URL not too old? */
#define ngx_oa_keys_is_fresh(keys, good)                                      \
    ((good) && (ngx_msec_int_t) (ngx_current_msec - (good))                   \
               <= (ngx_msec_int_t) (keys)->max_stale)


/* The zone: ngx_oa_keys_zone.c */

ngx_int_t ngx_oa_keys_zone_add(ngx_conf_t *cf, ngx_oa_keys_t *keys);

/*
 * Copies the text in force of a source to buf, of OA_JWKS_MAX bytes; nothing
 * is *len 0.  NGX_DECLINED: the slot has gone to another.  NGX_AGAIN: it
 * changes too fast.
 */
ngx_int_t ngx_oa_keys_copy(ngx_oa_keys_t *keys, ngx_oa_keys_source_e source,
    u_char *buf, size_t *len);

/*
 * Puts a text in force, for the holder of the lock.  NGX_OK: it has changed;
 * NGX_DECLINED: it is what was there, or the slot has gone to another;
 * NGX_ERROR: the zone has no page left.
 */
ngx_int_t ngx_oa_keys_publish(ngx_oa_keys_t *keys,
    ngx_oa_keys_source_e source, const ngx_str_t *set,
    const ngx_oa_keys_mark_t *mark);

/*
 * Is this text a set of keys?  Fills mark; otherwise NGX_ERROR with *why a
 * static text.
 */
ngx_int_t ngx_oa_keys_judge(const ngx_str_t *text, ngx_oa_keys_mark_t *mark,
    const char **why);

/* Says what is new in a text that was put in force: keys, and what was not. */
void ngx_oa_keys_tell(ngx_oa_keys_t *keys, ngx_oa_keys_source_e source,
    const ngx_str_t *text, const ngx_oa_keys_mark_t *mark, ngx_log_t *log);


/* Fetching: ngx_oa_keys_fetch.c */

void ngx_oa_keys_fetch_init(ngx_oa_keys_t *keys);
void ngx_oa_keys_fetch_exit(ngx_oa_keys_t *keys);

/* By the clock, as long as this worker has the duty. */
void ngx_oa_keys_fetch_start(ngx_oa_keys_t *keys);
void ngx_oa_keys_fetch_stop(ngx_oa_keys_t *keys);

/* Fetches, for the pilot of the flight; asked: for the sake of a kid. */
ngx_int_t ngx_oa_keys_fetch(ngx_oa_keys_t *keys, ngx_uint_t asked);

/* What names the flight that fetches. */
uint64_t ngx_oa_keys_flight(ngx_oa_keys_t *keys);


/* The file: ngx_oa_keys_file.c */

/* Reads it in the master, with the configuration, into keys->first. */
char *ngx_oa_keys_file_conf(ngx_conf_t *cf, ngx_oa_keys_t *keys);

void ngx_oa_keys_file_start(ngx_oa_keys_t *keys);
void ngx_oa_keys_file_stop(ngx_oa_keys_t *keys);


#endif /* _NGX_OA_KEYS_H_INCLUDED_ */
