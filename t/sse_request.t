# What reaches the machine, byte for byte: a request of ours, of which a client
# decides only what is listed.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA qw(hmac_sha256);
use MIME::Base64 qw(encode_base64url);

use OA::Agent;
use OA::Events;
use OA::Nginx;
use OA::Routes qw(route routes_file);

my $agent = OA::Agent->new(sub {
    my ($c) = @_;
    $c->head;
    $c->event("data: [DONE]\n\n");
    $c->end;
});
my $address = "127.0.0.1:" . $agent->port;

my $listen = OA::Nginx->version < 1.025001
    ? 'listen 127.0.0.1:%%PORT_1%% http2;'
    : 'listen 127.0.0.1:%%PORT_1%%; http2 on;';

my $ng = OA::Nginx->new(
    env   => { KEY => 'key' },
    files => { 'routes.json' => routes_file(
        route('alice', route_id => 'r1', access => 'public')) },
    http  => <<"CONF");
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    oa_machine_key env:KEY;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        $listen
        oa_router t;
        location /seed  { oa_sse_pass http://$address/api/stream; }
        location /raw   { oa_sse_pass http://$address/api/stream;
                          oa_sse_dialect raw; }
    }
CONF

# What nobody else's header may look like.
my @never = (
    Authorization => 'Bearer mine', Cookie => 'a=b', Cookie => 'c=d',
    'Proxy-Authorization' => 'Basic eDp5', Referer => 'https://x.example/?t',
    Origin => 'https://x.example', 'X-OpenClaw-Agent-Id' => 'other',
    'x-openclaw-session-key' => 's', 'x-openclaw-message-channel' => 'c',
    'X-Forwarded-For' => '127.0.0.1', 'X-Forwarded-Host' => 'evil',
    'X-Forwarded-Proto' => 'http', Forwarded => 'for=127.0.0.1',
    'X-Real-IP' => '127.0.0.1', 'Fly-Client-IP' => '127.0.0.1',
    'fly-force-instance-id' => 'm2', 'fly-prefer-region' => 'fra',
    'X-Request-Id' => 'theirs', 'X-Accel-Redirect' => '/x',
    Accept => 'text/event-stream, */*', 'Accept-Encoding' => 'gzip, br',
    'Cache-Control' => 'max-age=3', TE => 'trailers', Expect => 'x',
    Range => 'bytes=1-', 'If-None-Match' => '"x"', Upgrade => 'h2c',
    'Transfer_Encoding' => 'chunked', 'Idempotency-Key' => 'k',
    'Content-Language' => 'en', 'Content-Encoding' => 'x', DNT => 1,
);
my @passed = (
    'user-agent' => "curl \x{e9}\t(x)", 'ACCEPT-LANGUAGE' => 'de;q=0.5, en',
    TraceParent => '00-abc', tracestate => 'a=b,c=d',
);

sub sent {
    my ($path, %o) = @_;
    my $n = $agent->requests;
    my $s = OA::Events->new($ng->port($o{http2} ? 1 : 0), $path,
        host => 'alice.openagents.example', accept => undef, %o);
    $s->wait_end;
    is $s->status, 200, 'the answer' or diag $s->raw;
    $agent->wait_requests($n + 1);
    my $r = ($agent->requests)[$n];
    is $agent->requests, $n + 1, 'one request';
    my @lines = map { "$$_[0]: $$_[1]" } @{ $r->headers };
    return join "\n", join(' ', $r->method, $r->path, 'HTTP/' . $r->version),
                @lines,
                '', $r->body;
}

my $token = encode_base64url(hmac_sha256('r1', 'key'));
my $id = qr/^X-Request-Id: ([0-9a-f]{32})$/m;

sub expect {
    my ($got, $want, $what) = @_;
    like $got, $id, "$what: our request id";
    $got =~ s/$id/X-Request-Id: ID/;
    is $got, $want, $what;
}

my $always = <<"HEAD";
Host: $address
Accept: text/event-stream
Accept-Encoding: identity
Cache-Control: no-cache
Authorization: Bearer $token
HEAD
my $told = <<"HEAD";
Accept-Language: de;q=0.5, en
User-Agent: curl \x{e9}\t(x)
traceparent: 00-abc
tracestate: a=b,c=d
HEAD
my $body = '{"sessionId":"s","message":"hi","userId":"root"}';

expect(sent('/seed'),
       "GET /api/stream HTTP/1.1\n${always}X-Request-Id: ID\n"
       . "Connection: close\n\n", 'a bare GET');

for my $http2 (0, 1) {
    my $what = $http2 ? 'HTTP/2' : 'HTTP/1.1';
    my @h2 = $http2 ? (http2 => 1) : ();

    # HTTP/2 has no connection-specific headers (RFC 9113, 8.2.2)
    my @headers = (@never, @passed);
    if ($http2) {
        my %not = map { $_ => 1 } qw(Upgrade TE Expect);
        @headers = map { $not{ $headers[$_] } ? () : @headers[$_, $_ + 1] }
                   grep { $_ % 2 == 0 } 0 .. $#headers;
    }

    expect(sent('/seed', @h2, headers => \@headers),
           "GET /api/stream HTTP/1.1\n$always${told}X-Request-Id: ID\n"
           . "Connection: close\n\n", "$what, GET");

    my @post = (@h2, method => 'POST', body => $body,
                headers => [ @headers, 'Content-Type' => 'text/plain; x=y' ]);

    expect(sent('/seed', @post),
           "POST /api/stream HTTP/1.1\n$always${told}X-Request-Id: ID\n"
           . "Content-Type: application/json\nContent-Length: 16\n"
           . "Connection: close\n\n" . '{"message":"hi"}', "$what, seed");

    expect(sent('/raw', @post),
           "POST /api/stream HTTP/1.1\n$always${told}X-Request-Id: ID\n"
           . "Content-Type: text/plain; x=y\nContent-Length: "
           . length($body) . "\nConnection: close\n\n$body", "$what, raw");
}

is +(sent('/seed') =~ $id)[0] eq (sent('/seed') =~ $id)[0], '',
    'each has its id';

# what is there twice is nobody's
unlike sent('/seed', headers => [ @passed[0, 1], 'User-Agent' => 'b' ]),
    qr/user-agent/i, 'two of a kind';

like sent('/seed', headers => [ 'User-Agent' => '' ]),
    qr/^User-Agent: $/m, 'an empty one';

done_testing;
