
#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include "oa_fly.h"


#define OA_FLY_TEXT_MAX  1024          /* bytes that are looked at */

/* bits of calls */

#define BIT(call)      ((ngx_uint_t) 1 << OA_FLY_ ## call)

#define ANY            ((ngx_uint_t) -1)
#define CREATES        (BIT(IP) | BIT(VOLUME) | BIT(MACHINE))
#define PLACES         (BIT(VOLUME) | BIT(MACHINE))
#define OF_APP         (CREATES | BIT(IP_LIST) | BIT(VOLUME_LIST)             \
                        | BIT(MACHINE_LIST))
#define OF_MACHINE     (BIT(MACHINE_GET) | BIT(START) | BIT(WAIT)             \
                        | BIT(EXEC) | BIT(SUSPEND) | BIT(STOP))
#define RUNS           (BIT(START) | BIT(WAIT) | BIT(EXEC) | BIT(SUSPEND)     \
                        | BIT(STOP))
#define ENDS           (BIT(DESTROY) | BIT(WAIT_DESTROYED)                    \
                        | BIT(VOLUME_DROP) | BIT(APP_DROP))
#define WAITS          (BIT(WAIT) | BIT(WAIT_DESTROYED))


static const char *oa_fly_text(const ngx_str_t *answer, u_char *buf,
    const char **status);
static ngx_uint_t oa_fly_has(const char *text, const char *words);


/*
 * The first that fits: a call, a status (a whole class below 10, any if 0),
 * and words that the text has in this order, whatever their case.
 */

static const struct {
    ngx_uint_t           calls;
    ngx_uint_t           status;
    const char          *words;        /* with '*' in between; or NULL */
    oa_fly_verdict_e     verdict;
    const char          *code;
} oa_fly_errors[] = {

    { ANY, 2, NULL, OA_FLY_OK, "" },

    /* before all else: the same may go through in a moment */

    { ANY, 429, NULL, OA_FLY_REFUSED, "rate_limited" },
    { ANY, 5, NULL, OA_FLY_RETRY, "api_down" },
    { ANY, 401, NULL, OA_FLY_LATER, "unauthorized" },

    /* what was to go is gone, or is not there any more */

    { ENDS, 404, NULL, OA_FLY_OK, "" },
    { BIT(VOLUME_DROP), 4, "not*found", OA_FLY_OK, "" },
    { WAITS, 408, NULL, OA_FLY_AGAIN, "not_started" },

    /* names, and what has one */

    { BIT(MACHINE), 4, "volume*claimed", OA_FLY_CLAIMED, "volume_claimed" },
    { BIT(APP), 422, NULL, OA_FLY_TAKEN, "refused" },
    { BIT(APP) | BIT(MACHINE), 4, "name_taken", OA_FLY_TAKEN, "name_taken" },
    { BIT(MACHINE), 4, "name*already", OA_FLY_TAKEN, "name_taken" },
    { BIT(APP_GET), 403, NULL, OA_FLY_FOREIGN, "name_taken" },

    /* capacity */

    { PLACES, 4, "insufficient_capacity", OA_FLY_CAPACITY, "no_capacity" },
    { PLACES, 400, "no capacity", OA_FLY_CAPACITY, "no_capacity" },
    { PLACES, 403, "quota", OA_FLY_CAPACITY, "quota" },
    { PLACES, 409, "insufficient memory", OA_FLY_CAPACITY, "no_capacity" },
    { PLACES, 412, "insufficient resources", OA_FLY_CAPACITY,
      "no_capacity" },
    { PLACES, 400, "volume*not found", OA_FLY_LOST, "volume_lost" },
    { PLACES, 404, "volume*not found", OA_FLY_LOST, "volume_lost" },
    { BIT(START), 4, "insufficient", OA_FLY_REFUSED, "no_capacity" },
    { BIT(START), 4, "no capacity", OA_FLY_REFUSED, "no_capacity" },

    /* not there */

    { BIT(APP_GET) | OF_MACHINE, 404, NULL, OA_FLY_ABSENT, "not_found" },
    { OF_APP, 404, NULL, OA_FLY_NO_APP, "app_not_found" },

    /* a machine that is settling, or that is not what it was taken for */

    { RUNS, 412, NULL, OA_FLY_AGAIN, "not_ready" },

    /* the rest */

    { ANY, 408, NULL, OA_FLY_RETRY, "api_down" },
    { ANY, 403, NULL, OA_FLY_LATER, "forbidden" },
    { ANY, 409, NULL, OA_FLY_REFUSED, "conflict" },
    { ANY, 412, NULL, OA_FLY_REFUSED, "conflict" },
    { ANY, 423, NULL, OA_FLY_REFUSED, "conflict" },
    { BIT(VOLUME_DROP), 400, NULL, OA_FLY_REFUSED, "conflict" },
    { ANY, 4, NULL, OA_FLY_FINAL, "refused" },
    { ANY, 0, NULL, OA_FLY_RETRY, "bad_answer" }
};


