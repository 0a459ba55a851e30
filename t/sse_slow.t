# A reader that is slow holds up neither the agent nor others.  What it could
# not be kept for it misses, is told of by a gap, and goes on.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP qw(decode_json);
use List::Util qw(sum);

use OA::Agent;
use OA::Client;
use OA::Events;
use OA::Nginx;

my $batches = 30;
my $batch = 20;
my $last = $batches * $batch;
my $fill = 'x' x 1000;

my $agent = OA::Agent->new(sub {
    my ($c) = @_;
    my $n = 0;
    $c->head;
    for (1 .. $batches) {
        $c->event(join '', map { 'data: ' . ++$n . " $fill\n\n" } 1 .. $batch);
        $c->wait('more');
    }
    $c->end;
});

my $ng = OA::Nginx->new(
    workers => 2,
    http    => <<"CONF");
    server {
        listen 127.0.0.1:%%PORT_0%% reuseport sndbuf=8k;
        location = /pid { return 200 \$pid; }
        location / {
            oa_sse_buffer 64k;
            oa_sse_pass @{[ $agent->url ]};
        }
    }
CONF

my @pids = $ng->worker_pids;

sub ask {
    my ($pid, $path, %o) = @_;
    my $client = OA::Client->of_worker($ng->port, $pid, '/pid',
                                       rcvbuf => delete $o{rcvbuf});
    return OA::Events->new(0, $path, socket => $client->socket, %o);
}

sub number { $_[0]{id} =~ s/.*-//r }

my $first = ask($pids[0], '/');
my $name = $first->header('OA-Stream');
my @fast = ($first, map { ask($_, "/?stream=$name") } @pids);
my @slow = map { ask($_, "/?stream=$name", rcvbuf => 4096) } @pids, @pids;
$_->head for @fast, @slow;
$_->pause for @slow;

# The next events of those that read, as they are.
my $sent = 0;
sub batch {
    my @wrong;
    for my $n ($sent + 1 .. $sent + $batch) {
        for my $s (@_) {
            my $e = $s->next;
            push @wrong, "$e->{event} " . substr $e->{data}, 0, 40
                if $e->{data} ne "$n $fill" or number($e) != $n;
        }
    }
    $sent += $batch;
    $agent->say('more');
    return @wrong;
}

is_deeply [ map { batch(@fast) } 1 .. $batches / 2 ], [],
    'those that read get all of it, while others do not';

# two read on in the middle of it, two at its end
sub catch_up {
    my ($s, $until) = @_;
    my ($next, @gaps, @wrong) = (1);

    while ($next <= $until) {
        my $e = $s->next;
        if ($e->{event} eq 'gap') {
            my $gap = decode_json($e->{data});
            push @gaps, $gap->{to} - $gap->{from} + 1;
            push @wrong, "gap from $gap->{from}, not $next"
                if $gap->{from} != $next;
            push @wrong, "gap of nothing" if $gap->{to} < $gap->{from};
            $next = $gap->{to};
        } elsif ($e->{data} !~ /^\Q$next $fill\E\z|^\[DONE\]\z/) {
            push @wrong, substr $e->{data}, 0, 40;
        }
        push @wrong, "id $e->{id}, not $next" if $e->{id} ne "$name-$next";
        $next++;
    }
    is_deeply \@wrong, [], "events and gaps up to $until are in order";
    ok @gaps > 0, 'there was a gap';
    cmp_ok sum(0, @gaps), '<', $until - 50, 'of what is not in the buffer';
}

for my $s (@slow[0, 1]) {
    $s->resume;
    catch_up($s, $sent);
}
is_deeply [ map { batch(@fast, @slow[0, 1]) } $batches / 2 + 1 .. $batches ],
    [], 'from there on they are like the others';

is $agent->closed, 0, 'and the agent could finish';
is $_->next->{data}, '[DONE]', 'the end' for @fast, @slow[0, 1];

for my $s (@slow[2, 3]) {
    $s->resume;
    catch_up($s, $last + 1);
}
for my $s (@fast, @slow) {
    is $s->wait_end, 'complete', 'all end';
    is scalar(grep { $_->{data} eq '[DONE]' } $s->all), 1, 'once';
}

# who was told of it need not be told again
my ($gap) = reverse grep { $_->{event} eq 'gap' } $slow[2]->all;
my ($e) = ask($pids[1], '/', headers => [ 'Last-Event-ID' => $gap->{id} ])
    ->all;
is $e->{event}, 'message', 'after the gap comes an event';
is number($e), number($gap) + 1, 'the next one';

my $to = number($gap);
my @all = ask($pids[0], '/', headers => [ 'Last-Event-ID' => "$name-7" ])->all;
is $all[0]{event}, 'gap', 'who comes back too late gets a gap, too';
is_deeply decode_json($all[0]{data}), { from => 8, to => $to },
    'of what is not there';
is number($all[1]), $to + 1, 'and the rest';

done_testing;
