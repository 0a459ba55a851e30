
/* oa_json_escape(): jansson takes what comes out, and makes it what it was. */


#include "fuzz.h"
#include <jansson.h>
#include "oa_json.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char        *dst, *end, *plain;
    size_t         len;
    json_t        *out, *in;
    ngx_str_t      s;
    json_error_t   err;

    s.len = size;
    s.data = fuzz_copy(data, size);

    len = oa_json_escape_size(&s);
    dst = fuzz_alloc(len + 2);

    dst[0] = '"';
    end = oa_json_escape(dst + 1, &s);
    must((size_t) (end - dst) == len + 1);
    *end = '"';

    out = json_loadb((char *) dst, len + 2,
                     JSON_DECODE_ANY|JSON_ALLOW_NUL, &err);
    must(out != NULL);

    /* json_stringn() refuses what is not UTF-8 */

    plain = s.data;
    in = json_stringn((char *) plain, size);

    if (in) {
        must(json_equal(in, out));
    }

    json_decref(in);
    json_decref(out);
    free(dst);
    free(s.data);

    return 0;
}
