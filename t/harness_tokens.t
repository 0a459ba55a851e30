# The harness itself: keys, tokens and the server of keys.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use Crypt::PK::ECC;
use Crypt::PK::Ed25519;
use Crypt::PK::RSA;
use JSON::PP qw(decode_json);
use Time::HiRes qw(time);

use OA::Client qw(http_raw);
use OA::Jwks;
use OA::Token qw(key jwks claims payload token_raw uuid b64 unb64 $USER);
use OA::Util qw(wait_for);

my @ALGS = qw(RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA);

# With what the JWK says, and nothing else.
sub verify {
    my ($jwk, $token) = @_;
    my ($signed, $sig) = $token =~ /^(.*)\.(.*)\z/ or return;
    my ($type, $bits) = $jwk->{alg} =~ /^(\w\w)(\d*)/;
    my %jwk = map { $_ => $jwk->{$_} } grep { exists $jwk->{$_} }
              qw(kty n e crv x y);
    my $class = 'Crypt::PK::' . { RSA => 'RSA', EC => 'ECC',
                                  OKP => 'Ed25519' }->{ $jwk->{kty} };
    my $pk = $class->new(\%jwk);

    $sig = unb64($sig);
    return $pk->verify_message($sig, $signed) if $type eq 'Ed';
    return $pk->verify_message_rfc7518($sig, $signed, "SHA$bits")
        if $type eq 'ES';
    return $pk->verify_message($sig, $signed, "SHA$bits",
                               $type eq 'PS' ? ('pss', $bits / 8) : 'v1.5');
}

subtest 'tokens' => sub {
    for my $alg (@ALGS) {
        my $key = key($alg);
        my $set = decode_json(jwks($key));
        my $token = $key->token({ sub => 'a<b', email => undef });

        ok verify($set->{keys}[0], $token), "$alg is good";
        ok !verify($set->{keys}[0], $token =~ s/^e/f/r), "$alg: all counts";

        my ($header, $payload) = map { unb64($_) } split /\./, $token;
        is_deeply decode_json($header),
            { alg => $alg, kid => lc $alg, typ => 'JWT' }, 'header';
        like $payload, qr/"sub":"a\\u003cb"/, 'escaped as by Go';
        ok !exists decode_json($payload)->{email}, 'undef takes out';
    }

    is key('RS256')->jwk->{n}, key('RS256')->jwk->{n}, 'a key is kept';
    is key('PS256', kid => 'a')->jwk->{n}, key('RS256', kid => 'a')->jwk->{n},
        'one kid, one RSA key';
    isnt key('RS256', kid => 'b')->jwk->{n}, key('RS256')->jwk->{n},
        'another kid, another key';
    is length unb64(key('RS256', kid => 'c', bits => 1024)->jwk->{n}), 128,
        'a short key';
    like uuid(), qr/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\z/, 'uuid';
};

subtest 'claims' => sub {
    my $claims = decode_json(payload(claims(iat => 1)));
    is_deeply [ sort keys %$claims ], [ sort qw(
        iss sub aud exp iat email phone app_metadata user_metadata role aal
        amr session_id is_anonymous) ], 'all that Supabase has';
    is $claims->{sub}, $USER, 'sub';
    is $claims->{iat}, 1, 'replaced';
    like payload(claims()), qr/"exp":\d+,/, 'numbers are numbers';
};

subtest 'raw ones' => sub {
    is token_raw('{"alg":"none"}', '{}', ''), 'eyJhbGciOiJub25lIn0.e30.',
        'without a signature';

    my $key = key('ES256');
    my ($header, $payload, $sig) = split /\./, $key->token_raw('{', '}');
    is "$header.$payload", 'ew.fQ', 'any bytes';
    ok verify($key->jwk, "ew.fQ.$sig"), 'signed';
};

my $jwks = OA::Jwks->new(keys => [ key('ES256') ]);

sub fetch { http_raw($jwks->port, "GET /x HTTP/1.1\r\nA-B: c\r\n\r\n", @_) }

subtest 'server of keys' => sub {
    is fetch()->body, jwks(key('ES256')), 'the set';
    is $jwks->count, 1, 'counted';
    is_deeply [ $jwks->requests ],
        [ { method => 'GET', path => '/x', headers => { 'a-b' => 'c' } } ],
        'what was asked';

    $jwks->publish(key('RS256'));
    is fetch()->body, jwks(key('RS256')), 'another set';

    my $c = OA::Client->new($jwks->port);
    is $c->get('/')->status, 200, 'a connection kept';
    $jwks->body("\xff");
    is $c->get('/')->body, "\xff", 'any bytes';
    is $jwks->count, 4, 'counted';
};

