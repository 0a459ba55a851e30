
/* Streams in shared memory: writers that die, readers that are overtaken. */


#include "stream_zone.h"


#define PAGES    32
#define STREAMS  6
#define BUFFER   (4 * 4096)

/* So many pages are fewer than all streams would like. */
#define SCARCE   10


static u_char  data[EVENT_MAX];
static u_char  got_data[16 * 4096];


static oa_stream_conf_t *
conf_of(ngx_uint_t n)
{
    static oa_stream_conf_t  conf;

    memset(&conf, 0, sizeof(conf));

    conf.id[0] = n;
    conf.id[1] = n >> 8;
    conf.id[2] = n >> 16;
    conf.id[15] = 'i';
    conf.key[0] = n;
    conf.has_key = n % 2;
    conf.owner[0] = n % 3;

    conf.pid = getpid();
    conf.buffer = n ? BUFFER : 2 * BUFFER;
    conf.keep = 60000;

    return &conf;
}


/* All events there are, read from the first one on: how many are wrong. */

static ngx_uint_t
read_all(oa_streams_t *t, ngx_uint_t n, uint64_t *next)
{
    ngx_int_t            rc;
    ngx_uint_t           bad;
    oa_stream_got_t      got;
    oa_stream_info_t     info;
    oa_stream_cursor_t   c;

    *next = 0;

    if (oa_stream_find(t, conf_of(n)->id, 0, &info) != NGX_OK) {
        return 0;
    }

    bad = oa_stream_seek(t, info.ref, info.first_seq, &c) != NGX_OK;

    for ( ;; ) {
        rc = oa_stream_read(t, &c, got_data, sizeof(got_data), 0, &got);

        if (rc != NGX_OK) {
            break;
        }

        bad += events_bad(n, &got, got_data);
    }

    *next = c.seq;

    return bad + (rc != NGX_AGAIN && rc != NGX_DONE)
           + (info.next_seq - c.seq > 1);
}


/* What a kill may leave: for readers, and for the next holder of the lock. */

static ngx_uint_t    states_bad;
static const char   *states_what;
static ngx_uint_t    again;
static uint64_t      last_of_2;             /* event, or 0: it runs on */


static void
note(int bad, const char *what)
{
    if (bad) {
        states_bad++;
        states_what = what;
    }
}


static int
repair(void *zone)
{
    oa_streams_t  t;

    t = zone_streams(zone);

    procs_mark();
    oa_streams_repair(&t);
    procs_mark();

    return 0;
}


/*
 * Is a page with the zone, which has taken it out of its list and not handed
 * it over yet, or begun to take it back?  Then the zone loses it.
 */

static ngx_uint_t
page_moving(oa_streams_t *t)
{
    zone_t      *z = t->data;
    uint64_t     page;
    uint32_t     i;
    u_char       listed[PAGES + 1];
    ngx_uint_t   n;

    memset(listed, 0, sizeof(listed));

    for (page = z->free; page; /* void */ ) {
        listed[page] = 1;
        page = *(uint64_t *) oa_stream_page(t, (uint32_t) page);
    }

    for (i = (uint32_t) z->elsewhere + 1, n = 0; i <= z->fresh; i++) {
        n += !listed[i]
             && (*oa_stream_page_owner(t, i) == OA_PAGE_FOREIGN
                 || (*oa_stream_page_owner(t, i) == OA_PAGE_LEAVING
                     && oa_stream_page(t, i)->seq != OA_PAGE_GOING));
    }

    return n;
}


