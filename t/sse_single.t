# master_process off: one process does all.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Client qw(http_request);
use OA::Events;
use OA::Nginx;

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    $c->head;
    for my $n (1 .. 3) {
        $c->event("data: $n\n\n");
        $c->wait('go');
    }
    $c->event("data: [DONE]\n\n");
    $c->end;
});

my $ng = OA::Nginx->new(
    workers => 0,
    main    => 'master_process off;',
    http    => <<"CONF");
    oa_zone 4m;
    oa_sse_heartbeat 100ms;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { oa_sse_pass @{[ $agent->url ]}; oa_sse_keep 1s; }
    }
CONF

sub resume {
    my ($stream, %o) = @_;
    return http_request($ng->port, '/', %o, headers => [
        Accept => 'text/event-stream', 'Last-Event-ID' => $stream->last_id ]);
}

my $stream = OA::Events->new($ng->port, '/');
is $stream->next->{data}, 1, 'a stream';
ok $stream->wait_comment, 'a heartbeat';
my $back = OA::Events->new($ng->port, '/',
    headers => [ 'Last-Event-ID' => $stream->last_id ]);
$agent->say('go') for 1 .. 3;
is join(' ', map { $_->{data} } $back->rest), '2 3 [DONE]', 'who comes back';
is join(' ', map { $_->{data} } $stream->rest), '2 3 [DONE]', 'the first';
is resume($stream)->status, 204, 'no more';

my $other = OA::Events->new($ng->port, '/');
is $other->next->{data}, 1, 'another';
is resume($other, method => 'DELETE')->status, 204, 'is stopped';
like +($other->rest)[0]{data}, qr/"code":"stopped"/, 'at once';

my $left = OA::Events->new($ng->port, '/');
is $left->next->{data}, 1, 'a third';
$left->close;
ok $agent->wait_closed(2), 'is abandoned';

ok $ng->quit, 'nginx ends';

done_testing;
