# A public route needs no token, but a bad one is refused; oa_auth_require
# needs one even there.

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
my $cookie = 'sb-abcdefghijklmnopqrst-auth-token';

my $ng = OA::Nginx->new(
    files => {
        'keys.json'   => jwks($key),
        'routes.json' => routes_file(
            route('open', user_id => $USER, access => 'public'),
            route('off', access => 'public', status => 'disabled'),
            route('alice', user_id => $USER, access => 'owner')),
    },
    http => <<"CONF");
    oa_issuer t {
        jwks_file keys.json; issuer $ISSUER; audience authenticated;
    }
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        oa_auth t;
        oa_login_url https://openagents.example/login;
        add_header X-Sub "<\$oa_auth_sub>" always;

        location / { oa_replay; }
        location /require {
            oa_auth_require aal eq aal2;
            oa_replay;
        }
        location /payment {
            oa_auth_require aal eq aal2 error=402;
            oa_access public;
            oa_replay;
        }
        location /optional {
            oa_auth t optional;
            oa_auth_require aal eq aal2;
            oa_replay;
        }
        location /off { oa_auth off; oa_replay format=header; }
    }
CONF

sub get {
    my ($name, $path, @headers) = @_;
    return http_request($ng->port, $path, headers => \@headers,
                        host => "$name.openagents.example");
}

sub code { $_[0]->status . ($_[0]->body =~ /"code":"(\w+)"/ ? " $1" : '') }

sub bearer { (Authorization => 'Bearer ' . $_[0]) }

my @html = (Accept => 'text/html');
my @one = bearer($key->token);
my @two = bearer($key->token({ aal => 'aal2' }));
my @stranger = bearer($key->token({ sub => uuid(), aal => 'aal2' }));
my @expired = bearer($key->token({ exp => time - 100 }));
my @revived = (Cookie => "$cookie=" . $key->token({ exp => time - 100 }));

# no requirement

is code(get('open', '/')), '307', 'nobody passes';
is get('open', '/')->header('X-Sub'), '<>', 'and is nobody';
is code(get('open', '/', @html)), '307', 'a browser is not sent to log in';
is code(get('open', '/', @one)), '307', 'the owner passes';
is get('open', '/', @one)->header('X-Sub'), "<$USER>", 'and is known';
is code(get('open', '/', @stranger)), '307', 'anybody';
is code(get('open', '/', @revived)), '307', 'an expired cookie is none';
is code(get('off', '/')), '402 disabled', 'the status is told';

my $sig = $key->token =~ s/[^.]+\z//r . 'A' x 86;
my @bad = (
    [ 'none at all', bearer('x') ],
    [ 'expired', @expired ],
    [ 'a bad signature', bearer($sig) ],
    [ 'two different', @one, Cookie => "$cookie=" .
      $key->token({ sub => uuid() }) ],
    [ 'a bad cookie', Cookie => "$cookie=x.y.z" ],
);
for my $case (@bad) {
    my ($what, @headers) = @$case;
    for my $name (qw(open off alice nobody)) {
        my $r = get($name, '/', @headers, @html);
        is $r->status, 401, "$name, a token that is $what: 401";
        like $r->header('WWW-Authenticate'), qr/error="invalid_token"/,
            'by its name';
        like get($name, '/', @headers)->body, qr/"token_invalid"/, 'and code';
    }
}

# a requirement

for my $path (qw(/require /payment)) {
    my $failed = $path eq '/payment' ? 402 : 403;
    is code(get('open', $path)), '401 login_required', "$path: log in";
    is code(get('nobody', $path)), '401 login_required', 'for any name';
    is get('open', $path, @html)->status, 302, 'a browser';
    is get('open', $path, @revived, @html)->status, 302, 'an old cookie';
    is code(get('open', $path, @one)), "$failed insufficient_scope",
        'it fails';
    is code(get('nobody', $path, @one)), "$failed insufficient_scope",
        'for any name';
    is code(get('open', $path, @two)), '307', 'it holds';
    is code(get('open', $path, @expired)), '401 token_invalid', 'a bad one';
}
is code(get('alice', '/require', @two)), '307', 'and the owner passes';
is code(get('alice', '/require', @stranger)), '404 route_not_found',
    'nobody else';
is code(get('alice', '/require')), '401 login_required', 'nor nobody';

is code(get('open', '/optional')), '307', 'optional: nobody passes';
is code(get('open', '/optional', @one)), '403 insufficient_scope',
    'but who comes must have it';
is code(get('open', '/optional', @two)), '307', 'it holds';
is code(get('open', '/optional', @expired)), '401 token_invalid', 'a bad one';
is code(get('alice', '/optional')), '401 login_required',
    'optional opens no route';
is code(get('nobody', '/optional')), '401 login_required', 'of any name';

# no authentication

is code(get('open', '/off')), '307', 'oa_auth off: a public route';
is code(get('open', '/off', @expired)), '307', 'whatever token';
is code(get($_, '/off', @one)), '404 route_not_found', "and no other: $_"
    for qw(alice nobody);

done_testing;
