# A reload hands the duty over at once, even when an old worker stays for a
# request of its own.

use strict;
use warnings;

use IO::Socket::IP;
use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Postgres;
use OA::Routes qw(insert_route);
use OA::Util qw(wait_for free_port);

my $pg = OA::Postgres->new->apply;
insert_route($pg, 'alice', machine => 'm0');

# a server that never answers

my $silent = free_port();
my $listen = IO::Socket::IP->new(LocalHost => '127.0.0.1',
    LocalPort => $silent, Listen => 16, ReuseAddr => 1) or die $@;

my $ng = OA::Nginx->new(workers => 2, http => <<"CONF");
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}';
    oa_routes t { domain openagents.example; source postgres; }
    server {
        listen 127.0.0.1:%%PORT_0%% reuseport;
        oa_router t;
        location / { oa_replay; }
        location /held { proxy_pass http://127.0.0.1:$silent; }
    }
CONF

sub target {
    my $r = http_get($ng->port, '/', host => "$_[0].openagents.example");
    return $r->header('fly-replay') // $r->status;
}

sub holder {
    my @pids = $ng->log =~ /(\d+)#\d+: duty "routes:t" taken/g;
    return $pids[-1];
}

ok $ng->wait_log(qr/1 routes read from the database/), 'the first read';

my @held = map {
    my $client = OA::Client->new($ng->port);
    $client->send("GET /held HTTP/1.1\r\nHost: alice.openagents.example\r\n"
                  . "\r\n");
    $client;
} 1 .. 20;
my @upstream = map { scalar $listen->accept } @held;

for my $n (1 .. 3) {
    my $old = holder();
    my $start = time;
    $ng->signal('HUP');
    $pg->do('UPDATE public.agent_instances SET fly_machine_id = ?', "m$n");

    wait_for { holder() != $old } 10;
    my $took = time - $start;
    isnt holder(), $old, 'another worker has the duty';
    cmp_ok $took, '<', $ng->sanitized ? 5 : 1, sprintf 'after %.2f s', $took;
    ok +(wait_for { target('alice') eq "app=oa-alice;instance=m$n" } 5),
        'what was committed meanwhile is served';
    ok +(grep { $_ == $old } $ng->old_worker_pids), 'the old one still runs'
        if $n == 1;
    wait_for {
        my %old = map { $_ => 1 } $ng->old_worker_pids;
        !$old{ holder() } and $ng->worker_pids == 2;
    };
}

ok +(wait_for {
    $pg->row(q{SELECT count(*) FROM pg_stat_activity
               WHERE usename = 'oa_router' AND query LIKE 'LISTEN%'}) == 1
} 5), 'one worker listens';

unlike $ng->log, qr/taken over/, 'given up each time, not found dead';
is $ng->log_count(qr/routes read from the database/), 1, 'one full read';

syswrite $_, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" for @upstream;
is +(grep { $_->response->body ne 'ok' } @held), 0,
    'the held requests were kept';
ok +(wait_for { !$ng->old_worker_pids } 5), 'and no old worker stays';

done_testing;
