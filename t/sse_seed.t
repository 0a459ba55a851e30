# A machine that speaks the seed's dialect: what it says goes on as it is, but
# for its end, of which there is one.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use OA::Agent;
use OA::Events;
use OA::Nginx;

my $done = 'data: [DONE]';
my $json = JSON::PP->new->utf8;

my @words = (
    '{"text":"{\"error\":\"x\"}"}', '{"error":"x","text":"y"}',
    '{"error":{"message":"x"}}', '{"error":null}', '{"error":"x"',
    '[{"error":"x"}]', '"error"', 'error: x', '{"code":"x"}',
    '{"error":"x","error":"y","code":1}', '{"a":{"error":"x"}}',
);

# what the machine sends, and what the client has
my @cases = (
    [ 'well', [ 'data: {"text":"a"}', $done ], '{"text":"a"}', '[DONE]' ],
    [ 'without [DONE]', [ 'data: {"text":"a"}' ], '{"text":"a"}', '[DONE]' ],
    [ 'twice', [ $done, $done ], '[DONE]' ],
    [ 'behind the end', [ $done, 'data: a' ], '[DONE]' ],
    [ 'without a space', [ 'data:[DONE]' ], '[DONE]' ],
    [ 'a named one', [ "event: done\nid: 7\n$done" ], '[DONE]' ],
    [ 'not an end', [ 'data: [DONE] ', "$done\ndata: x", "data:\n$done",
                      'data: [done]', 'data: "[DONE]"' ],
      '[DONE] ', "[DONE]\nx", "\n[DONE]", '[done]', '"[DONE]"', '[DONE]' ],
    [ 'nothing', [], '[DONE]' ],
    [ 'an error', [ 'data: {"text":"a"}', 'data: {"error":"no"}', $done ],
      '{"text":"a"}', '{"error":"no","code":"agent_error"}' ],
    [ 'its code', [ 'data: {"code":"no_credits","error":"\u00e9\""}' ],
      '{"error":"\u00e9\"","code":"no_credits"}' ],
    [ 'an odd code', [ 'data: {"error":"x","code":"A\"B"}' ],
      '{"error":"x","code":"agent_error"}' ],
    [ 'in several lines', [ "data: {\ndata: \"error\":\ndata: \"x\"}" ],
      '{"error":"x","code":"agent_error"}' ],
    [ 'words about errors',
      [ map { "data: $_" } @words ], @words, '[DONE]' ],
    [ 'no JSON', [ 'data: Hello', 'data:  two  ', "data: a\ndata:\ndata: b" ],
      'Hello', ' two  ', "a\n\nb", '[DONE]' ],
);

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    my ($n) = $request->path =~ /(\d+)$/;
    $c->head;
    $c->event("$_\n\n") for @{ $cases[$n][1] };
    $c->end;
});

my $ng = OA::Nginx->new(http => <<"CONF");
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location /api/chat/ { oa_sse_pass @{[ $agent->url ]}; }
    }
CONF

for my $i (0 .. $#cases) {
    my ($name, undef, @want) = @{ $cases[$i] };
    my $s = OA::Events->new($ng->port, "/api/chat/$i", method => 'POST',
                            body => '{"message":"m"}');
    my @got = $s->all;
    is_deeply [ map { $_->{data} } @got ], \@want, $name;
    is_deeply [ map { $_->{event} } $got[-1] ], [ 'message' ],
        "$name: the end has no name";
    is_deeply [ map { $_->{id} } @got ],
        [ map { $s->header('OA-Stream') . "-$_" } 1 .. @got ], "$name: ids";
    is $s->how_ended, 'complete', "$name: complete";
}

# Names of events stay.
my $named = OA::Agent->new(sub {
    my ($c) = @_;
    $c->head;
    $c->event("id: own\nevent: tool\ndata: {\"error\":\"x\",\"a\":1}\n\n");
    $c->event("retry: 7\nevent: b\ndata: 1\n\nevent: none\n\n: c\n\n");
    $c->end;
});
$ng->write_conf(http => <<"CONF");
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { oa_sse_pass @{[ $named->url ]}; }
    }
CONF
ok $ng->reload, 'reload';

my $s = OA::Events->new($ng->port, '/?sessionId=s1&access_token=x&a=b');
is_deeply [ map { "$_->{event} $_->{data}" } $s->all ],
    [ 'tool {"error":"x","a":1}', 'b 1', 'message [DONE]' ], 'names';

my ($request) = $named->requests;
is $request->method, 'GET', 'GET stays GET';
is $request->path, '/?sessionId=s1&a=b', 'its arguments, without a token';
is $request->body, '', 'no body';
is $request->header('Content-Length'), undef, 'nor its length';

# What a client says besides does not go on.
OA::Events->new($ng->port, '/', method => 'POST',
    body => $json->encode({ userId => 'other', sessionId => 's', role => 'x',
                            message => "a\x{e9}\"\x07\n\x{1f600}" }))->all;
is $named->requests + 0, 2, 'asked';
is_deeply $json->decode(($named->requests)[1]->body),
    { message => "a\x{e9}\"\n\x{1f600}" }, 'the message';

done_testing;
