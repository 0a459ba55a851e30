# What a signed payload must say: JSON, times, audience.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client;
use OA::Nginx;
use OA::Token qw(key jwks claims payload $ISSUER $USER $SESSION);

my $key = key('ES256');

my %issuer = (
    t => '', leeway => 'leeway 120s;', strict => 'leeway 0;',
    several => 'audience other; audience third fourth;',
);
my $issuers = join "\n", map {
    "oa_issuer $_ { jwks_file keys.json; issuer $ISSUER;
                    audience authenticated; $issuer{$_} }"
} sort keys %issuer;
my $locations = join '', map {
    "location /$_ { oa_auth $_; empty_gif; }\n"
} sort keys %issuer;

my $ng = OA::Nginx->new(
    files => { 'keys.json' => jwks($key) },
    http  => <<"CONF");
    large_client_header_buffers 4 32k;
    $issuers
    server {
        listen 127.0.0.1:%%PORT_0%%;
        keepalive_requests 100000;
        add_header X-Error \$oa_auth_error always;
        $locations
    }
CONF

my $client = OA::Client->new($ng->port);

sub told {
    my ($token, $issuer) = @_;
    my $r = $client->get('/' . ($issuer // 't'),
                         headers => [ Authorization => "Bearer $token" ]);
    return $r->status . ($r->header('X-Error') // '');
}

sub with { my ($claims, $issuer) = @_; told($key->token($claims), $issuer) }

sub raw {
    my ($payload) = @_;
    return told($key->token_raw('{"alg":"ES256","kid":"es256"}', $payload));
}

# A payload with the text of one value replaced, or added.
sub text {
    my ($name, $text) = @_;
    my $json = payload(claims($name => undef));
    return raw($json =~ s/\}\z/,"$name":$text}/r);
}

is with({}), '200', 'a good one';

# JSON

my $json = payload(claims());
my $open = $json =~ s/\}\z//r;

for my $case (
    [ 'duplicate sub',          qq($open,"sub":"$USER"}) ],
    [ 'duplicate exp',          qq({"exp":1,) . substr($json, 1) ],
    [ 'duplicate, escaped',     qq($open,"\\u0073ub":"x"}) ],
    [ 'duplicate, of no claim we know', qq($open,"a":1,"a":1}) ],
    [ 'duplicate within',       qq($open,"a":[{"b":{"c":1,"c":1}}]}) ],
    [ 'duplicate within, first', qq({"a":{"b":1,"b":2},) . substr($json, 1) ],
    [ 'trailing data',          "$json x" ],
    [ 'trailing data, an object', "$json$json" ],
    [ 'trailing data, a brace', "$json}" ],
    [ 'trailing data, a comma', "$json," ],
    [ 'trailing data, NUL',     "$json\0" ],
    [ 'a leading BOM',          "\xef\xbb\xbf$json" ],
    [ 'a trailing comma',       "$open,}" ],
    [ 'a comment',              "$open/**/}" ],
    [ 'depth of 33',            qq($open,"a":) . '[' x 32 . ']' x 32 . '}' ],
    [ 'depth of 1000',          qq($open,"a":) . '[' x 999 . ']' x 999 . '}' ],
    [ 'depth of 200 objects',   qq($open,"a":) . '{"a":' x 199 . '1'
                                . '}' x 200 ],
    [ 'NaN',                    qq($open,"a":NaN}) ],
    [ 'Infinity',               qq($open,"a":-Infinity}) ],
    [ 'a number too large',     qq($open,"a":1e999}) ],
    [ 'an integer too large',   qq($open,"a":9223372036854775808}) ],
    [ 'a number with zeros',    qq($open,"a":01}) ],
    [ 'hexadecimal',            qq($open,"a":0x1}) ],
    [ 'NUL in a string',        qq($open,"a":"\\u0000"}) ],
    [ 'a lone surrogate',       qq($open,"a":"\\ud800"}) ],
    [ 'a control character',    qq($open,"a":"\n"}) ],
    [ 'no UTF-8',               qq($open,"a":"\xff"}) ],
    [ 'an overlong form',       qq($open,"a":"\xc0\xaf"}) ],
    [ 'a name without quotes',  qq($open,a:1}) ],
    [ 'not closed',             $open ],
    [ 'a list',                 "[$json]" ],
    [ 'a string',               '"x"' ],
    [ 'a number',               '1' ],
    [ 'null',                   'null' ],
    [ 'true',                   'true' ],
    [ 'white space',            '  ' ],
    [ 'bytes',                  "\0\1\2\3" ],
    [ 'no JSON',                'x' ])
{
    my ($name, $payload) = @$case;
    is raw($payload), '401payload', "JSON: $name";
}

is raw(qq($open,"a":) . '[' x 31 . ']' x 31 . '}'), '200', 'JSON: depth of 32';
is raw(" \t\r\n$json\r\n "), '200', 'JSON: white space';
is raw('{}'), '401claim', 'JSON: an empty object';
is raw($json =~ s/"sub"/"\\u0073ub"/r), '200', 'JSON: an escaped name';
is raw(qq($open,"a":9223372036854775807,"b":-0.5e-3,"c":"\\ud83d\\ude00"})),
    '200', 'JSON: all that it allows';
is with({ map { ("n$_" => $_) } 1 .. 300 }), '200', 'JSON: many names';

# exp

my $now = time;

