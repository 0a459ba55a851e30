# How OpenClaw ends: well, with an error of its own, or not at all.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Client qw(http_request);
use OA::Events;
use OA::Nginx;

my $role = q(data: {"choices":[{"index":0,"delta":{"role":"assistant"}}]});
my $hello = q(data: {"choices":[{"index":0,"delta":{"content":"Hello"}}]});
my $stop = q(data: {"choices":[{"delta":{},"finish_reason":"stop"}]});
my $usage = q(data: {"choices":[],"usage":{"prompt_tokens":1,)
          . q("completion_tokens":2,"total_tokens":3}});
my $error = q(data: {"error":{"message":"no \"credits\"","type":"api_error"}});
my $done = 'data: [DONE]';

my $text = '{"text":"Hello"}';
my $told = '{"error":"no \"credits\"","code":"api_error"}';

sub failed { my ($code, $text) = @_; qr/^\{"error":"$text","code":"$code"\}$/ }
my $truncated = failed('stream_truncated', "The agent's answer broke off\\.");

my @cases = (
    [ 'well', [ $role, $hello, $stop, $usage, $done ], $text, '[DONE]' ],
    [ 'well, with no word', [ $role, $stop, $done ], '[DONE]' ],
    [ 'without [DONE]', [ $role, $hello, $stop ], $text, '[DONE]' ],
    [ 'behind its end', [ $hello, $done, $hello, $error, $done ],
      $text, '[DONE]' ],
    [ 'an error', [ $role, $hello, $error, $done ], $text, $told ],
    [ 'an error alone', [ $error, $done ], $told ],
    [ 'an error is the end', [ $error, $hello, $stop, $done ], $told ],
    [ 'an error without a type', [ 'data: {"error":{"message":"m"}}' ],
      failed('agent_error', 'm') ],
    [ 'an error that is a word', [ 'data: {"error":"m"}' ],
      failed('agent_error', 'm') ],
    [ 'an error that is odd', [ 'data: {"error":{"message":1,"type":"A B"}}' ],
      failed('agent_error', 'the agent failed') ],
    [ 'no error', [ 'data: {"error":null}', $hello, $done ],
      $text, '[DONE]' ],
    [ 'unfinished', [ $role, $hello ], $text, $truncated ],
    [ 'nothing', [], $truncated ],
    [ 'unfinished, with usage', [ $hello, $usage ], $text, $truncated ],
    [ 'broken off in a frame', [ $hello, substr($stop, 0, 40) ],
      $text, $truncated ],
);

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;

    if ($request->path =~ m{^/case/(\d+)$}) {
        $c->head;
        $c->event("$_\n\n") for @{ $cases[$1][1] };
        return $c->end;
    }

    # as its gateway refuses
    my ($status) = $request->path =~ m{^/status/(\d+)$};
    my %body = (
        400 => '{"error":{"message":"Missing user message in `messages`.",'
               . '"type":"invalid_request_error"}}',
        401 => '{"error":{"message":"Unauthorized","type":"unauthorized"}}',
        404 => 'Not Found',
        500 => '{"error":{"message":"internal error","type":"api_error"}}',
    );
    my $body = $body{$status};
    $c->head(status => $status, length => length $body,
             type => $status == 404 ? 'text/plain' : 'application/json');
    $c->event($body);
    $c->end;
});

my $ng = OA::Nginx->new(http => <<"CONF");
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_sse_dialect openclaw;
        location / { oa_sse_pass @{[ $agent->url ]}; }
    }
CONF

my %post = (method => 'POST', body => '{"message":"m"}',
            headers => [ 'Content-Type' => 'application/json' ]);

for my $i (0 .. $#cases) {
    my ($name, undef, @want) = @{ $cases[$i] };
    my $s = OA::Events->new($ng->port, "/case/$i", %post);
    my @got = map { $_->{data} } $s->all;
    is @got, @want, "$name: so many" or diag explain \@got;
    for my $n (0 .. $#want) {
        ref $want[$n] ? like $got[$n], $want[$n], "$name: $n"
                      : is $got[$n], $want[$n], "$name: $n";
    }
    is $s->how_ended, 'complete', "$name: complete";
}

for my $status (400, 401, 404, 500) {
    my $s = OA::Events->new($ng->port, "/status/$status", %post);
    is $s->status, 200, "$status: events";
    my @got = map { $_->{data} } $s->all;
    is @got, 1, "$status: the end";
    like $got[0], failed('machine_status',
        "The agent's machine answered with an error\\."), "$status: why";
    unlike $s->raw, qr/message|Unauthorized/, "$status: not its words";
    ok $ng->wait_log(qr/answered with status $status/), "$status: logged";
}

# Whoever waits for no events learns of it by the status.
sub plain {
    my ($path) = @_;
    my %o = (%post, headers => [ @{ $post{headers} }, Accept => '*/*' ]);
    return http_request($ng->port, $path, %o);
}

my $r = plain('/status/401');
is $r->status, 502, 'a status';
is $r->header('Content-Type'), 'application/problem+json', 'a problem';
like $r->body, qr/"code":"machine_status"/, 'its code';

my ($n) = grep { $cases[$_][0] eq 'an error alone' } 0 .. $#cases;
$r = plain("/case/$n");
is $r->status, 200, 'an error of the agent is an event';
like $r->body, qr/^data: \Q$told\E$/m, 'as it was told';

($n) = grep { $cases[$_][0] eq 'nothing' } 0 .. $#cases;
$r = plain("/case/$n");
is $r->status, 502, 'nothing';
like $r->body, qr/"code":"stream_truncated"/, 'its code';

done_testing;
