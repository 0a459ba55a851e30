/*
 * Transactions that overlap: what a reader that was away must not miss, and
 * what a listener hears.  These need commits and several sessions, so this
 * file works through dblink, and removes its rows at the end.
 */

\set ON_ERROR_STOP true
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off

SET client_min_messages = warning;

CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS dblink;

SELECT plan(17);

/*
 * No BEGIN: this session must not hold a transaction id, which would be
 * everybody's xmin.
 */

SELECT format('host=%s port=%s dbname=%s user=',
              coalesce(nullif(split_part(
                  current_setting('unix_socket_directories'), ',', 1), ''),
                  '127.0.0.1'),
              current_setting('port'), current_database()) AS conninfo
\gset

SELECT is(dblink_connect(c, :'conninfo' || u), 'OK', c || ' connects')
  FROM (VALUES ('t1', current_user::text), ('t2', current_user::text),
               ('reader', 'oa_router')) s (c, u);

SELECT dblink_exec('t1', $$
    DELETE FROM public.agent_instances WHERE subdomain LIKE 't-lap-%';
    INSERT INTO public.agent_instances (subdomain, fly_app_name)
    VALUES ('t-lap-a', 'before'), ('t-lap-b', 'before');
$$) AS done \gset


/*
 * T1 changes A and is slow, T2 changes B and commits, the reader reads, T1
 * commits.  A's version is the lower one, and the reader has seen B's.
 */

SELECT dblink_exec('t1', 'BEGIN') AS done \gset
SELECT dblink_exec('t1', $$
    UPDATE public.agent_instances SET fly_app_name = 'after'
     WHERE subdomain = 't-lap-a' $$) AS done \gset
SELECT dblink_exec('t2', $$
    UPDATE public.agent_instances SET fly_app_name = 'after'
     WHERE subdomain = 't-lap-b' $$) AS done \gset

SELECT xmin AS position
  FROM dblink('reader', 'SELECT xmin FROM oa.feed_beat(''lap'')')
       b (xmin xid8) \gset

