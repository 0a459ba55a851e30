-- a route's job: who may do it, what is written down, how it ends

\set ON_ERROR_STOP true
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off

SET client_min_messages = warning;

BEGIN;

CREATE EXTENSION IF NOT EXISTS pgtap;

SELECT plan(90);


INSERT INTO auth.users (id) VALUES ('a0000000-0000-4000-8000-000000000001');
INSERT INTO public.user_profiles (id)
    VALUES ('a0000000-0000-4000-8000-000000000001');
INSERT INTO public.agents (id, name, slug)
    VALUES ('d0000000-0000-4000-8000-000000000001', 'a', 't-a');
INSERT INTO public.agent_instances
    (id, user_id, agent_id, subdomain, region, status, fly_app_name,
     fly_machine_id, fly_volume_id)
VALUES
    ('e0000000-0000-4000-8000-000000000001',
     'a0000000-0000-4000-8000-000000000001',
     'd0000000-0000-4000-8000-000000000001',
     't-cold', 'fra', 'provisioning', NULL, NULL, NULL),
    ('e0000000-0000-4000-8000-000000000002', NULL, NULL,
     't-warm', 'iad', 'running', 'oa-warm', '2a', NULL),
    ('e0000000-0000-4000-8000-000000000003', NULL, NULL,
     't-off', 'iad', 'disabled', NULL, NULL, NULL),
    ('e0000000-0000-4000-8000-000000000004', NULL, NULL,
     NULL, 'iad', 'provisioning', NULL, NULL, NULL),
    ('e0000000-0000-4000-8000-000000000005', NULL, NULL,
     't-broken', 'lhr', 'error', 'oa-broken', '5a', 'vol_5');

\set cold '''e0000000-0000-4000-8000-000000000001'''
\set warm '''e0000000-0000-4000-8000-000000000002'''
\set off '''e0000000-0000-4000-8000-000000000003'''
\set broken '''e0000000-0000-4000-8000-000000000005'''

CREATE FUNCTION pg_temp.claim(route text, holder text) RETURNS text
LANGUAGE sql AS $$
    SELECT concat_ws(' ', CASE WHEN c.mine THEN 'mine' ELSE 'not' END,
                     c.run, c.stage, c.attempt, c.first_reason)
      FROM oa.job_claim(claim.route::uuid, claim.holder, '10 s',
                        'by ' || claim.holder) c
$$;

CREATE FUNCTION pg_temp.job(route text) RETURNS uuid
LANGUAGE sql AS $$
    SELECT j.id FROM oa.jobs j WHERE j.route_id = job.route::uuid
$$;

CREATE FUNCTION pg_temp.placement(route text) RETURNS text
LANGUAGE sql AS $$
    SELECT concat_ws(' ', j.stage, coalesce(j.app, '-'),
                     coalesce(j.ip, '-'), coalesce(j.volume, '-'),
                     coalesce(j.machine, '-'), coalesce(j.region, '-'))
      FROM oa.jobs j WHERE j.route_id = placement.route::uuid
$$;

CREATE FUNCTION pg_temp.state(route text) RETURNS text
LANGUAGE sql AS $$
    SELECT concat_ws(' ', i.status, coalesce(i.fly_app_name, '-'),
                     coalesce(i.fly_machine_id, '-'),
                     coalesce(i.fly_volume_id, '-'), i.region)
      FROM public.agent_instances i WHERE i.id = state.route::uuid
$$;

-- the database's clock is not set forward here, but leases are set back

CREATE FUNCTION pg_temp.expire(route text) RETURNS void
LANGUAGE sql AS $$
    UPDATE oa.jobs j
       SET leased_until = j.leased_until - interval '10 s',
           retry_at = j.retry_at - interval '1 hour'
     WHERE j.route_id = expire.route::uuid
$$;


-- who has nothing to provision

