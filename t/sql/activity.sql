-- when routes were last asked for, and what is done with those at rest

\set ON_ERROR_STOP true
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off

SET client_min_messages = warning;

CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS dblink;

SELECT plan(55);

SELECT format('host=%s port=%s dbname=%s '
              'options=-cstatement_timeout=60s user=',
              coalesce(nullif(split_part(
                  current_setting('unix_socket_directories'), ',', 1), ''),
                  '127.0.0.1'),
              current_setting('port'), current_database()) AS conninfo
\gset

SELECT is(dblink_connect(c, :'conninfo' || u), 'OK', c || ' connects')
  FROM (VALUES ('owner', current_user::text), ('t1', 'oa_router'),
               ('t2', 'oa_router'), ('ear', 'oa_router')) s (c, u);

CREATE FUNCTION pg_temp.clear() RETURNS void
LANGUAGE sql AS $$
    SELECT dblink_exec('owner', '
        DELETE FROM public.agent_instances WHERE subdomain LIKE ''t-act-%'';
        DELETE FROM oa.route_changes WHERE subdomain LIKE ''t-act-%''')
$$;

CREATE FUNCTION pg_temp.id(n integer) RETURNS uuid
LANGUAGE sql AS $$
    SELECT ('e2000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid
$$;

CREATE FUNCTION pg_temp.call(session text, query text) RETURNS text
LANGUAGE sql AS $$
    SELECT r.x FROM dblink(session, 'SELECT oa.' || query) r (x text)
$$;

CREATE FUNCTION pg_temp.touch(session text, routes integer[], ago text)
RETURNS text
LANGUAGE sql AS $$
    SELECT pg_temp.call(session, format(
        'touch_active(%L, %L)',
        ARRAY(SELECT pg_temp.id(r) FROM unnest(routes) r), ago))
$$;

-- seconds since, rounded to hundreds: the tests take some time themselves

CREATE FUNCTION pg_temp.since(route integer) RETURNS integer
LANGUAGE sql AS $$
    SELECT (extract(epoch FROM clock_timestamp() - i.last_active_at)
            / 100)::integer * 100
      FROM public.agent_instances i WHERE i.id = pg_temp.id(route)
$$;

SELECT pg_temp.clear() AS done \gset
SELECT dblink_exec('owner', $$
    INSERT INTO public.agent_instances (id, subdomain, status, fly_app_name,
                                        fly_machine_id, updated_at)
    SELECT ('e2000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid,
           't-act-' || n, 'running', 'oa-' || n, n || 'a',
           now() - interval '30 days'
      FROM generate_series(1, 9) n;
$$) AS done \gset
CREATE TEMP TABLE before AS
    SELECT i.id, i.updated_at, c.version, c.xid, c.changed_at
      FROM public.agent_instances i
      JOIN oa.route_changes c USING (subdomain)
     WHERE i.subdomain LIKE 't-act-%';
SELECT dblink_exec('ear', 'LISTEN oa_routes') AS done \gset
SELECT dblink_exec('ear', 'LISTEN oa_jobs') AS done \gset

CREATE FUNCTION pg_temp.heard() RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
    -- a query to the listener takes up what has arrived
    PERFORM FROM dblink('ear', 'SELECT 1') r (one integer);
    RETURN (SELECT count(*) FROM dblink_get_notify('ear'));
END
$$;


-- touched

SELECT is(pg_temp.touch('t1', '{1,2,3}', '{0,1000,3000}'), '3',
          'three routes');
SELECT is(pg_temp.since(n), want, 'route ' || n || ' has its time')
  FROM (VALUES (1, 0), (2, 1000), (3, 3000), (4, NULL)) t (n, want);
SELECT is(pg_temp.touch('t1', '{1,2,3}', '{500,500,5000}'), '1',
          'the same, one of them later');
SELECT is(pg_temp.since(n), want, 'route ' || n || ' is not set back')
  FROM (VALUES (1, 0), (2, 500), (3, 3000)) t (n, want);
SELECT is(pg_temp.touch('t1', '{4,4,4}', '{1000,2000,800}'), '1',
          'one three times');
SELECT is(pg_temp.since(4), 800, 'has the latest');
SELECT is(pg_temp.touch('t1', r, a), '0', 'nothing of ' || a)
  FROM (VALUES ('{5}'::integer[], '{-1}'), ('{5}', '{NULL}'), ('{5}', '{}'),
               ('{}', '{5}'), ('{NULL}', '{5}'), ('{77}', '{5}')) t (r, a);
SELECT is(pg_temp.since(5), NULL, 'and no time ahead');

SELECT set_eq(
    $$ SELECT i.id, i.updated_at, c.version, c.xid, c.changed_at
         FROM public.agent_instances i
         JOIN oa.route_changes c USING (subdomain)
        WHERE i.subdomain LIKE 't-act-%' $$,
    'SELECT * FROM before', 'no row has changed, nor the feed');
SELECT is(pg_temp.heard(), 0::bigint, 'and nobody is told');

SELECT dblink_exec('owner', $$
    UPDATE public.agent_instances
       SET last_active_at = now(), access = 'public'
     WHERE subdomain = 't-act-9' $$) AS done \gset
SELECT ok((SELECT updated_at > now() - interval '1 min'
             FROM public.agent_instances WHERE subdomain = 't-act-9'),
          'with a change beside it, it is one');
SELECT is(pg_temp.heard(), 1::bigint, 'of which all are told');

-- two at once

SELECT dblink_exec('t1', 'BEGIN') AS done \gset
SELECT is(pg_temp.touch('t1', '{6,5}', '{0,0}'), '2', 'T1 touches two');
SELECT is(pg_temp.touch('t2', '{5,6,7}', '{0,0,0}'), '1',
          'T2 waits for none of them');
SELECT dblink_exec('t1', 'COMMIT') AS done \gset
SELECT is(pg_temp.since(n), 0, 'route ' || n) FROM generate_series(5, 7) n;


-- idle; in order even where the index does not put them so

SELECT dblink_exec('t1', 'SET enable_indexscan = off') AS done \gset
SELECT dblink_exec('t1', 'SET enable_bitmapscan = off') AS done \gset
SELECT pg_temp.touch('t1', '{3}', '{2900}') AS done \gset
SELECT results_eq(
    $$ SELECT * FROM dblink('t1', 'SELECT * FROM
           oa.routes_idle(''10 min'', 10)') r (id uuid, app text, m text) $$,
    $$ VALUES (pg_temp.id(8), 'oa-8', '8a'), (pg_temp.id(3), 'oa-3', '3a'),
              (pg_temp.id(4), 'oa-4', '4a') $$,
    'idle: the longest first, of those never asked for by their change');
SELECT is((SELECT count(*) FROM oa.routes_idle('10 min', n)), n::bigint,
          'no more than asked for: ' || n)
  FROM unnest(ARRAY[0, 2]) n;

SELECT is(pg_temp.call('t1', format('route_suspended(%L, %L)',
                                    pg_temp.id(3), m)), r, 'suspended: ' || m)
  FROM (VALUES ('9a', 'f'), ('3a', 't'), ('3a', 'f')) t (m, r);
SELECT is(pg_temp.heard(), 1::bigint, 'the feed tells it');
SELECT is((SELECT status FROM oa.routes WHERE subdomain = 't-act-3'),
          'suspended', 'the route says so');
SELECT set_eq($$ SELECT app FROM oa.routes_idle('10 min', 10) $$,
              ARRAY['oa-4', 'oa-8'], 'and is no longer idle');

SELECT is(pg_temp.call('t1', format('route_woken(%L, %L)', pg_temp.id(3),
                                    m)), r, 'woken: ' || m)
  FROM (VALUES ('9a', 'f'), ('3a', 't'), ('3a', 'f')) t (m, r);
SELECT set_eq($$ SELECT app FROM oa.routes_idle('10 min', 10) $$,
              ARRAY['oa-4', 'oa-8'], 'it has its time again');


-- disabled

SELECT is_empty('SELECT FROM oa.routes_disabled(10)', 'none is disabled');
SELECT dblink_exec('owner', $$
    UPDATE public.agent_instances SET status = 'disabled'
     WHERE subdomain IN ('t-act-4', 't-act-8');
    UPDATE public.agent_instances SET fly_machine_id = NULL
     WHERE subdomain = 't-act-8' $$) AS done \gset
SELECT results_eq(
    $$ SELECT * FROM dblink('t1', 'SELECT * FROM
           oa.routes_disabled(10)') r (id uuid, app text, machine text) $$,
    $$ VALUES (pg_temp.id(4), 'oa-4', '4a') $$,
    'disabled, with a machine');
SELECT is(pg_temp.call('t1', format('%s(%L, ''4a'')', f, pg_temp.id(4))),
          'f', 'disabled is not ' || f)
  FROM unnest(ARRAY['route_suspended', 'route_woken']) f;
SELECT is(pg_temp.call('t1', format('route_stopped(%L, %L)', pg_temp.id(n),
                                    m)), r, 'stopped: ' || m)
  FROM (VALUES (4, '9a', 'f'), (1, '1a', 'f'), (4, '4a', 't'),
               (4, '4a', 'f')) t (n, m, r);
SELECT is((SELECT status FROM oa.routes WHERE subdomain = 't-act-4'),
          'disabled', 'it stays disabled');
SELECT is_empty('SELECT FROM oa.routes_disabled(10)',
                'and is not stopped again');
SELECT dblink_exec('owner', $$
    UPDATE public.agent_instances SET status = 'running'
     WHERE subdomain = 't-act-4';
    UPDATE public.agent_instances SET status = 'disabled'
     WHERE subdomain = 't-act-4' $$) AS done \gset
SELECT set_eq('SELECT app FROM oa.routes_disabled(10)', ARRAY['oa-4'],
              'unless it ran meanwhile');


SELECT pg_temp.clear() AS done \gset
SELECT count(dblink_disconnect(c)) AS done
  FROM unnest(dblink_get_connections()) c \gset

SELECT * FROM finish();
