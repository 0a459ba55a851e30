
#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include "oa_route.h"
#include "tap.h"


#define UUID1  "a3bb189e-8bf9-3888-9912-ace4e6543002"
#define UUID2  "00000000-0000-0000-0000-000000000000"
#define UUID3  "ffffffff-ffff-ffff-ffff-ffffffffffff"

#define N63    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define N128   N63 N63 "aa"


typedef struct {
    ngx_uint_t    col;
    ngx_str_t     text;
    ngx_uint_t    good;
} test_field_t;


#define GOOD(col, text)  { col, ngx_string(text), 1 }
#define BAD(col, text)   { col, ngx_string(text), 0 }


static const test_field_t  fields[] = {

    GOOD(OA_COL_SUBDOMAIN, "a"),
    GOOD(OA_COL_SUBDOMAIN, "0"),
    GOOD(OA_COL_SUBDOMAIN, "alice"),
    GOOD(OA_COL_SUBDOMAIN, "a-b"),
    GOOD(OA_COL_SUBDOMAIN, "a--b"),
    GOOD(OA_COL_SUBDOMAIN, "xn--bcher-kva"),
    GOOD(OA_COL_SUBDOMAIN, N63),
    BAD(OA_COL_SUBDOMAIN, N63 "a"),
    BAD(OA_COL_SUBDOMAIN, ""),
    BAD(OA_COL_SUBDOMAIN, "-"),
    BAD(OA_COL_SUBDOMAIN, "-a"),
    BAD(OA_COL_SUBDOMAIN, "a-"),
    BAD(OA_COL_SUBDOMAIN, "A"),
    BAD(OA_COL_SUBDOMAIN, "alicE"),
    BAD(OA_COL_SUBDOMAIN, "a_b"),
    BAD(OA_COL_SUBDOMAIN, "a.b"),
    BAD(OA_COL_SUBDOMAIN, "a b"),
    BAD(OA_COL_SUBDOMAIN, "a\0b"),
    BAD(OA_COL_SUBDOMAIN, "a\0"),
    BAD(OA_COL_SUBDOMAIN, "\0"),
    BAD(OA_COL_SUBDOMAIN, "a\r"),
    BAD(OA_COL_SUBDOMAIN, "a\n"),
    BAD(OA_COL_SUBDOMAIN, "a;b"),
    BAD(OA_COL_SUBDOMAIN, "a,b"),
    BAD(OA_COL_SUBDOMAIN, "a=b"),
    BAD(OA_COL_SUBDOMAIN, "a\"b"),
    BAD(OA_COL_SUBDOMAIN, "a\\b"),
    BAD(OA_COL_SUBDOMAIN, "a'--"),
    BAD(OA_COL_SUBDOMAIN, "b\xc3\xbc" "cher"),
    BAD(OA_COL_SUBDOMAIN, "a\x7f"),
    BAD(OA_COL_SUBDOMAIN, "a\x80"),
    BAD(OA_COL_SUBDOMAIN, "a\xff"),
    BAD(OA_COL_SUBDOMAIN, "a@"),
    BAD(OA_COL_SUBDOMAIN, "a["),
    BAD(OA_COL_SUBDOMAIN, "a`"),
    BAD(OA_COL_SUBDOMAIN, "a{"),
    BAD(OA_COL_SUBDOMAIN, "a/"),
    BAD(OA_COL_SUBDOMAIN, "a:"),

    GOOD(OA_COL_ROUTE_ID, "1"),
    GOOD(OA_COL_ROUTE_ID, UUID1),
    GOOD(OA_COL_ROUTE_ID, "AZaz09._:@|+/=-"),
    GOOD(OA_COL_ROUTE_ID, N128),
    BAD(OA_COL_ROUTE_ID, N128 "a"),
    BAD(OA_COL_ROUTE_ID, ""),
    BAD(OA_COL_ROUTE_ID, "a b"),
    BAD(OA_COL_ROUTE_ID, "a;b"),

    GOOD(OA_COL_USER_ID, ""),
    GOOD(OA_COL_USER_ID, N128),
    GOOD(OA_COL_USER_ID, "auth0|5f7c"),
    GOOD(OA_COL_USER_ID, "someone@host.example"),
    BAD(OA_COL_USER_ID, N128 "a"),
    BAD(OA_COL_USER_ID, "\0"),
    BAD(OA_COL_USER_ID, "a\r\nb"),
    BAD(OA_COL_USER_ID, "a,b"),
    BAD(OA_COL_USER_ID, "a\"b"),
    BAD(OA_COL_USER_ID, "a\\b"),
    BAD(OA_COL_USER_ID, "\xc3\xbc"),
    BAD(OA_COL_USER_ID, "a~"),
    BAD(OA_COL_USER_ID, "a%20"),

    GOOD(OA_COL_AGENT_ID, ""),
    GOOD(OA_COL_AGENT_ID, N128),
    BAD(OA_COL_AGENT_ID, N128 "a"),
    BAD(OA_COL_AGENT_ID, "a\nb"),
    BAD(OA_COL_AGENT_ID, "<b>"),

    GOOD(OA_COL_APP, ""),
    GOOD(OA_COL_APP, "oa-alice"),
    GOOD(OA_COL_APP, N63),
    BAD(OA_COL_APP, N63 "a"),
    BAD(OA_COL_APP, "a;instance=b"),
    BAD(OA_COL_APP, "a,b"),
    BAD(OA_COL_APP, "a\r\nx: y"),
    BAD(OA_COL_APP, "A"),
    BAD(OA_COL_APP, "-"),

    GOOD(OA_COL_MACHINE, ""),
    GOOD(OA_COL_MACHINE, "3d8d9930b32d89"),
    GOOD(OA_COL_MACHINE, N63),
    BAD(OA_COL_MACHINE, N63 "a"),
    BAD(OA_COL_MACHINE, "a;state=b"),
    BAD(OA_COL_MACHINE, "a\n"),
    BAD(OA_COL_MACHINE, "a\0"),
    BAD(OA_COL_MACHINE, "a/b"),

    GOOD(OA_COL_REGION, ""),
    GOOD(OA_COL_REGION, "ams"),
    GOOD(OA_COL_REGION, "a0"),
    GOOD(OA_COL_REGION, "00000000"),
    BAD(OA_COL_REGION, "a"),
    BAD(OA_COL_REGION, "000000000"),
    BAD(OA_COL_REGION, "AMS"),
    BAD(OA_COL_REGION, "a-b"),
    BAD(OA_COL_REGION, "ams,iad"),
    BAD(OA_COL_REGION, "am\0"),

    GOOD(OA_COL_STATUS, "provisioning"),
    GOOD(OA_COL_STATUS, "running"),
    GOOD(OA_COL_STATUS, "stopped"),
    GOOD(OA_COL_STATUS, "suspended"),
    GOOD(OA_COL_STATUS, "error"),
    GOOD(OA_COL_STATUS, "disabled"),
    BAD(OA_COL_STATUS, ""),
    BAD(OA_COL_STATUS, "Running"),
    BAD(OA_COL_STATUS, "run"),
    BAD(OA_COL_STATUS, "running "),
    BAD(OA_COL_STATUS, "running\0"),

    GOOD(OA_COL_ACCESS, "owner"),
    GOOD(OA_COL_ACCESS, "authenticated"),
    GOOD(OA_COL_ACCESS, "public"),
    BAD(OA_COL_ACCESS, ""),
    BAD(OA_COL_ACCESS, "PUBLIC"),
    BAD(OA_COL_ACCESS, "pub"),
    BAD(OA_COL_ACCESS, "publico"),

    GOOD(OA_COL_VERSION, "0"),
    GOOD(OA_COL_VERSION, "9223372036854775807"),
    BAD(OA_COL_VERSION, "9223372036854775808"),
    BAD(OA_COL_VERSION, "9999999999999999999"),
    BAD(OA_COL_VERSION, "10000000000000000000"),
    BAD(OA_COL_VERSION, "18446744073709551617"),
    BAD(OA_COL_VERSION, ""),
    BAD(OA_COL_VERSION, "-1"),
    BAD(OA_COL_VERSION, "+1"),
    BAD(OA_COL_VERSION, " 1"),
    BAD(OA_COL_VERSION, "1.0"),
    BAD(OA_COL_VERSION, "1e3"),
    BAD(OA_COL_VERSION, "0x1")
};