SELECT results_eq(
    format($$ SELECT mine, job_id, status, stage, wait
                FROM oa.job_claim(%L, 'h1', '10 s', 'cold') $$, id),
    format($$ VALUES (false, NULL::uuid, %L::text, NULL::text, 0::bigint) $$,
           status),
    'no job: ' || what)
  FROM (VALUES
        ('e0000000-0000-4000-8000-000000000009', NULL, 'no route'),
        ('e0000000-0000-4000-8000-000000000004', NULL, 'no subdomain'),
        ('e0000000-0000-4000-8000-000000000003', 'disabled', 'disabled'),
        ('e0000000-0000-4000-8000-000000000002', 'running', 'it has one'))
       r (id, status, what);
SELECT results_eq(
    $$ SELECT mine, status FROM oa.job_claim(NULL, 'h1', '10 s', 'cold') $$,
    $$ VALUES (false, NULL::text) $$, 'nor one of NULL');
SELECT is_empty('SELECT FROM oa.jobs', 'nor is one made');
SELECT throws_ok(
    format($$ SELECT oa.job_claim(%L, NULL, '10 s', 'cold') $$, :cold),
    '22004', NULL, 'a job is somebody''s');


-- the first claim

SELECT results_eq(
    format($$ SELECT mine, run, stage, attempt, first_reason, subdomain,
                     user_id, agent_id, region, status, app, ip, volume,
                     machine, placed, state, error, wait
                FROM oa.job_claim(%L, 'h1', '10 s', 'cold') $$, :cold),
    $$ VALUES (true, 1, 'new', 0, 'cold', 't-cold',
               'a0000000-0000-4000-8000-000000000001'::uuid,
               'd0000000-0000-4000-8000-000000000001'::uuid,
               'fra', 'provisioning', NULL::text, NULL::text, NULL::text,
               NULL::text, NULL::text, '{}'::jsonb, NULL::text, 0::bigint) $$,
    'a cold route: a job, with all that it takes');
SELECT results_eq(
    format($$ SELECT mine, job_id, stage, status, wait BETWEEN 1 AND 10000
                FROM oa.job_claim(%L, 'h2', '10 s', 'other') $$, :cold),
    format($$ VALUES (false, %L::uuid, 'new', 'provisioning', true) $$,
           pg_temp.job(:cold)),
    'the next one: whose turn comes when the lease ends');
SELECT is(pg_temp.claim(:cold, 'h1'), 'mine 1 new 0 cold',
          'the holder asks again: it still is');


-- steps

SELECT ok(oa.job_step(pg_temp.job(:cold), 'h1', '10 s',
              '{"stage":"app","app":"oa-c","state":{"at":1}}'), 'a step');
SELECT is(pg_temp.placement(:cold), 'app oa-c - - - -', 'is stored');
SELECT is((SELECT state FROM oa.jobs), '{"at":1}', 'with its state');
SELECT ok(oa.job_step(pg_temp.job(:cold), 'h1', '10 s',
              '{"ip":"fdaa::1","volume":"vol_1","region":"ams"}'),
          'the next');
SELECT ok(oa.job_step(pg_temp.job(:cold), 'h1', '10 s', '{}'),
          'and an empty one');
SELECT is(pg_temp.placement(:cold), 'app oa-c fdaa::1 vol_1 - ams',
          'take nothing away');

SELECT ok(NOT oa.job_step(pg_temp.job(:cold), 'h2', '10 s', patch),
          'not the holder: ' || patch::text)
  FROM unnest(ARRAY['{"app":"evil"}', '{}']::jsonb[]) patch;
SELECT ok(NOT oa.job_done(pg_temp.job(:cold), 'h2',
                          '{"app":"evil","machine":"1a"}'), 'nor done');
SELECT ok(NOT oa.job_failed(pg_temp.job(:cold), 'h2', 'evil', retry),
          'nor failed')
  FROM unnest(ARRAY[NULL, interval '1 s']) retry;
SELECT ok(NOT oa.job_step(pg_temp.job(:cold), NULL, '10 s', '{}'),
          'nobody is no holder');
