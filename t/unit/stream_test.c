
/* Streams in shared memory, by one process. */


#include "stream_zone.h"


#define PAGES   256
#define BUFFER  (16 * 4096)


static void         *zone;
static oa_streams_t  t;
static uint64_t      now;
static u_char        buf[64 * 4096];


static void
fresh_with(ngx_uint_t npages, ngx_uint_t there)
{
    if (zone) {
        (void) munmap(zone, zone_bytes + 4096);
    }

    zone = zone_new(npages, there);
    t = zone_streams(zone);
    now = 1000;
}


static void
fresh(ngx_uint_t there)
{
    fresh_with(PAGES, there);
}


static const char *
wrong(void)
{
    ngx_uint_t   lost;
    const char  *what;

    what = zone_wrong(&t, &lost);

    return what ? what : (lost ? "pages are lost" : NULL);
}


static void
is_right(const char *name)
{
    const char  *what;

    what = wrong();

    ok(what == NULL, "%s: all is right%s%s", name, what ? ", but " : "",
       what ? what : "");
}


/* What the stream of a number begins with. */

static oa_stream_conf_t *
conf_of(ngx_uint_t n)
{
    static oa_stream_conf_t  conf;

    memset(&conf, 0, sizeof(conf));

    conf.id[0] = n;
    conf.id[1] = n >> 8;
    conf.id[15] = 'i';
    memset(conf.owner, 'o', OA_STREAM_ID);
    memset(conf.route, 'r', OA_STREAM_ID);
    memset(conf.location, 'l', OA_STREAM_ID);

    conf.pid = getpid();
    conf.buffer = BUFFER;
    conf.keep = 60000;

    return &conf;
}


static oa_stream_open_e
open_of(ngx_uint_t n, oa_stream_writer_t *w, oa_stream_info_t *info)
{
    return oa_stream_open(&t, conf_of(n), now, w, info);
}


static ngx_int_t
append(oa_stream_writer_t *w, uint64_t salt)
{
    size_t  len;

    len = event_of(salt, oa_stream_seq(w), buf);

    return oa_stream_append(&t, w, buf, len, ++now);
}


static ngx_int_t
append_text(oa_stream_writer_t *w, const char *text)
{
    return oa_stream_append(&t, w, (u_char *) text, strlen(text), ++now);
}


static ngx_int_t
find(ngx_uint_t n, oa_stream_info_t *info)
{
    return oa_stream_find(&t, conf_of(n)->id, now, info);
}