static void
row(ngx_str_t *cols)
{
    ngx_memzero(cols, OA_COLS * sizeof(ngx_str_t));

    ngx_str_set(&cols[OA_COL_SUBDOMAIN], "alice");
    ngx_str_set(&cols[OA_COL_ROUTE_ID], UUID1);
    ngx_str_set(&cols[OA_COL_USER_ID], UUID2);
    ngx_str_set(&cols[OA_COL_AGENT_ID], UUID3);
    ngx_str_set(&cols[OA_COL_APP], "oa-alice");
    ngx_str_set(&cols[OA_COL_MACHINE], "3d8d9930b32d89");
    ngx_str_set(&cols[OA_COL_REGION], "ams");
    ngx_str_set(&cols[OA_COL_STATUS], "suspended");
    ngx_str_set(&cols[OA_COL_ACCESS], "public");
    ngx_str_set(&cols[OA_COL_VERSION], "1234567890123");
}


static ngx_int_t
same(const ngx_str_t *a, const ngx_str_t *b)
{
    return a->len == b->len
           && (a->len == 0 || ngx_memcmp(a->data, b->data, a->len) == 0);
}


static ngx_int_t
same_route(const oa_route_t *a, const oa_route_t *b)
{
    return same(&a->subdomain, &b->subdomain)
           && same(&a->route_id, &b->route_id)
           && same(&a->user_id, &b->user_id)
           && same(&a->agent_id, &b->agent_id)
           && same(&a->app, &b->app)
           && same(&a->machine, &b->machine)
           && same(&a->region, &b->region)
           && a->status == b->status
           && a->access == b->access
           && a->version == b->version;
}


