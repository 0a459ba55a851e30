# What becomes of an answer that has begun: the end that its agent has said,
# or that its framing tells, else an error.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Ends qw(listen_both ends_as files);
use OA::Nginx;
use OA::Util qw(wait_for);

my $a = "data: a\n\n";
my $done = "data: [DONE]\n\n";
my $all = "$a${done}data: b\n\n$done";
my $broken = qr/closed in the middle of its answer/;
my $cut = qr/has cut the connection/;
my $chunk = qr/sent an invalid chunk/;

# path, what the head is like, what is sent, then; the end, and the log
my @cases = (
    # by its framing
    [ 'chunked', [], [ event => $a ], 'end', 'done' ],
    [ 'length', [ length => 9 ], [ event => $a ], 'end', 'done' ],
    [ 'length-stays', [ length => 9 ], [ event => $a ], 'stall', 'done' ],
    [ 'length-and-more', [ length => 9 ], [ event => "$a$a" ], 'stall',
      'done' ],
    [ 'close', [ close => 1 ], [ event => $a ], 'cut', 'done' ],
    [ 'http-1.0', [ close => 1, version => '1.0' ], [ event => $a ], 'cut',
      'done' ],
    [ 'charset', [ type => 'Text/Event-Stream; charset=utf-8' ],
      [ event => $a ], 'end', 'done' ],
    [ 'identity', [ headers => [ 'Content-Encoding' => 'identity' ] ],
      [ event => $a ], 'end', 'done' ],
    [ 'after-100', 'HTTP/1.1 100 Continue', [ event => $a ], 'end', 'done' ],
    [ 'after-103', "HTTP/1.1 103 Early Hints\r\nLink: </a>",
      [ event => $a ], 'end', 'done' ],
    [ 'extension', [], [ bytes => "9;a=b\r\n$a\r\n0;c\r\nT: u\r\n\r\n" ],
      'stall', 'done' ],

    # by the agent
    [ 'done', [], [ event => "$a$done" ], 'stall', 'done' ],
    [ 'done-alone', [], [ event => $a, event => $done ], 'reset', 'done' ],
    [ 'done-more', [], [ event => $all ], 'end', 'done' ],
    [ 'done-garbage', [], [ event => "$a$done", bytes => "\0\0garbage" ],
      'reset', 'done' ],
    [ 'done-cr', [], [ event => "data:a\r\rdata:[DONE]\r\r" ], 'stall',
      'done' ],
    [ 'done-close', [ close => 1 ], [ event => "$a$done" ], 'reset', 'done' ],
    [ 'done-short', [ length => 999 ], [ event => "$a$done" ], 'cut',
      'done' ],
    (map { [ "done-no-$_", [], [ event => $a . substr $done, 0, $_ ], 'end',
             'done' ],
           [ "done-close-$_", [ close => 1 ],
             [ event => $a . substr $done, 0, $_ ], 'cut', 'done' ]
         } 13, 12),
    [ 'done-bytes', [], [ event => "$a$done", { pace => 0.001 } ], 'stall',
      'done' ],

    # neither
    [ 'chunks-cut', [], [ event => $a ], 'cut', 'stream_truncated',
      $broken ],
    [ 'chunk-cut', [], [ bytes => "ff\r\n$a" ], 'cut', 'stream_truncated',
      $broken ],
    [ 'size-cut', [], [ event => $a, bytes => "f" ], 'cut',
      'stream_truncated', $broken ],
    [ 'last-cut', [], [ event => $a, bytes => "0\r\n" ], 'cut',
      'stream_truncated', $broken ],
    [ 'length-cut', [ length => 10 ], [ event => $a ], 'cut',
      'stream_truncated', $broken ],
    [ 'event-cut', [ close => 1 ], [ event => "${a}data: ha" ], 'cut',
      'stream_truncated', qr/closed in the middle of an event/ ],
    [ 'event-no-blank', [ close => 1 ], [ event => "${a}data: ha\n" ], 'cut',
      'stream_truncated', qr/closed in the middle of an event/ ],
    [ 'not-done', [ close => 1 ], [ event => "${a}data: [DONE]x" ], 'cut',
      'stream_truncated', qr/closed in the middle of an event/ ],
    (map { [ "reset-$_", $_ eq 'close' ? [ close => 1 ]
                         : $_ eq 'length' ? [ length => 99 ] : [],
             [ event => $a, event => "data: h" ], 'reset',
             'stream_truncated', $cut ] } qw(chunked close length)),

    [ 'chunk-size', [], [ event => $a, bytes => "x\r\n$a" ], 'stall',
      'machine_protocol', $chunk ],
    [ 'chunk-huge', [], [ event => $a, bytes => 'f' x 17 . "\r\n" ], 'stall',
      'machine_protocol', $chunk ],
    [ 'chunk-long', [], [ event => $a, bytes => "1\r\n:\n\n" ], 'stall',
      'machine_protocol', $chunk ],
    [ 'chunk-framing', [], [ event => $a, bytes => '1;' . 'x' x 70000 ],
      'stall', 'machine_protocol', $chunk ],
);

my %case = map { ("/$_->[0]" => $_) } @cases;
my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    my (undef, $head, $send, $then) = @{ $case{$request->path} };
    if (!ref $head) {
        $c->bytes("$head\r\n\r\n");
        $head = [];
    }
    my @send = @$send;
    $c->head(@$head, hold => 1);
    while (my ($how, $bytes) = splice @send, 0, 2) {
        my %o = ref $send[0] ? %{ shift @send } : ();
        $c->$how($bytes, %o);
        # what is lost with the connection must have been read before
        $c->pause(0.05) if $then eq 'reset';
    }
    $c->$then;
});

my $ng = OA::Nginx->new(http => <<"CONF");
    server {
        @{[ listen_both() ]}
        location / { oa_sse_pass @{[ $agent->url ]}; }
    }
CONF

my $before = files($ng);

ends_as($ng, "/$_->[0]", events => [ 'a' ], code => $_->[4], log => $_->[5])
    for @cases;

ok +(wait_for { files($ng) <= $before } 5), 'no file is left open';

done_testing;