static void
basics(void)
{
    ngx_uint_t           free_pages;
    oa_stream_got_t      got;
    oa_stream_info_t     info;
    oa_stream_stat_t     stat;
    oa_stream_cursor_t   c, late;
    oa_stream_writer_t   w;

    ok(sizeof(oa_stream_t) <= 512, "a record has %lu bytes",
       (unsigned long) sizeof(oa_stream_t));
    ok(sizeof(oa_stream_page_t) == 4096, "a page is a page");
    ok(oa_streams_size(16384) < (size_t) 16384 * 4096 / 13,
       "all records of a zone of 64 MB take %lu bytes",
       (unsigned long) oa_streams_size(16384));

    fresh(PAGES);
    free_pages = zone_free_pages(zone);

    ok(find(1, &info) == NGX_DECLINED, "no stream yet");
    ok(open_of(1, &w, &info) == OA_STREAM_OPENED, "a stream is opened");
    ok(info.state == OA_STREAM_STARTING
       && info.created == now && info.last == now
       && info.first_seq == 1 && info.next_seq == 1
       && info.pages == 0 && info.bytes == 0
       && info.pid == getpid(), "it is starting, and has nothing");
    ok(memcmp(info.owner, "oooooooooooooooo", 16) == 0
       && memcmp(info.route, "rrrrrrrrrrrrrrrr", 16) == 0
       && memcmp(info.location, "llllllllllllllll", 16) == 0,
       "whose it is");
    ok(zone_free_pages(zone) == free_pages, "a silent stream holds no page");

    ok(oa_stream_seek(&t, info.ref, 0, &c) == NGX_OK, "a reader");
    ok(oa_stream_read(&t, &c, buf, sizeof(buf), 0, &got) == NGX_AGAIN,
       "has nothing to read");
    ok(oa_stream_seek(&t, info.ref, 2, &late) == NGX_ERROR,
       "none begins behind what is next");

    ok(append_text(&w, "data: one\n\n") == NGX_OK, "an event");
    ok(oa_stream_read(&t, &c, buf, sizeof(buf), 0, &got) == NGX_OK
       && got.seq == 1 && got.events == 1 && got.gap_from == 0,
       "it is read");
    is_bytes(buf, got.len, "data: one\n\n", 11, "as it was written");
    ok(oa_stream_read(&t, &c, buf, sizeof(buf), 0, &got) == NGX_AGAIN,
       "no more");

    (void) oa_stream_write(&t, &w, (u_char *) "data: ", 6);
    ok(oa_stream_read(&t, &c, buf, sizeof(buf), 0, &got) == NGX_AGAIN,
       "half an event is not there");
    (void) oa_stream_write(&t, &w, (u_char *) "two\n\n", 5);
    ok(oa_stream_seq(&w) == 2 && oa_stream_commit(&t, &w, 2000) == NGX_OK,
       "the other half");
    (void) append_text(&w, "data: three\n\n");
    ok(oa_stream_commit(&t, &w, 2000) == NGX_OK, "one without bytes");

    ok(oa_stream_read(&t, &c, buf, sizeof(buf), 1, &got) == NGX_OK
       && got.seq == 2 && got.events == 1, "one of them is asked for");
    is_bytes(buf, got.len, "data: two\n\n", 11, "put together");
    ok(oa_stream_read(&t, &c, buf, 12, 0, &got) == NGX_BUSY && got.len == 13,
       "too small for the next one");
    ok(oa_stream_read(&t, &c, buf, 13, 0, &got) == NGX_OK
       && got.seq == 3 && got.events == 2 && got.len == 13,
       "just as large as the next ones");

    (void) oa_stream_seek(&t, info.ref, 0, &late);
    ok(oa_stream_read(&t, &late, buf, sizeof(buf), 0, &got) == NGX_OK
       && got.seq == 1 && got.events == 4 && got.all && !got.ended,
       "a late reader gets all");
    is_bytes(buf, got.len, "data: one\n\ndata: two\n\ndata: three\n\n", 35,
             "one behind the other");
    (void) oa_stream_seek(&t, info.ref, 3, &late);
    ok(oa_stream_read(&t, &late, buf, 20, 0, &got) == NGX_OK
       && got.seq == 3 && got.events == 2, "another one those from a number");
    ok(oa_stream_seek(&t, info.ref, 5, &late) == NGX_OK
       && oa_stream_read(&t, &late, buf, sizeof(buf), 0, &got) == NGX_AGAIN,
       "one that has all waits");

    ok(find(1, &info) == NGX_OK && info.state == OA_STREAM_RUNNING
       && info.next_seq == 5 && info.first_seq == 1 && info.pages == 1
       && info.bytes == 35 && info.last == 2000, "it is running");

    now = 3000;
    (void) oa_stream_write(&t, &w, (u_char *) "data: ", 6);
    (void) oa_stream_write(&t, &w, (u_char *) "last\n\n", 6);
    oa_stream_end(&t, &w, OA_STREAM_FAILED, 42, now);
    ok(oa_stream_info(&t, c.ref, now, &info) == NGX_OK
       && info.state == OA_STREAM_FAILED && info.code == 42
       && info.ended == 3000 && info.until == 63000 && info.next_seq == 6,
       "it has ended, and tells how");
    ok(oa_stream_read(&t, &c, buf, sizeof(buf), 0, &got) == NGX_OK
       && got.seq == 5 && got.events == 1 && got.ended && !got.all
       && got.len == 12 && ngx_memcmp(buf, "data: last\n\n", 12) == 0,
       "with the event that was being written");
    ok(oa_stream_read(&t, &c, buf, sizeof(buf), 0, &got) == NGX_DONE,
       "a reader that has all hears the end");
    (void) oa_stream_seek(&t, info.ref, 4, &late);
    ok(oa_stream_read(&t, &late, buf, sizeof(buf), 1, &got) == NGX_OK
       && got.events == 1 && !got.ended
       && oa_stream_read(&t, &late, buf, sizeof(buf), 1, &got) == NGX_OK
       && got.events == 1 && got.ended && !got.all
       && oa_stream_read(&t, &late, buf, sizeof(buf), 0, &got) == NGX_DONE,
       "another one after the rest, which says that it is that");

    oa_stream_touch(&t, info.ref, 4000);
    ok(oa_stream_info(&t, info.ref, 63500, &info) == NGX_OK
       && info.until == 64000
       && oa_stream_info(&t, info.ref, 64000, &info) == NGX_DECLINED,
       "it is kept after its last reader, too");

    oa_streams_stat(&t, &stat);
    ok(stat.running == 0 && stat.ended == 1 && stat.pages == 1
       && stat.streams == PAGES, "the counts");

    is_right("basics");
}


/*
 * A stream of so many events; readers that begin anywhere, and one that reads
 * along, now and then, as much as fits into a small buffer.
 */

