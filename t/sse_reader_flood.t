# However fast readers come, those of other workers' streams have their turn.

use strict;
use warnings;

use POSIX ();
use Test::More;
use Time::HiRes qw(time sleep);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Client qw(request_bytes);
use OA::Events;
use OA::Nginx;
use OA::Util qw(at_exit wait_for);

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    $c->head;
    for my $n (1 .. 11) {
        $c->event("data: $n\n\n");
        $c->wait('go');
    }
});

my $ng = OA::Nginx->new(connections => 8000, http => <<"CONF");
    oa_zone 4m;
    server {
        listen 127.0.0.1:%%PORT_0%% backlog=4000;
        location / { oa_sse_pass @{[ $agent->url ]}; }
    }
CONF

my $stream = OA::Events->new($ng->port, '/');
my $id = $stream->next->{id};

# after a reload it is another worker's

ok $ng->reload, 'reload';
my $reader = OA::Events->new($ng->port, '/',
                             headers => [ 'Last-Event-ID' => $id ]);
is $reader->status, 200, 'a reader';

my $request = request_bytes('/', host => 'localhost', headers =>
    [ Accept => 'text/event-stream', 'Last-Event-ID' => $id ]);

# two come as fast as they can, again and again

my @pids = map {
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        my @flood;
        eval {
            for (;;) {
                push @flood, OA::Client->new($ng->port);
                $flood[-1]->send($request);
                shift(@flood)->close if @flood > 100;
            }
        };
        POSIX::_exit(0);
    }
    $pid;
} 1 .. 2;
at_exit(sub { kill 'KILL', @pids; local $?; waitpid $_, 0 for @pids; '' });

sleep 0.3;
my ($most, $n) = (0, 10);
for (1 .. $n) {
    my $start = time;
    $agent->say('go');
    my $event = $reader->next;
    my $took = $event->{time} - $start;
    $most = $took if $took > $most;
}
cmp_ok $most, '<', 0.5, sprintf 'each event reaches it, within %.3f s', $most;

kill 'KILL', @pids;
$agent->say('go');
$reader->rest;
ok +(wait_for { !$ng->old_worker_pids } 10), 'the old worker is gone';

done_testing;
