/*
 * Machines at rest: when a route was last asked for, which of them are to be
 * suspended or stopped, and which status says so.
 */

BEGIN;

SET LOCAL client_min_messages = warning;


-- halted: the machine of this disabled route was stopped

ALTER TABLE public.agent_instances
    ADD COLUMN IF NOT EXISTS halted boolean NOT NULL DEFAULT false;

/*
 * A change of the row counts as activity: a machine that has just become
 * running is not idle because nobody came before.
 */

CREATE INDEX IF NOT EXISTS idx_instances_idle
    ON public.agent_instances (greatest(last_active_at, updated_at))
    WHERE status = 'running' AND fly_machine_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_instances_to_stop
    ON public.agent_instances (id)
    WHERE status = 'disabled' AND NOT halted AND fly_machine_id IS NOT NULL;


CREATE OR REPLACE FUNCTION oa.instance_revived() RETURNS trigger
LANGUAGE plpgsql SET search_path = ''
AS $$
BEGIN
    NEW.halted := false;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION oa.instance_revived() IS
    'trigger: what may run again is not known to be stopped';

CREATE OR REPLACE TRIGGER oa_instance_revived
    BEFORE UPDATE OF status, fly_machine_id ON public.agent_instances
    FOR EACH ROW WHEN (
        NEW.halted
        AND (OLD.status, OLD.fly_machine_id)
            IS DISTINCT FROM (NEW.status, NEW.fly_machine_id))
    EXECUTE FUNCTION oa.instance_revived();


/*
 * Called for many routes at a time, by several routers for the same ones.
 * Rows that somebody else holds are skipped: to wait for one would delay all,
 * and those who hold a row are mostly other routers that write the same.
 * Neither updated_at nor the feed takes notice.
 */

CREATE OR REPLACE FUNCTION oa.touch_active(
    routes uuid[], seconds_ago integer[])
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    touched  bigint;
BEGIN
    WITH seen AS (
        SELECT u.route, now() - make_interval(secs => min(u.ago)) AS at
          FROM unnest(routes, seconds_ago) u (route, ago)
         WHERE u.ago >= 0
         GROUP BY u.route
    ), mine AS (
        SELECT i.id, s.at
          FROM public.agent_instances i, seen s
         WHERE i.id = s.route
           AND (i.last_active_at IS NULL OR i.last_active_at < s.at)
           FOR NO KEY UPDATE OF i SKIP LOCKED
    )
    UPDATE public.agent_instances i
       SET last_active_at = m.at
      FROM mine m
     WHERE i.id = m.id;

    GET DIAGNOSTICS touched = ROW_COUNT;
    RETURN touched;
END
$$;

COMMENT ON FUNCTION oa.touch_active(uuid[], integer[]) IS
    'when routes were last asked for, in seconds before now; never set back';


-- the longest idle first

CREATE OR REPLACE FUNCTION oa.routes_idle(idle interval, max integer)
RETURNS TABLE (route_id uuid, app text, machine text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    RETURN QUERY
    SELECT i.id, i.fly_app_name, i.fly_machine_id
      FROM public.agent_instances i
     WHERE i.status = 'running' AND i.fly_machine_id IS NOT NULL
       AND greatest(i.last_active_at, i.updated_at) < now() - idle
     ORDER BY greatest(i.last_active_at, i.updated_at)
     LIMIT max;
END
$$;

COMMENT ON FUNCTION oa.routes_idle(interval, integer) IS
    'running routes that nobody has asked for that long';


CREATE OR REPLACE FUNCTION oa.routes_disabled(max integer)
RETURNS TABLE (route_id uuid, app text, machine text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    RETURN QUERY
    SELECT i.id, i.fly_app_name, i.fly_machine_id
      FROM public.agent_instances i
     WHERE i.status = 'disabled' AND NOT i.halted
       AND i.fly_machine_id IS NOT NULL
     LIMIT max;
END
$$;

COMMENT ON FUNCTION oa.routes_disabled(integer) IS
    'disabled routes whose machines are not known to be stopped';


/*
 * What became of a machine, if the route still is as it was when that was
 * ordered.  A disabled route stays disabled.
 */

CREATE OR REPLACE FUNCTION oa.route_suspended(route uuid, machine text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    UPDATE public.agent_instances i
       SET status = 'suspended'
     WHERE i.id = route AND i.status = 'running'
       AND i.fly_machine_id = route_suspended.machine;

    RETURN FOUND;
END
$$;

COMMENT ON FUNCTION oa.route_suspended(uuid, text) IS
    'the machine of a running route was suspended';


CREATE OR REPLACE FUNCTION oa.route_stopped(route uuid, machine text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    UPDATE public.agent_instances i
       SET halted = true
     WHERE i.id = route AND i.status = 'disabled' AND NOT i.halted
       AND i.fly_machine_id = route_stopped.machine;

    RETURN FOUND;
END
$$;

COMMENT ON FUNCTION oa.route_stopped(uuid, text) IS
    'the machine of a disabled route was stopped';


-- Fly Proxy wakes machines, and tells nobody

CREATE OR REPLACE FUNCTION oa.route_woken(route uuid, machine text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    UPDATE public.agent_instances i
       SET status = 'running'
     WHERE i.id = route AND i.status IN ('suspended', 'stopped')
       AND i.fly_machine_id = route_woken.machine;

    RETURN FOUND;
END
$$;

COMMENT ON FUNCTION oa.route_woken(uuid, text) IS
    'the machine of a suspended or stopped route runs again';


-- functions are everybody's by default

REVOKE ALL ON FUNCTION
    oa.instance_revived(), oa.touch_active(uuid[], integer[]),
    oa.routes_idle(interval, integer), oa.routes_disabled(integer),
    oa.route_suspended(uuid, text), oa.route_stopped(uuid, text),
    oa.route_woken(uuid, text)
    FROM PUBLIC, anon, authenticated, service_role;

GRANT EXECUTE ON FUNCTION
    oa.touch_active(uuid[], integer[]), oa.routes_idle(interval, integer),
    oa.routes_disabled(integer), oa.route_suspended(uuid, text),
    oa.route_stopped(uuid, text), oa.route_woken(uuid, text)
    TO oa_router;

COMMIT;