static void
test_fields(void)
{
    size_t               len;
    ngx_int_t            rc;
    ngx_str_t            cols[OA_COLS];
    ngx_uint_t           i;
    const char          *why;
    oa_route_t           route;
    const ngx_str_t     *name;
    const test_field_t  *f;

    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        f = &fields[i];
        name = &oa_route_columns[f->col];
        why = "";

        row(cols);
        cols[f->col] = f->text;

        rc = oa_route_parse(cols, &route, &why);

        if (f->good) {
            ok(rc == NGX_OK, "%s \"%s\" (%d) passes", name->data,
               show(f->text.data, f->text.len), (int) f->text.len);
            continue;
        }

        len = name->len;

        ok(rc == NGX_ERROR && strncmp(why, (char *) name->data, len) == 0
           && why[len] == ' ',
           "%s \"%s\" (%d) is refused: %s", name->data,
           show(f->text.data, f->text.len), (int) f->text.len, why);
    }
}


/* each byte against the grammar as it is written down */

static void
test_bytes(void)
{
    u_char       c, text[3];
    ngx_str_t    cols[OA_COLS];
    ngx_uint_t   b, id, label, bad_id, bad_label, bad_region;
    const char  *why;
    oa_route_t   route;

    bad_id = 0;
    bad_label = 0;
    bad_region = 0;

    for (b = 0; b < 256; b++) {
        c = (u_char) b;
        text[0] = 'a';
        text[1] = c;
        text[2] = 'a';

        label = (c && strchr("abcdefghijklmnopqrstuvwxyz0123456789-", c));
        id = (c && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                          "abcdefghijklmnopqrstuvwxyz"
                          "0123456789._:@|+/=-", c));

        if (oa_is_label(text, 3) != label) {
            bad_label++;
        }

        row(cols);
        cols[OA_COL_USER_ID].len = 3;
        cols[OA_COL_USER_ID].data = text;

        if ((oa_route_parse(cols, &route, &why) == NGX_OK) != id) {
            bad_id++;
        }

        row(cols);
        cols[OA_COL_REGION].len = 3;
        cols[OA_COL_REGION].data = text;

        if ((oa_route_parse(cols, &route, &why) == NGX_OK)
            != (label && c != '-'))
        {
            bad_region++;
        }
    }

    ok(bad_label == 0, "every byte in a label");
    ok(bad_id == 0, "every byte in an id");
    ok(bad_region == 0, "every byte in a region");
}


static void
test_missing(void)
{
    ngx_str_t    cols[OA_COLS];
    ngx_uint_t   i, need;
    const char  *why;
    oa_route_t   route;

    for (i = 0; i < OA_COLS; i++) {
        row(cols);
        ngx_str_null(&cols[i]);

        need = (i == OA_COL_SUBDOMAIN || i == OA_COL_ROUTE_ID
                || i == OA_COL_STATUS);

        ok(oa_route_parse(cols, &route, &why) == (need ? NGX_ERROR : NGX_OK),
           "%s may %sbe NULL", oa_route_columns[i].data, need ? "not " : "");
    }

    ngx_memzero(cols, sizeof(cols));
    ngx_str_set(&cols[OA_COL_SUBDOMAIN], "a");
    ngx_str_set(&cols[OA_COL_ROUTE_ID], "b");
    ngx_str_set(&cols[OA_COL_STATUS], "provisioning");
    ngx_memset(&route, 0xff, sizeof(route));

    if (!ok(oa_route_parse(cols, &route, &why) == NGX_OK, "the least row")) {
        return;
    }

    ok(route.access == OA_ACCESS_OWNER && route.version == 0
       && route.status == OA_ROUTE_PROVISIONING,
       "access is the owner's, version 0");
    ok(route.user_id.len == 0 && route.user_id.data
       && route.agent_id.len == 0 && route.agent_id.data
       && route.app.len == 0 && route.app.data
       && route.machine.len == 0 && route.machine.data
       && route.region.len == 0 && route.region.data,
       "all else is empty and has data");
}


