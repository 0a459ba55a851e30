/*
 * The marketplace's tables, their indexes and the token hook.  What the
 * router adds to them stands in 30_routes.sql.
 */

BEGIN;

SET LOCAL client_min_messages = warning;


CREATE TABLE IF NOT EXISTS public.user_profiles (
    id                  uuid PRIMARY KEY REFERENCES auth.users (id),
    display_name        text,
    role                text DEFAULT 'user',        -- user creator admin
    stripe_customer_id  text,
    created_at          timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.agents (
    id             uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    creator_id     uuid REFERENCES public.user_profiles (id),
    name           text NOT NULL,
    slug           text UNIQUE NOT NULL,
    description    text,
    icon_url       text,
    price_monthly  numeric,                         -- both NULL: free
    price_onetime  numeric,
    skill_md       text,
    docker_image   text,
    status         text DEFAULT 'draft',            -- draft published suspended
    install_count  integer DEFAULT 0,
    rating         numeric,
    created_at     timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.purchases (
    id                     uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    buyer_id               uuid REFERENCES public.user_profiles (id),
    agent_id               uuid REFERENCES public.agents (id),
    type                   text,                    -- subscription onetime
    polar_subscription_id  text,
    status                 text DEFAULT 'active',
    created_at             timestamptz DEFAULT now(),
    UNIQUE (buyer_id, agent_id)
);

CREATE TABLE IF NOT EXISTS public.agent_instances (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id         uuid REFERENCES public.user_profiles (id),
    agent_id        uuid REFERENCES public.agents (id),
    fly_app_name    text,
    fly_machine_id  text,
    fly_volume_id   text,
    region          text DEFAULT 'iad',
    status          text DEFAULT 'provisioning',
    last_active_at  timestamptz,
    created_at      timestamptz DEFAULT now(),
    UNIQUE (user_id, agent_id)
);

CREATE TABLE IF NOT EXISTS public.sessions (
    id                uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id           uuid REFERENCES public.user_profiles (id),
    instance_id       uuid REFERENCES public.agent_instances (id),
    channel           text DEFAULT 'web',   -- web telegram slack discord
    external_user_id  text,
    created_at        timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.messages (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    session_id   uuid REFERENCES public.sessions (id),
    role         text NOT NULL,                     -- user assistant system
    content      text NOT NULL,
    tokens_used  integer,
    created_at   timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.usage_events (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id     uuid REFERENCES public.user_profiles (id),
    agent_id    uuid REFERENCES public.agents (id),
    session_id  uuid REFERENCES public.sessions (id),
    event_type  text,                       -- tokens compute_seconds api_call
    quantity    numeric,
    unit_cost   numeric,
    created_at  timestamptz DEFAULT now()
);


-- every column that a policy or a foreign key looks rows up by

CREATE INDEX IF NOT EXISTS idx_agents_creator_id
    ON public.agents (creator_id);
CREATE INDEX IF NOT EXISTS idx_purchases_buyer_id
    ON public.purchases (buyer_id);
CREATE INDEX IF NOT EXISTS idx_instances_user_id
    ON public.agent_instances (user_id);
CREATE INDEX IF NOT EXISTS idx_sessions_user_id
    ON public.sessions (user_id);
CREATE INDEX IF NOT EXISTS idx_sessions_instance_id
    ON public.sessions (instance_id);
CREATE INDEX IF NOT EXISTS idx_messages_session_id
    ON public.messages (session_id);
CREATE INDEX IF NOT EXISTS idx_usage_events_user_id
    ON public.usage_events (user_id);


/*
 * A user without a profile, or with a NULL role, is a plain user: without
 * coalesce() jsonb_set() gives NULL, and nobody of them could sign in.
 */

CREATE OR REPLACE FUNCTION public.add_tenant_claims(event jsonb)
RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = ''
AS $$
    SELECT jsonb_set(event, '{claims,user_role}', to_jsonb(coalesce(
               (SELECT p.role
                  FROM public.user_profiles p
                 WHERE p.id = (event->>'user_id')::uuid),
               'user')))
$$;

COMMENT ON FUNCTION public.add_tenant_claims(jsonb) IS
    'access token hook: adds the claim user_role';

-- Supabase's default privileges name the roles, PostgreSQL's name PUBLIC

REVOKE ALL ON FUNCTION public.add_tenant_claims(jsonb)
    FROM PUBLIC, anon, authenticated, service_role;
GRANT EXECUTE ON FUNCTION public.add_tenant_claims(jsonb)
    TO supabase_auth_admin;

COMMIT;
