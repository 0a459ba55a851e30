-- what users do to their own routes

\set ON_ERROR_STOP true
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off

BEGIN;

CREATE EXTENSION IF NOT EXISTS pgtap;

SELECT plan(23);


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


UPDATE public.agent_instances SET status = 'disabled'
 WHERE subdomain = 't-alice';

-- alice has an instance of t-free; she bought none of the others

SET LOCAL ROLE authenticated;
SET LOCAL request.jwt.claims =
    '{"sub":"a0000000-0000-4000-8000-000000000001"}';

SELECT throws_ok(
    format('SELECT oa.create_instance(%L, %L)', id, 't-new'),
    '42501', 'agent is not available', 'alice gets none of ' || what)
  FROM (VALUES ('d0000000-0000-4000-8000-000000000002', 'unpaid'),
               ('d0000000-0000-4000-8000-000000000003', 'a draft'),
               ('d0000000-0000-4000-8000-000000000004', 'a suspended agent'),
               ('d0000000-0000-4000-8000-000000000009', 'no agent'))
       a (id, what);

SELECT throws_ok(
    $$ SELECT oa.create_instance('d0000000-0000-4000-8000-000000000001',
                                 't-new') $$,
    '23505', NULL, 'alice gets no second instance of an agent');


-- other people's instances do not exist

SELECT throws_ok(
    $$ SELECT oa.rename_route('e0000000-0000-4000-8000-000000000002',
                              't-new') $$,
    'P0002', 'no such instance', 'alice does not rename bob''s route');
SELECT throws_ok(
    $$ SELECT oa.set_route_access('e0000000-0000-4000-8000-000000000002',
                                  'public') $$,
    'P0002', 'no such instance', 'nor opens it');
SELECT throws_ok(
    $$ SELECT oa.delete_route('e0000000-0000-4000-8000-000000000002') $$,
    'P0002', 'no such instance', 'nor deletes it');


-- her own

SELECT throws_ok(
    $$ SELECT oa.rename_route('e0000000-0000-4000-8000-000000000001',
                              't-bob') $$,
    '23505', NULL, 'alice does not take bob''s name');
SELECT throws_ok(
    $$ SELECT oa.rename_route('e0000000-0000-4000-8000-000000000001',
                              'T;x') $$,
    '23514', NULL, 'nor a name that is none');
SELECT throws_ok(
    $$ SELECT oa.rename_route('e0000000-0000-4000-8000-000000000001',
                              NULL) $$,
    '22004', NULL, 'nor no name');
SELECT throws_ok(
    $$ SELECT oa.set_route_access('e0000000-0000-4000-8000-000000000001',
                                  'everybody') $$,
    '23514', NULL, 'an access is one of three');

SELECT lives_ok(
    $$ SELECT oa.rename_route('e0000000-0000-4000-8000-000000000001',
                              't-alice2') $$,
    'alice renames her route');
SELECT lives_ok(
    $$ SELECT oa.set_route_access('e0000000-0000-4000-8000-000000000001',
                                  'public') $$,
    'and opens it');
SELECT results_eq(
    $$ SELECT subdomain, access, status, fly_app_name, fly_machine_id,
              user_id
         FROM public.agent_instances $$,
    $$ VALUES ('t-alice2' COLLATE "C", 'public', 'disabled', 'oa-alice',
               '148e000000000a',
               'a0000000-0000-4000-8000-000000000001'::uuid) $$,
    'which changes nothing else');

SELECT lives_ok(
    $$ SELECT oa.delete_route('e0000000-0000-4000-8000-000000000001') $$,
    'alice deletes her route');
SELECT results_eq(
    $$ SELECT subdomain, fly_machine_id
         FROM public.agent_instances $$,
    $$ VALUES (NULL COLLATE "C", '148e000000000a') $$,
    'its machine is still known');


-- with a purchase

RESET ROLE;
INSERT INTO public.purchases (buyer_id, agent_id, status) VALUES
    ('a0000000-0000-4000-8000-000000000001',
     'd0000000-0000-4000-8000-000000000002', 'canceled'),
    ('a0000000-0000-4000-8000-000000000001',
     'd0000000-0000-4000-8000-000000000004', 'active'),
    ('b0000000-0000-4000-8000-000000000002',
     'd0000000-0000-4000-8000-000000000002', 'active');
SET LOCAL ROLE authenticated;

SELECT throws_ok(
    $$ SELECT oa.create_instance('d0000000-0000-4000-8000-000000000002',
                                 't-new') $$,
    '42501', 'agent is not available',
    'neither a canceled purchase nor another''s counts');
SELECT throws_ok(
    $$ SELECT oa.create_instance('d0000000-0000-4000-8000-000000000004',
                                 't-new') $$,
    '42501', 'agent is not available',
    'a purchase does not lift a suspension');

RESET ROLE;
UPDATE public.purchases SET status = 'active' WHERE status = 'canceled';
SET LOCAL ROLE authenticated;

SELECT lives_ok(
    $$ SELECT oa.create_instance('d0000000-0000-4000-8000-000000000002',
                                 't-new') $$,
    'an active purchase does');
SELECT results_eq(
    $$ SELECT user_id, status, access, fly_app_name, fly_machine_id
         FROM public.agent_instances WHERE subdomain = 't-new' $$,
    $$ VALUES ('a0000000-0000-4000-8000-000000000001'::uuid,
               'provisioning', 'owner', NULL::text, NULL::text) $$,
    'the instance is hers, closed, and has no machine');


SET LOCAL request.jwt.claims = '{}';

SELECT throws_ok(
    $$ SELECT oa.create_instance('d0000000-0000-4000-8000-000000000001',
                                 't-none') $$,
    '42501', 'not signed in', 'nobody makes no instance');
SELECT throws_ok(
    $$ SELECT oa.delete_route('e0000000-0000-4000-8000-000000000002') $$,
    'P0002', 'no such instance', 'and deletes no route');

RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
