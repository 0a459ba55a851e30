-- revocations: what sessions, bans and deletions leave in the feed

\set ON_ERROR_STOP true
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off

SET client_min_messages = warning;

BEGIN;

CREATE EXTENSION IF NOT EXISTS pgtap;

SELECT plan(69);

SELECT col_is_pk('oa', 'revocations', ARRAY['id', 'kind'],
                 'one row for an id and kind');
SELECT has_index('oa', 'revocations', 'revocations_xid', ARRAY['xid'],
                 'xid is indexed');
SELECT is((SELECT token_life FROM oa.revocation_feed), interval '7 days',
          'the longest life of a token');
SELECT throws_ok($$ INSERT INTO oa.revocation_feed DEFAULT VALUES $$, '23505',
                 NULL, 'set in one place');


-- users and sessions by a digit

CREATE FUNCTION pg_temp.u(n integer) RETURNS uuid LANGUAGE sql AS $$
    SELECT ('a0000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid
$$;
CREATE FUNCTION pg_temp.s(n integer) RETURNS uuid LANGUAGE sql AS $$
    SELECT ('f0000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid
$$;

-- for how long the router is told to refuse an id; NULL: it is told nothing

CREATE FUNCTION pg_temp.still(id uuid) RETURNS interval LANGUAGE sql AS $$
    SELECT r.seconds * interval '1 second'
      FROM oa.revocations_of(ARRAY[still.id]) r LIMIT 1
$$;

CREATE FUNCTION pg_temp.touched(id uuid) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    was  boolean;
BEGIN
    SELECT bool_or(r.xid = pg_current_xact_id()) INTO was
      FROM oa.revocations r WHERE r.id = touched.id;
    UPDATE oa.revocations r SET xid = '3' WHERE r.id = touched.id;
    RETURN coalesce(was, false);
END
$$;

INSERT INTO auth.users (id) SELECT pg_temp.u(n) FROM generate_series(1, 9) n;
SELECT is_empty('SELECT FROM oa.revocations', 'new users: nothing');


-- sessions

INSERT INTO auth.sessions (id, user_id)
SELECT pg_temp.s(n), pg_temp.u(n) FROM generate_series(1, 9) n;
UPDATE auth.sessions SET not_after = now() + interval '1 day'
 WHERE id = pg_temp.s(2);
SELECT is_empty('SELECT FROM oa.revocations', 'sessions: nothing');

DELETE FROM auth.sessions WHERE id = pg_temp.s(1);
SELECT is(pg_temp.still(pg_temp.s(1)), interval '168:05',
          'deleted: for a token''s life, and what verifiers allow for');
SELECT is((SELECT kind FROM oa.revocations WHERE id = pg_temp.s(1)), 'session',
          'as a session');
SELECT ok(pg_temp.touched(pg_temp.s(1)), 'in this transaction');
SELECT is(pg_temp.still(pg_temp.s(2)), NULL, 'the others are not');
SELECT is(pg_temp.still(pg_temp.u(1)), NULL, 'nor its user');

DELETE FROM auth.sessions WHERE false;
SELECT is((SELECT count(*) FROM oa.revocations), 1::bigint,
          'none deleted: nothing');

-- when its last token was issued

CREATE FUNCTION pg_temp.after(refreshed interval, updated interval,
                              not_after interval)
RETURNS interval LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM oa.revocations;
    INSERT INTO auth.sessions (id, user_id, created_at, refreshed_at,
                               updated_at, not_after)
    VALUES (pg_temp.s(10), pg_temp.u(1), now() - interval '1 year',
            (now() - refreshed) AT TIME ZONE 'UTC', now() - updated,
            now() - not_after);
    DELETE FROM auth.sessions WHERE id = pg_temp.s(10);
    RETURN pg_temp.still(pg_temp.s(10));
END
$$;

SELECT is(pg_temp.after(NULL, NULL, NULL), interval '168:05',
          'a session of unknown use: from now on');
SELECT is(pg_temp.after('1 day', NULL, NULL), interval '144:05',
          'refreshed a day ago: from then on');
SELECT is(pg_temp.after(NULL, '1 day', NULL), interval '144:05',
          'updated a day ago: from then on');
SELECT is(pg_temp.after('2 days', '1 day', NULL), interval '144:05',
          'both: the later');
SELECT is(pg_temp.after('1 day', '2 days', NULL), interval '144:05',
          'either way');
SELECT is(pg_temp.after('1 day', '1 day', '2 days'), interval '120:05',
          'not_after: none was issued behind it');
SELECT is(pg_temp.after('1 day', '1 day', '-1 day'), interval '144:05',
          'not_after to come: no matter');
SELECT is(pg_temp.after('-1 day', NULL, NULL), interval '168:05',
          'refreshed tomorrow: from now on');
SELECT is(pg_temp.after('8 days', '8 days', NULL), NULL,
          'refreshed eight days ago: nothing');
SELECT is(pg_temp.after(NULL, NULL, '8 days'), NULL,
          'over for eight days: nothing');

UPDATE oa.revocation_feed SET token_life = '1 hour';
SELECT is(pg_temp.after(NULL, NULL, NULL), interval '01:05',
          'where tokens live for an hour: for an hour');
SELECT is(pg_temp.after('2 hours', NULL, NULL), NULL,
          'and refreshed two ago: nothing');
UPDATE oa.revocation_feed SET token_life = DEFAULT;

-- time zones

SET LOCAL timezone = 'Pacific/Kiritimati';
SELECT is(pg_temp.after('1 day', NULL, NULL), interval '144:05',
          'wherever the session is');
RESET timezone;


-- bans

DELETE FROM oa.revocations;
UPDATE auth.users SET email = 'x' WHERE id = pg_temp.u(2);
SELECT is(pg_temp.still(pg_temp.u(2)), NULL, 'an updated user: nothing');

UPDATE auth.users SET banned_until = now() + interval '1 day'
 WHERE id = pg_temp.u(2);
SELECT is(pg_temp.still(pg_temp.u(2)), interval '24:00', 'banned: until then');
SELECT ok(pg_temp.touched(pg_temp.u(2)), 'in this transaction');
UPDATE auth.users SET email = 'y', banned_until = banned_until
 WHERE id = pg_temp.u(2);
SELECT ok(NOT pg_temp.touched(pg_temp.u(2)), 'the same ban: no change');
UPDATE auth.users SET banned_until = now() + interval '1 hour'
 WHERE id = pg_temp.u(2);
SELECT is(pg_temp.still(pg_temp.u(2)), interval '01:00', 'a shorter ban');
UPDATE auth.users SET banned_until = NULL WHERE id = pg_temp.u(2);
SELECT is(pg_temp.still(pg_temp.u(2)), interval '0', 'lifted: a tombstone');
SELECT ok(pg_temp.touched(pg_temp.u(2)), 'in this transaction');
UPDATE auth.users SET banned_until = now() - interval '1 day'
 WHERE id = pg_temp.u(2);
SELECT is(pg_temp.still(pg_temp.u(2)), interval '0', 'a ban that was');
UPDATE auth.users SET banned_until = 'infinity' WHERE id = pg_temp.u(2);
SELECT cmp_ok(pg_temp.still(pg_temp.u(2)), '>=', interval '175000:00',
              'for ever');

INSERT INTO auth.users (id, banned_until)
VALUES (pg_temp.u(20), now() + interval '1 hour');
SELECT is(pg_temp.still(pg_temp.u(20)), interval '01:00', 'banned from birth');


-- deletion

UPDATE auth.users SET deleted_at = now() WHERE id = pg_temp.u(3);
SELECT is(pg_temp.still(pg_temp.u(3)), interval '168:05', 'softly deleted');
UPDATE auth.users SET banned_until = now() + interval '1 hour'
 WHERE id = pg_temp.u(3);
SELECT is(pg_temp.still(pg_temp.u(3)), interval '168:05',
          'and banned: the later');
UPDATE auth.users SET deleted_at = NULL WHERE id = pg_temp.u(3);
SELECT is(pg_temp.still(pg_temp.u(3)), interval '01:00', 'restored: the ban');

UPDATE auth.users SET banned_until = now() + interval '1 hour'
 WHERE id = pg_temp.u(4);
DELETE FROM auth.users WHERE id = pg_temp.u(4);
SELECT is(pg_temp.still(pg_temp.u(4)), interval '168:05', 'deleted');
SELECT is(pg_temp.still(pg_temp.s(4)), NULL,
          'its session goes with it: nothing more');
SELECT is_empty($$ SELECT FROM auth.sessions WHERE id = pg_temp.s(4) $$,
                'which it did');


-- by hand

SELECT oa.revoke_session(pg_temp.s(5)) \gset
SELECT is(pg_temp.still(pg_temp.s(5)), interval '168:05', 'a session');
SELECT oa.unrevoke_session(pg_temp.s(5)) \gset
SELECT is(pg_temp.still(pg_temp.s(5)), interval '0', 'and not');

SELECT oa.revoke_user(pg_temp.u(5)) \gset
SELECT is(pg_temp.still(pg_temp.u(5)), interval '168:05', 'a user');
SELECT oa.revoke_user(pg_temp.u(5), now() + interval '1 hour') \gset
SELECT is(pg_temp.still(pg_temp.u(5)), interval '01:00', 'until then');

UPDATE auth.users SET banned_until = now() + interval '2 hours'
 WHERE id = pg_temp.u(5);
SELECT is(pg_temp.still(pg_temp.u(5)), interval '02:00',
          'and banned: the later');
SELECT is((SELECT count(DISTINCT seconds)
             FROM oa.revocations_of(ARRAY[pg_temp.u(5)])), 1::bigint,
          'says every row');
SELECT oa.unrevoke_user(pg_temp.u(5)) \gset
SELECT is(pg_temp.still(pg_temp.u(5)), interval '02:00',
          'an operator ends no ban');
SELECT oa.revoke_user(pg_temp.u(5), now() + interval '1 hour') \gset
UPDATE auth.users SET banned_until = NULL WHERE id = pg_temp.u(5);
SELECT is(pg_temp.still(pg_temp.u(5)), interval '01:00',
          'nor its end what an operator revoked');
SELECT oa.unrevoke_user(pg_temp.u(5)) \gset
SELECT is(pg_temp.still(pg_temp.u(5)), interval '0', 'until both are over');

SELECT oa.unrevoke_user(pg_temp.u(6)), oa.unrevoke_session(pg_temp.s(6)),
       oa.revoke_user(NULL), oa.revoke_session(NULL) \gset
SELECT is(pg_temp.still(pg_temp.u(6)), NULL, 'nothing to lift: nothing');


-- what the router reads

DELETE FROM oa.revocations;
UPDATE auth.users SET banned_until = NULL;
DELETE FROM oa.revocations;
SELECT is_empty('SELECT FROM oa.revocations_in_force('''')',
                'nothing is in force');

SELECT oa.revoke_user(pg_temp.u(n))
  FROM generate_series(1, 1001) n \g /dev/null
SELECT oa.revoke_user(pg_temp.u(7), now()),
       oa.revoke_session(pg_temp.s(7)) \g /dev/null

SELECT is((SELECT count(*) FROM oa.revocations_in_force('')), 1000::bigint,
          'a page is a thousand');
SELECT is((SELECT max(id::text) FROM oa.revocations_in_force('')),
          pg_temp.u(1001)::text, 'by id, without what is lifted');
SELECT results_eq(
    format('SELECT id FROM oa.revocations_in_force(%L)', pg_temp.u(1001)),
    ARRAY[pg_temp.s(7)], 'the next begins behind it');
SELECT is_empty(
    format('SELECT FROM oa.revocations_in_force(%L)', pg_temp.s(7)),
    'and the last is empty');

SELECT is((SELECT count(*) FROM oa.revocations_since(pg_current_xact_id())),
          1002::bigint, 'by position: all that this transaction changed');
UPDATE oa.revocations SET xid = '3' WHERE id <> pg_temp.u(7);
SELECT results_eq(
    'SELECT id, seconds FROM oa.revocations_since(pg_current_xact_id())',
    format('VALUES (%L::uuid, 0::bigint)', pg_temp.u(7)),
    'by position: what was lifted too, and nothing from before');
SELECT throws_ok(
    format('SELECT FROM oa.revocations_since(%L)',
           (pg_snapshot_xmax(pg_current_snapshot())::text::numeric + 1)),
    'OA001', NULL, 'a position of another cluster is refused');
SELECT is_empty('SELECT FROM oa.revocations_of(''{}'')', 'no id: no row');


-- pruning; transaction ids low enough to have ended long ago

UPDATE oa.revocation_feed SET floor = '0';
DELETE FROM oa.revocations;
INSERT INTO oa.revocations VALUES
    (pg_temp.s(1), 'session', now() - interval '1 hour', '3',
     now() - interval '8 days'),
    (pg_temp.s(2), 'session', now() - interval '2 hours', '5',
     now() - interval '9 days'),
    (pg_temp.s(3), 'session', now() - interval '1 hour', '6',
     now() - interval '20 hours'),
    (pg_temp.s(4), 'session', now() + interval '1 hour', '7',
     now() - interval '9 days'),
    (pg_temp.s(5), 'session', now() - interval '1 hour', pg_current_xact_id(),
     now() - interval '9 days');

SELECT is(oa.prune_revocations(), 2::bigint, 'two are over for long enough');
SELECT set_eq('SELECT id FROM oa.revocations',
              ARRAY[pg_temp.s(3), pg_temp.s(4), pg_temp.s(5)],
              'those recent, in force or still running stay');
SELECT is((SELECT floor FROM oa.revocations_beat('x')), '5'::xid8,
          'the floor is the highest that went');
SELECT throws_ok('SELECT FROM oa.revocations_since(''5'')', 'OA001', NULL,
                 'a position at the floor is refused');
SELECT is((SELECT count(*) FROM oa.revocations_since('6')), 3::bigint,
          'one above it is answered');
SELECT is(oa.prune_revocations(), 0::bigint, 'nothing more to prune');
SELECT is((SELECT floor FROM oa.revocation_feed), '5'::xid8,
          'the floor stays');


-- truncation, of sessions and then of users

DELETE FROM oa.revocations;
TRUNCATE auth.sessions CASCADE;
SELECT is((SELECT count(*) FROM oa.revocations WHERE kind = 'session'),
          7::bigint, 'truncate: all sessions');
DELETE FROM oa.revocations;
TRUNCATE auth.users CASCADE;
SELECT is((SELECT count(*) FROM oa.revocations WHERE kind = 'ban'),
          9::bigint, 'truncate: all users');

SELECT * FROM finish();
ROLLBACK;
