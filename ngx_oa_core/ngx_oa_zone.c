
/*
 * The shared zone: its pages, parts and counters.
 */


#include "ngx_oa_core_int.h"


static ngx_int_t ngx_oa_zone_init(ngx_shm_zone_t *shm_zone, void *data);
static ngx_int_t ngx_oa_zone_format(ngx_oa_zone_t *zone);
static void ngx_oa_zone_find_parts(ngx_oa_zone_t *zone);
static ngx_int_t ngx_oa_zone_attach(ngx_oa_zone_t *zone, ngx_log_t *log);
static void *ngx_oa_zone_reserve(ngx_oa_shm_t *shm, size_t size);
static void ngx_oa_zone_lock_in_master(ngx_oa_zone_t *zone);
static void ngx_oa_zone_repair(ngx_oa_zone_t *zone);
static void ngx_oa_zone_repair_part(ngx_oa_zone_t *zone,
    ngx_oa_zone_part_t *part);


ngx_oa_zone_t  *ngx_oa_zone_running;


ngx_int_t
ngx_oa_zone_create(ngx_conf_t *cf, ngx_oa_core_main_conf_t *cmcf)
{
    ngx_str_t       name = ngx_string("ngx_oa");
    ngx_oa_zone_t  *zone;

    zone = &cmcf->zone;

    zone->shm_zone = ngx_shared_memory_add(cf, &name, zone->size,
                                           &ngx_oa_core_module);
    if (zone->shm_zone == NULL) {
        return NGX_ERROR;
    }

    zone->shm_zone->init = ngx_oa_zone_init;
    zone->shm_zone->data = cmcf;

    return NGX_OK;
}


ngx_int_t
ngx_oa_zone_add(ngx_conf_t *cf, ngx_oa_zone_part_t *part)
{
    ngx_oa_zone_t        *zone;
    ngx_oa_zone_part_t  **p;

    zone = ngx_oa_zone(cf);
    if (zone == NULL) {
        return NGX_ERROR;
    }

    p = ngx_array_push(&zone->parts);
    if (p == NULL) {
        return NGX_ERROR;
    }

    *p = part;

    return NGX_OK;
}


ngx_oa_zone_part_t *
ngx_oa_zone_part(ngx_conf_t *cf, const ngx_str_t *name)
{
    ngx_uint_t            i;
    ngx_oa_zone_t        *zone;
    ngx_oa_zone_part_t  **parts;

    zone = ngx_oa_zone(cf);
    parts = zone->parts.elts;

    for (i = 0; i < zone->parts.nelts; i++) {
        if (parts[i]->name.len == name->len
            && ngx_memcmp(parts[i]->name.data, name->data, name->len) == 0)
        {
            return parts[i];
        }
    }

    return NULL;
}


static ngx_int_t
ngx_oa_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_oa_core_main_conf_t  *old = data;

    ngx_int_t                 rc;
    ngx_log_t                *log;
    ngx_oa_zone_t            *zone;
    ngx_oa_core_main_conf_t  *cmcf;

    cmcf = shm_zone->data;
    zone = &cmcf->zone;
    log = shm_zone->shm.log;

    zone->log = log;
    zone->shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (old) {
        zone->shm = old->zone.shm;

        if (zone->shm->abi != NGX_OA_CORE_ABI) {
            ngx_log_error(NGX_LOG_EMERG, log, 0,
                          "zone \"ngx_oa\" was made by ABI %ui, this is %ui: "
                          "restart nginx, a reload cannot replace it",
                          zone->shm->abi, (ngx_uint_t) NGX_OA_CORE_ABI);
            return NGX_ERROR;
        }

    } else if (ngx_oa_zone_format(zone) != NGX_OK) {
        return NGX_ERROR;
    }

    /* to repair it takes to know the parts */

    ngx_oa_zone_find_parts(zone);

    ngx_oa_zone_lock(zone);

    rc = ngx_oa_zone_attach(zone, log);

    if (rc == NGX_OK) {
        rc = ngx_oa_duties_attach(cmcf, log);
    }

    ngx_oa_zone_unlock(zone);

    return rc;
}


