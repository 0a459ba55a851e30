
/*
 * Keys: fetching them from jwks_uri.
 */


#include "ngx_oa_keys.h"
#include "oa_media_type.h"


/* How often the holder of the duty looks whether a fetch is due. */
#define NGX_OA_KEYS_TICK   200         /* ms */

/* The first pause after a failure; each further one doubles it. */
#define NGX_OA_KEYS_RETRY  1000        /* ms */

/* Of the reason of a failure in the log. */
#define NGX_OA_KEYS_WHY    256


static void ngx_oa_keys_tick(ngx_event_t *ev);
static ngx_uint_t ngx_oa_keys_is_due(ngx_oa_keys_t *keys);
static void ngx_oa_keys_tell_stale(ngx_oa_keys_t *keys);
static void ngx_oa_keys_landed(ngx_oa_flight_t *flight, ngx_int_t rc);
static void ngx_oa_keys_answered(ngx_oa_http_t *http);
static void ngx_oa_keys_check(ngx_oa_http_t *http, ngx_oa_keys_mark_t *mark,
    ngx_str_t *why);
static void ngx_oa_keys_end(ngx_oa_keys_t *keys, ngx_str_t *why,
    const ngx_oa_keys_mark_t *mark);
static ngx_msec_t ngx_oa_keys_pause(ngx_oa_keys_t *keys, ngx_uint_t failed,
    ngx_uint_t failures);


static const char * const  ngx_oa_keys_headers[] = {
    "Accept: application/jwk-set+json, application/json",
    NULL
};


static const ngx_str_t  ngx_oa_keys_types[] = {
    ngx_string("application/json"),
    ngx_string("application/jwk-set+json"),
    ngx_null_string
};


void
ngx_oa_keys_fetch_init(ngx_oa_keys_t *keys)
{
    keys->http.method = "GET";
    keys->http.url = keys->issuer->jwks_uri;
    keys->http.headers = ngx_oa_keys_headers;
    keys->http.timeout = NGX_OA_KEYS_FETCH;
    keys->http.max = OA_JWKS_MAX;
    keys->http.handler = ngx_oa_keys_answered;
    keys->http.data = keys;

    keys->flight.key = ngx_oa_keys_flight(keys);
    keys->flight.timeout = NGX_OA_KEYS_WAIT;
    keys->flight.landed = ngx_oa_keys_landed;

    keys->timer_conn.fd = (ngx_socket_t) -1;
    keys->timer_conn.data = keys;

    keys->timer.handler = ngx_oa_keys_tick;
    keys->timer.data = &keys->timer_conn;
    keys->timer.log = ngx_cycle->log;
    keys->timer.cancelable = 1;
}


/*
 * Nobody is told: who waits elsewhere finds the pilot dead, and who waits here
 * must not be woken any more.
 */

void
ngx_oa_keys_fetch_exit(ngx_oa_keys_t *keys)
{
    if (keys->fetching) {
        ngx_oa_http_cancel(&keys->http);
        keys->fetching = 0;
    }
}


void
ngx_oa_keys_fetch_start(ngx_oa_keys_t *keys)
{
    keys->told_stale = 0;

    ngx_oa_keys_tick(&keys->timer);
}


/*
 * A fetch that is under way goes on, as others may wait for its end, unless it
 * would hold a worker that exits: then whoever waits begins another.
 */

void
ngx_oa_keys_fetch_stop(ngx_oa_keys_t *keys)
{
    if (keys->timer.timer_set) {
        ngx_del_timer(&keys->timer);
    }

    if (keys->fetching && ngx_exiting && !ngx_terminate) {
        ngx_oa_keys_fetch_exit(keys);
        ngx_oa_flight_land(keys->flight.key, NGX_ABORT);
    }
}


static void
ngx_oa_keys_tick(ngx_event_t *ev)
{
    ngx_oa_keys_t     *keys;
    ngx_connection_t  *c;

    c = ev->data;
    keys = c->data;

    ngx_oa_keys_tell_stale(keys);

    if (ngx_oa_keys_is_due(keys)) {

        if (ngx_oa_flight_board(&keys->flight) == NGX_OK) {
            (void) ngx_oa_keys_fetch(keys, 0);

        } else {

            /* somebody is at it, and will say when the next one is due */

            ngx_oa_flight_leave(&keys->flight);
        }
    }

    ngx_add_timer(ev, NGX_OA_KEYS_TICK);
}


