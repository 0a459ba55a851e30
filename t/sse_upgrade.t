# A binary upgrade begins with an empty zone: streams go on where they are, and
# whoever comes back to the new one is told that his was lost.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Client qw(http_request);
use OA::Events;
use OA::Nginx;
use OA::Util qw(wait_for);

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    $c->head;
    for my $n (1 .. 3) {
        $c->event("data: $n\n\n");
        $c->wait('go');
    }
    $c->event("data: [DONE]\n\n");
    $c->end;
});

my $time = OA::Nginx->sanitized ? 4 : 2;

my $ng = OA::Nginx->new(
    daemon => 1,
    main   => "worker_shutdown_timeout ${time}s;",
    http   => <<"CONF");
    oa_zone 4m;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { oa_sse_pass @{[ $agent->url ]}; }
    }
CONF

sub get {
    my ($path, @headers) = @_;
    return OA::Events->new($ng->port, $path, headers => \@headers);
}

my @streams = map { get($_) } '/ends', '/drained';
is $_->next->{data}, 1, 'a stream' for @streams;
my ($ends, $drained) = @streams;
my $left = get('/left');
is $left->next->{data}, 1, 'a third, whose client leaves';
$left->close;

my $old = $ng->upgrade;
ok kill('QUIT', $old), 'the new binary is there, the old one is to go';
ok +(wait_for { $ng->old_worker_pids }), 'it does';

$agent->say('go', '/ends') for 1 .. 3;
is join(' ', map { $_->{data} } $ends->rest), '2 3 [DONE]',
    'a stream goes on to its end';
is $ends->how_ended, 'complete', 'properly';

is $drained->wait_end, 'complete', 'the reader of another is sent off';
cmp_ok $drained->retry, '>', 0, 'to come back';
is scalar($drained->seen), 1, 'without an end';

# all of them come to the new one

for my $stream ($ends, $drained, $left) {
    my $id = $stream->last_id;
    my ($seq) = $id =~ /(\d+)\z/;
    my $from = $seq + 1;
    my $back = get('/', 'Last-Event-ID' => $id);
    my @all = $back->all;
    is scalar(@all), 2, 'who comes back';
    is $all[0]{event}, 'gap', 'is told of a gap';
    is $all[0]{data}, qq({"from":$from}), 'from there on';
    like $all[1]{data}, qr/^\{"error":"[^"]+","code":"stream_lost"\}\z/,
        'and of the loss';
    is $back->header('OA-Stream'), $stream->header('OA-Stream'), 'by its name';
    is http_request($ng->port, '/', headers => [ Accept => 'text/event-stream',
        'Last-Event-ID' => $back->last_id ])->status, 204, 'once';
}

is http_request($ng->port, '/', headers =>
    [ 'Last-Event-ID' => $left->last_id ])->status, 404, 'others: 404';

ok +(wait_for { !-e "/proc/$old" or !$ng->old_worker_pids } $time + 5),
    'the old ones are gone';
my $next = get('/next');
is $next->next->{data}, 1, 'another stream';

done_testing;
