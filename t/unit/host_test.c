
#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include "oa_host.h"
#include "tap.h"


#define N63  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define DOM  "openagents.example"


typedef struct {
    ngx_str_t    in;
    ngx_str_t    out;                  /* no data: refused */
} test_pair_t;


#define PAIR(in, out)  { ngx_string(in), ngx_string(out) }
#define NONE(in)       { ngx_string(in), ngx_null_string }


static const test_pair_t  hosts[] = {
    PAIR("alice." DOM, "alice"),
    PAIR("ALICE.OpenAgents.EXAMPLE", "alice"),
    PAIR("alice." DOM ".", "alice"),
    PAIR("alice." DOM ":443", "alice"),
    PAIR("alice." DOM ".:443", "alice"),
    PAIR("alice." DOM ":", "alice"),
    PAIR("alice." DOM ".:", "alice"),
    PAIR("a." DOM, "a"),
    PAIR("0." DOM, "0"),
    PAIR("443." DOM, "443"),
    PAIR("a-b." DOM, "a-b"),
    PAIR("xn--bcher-kva." DOM, "xn--bcher-kva"),
    PAIR("XN--BCHER-KVA." DOM, "xn--bcher-kva"),
    PAIR(N63 "." DOM, N63),
    PAIR("openagents." DOM, "openagents"),

    NONE(""),
    NONE("."),
    NONE(":"),
    NONE(":80"),
    NONE("80"),
    NONE(DOM),
    NONE("." DOM),
    NONE("." DOM ":80"),
    NONE(".." DOM),
    NONE(DOM "."),
    NONE("alice"),
    NONE("alice."),
    NONE("alice.example"),
    NONE("bob.alice." DOM),
    NONE("alice.." DOM),
    NONE(".alice." DOM),
    NONE("alice." DOM ".."),
    NONE("alice." DOM "..:80"),
    NONE("alice." DOM ":80."),
    NONE("alice." DOM "::80"),
    NONE("alice." DOM ":80:80"),
    NONE("alice." DOM ":http"),
    NONE("alice." DOM ":-1"),
    NONE("alice." DOM ":+80"),
    NONE("alice." DOM ":8 0"),
    NONE("alice." DOM " "),
    NONE(" alice." DOM),
    NONE("alice." DOM ".evil.example"),
    NONE("alice.openagents.examplf"),
    NONE("alice.openagents.exampl"),
    NONE("alice.openagentsxexample"),
    NONE("aliceopenagents.example"),
    NONE("alice-" DOM),
    NONE("alice.xopenagents.example"),
    NONE(N63 "a." DOM),
    NONE("-." DOM),
    NONE("-a." DOM),
    NONE("a-." DOM),
    NONE("a_b." DOM),
    NONE("_a." DOM),
    NONE("*." DOM),
    NONE("b\xc3\xbc" "cher." DOM),
    NONE("b\xfc" "cher." DOM),
    NONE("a\0." DOM),
    NONE("a\0b." DOM),
    NONE("a\r\nb." DOM),
    NONE("a\n." DOM),
    NONE("a\t." DOM),
    NONE("a;b." DOM),
    NONE("a,b." DOM),
    NONE("a=b." DOM),
    NONE("a'or'1'='1." DOM),
    NONE("a\"b." DOM),
    NONE("a\\b." DOM),
    NONE("a/b." DOM),
    NONE("a%2eb." DOM),
    NONE("a@b." DOM),
    NONE("user@alice." DOM),
    NONE("http://alice." DOM),
    NONE("a\x7f." DOM),
    NONE("a\x80." DOM),
    NONE("a\xff." DOM),
    NONE("alice.openagents\0example"),
    NONE("alice.openagents\x0e" "example"),
    NONE("alice." DOM "\0"),
    NONE("alice.openagents.\xc5xample"),
    NONE("alice\xe3\x80\x82openagents.example"),
    NONE("127.0.0.1"),
    NONE("127.0.0.1:8080"),
    NONE("[::1]"),
    NONE("[::1]:8080"),
    NONE("[alice." DOM "]"),
    NONE("localhost")
};


static u_char *
copy(const ngx_str_t *s)
{
    u_char  *p;

    /* exactly as long, for a sanitizer's sake */

    p = malloc(s->len ? s->len : 1);
    if (p == NULL) {
        abort();
    }

    ngx_memcpy(p, s->data, s->len);

    return p;
}


static void
test_hosts(void)
{
    u_char      buf[63];
    ngx_int_t   rc;
    ngx_str_t   host, label;
    ngx_uint_t  i;

    static const ngx_str_t  domain = ngx_string(DOM);
    static const ngx_str_t  empty = ngx_string("");
    static const ngx_str_t  digits = ngx_string("1");
    static const ngx_str_t  null = ngx_null_string;

    for (i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        host.len = hosts[i].in.len;
        host.data = copy(&hosts[i].in);

        rc = oa_host_label(&host, &domain, buf, &label);

        if (hosts[i].out.data == NULL) {
            ok(rc == NGX_DECLINED, "host \"%s\" is no LABEL.domain",
               show(host.data, host.len));

        } else {
            ok(rc == NGX_OK && label.data == buf
               && label.len == hosts[i].out.len
               && ngx_memcmp(buf, hosts[i].out.data, label.len) == 0,
               "host \"%s\" is %s", show(host.data, host.len),
               hosts[i].out.data);
        }

        free(host.data);
    }

    ok(oa_host_label(&null, &domain, buf, &label) == NGX_DECLINED,
       "no host");

    ngx_str_set(&host, "alice.");
    ok(oa_host_label(&host, &empty, buf, &label) == NGX_DECLINED,
       "no domain");

    ngx_str_set(&host, "a.1:1");
    ok(oa_host_label(&host, &digits, buf, &label) == NGX_OK
       && label.len == 1 && buf[0] == 'a',
       "a domain of digits");

    ngx_str_set(&host, "a.1");
    ok(oa_host_label(&host, &digits, buf, &label) == NGX_OK,
       "a domain of digits is no port");
}


