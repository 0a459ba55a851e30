# The harness itself: clients of events for JavaScript.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Node qw(node_run node_start);

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    my $last = $request->header('Last-Event-ID') // 0;

    # unannounced, a close may meet the next request; announced, Node takes a
    # cut for the end
    my @close = $request->path eq '/cut'
        ? () : (headers => [ Connection => 'close' ]);

    if ($request->path eq '/none') {
        $c->head(status => 404, type => 'text/plain', @close);
        return $c->end;
    }
    if ($request->path eq '/over' and $last) {
        $c->head(status => 204, type => undef, length => 0, @close);
        return $c->end;
    }

    $c->head(@close);
    $c->event("retry: 10\n\n");
    for my $n ($last + 1 .. $last + 2) {
        $c->event("id: $n\ndata: $n\n\nevent: odd\ndata: \xc3\xa9\n\n");
        $c->wait('go') if $request->path eq '/wait';
    }
    $c->event("data: [DONE]\n\n") if $request->path eq '/done' && $last >= 2;
    $request->path eq '/cut' ? $c->cut : $c->end;
});

sub start {
    my ($path, @options) = @_;
    return node_start('eventsource.mjs', $agent->url . $path, @options);
}

sub short { join ' ', map { $_->{type} . ($_->{data} // '') } @_ }

subtest 'eventsource' => sub {
    my $start = time;
    my $node = start('/wait');
    my $line = $node->next;
    is $line->{type}, 'open', 'open';
    is $line->{status}, 200, 'status';
    is $line->{headers}{'content-type'}, 'text/event-stream', 'headers';
    cmp_ok abs($line->{time} - time), '<', 30, 'time';

    is_deeply +(map { delete $_->{time}; $_ } $node->next)[0],
        { type => 'message', data => '1', lastEventId => '1' }, 'an event';
    ok !eval { $node->next(0.2); 1 }, 'there is no other';
    like $@, qr/no line in time; so far: .*"data":"1"/s, 'why';
    $agent->say('go');
    is $node->next->{data}, 2, 'now there is';
    my $pid = $node->{pid};
    $node->stop;
    ok $agent->wait_closed(1), 'stopped';
    ok !kill(0, $pid), 'none is left';

    my @requests = $agent->requests;
    is $requests[0]->header('Accept'), 'text/event-stream', 'Accept';
};

subtest 'it reconnects' => sub {
    for my $path (qw(/end /cut)) {
        my $n = $agent->requests;
        my $node = start($path, { events => [ 'odd' ], count => 6 });
        is short($node->rest),
            "open message1 odd\xe9 message2 odd\xe9 error"
            . " open message3 odd\xe9", $path;
        my @requests = $agent->requests;
        is $requests[-1]->header('Last-Event-ID'), 2, 'where it was';
        is @requests, $n + 2, 'twice';
    }
    is short(start('/done', { until => '[DONE]' })->rest),
        'open message1 message2 error open message3 message4 message[DONE]',
        'up to [DONE]';
};

subtest 'it gives up' => sub {
    my ($error, @more) = start('/none')->rest;
    is_deeply [ @$error{qw(type status readyState)} ], [ 'error', 404, 2 ],
        'status 404';
    is @more, 0, 'the end';

    my @lines = start('/over')->rest;
    is short(@lines), 'open message1 message2 error open error', 'status 204';
    is $lines[3]{readyState}, 0, 'reconnects';
    is $lines[-1]{status}, 204, 'status';
    is $lines[-1]{readyState}, 2, 'has given up';
};

subtest 'fetch' => sub {
    my %o = (client => 'fetch', method => 'POST', body => '{"a":1}',
             headers => { 'X-A' => 'b', 'Last-Event-ID' => '7' });
    is short(start('/end', \%o)->rest),
        "open message8 odd\xe9 message9 odd\xe9 end", 'to the end';
    my $request = ($agent->requests)[-1];
    is $request->method, 'POST', 'method';
    is $request->body, '{"a":1}', 'body';
    is $request->header('X-A'), 'b', 'header';

    my @lines = start('/cut', \%o)->rest;
    is short(@lines), "open message8 odd\xe9 message9 odd\xe9 error", 'cut';
    is $lines[3]{lastEventId}, 9, 'id';
    like $lines[-1]{message}, qr/other side closed/, 'why';

    is short(start('/wait', { %o, until => '8' })->rest), 'open message8',
        'up to an event';
    is short(start('/none', { client => 'fetch' })->rest), 'open end',
        'status 404';
};

subtest 'programs that fail' => sub {
    my $node = start('/end', '{');
    ok !eval { $node->rest; 1 }, 'not JSON';
    like $@, qr/^node eventsource\.mjs: status 1\n.*JSON/s, 'why';
    ok !eval { node_run('eventsource.mjs', $agent->url . '/wait',
                        { timeout => 1 }) }, 'no end';
    like $@, qr/still running/, 'why';
};

done_testing;
