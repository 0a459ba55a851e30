
/*
 * A stream: how it begins, what limits it, and how it ends.
 */


#include "ngx_oa_stream.h"


/* bytes of an end in our own words, with a code that may be an agent's */
#define NGX_OA_STREAM_END_MAX  256


static void ngx_oa_stream_event(ngx_event_t *ev);
static ngx_int_t ngx_oa_stream_mute(ngx_event_t *wev);
static void ngx_oa_stream_send(ngx_oa_stream_t *st);
static void ngx_oa_stream_finish(ngx_oa_stream_t *st, ngx_oa_end_e end,
    oa_sse_error_t *error);
static void ngx_oa_stream_add_end(ngx_oa_stream_t *st, ngx_oa_end_e end,
    oa_sse_error_t *error);
static void ngx_oa_stream_tell_usage(ngx_oa_stream_t *st);
static void ngx_oa_stream_set_timer(ngx_oa_stream_t *st);
static void ngx_oa_stream_timer(ngx_event_t *ev);


const ngx_oa_end_t  ngx_oa_ends[NGX_OA_ENDS] = {
    { ngx_string("done"),
      ngx_string("The stream has ended.") },
    { ngx_string("agent_error"),
      ngx_string("The agent told of an error.") },
    { ngx_string("machine_unreachable"),
      ngx_string("The agent's machine cannot be reached.") },
    { ngx_string("machine_status"),
      ngx_string("The agent's machine answered with an error.") },
    { ngx_string("machine_type"),
      ngx_string("The agent's machine did not answer with a stream.") },
    { ngx_string("machine_protocol"),
      ngx_string("The agent's machine sent what is no proper answer.") },
    { ngx_string("stream_truncated"),
      ngx_string("The agent's answer broke off.") },
    { ngx_string("event_too_large"),
      ngx_string("The agent sent an event that is too large.") },
    { ngx_string("idle_timeout"),
      ngx_string("The agent was silent for too long.") },
    { ngx_string("max_duration"),
      ngx_string("The answer took too long.") },
    { ngx_string("stopped"),
      ngx_string("The stream was stopped.") },
    { ngx_string("abandoned"),
      ngx_string("Nobody was reading.") },
    { ngx_string("shutdown"),
      ngx_string("The service was restarted.") },
    { ngx_string("internal_error"),
      ngx_string("Something went wrong.") },
    { ngx_string("stream_lost"),
      ngx_string("The stream was lost.") }
};


ngx_oa_stream_t *
ngx_oa_stream_create(ngx_oa_sse_loc_conf_t *slcf, const oa_stream_writer_t *w,
    const ngx_str_t *name)
{
    ngx_oa_stream_t  *st;

    st = ngx_calloc(sizeof(ngx_oa_stream_t), ngx_cycle->log);
    if (st == NULL) {
        return NULL;
    }

    st->conf = slcf;
    st->writer = *w;

    /* "id: ", the name, which stays where it is, "-", and a number */

    (void) oa_stream_event_line(st->line, name, 0);

    st->name.data = st->line + sizeof("id: ") - 1;
    st->name.len = name->len;
    st->number = st->name.data + name->len + 1;

    oa_sse_init(&st->sse);
    oa_dialect_init(&st->dialect, slcf->dialect);

    ngx_queue_init(&st->readers);
    ngx_queue_insert_tail(&ngx_oa_streams.streams, &st->queue);
    ngx_oa_streams.own[w->ref.slot] = st;

    st->timer.handler = ngx_oa_stream_timer;
    st->timer.data = st;
    st->timer.log = ngx_cycle->log;

    ngx_oa_count(NGX_OA_COUNT_STREAMS);

    return st;
}


void
ngx_oa_stream_begin(ngx_oa_stream_t *st, const ngx_oa_target_t *target,
    const ngx_str_t *request)
{
    st->request = *request;
    st->started = ngx_current_msec;
    st->heard = ngx_current_msec;

    ngx_oa_stream_set_timer(st);
    ngx_oa_streams_watch();

    ngx_oa_peer_connect(st, target);
}


void
ngx_oa_stream_connected(ngx_oa_stream_t *st)
{
    ngx_connection_t  *c;

    c = st->connection;

    c->read->handler = ngx_oa_stream_event;
    c->write->handler = ngx_oa_stream_event;

    st->state = NGX_OA_STREAM_HEAD;
    st->heard = ngx_current_msec;

    ngx_oa_stream_set_timer(st);
    ngx_oa_stream_send(st);
}


