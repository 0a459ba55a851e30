
#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_route.h"


#define OA_ROUTE_ID_MAX    128
#define OA_ROUTE_UUID_LEN  36

#define OA_ROUTE_UUID_USER   0x1
#define OA_ROUTE_UUID_ROUTE  0x2
#define OA_ROUTE_UUID_AGENT  0x4


static ngx_uint_t oa_route_is_id(const ngx_str_t *s);
static ngx_uint_t oa_route_is_region(const ngx_str_t *s);
static ngx_int_t oa_route_find(const ngx_str_t *names, ngx_uint_t n,
    const ngx_str_t *s);
static ngx_int_t oa_route_version(const ngx_str_t *s, uint64_t *version);
static ngx_uint_t oa_route_is_uuid(const ngx_str_t *s);
static u_char *oa_route_put(u_char *p, const ngx_str_t *s);
static u_char *oa_route_put_id(u_char *p, const ngx_str_t *s,
    ngx_uint_t uuid);
static u_char *oa_route_get(u_char *p, size_t len, ngx_str_t *s);
static u_char *oa_route_get_id(u_char *p, size_t len, ngx_uint_t uuid,
    u_char **text, ngx_str_t *s);


const ngx_str_t  oa_route_columns[OA_COLS] = {
    ngx_string("subdomain"),
    ngx_string("route_id"),
    ngx_string("user_id"),
    ngx_string("agent_id"),
    ngx_string("app"),
    ngx_string("machine"),
    ngx_string("region"),
    ngx_string("status"),
    ngx_string("access"),
    ngx_string("version")
};


static const ngx_str_t  oa_route_statuses[] = {
    ngx_string("provisioning"),
    ngx_string("running"),
    ngx_string("stopped"),
    ngx_string("suspended"),
    ngx_string("error"),
    ngx_string("disabled")
};


static const ngx_str_t  oa_route_accesses[] = {
    ngx_string("owner"),
    ngx_string("authenticated"),
    ngx_string("public")
};


/* A-Z a-z 0-9 . _ : @ | + / = - */

static const uint32_t  oa_route_id_chars[] = {
    0x00000000,
    0x27ffe800,    /* 0010 0111 1111 1111  1110 1000 0000 0000 */
                   /* ?>=< ;:98 7654 3210  /.-, +*)( '&%$ #"!  */
    0x87ffffff,    /* _^]\ [ZYX WVUT SRQP  ONML KJIH GFED CBA@ */
    0x17fffffe,    /*  ~}| {zyx wvut srqp  onml kjih gfed cba` */
    0x00000000,
    0x00000000,
    0x00000000,
    0x00000000
};


ngx_int_t
oa_route_parse(const ngx_str_t *cols, oa_route_t *route, const char **why)
{
    ngx_int_t   n;
    ngx_str_t   col[OA_COLS];
    ngx_uint_t  i;

    for (i = 0; i < OA_COLS; i++) {
        if (cols[i].data == NULL) {
            ngx_str_set(&col[i], "");
            continue;
        }

        col[i] = cols[i];
    }

    if (!oa_is_label(col[OA_COL_SUBDOMAIN].data, col[OA_COL_SUBDOMAIN].len)) {
        *why = "subdomain is not a DNS label in lower case";
        return NGX_ERROR;
    }

    if (col[OA_COL_ROUTE_ID].len == 0
        || !oa_route_is_id(&col[OA_COL_ROUTE_ID]))
    {
        *why = "route_id is not 1 to 128 of [A-Za-z0-9._:@|+/=-]";
        return NGX_ERROR;
    }

    if (!oa_route_is_id(&col[OA_COL_USER_ID])) {
        *why = "user_id is not at most 128 of [A-Za-z0-9._:@|+/=-]";
        return NGX_ERROR;
    }

    if (!oa_route_is_id(&col[OA_COL_AGENT_ID])) {
        *why = "agent_id is not at most 128 of [A-Za-z0-9._:@|+/=-]";
        return NGX_ERROR;
    }

    if (col[OA_COL_APP].len
        && !oa_is_label(col[OA_COL_APP].data, col[OA_COL_APP].len))
    {
        *why = "app is not a DNS label in lower case";
        return NGX_ERROR;
    }

    if (col[OA_COL_MACHINE].len
        && !oa_is_label(col[OA_COL_MACHINE].data, col[OA_COL_MACHINE].len))
    {
        *why = "machine is not a DNS label in lower case";
        return NGX_ERROR;
    }

    if (col[OA_COL_REGION].len && !oa_route_is_region(&col[OA_COL_REGION])) {
        *why = "region is not 2 to 8 of [a-z0-9]";
        return NGX_ERROR;
    }

    n = oa_route_find(oa_route_statuses, OA_ROUTE_DISABLED + 1,
                      &col[OA_COL_STATUS]);
    if (n == NGX_DECLINED) {
        *why = "status is not one of provisioning, running, stopped, "
               "suspended, error, disabled";
        return NGX_ERROR;
    }

    route->status = (oa_route_status_e) n;
    route->access = OA_ACCESS_OWNER;

    if (cols[OA_COL_ACCESS].data) {
        n = oa_route_find(oa_route_accesses, OA_ACCESS_PUBLIC + 1,
                          &col[OA_COL_ACCESS]);
        if (n == NGX_DECLINED) {
            *why = "access is not one of owner, authenticated, public";
            return NGX_ERROR;
        }

        route->access = (oa_route_access_e) n;
    }

    route->version = 0;

    if (cols[OA_COL_VERSION].data
        && oa_route_version(&col[OA_COL_VERSION], &route->version) != NGX_OK)
    {
        *why = "version is not a number from 0 to 9223372036854775807";
        return NGX_ERROR;
    }

    route->subdomain = col[OA_COL_SUBDOMAIN];
    route->route_id = col[OA_COL_ROUTE_ID];
    route->user_id = col[OA_COL_USER_ID];
    route->agent_id = col[OA_COL_AGENT_ID];
    route->app = col[OA_COL_APP];
    route->machine = col[OA_COL_MACHINE];
    route->region = col[OA_COL_REGION];

    return NGX_OK;
}


