# Too much: events without an end, and a request that the machine does not
# care to read before it answers.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Ends qw(listen_both ends_as files);
use OA::Nginx;
use OA::Util qw(wait_for);

my $mib = 1024 * 1024;
my $a = "data: a\n\n";

my %answer = (
    '/event' => sub {
        my ($c) = @_;
        $c->event('data: ' . 'x' x 700_000 . "\n\n");
        $c->end;
    },
    '/endless' => sub { $_[0]->event('data: ' . 'x' x (5 * $mib)) },
    '/lines'   => sub { $_[0]->event("data: x\n" x (5 * $mib / 8)) },
    '/comment' => sub { $_[0]->event(':' . 'x' x (5 * $mib)) },
    '/done'    => sub { $_[0]->event('data: ' . 'x' x (5 * $mib) . "\n\n"
                                     . "data: [DONE]\n\n") },
);

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    $c->head;
    $c->event($a);
    $answer{$request->path}($c);
    $c->stall if $request->path ne '/event';
});

# it reads the beginning of the request
my %early = (
    '/413' => sub {
        $_[0]->head(status => 413, length => 3, headers =>
                    [ Connection => 'close' ]);
        $_[0]->event('413');
    },
    '/200' => sub { $_[0]->head(length => 9); $_[0]->event($a) },
    '/200-done' => sub { $_[0]->head; $_[0]->event("${a}data: [DONE]\n\n") },
    '/200-stays' => sub {
        my ($c) = @_;
        $c->head;
        $c->event($a);
        $c->end(keep => 1);
        $c->stall;
    },
    '/cut' => sub { $_[0]->head; $_[0]->event($a) },
    '/reset' => sub {
        my ($c) = @_;
        $c->head(close => 1);
        $c->event($a);
        $c->pause(0.05);                # what was sent must have been read
        $c->reset;
    },
    '/no-answer' => sub { $_[0]->cut },
    '/silent' => sub { $_[0]->pause(60) },
    '/late' => sub {
        my ($c) = @_;
        $c->take(5 * $mib - 65536);
        $c->head;
        $c->event($a);
        $c->end;
    },
);

my $hasty = OA::Agent->new(read => 0, rcvbuf => 8192, sub {
    my ($c) = @_;
    my ($path) = $c->take(1000) =~ /^POST (\S+) /;
    $c->take(64536) if $path eq '/late';
    $c->{reads} = 0;
    $early{$path}($c);
});

my $ng = OA::Nginx->new(http => <<"CONF");
    oa_sse_buffer 8m;
    client_max_body_size 0;
    client_body_buffer_size 8m;
    server {
        @{[ listen_both() ]}
        location / { oa_sse_pass @{[ $agent->url ]}; }
    }
    server {
        @{[ listen_both() =~ s/PORT_(\d)/'PORT_' . ($1 + 2)/ger ]}
        oa_sse_dialect raw;
        oa_sse_idle_timeout 1s;
        location / { oa_sse_pass @{[ $hasty->url ]}; }
        location /late { oa_sse_pass @{[ $hasty->url ]};
                         oa_sse_idle_timeout 10s; }
    }
CONF

my $before = files($ng);

ends_as($ng, '/event', events => [ 'a', 'x' x 700_000 ], code => 'done');
ends_as($ng, "/$_", events => [ 'a' ], code => 'event_too_large',
        log => qr/has no end/) for qw(endless lines comment done);

my $many = { ports => [ 2, 3 ], method => 'POST', body => 'x' x (5 * $mib) };

my $broken = qr/closed in the middle of its answer|has cut the connection/;
for my $case (
    [ '/413', 'machine_status', qr/status 413/ ],
    [ '/200', 'done', undef, 'a' ],
    [ '/200-done', 'done', undef, 'a' ],
    [ '/200-stays', 'done', undef, 'a' ],
    [ '/cut', 'stream_truncated', $broken, 'a' ],
    [ '/reset', 'stream_truncated', $broken, 'a' ],
    [ '/no-answer', 'stream_truncated', qr/has cut the connection|closed/ ],
    [ '/silent', 'idle_timeout', qr/silent/ ],
    [ '/late', 'done', undef, 'a' ],
) {
    my ($path, $code, $log, @events) = @$case;
    ends_as($ng, $path, events => \@events, code => $code, log => $log,
            request => $many);
}

ok +(wait_for { files($ng) <= $before } 5), 'no file is left open';

done_testing;