/* By the clock; or since a reload, by which an operator asks for it. */

static ngx_uint_t
ngx_oa_keys_is_due(ngx_oa_keys_t *keys)
{
    ngx_msec_t  due, begun;

    due = ngx_oa_keys_load(&keys->slot->due);
    begun = ngx_oa_keys_load(&keys->slot->begun);

    return (ngx_msec_int_t) (ngx_current_msec - due) >= 0
           || begun == 0 || (ngx_msec_int_t) (begun - keys->since) < 0;
}


static void
ngx_oa_keys_tell_stale(ngx_oa_keys_t *keys)
{
    ngx_msec_t  good;

    good = ngx_oa_keys_load(&keys->slot->good);

    if (good == 0 || ngx_oa_keys_is_fresh(keys, good)) {
        keys->told_stale = 0;
        return;
    }

    if (keys->told_stale) {
        return;
    }

    keys->told_stale = 1;

    ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, 0,
                  "oa_issuer \"%V\": no good answer from \"%s\" for %T s "
                  "(max_stale), its tokens get 503 until there is one",
                  &keys->issuer->name, keys->issuer->jwks_uri,
                  keys->issuer->max_stale);
}


/* The duty never stays on board. */

static void
ngx_oa_keys_landed(ngx_oa_flight_t *flight, ngx_int_t rc)
{
}


uint64_t
ngx_oa_keys_flight(ngx_oa_keys_t *keys)
{
    uint64_t  key;

    ngx_memcpy(&key, keys->digest, sizeof(uint64_t));

    return key;
}


ngx_int_t
ngx_oa_keys_fetch(ngx_oa_keys_t *keys, ngx_uint_t asked)
{
    ngx_int_t            rc;
    ngx_str_t            why;
    ngx_oa_keys_slot_t  *slot;

    slot = keys->slot;

    /*
     * Where flights have no seat left nobody is kept from coming here.  One of
     * our own that is under way is not begun anew, and lands for all; unless
     * it is overdue, as this worker stood still.
     */

    if (keys->fetching
        && ngx_current_msec - keys->begun <= NGX_OA_KEYS_FETCH)
    {
        return NGX_OK;
    }

    ngx_oa_keys_fetch_exit(keys);

    ngx_oa_zone_lock(keys->zone);

    if (slot->owner != keys->owner) {
        ngx_oa_zone_unlock(keys->zone);
        ngx_oa_flight_land(keys->flight.key, NGX_ERROR);
        return NGX_ERROR;
    }

    keys->fetching = slot->started + 1;
    keys->begun = ngx_current_msec;

    ngx_oa_keys_store(&slot->started, keys->fetching);

    if (asked) {
        ngx_oa_keys_store(&slot->asked, ngx_current_msec);
    }

    ngx_oa_zone_unlock(keys->zone);

    ngx_oa_count(NGX_OA_COUNT_KEYS_FETCHES);

    if (asked) {
        ngx_oa_count(NGX_OA_COUNT_KEYS_ASKED);
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "oa_issuer \"%V\": a token names an unknown key, "
                      "fetching", &keys->issuer->name);
    }

    rc = ngx_oa_http_send(&keys->http);

    if (rc != NGX_OK) {
        ngx_str_set(&why, "no exchange can be begun");
        ngx_oa_keys_end(keys, &why, NULL);
    }

    return rc;
}


static void
ngx_oa_keys_answered(ngx_oa_http_t *http)
{
    ngx_str_t            why;
    ngx_oa_keys_t       *keys;
    ngx_oa_keys_mark_t   mark;
    u_char               buf[NGX_OA_KEYS_WHY];

    keys = http->data;
    why.data = buf;

    ngx_oa_keys_check(http, &mark, &why);
    ngx_oa_keys_end(keys, &why, &mark);
}


/* Why the answer is no set of keys; nothing if it is one. */

