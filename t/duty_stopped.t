# The worker that listens stands still: another takes over, and the first gives
# up when it wakes.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_many request_bytes);
use OA::Nginx;
use OA::Postgres;
use OA::Routes qw(insert_route);
use OA::Util qw(wait_for slurp);

my $pg = OA::Postgres->new->apply;
insert_route($pg, 'alice', machine => 'm1');

my $ng = OA::Nginx->new(workers => 3, http => <<"CONF");
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}';
    oa_routes t {
        domain openagents.example; source postgres;
        snapshot %%DIR%%/routes;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        location / { oa_replay; }
    }
CONF

# A worker that stands still may have taken a connection: any answer counts.
sub target {
    my @r = http_many($ng->port, [ map { request_bytes('/',
        host => "$_[0].openagents.example", close => 1) } 1 .. 4 ],
        timeout => 0.5);
    my ($r) = grep { defined } @r;
    return $r ? $r->header('fly-replay') // $r->status : 'nothing';
}

sub holder {
    my @pids = $ng->log =~ /(\d+)#\d+: duty "routes:t" taken/g;
    return $pids[-1];
}

sub listeners {
    return $pg->row(q{SELECT count(*) FROM pg_stat_activity
                      WHERE usename = 'oa_router' AND query LIKE 'LISTEN%'});
}

ok $ng->wait_log(qr/1 routes read from the database/), 'the first read';
my $stopped = holder();

kill 'STOP', $stopped;
$pg->do(q{UPDATE public.agent_instances SET fly_machine_id = 'm2'});
ok $ng->wait_log(qr/taken over from process $stopped, unheard/, 6),
    'another worker takes over';
isnt holder(), $stopped, 'which is not the one that stands still';
ok +(wait_for { target('alice') eq 'app=oa-alice;instance=m2' } 5),
    'what was committed meanwhile is served';
$pg->do(q{UPDATE public.agent_instances SET fly_machine_id = 'm3'});
ok +(wait_for { target('alice') eq 'app=oa-alice;instance=m3' } 5),
    'changes flow on';
ok +(wait_for { slurp($ng->path('routes')) =~ /"m3"/ } 5),
    'the snapshot follows';

kill 'CONT', $stopped;
ok $ng->wait_log(qr/ $stopped#\d+: duty "routes:t" lost/, 5),
    'the first one wakes, and gives up';
ok +(wait_for { listeners() == 1 } 5), 'one worker listens';
isnt holder(), $stopped, 'the other one';

for my $n (4 .. 8) {
    $pg->do('UPDATE public.agent_instances SET fly_machine_id = ?', "m$n");
    ok +(wait_for { target('alice') eq "app=oa-alice;instance=m$n" } 2),
        'changes flow on';
}
ok +(wait_for { slurp($ng->path('routes')) =~ /"m8"/ } 5),
    'the snapshot too';

is $ng->worker_pids, 3, 'no worker was lost';
is $ng->log_count(qr/duty "routes:t" taken/), 2, 'the duty changed hands once';

done_testing;