static ngx_int_t
ngx_oa_zone_format(ngx_oa_zone_t *zone)
{
    u_char        *p;
    size_t         head;
    ngx_uint_t     n;
    ngx_oa_shm_t  *shm;

    /* the slab's lists would not survive a death: it gives all, once */

    zone->shpool->log_nomem = 0;
    n = zone->shpool->pfree;

    p = ngx_slab_alloc(zone->shpool, n << ngx_pagesize_shift);
    if (p == NULL) {
        ngx_log_error(NGX_LOG_EMERG, zone->log, 0,
                      "zone \"ngx_oa\": no contiguous memory in a new zone");
        return NGX_ERROR;
    }

    head = ngx_align(sizeof(ngx_oa_shm_t), NGX_OA_PAGE_SIZE);

    shm = (ngx_oa_shm_t *) p;
    ngx_memzero(shm, sizeof(ngx_oa_shm_t));

    shm->abi = NGX_OA_CORE_ABI;
    shm->pages = p + head;
    shm->npages = ((n << ngx_pagesize_shift) - head) / NGX_OA_PAGE_SIZE;

    zone->shm = shm;

    return NGX_OK;
}


/* Only the master adds parts, so it may read them without the lock. */

static void
ngx_oa_zone_find_parts(ngx_oa_zone_t *zone)
{
    ngx_str_t            *name;
    ngx_uint_t            i, n;
    ngx_oa_shm_part_t    *sp;
    ngx_oa_zone_part_t  **parts;

    parts = zone->parts.elts;

    for (i = 0; i < zone->parts.nelts; i++) {
        name = &parts[i]->name;

        for (n = 0; n < NGX_OA_ZONE_PARTS; n++) {
            sp = &zone->shm->parts[n];

            if (sp->addr
                && ngx_strncmp(sp->name, name->data, name->len) == 0
                && sp->name[name->len] == '\0')
            {
                parts[i]->addr = sp->addr;
                break;
            }
        }
    }
}


