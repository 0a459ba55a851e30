# A graceful shutdown of all: streams go on, to their end or to the limit.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Events;
use OA::Nginx;

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    $c->head;
    $c->event("data: 1\n\n");
    $c->wait('go');
    $c->event("data: [DONE]\n\n");
    $c->end;
});

my $ng = OA::Nginx->new(workers => 2, http => <<"CONF");
    oa_zone 4m;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { oa_sse_pass @{[ $agent->url ]}; oa_sse_keep 1s; }
    }
CONF

my $limit = $ng->sanitized ? 5 : 1;

sub quit_in {
    my $start = time;
    ok $ng->quit, 'nginx ends';
    return time - $start;
}

cmp_ok quit_in(), '<', $limit, 'at once without a stream';

$ng->start;
my @streams = map { OA::Events->new($ng->port, "/$_") } 1 .. 4;
is $_->next->{data}, 1, 'a stream' for @streams;

# and readers of streams of other workers

my @readers = map { OA::Events->new($ng->port, '/',
    headers => [ 'Last-Event-ID' => $_->last_id ]) } @streams, @streams;
is $_->status, 200, 'a reader' for @readers;

$ng->signal('QUIT');
ok $ng->wait_log(qr/gracefully shutting down/), 'nginx is told to end';
$agent->say('go') for @streams;
for my $reader (@streams, @readers) {
    like +($reader->rest)[0]{data}, qr/DONE/, 'each sees its end';
    is $reader->how_ended, 'complete', 'properly';
}
cmp_ok quit_in(), '<', $limit, 'then nginx is gone';

# nobody reads any more: not longer than oa_sse_keep

$ng->start;
my $left = OA::Events->new($ng->port, '/left');
is $left->next->{data}, 1, 'a stream';
$left->close;
my $took = quit_in();
cmp_ok $took, '>', 0.5, 'it is kept for whoever may come back';
cmp_ok $took, '<', 1 + $limit, 'for a while';
ok $agent->wait_closed(1), 'and was closed';

done_testing;