static void
content(void)
{
    uint64_t             salt, i, seq, next, first, gap_ok;
    ngx_int_t            rc;
    ngx_uint_t           bad, gaps, most, reads;
    oa_stream_got_t      got;
    oa_stream_info_t     info;
    oa_stream_cursor_t   c, along;
    oa_stream_writer_t   w;

    fresh(PAGES);
    (void) open_of(1, &w, &info);
    (void) oa_stream_seek(&t, info.ref, 0, &along);

    salt = 7;
    bad = 0;
    gaps = 0;
    most = 0;
    reads = 0;

    for (i = 1; i < 6000; i++) {
        bad += append(&w, salt) != NGX_OK;

        (void) find(1, &info);
        most = ngx_max(most, info.pages);
        first = info.first_seq;
        next = info.next_seq;

        bad += next != i + 1 || first > i || first == 0;

        if (i % 16 == 0) {
            seq = 1 + event_word(1, i, 0) % (next + 1);
            rc = oa_stream_seek(&t, info.ref, seq, &c);

            if (seq > next) {
                bad += rc != NGX_ERROR;
                continue;
            }

            rc = oa_stream_read(&t, &c, buf, sizeof(buf), 0, &got);

            if (seq < first) {
                bad += rc != NGX_OK || got.events
                       || got.gap_from != seq || got.gap_to != first - 1;
                gaps++;
                seq = first;
                rc = oa_stream_read(&t, &c, buf, sizeof(buf), 0, &got);
            }

            bad += (seq == next) ? rc != NGX_AGAIN
                                 : rc != NGX_OK || got.seq != seq
                                   || got.events != next - seq
                                   || got.gap_from
                                   || events_bad(salt, &got, buf);
            reads++;
        }

        if (i % 200 < 150) {
            seq = along.seq;
            rc = oa_stream_read(&t, &along, buf, EVENT_MAX, 3, &got);
            gap_ok = got.gap_from == seq && got.gap_to == first - 1;

            bad += rc == NGX_OK && got.events == 0 && !gap_ok;
            bad += rc == NGX_OK && got.events
                   && (got.seq != seq || events_bad(salt, &got, buf));
            bad += rc != NGX_OK && rc != NGX_AGAIN;
        }
    }

    ok(bad == 0, "6000 events of all sizes, %lu readers, %lu gaps",
       (unsigned long) reads, (unsigned long) gaps);
    ok(most == BUFFER / 4096 && gaps > 50, "never more than %lu pages",
       (unsigned long) most);

    is_right("content");
}


static void
too_large(void)
{
    size_t               len;
    u_char              *large;
    ngx_int_t            rc;
    ngx_uint_t           i, bad;
    oa_stream_got_t      got;
    oa_stream_info_t     info;
    oa_stream_cursor_t   c, all;
    oa_stream_writer_t   w;

    fresh(PAGES);
    (void) open_of(1, &w, &info);
    (void) oa_stream_seek(&t, info.ref, 0, &all);
    (void) oa_stream_seek(&t, info.ref, 0, &c);

    len = 1 << 20;
    large = malloc(len);
    memset(large, 'x', len);

    (void) oa_stream_read(&t, &c, buf, sizeof(buf), 0, &got);

    ok(oa_stream_append(&t, &w, large, len, now) == NGX_BUSY,
       "a first event larger than the buffer");
    ok(oa_stream_read(&t, &c, buf, sizeof(buf), 0, &got) == NGX_OK
       && got.events == 0 && got.gap_from == 1 && got.gap_to == 1,
       "is a gap");
    ok(oa_stream_read(&t, &c, buf, sizeof(buf), 0, &got) == NGX_AGAIN,
       "of one event");

    (void) append_text(&w, "two");
    ok(oa_stream_read(&t, &c, buf, sizeof(buf), 0, &got) == NGX_OK
       && got.events == 1 && got.seq == 2, "the next one is there");

    (void) append_text(&w, "three");

    for (i = 0, bad = 0; i < 1024; i++) {
        rc = oa_stream_write(&t, &w, large, 1024);
        bad += rc != (i < 63 ? NGX_OK : NGX_BUSY) && (i < 62 || i > 64);
    }

    ok(bad == 0, "one in pieces is found out when there is no more room");
    ok(oa_stream_read(&t, &c, buf, sizeof(buf), 0, &got) == NGX_OK
       && got.gap_from == 3 && got.gap_to == 4, "it takes those before along");
    ok(oa_stream_commit(&t, &w, now) == NGX_BUSY, "and is not there");
    ok(oa_stream_read(&t, &all, buf, sizeof(buf), 0, &got) == NGX_OK
       && got.gap_from == 1 && got.gap_to == 4
       && oa_stream_seq(&w) == 5, "four are missed in all");

    (void) find(1, &info);
    ok(info.first_seq == 5 && info.next_seq == 5 && info.pages == 0,
       "nothing is held");

    (void) append_text(&w, "five");
    ok(oa_stream_read(&t, &all, buf, sizeof(buf), 0, &got) == NGX_OK
       && got.events == 1 && got.seq == 5, "until there is another one");

    /* as large as can be: a page is begun already */

    len = BUFFER / 4096 * OA_PAGE_BYTES - 16 - OA_FRAME_HEAD;
    ok(oa_stream_append(&t, &w, large, len, now) == NGX_OK, "the largest one");
    ok(oa_stream_read(&t, &all, buf, sizeof(buf), 0, &got) == NGX_OK
       && got.events == 1 && got.len == len, "is read");
    ok(oa_stream_append(&t, &w, large, len + 17, now) == NGX_BUSY,
       "one that is larger is not");

    (void) append_text(&w, "eight");
    oa_stream_end(&t, &w, OA_STREAM_DONE, 0, now);
    ok(oa_stream_read(&t, &c, buf, sizeof(buf), 0, &got) == NGX_OK
       && got.gap_from == 5 && got.gap_to == 7
       && oa_stream_read(&t, &c, buf, sizeof(buf), 0, &got) == NGX_OK
       && got.events == 1
       && oa_stream_read(&t, &c, buf, sizeof(buf), 0, &got) == NGX_DONE,
       "and the end");

    is_right("too large");

    /* a reader that has all, up to the end of a page */

    (void) open_of(2, &w, &info);
    (void) oa_stream_seek(&t, info.ref, 0, &c);
    (void) oa_stream_append(&t, &w, large, OA_PAGE_BYTES - OA_FRAME_HEAD, now);
    (void) oa_stream_read(&t, &c, buf, sizeof(buf), 0, &got);
    (void) oa_stream_append(&t, &w, large, 1 << 20, now);
    ok(oa_stream_read(&t, &c, buf, sizeof(buf), 0, &got) == NGX_OK
       && got.gap_from == 2 && got.gap_to == 2,
       "a gap is seen wherever a reader is");

    free(large);
}


