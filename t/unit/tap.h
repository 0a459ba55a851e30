
/* TAP for unit tests: each file is a program of its own. */


#ifndef _OA_TAP_H_INCLUDED_
#define _OA_TAP_H_INCLUDED_


#include <stdarg.h>
#include <stdio.h>
#include <string.h>


static int  tap_run;
static int  tap_failed;


static int ok(int good, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));


static int
ok(int good, const char *fmt, ...)
{
    va_list  args;

    printf("%sok %d - ", good ? "" : "not ", ++tap_run);

    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);

    printf("\n");

    if (!good) {
        tap_failed++;
    }

    return good;
}


/* The bytes of a test's name that would break its line are shown as '?'. */

static __attribute__((unused)) const char *
show(const void *data, size_t len)
{
    static char     buf[4][80];
    static int      next;

    char                 *p;
    size_t                i;
    const unsigned char  *s;

    p = buf[next++ % 4];
    s = data;

    for (i = 0; i < len && i < sizeof(buf[0]) - 1; i++) {
        p[i] = (char) ((s[i] < 0x20 || s[i] > 0x7e || s[i] == '#')
                       ? '?' : s[i]);
    }

    p[i] = '\0';

    return p;
}


static __attribute__((unused)) int
is_bytes(const void *got, size_t got_len, const void *want, size_t want_len,
    const char *name)
{
    if (got_len == want_len
        && (want_len == 0 || memcmp(got, want, want_len) == 0))
    {
        return ok(1, "%s", name);
    }

    ok(0, "%s", name);
    printf("#  got: \"%s\" (%lu)\n", show(got, got_len),
           (unsigned long) got_len);
    printf("# want: \"%s\" (%lu)\n", show(want, want_len),
           (unsigned long) want_len);

    return 0;
}


static int
done_testing(void)
{
    printf("1..%d\n", tap_run);

    return tap_failed != 0;
}


#endif /* _OA_TAP_H_INCLUDED_ */
