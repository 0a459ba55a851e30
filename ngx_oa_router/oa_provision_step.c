
#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include "oa_provision_int.h"


#define OA_STEP_GAP      1000          /* 1 a second of a kind */
#define OA_STEP_GAP_GET  250           /* 5 a second of GET machine */
#define OA_STEP_WAIT_MAX  60           /* seconds that a wait can be held */
#define OA_STEP_SLACK     5000         /* that an answer may come later */

#define OA_STEP_SHORT    10000
#define OA_STEP_LONG     60000

#define NO_LOOK          OA_STEPS


static ngx_int_t oa_body_app(oa_provision_t *p);
static ngx_int_t oa_body_ip(oa_provision_t *p);
static ngx_int_t oa_body_volume(oa_provision_t *p);
static ngx_int_t oa_body_machine(oa_provision_t *p);
static ngx_int_t oa_body_personalize(oa_provision_t *p);
static ngx_int_t oa_body_health(oa_provision_t *p);
static ngx_int_t oa_body_json(oa_provision_t *p, json_t *json);
static ngx_int_t oa_body_template(oa_provision_t *p, oa_template_text_e text);
static const char *oa_step_network(const oa_provision_t *p,
    const ngx_str_t *network, u_char *buf);
static ngx_uint_t oa_step_seconds(const oa_provision_t *p);
static void oa_step_path(oa_provision_t *p, const char *path,
    ngx_uint_t seconds);


const oa_step_t  oa_steps[OA_STEPS] = {

    /* CLAIM, which asks the database */

    { OA_STAGE_CLAIM, NO_LOOK, OA_FLY_CALLS, NULL, NULL, 0, 0, NULL, NULL },

    /* APP */

    { OA_STAGE_APP, OA_STEP_APP_LOOK, OA_FLY_APP,
      "POST", "/apps", OA_STEP_GAP, OA_STEP_SHORT,
      oa_body_app, oa_done_app },

    { OA_STAGE_NONE, OA_STEP_APP_LOOK, OA_FLY_APP_GET,
      "GET", "/apps/@a", OA_STEP_GAP, OA_STEP_SHORT,
      NULL, oa_done_app_look },

    /* IP */

    { OA_STAGE_IP, OA_STEP_IP_LOOK, OA_FLY_IP,
      "POST", "/apps/@a/ip_assignments", OA_STEP_GAP, OA_STEP_SHORT,
      oa_body_ip, oa_done_ip },

    { OA_STAGE_NONE, OA_STEP_IP_LOOK, OA_FLY_IP_LIST,
      "GET", "/apps/@a/ip_assignments", OA_STEP_GAP, OA_STEP_SHORT,
      NULL, oa_done_ip_look },

    /* VOLUME */

    { OA_STAGE_VOLUME, OA_STEP_VOLUME_LOOK, OA_FLY_VOLUME,
      "POST", "/apps/@a/volumes", OA_STEP_GAP, OA_STEP_LONG,
      oa_body_volume, oa_done_volume },

    { OA_STAGE_NONE, OA_STEP_VOLUME_LOOK, OA_FLY_VOLUME_LIST,
      "GET", "/apps/@a/volumes", OA_STEP_GAP, OA_STEP_SHORT,
      NULL, oa_done_volume_look },

    /* MACHINE */

    { OA_STAGE_MACHINE, OA_STEP_MACHINE_LOOK, OA_FLY_MACHINE,
      "POST", "/apps/@a/machines", OA_STEP_GAP, OA_STEP_LONG,
      oa_body_machine, oa_done_machine },

    { OA_STAGE_NONE, OA_STEP_MACHINE_LOOK, OA_FLY_MACHINE_LIST,
      "GET", "/apps/@a/machines", OA_STEP_GAP, OA_STEP_SHORT,
      NULL, oa_done_machine_look },

    /* STATE, START, WAIT */

    { OA_STAGE_START, OA_STEP_STATE, OA_FLY_MACHINE_GET,
      "GET", "/apps/@a/machines/@m", OA_STEP_GAP_GET, OA_STEP_SHORT,
      NULL, oa_done_state },

    { OA_STAGE_START, OA_STEP_STATE, OA_FLY_START,
      "POST", "/apps/@a/machines/@m/start", OA_STEP_GAP, OA_STEP_LONG,
      NULL, oa_done_start },

    { OA_STAGE_START, OA_STEP_STATE, OA_FLY_WAIT,
      "GET", "/apps/@a/machines/@m/wait?state=started&timeout=@t",
      OA_STEP_GAP, 0, NULL, oa_done_wait },

    /* PERSONALIZE, HEALTH, PROBE */

    { OA_STAGE_PERSONALIZE, OA_STEP_PERSONALIZE, OA_FLY_EXEC,
      "POST", "/apps/@a/machines/@m/exec", OA_STEP_GAP, 0,
      oa_body_personalize, oa_done_personalize },

    { OA_STAGE_HEALTH, OA_STEP_HEALTH, OA_FLY_EXEC,
      "POST", "/apps/@a/machines/@m/exec", OA_STEP_GAP, 0,
      oa_body_health, oa_done_health },

    { OA_STAGE_HEALTH, NO_LOOK, OA_FLY_CALLS,
      "GET", NULL, OA_STEP_GAP_GET, OA_STEP_SLACK, NULL, NULL },

    /* SUSPEND, STOP */

    { OA_STAGE_NONE, OA_STEP_STATE, OA_FLY_SUSPEND,
      "POST", "/apps/@a/machines/@m/suspend", OA_STEP_GAP, OA_STEP_LONG,
      NULL, oa_done_sleep },

    { OA_STAGE_NONE, OA_STEP_STATE, OA_FLY_STOP,
      "POST", "/apps/@a/machines/@m/stop", OA_STEP_GAP, OA_STEP_LONG,
      NULL, oa_done_sleep },

    /* DESTROY, DESTROYED, VOLUME_DROP, APP_DROP */

    { OA_STAGE_NONE, OA_STEP_DESTROY, OA_FLY_DESTROY,
      "DELETE", "/apps/@a/machines/@o?force=true", OA_STEP_GAP,
      OA_STEP_LONG, NULL, oa_done_destroy },

    { OA_STAGE_NONE, OA_STEP_DESTROYED, OA_FLY_WAIT_DESTROYED,
      "GET", "/apps/@a/machines/@o/wait?state=destroyed&timeout=@t",
      OA_STEP_GAP, 0, NULL, oa_done_destroyed },

    { OA_STAGE_NONE, OA_STEP_VOLUME_DROP, OA_FLY_VOLUME_DROP,
      "DELETE", "/apps/@a/volumes/@v", OA_STEP_GAP, OA_STEP_SHORT,
      NULL, oa_done_volume_drop },

    { OA_STAGE_NONE, OA_STEP_APP_DROP, OA_FLY_APP_DROP,
      "DELETE", "/apps/@a?force=true", OA_STEP_GAP, OA_STEP_SHORT,
      NULL, oa_done_app_drop }
};


