/*
 * Provisioning: one job a route, which gives the route a machine, once,
 * however many routers ask for it.
 *
 * A job is a row of oa.jobs.  Whoever works on it is its holder and has a
 * lease, counted by the database's clock, that it renews with each step; when
 * the lease has expired the next one who asks takes the job over.  What is to
 * be made is named after the job's id, and what was made is written back at
 * once, so that a successor finds it and does not make it again.  A holder
 * that was taken over learns so from its next step, which does nothing.
 *
 * The row stays when its job is done.  It is then the record of where the
 * route's machine, app, IP address and volume are: its placement.  There is
 * no foreign key: the record outlives the route, for without it nobody would
 * know of the machine to destroy.
 *
 * What ends a job is that the route has a machine, whoever wrote it there: the
 * holder by job_done(), or a backend that was asked to and took its time.
 *
 * Locks are taken in one order: agent_instances, oa.jobs, oa.route_changes.
 */

BEGIN;

SET LOCAL client_min_messages = warning;


/*
 * stage: new, ready and failed are written here; those between are the
 * router's.
 *
 * run: how often the route was provisioned.  All attempts of one run are one
 * piece of work to whoever must not do it twice; the next run is another.
 * attempt: how many of this run have failed.
 *
 * state: what else the router wants its successor to know, in the next run
 * too: which names are used up, for one.
 */

CREATE TABLE IF NOT EXISTS oa.jobs (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    route_id      uuid NOT NULL,
    run           integer NOT NULL DEFAULT 1,
    stage         text NOT NULL DEFAULT 'new'
                  CHECK (stage ~ '^[a-z_]{1,32}$'),
    attempt       integer NOT NULL DEFAULT 0,
    reason        text,
    app           text,
    ip            text,
    volume        text,
    machine       text,
    region        text,
    state         jsonb NOT NULL DEFAULT '{}',
    error         text,
    holder        text,
    leased_until  timestamptz,
    retry_at      timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    changed_at    timestamptz NOT NULL DEFAULT now(),
    UNIQUE (route_id)
);

COMMENT ON TABLE oa.jobs IS
    'the provisioning of each route, and where what it made is';

ALTER TABLE oa.jobs ENABLE ROW LEVEL SECURITY;

REVOKE ALL ON oa.jobs FROM PUBLIC, anon, authenticated, service_role;


-- a hint, as NOTIFY oa_routes is: renewals of leases are not worth one

CREATE OR REPLACE FUNCTION oa.job_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path = ''
AS $$
BEGIN
    -- neither an uuid nor a stage needs an escape
    PERFORM pg_notify('oa_jobs', '{"route_id":"' || NEW.route_id
                                 || '","stage":"' || NEW.stage || '"}');
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION oa.job_changed() IS
    'trigger: notifies of a job''s stage';

CREATE OR REPLACE TRIGGER oa_job_inserted
    AFTER INSERT ON oa.jobs
    FOR EACH ROW
    EXECUTE FUNCTION oa.job_changed();

CREATE OR REPLACE TRIGGER oa_job_updated
    AFTER UPDATE ON oa.jobs
    FOR EACH ROW WHEN (
        (OLD.run, OLD.stage, OLD.attempt, OLD.error)
        IS DISTINCT FROM
        (NEW.run, NEW.stage, NEW.attempt, NEW.error))
    EXECUTE FUNCTION oa.job_changed();


/*
 * The placement follows the route.  SECURITY DEFINER: as in
 * oa.instance_changed().
 */

CREATE OR REPLACE FUNCTION oa.instance_placed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    j  oa.jobs;
BEGIN
    SELECT o.* INTO j FROM oa.jobs o WHERE o.route_id = NEW.id FOR UPDATE;

    IF NOT FOUND
       OR (j.stage, j.app, j.machine, j.region,
           coalesce(NEW.fly_volume_id, j.volume))
          IS NOT DISTINCT FROM
          ('ready'::text, NEW.fly_app_name, NEW.fly_machine_id, NEW.region,
           j.volume)
    THEN
        RETURN NULL;
    END IF;

    IF j.app IS DISTINCT FROM NEW.fly_app_name THEN
        j.ip := NULL;
        j.volume := NULL;
    END IF;

    UPDATE oa.jobs o
       SET stage = 'ready', holder = NULL, leased_until = NULL,
           retry_at = NULL, error = NULL,
           app = NEW.fly_app_name, ip = j.ip,
           volume = coalesce(NEW.fly_volume_id, j.volume),
           machine = NEW.fly_machine_id, region = NEW.region,
           changed_at = clock_timestamp()
     WHERE o.id = j.id;

    RETURN NULL;
