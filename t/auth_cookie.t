# The token in the cookies of the real @supabase/ssr, through nginx: whole and
# in chunks, as of now and as older versions wrote it.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use OA::Client qw(http_get h2_request);
use OA::Nginx;
use OA::Node qw(node_ask);
use OA::Token qw(key jwks b64 $ISSUER $USER);

my $url = 'https://abcdefghijklmnopqrst.supabase.co';
my $name = 'sb-abcdefghijklmnopqrst-auth-token';
my $json = JSON::PP->new->utf8->canonical;
my $key = key('ES256', kid => 'k1');

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
        location /       { oa_auth t; empty_gif; }
        location /header { oa_auth t; oa_auth_token header; empty_gif; }
        location /own    { oa_auth t; oa_auth_token cookie=my; empty_gif; }
    }
CONF

sub told {
    my ($r) = @_;
    return join ',', $r->status, $r->header('X-Told') // '';
}

sub get {
    my ($path, @lines) = @_;
    return told(http_get($ng->port, $path,
                         headers => [ map { (Cookie => $_) } @lines ]));
}

my $good = "200,,$USER";
my $missing = '401,missing,';
my $malformed = '401,malformed,';

# As the server words it: the token first.
sub session {
    my ($token, $size) = @_;
    return '{"access_token":"' . $token . '","token_type":"bearer",'
        . '"expires_in":3600,"expires_at":4102444800,'
        . '"refresh_token":"v1r2x3","user":'
        . $json->encode({ id => $USER, user_metadata => {
              name => "\x{fc}\x{20ac}" . 'x' x ($size // 0) } }) . '}';
}

sub percent { $_[0] =~ s/([^\w.~-])/sprintf '%%%02X', ord $1/ger }

my $token = $key->token;
my $session = session($token);
my (@cases, @requests);

for my $client ('server', 'browser') {
    for my $encoding ('base64url', 'raw') {
        for ([ 1, 0 ], [ 2, 2000 ], [ 5, 9000 ]) {
            my ($n, $size) = @$_;
            $size *= 4 / 3 if $encoding eq 'raw';
            push @cases, [ "$client, $encoding", $n ];
            push @requests, '{"write":[' . session($token, $size) . '],'
                . qq("url":"$url","client":"$client",)
                . qq("encoding":"$encoding"});
        }
    }
}

my @written = node_ask('cookies.mjs', @requests);

for my $i (0 .. $#cases) {
    my ($what, $n) = @{ $cases[$i] };
    my $header = $written[$i]{header};
    my @pairs = split /; /, $header;
    is @pairs, $n, "$what: in $n";

    is get('/', $header), $good, "$what, $n: as written";
    is get('/', join '; ', 'a=b', reverse(@pairs), "$name-code-verifier=x"),
        $good, "$what, $n: in any order, among others";
    is get('/header', $header), $missing, "$what, $n: where it is no source";

    next if $n == 1;
    is get('/', join '; ', @pairs[1 .. $#pairs]), $missing,
        "$what, $n: without the first";
    is get('/', join '; ', map { s/^\Q$name\E/$name-code-verifier/r } @pairs),
        $missing, "$what, $n: a verifier's";
}

# written by older versions, and by others
my $base64 = 'base64-' . b64($session);
my @forms = (
    percent($session)                     => 'percent-encoded JSON',
    percent(qq(["$token","r",null,null])) => "auth-helpers' array",
    percent(qq([ "$token" ]))             => 'a short one',
    $base64                               => 'base64url',
    percent($base64)                      => 'both',
    $token                                => 'a bare token',
    'base64-' . b64(qq({"user":{},"access_token":"$token"}))
                                          => 'the token behind others',
);

while (my ($value, $what) = splice @forms, 0, 2) {
    my @parts = unpack '(a600)*', $value;
    is get('/', "$name=$value"), $good, $what;
    is get('/', join '; ', map { "$name.$_=$parts[$_]" } 0 .. $#parts), $good,
        "$what, chunks of another size" if @parts > 1;
    is get('/own', "my=$value"), $good, "$what, by another name";
    is get('/', "$name-code-verifier=$value"), $missing,
        "$what: not that of a verifier";
    is get('/', "x$name=$value; ${name}x=$value; " . uc($name) . "=$value"),
        $missing, "$what: nor of another name";
}

is get('/own', "$name=$base64"), $missing, 'another name, and only that';

# the whole one goes before chunks, but for an empty one
is get('/', "$name=$base64; $name.0=x"), $good, 'the whole one counts';
is get('/', "$name=; $name.0=$base64"), $good, 'unless it is empty';
is get('/', "$name="), $missing, 'an empty one is none';
is get('/', "$name=x"), $malformed, 'something else is no token';
is get('/', "$name=base64-!"), $malformed, 'nor is this';
is get('/', "$name=" . percent('{"refresh_token":"x"}')), $malformed,
    'a session without one';

done_testing;