SELECT results_eq(
    $$ SELECT * FROM dblink('reader',
           'SELECT subdomain, app FROM oa.routes
             WHERE subdomain LIKE ''t-lap-%'' ORDER BY subdomain')
           r (subdomain text, app text) $$,
    $$ VALUES ('t-lap-a', 'before'), ('t-lap-b', 'after') $$,
    'the reader sees T2, and not yet T1');

SELECT dblink_exec('t1', 'COMMIT') AS done \gset

SELECT ok((SELECT a.version < b.version
             FROM oa.route_changes a, oa.route_changes b
            WHERE a.subdomain = 't-lap-a' AND b.subdomain = 't-lap-b'),
          'by version alone T1 would be missed');
SELECT results_eq(
    format($$ SELECT * FROM dblink('reader',
                  'SELECT subdomain, app FROM oa.routes_changed(''%s'')
                    WHERE subdomain = ''t-lap-a''')
                  r (subdomain text, app text) $$, :'position'),
    $$ VALUES ('t-lap-a', 'after') $$,
    'by position it is not');


/*
 * Two transactions want the same row of the feed: the one that drew its first
 * number before it had to wait must not end with it.
 */

SELECT dblink_exec('t1', 'BEGIN') AS done \gset
SELECT dblink_exec('t1', $$
    UPDATE public.agent_instances SET subdomain = 't-lap-c'
     WHERE subdomain = 't-lap-a' $$) AS done \gset
SELECT dblink_send_query('t2', $$
    INSERT INTO public.agent_instances (subdomain, fly_app_name)
    VALUES ('t-lap-a', 'second') $$) AS done \gset
SELECT pg_sleep(0.2) AS done \gset
SELECT dblink_exec('t1', $$
    UPDATE public.agent_instances SET region = 'fra'
     WHERE subdomain = 't-lap-c' $$) AS done \gset
SELECT version AS tomb
  FROM dblink('t1', $$ SELECT version FROM oa.route_changes
                        WHERE subdomain = 't-lap-a' $$) t (version bigint)
\gset
SELECT dblink_exec('t1', 'COMMIT') AS done \gset
SELECT count(*) AS done FROM dblink_get_result('t2') r (status text) \gset
SELECT count(*) AS done FROM dblink_get_result('t2') r (status text) \gset

SELECT ok((SELECT version > :'tomb' AND app = 'second'
             FROM oa.routes WHERE subdomain = 't-lap-a'),
          'a name taken over has the higher version');

-- the same row of the feed itself, where the wait is on its lock

SELECT dblink_exec('t1', 'BEGIN') AS done \gset
SELECT last_value AS drawn FROM oa.route_version \gset
SELECT dblink_exec('t1', $$
    DO 'BEGIN
        PERFORM FROM oa.route_changes WHERE subdomain = ''t-lap-a''
           FOR UPDATE;
    END' $$) AS done \gset
SELECT dblink_send_query('t2', $$
    UPDATE public.agent_instances SET region = 'lhr'
     WHERE subdomain = 't-lap-a' $$) AS done \gset
SELECT pg_sleep(0.2) AS done \gset
SELECT dblink_exec('t1', $$
    UPDATE oa.route_changes SET version = nextval('oa.route_version')
     WHERE subdomain = 't-lap-a' $$) AS done \gset
SELECT version AS first
  FROM dblink('t1', $$ SELECT version FROM oa.route_changes
                        WHERE subdomain = 't-lap-a' $$) t (version bigint)
\gset
SELECT dblink_exec('t1', 'COMMIT') AS done \gset
SELECT count(*) AS done FROM dblink_get_result('t2') r (status text) \gset
SELECT count(*) AS done FROM dblink_get_result('t2') r (status text) \gset

SELECT ok(:'first' > :'drawn'::bigint + 1,
          'the waiting one had drawn before');
SELECT ok((SELECT version > :'first' FROM oa.routes
            WHERE subdomain = 't-lap-a'),
          'versions rise in the order of commits');


-- what a listener hears

SELECT dblink_exec('reader', 'LISTEN oa_routes') AS done \gset

CREATE FUNCTION pg_temp.heard() RETURNS SETOF jsonb
LANGUAGE plpgsql AS $$
BEGIN
    -- a query to the listener takes up what has arrived
    PERFORM FROM dblink('reader', 'SELECT 1') r (one integer);
    RETURN QUERY SELECT n.extra::jsonb FROM dblink_get_notify('reader') n
                  WHERE n.notify_name = 'oa_routes';
END
$$;

SELECT dblink_exec('t2', 'BEGIN') AS done \gset
SELECT dblink_exec('t2', $$
    UPDATE public.agent_instances SET status = 'stopped'
     WHERE subdomain = 't-lap-b' $$) AS done \gset
SELECT is_empty('SELECT pg_temp.heard()', 'before the commit: nothing');
SELECT dblink_exec('t2', 'COMMIT') AS done \gset
SELECT results_eq(
    'SELECT pg_temp.heard()',
    $$ SELECT jsonb_build_object('subdomain', subdomain, 'version', version)
         FROM oa.route_changes WHERE subdomain = 't-lap-b' $$,
    'a change: its name and version');

SELECT dblink_exec('t2', $$
    UPDATE public.agent_instances SET last_active_at = now()
     WHERE subdomain = 't-lap-b' $$) AS done \gset
SELECT is_empty('SELECT pg_temp.heard()', 'no routing change: nothing');

SELECT dblink_exec('t2', $$
    UPDATE public.agent_instances SET subdomain = 't-lap-d'
     WHERE subdomain = 't-lap-b' $$) AS done \gset
SELECT set_eq($$ SELECT h ->> 'subdomain' FROM pg_temp.heard() h $$,
              ARRAY['t-lap-b', 't-lap-d'], 'a rename: both names');

SELECT done FROM dblink('t2', $$
    SELECT 1 FROM oa.feed_beat(E'"}\n') $$) b (done integer) \gset
SELECT results_eq('SELECT pg_temp.heard()',
                  ARRAY[jsonb_build_object('beat', E'"}\n')],
                  'a beat, whatever its text');


-- a forged hint is a hint: what is read by it is the truth

SELECT done FROM dblink('reader', $$
    SELECT pg_notify('oa_routes',
        '{"subdomain":"t-lap-d","version":9223372036854775807}')::text $$)
    b (done text) \gset
SELECT results_eq(
    $$ SELECT h ->> 'subdomain' FROM pg_temp.heard() h $$,
    ARRAY['t-lap-d'], 'anybody can send a hint');
SELECT results_eq(
    $$ SELECT version, app, status
         FROM oa.routes_named(ARRAY['t-lap-d']) $$,
    $$ SELECT c.version, 'after', 'stopped' FROM oa.route_changes c
        WHERE c.subdomain = 't-lap-d' AND c.version < 1000000000000 $$,
    'which changes neither row nor version');
SELECT throws_ok(
    $$ SELECT dblink_exec('reader', 'UPDATE public.agent_instances
           SET fly_machine_id = ''evil''') $$,
    '42501', NULL, 'and its sender cannot change them');


SELECT dblink_exec('t1', $$
    DELETE FROM public.agent_instances WHERE subdomain LIKE 't-lap-%';
    DELETE FROM oa.route_changes WHERE subdomain LIKE 't-lap-%';
$$) AS done \gset
SELECT count(dblink_disconnect(c)) AS done
  FROM unnest(ARRAY['t1', 't2', 'reader']) c \gset

SELECT * FROM finish();
