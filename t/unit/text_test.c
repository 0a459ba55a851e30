
/* A text in shared memory: banks, deaths, readers beside a writer. */


#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "oa_text.h"
#include "tap.h"


#define PAGES    (OA_TEXT_MAX / OA_TEXT_PAGE)
#define READERS  2
#define DEATHS   40


typedef struct {
    uint64_t        seq;
    oa_text_bank_t  banks[2];
    u_char          pages[2][PAGES][OA_TEXT_PAGE];

    uint64_t        stop;
    uint64_t        reads;
    uint64_t        busy;
    uint64_t        wrong;
} shared_t;


static shared_t   *shared;
static oa_text_t   text;
static u_char      buf[OA_TEXT_MAX];
static u_char      out[OA_TEXT_MAX];


/* Text n: its length and all its bytes tell the number. */

static size_t
make(uint64_t n)
{
    size_t  i, len;

    len = 8 + n * 7919 % (OA_TEXT_MAX - 7);

    for (i = 0; i < len; i += 8) {
        memcpy(&buf[i], &n, len - i < 8 ? len - i : 8);
    }

    return len;
}


static void
put(uint64_t n)
{
    u_char  tag[OA_TEXT_TAG] = { 0 };
    size_t  len;

    len = make(n);
    memcpy(tag, &n, sizeof(n));

    oa_text_put(&text, buf, len, tag);
}


/* The number of the text in force; 0: none, or not all of one. */

static uint64_t
get(void)
{
    size_t    len;
    uint64_t  n;

    if (oa_text_get(&text, out, &len) != NGX_OK || len < 8) {
        return 0;
    }

    memcpy(&n, out, sizeof(n));

    return len == make(n) && memcmp(buf, out, len) == 0 ? n : 0;
}


static void
test_sizes(void)
{
    u_char      tag[OA_TEXT_TAG] = "a", other[OA_TEXT_TAG] = "b";
    size_t      i, len;
    uint64_t    seq;

    static const size_t  sizes[] = {
        1, 4095, 4096, 4097, 8192, 65535, 65536, 2
    };

    len = 1;
    ok(oa_text_get(&text, out, &len) == NGX_OK && len == 0,
       "zeroed memory is no text");
    ok(!oa_text_is(&text, (u_char[OA_TEXT_TAG]) { 0 }), "and has no tag");

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        memset(buf, 'a' + (int) i, sizes[i]);
        seq = shared->seq;

        oa_text_put(&text, buf, sizes[i], tag);

        ok(oa_text_get(&text, out, &len) == NGX_OK && len == sizes[i]
           && memcmp(buf, out, len) == 0, "%zu bytes", sizes[i]);
        ok(shared->seq == seq + 1, "the number goes on");
    }

    ok(oa_text_is(&text, tag) && !oa_text_is(&text, other), "its tag");

    oa_text_put(&text, NULL, 0, tag);

    ok(oa_text_get(&text, out, &len) == NGX_OK && len == 0, "no text again");
    ok(!oa_text_is(&text, tag), "and no tag");
}


/* Whatever a writer did before it died, but for the last store. */

static void
test_death(void)
{
    oa_text_bank_t  *bank;

    put(1000);
    put(1001);

    bank = oa_text_next(&text);

    memset(bank->pages[0], 0xff, OA_TEXT_PAGE);
    ok(get() == 1001, "dead after some bytes");

    bank->len = 17;
    ok(get() == 1001, "dead after the length");

    memset(bank->tag, 0xff, OA_TEXT_TAG);
    ok(get() == 1001, "dead after the tag");

    put(1002);
    ok(get() == 1002, "the next writer");
}


static void
reader(void)
{
    size_t    len;
    uint64_t  n, last;

    last = 0;

    while (!__atomic_load_n(&shared->stop, __ATOMIC_RELAXED)) {

        if (oa_text_get(&text, out, &len) != NGX_OK) {
            __atomic_fetch_add(&shared->busy, 1, __ATOMIC_RELAXED);
            continue;
        }

        n = 0;

        if (len >= 8) {
            memcpy(&n, out, sizeof(n));
        }

        if (n < last || len != make(n) || memcmp(buf, out, len) != 0) {
            __atomic_fetch_add(&shared->wrong, 1, __ATOMIC_RELAXED);
        }

        last = n;
        __atomic_fetch_add(&shared->reads, 1, __ATOMIC_RELAXED);
    }
}


static pid_t
begin(void (*run)(void))
{
    pid_t  pid;

    pid = fork();

    if (pid == 0) {
        run();
        _exit(0);
    }

    return pid;
}


static void
writer(void)
{
    uint64_t  n;

    /* the text in force, or the one before it when that one was begun */

    for (n = get() + 1; ; n++) {
        put(n);

        if (n % 16 == 0) {
            usleep(50);
        }
    }
}


static void
test_torture(void)
{
    int              i, status;
    pid_t            readers[READERS], pid;
    uint64_t         first, n, lost;
    struct timespec  pause = { 0, 0 };

    put(1);
    first = 1;
    lost = 0;

    for (i = 0; i < READERS; i++) {
        readers[i] = begin(reader);
    }

    for (i = 0; i < DEATHS; i++) {
        pid = begin(writer);

        pause.tv_nsec = 10000000 + random() % 20000000;
        nanosleep(&pause, NULL);

        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);

        n = get();

        if (n < first) {
            lost++;
        }

        first = n;
    }

    __atomic_store_n(&shared->stop, 1, __ATOMIC_RELAXED);

    for (i = 0; i < READERS; i++) {
        waitpid(readers[i], &status, 0);

        if (status != 0) {
            shared->wrong++;
        }
    }

    printf("# %lu reads, %lu busy, of %lu texts by %d writers\n",
           (unsigned long) shared->reads, (unsigned long) shared->busy,
           (unsigned long) first, DEATHS);

    ok(first > DEATHS, "texts were written");
    ok(shared->reads > 1000, "and read");
    ok(shared->wrong == 0, "each as a whole, none after a later one");
    ok(lost == 0, "no death took anything back");
}


int
main(void)
{
    int  i, bank;

    shared = mmap(NULL, sizeof(shared_t), PROT_READ|PROT_WRITE,
                  MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    if (shared == MAP_FAILED) {
        return 1;
    }

    for (bank = 0; bank < 2; bank++) {
        for (i = 0; i < PAGES; i++) {
            shared->banks[bank].pages[i] = shared->pages[bank][i];
        }
    }

    text.seq = &shared->seq;
    text.banks = shared->banks;

    test_sizes();
    test_death();
    test_torture();

    return done_testing();
}