SELECT is(pg_temp.placement(:cold), 'app oa-c fdaa::1 vol_1 - ams',
          'nothing changed');
SELECT throws_ok(
    format($$ SELECT oa.job_step(%L, 'h1', '10 s', %L) $$,
           pg_temp.job(:cold), patch), '23514', NULL,
    'a stage is a word: ' || patch)
  FROM unnest(ARRAY['{"stage":""}', '{"stage":"a\"b"}']) patch;

SELECT ok(oa.job_step(pg_temp.job(:cold), 'h1', '10 s',
              '{"volume":null,"state":{}}'), 'null');
SELECT is(pg_temp.placement(:cold), 'app oa-c fdaa::1 - - ams',
          'empties a column');
SELECT is((SELECT state FROM oa.jobs), '{}', 'states are replaced');

SELECT ok(oa.job_step(pg_temp.job(:cold), 'h1', '10 s',
              '{"app":"oa-d","volume":"vol_d"}'), 'another app');
SELECT is(pg_temp.placement(:cold), 'app oa-d - vol_d - ams',
          'keeps nothing of the old one');


-- a lease that expires

SELECT pg_temp.expire(:cold) AS done \gset
SELECT ok(oa.job_step(pg_temp.job(:cold), 'h1', '10 s',
                      '{"state":{"at":2}}'),
          'late, but nobody came: still the holder');
SELECT is(pg_temp.claim(:cold, 'h2'), 'not 1 app 0 cold', 'and renewed');
SELECT pg_temp.expire(:cold) AS done \gset
SELECT results_eq(
    format($$ SELECT mine, run, stage, attempt, first_reason, app, volume,
                     state
                FROM oa.job_claim(%L, 'h2', '10 s', 'other') $$, :cold),
    $$ VALUES (true, 1, 'app', 0, 'cold', 'oa-d', 'vol_d',
               '{"at":2}'::jsonb) $$,
    'taken over: where it stood, by the reason it began with');
SELECT ok(NOT oa.job_step(pg_temp.job(:cold), 'h1', '10 s',
                          '{"machine":"evil"}'), 'the one before learns it');
SELECT is(pg_temp.placement(:cold), 'app oa-d - vol_d - ams',
          'and writes nothing');
SELECT ok(oa.job_step(pg_temp.job(:cold), 'h2', '0', '{}'),
          'a lease given up');
SELECT is(pg_temp.claim(:cold, 'h3'), 'mine 1 app 0 cold',
          'is free at once');


-- failures

SELECT ok(oa.job_failed(pg_temp.job(:cold), 'h3', repeat('e', 600),
                        '1 hour'), 'a failure');
SELECT results_eq(
    format($$ SELECT mine, stage, attempt, length(error), status,
                     wait BETWEEN 3590000 AND 3600000
                FROM oa.job_claim(%L, 'h1', '10 s', 'x') $$, :cold),
    $$ VALUES (false, 'app', 1, 500, 'provisioning', true) $$,
    'the next attempt has its time, and errors an end');
SELECT ok(NOT oa.job_step(pg_temp.job(:cold), 'h3', '10 s', '{}'),
          'who failed is no holder');
SELECT pg_temp.expire(:cold) AS done \gset
SELECT is(pg_temp.claim(:cold, 'h4'), 'mine 1 app 1 cold',
          'then it goes on');

SELECT ok(oa.job_failed(pg_temp.job(:cold), 'h4', 'refused', NULL),
          'a failure for good');
SELECT is(pg_temp.state(:cold), 'error - - - fra', 'the route says so');
SELECT results_eq(
    format($$ SELECT mine, stage, error, wait
                FROM oa.job_claim(%L, 'h1', '10 s', 'x') $$, :cold),
    $$ VALUES (false, 'failed', 'refused', 0::bigint) $$,
    'and nobody tries again');
UPDATE public.agent_instances SET status = 'provisioning'
 WHERE subdomain = 't-cold';
