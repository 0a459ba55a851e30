#!/usr/bin/perl

# sql/ applies twice without harm on a bare PostgreSQL, over the marketplace's
# tables as they were before the router, and where Supabase's roles, auth
# schema and default privileges are and we are no superuser.  t/sql.t runs
# t/sql/ on the first; here it runs on the others.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(basename dirname);
use File::Temp qw(tempdir);
use Test::More;

my $root = abs_path(dirname(__FILE__) . '/..');
my @files = sort glob "$root/sql/*.sql";
my @tests = sort glob "$root/t/sql/*.sql";

chomp(my $bin = `pg_config --bindir 2>/dev/null`);
plan skip_all => 'no PostgreSQL' if !$bin || !-x "$bin/initdb";

# postgres does not run as root

my @as = $> == 0 ? ('runuser', '-u', 'postgres', '--') : ();
my (%cluster, $main);

$main = $$;
$SIG{INT} = $SIG{TERM} = sub { exit 1 };

END {
    if ($main && $$ == $main) {
        my $status = $?;
        run("$bin/pg_ctl", '-D', "$_/data", '-m', 'immediate', 'stop')
            for values %cluster;
        $? = $status;
    }
}


# Supabase: postgres owns the database, but neither auth nor the cluster; all
# that it makes in public is open to the API's roles.

my $supabase = <<'SQL';
CREATE ROLE postgres LOGIN CREATEDB CREATEROLE BYPASSRLS REPLICATION;
CREATE ROLE anon NOLOGIN NOINHERIT;
CREATE ROLE authenticated NOLOGIN NOINHERIT;
CREATE ROLE service_role NOLOGIN NOINHERIT BYPASSRLS;
CREATE ROLE supabase_auth_admin LOGIN NOINHERIT CREATEROLE;
CREATE DATABASE supabase OWNER postgres;
\connect supabase
CREATE SCHEMA auth AUTHORIZATION supabase_auth_admin;
CREATE TABLE auth.users (id uuid PRIMARY KEY, email text,
    banned_until timestamptz, deleted_at timestamptz);
CREATE TABLE auth.sessions (id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
    created_at timestamptz, updated_at timestamptz, not_after timestamptz,
    refreshed_at timestamp);
ALTER TABLE auth.users OWNER TO supabase_auth_admin;
ALTER TABLE auth.sessions OWNER TO supabase_auth_admin;
ALTER TABLE auth.users ENABLE ROW LEVEL SECURITY;
ALTER TABLE auth.sessions ENABLE ROW LEVEL SECURITY;
CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        nullif(current_setting('request.jwt.claim.sub', true), ''),
        (nullif(current_setting('request.jwt.claims', true), '')::jsonb
            ->> 'sub'))::uuid
$$;
ALTER FUNCTION auth.uid() OWNER TO supabase_auth_admin;
GRANT USAGE ON SCHEMA auth TO postgres, anon, authenticated, service_role;
GRANT SELECT, REFERENCES, TRIGGER ON ALL TABLES IN SCHEMA auth TO postgres;
GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA public
    GRANT ALL ON TABLES TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA public
    GRANT ALL ON FUNCTIONS TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA public
    GRANT ALL ON SEQUENCES TO anon, authenticated, service_role;
SQL


# the tables, policies and hook from before, open as they were

my $seed = <<'SQL';
CREATE TABLE user_profiles (
  id UUID PRIMARY KEY REFERENCES auth.users(id), display_name TEXT,
  role TEXT DEFAULT 'user', stripe_customer_id TEXT,
  created_at TIMESTAMPTZ DEFAULT NOW());
CREATE TABLE agents (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  creator_id UUID REFERENCES user_profiles(id), name TEXT NOT NULL,
  slug TEXT UNIQUE NOT NULL, description TEXT, icon_url TEXT,
  price_monthly NUMERIC, price_onetime NUMERIC, skill_md TEXT,
  docker_image TEXT, status TEXT DEFAULT 'draft',
  install_count INTEGER DEFAULT 0, rating NUMERIC,
  created_at TIMESTAMPTZ DEFAULT NOW());
CREATE TABLE purchases (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  buyer_id UUID REFERENCES user_profiles(id),
  agent_id UUID REFERENCES agents(id), type TEXT,
  polar_subscription_id TEXT, status TEXT DEFAULT 'active',
  created_at TIMESTAMPTZ DEFAULT NOW(), UNIQUE(buyer_id, agent_id));
