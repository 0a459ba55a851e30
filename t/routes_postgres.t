# Routes come from PostgreSQL, and a committed change is served at once.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Postgres;
use OA::Routes qw(insert_route);
use OA::Util qw(wait_for);

my $pg = OA::Postgres->new;
$pg->apply;
insert_route($pg, 'alice', machine => 'm1');

my $ng = OA::Nginx->new(workers => 4, http => <<"CONF");
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}';
    oa_routes t {
        domain openagents.example;
        source postgres;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        location / {
            add_header X-Cache \$oa_route_cache always;
            oa_replay;
        }
    }
CONF

sub get { http_get($ng->port, '/', host => "$_[0].openagents.example") }
sub replay { get(@_)->header('fly-replay') // '' }

ok $ng->wait_log(qr/1 routes read from the database/), 'the first read';
is replay('alice'), 'app=oa-alice;instance=m1', 'a row is a route';
is get('alice')->header('x-cache'), 'hit', 'which is known';

insert_route($pg, 'bob', machine => 'm2');
ok +(wait_for { replay('bob') eq 'app=oa-bob;instance=m2' } 1), 'insert';

$pg->do(q{UPDATE public.agent_instances SET fly_machine_id = 'm3'
          WHERE subdomain = 'bob'});
ok +(wait_for { replay('bob') eq 'app=oa-bob;instance=m3' } 1), 'update';

$pg->do(q{UPDATE public.agent_instances SET status = 'disabled'
          WHERE subdomain = 'bob'});
ok +(wait_for { get('bob')->status == 402 } 1), 'status';

$pg->do(q{UPDATE public.agent_instances
          SET subdomain = 'bobby', status = 'stopped'
          WHERE subdomain = 'bob'});
ok +(wait_for { replay('bobby') eq 'app=oa-bob;instance=m3' } 1), 'rename: new';
ok +(wait_for { get('bob')->status == 404 } 1), 'rename: old';

$pg->do(q{UPDATE public.agent_instances SET access = 'owner'
          WHERE subdomain = 'bobby'});
ok +(wait_for { get('bobby')->status == 404 } 1), 'access';

$pg->do(q{DELETE FROM public.agent_instances WHERE subdomain = 'alice'});
ok +(wait_for { get('alice')->status == 404 } 1), 'delete';

my $r = get('nobody');
is $r->status, 404, 'a name that nobody has';

done_testing;
