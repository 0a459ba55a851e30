
/*
 * A route: one row of oa.routes, and its packed form in the zone.
 *
 * Pure: bytes in, struct out; no request, no event loop, no allocation.
 */


#ifndef _OA_ROUTE_H_INCLUDED_
#define _OA_ROUTE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_label.h"


typedef enum {
    OA_ROUTE_PROVISIONING = 0,
    OA_ROUTE_RUNNING,
    OA_ROUTE_STOPPED,
    OA_ROUTE_SUSPENDED,
    OA_ROUTE_ERROR,
    OA_ROUTE_DISABLED
} oa_route_status_e;

typedef enum {
    OA_ACCESS_OWNER = 0,
    OA_ACCESS_AUTHENTICATED,
    OA_ACCESS_PUBLIC
} oa_route_access_e;

/* The order of the columns of oa.routes and of the keys of a routes file. */
typedef enum {
    OA_COL_SUBDOMAIN = 0,
    OA_COL_ROUTE_ID,
    OA_COL_USER_ID,
    OA_COL_AGENT_ID,
    OA_COL_APP,
    OA_COL_MACHINE,
    OA_COL_REGION,
    OA_COL_STATUS,
    OA_COL_ACCESS,
    OA_COL_VERSION,
    OA_COLS
} oa_route_col_e;

extern const ngx_str_t  oa_route_columns[OA_COLS];

typedef struct {
    ngx_str_t            subdomain;    /* a DNS label, lower case, 1..63 */
    ngx_str_t            route_id;     /* 1..128, never empty */
    ngx_str_t            user_id;      /* 0..128; empty: nobody's */
    ngx_str_t            agent_id;     /* 0..128 */
    ngx_str_t            app;          /* a DNS label or empty */
    ngx_str_t            machine;      /* a DNS label or empty */
    ngx_str_t            region;       /* [a-z0-9]{2,8} or empty */
    oa_route_status_e    status;
    oa_route_access_e    access;
    uint64_t             version;      /* orders one subdomain's changes;
                                          fits a bigint */
} oa_route_t;


/*
 * Makes a route of the text of a row's columns, in the order of
 * oa_route_col_e; a NULL data pointer is SQL's NULL.  The strings of route
 * point into cols.  A missing access is "owner", a missing version 0; all
 * else that is missing is empty, which no subdomain, route_id or status may
 * be.  Strings of route always have data.
 *
 * Every field is held against its grammar: what passes can stand in a replay
 * header, a host name and a JSON string as it is.  Ids are of
 * [A-Za-z0-9._:@|+/=-].  On refusal NGX_ERROR, and *why is a static
 * NUL-terminated text that names the column and its grammar (e.g. "app is
 * not a DNS label"); never the value.
 */
ngx_int_t oa_route_parse(const ngx_str_t *cols, oa_route_t *route,
    const char **why);

/* "running" for OA_ROUTE_RUNNING and so on. */
const ngx_str_t *oa_route_status_name(oa_route_status_e status);
const ngx_str_t *oa_route_access_name(oa_route_access_e access);


/*
 * The packed form: strings one after the other, the label first, then those
 * that the answer needs, with canonical lower-case UUIDs as 16 bytes.  At most
 * OA_ROUTE_PACKED_MAX bytes; a route with UUIDs and names of usual length
 * takes 102 or less, which is what one slot of the table holds.
 */

#define OA_ROUTE_PACKED_MAX  ((size_t) 63 * 3 + 8 + 3 * 128)

typedef struct {
    uint64_t             version;
    uint8_t              label_len;
    uint8_t              machine_len;
    uint8_t              app_len;
    uint8_t              region_len;
    uint8_t              user_len;
    uint8_t              route_len;
    uint8_t              agent_len;
    unsigned             status:3;
    unsigned             access:2;
    unsigned             uuids:3;      /* bit 0 user, 1 route, 2 agent */
} oa_route_head_t;

/* Bytes that the packed strings take. */
size_t oa_route_pack_size(const oa_route_t *route, oa_route_head_t *head);

/* Writes exactly that many bytes to p. */
void oa_route_pack(const oa_route_t *route, const oa_route_head_t *head,
    u_char *p);

/* Bytes behind a head, as oa_route_pack_size() counted them. */
size_t oa_route_packed_size(const oa_route_head_t *head);

/*
 * The inverse.  Strings point into p, UUIDs into text, which must hold
 * 3 * 36 bytes; with text NULL those packed as UUIDs come out empty.
 */
void oa_route_unpack(const oa_route_head_t *head, const u_char *p,
    u_char *text, oa_route_t *route);


#endif /* _OA_ROUTE_H_INCLUDED_ */
