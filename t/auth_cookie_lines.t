# Cookies over several lines, as HTTP/2 sends them, and two of one name.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get h2_request);
use OA::Nginx;
use OA::Token qw(key jwks b64 uuid $ISSUER $USER);

my $name = 'sb-abcdefghijklmnopqrst-auth-token';
my $key = key('ES256', kid => 'k1');
my $token = $key->token;
my $other = $key->token({ sub => uuid() });

my $ng = OA::Nginx->new(
    files => { 'jwks.json' => jwks($key) }, http => <<"CONF");
    oa_issuer t {
        jwks_file jwks.json;
        issuer $ISSUER; audience authenticated;
    }
    large_client_header_buffers 4 32k;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        listen 127.0.0.1:%%PORT_1%% http2;
        add_header X-Told "\$oa_auth_error,\$oa_auth_sub" always;
        location / { oa_auth t; empty_gif; }
    }
CONF

sub told {
    my ($r) = @_;
    return join ',', $r->status, $r->header('X-Told') // '';
}

sub by_http1 {
    return told(http_get($ng->port, '/',
                         headers => [ map { (Cookie => $_) } @_ ]));
}

sub by_http2 {
    return told(h2_request($ng->port(1), authority => 'a',
                           headers => [ map { (cookie => $_) } @_ ]));
}

my $good = "200,,$USER";
my $missing = '401,missing,';
my $malformed = '401,malformed,';

my $value = 'base64-' . b64(qq({"access_token":"$token","user":{}}));
my $wrong = 'base64-' . b64(qq({"access_token":"$other","user":{}}));
my @chunks = unpack '(a300)*', $value;
@chunks = map { "$name.$_=$chunks[$_]" } 0 .. $#chunks;

my @cases = (
    'one'                       => $good,      [ "$name=$value" ],
    'chunks in one line'        => $good,      [ join '; ', @chunks ],
    'a line for each chunk'     => $good,      [ @chunks ],
    'in another order'          => $good,      [ reverse @chunks ],
    'among others'              => $good,      [ 'a=b', map { ($_, 'c=d') }
                                                 @chunks ],
    'one is missing'            => $malformed, [ @chunks[0, 2 .. $#chunks] ],
    'the same twice'            => $good,      [ ("$name=$value") x 2 ],
    'twice in one line'         => $good,      [ "$name=$value; $name=$value" ],
    'the same chunks twice'     => $good,      [ (@chunks) x 2 ],
    'two in one line'           => $malformed, [ "$name=$value; $name=$wrong" ],
    'two, the other way round'  => $malformed, [ "$name=$wrong; $name=$value" ],
    'two in two lines'          => $malformed, [ "$name=$value",
                                                 "$name=$wrong" ],
    'a good one and junk'       => $malformed, [ "$name=$value", "$name=x" ],
    'two of one chunk'          => $malformed, [ @chunks, "$name.1=x" ],
    'two of a chunk that does not count'
                                => $good,      [ "$name=$value", "$name.7=x",
                                                 "$name.7=y" ],
    'two of another name'       => $good,      [ 'a=b', 'a=c',
                                                 "$name=$value" ],
    '64 lines'                  => $good,      [ ('a=b') x 63,
                                                 "$name=$value" ],
    'an empty line'             => $good,      [ '', "$name=$value" ],
    'nothing else'              => $missing,   [ '', 'a', '=', ';;' ],
);

while (my ($what, $expected, $lines) = splice @cases, 0, 3) {
    is by_http1(@$lines), $expected, $what;
    is by_http2(@$lines), $expected, "$what, over HTTP/2";
}

# nginx itself joins what HTTP/2 has split
my @many = (('a=b') x 64, "$name=$value");
is by_http1(@many), $malformed, 'more lines than are looked at';
is by_http2(@many), $good, 'as many crumbs over HTTP/2';

done_testing;
