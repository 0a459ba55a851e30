# A reload while streams run: they go on in the old worker, whose clients
# notice nothing; whoever comes back reads on in a new one, live.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Client qw(http_request);
use OA::Events;
use OA::Nginx;
use OA::Util qw(wait_for);

# an event a word, the last one is the end

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    my ($events) = $request->path =~ /(\d+)/;
    $c->head;
    for my $n (1 .. $events) {
        $c->event("data: $n\n\n");
        $c->wait('go');
    }
    $c->event("data: [DONE]\n\n");
    $c->end;
});

my $listen = OA::Nginx->version < 1.025001
    ? 'listen 127.0.0.1:%%PORT_1%% http2;'
    : 'listen 127.0.0.1:%%PORT_1%%; http2 on;';

my $ng = OA::Nginx->new(
    workers => 2,
    http    => join '', "oa_zone 4m;\n", map { <<"CONF" }
    server {
        $_
        location / { oa_sse_pass @{[ $agent->url ]}; }
    }
CONF
    'listen 127.0.0.1:%%PORT_0%%;', $listen);

my $limit = $ng->sanitized ? 5 : 1;

sub begin { OA::Events->new($ng->port, $_[0]) }

sub resume {
    my ($stream, %o) = @_;
    return OA::Events->new($ng->port, '/',
        headers => [ 'Last-Event-ID' => $stream->last_id ], %o);
}

sub data { join ' ', map { $_->{data} } @_ }

sub seq { join ' ', map { $_->{id} =~ /-(\d+)\z/ } @_ }

sub gone_in {
    my ($code) = @_;
    my $start = time;
    $code->();
    wait_for { !$ng->old_worker_pids } 20;
    return time - $start;
}

cmp_ok gone_in(sub { $ng->reload }), '<', $limit + 1,
    'without a stream old workers go at once';

my $first = begin('/5');
is $first->next->{data}, 1, 'a stream';
my $second = OA::Events->new($ng->port(1), '/5/2', http2 => 1);
is $second->next->{data}, 1, 'one over HTTP/2';
my $left = begin('/3');
is $left->next->{data}, 1, 'another, whose client leaves';
$left->close;

ok $ng->reload, 'reload';
cmp_ok scalar $ng->old_worker_pids, '>=', 1, 'an old worker stays';

$agent->say('go', '/5');
is $first->next->{data}, 2, 'the first client goes on';

$agent->say('go', '/5/2');
is $second->next->{data}, 2, 'over HTTP/2, too';

my @back = map { resume($first) } 1 .. 4;
my $again = resume($left);
$agent->say('go', '/5');
$agent->say('go', '/3');
is data($first->next), 3, 'and on';
for my $back (@back) {
    is $back->status, 200, 'who comes back';
    is data($back->next), 3, 'gets what is new';
    is seq($back->seen), 3, 'and nothing else';
}
is data($again->next), 2, 'so does who had left';

# live: not with a poll that people notice

my $start = time;
$agent->say('go', '/5');
is data($back[0]->next), 4, 'from another worker';
cmp_ok time - $start, '<', 0.25 * $limit, 'at once';

ok $ng->reload, 'a second reload';
my $third = resume($again);
$agent->say('go', '/3');
is data($third->next), 3, 'who comes back then';
is data($again->next), 3, 'and who came before, both old now';

$agent->say('go', '/5') for 1 .. 2;
is data($first->rest), '4 5 [DONE]', 'the first client, to the end';
is $first->how_ended, 'complete', 'whole';
for my $back (@back) {
    is data($back->rest), $back == $back[0] ? '5 [DONE]' : '4 5 [DONE]',
        'who came back, to the end';
    is $back->how_ended, 'complete', 'whole';
}

# the readers of the other stream, in workers of two reloads

$agent->say('go', '/5/2') for 1 .. 4;
is data($second->rest), '3 4 5 [DONE]', 'so does that over HTTP/2';
$second->close;                 # which nginx would wait for
cmp_ok scalar $ng->old_worker_pids, '>=', 2, 'they are still there';
my $took = gone_in(sub {
    $agent->say('go', '/3');
    is data($third->rest), '[DONE]', 'the other stream ends';
    is data($again->rest), '[DONE]', 'for both';
});
cmp_ok $took, '<', $limit, sprintf 'old workers are gone in %.2f s', $took;

# the end is kept

is data(OA::Events->new($ng->port, '/', headers => [ 'Last-Event-ID' =>
        $first->last_id =~ s/\d+\z/4/r ])->all), '5 [DONE]', 'the rest later';
is http_request($ng->port, '/', headers => [ Accept => 'text/event-stream',
    'Last-Event-ID' => $first->last_id ])->status, 204, 'then no more';

done_testing;
