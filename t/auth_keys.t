# Which keys of a set are taken: a bad one skips only itself.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client;
use OA::Nginx;
use OA::Token qw(key jwks claims payload token_raw b64 unb64 $ISSUER);
use OA::Util qw(wait_for);

my $good = key('ES256', kid => 'good');
my $rsa = key('RS256', kid => 'rsa');
my %jwk = (ES256 => $good->jwk, RS256 => $rsa->jwk,
           map { $_ => key($_)->jwk } qw(ES384 ES512 EdDSA));

# a number of so many bits, which nobody can sign with
sub number { b64(pack 'B*', '0' x (-$_[0] & 7) . '1' x $_[0]) }

sub bits { ({ %{ $jwk{RS256} }, n => number($_[0]) }) }
sub with {
    my ($alg, %more) = @_;
    my $jwk = { %{ $jwk{$alg} }, %more };
    delete $jwk->{$_} for grep { !defined $jwk->{$_} } keys %$jwk;
    return $jwk;
}

# the first, or last, byte of a part changed
sub bent {
    my ($alg, $part, $at) = @_;
    my $bytes = unb64($jwk{$alg}{$part});
    substr($bytes, $at, 1) ^= "\1";
    return with($alg, $part => b64($bytes));
}

sub cut {
    my ($alg, $part, $n) = @_;
    return with($alg, $part => b64(substr unb64($jwk{$alg}{$part}), $n));
}

sub longer {
    my ($alg, $part, $n) = @_;
    return with($alg, $part => b64("\0" x $n . unb64($jwk{$alg}{$part})));
}

my $p256 = b64(pack 'H*', 'ffffffff00000001' . '0' x 24 . 'f' x 24);
my $zero = b64("\0" x 32);

# name, JWK, whether it is taken
my @cases = (
    [ 'use: sig',             with('ES256'), 1 ],
    [ 'no use',               with('ES256', use => undef), 1 ],
    [ 'no key_ops',           with('ES256', key_ops => undef), 1 ],
    [ 'use: enc',             with('ES256', use => 'enc'), 0 ],
    [ 'use: SIG',             with('ES256', use => 'SIG'), 0 ],
    [ 'use: a list',          with('ES256', use => [ 'sig' ]), 0 ],
    [ 'key_ops: verify',      with('ES256', key_ops => [ 'x', 'verify' ]), 1 ],
    [ 'key_ops: sign',        with('ES256', key_ops => [ 'sign' ]), 0 ],
    [ 'key_ops: encrypt',     with('RS256', key_ops => [ 'encrypt' ]), 0 ],
    [ 'key_ops: none',        with('ES256', key_ops => []), 0 ],
    [ 'key_ops: text',        with('ES256', key_ops => 'verify'), 0 ],
    [ 'alg of another curve', with('ES256', alg => 'ES384'), 0 ],
    [ 'alg of another kty',   with('ES256', alg => 'RS256'), 0 ],
    [ 'alg HS256 for RSA',    with('RS256', alg => 'HS256'), 0 ],
    [ 'alg none',             with('RS256', alg => 'none'), 0 ],
    [ 'alg of encryption',    with('RS256', alg => 'RSA-OAEP'), 0 ],
    [ 'kty of another',       with('ES256', kty => 'RSA'), 0 ],
    [ 'kty in lower case',    with('ES256', kty => 'ec'), 0 ],
    [ 'kty oct',              key('HS256')->jwk, 0 ],
    [ 'crv of another',       with('ES256', crv => 'P-384'), 0 ],
    [ 'crv unknown',          with('ES256', crv => 'secp256k1'), 0 ],
    [ 'crv of the kty OKP',   with('EdDSA', crv => 'X25519'), 0 ],
    [ 'ES256K',               key('ES256K')->jwk, 0 ],
    [ 'private',              with('ES256', d => $zero), 0 ],

    [ 'RSA 1024 bits',        key('RS256', bits => 1024)->jwk, 0 ],
    [ 'RSA 2047 bits',        bits(2047), 0 ],
    [ 'RSA 2048 bits',        bits(2048), 1 ],
    [ 'RSA 3072 bits',        bits(3072), 1 ],
    [ 'RSA 4096 bits',        bits(4096), 1 ],
    [ 'RSA 8192 bits',        bits(8192), 1 ],
    [ 'RSA 8193 bits',        bits(8193), 0 ],
    [ 'RSA 16384 bits',       bits(16384), 0 ],
    [ 'RSA n is even',
      with('RS256', n => b64(unb64(number(2047)) . "\xfe")), 0 ],
    [ 'RSA with zeros before 1024 bits',
      with('RS256', n => b64("\0" x 128 . unb64(number(1024)))), 0 ],
    [ 'e 3',                  with('RS256', e => b64("\3")), 1 ],
    [ 'e 1',                  with('RS256', e => b64("\1")), 0 ],
    [ 'e 0',                  with('RS256', e => b64("\0")), 0 ],
    [ 'e 2',                  with('RS256', e => b64("\2")), 0 ],
    [ 'e 65536',              with('RS256', e => b64("\1\0\0")), 0 ],
    [ 'e missing',            with('RS256', e => undef), 0 ],
    [ 'e empty',              with('RS256', e => ''), 0 ],
    [ 'e a number',           with('RS256', e => 65537), 0 ],
    [ 'e of 72 bits',         with('RS256', e => number(72)), 0 ],
    [ 'n missing',            with('RS256', n => undef), 0 ],
    [ 'n in base64',          with('RS256', n => $jwk{RS256}{n} . '=='), 0 ],

    map({
        my $alg = $_;
        [ "$alg: point not on its curve, y", bent($alg, 'y', -1), 0 ],
        [ "$alg: point not on its curve, x", bent($alg, 'x', -1), 0 ],
        map({ my $part = $_;
              [ "$alg: $part is cut", cut($alg, $part, 1), 0 ],
              [ "$alg: $part is longer", longer($alg, $part, 1), 0 ],
              [ "$alg: $part is missing", with($alg, $part => undef), 0 ],
              [ "$alg: $part is empty", with($alg, $part => ''), 0 ] }
            qw(x y)),
    } qw(ES256 ES384 ES512)),
    [ 'ES256: x and y are 0', with('ES256', x => $zero, y => $zero), 0 ],
    [ 'ES256: y is the prime', with('ES256', y => $p256), 0 ],
    [ 'ES256: x and y over it',
      with('ES256', map { $_ => b64("\xff" x 32) } qw(x y)), 0 ],
    [ 'EdDSA: x is cut',      cut('EdDSA', 'x', 1), 0 ],
    [ 'EdDSA: x is longer',   longer('EdDSA', 'x', 1), 0 ],
    [ 'EdDSA: x is missing',  with('EdDSA', x => undef), 0 ],

    [ 'kid is a number',      with('ES256', kid => 7), 0, '7' ],
    [ 'kid is too long',      with('ES256', kid => 'k' x 257), 0, 'k' x 256 ],
    [ 'no object',            '"x"', 0 ],
    [ 'null',                 'null', 0 ],
    [ 'empty',                '{}', 0 ],
    [ 'a list',               '[]', 0 ],
);

