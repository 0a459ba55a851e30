# The token among WebSocket subprotocols.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Token qw(key jwks uuid $ISSUER $USER);

my $key = key('ES256', kid => 'k1');

my $ng = OA::Nginx->new(
    files => { 'jwks.json' => jwks($key) }, http => <<"CONF");
    oa_issuer t {
        jwks_file jwks.json;
        issuer $ISSUER; audience authenticated;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_auth t;
        oa_auth_token protocol;
        add_header X-Told "\$oa_auth_error,\$oa_auth_sub" always;
        location / { empty_gif; }
    }
CONF

my @upgrade = (Upgrade => 'websocket', Connection => 'Upgrade',
               'Sec-WebSocket-Version' => '13',
               'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==',
               Origin => 'https://elsewhere.example',
               'Sec-Fetch-Site' => 'cross-site');

sub get {
    my (@lines) = @_;
    my $r = http_get($ng->port, '/', headers => [
        @upgrade, map { ('Sec-WebSocket-Protocol' => $_) } @lines ]);
    return join ',', $r->status, $r->header('X-Told');
}

my $good = "200,,$USER";
my $missing = '401,missing,';
my $malformed = '401,malformed,';

my $token = $key->token;
my $other = $key->token({ sub => uuid() });

my @cases = (
    "bearer, $token"             => $good,      'as it should be',
    "bearer,$token"              => $good,      'without white space',
    " \tbearer ,\t $token \t"    => $good,      'with more',
    "Bearer, $token"             => $good,      'the name has no case',
    "chat, bearer, $token"       => $good,      'behind another',
    "bearer, $token, chat"       => $good,      'before another',
    ",,bearer,,$token,,"         => $good,      'among empty ones',
    "bearer, $token, $other"     => $good,      'what stands behind it is no token',
    "bearer, $other, $token"     => '200,,',    'the first one is',
    $token                       => $missing,   'nothing says that it is one',
    "$token, bearer"             => $malformed, 'the wrong way round',
    'bearer'                     => $malformed, 'alone',
    'bearer, chat'               => $malformed, 'another name behind it',
    "bearer, chat, $token"       => $malformed, 'or between',
    "bearer, $token, bearer, $token" => $malformed, 'twice',
    "bearer $token"              => $missing,   'without a comma',
    "bearer.$token"              => $missing,   'in one',
    'chat'                       => $missing,   'nothing of it',
);

while (my ($value, $expected, $what) = splice @cases, 0, 3) {
    like get($value), qr/^\Q$expected\E/, $what;
}

is get('bearer', $token), $malformed, 'over two lines';
is get("bearer, $token", 'chat'), $malformed, 'and so';
is get(), $missing, 'no header';

done_testing;
