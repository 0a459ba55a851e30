-- what agent_instances gained, and the view

\set ON_ERROR_STOP true
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off

BEGIN;

CREATE EXTENSION IF NOT EXISTS pgtap;

SELECT plan(42);


INSERT INTO auth.users (id, email) VALUES
    ('a0000000-0000-4000-8000-000000000001', 'alice@example.com'),
    ('b0000000-0000-4000-8000-000000000002', 'bob@example.com'),
    ('c0000000-0000-4000-8000-000000000003', 'carol@example.com');

INSERT INTO public.user_profiles (id, display_name, role) VALUES
    ('a0000000-0000-4000-8000-000000000001', 'alice', 'user'),
    ('b0000000-0000-4000-8000-000000000002', 'bob', 'creator');

INSERT INTO public.agents (id, creator_id, name, slug, price_monthly, status)
VALUES
    ('d0000000-0000-4000-8000-000000000001',
     'b0000000-0000-4000-8000-000000000002', 'free', 't-free', NULL,
     'published'),
    ('d0000000-0000-4000-8000-000000000002',
     'b0000000-0000-4000-8000-000000000002', 'paid', 't-paid', 5,
     'published'),
    ('d0000000-0000-4000-8000-000000000003',
     'b0000000-0000-4000-8000-000000000002', 'draft', 't-draft', NULL,
     'draft'),
    ('d0000000-0000-4000-8000-000000000004',
     'b0000000-0000-4000-8000-000000000002', 'bad', 't-bad', NULL,
     'suspended');

INSERT INTO public.agent_instances
    (id, user_id, agent_id, fly_app_name, fly_machine_id, status, subdomain)
VALUES
    ('e0000000-0000-4000-8000-000000000001',
     'a0000000-0000-4000-8000-000000000001',
     'd0000000-0000-4000-8000-000000000001',
     'oa-alice', '148e000000000a', 'running', 't-alice'),
    ('e0000000-0000-4000-8000-000000000002',
     'b0000000-0000-4000-8000-000000000002',
     'd0000000-0000-4000-8000-000000000001',
     'oa-bob', '148e000000000b', 'running', 't-bob');


SELECT col_type_is('public', 'agent_instances', 'subdomain', 'text',
                   'subdomain');
SELECT col_is_unique('public', 'agent_instances', ARRAY['subdomain'],
                     'subdomain is unique');
SELECT col_default_is('public', 'agent_instances', 'access', 'owner',
                      'access is owner by default');
SELECT col_default_is('public', 'agent_instances', 'status', 'provisioning',
                      'status is provisioning by default');
SELECT col_type_is('public', 'agent_instances', 'updated_at',
                   'timestamp with time zone', 'updated_at');

SELECT lives_ok(
    format('INSERT INTO public.agent_instances (subdomain) VALUES (%L)', s),
    format('%L is a label', s))
  FROM unnest(ARRAY['0', 't-a--b', 'xn--t-9ta', repeat('t', 63)]) s;

SELECT throws_ok(
    format('INSERT INTO public.agent_instances (subdomain) VALUES (%L)', s),
    '23514', NULL, to_json(s) || ' is none')
  FROM unnest(ARRAY['', '-t', 't-', 'T', 't.t', 't_t', E't\n', E'\nt',
                    E't\r\nt', 't;t', 't''t', 'tü', repeat('t', 64),
                    't ']) s;

SELECT throws_ok($$ INSERT INTO public.agent_instances (subdomain)
                    VALUES ('t-bob') $$, '23505', NULL,
                 'a name has one route');

SELECT lives_ok(
    format('UPDATE public.agent_instances SET status = %L
             WHERE subdomain = ''t-bob''', s),
    'status ' || s)
  FROM unnest(ARRAY['provisioning', 'stopped', 'suspended', 'error',
                    'disabled', 'running']) s;

SELECT throws_ok($$ UPDATE public.agent_instances SET status = 'x' $$,
                 '23514', NULL, 'no other status');
SELECT throws_ok($$ UPDATE public.agent_instances SET status = NULL $$,
                 '23502', NULL, 'nor none');
SELECT throws_ok($$ UPDATE public.agent_instances SET access = 'x' $$,
                 '23514', NULL, 'no other access');

UPDATE public.agent_instances SET updated_at = '2000-01-01'
 WHERE subdomain IN ('t-alice', 't-bob');
SELECT is((SELECT updated_at FROM public.agent_instances
            WHERE subdomain = 't-bob'), now(),
          'updated_at is kept');


SELECT columns_are('oa', 'routes',
    ARRAY['subdomain', 'route_id', 'user_id', 'agent_id', 'app', 'machine',
          'region', 'status', 'access', 'version']);
SELECT is(
    (SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod),
                       ', ' ORDER BY attnum)
       FROM pg_attribute WHERE attrelid = 'oa.routes'::regclass),
    'subdomain text, route_id uuid, user_id uuid, agent_id uuid, app text, '
    'machine text, region text, status text, access text, version bigint',
    'their order and types');

INSERT INTO public.agent_instances (fly_app_name) VALUES ('unnamed');

SELECT is_empty('SELECT FROM oa.routes WHERE subdomain IS NULL
                 OR app = ''unnamed''', 'without a subdomain no route');
SELECT results_eq(
    $$ SELECT route_id, user_id, agent_id, app, machine, region, status,
              access
         FROM oa.routes WHERE subdomain = 't-alice' $$,
    $$ VALUES ('e0000000-0000-4000-8000-000000000001'::uuid,
               'a0000000-0000-4000-8000-000000000001'::uuid,
               'd0000000-0000-4000-8000-000000000001'::uuid,
               'oa-alice', '148e000000000a', 'iad', 'running', 'owner') $$,
    'a route');
SELECT results_eq(
    $$ SELECT user_id, app FROM oa.routes WHERE subdomain = 't-a--b' $$,
    $$ VALUES (NULL::uuid, NULL::text) $$,
    'a route without an owner or a machine is one');
SELECT is((SELECT version FROM oa.routes WHERE subdomain = 't-bob'),
          (SELECT version FROM oa.route_changes WHERE subdomain = 't-bob'),
          'the version is the feed''s');


-- pages: the same in every locale, and never more than is read

SELECT results_eq(
    $$ SELECT subdomain FROM oa.routes
        WHERE subdomain > 't-' ORDER BY subdomain LIMIT 3 $$,
    ARRAY['t-a--b' COLLATE "C", 't-alice', 't-bob'], 'pages are in byte order');

INSERT INTO public.agent_instances (subdomain)
     SELECT 't-page-' || md5(g::text) FROM generate_series(1, 20000) g;
CREATE FUNCTION pg_temp.plan_of(query text) RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE 'EXPLAIN (COSTS off) ' || query;
END
$$;

ANALYZE public.agent_instances;
ANALYZE oa.route_changes;
SELECT is_empty(
    $$ SELECT * FROM pg_temp.plan_of('SELECT * FROM oa.routes
           WHERE subdomain > ''t-page-8'' ORDER BY subdomain LIMIT 100') p
        WHERE p ~ 'Sort|Seq Scan|Hash' $$,
    'a page is read by the index');

SELECT * FROM finish();
ROLLBACK;
