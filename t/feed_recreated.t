# Schema oa was dropped and made anew in the same cluster, as when a dump is
# restored: versions begin again while transaction ids go on.

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
insert_route($pg, $_, machine => 'm0') for qw(changed deleted same);

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

# versions far above those that will be drawn anew

$pg->do(q{UPDATE public.agent_instances SET fly_machine_id = ?}, "m$_")
    for 1 .. 20;
ok +(wait_for { target('changed') eq 'app=oa-changed;instance=m20' } 2),
    'changed twenty times';

$pg->do('ALTER ROLE oa_router NOLOGIN');
$pg->do(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE usename = 'oa_router'});
ok $ng->wait_log(qr/the change feed is lost/), 'the feed is lost';

$pg->do('SET client_min_messages = warning');
$pg->do('DROP SCHEMA oa CASCADE');
$pg->do(q{UPDATE public.agent_instances SET fly_machine_id = 'anew'
          WHERE subdomain = 'changed'});
$pg->do(q{DELETE FROM public.agent_instances WHERE subdomain = 'deleted'});
$pg->apply;

$pg->do('ALTER ROLE oa_router LOGIN');
ok $ng->wait_log(qr/the change feed is back|(?:2 routes read)/, 20),
    'and back';

wait_for { target('changed') eq 'app=oa-changed;instance=anew' } 3;
is target('changed'), 'app=oa-changed;instance=anew', 'changed';
wait_for { target('deleted') eq '404' } 3;
is target('deleted'), 404, 'deleted';
is target('same'), 'app=oa-same;instance=m20', 'the same';

$pg->do(q{UPDATE public.agent_instances SET fly_machine_id = 'later'
          WHERE subdomain = 'same'});
wait_for { target('same') eq 'app=oa-same;instance=later' } 3;
is target('same'), 'app=oa-same;instance=later', 'the feed goes on';

done_testing;
