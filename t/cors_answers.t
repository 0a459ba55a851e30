# Every answer tells whose page may read it, errors and replays too; what an
# upstream says of that is not what the operator said.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_request h2_request);
use OA::Jwks;
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Token qw(key jwks $ISSUER $USER);

my $key = key('ES256', kid => 'k1');
my $away = OA::Jwks->new(keys => [ $key ]);
$away->fault(status => 500);

my $ng = OA::Nginx->new(
    files => {
        'jwks.json' => jwks($key),
        'index.html' => "hello\n",
        'routes.json' => routes_file(
            route('alice', user_id => $USER, access => 'owner'),
            route('off', user_id => $USER, status => 'disabled'),
            route('new', status => 'provisioning', machine => undef),
            route('bob', access => 'owner')),
    },
    http => <<"CONF");
    oa_issuer t {
        jwks_file jwks.json;
        issuer $ISSUER; audience authenticated;
    }
    oa_issuer away {
        jwks_uri @{[ $away->url ]};
        issuer $ISSUER; audience authenticated;
    }
    oa_routes t {
        domain openagents.example;
        source file routes.json;
        users t;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        listen 127.0.0.1:%%PORT_1%% http2;
        oa_cors_origin https://app.example;
        oa_auth t;

        location /        { oa_router t; oa_replay;
                            oa_login_url https://openagents.example/login; }
        location /file    { alias %%DIR%%/; oa_auth off; }
        location /away    { oa_auth away; empty_gif; }
        location /scope   { oa_auth_require a eq b; empty_gif; }
        location /denied  { deny all; empty_gif; }
        location /return  { return 204; }
        location /moved   { return 301 /x; }
        location /page    { error_page 401 403 /page.html; empty_gif; }
        location /named   { error_page 401 = \@named; empty_gif; }
        location \@named   { return 401 "named"; }
        location /redirected { error_page 401 https://elsewhere.example/;
                               empty_gif; }
        location = /page.html { internal; oa_auth off; alias index.html; }
        location /session { oa_session t; }
        location /proxied { oa_auth off; proxy_pass http://127.0.0.1:%%PORT_2%%/; }
        location /intercepted {
            oa_auth off;
            proxy_intercept_errors on;
            error_page 418 /page.html;
            proxy_pass http://127.0.0.1:%%PORT_2%%/418;
        }
        location /gone    { oa_auth off; proxy_pass http://127.0.0.1:%%PORT_3%%/; }
        location /silent  { oa_cors_origin off; oa_auth off;
                            proxy_pass http://127.0.0.1:%%PORT_2%%/; }
    }
    server {
        listen 127.0.0.1:%%PORT_2%%;
        add_header Access-Control-Allow-Origin * always;
        add_header access-control-allow-origin https://evil.example always;
        add_header Access-Control-Allow-Credentials false always;
        add_header Vary Accept-Encoding always;
        location /    { return 200 "upstream"; }
        location /418 { return 418; }
        location /500 { return 500; }
    }
CONF

my $origin = 'https://app.example';
my @bearer = (Authorization => 'Bearer ' . $key->token);
my @bad = (Authorization => 'Bearer x');
my @html = (Accept => 'text/html');

sub get {
    my ($path, $page, %o) = @_;
    return http_request($ng->port, $path,
        method => $o{method} // 'GET',
        host => ($o{host} // 'alice') . '.openagents.example',
        body => $o{body},
        headers => [ defined $page ? (Origin => $page) : (),
                     @{ $o{headers} // [] } ]);
}

my @cases = (
    [ 'a replay',           307, '/', headers => \@bearer ],
    [ 'its HEAD',           405, '/', headers => \@bearer, method => 'HEAD' ],
    [ 'nobody',             401, '/' ],
    [ 'a browser',          302, '/', headers => \@html ],
    [ 'a bad token',        401, '/', headers => \@bad ],
    [ 'a page that tells',  401, '/', headers => [ @bad, @html ] ],
    [ "another's",          404, '/', headers => \@bearer, host => 'bob' ],
    [ 'no machine yet',     503, '/', headers => \@bearer, host => 'new' ],
    [ 'no route',           404, '/', headers => \@bearer, host => 'nobody' ],
    [ 'disabled',           402, '/', headers => \@bearer, host => 'off' ],
    [ 'too large',          413, '/', headers => [ @bearer, 'Content-Length' =>
                                                   99999999 ],
                                 method => 'POST' ],
    [ 'a file',             200, '/file/index.html' ],
    [ 'a part of it',       206, '/file/index.html',
                                 headers => [ Range => 'bytes=1-2' ] ],
    [ 'not modified',       304, '/file/index.html',
                                 headers => [ 'If-None-Match' => '*' ] ],
    [ 'no file',            404, '/file/none' ],
    [ 'no keys',            503, '/away', headers => \@bearer ],
    [ 'a claim',            403, '/scope', headers => \@bearer ],
    [ 'denied',             403, '/denied', headers => \@bearer ],
    [ 'nothing',            204, '/return' ],
    [ 'moved',              301, '/moved' ],
    [ 'an error page',      401, '/page' ],
    [ 'a named one',        401, '/named' ],
    [ 'one elsewhere',      302, '/redirected' ],
    [ 'a session',          405, '/session' ],
    [ 'an upstream',        200, '/proxied' ],
    [ 'its error',          500, '/proxied500' ],
    [ 'an intercepted one', 418, '/intercepted' ],
    [ 'an upstream that is gone', 502, '/gone' ],
);

for my $case (@cases) {
    my ($what, $status, $path, %o) = @$case;
    $path = '/proxied/../proxied/500' if $path eq '/proxied500';

    my $r = get($path, $origin, %o);
    is $r->status, $status, "$what: $status" or diag $r->body;
    is_deeply [ $r->header('Access-Control-Allow-Origin') ], [ $origin ],
        "$what: this page may read it, told once";
    is_deeply [ $r->header('Access-Control-Allow-Credentials') ], [ 'true' ],
        "$what: with credentials";
    ok +(grep { lc eq 'origin' } $r->header('Vary')), "$what: Vary";
    like join(',', $r->header('Access-Control-Expose-Headers')),
        qr/WWW-Authenticate/, "$what: and its headers";

    for my $page (undef, 'https://evil.example', 'null') {
        my $as = $page // 'no page';
        $r = get($path, $page, %o);
        is $r->status, $status, "$what, $as: the same answer";
        is_deeply [ $r->header('Access-Control-Allow-Origin'),
                    $r->header('Access-Control-Allow-Credentials'),
                    $r->header('Access-Control-Expose-Headers') ], [],
            "$what, $as: may not";
        ok +(grep { lc eq 'origin' } $r->header('Vary')), "$what, $as: Vary";
    }
}

my $r = get('/proxied', $origin);
is_deeply [ sort $r->header('Vary') ], [ 'Accept-Encoding', 'Origin' ],
    "an upstream's Vary stays";

$r = get('/silent', $origin);
is_deeply [ sort $r->header('Access-Control-Allow-Origin') ],
    [ '*', 'https://evil.example' ], 'off: an upstream says what it says';

for my $h2 (h2_request($ng->port(1), authority => 'alice.openagents.example',
                       path => '/', headers => [ origin => $origin ]),
            h2_request($ng->port(1), authority => 'a', path => '/proxied',
                       headers => [ origin => $origin ]))
{
    is_deeply [ $h2->header('Access-Control-Allow-Origin') ], [ $origin ],
        'over HTTP/2';
}

# without a module that asks for tokens being in use
my $bare = OA::Nginx->new(http => <<'CONF');
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_cors_origin https://app.example;
        location / { empty_gif; }
    }
CONF
$r = http_request($bare->port, '/', headers => [ Origin => $origin ]);
is $r->header('Access-Control-Allow-Origin'), $origin, 'without oa_auth';
$r = http_request($bare->port, '/', method => 'OPTIONS', headers => [
    Origin => $origin, 'Access-Control-Request-Method' => 'GET' ]);
is $r->status, 204, 'preflights, too';

done_testing;
