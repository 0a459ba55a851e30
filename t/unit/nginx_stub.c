
/* What the few files of nginx under the pure files need of the rest of it. */


#include <ngx_config.h>
#include <ngx_core.h>


static ngx_log_t    stub_log;
static ngx_cycle_t  stub_cycle = { .log = &stub_log };

volatile ngx_cycle_t  *ngx_cycle = &stub_cycle;


/* As ngx_os_init() and main() would. */

static __attribute__((constructor)) void
stub_init(void)
{
    ngx_pagesize = 4096;
    ngx_cacheline_size = 64;
}


void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
}