static void
test_parse(void)
{
    ngx_str_t    cols[OA_COLS];
    ngx_uint_t   i;
    const char  *why;
    oa_route_t   route;

    row(cols);

    if (!ok(oa_route_parse(cols, &route, &why) == NGX_OK, "a row")) {
        return;
    }

    ok(same(&route.subdomain, &cols[OA_COL_SUBDOMAIN])
       && same(&route.route_id, &cols[OA_COL_ROUTE_ID])
       && same(&route.user_id, &cols[OA_COL_USER_ID])
       && same(&route.agent_id, &cols[OA_COL_AGENT_ID])
       && same(&route.app, &cols[OA_COL_APP])
       && same(&route.machine, &cols[OA_COL_MACHINE])
       && same(&route.region, &cols[OA_COL_REGION]),
       "every column lands in its field");
    ok(route.status == OA_ROUTE_SUSPENDED && route.access == OA_ACCESS_PUBLIC
       && route.version == 1234567890123ULL,
       "status, access, version");

    for (i = 0; i <= OA_ROUTE_DISABLED; i++) {
        cols[OA_COL_STATUS] = *oa_route_status_name((oa_route_status_e) i);
        ok(oa_route_parse(cols, &route, &why) == NGX_OK
           && (ngx_uint_t) route.status == i,
           "status %s reads back", cols[OA_COL_STATUS].data);
    }

    for (i = 0; i <= OA_ACCESS_PUBLIC; i++) {
        cols[OA_COL_ACCESS] = *oa_route_access_name((oa_route_access_e) i);
        ok(oa_route_parse(cols, &route, &why) == NGX_OK
           && (ngx_uint_t) route.access == i,
           "access %s reads back", cols[OA_COL_ACCESS].data);
    }

    ok(oa_route_status_name((oa_route_status_e) 7)
       == oa_route_status_name(OA_ROUTE_DISABLED),
       "an unknown status is the most cautious one");
    ok(oa_route_access_name((oa_route_access_e) 3)
       == oa_route_access_name(OA_ACCESS_OWNER),
       "an unknown access is the most cautious one");
}


/*
 * Packs and unpacks in memory of exactly the size, for a sanitizer's sake.
 */

static ngx_int_t
round_trip(const oa_route_t *route, size_t want, ngx_uint_t no_text)
{
    u_char           *p, *text;
    size_t            size;
    ngx_int_t         rc;
    oa_route_t        back, expect;
    oa_route_head_t   head, copy;

    size = oa_route_pack_size(route, &head);

    if (size != oa_route_packed_size(&head) || (want && size != want)
        || size > OA_ROUTE_PACKED_MAX)
    {
        printf("# %lu bytes, not %lu\n", (unsigned long) size,
               (unsigned long) want);
        return 0;
    }

    p = malloc(size + 1);
    text = malloc(3 * 36);

    if (p == NULL || text == NULL) {
        abort();
    }

    p[size] = 0x5a;
    copy = head;

    oa_route_pack(route, &head, p);

    ngx_memset(&back, 0xff, sizeof(back));
    expect = *route;

    oa_route_unpack(&copy, p, no_text ? NULL : text, &back);

    if (no_text) {
        if (head.uuids & 1) {
            expect.user_id.len = 0;
        }

        if (head.uuids & 2) {
            expect.route_id.len = 0;
        }

        if (head.uuids & 4) {
            expect.agent_id.len = 0;
        }
    }

    rc = (p[size] == 0x5a && same_route(&expect, &back)
          && ngx_memcmp(p, route->subdomain.data, route->subdomain.len) == 0);

    free(text);
    free(p);

    return rc;
}


