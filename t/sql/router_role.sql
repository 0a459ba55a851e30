-- the router's role: what it must, and nothing else

\set ON_ERROR_STOP true
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off

BEGIN;

CREATE EXTENSION IF NOT EXISTS pgtap;

SELECT plan(81);

INSERT INTO public.agent_instances (subdomain, fly_app_name, fly_machine_id)
VALUES ('t-a', 'oa-a', '1a');

SELECT is(
    (SELECT (rolcanlogin, rolsuper, rolcreaterole, rolcreatedb,
             rolreplication, rolbypassrls)::text
       FROM pg_roles WHERE rolname = 'oa_router'),
    '(t,f,f,f,f,f)', 'it may log in, and has no other attribute');
SELECT is_empty(
    $$ SELECT FROM pg_auth_members
        WHERE member = 'oa_router'::regrole
           OR roleid = 'oa_router'::regrole $$,
    'it is a member of nothing, and nobody of it');
SELECT is_empty(
    $$ SELECT n.nspname FROM pg_namespace n
        WHERE has_schema_privilege('oa_router', n.oid, 'CREATE')
          AND n.nspname !~ '^pg_' $$,
    'it creates in no schema');
SELECT is(has_database_privilege('oa_router', current_database(), 'CREATE'),
          false, 'nor schemas');

-- what is granted to it by name, in the whole database

SELECT set_eq(
    $$ SELECT c.oid::regclass::text || ' ' || a.privilege_type
         FROM pg_class c, aclexplode(c.relacl) a
        WHERE a.grantee = 'oa_router'::regrole
        UNION ALL
       SELECT attrelid::regclass::text || ' column ' || a.privilege_type
         FROM pg_attribute, aclexplode(attacl) a
        WHERE a.grantee = 'oa_router'::regrole
        UNION ALL
       SELECT p.oid::regprocedure::text || ' ' || a.privilege_type
         FROM pg_proc p, aclexplode(p.proacl) a
        WHERE a.grantee = 'oa_router'::regrole
        UNION ALL
       SELECT n.nspname || ' ' || a.privilege_type
         FROM pg_namespace n, aclexplode(n.nspacl) a
        WHERE a.grantee = 'oa_router'::regrole $$,
    ARRAY['oa USAGE', 'oa.routes SELECT',
          'oa.routes_named(text[]) EXECUTE',
          'oa.routes_changed(xid8) EXECUTE',
          'oa.feed_beat(text) EXECUTE',
          'oa.revocations_of(uuid[]) EXECUTE',
          'oa.revocations_since(xid8) EXECUTE',
          'oa.revocations_in_force(text) EXECUTE',
          'oa.revocations_beat(text) EXECUTE',
          'oa.job_claim(uuid,text,interval,text) EXECUTE',
          'oa.job_step(uuid,text,interval,jsonb) EXECUTE',
          'oa.job_done(uuid,text,jsonb) EXECUTE',
          'oa.job_failed(uuid,text,text,interval) EXECUTE',
          'oa.job_stages(uuid[]) EXECUTE',
          'oa.machine_gone(uuid,text) EXECUTE',
          'oa.pool_claim(uuid,text,text[],text) EXECUTE',
          'oa.pool_begin(text,text,integer,text) EXECUTE',
          'oa.pool_step(uuid,text,interval,jsonb) EXECUTE',
          'oa.pool_ready(uuid,text,jsonb) EXECUTE',
          'oa.pool_failed(uuid,text,text) EXECUTE',
          'oa.pool_check(text,interval) EXECUTE',
          'oa.pool_old(text,interval) EXECUTE',
          'oa.pool_dropped(uuid) EXECUTE',
          'oa.touch_active(uuid[],integer[]) EXECUTE',
          'oa.routes_idle(interval,integer) EXECUTE',
          'oa.routes_disabled(integer) EXECUTE',
          'oa.route_suspended(uuid,text) EXECUTE',
          'oa.route_stopped(uuid,text) EXECUTE',
          'oa.route_woken(uuid,text) EXECUTE'],
    'its grants');

