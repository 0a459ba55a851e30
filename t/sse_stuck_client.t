# A client that takes nothing any more, and never says that it has gone, is
# given up after send_timeout; its stream and others go on.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Client ();
use OA::Events;
use OA::Nginx;
use OA::Tls qw(make_certificates);
use OA::Util qw(wait_for temp_dir);

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    $c->head;
    $c->event("data: 1\n\n");
    $c->wait('fill');
    $c->event('data: ' . 'x' x 16000 . "\n\n") for 1 .. 400;
    for (;;) {                          # there is always something new
        $c->event("data: y\n\n");
        $c->pause(0.02);
    }
});

my $certificates = temp_dir();
make_certificates($certificates, names => [ 'localhost' ]);

my @http2 = OA::Nginx->version < 1.025001 ? (' http2', '')
                                          : ('', 'http2 on;');

# a heartbeat, and an event, come more often than the time is

my $ng = OA::Nginx->new(http => join '', <<'CONF', map { <<"CONF" }
    oa_zone 32m;
    oa_sse_heartbeat 100ms;
    oa_sse_buffer 16m;
    send_timeout 1s;
CONF
    server {
        listen 127.0.0.1:%%PORT_$_->[0]%%$_->[1] sndbuf=8k;
        $_->[2]
        location / { oa_sse_pass @{[ $agent->url ]}; }
    }
CONF
    [ 0, '', '' ], [ 1, @http2 ],
    [ 2, ' ssl', "ssl_certificate $certificates/cert.pem;
                  ssl_certificate_key $certificates/key.pem;" ]);

my $reader = OA::Events->new($ng->port(0), '/');
my $first = $reader->next;

my %stuck = map {
    my ($name, $port, %o) = @$_;
    $name => OA::Events->new($ng->port($port), '/', rcvbuf => 4096, %o,
                             headers => [ 'Last-Event-ID' => $first->{id} ]);
} [ 'HTTP/1.1', 0 ], [ TLS => 2, tls => "$certificates/ca.pem" ],
  [ 'HTTP/2' => 1, http2 => 1, window => 3000, updates => 0 ];
is $_->status, 200, 'a client' for values %stuck;
$_->pause for values %stuck;

$agent->say('fill');
my $from = time;
wait_for { $reader->seen; $ng->log_count(qr/client timed out/) == 3 } 20;
my $took = time - $from;
is $ng->log_count(qr/client timed out/), 3, 'all are given up';
cmp_ok $took, '>', 0.8, 'not at once';
cmp_ok $took, '<', 4, sprintf 'in time: %.2f s', $took;

my @seen = $reader->seen;
wait_for { $reader->seen > @seen + 3 && $reader->seen > 410 } 15;
cmp_ok scalar($reader->seen), '>', @seen + 3, 'the other reader goes on';
is +(grep { $_->{event} eq 'gap' } $reader->seen), 0, 'with all';
is $reader->how_ended, '', 'the stream, too';

# HTTP/2 has a window to itself: others of the connection are not meant
my $http2 = $stuck{'HTTP/2'};
$http2->resume;
is $http2->wait_end, 'reset', 'only the request of a connection';
is $http2->goaway, undef, 'which stays';

# who comes back reads on

my $back = OA::Events->new($ng->port(0), '/',
                           headers => [ 'Last-Event-ID' => $first->{id} ]);
is $back->next->{data}, 'x' x 16000, 'who comes back reads on';

done_testing;
