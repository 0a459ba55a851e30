# The signature comes before the claims: what nobody vouches for is not read,
# nor told, nor logged.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client;
use OA::Nginx;
use OA::Token qw(key jwks claims payload token_raw $ISSUER);

my $key = key('ES256', kid => 'k1');
my $other = key('ES256', kid => 'other');
my $rsa = key('RS256', kid => 'k2');

my $ng = OA::Nginx->new(
    files => { 'keys.json' => jwks($key, $rsa) },
    http  => <<"CONF");
    oa_issuer t {
        jwks_file keys.json; issuer $ISSUER; audience authenticated;
        algorithms ES256;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        add_header X-Error \$oa_auth_error always;
        set \$who "\$oa_auth_sub\$oa_auth_role\$oa_auth_issuer";
        add_header X-Seen "<\$who\$oa_auth_sub\$oa_auth_claim_email>" always;
        location / { oa_auth t; oa_auth_require role eq nobody; empty_gif; }
    }
CONF

my $client = OA::Client->new($ng->port);

sub told {
    my ($token) = @_;
    my $r = $client->get('/', headers => [ Authorization => "Bearer $token" ]);
    if ($r->status == 401) {
        is $r->header('X-Seen'), '<>', 'nothing is told of it';
        unlike $r->body . join('', map { "@$_" } @{ $r->headers }),
            qr/mallory|alice/, 'neither in the answer';
    }
    return $r->status . ($r->header('X-Error') // '');
}

# All that could be wrong with the claims, none of it signed.

my $past = time - 3600;
my %wrong = (
    expired       => { exp => $past },
    'not begun'   => { nbf => time + 3600 },
    issuer        => { iss => 'https://mallory.example' },
    audience      => { aud => 'mallory' },
    'kind'        => { role => 'mallory' },
    'everything'  => { exp => $past, iss => 'x', aud => 'x', role => 'x' },
    nothing       => {},
);
for my $name (sort keys %wrong) {
    my $claims = $wrong{$name};
    my $token = $other->token($claims, header => { kid => 'k1' });
    is told($token), '401signature', "$name wrong, and the signature: that";
    is told($other->token($claims)), '401key',
        "$name wrong, and no such key: that";
    is told($rsa->token($claims)), '401algorithm',
        "$name wrong, and the algorithm: that";
    is told($key->token($claims, header => { crit => [ 'x' ] })),
        '401malformed', "$name wrong, and the header: that";
}

# no JSON, by turns signed and not

for my $payload ('x', '[]', '"mallory"', '{"sub":"mallory"', "\0", '1') {
    my $header = '{"alg":"ES256","kid":"k1"}';
    is told(token_raw($header, $payload, 'x' x 64)), '401signature',
        'no JSON object, not signed: signature';
    is told($key->token_raw($header, $payload)), '401payload',
        'a good signature over no JSON object: payload';
}

# the steps in their order, each wrong thing behind the one that is told

my @steps = (
    [ malformed => token_raw('{"alg":"none","crit":["x"],"kid":"x"}', 'x',
                             'x') ],
    [ algorithm => token_raw('{"alg":"none","kid":"x"}', 'x', 'x') ],
    [ algorithm => $rsa->token_raw('{"alg":"RS256","kid":"x"}', 'x') ],
    [ key       => token_raw('{"alg":"ES256","kid":"x"}', 'x', 'x') ],
    [ algorithm => token_raw('{"alg":"ES256","kid":"k2"}', 'x', 'x') ],
    [ signature => token_raw('{"alg":"ES256","kid":"k1"}', 'x', 'x') ],
    [ payload   => $key->token_raw('{"alg":"ES256","kid":"k1"}', 'x') ],
    [ claim     => $key->token({ exp => 'x', iss => 'x' }) ],
    [ expired   => $key->token({ exp => $past, iss => 'x' }) ],
    [ issuer    => $key->token({ iss => 'x', aud => 'x' }) ],
    [ audience  => $key->token({ aud => 'x', sub => 7 }) ],
    [ claim     => $key->token({ sub => 7 }) ],
);
is told($_->[1]), "401$_->[0]", "order: $_->[0]" for @steps;
is told($key->token), '403', 'and conditions at last';

unlike $ng->log, qr/mallory|alice\@/, 'the log has nothing of all this';

done_testing;
