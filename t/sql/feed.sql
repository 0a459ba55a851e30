-- the feed: one row for every name ever seen, its last change

\set ON_ERROR_STOP true
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off

SET client_min_messages = warning;

BEGIN;

CREATE EXTENSION IF NOT EXISTS pgtap;

SELECT plan(33);

SELECT col_is_pk('oa', 'route_changes', 'subdomain', 'one row for a name');
SELECT col_type_is('oa', 'route_changes', 'xid', 'xid8', 'xid');
SELECT has_index('oa', 'route_changes', 'route_changes_xid',
                 ARRAY['xid'], 'xid is indexed');
SELECT is((SELECT seqcache FROM pg_sequence
            WHERE seqrelid = 'oa.route_version'::regclass), 1::bigint,
          'sessions keep no versions in stock');

-- what was seen of a name, and whether it changed since

CREATE TEMP TABLE seen (name text PRIMARY KEY, version bigint);

CREATE FUNCTION pg_temp.changed(of_ text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    old  bigint := (SELECT s.version FROM seen s WHERE s.name = of_);
    new  bigint := (SELECT c.version FROM oa.route_changes c
                     WHERE c.subdomain = of_);
BEGIN
    INSERT INTO seen VALUES (of_, new)
        ON CONFLICT (name) DO UPDATE SET version = new;
    RETURN new > coalesce(old, 0);
END
$$;

CREATE FUNCTION pg_temp.deleted(of_ text) RETURNS boolean
LANGUAGE sql AS $$
    SELECT c.deleted FROM oa.route_changes c WHERE c.subdomain = of_
$$;


-- insert

INSERT INTO public.agent_instances
    (id, subdomain, fly_app_name, fly_machine_id, status)
VALUES ('e0000000-0000-4000-8000-000000000001', 't-a', 'oa-a', '1a',
        'running');

SELECT ok(pg_temp.changed('t-a'), 'insert: a change');
SELECT is(pg_temp.deleted('t-a'), false, 'insert: live');
SELECT is((SELECT xid FROM oa.route_changes WHERE subdomain = 't-a'),
          pg_current_xact_id(), 'insert: the transaction''s id');

INSERT INTO public.agent_instances (fly_app_name) VALUES ('unnamed');
UPDATE public.agent_instances SET region = 'fra'
 WHERE fly_app_name = 'unnamed';
DELETE FROM public.agent_instances WHERE fly_app_name = 'unnamed';
SELECT is_empty('SELECT FROM oa.route_changes WHERE subdomain IS NULL',
                'without a name: no change');


-- update

UPDATE public.agent_instances SET last_active_at = now(),
       fly_volume_id = 'vol' WHERE subdomain = 't-a';
SELECT ok(NOT pg_temp.changed('t-a'), 'last_active_at: no change');

UPDATE public.agent_instances SET status = 'running'
 WHERE subdomain = 't-a';
SELECT ok(NOT pg_temp.changed('t-a'), 'the same value: no change');

CREATE FUNCTION pg_temp.set(what text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'UPDATE public.agent_instances SET ' || what
            || ' WHERE subdomain = ''t-a''';
    RETURN pg_temp.changed('t-a');
END
$$;

INSERT INTO auth.users (id) VALUES ('a0000000-0000-4000-8000-000000000001');
INSERT INTO public.user_profiles (id)
    VALUES ('a0000000-0000-4000-8000-000000000001');
INSERT INTO public.agents (id, name, slug)
    VALUES ('d0000000-0000-4000-8000-000000000001', 'a', 't-a');

SELECT ok(pg_temp.set(what), what || ': a change')
  FROM unnest(ARRAY[
           'user_id = ''a0000000-0000-4000-8000-000000000001''',
           'agent_id = ''d0000000-0000-4000-8000-000000000001''',
           'fly_app_name = ''oa-b''', 'fly_machine_id = NULL',
           'region = ''fra''', 'status = ''suspended''',
           'access = ''public''',
           'id = ''e0000000-0000-4000-8000-000000000009''']) what;


-- rename, to a lesser and to a greater name

UPDATE public.agent_instances SET subdomain = 't-0' WHERE subdomain = 't-a';
SELECT ok(pg_temp.changed('t-a') AND pg_temp.deleted('t-a'),
          'rename: the old name is a tombstone');
SELECT ok(pg_temp.changed('t-0') AND NOT pg_temp.deleted('t-0'),
          'rename: the new one lives');

UPDATE public.agent_instances SET subdomain = 't-b' WHERE subdomain = 't-0';
SELECT ok(pg_temp.changed('t-0') AND pg_temp.deleted('t-0')
          AND pg_temp.changed('t-b') AND NOT pg_temp.deleted('t-b'),
          'and the other way');

UPDATE public.agent_instances SET subdomain = NULL WHERE subdomain = 't-b';
SELECT ok(pg_temp.changed('t-b') AND pg_temp.deleted('t-b'),
          'name taken away: a tombstone');

UPDATE public.agent_instances SET subdomain = 't-b'
 WHERE id = 'e0000000-0000-4000-8000-000000000009';
SELECT ok(pg_temp.changed('t-b') AND NOT pg_temp.deleted('t-b'),
          'name given back: live');


-- the name of one becomes another's

INSERT INTO public.agent_instances (id, subdomain, fly_app_name)
VALUES ('e0000000-0000-4000-8000-000000000002', 't-a', 'oa-second');
SELECT ok(pg_temp.changed('t-a') AND NOT pg_temp.deleted('t-a'),
          'a used name: live again, with a higher version');

DELETE FROM public.agent_instances
 WHERE id = 'e0000000-0000-4000-8000-000000000002';
SELECT ok(pg_temp.changed('t-a') AND pg_temp.deleted('t-a'),
          'delete: a tombstone');


-- reading it

SELECT set_eq(
    $$ SELECT subdomain, route_id, app FROM oa.routes_named(
           ARRAY['t-a', 't-b', 't-b', 't-never', NULL, ''';--']) $$,
    $$ VALUES ('t-a' COLLATE "C", NULL::uuid, NULL::text),
              ('t-b', 'e0000000-0000-4000-8000-000000000009', 'oa-b') $$,
    'by name: routes and tombstones, once each');
SELECT is((SELECT version FROM oa.routes_named(ARRAY[n])),
          (SELECT version FROM seen WHERE name = n),
          'by name: the version of ' || n)
  FROM unnest(ARRAY['t-a', 't-b']) n;
SELECT is_empty('SELECT FROM oa.routes_named(''{}'')', 'no name: no row');

SELECT set_eq(
    $$ SELECT subdomain, route_id, version
         FROM oa.routes_changed(pg_current_xact_id()) $$,
    $$ SELECT s.name COLLATE "C", i.id, s.version
         FROM seen s
         LEFT JOIN public.agent_instances i ON i.subdomain = s.name $$,
    'by position: all that this transaction changed');

UPDATE oa.route_changes SET xid = '3' WHERE subdomain = 't-0';
SELECT set_eq(
    $$ SELECT subdomain FROM oa.routes_changed(pg_current_xact_id()) $$,
    ARRAY['t-a' COLLATE "C", 't-b'],
    'by position: nothing from before it');

SELECT throws_ok(
    format('SELECT FROM oa.routes_changed(%L)',
           (pg_snapshot_xmax(pg_current_snapshot())::text::numeric + 1)),
    'OA001', NULL, 'a position of another cluster is refused');


-- truncate

TRUNCATE public.agent_instances CASCADE;
SELECT ok(pg_temp.changed('t-b') AND pg_temp.deleted('t-b')
          AND NOT pg_temp.changed('t-a'),
          'truncate: all that lived are tombstones');

SELECT * FROM finish();
ROLLBACK;
