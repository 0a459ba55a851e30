
/*
 * Hosts and URLs: which label a host names, and where a browser may be sent
 * back to.
 *
 * Pure: bytes in, struct out; no request, no event loop, no allocation.
 */


#ifndef _OA_HOST_H_INCLUDED_
#define _OA_HOST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * The label of a host "LABEL.domain": compared without case, port (":" and
 * digits, or ":" alone) or one trailing dot.  domain is lower case, without a
 * trailing dot.  Writes the label in lower case to buf (63 bytes) and points
 * label there.  NGX_DECLINED when the host is anything else: the bare domain,
 * a deeper name, another domain, an address, or a label that is not one DNS
 * label (RFC 1123, 2.1: letters, digits, hyphen; punycode is such a label,
 * raw UTF-8 and underscores are not).
 */
ngx_int_t oa_host_label(const ngx_str_t *host, const ngx_str_t *domain,
    u_char *buf, ngx_str_t *label);

/*
 * The hash by which a label is found in the table: 64 bits, keyed by a seed;
 * any change invalidates zones in use.
 */
uint64_t oa_label_hash(const u_char *label, size_t len, uint64_t seed);

/*
 * Copies the arguments of a URL (the bytes behind "?") to dst without the
 * argument "access_token", also where its name is percent-encoded or in
 * another case; returns the end of what was written, at most args->len
 * bytes.  Order, other arguments and their bytes are kept.  dst may be
 * args->data.
 */
u_char *oa_args_without_token(u_char *dst, const ngx_str_t *args);

/*
 * Percent-encodes all but RFC 3986's unreserved characters and returns the
 * end of what was written; with dst NULL only counts.  *size is the number of
 * bytes; size may be NULL.
 */
u_char *oa_percent_encode(u_char *dst, const u_char *src, size_t len,
    size_t *size);


#endif /* _OA_HOST_H_INCLUDED_ */
