
/* Media types of a Content-Type. */


#include "oa_media_type.h"
#include "tap.h"


static const struct {
    const char  *header;
    int          is;
} types[] = {
    { "application/json", 1 },
    { "Application/JSON", 1 },
    { "application/json;charset=utf-8", 1 },
    { "application/json; charset=utf-8", 1 },
    { "application/json \t; x=y", 1 },
    { "application/json ", 1 },
    { "application/json;", 1 },
    { "", 0 },
    { "application/jso", 0 },
    { "application/jsonx", 0 },
    { "application/json/x", 0 },
    { "application/json, text/html", 0 },
    { "application/json x", 0 },
    { " application/json", 0 },
    { "text/html", 0 },
    { "text/html; application/json", 0 }
};


int
main(void)
{
    size_t     i;
    ngx_str_t  header, type = ngx_string("application/json");

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        header.data = (u_char *) types[i].header;
        header.len = strlen(types[i].header);

        ok((int) oa_media_type_is(&header, &type) == types[i].is, "\"%s\"",
           types[i].header);
    }

    return done_testing();
}
