# The answer to HEAD has no body to say what must not travel: it is a replay
# only where nothing would have to be taken out.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_request);
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Token qw(key jwks $ISSUER $USER);

my $name = 'sb-abcdefghijklmnopqrst-auth-token';
my $key = key('ES256', kid => 'k1');

my $ng = OA::Nginx->new(
    files => {
        'jwks.json' => jwks($key),
        'routes.json' => routes_file(
            route('alice', user_id => $USER, access => 'owner'),
            route('open')),
    },
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
        oa_auth t;
        oa_auth_token header cookie query protocol;
        oa_router t;
        location /        { oa_replay; }
        location /header  { oa_replay format=header forward_credentials; }
        location = /.oa/session { oa_session user; }
    }
CONF

my $token = $key->token;

sub head {
    my ($host, $path, @headers) = @_;
    my $r = http_request($ng->port, $path, method => 'HEAD',
                         host => "$host.openagents.example",
                         headers => \@headers);
    return join ',', $r->status, $r->header('fly-replay') // '';
}

my $replay = '307,app=oa-open;instance=mopen';

is head('open', '/'), $replay, 'nothing to take out';
is head('open', '/?a=b', Cookie => "a=b; x-code-verifier=x",
        'Sec-WebSocket-Protocol' => 'chat, v2'), $replay,
    'nor of this';

for my $case ([ 'a header',       '', Authorization => "Bearer $token" ],
              [ 'another scheme', '', Authorization => 'Basic x' ],
              [ 'a cookie',       '', Cookie => "$name=$token" ],
              [ 'a chunk',        '', Cookie => "a=b; $name.3=x" ],
              [ 'a session',      '', Cookie => "__Host-user=$token" ],
              [ 'an argument',    "?access_token=$token" ],
              [ 'a protocol',     '',
                'Sec-WebSocket-Protocol' => "bearer, $token" ])
{
    my ($what, $args, @headers) = @$case;
    for my $host ('open', 'alice') {
        next if $what =~ /chunk|scheme/ && $host eq 'alice';
        is head($host, "/$args", @headers), '405,', "$host: $what";
    }
}

is head('alice', '/header', Authorization => "Bearer $token"),
    '307,app=oa-alice;instance=malice', 'where they may travel';
is head('alice', '/'), '401,', 'nobody';

done_testing;
