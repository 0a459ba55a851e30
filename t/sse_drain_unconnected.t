# A stream whose machine is not found yet when worker_shutdown_timeout is over
# ends, too: nothing keeps its worker.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Events;
use OA::Nginx;
use OA::Resolver;
use OA::Util qw(wait_for);

# one that accepts and never says a word, TLS neither

my $mute = OA::Agent->new(read => 0, sub { $_[0]->stall });

my $dns = OA::Resolver->new('machine.example' => '127.0.0.1');
$dns->silent(1);

my $time = OA::Nginx->sanitized ? 2 : 1;

my $ng = OA::Nginx->new(
    main => "worker_shutdown_timeout ${time}s;",
    http => <<"CONF");
    oa_zone 4m;
    resolver @{[ $dns->address ]};
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location /name { oa_sse_pass http://machine.example:1; }
        location /tls { oa_sse_pass https://127.0.0.1:@{[ $mute->port ]}; }
    }
CONF

my @streams = map { OA::Events->new($ng->port, $_) } '/name', '/tls';
is $_->status, 200, 'a stream without a machine' for @streams;
ok +(wait_for { $dns->count('machine.example') }), 'its name is asked for';
ok +(wait_for { $mute->connections }), 'a connection is there';

my $start = time;
ok $ng->reload, 'reload';

my @back;
for my $stream (@streams) {
    is $stream->wait_end, 'complete', 'sent off';
    push @back, OA::Events->new($ng->port, '/tls',
        headers => [ 'Last-Event-ID' => $stream->last_id ]);
    is $back[-1]->status, 200, 'and back';
}

for my $back (@back) {
    my @all = $back->all;
    is @all, 1, 'one end';
    like $all[0]{data}, qr/"code":"shutdown"/, 'which tells why';
}
ok +(wait_for { !$ng->old_worker_pids } $time), 'the old worker is gone';
cmp_ok time - $start, '<', 3 * $time, 'soon';

done_testing;
