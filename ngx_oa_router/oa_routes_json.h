
/*
 * A routes file, or a snapshot: {"routes":[{...},{...}]}
 *
 * Read as it streams by, one row at a time, so that a million rows take no
 * more memory than one.  The keys of a row are oa_route_columns; "version" is
 * an integer, all others are strings; null is as good as absent, other keys
 * are passed over.  Other members of the document are passed over too.
 *
 * Pure: bytes in, struct out; no request, no event loop.  jansson allocates.
 */


#ifndef _OA_ROUTES_JSON_H_INCLUDED_
#define _OA_ROUTES_JSON_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "oa_route.h"


/* A row, or another member's name or value, may have as many bytes. */
#define OA_ROUTES_JSON_VALUE_MAX  16384

/*
 * Called for each row; route and what it points to live until it returns.
 * Anything but NGX_OK ends the reading; it may set the reader's error.
 */
typedef ngx_int_t (*oa_routes_json_row_pt)(void *data,
    const oa_route_t *route);

typedef struct {
    ngx_uint_t           line;         /* 1-based: of the row that row() has,
                                          or of the error */
    const char          *error;        /* static text, no values in it */

    ngx_uint_t           state;        /* private */
    unsigned             seen:1;
} oa_routes_json_t;

void oa_routes_json_init(oa_routes_json_t *reader);

/*
 * Reads on at buf; last says that nothing follows it.  NGX_OK: the document
 * is complete, which is only known at the last.  NGX_AGAIN: more is needed;
 * the next call begins with the bytes from *used on, so a buffer must hold
 * OA_ROUTES_JSON_VALUE_MAX bytes at least.  NGX_ERROR: see line and error;
 * rows before it were handed out.  What comes out does not depend on how the
 * bytes are cut.
 */
ngx_int_t oa_routes_json_feed(oa_routes_json_t *reader, const u_char *buf,
    size_t len, unsigned last, size_t *used, oa_routes_json_row_pt row,
    void *data);


/*
 * Writes a row, without a comma or a line's end, that reads back as route;
 * what is empty is left out.  Returns the end of what was written, at most
 * OA_ROUTES_JSON_ROW_MAX bytes.
 */

#define OA_ROUTES_JSON_ROW_MAX                                                \
    (sizeof("{\"subdomain\":\"\",\"route_id\":\"\",\"user_id\":\"\","         \
            "\"agent_id\":\"\",\"app\":\"\",\"machine\":\"\",\"region\":\"\","\
            "\"status\":\"provisioning\",\"access\":\"authenticated\","       \
            "\"version\":}") - 1 + OA_ROUTE_PACKED_MAX + 20)

u_char *oa_routes_json_row(u_char *p, const oa_route_t *route);


#endif /* _OA_ROUTES_JSON_H_INCLUDED_ */