SELECT is(pg_temp.claim(:cold, 'h5'), 'mine 2 new 0 by h5',
          'until its status is set to something else');
SELECT is(pg_temp.placement(:cold), 'new oa-d - vol_d - ams',
          'what had been made is not forgotten');
SELECT is((SELECT state FROM oa.jobs), '{"at":2}', 'nor the state');
SELECT is((SELECT error FROM oa.jobs), NULL, 'what went wrong is');


-- done

SELECT throws_ok(
    format($$ SELECT oa.job_done(%L, 'h5', '{}') $$, pg_temp.job(:cold)),
    '22004', NULL, 'without a machine nothing is done');
SELECT ok(oa.job_step(pg_temp.job(:cold), 'h5', '10 s',
                      '{"stage":"wait","ip":"fdaa::2"}'), 'a last step');
SELECT version AS before FROM oa.routes WHERE subdomain = 't-cold' \gset
SELECT ok(oa.job_done(pg_temp.job(:cold), 'h5',
                      '{"machine":"1a"}'), 'done');
SELECT is(pg_temp.state(:cold), 'running oa-d 1a vol_d ams',
          'the route has it all, as it came out');
SELECT is(pg_temp.placement(:cold), 'ready oa-d fdaa::2 vol_d 1a ams',
          'and so has the job');
SELECT ok((SELECT version > :before FROM oa.routes
            WHERE subdomain = 't-cold'), 'the feed knows');
SELECT is(pg_temp.claim(:cold, 'h1'), 'not 2 ready 0 by h5',
          'there is no more to do');
SELECT ok(NOT oa.job_done(pg_temp.job(:cold), 'h5', '{}'), 'nor twice');


-- a machine that is gone

SELECT ok(NOT oa.machine_gone(:cold, '9a'), 'another machine is gone');
SELECT ok(NOT oa.machine_gone(:cold, NULL), 'or none');
SELECT is(pg_temp.state(:cold), 'running oa-d 1a vol_d ams', 'so what');
SELECT ok(oa.machine_gone(:cold, '1a'), 'this one is gone');
SELECT ok(NOT oa.machine_gone(:cold, '1a'), 'once');
SELECT is(pg_temp.state(:cold), 'provisioning oa-d - vol_d ams',
          'the route has none');
SELECT is(pg_temp.placement(:cold), 'ready oa-d fdaa::2 vol_d - ams',
          'its app, IP and volume are still there');
SELECT is(pg_temp.claim(:cold, 'h6'), 'mine 3 new 0 by h6', 'a new run');
SELECT is(pg_temp.placement(:cold), 'new oa-d fdaa::2 vol_d - ams',
          'begins with them');
SELECT ok(oa.machine_gone(:warm, '2a'),
          'the machine of a route that never had a job');
SELECT results_eq(
    format($$ SELECT mine, app, machine, placed
                FROM oa.job_claim(%L, 'h1', '10 s', 'x') $$, :warm),
    $$ VALUES (true, 'oa-warm', NULL::text, 'iad') $$,
    'its app is found in the route');


-- a backend that does it and takes its time

UPDATE public.agent_instances
   SET fly_app_name = 'oa-else', fly_machine_id = '3a', status = 'running'
 WHERE subdomain = 't-cold';
SELECT is(pg_temp.placement(:cold), 'ready oa-else - vol_d 3a ams',
          'the route has a machine: the job is done');
SELECT ok(NOT oa.job_step(pg_temp.job(:cold), 'h6', '10 s', '{}'),
          'and its holder learns it');
UPDATE public.agent_instances SET status = 'suspended'
 WHERE subdomain = 't-cold';
SELECT is(pg_temp.claim(:cold, 'h1'), 'not 3 ready 0 by h6',
          'a machine that sleeps is one');
UPDATE public.agent_instances SET fly_machine_id = '4a'
 WHERE subdomain = 't-cold';
