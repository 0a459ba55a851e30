# Before worker_shutdown_timeout readers are asked to come back, and read on
# from new workers; when it is over, what still runs has one end.

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

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    if ($request->path eq '/held') {
        $c->note('held');
        $c->stall;
    }
    $c->head;
    for my $n (1 .. 9) {
        $c->event("data: $n\n\n");
        $c->wait('go');
    }
});

my $listen = OA::Nginx->version < 1.025001
    ? 'listen 127.0.0.1:%%PORT_1%% http2;'
    : 'listen 127.0.0.1:%%PORT_1%%; http2 on;';

my $time = OA::Nginx->sanitized ? 3 : 1;

my $ng = OA::Nginx->new(
    main => "worker_shutdown_timeout ${time}s;",
    http => join '', "oa_zone 4m;\n", map { <<"CONF" }
    server {
        $_
        location / { oa_sse_pass @{[ $agent->url ]}; }
    }
CONF
    'listen 127.0.0.1:%%PORT_0%%;', $listen);

sub begin {
    my ($path, %o) = @_;
    return OA::Events->new($ng->port($o{http2} ? 1 : 0), $path, %o);
}

sub resume {
    my ($stream, %o) = @_;
    return begin('/', headers => [ 'Last-Event-ID' => $stream->last_id ], %o);
}

sub data { join ' ', map { $_->{data} } @_ }

my $one = begin('/one');
my $two = begin('/two', http2 => 1);
my $silent = begin('/held', method => 'POST', body => '{"message":"a"}');
my $held = begin('/held', accept => undef);
is data($_->next), 1, 'a stream' for $one, $two;
is $silent->status, 200, 'and one without an event';
ok $agent->wait_requests(4), 'all have begun';

ok $ng->reload, 'reload';
my $start = time;
my $new = resume($one);

$agent->say('go', '/one');
is data($one->next), 2, 'it goes on';
is data($new->next), 2, 'in the new worker too';

# off they go

for my $old ($one, $two, $silent) {
    is $old->wait_end, 'complete', 'a reader is sent off, properly';
    cmp_ok time - $start, '<', $time, 'before the time is over';
    cmp_ok $old->retry, '>=', 500, 'to come back';
    cmp_ok $old->retry, '<=', 3000, 'soon';
}
cmp_ok time - $start, '>', $time / 2 - 0.2, 'not long before';
is data($one->seen), '1 2', 'without an end, one';
is data($two->seen), '1', 'two';
isnt $one->retry, $two->retry, 'not all at the same time';

is $held->status, 503, 'who is still held hears of it';
like $held->raw, qr/"code":"shutdown"/, 'as a problem';
is $held->header('Retry-After'), 1, 'to be tried again';

# back

$agent->say('go', $_) for '/one', '/two';
my $back = resume($one);
my $back2 = resume($two, http2 => 1);
my $back3 = resume($silent);
is data($_->next), $_ == $back2 ? 2 : 3, 'who comes back reads on'
    for $new, $back, $back2;
is scalar($agent->connections), 4, 'and began nothing anew';

# the end

for my $reader ($new, $back, $back2, $back3) {
    my @rest = $reader->rest;
    is @rest, 1, 'one end';
    like $rest[0]{data}, qr/"code":"shutdown"/, 'which tells why';
    is $reader->how_ended, 'complete', 'properly';
    is http_request($ng->port, '/', headers => [ 'Last-Event-ID' =>
        $reader->last_id ])->status, 204, 'no more';
}
cmp_ok time - $start, '>', $time - 0.2, 'when the time was over';
ok +(wait_for { !$ng->old_worker_pids } $time), 'the old worker is gone';
is $new->last_id, $back->last_id, 'the same end for all';

done_testing;
