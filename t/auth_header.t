# A token's header: what must not be there, what is not looked at, kid.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client;
use OA::Jwks;
use OA::Nginx;
use OA::Token qw(key jwks claims payload b64 $ISSUER);

my $key = key('ES256', kid => 'k1');
my $evil = key('ES256', kid => 'evil');
my $long = key('ES256', kid => 'k' x 256);
my $umlaut = key('ES256', kid => "\x{fc}");
my $empty = key('ES256', kid => '');

# a server that a token may name, but nobody must ask
my $server = OA::Jwks->new(keys => [ $evil ]);

my $ng = OA::Nginx->new(
    files => { 'keys.json' => jwks($key, $long, $umlaut, $empty),
               'nokid.json' => jwks($key->jwk(kid => undef),
                                    $evil->jwk(kid => undef)) },
    http  => <<"CONF");
    large_client_header_buffers 4 32k;
    oa_issuer t {
        jwks_file keys.json; issuer $ISSUER; audience authenticated;
    }
    oa_issuer nokid {
        jwks_file nokid.json; issuer $ISSUER; audience authenticated;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        add_header X-Error \$oa_auth_error always;
        location / { oa_auth t; empty_gif; }
        location /nokid { oa_auth nokid; empty_gif; }
    }
CONF

my $client = OA::Client->new($ng->port);

