# However streams end, the zone has as much room as before.

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

my $fill = 'x' x 1000;

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    my ($n, $how) = $request->path =~ m{^/(\d+)/(\w+)};
    return $c->reset if $how eq 'unanswered';
    $c->head;
    $c->event(join '', map { "data: $_ $fill\n\n" } 1 .. $n);
    $c->event('data: ' . 'y' x 20_000 . "\n\n") if $how eq 'large';
    $c->note("sent $how");
    return $c->reset if $how eq 'reset';
    $c->stall if $how =~ /stopped|abandoned|killed/;
    $c->end;
});

my $ng = OA::Nginx->new(
    workers => 2,
    log_level => 'crit',
    http    => <<"CONF");
    oa_zone 1m;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_sse_keep 20s;
        oa_sse_buffer 16k;
        location / { oa_sse_pass @{[ $agent->url ]}; }
        location ~ abandoned {
            oa_sse_keep 100ms;
            oa_sse_pass @{[ $agent->url ]};
        }
        location ~ all {
            oa_sse_buffer 16m;
            oa_sse_pass @{[ $agent->url ]};
        }
    }
CONF

# How many events the zone holds, at most.
sub room {
    my $s = OA::Events->new($ng->port, '/1500/all');
    my $name = $s->header('OA-Stream');
    my @all = $s->all;
    is $all[-1]{data}, '[DONE]', 'a stream of more than the zone can hold';

    my @kept = OA::Events->new($ng->port, "/all?stream=$name")->all;
    is $kept[0]{event}, 'gap', 'is not kept whole';
    my $n = grep { $_->{event} ne 'gap' } @kept;
    cmp_ok $n, '>', 500, "but as far as there is room: $n events";
    return $n;
}

my $room = room();

my @stopped;
for my $i (1 .. 40) {
    for my $how (qw(read large reset unanswered stopped abandoned)) {
        my $s = OA::Events->new($ng->port, '/' . (1 + $i % 30) . "/$how");
        my $name = $s->header('OA-Stream');
        if ($how eq 'stopped') {
            http_request($ng->port, "/?stream=$name", method => 'DELETE');
            push @stopped, $s;
        }
        $s->rest if $how !~ /stopped|abandoned/;
    }
}
$_->rest for @stopped;
my %goes_on = map { $_->number => 1 }
              grep { $_->path =~ /stopped|abandoned/ } $agent->requests;
ok +(wait_for { 80 == grep { $goes_on{$_} } $agent->closed } 10),
    'those that would go on, too';
is room(), $room, 'as much after 240 streams, which ended in all ways';

my @killed = map { OA::Events->new($ng->port, "/$_/killed") } 1 .. 20;
$_->next for @killed;
$ng->kill_worker(0) for 1, 2;
$_->wait_closed for @killed;

is room(), $room, 'and after those whose workers died';

done_testing;
