# The token in an argument.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get h2_request);
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
        listen 127.0.0.1:%%PORT_1%% http2;
        oa_auth t;
        oa_auth_token query;
        add_header X-Told "\$oa_auth_error,\$oa_auth_sub" always;
        location / { empty_gif; }
    }
CONF

sub told { join ',', $_[0]->status, $_[0]->header('X-Told') // '' }

my $good = "200,,$USER";
my $missing = '401,missing,';
my $malformed = '401,malformed,';

my $token = $key->token;
my $other = $key->token({ sub => uuid() });
my $encoded = $token =~ s/\./%2E/gr;
my $all = $token =~ s/(.)/sprintf '%%%02x', ord $1/ger;
$_ = "access_token=$_" for my ($one, $two, $dots, $every, $empty) =
    ($token, $other, $encoded, $all, '');

my @cases = (
    $one                   => $good,       'alone',
    "a=b&$one"             => $good,       'behind another',
    "$one&a=b"             => $good,       'before another',
    "&&$one&&"             => $good,       'among empty ones',
    $dots                  => $good,       'percent-encoded',
    $every                 => $good,       'every byte',
    "access%5Ftoken=$token" => $good,      'the name, too',
    "$one&$one"            => $good,       'twice the same',
    "$one&$two"            => $malformed,  'two',
    "$one&$empty"          => $malformed,  'one is empty',
    "$one&$dots"           => $malformed,  'in two forms',
    "$one%"                => $malformed,  'badly encoded',
    "$one%2"               => $malformed,  'and so',
    "$one+"                => '401,signature,', 'a plus is no white space',
    $empty                 => $missing,    'empty',
    'access_token'         => $missing,    'without a value',
    "ACCESS_TOKEN=$token"  => $missing,    'a name has case',
    "x$one"                => $missing,    'a longer name',
    "access_token2=$token" => $missing,    'and so',
    "access_token[]=$token" => $missing,   'an array',
    "a=b;$one"             => $missing,    'behind a semicolon',
    "a=b%26$one"           => $missing,    'inside another',
    "a=$one"               => $missing,    'as a value',
);

while (my ($args, $expected, $what) = splice @cases, 0, 3) {
    is told(http_get($ng->port, "/?$args")), $expected, $what;
    is told(h2_request($ng->port(1), authority => 'a', path => "/?$args")),
        $expected, "$what, over HTTP/2";
}

is told(http_get($ng->port, "/$one")), $missing, 'in the path';
is told(http_get($ng->port, "/%3F$one")), $missing, 'behind a mark that is none';
is told(http_get($ng->port, "http://localhost/?$one", host => 'x')), $good,
    'of an absolute request line';

done_testing;
