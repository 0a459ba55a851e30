
/*
 * Lines of error.log name the request, and the page that led to it: without
 * the tokens that stand in their arguments.
 */


#include "ngx_oa_auth.h"
#include "oa_args.h"


static u_char *ngx_oa_auth_log_error(ngx_http_request_t *r,
    ngx_http_request_t *sr, u_char *buf, size_t len);


/* nginx's own: that of every request. */
static ngx_http_log_handler_pt  ngx_oa_auth_next_log_error;


void
ngx_oa_auth_mask_log(ngx_http_request_t *r)
{
    if (r->log_handler != ngx_oa_auth_log_error) {
        ngx_oa_auth_next_log_error = r->log_handler;
        r->log_handler = ngx_oa_auth_log_error;
    }
}


static u_char *
ngx_oa_auth_log_error(ngx_http_request_t *r, ngx_http_request_t *sr,
    u_char *buf, size_t len)
{
    u_char                   *last;
    ngx_oa_auth_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_oa_auth_module);

    last = ngx_oa_auth_next_log_error(r, sr, buf, len);

    return oa_args_redact(buf, last, amcf->args.elts, amcf->args.nelts);
}
