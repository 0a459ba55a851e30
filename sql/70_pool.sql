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
 */

BEGIN;

SET LOCAL client_min_messages = warning;


CREATE TABLE IF NOT EXISTS oa.pool (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    state         text NOT NULL DEFAULT 'provisioning'
                  CHECK (state IN ('provisioning', 'ready', 'claimed',
                                   'failed', 'destroying')),
    digest        text NOT NULL CHECK (digest ~ '^[^:]+:[^:]+$'),
    wanted        text NOT NULL,
    region        text,
    app           text,
    ip            text,
    volume        text,
    machine       text,
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
    ON oa.pool (digest, state) WHERE state <> 'claimed';

COMMENT ON TABLE oa.pool IS 'machines made in advance';

ALTER TABLE oa.pool ENABLE ROW LEVEL SECURITY;

REVOKE ALL ON oa.pool FROM PUBLIC, anon, authenticated, service_role;


/*
 * The nearest region first, the oldest entry first.  A job that has a
 * placement keeps it: a volume may be in it.  One that has claimed before gets
 * the same entry again, until it has gone on to the next stage.
 */

CREATE OR REPLACE FUNCTION oa.pool_claim(
    job uuid, holder text, regions text[], digest text)
RETURNS TABLE (entry uuid, app text, ip text, volume text, machine text,
               region text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    j  oa.jobs;
    p  oa.pool;
BEGIN
    SELECT o.* INTO j FROM oa.jobs o
     WHERE o.id = job AND o.holder = pool_claim.holder
       FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;

    IF j.stage = 'claimed' THEN
        RETURN QUERY
        SELECT (j.memo ->> 'entry')::uuid, j.app, j.ip, j.volume, j.machine,
               j.region;
        RETURN;
    END IF;

    IF j.app IS NOT NULL THEN
        RETURN;
    END IF;

    SELECT o.* INTO p FROM oa.pool o
     WHERE o.digest = pool_claim.digest AND o.state = 'ready'
       AND o.region = ANY (regions)
     ORDER BY array_position(regions, o.region), o.created_at
     LIMIT 1
       FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;

    UPDATE oa.pool o
       SET state = 'claimed', job_id = job, changed_at = clock_timestamp()
     WHERE o.id = p.id;

    UPDATE oa.jobs o
       SET stage = 'claimed', app = p.app, ip = p.ip, volume = p.volume,
           machine = p.machine, region = p.region,
           memo = o.memo || jsonb_build_object('entry', p.id),
           changed_at = clock_timestamp()
     WHERE o.id = job;

    RETURN QUERY SELECT p.id, p.app, p.ip, p.volume, p.machine, p.region;
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
           AND (o.state = 'ready'
                OR o.state = 'provisioning'
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


/*
 * As oa.job_step(): of the patch's keys those count that the pool has columns
 * for, so that the steps of a walk are stored alike.
 */

CREATE OR REPLACE FUNCTION oa.pool_step(
    entry uuid, holder text, lease interval, patch jsonb)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    UPDATE oa.pool o
       SET (app, ip, volume, machine, region) =
           (SELECT n.app, n.ip, n.volume, n.machine, n.region
              FROM jsonb_to_record(
                       jsonb_build_object('app', o.app, 'ip', o.ip,
                                          'volume', o.volume,
                                          'machine', o.machine,
                                          'region', o.region) || patch)
                   n (app text, ip text, volume text, machine text,
                      region text)),
           leased_until = clock_timestamp() + lease,
           changed_at = clock_timestamp()
     WHERE o.id = entry AND o.state = 'provisioning'
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
       SET state = 'ready', region = coalesce(o.region, o.wanted),
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
       SET state = 'failed', error = left(pool_failed.error, 500),
           holder = NULL, leased_until = NULL,
           changed_at = clock_timestamp()
     WHERE o.id = entry
       AND (o.state = 'ready'
            OR o.state = 'provisioning' AND o.holder = pool_failed.holder);

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
                WHERE c.digest = pool_check.digest AND c.state = 'ready'
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
RETURNS TABLE (entry uuid, app text, ip text, volume text, machine text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    RETURN QUERY
    UPDATE oa.pool o
       SET state = 'destroying', holder = NULL,
           leased_until = clock_timestamp() + interval '5 minutes',
           changed_at = clock_timestamp()
     WHERE o.id = ANY (ARRAY(
               SELECT c.id FROM oa.pool c
                WHERE c.state <> 'claimed'
                  AND split_part(c.digest, ':', 1)
                      = split_part(pool_old.digest, ':', 1)
                  AND (c.state = 'ready'
                       AND c.digest <> pool_old.digest
                       AND c.created_at < clock_timestamp() - age
                       OR c.state = 'failed'
                       OR c.state IN ('provisioning', 'destroying')
                          AND c.leased_until <= clock_timestamp())
                ORDER BY c.created_at
                LIMIT 16
                  FOR UPDATE SKIP LOCKED))
    RETURNING o.id, o.app, o.ip, o.volume, o.machine;
END
$$;

COMMENT ON FUNCTION oa.pool_old(text, interval) IS
    'takes from the pool what the caller is to destroy';


CREATE OR REPLACE FUNCTION oa.pool_dropped(entry uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    DELETE FROM oa.pool o WHERE o.id = entry AND o.state = 'destroying';

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
