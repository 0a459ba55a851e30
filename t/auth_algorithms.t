# Which algorithms are taken, and for which keys.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use Crypt::Mac::HMAC qw(hmac);

use OA::Client;
use OA::Nginx;
use OA::Token qw(key jwks claims payload token_raw b64 unb64 $ISSUER);

my @algs = (qw(RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512),
            'EdDSA');
my %key = map { $_ => key($_) } @algs, 'HS256';
my $rsa = key('RS256', kid => 'any');           # a JWK without alg

my @lists = ([ 'RS256', 'ES256' ], [ 'EdDSA' ], [ 'PS384' ], [ 'RS256' ]);
my $issuers = join "\n", map {
    my $algorithms = $_ ? "algorithms @{ $lists[$_ - 1] };" : '';
    "oa_issuer i$_ { jwks_file keys.json; issuer $ISSUER;
                     audience authenticated; $algorithms }"
} 0 .. @lists;
my $locations = join '', map {
    "location /i$_ { oa_auth i$_; empty_gif; }\n"
} 0 .. @lists;

my $ng = OA::Nginx->new(
    files => {
        'keys.json' => jwks(@key{@algs}, $rsa->jwk(alg => undef),
                            key('HS256', kid => 'oct')),
        'secret' => $key{HS256}->secret, 'secret2' => key('RS256')->pem,
    },
    http => <<"CONF");
    $issuers
    oa_issuer secret {
        secret file:secret; issuer $ISSUER; audience authenticated;
    }
    oa_issuer pem {
        secret file:secret2; issuer $ISSUER; audience authenticated;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        add_header X-Error \$oa_auth_error always;
        $locations
        location /secret { oa_auth secret; empty_gif; }
        location /pem { oa_auth pem; empty_gif; }
    }
CONF

my $client = OA::Client->new($ng->port);