END
$$;

COMMENT ON FUNCTION oa.instance_placed() IS
    'trigger: ends the job of a route that has a machine';

CREATE OR REPLACE TRIGGER oa_instance_placed
    AFTER UPDATE OF fly_app_name, fly_machine_id, fly_volume_id, region,
                    status
    ON public.agent_instances
    FOR EACH ROW WHEN (
        NEW.fly_machine_id IS NOT NULL
        AND NEW.status IN ('running', 'stopped', 'suspended')
        AND (OLD.fly_app_name, OLD.fly_machine_id, OLD.fly_volume_id,
             OLD.region, OLD.status)
            IS DISTINCT FROM
            (NEW.fly_app_name, NEW.fly_machine_id, NEW.fly_volume_id,
             NEW.region, NEW.status))
    EXECUTE FUNCTION oa.instance_placed();


-- of no route, NULL

CREATE OR REPLACE FUNCTION oa.needs_machine(status text, machine text)
RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = ''
AS $$
    SELECT status <> 'disabled' AND (machine IS NULL OR status = 'error')
$$;

COMMENT ON FUNCTION oa.needs_machine(text, text) IS
    'whether a route in this state is to be provisioned';


CREATE OR REPLACE FUNCTION oa.ms_until(at timestamptz) RETURNS bigint
LANGUAGE sql VOLATILE SET search_path = ''
AS $$
    SELECT ceil(greatest(extract(epoch FROM at - clock_timestamp()), 0)
                * 1000)::bigint
$$;

COMMENT ON FUNCTION oa.ms_until(timestamptz) IS
    'milliseconds until then; clocks differ, so nobody is told times';


/*
 * Always one row.  mine: the caller is the holder now, as is one that asks
 * again because the answer was lost: a holder's name must be of one flight
 * only.  Otherwise the row tells why not:
 *
 *     status NULL          no such route
 *     status disabled      or any other with a machine: nothing to provision
 *     stage failed         for good, as long as the route's status is error
 *     wait > 0             another's lease, or a backoff: worth asking again
 *                          in so many milliseconds
 *
 * region is where the route is wanted, placed where the placement is.
 * first_reason is that of the run's first claim: who takes a run over sends
 * the same request again, not one that looks like another.
 */

CREATE OR REPLACE FUNCTION oa.job_claim(
    route uuid, holder text, lease interval, reason text)