void
oa_fly_error(oa_fly_error_t *error, oa_fly_call_e call, ngx_uint_t status,
    const ngx_str_t *answer)
{
    u_char       text_buf[OA_FLY_TEXT_MAX];
    ngx_str_t    s;
    ngx_uint_t   i, want;
    const char  *text, *word, *words;

    error->text.len = 0;
    text = "";
    word = "";

    if (status < 200 || status > 299) {
        text = oa_fly_text(answer, text_buf, &word);

        s.len = ngx_strlen(text);
        s.data = (u_char *) text;
        oa_reason(&error->text, &s);
    }

    /* the last fits all */

    for (i = 0; /* void */ ; i++) {

        want = oa_fly_errors[i].status;
        words = oa_fly_errors[i].words;

        if ((oa_fly_errors[i].calls & ((ngx_uint_t) 1 << call))
            && (want == 0 || want == (want < 10 ? status / 100 : status))
            && (words == NULL || oa_fly_has(text, words)
                || oa_fly_has(word, words)))
        {
            break;
        }
    }

    error->verdict = oa_fly_errors[i].verdict;
    error->code = oa_fly_errors[i].code;
}


/* Its "error", or the beginning of what is no JSON; *status is its own. */

static const char *
oa_fly_text(const ngx_str_t *answer, u_char *buf, const char **status)
{
    u_char       *p;
    size_t        len;
    json_t       *root, *value;
    const char   *s;

    static const char * const  known[] = { "insufficient_capacity",
                                           "name_taken", NULL };

    ngx_uint_t    i;

    root = answer->len ? json_loadb((char *) answer->data, answer->len, 0,
                                    NULL)
                       : NULL;

    s = json_string_value(json_object_get(root, "status"));

    for (i = 0; s && known[i]; i++) {
        if (ngx_strcmp(s, known[i]) == 0) {
            *status = known[i];
        }
    }

    value = json_object_get(root, "error");

    if (json_is_string(value)) {
        s = json_string_value(value);
        len = ngx_min(json_string_length(value), OA_FLY_TEXT_MAX - 1);

    } else {
        s = (char *) answer->data;
        len = root ? 0 : ngx_min(answer->len, OA_FLY_TEXT_MAX - 1);
    }

    p = len ? ngx_cpymem(buf, s, len) : buf;
    *p = '\0';

    json_decref(root);

    return (char *) buf;
}


static ngx_uint_t
oa_fly_has(const char *text, const char *words)
{
    size_t       len;
    u_char      *p;
    const char  *star;

    p = (u_char *) text;

    for ( ;; ) {
        star = strchr(words, '*');
        len = star ? (size_t) (star - words) : ngx_strlen(words);

        p = ngx_strcasestrn(p, (char *) words, len - 1);
        if (p == NULL) {
            return 0;
        }

        if (star == NULL) {
            return 1;
        }

        p += len;
        words = star + 1;
    }
}