static void
whose_turn(void)
{
    ngx_uint_t           i, bad;
    oa_stream_got_t      got;
    oa_stream_info_t     info, a, b;
    oa_stream_stat_t     stat;
    oa_stream_cursor_t   c;
    oa_stream_writer_t   w[8];

    /* room for 40 pages; four end with eight of them, in the order 2 0 3 1 */

    fresh(40);
    memset(buf, 'x', 4000);

    for (i = 0; i < 4; i++) {
        (void) open_of(i, &w[i], &info);
        while (find(i, &info) == NGX_OK && info.pages < 8) {
            (void) oa_stream_append(&t, &w[i], buf, 4000, now);
        }
    }

    oa_stream_end(&t, &w[2], OA_STREAM_DONE, 0, 5000);
    oa_stream_end(&t, &w[0], OA_STREAM_DONE, 0, 5001);
    oa_stream_end(&t, &w[3], OA_STREAM_DONE, 0, 5002);
    oa_stream_end(&t, &w[1], OA_STREAM_DONE, 0, 5002);
    now = 6000;

    (void) find(2, &info);
    (void) oa_stream_seek(&t, info.ref, 0, &c);

    (void) open_of(4, &w[4], &info);
    (void) open_of(5, &w[5], &info);
    (void) open_of(6, &w[6], &info);

    for (bad = 0; find(4, &info) == NGX_OK && info.pages < 12; /* void */ ) {
        bad += oa_stream_append(&t, &w[4], buf, 4000, now) != NGX_OK;
    }

    (void) find(2, &a);
    (void) find(0, &b);
    ok(bad == 0 && a.pages == 4 && b.pages == 8,
       "the oldest end gives its pages first");
    ok(oa_stream_read(&t, &c, buf, sizeof(buf), 1, &got) == NGX_OK
       && got.gap_from == 1 && got.gap_to == a.first_seq - 1
       && oa_stream_read(&t, &c, buf, sizeof(buf), 1, &got) == NGX_OK
       && got.seq == a.first_seq, "what it still has can be read");
    is_right("one gives");

    while (find(5, &info) == NGX_OK && info.pages < 8) {
        bad += oa_stream_append(&t, &w[5], buf, 4000, now) != NGX_OK;
    }

    (void) find(2, &a);
    (void) find(0, &b);
    ok(bad == 0 && a.pages == 0 && b.pages == 4, "then the next one");
    ok(oa_stream_read(&t, &c, buf, sizeof(buf), 1, &got) == NGX_OK
       && got.gap_to == a.next_seq - 1
       && oa_stream_read(&t, &c, buf, sizeof(buf), 1, &got) == NGX_DONE,
       "of one that has nothing left the end can be read");

    while (find(5, &info) == NGX_OK && info.pages < 14) {
        bad += oa_stream_append(&t, &w[5], buf, 4000, now) != NGX_OK;
    }

    while (find(6, &info) == NGX_OK && info.pages < 13) {
        bad += oa_stream_append(&t, &w[6], buf, 4000, now) != NGX_OK;
    }

    (void) find(0, &a);
    (void) find(3, &info);
    (void) find(1, &b);
    ok(bad == 0 && a.pages == 0 && info.pages == 0 && b.pages == 1,
       "and so on: %lu %lu %lu", (unsigned long) a.pages,
       (unsigned long) info.pages, (unsigned long) b.pages);
    is_right("all give");

    /* 12, 14 and 13, and one of the ended: now those that run give */

    (void) open_of(7, &w[7], &info);

    for (i = 0; i < 4; i++) {
        bad += oa_stream_append(&t, &w[7], buf, 4000, now) != NGX_OK;
    }

    (void) find(4, &a);
    (void) find(5, &b);
    (void) find(6, &info);
    ok(bad == 0 && a.pages == 12 && b.pages == 12 && info.pages == 12,
       "then the largest that runs: %lu %lu %lu", (unsigned long) a.pages,
       (unsigned long) b.pages, (unsigned long) info.pages);
    is_right("the largest gives");

    for (i = 0; i < 200; i++) {
        bad += oa_stream_append(&t, &w[7], buf, 4000, now) != NGX_OK;
    }

    (void) find(4, &a);
    (void) find(7, &b);
    ok(bad == 0 && a.pages >= 9 && a.pages <= 11
       && b.pages >= 9 && b.pages <= 11, "until all have the same");

    oa_streams_stat(&t, &stat);
    ok(stat.evicted > 40 && stat.pages == 40, "that is counted");
    is_right("all have the same");
}


