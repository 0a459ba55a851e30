# A session is everybody's to begin: on a host with a route, without, and with
# one that is another's; whatever the router says of other locations.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_request);
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Token qw(key jwks uuid $ISSUER $USER);

my $key = key('ES256', kid => 'k1');

my $ng = OA::Nginx->new(
    files => {
        'jwks.json' => jwks($key),
        'routes.json' => routes_file(
            route('alice', user_id => $USER, access => 'owner'),
            route('bob', access => 'owner'),
            route('off', user_id => $USER, status => 'disabled'),
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
        oa_router t;
        oa_auth t;
        oa_auth_require aal eq aal9;
        oa_login_url https://openagents.example/login;

        location / { oa_auth_require off; oa_replay; }
        location = /.oa/session { oa_session t; }
        location = /if { if (\$arg_a) { set \$x 1; } oa_session t; }
        location = /limited { limit_except POST DELETE { deny all; }
                              oa_session t; }
        location = /denied { deny all; oa_session t; }
    }
CONF

my $token = $key->token;

sub post {
    my ($host, %o) = @_;
    return http_request($ng->port, $o{path} // '/.oa/session',
        method => 'POST', host => $host, body => "access_token=$token",
        headers => [ 'Content-Type' => 'application/x-www-form-urlencoded',
                     Accept => 'text/html', @{ $o{headers} // [] } ]);
}

for my $label ('alice', 'bob', 'off', 'open', 'nobody') {
    my $host = "$label.openagents.example";
    my $r = post($host);
    is $r->status, 303, "$label: begins";
    my ($pair) = ($r->header('Set-Cookie') // '') =~ /^([^;]*)/;
    is $pair, "__Host-t=$token", "$label: the cookie";

    is post($host, headers => [ Cookie => $pair ])->status, 303,
        "$label: again";
    is http_request($ng->port, '/.oa/session', method => 'DELETE',
                    host => $host)->status, 204, "$label: ends";
    is http_request($ng->port, '/.oa/session', host => $host)->status, 405,
        "$label: no page";

    $r = http_request($ng->port, '/', host => $host,
                      headers => [ Cookie => $pair ]);
    is $r->status, { alice => 307, open => 307, off => 402 }->{$label} // 404,
        "$label: what the route says then";
}

for my $host ('openagents.example', 'a.b.openagents.example',
              'elsewhere.example')
{
    is post($host)->status, 303, "$host: begins";
}

my $host = 'alice.openagents.example';
is post($host, path => '/if?a=1')->status, 303, 'in an "if"';
is post($host, path => '/limited')->status, 303, 'beside a limit_except';
is http_request($ng->port, '/limited', host => $host)->status, 403,
    'which holds';
is post($host, path => '/denied')->status, 403, "nginx's own access holds";

# what came as a cookie before is not in the way
for my $old ($key->token({ sub => uuid() }), 'junk',
             $key->token({ exp => time - 100 }))
{
    my $r = post($host, headers => [ Cookie => "__Host-t=$old" ]);
    is $r->status, 303, 'over another one';
    like $r->header('Set-Cookie'), qr/^__Host-t=\Q$token\E;/, 'the new one';
}

done_testing;