static void
check_repaired(void *copy)
{
    zone_t *z = copy;

    uint64_t             next, seq;
    ngx_uint_t           n, lost, moving;
    const char          *what;
    oa_streams_t         t;
    oa_stream_conf_t     conf;
    oa_stream_info_t     info;
    oa_stream_stat_t     stat;
    oa_stream_writer_t   w;

    t = zone_streams(z);
    moving = page_moving(&t);

    /* the lock is nobody's by now; who takes it repairs */

    z->lock = 0;
    zone_lock(z);
    zone_unlock(z);

    what = zone_wrong(&t, &lost);
    note(what != NULL, what);
    note(lost > moving, "a page is lost");

    for (n = 0; n < STREAMS + 2; n++) {
        note(read_all(&t, n, &next), "an event is wrong after repair");
    }

    /* life goes on: for all streams that run, and for a new one */

    oa_streams_stat(&t, &stat);

    conf = *conf_of(99);

    if (oa_stream_open(&t, &conf, 7000, &w, &info) == OA_STREAM_OPENED) {
        for (n = 0; n < 300; n++) {
            seq = oa_stream_seq(&w);
            (void) oa_stream_append(&t, &w, data, event_of(99, seq, data),
                                    7000);
        }

        note(read_all(&t, 99, &next), "an event is wrong of a new stream");
        note(next != 301, "a new stream has not all");
        oa_stream_end(&t, &w, OA_STREAM_DONE, 0, 7001);

    } else {
        note(stat.ended != 0, "no new stream");
    }

    oa_streams_sweep(&t, 1000000, PAGES);
    what = zone_wrong(&t, &lost);
    note(what != NULL, what);
    note(lost > moving, "a page is lost later");
}


static void
check_state(void *copy)
{
    zone_t *z = copy;

    uint64_t           next;
    ngx_uint_t         n;
    oa_streams_t       t;
    oa_stream_info_t   info;

    t = zone_streams(z);

    for (n = 0; n < STREAMS + 2; n++) {
        note(read_all(&t, n, &next), "an event is wrong");
    }

    if (last_of_2) {
        (void) read_all(&t, 2, &next);
        note(oa_stream_find(&t, conf_of(2)->id, 0, &info) != NGX_OK
             || (next > last_of_2) != (info.state == OA_STREAM_FAILED),
             "the last event without the end, or the reverse");
    }

    if (again && z->writer) {
        again--;
        note(each_state(z, zone_bytes, repair, check_repaired) < 0,
             "no repair");
        return;
    }

    check_repaired(copy);
}


/* Acts: what a process does when it is killed. */

static oa_streams_t         act_t;
static oa_stream_writer_t   act_w[STREAMS];
static oa_stream_info_t     act_info;
static oa_stream_conf_t     act_conf;


static ngx_int_t
append(ngx_uint_t n, size_t len)
{
    uint64_t  seq;

    seq = oa_stream_seq(&act_w[n]);

    if (len == 0) {
        len = event_of(n, seq, data);
    }

    return oa_stream_append(&act_t, &act_w[n], data, len, 5000);
}


/*
 * Some streams in a small zone, the odd ones with a key.  Number 1 and 4 have
 * ended; 0 is about to need a page, and 3 one of its own.
 */

static void *
world(ngx_uint_t there)
{
    void        *zone;
    ngx_uint_t   n, i;

    zone = zone_new(PAGES, there);
    act_t = zone_streams(zone);

    for (n = 0; n < STREAMS; n++) {
        (void) oa_stream_open(&act_t, conf_of(n), 1000 + n, &act_w[n],
                              &act_info);

        for (i = 0; i < 40 + n * 30; i++) {
            (void) append(n, 0);
        }
    }

    oa_stream_end(&act_t, &act_w[4], OA_STREAM_DONE, 0, 6000);
    oa_stream_end(&act_t, &act_w[1], OA_STREAM_DONE, 0, 6001);

    for (n = 0; n < 4; n += 3) {
        while (act_w[n].end - act_w[n].pos > 200) {
            (void) append(n, 0);
        }
    }

    return zone;
}


/* Some events; their bytes are made before. */

static int
append_some(ngx_uint_t n)
{
    size_t          len[4];
    uint64_t        seq;
    ngx_uint_t      i;
    static u_char   events[4][EVENT_MAX];

    seq = oa_stream_seq(&act_w[n]);

    for (i = 0; i < 4; i++) {
        len[i] = event_of(n, seq + i, events[i]);
    }

    procs_mark();

    for (i = 0; i < 4; i++) {
        (void) oa_stream_append(&act_t, &act_w[n], events[i], len[i], 5000);
    }

    procs_mark();

    return 0;
}


static int
act_append(void *zone)
{
    return append_some(0);
}


static int
act_append_own(void *zone)
{
    return append_some(3);
}


static int
act_open(void *zone)
{
    int  rc;

    act_conf = *conf_of(STREAMS + 1);

    procs_mark();
    rc = oa_stream_open(&act_t, &act_conf, 6500, &act_w[0], &act_info)
         != OA_STREAM_OPENED;
    procs_mark();

    return rc;
}