static void
full(void)
{
    ngx_uint_t           i, bad;
    oa_stream_got_t      got;
    oa_stream_info_t     info;
    oa_stream_cursor_t   c;
    oa_stream_writer_t   w[12], x;

    fresh(8);

    for (i = 0, bad = 0; i < 8; i++) {
        bad += open_of(i, &w[i], &info) != OA_STREAM_OPENED;
        bad += append_text(&w[i], "one") != NGX_OK;
    }

    ok(bad == 0, "as many streams as pages");
    ok(open_of(8, &x, &info) == OA_STREAM_FULL && find(8, &info) != NGX_OK,
       "one more is not opened");
    is_right("full");

    memset(buf, 'x', 4000);
    (void) find(3, &info);
    (void) oa_stream_seek(&t, info.ref, 1, &c);

    ok(oa_stream_append(&t, &w[3], buf, 4090, now) == NGX_BUSY,
       "one of them has no room for a large event");
    ok(oa_stream_read(&t, &c, buf, sizeof(buf), 0, &got) == NGX_OK
       && got.gap_from == 1 && got.gap_to == 2, "which is a gap");
    ok(append_text(&w[3], "three") == NGX_OK
       && oa_stream_read(&t, &c, buf, sizeof(buf), 0, &got) == NGX_OK
       && got.events == 1 && got.seq == 3, "but for a small one");
    is_right("a gap");

    oa_stream_end(&t, &w[5], OA_STREAM_DONE, 0, now);
    ok(open_of(8, &w[8], &info) == OA_STREAM_OPENED,
       "when one has ended there is room again");
    ok(find(5, &info) == NGX_OK && info.pages == 0 && info.first_seq == 2,
       "that of the ended one");
    is_right("room");

    /* another part of the zone has taken it */

    (void) zone_new_page(zone);
    ok(append_text(&w[8], "one") == NGX_BUSY
       && append_text(&w[8], "two") == NGX_BUSY, "no page at all");
    (void) oa_stream_seek(&t, w[8].ref, 1, &c);
    ok(oa_stream_read(&t, &c, buf, sizeof(buf), 0, &got) == NGX_OK
       && got.gap_from == 1 && got.gap_to == 2
       && oa_stream_read(&t, &c, buf, sizeof(buf), 0, &got) == NGX_AGAIN,
       "all events are gaps");
    oa_stream_end(&t, &w[0], OA_STREAM_DONE, 0, now);
    ok(append_text(&w[8], "three") == NGX_OK
       && oa_stream_read(&t, &c, buf, sizeof(buf), 0, &got) == NGX_OK
       && got.events == 1 && got.seq == 3, "until there is a page");
}


/* One event that is being written may have all the pages there are. */

static void
unfinished(void)
{
    ngx_uint_t           i, bad;
    oa_stream_info_t     info;
    oa_stream_writer_t   large, small;

    fresh(24);
    (void) open_of(1, &large, &info);
    (void) open_of(2, &small, &info);

    for (i = 0, bad = 0; i < 15; i++) {
        bad += oa_stream_write(&t, &large, buf, 4000) != NGX_OK;
    }

    for (i = 0; i < 60; i++) {
        bad += oa_stream_append(&t, &small, buf, 4000, now) != NGX_OK;
    }

    ok(bad == 0, "an event being written is left alone, others give");
    ok(oa_stream_commit(&t, &large, now) == NGX_OK, "it is written");
    ok(oa_stream_append(&t, &small, buf, 4000, now) == NGX_OK, "go on");
    is_right("unfinished");
}


