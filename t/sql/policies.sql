-- who sees and changes what in the marketplace's tables

\set ON_ERROR_STOP true
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off

BEGIN;

CREATE EXTENSION IF NOT EXISTS pgtap;

SELECT plan(70);


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


INSERT INTO public.purchases (buyer_id, agent_id) VALUES
    ('a0000000-0000-4000-8000-000000000001',
     'd0000000-0000-4000-8000-000000000002'),
    ('b0000000-0000-4000-8000-000000000002',
     'd0000000-0000-4000-8000-000000000002');

INSERT INTO public.sessions (id, user_id, instance_id) VALUES
    ('f0000000-0000-4000-8000-000000000001',
     'a0000000-0000-4000-8000-000000000001',
     'e0000000-0000-4000-8000-000000000001'),
    ('f0000000-0000-4000-8000-000000000002',
     'b0000000-0000-4000-8000-000000000002',
     'e0000000-0000-4000-8000-000000000002');

INSERT INTO public.messages (session_id, role, content) VALUES
    ('f0000000-0000-4000-8000-000000000001', 'user', 'of alice'),
    ('f0000000-0000-4000-8000-000000000002', 'user', 'of bob');

INSERT INTO public.usage_events (user_id, quantity) VALUES
    ('a0000000-0000-4000-8000-000000000001', 1),
    ('b0000000-0000-4000-8000-000000000002', 2);


-- nothing of ours is open

SELECT is(c.relrowsecurity, true, c.oid::regclass || ' has RLS')
  FROM pg_class c
 WHERE c.relnamespace IN ('public'::regnamespace, 'oa'::regnamespace)
   AND c.relkind IN ('r', 'p')
   AND (c.relnamespace = 'oa'::regnamespace
        OR c.relname IN ('user_profiles', 'agents', 'purchases',
                         'agent_instances', 'sessions', 'messages',
                         'usage_events'))
 ORDER BY c.oid::regclass::text;

SELECT is_empty(
    $$ SELECT p.oid::regprocedure
         FROM pg_proc p
         CROSS JOIN aclexplode(coalesce(p.proacl,
                                        acldefault('f', p.proowner))) a
        WHERE (p.pronamespace = 'oa'::regnamespace
               OR p.proname = 'add_tenant_claims')
          AND a.grantee = 0 $$,
    'PUBLIC executes no function of ours');

SELECT is_empty(
    $$ SELECT p.oid::regprocedure
         FROM pg_proc p
        WHERE p.pronamespace = 'oa'::regnamespace
          AND has_function_privilege('anon', p.oid, 'EXECUTE') $$,
    'anon executes nothing in oa');

SELECT set_eq(
    $$ SELECT p.proname::text
         FROM pg_proc p
        WHERE p.pronamespace = 'oa'::regnamespace
          AND has_function_privilege('authenticated', p.oid, 'EXECUTE') $$,
    ARRAY['create_instance', 'rename_route', 'set_route_access',
          'delete_route'],
    'authenticated executes the users'' functions alone');

SELECT is_empty(
    $$ SELECT p.oid::regprocedure
         FROM pg_proc p
        WHERE p.pronamespace = 'oa'::regnamespace
          AND NOT coalesce('search_path=""' = ANY (p.proconfig), false) $$,
    'every function in oa has an empty search_path');

SELECT is_empty(
    $$ SELECT c.oid::regclass, r.role, p.privilege
         FROM pg_class c,
              unnest(ARRAY['anon', 'authenticated']) r (role),
              unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE',
                           'REFERENCES', 'TRIGGER']) p (privilege)
        WHERE c.relnamespace = 'oa'::regnamespace
          AND c.relkind IN ('r', 'p', 'v')
          AND has_table_privilege(r.role, c.oid, p.privilege) $$,
    'users have no right on a table or view in oa');

SELECT is_empty(
    $$ SELECT t.name, r.role, p.privilege
         FROM unnest(ARRAY['user_profiles', 'agents', 'purchases',
                           'agent_instances', 'sessions', 'messages',
                           'usage_events']) t (name),
              unnest(ARRAY['anon', 'authenticated']) r (role),
              unnest(ARRAY['TRUNCATE', 'REFERENCES', 'TRIGGER'])
                  p (privilege)
        WHERE has_table_privilege(r.role, 'public.' || t.name,
                                  p.privilege) $$,
    'users neither truncate nor refer to nor trigger on the tables');


-- anon

SET LOCAL ROLE anon;

SELECT set_eq('SELECT slug FROM public.agents WHERE slug LIKE ''t-%''',
              ARRAY['t-free', 't-paid'], 'anon sees published agents only');

SELECT throws_ok('SELECT FROM public.' || t, '42501', NULL,
                 'anon does not read ' || t)
  FROM unnest(ARRAY['user_profiles', 'purchases', 'agent_instances',
                    'sessions', 'messages', 'usage_events']) t;

SELECT throws_ok($$ UPDATE public.agents SET name = 'x' $$, '42501', NULL,
                 'anon changes no agent');
SELECT throws_ok($$ DELETE FROM public.agents $$, '42501', NULL,
                 'anon deletes no agent');
SELECT throws_ok($$ SELECT FROM oa.routes $$, '42501', NULL,
                 'anon does not read the routes');
SELECT throws_ok(
    $$ SELECT oa.create_instance('d0000000-0000-4000-8000-000000000001',
                                 't-anon') $$,
    '42501', NULL, 'anon makes no instance');


-- alice, a user

SET LOCAL ROLE authenticated;
SET LOCAL request.jwt.claims =
    '{"sub":"a0000000-0000-4000-8000-000000000001"}';

