# Many readers are not sent off in one instant, nor told to come back in one;
# none of them loses an event by it.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Events;
use OA::Nginx;
use OA::Util qw(wait_for);

my $READERS = 100;

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    $c->head;
    $c->event("data: 1\n\n");
    for my $n (2 .. 4) {
        $c->wait('go');
        $c->event("data: $n\n\n");
    }
    $c->stall;
});

my $listen = OA::Nginx->version < 1.025001
    ? 'listen 127.0.0.1:%%PORT_1%% http2;'
    : 'listen 127.0.0.1:%%PORT_1%%; http2 on;';

my $ng = OA::Nginx->new(
    workers => 2,
    main    => 'worker_shutdown_timeout 3s;',
    http    => join '', "oa_zone 4m;\n", map { <<"CONF" }
    server {
        $_
        location / { oa_sse_pass @{[ $agent->url ]}; }
    }
CONF
    'listen 127.0.0.1:%%PORT_0%%;', $listen);

# half of them over HTTP/2; some are not in the worker that has the stream

sub get {
    my ($http2, $id) = @_;
    return OA::Events->new($ng->port($http2), '/', http2 => $http2,
        headers => [ $id ? ('Last-Event-ID' => $id) : () ]);
}

my @started = get(0);
my $first = $started[0]->next->{id};
my @readers = ($started[0], map { get($_ % 2, $first) } 2 .. $READERS);

$agent->say('go');
is $_->next->{data}, 2, 'reader' for $started[0];
is +(grep { $_->next->{data} eq 2 } @readers[1 .. $#readers]), $READERS - 1,
    'all read';

ok $ng->reload, 'reload';

my (%at, @at);
ok +(wait_for {
    for my $i (grep { !$at{$_} } 0 .. $#readers) {
        $readers[$i]->seen;             # reads what there is
        $at{$i} = time if $readers[$i]->how_ended;
    }
    keys %at == $READERS;
} 20), 'all are sent off';
is +(grep { $_->how_ended eq 'complete' } @readers), $READERS, 'properly';

@at = sort { $a <=> $b } values %at;
my $took = $at[-1] - $at[0];
cmp_ok $took, '>', 0.3, sprintf 'within %.2f s', $took;

my %in;
$in{ int 10 * $_ }++ for @at;
my ($most) = sort { $b <=> $a } values %in;
cmp_ok $most, '<', $READERS / 2, "$most of them in a tenth of a second";

my @retries = sort { $a <=> $b } map { $_->retry // 0 } @readers;
my %retries = map { $_ => 1 } @retries;
cmp_ok keys %retries, '>', $READERS * 0.8, 'each is told its own time';
cmp_ok $retries[0], '>=', 500, 'not at once';
cmp_ok $retries[-1], '<', 3000, 'not too late';
cmp_ok $retries[-1] - $retries[0], '>', 1500, 'spread';

# back

$agent->say('go');
my @back = map { get($_ % 2, $readers[$_]->last_id) } 0 .. $#readers;
is +(grep { $_->next->{data} eq 3 } @back), $READERS, 'all read on';
is $agent->connections, 1, 'the one stream';

my @ends = map { my @rest = $_->rest; [ map { $_->{data} } @rest ] } @back;
is +(grep { @$_ == 1 && $_->[0] =~ /"code":"shutdown"/ } @ends), $READERS,
    'and see one end';
ok +(wait_for { !$ng->old_worker_pids } 10), 'old workers are gone';

done_testing;