-- and what it gets by any way, from tables of ours

SELECT is_empty(
    $$ SELECT c.oid::regclass, p.privilege
         FROM pg_class c,
              unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE',
                           'REFERENCES', 'TRIGGER']) p (privilege)
        WHERE (c.relnamespace IN ('oa'::regnamespace, 'auth'::regnamespace)
               OR c.oid = ANY (ARRAY['public.user_profiles', 'public.agents',
                                     'public.purchases', 'public.sessions',
                                     'public.agent_instances',
                                     'public.messages',
                                     'public.usage_events']::regclass[]))
          AND c.relkind IN ('r', 'p', 'v')
          AND (c.oid, p.privilege)
              <> ('oa.routes'::regclass, 'SELECT')
          AND (has_table_privilege('oa_router', c.oid, p.privilege)
               OR p.privilege IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
                  AND has_any_column_privilege('oa_router', c.oid,
                                               p.privilege)) $$,
    'no other right on a table or view');
SELECT set_eq(
    $$ SELECT p.proname::text FROM pg_proc p
        WHERE p.pronamespace = 'oa'::regnamespace
          AND has_function_privilege('oa_router', p.oid, 'EXECUTE') $$,
    ARRAY['routes_named', 'routes_changed', 'feed_beat', 'revocations_of',
          'revocations_since', 'revocations_in_force', 'revocations_beat',
          'job_claim', 'job_step', 'job_done', 'job_failed', 'job_stages',
          'machine_gone', 'pool_claim', 'pool_begin', 'pool_step',
          'pool_ready', 'pool_failed', 'pool_check', 'pool_old',
          'pool_dropped', 'touch_active', 'routes_idle', 'routes_disabled',
          'route_suspended', 'route_stopped', 'route_woken'],
    'no other function in oa');
SELECT is(has_sequence_privilege('oa_router', 'oa.route_version',
                                 'USAGE, SELECT, UPDATE'), false,
          'nor the sequence');
SELECT is_empty(
    $$ SELECT c.oid::regclass FROM pg_class c
        WHERE c.relforcerowsecurity
          AND c.relnamespace IN ('oa'::regnamespace,
                                 'public'::regnamespace) $$,
    'row level security does not bind the view''s owner');


SET LOCAL ROLE oa_router;

SELECT results_eq(
    $$ SELECT app, machine FROM oa.routes WHERE subdomain = 't-a' $$,
    $$ VALUES ('oa-a', '1a') $$, 'it reads the view');
SELECT results_eq(
    $$ SELECT app, machine FROM oa.routes_named(ARRAY['t-a']) $$,
    $$ VALUES ('oa-a', '1a') $$, 'asks by name');
SELECT results_eq(
    $$ SELECT app, machine FROM oa.routes_changed(pg_current_xact_id()) $$,
    $$ VALUES ('oa-a', '1a') $$, 'and by position');
SELECT lives_ok('SELECT * FROM oa.feed_beat(''x'')', 'beats');
SELECT lives_ok('LISTEN oa_routes', 'and listens');

