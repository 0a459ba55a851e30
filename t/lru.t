# More routes than the zone holds: those used the longest ago go, and come back
# by a query; those in use stay without one.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client;
use OA::Nginx;
use OA::Postgres;
use OA::Routes qw(insert_route);
use OA::Util qw(wait_for);

my $N = 12000;

my $pg = OA::Postgres->new(conf => { log_error_verbosity => 'default' });
$pg->apply;
insert_route($pg, 'r0', app => 'a', machine => 'm0');
$pg->do(q{ALTER TABLE public.agent_instances
          DROP CONSTRAINT agent_instances_user_id_agent_id_key});
$pg->do(<<'SQL', $N - 1);
    INSERT INTO public.agent_instances (user_id, agent_id, fly_app_name,
           fly_machine_id, region, status, access, subdomain)
    SELECT user_id, agent_id, 'a', 'm' || n, 'fra', 'running', 'public',
           'r' || n
      FROM public.agent_instances, generate_series(1, ?) n
SQL
$pg->log_queries('oa_router');

my $ng = OA::Nginx->new(workers => 2, http => <<"CONF");
    oa_zone 1m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}';
    oa_routes t { domain openagents.example; source postgres; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        keepalive_requests 1000000;
        oa_router t;
        location / {
            add_header X-Cache \$oa_route_cache always;
            oa_replay;
        }
    }
CONF

my $client = OA::Client->new($ng->port);
my %cache;

sub right {
    my ($n) = @_;
    my $r = $client->get('/', host => "r$n.openagents.example");
    $cache{ $r->header('X-Cache') // 'none' }++;
    return ($r->header('fly-replay') // '') eq "app=a;instance=m$n";
}

sub misses {
    %cache = ();
    right($_) for @_;
    return $cache{miss} // 0;
}

ok $ng->wait_log(qr/$N routes read from the database/, 20), 'the first read';

# all are served, though not all are there

my @sample = map { $_ * 7 % $N } 1 .. 2000;
is +(grep { !right($_) } @sample), 0, 'each name is served';
cmp_ok $cache{miss}, '>', 200, "of 2000 $cache{miss} had to be asked for";
cmp_ok $cache{hit} // 0, '>', 200, 'and others not';
is misses(@sample[-100 .. -1]), 0, 'what was asked for is known then';

# hot ones among a walk through all the others

my @hot = map { $_ * 100 } 1 .. 50;
my %hot = map { $_ => 1 } @hot;
misses(@hot);
is misses(@hot), 0, 'hot routes are known';

my ($wrong, $missed, $asked) = (0, 0, 0);
my @others = grep { !$hot{$_} } 0 .. $N - 1;
while (my @some = splice @others, 0, 200) {
    $asked += misses(@some);
    $wrong += grep { !right($_) } @some;
    $missed += misses(@hot);
}
is $wrong, 0, 'all others are served';
cmp_ok $asked, '>', 4000, "of them $asked by a query";
is $missed, 0, 'hot routes stay without one';

# a change of a route is no use of it

for my $n (1 .. 3) {
    $pg->do(q{UPDATE public.agent_instances SET region = ?
              WHERE NOT subdomain = ANY (?)}, "r$n",
            [ map { "r$_" } @hot ]);
    insert_route($pg, "last$n", app => 'a', machine => 'm');
    ok +(wait_for {
        $pg->query_count(qr/oa\.routes_changed/) > $n
            and $client->get('/', host => "last$n.openagents.example")
                ->status == 307
    } 20), 'nearly all routes change';
}
is misses(@hot), 0, 'hot routes are known still';
is +(grep { !right($_) } @sample), 0, 'each name is served';

is $ng->worker_pids, 2, 'no worker was lost';
unlike $ng->log, qr/no room/, 'there was room';

done_testing;
