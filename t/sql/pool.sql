-- the pool: how entries are made, handed out and destroyed

\set ON_ERROR_STOP true
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off

SET client_min_messages = warning;

BEGIN;

CREATE EXTENSION IF NOT EXISTS pgtap;

SELECT plan(68);


CREATE FUNCTION pg_temp.entry(app text) RETURNS uuid
LANGUAGE sql AS $$
    SELECT p.id FROM oa.pool p WHERE p.app = entry.app
$$;

CREATE FUNCTION pg_temp.shown(app text) RETURNS text
LANGUAGE sql AS $$
    SELECT concat_ws(' ', p.status, p.wanted, coalesce(p.region, '-'),
                     coalesce(p.ip, '-'), coalesce(p.volume, '-'),
                     coalesce(p.machine, '-'))
      FROM oa.pool p WHERE p.app = shown.app
$$;


-- making one

SELECT is(oa.pool_begin('iad', 'fly:1', want, 'h1'), NULL,
          'none is wanted: ' || coalesce(want::text, 'NULL'))
  FROM unnest(ARRAY[0, -1, NULL]) want;
SELECT oa.pool_begin('iad', 'fly:1', 2, 'h1') AS one \gset
SELECT isnt(:'one'::uuid, NULL, 'one of two');
SELECT isnt(oa.pool_begin('iad', 'fly:1', 2, 'h2'), NULL, 'two of two');
SELECT is(oa.pool_begin('iad', 'fly:1', 2, 'h3'), NULL,
          'those being made count');
SELECT isnt(oa.pool_begin(r, d, 1, 'h3'), NULL, 'nothing to do with ' || d)
  FROM (VALUES ('fra', 'fly:1'), ('iad', 'fly:2'), ('iad', 'other:1'))
       p (r, d);
DELETE FROM oa.pool WHERE (wanted, digest) <> ('iad', 'fly:1');
SELECT throws_ok(
    format($$ SELECT oa.pool_begin('iad', %L, 1, 'h1') $$, d), '23514',
    NULL, 'not NAME:HASH: ' || d)
  FROM unnest(ARRAY['', 'fly', 'fly:', ':1', 'fly:1:2']) d;

SELECT ok(oa.pool_step(:'one', 'h1', '10 s', 
                       '{"app":"p-1","stage":"app","state":{"at":1,"n":1}}'),
          'a step');
SELECT ok(oa.pool_step(:'one', 'h1', '10 s', '{"ip":"::1","volume":"v"}'),
          'the next');
SELECT ok(oa.pool_step(:'one', 'h1', '10 s', '{}'), 'an empty one');
SELECT is(pg_temp.shown('p-1'), 'provisioning iad - ::1 v -',
          'are stored, and take nothing away');
SELECT is((SELECT (stage, state)::text FROM oa.pool WHERE app = 'p-1'),
          '(app,"{""n"": 1, ""at"": 1}")', 'with the router''s own');
SELECT ok(NOT oa.pool_step(:'one', 'h2', '10 s', '{"machine":"evil"}'),
          'somebody else''s step');
SELECT ok(NOT oa.pool_ready(:'one', 'h2', '{"machine":"evil"}'),
          'somebody else has it ready');
SELECT ok(NOT oa.pool_failed(:'one', 'h2', 'evil'), 'or failed');
SELECT is(pg_temp.shown('p-1'), 'provisioning iad - ::1 v -',
          'nothing changed');

SELECT throws_ok(format($$ SELECT oa.pool_ready(%L, 'h1', '{}') $$, :'one'),
                 '22004', NULL, 'without a machine none is ready');
SELECT ok(oa.pool_ready(:'one', 'h1',
                        '{"volume":null,"machine":"1a","region":"ewr"}'),
          'ready');
SELECT is(pg_temp.shown('p-1'), 'ready iad ewr ::1 - 1a', 'as it came out');
SELECT ok(NOT oa.pool_step(:'one', 'h1', '10 s', '{"machine":"1b"}'),
          'and no longer its maker''s');
SELECT is(oa.pool_begin('iad', 'fly:1', 2, 'h3'), NULL,
          'it counts where it was wanted, not where it is');

UPDATE oa.pool SET leased_until = now() - interval '1 s'
 WHERE status = 'provisioning';
SELECT oa.pool_begin('iad', 'fly:1', 2, 'h3') AS two \gset
SELECT isnt(:'two'::uuid, NULL, 'one whose maker died does not count');
SELECT ok(oa.pool_ready(:'two', 'h3', '{"app":"p-2","machine":"2a"}'),
          'another');