static int
act_end(void *zone)
{
    size_t  len;

    len = event_of(2, oa_stream_seq(&act_w[2]), data);

    procs_mark();
    (void) oa_stream_write(&act_t, &act_w[2], data, len);
    oa_stream_end(&act_t, &act_w[2], OA_STREAM_FAILED, 3, 6600);
    procs_mark();

    return 0;
}


static int
act_sweep(void *zone)
{
    procs_mark();
    oa_streams_sweep(&act_t, 66000, PAGES);
    procs_mark();

    return 0;
}


/* The dead are noticed. */

static ngx_uint_t
nobody_alive(void *zone, ngx_pid_t pid)
{
    return 0;
}


static int
act_lose(void *zone)
{
    act_t.alive = nobody_alive;

    procs_mark();
    oa_streams_sweep(&act_t, 6700, PAGES);
    procs_mark();

    return 0;
}


static int
act_gap(void *zone)
{
    procs_mark();
    (void) oa_stream_append(&act_t, &act_w[3], data, BUFFER * 2, 6800);
    procs_mark();

    return 0;
}


static void
deaths(void)
{
    int          n;
    void        *zone;
    size_t       i;
    uint64_t     evicted;

    static const struct {
        const char  *name;
        int        (*act)(void *zone);
        ngx_uint_t   there;
    } acts[] = {
        { "adds events", act_append, PAGES },
        { "adds events, for which old ones go", act_append_own, PAGES },
        { "adds events, for which an ended one gives a page", act_append,
          SCARCE },
        { "opens a stream", act_open, PAGES },
        { "opens a stream in a full zone", act_open, SCARCE },
        { "ends a stream", act_end, PAGES },
        { "frees the ended ones", act_sweep, PAGES },
        { "tells who is lost", act_lose, PAGES },
        { "makes a gap", act_gap, PAGES }
    };

    for (i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
        states_bad = 0;
        states_what = NULL;
        again = 1;

        zone = world(acts[i].there);
        last_of_2 = (acts[i].act == act_end) ? oa_stream_seq(&act_w[2]) : 0;
        evicted = act_t.shm->evicted;
        n = each_state(zone, zone_bytes, acts[i].act, check_state);

        if (n == -1) {
            ok(1, "# SKIP a child cannot be traced");
            return;
        }

        evicted = act_t.shm->evicted - evicted;
        note((evicted != 0) != (acts[i].there == SCARCE), "eviction");

        ok(n > 3 && states_bad == 0, "killed in any of %d states while it %s"
           "%s%s", n, acts[i].name, states_what ? ": " : "",
           states_what ? states_what : "");

        (void) munmap(zone, zone_bytes + 4096);
    }
}


/* A reader between whose instructions the writer overtakes it. */

static oa_stream_cursor_t   reader_c;
static void                *reader_zone;
static ngx_uint_t           overtaken_by;


static int
act_read(void *zone)
{
    ngx_int_t            rc;
    oa_stream_got_t      got;
    oa_streams_t         t;
    oa_stream_cursor_t   c;

    t = zone_streams(zone);
    c = reader_c;

    procs_mark();
    rc = oa_stream_read(&t, &c, got_data, sizeof(got_data), 4, &got);
    procs_mark();

    if (rc == NGX_DECLINED) {
        return overtaken_by != 2;
    }

    if (rc != NGX_OK) {
        return 1;
    }

    if (got.gap_from) {
        return got.gap_from != reader_c.seq || got.gap_to < got.gap_from
               || c.seq != got.gap_to + 1 || got.events;
    }

    return got.seq != reader_c.seq || got.events == 0
           || events_bad(0, &got, got_data);
}


static void
again_world(void *zone)
{
    uint64_t  first;

    memset(zone, 0, zone_bytes);

    {
        zone_t  *z = zone;

        z->npages = PAGES;
        z->elsewhere = 0;
        z->fresh = 0;
        act_t = zone_streams(z);
        oa_streams_create(&act_t, (u_char *) z + 4096, ZONE_SEED);
    }

    (void) oa_stream_open(&act_t, conf_of(0), 1000, &act_w[0], &act_info);

    do {
        (void) append(0, 0);
        (void) oa_stream_info(&act_t, act_info.ref, 1000, &act_info);
    } while (act_info.first_seq < 30 || act_info.pages < 4);

    first = act_info.first_seq;

    /* at its first page, or not placed and in the middle */

    (void) oa_stream_seek(&act_t, act_info.ref, first + first % 7, &reader_c);
}