ngx_int_t
oa_provision_request(oa_provision_t *p, oa_act_t *act)
{
    ngx_uint_t        seconds;
    const oa_step_t  *step;

    step = &oa_steps[p->step];
    seconds = oa_step_seconds(p);

    act->act = OA_ACT_REQUEST;
    act->call = step->call;
    act->method = step->method;
    act->timeout = step->timeout ? step->timeout
                                 : seconds * 1000 + OA_STEP_SLACK;

    if (p->step == OA_STEP_PROBE) {
        act->act = OA_ACT_PROBE;
        act->port = p->conf->template->health_port;

        *ngx_cpymem(p->path, p->conf->template->health_path.data,
                    p->conf->template->health_path.len) = '\0';

    } else {
        oa_step_path(p, step->path, seconds);
    }

    act->path = p->path;

    if (step->body && step->body(p) != NGX_OK) {
        return NGX_ERROR;
    }

    act->body.data = p->body;
    act->body.len = p->body_len;

    return NGX_OK;
}


/* How long the API may hold the request: of a command it is the template's. */

static ngx_uint_t
oa_step_seconds(const oa_provision_t *p)
{
    ngx_msec_t            left;
    const oa_template_t  *t;

    t = p->conf->template;

    if (p->step == OA_STEP_PERSONALIZE) {
        return t->timeouts[OA_TEMPLATE_PERSONALIZE] / 1000;
    }

    if (p->step == OA_STEP_HEALTH) {
        return t->timeouts[OA_TEMPLATE_HEALTH] / 1000;
    }

    left = (p->conf->timeout - (p->now - p->began)) / 1000;

    return ngx_max(ngx_min(left, OA_STEP_WAIT_MAX), 1);
}


