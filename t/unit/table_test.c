
/* The route table, held against a plain array of what it should contain. */


#include <pthread.h>
#include <stdlib.h>

#include "oa_table_int.h"
#include "tap.h"


#define NAMES  3000
#define PAGES  4096


typedef struct {
    oa_table_t   table;
    ngx_uint_t   used;
    ngx_uint_t   limit;
} memory_t;


typedef struct {
    ngx_uint_t   there;
    uint64_t     version;
} model_t;


static memory_t   memory;
static ngx_uint_t id;


static void *
new_page(void *data)
{
    memory_t *m = data;

    if (m->used == m->limit) {
        return NULL;
    }

    return m->table.pages + OA_TABLE_PAGE * m->used++;
}


static void
fresh(ngx_uint_t limit)
{
    static void   *part;
    ngx_str_t      name = ngx_string("t");

    free(part);
    free(memory.table.pages);

    part = calloc(1, oa_table_size(PAGES));

    memory.table.pages = aligned_alloc(OA_TABLE_PAGE, PAGES * OA_TABLE_PAGE);
    memory.table.npages = PAGES;
    memory.table.new_page = new_page;
    memory.table.data = &memory;
    memory.used = 0;
    memory.limit = limit;

    memset(memory.table.pages, 0xa5, PAGES * OA_TABLE_PAGE);
    oa_table_create(&memory.table, part, 42);

    (void) oa_table_info(&memory.table, &name, &id);
}


/* The route of a number; its machine tells the version. */

static oa_route_t *
route_of(ngx_uint_t n, uint64_t version)
{
    static oa_route_t  route;
    static char        label[64], app[64], machine[64], user[129], rid[64];

    memset(&route, 0, sizeof(route));

    snprintf(label, sizeof(label), "name-%lu", (unsigned long) n);
    snprintf(app, sizeof(app), "app-%lu", (unsigned long) n);
    snprintf(machine, sizeof(machine), "m%lu-%lu", (unsigned long) n,
             (unsigned long) version);
    snprintf(rid, sizeof(rid), "00000000-0000-4000-8000-%012lu",
             (unsigned long) n);

    /* every so often one that takes two slots, or eight */

    memset(user, 'u', 128);
    user[n % 7 == 0 ? 128 : (n % 5 == 0 ? 100 : 3)] = '\0';

    route.subdomain.data = (u_char *) label;
    route.subdomain.len = strlen(label);
    route.app.data = (u_char *) app;
    route.app.len = strlen(app);
    route.machine.data = (u_char *) machine;
    route.machine.len = strlen(machine);
    route.route_id.data = (u_char *) rid;
    route.route_id.len = strlen(rid);
    route.user_id.data = (u_char *) user;
    route.user_id.len = strlen(user);

    if (n % 7 == 0) {
        route.agent_id = route.user_id;
    }

    route.status = OA_ROUTE_RUNNING;
    route.access = OA_ACCESS_PUBLIC;
    route.version = version;

    return &route;
}


static ngx_int_t
put(ngx_uint_t n, uint64_t version, uint8_t gen, uint32_t now)
{
    return oa_table_put(&memory.table, id, route_of(n, version), gen, now,
                        OA_TABLE_WANTED);
}


static uint64_t
hash_of(const ngx_str_t *label)
{
    return oa_table_hash(&memory.table, id, label->data, label->len);
}


static ngx_int_t
get_copy(const ngx_str_t *label, uint32_t now, oa_table_copy_t *copy)
{
    return oa_table_get(&memory.table, id, hash_of(label), label, now, 1000,
                        copy);
}


/* 1: there and as it should be, 0: not there, -1: something else */

static int
look(ngx_uint_t n, uint64_t version, uint32_t now)
{
    u_char           text[108];
    oa_route_t       got, *want;
    oa_table_copy_t  copy;

    want = route_of(n, version);

    if (get_copy(&want->subdomain, now, &copy) != NGX_OK) {
        return 0;
    }

    if (copy.negative) {
        return 0;
    }

    oa_route_unpack(&copy.head, copy.packed, text, &got);

    return (got.machine.len == want->machine.len
            && memcmp(got.machine.data, want->machine.data, got.machine.len)
               == 0
            && got.user_id.len == want->user_id.len
            && got.version == version)
           ? 1 : -1;
}


static ngx_uint_t
wrong(model_t *model)
{
    ngx_uint_t  n, bad;

    bad = 0;

    for (n = 0; n < NAMES; n++) {
        bad += (look(n, model[n].version, 0) != (int) model[n].there);
    }

    return bad;
}


