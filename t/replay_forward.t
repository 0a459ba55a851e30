# The header form cannot take credentials out of a request: where somebody
# authenticates, it must be said aloud that they may travel.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Nginx;
use OA::Routes qw(routes_file);
use OA::Token qw(key jwks $ISSUER);

my %files = (
    'jwks.json' => jwks(key('ES256')), 'routes.json' => routes_file('open'),
);

sub check {
    my ($server, $http) = @_;
    return OA::Nginx->test_config(files => \%files, http => <<"CONF");
    oa_issuer t {
        jwks_file jwks.json;
        issuer $ISSUER; audience authenticated;
    }
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    @{[ $http // '' ]}
    server {
        oa_router t;
        $server
    }
CONF
}

my $refused = qr/"oa_replay format=header" with "oa_auth" hands the user's/;

for my $case (
    [ 'in the location', 1, 'location / { oa_auth t; oa_replay format=header; }' ],
    [ 'behind it', 1, 'location / { oa_replay format=header; oa_auth t; }' ],
    [ 'in the server', 1, 'oa_auth t; location / { oa_replay format=header; }' ],
    [ 'behind the location', 1,
      'location / { oa_replay format=header; } oa_auth t;' ],
    [ 'in http', 1, 'location / { oa_replay format=header; }', 'oa_auth t;' ],
    [ 'optional', 1,
      'oa_auth t optional; location / { oa_replay format=header; }' ],
    [ 'nested', 1,
      'location / { oa_auth t; location /in { oa_replay format=header; } }' ],
    [ 'said aloud', 0,
      'oa_auth t; location / { oa_replay format=header forward_credentials; }' ],
    [ 'off there', 0,
      'oa_auth t; location / { oa_auth off; oa_replay format=header; }' ],
    [ 'elsewhere', 0,
      'location / { oa_replay format=header; } location /a { oa_auth t; }' ],
    [ 'json', 0, 'oa_auth t; location / { oa_replay format=json; }' ],
    [ 'by default', 0, 'oa_auth t; location / { oa_replay; }' ],
    [ 'json never forwards', 2,
      'oa_auth t; location / { oa_replay format=json forward_credentials; }' ],
)
{
    my ($what, $expected, @conf) = @$case;
    my ($exit, $text) = check(@conf);
    is $exit, $expected ? 1 : 0, $what or diag $text;
    like $text, $refused, "$what: told"                if $expected == 1;
    like $text, qr/json never forwards/, "$what: told" if $expected == 2;
}

done_testing;
