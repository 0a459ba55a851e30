/*
 * Revocations: what makes a good token bad before its time.
 *
 * A token is good until it expires, whatever becomes of its session and its
 * user meanwhile: signing out deletes a row of auth.sessions, a ban sets
 * auth.users.banned_until, and nobody tells those who verify tokens.  Here
 * triggers do: they write down which id is revoked and until when.
 *
 * oa.revocations is a feed as oa.route_changes is (30_routes.sql): each row
 * carries the id of the transaction that wrote it last, what is lifted stays
 * as a row whose time has passed, and NOTIFY oa_revocations, with an id or
 * with '*' for many, is a hint that anybody can send and that moves the router
 * to read, no more.
 */

BEGIN;

SET LOCAL client_min_messages = warning;


/*
 * kind: a session that ended; a user that an operator revoked; and ban, which
 * is what auth.users says of a user: banned, or deleted.  Of a user both may
 * be there, and the later time counts.
 */

CREATE TABLE IF NOT EXISTS oa.revocations (
    id          uuid NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('session', 'user', 'ban')),
    until       timestamptz NOT NULL,
    xid         xid8 NOT NULL,
    changed_at  timestamptz NOT NULL,
    PRIMARY KEY (id, kind)
);

CREATE INDEX IF NOT EXISTS revocations_xid ON oa.revocations (xid);

COMMENT ON TABLE oa.revocations IS
    'sessions and users whose tokens are refused, and until when';

/*
 * floor: as in oa.feed.
 *
 * token_life: no token is good for longer after it was issued.  7 days is the
 * most that Supabase can be told; a project that keeps to less may say so
 * here, and remembers fewer ended sessions.
 */

CREATE TABLE IF NOT EXISTS oa.revocation_feed (
    one         boolean PRIMARY KEY DEFAULT true CHECK (one),
    floor       xid8 NOT NULL DEFAULT '0',
    token_life  interval NOT NULL DEFAULT '7 days'
                CHECK (token_life > '0')
);

COMMENT ON TABLE oa.revocation_feed IS 'the state of the feed, one row';

INSERT INTO oa.revocation_feed (floor) VALUES (pg_current_xact_id())
    ON CONFLICT DO NOTHING;

ALTER TABLE oa.revocations ENABLE ROW LEVEL SECURITY;
ALTER TABLE oa.revocation_feed ENABLE ROW LEVEL SECURITY;

REVOKE ALL ON oa.revocations, oa.revocation_feed
    FROM PUBLIC, anon, authenticated, service_role;


-- verifiers allow for clocks that differ, by 2 minutes at most; and so do we

CREATE OR REPLACE FUNCTION oa.token_life() RETURNS interval
LANGUAGE sql STABLE SET search_path = ''
AS $$
    SELECT f.token_life + interval '5 minutes' FROM oa.revocation_feed f
$$;

COMMENT ON FUNCTION oa.token_life() IS
    'for how long a token may still be taken after it was issued';


-- many are one hint: the router then reads what has changed

CREATE OR REPLACE FUNCTION oa.note_revocations(
    kind text, ids uuid[], untils timestamptz[])
RETURNS void
LANGUAGE plpgsql SET search_path = ''
AS $$
BEGIN
    INSERT INTO oa.revocations AS r (id, kind, until, xid, changed_at)
         SELECT n.id, note_revocations.kind, n.until, pg_current_xact_id(),
                clock_timestamp()
           FROM unnest(ids, untils) n (id, until)
          ORDER BY n.id
    ON CONFLICT ON CONSTRAINT revocations_pkey DO UPDATE
            SET until = EXCLUDED.until,
                xid = EXCLUDED.xid,
                changed_at = EXCLUDED.changed_at;

    IF cardinality(ids) > 16 THEN
        PERFORM pg_notify('oa_revocations', '*');
    ELSE
        PERFORM pg_notify('oa_revocations', n.id::text)
           FROM unnest(ids) n (id);
    END IF;
END
$$;

COMMENT ON FUNCTION oa.note_revocations(text, uuid[], timestamptz[]) IS
    'records revocations and notifies of them';


/*
 * Sessions end one by one, and by the thousand: when somebody signs all out,
 * and when Supabase clears away what has long expired.  So the trigger sees a
 * statement, not a row, and leaves out what needs no mention:
 *
 * - sessions whose last token has expired.  Supabase keeps the time of the
 *   last refresh, and refreshes none after not_after.  One without these times
 *   may have got a token just now.
 * - sessions that go with their user, who is revoked as a whole: by then the
 *   user's row is gone.
 *
 * jsonb: older versions of Supabase have fewer columns.
 */

CREATE OR REPLACE FUNCTION oa.sessions_ended() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    life    interval := oa.token_life();
    ids     uuid[];
    untils  timestamptz[];
