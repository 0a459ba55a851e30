
/*
 * Hosts: which label a host names.
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


#endif /* _OA_HOST_H_INCLUDED_ */
