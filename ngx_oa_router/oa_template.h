
/*
 * The template of machines: what the Machines API is to be told, with places
 * where a route's values go.
 *
 *  {
 *      "config": { ... },                   of POST .../machines
 *      "volume": { "size_gb": 1, "path": "/data", ... },
 *      "personalize": [ "command", ... ],
 *      "health": [ "command", ... ] or { "port": 18789, "path": "/health" }
 *  }
 *
 * All but "config" may be left out.  "volume" is what POST .../volumes takes,
 * and where it is mounted.  A command may be an object that POST .../exec
 * takes, with "stdin" and "timeout".  {{route_id}} and so on may stand in any
 * string.  Values are put in as JSON, never as the words of a shell: whoever
 * calls one passes them as arguments, sh -c '... "$1"' sh {{user_id}}.
 *
 * It is read once: what a walk needs are bodies as text, cut at the places.
 * So no value is ever part of a tree, and a body with a secret is one buffer.
 *
 * Pure: bytes in, bytes out; no request, no event loop.  jansson allocates
 * while a template is read; what stays is in a pool.
 */


#ifndef _OA_TEMPLATE_H_INCLUDED_
#define _OA_TEMPLATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define OA_TEMPLATE_MAX     65536      /* bytes */
#define OA_TEMPLATE_DIGEST  16         /* hexadecimal digits */

typedef enum {
    OA_VALUE_ROUTE_ID = 0,
    OA_VALUE_USER_ID,
    OA_VALUE_AGENT_ID,
    OA_VALUE_SUBDOMAIN,
    OA_VALUE_REGION,
    OA_VALUE_MACHINE_TOKEN,
    OA_VALUE_NAME,                     /* those from here on are not for */
    OA_VALUE_VOLUME_NAME,              /* the operator */
    OA_VALUE_VOLUME,
    OA_VALUE_SOURCE,
    OA_VALUES
} oa_value_e;

typedef enum {
    OA_TEMPLATE_MACHINE = 0,           /* POST .../machines */
    OA_TEMPLATE_VOLUME,                /* POST .../volumes */
    OA_TEMPLATE_FORK,                  /* the same, of OA_VALUE_SOURCE */
    OA_TEMPLATE_PERSONALIZE,           /* POST .../exec */
    OA_TEMPLATE_HEALTH,                /* POST .../exec */
    OA_TEMPLATE_TEXTS
} oa_template_text_e;

/* text, and the value behind it; OA_VALUES: none, the last part */
typedef struct {
    ngx_str_t            text;
    oa_value_e           value;
} oa_template_part_t;

typedef struct {
    oa_template_part_t  *texts[OA_TEMPLATE_TEXTS];  /* NULL: not there */
    ngx_uint_t           health_port;  /* GET on the machine; 0: none */
    ngx_str_t            health_path;
    ngx_msec_t           timeouts[OA_TEMPLATE_TEXTS];  /* of commands */
    u_char               digest[OA_TEMPLATE_DIGEST];   /* of its bytes */
} oa_template_t;

/*
 * Reads a template.  NGX_ERROR: *why is a text, maybe in pool, that tells what
 * is wrong, to be put behind "the template "; never what stands in it.
 */
ngx_int_t oa_template_parse(oa_template_t *t, const ngx_str_t *json,
    ngx_pool_t *pool, const char **why);

/* Bytes of a text with the values (OA_VALUES of them) in it. */
size_t oa_template_size(const oa_template_t *t, oa_template_text_e text,
    const ngx_str_t *values);

/* Writes exactly that many bytes to p and returns their end. */
u_char *oa_template_fill(u_char *p, const oa_template_t *t,
    oa_template_text_e text, const ngx_str_t *values);


#endif /* _OA_TEMPLATE_H_INCLUDED_ */
