# A stream outlives its client for oa_sse_keep: who comes back in time finds it
# running; when nobody does, it is abandoned.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);

use FindBin;
use lib "$FindBin::Bin/lib";
use OA::Agent;
use OA::Client;
use OA::Events;
use OA::Nginx;

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    $c->stall if $request->path =~ /silent/;
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
        oa_sse_keep 700ms;
        location / { oa_sse_pass @{[ $agent->url ]}; }
        location /long {
            oa_sse_keep 20s;
            oa_sse_pass @{[ $agent->url ]};
        }
        location /short {
            oa_sse_keep 100ms;
            oa_sse_pass @{[ $agent->url ]};
        }
    }
CONF

my @pids = $ng->worker_pids;

sub ask {
    my ($pid, $path, @headers) = @_;
    return OA::Events->new($ng->port, $path, headers => \@headers,
        socket => OA::Client->of_worker($ng->port, $pid, '/pid')->socket);
}

sub back {
    my ($pid, $id, $path) = @_;
    return ask($pid, $path // '/', 'Last-Event-ID' => $id);
}

my $abandoned = '{"error":"Nobody was reading.","code":"abandoned"}';

subtest 'comes back in time' => sub {
    for my $how ('close', 'reset') {
        my $n = $agent->connections + 1;
        my $s = ask($pids[0], '/long');
        $s->next;
        my $name = $s->header('OA-Stream');
        $s->close(reset => $how eq 'reset');

        sleep 0.1;
        $agent->say('two', $n);
        my $far = back($pids[1], "$name-1");
        is $far->next->{data}, 'two', "$how: what came meanwhile";
        $far->close;
        my $near = back($pids[0], "$name-1");
        is $near->next->{data}, 'two', 'the same to another reader';
        $agent->say('end', $n);
        is $near->next->{data}, '[DONE]', 'it goes on';
        is $agent->closed, 0, 'the agent has noticed nothing';
    }
};

subtest 'never comes back' => sub {
    for my $path ('/', '/silent') {
        for my $how ('close', 'reset', 'at once') {
            my $n = $agent->closed + 1;
            my $s = ask($pids[0], $path);
            my $name;
            if ($how ne 'at once') {
                $name = $s->header('OA-Stream');
                $s->next if $path eq '/';
            }
            $s->close(reset => $how eq 'reset');
            my $gone = time;

            ok $agent->wait_closed($n), "$path, $how: the agent is left";
            cmp_ok time - $gone, '>=', 0.65, 'not before its time';
            cmp_ok time - $gone, '<', 5, 'but then';
            next if !$name;

            my $seq = $path eq '/' ? 1 : 0;
            my $r = back($pids[1], $seq ? "$name-$seq" : $name);
            is $r->next->{data}, $abandoned, 'who comes later is told';
            is $r->wait_end, 'complete', 'and that is the end';
            is back($pids[0], "$name-" . ($seq + 1))->status, 204,
                'there is no more';
        }
    }
};

subtest 'gone before anything was looked at' => sub {
    for my $accept (undef, 'text/event-stream') {
        my $n = $agent->closed + 1;
        my $client = OA::Client->of_worker($ng->port, $pids[0], '/pid');
        kill 'STOP', $pids[0];
        my $s = OA::Events->new(0, '/silent', method => 'POST',
            body => '{"message":"hi"}', accept => $accept,
            socket => $client->socket);
        $s->close;
        kill 'CONT', $pids[0];
        ok $agent->wait_closed($n, 5), 'the agent is left';
    }
};

subtest 'a reader in another worker keeps it' => sub {
    for my $path ('/', '/short') {
        my $n = $agent->connections + 1;
        my $closed = $agent->closed;
        my $s = ask($pids[0], $path);
        my $name = $s->header('OA-Stream');
        my $far = ask($pids[1], "$path?stream=$name");
        is $_->next->{data}, 'one', 'two readers' for $s, $far;
        $s->close;

        sleep 1.3;
        is $agent->closed, $closed, "$path: the agent is still there";
        $agent->say('two', $n);
        is $far->next->{data}, 'two', 'and heard';
        $far->close;
        ok $agent->wait_closed($closed + 1), 'until that one goes, too';
    }
};

subtest 'comes and goes' => sub {
    my $closed = $agent->closed;
    my $s = ask($pids[0], '/');
    my $name = $s->header('OA-Stream');
    is $s->next->{data}, 'one', 'a reader';
    for my $i (1 .. 4) {
        $s->close;
        sleep 0.4;
        $s = ask($pids[ $i % 2 ], "/?stream=$name");
        is $s->next->{data}, 'one', 'is back before its time';
    }
    is $agent->closed, $closed, 'and the agent there';
};

done_testing;