CREATE TABLE agent_instances (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id UUID REFERENCES user_profiles(id),
  agent_id UUID REFERENCES agents(id), fly_app_name TEXT,
  fly_machine_id TEXT, fly_volume_id TEXT, region TEXT DEFAULT 'iad',
  status TEXT DEFAULT 'provisioning', last_active_at TIMESTAMPTZ,
  created_at TIMESTAMPTZ DEFAULT NOW(), UNIQUE(user_id, agent_id));
ALTER TABLE agents ENABLE ROW LEVEL SECURITY;
ALTER TABLE agent_instances ENABLE ROW LEVEL SECURITY;
ALTER TABLE purchases ENABLE ROW LEVEL SECURITY;
CREATE POLICY "agents_public_read" ON agents
  FOR SELECT USING (status = 'published');
CREATE POLICY "agents_creator_write" ON agents
  FOR ALL USING (creator_id = auth.uid())
  WITH CHECK (creator_id = auth.uid());
CREATE POLICY "purchases_own" ON purchases
  FOR SELECT USING (buyer_id = auth.uid());
CREATE POLICY "instances_own" ON agent_instances
  FOR ALL USING (user_id = auth.uid())
  WITH CHECK (user_id = auth.uid());
CREATE FUNCTION add_tenant_claims(event jsonb) RETURNS jsonb AS $$
BEGIN
  RETURN event;
END;
$$ LANGUAGE plpgsql;
GRANT ALL ON user_profiles, agents, purchases, agent_instances
  TO anon, authenticated;
GRANT UPDATE (role) ON user_profiles TO authenticated;
INSERT INTO agent_instances (fly_app_name, status) VALUES ('old', NULL);
SQL


start('bare', 'postgres');
is(query('bare', 'postgres', 'postgres',
         'CREATE DATABASE bare; CREATE DATABASE seed;'), '', 'databases');

apply_twice('bare', 'bare', 'postgres');

is(query('bare', 'seed', 'postgres', slurp($files[0]) . $seed), '',
   'tables from before');
