-- pruning of tombstones, and the floor that it raises

\set ON_ERROR_STOP true
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off

BEGIN;

CREATE EXTENSION IF NOT EXISTS pgtap;

SELECT plan(13);

-- transaction ids low enough to have ended long ago

UPDATE oa.feed SET floor = '0';
DELETE FROM oa.route_changes;
INSERT INTO public.agent_instances (subdomain) VALUES ('t-live');
UPDATE oa.route_changes SET xid = '9', changed_at = now() - interval '1 year';
INSERT INTO oa.route_changes VALUES
    ('t-old',    1, '3', true, now() - interval '8 days'),
    ('t-older',  2, '5', true, now() - interval '9 days'),
    ('t-recent', 3, '4', true, now() - interval '6 days'),
    ('t-now',    4, pg_current_xact_id(), true, now() - interval '8 days');

SELECT is((SELECT floor FROM oa.feed_beat('x')), '0'::xid8,
          'never pruned: floor 0');
SELECT lives_ok('SELECT FROM oa.routes_changed(''0'')',
                'and every position is answered');

SELECT is(oa.prune_tombstones(), 2::bigint, 'two are old enough');
SELECT set_eq('SELECT subdomain FROM oa.route_changes',
              ARRAY['t-live' COLLATE "C", 't-recent', 't-now'],
              'those still running, recent or live stay');
SELECT is((SELECT floor FROM oa.feed_beat('x')), '5'::xid8,
          'the floor is the highest that went');
SELECT throws_ok('SELECT FROM oa.routes_changed(''5'')', 'OA001', NULL,
                 'a position at the floor is refused');
SELECT set_eq('SELECT subdomain FROM oa.routes_changed(''6'')',
              ARRAY['t-live' COLLATE "C", 't-now'],
              'one above it is answered');

SELECT is(oa.prune_tombstones(), 0::bigint, 'nothing more to prune');
SELECT is((SELECT floor FROM oa.feed), '5'::xid8, 'the floor stays');
SELECT is(oa.prune_tombstones('5 days'), 1::bigint, 'a shorter memory');
SELECT is((SELECT floor FROM oa.feed), '5'::xid8,
          'the floor is never lowered');

SELECT ok((SELECT xmin <= pg_current_xact_id() FROM oa.feed_beat('x')),
          'the position is not above a running transaction');
SELECT throws_ok($$ INSERT INTO oa.feed VALUES (true, '0') $$, '23505', NULL,
                 'the feed has one state');

SELECT * FROM finish();
ROLLBACK;
