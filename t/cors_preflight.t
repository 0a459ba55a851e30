# Preflights are answered before anybody asks for credentials, which they never
# have, and only for pages that were named.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_request h2_request);
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Token qw(key jwks $ISSUER);

my %files = (
    'jwks.json' => jwks(key('ES256')),
    'htpasswd' => "a:{PLAIN}b\n",
    'routes.json' => routes_file(route('alice', access => 'owner'),
                                 route('off', status => 'disabled')),
);

my $issuer = <<"CONF";
    oa_issuer t {
        jwks_file jwks.json;
        issuer $ISSUER; audience authenticated;
    }
CONF

my $ng = OA::Nginx->new(files => \%files, http => $issuer . <<'CONF');
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    oa_cors_origin https://app.example http://dev.example:3000
                   capacitor://localhost;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        listen 127.0.0.1:%%PORT_1%% http2;
        location /plain     { empty_gif; }
        location /auth      { oa_auth t; empty_gif; }
        location /router    { oa_auth t; oa_router t; oa_replay; }
        location /required  { oa_auth t; oa_auth_require a eq b; empty_gif; }
        location /denied    { deny all; empty_gif; }
        location /basic     { auth_basic x; auth_basic_user_file htpasswd;
                              empty_gif; }
        location /session   { oa_session t; }
        location /proxied   { proxy_pass http://127.0.0.1:%%PORT_2%%; }
        location /off       { oa_cors_origin off; empty_gif; }
        location /own       { oa_cors_origin https://own.example; empty_gif; }
    }
    server {
        listen 127.0.0.1:%%PORT_2%%;
        location / { return 200 "upstream $request_method"; }
    }
CONF

my $origin = 'https://app.example';

sub options {
    my ($path, %o) = @_;
    return http_request($ng->port, $path, method => 'OPTIONS',
        host => $o{host} // 'alice.openagents.example',
        headers => [
            @{ $o{more} // [] },
            defined $o{origin} ? (Origin => $o{origin}) : (),
            defined $o{method} ? ('Access-Control-Request-Method' =>
                                  $o{method}) : (),
            map { ('Access-Control-Request-Headers' => $_) }
                @{ $o{headers} // [] } ]);
}

sub acao { join '|', $_[0]->header('Access-Control-Allow-Origin') }

for my $path (qw(/plain /auth /router /required /denied /basic /session
                 /proxied /own))
{
    my $origin = $path eq '/own' ? 'https://own.example' : $origin;
    for my $host ('alice.openagents.example', 'off.openagents.example',
                  'nobody.openagents.example', 'elsewhere.example')
    {
        my $what = "$path, $host";
        my $r = options($path, host => $host, origin => $origin,
            method => 'POST', headers => [ 'authorization, content-type' ]);

        is $r->status, 204, "$what: answered";
        is acao($r), $origin, "$what: this page may";
        is_deeply [ $r->header('Access-Control-Allow-Credentials') ],
            [ 'true' ], "$what: with credentials";
        is_deeply [ $r->header('Access-Control-Allow-Methods') ],
            [ 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS' ],
            "$what: all methods";
        is_deeply [ $r->header('Access-Control-Allow-Headers') ],
            [ 'authorization, content-type' ], "$what: these headers";
        like $r->header('Access-Control-Max-Age'), qr/^\d+$/,
            "$what: for a while";
        is_deeply [ $r->header('Vary') ], [ 'Origin' ],
            "$what: not for other pages";
        is $r->header('WWW-Authenticate'), undef, "$what: no challenge";
        is $r->header('fly-replay'), undef, "$what: no replay";
        is $r->body, '', "$what: no body";
    }

    # another page is as if nobody had said anything
    for my $other ('https://evil.example', 'null',
                   'https://app.example.evil.example',
                   'https://evilapp.example', 'http://app.example',
                   'https://app.example:8443', 'https://app.example/',
                   'https://APP.example.')
    {
        my $r = options($path, origin => $other, method => 'POST');
        isnt $r->status, 204, "$path: not answered for $other";
        is acao($r), '', "$path: not told to $other";
        is $r->header('Access-Control-Allow-Methods'), undef,
            "$path: no methods for $other";
        is $r->header('Vary'), 'Origin', "$path: no cache gives it to $other";
    }

    my $r = options($path, origin => $origin);
    isnt $r->status, 204, "$path: OPTIONS that asks for nothing is none";
    is acao($r), $origin, "$path: but may be read";
    isnt options($path, method => 'GET')->status, 204,
        "$path: nor one without an origin";
}

for my $case (['/auth', 401], ['/router', 401], ['/denied', 403],
              ['/basic', 401], ['/plain', 405], ['/session', 405])
{
    my ($path, $status) = @$case;
    is options($path, origin => $origin)->status, $status,
        "$path: an ordinary request";
    is options($path, origin => 'https://evil.example', method => 'GET')
           ->status, $status, "$path: that of another page, too";
}
is options('/proxied', origin => $origin)->body, 'upstream OPTIONS',
    'it goes where others go';

for my $listed ('HTTPS://app.example', 'http://dev.example:3000',
                'capacitor://localhost')
{
    my $r = options('/auth', origin => $listed, method => 'GET');
    is $r->status, 204, "$listed: answered";
    is acao($r), $listed, "$listed: as it was asked";
}

# off
my $r = options('/off', origin => $origin, method => 'GET');
is $r->status, 405, 'off: not answered';
is acao($r), '', 'off: nobody may';
is $r->header('Vary'), undef, 'off: no word of it';
$r = options('/own', origin => $origin, method => 'GET');
is acao($r), '', 'an own list replaces the inherited';

# what a page asks for
is options('/auth', origin => $origin, method => 'GET')
       ->header('Access-Control-Allow-Headers'), undef, 'no headers';
is options('/auth', origin => $origin, method => 'GET', headers => [ $_ ])
       ->status, 400, 'no list of names'
    for "a: b", 'a"b', "a\x{e9}", 'a,' x 3000;
is options('/auth', origin => $origin, method => 'GET',
           headers => [ 'a', 'b' ])->status, 400, 'over two lines';
is acao(options('/auth', origin => $origin, method => 'GET',
                more => [ Origin => $origin ])), '', 'two origins';
is options('/auth', origin => $origin, method => 'FOO')->status, 204,
    'whatever the method';

# with a body, and on a connection that goes on
my $c = OA::Client->new($ng->port);
for (1 .. 2) {
    my $r = $c->get('/auth', method => 'OPTIONS', body => 'x' x 1000,
        headers => [ Origin => $origin,
                     'Access-Control-Request-Method' => 'GET' ]);
    is $r->status, 204, 'with a body';
}

$r = h2_request($ng->port(1), authority => 'a', path => '/auth',
    method => 'OPTIONS', headers => [ origin => $origin,
        'access-control-request-method' => 'GET' ]);
is $r->status, 204, 'over HTTP/2';
is acao($r), $origin, 'told there, too';

# the configuration
for my $case ([ '*', qr/invalid origin "\*"/ ],
              [ 'https://app.example/', qr/invalid origin/ ],
              [ 'null', qr/invalid origin/ ],
              [ 'https://a.example; oa_cors_origin https://b.example',
                qr/is duplicate/ ],
              [ 'off https://a.example', qr/invalid origin "off"/ ],
              [ 'off', undef ])
{
    my ($value, $expected) = @$case;
    my ($exit, $text) = OA::Nginx->test_config(files => \%files,
        http => $issuer . "oa_cors_origin $value;");
    is $exit, $expected ? 1 : 0, "$value: checked" or diag $text;
    like $text, $expected, "$value: told" if $expected;
}

done_testing;
