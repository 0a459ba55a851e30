# A machine that speaks OpenClaw's chat completions: the client of the seed
# does not notice.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(sha256_hex);
use JSON::PP;
use OA::Agent;
use OA::Client qw(http_request);
use OA::Events;
use OA::Nginx;
use OA::Token qw(key jwks uuid $ISSUER $USER);

my $json = JSON::PP->new->utf8;

# As OpenClaw's gateway answers.
my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    my $frame = sub {
        my (%o) = @_;
        $c->event('data: ' . JSON::PP->new->utf8->canonical->encode({
            id => 'chatcmpl_1', object => 'chat.completion.chunk',
            created => 1764000000, model => 'openclaw', %o }) . "\n\n");
    };
    my $delta = sub {
        my ($delta, $finish) = @_;
        $frame->(choices => [ { index => 0, delta => $delta,
                                finish_reason => $finish } ]);
    };

    $c->head(headers => [ 'Cache-Control' => 'no-cache' ]);
    $delta->({ role => 'assistant' });
    $c->wait('on');
    $delta->({ content => $_ })
        for "H\xe9", "\x{1f600}\"\\\n</script>\0", "llo", '';
    $c->event('data: {"choices":[{"delta":{"content":"\u2028\ud83d"}}]}'
              . "\n\n");
    $c->event(": a comment\n\n");
    $c->event("data: not JSON\n\n");
    $delta->({ tool_calls => [ { index => 0 } ] });
    $delta->({}, 'stop');
    $frame->(choices => [], usage => { prompt_tokens => 5,
             completion_tokens => 7, total_tokens => 12 });
    $c->event("data: [DONE]\n\n");
    $c->stall;                          # [DONE] is the end, not the close
});

my $key = key('ES256', kid => 'k1');
my $mallory = uuid();

my $ng = OA::Nginx->new(
    files => { 'jwks.json' => jwks($key) }, env => { GATEWAY => 'gateway' },
    http => <<"CONF");
    oa_issuer t {
        jwks_file jwks.json;
        issuer $ISSUER; audience authenticated;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_auth t optional;
        oa_sse_dialect openclaw;
        oa_sse_token env:GATEWAY;
        location /chat { oa_sse_pass @{[ $agent->url ]}/v1/chat/completions; }
    }
CONF

sub post {
    my ($message, $sub, @headers) = @_;
    push @headers, Authorization => 'Bearer ' . $key->token({ sub => $sub })
        if $sub;
    my $s = OA::Events->new($ng->port, '/chat?a=b', method => 'POST',
        body => $json->encode($message),
        headers => [ 'Content-Type' => 'application/json', @headers ]);
    $agent->say('on');
    return $s;
}

my $s = post({ message => "Say \"h\xe9\"", sessionId => 's1', userId => 'x' },
             $USER, Cookie => 'sb=1', 'x-openclaw-agent-id' => 'main',
             'x-openclaw-session-key' => 'other',
             'X-OpenClaw-Message-Channel' => 'x', 'User-Agent' => 'me');
my @events = $s->all;

is $s->status, 200, 'status';
is $s->how_ended, 'complete', 'the end';
my $name = $s->header('OA-Stream');
is_deeply [ map { $_->{id} } @events ],
    [ map { "$name-$_" } 1 .. @events ], 'ids';
is_deeply [ map { $_->{event} } @events ], [ ('message') x @events ], 'names';
is pop(@events)->{data}, '[DONE]', '[DONE], once';
is_deeply [ map { $_->{data} =~ /^\{"text":".*"\}$/s ? () : $_->{data} }
            @events ], [], 'frames of the seed';
is_deeply [ map { $json->decode($_->{data} =~ s/\\ud83d//r)->{text} }
            @events ],
    [ "H\xe9", "\x{1f600}\"\\\n</script>\0", 'llo', "\x{2028}" ], 'texts';
ok $agent->wait_closed(1), 'the connection is closed';

my $usage = 'prompt 5, completion 7, total 12';
ok $ng->wait_log(qr/\[notice\].*"$name": tokens used: $usage/),
    'usage is told';

my ($request) = $agent->requests;
is $request->method, 'POST', 'method';
is $request->path, '/v1/chat/completions?a=b', 'path';
is $request->header('Authorization'), 'Bearer gateway', 'our token';
is $request->header('Content-Type'), 'application/json', 'type';
is $request->header('Accept'), 'text/event-stream', 'Accept';
is $request->header('User-Agent'), 'me', 'User-Agent';
is_deeply [ grep { /openclaw|cookie/i } map { $_->[0] }
            @{ $request->headers } ], [], 'nothing that chooses an agent';

# a person is issuer and sub, of which the agent learns neither
sub person { substr sha256_hex("t\0$_[0]"), 0, 32 }

my $user = person($USER) . ':s1';
is_deeply $json->decode($request->body), {
    model => 'openclaw', stream => JSON::PP::true, user => $user,
    stream_options => { include_usage => JSON::PP::true },
    messages => [ { role => 'user', content => "Say \"h\xe9\"" } ],
}, 'the request';

# By "user" OpenClaw finds the conversation again.
sub told_user {
    post(@_)->all;
    return $json->decode(($agent->requests)[-1]->body)->{user};
}

is told_user({ message => 'again', sessionId => 's1' }, $USER), $user,
    'the same person, the same conversation';
is told_user({ message => 'x', sessionId => 's2' }, $USER),
    person($USER) . ':s2', 'another one';
is told_user({ message => 'x' }, $USER), person($USER), 'none that is named';
is told_user({ message => 'x', sessionId => 's1', user => $USER,
               userId => $USER }, $mallory),
    person($mallory) . ':s1', 'nobody is somebody else';
is told_user({ message => 'x', sessionId => $user }), ":$user",
    'nobody is nobody else either';
is told_user({ message => 'x' }), undef, 'nobody, nowhere';

my $r = http_request($ng->port, '/chat', headers => [
    Accept => 'text/event-stream' ]);
is $r->status, 405, 'there is nothing to GET';
is $r->header('Allow'), 'GET, POST, DELETE', 'Allow';

done_testing;