static void
overtake(void *zone)
{
    ngx_uint_t           i;
    oa_stream_conf_t     conf;
    oa_stream_writer_t   w;

    if (overtaken_by == 2) {
        oa_stream_end(&act_t, &act_w[0], OA_STREAM_DONE, 0, 2000);
        oa_streams_sweep(&act_t, 100000, PAGES);

        for (i = 0; i < PAGES; i++) {
            conf = *conf_of(100 + i);
            (void) oa_stream_open(&act_t, &conf, 100000, &w, &act_info);
            (void) oa_stream_append(&act_t, &w, data, 100, 100000);
        }

        return;
    }

    for (i = 0; i < (overtaken_by ? 300 : 60); i++) {
        (void) append(0, 0);
    }
}


static void
overtaken(void)
{
    int  bad, runs;

    static const char *names[] = {
        "by some events", "by many events", "by the end of the stream"
    };

    reader_zone = zone_new(PAGES, PAGES);

    for (overtaken_by = 0; overtaken_by < 3; overtaken_by++) {

        bad = at_each_step(reader_zone, 97, again_world, act_read, overtake,
                           &runs);

        if (bad == -1) {
            ok(1, "# SKIP a child cannot be traced");
            return;
        }

        ok(bad == 0 && runs > 5, "a reader overtaken %s, at each of %d "
           "moments", names[overtaken_by], runs);
    }
}


/* A writer between whose instructions others read. */

static ngx_uint_t          between_bad;
static ngx_uint_t          between_n;
static oa_stream_cursor_t  between_c;


static int
act_write(void *zone)
{
    ngx_uint_t  i;

    procs_mark();

    for (i = 0; i < 20; i++) {
        (void) append(0, 0);
    }

    procs_mark();

    return 0;
}


static void
read_between(void *zone)
{
    uint64_t         next, seq;
    ngx_int_t        rc;
    oa_streams_t     t;
    oa_stream_got_t  got;

    t = zone_streams(zone);
    seq = between_c.seq;

    rc = oa_stream_read(&t, &between_c, got_data, sizeof(got_data), 0, &got);

    between_bad += rc != NGX_OK && rc != NGX_AGAIN;
    between_bad += rc == NGX_OK
                   && (got.gap_from || got.seq != seq
                       || events_bad(0, &got, got_data));
    between_n += got.events;

    if (seq % 3 == 0) {
        between_bad += read_all(&t, 0, &next);
    }
}


static void
between(void)
{
    int  rc;

    again_world(reader_zone);
    (void) oa_stream_seek(&act_t, act_info.ref, act_info.next_seq,
                          &between_c);

    rc = between_steps(reader_zone, act_write, read_between);

    if (rc == -1) {
        ok(1, "# SKIP a child cannot be traced");
        return;
    }

    ok(rc == 0 && between_bad == 0 && between_n == 20,
       "a writer that is read between any two instructions: %lu events",
       (unsigned long) between_n);
}


/*
 * Readers, and writers that are killed at any moment.  A stream's id tells its
 * number, so that readers know what to look for.
 */

typedef struct {
    uint64_t             next;       /* number of a stream */
    uint64_t             events;
    uint64_t             gaps;
    uint64_t             ends;
    uint64_t             lost;
    uint64_t             wrong[8];
} counts_t;

#define count(what)  __atomic_add_fetch(&counts->what, 1, __ATOMIC_RELAXED)

static counts_t  *counts;