static void
oa_step_path(oa_provision_t *p, const char *path, ngx_uint_t seconds)
{
    u_char             *s;
    const oa_fly_id_t  *id;

    /* four ids and a number at most, and not in one path */

    s = (u_char *) p->path;

    for ( /* void */ ; *path; path++) {

        if (*path != '@') {
            *s++ = (u_char) *path;
            continue;
        }

        switch (*++path) {
        case 'a':
            id = &p->app;
            break;
        case 'm':
            id = &p->machine;
            break;
        case 'o':
            id = &p->other;
            break;
        case 'v':
            id = &p->volume;
            break;
        default:
            s = ngx_sprintf(s, "%ui", seconds);
            continue;
        }

        s = ngx_cpymem(s, id->data, id->len);
    }

    *s = '\0';
}


static ngx_int_t
oa_body_app(oa_provision_t *p)
{
    u_char  network[OA_FLY_ID_MAX + 1];

    return oa_body_json(p, json_pack("{s:s,s:s%,s:s}",
                                     "app_name", p->app.data,
                                     "org_slug", p->conf->org.data,
                                     p->conf->org.len,
                                     "network",
                                     oa_step_network(p,
                                                     &p->conf->app_network,
                                                     network)));
}


static ngx_int_t
oa_body_ip(oa_provision_t *p)
{
    u_char            buf[OA_FLY_ID_MAX + 1];
    const ngx_str_t  *network;

    network = p->conf->ip_network.len ? &p->conf->ip_network
                                      : &p->conf->app_network;

    return oa_body_json(p, json_pack("{s:s,s:s}", "type", "private_v6",
                                     "network",
                                     oa_step_network(p, network, buf)));
}


static const char *
oa_step_network(const oa_provision_t *p, const ngx_str_t *network,
    u_char *buf)
{
    if (network->len == 0 || network->len > OA_FLY_ID_MAX) {
        return (const char *) p->app.data;
    }

    *ngx_cpymem(buf, network->data, network->len) = '\0';

    return (const char *) buf;
}


static ngx_int_t
oa_body_json(oa_provision_t *p, json_t *json)
{
    p->body = json ? (u_char *) json_dumps(json, JSON_COMPACT) : NULL;

    json_decref(json);

    if (p->body == NULL) {
        return NGX_ERROR;
    }

    p->body_len = ngx_strlen(p->body);

    return NGX_OK;
}


static ngx_int_t
oa_body_volume(oa_provision_t *p)
{
    return oa_body_template(p, p->state.source.len ? OA_TEMPLATE_FORK
                                                   : OA_TEMPLATE_VOLUME);
}


static ngx_int_t
oa_body_machine(oa_provision_t *p)
{
    return oa_body_template(p, OA_TEMPLATE_MACHINE);
}


static ngx_int_t
oa_body_personalize(oa_provision_t *p)
{
    return oa_body_template(p, OA_TEMPLATE_PERSONALIZE);
}


static ngx_int_t
oa_body_health(oa_provision_t *p)
{
    return oa_body_template(p, OA_TEMPLATE_HEALTH);
}


static ngx_int_t
oa_body_template(oa_provision_t *p, oa_template_text_e text)
{
    u_char                       name[OA_PROVISION_NAME];
    u_char                       volume_name[OA_PROVISION_NAME];
    ngx_str_t                    values[OA_VALUES];
    const oa_template_t         *t;
    const oa_provision_route_t  *route;

    t = p->conf->template;
    route = p->route;

    values[OA_VALUE_ROUTE_ID] = route->route_id;
    values[OA_VALUE_USER_ID] = route->user_id;
    values[OA_VALUE_AGENT_ID] = route->agent_id;
    values[OA_VALUE_SUBDOMAIN] = route->subdomain;
    values[OA_VALUE_MACHINE_TOKEN] = route->machine_token;

    oa_provision_str(&p->region, &values[OA_VALUE_REGION]);
    oa_provision_str(&p->volume, &values[OA_VALUE_VOLUME]);
    oa_provision_str(&p->state.source, &values[OA_VALUE_SOURCE]);
    oa_provision_name(p, '-', name, &values[OA_VALUE_NAME]);
    oa_provision_name(p, '_', volume_name, &values[OA_VALUE_VOLUME_NAME]);

    p->body_len = oa_template_size(t, text, values);
    p->body = malloc(p->body_len);

    if (p->body == NULL) {
        p->body_len = 0;
        return NGX_ERROR;
    }

    (void) oa_template_fill(p->body, t, text, values);

    return NGX_OK;
}


void
oa_provision_drop_body(oa_provision_t *p)
{
    if (p->body == NULL) {
        return;
    }

    OPENSSL_cleanse(p->body, p->body_len);
    free(p->body);

    p->body = NULL;
    p->body_len = 0;
}
