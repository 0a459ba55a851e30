/*
 * Routes: what agent_instances gains, the view that the router reads, the
 * feed that tells it of changes, and what users may do to their own routes.
 *
 * The feed.  oa.route_changes holds, for every subdomain ever seen, its last
 * change; a name that was deleted or renamed away stays as a tombstone.  Each
 * change is also sent as NOTIFY oa_routes, which is a hint only: anybody can
 * send one, so the router applies what it then reads here.
 *
 * A router that lost its connection must find what it missed.  A sequence
 * cannot tell: T1 draws version 7, T2 draws 8 and commits, the reader remembers
 * 8, T1 commits, and 7 is never seen.  Transaction ids can: a snapshot's xmin
 * is the lowest id still running, so all below it had ended and was visible,
 * and whatever was missed has an id at or above it.  Hence each change carries
 * its transaction's id, and a reader asks for everything since the xmin that
 * it took before its last completed read.
 */

BEGIN;

SET LOCAL client_min_messages = warning;


CREATE SCHEMA IF NOT EXISTS oa;

-- users call functions of this schema, and see nothing else of it

REVOKE ALL ON SCHEMA oa FROM PUBLIC, anon, authenticated, service_role;
GRANT USAGE ON SCHEMA oa TO authenticated, service_role;


/*
 * COLLATE "C": pages are cut by subdomain > $1, and must be cut alike whatever
 * the database's locale; it also compares by memcmp().
 */

ALTER TABLE public.agent_instances
    ADD COLUMN IF NOT EXISTS subdomain text COLLATE "C" UNIQUE,
    ADD COLUMN IF NOT EXISTS access text NOT NULL DEFAULT 'owner',
    ADD COLUMN IF NOT EXISTS updated_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN IF NOT EXISTS last_active_at timestamptz;

UPDATE public.agent_instances SET status = 'provisioning'
 WHERE status IS NULL;

ALTER TABLE public.agent_instances
    ALTER COLUMN status SET NOT NULL,

    DROP CONSTRAINT IF EXISTS agent_instances_subdomain_check,
    ADD CONSTRAINT agent_instances_subdomain_check CHECK (
        subdomain ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),

    DROP CONSTRAINT IF EXISTS agent_instances_access_check,
    ADD CONSTRAINT agent_instances_access_check CHECK (
        access IN ('owner', 'authenticated', 'public')),

    DROP CONSTRAINT IF EXISTS agent_instances_status_check,
    ADD CONSTRAINT agent_instances_status_check CHECK (
        status IN ('provisioning', 'running', 'stopped', 'suspended',
                   'error', 'disabled'));


CREATE OR REPLACE FUNCTION oa.touch_instance() RETURNS trigger
LANGUAGE plpgsql SET search_path = ''
AS $$
BEGIN
    -- a visit is no change: it is written all the time

    OLD.last_active_at := NEW.last_active_at;

    IF OLD.* IS DISTINCT FROM NEW.* THEN
        NEW.updated_at := now();
    END IF;

    RETURN NEW;
END
$$;

COMMENT ON FUNCTION oa.touch_instance() IS
    'trigger: keeps agent_instances.updated_at';

CREATE OR REPLACE TRIGGER oa_touch_instance
    BEFORE UPDATE ON public.agent_instances
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*)
    EXECUTE FUNCTION oa.touch_instance();


CREATE TABLE IF NOT EXISTS oa.route_changes (
    subdomain   text COLLATE "C" PRIMARY KEY,
    version     bigint NOT NULL,
    xid         xid8 NOT NULL,
    deleted     boolean NOT NULL,
    changed_at  timestamptz NOT NULL
);

CREATE INDEX IF NOT EXISTS route_changes_xid ON oa.route_changes (xid);

COMMENT ON TABLE oa.route_changes IS
    'the last change of every subdomain ever seen';

/*
 * floor: the highest transaction id of a pruned tombstone, and before there is
 * one that of the transaction that made the feed.  A reader whose position is
 * at or below it may have missed a deletion that can no longer be told, or
 * remembers versions of another feed, and reads oa.routes in full.
 */

CREATE TABLE IF NOT EXISTS oa.feed (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    floor  xid8 NOT NULL DEFAULT '0'
);

COMMENT ON TABLE oa.feed IS 'the state of the feed, one row';

INSERT INTO oa.feed (floor) VALUES (pg_current_xact_id())
    ON CONFLICT DO NOTHING;

/*
 * No CACHE: a session that keeps numbers in stock would use an old one after
 * another session's newer one.
 */

CREATE SEQUENCE IF NOT EXISTS oa.route_version AS bigint CACHE 1;

ALTER TABLE oa.route_changes ENABLE ROW LEVEL SECURITY;
ALTER TABLE oa.feed ENABLE ROW LEVEL SECURITY;

