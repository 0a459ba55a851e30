/*
 * What Supabase has and a bare PostgreSQL lacks: its roles, auth.users,
 * auth.sessions and auth.uid(), each made only where it is missing.  On
 * Supabase this file changes nothing: the schema auth is not ours there.
 */

BEGIN;

SET LOCAL client_min_messages = warning;


DO $$
DECLARE
    -- service_role is the backend: it bypasses row level security
    wanted  text[] := ARRAY['anon NOLOGIN NOINHERIT',
                            'authenticated NOLOGIN NOINHERIT',
                            'service_role NOLOGIN NOINHERIT BYPASSRLS',
                            'supabase_auth_admin NOLOGIN NOINHERIT'];
    role    text;
BEGIN
    FOREACH role IN ARRAY wanted LOOP
        IF to_regrole(split_part(role, ' ', 1)) IS NULL THEN
            BEGIN
                EXECUTE 'CREATE ROLE ' || role;

            -- roles belong to the cluster: another database may be first
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;
            END;
        END IF;
    END LOOP;
END
$$;


DO $$
BEGIN
    -- not IF NOT EXISTS: that asks for the right to create before it looks
    IF to_regnamespace('auth') IS NULL THEN
        CREATE SCHEMA auth;
        GRANT USAGE ON SCHEMA auth
            TO anon, authenticated, service_role, supabase_auth_admin;
    END IF;

    IF to_regclass('auth.users') IS NULL THEN
        CREATE TABLE auth.users (
            id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            email         text,
            banned_until  timestamptz,
            deleted_at    timestamptz,
            created_at    timestamptz DEFAULT now()
        );
        ALTER TABLE auth.users ENABLE ROW LEVEL SECURITY;
    END IF;

    IF to_regclass('auth.sessions') IS NULL THEN
        CREATE TABLE auth.sessions (
            id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            user_id       uuid NOT NULL REFERENCES auth.users (id)
                          ON DELETE CASCADE,
            created_at    timestamptz DEFAULT now(),
            updated_at    timestamptz,
            not_after     timestamptz,
            refreshed_at  timestamp
        );
        CREATE INDEX sessions_user_id_idx ON auth.sessions (user_id);
        ALTER TABLE auth.sessions ENABLE ROW LEVEL SECURITY;
    END IF;

    IF to_regprocedure('auth.uid()') IS NULL THEN
        CREATE FUNCTION auth.uid() RETURNS uuid
        LANGUAGE sql STABLE AS $uid$
            SELECT coalesce(
                nullif(current_setting('request.jwt.claim.sub', true), ''),
                nullif(current_setting('request.jwt.claims', true), '')::jsonb
                    ->> 'sub'
            )::uuid
        $uid$;
        COMMENT ON FUNCTION auth.uid() IS
            'the user of the request''s token, as on Supabase';
    END IF;
END
$$;

COMMIT;