RETURNS TABLE (mine boolean, job_id uuid, run integer, stage text,
               attempt integer, first_reason text, subdomain text,
               user_id uuid, agent_id uuid, region text, status text,
               app text, ip text, volume text, machine text, placed text,
               state jsonb, error text, wait bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    i      public.agent_instances;
    j      oa.jobs;
    t      timestamptz;
    taken  boolean := false;
    until  timestamptz;
BEGIN
    IF job_claim.holder IS NULL THEN
        RAISE EXCEPTION 'holder is missing' USING ERRCODE = '22004';
    END IF;

    SELECT r.* INTO i FROM public.agent_instances r
     WHERE r.id = route AND r.subdomain IS NOT NULL;

    IF oa.needs_machine(i.status, i.fly_machine_id) THEN
        INSERT INTO oa.jobs AS o
                    (route_id, reason, app, volume, machine, region)
             VALUES (route, job_claim.reason, i.fly_app_name,
                     i.fly_volume_id, i.fly_machine_id,
                     CASE WHEN i.fly_app_name IS NOT NULL THEN i.region END)
        ON CONFLICT ON CONSTRAINT jobs_route_id_key DO NOTHING;

        SELECT o.* INTO j FROM oa.jobs o WHERE o.route_id = route FOR UPDATE;

        /*
         * Whoever had the lock may have given the route its machine: the
         * state read before is of no more worth, and neither is now().
         */

        SELECT r.* INTO i FROM public.agent_instances r
         WHERE r.id = route AND r.subdomain IS NOT NULL;

        t := clock_timestamp();

    ELSIF i.id IS NOT NULL THEN
        SELECT o.* INTO j FROM oa.jobs o WHERE o.route_id = route;
    END IF;

    IF i.id IS NULL THEN
        j := NULL;

    ELSIF t IS NULL
          OR NOT oa.needs_machine(i.status, i.fly_machine_id)
          OR j.stage = 'failed' AND i.status = 'error'
    THEN
        NULL;

    ELSIF j.leased_until > t AND j.holder <> job_claim.holder THEN
        until := j.leased_until;

    ELSIF j.retry_at > t AND j.stage <> 'failed' THEN
        until := j.retry_at;

    ELSE
        taken := true;

        -- an app that the route got otherwise since

        IF j.stage = 'ready' AND i.fly_app_name <> j.app THEN
            j.app := i.fly_app_name;
            j.ip := NULL;
            j.volume := i.fly_volume_id;
            j.region := i.region;
        END IF;

        IF j.stage IN ('ready', 'failed') THEN
            j.run := j.run + 1;
            j.stage := 'new';
            j.attempt := 0;
            j.reason := job_claim.reason;
            j.machine := i.fly_machine_id;
            j.error := NULL;
        END IF;

        UPDATE oa.jobs o
           SET run = j.run, stage = j.stage, attempt = j.attempt,
               reason = j.reason, app = j.app, ip = j.ip,
               volume = j.volume, machine = j.machine, region = j.region,
               error = j.error, holder = job_claim.holder,
               leased_until = t + lease, retry_at = NULL, changed_at = t
         WHERE o.id = j.id;
    END IF;

    RETURN QUERY
    SELECT taken, j.id, j.run, j.stage, j.attempt, j.reason,
           i.subdomain::text, i.user_id, i.agent_id, i.region, i.status,
           j.app, j.ip, j.volume, j.machine, j.region, j.state, j.error,
           coalesce(oa.ms_until(until), 0);
END
$$;

COMMENT ON FUNCTION oa.job_claim(uuid, text, interval, text) IS
    'makes the caller the holder of a route''s job, if it has one to do';


/*
 * A patch has the columns that change, null to empty one: stage, app, ip,
 * volume, machine, region, and state, which is replaced as a whole.  Of what
 * belonged to another app nothing stays.
 */

CREATE OR REPLACE FUNCTION oa.job_patched(j oa.jobs, patch jsonb)
RETURNS oa.jobs
LANGUAGE sql STABLE SET search_path = ''
AS $$
    SELECT p.*
      FROM jsonb_populate_record(j,
               CASE WHEN patch ->> 'app' <> j.app
                    THEN '{"ip":null,"volume":null,"machine":null}'::jsonb
                    ELSE '{}' END || patch) p
$$;

COMMENT ON FUNCTION oa.job_patched(oa.jobs, jsonb) IS
    'a job''s row as a patch changes it';


/*
 * What the holder of a route that is gone or disabled has made is written down
 * all the same, and its lease given up.  A lease of 0 gives it up as well:
 * the next one who asks goes on at once.
 */

CREATE OR REPLACE FUNCTION oa.job_step(
    job uuid, holder text, lease interval, patch jsonb)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    j     oa.jobs;
    live  boolean;
BEGIN
    SELECT o.* INTO j FROM oa.jobs o
     WHERE o.id = job AND o.holder = job_step.holder
       FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;

    live := EXISTS (SELECT FROM public.agent_instances i
                     WHERE i.id = j.route_id
                       AND i.subdomain IS NOT NULL
                       AND i.status <> 'disabled');

    j := oa.job_patched(j, patch);

    UPDATE oa.jobs o
       SET stage = j.stage, app = j.app, ip = j.ip, volume = j.volume,
           machine = j.machine, region = j.region, state = j.state,
           holder = CASE WHEN live THEN j.holder END,
           leased_until = CASE WHEN live THEN clock_timestamp() + lease END,
           changed_at = clock_timestamp()
     WHERE o.id = job;

    RETURN live;
END
$$;

COMMENT ON FUNCTION oa.job_step(uuid, text, interval, jsonb) IS
    'stores what the holder did and renews its lease; false: it is to stop';


/*
 * A route that was disabled meanwhile gets its machine and stays disabled; one
 * without a subdomain too, for its row is where its machine is looked for.
 */

CREATE OR REPLACE FUNCTION oa.job_done(job uuid, holder text, patch jsonb)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    j     oa.jobs;
    live  boolean;
BEGIN
    PERFORM FROM public.agent_instances i
      WHERE i.id = (SELECT o.route_id FROM oa.jobs o
                     WHERE o.id = job AND o.holder = job_done.holder)
        FOR NO KEY UPDATE;

    SELECT o.* INTO j FROM oa.jobs o
     WHERE o.id = job AND o.holder = job_done.holder
       FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;

    j := oa.job_patched(j, patch);

    IF j.app IS NULL OR j.machine IS NULL THEN
        RAISE EXCEPTION 'job % has no machine', job
            USING ERRCODE = '22004';
    END IF;

    UPDATE oa.jobs o
       SET stage = 'ready', app = j.app, ip = j.ip, volume = j.volume,
           machine = j.machine, region = j.region, state = j.state,
           error = NULL, holder = NULL, leased_until = NULL, retry_at = NULL,
           changed_at = clock_timestamp()
     WHERE o.id = job;

    UPDATE public.agent_instances i
       SET fly_app_name = j.app, fly_machine_id = j.machine,
           fly_volume_id = j.volume, region = coalesce(j.region, i.region),
           status = CASE WHEN i.status = 'disabled' THEN i.status
                         ELSE 'running' END
     WHERE i.id = j.route_id
    RETURNING i.subdomain IS NOT NULL AND i.status <> 'disabled' INTO live;

    RETURN coalesce(live, false);
END
$$;

COMMENT ON FUNCTION oa.job_done(uuid, text, jsonb) IS
    'gives the route the machine that was made; false: it serves nobody';


CREATE OR REPLACE FUNCTION oa.job_failed(
    job uuid, holder text, error text, retry interval)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    j  oa.jobs;
BEGIN
    IF retry IS NULL THEN
        PERFORM FROM public.agent_instances i
          WHERE i.id = (SELECT o.route_id FROM oa.jobs o
                         WHERE o.id = job AND o.holder = job_failed.holder)
            FOR NO KEY UPDATE;
    END IF;

    UPDATE oa.jobs o
       SET stage = CASE WHEN retry IS NULL THEN 'failed' ELSE o.stage END,
           attempt = CASE WHEN retry IS NULL THEN o.attempt
                          ELSE o.attempt + 1 END,
           error = left(job_failed.error, 500),
           holder = NULL, leased_until = NULL,
           retry_at = clock_timestamp() + retry,
           changed_at = clock_timestamp()
     WHERE o.id = job AND o.holder = job_failed.holder
    RETURNING o.* INTO j;
    IF NOT FOUND THEN
        RETURN false;
    END IF;

    IF retry IS NULL THEN
        UPDATE public.agent_instances i
           SET status = 'error'
         WHERE i.id = j.route_id
           AND oa.needs_machine(i.status, i.fly_machine_id);
    END IF;

    RETURN true;
END
$$;

COMMENT ON FUNCTION oa.job_failed(uuid, text, text, interval) IS
    'ends the holder''s attempt; without a time to retry in, for good';


CREATE OR REPLACE FUNCTION oa.job_stages(routes uuid[])
RETURNS TABLE (route_id uuid, stage text, attempt integer, error text,
               wait bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    RETURN QUERY
    SELECT j.route_id, j.stage, j.attempt, j.error,
           coalesce(oa.ms_until(j.retry_at), 0)
      FROM oa.jobs j
     WHERE j.route_id = ANY (routes);
END
$$;

COMMENT ON FUNCTION oa.job_stages(uuid[]) IS
    'how far the jobs of these routes are; wait: until the next attempt, ms';


-- of many who find the same machine dead, one changes something

CREATE OR REPLACE FUNCTION oa.machine_gone(route uuid, machine text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    UPDATE public.agent_instances i
       SET fly_machine_id = NULL,
           status = CASE WHEN i.status = 'disabled' THEN i.status
                         ELSE 'provisioning' END
     WHERE i.id = route AND i.fly_machine_id = machine_gone.machine;
    IF NOT FOUND THEN
        RETURN false;
    END IF;

    UPDATE oa.jobs o
       SET machine = NULL, changed_at = clock_timestamp()
     WHERE o.route_id = route AND o.machine = machine_gone.machine;

    RETURN true;
END
$$;

COMMENT ON FUNCTION oa.machine_gone(uuid, text) IS
    'takes a machine that no longer exists from its route';


-- functions are everybody's by default

REVOKE ALL ON FUNCTION
    oa.job_changed(), oa.instance_placed(), oa.needs_machine(text, text),
    oa.ms_until(timestamptz), oa.job_claim(uuid, text, interval, text),
    oa.job_patched(oa.jobs, jsonb), oa.job_step(uuid, text, interval, jsonb),
    oa.job_done(uuid, text, jsonb),
    oa.job_failed(uuid, text, text, interval), oa.job_stages(uuid[]),
    oa.machine_gone(uuid, text)
    FROM PUBLIC, anon, authenticated, service_role;

GRANT EXECUTE ON FUNCTION
    oa.job_claim(uuid, text, interval, text),
    oa.job_step(uuid, text, interval, jsonb),
    oa.job_done(uuid, text, jsonb),
    oa.job_failed(uuid, text, text, interval), oa.job_stages(uuid[]),
    oa.machine_gone(uuid, text)
    TO oa_router;

COMMIT;
