# Each module loads with core alone, and in whatever order they are loaded
# behind it, the answers are the same.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_request);
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Token qw(key jwks uuid $ISSUER $USER);

my ($core, $auth, $router) = map { "ngx_oa_${_}_module" }
                             qw(core auth router);
my $key = key('ES256', kid => 'k1');
my %files = (
    'keys.json'   => jwks($key),
    'routes.json' => routes_file(
        route('open', access => 'public'),
        route('off', user_id => $USER, access => 'owner',
              status => 'disabled'),
        route('alice', user_id => $USER, access => 'owner',
              route_id => 'r1')),
);

my $issuer = <<"CONF";
    oa_issuer t {
        jwks_file keys.json; issuer $ISSUER; audience authenticated;
    }
CONF
my $routes = <<'CONF';
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
CONF
my $server = 'server { listen 127.0.0.1:%%PORT_0%%;';

my @who = (
    [],
    [ Accept => 'text/html' ],
    [ Authorization => 'Bearer ' . $key->token ],
    [ Authorization => 'Bearer ' . $key->token({ sub => uuid() }) ],
    [ Authorization => 'Bearer x' ],
    [ Cookie => 'a=b; sb-abcdefghijklmnopqrst-auth-token=' . $key->token ],
    [ Origin => 'https://app.example' ],
);

sub get {
    my ($ng, $name, $path, @headers) = @_;
    return http_request($ng->port, $path, headers => \@headers,
                        host => "$name.openagents.example");
}

# Both, in both orders.

my @answers;
for my $modules ([ $core, $auth, $router ], [ $core, $router, $auth ]) {
    my $ng = OA::Nginx->new(
        modules => $modules, files => \%files,
        http => <<"CONF");
    $issuer
    $routes
    $server
        oa_router t;
        oa_auth t;
        oa_login_url https://openagents.example/login?next=\$oa_return_url;
        oa_cors_origin https://app.example;
        location / { oa_replay; }
        location /any { satisfy any; allow all; oa_replay; }
        location /public { oa_access public; oa_replay; }
        location /require { oa_auth_require aal eq aal2; oa_replay; }
        location /plain { oa_router off; empty_gif; }
        location /free { oa_router off; oa_auth off; empty_gif; }
        location /noauth { oa_auth off; oa_replay; }
        location /.oa/session { oa_session t; }
        location /page { error_page 401 404 \@page; oa_replay; }
        location \@page { return 200 "<\$oa_machine\$oa_auth_sub>"; }
    }
CONF
    my @all;
    for my $path (qw(/ /any /public /require /plain /free /noauth
                     /.oa/session /page))
    {
        for my $name (qw(alice nobody open off)) {
            for my $who (@who) {
                for my $method (qw(GET POST)) {
                    push @all, "$method $path $name @$who: "
                        . http_request($ng->port, $path, method => $method,
                                       headers => $who,
                                       host => "$name.openagents.example")
                          ->common;
                }
            }
        }
    }
    is get($ng, 'alice', '/', @{ $who[2] })->status, 307,
        "@$modules[1, 2]: the owner";
    is get($ng, 'alice', '/', @{ $who[3] })->status, 404, 'another user';
    is get($ng, 'alice', '/')->status, 401, 'nobody';
    is get($ng, 'alice', '/plain')->status, 401, 'without a router';
    push @answers, \@all;
}
is @{ $answers[0] }, @{ $answers[1] }, 'as many answers';
is join("\n", map { "$answers[0][$_]\n$answers[1][$_]" }
              grep { $answers[0][$_] ne $answers[1][$_] }
              0 .. $#{ $answers[0] }), '', 'which are the same';

# auth alone

{
    my $ng = OA::Nginx->new(
        modules => [ $core, $auth ], files => \%files, http => <<"CONF");
    $issuer
    $server
        add_header X-Sub "<\$oa_auth_sub>" always;
        location / { oa_auth t; empty_gif; }
        location /optional { oa_auth t optional; empty_gif; }
        location /off { empty_gif; }
        location /.oa/session { oa_session t; }
    }
CONF
    my @good = @{ $who[2] };
    is get($ng, 'x', '/')->status, 401, 'auth alone: nobody';
    like get($ng, 'x', '/')->body, qr/login_required/, 'is to log in';
    is get($ng, 'x', '/', @good)->status, 200, 'a user';
    is get($ng, 'x', '/', @good)->header('X-Sub'), "<$USER>", 'who is known';
    is get($ng, 'x', '/', @{ $who[4] })->status, 401, 'a bad token';
    is get($ng, 'x', '/', Accept => 'text/html')->status, 401,
        'there is nowhere to be sent';
    is get($ng, 'x', '/optional')->status, 200, 'optional: nobody';
    is get($ng, 'x', '/optional', @{ $who[4] })->status, 401, 'a bad token';
    is get($ng, 'x', '/off', @{ $who[4] })->status, 200, 'off';
    is http_request($ng->port, '/.oa/session', method => 'POST',
                    headers => \@good)->status, 204, 'a session';
}

# router alone

{
    my $ng = OA::Nginx->new(
        modules => [ $core, $router ], files => \%files, http => <<"CONF");
    $routes
    $server
        oa_router t;
        oa_login_url https://openagents.example/login;
        location / { oa_replay; }
        location /users { oa_access authenticated; oa_replay; }
    }
CONF
    for my $who (@who) {
        is get($ng, 'open', '/', @$who)->status, 307,
            'router alone: a public route';
        is get($ng, $_, '/', @$who)->status, 404, "and no other: $_"
            for qw(alice off nobody);
        is get($ng, 'open', '/users', @$who)->status, 404, 'nobody is a user';
    }
}

# core alone, and one that is loaded and not used

{
    my $ng = OA::Nginx->new(modules => [ $core ], http => <<"CONF");
    $server location / { empty_gif; } }
CONF
    is get($ng, 'x', '/')->status, 200, 'core alone';
}
{
    my $ng = OA::Nginx->new(
        modules => [ $core, $router, $auth ], files => \%files,
        http => <<"CONF");
    $issuer
    $routes
    $server
        oa_router t;
        location / { oa_replay; }
        location /off { oa_router off; empty_gif; }
    }
CONF
    is get($ng, 'open', '/')->status, 307, 'an issuer that nobody uses';
    is get($ng, 'alice', '/', @{ $who[2] })->status, 404, 'knows nobody';
    is get($ng, 'alice', '/off')->status, 200, 'and guards nothing';
}

my ($exit, $text) = OA::Nginx->test_config(modules => [ $auth, $core ]);
isnt $exit, 0, 'core must be first';
like $text, qr/undefined symbol/, 'says the loader';

done_testing;