REVOKE ALL ON oa.route_changes, oa.feed
    FROM PUBLIC, anon, authenticated, service_role;
REVOKE ALL ON SEQUENCE oa.route_version
    FROM PUBLIC, anon, authenticated, service_role;


/*
 * nextval() stands in both branches.  The one in VALUES is drawn before the
 * row's lock is held: of two transactions that wait for the same subdomain the
 * one with the higher number may go first, and the loser would then write the
 * lower number over it.  The one in DO UPDATE is drawn under the lock, after
 * the holder before has committed, so versions of one subdomain rise in the
 * order of commits.  The router relies on it to drop late hints and answers.
 */

CREATE OR REPLACE FUNCTION oa.note_route(name text, gone boolean)
RETURNS void
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    drawn  bigint;
BEGIN
    INSERT INTO oa.route_changes AS c
                (subdomain, version, xid, deleted, changed_at)
         VALUES (name, nextval('oa.route_version'), pg_current_xact_id(),
                 gone, clock_timestamp())
    ON CONFLICT (subdomain) DO UPDATE
            SET version = nextval('oa.route_version'),
                xid = EXCLUDED.xid,
                deleted = EXCLUDED.deleted,
                changed_at = EXCLUDED.changed_at
      RETURNING c.version INTO drawn;

    -- a DNS label needs no escape
    PERFORM pg_notify('oa_routes', '{"subdomain":"' || name
                                   || '","version":' || drawn || '}');
END
$$;

COMMENT ON FUNCTION oa.note_route(text, boolean) IS
    'records a change of one subdomain and notifies of it';


/*
 * SECURITY DEFINER: whoever may write the row need not be able to write the
 * feed.
 */

CREATE OR REPLACE FUNCTION oa.instance_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    old_name  text;
    new_name  text;
    first     text;
    last      text;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM oa.note_route(c.subdomain, true)
           FROM (SELECT n.subdomain FROM oa.route_changes n
                  WHERE NOT n.deleted ORDER BY n.subdomain) c;
        RETURN NULL;
    END IF;

    IF TG_OP <> 'INSERT' THEN
        old_name := OLD.subdomain;
    END IF;

    IF TG_OP <> 'DELETE' THEN
        new_name := NEW.subdomain;
    END IF;

    /*
     * A rename locks two names, the lesser first for everybody, lest two
     * renames wait for each other here.  least() and greatest() skip NULLs.
     */

    first := least(old_name, new_name);
    last := greatest(old_name, new_name);

    IF first IS NOT NULL THEN
        PERFORM oa.note_route(first, first IS DISTINCT FROM new_name);
    END IF;

    IF last <> first THEN
        PERFORM oa.note_route(last, last IS DISTINCT FROM new_name);
    END IF;

    RETURN NULL;
END
$$;

COMMENT ON FUNCTION oa.instance_changed() IS
    'trigger: keeps oa.route_changes';

CREATE OR REPLACE TRIGGER oa_instance_inserted
    AFTER INSERT ON public.agent_instances
    FOR EACH ROW WHEN (NEW.subdomain IS NOT NULL)
    EXECUTE FUNCTION oa.instance_changed();

-- last_active_at changes all the time, and no route with it

CREATE OR REPLACE TRIGGER oa_instance_updated
    AFTER UPDATE ON public.agent_instances
    FOR EACH ROW WHEN (
        (OLD.id, OLD.subdomain, OLD.user_id, OLD.agent_id, OLD.fly_app_name,
         OLD.fly_machine_id, OLD.region, OLD.status, OLD.access)
        IS DISTINCT FROM
        (NEW.id, NEW.subdomain, NEW.user_id, NEW.agent_id, NEW.fly_app_name,
         NEW.fly_machine_id, NEW.region, NEW.status, NEW.access))
    EXECUTE FUNCTION oa.instance_changed();

CREATE OR REPLACE TRIGGER oa_instance_deleted
    AFTER DELETE ON public.agent_instances
    FOR EACH ROW WHEN (OLD.subdomain IS NOT NULL)
    EXECUTE FUNCTION oa.instance_changed();

CREATE OR REPLACE TRIGGER oa_instances_truncated
    AFTER TRUNCATE ON public.agent_instances
    FOR EACH STATEMENT
    EXECUTE FUNCTION oa.instance_changed();


/*
 * The view runs with its owner's rights, past row level security: the router
 * needs no right on the tables.
 *
 * Pages are read by subdomain > $1 ORDER BY subdomain LIMIT n, and each must
 * cost its own length only.  Hence the version is a sub-select, evaluated for
 * the rows that are returned, where a join might hash the whole table; and the
 * view is no security_barrier, which would keep ORDER BY and LIMIT from the
 * index.  What it leaves out, instances without a subdomain, is no secret from
 * the router.
 *
 * A row written while triggers were off has version 0.
 */