static void
records(void)
{
    ngx_uint_t           i, n, bad;
    oa_stream_info_t     info;
    oa_stream_writer_t   w[PAGES], x;

    fresh(PAGES);
    n = PAGES;

    for (i = 0, bad = 0; i < n; i++) {
        bad += open_of(i, &w[i], &info) != OA_STREAM_OPENED;
    }

    ok(bad == 0, "as many streams as records");
    ok(open_of(n, &x, &info) == OA_STREAM_FULL, "and no more");
    is_right("all records");

    (void) append_text(&w[9], "one");
    oa_stream_end(&t, &w[9], OA_STREAM_DONE, 0, 10);
    oa_stream_end(&t, &w[7], OA_STREAM_DONE, 0, 12);
    (void) append_text(&w[8], "one");
    oa_stream_end(&t, &w[8], OA_STREAM_DONE, 0, 14);
    oa_stream_end(&t, &w[6], OA_STREAM_DONE, 0, 16);

    now = 20;
    bad = 0;
    bad += open_of(n, &x, &info) != OA_STREAM_OPENED;
    bad += find(9, &info) != NGX_DECLINED || find(7, &info) != NGX_OK;
    bad += open_of(n + 1, &x, &info) != OA_STREAM_OPENED;
    bad += find(7, &info) != NGX_DECLINED || find(8, &info) != NGX_OK;
    bad += open_of(n + 2, &x, &info) != OA_STREAM_OPENED;
    bad += find(8, &info) != NGX_DECLINED || find(6, &info) != NGX_OK;
    bad += open_of(n + 3, &x, &info) != OA_STREAM_OPENED;
    bad += find(6, &info) != NGX_DECLINED;
    ok(bad == 0, "the oldest end goes for a new one");
    ok(open_of(n + 4, &x, &info) == OA_STREAM_FULL, "but none that runs");
    ok(oa_stream_info(&t, w[9].ref, now, &info) == NGX_DECLINED,
       "an old name is not that of the new one");
    is_right("records");
}


static void
one_user(void)
{
    ngx_uint_t           i, bad;
    oa_stream_conf_t     conf;
    oa_stream_info_t     info;
    oa_stream_writer_t   w[8];

    fresh(PAGES);

    for (i = 0, bad = 0; i < 4; i++) {
        conf = *conf_of(i);
        conf.max_streams = 3;
        bad += oa_stream_open(&t, &conf, now, &w[i], &info)
               != (i < 3 ? OA_STREAM_OPENED : OA_STREAM_TOO_MANY);
    }

    ok(bad == 0, "three of one user and no more");

    conf.owner[0] = 'p';
    ok(oa_stream_open(&t, &conf, now, &w[4], &info) == OA_STREAM_OPENED,
       "another user has streams of his own");
    oa_stream_end(&t, &w[4], OA_STREAM_DONE, 0, now);

    oa_stream_end(&t, &w[1], OA_STREAM_DONE, 0, now);
    conf = *conf_of(5);
    conf.max_streams = 3;
    ok(oa_stream_open(&t, &conf, now, &w[5], &info) == OA_STREAM_OPENED,
       "one that has ended counts no more");

    /* a process that is gone */

    conf = *conf_of(6);
    conf.max_streams = 3;
    t.shm->stream[w[2].ref.slot].pid = 0x3ffffff;
    ok(oa_stream_open(&t, &conf, now, &w[6], &info) == OA_STREAM_OPENED
       && find(2, &info) == NGX_OK && info.state == OA_STREAM_LOST
       && info.ended == now, "nor does one whose writer died: it is lost");
    is_right("one user");
}


static void
keys(void)
{
    ngx_uint_t           i, bad;
    oa_stream_conf_t     conf, other;
    oa_stream_info_t     info;
    oa_stream_writer_t   w, x;

    fresh(PAGES);

    conf = *conf_of(1);
    conf.has_key = 1;
    memset(conf.key, 'k', OA_STREAM_ID);
    memset(conf.body, 'b', OA_STREAM_ID);

    ok(oa_stream_open(&t, &conf, now, &w, &info) == OA_STREAM_OPENED,
       "a stream with a key");

    other = conf;
    other.id[3] = 1;
    ok(oa_stream_open(&t, &other, now, &x, &info) == OA_STREAM_ATTACHED
       && memcmp(info.id, conf.id, OA_STREAM_ID) == 0,
       "the same key leads to it");

    other.body[0] = 'c';
    ok(oa_stream_open(&t, &other, now, &x, &info) == OA_STREAM_MISMATCH,
       "but not with another body");

    for (i = 0, bad = 0; i < 4; i++) {
        other = conf;
        other.id[4] = i + 1;
        (i == 0 ? other.key : i == 1 ? other.owner
            : i == 2 ? other.route : other.location)[15] ^= 1;

        bad += oa_stream_open(&t, &other, now, &x, &info) != OA_STREAM_OPENED;
    }

    ok(bad == 0, "nor with another key, owner, route or location");

    other = conf;
    other.id[5] = 1;
    other.has_key = 0;
    ok(oa_stream_open(&t, &other, now, &x, &info) == OA_STREAM_OPENED,
       "nor without one");

    other = conf;
    other.id[6] = 1;
    other.max_streams = 1;
    ok(oa_stream_open(&t, &other, now, &x, &info) == OA_STREAM_ATTACHED,
       "whoever has as many as may be can still come back");

    oa_stream_end(&t, &w, OA_STREAM_DONE, 3, now);
    other.max_streams = 0;
    ok(oa_stream_open(&t, &other, now + 59999, &x, &info)
       == OA_STREAM_ATTACHED && info.code == 3, "also when it has ended");
    ok(oa_stream_open(&t, &other, now + 60000, &x, &info) == OA_STREAM_OPENED,
       "until it is not kept any more");

    oa_stream_forget_key(&t, &x);
    other.id[7] = 1;
    ok(oa_stream_open(&t, &other, now + 60000, &w, &info) == OA_STREAM_OPENED
       && oa_stream_find(&t, other.id, now + 60000, &info) == NGX_OK,
       "nor one whose key was forgotten");
    oa_stream_forget_key(&t, &w);
    oa_stream_forget_key(&t, &w);
    is_right("keys");
}


