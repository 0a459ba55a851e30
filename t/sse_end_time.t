# Time: a machine that never answers, one that stops, one that goes on for
# ever, be it by single bytes.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Ends qw(listen_both clients ends_as is_told files);
use OA::Nginx;
use OA::Util qw(wait_for);

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    my $path = $request->path;

    $c->stall if $path eq '/idle-head';
    $c->bytes('HTTP/1.1 2') if $path eq '/idle-in-head';
    $c->stall if $path eq '/idle-in-head';
    $c->bytes("HTTP/1.1 100 Continue\r\n\r\n" . 'HTTP/1.1 200' . '0' x 999,
              pace => 0.02) if $path eq '/drip-head';
    $c->head(hold => 1);
    $c->event("data: a\n\n");
    $c->stall if $path eq '/idle';
    $c->event('data: b') if $path eq '/idle-event';
    $c->stall if $path eq '/idle-event';
    $c->bytes('f') if $path eq '/idle-chunk';
    $c->stall if $path eq '/idle-chunk';
    $c->event('data: ' . 'x' x 999, pace => 0.02) if $path eq '/drip';
    while ($path =~ m{^/comments}) {
        $c->event(":\n\n");
        $c->pause(0.02);
    }
    $c->event(":\n\n" x 1000) while $path eq '/flood-comments';

    # all of it takes longer than the idle time, each event does not
    for my $n (1 .. 4) {
        $c->pause($path eq '/late' ? 60 : 0.3);
        $c->event("data: $n\n\n");
    }
    $c->end;
});

my $url = $agent->url;
my $ng = OA::Nginx->new(http => <<"CONF");
    oa_sse_heartbeat 50ms;
    oa_sse_idle_timeout 1s;
    oa_sse_max_duration 10s;
    server {
        @{[ listen_both() ]}
        location / { oa_sse_pass $url; }
        location /drip { oa_sse_pass $url; oa_sse_max_duration 1s; }
        location /flood { oa_sse_pass $url; oa_sse_max_duration 1s; }
        location /comments { oa_sse_pass $url; oa_sse_max_duration 1s; }
        location /late {
            oa_sse_pass $url;
            oa_sse_idle_timeout 5s; oa_sse_max_duration 1s;
        }
    }
CONF

my $before = files($ng);

# all at once, but for the one that takes all time there is
for my $cases (
    [
        (map { [ @$_, 'idle_timeout' ] } [ '/idle-head' ],
            [ '/idle-in-head' ], [ '/idle', 'a' ], [ '/idle-event', 'a' ],
            [ '/idle-chunk', 'a' ]),
        (map { [ @$_, 'max_duration' ] } [ '/drip-head' ], [ '/drip', 'a' ],
            [ '/comments', 'a' ], [ '/late', 'a' ]),
        [ '/slow', 'a', 1 .. 4, 'done' ],
    ],
    [ [ '/flood-comments', 'a', 'max_duration' ] ],
) {
    my $start = time;
    my %clients = map { $_->[0] => [ clients($ng, $_->[0]) ] } @$cases;

    for my $case (@$cases) {
        my ($path, @events) = @$case;
        my $code = pop @events;
        ends_as($ng, $path, events => \@events, code => $code,
                clients => $clients{$path});
        my $took = time - $start;
        cmp_ok $took, '>=', 0.95, "$path: not before its time";
        cmp_ok $took, '<', 10, sprintf "$path: %.2f s", $took;
    }
}
is_told($ng, 0, qr/was silent for too long/, 4 * 5);
is_told($ng, 0, qr/it took too long/, 4 * 5);

ok +(wait_for { files($ng) <= $before } 5), 'no file is left open';

done_testing;
