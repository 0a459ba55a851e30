
/* oa_stream_id_parse(): what it takes has one form, and is fit for headers. */


#include "fuzz.h"
#include "oa_stream_id.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char          *p, buf[OA_STREAM_EVENT_ID_MAX];
    size_t           i;
    ngx_str_t        text, back;
    oa_stream_id_t   id;

    text.len = size;
    text.data = fuzz_copy(data, size);

    if (oa_stream_id_parse(&text, &id) == NGX_OK) {
        must(id.seq <= OA_STREAM_SEQ_MAX);
        must(size <= OA_STREAM_EVENT_ID_MAX);

        for (i = 0; i < size; i++) {
            must((data[i] >= 'a' && data[i] <= 'z')
                 || (data[i] >= '0' && data[i] <= '9') || data[i] == '-');
        }

        p = oa_stream_id(buf, &id);
        back.data = buf;
        back.len = p - buf;
        must(fuzz_same(&text, &back));
    }

    free(text.data);

    return 0;
}