BEGIN
    SELECT array_agg(s.id), array_agg(s.until) INTO ids, untils
      FROM (SELECT o.id, o.user_id,
                   least(coalesce(greatest(
                             (o.old ->> 'refreshed_at')::timestamp
                                 AT TIME ZONE 'UTC',
                             (o.old ->> 'updated_at')::timestamptz), now()),
                         (o.old ->> 'not_after')::timestamptz,
                         now()) + life AS until
              FROM (SELECT e.id, e.user_id, to_jsonb(e) AS old
                      FROM ended e) o) s
     WHERE s.until > now()
       AND EXISTS (SELECT FROM auth.users u WHERE u.id = s.user_id);

    IF ids IS NOT NULL THEN
        PERFORM oa.note_revocations('session', ids, untils);
    END IF;

    RETURN NULL;
END
$$;

COMMENT ON FUNCTION oa.sessions_ended() IS
    'trigger: revokes sessions that were deleted';

CREATE OR REPLACE TRIGGER oa_sessions_ended
    AFTER DELETE ON auth.sessions
    REFERENCING OLD TABLE AS ended
    FOR EACH STATEMENT
    EXECUTE FUNCTION oa.sessions_ended();


-- what auth.users says of one of its rows; NULL: nothing against it

CREATE OR REPLACE FUNCTION oa.banned_until(
    banned timestamptz, deleted timestamptz)
RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = ''
AS $$
    SELECT greatest(banned, deleted + oa.token_life())
$$;

COMMENT ON FUNCTION oa.banned_until(timestamptz, timestamptz) IS
    'until when a user is refused who was banned, or deleted';


CREATE OR REPLACE FUNCTION oa.user_banned() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    PERFORM oa.note_revocations('ban', ARRAY[NEW.id], ARRAY[coalesce(
        oa.banned_until(NEW.banned_until,
                        (to_jsonb(NEW) ->> 'deleted_at')::timestamptz),
        now())]);
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION oa.user_banned() IS
    'trigger: revokes users who were banned, and those no longer banned not';

CREATE OR REPLACE FUNCTION oa.users_deleted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    ids  uuid[] := (SELECT array_agg(g.id) FROM gone g);
BEGIN
    IF ids IS NOT NULL THEN
        PERFORM oa.note_revocations('ban', ids,
            array_fill(now() + oa.token_life(), ARRAY[cardinality(ids)]));
    END IF;

    RETURN NULL;
END
$$;

COMMENT ON FUNCTION oa.users_deleted() IS
    'trigger: revokes users who were deleted';

CREATE OR REPLACE TRIGGER oa_user_inserted
    AFTER INSERT ON auth.users
    FOR EACH ROW WHEN (NEW.banned_until IS NOT NULL)
    EXECUTE FUNCTION oa.user_banned();

-- a trigger for rows, with WHEN: every sign-in updates its user

CREATE OR REPLACE TRIGGER oa_user_updated
    AFTER UPDATE ON auth.users
    FOR EACH ROW WHEN (OLD.banned_until IS DISTINCT FROM NEW.banned_until)
    EXECUTE FUNCTION oa.user_banned();

CREATE OR REPLACE TRIGGER oa_users_deleted
    AFTER DELETE ON auth.users
    REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT
    EXECUTE FUNCTION oa.users_deleted();


-- before it: afterwards nobody could tell who was there

CREATE OR REPLACE FUNCTION oa.auth_truncated() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    ids  uuid[];
BEGIN
    IF TG_TABLE_NAME = 'users' THEN
        ids := (SELECT array_agg(u.id) FROM auth.users u);
    ELSE
        ids := (SELECT array_agg(s.id) FROM auth.sessions s);
    END IF;

    IF ids IS NOT NULL THEN
        PERFORM oa.note_revocations(TG_ARGV[0], ids,
            array_fill(now() + oa.token_life(), ARRAY[cardinality(ids)]));
    END IF;

    RETURN NULL;
END
$$;

COMMENT ON FUNCTION oa.auth_truncated() IS
    'trigger: revokes all sessions, or all users';

CREATE OR REPLACE TRIGGER oa_sessions_truncated
    BEFORE TRUNCATE ON auth.sessions
    FOR EACH STATEMENT
    EXECUTE FUNCTION oa.auth_truncated('session');

CREATE OR REPLACE TRIGGER oa_users_truncated
    BEFORE TRUNCATE ON auth.users
    FOR EACH STATEMENT
    EXECUTE FUNCTION oa.auth_truncated('ban');


/*
 * By hand.  What an operator revokes, only an operator lifts: the end of a ban
 * does not, and unrevoke_user() ends no ban.
 */

