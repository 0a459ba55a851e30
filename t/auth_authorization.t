# The token in Authorization: which forms of the header have one.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get h2_request);
use OA::Nginx;
use OA::Token qw(key jwks $ISSUER $USER);

my $key = key('ES256', kid => 'k1');
my $token = $key->token;

my $ng = OA::Nginx->new(
    files => { 'jwks.json' => jwks($key) }, http => <<"CONF");
    oa_issuer t {
        jwks_file jwks.json;
        issuer $ISSUER; audience authenticated;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        listen 127.0.0.1:%%PORT_1%% http2;
        add_header X-Told "\$oa_auth_error,\$oa_auth_sub" always;
        location /        { oa_auth t; empty_gif; }
        location /cookie  { oa_auth t; oa_auth_token cookie; empty_gif; }
        location /off     { empty_gif; }
    }
CONF

sub told {
    my ($r) = @_;
    return join ',', $r->status, $r->header('X-Told');
}

sub get {
    my ($path, @values) = @_;
    return told(http_get($ng->port, $path,
                         headers => [ map { (Authorization => $_) }
                                      @values ]));
}

my $good = "200,,$USER";
my $missing = '401,missing,';
my $malformed = '401,malformed,';
my $signature = '401,signature,';

my @cases = (
    "Bearer $token"         => $good,       'as it should be',
    "bearer $token"         => $good,       'the scheme has no case',
    "BEARER $token"         => $good,       'nor this',
    "Bearer   $token"       => $good,       'more white space',
    "Bearer\t$token"        => $good,       'a tab',
    "Bearer $token  "       => $good,       'white space behind',
    'Bearer'                => $malformed,  'nothing but the scheme',
    'Bearer   '             => $malformed,  'and white space',
    "Bearer: $token"        => $missing,    'another scheme: a colon',
    "Bearer$token"          => $missing,    'no white space',
    "Bearer=$token"         => $missing,    'an equals sign',
    "Bearertoken $token"    => $missing,    'a longer scheme',
    "Beare $token"          => $missing,    'a shorter one',
    "Basic $token"          => $missing,    'Basic',
    "Token $token"          => $missing,    'Token',
    "DPoP $token"           => $missing,    'DPoP',
    $token                  => $missing,    'the bare token',
    ''                      => $missing,    'nothing',
    "Bearer $token,"        => $signature,  'a comma behind the signature',
    "Bearer $token, $token" => $malformed,  'two in one',
    "Bearer $token x"       => $signature,  'a word behind it',
    "Bearer \"$token\""     => $malformed,  'quoted',
    "Bearer token=$token"   => $malformed,  'as a parameter',
    "Bearer Bearer $token"  => $malformed,  'twice the scheme',
    "Basic x, Bearer $token" => $missing,   'two schemes in one',
);

while (my ($value, $expected, $what) = splice @cases, 0, 3) {
    is get('/', $value), $expected, $what;
}

is get('/'), $missing, 'no header';
is told(http_get($ng->port, '/', headers => [ 'Proxy-Authorization' =>
                                              "Bearer $token" ])),
    $missing, 'another header';
is told(http_get($ng->port, '/', headers => [ 'authORIZATION' =>
                                              "Bearer $token" ])),
    $good, 'its name has no case';
is get('/cookie', "Bearer $token"), $missing, 'where it is no source';
is get('/off', "Bearer $token"), '200,,', 'where nobody asks';

# several: nginx takes one at most
for my $second ($token, $key->token({ sub => 'x' }), 'x') {
    is +(split /,/, get('/', "Bearer $token", "Bearer $second"))[0], 400,
        'two of them';
}
is +(split /,/, get('/', 'Basic x', "Bearer $token"))[0], 400,
    'two of different schemes';

is told(h2_request($ng->port(1), authority => 'a',
                   headers => [ authorization => "Bearer $token" ])), $good,
    'over HTTP/2';

done_testing;