# Sets hold 64 keys: every other half has the good keys at its end.
my (@sets, %where);
for my $n (0 .. $#cases) {
    my ($name, $jwk, $taken, $kid) = @{ $cases[$n] };
    $jwk = { %$jwk, kid => "c$n" } if ref $jwk and !defined $kid;
    $where{$n} = int $n / 40;
    push @{ $sets[$where{$n}] }, $jwk;
}

my @numbers = 0 .. $#sets;
my @good = ($good, $rsa, map { key($_) } qw(ES384 ES512 EdDSA));
push @{ $sets[$_] }, @good for grep { $_ % 2 } @numbers;
unshift @{ $sets[$_] }, @good for grep { !($_ % 2) } @numbers;

my $issuers = join "\n", map {
    "oa_issuer i$_ { jwks_file $_.json; issuer $ISSUER;
                     audience authenticated; }"
} @numbers;
my $locations = join '', map {
    "location /i$_ { oa_auth i$_; empty_gif; }\n"
} @numbers;

my $ng = OA::Nginx->new(
    files => { map { ("$_.json" => jwks(@{ $sets[$_] })) } @numbers },
    http => <<"CONF");
    $issuers
    server {
        listen 127.0.0.1:%%PORT_0%%;
        add_header X-Error \$oa_auth_error always;
        $locations
    }
CONF

my $client = OA::Client->new($ng->port);

sub told {
    my ($set, $token) = @_;
    my $r = $client->get("/i$set",
                         headers => [ Authorization => "Bearer $token" ]);
    return $r->status . ($r->header('X-Error') // '');
}

# Nothing was signed with these; who gets as far as a signature has a key.

for my $n (0 .. $#cases) {
    my ($name, $jwk, $taken, $kid) = @{ $cases[$n] };
    my $alg = ref $jwk && $jwk->{crv} || '';
    $alg = { 'P-384' => 'ES384', 'P-521' => 'ES512', Ed25519 => 'EdDSA' }
           ->{$alg} // ($alg ? 'ES256' : 'RS256');
    my %told;

    for my $alg ($taken ? $alg : ($alg, 'ES256', 'RS256')) {
        my $size = { ES384 => 96, ES512 => 132, EdDSA => 64, RS256 => 256,
                     ES256 => 64 }->{$alg};
        my $token = token_raw(
            qq({"alg":"$alg","kid":"@{[ $kid // "c$n" ]}"}),
            payload(claims()), "\1" x $size);
        $told{ told($where{$n}, $token) } = 1;
    }
    is join(' ', keys %told), $taken ? '401signature' : '401key',
        "$name: " . ($taken ? 'taken' : 'skipped');
}

for my $set (@numbers) {
    is told($set, $_->token), '200', "the good keys beside: " . $_->alg
        for @good;
}

# e is used, and a key with a small one, too

my $e3 = key('RS256', kid => 'e3', e => 3);
$ng->write_file('0.json', jwks($e3, $good));
wait_for { told(0, $e3->token) eq '200' };
is told(0, $e3->token), '200', 'RS256 with e = 3';

done_testing;
