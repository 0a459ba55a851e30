
/*
 * For tests: a part of the zone that says when it is repaired, and a worker
 * that dies with the lock held.
 *
 *     oa_test_part;      http
 *     oa_test_die;       location
 */


#include "ngx_oa_core.h"


static size_t ngx_oa_test_part_size(ngx_uint_t npages);
static ngx_int_t ngx_oa_test_part_init(ngx_oa_zone_t *zone, void *part,
    ngx_uint_t fresh, void *data, ngx_log_t *log);
static void ngx_oa_test_part_repair(ngx_oa_zone_t *zone, void *part,
    ngx_log_t *log);
static ngx_int_t ngx_oa_test_die_handler(ngx_http_request_t *r);


static ngx_oa_zone_t  *ngx_oa_test_zone;


char *
ngx_oa_test_part(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_oa_zone_part_t  *part;

    part = ngx_pcalloc(cf->pool, sizeof(ngx_oa_zone_part_t));
    if (part == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_str_set(&part->name, "test");
    part->size = ngx_oa_test_part_size;
    part->init = ngx_oa_test_part_init;
    part->repair = ngx_oa_test_part_repair;

    return ngx_oa_zone_add(cf, part) == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static size_t
ngx_oa_test_part_size(ngx_uint_t npages)
{
    return NGX_OA_PAGE_SIZE;
}


static ngx_int_t
ngx_oa_test_part_init(ngx_oa_zone_t *zone, void *part, ngx_uint_t fresh,
    void *data, ngx_log_t *log)
{
    ngx_log_error(NGX_LOG_NOTICE, log, 0, "part \"test\" is %s",
                  fresh ? "fresh" : "met again");

    return NGX_OK;
}


static void
ngx_oa_test_part_repair(ngx_oa_zone_t *zone, void *part, ngx_log_t *log)
{
    ngx_log_error(NGX_LOG_NOTICE, log, 0, "part \"test\" is repaired");
}


char *
ngx_oa_test_die(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    ngx_oa_test_zone = ngx_oa_zone(cf);

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_oa_test_die_handler;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_oa_test_die_handler(ngx_http_request_t *r)
{
    ngx_oa_zone_lock(ngx_oa_test_zone);

    (void) raise(SIGKILL);

    return NGX_ERROR;
}
