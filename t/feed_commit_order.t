# The older of two transactions commits last, while nobody listens: its change
# has the lower version and the lower transaction id, and is not missed.

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

my $pg = OA::Postgres->new->apply;
insert_route($pg, $_, machine => 'm1') for qw(slow quick);
$pg->log_queries('oa_router');

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

ok $ng->wait_log(qr/2 routes read from the database/), 'the first read';

my $t1 = $pg->connect(AutoCommit => 0);
$t1->do(q{UPDATE public.agent_instances SET fly_machine_id = 'm2'
          WHERE subdomain = 'slow'});
my ($xid1) = $t1->selectrow_array('SELECT pg_current_xact_id()');

my $t2 = $pg->connect(AutoCommit => 0);
$t2->do(q{UPDATE public.agent_instances SET fly_machine_id = 'm2'
          WHERE subdomain = 'quick'});
my ($xid2) = $t2->selectrow_array('SELECT pg_current_xact_id()');
$t2->commit;
cmp_ok $xid2, '>', $xid1, 'the quick one began later';

ok +(wait_for { target('quick') eq 'app=oa-quick;instance=m2' } 2),
    'and is served';

# the position moves on with the beat: let it, past the quick one

my $reads = $pg->query_count(qr/oa\.routes_changed/);
ok +(wait_for { $pg->query_count(qr/oa\.routes_changed/) > $reads + 1 } 20),
    'the feed has taken its position since';

$pg->do('ALTER ROLE oa_router NOLOGIN');
$pg->do(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE usename = 'oa_router'});
ok $ng->wait_log(qr/the change feed is lost/), 'the feed is lost';

$t1->commit;
is target('slow'), 'app=oa-slow;instance=m1', 'nobody heard of the commit';

$pg->do('ALTER ROLE oa_router LOGIN');
ok $ng->wait_log(qr/the change feed is back/, 20), 'the feed is back';

is target('slow'), 'app=oa-slow;instance=m2', 'the slow one is served';
is target('quick'), 'app=oa-quick;instance=m2', 'so is the quick one';

is $pg->query_count(qr/FROM oa\.routes WHERE/), 1,
    'all was read once, at the start';

done_testing;
