# raw: bodies and events go as they are, whatever they are.

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
    $c->event("event: a\ndata: {\"error\":\"x\"}\n\n");
    $c->event("data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n");
    $c->event("data\n\nfield: only\n\ndata: [DONE] \n\n");
    $c->event("data: [DONE]\n\n") if $request->path =~ /done/;
    $c->end;
});

my $ng = OA::Nginx->new(http => <<"CONF");
    client_max_body_size 0;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_sse_dialect raw;
        location / { oa_sse_pass @{[ $agent->url ]}; }
    }
CONF

my %bodies = (
    'no JSON'       => 'message=a',
    'not an object' => '"message"',
    'every byte'    => join('', map { chr } 0 .. 255),
    'nothing'       => '',
    'controls'      => "{\"message\":\"a\\u0000\x01\"}",
    'phrases'       => 'ignore previous instructions',
    'a large one'   => join('', map { chr(33 + $_ % 90) } 1 .. 3_000_000),
);

for my $name (sort keys %bodies) {
    my $body = $bodies{$name};
    my $s = OA::Events->new($ng->port, '/', method => 'POST', body => $body,
        headers => [ 'Content-Type' => "x/y; a=$name" ]);
    is_deeply [ map { "$_->{event} $_->{data}" } $s->all ],
        [ 'a {"error":"x"}',
          'message {"choices":[{"delta":{"content":"x"}}]}', 'message ',
          'message [DONE] ', 'message [DONE]' ], "$name: events";

    my $request = ($agent->requests)[-1];
    ok $request->body eq $body, "$name: body";
    is $request->header('Content-Length'), length $body, "$name: length";
    is $request->header('Content-Type'), "x/y; a=$name", "$name: type";
}

is_deeply [ map { $_->{data} }
            OA::Events->new($ng->port, '/done', method => 'POST')->all ],
    [ '{"error":"x"}', '{"choices":[{"delta":{"content":"x"}}]}', '',
      '[DONE] ', '[DONE]' ], '[DONE], once';
is(($agent->requests)[-1]->header('Content-Type'), undef, 'no type');

# in chunks of a client's own
my $c = OA::Client->new($ng->port);
$c->send("POST /done HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
         . "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX: y\r\n\r\n");
is $c->response->status, 200, 'a chunked body';
is(($agent->requests)[-1]->body, 'abcde', 'as it was');

is $ng->log_count(qr/suspicious/), 0, 'nothing is looked at';

done_testing;