static ngx_int_t
ngx_oa_zone_attach(ngx_oa_zone_t *zone, ngx_log_t *log)
{
    size_t                size;
    ngx_uint_t            i, n, fresh;
    ngx_oa_shm_t         *shm;
    ngx_oa_shm_part_t    *sp;
    ngx_oa_zone_part_t  **parts, *part;

    shm = zone->shm;
    parts = zone->parts.elts;

    for (i = 0; i < zone->parts.nelts; i++) {
        part = parts[i];

        sp = NULL;
        fresh = (part->addr == NULL);

        if (fresh) {
            for (n = 0; n < NGX_OA_ZONE_PARTS && shm->parts[n].addr; n++) {
                /* void */
            }

            if (n == NGX_OA_ZONE_PARTS
                || part->name.len >= sizeof(shm->parts[n].name))
            {
                ngx_log_error(NGX_LOG_EMERG, log, 0,
                              "zone \"ngx_oa\": no place for part \"%V\"",
                              &part->name);
                return NGX_ERROR;
            }

            sp = &shm->parts[n];
            size = part->size(shm->npages);

            sp->addr = ngx_oa_zone_reserve(shm, size);
            if (sp->addr == NULL) {
                ngx_log_error(NGX_LOG_EMERG, log, 0,
                              "oa_zone is too small: \"%V\" needs %uz bytes "
                              "at once", &part->name, size);
                return NGX_ERROR;
            }

            sp->size = size;
            sp->torn = 0;
            ngx_memzero(sp->addr, size);
            ngx_memcpy(sp->name, part->name.data, part->name.len);
            part->addr = sp->addr;
        }

        ngx_oa_zone_repair_part(zone, part);

        if (part->init(zone, part->addr, fresh, part->data, log) != NGX_OK) {

            /* nobody may meet it half made with the next reload */

            if (sp) {
                sp->addr = NULL;
            }

            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void *
ngx_oa_zone_reserve(ngx_oa_shm_t *shm, size_t size)
{
    u_char      *p;
    ngx_uint_t   n;

    n = (size + NGX_OA_PAGE_SIZE - 1) / NGX_OA_PAGE_SIZE;

    if (n > shm->npages - shm->fresh) {
        return NULL;
    }

    p = shm->pages + shm->fresh * NGX_OA_PAGE_SIZE;
    shm->fresh += n;

    return p;
}


void
ngx_oa_zone_lock(ngx_oa_zone_t *zone)
{
    if (ngx_process == NGX_PROCESS_MASTER) {
        ngx_oa_zone_lock_in_master(zone);

    } else {
        ngx_shmtx_lock(&zone->shpool->mutex);
    }

    if (zone->shm->writer) {
        ngx_oa_zone_repair(zone);
    }

    zone->shm->writer = ngx_pid;
    ngx_memory_barrier();
}


void
ngx_oa_zone_unlock(ngx_oa_zone_t *zone)
{
    ngx_memory_barrier();
    zone->shm->writer = 0;

    ngx_shmtx_unlock(&zone->shpool->mutex);
}


/*
 * It is the master that frees the mutex of a dead worker, when it hears of the
 * death, and it hears nothing while it waits for that mutex in a reload.
 */

static void
ngx_oa_zone_lock_in_master(ngx_oa_zone_t *zone)
{
    siginfo_t     info;
    ngx_pid_t     pid;
    ngx_shmtx_t  *mutex;

    mutex = &zone->shpool->mutex;

    while (!ngx_shmtx_trylock(mutex)) {

        pid = *mutex->lock;
        ngx_memzero(&info, sizeof(siginfo_t));

        /* the master's own look at its children must still find it dead */

        if (pid
            && ((waitid(P_PID, pid, &info, WEXITED|WNOHANG|WNOWAIT) == 0
                 && info.si_pid == pid)
                || !ngx_oa_alive(pid))
            && ngx_shmtx_force_unlock(mutex, pid))
        {
            continue;
        }

        ngx_msleep(1);
    }
}


static void
ngx_oa_zone_repair(ngx_oa_zone_t *zone)
{
    ngx_uint_t            i, n;
    ngx_oa_zone_part_t  **parts;

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "zone \"ngx_oa\": process %P died while it wrote, repairing",
                  zone->shm->writer);

    for (n = 0; n < NGX_OA_ZONE_PARTS; n++) {
        zone->shm->parts[n].torn = 1;
    }

    parts = zone->parts.elts;

    for (i = 0; i < zone->parts.nelts; i++) {
        ngx_oa_zone_repair_part(zone, parts[i]);
    }

    ngx_oa_count(NGX_OA_COUNT_REPAIRS);
}


/* A part of another configuration waits until it is met again. */

static void
ngx_oa_zone_repair_part(ngx_oa_zone_t *zone, ngx_oa_zone_part_t *part)
{
    ngx_uint_t          n;
    ngx_oa_shm_part_t  *sp;

    if (part->addr == NULL) {
        return;
    }

    for (n = 0; n < NGX_OA_ZONE_PARTS; n++) {
        sp = &zone->shm->parts[n];

        if (sp->addr != part->addr || !sp->torn) {
            continue;
        }

        if (part->repair) {
            part->repair(zone, part->addr, ngx_cycle->log);
        }

        sp->torn = 0;
    }
}


void *
ngx_oa_zone_page(ngx_oa_zone_t *zone)
{
    u_char        *p;
    ngx_oa_shm_t  *shm;

    shm = zone->shm;

    /* one store takes a page: a death here loses at most that page */

    if (shm->free) {
        p = shm->pages + (shm->free - 1) * NGX_OA_PAGE_SIZE;
        shm->free = *(ngx_uint_t *) p;
        shm->nfree--;
        return p;
    }

    if (shm->fresh == shm->npages) {
        return NULL;
    }

    return shm->pages + shm->fresh++ * NGX_OA_PAGE_SIZE;
}


void
ngx_oa_zone_page_free(ngx_oa_zone_t *zone, void *page)
{
    ngx_oa_shm_t  *shm;

    shm = zone->shm;

    *(ngx_uint_t *) page = shm->free;
    ngx_memory_barrier();
    shm->free = ((u_char *) page - shm->pages) / NGX_OA_PAGE_SIZE + 1;
    shm->nfree++;
}


ngx_uint_t
ngx_oa_zone_free_pages(ngx_oa_zone_t *zone)
{
    return zone->shm->npages - zone->shm->fresh + zone->shm->nfree;
}


u_char *
ngx_oa_zone_pages(ngx_oa_zone_t *zone, ngx_uint_t *npages)
{
    *npages = zone->shm->npages;

    return zone->shm->pages;
}


void
ngx_oa_count(ngx_oa_count_e what)
{
    ngx_oa_count_more(what, 1);
}


void
ngx_oa_count_more(ngx_oa_count_e what, ngx_uint_t n)
{
    ngx_oa_shm_t  *shm;

    if (ngx_oa_zone_running == NULL) {
        return;
    }

    shm = ngx_oa_zone_running->shm;

    (void) ngx_atomic_fetch_add(
               &shm->counters[ngx_worker % NGX_OA_COUNTER_SETS][what], n);
}