for my $exp ('null', '""', '"' . ($now + 3600) . '"', 'true', '[4102444800]',
             '{}', '0', '-1', '-4102444800', '0.0', '-0', '9007199254740992',
             '9007199254740993', '1e16', '1e300', '9223372036854775807')
{
    is text(exp => $exp), '401claim', "exp: $exp";
}
is with({ exp => undef }), '401claim', 'exp: mandatory';
is text(exp => '1e999'), '401payload', 'exp: infinite';
is text(exp => $_), '401expired', "exp: $_, long ago"
    for '1', '0.5', '1e3', '1000000000';
is text(exp => $_), '200', "exp: $_"
    for $now + 3600, $now + 3600 . '.5', '4102444800', '4.1024448e9',
        '9007199254740991', '9007199254740991.0';

# leeway: 30 s by default

is with({ exp => $now + 3600 }, $_), '200', "leeway, $_: an hour"
    for sort keys %issuer;
is with({ exp => time - 20 }), '200', 'leeway 30 s: expired by 20 s';
is with({ exp => time - 31 }), '401expired', 'leeway 30 s: by 31 s';
is with({ exp => time - 105 }, 'leeway'), '200', 'leeway 120 s: by 105 s';
is with({ exp => time - 121 }, 'leeway'), '401expired',
    'leeway 120 s: by 121 s';
is with({ exp => time - 1 }, 'strict'), '401expired', 'leeway 0: by 1 s';

# nbf and iat

for my $name (qw(nbf iat)) {
    is with({ $name => undef }), '200', "$name: may be missing";
    is with({ $name => time }), '200', "$name: now";
    is with({ $name => time + 20 }), '200', "$name: in 20 s";
    is with({ $name => time + 45 }), '401not_yet_valid', "$name: in 45 s";
    is with({ $name => time + 105 }, 'leeway'), '200',
        "$name: in 105 s, leeway 120 s";
    is with({ $name => time + 15 }, 'strict'), '401not_yet_valid',
        "$name: in 15 s, leeway 0";
    is with({ $name => time + 365 * 86400 }), '401not_yet_valid',
        "$name: far in the future";
    is text($name => '1e300'), '401not_yet_valid', "$name: 1e300";
    is text($name => $_), '200', "$name: $_" for '0', '-1', '1.5', '1e3';
    is text($name => $_), '401claim', "$name: $_ is no number"
        for 'null', '"0"', '"' . $now . '"', 'true', '[]', '{}';
}
is with({ nbf => time + 3600, exp => time - 3600 }), '401expired',
    'expired before it began';

# aud

my %aud = ('a string' => 'authenticated',
           'an array' => [ 'authenticated' ],
           'a member' => [ 'x', 'authenticated', 7, undef, [] ]);
is with({ aud => $aud{$_} }), '200', "aud: $_" for sort keys %aud;

is with({ aud => $_->[1] }), '401audience', "aud: $_->[0]"
    for [ 'missing', undef ], [ 'another', 'other' ], [ 'empty', '' ],
        [ 'an empty array', [] ], [ 'others', [ 'a', 'b' ] ],
        [ 'a prefix', 'authenticate' ], [ 'a suffix', 'authenticated2' ],
        [ 'another case', 'Authenticated' ],
        [ 'a list in a string', 'authenticated,x' ],
        [ 'words in a string', 'x authenticated' ],
        [ 'a nested array', [ [ 'authenticated' ] ] ],
        [ 'an object', { authenticated => 1 } ],
        [ 'an object in an array', [ { aud => 'authenticated' } ] ],
        [ 'a number', 1 ], [ 'true', JSON::PP::true ];
is text(aud => 'null'), '401audience', 'aud: null';
is text(aud => '"\u0061uthenticated"'), '200', 'aud: escaped';
is text(aud => '["\u0061uthenticated"]'), '200', 'aud: escaped, in an array';

is with({ aud => $_ }, 'several'), '200', "audience, several: $_"
    for qw(authenticated other third fourth);
is with({ aud => [ 'x', 'third' ] }, 'several'), '200', 'and in an array';
is with({ aud => $_ }, 'several'), '401audience', "not: $_"
    for 'x', '', 'authenticated other', 'third fourth';

# iss

is with({ iss => $_->[1] }), '401issuer', "iss: $_->[0]"
    for [ 'missing', undef ], [ 'another', 'https://evil.example/auth/v1' ],
        [ 'empty', '' ], [ 'with a slash', "$ISSUER/" ],
        [ 'a prefix', 'https://abcdefghijklmnopqrst.supabase.co' ],
        [ 'another case', uc $ISSUER ], [ 'white space', "$ISSUER " ],
        [ 'an array', [ $ISSUER ] ], [ 'an object', { iss => $ISSUER } ],
        [ 'a number', 1 ];
is text(iss => '"' . ($ISSUER =~ s{/}{\\/}gr) . '"'), '200', 'iss: escaped';

# sub

is with({ sub => $_->[1] }), '401claim', "sub: $_->[0]"
    for [ 'a number', 7 ], [ 'an array', [ $USER ] ],
        [ 'an object', { id => $USER } ], [ 'true', JSON::PP::true ],
        [ 'missing', undef ], [ 'no UUID', 'alice' ], [ 'empty', '' ],
        [ 'of controls', "a\r\nX: b" ], [ 'long', 'x' x 300 ],
        [ 'a UUID and more', "$USER\n" ];
is text(sub => 'null'), '401claim', 'sub: null';
is with({ sub => uc $USER }), '200', 'sub: in upper case';

# what comes first

my $past = { exp => time - 3600 };
is with({ %$past, iss => 'x', aud => 'x', sub => 7 }), '401expired',
    'order: times';
is with({ iss => 'x', aud => 'x', sub => 7 }), '401issuer',
    'order: then the issuer';
is with({ aud => 'x', sub => 7, role => 'x' }), '401audience',
    'order: then the audience';

done_testing;