sub told {
    my ($token, $path) = @_;
    my $r = $client->get($path // '/',
                         headers => [ Authorization => "Bearer $token" ]);
    return $r->status . ($r->header('X-Error') // '');
}

sub with { told($key->token({}, header => { @_ })) }

sub raw {
    my ($header) = @_;
    return told($key->token_raw($header, payload(claims())));
}

is with(), '200', 'a good one';

# crit and b64

my $crit = 'CVE-2026-32597, CVE-2025-59420: crit ';
is with(crit => [ 'b64' ], b64 => JSON::PP::true), '401malformed',
    $crit . 'of b64';
is with(crit => $_), '401malformed',
    $crit . payload($_) for [ 'exp' ], [ 'x' ], [], {}, 'x';
is raw(qq({"alg":"ES256","kid":"k1","crit":$_})), '401malformed',
    $crit . $_ for 'null', 'false', '0';
is raw('{"alg":"ES256","kid":"k1","\u0063rit":["x"]}'), '401malformed',
    $crit . 'escaped';
is with(b64 => JSON::PP::false), '401malformed', 'b64: false';
is with(b64 => JSON::PP::true), '401malformed', 'b64: true';
is with(B64 => JSON::PP::false, Crit => [ 'x' ]), '200',
    'names differ by case';

# keys that a token brings along, or points to

my $brought = 'CVE-2026-32301, ignored: ';
my $url = $server->url;
for my $case ([ jwk => $evil->jwk ], [ jku => $url ], [ x5u => $url ],
              [ x5c => [ 'MIIB' ] ], [ x5t => 'x' ], [ 'x5t#S256' => 'x' ],
              [ jwk => 'k1' ], [ jku => $url, jwk => $evil->jwk ])
{
    my ($name) = @$case;
    is with(@$case), '200', $brought . $name;
    for my $kid ('k1', 'evil', undef) {
        isnt told($evil->token({}, header => { @$case, kid => $kid })), '200',
            "$brought$name of the key that signed, kid " . ($kid // 'none');
    }
}
is told($evil->token({}, header => { kid => 'k1', jwk => $evil->jwk })),
    '401signature', $brought . 'jwk, with a kid that we know';
is told($evil->token({}, header => { kid => $url, jku => $url })), '401key',
    $brought . 'an URL as kid';
is $server->count, 0, 'nobody is asked';

# kid

is told($key->token({}, header => { kid => undef })), '401key',
    'no kid among several keys: none is tried';
is told($key->token({}, header => { kid => 'other' })), '401key',
    'an unknown kid: none is tried';
is told($_->token, '/nokid'), '401key', 'keys without a kid: none is tried'
    for $key, $evil;
is told($key->token({}, header => { kid => undef }), '/nokid'), '401key',
    'neither by a token without a kid';
is told($evil->token({}, header => { kid => 'k1' })), '401signature',
    'the kid of another key';
is raw(qq({"alg":"ES256","kid":$_})), '401malformed', "kid $_ is no string"
    for 'null', '1', 'true', '["k1"]', '{"k1":1}', '1e3';
is raw('{"alg":"ES256","kid":"k1\u0000"}'), '401malformed', 'kid with a NUL';
is with(kid => $_), '401key', "kid \"$_\""
    for 'K1', 'k1 ', ' k1', 'k', 'k11', '../../etc/passwd', "' OR 1=1--", '%s';
is told($long->token), '200', 'a kid of 256 bytes';
is with(kid => 'k' x 257), '401malformed', 'a kid of 257 bytes';
is with(kid => "\x{fc}"), '401signature', 'kid in UTF-8';
is told($umlaut->token), '200', '... of its key';
is told($empty->token), '200', 'an empty kid is one, too';
is raw('{"alg":"ES256","kid":"\u006b1"}'), '200', 'an escaped kid';

# typ

is with(typ => $_), '200', 'typ ' . ($_ // 'missing')
    for undef, qw(JWT jwt at+jwt application/at+jwt);
is with(typ => $_), '401malformed', "typ $_"
    for qw(JOSE dpop+jwt secevent+jwt JW), '', ' JWT';
is raw('{"alg":"ES256","kid":"k1","typ":7}'), '401malformed', 'typ 7';

# JSON

for my $case (
    [ 'duplicate alg',        '{"alg":"ES256","kid":"k1","alg":"ES256"}' ],
    [ 'duplicate alg, none',  '{"alg":"none","kid":"k1","alg":"ES256"}' ],
    [ 'duplicate kid',        '{"alg":"ES256","kid":"k1","kid":"k1"}' ],
    [ 'a duplicate, escaped', '{"alg":"ES256","kid":"k1","\u006bid":"k1"}' ],
    [ 'a duplicate within',   '{"alg":"ES256","kid":"k1","a":{"b":1,"b":2}}' ],
    [ 'trailing data',        '{"alg":"ES256","kid":"k1"} x' ],
    [ 'two objects',          '{"alg":"ES256","kid":"k1"}{}' ],
    [ 'a trailing NUL',       qq({"alg":"ES256","kid":"k1"}\0) ],
    [ 'a leading BOM',        qq(\xef\xbb\xbf{"alg":"ES256","kid":"k1"}) ],
    [ 'a trailing comma',     '{"alg":"ES256","kid":"k1",}' ],
    [ 'a comment',            '{"alg":"ES256","kid":"k1"/**/}' ],
    [ 'single quotes',        q({'alg':'ES256','kid':'k1'}) ],
    [ 'not closed',           '{"alg":"ES256","kid":"k1"' ],
    [ 'a list',               '["ES256"]' ],
    [ 'a string',             '"ES256"' ],
    [ 'null',                 'null' ],
    [ 'no UTF-8',             qq({"alg":"ES256","kid":"k1","a":"\xff"}) ],
    [ 'UTF-16',  join '', map { "$_\0" } split //, '{"alg":"ES256"}' ],
    [ 'an open list', '{"alg":"ES256","kid":"k1","a":' . '[' x 700 . '1' ],
    [ 'no JSON', 'x' ])
{
    my ($name, $header) = @$case;
    is raw($header), '401malformed', "JSON of the header: $name";
}
is raw(qq( {"alg":"ES256",\r\n\t"kid":"k1"} \n)), '200',
    'JSON of the header: white space';

# size

sub sized {
    my ($bytes) = @_;                   # of the header, encoded
    my $n = int($bytes * 3 / 4);
    my $header = '{"alg":"ES256","kid":"k1","a":""}';
    my $pad = 'a' x ($n - length $header);
    return raw($header =~ s/"a":"/"a":"$pad/r);
}

is length(b64('x' x 768)), 1024, 'the header can be just as large as it may';
is sized(1024), '200', 'a header of 1 KiB';
is sized(1026), '401malformed', 'a larger one';
is sized(4000), '401malformed', 'a much larger one';

# one more character in the header makes what no payload alone can reach
for my $size (8190 .. 8194, 16000) {
    my $token;
    for my $pad (0 .. 3) {
        my $header = sprintf '{"alg":"ES256","kid":"k1","a":"%s"}', 'a' x $pad;
        my $claims = claims(x => '');
        my $left = $size - length $key->token_raw($header, payload($claims));
        for my $n (int($left * 3 / 4) - 1 .. int($left * 3 / 4) + 1) {
            $claims->{x} = 'x' x $n;
            $token = $key->token_raw($header, payload($claims));
            last if length $token == $size;
        }
        last if length $token == $size;
    }
    is length $token, $size, "a token of $size bytes";
    is told($token), $size > 8192 ? '401malformed' : '200',
        $size > 8192 ? 'is too large' : 'is taken';
}

done_testing;
