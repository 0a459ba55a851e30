# Several issuers side by side: a token's iss picks one, whose keys alone count.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client;
use OA::Nginx;
use OA::Token qw(key jwks claims payload token_raw $ISSUER $USER);

my %iss = (a => $ISSUER, b => 'https://id.example/', h => 'https://h.example');
my %key = (a => key('ES256', kid => 'k1'), b => key('RS256', kid => 'k1'),
           any => key('EdDSA', kid => 'k1'), h => key('HS256'));
my $twin = key('ES256', kid => 'k2');           # in both sets

my $ng = OA::Nginx->new(
    files => {
        'a.json' => jwks($key{a}, $twin), 'b.json' => jwks($key{b}, $twin),
        'any.json' => jwks($key{any}), 'secret' => $key{h}->secret,
    },
    http => <<"CONF");
    oa_issuer a { jwks_file a.json; issuer $iss{a}; audience authenticated; }
    oa_issuer b { jwks_file b.json; issuer $iss{b}; audience b; }
    oa_issuer h { secret file:secret; issuer $iss{h}; audience h; }
    oa_issuer any { jwks_file any.json; audience authenticated; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        keepalive_requests 100000;
        add_header X-Error \$oa_auth_error always;
        add_header X-User "\$oa_auth_issuer/\$oa_auth_sub" always;
        add_header X-Cache \$oa_auth_cache always;
        location /a { oa_auth a; empty_gif; }
        location /b { oa_auth b; empty_gif; }
        location /ab { oa_auth a b; empty_gif; }
        location /bah { oa_auth b a h; empty_gif; }
        location /abany { oa_auth a any b; empty_gif; }
        location /any { oa_auth any; empty_gif; }
        location /opt { oa_auth b a optional; empty_gif; }
    }
CONF

my $client = OA::Client->new($ng->port);
my $r;

sub told {
    my ($path, $token) = @_;
    $r = $client->get($path, headers => [
        defined $token ? (Authorization => "Bearer $token") : () ]);
    return $r->status . ($r->header('X-Error') // '');
}

sub user { $r->header('X-User') // '' }

my %claims = (a => {}, b => { iss => $iss{b}, aud => 'b' },
              h => { iss => $iss{h}, aud => 'h' },
              any => { iss => 'https://x.example' });
sub by {
    my ($signer, $iss, %o) = @_;
    return $key{$signer}->token($claims{$iss}, %o);
}

# each by its own

my %token = map { $_ => by($_, $_) } keys %claims;

for my $round ('miss', 'hit') {
    for my $path (qw(/ab /bah /abany /opt)) {
        for my $name (sort keys %token) {
            my $there = $path eq '/abany' ? $name ne 'h'
                        : $name eq 'any' ? 0
                        : $name ne 'h' || $path eq '/bah';
            my $why = $path eq '/abany' ? 'algorithm' : 'issuer';
            is told($path, $token{$name}), $there ? '200' : "401$why",
                "$path: a token of $name, $round";
            is user(), $there ? "$name/$USER" : '/',
                'the user is (issuer, sub)';
        }
    }
}

is told('/a', $token{b}), '401algorithm',
    'where one is named only, iss picks nothing: keys first';
is told('/b', $token{a}), '401algorithm', 'and the other way round';

# signed by the other's key

is told('/ab', by('b', 'a')), '401algorithm', 'iss a, signed by b: refused';
is told('/ab', by('a', 'b')), '401algorithm', 'iss b, signed by a: refused';
is told('/bah', by('h', 'a')), '401algorithm', 'iss a, HS256 of h: refused';
is told('/bah', by('h', 'b', header => { kid => 'k1' })), '401algorithm',
    'iss b, HS256 of h: refused';
is told('/bah', by('a', 'h')), '401algorithm', 'iss h, signed by a: refused';
is told('/abany', by('any', 'a')), '401algorithm',
    'iss a, signed by any: refused';
is told('/abany', by('a', 'any')), '401algorithm',
    'another iss, signed by a: refused';
is told('/ab', $twin->token($claims{$_})), '200',
    "a key that both have, iss $_" for qw(a b);
is user(), "b/$USER", 'is that of the iss';
is told('/ab', $twin->token({ %{ $claims{a} }, aud => 'b' })), '401audience',
    'and of its policy';
is told('/ab', $twin->token({ %{ $claims{b} }, role => 'x' })), '200',
    'which is relaxed for one';
is told('/ab', $twin->token({ %{ $claims{a} }, role => 'x' })), '401claim',
    'and strict for the other';

# what picks

is told('/ab', $key{a}->token({ iss => $_->[1] })), '401issuer',
    "iss $_->[0]: none is picked"
    for [ 'missing', undef ], [ 'unknown', 'https://x.example' ],
        [ 'a list', [ $iss{a}, $iss{b} ] ], [ 'null', '' ],
        [ 'a name of ours', 'a' ], [ 'longer', "$iss{a}/" ];
is told('/ab', $key{a}->token_raw('{"alg":"ES256","kid":"k1"}', $_)),
    '401issuer', "payload $_: none is picked"
    for 'x', '[]', qq({"iss":"$iss{a}","iss":"$iss{a}"});
is told('/ab', token_raw('{"alg":"none"}', payload(claims()), 'x')),
    '401algorithm', 'alg none is refused before iss is looked at';
is told('/ab', 'a.b.c'), '401malformed', 'and so is what is no token';
is told('/abany', $key{any}->token({ iss => undef })), '200',
    'one without an issuer takes a token without iss';
is user(), "any/$USER", 'and it is its user';

# a decision of one location is none of another's

is told('/ab', $token{a}), '200', 'a token of a, where a is named';
is $r->header('X-Cache'), 'hit', 'from the cache';
isnt told('/b', $token{a}), '200', 'and not where it is not named';
is told('/a', $token{a}), '200', 'but where it is again';
is $r->header('X-Cache'), 'hit', 'from the cache';
isnt told('/b', $token{any}), '200', 'one of any, in b';

my $posing = by('any', 'a');
is told('/any', $posing), '200', 'iss a, signed by any, where any is alone';
is told('/abany', $posing), '401algorithm', 'and still not where a is named';

# none

is told('/ab'), '401missing', 'no token';
is $r->header('WWW-Authenticate'), 'Bearer realm="a"',
    'the challenge is of the first';
is told('/bah'), '401missing', 'no token, another order';
is $r->header('WWW-Authenticate'), 'Bearer realm="b"',
    'the challenge is of the first';
is told('/opt'), '200missing', 'optional: no token';
is told('/opt', by('a', 'b')), '401algorithm', 'optional: a bad one';

done_testing;
