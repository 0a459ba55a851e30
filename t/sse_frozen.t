# A worker stands still for a second: what came meanwhile is there afterwards,
# and nobody takes it for dead.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Events;
use OA::Nginx;
use OA::Util qw(wait_for);

my $EVENTS = 120;

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    $c->head;
    for my $n (1 .. $EVENTS) {
        $c->event("data: $n\n\n");
        $c->pause(0.02);
    }
    $c->event("data: [DONE]\n\n");
    $c->end;
});

my $ng = OA::Nginx->new(workers => 2, http => <<"CONF");
    oa_zone 4m;
    oa_sse_heartbeat 200ms;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / {
            oa_sse_pass @{[ $agent->url ]};
            add_header X-Pid \$pid;
        }
    }
CONF

# a stream in each worker, read in both

my (%stream, @readers);
wait_for {
    my $stream = OA::Events->new($ng->port, '/');
    $stream->next;
    $stream{ $stream->header('X-Pid') } //= $stream;
    keys %stream == 2;
} 10 or die 'a worker takes no connections';

for my $stream (values %stream) {
    my %in;
    wait_for {
        my $reader = OA::Events->new($ng->port, '/',
            headers => [ 'Last-Event-ID' => $stream->last_id ]);
        $in{ $reader->header('X-Pid') } //= $reader;
        keys %in == 2;
    } 10;
    push @readers, $stream, values %in;
}
is @readers, 6, 'six readers';

my ($pid) = keys %stream;
kill 'STOP', $pid;
sleep 1;
kill 'CONT', $pid;

for my $reader (@readers) {
    my @all = $reader->all;
    my $from = $EVENTS - @all + 2;
    is_deeply [ map { $_->{data} } @all ], [ $from .. $EVENTS, '[DONE]' ],
        "all events, from $from on";
    is $reader->how_ended, 'complete', 'properly';
}
is_deeply [ sort $ng->worker_pids ], [ sort keys %stream ],
    'the same workers';

done_testing;
