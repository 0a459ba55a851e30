# The end comes once to a reader that is slow, too, be the stream forgotten
# meanwhile.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep);

use FindBin;
use lib "$FindBin::Bin/lib";
use OA::Agent;
use OA::Client;
use OA::Events;
use OA::Nginx;

my $fill = 'x' x 1000;

# so much that the reader has to wait, and not more than it takes at once
my $n = 60;
my $all = join '', map { "data: $_ $fill\n\n" } 1 .. $n;

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    if ($request->path =~ /fill/) {
        $c->head;
        $c->event($all) for 1 .. 5;
    } else {
        $c->head(length => length $all, hold => 1);
        $c->event($all);
    }
    $c->end;
});

my $ng = OA::Nginx->new(
    workers => 2,
    http    => <<"CONF");
    oa_zone 1m;
    server {
        listen 127.0.0.1:%%PORT_0%% reuseport sndbuf=8k;
        location = /pid { return 200 \$pid; }
        location / { oa_sse_pass @{[ $agent->url ]}; }
        location /short {
            oa_sse_keep 100ms;
            oa_sse_pass @{[ $agent->url ]};
        }
    }
CONF

my @pids = $ng->worker_pids;

sub slow {
    my ($pid, $path) = @_;
    my $client = OA::Client->of_worker($ng->port, $pid, '/pid', rcvbuf => 4096);
    my $s = OA::Events->new(0, $path, socket => $client->socket);
    $s->head;
    $s->pause;
    return $s;
}

sub is_whole {
    my ($s, $name) = @_;
    $s->resume;
    my @events = $s->rest;
    is $s->wait_end, 'complete', "$name: the end";
    my @ends = grep { $_->{data} eq '[DONE]' or $_->{data} =~ /"error"/ }
               @events;
    is @ends, 1, 'is told once';
    is $events[-1], $ends[0], 'and last';
    return map { $_->{data} =~ s/ .*//r } @events;
}

# kept while somebody reads it
for my $i (0, 1) {
    my $s = slow($pids[0], '/short');
    my $far = slow($pids[1], '/short?stream=' . $s->header('OA-Stream'));
    sleep 0.6;                  # longer than it would be kept
    is_deeply [ is_whole($s, 'slow') ], [ 1 .. $n, '[DONE]' ],
        'a slow reader has all of it';
    is_deeply [ is_whole($far, 'far') ], [ 1 .. $n, '[DONE]' ],
        'in another worker, too';
}

# until there is no room
my @slow = map { slow($_, '/') } @pids;
for (1 .. 4) {
    my $s = OA::Events->new($ng->port, '/fill');
    is $s->wait_end, 'complete', 'others take its place';
}
is_whole($_, 'evicted') for @slow;

done_testing;
