
/* What a handler answers: names that can stand in a replay, or none. */


#include "fuzz.h"
#include "oa_handler.h"
#include "oa_label.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char               *p;
    ngx_str_t             answer;
    ngx_uint_t            format;
    oa_handler_answer_t   a;

    static const ngx_uint_t  statuses[] = { 200, 202, 404, 429, 500 };

    if (size == 0) {
        return 0;
    }

    p = fuzz_copy(data + 1, size - 1);
    answer.data = p;
    answer.len = size - 1;

    for (format = 0; format < OA_HANDLERS; format++) {
        oa_handler_answer(&a, (oa_handler_format_e) format,
                          statuses[data[0] % 5], &answer);

        must(a.text.len <= OA_REASON_MAX);
        must((a.code[0] == '\0') == (a.verdict <= OA_HANDLER_ACCEPTED));

        if (a.verdict == OA_HANDLER_READY) {
            must(format == OA_HANDLER_PLAIN && statuses[data[0] % 5] == 200);
            must(oa_is_label(a.app.data, a.app.len));
            must(oa_is_label(a.machine.data, a.machine.len));
            must(a.region.len == 0 || oa_fly_is_region(&a.region));
        }
    }

    free(p);

    return 0;
}
