# The server is restarted: connections that sat idle are no error to those who
# ask next.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client;
use OA::Nginx;
use OA::Postgres;
use OA::Routes qw(insert_route);
use OA::Util qw(wait_for);

my $pg = OA::Postgres->new->apply;
insert_route($pg, 'alice', machine => 'm1');

my $ng = OA::Nginx->new(workers => 4, http => <<"CONF");
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}' connections=3;
    oa_routes t { domain openagents.example; source postgres; }
    server {
        listen 127.0.0.1:%%PORT_0%% reuseport;
        keepalive_timeout 1h;
        oa_router t;
        location / {
            add_header X-Pid \$pid always;
            oa_replay;
        }
    }
CONF

ok $ng->wait_log(qr/1 routes read from the database/), 'the first read';

my %client;
wait_for {
    my $client = OA::Client->new($ng->port);
    my $r = $client->get('/', host => 'alice.openagents.example');
    $client{ $r->header('X-Pid') } //= $client;
    keys %client == 4;
};
is keys %client, 4, 'every worker is asked';

my $n = 0;

# Unknown names from every worker, several at a time; the statuses.
sub statuses {
    my %status;
    for my $client (values %client) {
        my $last = $n + 6;
        my $bytes = '';
        $bytes .= "GET / HTTP/1.1\r\nHost: u$n.openagents.example\r\n\r\n"
            while $n++ < $last;
        $client->send($bytes);
        $status{ $client->response->status }++ for 1 .. 6;
    }
    return \%status;
}

sub many {
    my @clients = map { OA::Client->new($ng->port) } 1 .. 60;
    $_->send("GET / HTTP/1.1\r\nHost: m" . $n++
             . ".openagents.example\r\n\r\n") for @clients;
    my %status;
    $status{ $_->response->status }++ for @clients;
    return \%status;
}

is_deeply many(), { 404 => 60 }, 'connections are opened';
cmp_ok $pg->row(q{SELECT count(*) FROM pg_stat_activity
                  WHERE usename = 'oa_router'}), '>', 4, 'and stay';

for my $how (qw(stop kill)) {
    $pg->$how;
    $pg->start;
    is_deeply statuses(), { 404 => 24 }, "$how: asked one by one";
    is_deeply many(), { 404 => 60 }, "$how: asked all at once";
}

# sessions ended by an administrator

for (1 .. 3) {
    $pg->do(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE usename = 'oa_router'});
    is_deeply many(), { 404 => 60 }, 'sessions ended';
}

$pg->do(q{UPDATE public.agent_instances SET fly_machine_id = 'm2'});
ok +(wait_for {
    !grep { $_->get('/', host => 'alice.openagents.example')
            ->header('fly-replay') ne 'app=oa-alice;instance=m2' }
    values %client
} 20), 'the feed goes on';

done_testing;