static void
ngx_oa_stream_event(ngx_event_t *ev)
{
    ngx_connection_t  *c;
    ngx_oa_stream_t   *st;

    c = ev->data;
    st = c->data;

    if (c->close) {
        ngx_oa_stream_end(st, NGX_OA_END_SHUTDOWN);

    } else if (ev->write) {
        ngx_oa_stream_send(st);

    } else {
        ngx_oa_stream_receive(st);
    }
}


/*
 * An edge-triggered connection tells with all that comes that it can be
 * written to, which is of no use any more.
 */

static ngx_int_t
ngx_oa_stream_mute(ngx_event_t *wev)
{
    return wev->active ? ngx_del_event(wev, NGX_WRITE_EVENT, 0) : NGX_OK;
}


/* A machine may answer before it has read all: what it says counts. */

static void
ngx_oa_stream_send(ngx_oa_stream_t *st)
{
    ssize_t            n;
    ngx_int_t          rc;
    ngx_connection_t  *c;

    c = st->connection;

    while (st->sent < st->request.len) {

        n = c->send(c, st->request.data + st->sent,
                    st->request.len - st->sent);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR || n == 0) {
            st->sent = st->request.len;
            break;
        }

        st->sent += n;
    }

    if (st->sent == st->request.len) {
        ngx_oa_target_forget(&st->request);
        st->sent = 0;

        rc = ngx_oa_stream_mute(c->write);

    } else {
        rc = ngx_handle_write_event(c->write, 0);
    }

    if (rc != NGX_OK || ngx_handle_read_event(c->read, 0) != NGX_OK) {
        ngx_oa_stream_end(st, NGX_OA_END_INTERNAL);
        return;
    }

    if (c->read->ready) {
        ngx_post_event(c->read, &ngx_posted_events);
    }
}


void
ngx_oa_stream_fail(ngx_oa_stream_t *st, ngx_oa_end_e end, ngx_err_t err,
    const char *why)
{
    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, err,
                  "stream \"%V\" failed: %s", &st->name, why);

    ngx_oa_stream_end(st, end);
}


void
ngx_oa_stream_end(ngx_oa_stream_t *st, ngx_oa_end_e end)
{
    oa_sse_error_t  error;

    ngx_memzero(&error, sizeof(oa_sse_error_t));

    error.text = ngx_oa_ends[end].text;
    error.code = ngx_oa_ends[end].code;

    ngx_oa_stream_finish(st, end, &error);
}


void
ngx_oa_stream_agent_failed(ngx_oa_stream_t *st, oa_sse_error_t *error)
{
    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "stream \"%V\": the agent told of an error, \"%V\"",
                  &st->name, &error->code);

    ngx_oa_stream_finish(st, NGX_OA_END_AGENT, error);
}


static void
ngx_oa_stream_finish(ngx_oa_stream_t *st, ngx_oa_end_e end,
    oa_sse_error_t *error)
{
    uint64_t          now;
    ngx_queue_t      *q;
    ngx_oa_reader_t  *rd;

    ngx_oa_stream_close(st);
    ngx_oa_peer_free(st);
    ngx_oa_target_forget(&st->request);

    ngx_oa_stream_add_end(st, end, error);

    /* no agent has heard of it: who asks again is not to get the same */

    if (end == NGX_OA_END_UNREACHABLE) {
        oa_stream_forget_key(&ngx_oa_streams.zone, &st->writer);
    }

    now = ngx_oa_now();

    ngx_oa_streams.own[st->writer.ref.slot] = NULL;

    oa_stream_end(&ngx_oa_streams.zone, &st->writer,
                  end == NGX_OA_END_DONE ? OA_STREAM_DONE : OA_STREAM_FAILED,
                  end, now);

    ngx_oa_count(end == NGX_OA_END_DONE ? NGX_OA_COUNT_STREAM_DONE
                 : end == NGX_OA_END_STOPPED ? NGX_OA_COUNT_STREAM_STOPPED
                 : end == NGX_OA_END_ABANDONED ? NGX_OA_COUNT_STREAM_ABANDONED
                 : NGX_OA_COUNT_STREAM_FAILED);

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "stream \"%V\" has ended: %V", &st->name,
                  &ngx_oa_ends[end].code);

    ngx_oa_stream_tell_usage(st);

    /* those who read it go on by themselves */

    while (!ngx_queue_empty(&st->readers)) {
        q = ngx_queue_head(&st->readers);
        rd = ngx_queue_data(q, ngx_oa_reader_t, queue);

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&ngx_oa_streams.readers, q);

        rd->stream = NULL;
        ngx_oa_reader_wake(rd);
    }

    if (st->timer.timer_set) {
        ngx_del_timer(&st->timer);
    }

    ngx_queue_remove(&st->queue);

    if (st->buf) {
        ngx_free(st->buf);
    }

    ngx_free(st);
}