CREATE OR REPLACE VIEW oa.routes
WITH (security_invoker = false) AS
SELECT i.subdomain,
       i.id AS route_id,
       i.user_id,
       i.agent_id,
       i.fly_app_name AS app,
       i.fly_machine_id AS machine,
       i.region,
       i.status,
       i.access,
       coalesce((SELECT c.version
                   FROM oa.route_changes c
                  WHERE c.subdomain = i.subdomain), 0) AS version
  FROM public.agent_instances i
 WHERE i.subdomain IS NOT NULL;

COMMENT ON VIEW oa.routes IS 'what the router routes by';

REVOKE ALL ON oa.routes FROM PUBLIC, anon, authenticated, service_role;


CREATE OR REPLACE FUNCTION oa.routes_named(names text[])
RETURNS SETOF oa.routes
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    RETURN QUERY
    SELECT n.name, r.route_id, r.user_id, r.agent_id, r.app, r.machine,
           r.region, r.status, r.access, coalesce(r.version, c.version)
      FROM (SELECT DISTINCT u.name FROM unnest(names) u (name)) n
      LEFT JOIN oa.routes r ON r.subdomain = n.name
      LEFT JOIN oa.route_changes c ON c.subdomain = n.name
     WHERE r.subdomain IS NOT NULL OR c.subdomain IS NOT NULL;
END
$$;

COMMENT ON FUNCTION oa.routes_named(text[]) IS
    'the routes of these names; a tombstone has no route_id';


/*
 * PL/pgSQL, here above all: an SQL function is planned without its argument's
 * value, and would scan the table for what is mostly a handful of rows.
 *
 * Refused are positions that cannot be answered in full: at or below the
 * floor, and ahead of the database's own count (it is another cluster than the
 * position came from).  The floor is checked in the snapshot that is read, so
 * a prune in between is no gap.
 */

CREATE OR REPLACE FUNCTION oa.routes_changed(since xid8)
RETURNS SETOF oa.routes
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    IF since > pg_snapshot_xmax(pg_current_snapshot())
       OR EXISTS (SELECT FROM oa.feed f
                   WHERE f.floor > '0'::xid8 AND since <= f.floor)
    THEN
        RAISE EXCEPTION 'changes since % are not known', since
            USING ERRCODE = 'OA001', HINT = 'Read oa.routes in full.';
    END IF;

    RETURN QUERY
    SELECT c.subdomain, r.route_id, r.user_id, r.agent_id, r.app, r.machine,
           r.region, r.status, r.access, c.version
      FROM oa.route_changes c
      LEFT JOIN oa.routes r ON r.subdomain = c.subdomain
     WHERE c.xid >= since;
END
$$;

COMMENT ON FUNCTION oa.routes_changed(xid8) IS
    'every route and tombstone changed by a transaction at or after this one';


/*
 * To be asked before the read that it is the position of: its snapshot is then
 * the older one, and its xmin the lower.
 *
 * identity is another one when positions and versions of before mean nothing
 * any more: another cluster, one that was set back in time, or a feed that was
 * made anew, as a restored dump does.
 */

CREATE OR REPLACE FUNCTION oa.feed_beat(beat text)
RETURNS TABLE (xmin xid8, floor xid8, identity text)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = ''
AS $$
    SELECT pg_notify('oa_routes', '{"beat":' || to_json(beat) || '}');

    SELECT pg_snapshot_xmin(pg_current_snapshot()), f.floor,
           concat_ws('.', s.system_identifier, c.timeline_id,
                     'oa.feed'::regclass::oid)
      FROM oa.feed f, pg_control_system() s, pg_control_checkpoint() c;
$$;

COMMENT ON FUNCTION oa.feed_beat(text) IS
    'notifies of a beat; gives the feed''s position, floor and identity';


/*
 * Only tombstones of transactions below xmin: else the floor could stand above
 * the positions that are being handed out, and every catch-up be a full read
 * until a long transaction ends.
 */

CREATE OR REPLACE FUNCTION oa.prune_tombstones(
    older interval DEFAULT '7 days')
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    pruned   bigint;
    highest  xid8;
BEGIN
    WITH gone AS (
        DELETE FROM oa.route_changes c
         WHERE c.deleted
           AND c.changed_at < now() - older
           AND c.xid < pg_snapshot_xmin(pg_current_snapshot())
        RETURNING c.xid
    ), top AS (
        SELECT g.xid FROM gone g ORDER BY g.xid DESC LIMIT 1
    )
    SELECT (SELECT count(*) FROM gone), (SELECT t.xid FROM top t)
      INTO pruned, highest;

    IF pruned > 0 THEN
        UPDATE oa.feed f SET floor = greatest(f.floor, highest);
    END IF;

    RETURN pruned;
END
$$;