SELECT is(pg_temp.placement(:cold), 'ready oa-else - vol_d 4a ams',
          'the placement follows the route');
UPDATE public.agent_instances
   SET fly_app_name = 'oa-new', fly_volume_id = 'vol_n',
       fly_machine_id = NULL, status = 'provisioning'
 WHERE subdomain = 't-cold';
SELECT is(pg_temp.claim(:cold, 'h7'), 'mine 4 new 0 by h7',
          'a backend that leaves the machine to us');
SELECT is(pg_temp.placement(:cold), 'new oa-new - vol_n - ams',
          'says where');


-- a route that broke, with its machine

SELECT is(pg_temp.claim(:broken, 'h1'), 'mine 1 new 0 by h1',
          'status error: a job');
SELECT is(pg_temp.placement(:broken), 'new oa-broken - vol_5 5a lhr',
          'with what there is');


-- routes that go away under their holder

UPDATE public.agent_instances SET status = 'disabled'
 WHERE subdomain = 't-broken';
SELECT ok(NOT oa.job_step(pg_temp.job(:broken), 'h1', '10 s',
                          '{"stage":"machine","machine":"5b"}'),
          'disabled: the holder is to stop');
SELECT is(pg_temp.placement(:broken),
          'machine oa-broken - vol_5 5b lhr',
          'but what it made is written down');
UPDATE public.agent_instances SET status = 'error'
 WHERE subdomain = 't-broken';
SELECT is(pg_temp.claim(:broken, 'h2'), 'mine 1 machine 0 by h1',
          'enabled: somebody goes on');
UPDATE public.agent_instances SET status = 'disabled'
 WHERE subdomain = 't-broken';
SELECT ok(NOT oa.job_done(pg_temp.job(:broken), 'h2', '{}'),
          'disabled at the last moment');
SELECT is(pg_temp.state(:broken), 'disabled oa-broken 5b vol_5 lhr',
          'stays so, with its machine');
SELECT is(pg_temp.placement(:broken), 'ready oa-broken - vol_5 5b lhr',
          'and the job is done');

INSERT INTO oa.jobs (route_id, holder) VALUES (:off, 'h1');
SELECT ok(oa.job_failed(pg_temp.job(:off), 'h1', 'no', NULL),
          'disabled, and failed');
SELECT is(pg_temp.state(:off), 'disabled - - - iad', 'stays disabled');

SELECT ok(oa.job_step(pg_temp.job(:cold), 'h7', '10 s', '{}'),
          'another, still there');
UPDATE public.agent_instances SET subdomain = NULL
 WHERE subdomain = 't-cold';
SELECT ok(NOT oa.job_step(pg_temp.job(:cold), 'h7', '10 s', '{}'),
          'without a subdomain: the holder is to stop');

SELECT ok(oa.job_step(pg_temp.job(:warm), 'h1', '10 s', '{}'), 'a third');
DELETE FROM public.agent_instances WHERE subdomain = 't-warm';
SELECT ok(NOT oa.job_step(pg_temp.job(:warm), 'h1', '10 s',
                          '{"machine":"2b"}'),
          'deleted: the holder is to stop');
SELECT is(pg_temp.placement(:warm), 'new oa-warm - - 2b iad',
          'what it made is known');
SELECT results_eq(
    format($$ SELECT mine, job_id FROM oa.job_claim(%L, 'h2', '1 s', 'x') $$,
           :warm),
    $$ VALUES (false, NULL::uuid) $$, 'and nobody makes more');


-- progress

SELECT set_eq(
    format($$ SELECT * FROM oa.job_stages(ARRAY[%L, %L, gen_random_uuid(),
                                                NULL]::uuid[]) $$,
           :cold, :broken),
    format($$ VALUES (%L::uuid, 'new', 0, NULL::text, 0::bigint),
                     (%L, 'ready', 0, NULL, 0) $$, :cold, :broken),
    'the stages of those that have jobs');

SELECT * FROM finish();
ROLLBACK;
