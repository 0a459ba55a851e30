
/*
 * Feeds: positions and hints.
 */


#include "oa_feed.h"


static ngx_int_t oa_feed_xid(const ngx_str_t *text, uint64_t *xid);


ngx_int_t
oa_feed_beat(oa_feed_beat_t *beat, const ngx_str_t *position,
    const ngx_str_t *floor, const ngx_str_t *identity)
{
    if (oa_feed_xid(position, &beat->position) != NGX_OK
        || oa_feed_xid(floor, &beat->floor) != NGX_OK
        || identity->len > OA_FEED_IDENTITY)
    {
        return NGX_ERROR;
    }

    ngx_memzero(beat->identity, sizeof(beat->identity));
    ngx_memcpy(beat->identity, identity->data, identity->len);

    return NGX_OK;
}


static ngx_int_t
oa_feed_xid(const ngx_str_t *text, uint64_t *xid)
{
    off_t  n;

    /* 64 bits, but no database gets to the upper half */

    n = ngx_atoof(text->data, text->len);

    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    *xid = n;

    return NGX_OK;
}


ngx_uint_t
oa_feed_is_gap(const oa_feed_mark_t *mark, const oa_feed_beat_t *beat)
{
    return mark->position == 0
           || mark->position <= beat->floor
           || mark->position > beat->position
           || ngx_memcmp(mark->identity, beat->identity,
                         sizeof(mark->identity))
              != 0;
}


ngx_int_t
oa_feed_hint(oa_feed_hints_t *hints, const ngx_str_t *name)
{
    u_char           c;
    ngx_uint_t       i;
    oa_feed_name_t  *hint;

    if (name->len == 0 || name->len > OA_FEED_NAME) {
        return NGX_ERROR;
    }

    for (i = 0; i < name->len; i++) {
        c = name->data[i] | 0x20;

        if ((c < 'a' || c > 'z')
            && (name->data[i] < '0' || name->data[i] > '9')
            && name->data[i] != '-'
            && name->data[i] != '_')
        {
            return NGX_ERROR;
        }
    }

    for (i = 0; i < hints->n; i++) {
        hint = &hints->name[i];

        if (hint->len == name->len
            && ngx_memcmp(hint->data, name->data, name->len) == 0)
        {
            return NGX_OK;
        }
    }

    if (hints->n == OA_FEED_HINTS) {
        hints->overflow = 1;
        return NGX_OK;
    }

    hint = &hints->name[hints->n++];
    hint->len = name->len;
    ngx_memcpy(hint->data, name->data, name->len);

    return NGX_OK;
}


void
oa_feed_hints_array(oa_feed_hints_t *hints, u_char *array)
{
    u_char      *p;
    ngx_uint_t   i;

    p = array;
    *p++ = '{';

    for (i = 0; i < hints->n; i++) {

        if (i) {
            *p++ = ',';
        }

        /* quoted: somebody may be named "null" */

        *p++ = '"';
        p = ngx_cpymem(p, hints->name[i].data, hints->name[i].len);
        *p++ = '"';
    }

    *p++ = '}';
    *p = '\0';

    hints->n = 0;
    hints->overflow = 0;
}