static int
reader(void *zone)
{
    int                  bad;
    uint64_t             n, seq, now;
    ngx_int_t            rc;
    ngx_uint_t           i;
    oa_streams_t         t;
    oa_stream_got_t      got;
    oa_stream_info_t     info;
    oa_stream_cursor_t   c;

    t = zone_streams(zone);

    for (bad = 0; !*procs_stop; /* void */ ) {
        n = __atomic_load_n(&counts->next, __ATOMIC_RELAXED);
        n = n > 12 ? n - random() % 12 : n;
        now = n;

        oa_streams_sweep(&t, now, 16);

        rc = oa_stream_find(&t, conf_of(n)->id, 0, &info);

        if (rc != NGX_OK) {
            bad += rc != NGX_DECLINED;
            continue;
        }

        bad += memcmp(info.id, conf_of(n)->id, OA_STREAM_ID) != 0
               || info.owner[0] != n % 3;

        rc = oa_stream_seek(&t, info.ref,
                            info.next_seq
                            - (uint64_t) random() % info.next_seq, &c);

        for (i = 0; rc == NGX_OK && i < 50; i++) {
            seq = c.seq;
            rc = oa_stream_read(&t, &c, got_data, sizeof(got_data),
                                random() % 8, &got);

            if (rc == NGX_AGAIN) {
                (void) oa_stream_check(&t, c.ref, now);
                rc = NGX_OK;

            } else if (rc == NGX_OK && got.gap_from) {
                count(gaps);

                if (got.gap_from != seq || got.gap_to < seq
                    || c.seq != got.gap_to + 1)
                {
                    count(wrong[0]);
                }

            } else if (rc == NGX_OK) {
                (void) __atomic_add_fetch(&counts->events, got.events,
                                          __ATOMIC_RELAXED);

                if (got.seq != seq || got.events == 0
                    || events_bad(n, &got, got_data))
                {
                    count(wrong[1]);
                }

            } else if (rc == NGX_DONE) {
                count(ends);

                if (oa_stream_info(&t, c.ref, 0, &info) == NGX_OK
                    && info.state == OA_STREAM_LOST)
                {
                    count(lost);
                }

            } else if (rc != NGX_DECLINED) {
                count(wrong[2]);
            }
        }
    }

    return bad;
}


static void
writer(void *zone)
{
    uint64_t             n[4];
    ngx_uint_t           i, k;
    oa_streams_t         t;
    oa_stream_conf_t     conf;
    oa_stream_info_t     info;
    oa_stream_writer_t   w[4];

    t = zone_streams(zone);
    memset(w, 0, sizeof(w));
    memset(n, 0, sizeof(n));

    for ( ;; ) {
        i = random() % 4;

        if (w[i].stream == NULL) {
            n[i] = count(next);
            conf = *conf_of(n[i]);
            conf.keep = random() % 10;

            if (oa_stream_open(&t, &conf, n[i], &w[i], &info)
                != OA_STREAM_OPENED)
            {
                w[i].stream = NULL;
                continue;
            }
        }

        for (k = random() % 40; k; k--) {
            (void) oa_stream_write(&t, &w[i], data,
                                   event_of(n[i], oa_stream_seq(&w[i]), data));

            (void) oa_stream_commit(&t, &w[i], n[i]);
        }

        if (random() % 20 == 0) {
            oa_stream_end(&t, &w[i], OA_STREAM_DONE, 0, n[i]);
        }
    }
}


static void
killed(void)
{
    int            kills, bad;
    void          *zone;
    zone_t        *z;
    ngx_uint_t     lost;
    const char    *what;
    oa_streams_t   t;

    zone = zone_new(PAGES, 20);
    z = zone;
    counts = shared(4096);

    kills = torture(zone, 4, reader, writer, &bad);

    ok(bad == 0 && kills > 20 && counts->wrong[0] == 0
       && counts->wrong[1] == 0 && counts->wrong[2] == 0,
       "three readers, %d writers killed: no reader saw anything wrong "
       "(%lu %lu %lu)", kills, (unsigned long) counts->wrong[0],
       (unsigned long) counts->wrong[1], (unsigned long) counts->wrong[2]);
    ok(counts->events > 1000 && counts->gaps > 10 && counts->ends > 10
       && counts->lost > 0 && z->repairs > 0,
       "%lu events, %lu gaps, %lu ends, %lu of them lost; %lu streams, %lu "
       "repairs", (unsigned long) counts->events,
       (unsigned long) counts->gaps, (unsigned long) counts->ends,
       (unsigned long) counts->lost, (unsigned long) counts->next,
       (unsigned long) z->repairs);

    t = zone_streams(zone);
    zone_lock(zone);
    zone_unlock(zone);
    zone_ordered = 0;
    what = zone_wrong(&t, &lost);
    ok(what == NULL, "all is right%s%s", what ? ", but " : "",
       what ? what : "");
    ok(lost <= z->repairs, "at most a page by a death: %lu by %lu",
       (unsigned long) lost, (unsigned long) z->repairs);
}


int
main(void)
{
    (void) alarm(300);

    deaths();
    overtaken();
    between();
    killed();

    return done_testing();
}
