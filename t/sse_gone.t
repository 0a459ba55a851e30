# A stream outlives its client: who comes back within oa_sse_keep finds it
# running, and the agent has noticed nothing.

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

my $agent = OA::Agent->new(sub {
    my ($c) = @_;
    $c->head;
    $c->event("data: one\n\n");
    $c->wait('two');
    $c->event("data: two\n\n");
    $c->wait('end');
    $c->end;
});

my $ng = OA::Nginx->new(
    workers => 2,
    http    => <<"CONF");
    server {
        listen 127.0.0.1:%%PORT_0%% reuseport;
        location = /pid { return 200 \$pid; }
        location / {
            oa_sse_keep 20s;
            oa_sse_pass @{[ $agent->url ]};
        }
        location /brief {
            oa_sse_keep 1s;
            oa_sse_pass @{[ $agent->url ]};
        }
    }
CONF

my @pids = $ng->worker_pids;

sub ask {
    my ($pid, $path, $last) = @_;
    my $client = OA::Client->of_worker($ng->port, $pid, '/pid');
    return OA::Events->new(0, $path, socket => $client->socket,
        headers => [ defined $last ? ('Last-Event-ID' => $last) : () ]);
}

for my $how ('close', 'reset') {
    my $n = $agent->connections + 1;
    my $s = ask($pids[0], '/');
    is $s->next->{data}, 'one', 'an event';
    my $name = $s->header('OA-Stream');
    $s->close(reset => $how eq 'reset');

    $agent->say('two', $n);
    my $far = ask($pids[1], '/', "$name-1");
    is $far->next->{data}, 'two', "$how: what came meanwhile";
    $far->close(reset => $how eq 'reset');

    my $near = ask($pids[0], '/', "$name-1");
    is $near->next->{data}, 'two', 'the same to another reader';
    $agent->say('end', $n);
    is $near->next->{data}, '[DONE]', 'it goes on to its end';
}

# again and again, longer than it would be kept with nobody there
my $s = ask($pids[0], '/brief');
my $name = $s->header('OA-Stream');
is $s->next->{data}, 'one', 'a reader';
my $n = $agent->connections;
for my $i (1 .. 4) {
    $s->close;
    sleep 0.3;
    $s = ask($pids[ $i % 2 ], '/brief', $name);
    is $s->next->{data}, 'one', 'is back before its time';
}
$agent->say($_, $n) for 'two', 'end';
is join(' ', map { $_->{data} } $s->rest), 'two [DONE]', 'and it goes on';

is $agent->closed, 0, 'the agent has noticed nothing';

done_testing;
