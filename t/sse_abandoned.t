# A stream that nobody reads for oa_sse_keep is abandoned.

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
    $c->stall;
});

my $ng = OA::Nginx->new(
    workers => 2,
    http    => <<"CONF");
    server {
        listen 127.0.0.1:%%PORT_0%% reuseport;
        location = /pid { return 200 \$pid; }
        oa_sse_keep 500ms;
        location / { oa_sse_pass @{[ $agent->url ]}; }
        location /short {
            oa_sse_keep 100ms;
            oa_sse_pass @{[ $agent->url ]};
        }
    }
CONF

my @pids = $ng->worker_pids;

sub connected { OA::Client->of_worker($ng->port, $_[0], '/pid')->socket }

sub ask {
    my ($pid, $path, %o) = @_;
    return OA::Events->new(0, $path, socket => connected($pid), %o);
}

my $abandoned = '{"error":"Nobody was reading.","code":"abandoned"}';

subtest 'nobody comes back' => sub {
    my @gone;
    for my $path ('/', '/silent') {
        for my $how ('close', 'reset') {
            my $s = ask($pids[0], $path);
            my $name = $s->header('OA-Stream');
            $s->next if $path eq '/';
            $s->close(reset => $how eq 'reset');
            push @gone, [ "$path, $how", $name, $path eq '/' ? 1 : 0 ];
        }
    }

    my $since = time;
    ok $agent->wait_closed(4), 'the agent is left';
    cmp_ok time - $since, '>=', 0.4, 'not before its time';
    cmp_ok time - $since, '<', 5, 'but then';

    for (@gone) {
        my ($what, $name, $seq) = @$_;
        my $s = ask($pids[1], '/', headers => [
            'Last-Event-ID' => $seq ? "$name-$seq" : $name ]);
        is join(' ', map { $_->{data} } $s->rest), $abandoned,
            "$what: who comes later is told";
        $seq++;
        is ask($pids[0], "/?lastEventId=$name-$seq")->status, 204,
            'there is no more';
    }
};

# all that a worker learns of it at once, and nothing more
subtest 'gone before anything was looked at' => sub {
    for my $accept (undef, 'text/event-stream') {
        my $n = $agent->closed + 1;
        my $socket = connected($pids[0]);
        kill 'STOP', $pids[0];
        my $s = OA::Events->new(0, '/silent', method => 'POST',
            body => '{"message":"hi"}', accept => $accept,
            socket => $socket);
        $s->close;
        kill 'CONT', $pids[0];
        ok $agent->wait_closed($n, 5), 'the agent is left';
    }
};

subtest 'but a reader in another worker keeps it' => sub {
    my $closed = $agent->closed;
    my %far;
    for my $path ('/a', '/short') {
        my $s = ask($pids[0], $path);
        my $far = ask($pids[1], "$path?stream=" . $s->header('OA-Stream'));
        is $_->next->{data}, 'one', 'two readers' for $s, $far;
        $s->close;
        $far{$path} = $far;
    }

    sleep 0.8;
    is $agent->closed, $closed, 'the agent is still there';
    for my $path (sort keys %far) {
        $agent->say('two', $path);
        is $far{$path}->next->{data}, 'two', "$path: and heard";
        $far{$path}->close;
    }
    ok $agent->wait_closed($closed + 2), 'until that one goes, too';
};

done_testing;
