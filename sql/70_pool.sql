/*
 * The pool: machines made before anybody asked for them, so that a first
 * visit finds one that runs already.
 *
 * An entry is provisioning, ready, claimed by a job, failed or destroying.
 * It moves only forwards: one that was claimed never comes back, for somebody
 * may have left something in it.
 *
 * digest is NAME:HASH: whose pool, and by what template.  An entry is handed
 * out to those of the same template only; the pools of other names are left
 * alone.
 *
 * wanted is the region an entry was made for, region the one where capacity
 * was found.  Entries are counted by the first, or a full region would be
 * filled for ever somewhere else, and chosen by the second.
 *
 * stage and state are the router's, as those of oa.jobs.
 */

BEGIN;

SET LOCAL client_min_messages = warning;


CREATE TABLE IF NOT EXISTS oa.pool (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    status        text NOT NULL DEFAULT 'provisioning'
                  CHECK (status IN ('provisioning', 'ready', 'claimed',
                                    'failed', 'destroying')),
    digest        text NOT NULL CHECK (digest ~ '^[^:]+:[^:]+$'),
    wanted        text NOT NULL,
    stage         text,
    region        text,
    app           text,
    ip            text,
    volume        text,
    machine       text,
    state         jsonb NOT NULL DEFAULT '{}',
    error         text,
    holder        text,
    leased_until  timestamptz,
    job_id        uuid,
    created_at    timestamptz NOT NULL DEFAULT now(),
    changed_at    timestamptz NOT NULL DEFAULT now(),
    checked_at    timestamptz
);

-- claimed entries are as many as routes, all others a handful

CREATE INDEX IF NOT EXISTS pool_unclaimed
    ON oa.pool (digest, status) WHERE status <> 'claimed';

COMMENT ON TABLE oa.pool IS 'machines made in advance';

ALTER TABLE oa.pool ENABLE ROW LEVEL SECURITY;

REVOKE ALL ON oa.pool FROM PUBLIC, anon, authenticated, service_role;


/*
 * The nearest region first, and of it the oldest entry.  A job that has a
 * placement keeps it: a volume may be in it.  The stage stays: one that is
 * still at its claim gets what it claimed, should it ask again.
 */

CREATE OR REPLACE FUNCTION oa.pool_claim(
    job uuid, holder text, regions text[], digest text)
