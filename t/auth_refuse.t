# How a refusal looks: challenge, problem or page; an operator's error_page
# wins; and what does not skip authentication.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client;
use OA::Nginx;
use OA::Token qw(key jwks $ISSUER $USER);

my $key = key('ES256');

my $ng = OA::Nginx->new(
    files => { 'keys.json' => jwks($key), '401.html' => 'our own page',
               'users' => "u:{PLAIN}p\n" },
    http  => <<"CONF");
    oa_issuer t {
        jwks_file keys.json; issuer $ISSUER; audience authenticated;
    }
    oa_issuer gone {
        jwks_uri http://127.0.0.1:1/; issuer $ISSUER; audience authenticated;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%DIR%%;
        oa_auth t;
        add_header X-Error \$oa_auth_error always;

        location = /plain { empty_gif; }
        location = /optional { oa_auth t optional; empty_gif; }
        location = /off { oa_auth off; empty_gif; }
        location = /gone { oa_auth gone; empty_gif; }

        # access that is decided by others besides

        location = /any {
            satisfy any; allow all; empty_gif;
        }
        location = /any_off {
            oa_auth off; satisfy any; deny all; auth_basic x;
            auth_basic_user_file users; empty_gif;
        }
        location = /any_basic {
            satisfy any; deny all;
            auth_basic x; auth_basic_user_file users; empty_gif;
        }
        location = /any_request {
            satisfy any; allow all; auth_request /yes; empty_gif;
        }
        location = /yes { oa_auth off; return 200; }
        location = /deny { deny all; empty_gif; }
        location = /limit {
            limit_except GET { allow all; }
            proxy_pass http://127.0.0.1:%%PORT_1%%;
        }

        # all that can answer

        location = /proxy { proxy_pass http://127.0.0.1:%%PORT_1%%; }
        location /html/ { alias %%DIR%%/; index 401.html; }
        location = /exact.html { alias %%DIR%%/401.html; }
        location = /try { try_files /401.html =404; }

        # error pages

        location /page {
            error_page 401 /401.html;
            empty_gif;
        }
        location = /401.html { internal; }
        location /named {
            error_page 401 403 503 = \@named;
            empty_gif;
        }
        location \@named {
            return 200 "named <\$oa_auth_sub> <\$oa_auth_error>";
        }
        location /proxied {
            error_page 401 = \@proxied;
            empty_gif;
        }
        location \@proxied { proxy_pass http://127.0.0.1:%%PORT_1%%; }
        location /opened {
            error_page 401 = /other;
            empty_gif;
        }
        location = /other { empty_gif; }
        location /free {
            error_page 401 = /off;
            empty_gif;
        }
        location /elsewhere {
            error_page 401 https://login.example/;
            empty_gif;
        }
        location /missing {
            error_page 401 /none.html;
            empty_gif;
        }
        location /loop {
            error_page 401 = /loop;
            empty_gif;
        }
    }
    server { listen 127.0.0.1:%%PORT_1%%; return 200 "upstream"; }
CONF

sub ask {
    my ($path, $token, %o) = @_;
    my @headers = defined $token ? (Authorization => "Bearer $token") : ();
    return OA::Client::http_get($ng->port, $path, %o,
                                headers => [ @headers,
                                             @{ $o{headers} // [] } ]);
}

my $good = $key->token;
my $bad = key('ES256', kid => 'x')->token({}, header => { kid => 'es256' });

# the challenges

my $r = ask('/plain');
is $r->status, 401, 'no token: 401';
is_deeply [ $r->header('WWW-Authenticate') ], [ 'Bearer realm="t"' ],
    'and a bare challenge';
is $r->header('Content-Type'), 'application/problem+json', 'a problem';
like $r->body, qr/"code":\s*"login_required"/, 'and its code';
is $r->header('X-Error'), 'missing', 'and $oa_auth_error';

$r = ask('/plain', $bad);
is $r->status, 401, 'a bad token: 401';
is_deeply [ $r->header('WWW-Authenticate') ],
    [ 'Bearer realm="t", error="invalid_token", '
      . 'error_description="signature"' ], 'with error and reason';
like $r->body, qr/"code":\s*"token_invalid"/, 'and its code';
like $r->body, qr/"status":\s*401/, 'and status';
unlike $r->body, qr/\Q$bad\E/, 'not the token';

for my $reason ([ expired => { exp => 1000 } ], [ audience => { aud => 'x' } ],
                [ issuer => { iss => 'x' } ], [ claim => { role => 'x' } ],
                [ not_yet_valid => { nbf => time + 3600 } ])
{
    $r = ask('/plain', $key->token($reason->[1]));
    like $r->header('WWW-Authenticate'),
        qr/error="invalid_token", error_description="$reason->[0]"/,
        "the reason: $reason->[0]";
}

$r = ask('/plain', undef, headers => [ Authorization => 'Basic dTpw' ]);
is $r->status, 401, 'another scheme is no token';
is $r->header('X-Error'), 'missing', 'and no bad one';

$r = ask('/plain', undef, headers => [ Accept => 'text/html' ]);
is $r->status, 401, 'a browser: 401';
like $r->header('Content-Type'), qr{^text/html}, 'a page';
is $r->header('WWW-Authenticate'), 'Bearer realm="t"', 'with the challenge';
is ask('/plain', undef, method => 'HEAD')->status, 401, 'HEAD: 401';
is ask('/plain', undef, method => 'POST', body => 'x' x 100000)->status, 401,
    'POST: 401, and the body is dropped';

# keys that there are none of

$r = ask('/gone', $good);
is $r->status, 503, 'no usable keys: 503';
is $r->header('X-Error'), 'keys_unavailable', 'and why';
like $r->header('Retry-After') // '', qr/^\d+$/, 'when to come again';
is $r->header('WWW-Authenticate'), undef, 'no challenge';
like $r->body, qr/"code":\s*"keys_unavailable"/, 'its code';
is ask('/gone')->status, 401, 'without a token: 401';
is ask('/gone', 'x.y')->status, 401, 'with none that could be one: 401';

# optional

is ask('/optional')->status, 200, 'optional: no token';
is ask('/optional', $good)->status, 200, 'a good one';
is ask('/optional', $bad)->status, 401, 'a bad one does not pass';

# nothing skips it

for my $path (qw(/any /any_request /proxy /html/ /html/401.html /exact.html
                 /try /limit))
{
    is ask($path)->status, 401, "$path: without a token";
    is ask($path, $bad)->status, 401, 'with a bad one';
    is ask($path, $good)->status, 200, 'with a good one';
}
is ask('/limit', undef, method => 'POST', body => '')->status, 401,
    'limit_except does not, either';
is ask('/deny', $good)->status, 403, 'deny all: a good token is not enough';
my @basic = (headers => [ Authorization => 'Basic dTpw' ]);
is ask('/any_off', undef, @basic)->status, 200, 'basic alone';
is ask('/any_basic', undef, @basic)->status, 401,
    'satisfy any, by basic: a token is asked for all the same';
is ask('/off')->status, 200, 'off: none is';

# error pages

$r = ask('/page');
is $r->status, 401, 'an error_page: status';
is $r->body, 'our own page', 'and its file';
is $r->header('WWW-Authenticate'), 'Bearer realm="t"', 'and the challenge';
is ask('/page', $bad)->body, 'our own page', 'for a bad one, too';
is ask('/named')->body, 'named <> <missing>', 'a named one knows why';
is ask('/named', $bad)->body, 'named <> <signature>', 'as of a bad one';
is ask('/named', $good)->status, 200, 'a good one has no need';
unlike ask('/named', $good)->body, qr/named/, 'of it';
is ask('/elsewhere')->header('Location'), 'https://login.example/',
    'one elsewhere';

# nothing is to be had behind a refusal that has a handler
is ask('/opened')->status, 401, 'an error page that is no file: refused';
unlike ask('/opened')->body, qr/^GIF/, 'with no content';
is ask('/proxied')->status, 401, 'so one that asks others';
unlike ask('/proxied')->body, qr/upstream/, 'with nothing of theirs';
is ask('/free')->status, 200, 'but one without oa_auth';
like ask('/missing')->status, qr/^40[14]$/, 'one that is not there';
is ask('/loop')->status, 401, 'one that is refused again';

done_testing;
