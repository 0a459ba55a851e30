
/*
 * Revoked sessions and users, in shared memory: a set of UUIDs, each with the
 * time until which it holds.
 *
 * Readers take no lock.  A writer first takes an entry out of force, then
 * writes the id, then the time that puts it in force; a reader that finds an
 * id looks at the time once more.  A writer that dies leaves an entry out of
 * force at most, and its source brings it again.
 *
 * Pure: bytes of memory in, verdict out; no request, no event loop.
 */


#ifndef _OA_REVOKED_H_INCLUDED_
#define _OA_REVOKED_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct oa_revoked_s  oa_revoked_t;

/* Bytes of a set in a zone with so many pages. */
size_t oa_revoked_size(ngx_uint_t npages);
void oa_revoked_create(void *part, size_t size, uint64_t seed);

/* Does the id of a session or user stand in the set, in force at now? */
ngx_uint_t oa_revoked_has(oa_revoked_t *set, const u_char *id, time_t now);

/*
 * For the holder of the lock.  Puts an id in, until the given time; one at or
 * before now takes it out.  NGX_OK; NGX_BUSY: one still in force had to go for
 * it, that with the least time left.
 */
ngx_int_t oa_revoked_put(oa_revoked_t *set, const u_char *id, time_t until,
    time_t now);

/* Takes all out that a full read, which began with a new gen, did not bring. */
void oa_revoked_begin(oa_revoked_t *set);
void oa_revoked_sweep(oa_revoked_t *set);

/* Entries in force or expired; room for how many. */
void oa_revoked_stat(oa_revoked_t *set, ngx_uint_t *used, ngx_uint_t *size);


#endif /* _OA_REVOKED_H_INCLUDED_ */