apply_twice('bare', 'seed', 'postgres');
is(query('bare', 'seed', 'postgres', 'SELECT status, access FROM
         agent_instances'), "provisioning|owner\n", 'their rows are kept');
pgtap('bare', 'seed', 'postgres');


# what was written past the triggers is found when the files are applied

is(query('bare', 'seed', 'postgres', <<'SQL'), '', 'rows past the triggers');
INSERT INTO agent_instances (subdomain) VALUES ('gone'), ('kept');
SET session_replication_role = replica;
DELETE FROM agent_instances WHERE subdomain = 'gone';
INSERT INTO agent_instances (subdomain) VALUES ('new');
SQL

my $feed = 'SELECT subdomain, deleted FROM oa.route_changes ORDER BY 1';
my $versions = 'SELECT subdomain, version FROM oa.route_changes ORDER BY 1';

apply('bare', 'seed', 'postgres');
is(query('bare', 'seed', 'postgres', $feed), "gone|t\nkept|f\nnew|f\n",
   'are taken into the feed');

my $before = query('bare', 'seed', 'postgres', $versions);
apply('bare', 'seed', 'postgres');
is(query('bare', 'seed', 'postgres', $versions), $before, 'once');


# auth's tables as they were when they had fewer columns

is(query('bare', 'postgres', 'postgres', 'CREATE DATABASE old;'), '', 'old');
is(query('bare', 'old', 'postgres', <<'SQL'), '', 'tables of old');
CREATE SCHEMA auth;
CREATE TABLE auth.users (id uuid PRIMARY KEY, banned_until timestamptz);
CREATE TABLE auth.sessions (id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE);
INSERT INTO auth.users VALUES
    ('00000000-0000-0000-0000-00000000000a', 'infinity'),
    ('00000000-0000-0000-0000-00000000000b', '2001-01-01'),
    ('00000000-0000-0000-0000-00000000000c', NULL);
SQL

my $revoked = q{SELECT right(id::text, 1), kind FROM oa.revocations
                 WHERE until > now() ORDER BY 1};

apply('bare', 'old', 'postgres');
is(query('bare', 'old', 'postgres', $revoked), "a|ban\n",
   'a ban from before is taken over');
is(query('bare', 'old', 'postgres', <<'SQL'), '', 'sessions and users go');
INSERT INTO auth.sessions
    SELECT '00000000-0000-0000-0000-00000000000d', id
      FROM auth.users WHERE banned_until < now();
DELETE FROM auth.sessions;
DELETE FROM auth.users WHERE banned_until IS NULL;
SQL
is(query('bare', 'old', 'postgres', $revoked),
   "a|ban\nc|ban\nd|session\n", 'and are revoked');

is(query('bare', 'old', 'postgres', <<'SQL'), '', 'past the triggers');
SET session_replication_role = replica;
UPDATE auth.users SET banned_until = NULL WHERE banned_until > now();
UPDATE auth.users SET banned_until = 'infinity' WHERE banned_until < now();
SQL
apply('bare', 'old', 'postgres');
is(query('bare', 'old', 'postgres', $revoked),
   "b|ban\nc|ban\nd|session\n", 'a ban begun and one ended are found');
my $changes = 'SELECT id, changed_at FROM oa.revocations ORDER BY 1';
$before = query('bare', 'old', 'postgres', $changes);
apply('bare', 'old', 'postgres');
is(query('bare', 'old', 'postgres', $changes), $before, 'once');


start('supabase', 'supabase_admin');
is(query('supabase', 'postgres', 'supabase_admin', $supabase), '',
   'as Supabase has it');
apply_twice('supabase', 'supabase', 'postgres');
pgtap('supabase', 'supabase', 'supabase_admin');

done_testing();


sub run {
    my @command = @_;

    my $pid = open(my $out, '-|') // die "fork: $!";

    if ($pid == 0) {
        open(STDIN, '<', '/dev/null');
        open(STDERR, '>&', \*STDOUT);
        chdir('/');
        exec(@as, @command) or die "$command[0]: $!";
    }

    local $/;
    my $text = <$out> // '';
    close($out);

    return wantarray ? ($?, $text) : $?;
}


sub start {
    my ($name, $superuser) = @_;

    my $dir = tempdir('oa-sql-XXXXXX', TMPDIR => 1, CLEANUP => 1);

    if (@as) {
        chown((getpwnam('postgres'))[2, 3], $dir) or die "chown: $!";
    }

    my ($status, $text) = run("$bin/initdb", '-D', "$dir/data", '-A', 'trust',
                              '-U', $superuser, '-E', 'UTF8', '--no-locale',
                              '-N');
    die $text if $status;

    # only a socket, in a directory of its own: any port will do
    $cluster{$name} = $dir;
    run("$bin/pg_ctl", '-D', "$dir/data", '-l', "$dir/log", '-w', '-o',
        "-k $dir -c listen_addresses='' -c fsync=off", 'start')
        and die "pg_ctl: $dir/log";
}


sub psql {
    my ($name, $db, $user, @args) = @_;

    return run("$bin/psql", '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1',
               '-h', $cluster{$name}, '-U', $user, '-d', $db, @args);
}


sub query {
    my ($name, $db, $user, $sql) = @_;

    my $file = "$cluster{$name}/query.sql";

    open(my $out, '>', $file) or die "$file: $!";
    print $out $sql;
    close($out) or die "$file: $!";

    my ($status, $text) = psql($name, $db, $user, '-f', $file);

    return $text;
}


sub apply {
    my ($name, $db, $user) = @_;

    for my $file (@files) {
        my ($status, $text) = psql($name, $db, $user, '-f', $file);
        is("$status $text", '0 ', "$db: " . basename($file));
    }
}


sub apply_twice {
    my ($name, $db, $user) = @_;

    my @dump = ("$bin/pg_dump", '-h', $cluster{$name}, '-U', $user, '-s',
                $db eq 'supabase' ? ('-n', 'public', '-n', 'oa') : (), $db);
    my @schema;

    for (1 .. 2) {
        apply($name, $db, $user);

        my ($status, $text) = run(@dump);
        is($status, 0, "$db: dumped");

        # newer versions of pg_dump write a random word, and grants have no
        # order
        $text =~ s/^\\(?:un)?restrict .*$//mg;
        push @schema, join("\n", sort(split(/\n/, $text)));
    }

    ok($schema[0] eq $schema[1], "$db: twice is once");
}


sub pgtap {
    my ($name, $db, $user) = @_;

    for my $file (@tests) {
        my ($status, $text) = psql($name, $db, $user, '-f', $file);

        ok($status == 0 && $text !~ /^not ok|^# Looks like/m
           && $text =~ /^ok/m, "$db: " . basename($file))
            or diag($text =~ s/^ok .*\n//mgr);
    }
}


sub slurp {
    my ($file) = @_;

    open(my $in, '<', $file) or die "$file: $!";
    local $/;
    return scalar <$in>;
}