static ngx_uint_t
nobody_alive(void *data, ngx_pid_t pid)
{
    return 0;
}


static void
time_passes(void)
{
    ngx_uint_t           i;
    oa_stream_got_t      got;
    oa_stream_info_t     info;
    oa_stream_stat_t     stat;
    oa_stream_cursor_t   c;
    oa_stream_writer_t   w[4], x;

    fresh(PAGES);

    for (i = 0; i < 4; i++) {
        (void) open_of(i, &w[i], &info);
        (void) append(&w[i], i);
        (void) append(&w[i], i);
    }

    now = 5000;
    oa_stream_end(&t, &w[0], OA_STREAM_DONE, 0, now);
    now = 6000;
    oa_stream_end(&t, &w[1], OA_STREAM_DONE, 0, now);

    oa_streams_sweep(&t, 64999, PAGES);
    ok(find(0, &info) == NGX_OK && find(2, &info) == NGX_OK,
       "a stream that ended is kept");

    (void) oa_stream_info(&t, w[2].ref, now, &info);
    (void) oa_stream_seek(&t, info.ref, 0, &c);
    (void) find(0, &info);
    now = 65000;
    ok(find(0, &info) == NGX_DECLINED
       && oa_stream_info(&t, info.ref, now, &info) == NGX_DECLINED
       && find(1, &info) == NGX_OK, "for its time");

    oa_streams_stat(&t, &stat);
    i = stat.pages;
    oa_streams_sweep(&t, now, PAGES);
    oa_streams_stat(&t, &stat);
    ok(stat.ended == 1 && stat.running == 2 && stat.pages < i,
       "then its pages go");
    is_right("swept");

    /* one with more pages than go at once */

    fresh_with(1024, 1024);
    {
        oa_stream_conf_t  conf = *conf_of(9);

        conf.buffer = 1 << 22;
        memset(buf, 'x', 4000);
        (void) oa_stream_open(&t, &conf, now, &x, &info);
        for (i = 0; i < 900; i++) {
            (void) oa_stream_append(&t, &x, buf, 4000, now);
        }

        (void) find(9, &info);
        ok(info.pages > 800, "%lu pages", (unsigned long) info.pages);
        oa_stream_end(&t, &x, OA_STREAM_DONE, 0, now);
        oa_streams_sweep(&t, now + 60000, 1024);
        ok(zone_free_pages(zone) == 1024, "all go");
        is_right("many pages");
    }

    /* the dead */

    fresh(PAGES);
    (void) open_of(1, &w[1], &info);
    (void) append(&w[1], 5);
    (void) oa_stream_seek(&t, info.ref, 0, &c);

    ok(oa_stream_check(&t, info.ref, now) == NGX_DECLINED,
       "its writer is alive");
    oa_streams_sweep(&t, now, PAGES);
    ok(find(1, &info) == NGX_OK && info.state == OA_STREAM_RUNNING,
       "so it runs");

    t.alive = nobody_alive;
    oa_streams_sweep(&t, now, PAGES);
    ok(find(1, &info) == NGX_OK && info.state == OA_STREAM_LOST
       && info.ended == now, "its writer is dead: it is lost");
    ok(oa_stream_check(&t, info.ref, now) == NGX_DECLINED, "once");
    ok(oa_stream_read(&t, &c, buf, sizeof(buf), 0, &got) == NGX_OK
       && got.events == 1 && events_bad(5, &got, buf) == 0
       && oa_stream_read(&t, &c, buf, sizeof(buf), 0, &got) == NGX_DONE,
       "what it had can be read");
    oa_streams_stat(&t, &stat);
    ok(stat.lost == 1, "it is counted");

    oa_streams_sweep(&t, now + 60000, PAGES);
    ok(oa_stream_read(&t, &c, buf, sizeof(buf), 0, &got) == NGX_DECLINED
       && oa_stream_changed(&t, c.ref) == (uint64_t) -1,
       "until it is gone");
    ok(oa_stream_seek(&t, c.ref, 0, &c) == NGX_DECLINED, "gone");
    is_right("the dead");
}