RETURNS TABLE (stage text, app text, ip text, volume text, machine text,
               region text, state jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    j  oa.jobs;
    p  oa.pool;
BEGIN
    SELECT o.* INTO j FROM oa.jobs o
     WHERE o.id = job AND o.holder = pool_claim.holder
       FOR UPDATE;
    IF NOT FOUND OR j.app IS NOT NULL AND j.stage <> 'claim' THEN
        RETURN;
    END IF;

    IF j.app IS NULL THEN
        SELECT o.* INTO p FROM oa.pool o
         WHERE o.digest = pool_claim.digest AND o.status = 'ready'
           AND o.region = ANY (regions)
         ORDER BY array_position(regions, o.region), o.created_at
         LIMIT 1
           FOR UPDATE SKIP LOCKED;
        IF NOT FOUND THEN
            RETURN;
        END IF;

        UPDATE oa.pool o
           SET status = 'claimed', job_id = job,
               changed_at = clock_timestamp()
         WHERE o.id = p.id;

        UPDATE oa.jobs o
           SET app = p.app, ip = p.ip, volume = p.volume,
               machine = p.machine, region = p.region,
               state = p.state || o.state, changed_at = clock_timestamp()
         WHERE o.id = job
        RETURNING o.* INTO j;
    END IF;

    RETURN QUERY
    SELECT j.stage, j.app, j.ip, j.volume, j.machine, j.region, j.state;
END
$$;

COMMENT ON FUNCTION oa.pool_claim(uuid, text, text[], text) IS
    'gives a ready machine to a job of the caller; no row: there is none';


/*
 * The lock makes of those who count at the same time a queue, each with a
 * snapshot of its own.  An entry whose lease has expired is none to count on.
 */

CREATE OR REPLACE FUNCTION oa.pool_begin(
    region text, digest text, want integer, holder text)
RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    entry  uuid;
BEGIN
    PERFORM pg_advisory_xact_lock(
        'oa.pool'::regclass::integer,
        hashtext(pool_begin.digest || ' ' || pool_begin.region));

    IF (SELECT count(*) FROM oa.pool o
         WHERE o.digest = pool_begin.digest AND o.wanted = pool_begin.region
           AND (o.status = 'ready'
                OR o.status = 'provisioning'
                   AND o.leased_until > clock_timestamp()))
       >= coalesce(want, 0)
    THEN
        RETURN NULL;
    END IF;

    INSERT INTO oa.pool (digest, wanted, holder, leased_until)
         VALUES (pool_begin.digest, pool_begin.region, pool_begin.holder,
                 clock_timestamp() + interval '1 minute')
      RETURNING id INTO entry;

    RETURN entry;
END
$$;

COMMENT ON FUNCTION oa.pool_begin(text, text, integer, text) IS
    'opens an entry, leased for a minute; NULL: there are enough';


-- patches are those of oa.job_step()

CREATE OR REPLACE FUNCTION oa.pool_step(
    entry uuid, holder text, lease interval, patch jsonb)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    UPDATE oa.pool o
       SET (stage, app, ip, volume, machine, region, state) =
           (SELECT n.stage, n.app, n.ip, n.volume, n.machine, n.region,
                   n.state
              FROM jsonb_populate_record(o, patch) n),
           leased_until = clock_timestamp() + lease,
           changed_at = clock_timestamp()
     WHERE o.id = entry AND o.status = 'provisioning'
       AND o.holder = pool_step.holder;

    RETURN FOUND;
END
$$;

COMMENT ON FUNCTION oa.pool_step(uuid, text, interval, jsonb) IS
    'stores what was made for an entry and renews its lease; false: it is '
    'being destroyed, and so should be what was made since';


CREATE OR REPLACE FUNCTION oa.pool_ready(
    entry uuid, holder text, patch jsonb)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    IF NOT oa.pool_step(entry, holder, '0', patch) THEN
        RETURN false;
    END IF;

    UPDATE oa.pool o
       SET status = 'ready', region = coalesce(o.region, o.wanted),
           holder = NULL, leased_until = NULL,
           checked_at = clock_timestamp()
     WHERE o.id = entry AND o.app IS NOT NULL AND o.machine IS NOT NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'entry % has no machine', entry
            USING ERRCODE = '22004';
    END IF;

    RETURN true;
END
$$;

COMMENT ON FUNCTION oa.pool_ready(uuid, text, jsonb) IS
    'puts an entry that the caller made into the pool';


-- one that is ready has no holder: whoever looks finds it dead

CREATE OR REPLACE FUNCTION oa.pool_failed(
    entry uuid, holder text, error text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    UPDATE oa.pool o
       SET status = 'failed', error = left(pool_failed.error, 500),
           holder = NULL, leased_until = NULL,
           changed_at = clock_timestamp()
     WHERE o.id = entry
       AND (o.status = 'ready'
            OR o.status = 'provisioning' AND o.holder = pool_failed.holder);

    RETURN FOUND;
END
$$;

COMMENT ON FUNCTION oa.pool_failed(uuid, text, text) IS
    'takes an entry that is no good from the pool';


-- 16 at a time: who asks has them to look at before anybody asks again

CREATE OR REPLACE FUNCTION oa.pool_check(digest text, age interval)
RETURNS TABLE (entry uuid, app text, machine text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    RETURN QUERY
    UPDATE oa.pool o
       SET checked_at = clock_timestamp()
     WHERE o.id = ANY (ARRAY(
               SELECT c.id FROM oa.pool c
                WHERE c.digest = pool_check.digest AND c.status = 'ready'
                  AND c.checked_at < clock_timestamp() - age
                ORDER BY c.checked_at
                LIMIT 16
                  FOR UPDATE SKIP LOCKED))
    RETURNING o.id, o.app, o.machine;
END
$$;

COMMENT ON FUNCTION oa.pool_check(text, interval) IS
    'ready entries that nobody has looked at for so long';


/*
 * What is to be destroyed: entries of another template, made longer ago than
 * age (for a while two versions of a template are in use); those that failed;
 * those whose holder died; those whose destroyer did.  They are the caller's
 * for 5 minutes, and nobody's to claim.
 */

CREATE OR REPLACE FUNCTION oa.pool_old(digest text, age interval)
RETURNS TABLE (entry uuid, stage text, app text, ip text, volume text,
               machine text, region text, state jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    RETURN QUERY
    UPDATE oa.pool o
       SET status = 'destroying', holder = NULL,
           leased_until = clock_timestamp() + interval '5 minutes',
           changed_at = clock_timestamp()
     WHERE o.id = ANY (ARRAY(
               SELECT c.id FROM oa.pool c
                WHERE split_part(c.digest, ':', 1)
                      = split_part(pool_old.digest, ':', 1)
                  AND (c.status = 'ready'
                       AND c.digest <> pool_old.digest
                       AND c.created_at < clock_timestamp() - age
                       OR c.status = 'failed'
                       OR c.status IN ('provisioning', 'destroying')
                          AND c.leased_until <= clock_timestamp())
                ORDER BY c.created_at
                LIMIT 16
                  FOR UPDATE SKIP LOCKED))
    RETURNING o.id, o.stage, o.app, o.ip, o.volume, o.machine, o.region,
              o.state;
END
$$;

COMMENT ON FUNCTION oa.pool_old(text, interval) IS
    'takes from the pool what the caller is to destroy';


CREATE OR REPLACE FUNCTION oa.pool_dropped(entry uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    DELETE FROM oa.pool o WHERE o.id = entry AND o.status = 'destroying';

    RETURN FOUND;
END
$$;

COMMENT ON FUNCTION oa.pool_dropped(uuid) IS
    'forgets an entry of which nothing is left';


-- functions are everybody's by default

REVOKE ALL ON FUNCTION
    oa.pool_claim(uuid, text, text[], text),
    oa.pool_begin(text, text, integer, text),
    oa.pool_step(uuid, text, interval, jsonb),
    oa.pool_ready(uuid, text, jsonb), oa.pool_failed(uuid, text, text),
    oa.pool_check(text, interval), oa.pool_old(text, interval),
    oa.pool_dropped(uuid)
    FROM PUBLIC, anon, authenticated, service_role;

GRANT EXECUTE ON FUNCTION
    oa.pool_claim(uuid, text, text[], text),
    oa.pool_begin(text, text, integer, text),
    oa.pool_step(uuid, text, interval, jsonb),
    oa.pool_ready(uuid, text, jsonb), oa.pool_failed(uuid, text, text),
    oa.pool_check(text, interval), oa.pool_old(text, interval),
    oa.pool_dropped(uuid)
    TO oa_router;

COMMIT;
