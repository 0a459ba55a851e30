# A dump is restored into the same cluster: rows, versions and tombstones are
# older than what the feed knows, while transaction ids have gone on.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Postgres;
use OA::Routes qw(insert_route);
use OA::Util qw(wait_for);

my $pg = OA::Postgres->new(db => 'agents', start => 0);
$pg->{db} = 'postgres';
$pg->start;
$pg->do('CREATE DATABASE agents');
delete $pg->{dbh};
$pg->{db} = 'agents';
$pg->apply;
insert_route($pg, $_, machine => 'old') for qw(changed deleted same);

my $ng = OA::Nginx->new(workers => 2, http => <<"CONF");
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}';
    oa_routes t { domain openagents.example; source postgres; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        location / { oa_replay; }
    }
CONF

sub target {
    my $r = http_get($ng->port, '/', host => "$_[0].openagents.example");
    return $r->header('fly-replay') // $r->status;
}

ok $ng->wait_log(qr/3 routes read from the database/), 'the first read';

my $dump = $pg->dir . '/dump.sql';
my @to = ('-h', $pg->dir, '-p', $pg->port, '-U', 'postgres');
is system('pg_dump', @to, '-f', $dump, 'agents'), 0, 'a dump';

$pg->do(q{UPDATE public.agent_instances SET fly_machine_id = ?
          WHERE subdomain = 'changed'}, "new$_") for 1 .. 20;
$pg->do(q{DELETE FROM public.agent_instances WHERE subdomain = 'deleted'});
insert_route($pg, 'inserted', machine => 'new');
ok +(wait_for { target('inserted') eq 'app=oa-inserted;instance=new' } 2),
    'changes after it';
is target('changed'), 'app=oa-changed;instance=new20', 'changed';
is target('deleted'), 404, 'deleted';

# the position of the feed is past them

$pg->do('ALTER ROLE oa_router NOLOGIN');
$pg->do(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE usename = 'oa_router'});
ok $ng->wait_log(qr/the change feed is lost/), 'the feed is lost';
$pg->do('ALTER ROLE oa_router LOGIN');
ok $ng->wait_log(qr/the change feed is back/, 20), 'and back';

$pg->do('ALTER ROLE oa_router NOLOGIN');
$pg->do(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE usename = 'oa_router'});
ok +(wait_for { $ng->log_count(qr/the change feed is lost/) == 2 }),
    'and lost again';

$pg->dbh->disconnect;
delete $pg->{dbh};
$pg->psql('DROP DATABASE agents', dbname => 'postgres');
$pg->psql('CREATE DATABASE agents', dbname => 'postgres');
is system("psql -q -X -h '$to[1]' -p $to[3] -U postgres -d agents -f $dump "
          . '>/dev/null 2>&1'), 0, 'the dump is restored';
$pg->do('ALTER ROLE oa_router LOGIN');
ok +(wait_for {
    $ng->log_count(qr/the change feed is back|\d routes read/) >= 3
} 20), 'the feed is back';

my %want = (
    changed  => 'app=oa-changed;instance=old',
    deleted  => 'app=oa-deleted;instance=old',
    inserted => 404,
    same     => 'app=oa-same;instance=old',
);
for my $name (sort keys %want) {
    wait_for { target($name) eq $want{$name} } 3;
    is target($name), $want{$name}, $name;
}

$pg->do(q{UPDATE public.agent_instances SET fly_machine_id = 'later'
          WHERE subdomain = 'changed'});
wait_for { target('changed') eq 'app=oa-changed;instance=later' } 3;
is target('changed'), 'app=oa-changed;instance=later', 'the feed goes on';

done_testing;
