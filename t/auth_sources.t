# oa_auth_token: which sources are looked at, and several tokens in them.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Token qw(key jwks uuid $ISSUER $USER);

my $name = 'sb-abcdefghijklmnopqrst-auth-token';
my $key = key('ES256', kid => 'k1');

my $http = <<"CONF";
    oa_issuer t {
        jwks_file jwks.json;
        issuer $ISSUER; audience authenticated;
    }
CONF

my $ng = OA::Nginx->new(
    files => { 'jwks.json' => jwks($key) }, http => $http . <<'CONF');
    oa_auth t;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        add_header X-Told "$oa_auth_error,$oa_auth_sub" always;
        location /default  { empty_gif; }
        location /header   { oa_auth_token header; empty_gif; }
        location /cookie   { oa_auth_token cookie; empty_gif; }
        location /query    { oa_auth_token query; empty_gif; }
        location /protocol { oa_auth_token protocol; empty_gif; }
        location /all {
            oa_auth_token protocol query cookie=my cookie header;
            empty_gif;
            location /all/in { empty_gif; }
            location /all/own { oa_auth_token header; empty_gif; }
        }
        location /queries  { oa_auth_token query query=jwt query=T; empty_gif; }
        location /names    { oa_auth_token cookie=my query=jwt; empty_gif; }
    }
CONF

# A token in one place, or in several.
sub get {
    my ($path, %where) = @_;
    my (@args, @cookies, @headers);

    for (sort keys %where) {
        my $token = $where{$_};
        if (/^query=(.*)/)     { push @args, "$1=$token" }
        elsif (/^cookie=(.*)/) { push @cookies, "$1=$token" }
        elsif ($_ eq 'header') {
            push @headers, Authorization => "Bearer $token";
        } elsif ($_ eq 'protocol') {
            push @headers, 'Sec-WebSocket-Protocol' => "bearer, $token";
        }
    }

    $path .= '?' . join '&', @args                if @args;
    push @headers, Cookie => join '; ', @cookies  if @cookies;

    my $r = http_get($ng->port, $path, headers => \@headers);
    return join ',', $r->status, $r->header('X-Told');
}

my $good = "200,,$USER";
my $missing = '401,missing,';
my $malformed = '401,malformed,';

my $token = $key->token;
my $other = $key->token({ sub => uuid() });
my $bad = $token =~ s/[^.]*$/AAAA/r;

my @places = ('header', "cookie=$name", 'cookie=my', 'query=access_token',
              'query=jwt', 'query=T', 'protocol');
my %reads = (
    '/default'  => [ 'header', "cookie=$name" ],
    '/header'   => [ 'header' ],
    '/cookie'   => [ "cookie=$name" ],
    '/query'    => [ 'query=access_token' ],
    '/protocol' => [ 'protocol' ],
    '/all'      => [ grep { !/jwt|T/ } @places ],
    '/all/in'   => [ grep { !/jwt|T/ } @places ],
    '/all/own'  => [ 'header' ],
    '/queries'  => [ 'query=access_token', 'query=jwt', 'query=T' ],
    '/names'    => [ 'cookie=my', 'query=jwt' ],
);

for my $path (sort keys %reads) {
    my %read = map { $_ => 1 } @{ $reads{$path} };
    for my $place (@places) {
        is get($path, $place => $token), $read{$place} ? $good : $missing,
            "$path: $place";
    }
}

# the same in two places is one token; two are none
my @all = @{ $reads{'/all'} };
for my $i (0 .. $#all) {
    for my $j (0 .. $#all) {
        next if $i == $j;
        my ($a, $b) = @all[$i, $j];
        is get('/all', $a => $token, $b => $other), $malformed,
            "two: $a, $b";
        is get('/all', $a => $token, $b => $bad), $malformed,
            "a good one and a bad one: $a, $b";
        is get('/all', $a => $token, $b => $token), $good,
            "the same: $a, $b" if $i < $j;
    }
}
is get('/all', map { $_ => $token } @all), $good, 'the same everywhere';
is get('/header', header => $token, "cookie=$name" => $other,
       'query=access_token' => $other, protocol => $other), $good,
    'others where nobody looks';
is get('/queries', 'query=access_token' => $token, 'query=jwt' => $other),
    $malformed, 'two arguments';

# what is no token at all does not hide one
is get('/all', header => $token, "cookie=$name" => ''), $good,
    'an empty cookie beside it';
is get('/all', header => $token, 'query=access_token' => ''), $good,
    'an empty argument';
is get('/all', header => $token, "cookie=$name" => 'x'), $malformed,
    'but a broken cookie';
is get('/all', 'query=access_token' => $token, header => ''), $malformed,
    'and an empty header, which was meant to be one';

# the configuration
for my $case ([ 'body',               qr/invalid source "body", expected/ ],
              [ 'Header',             qr/invalid source "Header"/ ],
              [ 'header=X-Token',     qr/invalid source "header=X-Token"/ ],
              [ 'protocol=x',         qr/invalid source "protocol=x"/ ],
              [ 'cookie=',            qr/invalid source "cookie="/ ],
              [ 'query=',             qr/invalid source "query="/ ],
              [ 'query=a&b=c',        qr/invalid source "query=a&b=c"/ ],
              [ '"cookie=a b"',       qr/invalid source "cookie=a b"/ ],
              [ 'cookie; oa_auth_token header', qr/is duplicate/ ],
              [ '', qr/invalid number of arguments/ ],
              [ 'query=' . 'x' x 200, undef ])
{
    my ($value, $expected) = @$case;
    my ($exit, $text) = OA::Nginx->test_config(
        files => { 'jwks.json' => jwks($key) },
        http => $http . "oa_auth t; oa_auth_token $value;");
    if ($expected) {
        is $exit, 1, "$value: refused";
        like $text, $expected, "$value: told";
    } else {
        is $exit, 0, "$value: taken" or diag $text;
    }
}

done_testing;