static void
against_a_model(void)
{
    model_t     *model;
    uint64_t     version;
    ngx_str_t    label;
    ngx_uint_t   i, n, count, bad;

    fresh(PAGES);

    model = calloc(NAMES, sizeof(model_t));
    version = 0;
    bad = 0;
    srandom(1);

    for (i = 0; i < 60000; i++) {
        n = random() % NAMES;
        version++;

        if (random() % 3) {
            bad += put(n, version, 1, 0)
                   != NGX_OK;
            model[n].there = 1;

        } else {
            label = route_of(n, version)->subdomain;
            bad += oa_table_put_negative(&memory.table, id, &label, version, 1,
                                         0)
                   != NGX_OK;
            model[n].there = 0;
        }

        model[n].version = version;

        if (i % 10000 == 0) {
            bad += wrong(model);
            oa_table_repair(&memory.table);
        }
    }

    ok(bad == 0, "60000 changes: none refused, %lu wrong",
       (unsigned long) bad);
    ok(wrong(model) == 0, "every route as it should be");

    for (n = 0, count = 0; n < NAMES; n++) {
        count += model[n].there;
    }

    ok(memory.table.shm->tables[id].count == count, "counted: %lu",
       (unsigned long) count);

    oa_table_repair(&memory.table);

    ok(wrong(model) == 0, "the same after a repair");
    ok(memory.table.shm->tables[id].count == count, "the same count");

    free(model);
}


static void
versions(void)
{
    ngx_str_t        label;
    oa_table_copy_t  copy;

    fresh(PAGES);

    (void) put(1, 5, 1, 0);

    ok(put(1, 4, 1, 0) == NGX_DECLINED
       && look(1, 5, 0) == 1, "an older version of the same read");

    ok(put(1, 4, 2, 0) == NGX_OK
       && look(1, 4, 0) == 1, "an older version of a newer read");

    label = route_of(1, 0)->subdomain;

    ok(oa_table_put_negative(&memory.table, id, &label, 0, 2, 0)
       == NGX_DECLINED && look(1, 4, 0) == 1, "unknown, but there is a route");

    ok(oa_table_put_negative(&memory.table, id, &label, 6, 2, 0) == NGX_OK
       && look(1, 4, 0) == 0, "a tombstone");

    ok(put(1, 5, 2, 0) == NGX_DECLINED
       && look(1, 5, 0) == 0, "what was before the tombstone");

    ok(put(1, 7, 2, 0) == NGX_OK
       && look(1, 7, 0) == 1, "what came after it");

    label = route_of(2, 0)->subdomain;
    (void) oa_table_put_negative(&memory.table, id, &label, 0, 2, 100);

    ok(get_copy(&label, 1099, &copy) == NGX_OK && copy.negative,
       "unknown, and known to be");
    ok(get_copy(&label, 1100, &copy) == NGX_DECLINED, "for as long as said");
}


static void
sweep(void)
{
    ngx_uint_t  n, page, bad;

    fresh(PAGES);

    for (n = 0; n < NAMES; n++) {
        (void) put(n, 1, 1, 0);
    }

    for (n = 0; n < NAMES; n += 2) {
        (void) put(n, 1, 2, 0);
    }

    page = 0;

    do {
        page = oa_table_sweep(&memory.table, id, 2, page, 3);
    } while (page);

    for (n = 0, bad = 0; n < NAMES; n++) {
        bad += look(n, 1, 0) != (n % 2 == 0);
    }

    ok(bad == 0, "a sweep leaves what the read brought");
    ok(memory.table.shm->tables[id].count == NAMES / 2, "and its count");
}


static void
unknown_names_are_bounded(void)
{
    char        buf[64];
    ngx_str_t   label;
    ngx_uint_t  n, pages;

    fresh(PAGES);

    for (n = 0; n < 10; n++) {
        (void) put(n, 1, 1, 0);
    }

    label.data = (u_char *) buf;

    for (n = 0, pages = 0; n < OA_TABLE_NEGATIVES * 4; n++) {
        label.len = snprintf(buf, sizeof(buf), "unknown-%lu",
                             (unsigned long) n);
        (void) oa_table_put_negative(&memory.table, id, &label, 0, 1, n);

        if (n == OA_TABLE_NEGATIVES * 2) {
            pages = memory.used;
        }
    }

    ok(memory.used == pages, "a flood of unknown names takes no more memory");
    ok(look(7, 1, 0) == 1, "and no route");
}


static void
least_recently_used(void)
{
    uint32_t    now;
    ngx_uint_t  n, i, bad, hot, long_ones;

    fresh(64);

    now = 10000;

    for (n = 1; n < 20000; n++) {
        now += 10;

        if (n % 7 && n % 5) {
            (void) put(n, 1, 1, now);
        }

        /* these stay in use */

        for (i = 1; i < 4; i++) {
            (void) look(i, 1, now + 2000);
        }
    }

    hot = (look(1, 1, now) == 1) + (look(2, 1, now) == 1)
          + (look(3, 1, now) == 1);

    ok(hot == 3, "routes in use stay");
    ok(look(19998, 1, now) == 1, "and the last one that came");
    ok(look(4, 1, now) == 0, "the first ones that were not used went");
    ok(memory.table.shm->tables[id].evicted > 10000, "and were counted");

    /* news of others drives nobody out, and a change is not a use */

    for (i = 1, n = 0; i < 20000; i++) {
        n += look(i, 1, now) == 1;
    }

    for (i = 0, bad = 0; i < 5000; i++) {
        bad += oa_table_put(&memory.table, id, route_of(i * 35 + 30001, 1), 1,
                            now, OA_TABLE_NEWS)
               == NGX_ERROR;
    }

    for (i = 1; i < 20000; i++) {
        n -= look(i, 1, now) == 1;
    }

    ok(bad == 0 && n == 0, "news drives nobody out");

    /* now pages of short ones must become pages of long ones */

    for (n = 0, long_ones = 0; n < 70; n += 7) {
        long_ones += put(n + 70000, 1, 1, now)
                     == NGX_OK;
    }

    ok(long_ones == 10 && look(70063, 1, now) == 1,
       "long routes take a page of short ones");

    oa_table_repair(&memory.table);

    ok(look(70063, 1, now) == 1 && look(1, 1, now) == 1,
       "the same after a repair");
}


