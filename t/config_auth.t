# A wrong oa_issuer, oa_auth, oa_auth_require and so on fails nginx -t, with a
# line that says where, and what was expected.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Nginx;
use OA::Token qw(key jwks $ISSUER);

my %files = (
    'keys.json' => jwks(key('ES256')), 'secret' => 'HUSH' . 's' x 28,
    'short' => 'HUSH' . 's' x 27, 'newline' => 's' x 31 . "\n", 'empty' => '',
    'list.json' => '[]', 'half.json' => '{"keys":[',
);

sub try {
    my ($conf, %o) = @_;
    return OA::Nginx->test_config(
        files => { %files, 'oa.conf' => "\n$conf\n" },
        http => 'include oa.conf;', %o);
}

sub accepted {
    my ($conf, $name) = @_;
    my ($exit, $err) = try($conf);
    is $exit, 0, 'taken: ' . ($name // $conf) or diag $err;
    return $err;
}

sub refused {
    my ($conf, $why, $name, $where) = @_;
    my ($exit, $err) = try($conf);
    is $exit, 1, 'refused: ' . ($name // $conf);
    my ($emerg, @more) = $err =~ /^nginx: (\[emerg\].*)/mg;
    like $emerg // '', $why, '... and why';
    like $emerg // '', $where // qr{ in \S+/oa\.conf:\d+$}, '... and where';
    is @more, 0, '... in one line';
    unlike $err, qr/HUSH/, '... with no secret';
}

my $t = "jwks_file keys.json; issuer $ISSUER; audience authenticated;";
my $issuer = "oa_issuer t { $t }";

sub block { "oa_issuer t { $t $_[0] }" }

sub location {
    my ($directives, $more) = @_;
    return "$issuer " . ($more // '') . ' server { listen 127.0.0.1:%%PORT_0%%;'
           . " location / { $directives } }";
}

sub warned {
    my ($conf, $why, $name) = @_;
    my $err = accepted($conf, $name);
    $why ? like $err, qr/\[warn\].*$why/, '... with a warning'
         : unlike $err, qr/\[warn\]/, '... without a warning';
}

# oa_issuer: its name

accepted("oa_issuer $_ { $t }") for 'a', 'a' x 23, 'b.c-d_e', '"two words"';
refused("oa_issuer $_ { $t }",
        qr/invalid name ".*" of "oa_issuer", expected 1 to 23 characters/)
    for 'a' x 24, '""', 'off', 'optional', q('a"b');
refused("oa_issuer { $t }", qr/invalid number of arguments in "oa_issuer"/);
refused("oa_issuer a b { $t }", qr/invalid number of arguments/);
refused('oa_issuer a;', qr/"oa_issuer" has no opening "\{"/);
refused("$issuer $issuer", qr/duplicate oa_issuer "t"/);
refused('server { ' . $issuer . ' }', qr/"oa_issuer" directive is not allowed/);
accepted(join ' ', map { "oa_issuer i$_ { $t }" } 1 .. 16);
refused(join(' ', map { "oa_issuer i$_ { $t }" } 1 .. 17),
        qr/at most 16 oa_issuer/, 'the 17th');

# parameters

refused(block('jwks file;'), qr/unknown parameter "jwks" of oa_issuer, expected jwks_uri, jwks_file, secret, issuer, audience, algorithms, leeway, refresh, max_stale, accept or cookie/);
refused(block('JWKS_FILE x;'), qr/unknown parameter "JWKS_FILE"/);
refused(block("$_;"), qr/invalid number of arguments in "\w+" of oa_issuer/)
    for qw(accept algorithms leeway cookie), 'leeway 1 2', 'cookie a b',
        'refresh 1s 2s', 'accept anonymous anonymous anonymous anonymous none';
refused(block('leeway 1s; leeway 1s;'), qr/duplicate "leeway" in oa_issuer "t"/);
refused(block("issuer $ISSUER;"), qr/duplicate "issuer" in oa_issuer "t"/);
accepted(block('audience another; audience third fourth;'));
refused("oa_issuer t { $t", qr/unexpected end of file/);

# keys

refused('oa_issuer t { issuer x; audience y; }',
        qr/oa_issuer "t" has no keys: it needs a "jwks_uri", a "jwks_file" or a "secret"/);
refused('oa_issuer t { }', qr/has no keys/);
refused(block('secret file:secret;'), qr/"t" has a "secret" and public keys/);

my $rest = 'issuer x; audience y;';
accepted("oa_issuer t { $rest $_ }") for 'secret file:secret;',
    'jwks_file keys.json;', 'jwks_uri http://127.0.0.1/;',
    'jwks_uri https://192.0.2.1/keys; jwks_file keys.json;';
refused("oa_issuer t { $rest secret file:$_->[0]; }", $_->[1])
    for [ short => qr/holds 31 bytes, a secret for HS256 needs 32/ ],
        [ newline => qr/holds 31 bytes/ ],
        [ empty => qr/./ ], [ gone => qr/No such file/ ];
refused("oa_issuer t { $rest secret $_; }", qr/./)
    for 'HUSHHUSHHUSHHUSHHUSHHUSHHUSHHUSH', '""', 'env:NOTHING_THERE';
refused("oa_issuer t { $rest jwks_file $_->[0]; }", $_->[1])
    for [ 'gone.json' => qr/gone\.json.*No such file/ ],
        [ 'half.json' => qr/half\.json" is no set of keys/ ],
        [ 'list.json' => qr/list\.json" is no set of keys/ ],
        [ 'empty' => qr/empty" is no set of keys/ ],
        [ '""' => qr/empty "jwks_file"/ ];
refused("oa_issuer t { $rest jwks_uri $_->[0]; }", $_->[1])
    for [ 'http://a.example/' => qr/begin with "https:\/\// ],
        [ 'keys.json' => qr/does not begin with "https/ ],
        [ 'https://u:HUSH@a.example' => qr/has a user/ ],
        [ 'https://a.example/' => qr/is a name, .*"resolver"/ ];

# values

refused(block('leeway ' . $_->[0] . ';'), $_->[1])
    for [ '121s', qr/invalid time "121s" in "leeway" of oa_issuer, expected up to 120s/ ],
        [ '3m', qr/invalid time "3m"/ ], [ 'x', qr/invalid time "x"/ ],
        [ '-1', qr/invalid time "-1"/ ], [ '""', qr/invalid time ""/ ],
        [ '1h', qr/invalid time/ ], [ '99999999999999999999', qr/invalid time/ ];
accepted(block("leeway $_;")) for qw(0 1s 120 120s 2m);
refused(block("refresh $_;"), qr/refresh/) for qw(0 0s x 2d), '""';
accepted(block("refresh $_;")) for qw(1s 300 1h);
refused("oa_issuer t { $rest jwks_uri http://127.0.0.1/; refresh 2h; }",
        qr/the "max_stale" of oa_issuer "t" is below its "refresh"/);
refused(block("max_stale $_;"), qr/invalid time "\w+" in "max_stale"/)
    for qw(x 8d);
accepted(block("algorithms $_;"))
    for 'RS256', 'ES256 EdDSA', 'RS256 RS384 RS512 PS256 PS384 PS512 '
                                . 'ES256 ES384 ES512 EdDSA';
refused(block("algorithms $_;"), qr/invalid algorithm "\w*", expected RS256, .* EdDSA or HS256/)
    for qw(none HS384 HS512 ES256K rs256 RS1), '""', 'RS256 x';
refused(block('algorithms HS256;'), qr/"algorithms" of oa_issuer "t" do not fit its keys/);
refused(block('algorithms RS256 HS256;'), qr/do not fit its keys/);
refused("oa_issuer t { $rest secret file:secret; algorithms $_; }",
        qr/do not fit its keys: HS256 goes with a "secret", and only HS256/)
    for qw(RS256), 'HS256 ES256';
accepted("oa_issuer t { $rest secret file:secret; algorithms HS256; }");
accepted(block("accept $_;")) for qw(anonymous none),
    'anonymous service_role third_party no_session';
refused(block("accept $_;"), qr/invalid value "\w*" in "accept" of oa_issuer, expected anonymous, service_role, third_party, no_session, or none alone/)
    for qw(all Anonymous), '""', 'none anonymous', 'anonymous none';
refused(block("cookie $_;"), qr/is not the name of a cookie/)
    for 'a=b', '"a b"', '""', '"a;"', '"a,b"';
accepted(block('cookie sb-x-auth-token;'));
refused('oa_issuer t { jwks_file keys.json; issuer ""; }',
        qr/empty "issuer"/);
refused('oa_issuer t { jwks_file keys.json; audience a ""; }',
        qr/empty "audience"/);

# what is wide open is said

warned($issuer, undef);
warned('oa_issuer t { jwks_file keys.json; issuer x; }',
       'oa_issuer "t" has no "audience"');
warned('oa_issuer t { jwks_file keys.json; audience x; }',
       'oa_issuer "t" has no "issuer"');
warned('oa_issuer t { jwks_file keys.json; }', 'oa_issuer "t" has no "issuer"');

# oa_auth

my $twin = 'oa_issuer u { jwks_file keys.json; issuer u; audience x; }';
my $same = "oa_issuer s { $t }";
accepted(location("oa_auth $_->[0];", $_->[1]))
    for [ 't', '' ], [ 'off', '' ], [ 't optional', '' ], [ 't u', $twin ],
        [ 'u t optional', $twin ];
accepted("$issuer oa_auth t; server { oa_auth off; location / { oa_auth t; } }");
refused(location("oa_auth $_->[0];", $_->[1]), $_->[2])
    for [ 'x', '', qr/unknown oa_issuer "x": an "oa_issuer x \{ \.\.\. \}" must stand before it/ ],
        [ '', '', qr/invalid number of arguments in "oa_auth"/ ],
        [ 'optional', '', qr/unknown oa_issuer "optional"/ ],
        [ 'optional t', '', qr/unknown oa_issuer "optional"/ ],
        [ 't off', '', qr/unknown oa_issuer "off"/ ],
        [ 'off optional', '', qr/unknown oa_issuer "off"/ ],
        [ 't OPTIONAL', '', qr/unknown oa_issuer "OPTIONAL"/ ],
        [ 'T', '', qr/unknown oa_issuer "T"/ ],
        [ 't t', '', qr/have the same "issuer"/ ],
        [ 't s', $same, qr/oa_issuer "t" and "s" have the same "issuer", a token could be either's/ ],
        [ 't; oa_auth t', '', qr/"oa_auth" directive is duplicate/ ],
        [ 'off; oa_auth t', '', qr/"oa_auth" directive is duplicate/ ];
refused("server { oa_auth t; } $issuer", qr/unknown oa_issuer "t".*before it/,
        'the issuer after its use');
refused(location('if ($arg_x) { oa_auth off; }'),
        qr/"oa_auth" directive is not allowed here/);

# oa_auth_token

accepted(location("oa_auth_token $_;"))
    for qw(header cookie cookie=c query query=t protocol),
        'protocol query header cookie cookie=a cookie=b';
refused(location("oa_auth_token $_;"), qr/invalid source "[^"]*", expected "header", "cookie\[=name\]", "query\[=name\]" or "protocol"/)
    for qw(headers Header header=x cookie= query= protocol=x body
           cookie=a=b), '""', '"cookie=a b"', '"cookie=a;b"', 'header x';
refused(location('oa_auth_token;'), qr/invalid number of arguments/);
refused(location('oa_auth_token header; oa_auth_token cookie;'),
        qr/"oa_auth_token" directive is duplicate/);

# origins

for my $name (qw(oa_auth_origin oa_cors_origin)) {
    accepted(location("$name $_;"))
        for qw(https://a.example http://localhost:3000 off),
            'https://a.example https://b.example:8443', 'HTTPS://A.Example';
    refused(location("$name $_;"), qr/invalid origin "\S*", expected one like/)
        for qw(* null a.example https:// https://a.example/
               https://a.example/b https://a.example?
               https://*.example https://u@a.example https://a.example:x), '""',
            'off https://a.example';
    refused(location("$name;"), qr/invalid number of arguments/);
    refused(location("$name off; $name off;"), qr/directive is duplicate/);
}

# oa_auth_require

accepted(location("oa_auth_require $_;"))
    for 'role eq x', 'a.b.c has "x y"', 'aal ne aal1 error=404', 'off',
        'n gt 1', 'n le -1.5e3', 'n ge $arg_x', 'email match ^a$',
        'x in a,b error=401', 'x eq ""';
refused(location("oa_auth_require $_->[0];"), $_->[1])
    for [ '', qr/invalid number of arguments/ ],
        [ 'role', qr/expected "claim op value \[error=code\]" or "off"/ ],
        [ 'role eq', qr/invalid number|expected "claim op value/ ],
        [ 'role eq x error=403 y', qr/invalid number of arguments/ ],
        [ 'role = x', qr/invalid operator "=", expected eq, ne, in, has, match, gt, ge, lt or le/ ],
        [ 'role EQ x', qr/invalid operator "EQ"/ ],
        [ 'role "" x', qr/invalid operator ""/ ],
        [ '"" eq x', qr/invalid claim "", expected names/ ],
        [ 'n gt x', qr/invalid number "x"/ ],
        [ 'n le 01', qr/invalid number "01"/ ],
        [ 'n ge ""', qr/invalid number ""/ ],
        [ 'n lt 1e999', qr/invalid number "1e999"/ ],
        [ 'email match (', qr/./ ],
        [ 'email match "[a"', qr/./ ],
        [ 'role eq x error=200', qr/invalid parameter "error=200", expected "error=" and 401, 402, 403 or 404/ ],
        [ 'role eq x error=500', qr/invalid parameter "error=500"/ ],
        [ 'role eq x error=', qr/invalid parameter "error="/ ],
        [ 'role eq x error=4030', qr/invalid parameter/ ],
        [ 'role eq x 403', qr/invalid parameter "403"/ ],
        [ 'off; oa_auth_require off', qr/duplicate/ ],
        [ 'off; oa_auth_require role eq x', qr/./ ],
        [ 'role eq x; oa_auth_require off', qr/duplicate/ ];

refused(location('oa_auth_require role eq $nothing_there;'),
        qr/unknown "nothing_there" variable/, undef, qr/./);   # nginx's own

# a name may be anything, but what is behind a backslash
accepted(location("oa_auth_require '$_' eq x;"))
    for 'a..b', 'a.', 'a\\\\.b', 'a\\\\\\\\b', 'https://x\\\\.example/claim';
refused(location("oa_auth_require '$_' eq x;"),
        qr/invalid claim ".*", expected names joined by dots/)
    for 'a\\\\b', '\\\\', 'a.b\\\\c';

# oa_auth_claim_set

accepted("$issuer oa_auth_claim_set \$plan app_metadata.plan;");
accepted("$issuer oa_auth_claim_set \$a a; oa_auth_claim_set \$b 'a\\.b.0';");
refused("$issuer oa_auth_claim_set $_->[0];", $_->[1])
    for [ 'plan x', qr/invalid variable name "plan"/ ],
        [ '$ x', qr/invalid variable name "\$"/ ],
        [ '$plan ""', qr/invalid claim ""/ ], [ '$plan', qr/invalid number/ ],
        [ '$plan a b', qr/invalid number/ ],
        [ '$host x', qr/the duplicate "host" variable/ ],
        [ '$plan "a\\\\b"', qr/invalid claim "a\\b"/ ];
refused("$issuer oa_auth_claim_set \$a a; oa_auth_claim_set \$a b;",
        qr/duplicate "a" variable|already/);

# oa_session

accepted("$issuer server { location /s { oa_session t; } }");
accepted("$issuer server { oa_auth t; location /s { oa_session other; } }");
refused("$issuer server { location /s { oa_session other; } }",
        qr/"oa_session other" needs an "oa_auth", or an "oa_issuer other/, undef,
        qr/nginx\.conf:\d+$/);       # known at the end of the block
refused("$issuer server { location /s { oa_session $_->[0]; } }", $_->[1])
    for [ '', qr/invalid number/ ], [ 'a b', qr/invalid number/ ],
        [ '"a b"', qr/is not the name of a cookie/ ],
        [ '""', qr/is not the name of a cookie/ ],
        [ 'a=b', qr/is not the name of a cookie/ ],
        [ 't; oa_session t', qr/duplicate/ ];
refused("$issuer server { oa_session t; }", qr/not allowed here/);

done_testing;
