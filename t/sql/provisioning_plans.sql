-- what the router calls for a route costs the same however many there are

\set ON_ERROR_STOP true
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off

SET client_min_messages = warning;

BEGIN;

CREATE EXTENSION IF NOT EXISTS pgtap;

SELECT plan(21);


-- all but a few have a machine that came from the pool

INSERT INTO public.agent_instances
    (id, subdomain, status, fly_app_name, fly_machine_id, updated_at)
SELECT md5(g::text)::uuid, 't-plan-' || g,
       CASE WHEN g <= 100 THEN 'provisioning'
            WHEN g <= 105 THEN 'disabled' ELSE 'running' END,
       CASE WHEN g > 100 THEN 'oa-' || g END,
       CASE WHEN g > 100 THEN g || 'a' END,
       now() - interval '1 s' * g
  FROM generate_series(1, 20000) g;
INSERT INTO oa.jobs (id, route_id, stage, app, machine)
SELECT i.id, i.id, 'ready', i.fly_app_name, i.fly_machine_id
  FROM public.agent_instances i
 WHERE i.subdomain LIKE 't-plan-%' AND i.fly_machine_id IS NOT NULL;
INSERT INTO oa.pool (status, digest, wanted, region, app, machine,
                     checked_at)
SELECT CASE WHEN g <= 5 THEN 'ready' ELSE 'claimed' END, 'fly:1', 'iad',
       'iad', 'p-' || g, g || 'p', now() - interval '1 h'
  FROM generate_series(1, 20000) g;
ANALYZE public.agent_instances;
ANALYZE oa.route_changes;
ANALYZE oa.jobs;
ANALYZE oa.pool;


-- tables read from end to end, and rows read by index

CREATE FUNCTION pg_temp.scans() RETURNS bigint
LANGUAGE sql AS $$
    SELECT sum(pg_stat_get_xact_numscans(t))
      FROM unnest(ARRAY['public.agent_instances', 'oa.route_changes',
                        'oa.jobs', 'oa.pool']::regclass[]) t
$$;

CREATE FUNCTION pg_temp.reads() RETURNS bigint
LANGUAGE sql AS $$
    SELECT sum(pg_stat_get_xact_tuples_returned(i.indexrelid))
      FROM pg_index i
     WHERE i.indrelid IN ('public.agent_instances'::regclass,
                          'oa.route_changes'::regclass,
                          'oa.jobs'::regclass, 'oa.pool'::regclass)
$$;

-- %1: a route without a machine, and its job; %2: one with

CREATE FUNCTION pg_temp.by_index(what text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    scans  bigint := pg_temp.scans();
    reads  bigint := pg_temp.reads();
BEGIN
    EXECUTE 'SELECT FROM oa.'
            || replace(replace(what, '%1', quote_literal(md5('1'))),
                       '%2', quote_literal(md5('200')));
    scans := pg_temp.scans() - scans;
    reads := pg_temp.reads() - reads;

    RETURN ok(scans = 0 AND reads < 500,
              format('%s: %s scans', what, scans))
           || CASE WHEN reads < 500 THEN '' ELSE E'\n# rows: ' || reads END;
END
$$;


CREATE FUNCTION pg_temp.some(n integer) RETURNS uuid[]
LANGUAGE sql AS $$
    SELECT array_agg(md5(g::text)::uuid) FROM generate_series(301, 300 + n) g
$$;


-- what is counted counts

SELECT pg_temp.scans() AS before \gset
SELECT count(state) AS done FROM oa.jobs \gset
SELECT ok(pg_temp.scans() > :before, 'a scan is seen');

SELECT pg_temp.by_index('job_claim(%1, ''h1'', ''10 s'', ''cold'')');
UPDATE oa.jobs SET id = md5('1')::uuid WHERE route_id = md5('1')::uuid;

SELECT pg_temp.by_index(w)
  FROM unnest(ARRAY[
      'job_claim(%1, ''h1'', ''10 s'', ''again'')',
      'job_claim(%2, ''h1'', ''10 s'', ''warm'')',
      'job_step(%1, ''h1'', ''10 s'', ''{"stage":"claim"}'')',
      'pool_claim(%1, ''h1'', ''{fra,iad}'', ''fly:1'')',
      'job_step(%1, ''h1'', ''10 s'', ''{"stage":"wait"}'')',
      'job_done(%1, ''h1'', ''{}'')',
      'machine_gone(%1, ''1p'')',
      'job_claim(%1, ''h1'', ''10 s'', ''gone'')',
      'job_failed(%1, ''h1'', ''no'', NULL)',
      'job_stages(ARRAY[%1, %2]::uuid[])',
      'pool_begin(''iad'', ''fly:1'', 9, ''h1'')',
      'pool_check(''fly:1'', ''1 min'')',
      'pool_old(''fly:1'', ''1 min'')',
      'touch_active(ARRAY[%1, %2]::uuid[], ''{0,0}'')',
      'touch_active(pg_temp.some(50), array_fill(0, ARRAY[50]))',
      'routes_idle(''1 h'', 100)',
      'routes_disabled(100)',
      'route_suspended(%2, ''200a'')',
      'route_woken(%2, ''200a'')']) w;

SELECT * FROM finish();
ROLLBACK;
