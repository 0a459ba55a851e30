
/*
 * The one place that decides: host, existence and access together, status.
 *
 * It runs before the content phase, where "satisfy any" and the order of
 * access modules have no say.
 */


#include "ngx_oa_router.h"
#include "oa_accept.h"
#include "oa_args.h"


/* Routes may still be on their way from the snapshot for so long. */
#define NGX_OA_FIRST_ROUTES   10000  /* ms */
#define NGX_OA_FIRST_LOOK     20

#define NGX_OA_ASK_TIMES      3

/* A pilot that lives lands by itself, within the timeout of oa_postgres. */
#define NGX_OA_ASK_TIME       60000  /* ms */


static void ngx_oa_router_cleanup(void *data);
static ngx_int_t ngx_oa_router_identify(ngx_http_request_t *r,
    ngx_oa_router_ctx_t *ctx);
static ngx_int_t ngx_oa_router_find(ngx_http_request_t *r,
    ngx_oa_router_ctx_t *ctx);
static ngx_int_t ngx_oa_router_ask(ngx_http_request_t *r,
    ngx_oa_router_ctx_t *ctx, ngx_uint_t again);
static ngx_int_t ngx_oa_router_blind(ngx_http_request_t *r,
    ngx_oa_router_ctx_t *ctx);
static ngx_uint_t ngx_oa_router_is_idle(ngx_oa_router_ctx_t *ctx);
static ngx_int_t ngx_oa_router_login(ngx_http_request_t *r,
    ngx_oa_router_ctx_t *ctx, ngx_oa_router_loc_conf_t *rlcf);
static ngx_int_t ngx_oa_router_unavailable(ngx_http_request_t *r,
    ngx_oa_router_ctx_t *ctx);
static void ngx_oa_router_landed(ngx_oa_flight_t *flight, ngx_int_t rc);
static void ngx_oa_router_timer(ngx_event_t *ev);
static ngx_oa_router_ctx_t *ngx_oa_router_host(ngx_http_request_t *r);
static ngx_uint_t ngx_oa_router_look(ngx_oa_router_ctx_t *ctx);
static ngx_uint_t ngx_oa_router_may(ngx_oa_router_ctx_t *ctx,
    ngx_oa_router_loc_conf_t *rlcf);
static const ngx_oa_problem_t *ngx_oa_router_status(ngx_oa_router_ctx_t *ctx);
static ngx_int_t ngx_oa_router_refuse(ngx_http_request_t *r,
    ngx_oa_router_ctx_t *ctx, const ngx_oa_problem_t *problem);


static const ngx_str_t  ngx_oa_accept = ngx_string("accept");
static const ngx_str_t  ngx_oa_location = ngx_string("Location");
static const ngx_str_t  ngx_oa_cache_control = ngx_string("Cache-Control");
static const ngx_str_t  ngx_oa_no_store = ngx_string("no-store");


static const ngx_oa_problem_t  ngx_oa_problem_not_found = {
    404, ngx_string("route_not_found"),
    ngx_string("There is no agent at this address."), 0,
    ngx_null_string
};

static const ngx_oa_problem_t  ngx_oa_problem_unavailable = {
    503, ngx_string("routes_unavailable"),
    ngx_string("It cannot be found out now whether there is an agent at this "
               "address. Try again in a moment."), 2,
    ngx_null_string
};

static const ngx_oa_problem_t  ngx_oa_problem_disabled = {
    402, ngx_string("disabled"),
    ngx_string("This agent is disabled."), 0,
    ngx_null_string
};

static const ngx_oa_problem_t  ngx_oa_problem_provisioning = {
    503, ngx_string("provisioning"),
    ngx_string("This agent's machine is being made."), 5,
    ngx_null_string
};

static const ngx_oa_problem_t  ngx_oa_problem_provision_failed = {
    503, ngx_string("provision_failed"),
    ngx_string("This agent's machine could not be made."), 30,
    ngx_null_string
};


