# What variables tell of a token: nothing unless it is good; and before the
# access phase what is known by then, under the location then in force.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client;
use OA::Nginx;
use OA::Token qw(key jwks claims payload $ISSUER $USER $SESSION);
use OA::Util qw(slurp wait_for);

my $key = key('ES256');
my $other = key('RS256', kid => 'other');

my $ng = OA::Nginx->new(
    files => { 'keys.json' => jwks($key), 'other.json' => jwks($other) },
    http  => <<"CONF");
    oa_issuer t {
        jwks_file keys.json; issuer $ISSUER; audience authenticated;
    }
    oa_issuer other {
        jwks_file other.json; issuer https://id.example; audience authenticated;
    }

    oa_auth_claim_set \$plan app_metadata.plan;
    oa_auth_claim_set \$first app_metadata.providers.0;
    oa_auth_claim_set \$meta app_metadata;
    oa_auth_claim_set \$dotted 'a\\.b';

    map \$oa_auth_role \$is_user { default no; authenticated yes; }
    log_format who '<\$oa_auth_sub> <\$oa_auth_error> <\$oa_auth_claim_email>';

    server {
        listen 127.0.0.1:%%PORT_0%%;
        keepalive_requests 100000;
        access_log access.log who;

        location /all {
            oa_auth t optional;
            add_header X-All "\$oa_auth_sub|\$oa_auth_role|\$oa_auth_session_id|\$oa_auth_issuer|\$oa_auth_claim_email|\$plan|\$first|\$oa_auth_error|\$oa_auth_cache" always;
            empty_gif;
        }
        location /claim {
            oa_auth t other;
            add_header X-Claim "<\$oa_auth_claim_x>" always;
            add_header X-Role "<\$oa_auth_role>" always;
            add_header X-Set "<\$meta><\$dotted>" always;
            empty_gif;
        }
        location /cookie {
            oa_auth t optional;
            oa_auth_token cookie=c;
            add_header X-All "<\$oa_auth_sub><\$oa_auth_error>" always;
            empty_gif;
        }
        location /none {
            add_header X-All "<\$oa_auth_sub><\$oa_auth_error><\$oa_auth_cache><\$oa_auth_claim_x><\$plan>" always;
            empty_gif;
        }

        # the rewrite phase

        location /set {
            set \$who \$oa_auth_sub;
            set \$why \$oa_auth_error;
            oa_auth t;
            add_header X-Early "<\$who><\$why><\$is_user>" always;
            empty_gif;
        }
        location /if {
            oa_auth t;
            if (\$oa_auth_role = authenticated) { return 204; }
            if (\$oa_auth_error = expired) { return 410; }
            empty_gif;
        }
        location /map {
            oa_auth t;
            if (\$is_user) { add_header X-User \$is_user; }
            empty_gif;
        }

        # another location, after a rewrite

        location /to/ {
            oa_auth t;
            set \$who \$oa_auth_sub;
            rewrite ^/to(/.*) \$1 last;
        }
        location = /same {
            oa_auth t;
            add_header X-All "<\$who><\$oa_auth_sub><\$oa_auth_error>" always;
            empty_gif;
        }
        location = /strict {
            oa_auth other;
            add_header X-All "<\$who><\$oa_auth_sub><\$oa_auth_error>" always;
            empty_gif;
        }
        location = /off {
            oa_auth off;
            add_header X-All "<\$who><\$oa_auth_sub><\$oa_auth_error>" always;
            empty_gif;
        }
        location = /needs {
            oa_auth t;
            oa_auth_require aal eq aal2;
            add_header X-All "<\$who><\$oa_auth_sub><\$oa_auth_error>" always;
            empty_gif;
        }
        location /redirected {
            oa_auth t;
            try_files /nothing =404 /strict;
        }
        location /tried {
            oa_auth t;
            try_files /nothing /strict;
        }
        location /named {
            oa_auth t;
            try_files /nothing \@named;
        }
        location \@named {
            oa_auth other;
            add_header X-All "<><\$oa_auth_sub><\$oa_auth_error>" always;
            empty_gif;
        }

        # a proxied request's headers

        location /proxy {
            oa_auth t other;
            proxy_set_header X-User \$oa_auth_sub;
            proxy_set_header X-Name \$oa_auth_claim_x;
            proxy_pass http://127.0.0.1:%%PORT_1%%/;
        }
    }
    server {
        listen 127.0.0.1:%%PORT_1%%;
        return 200 "<\$http_x_user><\$http_x_name><\$http_x_evil>";
    }
CONF

my $client = OA::Client->new($ng->port);
my $r;

sub ask {
    my ($path, $token, @headers) = @_;
    $r = $client->get($path, headers => [
        defined $token ? (Authorization => "Bearer $token") : (), @headers ]);
    return $r;
}

