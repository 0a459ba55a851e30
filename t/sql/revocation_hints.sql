/*
 * What a listener hears of revocations, and what a reader that was away must
 * not miss.  As overlap.sql this works through dblink, and removes its rows.
 */

\set ON_ERROR_STOP true
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off

SET client_min_messages = warning;

CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS dblink;

SELECT plan(19);

SELECT format('host=%s port=%s dbname=%s user=',
              coalesce(nullif(split_part(
                  current_setting('unix_socket_directories'), ',', 1), ''),
                  '127.0.0.1'),
              current_setting('port'), current_database()) AS conninfo
\gset

SELECT is(dblink_connect(c, :'conninfo' || u), 'OK', c || ' connects')
  FROM (VALUES ('t1', current_user::text), ('t2', current_user::text),
               ('reader', 'oa_router')) s (c, u);

CREATE FUNCTION pg_temp.heard() RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
    -- a query to the listener takes up what has arrived
    PERFORM FROM dblink('reader', 'SELECT 1') r (one integer);
    RETURN QUERY SELECT n.extra FROM dblink_get_notify('reader') n
                  WHERE n.notify_name = 'oa_revocations';
END
$$;

SELECT dblink_exec('t1', $$
    INSERT INTO auth.users (id)
    SELECT ('a1000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid
      FROM generate_series(1, 50) n;
    INSERT INTO auth.sessions (id, user_id)
    SELECT ('f1' || right(id::text, 34))::uuid, id
      FROM auth.users WHERE id::text LIKE 'a1000000-%';
$$) AS done \gset
SELECT dblink_exec('reader', 'LISTEN oa_revocations') AS done \gset


SELECT dblink_exec('t1', 'BEGIN') AS done \gset
SELECT dblink_exec('t1', $$
    DELETE FROM auth.sessions
     WHERE id = 'f1000000-0000-4000-8000-000000000001' $$) AS done \gset
SELECT is_empty('SELECT pg_temp.heard()', 'before the commit: nothing');
SELECT dblink_exec('t1', 'COMMIT') AS done \gset
SELECT results_eq('SELECT pg_temp.heard()',
                  ARRAY['f1000000-0000-4000-8000-000000000001'],
                  'a session that ended: its id');

SELECT dblink_exec('t1', $$
    UPDATE auth.users SET banned_until = 'infinity'
     WHERE id = 'a1000000-0000-4000-8000-000000000002' $$) AS done \gset
SELECT results_eq('SELECT pg_temp.heard()',
                  ARRAY['a1000000-0000-4000-8000-000000000002'],
                  'a ban: the user''s');

SELECT dblink_exec('t1', $$
    UPDATE auth.users SET email = 'hints'
     WHERE id = 'a1000000-0000-4000-8000-000000000002' $$) AS done \gset
SELECT is_empty('SELECT pg_temp.heard()', 'a sign-in: nothing');

SELECT dblink_exec('t1', $$
    DELETE FROM auth.sessions
     WHERE right(id::text, 2) IN ('03', '04', '05') $$) AS done \gset
SELECT is((SELECT count(*) FROM pg_temp.heard()), 3::bigint,
          'three sessions: three ids');

SELECT dblink_exec('t1', $$
    DELETE FROM auth.users WHERE right(id::text, 2) BETWEEN '10' AND '13'
$$) AS done \gset
SELECT set_eq('SELECT left(h, 3) FROM pg_temp.heard() h', ARRAY['a10'],
              'deleted users: their ids, not those of their sessions');

SELECT dblink_exec('t1', $$
    DELETE FROM auth.users WHERE right(id::text, 2) BETWEEN '20' AND '49'
$$) AS done \gset
SELECT results_eq('SELECT pg_temp.heard()', ARRAY['*'],
                  'many: one hint without an id');
SELECT is((SELECT count(*) FROM oa.revocations WHERE kind = 'session'),
          4::bigint, 'sessions that went with their users are not told');

SELECT done FROM dblink('t2', $$
    SELECT 1 FROM oa.revocations_beat(E'"}\n') $$) b (done integer) \gset
SELECT results_eq('SELECT pg_temp.heard()::jsonb',
                  ARRAY[jsonb_build_object('beat', E'"}\n')],
                  'a beat, whatever its text');


/*
 * T1 revokes A and is slow, T2 revokes B and commits, the reader takes its
 * position, T1 commits.
 */

SELECT dblink_exec('t1', 'BEGIN') AS done \gset
SELECT dblink_exec('t1', $$
    DELETE FROM auth.sessions
     WHERE id = 'f1000000-0000-4000-8000-000000000006' $$) AS done \gset
SELECT dblink_exec('t2', $$
    DELETE FROM auth.sessions
     WHERE id = 'f1000000-0000-4000-8000-000000000007' $$) AS done \gset
SELECT xmin AS position
  FROM dblink('reader', 'SELECT xmin FROM oa.revocations_beat(''lap'')')
       b (xmin xid8) \gset
SELECT set_eq(
    $$ SELECT * FROM dblink('reader',
           'SELECT right(id::text, 1) FROM oa.revocations_in_force('''')
             WHERE id::text ~ ''^f1.*[67]$''') r (id text) $$,
    ARRAY['7'], 'the reader sees T2, and not yet T1');
SELECT dblink_exec('t1', 'COMMIT') AS done \gset
SELECT set_has(
    format($$ SELECT * FROM dblink('reader',
                  'SELECT right(id::text, 1) FROM oa.revocations_since(''%s'')
                    WHERE id::text LIKE ''f1%%''') r (id text) $$,
           :'position'),
    $$ VALUES ('6') $$, 'and by its position T1 is not missed');


-- whoever sends a hint can do no more

SELECT count(*) AS done FROM pg_temp.heard() \gset
SELECT done FROM dblink('reader', $$
    SELECT pg_notify('oa_revocations',
                     'f1000000-0000-4000-8000-000000000008')::text $$)
    b (done text) \gset
SELECT results_eq('SELECT pg_temp.heard()',
                  ARRAY['f1000000-0000-4000-8000-000000000008'],
                  'anybody can send a hint');
SELECT is_empty(
    $$ SELECT FROM oa.revocations_of(
           ARRAY['f1000000-0000-4000-8000-000000000008'::uuid]) $$,
    'behind which there is nothing');
SELECT throws_ok(
    format($$ SELECT FROM dblink('reader', %L) r (x text) $$, q), '42501',
    NULL, 'not: ' || q)
  FROM unnest(ARRAY[
      'SELECT oa.revoke_user(gen_random_uuid())::text',
      'INSERT INTO oa.revocations SELECT RETURNING id::text',
      'DELETE FROM oa.revocations RETURNING id::text']) q;


SELECT dblink_exec('t1', $$
    DELETE FROM auth.users WHERE id::text LIKE 'a1000000-%';
    DELETE FROM oa.revocations WHERE id::text ~ '^[af]1000000-';
$$) AS done \gset
SELECT count(dblink_disconnect(c)) AS done
  FROM unnest(ARRAY['t1', 't2', 'reader']) c \gset

SELECT * FROM finish();