static ngx_uint_t
oa_route_is_id(const ngx_str_t *s)
{
    size_t  i;

    if (s->len > OA_ROUTE_ID_MAX) {
        return 0;
    }

    for (i = 0; i < s->len; i++) {
        if (!(oa_route_id_chars[s->data[i] >> 5]
              & (1U << (s->data[i] & 0x1f))))
        {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
oa_route_is_region(const ngx_str_t *s)
{
    size_t  i;

    if (s->len < 2 || s->len > 8) {
        return 0;
    }

    for (i = 0; i < s->len; i++) {
        if ((s->data[i] < 'a' || s->data[i] > 'z')
            && (s->data[i] < '0' || s->data[i] > '9'))
        {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
oa_route_find(const ngx_str_t *names, ngx_uint_t n, const ngx_str_t *s)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        if (names[i].len == s->len
            && ngx_memcmp(names[i].data, s->data, s->len) == 0)
        {
            return (ngx_int_t) i;
        }
    }

    return NGX_DECLINED;
}


/* No more than a bigint: JSON's readers take no more either. */

static ngx_int_t
oa_route_version(const ngx_str_t *s, uint64_t *version)
{
    size_t    i;
    uint64_t  value;

    if (s->len == 0 || s->len > 19) {
        return NGX_ERROR;
    }

    value = 0;

    for (i = 0; i < s->len; i++) {
        if (s->data[i] < '0' || s->data[i] > '9') {
            return NGX_ERROR;
        }

        /* 19 digits do not overflow 64 bits */
        value = value * 10 + (uint64_t) (s->data[i] - '0');
    }

    if (value > (uint64_t) INT64_MAX) {
        return NGX_ERROR;
    }

    *version = value;

    return NGX_OK;
}


const ngx_str_t *
oa_route_status_name(oa_route_status_e status)
{
    return &oa_route_statuses[ngx_min((ngx_uint_t) status,
                                      (ngx_uint_t) OA_ROUTE_DISABLED)];
}


const ngx_str_t *
oa_route_access_name(oa_route_access_e access)
{
    if ((ngx_uint_t) access > (ngx_uint_t) OA_ACCESS_PUBLIC) {
        return &oa_route_accesses[OA_ACCESS_OWNER];
    }

    return &oa_route_accesses[access];
}


size_t
oa_route_pack_size(const oa_route_t *route, oa_route_head_t *head)
{
    ngx_uint_t  uuids;

    uuids = 0;

    if (oa_route_is_uuid(&route->user_id)) {
        uuids |= OA_ROUTE_UUID_USER;
    }

    if (oa_route_is_uuid(&route->route_id)) {
        uuids |= OA_ROUTE_UUID_ROUTE;
    }

    if (oa_route_is_uuid(&route->agent_id)) {
        uuids |= OA_ROUTE_UUID_AGENT;
    }

    /* heads are compared and copied whole: no byte stays as it was */
    ngx_memzero(head, sizeof(oa_route_head_t));

    head->version = route->version;
    head->label_len = (uint8_t) route->subdomain.len;
    head->machine_len = (uint8_t) route->machine.len;
    head->app_len = (uint8_t) route->app.len;
    head->region_len = (uint8_t) route->region.len;
    head->user_len = (uint8_t) ((uuids & OA_ROUTE_UUID_USER)
                                ? 16 : route->user_id.len);
    head->route_len = (uint8_t) ((uuids & OA_ROUTE_UUID_ROUTE)
                                 ? 16 : route->route_id.len);
    head->agent_len = (uint8_t) ((uuids & OA_ROUTE_UUID_AGENT)
                                 ? 16 : route->agent_id.len);
    head->status = (unsigned) route->status & 0x7;
    head->access = (unsigned) route->access & 0x3;
    head->uuids = uuids & 0x7;

    return oa_route_packed_size(head);
}


size_t
oa_route_packed_size(const oa_route_head_t *head)
{
    return (size_t) head->label_len + head->machine_len + head->app_len
           + head->region_len + head->user_len + head->route_len
           + head->agent_len;
}


void
oa_route_pack(const oa_route_t *route, const oa_route_head_t *head, u_char *p)
{
    p = oa_route_put(p, &route->subdomain);
    p = oa_route_put(p, &route->machine);
    p = oa_route_put(p, &route->app);
    p = oa_route_put(p, &route->region);
    p = oa_route_put_id(p, &route->user_id,
                        head->uuids & OA_ROUTE_UUID_USER);
    p = oa_route_put_id(p, &route->route_id,
                        head->uuids & OA_ROUTE_UUID_ROUTE);
    (void) oa_route_put_id(p, &route->agent_id,
                           head->uuids & OA_ROUTE_UUID_AGENT);
}


void
oa_route_unpack(const oa_route_head_t *head, const u_char *p, u_char *text,
    oa_route_t *route)
{
    u_char  *q;

    /* an ngx_str_t has no const in it */
    q = (u_char *) p;

    q = oa_route_get(q, head->label_len, &route->subdomain);
    q = oa_route_get(q, head->machine_len, &route->machine);
    q = oa_route_get(q, head->app_len, &route->app);
    q = oa_route_get(q, head->region_len, &route->region);
    q = oa_route_get_id(q, head->user_len, head->uuids & OA_ROUTE_UUID_USER,
                        &text, &route->user_id);
    q = oa_route_get_id(q, head->route_len, head->uuids & OA_ROUTE_UUID_ROUTE,
                        &text, &route->route_id);
    (void) oa_route_get_id(q, head->agent_len,
                           head->uuids & OA_ROUTE_UUID_AGENT,
                           &text, &route->agent_id);

    route->status = (oa_route_status_e) head->status;
    route->access = (oa_route_access_e) head->access;
    route->version = head->version;
}


static ngx_uint_t
oa_route_is_uuid(const ngx_str_t *s)
{
    u_char  c;
    size_t  i;

    if (s->len != OA_ROUTE_UUID_LEN) {
        return 0;
    }

    for (i = 0; i < OA_ROUTE_UUID_LEN; i++) {
        c = s->data[i];

        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (c != '-') {
                return 0;
            }

            continue;
        }

        if ((c < '0' || c > '9') && (c < 'a' || c > 'f')) {
            return 0;
        }
    }

    return 1;
}


static u_char *
oa_route_put(u_char *p, const ngx_str_t *s)
{
    if (s->len == 0) {
        return p;
    }

    return ngx_cpymem(p, s->data, s->len);
}


static u_char *
oa_route_put_id(u_char *p, const ngx_str_t *s, ngx_uint_t uuid)
{
    u_char      c;
    size_t      i;
    ngx_uint_t  n, nibble;

    if (!uuid) {
        return oa_route_put(p, s);
    }

    n = 0;
    nibble = 0;

    for (i = 0; i < OA_ROUTE_UUID_LEN; i++) {
        c = s->data[i];

        if (c == '-') {
            continue;
        }

        nibble = (nibble << 4)
                 | (ngx_uint_t) (c <= '9' ? c - '0' : c - 'a' + 10);

        if (++n & 1) {
            continue;
        }

        *p++ = (u_char) nibble;
    }

    return p;
}


static u_char *
oa_route_get(u_char *p, size_t len, ngx_str_t *s)
{
    s->len = len;
    s->data = p;

    return p + len;
}


static u_char *
oa_route_get_id(u_char *p, size_t len, ngx_uint_t uuid, u_char **text,
    ngx_str_t *s)
{
    u_char      *t;
    ngx_uint_t   i;

    static const u_char  hex[] = "0123456789abcdef";

    if (!uuid) {
        return oa_route_get(p, len, s);
    }

    t = *text;

    if (t == NULL) {
        s->len = 0;
        s->data = p;
        return p + len;
    }

    s->len = OA_ROUTE_UUID_LEN;
    s->data = t;

    for (i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *t++ = '-';
        }

        *t++ = hex[p[i] >> 4];
        *t++ = hex[p[i] & 0xf];
    }

    *text = t;

    return p + len;
}