SELECT results_eq('SELECT display_name FROM public.user_profiles',
                  ARRAY['alice'], 'alice sees her profile only');
SELECT set_eq('SELECT slug FROM public.agents WHERE slug LIKE ''t-%''',
              ARRAY['t-free', 't-paid'], 'alice sees published agents only');
SELECT results_eq('SELECT buyer_id FROM public.purchases',
                  ARRAY['a0000000-0000-4000-8000-000000000001'::uuid],
                  'alice sees her purchase only');
SELECT results_eq('SELECT subdomain FROM public.agent_instances',
                  ARRAY['t-alice' COLLATE "C"],
                  'alice sees her instance only');
SELECT results_eq('SELECT user_id FROM public.sessions',
                  ARRAY['a0000000-0000-4000-8000-000000000001'::uuid],
                  'alice sees her session only');
SELECT results_eq('SELECT content FROM public.messages',
                  ARRAY['of alice'], 'alice sees her messages only');
SELECT results_eq('SELECT quantity FROM public.usage_events',
                  ARRAY[1::numeric], 'alice sees her usage only');

SELECT throws_ok(
    'UPDATE public.agent_instances SET ' || s, '42501', NULL,
    'alice does not set ' || s)
  FROM unnest(ARRAY['fly_machine_id = ''148e000000000b''',
                    'fly_app_name = ''oa-bob''',
                    'status = ''running''',
                    'region = ''fra''',
                    'subdomain = ''t-x''',
                    'access = ''public''',
                    'user_id = auth.uid()',
                    'last_active_at = now()']) s;

SELECT throws_ok(
    $$ INSERT INTO public.agent_instances
           (user_id, fly_app_name, fly_machine_id, status, subdomain)
       VALUES (auth.uid(), 'oa-bob', '148e000000000b', 'running', 't-x') $$,
    '42501', NULL, 'alice inserts no instance');
SELECT throws_ok($$ DELETE FROM public.agent_instances $$, '42501', NULL,
                 'alice deletes no instance');

SELECT throws_ok($$ UPDATE public.user_profiles SET role = 'admin' $$,
                 '42501', NULL, 'alice does not set her role');
SELECT throws_ok(
    $$ UPDATE public.user_profiles SET stripe_customer_id = 'cus_x' $$,
    '42501', NULL, 'alice does not set her customer id');
SELECT throws_ok($$ DELETE FROM public.user_profiles $$, '42501', NULL,
                 'alice does not delete her profile');
SELECT lives_ok($$ UPDATE public.user_profiles SET display_name = 'Al' $$,
                'alice changes her name');

SELECT throws_ok('INSERT INTO public.' || t || ' DEFAULT VALUES', '42501',
                 NULL, 'alice inserts nothing into ' || t)
  FROM unnest(ARRAY['purchases', 'sessions', 'messages',
                    'usage_events']) t;

SELECT throws_ok(
    $$ INSERT INTO public.agents (creator_id, name, slug)
       VALUES ('b0000000-0000-4000-8000-000000000002', 'x', 't-x') $$,
    '42501', NULL, 'alice makes no agent in bob''s name');

UPDATE public.agents SET name = 'hers';
DELETE FROM public.agents;


-- bob, a creator

SET LOCAL request.jwt.claims =
    '{"sub":"b0000000-0000-4000-8000-000000000002"}';

SELECT results_eq('SELECT display_name FROM public.user_profiles',
                  ARRAY['bob'], 'alice renamed nobody but herself');
SELECT set_eq('SELECT slug, name FROM public.agents WHERE slug LIKE ''t-%''',
              $$ VALUES ('t-free', 'free'), ('t-paid', 'paid'),
                        ('t-draft', 'draft'), ('t-bad', 'bad') $$,
              'bob sees all his agents, which alice did not change');

UPDATE public.agents SET status = 'published' WHERE slug = 't-draft';
SELECT is((SELECT status FROM public.agents WHERE slug = 't-draft'),
          'published', 'bob publishes his draft');

UPDATE public.agents SET status = 'published' WHERE slug = 't-bad';
SELECT is((SELECT status FROM public.agents WHERE slug = 't-bad'),
          'suspended', 'bob does not lift a suspension');

DELETE FROM public.agents WHERE slug = 't-bad';
SELECT isnt_empty('SELECT FROM public.agents WHERE slug = ''t-bad''',
                  'nor deletes what is suspended');

SELECT throws_ok('UPDATE public.agents SET ' || s, '42501', NULL,
                 'bob does not set ' || s)
  FROM unnest(ARRAY['rating = 5', 'install_count = 1000',
                    'creator_id = NULL']) s;


-- carol, without a profile

SET LOCAL request.jwt.claims =
    '{"sub":"c0000000-0000-4000-8000-000000000003"}';

SELECT throws_ok(
    $$ INSERT INTO public.user_profiles (id, role)
       VALUES (auth.uid(), 'admin') $$,
    '42501', NULL, 'carol gives herself no role');
SELECT throws_ok(
    $$ INSERT INTO public.user_profiles (id)
       VALUES ('b0000000-0000-4000-8000-000000000002') $$,
    '42501', NULL, 'carol makes nobody else''s profile');
SELECT lives_ok(
    $$ INSERT INTO public.user_profiles (id, display_name)
       VALUES (auth.uid(), 'carol') $$,
    'carol makes her profile');
SELECT results_eq('SELECT role FROM public.user_profiles', ARRAY['user'],
                  'and is a user');


-- a token without a subject

SET LOCAL request.jwt.claims = '{}';

SELECT is_empty('SELECT FROM public.agent_instances',
                'nobody has no instance');
SELECT is_empty('SELECT FROM public.user_profiles',
                'nobody has no profile');

RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