ngx_oa_router_ctx_t *
ngx_oa_router_ctx(ngx_http_request_t *r)
{
    ngx_oa_router_ctx_t  *ctx;

    ctx = ngx_oa_request_ctx(r, &ngx_oa_router_module, ngx_oa_router_cleanup);

    if (ctx) {
        return ctx;
    }

    ctx = ngx_palloc(r->pool, sizeof(ngx_oa_router_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    ngx_memzero(ctx, offsetof(ngx_oa_router_ctx_t, flight));
    ctx->request = r;

    ngx_http_set_ctx(r, ctx, ngx_oa_router_module);

    return ctx;
}


ngx_int_t
ngx_oa_router_keep(ngx_http_request_t *r, ngx_oa_router_ctx_t *ctx)
{
    return ngx_oa_request_keep(r, ctx, &ctx->kept, ngx_oa_router_cleanup);
}


static void
ngx_oa_router_cleanup(void *data)
{
    ngx_oa_kept_t *kept = data;

    ngx_oa_router_ctx_t  *ctx;

    ctx = kept->ctx;

    switch (ctx->state) {

    case NGX_OA_ROUTE_ASKING:
        ngx_oa_flight_leave(&ctx->flight);
        break;

    case NGX_OA_ROUTE_WAITING:
        ngx_del_timer(&ctx->timer);
        break;

    default:
        break;
    }
}


/*
 * A record in a large table is in no cache, and to wait for it would cost as
 * much as all the rest here.  So the memory is asked for it in two steps, in
 * two early phases, and has it by the time that the request is judged.
 */

ngx_int_t
ngx_oa_router_prefetch_index(ngx_http_request_t *r)
{
    ngx_oa_router_ctx_t  *ctx;

    ctx = ngx_oa_router_host(r);

    if (ctx && ctx->label.len) {
        oa_table_prefetch(ctx->routes->table, ctx->hash);
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_oa_router_prefetch_record(ngx_http_request_t *r)
{
    ngx_oa_router_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_oa_router_module);

    if (ctx && ctx->label.len && !ctx->looked) {
        oa_table_prefetch_record(ctx->routes->table, ctx->hash);
    }

    return NGX_DECLINED;
}


ngx_oa_router_ctx_t *
ngx_oa_router_peek(ngx_http_request_t *r)
{
    ngx_oa_router_ctx_t  *ctx;

    ctx = ngx_oa_router_host(r);

    if (ctx && ctx->label.len && !ctx->looked) {
        (void) ngx_oa_router_look(ctx);
    }

    return ctx;
}


/* The context, with the label of the host; NULL where no router is bound. */

static ngx_oa_router_ctx_t *
ngx_oa_router_host(ngx_http_request_t *r)
{
    ngx_oa_router_ctx_t       *ctx;
    ngx_oa_router_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_oa_router_module);

    if (rlcf->routes == NULL) {
        return NULL;
    }

    ctx = ngx_oa_router_ctx(r);
    if (ctx == NULL || ctx->routes == rlcf->routes) {
        return ctx;
    }

    /* bound for the first time, or to other routes than before */

    ctx->routes = rlcf->routes;
    ctx->looked = 0;
    ctx->found = 0;
    ctx->cache = NGX_OA_CACHE_NONE;

    if (oa_host_label(&r->headers_in.server, &rlcf->routes->domain,
                      ctx->label_buf, &ctx->label)
        != NGX_OK)
    {
        ctx->label.len = 0;
        return ctx;
    }

    ctx->hash = oa_table_hash(ctx->routes->table, ctx->routes->id,
                              ctx->label.data, ctx->label.len);

    return ctx;
}


/* Is something known of the label, be it that there is no route? */

static ngx_uint_t
ngx_oa_router_look(ngx_oa_router_ctx_t *ctx)
{
    ngx_int_t  rc;

    ctx->looked = 1;
    ctx->found = 0;

    rc = ngx_oa_routes_get(ctx->routes, ctx->hash, &ctx->label, &ctx->copy);

    if (rc != NGX_OK) {
        return 0;
    }

    if (ctx->copy.negative) {
        return 1;
    }

    oa_route_unpack(&ctx->copy.head, ctx->copy.packed, NULL, &ctx->route);
    ctx->found = 1;

    switch (ctx->routes->info->state) {

    case OA_TABLE_SNAPSHOT:
        ctx->cache = NGX_OA_CACHE_SNAPSHOT;
        break;

    case OA_TABLE_STALE:
        ctx->cache = NGX_OA_CACHE_STALE;
        break;

    default:
        ctx->cache = ctx->asked ? NGX_OA_CACHE_MISS : NGX_OA_CACHE_HIT;
        break;
    }

    return 1;
}


ngx_int_t
ngx_oa_router_handler(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    const ngx_oa_problem_t    *problem;
    ngx_oa_router_ctx_t       *ctx;
    ngx_oa_router_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_oa_router_module);

    if (rlcf->routes == NULL || (ngx_oa_is_session && ngx_oa_is_session(r))) {
        return NGX_DECLINED;
    }

    ctx = ngx_oa_router_host(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    /* an error page of a request that was refused: it learns no target */

    if (ctx->state == NGX_OA_ROUTE_REFUSED && r->internal) {
        return NGX_DECLINED;
    }

    if (ctx->label.len == 0) {
        return ngx_oa_router_refuse(r, ctx, &ngx_oa_problem_not_found);
    }

    rc = ngx_oa_router_identify(r, ctx);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ctx->identity.who == NGX_OA_REFUSED) {
        return ngx_oa_router_refuse(r, ctx, ctx->identity.problem);
    }

    rc = ngx_oa_router_find(r, ctx);

    if (rc == NGX_OK) {

        if (ngx_oa_router_may(ctx, rlcf)) {
            problem = ngx_oa_router_status(ctx);

            if (problem) {
                return ngx_oa_router_refuse(r, ctx, problem);
            }

            ctx->state = NGX_OA_ROUTE_ADMITTED;
            return NGX_DECLINED;
        }

        rc = ngx_oa_router_blind(r, ctx);
    }

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    /* to nobody all names are alike, even while the database is away */

    if (ctx->authenticated && ctx->identity.who == NGX_OA_NOBODY) {
        return ngx_oa_router_login(r, ctx, rlcf);
    }

    return ngx_oa_router_refuse(r, ctx, rc == NGX_OK
                                        ? &ngx_oa_problem_not_found
                                        : &ngx_oa_problem_unavailable);
}


ngx_int_t
ngx_oa_router_credentials(ngx_http_request_t *r,
    ngx_oa_credentials_t *credentials)
{
    if (ngx_oa_credentials) {
        return ngx_oa_credentials(r, credentials);
    }

    ngx_memzero(credentials, sizeof(ngx_oa_credentials_t));

    credentials->args = &oa_args_token;
    credentials->nargs = 1;

    return NGX_OK;
}


/* Who is asking; the identity is that of no issuer where auth is off. */

static ngx_int_t
ngx_oa_router_identify(ngx_http_request_t *r, ngx_oa_router_ctx_t *ctx)
{
    ngx_int_t  rc;

    rc = ngx_oa_identify ? ngx_oa_identify(r, &ctx->identity) : NGX_DECLINED;

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return rc;
    }

    ctx->authenticated = (rc == NGX_OK);

    return NGX_OK;
}


