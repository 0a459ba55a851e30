
/*
 * Revoked sessions and users, in shared memory: a set of UUIDs, each with the
 * time until which it holds.
 *
 * Each id has its place in one of two rows, and stays where it is.  Readers
 * take no lock: they look through the tags of both rows, and where one fits,
 * copy the entry and look whether its sequence number stayed the same.  Before
 * that they look until when anything holds at all, so that an empty set, or
 * one that has expired, costs one load.
 *
 * What is in force is changed by one store.  A writer that dies leaves an
 * entry out of force at most, which it was about to put in: its source brings
 * it again.  Nothing has to be repaired.
 *
 * Pure: bytes of memory in, verdict out; no request, no event loop.
 */


#ifndef _OA_REVOKED_H_INCLUDED_
#define _OA_REVOKED_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct oa_revoked_s  oa_revoked_t;

/* Bytes of a set in a zone with so many pages: a sixteenth of them. */
size_t oa_revoked_size(ngx_uint_t npages);

/*
 * Makes a set of zeroed memory of that size, at an address that is a multiple
 * of 64; seed is 16 bytes, random and secret.
 */
void oa_revoked_create(void *part, size_t size, const u_char *seed);

/* Does the id of a session or user stand in the set, in force at now? */
ngx_uint_t oa_revoked_has(oa_revoked_t *set, const u_char *id, time_t now);

/*
 * For the holder of the lock.  Puts an id in, until the given time; one at or
 * before now takes it out.  NGX_OK; NGX_BUSY: one still in force had to go for
 * it, that with the least time left of those in its rows.
 */
ngx_int_t oa_revoked_put(oa_revoked_t *set, const u_char *id, time_t until,
    time_t now);

/*
 * A full read, for the holder of the lock: it begins, puts in what it finds,
 * and then takes out what it did not bring, some rows at a time.  The sweep
 * begins with row 0 and returns the row to go on with, or 0 at its end.  It
 * does nothing once another read has begun: gen is what tells.
 */
uint32_t oa_revoked_begin(oa_revoked_t *set);
ngx_uint_t oa_revoked_sweep(oa_revoked_t *set, uint32_t gen, ngx_uint_t row);

/* Entries in force or expired; room for how many. */
void oa_revoked_stat(oa_revoked_t *set, ngx_uint_t *used, ngx_uint_t *size);


#endif /* _OA_REVOKED_H_INCLUDED_ */
