
/*
 * Threads: what a worker does that may wait for a disk.
 */


#include "ngx_oa_core_int.h"


static void *ngx_oa_thread_run(void *data);
static ngx_uint_t ngx_oa_thread_wait(ngx_oa_thread_t *thread);


ngx_int_t
ngx_oa_thread_start(ngx_oa_thread_t *thread)
{
    int       err;
    sigset_t  all, old;

    if (thread->running) {
        return NGX_OK;
    }

    thread->stop = 0;

    err = pthread_mutex_init(&thread->mutex, NULL);
    if (err) {
        goto failed;
    }

    err = pthread_cond_init(&thread->cond, NULL);
    if (err) {
        (void) pthread_mutex_destroy(&thread->mutex);
        goto failed;
    }

    /* signals are for the event loop */

    sigfillset(&all);
    (void) pthread_sigmask(SIG_BLOCK, &all, &old);
    err = pthread_create(&thread->tid, NULL, ngx_oa_thread_run, thread);
    (void) pthread_sigmask(SIG_SETMASK, &old, NULL);

    if (err) {
        (void) pthread_cond_destroy(&thread->cond);
        (void) pthread_mutex_destroy(&thread->mutex);
        goto failed;
    }

    thread->running = 1;

    return NGX_OK;

failed:

    ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, err,
                  "a thread could not be started");

    return NGX_ERROR;
}


void
ngx_oa_thread_stop(ngx_oa_thread_t *thread)
{
    if (!thread->running) {
        return;
    }

    (void) pthread_mutex_lock(&thread->mutex);
    thread->stop = 1;
    (void) pthread_cond_signal(&thread->cond);
    (void) pthread_mutex_unlock(&thread->mutex);

    (void) pthread_join(thread->tid, NULL);

    (void) pthread_cond_destroy(&thread->cond);
    (void) pthread_mutex_destroy(&thread->mutex);

    thread->running = 0;
}


static void *
ngx_oa_thread_run(void *data)
{
    ngx_oa_thread_t *thread = data;

    do {
        thread->work(thread);

    } while (!ngx_oa_thread_wait(thread));

    return NULL;
}


/* Waits for the next turn; is it time to end? */

static ngx_uint_t
ngx_oa_thread_wait(ngx_oa_thread_t *thread)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_REALTIME, &ts);

    ts.tv_sec += thread->pause / 1000;
    ts.tv_nsec += thread->pause % 1000 * 1000000;

    if (ts.tv_nsec >= 1000000000) {
        ts.tv_sec++;
        ts.tv_nsec -= 1000000000;
    }

    (void) pthread_mutex_lock(&thread->mutex);

    if (!thread->stop) {
        (void) pthread_cond_timedwait(&thread->cond, &thread->mutex, &ts);
    }

    (void) pthread_mutex_unlock(&thread->mutex);

    return thread->stop;
}


ngx_int_t
ngx_oa_file_id(const ngx_str_t *path, ngx_oa_file_id_t *id)
{
    struct stat  st;

    if (stat((char *) path->data, &st) == -1) {
        return NGX_ERROR;
    }

    id->ino = st.st_ino;
    id->size = st.st_size;
    id->mtime = (uint64_t) st.st_mtim.tv_sec * 1000000000
                + st.st_mtim.tv_nsec;

    return NGX_OK;
}