sub told {
    my ($token, $path) = @_;
    my $r = $client->get($path // '/i0',
                         headers => [ Authorization => "Bearer $token" ]);
    return $r->status . ($r->header('X-Error') // '');
}

# each by its own key, and by no other

for my $alg (@algs) {
    is told($key{$alg}->token), '200', "$alg";
    is told($key{$alg}->token({}, header => { kid => undef })),
        $alg =~ /^[RP]S/ ? '401key' : '200',
        "$alg without a kid: only where one key fits";

    for my $other (@algs) {
        next if $other eq $alg;
        is told($key{$alg}->token({}, header => { alg => $other })),
            '401algorithm', "alg $other is not for the key of $alg";
    }
    is told($key{$alg}->token({}, header => { alg => 'HS256' })),
        '401algorithm', "HS256 is not for the key of $alg";
}

# bound to what the key says; a key that says nothing is for its type's

is told($key{RS256}->token({}, alg => 'RS512', header => { alg => 'RS512' })),
    '401algorithm', 'RS512, signed so, by a key for RS256';
is told($key{RS256}->token({}, alg => 'PS256', header => { alg => 'PS256' })),
    '401algorithm', 'PS256, signed so, by a key for RS256';
for my $alg (@algs) {
    my $token = $rsa->token({}, $alg =~ /^[RP]S/ ? (alg => $alg) : (),
                            header => { alg => $alg });
    is told($token), $alg =~ /^[RP]S/ ? '200' : '401algorithm',
        "$alg by an RSA key without alg";
}
is told($rsa->token({}, alg => 'PS256', header => { alg => 'RS256' })),
    '401signature', 'alg RS256, signed with PS256';
is told($rsa->token({}, alg => 'RS256', header => { alg => 'PS256' })),
    '401signature', 'alg PS256, signed with RS256';
is told($rsa->token({}, alg => 'RS512', header => { alg => 'RS256' })),
    '401signature', 'alg RS256, signed with RS512';
is told($key{ES256}->token({}, alg => 'ES512', header => { alg => 'ES256' })),
    '401signature', 'alg ES256, but of a hash of ES512';

# none, in any case

my $none = 'CVE-2026-44699, CVE-2026-34950: alg ';
for my $alg (qw(none None NONE nOnE nonE), '', ' none', 'none ', 'no',
             "none\\u0000") {
    for my $signature ('', 'x', 'x' x 64) {
        my $header = qq({"alg":"$alg","typ":"JWT","kid":"es256"});
        my $got = told(token_raw($header, payload(claims()), $signature));
        like $got, qr/^401(?:algorithm|malformed)$/,
            "$none\"$alg\", a signature of " . length $signature;
        is $got, '401algorithm', '... for its alg'
            if length $signature and $alg !~ /u0000/;
    }
    next if $alg =~ /u0000/;
    is told($key{ES256}->token({}, header => { alg => $alg })),
        '401algorithm', "$none\"$alg\", a good signature";
}
for my $alg ('null', 'true', '256', '["ES256"]', '{"ES256":1}') {
    is told($key{ES256}->token_raw(qq({"alg":$alg,"kid":"es256"}),
                                   payload(claims()))),
        '401malformed', "alg $alg is no string";
}
is told($key{ES256}->token_raw('{"kid":"es256"}', payload(claims()))),
    '401algorithm', 'no alg';

# names are exact, and unknown ones are not guessed

for my $alg (qw(es256 Es256 ES256K HS384 HS512 ES EdDSa Ed25519 RS1 RSA1_5
                dir A128KW), 'ES256 ', "ES256\\n") {
    is told($key{ES256}->token_raw(qq({"alg":"$alg","kid":"es256"}),
                                   payload(claims()))),
        '401algorithm', "alg \"$alg\"";
}
is told(key('ES256K', kid => 'es256')->token), '401algorithm',
    'ES256K, by its key';

# A public key is no secret.

my $confusion = 'CVE-2026-22817, confusion: HS256 keyed with ';
for my $alg (qw(RS256 ES256)) {
    for my $type ($alg eq 'RS256' ? qw(public_x509 public) : 'public') {
        my $signed = b64(
            qq({"alg":"HS256","kid":"\L$alg\E","typ":"JWT"}))
            . '.' . b64(payload(claims()));
        my $pem = $key{$alg}->pem($type);
        for my $secret ($pem, $pem =~ s/\n\z//r, $pem =~ s/-----[^-]*-----//gr)
        {
            my $mac = hmac('SHA256', $secret, $signed);
            is told("$signed." . b64($mac)), '401algorithm',
                $confusion . "$alg, $type";
        }
    }
}
is told(key('HS256', kid => 'oct')->token), '401algorithm',
    'a secret in a set of public keys is none';

# HS256 by a secret alone, whatever kid a token names

is told($key{HS256}->token({}, header => { kid => $_ }), '/secret'), '200',
    'HS256 by the secret, kid ' . ($_ // 'missing')
    for undef, 'hs256', 'other';
is told(key('HS256', kid => 'another')->token, '/secret'), '401signature',
    'HS256 by another secret';
is told(key('HS256', kid => 'null', secret => "\0" x 32)->token, '/secret'),
    '401signature', 'HS256 by zeros';
is told($key{$_}->token, '/secret'), '401algorithm', "$_ where a secret is"
    for @algs;
is told($key{HS256}->token({}, alg => $_, header => { alg => $_ }),
        '/secret'), '401algorithm', "$_ by the secret" for qw(HS384 HS512);
for my $cut (1, 16, 31) {
    my ($input, $mac) = $key{HS256}->token =~ /^(.*)\.(.*)$/;
    is told("$input." . b64(substr unb64($mac), 0,
                                       $cut), '/secret'),
        '401signature', "$cut bytes of a MAC";
}
is told($key{RS256}->token, '/pem'), '401algorithm',
    'RS256 where its public key is a secret';

# lists

for my $n (1 .. @lists) {
    my %in = map { $_ => 1 } @{ $lists[$n - 1] };
    is told($key{$_}->token, "/i$n"), $in{$_} ? '200' : '401algorithm',
        "algorithms @{ $lists[$n - 1] }: $_" for @algs, 'HS256';
}

done_testing;
