
/* What the fuzzers share.  Each is a program for clang -fsanitize=fuzzer. */


#ifndef _OA_FUZZ_H_INCLUDED_
#define _OA_FUZZ_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <stdio.h>
#include <stdlib.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


#define must(cond)                                                            \
    if (!(cond)) {                                                            \
        fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond);    \
        abort();                                                              \
    }


/* Memory of exactly that size, so that a sanitizer sees every byte beyond. */

static __attribute__((unused)) u_char *
fuzz_alloc(size_t size)
{
    u_char  *p;

    p = malloc(size ? size : 1);
    must(p != NULL);

    return p;
}


static __attribute__((unused)) u_char *
fuzz_copy(const void *data, size_t size)
{
    u_char  *p;

    p = fuzz_alloc(size);

    if (size) {
        ngx_memcpy(p, data, size);
    }

    return p;
}


static __attribute__((unused)) ngx_int_t
fuzz_same(const ngx_str_t *a, const ngx_str_t *b)
{
    return a->len == b->len
           && (a->len == 0 || ngx_memcmp(a->data, b->data, a->len) == 0);
}


#endif /* _OA_FUZZ_H_INCLUDED_ */