/*
 * The last event: oa_stream_end() lets it be seen.  Words of an agent that
 * would push out all it has said before are not told; where even our own find
 * no room, readers say it themselves, by the code.
 */

static void
ngx_oa_stream_add_end(ngx_oa_stream_t *st, ngx_oa_end_e end,
    oa_sse_error_t *error)
{
    u_char    *p, ours[NGX_OA_STREAM_END_MAX];
    ngx_str_t  s;

    s.data = st->line;
    s.len = oa_stream_event_number(st->number, oa_stream_seq(&st->writer))
            - st->line;

    (void) ngx_oa_stream_put(st, NULL, &s);

    p = NULL;

    if (end == NGX_OA_END_DONE) {
        s = oa_sse_done;

    } else {
        s.data = ours;
        s.len = oa_sse_error_size(error);

        if (s.len > sizeof(ours)) {

            if (s.len <= st->conf->buffer / 2) {
                p = ngx_alloc(s.len, ngx_cycle->log);
            }

            if (p) {
                s.data = p;

            } else {
                error->text = ngx_oa_ends[end].text;
                s.len = oa_sse_error_size(error);
            }
        }

        (void) oa_sse_error(s.data, error);
    }

    (void) ngx_oa_stream_put(st, NULL, &s);

    if (p) {
        ngx_free(p);
    }
}


/* Whose stream it was tells the access log, by $sent_http_oa_stream. */

static void
ngx_oa_stream_tell_usage(ngx_oa_stream_t *st)
{
    oa_dialect_usage_t  *usage;

    ngx_oa_count_more(NGX_OA_COUNT_STREAM_STRANGE, st->dialect.strange);

    usage = &st->dialect.usage;

    if (usage->prompt < 0 && usage->completion < 0 && usage->total < 0) {
        return;
    }

    ngx_oa_count_more(NGX_OA_COUNT_STREAM_PROMPT_TOKENS,
                      ngx_max(usage->prompt, 0));
    ngx_oa_count_more(NGX_OA_COUNT_STREAM_COMPLETION_TOKENS,
                      ngx_max(usage->completion, 0));

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "stream \"%V\": tokens used: prompt %L, completion %L, "
                  "total %L", &st->name, usage->prompt, usage->completion,
                  usage->total);
}


void
ngx_oa_stream_is_alone(ngx_oa_stream_t *st)
{
    st->alone = ngx_current_msec;

    ngx_oa_stream_set_timer(st);
}


/*
 * One timer for all limits.  It is not set anew with each event, but looks
 * what there was when it fires.
 */

static void
ngx_oa_stream_set_timer(ngx_oa_stream_t *st)
{
    ngx_msec_t  at, left, now;

    now = ngx_current_msec;

    if (st->state < NGX_OA_STREAM_HEAD) {
        at = st->started + NGX_OA_SSE_CONNECT;

    } else {
        at = st->heard + st->conf->idle_timeout;
    }

    at = ngx_min(at, st->started + st->conf->max_duration);

    if (ngx_queue_empty(&st->readers) && st->alone) {
        at = ngx_min(at, ngx_max(st->alone, oa_stream_read_at(&st->writer))
                         + st->conf->keep);
    }

    left = (at > now) ? at - now : 1;

    if (st->timer.timer_set) {
        ngx_del_timer(&st->timer);
    }

    ngx_add_timer(&st->timer, left);
}


static void
ngx_oa_stream_timer(ngx_event_t *ev)
{
    ngx_msec_t        now;
    ngx_oa_stream_t  *st;

    st = ev->data;
    now = ngx_current_msec;

    if (st->state < NGX_OA_STREAM_HEAD) {

        if (now - st->started >= NGX_OA_SSE_CONNECT) {
            ngx_oa_stream_fail(st, NGX_OA_END_UNREACHABLE, NGX_ETIMEDOUT,
                               "the machine could not be connected to in "
                               "time");
            return;
        }

    } else if (now - st->heard >= st->conf->idle_timeout) {
        ngx_oa_stream_fail(st, NGX_OA_END_IDLE, NGX_ETIMEDOUT,
                           "the machine was silent for too long");
        return;
    }

    if (now - st->started >= st->conf->max_duration) {
        ngx_oa_stream_fail(st, NGX_OA_END_DURATION, NGX_ETIMEDOUT,
                           "it took too long");
        return;
    }

    if (ngx_queue_empty(&st->readers) && st->alone
        && now >= st->alone + st->conf->keep
        && now >= oa_stream_read_at(&st->writer) + st->conf->keep)
    {
        ngx_oa_stream_end(st, NGX_OA_END_ABANDONED);
        return;
    }

    ngx_oa_stream_set_timer(st);
}