static void
signs(void)
{
    uint64_t             all, one, stops;
    oa_stream_info_t     info;
    oa_stream_writer_t   w;

    fresh(PAGES);
    (void) open_of(1, &w, &info);

    all = oa_streams_changed(&t);
    one = oa_stream_changed(&t, info.ref);
    (void) append_text(&w, "one");
    ok(oa_streams_changed(&t) != all && oa_stream_changed(&t, info.ref) != one,
       "an event is a change");

    all = oa_streams_changed(&t);
    one = oa_stream_changed(&t, info.ref);
    (void) oa_stream_write(&t, &w, (u_char *) "one", 3);
    ok(oa_streams_changed(&t) == all && oa_stream_changed(&t, info.ref) == one,
       "half an event is none");
    (void) oa_stream_commit(&t, &w, now);

    all = oa_streams_changed(&t);
    one = oa_stream_changed(&t, info.ref);
    (void) oa_stream_append(&t, &w, buf, sizeof(buf), now);
    ok(oa_streams_changed(&t) != all && oa_stream_changed(&t, info.ref) != one,
       "a gap is one");

    stops = oa_streams_stops(&t);
    ok(!oa_stream_stopped(&w) && oa_stream_stop(&t, info.ref) == NGX_OK
       && oa_stream_stopped(&w) && oa_streams_stops(&t) != stops,
       "it is told to stop");

    all = oa_streams_changed(&t);
    one = oa_stream_changed(&t, info.ref);
    oa_stream_end(&t, &w, OA_STREAM_DONE, 0, now);
    ok(oa_streams_changed(&t) != all && oa_stream_changed(&t, info.ref) != one,
       "the end is a change");
    ok(oa_stream_stop(&t, info.ref) == NGX_DECLINED, "it has stopped");

    info.ref.slot = 0xffffff;
    ok(oa_stream_stop(&t, info.ref) == NGX_DECLINED
       && oa_stream_info(&t, info.ref, now, &info) == NGX_DECLINED
       && oa_stream_check(&t, info.ref, now) == NGX_DECLINED
       && oa_stream_changed(&t, info.ref) == (uint64_t) -1,
       "a name of nothing");
}


/* Many streams come, grow, end and go, in a zone that is too small. */

static void
mixed(void)
{
    int                  pending[40];
    uint64_t             x;
    ngx_int_t            rc;
    ngx_uint_t           i, n, bad, opened, refused, reads, gaps;
    const char          *what;
    oa_stream_got_t      got;
    oa_stream_info_t     info;
    oa_stream_writer_t   w[40];
    oa_stream_cursor_t   c;

    fresh(120);
    memset(pending, 0, sizeof(pending));

    bad = 0;
    opened = 0;
    refused = 0;
    reads = 0;
    gaps = 0;
    what = NULL;

    for (i = 0; i < 60000 && what == NULL; i++) {
        x = event_word(9, i, 0);
        n = x % 40;
        x >>= 8;
        now++;

        if (!pending[n]) {
            rc = open_of(n, &w[n], &info);
            opened += rc == OA_STREAM_OPENED;
            refused += rc == OA_STREAM_FULL;
            pending[n] = rc == OA_STREAM_OPENED;

        } else if (x % 200 == 0) {
            oa_stream_end(&t, &w[n], OA_STREAM_DONE, 0, now);
            pending[n] = 2;

        } else if (pending[n] == 1) {
            (void) append(&w[n], n);
        }

        if (pending[n] == 2) {

            if (find(n, &info) == NGX_DECLINED) {
                pending[n] = 0;

            } else if (x % 5 == 0) {
                t.shm->stream[info.ref.slot].keep = 0;
                oa_streams_sweep(&t, now, PAGES);
                bad += find(n, &info) != NGX_DECLINED;
                pending[n] = 0;
            }
        }

        n = (x >> 20) % 40;

        if (find(n, &info) == NGX_OK) {
            (void) oa_stream_seek(&t, info.ref,
                                  info.next_seq - (x >> 30) % info.next_seq,
                                  &c);

            rc = oa_stream_read(&t, &c, buf, sizeof(buf), 0, &got);
            reads += rc == NGX_OK;

            if (rc == NGX_OK && got.gap_from) {
                gaps++;
                bad += got.gap_to != info.first_seq - 1;
                rc = oa_stream_read(&t, &c, buf, sizeof(buf), 0, &got);
            }

            bad += rc == NGX_OK
                   && (events_bad(n, &got, buf)
                       || got.seq + got.events != info.next_seq);
            bad += rc == NGX_DECLINED || rc == NGX_BUSY;
        }

        if (i % 50 == 0) {
            what = wrong();
        }
    }

    ok(bad == 0 && opened > 100 && reads > 1000 && gaps > 100,
       "%lu streams, %lu refused, %lu reads, %lu gaps",
       (unsigned long) opened, (unsigned long) refused,
       (unsigned long) reads, (unsigned long) gaps);
    ok(what == NULL, "all is right all the time%s%s", what ? ", but " : "",
       what ? what : "");
}


int
main(void)
{
    (void) alarm(300);

    basics();
    content();
    too_large();
    whose_turn();
    full();
    unfinished();
    records();
    one_user();
    keys();
    time_passes();
    signs();
    mixed();

    return done_testing();
}