/*
 * NGX_OK: it is known whether there is a route.  NGX_AGAIN: it was asked.
 * NGX_DECLINED: it cannot be known now.
 *
 * What was found before is not what counts: the request may have waited.
 */

static ngx_int_t
ngx_oa_router_find(ngx_http_request_t *r, ngx_oa_router_ctx_t *ctx)
{
    ngx_oa_routes_t  *routes;

    routes = ctx->routes;

    switch (ctx->state) {

    case NGX_OA_ROUTE_ASKING:
    case NGX_OA_ROUTE_WAITING:
        return NGX_AGAIN;

    case NGX_OA_ROUTE_LANDED:

        if (ngx_oa_router_look(ctx)) {
            return NGX_OK;
        }

        if (ctx->rc == NGX_OK && ctx->copy.negative) {

            /* this was learnt just now, whatever negative_ttl is */

            return NGX_OK;
        }

        if (ctx->rc == NGX_OK || ctx->rc == NGX_ABORT) {
            break;
        }

        return ngx_oa_router_unavailable(r, ctx);

    default:

        if (ngx_oa_router_look(ctx)) {
            return NGX_OK;
        }

        if (routes->source == NGX_OA_SOURCE_FILE) {

            /* the file is all there is, once it has been read */

            return routes->info->state < OA_TABLE_LIVE ? NGX_DECLINED
                                                       : NGX_OK;
        }

        if (ngx_oa_router_is_idle(ctx)) {
            return NGX_DECLINED;
        }

        ngx_oa_count(NGX_OA_COUNT_ROUTE_MISSES);
        break;
    }

    return ngx_oa_router_ask(r, ctx, 0);
}


