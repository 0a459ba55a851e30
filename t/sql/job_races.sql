/*
 * Callers at the same instant: of the job, of a dead machine, of the pool.
 * As overlap.sql this works through dblink, and removes its rows.
 */

\set ON_ERROR_STOP true
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off

SET client_min_messages = warning;

CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS dblink;

SELECT plan(33);

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
SELECT count(dblink_connect('c' || n, :'conninfo' || 'oa_router')) AS done
  FROM generate_series(1, 16) n \gset

CREATE FUNCTION pg_temp.clear() RETURNS void
LANGUAGE sql AS $$
    SELECT dblink_exec('owner', '
        DELETE FROM public.agent_instances WHERE subdomain LIKE ''t-race-%'';
        DELETE FROM oa.route_changes WHERE subdomain LIKE ''t-race-%'';
        DELETE FROM oa.pool WHERE digest LIKE ''t-race:%'';
        DELETE FROM oa.jobs WHERE route_id::text LIKE ''e1000000-%''')
$$;

SELECT pg_temp.clear() AS done \gset
SELECT dblink_exec('owner', $$
    INSERT INTO public.agent_instances (id, subdomain)
    SELECT ('e1000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid,
           't-race-' || n
      FROM generate_series(1, 9) n;
$$) AS done \gset

-- %n: a route

CREATE FUNCTION pg_temp.sql(query text) RETURNS text
LANGUAGE sql AS $$
    SELECT regexp_replace(query, '%(\d)',
               '''e1000000-0000-4000-8000-00000000000\1''', 'g')
$$;

CREATE FUNCTION pg_temp.ask(session text, query text) RETURNS text
LANGUAGE sql AS $$
    SELECT r.x FROM dblink(session, pg_temp.sql(query)) r (x text)
$$;

CREATE FUNCTION pg_temp.send(session text, query text) RETURNS void
LANGUAGE sql AS $$
    SELECT dblink_send_query(session, pg_temp.sql(query))
$$;

CREATE FUNCTION pg_temp.answer(session text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    x  text := (SELECT r.x FROM dblink_get_result(session) r (x text));
BEGIN
    -- the end of the answer
    PERFORM FROM dblink_get_result(session) r (x text);
    RETURN x;
END
$$;

-- whether the session waits for a lock, one of so many

CREATE FUNCTION pg_temp.waits(session text, others integer DEFAULT 1)
RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 3000 LOOP
        IF (SELECT count(*) FROM pg_locks WHERE NOT granted) >= others THEN
            RETURN dblink_is_busy(session) = 1;
        END IF;

        IF dblink_is_busy(session) = 0 THEN
            RETURN false;
        END IF;

        PERFORM pg_sleep(0.01);
    END LOOP;

    RETURN NULL;
END
$$;

CREATE FUNCTION pg_temp.claim(route integer, holder text) RETURNS text
LANGUAGE sql AS $$
    SELECT format('SELECT concat_ws('' '', mine, run, stage)
                     FROM oa.job_claim(%%%s, %L, ''10 s'', ''x'')',
                  route, holder)
$$;

CREATE FUNCTION pg_temp.job(route integer) RETURNS text
LANGUAGE sql AS $$
    SELECT quote_literal(j.id) FROM oa.jobs j
     WHERE quote_literal(j.route_id) = pg_temp.sql('%' || route)
$$;


-- the first claim, unended: the second waits, and gets what is left

SELECT dblink_exec('t1', 'BEGIN') AS done \gset
SELECT is(pg_temp.ask('t1', pg_temp.claim(1, 'h1')), 't 1 new', 'T1 claims');
SELECT pg_temp.send('t2', pg_temp.claim(1, 'h2')) AS done \gset
SELECT ok(pg_temp.waits('t2'), 'T2 waits');
SELECT dblink_exec('t1', 'COMMIT') AS done \gset
SELECT is(pg_temp.answer('t2'), 'f 1 new', 'committed: it is T1''s');

SELECT dblink_exec('t1', 'BEGIN') AS done \gset
SELECT is(pg_temp.ask('t1', pg_temp.claim(2, 'h1')), 't 1 new', 'T1 claims');
SELECT pg_temp.send('t2', pg_temp.claim(2, 'h2')) AS done \gset
SELECT ok(pg_temp.waits('t2'), 'T2 waits');
SELECT dblink_exec('t1', 'ROLLBACK') AS done \gset
SELECT is(pg_temp.answer('t2'), 't 1 new', 'rolled back: it is T2''s');


-- claims of what has just been done, or failed

SELECT dblink_exec('t1', 'BEGIN') AS done \gset
SELECT is(pg_temp.ask('t1', format(
    'SELECT oa.job_done(%s, ''h1'', ''{"app":"a","machine":"1a"}'')',
    pg_temp.job(1))), 't', 'T1 has done it');
SELECT pg_temp.send('t2', pg_temp.claim(1, 'h2')) AS done \gset
SELECT ok(pg_temp.waits('t2'), 'T2 waits');
SELECT dblink_exec('t1', 'COMMIT') AS done \gset
SELECT is(pg_temp.answer('t2'), 'f 1 ready', 'and does not do it again');

SELECT dblink_exec('t1', 'BEGIN') AS done \gset
SELECT is(pg_temp.ask('t1', format(
    'SELECT oa.job_failed(%s, ''h2'', ''no'', NULL)', pg_temp.job(2))),
    't', 'T1 has failed for good');
SELECT pg_temp.send('t2', pg_temp.claim(2, 'h3')) AS done \gset
SELECT ok(pg_temp.waits('t2'), 'T2 waits');
SELECT dblink_exec('t1', 'COMMIT') AS done \gset
SELECT is(pg_temp.answer('t2'), 'f 1 failed', 'and does not try again');


-- a holder that comes late, while it is taken over

SELECT is(pg_temp.ask('t1', 'SELECT mine FROM
    oa.job_claim(%3, ''h1'', ''1 ms'', ''x'')'), 't', 'a short lease');
SELECT pg_sleep(0.01) AS done \gset
SELECT dblink_exec('t2', 'BEGIN') AS done \gset
SELECT is(pg_temp.ask('t2', pg_temp.claim(3, 'h2')), 't 1 new',
          'is over by the clock of the database');
SELECT pg_temp.send('t1', format(
    'SELECT oa.job_step(%s, ''h1'', ''10 s'', ''{"app":"late"}'')',
    quote_literal(id)))
  FROM dblink('t2', pg_temp.sql($$
           SELECT job_id FROM oa.job_claim(%3, 'h2', '10 s', 'x') $$))
       j (id uuid) \gset
SELECT ok(pg_temp.waits('t1'), 'the late one waits');
SELECT dblink_exec('t2', 'COMMIT') AS done \gset
SELECT is(pg_temp.answer('t1'), 'f', 'and learns it');
SELECT results_eq(
    format($$ SELECT holder, app FROM oa.jobs WHERE id = %s $$,
           pg_temp.job(3)),
    $$ VALUES ('h2', NULL::text) $$, 'nothing of it is stored');


-- many at once

SELECT dblink_exec('ear', 'LISTEN oa_jobs') AS done \gset
SELECT count(pg_temp.send('c' || n, pg_temp.claim(4, 'c' || n))) AS done
  FROM generate_series(1, 16) n \gset
SELECT results_eq(
    $$ SELECT a, count(*) FROM (
           SELECT pg_temp.answer('c' || n) FROM generate_series(1, 16) n)
           r (a) GROUP BY a ORDER BY a DESC $$,
    $$ VALUES ('t 1 new', 1::bigint), ('f 1 new', 15) $$,
    'of 16 claims one is answered mine');

-- a holder that died, and 16 who have seen the same row of it

SELECT dblink_exec('owner', pg_temp.sql($$
    UPDATE oa.jobs SET leased_until = now() WHERE route_id = %4 $$))
    AS done \gset
SELECT dblink_exec('owner', 'BEGIN') AS done \gset
SELECT dblink_exec('owner', pg_temp.sql($$
    DO $do$BEGIN
        PERFORM FROM oa.jobs WHERE route_id = %4 FOR UPDATE;
    END$do$ $$)) AS done \gset
SELECT count(pg_temp.send('c' || n, pg_temp.claim(4, 'd' || n))) AS done
  FROM generate_series(1, 16) n \gset
SELECT ok(pg_temp.waits('c1', 16), 'all wait');
SELECT dblink_exec('owner', 'COMMIT') AS done \gset
SELECT results_eq(
    $$ SELECT a, count(*) FROM (
           SELECT pg_temp.answer('c' || n) FROM generate_series(1, 16) n)
           r (a) GROUP BY a ORDER BY a DESC $$,
    $$ VALUES ('t 1 new', 1::bigint), ('f 1 new', 15) $$,
    'of 16 successors one is answered mine');

SELECT dblink_exec('owner', pg_temp.sql($$
    UPDATE public.agent_instances
       SET fly_machine_id = '5a', status = 'running' WHERE id = %5 $$))
    AS done \gset
SELECT count(pg_temp.send('c' || n,
                          'SELECT oa.machine_gone(%5, ''5a'')')) AS done
  FROM generate_series(1, 16) n \gset
SELECT results_eq(
    $$ SELECT count(*) FROM generate_series(1, 16) n
        WHERE pg_temp.answer('c' || n)::boolean $$,
    ARRAY[1::bigint], 'of 16 who find a machine gone one changes something');

SELECT count(pg_temp.send('c' || n, format(
    'SELECT oa.pool_begin(''iad'', ''t-race:1'', 3, ''c%s'')', n))) AS done
  FROM generate_series(1, 16) n \gset
SELECT results_eq(
    $$ SELECT count(pg_temp.answer('c' || n)) FROM generate_series(1, 16) n $$,
    ARRAY[3::bigint], 'of 16 who fill the pool those begin that are wanted');
SELECT dblink_exec('owner', $$
    UPDATE oa.pool SET status = 'ready', region = 'iad', app = 'p-' || id,
                       machine = '9a'
     WHERE digest = 't-race:1';
    INSERT INTO oa.jobs (id, route_id, holder)
    SELECT ('f1000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid,
           ('e1000000-0000-4000-8001-' || lpad(n::text, 12, '0'))::uuid,
           'c' || n
      FROM generate_series(1, 16) n;
$$) AS done \gset
SELECT count(pg_temp.send('c' || n, format(
    'SELECT app FROM oa.pool_claim(%L, ''c%s'', ''{iad}'', ''t-race:1'')',
    'f1000000-0000-4000-8000-' || lpad(n::text, 12, '0'), n))) AS done
  FROM generate_series(1, 16) n \gset
SELECT results_eq(
    $$ SELECT count(a), count(DISTINCT a) FROM (
           SELECT pg_temp.answer('c' || n) FROM generate_series(1, 16) n)
           r (a) $$,
    $$ VALUES (3::bigint, 3::bigint) $$,
    'of 16 who claim from it each gets an entry that nobody else has');

-- one that is being claimed is passed over, not waited for

SELECT dblink_exec('owner', $$
    INSERT INTO oa.pool (status, digest, wanted, region, app, machine)
    VALUES ('ready', 't-race:2', 'iad', 'iad', 'p-1', '1a'),
           ('ready', 't-race:2', 'iad', 'fra', 'p-2', '2a');
    INSERT INTO oa.jobs (id, route_id, holder)
    SELECT ('f2000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid,
           ('e1000000-0000-4000-8002-' || lpad(n::text, 12, '0'))::uuid,
           't' || n
      FROM generate_series(1, 2) n;
$$) AS done \gset
SELECT dblink_exec('t1', 'BEGIN') AS done \gset
SELECT is(pg_temp.ask('t' || n, format(
    'SELECT app FROM oa.pool_claim(
         ''f2000000-0000-4000-8000-00000000000%s'', ''t%s'',
         ''{iad,fra}'', ''t-race:2'')', n, n)), 'p-' || n,
    'T' || n || ' claims without waiting')
  FROM generate_series(1, 2) n;
SELECT dblink_exec('t1', 'COMMIT') AS done \gset


-- hints

SELECT count(*) AS done FROM dblink_get_notify('ear') \gset

CREATE FUNCTION pg_temp.heard() RETURNS SETOF jsonb
LANGUAGE plpgsql AS $$
BEGIN
    -- a query to the listener takes up what has arrived
    PERFORM FROM dblink('ear', 'SELECT 1') r (one integer);
    RETURN QUERY SELECT n.extra::jsonb FROM dblink_get_notify('ear') n
                  WHERE n.notify_name = 'oa_jobs';
END
$$;

SELECT count(*) AS done FROM pg_temp.heard() \gset
SELECT pg_temp.ask('c1', pg_temp.claim(6, 'h1')) AS done \gset
SELECT set_eq('SELECT pg_temp.heard()',
    ARRAY['{"route_id":"e1000000-0000-4000-8000-000000000006",
            "stage":"new"}'::jsonb], 'a job: a hint');

SELECT pg_temp.ask('c1', format(
    'SELECT oa.job_step(%s, ''h1'', ''10 s'', %L)', pg_temp.job(6), p))
    AS done
  FROM unnest(ARRAY['{}', '{"app":"a"}', '{"stage":"new"}']) p \g /dev/null
SELECT is_empty('SELECT pg_temp.heard()', 'the same stage: none');

SELECT pg_temp.ask('c1', format(
    'SELECT oa.job_step(%s, ''h1'', ''10 s'', ''{"stage":"ip"}'')',
    pg_temp.job(6))) AS done \gset
SELECT results_eq($$ SELECT h ->> 'stage' FROM pg_temp.heard() h $$,
                  ARRAY['ip'], 'another stage: a hint');
SELECT pg_temp.ask('c1', format(
    'SELECT oa.job_failed(%s, ''h1'', ''no'', ''0'')', pg_temp.job(6)))
    AS done \gset
SELECT results_eq($$ SELECT h ->> 'stage' FROM pg_temp.heard() h $$,
                  ARRAY['ip'], 'a failed attempt: a hint');


SELECT pg_temp.clear() AS done \gset
SELECT count(dblink_disconnect(c)) AS done
  FROM unnest(dblink_get_connections()) c \gset

SELECT * FROM finish();