SELECT is(pg_temp.shown('p-2'), 'ready iad iad - - 2a',
          'is where it was wanted, unless told otherwise');


-- handing them out

INSERT INTO oa.pool (status, digest, wanted, region, app, machine, created_at)
VALUES ('ready', 'fly:1', 'fra', 'fra', 'p-f', 'fa', now()),
       ('ready', 'fly:1', 'fra', 'fra', 'p-e', 'ea', now() - interval '1 h'),
       ('ready', 'fly:2', 'fra', 'fra', 'p-t', 'ta', now()),
       ('ready', 'other:1', 'fra', 'fra', 'p-o', 'oa', now()),
       ('failed', 'fly:1', 'ams', 'ams', 'p-x', 'xa', now()),
       ('provisioning', 'fly:1', 'ams', 'ams', 'p-y', 'ya', now()),
       ('destroying', 'fly:1', 'ams', 'ams', 'p-z', 'za', now());
UPDATE oa.pool SET state = '{"n":1,"at":1}' WHERE app = 'p-e';
INSERT INTO oa.jobs (id, route_id, holder, stage, app, state)
SELECT ('f0000000-0000-4000-8000-00000000000' || n)::uuid,
       gen_random_uuid(), 'h1', CASE n WHEN 9 THEN 'app' ELSE 'claim' END,
       CASE n WHEN 9 THEN 'oa-own' END, '{"at":2}'
  FROM generate_series(1, 9) n;

CREATE FUNCTION pg_temp.claim(job integer, regions text[],
                              holder text DEFAULT 'h1') RETURNS text
LANGUAGE sql AS $$
    SELECT concat_ws(' ', c.app, c.machine, c.region)
      FROM oa.pool_claim(
               ('f0000000-0000-4000-8000-00000000000' || job)::uuid,
               claim.holder, regions, 'fly:1') c
$$;

SELECT is(pg_temp.claim(1, '{fra}', h), NULL, 'not for ' || w)
  FROM (VALUES ('h2', 'another holder'), (NULL, 'nobody')) c (h, w);
SELECT is(pg_temp.claim(1, '{ams}'), NULL, 'none that is not ready');
SELECT is(pg_temp.claim(1, '{}'), NULL, 'none of no region');
SELECT is(pg_temp.claim(9, '{fra}'), NULL,
          'none for a job that has a placement');
SELECT is(pg_temp.claim(1, '{sin,fra,iad,ewr}'), 'p-e ea fra',
          'the nearest region, and of it the oldest');
SELECT results_eq(
    $$ SELECT stage, app, machine, region, state FROM oa.jobs
        WHERE id = 'f0000000-0000-4000-8000-000000000001' $$,
    $$ VALUES ('claim', 'p-e', 'ea', 'fra', '{"n":1,"at":2}'::jsonb) $$,
    'it is the job''s, whose own state counts more');
SELECT is((SELECT job_id FROM oa.pool WHERE app = 'p-e'),
          'f0000000-0000-4000-8000-000000000001',
          'and the entry says whose it is');
SELECT is(pg_temp.claim(1, '{ewr}'), 'p-e ea fra',
          'who asks again gets the same');
SELECT is(pg_temp.shown('p-e'), 'claimed fra fra - - ea', 'and no other');
SELECT ok(oa.pool_begin('fra', 'fly:1', 2, 'h1') IS NOT NULL,
          'it leaves a place');
SELECT is(pg_temp.claim(2, '{ewr,fra}'), 'p-1 1a ewr', 'by actual region');
SELECT is(pg_temp.claim(n, '{fra,iad,ewr}'), want,
          coalesce('then ' || want, 'and then none'))
  FROM (VALUES (3, 'p-f fa fra'), (4, 'p-2 2a iad'), (5, NULL))
       c (n, want);
SELECT is((SELECT count(*) FROM oa.pool WHERE status = 'ready'), 2::bigint,
          'those of other templates are not touched');

UPDATE oa.jobs SET stage = 'health'
 WHERE id = 'f0000000-0000-4000-8000-000000000001';
SELECT is(pg_temp.claim(1, '{fra,iad}'), NULL,
          'a job that went on claims no second one');


-- a claimed entry stays claimed

SELECT ok(NOT f, 'claimed: no ' || what)
  FROM (VALUES
        (oa.pool_step(pg_temp.entry('p-e'), 'h1', '1 s', '{}'), 'step'),
        (oa.pool_ready(pg_temp.entry('p-e'), 'h1', '{}'), 'ready'),
        (oa.pool_failed(pg_temp.entry('p-e'), 'h1', 'x'), 'failed'),
        (oa.pool_dropped(pg_temp.entry('p-e')), 'dropped')) t (f, what);