static void
test_pack(void)
{
    u_char           fill[128];
    ngx_str_t        cols[OA_COLS], *field[7];
    ngx_uint_t       i, n, mask, bad;
    const char      *why;
    oa_route_t       route;
    oa_route_head_t  head;

    static const size_t  max[] = { 63, 128, 128, 128, 63, 63, 8 };

    row(cols);

    if (oa_route_parse(cols, &route, &why) != NGX_OK) {
        ok(0, "a row");
        return;
    }

    ok(round_trip(&route, 5 + 14 + 8 + 3 + 3 * 16, 0), "three UUIDs");
    ok(round_trip(&route, 0, 1), "three UUIDs, not wanted");

    for (mask = 0; mask < 8; mask++) {
        row(cols);

        if (mask & 1) {
            ngx_str_set(&cols[OA_COL_USER_ID], "auth0|0123456789abcdef");
        }

        if (mask & 2) {
            ngx_str_set(&cols[OA_COL_ROUTE_ID], "r-17");
        }

        if (mask & 4) {
            ngx_str_set(&cols[OA_COL_AGENT_ID], "");
        }

        if (oa_route_parse(cols, &route, &why) != NGX_OK) {
            ok(0, "a row");
            return;
        }

        (void) oa_route_pack_size(&route, &head);

        ok(head.uuids == (~mask & 7) && round_trip(&route, 0, 0)
           && round_trip(&route, 0, 1),
           "UUIDs and other ids: %d", (int) mask);
    }

    /* lengths, each field from none to all of it */

    for (i = 0; i < 128; i++) {
        fill[i] = (u_char) ('a' + i % 26);
    }

    field[0] = &route.subdomain;
    field[1] = &route.route_id;
    field[2] = &route.user_id;
    field[3] = &route.agent_id;
    field[4] = &route.app;
    field[5] = &route.machine;
    field[6] = &route.region;

    bad = 0;

    for (i = 0; i < 7; i++) {
        for (mask = 0; mask < 2; mask++) {
            for (n = 0; n < 7; n++) {
                field[n]->len = mask ? max[n] : 1;
                field[n]->data = fill + (mask ? 0 : n);
            }

            for (n = 0; n <= max[i]; n++) {
                field[i]->len = n;
                field[i]->data = n ? fill : NULL;

                if (field[0]->len == 0) {
                    continue;
                }

                if (!round_trip(&route, 0, 0)) {
                    bad++;
                }
            }
        }
    }

    ok(bad == 0, "every field in every length");

    for (n = 0; n < 7; n++) {
        field[n]->len = max[n];
        field[n]->data = fill;
    }

    route.version = (uint64_t) -1;
    route.status = OA_ROUTE_DISABLED;
    route.access = OA_ACCESS_PUBLIC;

    ok(round_trip(&route, OA_ROUTE_PACKED_MAX, 0), "the longest route");

    for (i = 0; i <= OA_ROUTE_DISABLED; i++) {
        for (n = 0; n <= OA_ACCESS_PUBLIC; n++) {
            route.status = (oa_route_status_e) i;
            route.access = (oa_route_access_e) n;

            ok(round_trip(&route, 0, 0), "status %d, access %d", (int) i,
               (int) n);
        }
    }
}


static void
test_uuid(void)
{
    ngx_str_t        cols[OA_COLS];
    ngx_uint_t       i;
    const char      *why;
    oa_route_t       route;
    oa_route_head_t  head;

    static const ngx_str_t  near[] = {
        ngx_string("A3bb189e-8bf9-3888-9912-ace4e6543002"),
        ngx_string("a3bb189e-8bf9-3888-9912-ace4e654300F"),
        ngx_string("a3bb189e-8bf9-3888-9912-ace4e654300g"),
        ngx_string("a3bb189e-8bf9-3888-9912-ace4e654300"),
        ngx_string("a3bb189e-8bf9-3888-9912-ace4e65430021"),
        ngx_string("a3bb189e08bf9-3888-9912-ace4e6543002"),
        ngx_string("a3bb189e-8bf9-3888-9912-ace4-6543002"),
        ngx_string("a3bb189-e8bf9-3888-9912-ace4e6543002"),
        ngx_string("a3bb189e-8bf9-3888-9912:ace4e6543002"),
        ngx_string("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ngx_string("0123456789abcdef")
    };

    for (i = 0; i < sizeof(near) / sizeof(near[0]); i++) {
        row(cols);
        cols[OA_COL_USER_ID] = near[i];

        if (oa_route_parse(cols, &route, &why) != NGX_OK) {
            ok(0, "%s parses", near[i].data);
            continue;
        }

        (void) oa_route_pack_size(&route, &head);

        ok(head.uuids == 6 && head.user_len == near[i].len
           && round_trip(&route, 0, 0),
           "%s is no canonical UUID", near[i].data);
    }
}


int
main(void)
{
    test_parse();
    test_fields();
    test_bytes();
    test_missing();
    test_pack();
    test_uuid();

    return done_testing();
}
