# The tokens of jose, the client library, are taken; and of tokens that were
# tampered with, we take none that jose's jwtVerify refuses.

use strict;
use warnings;

use JSON::PP ();
use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client;
use OA::Nginx;
use OA::Node qw(node_ask);
use OA::Token qw(key jwks claims payload token_raw b64 unb64 $ISSUER $USER);

my @algs = (qw(RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512),
            'EdDSA');
my $secret = 's' x 32;

# one process mints, and judges what Perl signs: see below

my %key = map { $_ => key($_, kid => "perl-$_") } @algs;
my $perl = jwks(values %key);
my @mint = map { { alg => $_, kid => "jose-$_", claims => claims() } } @algs;
push @mint, { alg => 'HS256', secret => $secret, claims => claims() };


# Mutants.  A random number generator of our own makes them the same each time.

my $seed = 20;
sub any { $seed = ($seed * 1103515245 + 12345) % 2147483648;
          return int($seed / 65536) % $_[0] }
sub pick { $_[any(scalar @_)] }

my $alphabet = join '', 'A' .. 'Z', 'a' .. 'z', 0 .. 9, '-', '_';
my @headers = (
    sub { { alg => 'none' } }, sub { { alg => 'None' } },
    sub { { alg => 'HS256' } }, sub { { alg => pick(@algs) } },
    sub { { alg => undef } }, sub { { kid => 'nobody' } },
    sub { { kid => 'perl-' . pick(@algs) } },
    sub { { crit => [ 'x' ], x => 1 } }, sub { { crit => [] } },
    sub { { jwk => key('ES256', kid => 'evil')->jwk } },
);
my @claims = (
    sub { { exp => time - 3600 } }, sub { { exp => undef } },
    sub { { exp => 'soon' } }, sub { { exp => JSON::PP::true } },
    sub { { nbf => time + 3600 } }, sub { { nbf => 'x' } },
    sub { { iss => 'https://x.example' } }, sub { { iss => undef } },
    sub { { aud => 'x' } }, sub { { aud => [] } }, sub { { aud => undef } },
    sub { { aud => [ 'x', 'authenticated' ] } }, sub { { sub => undef } },
    sub { { role => 'x' } }, sub { {} },
);
my @bytes = (
    sub { $_[0] =~ s/.\z//r },
    sub { $_[0] . pick(split //, $alphabet) },
    sub { $_[0] . '=' }, sub { $_[0] . '.' }, sub { ".$_[0]" },
    sub { $_[0] =~ s/\..*\././r }, sub { $_[0] =~ s/[^.]*\z//r },
    sub { my @p = split /\./, $_[0]; "$p[1].$p[0].$p[2]" },
    sub { my @p = split /\./, $_[0]; "$p[0].$p[1]." . b64('x' x 64) },
    sub { my @p = split /\./, $_[0];
          "$p[0].$p[1]." . b64(substr unb64($p[2]), 1) },
    sub { my @p = split /\./, $_[0];
          "$p[0].$p[1]." . b64(unb64($p[2]) . "\0") },
    sub { my ($t) = @_;
          my $at = any(length $t);
          substr($t, $at, 1) = substr $alphabet, any(64), 1
              if substr($t, $at, 1) ne '.';
          $t },
    sub { my ($t) = @_;
          substr($t, any(length $t), 1) = pick('+', '/', '=', '~', '.');
          $t },
);
my @payloads = ('x', '[]', 'null', '{', '{}', '{"exp":1e999}', '"a"', ' ');

my (@mutants, @kinds);
for my $n (0 .. 219) {
    my $alg = $algs[$n % @algs];
    my $key = $key{$alg};
    my $kind = $n % 11;

    my $token = $kind < 4 ? pick(@bytes)->($key->token)
        : $kind < 6 ? $key->token({}, header => pick(@headers)->())
        : $kind < 9 ? $key->token(pick(@claims)->())
        : $kind < 10 ? pick(values %key)->token({}, header => {
                           alg => $alg, kid => "perl-$alg" })
        : $key->token_raw(qq({"alg":"$alg","kid":"perl-$alg"}),
                          pick(@payloads));
    push @mutants, $token;
    push @kinds, qw(bytes bytes bytes bytes header header claims claims claims
                    key payload)[$kind];
}

my $options = { issuer => $ISSUER, audience => 'authenticated',
                algorithms => \@algs, clockTolerance => 30,
                requiredClaims => [ 'exp' ] };
my $set = JSON::PP::decode_json($perl);
my @answers = node_ask('jose.mjs', @mint, map {
    { verify => $_, jwks => $set, options => $options };
} map({ $_->token } @key{@algs}), @mutants);
my $theirs = pop @answers;

my @minted = map { $_->{token} } splice @answers, 0, scalar @mint;
my @honest = splice @answers, 0, scalar @algs;


my $ng = OA::Nginx->new(
    files => { 'jose.json' => JSON::PP::encode_json($theirs),
               'perl.json' => $perl, 'secret' => $secret },
    http => <<"CONF");
    oa_issuer jose {
        jwks_file jose.json; issuer $ISSUER; audience authenticated;
    }
    oa_issuer perl {
        jwks_file perl.json; issuer $ISSUER; audience authenticated;
    }
    oa_issuer secret {
        secret file:secret; issuer $ISSUER; audience authenticated;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        add_header X-Error \$oa_auth_error always;
        add_header X-Sub \$oa_auth_sub always;
        location /jose { oa_auth jose; empty_gif; }
        location /perl { oa_auth perl; empty_gif; }
        location /secret { oa_auth secret; empty_gif; }
    }
CONF

my $client = OA::Client->new($ng->port);

sub told {
    my ($path, $token) = @_;
    my $r = $client->get($path,
                         headers => [ Authorization => "Bearer $token" ]);
    return join ' ', $r->status . ($r->header('X-Error') // ''),
                     $r->header('X-Sub') // ();
}

# what jose mints

is @{ $theirs->{keys} }, @algs, 'a key for each algorithm';
for my $i (0 .. $#algs) {
    is told('/jose', $minted[$i]), "200 $USER", "jose's $algs[$i]";
    is told('/perl', $minted[$i]), '401key', 'is of its keys';
    is $honest[$i]{claims}{sub}, $USER, "our $algs[$i] is taken by jose";
    is told('/perl', $key{ $algs[$i] }->token), "200 $USER", 'and by us';
}
is told('/secret', $minted[-1]), "200 $USER", "jose's HS256";

# and what it refuses.  We may be stricter; each refusal of ours that is not
# jose's is of a kind that is known.

my (@wrong, %seen, %stricter);
for my $i (0 .. $#mutants) {
    my $jose = $answers[$i]{error} // 'ok';
    my $ours = told('/perl', $mutants[$i]);
    my $taken = $ours =~ /^200/ ? 1 : 0;
    $seen{$taken ? 'taken' : 'refused'}++;
    push @wrong, "$i ($kinds[$i]): jose $jose, ours $ours: $mutants[$i]"
        if $taken && $jose ne 'ok';
    $stricter{"$kinds[$i] $ours"}++ if !$taken && $jose eq 'ok';
}

is join("\n", @wrong), '', 'what jose refuses we refuse, ' . @mutants
                           . ' mutants';
cmp_ok $seen{refused}, '>', 150, 'most are refused';
cmp_ok $seen{taken}, '>', 5, 'some are none';
is join(', ', grep { !/^(?:claims 401claim|bytes 401(?:signature|malformed))$/ }
              sort keys %stricter), '',
    'where we are stricter it is by policy, or the form of base64url'
    or diag explain \%stricter;
note explain \%stricter;

done_testing;