static void
ngx_oa_keys_check(ngx_oa_http_t *http, ngx_oa_keys_mark_t *mark,
    ngx_str_t *why)
{
    u_char           *p, *last;
    const char       *text;
    const ngx_str_t  *type;

    p = why->data;
    last = p + NGX_OA_KEYS_WHY;

    for (type = ngx_oa_keys_types; type->len; type++) {
        if (oa_media_type_is(&http->content_type, type)) {
            break;
        }
    }

    if (http->error.len) {
        p = ngx_slprintf(p, last, "%V", &http->error);

    } else if (http->status != NGX_HTTP_OK) {
        p = ngx_slprintf(p, last, "the answer has status %ui", http->status);

    } else if (type->len == 0) {
        p = ngx_slprintf(p, last, "the answer is no application/json");

    } else if (ngx_oa_keys_judge(&http->answer, mark, &text) != NGX_OK) {
        p = ngx_slprintf(p, last, "the answer is no set of keys: %s", text);
    }

    why->len = p - why->data;
}


static void
ngx_oa_keys_end(ngx_oa_keys_t *keys, ngx_str_t *why,
    const ngx_oa_keys_mark_t *mark)
{
    ngx_int_t            rc;
    ngx_msec_t           pause;
    ngx_uint_t           failures;
    ngx_oa_keys_slot_t  *slot;

    slot = keys->slot;

    ngx_oa_zone_lock(keys->zone);

    /* an answer that comes late may be older than what is there */

    if (slot->owner != keys->owner || slot->started != keys->fetching) {
        ngx_oa_zone_unlock(keys->zone);

        keys->fetching = 0;
        ngx_oa_flight_land(keys->flight.key, NGX_ERROR);
        return;
    }

    rc = NGX_DECLINED;

    if (why->len == 0) {
        rc = ngx_oa_keys_publish(keys, NGX_OA_KEYS_URI, &keys->http.answer,
                                 mark);
        if (rc == NGX_ERROR) {
            ngx_str_set(why, "oa_zone has no room for them");
        }
    }

    failures = slot->failures;
    pause = ngx_oa_keys_pause(keys, why->len, failures);

    if (why->len) {
        slot->failures++;

    } else {
        slot->failures = 0;
        ngx_oa_keys_store(&slot->good, ngx_current_msec);
    }

    ngx_oa_keys_store(&slot->begun, keys->begun);
    ngx_oa_keys_store(&slot->due, ngx_current_msec + pause);
    ngx_oa_keys_store(&slot->ended, keys->fetching);

    ngx_oa_zone_unlock(keys->zone);

    if (why->len) {
        ngx_oa_count(NGX_OA_COUNT_KEYS_FAILURES);
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "oa_issuer \"%V\": fetching keys from \"%s\" failed: "
                      "%V; what was fetched before stays, next try in %M ms",
                      &keys->issuer->name, keys->issuer->jwks_uri, why, pause);

    } else if (failures) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "oa_issuer \"%V\": keys are fetched from \"%s\" again "
                      "after %ui failures",
                      &keys->issuer->name, keys->issuer->jwks_uri, failures);
    }

    if (rc == NGX_OK) {
        ngx_oa_keys_tell(keys, NGX_OA_KEYS_URI, &keys->http.answer, mark,
                         ngx_cycle->log);
    }

    keys->fetching = 0;

    ngx_oa_flight_land(keys->flight.key, why->len ? NGX_ERROR : NGX_OK);
}


/* How long after this fetch the next one is due; many edges ask one server. */

static ngx_msec_t
ngx_oa_keys_pause(ngx_oa_keys_t *keys, ngx_uint_t failed, ngx_uint_t failures)
{
    ngx_msec_t  refresh, pause;

    refresh = (ngx_msec_t) keys->issuer->refresh * 1000;

    if (!failed) {
        return refresh / 1000 * (900 + ngx_random() % 201);
    }

    pause = NGX_OA_KEYS_RETRY << ngx_min(failures, 16);
    pause = ngx_max(pause, (ngx_msec_t) keys->http.retry_after * 1000);
    pause = ngx_min(pause, refresh);

    return pause / 1000 * (750 + ngx_random() % 501);
}