static int
compare(const void *a, const void *b)
{
    uint64_t  x, y;

    x = *(const uint64_t *) a;
    y = *(const uint64_t *) b;

    return (x > y) - (x < y);
}


static ngx_uint_t
repeats(uint64_t *hashes, ngx_uint_t n)
{
    ngx_uint_t  i, same;

    qsort(hashes, n, sizeof(uint64_t), compare);

    same = 0;

    for (i = 1; i < n; i++) {
        if (hashes[i] == hashes[i - 1]) {
            same++;
        }
    }

    return same;
}


static double
chi_square(const ngx_uint_t *buckets, ngx_uint_t n, ngx_uint_t total)
{
    double      d, expect, sum;
    ngx_uint_t  i;

    sum = 0;
    expect = (double) total / (double) n;

    for (i = 0; i < n; i++) {
        d = (double) buckets[i] - expect;
        sum += d * d / expect;
    }

    return sum;
}


#define HASHES  200000
#define SLOTS   1024


static void
test_hash(void)
{
    char        text[64];
    u_char     *p;
    size_t      len;
    double      low, high;
    uint64_t    h, *hashes;
    ngx_str_t   s;
    ngx_uint_t  i, n, bit, bad, flips, lows[SLOTS], highs[SLOTS];

    hashes = malloc(HASHES * sizeof(uint64_t));
    if (hashes == NULL) {
        abort();
    }

    /* names as people number them, and as machines draw them */

    for (n = 0; n < 2; n++) {
        ngx_memzero(lows, sizeof(lows));
        ngx_memzero(highs, sizeof(highs));

        for (i = 0; i < HASHES; i++) {
            len = (size_t) snprintf(text, sizeof(text),
                                    n ? "u%06lx-agent-of-a-longer-name"
                                      : "user%lu", (unsigned long) i);

            h = oa_label_hash((u_char *) text, len, 1);

            hashes[i] = h;
            lows[h % SLOTS]++;
            highs[h >> 54]++;
        }

        low = chi_square(lows, SLOTS, HASHES);
        high = chi_square(highs, SLOTS, HASHES);

        /* 1023 degrees of freedom: 1271 is 5.5 standard deviations */

        ok(low < 1271 && high < 1271, "spread evenly: %.0f, %.0f", low, high);
        ok(repeats(hashes, HASHES) == 0, "no two the same");
    }

    /* all labels of one and two bytes, in two tables */

    i = 0;

    for (n = 0; n < 2; n++) {
        for (bit = 0; bit < 128 * 128; bit++) {
            text[0] = (char) (bit / 128);
            text[1] = (char) (bit % 128);

            hashes[i++] = oa_label_hash((u_char *) text, 2, n);

            if (bit < 128) {
                hashes[i++] = oa_label_hash((u_char *) &text[1], 1, n);
            }
        }
    }

    ok(repeats(hashes, i) == 0, "short labels, two tables: no two the same");

    /* of every length, each bit counts, and no byte outside is read */

    bad = 0;

    for (len = 1; len <= 63; len++) {
        for (i = 0; i < len; i++) {
            text[i] = (char) ('a' + i % 26);
        }

        s.len = len;
        s.data = (u_char *) text;
        p = copy(&s);

        h = oa_label_hash(p, len, 3);
        flips = 0;

        for (i = 0; i < len * 8; i++) {
            p[i / 8] ^= (u_char) (1 << (i % 8));
            flips += (ngx_uint_t) __builtin_popcountll(
                                           h ^ oa_label_hash(p, len, 3));
            p[i / 8] ^= (u_char) (1 << (i % 8));
        }

        /* half of the bits change: 32 of 64, give or take */

        if (flips < 26 * len * 8 || flips > 38 * len * 8) {
            printf("# length %lu: %.1f bits\n", (unsigned long) len,
                   (double) flips / (double) (len * 8));
            bad++;
        }

        free(p);
    }

    ok(bad == 0, "one bit of a label changes half of the hash");

    ok(oa_label_hash((u_char *) "alice", 5, 0)
       != oa_label_hash((u_char *) "alice", 5, 1),
       "tables differ");

#if (NGX_HAVE_LITTLE_ENDIAN && NGX_PTR_SIZE == 8)

    h = oa_label_hash((u_char *) "alice-in-wonderland-17", 22, 1);
    ok(h == 0x64de2258fc6a73eeULL,
       "a change of the hash is deliberate: %016llx",
       (unsigned long long) h);

#endif

    free(hashes);
}


int
main(void)
{
    test_hosts();
    test_hash();

    return done_testing();
}