static ngx_int_t
ngx_oa_router_ask(ngx_http_request_t *r, ngx_oa_router_ctx_t *ctx,
    ngx_uint_t again)
{
    if (ctx->asked++ == NGX_OA_ASK_TIMES
        || ngx_oa_router_keep(r, ctx) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ctx->flight.key = ctx->hash;
    ctx->flight.timeout = NGX_OA_ASK_TIME;
    ctx->flight.landed = ngx_oa_router_landed;
    ctx->flight.data = ctx;

    switch (ngx_oa_routes_ask(ctx->routes, &ctx->label, &ctx->flight, again)) {

    case NGX_OK:
        ctx->state = NGX_OA_ROUTE_ASKING;
        ngx_oa_request_wait(r);
        return NGX_AGAIN;

    case NGX_DECLINED:
        return ngx_oa_router_look(ctx) ? NGX_OK : NGX_DECLINED;

    default:
        return ngx_oa_router_unavailable(r, ctx);
    }
}


/*
 * Whoever may not pass learns nothing from the time it takes, either: for them
 * a route is asked for as if it were not known, as seldom as a name that has
 * none, and is not known while the database is away.
 */

static ngx_int_t
ngx_oa_router_blind(ngx_http_request_t *r, ngx_oa_router_ctx_t *ctx)
{
    ngx_oa_routes_t  *routes;

    routes = ctx->routes;

    if (!ctx->found || !ctx->authenticated
        || routes->source == NGX_OA_SOURCE_FILE)
    {
        return NGX_OK;
    }

    if (ctx->state == NGX_OA_ROUTE_LANDED && ctx->asked) {

        if (ctx->rc == NGX_OK) {
            oa_table_refuse(routes->table, ctx->hash, ngx_current_msec);
            return NGX_OK;
        }

        if (ctx->rc != NGX_ABORT) {
            return NGX_DECLINED;
        }
    }

    if (oa_table_is_refused(routes->table, ctx->hash, ngx_current_msec,
                            routes->negative_ttl))
    {
        return NGX_OK;
    }

    if (ngx_oa_router_is_idle(ctx)) {
        return NGX_DECLINED;
    }

    /* what comes is looked at anew */

    ctx->found = 0;

    return ngx_oa_router_ask(r, ctx, 1);
}


/* Nobody waits for a database that is known to be away, just to log in. */

static ngx_uint_t
ngx_oa_router_is_idle(ngx_oa_router_ctx_t *ctx)
{
    oa_table_state_e  state;

    state = ctx->routes->info->state;

    return ctx->authenticated
           && ctx->identity.who == NGX_OA_NOBODY
           && (state == OA_TABLE_STALE || state == OA_TABLE_SNAPSHOT);
}


/* The database does not answer: while the first routes come, look again. */

static ngx_int_t
ngx_oa_router_unavailable(ngx_http_request_t *r, ngx_oa_router_ctx_t *ctx)
{
    if (ctx->routes->info->state != OA_TABLE_INIT) {
        return NGX_DECLINED;
    }

    if (ctx->started == 0) {
        ctx->started = ngx_current_msec;

    } else if (ngx_current_msec - ctx->started > NGX_OA_FIRST_ROUTES) {
        return NGX_DECLINED;
    }

    ngx_memzero(&ctx->timer, sizeof(ngx_event_t));

    ctx->timer.handler = ngx_oa_router_timer;
    ctx->timer.data = ctx;
    ctx->timer.log = r->connection->log;

    ngx_add_timer(&ctx->timer, NGX_OA_FIRST_LOOK);

    ctx->state = NGX_OA_ROUTE_WAITING;
    ngx_oa_request_wait(r);

    return NGX_AGAIN;
}


static void
ngx_oa_router_landed(ngx_oa_flight_t *flight, ngx_int_t rc)
{
    ngx_oa_router_ctx_t *ctx = flight->data;

    ctx->rc = rc;
    ctx->state = NGX_OA_ROUTE_LANDED;

    ngx_oa_request_go_on(ctx->request);
}


static void
ngx_oa_router_timer(ngx_event_t *ev)
{
    ngx_oa_router_ctx_t *ctx = ev->data;

    ctx->state = NGX_OA_ROUTE_LANDED;

    ngx_oa_request_go_on(ctx->request);
}


/*
 * Existence and access together: who may not reach a route gets the same
 * answer as if there were none.
 */

static ngx_uint_t
ngx_oa_router_may(ngx_oa_router_ctx_t *ctx, ngx_oa_router_loc_conf_t *rlcf)
{
    u_char      text[3 * 36];
    oa_route_t  route;
    ngx_str_t  *users;
    ngx_uint_t  access;

    if (!ctx->found || ctx->identity.needed) {
        return 0;
    }

    access = rlcf->access;

    if (access == NGX_OA_ACCESS_ROUTE) {
        switch (ctx->route.access) {

        case OA_ACCESS_PUBLIC:
            access = NGX_OA_ACCESS_PUBLIC;
            break;

        case OA_ACCESS_AUTHENTICATED:
            access = NGX_OA_ACCESS_AUTHENTICATED;
            break;

        default:
            access = NGX_OA_ACCESS_OWNER;
            break;
        }
    }

    if (access == NGX_OA_ACCESS_PUBLIC) {
        return 1;
    }

    if (ctx->identity.who != NGX_OA_KNOWN) {
        return 0;
    }

    if (access == NGX_OA_ACCESS_AUTHENTICATED) {
        return 1;
    }

    users = &ctx->routes->users;

    if (users->len
        && (users->len != ctx->identity.issuer.len
            || ngx_memcmp(users->data, ctx->identity.issuer.data, users->len)
               != 0))
    {
        return 0;
    }

    oa_route_unpack(&ctx->copy.head, ctx->copy.packed, text, &route);

    return route.user_id.len
           && route.user_id.len == ctx->identity.sub.len
           && ngx_memcmp(route.user_id.data, ctx->identity.sub.data,
                         route.user_id.len)
              == 0;
}


static const ngx_oa_problem_t *
ngx_oa_router_status(ngx_oa_router_ctx_t *ctx)
{
    switch (ctx->route.status) {

    case OA_ROUTE_RUNNING:
    case OA_ROUTE_STOPPED:
    case OA_ROUTE_SUSPENDED:

        if (ctx->route.app.len && ctx->route.machine.len) {
            return NULL;
        }

        /* fall through */

    case OA_ROUTE_PROVISIONING:
        return &ngx_oa_problem_provisioning;

    case OA_ROUTE_DISABLED:
        return &ngx_oa_problem_disabled;

    default:
        return &ngx_oa_problem_provision_failed;
    }
}


/* A browser is sent to the login page, everybody else is told to log in. */

static ngx_int_t
ngx_oa_router_login(ngx_http_request_t *r, ngx_oa_router_ctx_t *ctx,
    ngx_oa_router_loc_conf_t *rlcf)
{
    ngx_str_t        *accept, url;
    ngx_uint_t        i;
    ngx_table_elt_t  *h;

    accept = ngx_oa_request_header(r, &ngx_oa_accept, NULL);

    if (rlcf->login_url == NULL
        || !(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))
        || accept == NULL || !oa_accept_html(accept))
    {
        return ngx_oa_router_refuse(r, ctx, ctx->identity.problem);
    }

    ctx->state = NGX_OA_ROUTE_REFUSED;

    if (ngx_http_complex_value(r, rlcf->login_url, &url) != NGX_OK
        || ngx_oa_router_keep(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* $uri has whatever bytes the client wants it to */

    for (i = 0; i < url.len; i++) {
        if (url.data[i] < 0x20 || url.data[i] == 0x7f) {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "the value of \"oa_login_url\" has a control "
                          "character");
            ngx_http_finalize_request(r, NGX_HTTP_BAD_REQUEST);
            return NGX_DONE;
        }
    }

    h = ngx_oa_response_header(r, &ngx_oa_location, &url);

    if (h == NULL
        || ngx_oa_response_header(r, &ngx_oa_cache_control, &ngx_oa_no_store)
           == NULL)
    {
        return NGX_ERROR;
    }

    r->headers_out.location = h;

    ngx_http_finalize_request(r, NGX_HTTP_MOVED_TEMPORARILY);

    return NGX_DONE;
}


static ngx_int_t
ngx_oa_router_refuse(ngx_http_request_t *r, ngx_oa_router_ctx_t *ctx,
    const ngx_oa_problem_t *problem)
{
    ctx->state = NGX_OA_ROUTE_REFUSED;

    if (ngx_oa_router_keep(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    if (problem->status == NGX_HTTP_NOT_FOUND) {
        ngx_oa_count(NGX_OA_COUNT_ROUTE_UNKNOWN);
    }

    ngx_http_finalize_request(r, ngx_oa_problem(r, problem));

    return NGX_DONE;
}
