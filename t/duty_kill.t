# The worker that listens is killed: another takes over within a second.

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

my $pg = OA::Postgres->new->apply;
insert_route($pg, 'alice', machine => 'm0');

my $ng = OA::Nginx->new(workers => 4, http => <<"CONF");
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
    my $r = eval { http_get($ng->port, '/',
                            host => "$_[0].openagents.example") };
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
$ng->expect_log(qr/exited on signal 9/, qr/was locked by/);

my $limit = $ng->sanitized ? 5 : 1;

for my $n (1 .. 5) {
    my $old = holder();
    my $start = time;
    kill 'KILL', $old;

    # committed while nobody listens
    $pg->do('UPDATE public.agent_instances SET fly_machine_id = ?', "m$n");

    wait_for { holder() != $old } 10;
    my $took = time - $start;
    isnt holder(), $old, 'another worker has the duty';
    cmp_ok $took, '<', $limit, sprintf 'after %.2f s', $took;

    ok +(wait_for { target('alice') eq "app=oa-alice;instance=m$n" } 5),
        'what was committed meanwhile is served';
    $pg->do('UPDATE public.agent_instances SET fly_machine_id = ?', "x$n");
    ok +(wait_for { target('alice') eq "app=oa-alice;instance=x$n" } 1),
        'changes flow on';
    ok +(wait_for { $ng->worker_pids == 4 }), 'all workers are there';
}

ok +(wait_for { listeners() == 1 } 5), 'one worker listens';
is $ng->log_count(qr/routes read from the database/), 1, 'one full read';

done_testing;