subtest 'faults' => sub {
    $jwks->publish(key('ES256'));
    my $good = jwks(key('ES256'));

    $jwks->fault(status => 500);
    is fetch()->status, 500, 'status';
    is fetch()->body, $good, 'with a good body';

    $jwks->fault(status => 302, headers => [ Location => '/y' ]);
    is fetch()->header('location'), '/y', 'header';

    $jwks->fault(type => 'text/html', body => '<p>');
    my $r = fetch();
    is $r->header('content-type') . $r->body, 'text/html<p>', 'a page';

    $jwks->fault(delay => 0.3);
    my $start = time;
    is fetch()->body, $good, 'late';
    cmp_ok time - $start, '>=', 0.3, 'as late as told';

    $jwks->fault(slow => 0.3);
    $start = time;
    is fetch()->body, $good, 'slow';
    cmp_ok time - $start, '>=', 0.3, 'as slow as told';

    $jwks->fault(garbage => "\0\1\r\n\r\n");
    ok !eval { fetch()->status }, 'no HTTP';

    for (qw(hold silent)) {
        $jwks->fault($_ => 1);
        my $n = $jwks->count;
        my $c = OA::Client->new($jwks->port, timeout => 0.2);
        $c->send("GET / HTTP/1.1\r\n\r\n");
        ok $jwks->wait_requests($n + 1), "$_: heard";
        ok !eval { $c->response }, "$_: no answer";
        next if $_ eq 'silent';

        $c = OA::Client->new($jwks->port);
        $c->send("GET / HTTP/1.1\r\n\r\n");
        $jwks->wait_requests($n + 2);
        $jwks->fault();
        is $c->response->status, 200, 'answered when no longer held';
    }

    # as curl sees them
    my $curl = sub { system(qw(curl -s -o /dev/null -m 20), @_,
                            $jwks->url) >> 8 };
    $jwks->fault(truncate => 1);
    is $curl->(), 18, 'truncated';
    $jwks->fault(truncate => 1, chunked => 1);
    is $curl->(), 18, 'truncated in chunks';
    $jwks->fault(chunked => 1);
    is $curl->(), 0, 'chunks';
    $jwks->fault(chunked => 1, slow => 0.1);
    is $curl->(), 0, 'slow chunks';
    $jwks->fault(huge => 1);
    cmp_ok length `curl -s -m 20 @{[ $jwks->url ]} | head -c 3000000`, '==',
        3_000_000, 'no end';
    $jwks->fault(reset => 1);
    is $curl->(), 56, 'reset';

    $jwks->stop;
    is $curl->(), 7, 'refused';
    $jwks->start;
    $jwks->fault();
    is $curl->(), 0, 'back';
};

subtest 'TLS' => sub {
    my $tls = OA::Jwks->new(keys => [ key('ES256') ], tls => 1,
                            names => ['keys.example']);
    my $port = $tls->port;
    my $get = sub {
        my ($server, $name) = @_;
        my $port = $server->port;
        return system(qw(curl -s -o /dev/null -m 20 --cacert),
                      $server->ca_file, '--resolve', "$name:$port:127.0.0.1",
                      $server->url($name)) >> 8;
    };
    is $get->($tls, 'keys.example'), 0, 'a name of it';
    is $get->($tls, 'other.example'), 60, 'not a name of it';
    is $tls->count, 1, 'counted';
    is system("curl -s -o /dev/null @{[ $tls->url ]}") >> 8, 60,
        'an authority that nobody knows';

    my $old = OA::Jwks->new(tls => 1, expired => 1);
    is $get->($old, 'localhost'), 60, 'expired';
};

subtest 'nothing is left' => sub {
    my $pid = $jwks->{pid};
    my $n = $jwks->count;
    my $c = OA::Client->new($jwks->port);
    $jwks->fault(silent => 1);
    $c->send("GET / HTTP/1.1\r\n\r\n");
    $jwks->wait_requests($n + 1) or die;
    undef $jwks;
    ok +(wait_for { !kill 0, -$pid } 5), 'no process of the server';
};

done_testing;
