# The database's name is resolved by nginx's resolver, before each connection,
# and is the name that its certificate is checked for.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Postgres;
use OA::Resolver;
use OA::Routes qw(insert_route);
use OA::Util qw(wait_for);

my $pg = OA::Postgres->new(start => 0, conf => { ssl => 'on' });
my $data = $pg->dir . '/data';
is system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 "
          . "-subj /CN=db.example -addext subjectAltName=DNS:db.example "
          . "-keyout $data/server.key -out $data/server.crt 2>/dev/null"), 0,
    'a certificate of db.example';
chmod 0600, "$data/server.key";
if ($> == 0) {
    my (undef, undef, $uid, $gid) = getpwnam 'postgres';
    chown $uid, $gid, "$data/server.key", "$data/server.crt";
}
my $root = $pg->dir . '/root.crt';
is system('cp', "$data/server.crt", $root), 0, 'which is its own root';
chmod 0644, $root;
$pg->start->apply;
insert_route($pg, 'alice', machine => 'm1');

my $dns = OA::Resolver->new('db.example' => '127.0.0.1',
                            'other.example' => '127.0.0.1',
                            'two.example' => [ '127.0.0.99', '127.0.0.1' ]);

sub nginx {
    my ($host, %o) = @_;
    my $conninfo = $pg->conninfo(user => 'oa_router', host => $host, %o);
    return OA::Nginx->new(workers => 2, http => <<"CONF");
    resolver @{[ $dns->address ]} valid=1s ipv6=off;
    resolver_timeout 1s;
    oa_zone 16m;
    oa_postgres '$conninfo' timeout=2s;
    oa_routes t {
        domain openagents.example; source postgres;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        location / { oa_replay; }
    }
CONF
}

my $ng;

sub get { http_get($ng->port, '/', host => "$_[0].openagents.example") }

sub target {
    my $r = get(@_);
    return $r->header('fly-replay') // $r->status;
}

my @full = (sslmode => 'verify-full', sslrootcert => $root);

$ng = nginx('db.example', @full);
ok $ng->wait_log(qr/1 routes read from the database/), 'db.example';
is target('alice'), 'app=oa-alice;instance=m1', 'a route';
cmp_ok $dns->count('db.example', 'A'), '>', 0, 'the name was asked for';
is target('unknown'), 404, 'it can be asked';

# over TLS changes come too, many at a time

$pg->do('ALTER TABLE public.agent_instances
         DROP CONSTRAINT agent_instances_user_id_agent_id_key');
$pg->do(<<'SQL');
    INSERT INTO public.agent_instances (user_id, agent_id, fly_app_name,
           fly_machine_id, region, status, access, subdomain)
    SELECT user_id, agent_id, 'a', 'm' || n, 'fra', 'running', 'public',
           'r' || n
      FROM public.agent_instances, generate_series(1, 3000) n
SQL
ok +(wait_for { target('r3000') eq 'app=a;instance=m3000' } 5),
    'a large answer over TLS';
is +(grep { target("r$_") ne "app=a;instance=m$_" } map { $_ * 30 } 1 .. 100),
    0, 'all of it';
$ng->stop;

$ng = nginx('other.example', @full);
ok $ng->wait_log(qr/\[error\].*oa_postgres: .*certificate/),
    'another name than the certificate\'s';
is target('alice'), 503, 'is not connected to';
$ng->stop;

$ng = nginx('two.example');
ok $ng->wait_log(qr/routes read from the database/),
    'a name of two addresses, the first dead';
is target('alice'), 'app=oa-alice;instance=m1', 'a route';
$ng->stop;

$ng = nginx('nowhere.example');
ok $ng->wait_log(qr/\[error\].*"nowhere\.example" could not be resolved/),
    'a name that does not exist';
is target('alice'), 503, 'no route';
$dns->set('nowhere.example' => '127.0.0.1');
ok +(wait_for { target('alice') eq 'app=oa-alice;instance=m1' } 20),
    'until it exists';
$ng->stop;

$dns->silent(1);
$ng = nginx('db.example');
my $start = time;
my $r = get('alice');
is $r->status, 503, 'a name server that says nothing: no route';
cmp_ok time - $start, '<', 4, 'in time';
ok $ng->wait_log(qr/\[error\].*"db\.example" could not be resolved/, 5),
    'says the log';
$start = time;
ok $ng->reload, 'a reload meanwhile';
ok +(wait_for { !$ng->old_worker_pids } 5), 'does not hang';
$dns->silent(0);
ok +(wait_for { target('alice') eq 'app=oa-alice;instance=m1' } 20),
    'it speaks again';

done_testing;
