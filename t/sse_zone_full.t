# The zone is full: finished streams go first, the oldest of them before the
# others; then what was read of the largest that run.  Who reads along misses
# nothing.

use strict;
use warnings;

use JSON::PP qw(decode_json);
use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Ends qw(ended_as);
use OA::Events;
use OA::Nginx;
use OA::Util qw(wait_for);

my @parts = map { chr(97 + $_) x 3900 } 0 .. 13;        # 14 pages or so
my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    $c->head;
    $c->event("data: $_\n\n") for @parts;
    $c->wait('go') if $request->path eq '/run';
    $c->end;
});

my $ng = OA::Nginx->new(http => <<"CONF");
    oa_zone 1m;
    oa_sse_buffer 64k;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { oa_sse_pass @{[ $agent->url ]}; }
    }
CONF

# What there still is of a stream: how many events are missing, and its end.
sub left {
    my ($s) = @_;
    my $again = OA::Events->new($ng->port,
                                '/?stream=' . $s->header('OA-Stream'));
    return 'gone' if $again->status != 200;

    my $missing = 0;
    my ($first, @events) = ($again->next);
    if ($first->{event} eq 'gap') {
        my $gap = decode_json($first->{data});
        is $gap->{from}, 1, 'a gap from the beginning';
        is $first->{id}, $s->header('OA-Stream') . "-$gap->{to}",
            'counted to its end';
        $missing = $gap->{to};
    } else {
        push @events, $first;
    }
    my $want = @parts - $missing + ($s->{runs} ? 0 : 1);
    push @events, $again->next while @events < $want;
    is_deeply [ map { $_->{data} } @events ],
        [ @parts[$missing .. $#parts], $s->{runs} ? () : '[DONE]' ],
        "the rest, $missing missing";
    return $missing;
}

my @done;
for (1 .. 12) {
    push @done, my $s = OA::Events->new($ng->port, '/done');
    ended_as($s, 'finished', events => \@parts, code => 'done');
}
is left($done[0]), 0, 'all is there';

my @run;
sub run {
    my $s = OA::Events->new($ng->port, '/run');
    $s->{runs} = 1;
    $s->next for @parts;
    push @run, $s;
}

run() for 1 .. 8;
my @left = map { left($_) } @done;
note "left: @left";
cmp_ok $left[0], '>', 0, 'the oldest has lost some';
is $left[-1], 0, 'the last has not';
my $before = 99;
for my $left (@left) {
    cmp_ok $left, '<=', $before, 'the older, the more';
    $before = $left;
}
is left($_), 0, 'of those that run nothing is missing' for @run;

run() for 1 .. 12;
@left = map { left($_) } @run;
note "left: @left";
cmp_ok scalar(grep { $_ } @left), '>', 0, 'then they lose some, too';
cmp_ok scalar(grep { $_ == @parts } @left), '==', 0, 'but none all of it';
is left($_), @parts, 'the finished ones have nothing left' for @done;

$agent->say('go') for @run;
for my $s (@run) {
    ended_as($s, 'read along', events => \@parts, code => 'done');
    $s->{runs} = 0;
    left($s);
    is +OA::Events->new($ng->port, '/', headers =>
        [ 'Last-Event-ID' => $s->last_id ])->status, 204, 'that is all';
}

done_testing;
