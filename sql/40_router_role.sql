/*
 * The router's role.  It is made without a password: set one, and put it into
 * DATABASE_URL (LISTEN needs a direct or session connection, not a
 * transaction pooler).
 *
 * What it has beyond this file is what PUBLIC has: it may connect, make
 * temporary tables and large objects, read the system catalogs, NOTIFY, and
 * execute functions that others left open to PUBLIC.  None of these reaches a
 * row of ours; a database shared with others may revoke CONNECT and TEMPORARY
 * from PUBLIC.
 */

BEGIN;

DO $$
BEGIN
    IF to_regrole('oa_router') IS NULL THEN
        CREATE ROLE oa_router LOGIN;
    END IF;

-- roles belong to the cluster: another database may be first
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$;

GRANT USAGE ON SCHEMA oa TO oa_router;
GRANT SELECT ON oa.routes TO oa_router;
GRANT EXECUTE ON FUNCTION
    oa.routes_named(text[]), oa.routes_changed(xid8), oa.feed_beat(text)
    TO oa_router;

COMMIT;