/* What a writer leaves behind that is killed between two stores. */

static void
deaths(void)
{
    uint32_t      slot, *entry;
    ngx_str_t     label;
    oa_record_t  *r;
    oa_route_t   *route;

    fresh(PAGES);

    (void) put(1, 1, 1, 0);
    (void) put(2, 1, 1, 0);

    /* half of a new record was written */

    r = oa_table_alloc(&memory.table, 100, 0, OA_TABLE_WANTED, &slot);
    memset(r->packed, 'x', 50);
    oa_table_repair(&memory.table);

    ok(look(1, 1, 0) == 1 && look(2, 1, 0) == 1, "half of a record");

    /* it was written, and the old one not freed yet */

    route = route_of(1, 2);
    label = route->subdomain;
    r = oa_table_alloc(&memory.table, 100, 0, OA_TABLE_WANTED, &slot);
    r->id_kind = id << 4 | OA_RECORD_ROUTE;
    (void) oa_route_pack_size(route, &r->head);
    oa_route_pack(route, &r->head, r->packed);
    oa_seq_close(&r->seq);
    oa_table_repair(&memory.table);

    ok(look(1, 2, 0) == 1 && memory.table.shm->tables[id].count == 2,
       "two records of one name: the newer stays");

    /* an entry was being moved */

    entry = oa_table_find(&memory.table, id, hash_of(&label), &label);
    oa_seq_open(&memory.table.shm->seq);
    *entry = 0;

    {
        oa_table_copy_t  copy;

        ok(get_copy(&label, 0, &copy) == NGX_AGAIN,
           "a reader is not told that the name is unknown");
    }

    oa_table_repair(&memory.table);

    ok(look(1, 2, 0) == 1, "and finds it after the repair");
}


static volatile int  stop;


static void *
reader(void *data)
{
    ngx_uint_t       n, *bad;
    ngx_int_t        rc;
    char             buf[64];
    u_char           text[108];
    ngx_str_t        label;
    oa_route_t       got;
    unsigned int     seed;
    oa_table_copy_t  copy;

    bad = data;
    seed = 7;
    label.data = (u_char *) buf;

    while (!stop) {
        n = rand_r(&seed) % 100;
        label.len = snprintf(buf, sizeof(buf), "name-%lu", (unsigned long) n);

        rc = get_copy(&label, 0, &copy);

        if (rc == NGX_AGAIN) {
            continue;
        }

        if (rc != NGX_OK || copy.negative) {
            bad[0]++;
            continue;
        }

        oa_route_unpack(&copy.head, copy.packed, text, &got);

        n = snprintf(buf, sizeof(buf), "m%lu-%lu", (unsigned long) n,
                     (unsigned long) got.version);

        if (got.machine.len != n || memcmp(got.machine.data, buf, n) != 0) {
            bad[1]++;
        }
    }

    return NULL;
}


/*
 * Names 0 to 99 are always there, whatever happens to them and around them:
 * a reader without a lock must never miss one or see two halves.
 */

static void
readers_beside_a_writer(void)
{
    uint64_t    version;
    ngx_uint_t  i, n, bad[2];
    ngx_str_t   label;
    pthread_t   thread;

    fresh(PAGES);

    bad[0] = 0;
    bad[1] = 0;
    version = 1;

    for (n = 0; n < 100; n++) {
        (void) put(n, version, 1, 0);
    }

    (void) pthread_create(&thread, NULL, reader, bad);

    for (i = 0; i < 400000; i++) {
        version++;
        n = random() % 1000;

        if (n < 100 || random() % 2) {
            (void) put(n, version, 1, 0);

        } else {
            label = route_of(n, version)->subdomain;
            (void) oa_table_put_negative(&memory.table, id, &label, version, 1,
                                         0);
        }
    }

    stop = 1;
    (void) pthread_join(thread, NULL);

    ok(bad[0] == 0, "a reader never missed a route (%lu)",
       (unsigned long) bad[0]);
    ok(bad[1] == 0, "a reader never saw two halves (%lu)",
       (unsigned long) bad[1]);
}


int
main(void)
{
    against_a_model();
    versions();
    sweep();
    unknown_names_are_bounded();
    least_recently_used();
    deaths();
    readers_beside_a_writer();

    return done_testing();
}