CREATE OR REPLACE FUNCTION oa.revoke_session(session_id uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = ''
AS $$
    SELECT oa.note_revocations('session', ARRAY[session_id],
                               ARRAY[now() + oa.token_life()])
     WHERE session_id IS NOT NULL
$$;

COMMENT ON FUNCTION oa.revoke_session(uuid) IS
    'refuses the tokens of one session';


CREATE OR REPLACE FUNCTION oa.revoke_user(
    user_id uuid, until timestamptz DEFAULT NULL)
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = ''
AS $$
    SELECT oa.note_revocations('user', ARRAY[user_id],
                               ARRAY[coalesce(until, now() + oa.token_life())])
     WHERE user_id IS NOT NULL
$$;

COMMENT ON FUNCTION oa.revoke_user(uuid, timestamptz) IS
    'refuses the tokens of a user, those issued meanwhile too; without a time '
    'for as long as one of now may live';


CREATE OR REPLACE FUNCTION oa.unrevoke_session(session_id uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = ''
AS $$
    SELECT oa.note_revocations('session', ARRAY[r.id], ARRAY[now()])
      FROM oa.revocations r
     WHERE r.id = session_id AND r.kind = 'session' AND r.until > now()
$$;

COMMENT ON FUNCTION oa.unrevoke_session(uuid) IS
    'takes the tokens of a session again';


CREATE OR REPLACE FUNCTION oa.unrevoke_user(user_id uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = ''
AS $$
    SELECT oa.note_revocations('user', ARRAY[r.id], ARRAY[now()])
      FROM oa.revocations r
     WHERE r.id = user_id AND r.kind = 'user' AND r.until > now()
$$;

COMMENT ON FUNCTION oa.unrevoke_user(uuid) IS
    'ends what revoke_user() began; a ban is ended in auth.users';


/*
 * What the router reads: an id and for how many seconds it is still revoked, 0
 * when it no longer is.  Seconds, not a time: clocks differ.  Of an id that is
 * there twice both rows say the same, the longer.
 */

CREATE OR REPLACE VIEW oa.revoked
WITH (security_invoker = false) AS
SELECT r.id,
       (SELECT ceil(greatest(extract(epoch FROM
                   least(max(m.until), now() + interval '100 years') - now()),
                   0))::bigint
          FROM oa.revocations m
         WHERE m.id = r.id) AS seconds,
       r.until,
       r.xid
  FROM oa.revocations r;

COMMENT ON VIEW oa.revoked IS 'what the router refuses tokens by';

REVOKE ALL ON oa.revoked FROM PUBLIC, anon, authenticated, service_role;


CREATE OR REPLACE FUNCTION oa.revocations_of(ids uuid[])
RETURNS TABLE (id uuid, seconds bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET jit = off
AS $$
BEGIN
    RETURN QUERY
    SELECT r.id, r.seconds FROM oa.revoked r WHERE r.id = ANY (ids);
END
$$;

COMMENT ON FUNCTION oa.revocations_of(uuid[]) IS
    'what is known of these ids; nothing of an id that never was revoked';


-- as oa.routes_changed()

CREATE OR REPLACE FUNCTION oa.revocations_since(since xid8)
RETURNS TABLE (id uuid, seconds bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET jit = off
AS $$
BEGIN
    IF since > pg_snapshot_xmax(pg_current_snapshot())
       OR EXISTS (SELECT FROM oa.revocation_feed f
                   WHERE f.floor > '0'::xid8 AND since <= f.floor)
    THEN
        RAISE EXCEPTION 'changes since % are not known', since
            USING ERRCODE = 'OA001',
                  HINT = 'Read oa.revocations_in_force() to its end.';
    END IF;

    RETURN QUERY
    SELECT r.id, r.seconds FROM oa.revoked r WHERE r.xid >= since;
END
$$;

COMMENT ON FUNCTION oa.revocations_since(xid8) IS
    'every revocation changed by a transaction at or after this one';


-- text, so that the first page can be asked for with ''

CREATE OR REPLACE FUNCTION oa.revocations_in_force(after text)
RETURNS TABLE (id uuid, seconds bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET jit = off
AS $$
DECLARE
    last  uuid := coalesce(nullif(after, ''),
                           '00000000-0000-0000-0000-000000000000');
BEGIN
    RETURN QUERY
    SELECT r.id, r.seconds
      FROM oa.revoked r
     WHERE r.id > last AND r.until > now()
     ORDER BY r.id
     LIMIT 1000;
END
$$;

COMMENT ON FUNCTION oa.revocations_in_force(text) IS
    'the next thousand, by id, behind the given one';


-- as oa.feed_beat()

CREATE OR REPLACE FUNCTION oa.revocations_beat(beat text)
RETURNS TABLE (xmin xid8, floor xid8, identity text)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = ''
AS $$
    SELECT pg_notify('oa_revocations', '{"beat":' || to_json(beat) || '}');

    SELECT pg_snapshot_xmin(pg_current_snapshot()), f.floor,
           concat_ws('.', s.system_identifier, c.timeline_id,
                     'oa.revocation_feed'::regclass::oid)
      FROM oa.revocation_feed f, pg_control_system() s,
           pg_control_checkpoint() c;
$$;

COMMENT ON FUNCTION oa.revocations_beat(text) IS
    'notifies of a beat; gives the feed''s position, floor and identity';


/*
 * Rows whose time has passed.  One that was lifted may be in force elsewhere
 * until a reader has seen it: hence the floor, as in oa.prune_tombstones().
 */

CREATE OR REPLACE FUNCTION oa.prune_revocations(
    older interval DEFAULT '1 day')
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    pruned   bigint;
    highest  xid8;
BEGIN
    WITH gone AS (
        DELETE FROM oa.revocations r
         WHERE r.until <= now()
           AND r.changed_at < now() - older
           AND r.xid < pg_snapshot_xmin(pg_current_snapshot())
        RETURNING r.xid
    ), top AS (
        SELECT g.xid FROM gone g ORDER BY g.xid DESC LIMIT 1
    )
    SELECT (SELECT count(*) FROM gone), (SELECT t.xid FROM top t)
      INTO pruned, highest;

    IF pruned > 0 THEN
        UPDATE oa.revocation_feed f SET floor = greatest(f.floor, highest);
    END IF;

    RETURN pruned;
END
$$;

COMMENT ON FUNCTION oa.prune_revocations(interval) IS
    'deletes revocations whose time has passed; to be run daily';


-- functions are everybody's by default

REVOKE ALL ON FUNCTION
    oa.token_life(), oa.note_revocations(text, uuid[], timestamptz[]),
    oa.sessions_ended(), oa.banned_until(timestamptz, timestamptz),
    oa.user_banned(), oa.users_deleted(), oa.auth_truncated(),
    oa.revoke_session(uuid), oa.revoke_user(uuid, timestamptz),
    oa.unrevoke_session(uuid), oa.unrevoke_user(uuid),
    oa.revocations_of(uuid[]), oa.revocations_since(xid8),
    oa.revocations_in_force(text), oa.revocations_beat(text),
    oa.prune_revocations(interval)
    FROM PUBLIC, anon, authenticated, service_role;

GRANT EXECUTE ON FUNCTION
    oa.revoke_session(uuid), oa.revoke_user(uuid, timestamptz),
    oa.unrevoke_session(uuid), oa.unrevoke_user(uuid),
    oa.prune_revocations(interval)
    TO service_role;

GRANT EXECUTE ON FUNCTION
    oa.revocations_of(uuid[]), oa.revocations_since(xid8),
    oa.revocations_in_force(text), oa.revocations_beat(text)
    TO oa_router;


/*
 * The column of soft deletion is younger than the others.  Then, with it or
 * without: bans from before this file, begun or ended while its triggers were
 * off.
 */

DO $do$
DECLARE
    deleted  text := 'NULL::timestamptz';
    ids      uuid[];
    untils   timestamptz[];
BEGIN
    /*
     * The triggers run with the rights of who applies this file, and would
     * take users that are hidden for deleted ones.
     */

    IF row_security_active('auth.users')
       OR row_security_active('auth.sessions')
    THEN
        RAISE EXCEPTION '% does not see auth.users past row level security',
                        current_user
            USING HINT = 'Apply this file as a role with BYPASSRLS.';
    END IF;

    IF EXISTS (SELECT FROM pg_attribute a
                WHERE a.attrelid = 'auth.users'::regclass
                  AND a.attname = 'deleted_at' AND NOT a.attisdropped)
    THEN
        deleted := 'u.deleted_at';

        CREATE OR REPLACE TRIGGER oa_user_soft_deleted
            AFTER UPDATE ON auth.users
            FOR EACH ROW WHEN (OLD.deleted_at IS DISTINCT FROM NEW.deleted_at)
            EXECUTE FUNCTION oa.user_banned();
    END IF;

    EXECUTE format($$
        SELECT array_agg(w.id), array_agg(coalesce(w.until, now()))
          FROM (SELECT u.id, oa.banned_until(u.banned_until, %s) AS until
                  FROM auth.users u) w
          LEFT JOIN oa.revocations r ON r.id = w.id AND r.kind = 'ban'
         WHERE greatest(w.until, now()) <> greatest(r.until, now()) $$,
        deleted)
        INTO ids, untils;

    IF ids IS NOT NULL THEN
        PERFORM oa.note_revocations('ban', ids, untils);
    END IF;
END
$do$;

COMMIT;