COMMENT ON FUNCTION oa.prune_tombstones(interval) IS
    'deletes old tombstones and raises the floor; to be run daily';


/*
 * What users do to their own routes.  None takes app, machine, status or
 * owner: those come from the backend and from the token.  Where PostgREST
 * serves them, schema oa must be among its exposed schemas.
 */

CREATE OR REPLACE FUNCTION oa.create_instance(agent_id uuid, subdomain text)
RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    caller   uuid := auth.uid();
    created  uuid;
BEGIN
    IF caller IS NULL THEN
        RAISE EXCEPTION 'not signed in' USING ERRCODE = '42501';
    END IF;

    IF create_instance.subdomain IS NULL THEN
        RAISE EXCEPTION 'subdomain is missing' USING ERRCODE = '22004';
    END IF;

    /*
     * A purchase outlives the agent's withdrawal from the market, not its
     * suspension.
     */

    PERFORM FROM public.agents a
      WHERE a.id = create_instance.agent_id
        AND (a.status = 'published'
             AND coalesce(a.price_monthly, 0) = 0
             AND coalesce(a.price_onetime, 0) = 0
             OR a.status IN ('published', 'draft')
             AND EXISTS (SELECT FROM public.purchases p
                          WHERE p.buyer_id = caller
                            AND p.agent_id = a.id
                            AND p.status = 'active'));
    IF NOT FOUND THEN
        RAISE EXCEPTION 'agent is not available' USING ERRCODE = '42501';
    END IF;

    INSERT INTO public.agent_instances (user_id, agent_id, subdomain)
         VALUES (caller, create_instance.agent_id, create_instance.subdomain)
      RETURNING id INTO created;

    RETURN created;
END
$$;

COMMENT ON FUNCTION oa.create_instance(uuid, text) IS
    'an instance, yet to be provisioned, of a bought or free agent';


CREATE OR REPLACE FUNCTION oa.rename_route(instance_id uuid, subdomain text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    IF rename_route.subdomain IS NULL THEN
        RAISE EXCEPTION 'subdomain is missing' USING ERRCODE = '22004';
    END IF;

    UPDATE public.agent_instances i
       SET subdomain = rename_route.subdomain
     WHERE i.id = instance_id AND i.user_id = auth.uid();
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such instance' USING ERRCODE = 'P0002';
    END IF;
END
$$;

COMMENT ON FUNCTION oa.rename_route(uuid, text) IS
    'gives one''s own instance another subdomain';


CREATE OR REPLACE FUNCTION oa.set_route_access(instance_id uuid, access text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    UPDATE public.agent_instances i
       SET access = set_route_access.access
     WHERE i.id = instance_id AND i.user_id = auth.uid();
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such instance' USING ERRCODE = 'P0002';
    END IF;
END
$$;

COMMENT ON FUNCTION oa.set_route_access(uuid, text) IS
    'who may pass to one''s own instance: owner, authenticated or public';


-- the row stays: without it nobody would know of the machine to destroy

CREATE OR REPLACE FUNCTION oa.delete_route(instance_id uuid)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    UPDATE public.agent_instances i
       SET subdomain = NULL
     WHERE i.id = instance_id AND i.user_id = auth.uid();
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such instance' USING ERRCODE = 'P0002';
    END IF;
END
$$;

COMMENT ON FUNCTION oa.delete_route(uuid) IS
    'takes the subdomain from one''s own instance';


-- functions are everybody's by default

REVOKE ALL ON FUNCTION
    oa.touch_instance(), oa.note_route(text, boolean), oa.instance_changed(),
    oa.routes_named(text[]), oa.routes_changed(xid8), oa.feed_beat(text),
    oa.prune_tombstones(interval), oa.create_instance(uuid, text),
    oa.rename_route(uuid, text), oa.set_route_access(uuid, text),
    oa.delete_route(uuid)
    FROM PUBLIC, anon, authenticated, service_role;

GRANT EXECUTE ON FUNCTION
    oa.create_instance(uuid, text), oa.rename_route(uuid, text),
    oa.set_route_access(uuid, text), oa.delete_route(uuid)
    TO authenticated;

GRANT EXECUTE ON FUNCTION oa.prune_tombstones(interval) TO service_role;


-- rows from before this file, or written while its triggers were off

DO $$
BEGIN
    PERFORM oa.note_route(w.subdomain, w.gone)
       FROM (SELECT coalesce(i.subdomain, c.subdomain) AS subdomain,
                    i.subdomain IS NULL AS gone
               FROM (SELECT a.subdomain FROM public.agent_instances a
                      WHERE a.subdomain IS NOT NULL) i
               FULL JOIN oa.route_changes c ON c.subdomain = i.subdomain
              WHERE coalesce(c.deleted, true) <> (i.subdomain IS NULL)
              ORDER BY 1) w;
END
$$;

COMMIT;
