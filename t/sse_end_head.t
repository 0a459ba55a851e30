# A machine that gives no answer, or none that is a stream: one error end with
# a code, or a problem for who does not accept events.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Ends qw(listen_both ends_as files);
use OA::Nginx;
use OA::Util qw(wait_for);

my $good = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
my $event = "data: never\n\n";

sub bytes { my ($bytes, $then) = @_;
            return sub { $_[0]->bytes($bytes); $_[0]->$then if $then } }
sub head  { my @o = @_;
            return sub { $_[0]->head(@o); $_[0]->event($event); $_[0]->end } }

my $status = qr/answered with status/;
my $type = qr/is no text\/event-stream/;
my @cases = (
    (map { [ "status-$_", head(status => $_), 'machine_status',
             qr/$status $_$/ ] } 201, 206, 301, 302, 307, 400, 401, 404, 413,
                                 429, 500, 503, 999),
    [ 'status-204', bytes("HTTP/1.1 204 No Content\r\n\r\n"),
      'machine_status', qr/$status 204$/ ],
    [ 'status-304', bytes("HTTP/1.1 304 Not Modified\r\n\r\n"),
      'machine_status', qr/$status 304$/ ],

    [ 'type-none', head(type => undef), 'machine_type', $type ],
    [ 'type-html', head(type => 'text/html'), 'machine_type', $type ],
    [ 'type-json', head(type => 'application/json'), 'machine_type', $type ],
    [ 'type-longer', head(type => 'text/event-streams'), 'machine_type',
      $type ],
    [ 'type-in-another', head(type => 'text/plain; a=text/event-stream'),
      'machine_type', $type ],
    [ 'gzip', head(headers => [ 'Content-Encoding' => 'gzip' ]),
      'machine_type', qr/is compressed/ ],
    [ 'br', head(headers => [ 'Content-Encoding' => 'identity, br' ]),
      'machine_type', qr/is compressed/ ],

    [ 'garbage', bytes("\0\1\2 not HTTP at all\r\n\r\n", 'stall'),
      'machine_protocol', qr/it is not HTTP/ ],
    [ 'ssh', bytes("SSH-2.0-OpenSSH_9.2\r\n", 'stall'),
      'machine_protocol', qr/it is not HTTP/ ],
    [ 'http-2', bytes("HTTP/2 200\r\n\r\n", 'stall'), 'machine_protocol',
      qr/it is not HTTP/ ],
    [ 'http-0.9', bytes("data: a\n\n", 'stall'), 'machine_protocol',
      qr/it is not HTTP/ ],
    [ 'status-line', bytes("HTTP/1.1 2x0 OK\r\n\r\n", 'stall'),
      'machine_protocol', qr/status line is malformed/ ],
    [ 'upgrade', bytes("HTTP/1.1 101 Switching Protocols\r\n\r\n", 'stall'),
      'machine_protocol', qr/it switches protocols/ ],
    [ 'folded', bytes("${good}A: b\r\n c\r\n\r\n$event", 'stall'),
      'machine_protocol', qr/of its head is malformed/ ],
    [ 'nul', bytes("${good}A: b\0c\r\n\r\n$event", 'stall'),
      'machine_protocol', qr/of its head is malformed/ ],
    [ 'both-lengths', bytes("${good}Transfer-Encoding: chunked\r\n"
                            . "Content-Length: 13\r\n\r\n$event", 'stall'),
      'machine_protocol', qr/both Transfer-Encoding and Content-Length/ ],
    [ 'two-lengths', bytes("${good}Content-Length: 13\r\n"
                           . "Content-Length: 14\r\n\r\n$event", 'stall'),
      'machine_protocol', qr/two of Content-Length/ ],
    [ 'bad-length', bytes("${good}Content-Length: -1\r\n\r\n$event", 'stall'),
      'machine_protocol', qr/is no number/ ],
    [ 'two-types', bytes("${good}Content-Type: text/event-stream\r\n\r\n"
                         . $event, 'stall'),
      'machine_protocol', qr/two of Content-Type/ ],
    [ 'encoding', bytes("${good}Transfer-Encoding: gzip, chunked\r\n\r\n",
                        'stall'),
      'machine_protocol', qr/is not "chunked"/ ],
    [ 'head-16k', bytes($good . 'A: ' . 'x' x 17000, 'stall'),
      'machine_protocol', qr/head is too long/ ],
    [ 'head-no-end', bytes($good . 'A: ' . 'x' x 1_000_000, 'stall'),
      'machine_protocol', qr/head is too long/ ],
    [ 'continue-no-end', bytes("HTTP/1.1 100 Continue\r\n\r\n" x 1000,
                               'stall'),
      'machine_protocol', qr/head is too long/ ],

    [ 'close', sub { $_[0]->cut }, 'stream_truncated',
      qr/closed before it answered/ ],
    [ 'reset', sub { $_[0]->reset }, 'stream_truncated',
      qr/has cut the connection/ ],
    [ 'half-a-line', bytes('HTTP/1.', 'cut'), 'stream_truncated',
      qr/closed before it answered/ ],
    [ 'half-a-head', bytes($good, 'cut'), 'stream_truncated',
      qr/closed before it answered/ ],
    [ 'reset-head', bytes($good, 'reset'), 'stream_truncated',
      qr/has cut the connection/ ],
    [ 'only-100', bytes("HTTP/1.1 100 Continue\r\n\r\n", 'cut'),
      'stream_truncated', qr/closed before it answered/ ],
);

my %answer = map { ("/$_->[0]" => $_->[1]) } @cases;
my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    $answer{$request->path}($c);
});

my $ng = OA::Nginx->new(env => { TOKEN => 'a-secret-token' }, http => <<"CONF");
    server {
        @{[ listen_both() ]}
        oa_sse_token env:TOKEN;
        location / { oa_sse_pass @{[ $agent->url ]}; }
    }
CONF

my $before = files($ng);

ends_as($ng, "/$_->[0]", code => $_->[2], log => $_->[3]) for @cases;

ok +(wait_for { files($ng) <= $before } 5), 'no file is left open';
is $ng->log_count(qr/a-secret-token/), 0, 'nor the token told';

done_testing;
