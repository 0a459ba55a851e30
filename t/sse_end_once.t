# One end and no more: where it is hardly kept, where the reader is slow, where
# an error page takes the place of what we say.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Client qw(http_get);
use OA::Ends qw(listen_both ends_as ended_as files);
use OA::Events;
use OA::Nginx;
use OA::Util qw(wait_for);

my @parts = map { $_ x 1000 } 'a' .. 'z', 'A' .. 'Z', 0 .. 9;
my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    if ($request->path eq '/page') {
        $c->wait('page');
        $c->head(type => 'text/plain', length => 4);
        $c->event('page');
        return;
    }
    if ($request->path eq '/error') {
        return;
    }
    $c->head;
    if ($request->path =~ m{^/slow}) {
        $c->event("data: $_\n\n") for @parts, @parts;
    } elsif ($request->path =~ m{^/stuck}) {
        $c->event("data: $_\n\n") for (@parts) x 10;
        $c->stall;
    } else {
        $c->event("data: a\n\n");
    }
    $c->end;
});

my $url = $agent->url;
my $ng = OA::Nginx->new(http => <<"CONF");
    oa_sse_heartbeat 100ms;
    oa_sse_buffer 1m;
    server {
        @{[ listen_both() =~ s/(PORT_\d%%)/$1 sndbuf=8k/gr ]}
        location /none { oa_sse_pass $url; oa_sse_keep 1ms; }
        location /slow { oa_sse_pass $url; oa_sse_keep 100ms; }
        location /stuck { oa_sse_pass $url; send_timeout 500ms; }
        location /error { oa_sse_pass $url; error_page 502 = \@page; }
        location \@page { rewrite ^ /page break; proxy_pass $url; }
    }
CONF

my $before = files($ng);

ended_as(OA::Events->new($ng->port, '/none'), 'hardly kept',
         events => [ 'a' ], code => 'done');
ended_as(OA::Events->new($ng->port(1), '/none', http2 => 1),
         'hardly kept, HTTP/2', events => [ 'a' ], code => 'done');

for my $http2 (0, 1) {
    my $s = OA::Events->new($ng->port($http2), '/slow', rcvbuf => 8192,
                            http2 => $http2, window => 1000);
    $s->next;
    $s->pause;
    ok +(wait_for { $ng->log_count(qr/has ended: done/) > 2 + $http2 } 5),
        'its stream has ended';
    wait_for { 0 } 0.2;                 # nothing tells that keep is over
    $s->resume;
    ended_as($s, 'slow', events => [ @parts, @parts ], code => 'done');
}

my $s = OA::Events->new($ng->port, '/error', accept => undef);
ok $agent->wait_requests(6), 'an error page';
ok !eval { $s->head(0.3) }, 'that takes its time';
$agent->say('page');
is $s->status, 200, 'its status';
$s->wait_end;
is $s->raw, 'page', 'and nothing else';
$s->close;

for my $http2 (0, 1) {
    my $s = OA::Events->new($ng->port($http2), '/stuck', rcvbuf => 8192,
                            http2 => $http2, window => 1000, updates => 0);
    $s->next;
    $s->pause;
    my $start = time;
    ok $ng->wait_log(qr/(?:client timed out.*){@{[ 1 + $http2 ]}}/s, 5),
        'a client that takes nothing is let go';
    cmp_ok time - $start, '<', 3, 'in time';
    $s->close;
}

$agent->stop;
ok +(wait_for { files($ng) <= $before } 5), 'no file is left open';

done_testing;