SELECT lives_ok('SELECT * FROM oa.' || q, 'revocations: ' || q)
  FROM unnest(ARRAY[
      'revocations_of(''{}'')',
      'revocations_since(pg_current_xact_id())',
      'revocations_in_force('''')',
      'revocations_beat(''x'')']) q;

SELECT lives_ok('SELECT * FROM oa.' || q, 'provisioning: ' || q)
  FROM unnest(ARRAY[
      'job_claim(gen_random_uuid(), ''h'', ''1 s'', ''x'')',
      'job_step(gen_random_uuid(), ''h'', ''1 s'', ''{}'')',
      'job_done(gen_random_uuid(), ''h'', ''{}'')',
      'job_failed(gen_random_uuid(), ''h'', ''x'', NULL)',
      'job_stages(''{}'')',
      'machine_gone(gen_random_uuid(), ''x'')',
      'pool_claim(gen_random_uuid(), ''h'', ''{}'', ''t:1'')',
      'pool_begin(''iad'', ''t:1'', 1, ''h'')',
      'pool_step(gen_random_uuid(), ''h'', ''1 s'', ''{}'')',
      'pool_ready(gen_random_uuid(), ''h'', ''{}'')',
      'pool_failed(gen_random_uuid(), ''h'', ''x'')',
      'pool_check(''t:1'', ''1 s'')',
      'pool_old(''t:1'', ''1 s'')',
      'pool_dropped(gen_random_uuid())',
      'touch_active(''{}'', ''{}'')',
      'routes_idle(''1 s'', 1)',
      'routes_disabled(1)',
      'route_suspended(gen_random_uuid(), ''x'')',
      'route_stopped(gen_random_uuid(), ''x'')',
      'route_woken(gen_random_uuid(), ''x'')']) q;
SELECT lives_ok('LISTEN oa_jobs', 'and listens');

SELECT throws_ok(q, '42501', NULL, 'not: ' || q)
  FROM unnest(ARRAY[
      'SELECT FROM public.agent_instances',
      'SELECT FROM public.user_profiles',
      'SELECT FROM public.agents',
      'SELECT FROM auth.users',
      'SELECT FROM oa.route_changes',
      'SELECT FROM oa.feed',
      'SELECT FROM oa.revocations',
      'SELECT FROM oa.revoked',
      'SELECT FROM oa.revocation_feed',
      'SELECT FROM oa.jobs',
      'SELECT FROM oa.pool',
      'INSERT INTO oa.jobs (route_id) VALUES (gen_random_uuid())',
      'UPDATE oa.jobs SET app = ''x''',
      'UPDATE oa.pool SET app = ''x''',
      'SELECT oa.needs_machine(''x'', ''x'')',
      'SELECT oa.ms_until(now())',
      'SELECT oa.job_patched(NULL, NULL)',
      'SELECT nextval(''oa.route_version'')',
      'INSERT INTO oa.routes (subdomain) VALUES (''t-x'')',
      'UPDATE oa.routes SET app = ''x''',
      'DELETE FROM oa.routes',
      'SELECT oa.prune_tombstones()',
      'SELECT oa.prune_revocations()',
      'SELECT oa.revoke_session(gen_random_uuid())',
      'SELECT oa.revoke_user(gen_random_uuid())',
      'SELECT oa.unrevoke_session(gen_random_uuid())',
      'SELECT oa.unrevoke_user(gen_random_uuid())',
      'SELECT oa.note_revocations(''user'', ''{}'', ''{}'')',
      'SELECT oa.token_life()',
      'SELECT oa.note_route(''t-x'', false)',
      'SELECT oa.create_instance(gen_random_uuid(), ''t-x'')',
      'SELECT oa.delete_route(gen_random_uuid())',
      'SELECT public.add_tenant_claims(''{}'')',
      'CREATE TABLE oa.t ()',
      'CREATE TABLE public.t ()',
      'CREATE SCHEMA t']) q;

RESET ROLE;


-- what is the router's is nobody else's

SELECT is_empty(
    format($$ SELECT p.oid::regprocedure FROM pg_proc p
        WHERE p.pronamespace = 'oa'::regnamespace
          AND p.proname ~ '^(job|pool|machine|routes?)_'
          AND has_function_privilege(%L, p.oid, 'EXECUTE') $$, r),
    r || ' provisions nothing')
  FROM unnest(ARRAY['anon', 'authenticated', 'service_role']) r;
SELECT is_empty(
    format($$ SELECT c, p FROM unnest(ARRAY['oa.jobs', 'oa.pool']) c,
              unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE',
                           'TRUNCATE']) p
        WHERE has_table_privilege(%L, c, p) $$, r),
    r || ' reads and writes no job')
  FROM unnest(ARRAY['anon', 'authenticated', 'service_role']) r;

SELECT * FROM finish();
ROLLBACK;
