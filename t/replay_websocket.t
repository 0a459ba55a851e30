# A WebSocket's handshake is replayed in plain HTTP: the router upgrades nothing
# itself, whatever the location is for and however the client says it.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use OA::Agent;
use OA::Client qw(http_request);
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Token qw(key jwks $ISSUER $USER);

my $key = key('ES256', kid => 'k1');
my $token = $key->token;

my $ng = OA::Nginx->new(
    files => {
        'jwks.json' => jwks($key),
        'routes.json' => routes_file(
            route('public', app => 'a1', machine => 'm1', access => 'public'),
            route('alice', app => 'a1', machine => 'm1', user_id => $USER,
                  access => 'owner')) },
    http => <<"CONF");
    oa_issuer t {
        jwks_file jwks.json;
        issuer $ISSUER; audience authenticated;
    }
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        client_max_body_size 0;
        oa_router t;
        location / {
            oa_replay;
            oa_replay_large \@direct;
        }
        location /json {
            oa_auth t;
            oa_auth_token protocol;
            oa_replay;
        }
        location \@direct { return 299; }
    }
CONF

my @handshake = (Upgrade => 'websocket', 'Sec-WebSocket-Version' => 13,
                 'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==',
                 Origin => 'http://public.openagents.example');

sub upgrade {
    my ($who, $path, $connection, @headers) = @_;
    return http_request($ng->port, $path, host => "$who.openagents.example",
                        headers => [ Connection => $connection, @handshake,
                                     @headers ]);
}

sub is_plain {
    my ($r, $name) = @_;
    is $r->status, 307, "$name: status";
    is_deeply [ grep { /^(?:upgrade|sec-websocket)/i }
                map { $_->[0] } @{ $r->headers } ], [], "$name: no upgrade";
}

for my $connection ('Upgrade', 'upgrade', 'keep-alive, Upgrade') {
    my $r = upgrade('public', '/socket?a=b', $connection);
    is_plain($r, $connection);
    is $r->header('fly-replay'), 'app=a1;instance=m1',
        "$connection: to the machine";
    is $r->body, '', "$connection: no body";
}

my $r = upgrade('alice', '/json', 'Upgrade', 'Sec-WebSocket-Protocol' =>
                "bearer, $token, chat");
is_plain($r, 'with a token');
my $replay = JSON::PP::decode_json($r->body);
is $replay->{instance}, 'm1', 'with a token: to the machine';
my ($protocol) = map { $_->{value} }
                 grep { lc $_->{name} eq 'sec-websocket-protocol' }
                 @{ $replay->{transform}{set_headers} };
is $protocol, 'bearer, chat', 'with a token: which does not go along';

is upgrade('alice', '/json', 'Upgrade')->status, 401, 'without one';
is upgrade('nobody', '/', 'Upgrade')->status, 404, 'no route';

done_testing;
