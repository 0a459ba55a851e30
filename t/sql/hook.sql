-- the access token hook

\set ON_ERROR_STOP true
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off

BEGIN;

CREATE EXTENSION IF NOT EXISTS pgtap;

SELECT plan(12);


INSERT INTO auth.users (id, email) VALUES
    ('a0000000-0000-4000-8000-000000000001', 'alice@example.com'),
    ('b0000000-0000-4000-8000-000000000002', 'bob@example.com'),
    ('c0000000-0000-4000-8000-000000000003', 'carol@example.com');

INSERT INTO public.user_profiles (id, role) VALUES
    ('a0000000-0000-4000-8000-000000000001', NULL),
    ('b0000000-0000-4000-8000-000000000002', 'creator');

SELECT function_returns('public', 'add_tenant_claims', ARRAY['jsonb'],
                        'jsonb');
SELECT isnt_definer('public', 'add_tenant_claims', ARRAY['jsonb'],
                    'it runs with the rights of the auth server');

SET LOCAL ROLE supabase_auth_admin;

SELECT is(
    public.add_tenant_claims(
        '{"user_id":"b0000000-0000-4000-8000-000000000002",
          "claims":{"aud":"authenticated","role":"authenticated"},
          "authentication_method":"password"}'),
    '{"user_id":"b0000000-0000-4000-8000-000000000002",
      "claims":{"aud":"authenticated","role":"authenticated",
                "user_role":"creator"},
      "authentication_method":"password"}',
    'the role is added, and nothing else changed');

SELECT is(
    public.add_tenant_claims(jsonb_build_object(
        'user_id', id, 'claims', '{"user_role":"admin"}'::jsonb))
        -> 'claims' ->> 'user_role',
    'user', what)
  FROM (VALUES
        ('a0000000-0000-4000-8000-000000000001', 'role NULL: user'),
        ('c0000000-0000-4000-8000-000000000003', 'no profile: user'),
        (NULL, 'no user id: user')) u (id, what);

SELECT throws_ok($$ UPDATE public.user_profiles SET role = 'admin' $$,
                 '42501', NULL, 'the hook''s role writes no profile');
SELECT throws_ok($$ SELECT display_name FROM public.user_profiles $$,
                 '42501', NULL, 'and reads no more than it needs');

RESET ROLE;

SELECT is(has_function_privilege(r, 'public.add_tenant_claims(jsonb)',
                                 'EXECUTE'), false,
          r || ' does not execute it')
  FROM unnest(ARRAY['anon', 'authenticated', 'service_role',
                    'oa_router']) r;

SELECT * FROM finish();
ROLLBACK;
