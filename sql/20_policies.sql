/*
 * Who sees and changes what.  Two fences: privileges say which columns a role
 * may touch at all, policies say in which rows.
 *
 * Rows decide where requests go, so users only read agent_instances; its
 * routes change through the functions of 30_routes.sql.  What costs or earns
 * money (purchases, usage, ratings, roles) is written by the backend
 * alone: service_role bypasses row level security.
 */

BEGIN;

SET LOCAL client_min_messages = warning;


ALTER TABLE public.user_profiles    ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.agents           ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.purchases        ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.agent_instances  ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.sessions         ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.messages         ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.usage_events     ENABLE ROW LEVEL SECURITY;


-- Supabase grants everything on a new table in public to these roles

REVOKE ALL ON public.user_profiles, public.agents, public.purchases,
              public.agent_instances, public.sessions, public.messages,
              public.usage_events
    FROM PUBLIC, anon, authenticated, supabase_auth_admin;

GRANT USAGE ON SCHEMA public
    TO anon, authenticated, service_role, supabase_auth_admin;

GRANT SELECT, INSERT, UPDATE, DELETE
    ON public.user_profiles, public.agents, public.purchases,
       public.agent_instances, public.sessions, public.messages,
       public.usage_events
    TO service_role;

GRANT SELECT
    ON public.user_profiles, public.agents, public.purchases,
       public.agent_instances, public.sessions, public.messages,
       public.usage_events
    TO authenticated;

GRANT SELECT ON public.agents TO anon;


/*
 * user_profiles: role and stripe_customer_id are in neither column list, so
 * no statement of a user can name them; a new row gets the default role.
 */

GRANT INSERT (id, display_name), UPDATE (display_name)
    ON public.user_profiles TO authenticated;
GRANT SELECT (id, role) ON public.user_profiles TO supabase_auth_admin;

DROP POLICY IF EXISTS user_profiles_read ON public.user_profiles;
CREATE POLICY user_profiles_read ON public.user_profiles
    FOR SELECT TO authenticated
    USING (id = (SELECT auth.uid()));

DROP POLICY IF EXISTS user_profiles_insert ON public.user_profiles;
CREATE POLICY user_profiles_insert ON public.user_profiles
    FOR INSERT TO authenticated
    WITH CHECK (id = (SELECT auth.uid()));

DROP POLICY IF EXISTS user_profiles_update ON public.user_profiles;
CREATE POLICY user_profiles_update ON public.user_profiles
    FOR UPDATE TO authenticated
    USING (id = (SELECT auth.uid()))
    WITH CHECK (id = (SELECT auth.uid()));

DROP POLICY IF EXISTS user_profiles_token_hook ON public.user_profiles;
CREATE POLICY user_profiles_token_hook ON public.user_profiles
    FOR SELECT TO supabase_auth_admin
    USING (true);


/*
 * agents: a creator publishes and withdraws, but does not lift a suspension,
 * give an agent away, or write its rating.
 */

GRANT INSERT (creator_id, name, slug, description, icon_url, price_monthly,
              price_onetime, skill_md, docker_image, status),
      UPDATE (name, slug, description, icon_url, price_monthly,
              price_onetime, skill_md, docker_image, status),
      DELETE
    ON public.agents TO authenticated;

DROP POLICY IF EXISTS agents_public_read ON public.agents;
CREATE POLICY agents_public_read ON public.agents
    FOR SELECT TO anon, authenticated
    USING (status = 'published');

DROP POLICY IF EXISTS agents_creator_read ON public.agents;
CREATE POLICY agents_creator_read ON public.agents
    FOR SELECT TO authenticated
    USING (creator_id = (SELECT auth.uid()));

DROP POLICY IF EXISTS agents_creator_write ON public.agents;

DROP POLICY IF EXISTS agents_creator_insert ON public.agents;
CREATE POLICY agents_creator_insert ON public.agents
    FOR INSERT TO authenticated
    WITH CHECK (creator_id = (SELECT auth.uid())
                AND status IN ('draft', 'published'));

DROP POLICY IF EXISTS agents_creator_update ON public.agents;
CREATE POLICY agents_creator_update ON public.agents
    FOR UPDATE TO authenticated
    USING (creator_id = (SELECT auth.uid())
           AND status IN ('draft', 'published'))
    WITH CHECK (creator_id = (SELECT auth.uid())
                AND status IN ('draft', 'published'));

DROP POLICY IF EXISTS agents_creator_delete ON public.agents;
CREATE POLICY agents_creator_delete ON public.agents
    FOR DELETE TO authenticated
    USING (creator_id = (SELECT auth.uid())
           AND status IN ('draft', 'published'));


-- the rest: one's own rows, read only

DROP POLICY IF EXISTS purchases_own ON public.purchases;
CREATE POLICY purchases_own ON public.purchases
    FOR SELECT TO authenticated
    USING (buyer_id = (SELECT auth.uid()));

DROP POLICY IF EXISTS instances_own ON public.agent_instances;
CREATE POLICY instances_own ON public.agent_instances
    FOR SELECT TO authenticated
    USING (user_id = (SELECT auth.uid()));

DROP POLICY IF EXISTS sessions_own ON public.sessions;
CREATE POLICY sessions_own ON public.sessions
    FOR SELECT TO authenticated
    USING (user_id = (SELECT auth.uid()));

DROP POLICY IF EXISTS messages_own ON public.messages;
CREATE POLICY messages_own ON public.messages
    FOR SELECT TO authenticated
    USING (EXISTS (SELECT FROM public.sessions s
                    WHERE s.id = messages.session_id
                      AND s.user_id = (SELECT auth.uid())));

DROP POLICY IF EXISTS usage_events_own ON public.usage_events;
CREATE POLICY usage_events_own ON public.usage_events
    FOR SELECT TO authenticated
    USING (user_id = (SELECT auth.uid()));

COMMIT;