-- looking at them

DELETE FROM oa.pool WHERE status <> 'claimed';
INSERT INTO oa.pool (status, digest, wanted, region, app, machine, holder,
                     leased_until, created_at, checked_at)
SELECT p.status, p.digest, 'iad', 'iad', p.app, p.app || '-m', 'h1',
       now() + p.lease, now() - p.age, now() - interval '1 h'
  FROM (VALUES
    ('ready', 'fly:1', 'k-ready', NULL, interval '1 h'),
    ('ready', 'fly:0', 'k-young', NULL, '5 min'),
    ('ready', 'fly:0', 'd-old', NULL, '1 h'),
    ('ready', 'other:0', 'k-other', NULL, '1 h'),
    ('failed', 'fly:1', 'd-failed', NULL, '0'),
    ('failed', 'other:1', 'k-failed', NULL, '0'),
    ('provisioning', 'fly:1', 'k-making', interval '1 s', '1 h'),
    ('provisioning', 'fly:0', 'k-making0', interval '1 s', '1 h'),
    ('provisioning', 'fly:1', 'd-dead', interval '-1 s', '1 h'),
    ('destroying', 'fly:1', 'k-dying', interval '1 s', '1 h'),
    ('destroying', 'fly:1', 'd-dying', interval '-1 s', '1 h'))
    p (status, digest, app, lease, age);

SELECT set_eq(
    $$ SELECT app, machine FROM oa.pool_check('fly:1', '10 min') $$,
    $$ VALUES ('k-ready', 'k-ready-m') $$, 'ready, and not looked at long');
SELECT is_empty($$ SELECT FROM oa.pool_check('fly:1', '10 min') $$,
                'now somebody does');


-- destroying them

UPDATE oa.pool SET stage = 'ip', state = '{"at":1}' WHERE app LIKE 'd-%';
SELECT set_eq(
    $$ SELECT app, machine, region, stage, state
         FROM oa.pool_old('fly:1', '10 min') $$,
    $$ SELECT a, a || '-m' AS m, 'iad' AS r, 'ip' AS s, '{"at":1}'::jsonb
         FROM unnest(ARRAY['d-old', 'd-failed', 'd-dead', 'd-dying']) a $$,
    'another template, failed, without a maker, without a destroyer');
SELECT is_empty($$ SELECT FROM oa.pool_old('fly:1', '10 min') $$,
                'the next one who asks gets none of them');
SELECT set_eq(
    $$ SELECT app FROM oa.pool WHERE status = 'destroying' $$,
    ARRAY['k-dying', 'd-old', 'd-failed', 'd-dead', 'd-dying'],
    'nor does a job');
SELECT ok(NOT oa.pool_step(pg_temp.entry('d-dead'), 'h1', '1 s', '{}'),
          'a maker that was not dead learns it');
SELECT ok(NOT oa.pool_ready(pg_temp.entry('d-dead'), 'h1', '{}'),
          'and does not put it back');
UPDATE oa.pool SET leased_until = leased_until - interval '6 min'
 WHERE app = 'd-dead';
SELECT set_eq($$ SELECT app FROM oa.pool_old('fly:1', '10 min') $$,
              ARRAY['d-dead'], 'a destroyer that died is taken over');

SELECT ok(oa.pool_dropped(pg_temp.entry('d-dead')), 'nothing is left of it');
SELECT ok(NOT oa.pool_dropped(pg_temp.entry('k-ready')),
          'but one that is ready is no waste');
SELECT is(pg_temp.shown('d-dead'), NULL, 'forgotten');

SELECT ok(oa.pool_failed(pg_temp.entry('k-ready'), 'h9', 'dead'),
          'one that was found dead');
SELECT ok(oa.pool_failed(pg_temp.entry('k-making'), 'h1', repeat('e', 600)),
          'one that could not be made');
SELECT set_eq(
    $$ SELECT app FROM oa.pool_old('fly:1', '10 min') $$,
    ARRAY['k-ready', 'k-making'], 'go the same way');
SELECT is((SELECT length(error) FROM oa.pool WHERE app = 'k-making'), 500,
          'errors have an end');
SELECT is((SELECT count(*) FROM oa.pool WHERE status = 'claimed'), 4::bigint,
          'what was claimed stays so');

SELECT * FROM finish();
ROLLBACK;
