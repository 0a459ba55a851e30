# An expired token in a cookie is as good as none, since people come back after
# an hour; one that was sent on purpose is refused.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Token qw(key jwks $ISSUER $USER);

my $name = 'sb-abcdefghijklmnopqrst-auth-token';
my $key = key('ES256', kid => 'k1');

my $ng = OA::Nginx->new(
    files => {
        'jwks.json' => jwks($key),
        'routes.json' => routes_file(route('open'),
            route('alice', user_id => $USER, access => 'owner')),
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
        add_header X-Told "\$oa_auth_error,\$oa_auth_sub" always;

        location /            { empty_gif; }
        location /optional    { oa_auth t optional; empty_gif; }
        location /replay {
            oa_router t;
            oa_login_url https://openagents.example/login;
            oa_replay;
        }
    }
CONF

sub get {
    my ($path, $host, @headers) = @_;
    my $r = http_get($ng->port, $path, host => "$host.openagents.example",
                     headers => \@headers);
    return join ',', $r->status, $r->header('X-Told') // '';
}

my $old = $key->token({ iat => time - 3700, exp => time - 100 });
my $new = $key->token;
my @cookie = (Cookie => "$name=$old");
my @html = (Accept => 'text/html');

for my $round ('first', 'again') {
    is get('/', 'a', @cookie), '401,missing,', "a cookie, $round";
    is get('/optional', 'a', @cookie), '200,missing,', "optional, $round";
    is get('/replay', 'open', @cookie), '307,missing,',
        "a public route, $round";
    is get('/replay', 'alice', @cookie), '401,missing,', "an owner's, $round";
    is get('/replay', 'alice', @cookie, @html), '302,missing,',
        "to log in, $round";
    is get('/replay', 'nobody', @cookie, @html), '302,missing,',
        "a name without route, $round";
}

for my $case ([ 'header', '', Authorization => "Bearer $old" ],
              [ 'query', "?access_token=$old" ],
              [ 'protocol', '', 'Sec-WebSocket-Protocol' => "bearer, $old" ])
{
    my ($from, $args, @headers) = @$case;
    my $told = '401,expired,';
    is get("/$args", 'a', @headers), $told, $from;
    is get("/optional$args", 'a', @headers), $told, "$from, optional";
    is get("/replay$args", 'open', @headers), $told, "$from, a public route";
    is get("/replay$args", 'alice', @headers, @html), $told,
        "$from, not to log in";
}

# with another beside
is get('/', 'a', @cookie, Authorization => "Bearer $new"), '401,malformed,',
    'a good one beside it is still another';
is get('/', 'a', @cookie, Authorization => "Bearer $old"), '401,expired,',
    'in a cookie and on purpose';

# only what is expired, and nothing else that is wrong with it
is get('/optional', 'a', Cookie => "$name=" . $old =~ s/\.[^.]*$/.AAAA/r),
    '401,signature,', 'expired, with a bad signature';
is get('/optional', 'a', Cookie => "$name=" . key('ES256', kid => 'k2')
       ->token({ exp => time - 100 })), '401,key,',
    'expired, with an unknown key';
is get('/', 'a', Cookie => "$name=" . $key->token({ exp => time - 10 })),
    "200,,$USER", 'within the leeway';

done_testing;
