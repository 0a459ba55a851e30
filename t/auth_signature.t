# The bytes of a token: three segments of canonical base64url, and a signature
# of just the right form.

use strict;
use warnings;

use Digest::SHA qw(sha256);
use Math::BigInt;
use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client;
use OA::Nginx;
use OA::Token qw(key jwks claims payload b64 unb64 $ISSUER);
use OA::Util qw(wait_for);

my %key = map { $_ => key($_) } qw(RS256 PS256 ES256 ES384 ES512 EdDSA);
my $hmac = key('HS256');

my $ng = OA::Nginx->new(
    files => { 'keys.json' => jwks(values %key), 'secret' => $hmac->secret },
    http  => <<"CONF");
    oa_issuer t {
        jwks_file keys.json; issuer $ISSUER; audience authenticated;
    }
    oa_issuer secret {
        secret file:secret; issuer $ISSUER; audience authenticated;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        keepalive_requests 100000;
        add_header X-Error \$oa_auth_error always;
        location / { oa_auth t; empty_gif; }
        location /secret { oa_auth secret; empty_gif; }
    }
CONF

my $client = OA::Client->new($ng->port);

sub told {
    my ($token, $path) = @_;
    my $r = $client->get($path // '/',
                         headers => [ Authorization => "Bearer $token" ]);
    return $r->status . ($r->header('X-Error') // '');
}

my %token = map { $_ => $key{$_}->token } keys %key;
my ($head, $body, $sig) = split /\./, $token{ES256};
my $signed = "$head.$body";
my $raw = unb64($sig);

# segments

is told($_), '401malformed', 'three segments: ' . length . " bytes, $_"
    for 'x', '.', '..', '...', 'a.b', 'a.b.c.d', "$signed.", ".$body.$sig",
        "$head..$sig", $signed, "$signed.$sig.", ".$signed.$sig",
        "$signed.$sig.$sig", "$signed..$sig", "$head.$body.$sig.x.y";

# ES256: 64 bytes, r and s in [1, n-1]

my $n = Math::BigInt->from_hex('ffffffff00000000ffffffffffffffff'
                               . 'bce6faada7179e84f3b9cac2fc632551');
my ($r, $s) = map { Math::BigInt->from_hex(unpack 'H*', $_) }
              unpack 'a32 a32', $raw;

sub bytes {
    my ($number, $size) = @_;
    my $hex = substr $number->as_hex, 2;
    return pack 'H*', '0' x (2 * $size - length $hex) . $hex;
}

sub pair { b64(bytes($_[0], 32) . bytes($_[1], 32)) }
my $zero = Math::BigInt->bzero;
my $one = Math::BigInt->bone;
my $top = Math::BigInt->from_hex('f' x 64);

is pair($r, $s), $sig, 'r and s are what they are';
is told("$signed." . pair($r, $n - $s)), '200',
    'malleability: (r, n-s) is as good';

for my $case ([ 'r = 0', $zero, $s ], [ 's = 0', $r, $zero ],
              [ 'r = s = 0 (CVE-2022-21449)', $zero, $zero ],
              [ 'r = n', $n, $s ], [ 's = n', $r, $n ],
              [ 'r = n, s = n', $n, $n ], [ 'r = n + 1', $n + 1, $s ],
              [ 'r = s = 1', $one, $one ], [ 'r = 1, s = 0', $one, $zero ],
              [ 'r = n - 1', $n - 1, $s ], [ 'all ones', $top, $top ],
              [ 'r and s changed places', $s, $r ],
              [ 's = s + n', $r, $s + $n < 2 ** 256 ? $s + $n : $top ])
{
    my ($name, @pair) = @$case;
    is told("$signed." . pair(@pair)), '401signature', "range: $name";
}

for my $case ([ 63, substr $raw, 0, 63 ], [ 65, "$raw\0" ], [ 1, "\0" ],
              [ '63, from behind', substr $raw, 1 ],
              [ '65, from before', "\0$raw" ],
              [ 128, $raw . $raw ], [ '64 and 32', $raw . substr $raw, 32 ],
              [ '66, each half longer',
                "\0" . substr($raw, 0, 32) . "\0" . substr($raw, 32) ],
              [ '32, r alone', substr $raw, 0, 32 ],
              [ '70, DER', "\x30\x44\x02\x20" . substr($raw, 0, 32)
                           . "\x02\x20" . substr($raw, 32) ],
              [ 4000, "\1" x 4000 ])
{
    my ($length, $bytes) = @$case;
    is told("$signed." . b64($bytes)), '401signature',
        "length: $length bytes";
}
{
    # DER, as a library writes it
    my $der = $key{ES256}{pk}->sign_message($signed, 'SHA256');
    is told("$signed." . b64($der)), '401signature', 'length: a good DER';
}

for my $alg (qw(ES384 ES512 EdDSA RS256 PS256)) {
    my ($input, $sig) = $token{$alg} =~ /^(.*)\.(.*)$/;
    my $raw = unb64($sig);
    my $size = length $raw;
    is told("$input." . b64($_->[1])), '401signature', "$alg: $_->[0]"
        for [ 'one byte less', substr $raw, 0, -1 ],
            [ 'one byte more', "$raw\0" ], [ 'a zero before', "\0$raw" ],
            [ 'the first byte away', substr $raw, 1 ],
            [ 'zeros', "\0" x $size ], [ 'ones', "\xff" x $size ],
            [ 'ES256\'s size', "\1" x 64 ];
}
for my $alg (qw(RS256 PS256)) {
    my ($input, $sig) = $token{$alg} =~ /^(.*)\.(.*)$/;
    my $modulus = unb64($key{$alg}->jwk->{n});
    my $s = Math::BigInt->from_hex(unpack 'H*', unb64($sig));
    my $n = Math::BigInt->from_hex(unpack 'H*', $modulus);
    is told("$input." . b64($modulus)), '401signature', "$alg: s = n";
    my $sum = $s + $n;
    is told("$input." . b64(bytes($sum, length($sum->as_hex) > 514 ? 257
                                                                   : 256))),
        '401signature', "$alg: s + n";
}

# PKCS#1 v1.5: no recover and compare.  Of a key with e = 3, whose cube roots
# are cheap, a forger leaves bytes behind the hash (CVE-2006-4339).
{
    my $e3 = key('RS256', kid => 'e3', e => 3);
    $ng->write_file('keys.json', jwks(values %key, $e3));
    wait_for { told($e3->token) eq '200' };
    is told($e3->token), '200', 'PKCS#1 v1.5: e = 3, a good one';

    my ($input) = $e3->token =~ /^(.*)\./;
    my $info = pack('H*', '3031300d060960864801650304020105000420')
               . sha256($input);
    my $block = "\0\1\xff\xff\xff\xff\xff\xff\xff\xff\0$info";
    my $low = Math::BigInt->from_hex(unpack 'H*',
                  $block . "\0" x (256 - length $block));
    my $root = $low->copy->broot(3)->binc;
    my $cube = bytes($root->copy->bpow(3), 256);
    is substr($cube, 0, length $block), $block, 'the forgery is one';
    is told("$input." . b64(bytes($root, 256))), '401signature',
        'PKCS#1 v1.5: garbage behind the hash is refused';
}

# HS256

{
    my ($input, $sig) = $hmac->token =~ /^(.*)\.(.*)$/;
    my $mac = unb64($sig);
    is told("$input.$sig", '/secret'), '200', 'a MAC';
    is told("$input." . b64($_->[1]), '/secret'), '401signature',
        "a MAC: $_->[0]"
        for [ 'cut', substr $mac, 0, 31 ], [ 'longer', "$mac\0" ],
            [ 'zeros', "\0" x 32 ], [ 'twice', $mac . $mac ];
    is told("$input.", '/secret'), '401malformed', 'a MAC: none';
}

# canonical base64url.  Junk is told by the part it is in: what is signed is
# read behind the signature, so that a change there is a wrong signature.

my %junk = ('=' => 'padding', '==' => 'padding twice', '+' => 'base64, +',
            '/' => 'base64, /', '%3D' => 'percent', '"' => 'a quote',
            '~' => 'a tilde', '%' => 'a percent sign', ',' => 'a comma',
            "\x80" => 'a byte over 127', "\xc3\xa4" => 'UTF-8',
            '=JUNK' => '=JUNK', '-' => 'a character more',
            '_A' => 'two characters more', '___' => 'three more',
            'AAAA' => 'zeros');

for my $junk (sort keys %junk) {
    my $name = "canonical: $junk{$junk}";
    is told("$head$junk.$body.$sig"), '401malformed', "$name in the header";
    is told("$head.$body$junk.$sig"), '401signature', "$name in the payload";
    is told("$head.$body.$sig$junk"), '401signature', "$name in the signature";
    is told("$junk$head.$body.$sig"), '401malformed', "$name at its start";
    my $middle = substr($sig, 0, 40) . $junk . substr($sig, 40);
    is told("$signed.$middle"), '401signature', "$name amid the signature";
}

# white space within is no token at all, or one of more than one part

for my $space (' ', "\t") {
    for my $token ("$head$space.$body.$sig", "$head.$space$body.$sig",
                   "$head.$body.${space}$sig",
                   "$head.$body." . substr($sig, 0, 9) . $space
                   . substr($sig, 9))
    {
        like told($token), qr/^401(?:malformed|signature)$/,
            'canonical: white space';
    }
}

# The last character of a segment holds bits of no byte: they must be zero.

my $alphabet = join '', 'A' .. 'Z', 'a' .. 'z', 0 .. 9, '-', '_';

sub spare {
    my ($text) = @_;
    my $last = index $alphabet, substr $text, -1;
    my $bits = length($text) % 4 == 2 ? 16 : length($text) % 4 == 3 ? 4 : 0;
    return map { substr($text, 0, -1) . substr $alphabet, $last + $_, 1 }
           1 .. $bits - 1;
}

for my $alg (sort keys %key) {
    my ($input, $sig) = $token{$alg} =~ /^(.*)\.(.*)$/;
    my @others = spare($sig);
    is @others, { 2 => 15, 3 => 3, 0 => 0 }->{ length($sig) % 4 },
        "$alg: spare bits of the signature, " . @others . ' ways';
    is unb64($_), unb64($sig), 'the same bytes to others' for $others[-1] // ();
    is join(' ', grep { told("$input.$_") ne '401signature' } @others), '',
        'each is refused';
}
for my $pad (0 .. 2) {
    my $header = qq({"alg":"ES256","kid":"es256"}) . ' ' x $pad;
    my $payload = payload(claims()) . ' ' x $pad;
    my @parts = (b64($header), b64($payload));
    my $sign = sub {
        my $input = "$_[0].$_[1]";
        return "$input." . b64($key{ES256}->sign($input));
    };

    is told($sign->(@parts)), '200', 'spare bits: as they should be';
    is join(' ', grep { told($sign->($_, $parts[1])) ne '401malformed' }
                 spare($parts[0])), '', 'spare bits of the header';
    is join(' ', grep { told($sign->($parts[0], $_)) ne '401malformed' }
                 spare($parts[1])), '', 'of the payload, though signed so';
    is told($sign->($parts[0], "$parts[1]=")), '401malformed',
        'a payload with padding, though signed so';
    is told($sign->("$parts[0]=", $parts[1])), '401malformed', 'a header, too';
    like told($sign->($parts[0], "A$parts[1]")), qr/^401(?:mal|pay)/,
        'a payload of another length, though signed so';
}
is told(substr $token{ES256}, 0, -$_), '401signature', "cut by $_"
    for 1 .. 4, 21;

# every bit of a token counts

my %seen;
for my $at (0 .. length($token{ES256}) - 1) {
    my $other = $token{ES256};
    my $char = substr $other, $at, 1;
    next if $char eq '.';
    substr($other, $at, 1) = substr $alphabet,
        (index($alphabet, $char) ^ 1 << $at % 6), 1;
    $seen{ told($other) }++;
}
ok !$seen{200}, 'one bit changed at any place: refused'
    or diag explain \%seen;

done_testing;
