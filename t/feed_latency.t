# From the commit until every worker serves the change: 50 ms, p95.

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

my $WORKERS = 4;
my $CHANGES = 60;

my $pg = OA::Postgres->new->apply;
insert_route($pg, 'alice', machine => 'm0');

my $ng = OA::Nginx->new(workers => $WORKERS, http => <<"CONF");
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}';
    oa_routes t { domain openagents.example; source postgres; }
    server {
        listen 127.0.0.1:%%PORT_0%% reuseport;
        keepalive_requests 1000000;
        oa_router t;
        location / {
            add_header X-Pid \$pid always;
            oa_replay;
        }
    }
CONF

ok $ng->wait_log(qr/1 routes read from the database/), 'the first read';

# one connection to each worker

my (%client, $r);
wait_for {
    my $client = OA::Client->new($ng->port);
    $r = $client->get('/', host => 'alice.openagents.example');
    $client{ $r->header('X-Pid') } //= $client;
    keys %client == $WORKERS;
};
is keys %client, $WORKERS, 'every worker is asked';

my @took;

for my $n (1 .. $CHANGES) {
    my $dbh = $pg->dbh;
    $dbh->begin_work;
    $dbh->do("UPDATE public.agent_instances SET fly_machine_id = 'm$n'");
    $dbh->commit;
    my $start = time;
    my %left = %client;

    while (%left and time < $start + 5) {
        for my $pid (keys %left) {
            $r = $left{$pid}->get('/', host => 'alice.openagents.example');
            delete $left{$pid} if $r->header('fly-replay') =~ /=m$n$/;
        }
    }

    push @took, (time - $start) * 1000;
}

@took = sort { $a <=> $b } @took;
my ($median, $p95) = @took[ $#took * 0.5, $#took * 0.95 ];
diag sprintf 'commit to served by %d workers: median %.1f ms, p95 %.1f ms, '
             . 'max %.1f ms', $WORKERS, $median, $p95, $took[-1];

cmp_ok $took[-1], '<', 5000, 'every change came';
SKIP: {
    skip 'under a sanitizer time is no measure', 1 if OA::Nginx->sanitized;
    cmp_ok $p95, '<=', 50, 'p95';
}

done_testing;