sub all { my $r = ask(@_); $r->status . ' ' . ($r->header('X-All') // '') }

my $good = $key->token({ app_metadata => { plan => 'pro',
                                           providers => [ 'email' ] } });
my %bad = (
    expired   => $key->token({ exp => 1000 }),
    signature => $key->token =~ s/\.\K[^.]+$/'AAAA' x 21 . 'AA'/er,
    key       => key('ES256', kid => 'x')->token,
    malformed => 'x.y', audience => $key->token({ aud => 'x' }),
    not_yet_valid => $key->token({ nbf => time + 3600 }),
);

# all of them, of a good one, of none, of bad ones

my $facts = "$USER|authenticated|$SESSION|t|alice\@example.com|pro|email";
is all('/all', $good), "200 $facts||miss", 'a good token';
is all('/all', $good), "200 $facts||hit", 'and again';
is all('/all'), '200 |||||||missing|', 'none';
is all('/all', $bad{$_}), "401 |||||||$_|miss", "one that is $_"
    for sort keys %bad;
is all('/none', $good), '200 <><><><><>', 'without oa_auth nothing is known';

# an expired one of a cookie is none

is all('/cookie', undef, Cookie => "c=$good"), "200 <$USER><>", 'a cookie';
is all('/cookie', undef, Cookie => "c=$bad{expired}"), '200 <><missing>',
    'an expired one counts as missing';
is all('/cookie', undef, Cookie => "c=$bad{signature}"), '401 <><signature>',
    'another bad one does not';

# claims as text

my %text = (
    '"text"' => 'text', '""' => '', 7 => '7', '-1.50e3' => '-1.50e3',
    true => 'true', false => 'false', null => '', '[1, "a"]' => '[1, "a"]',
    '{"a": {}}' => '{"a": {}}', '"\u00fc"' => "\xc3\xbc", '"a\/b"' => 'a/b',
    '"\"quoted\" \\\\"' => '"quoted" \\', '"\ud83d\ude00"' => "\xf0\x9f\x98\x80",
    '9007199254740993' => '9007199254740993', '"a b"' => 'a b',
);
sub minted {
    my ($by, $claims, $text) = @_;
    my $json = payload(claims(%$claims));
    $json =~ s/\}\z/,$text}/;
    return $by->token_raw(
        qq({"alg":"@{[ $by->alg ]}","kid":"@{[ $by->kid ]}"}), $json);
}

for my $json (sort keys %text) {
    ask('/claim', minted($key, {}, qq("x":$json)));
    is $r->header('X-Claim'), "<$text{$json}>", "a claim of $json";
}
ask('/claim', $good);
is $r->header('X-Claim'), '<>', 'a claim that is not there';
is $r->header('X-Set'), '<{"plan":"pro","providers":["email"]}><>',
    'an object as it stands';
ask('/claim', minted($key, {}, '"a.b":"dot","a":{"b":"no"}'));
like $r->header('X-Set'), qr/<dot>$/, 'a path with an escaped dot';

# what a user may choose does not make headers

for my $evil ('a\r\nX-Evil: 1', 'a\nX-Evil: 1', '\r\n\r\n<h1>', 'a\u000ab',
              '\u007f', 'a\tb')
{
    ask('/claim', minted($key, {}, qq("x":"$evil")));
    is $r->header('X-Evil'), undef, "a claim of $evil: no header is made";
    is $r->header('X-Claim'), '<>', 'it is empty instead';
    is $r->header('X-Role'), '<authenticated>', 'what is behind is still there';

    ask('/claim', minted($other, { iss => 'https://id.example',
                                   role => undef }, qq("role":"$evil")));
    is $r->status, 200, 'another issuer';
    is $r->header('X-Evil'), undef, "a role of $evil: no header is made";
    is $r->header('X-Role'), '<>', 'it is empty instead';

    is ask('/proxy', minted($key, {}, qq("x":"$evil")))->body, "<$USER><><>",
        'nor for a proxied server';
}

# the rewrite phase knows what can be known

is ask('/set', $good)->header('X-Early'), "<$USER><><yes>", 'set: a good one';
is ask('/set')->header('X-Early'), '<><missing><no>', 'set: none';
is ask('/set', $bad{$_})->header('X-Early'), "<><$_><no>", "set: $_"
    for sort keys %bad;
is ask('/if', $good)->status, 204, 'if: a good one';
is ask('/if')->status, 401, 'if: none';
is ask('/if', $bad{expired})->status, 410, 'if: an expired one';
is ask('/map', $good)->header('X-User'), 'yes', 'map: a good one';
is ask('/map')->status, 401, 'map: none';

# and access judges anew

is all('/to/same', $good), "200 <$USER><$USER><>", 'rewritten to the same';
is all('/to/strict', $good), "401 <$USER><><key>",
    'to one of another issuer: judged anew';
is all('/to/off', $good), "200 <$USER><><>",
    'to one without: nothing is known there';
is all('/to/needs', $good), "403 <$USER><$USER><>",
    'to one with conditions: they are judged';
is all('/to/strict'), '401 <><><missing>', 'no token';
is all('/strict', $good), '401 <><><key>', 'not rewritten';
is all('/tried', $good), '401 <><><key>', 'tried: judged anew';
is all('/named', $good), '401 <><><key>', 'a named location: as well';

# the log

ask('/all', $good);
ask('/all', $bad{expired});
ask('/none', $good);
my @lines;
wait_for { (@lines = split /\n/, slurp($ng->path('access.log'))) >= 3
           && $lines[-1] eq '<-> <-> <->' };
is_deeply [ @lines[-3 .. -1] ],
    [ "<$USER> <> <alice\@example.com>", '<> <expired> <>', '<-> <-> <->' ],
    'the access log: a good one, a bad one, without oa_auth'
    or diag explain [ @lines[-3 .. -1] ];

done_testing;
