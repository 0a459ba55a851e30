
#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include "oa_feed.h"
#include "tap.h"


static oa_feed_hints_t  hints;
static u_char           array[OA_FEED_ARRAY];


static ngx_int_t
beat(oa_feed_beat_t *b, const char *position, const char *floor,
    const char *identity)
{
    ngx_str_t  p, f, i;

    p.len = strlen(position);
    p.data = (u_char *) position;
    f.len = strlen(floor);
    f.data = (u_char *) floor;
    i.len = strlen(identity);
    i.data = (u_char *) identity;

    return oa_feed_beat(b, &p, &f, &i);
}


static ngx_uint_t
gap(uint64_t position, const char *identity, const char *now,
    const char *floor)
{
    oa_feed_beat_t  b;
    oa_feed_mark_t  mark;

    memset(&mark, 0, sizeof(mark));
    mark.position = position;
    strcpy((char *) mark.identity, identity);

    if (beat(&b, now, floor, "7.1.2") != NGX_OK) {
        abort();
    }

    return oa_feed_is_gap(&mark, &b);
}


static ngx_int_t
hint_len(const char *name, size_t len)
{
    ngx_int_t  rc;
    ngx_str_t  n;

    /* a copy: what is read beyond it is found */

    n.len = len;
    n.data = malloc(len ? len : 1);
    if (n.data == NULL) {
        abort();
    }

    memcpy(n.data, name, len);

    rc = oa_feed_hint(&hints, &n);

    free(n.data);

    return rc;
}


static ngx_int_t
hint(const char *name)
{
    return hint_len(name, strlen(name));
}


static int
array_is(const char *want)
{
    memset(array, 'x', sizeof(array));
    oa_feed_hints_array(&hints, array);

    return strcmp((char *) array, want) == 0;
}


static void
test_beat(void)
{
    char            name[OA_FEED_IDENTITY + 2];
    size_t          i;
    oa_feed_beat_t  b;

    static const char  *bad[] = {
        "", "-1", "x", "1 ", " 1", "1.0", "0x1", "9223372036854775808",
        "18446744073709551615"
    };

    ok(beat(&b, "700", "3", "a.b") == NGX_OK
       && b.position == 700 && b.floor == 3
       && strcmp((char *) b.identity, "a.b") == 0, "a beat");
    ok(beat(&b, "9223372036854775807", "0", "") == NGX_OK
       && b.position == 9223372036854775807u && b.floor == 0,
       "the highest position, the lowest floor");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ok(beat(&b, bad[i], "0", "a") == NGX_ERROR, "position '%s'", bad[i]);
        ok(beat(&b, "1", bad[i], "a") == NGX_ERROR, "floor '%s'", bad[i]);
    }

    memset(name, 'a', sizeof(name));
    name[OA_FEED_IDENTITY] = '\0';
    ok(beat(&b, "1", "0", name) == NGX_OK
       && strcmp((char *) b.identity, name) == 0, "the longest identity");

    name[OA_FEED_IDENTITY] = 'a';
    name[OA_FEED_IDENTITY + 1] = '\0';
    ok(beat(&b, "1", "0", name) == NGX_ERROR, "a longer one");
}


static void
test_gap(void)
{
    ok(gap(0, "7.1.2", "10", "0"), "no position");
    ok(!gap(8, "7.1.2", "10", "0"), "a position behind: no gap");
    ok(!gap(10, "7.1.2", "10", "0"), "the same position: no gap");
    ok(gap(11, "7.1.2", "10", "0"), "a position to come: back in time");
    ok(!gap(8, "7.1.2", "10", "7"), "above the floor: no gap");
    ok(gap(8, "7.1.2", "10", "8"), "at the floor");
    ok(gap(8, "7.1.2", "10", "9"), "below the floor");
    ok(gap(8, "7.1.20", "10", "0"), "another feed");
    ok(gap(8, "7.1.", "10", "0"), "another one, shorter");
    ok(gap(8, "", "10", "0"), "none before");
}


static void
test_hints(void)
{
    char        name[64];
    ngx_uint_t  i;

    ok(array_is("{}"), "no hint");

    ok(hint("alice") == NGX_OK && hint("bob") == NGX_OK
       && hint("alice") == NGX_OK && hints.n == 2, "each name once");
    ok(array_is("{\"alice\",\"bob\"}"), "as an array");
    ok(hints.n == 0 && array_is("{}"), "which forgets them");

    ok(hint("null") == NGX_OK && array_is("{\"null\"}"), "a name, not NULL");

    ok(hint("0-_aZ9") == NGX_OK, "all kinds of bytes");
    ok(hint("") == NGX_ERROR, "an empty name");

    for (i = 0; i < 256; i++) {
        if (isalnum((int) i) || i == '-' || i == '_') {
            continue;
        }

        name[0] = 'a';
        name[1] = (char) i;

        if (hint_len(name, 2) != NGX_ERROR) {
            break;
        }
    }

    ok(i == 256, "no other byte: %u", (unsigned) i);

    memset(name, 'a', sizeof(name));
    ok(hint_len(name, 63) == NGX_OK, "the longest name");
    ok(hint_len(name, 64) == NGX_ERROR, "a longer one");

    oa_feed_hints_array(&hints, array);

    for (i = 0; i < OA_FEED_HINTS; i++) {
        snprintf(name, sizeof(name), "%063u", (unsigned) i);
        hint(name);
    }

    ok(hints.n == OA_FEED_HINTS && !hints.overflow, "as many as there may be");
    ok(hint(name) == NGX_OK && !hints.overflow, "a known one");
    ok(hint("more") == NGX_OK && hints.n == OA_FEED_HINTS && hints.overflow,
       "one more is not forgotten");

    oa_feed_hints_array(&hints, array);
    ok(strlen((char *) array) == OA_FEED_HINTS * 66 + 1
       && strlen((char *) array) < sizeof(array), "the longest array");
    ok(hints.n == 0 && !hints.overflow, "and all are forgotten");
}


int
main(void)
{
    test_beat();
    test_gap();
    test_hints();

    return done_testing();
}
