# Subrequests (auth_request, SSI, mirror) bring the same verdict.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client;
use OA::Jwks;
use OA::Nginx;
use OA::Token qw(key jwks uuid $ISSUER $USER);
use OA::Util qw(slurp wait_for);

my $key = key('ES256');
my $fetched = key('ES256', kid => 'fetched');
my $jwks = OA::Jwks->new(keys => [ $fetched ]);
$jwks->fault(delay => 1);

my $ssi = '<!--#include virtual="%s" --> and <!--#include virtual="%s" -->';

my $ng = OA::Nginx->new(
    files => {
        'keys.json' => jwks($key),
        'page' => 'page: ' . sprintf($ssi, '/who/a', '/who/b'),
        'slow' => 'slow: ' . sprintf($ssi, '/slow/who/a', '/slow/who/b'),
        'open' => 'open: ' . sprintf($ssi, '/who/a', '/needs'),
        'var'  => 'var: <!--#echo var="oa_auth_sub" default="none" -->',
    },
    http => <<"CONF");
    oa_issuer t {
        jwks_file keys.json; issuer $ISSUER; audience authenticated;
    }
    oa_issuer slow {
        jwks_uri @{[ $jwks->url ]}; issuer $ISSUER; audience authenticated;
    }
    log_format mirror '<\$oa_auth_sub> <\$oa_auth_error>';
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%DIR%%;
        oa_auth t;
        default_type text/html;
        add_header X-Error \$oa_auth_error always;

        location / { ssi on; }
        location = /open { oa_auth off; ssi on; }
        location = /var { ssi on; }
        location = /slow { oa_auth slow optional; ssi on; }
        location /who/ {
            proxy_pass http://127.0.0.1:%%PORT_1%%;
            proxy_set_header X-User \$oa_auth_sub;
        }
        location /slow/who/ {
            oa_auth slow;
            proxy_pass http://127.0.0.1:%%PORT_1%%;
            proxy_set_header X-User \$oa_auth_sub;
        }
        location = /needs {
            oa_auth_require aal eq aal2;
            proxy_pass http://127.0.0.1:%%PORT_1%%;
        }

        # auth_request: a location that only says yes or no
        location = /guarded {
            oa_auth off;
            auth_request /check;
            auth_request_set \$user \$oa_auth_sub;
            add_header X-Got "<\$user>" always;
            empty_gif;
        }
        location = /check {
            internal;
            return 204;
        }
        location = /guarded_file {
            oa_auth off;
            auth_request /check_file;
            empty_gif;
        }
        location = /check_file { internal; empty_gif; }
        location = /both {
            auth_request /check_file;
            empty_gif;
        }
        location = /strict {
            oa_auth off;
            auth_request /needs;
            empty_gif;
        }
        location = /guarded_slow {
            oa_auth off;
            auth_request /check_slow;
            empty_gif;
        }
        location = /check_slow {
            internal;
            oa_auth slow;
            empty_gif;
        }

        location = /mirrored {
            mirror /mirror;
            empty_gif;
        }
        location = /mirror {
            internal;
            log_subrequest on;
            access_log mirror.log mirror;
            empty_gif;
        }
    }
    server {
        listen 127.0.0.1:%%PORT_1%%;
        location / { return 200 "<\$http_x_user>"; }
    }
CONF

sub ask {
    my ($path, $token) = @_;
    my $r = OA::Client::http_get($ng->port, $path, headers => [
        defined $token ? (Authorization => "Bearer $token") : () ]);
    return $r;
}

my $good = $key->token;
my %bad = (expired => $key->token({ exp => 1000 }), malformed => 'x');

# auth_request, while keys of the other issuer are still under way

my $late = $fetched->token;
is ask('/guarded_slow', $late)->status, 200,
    'auth_request waits for keys, and then passes';
is ask('/guarded_slow')->status, 401, 'none';

for my $path (qw(/guarded_file /both)) {
    is ask($path, $good)->status, 200, "$path: a good token";
    is ask($path)->status, 401, 'none';
    is ask($path, $bad{$_})->status, 401, "one that is $_" for sort keys %bad;
}
is ask('/strict', $good)->status, 403, 'a condition of the subrequest: 403';
is ask('/strict', $key->token({ aal => 'aal2' }))->status, 200, 'one that holds';

# "return" is of the rewrite phase: no access there, but variables

is ask('/guarded', $good)->header('X-Got'), "<$USER>",
    'what a subrequest tells of the user';
is ask('/guarded')->header('X-Got'), '<>', 'of nobody';

# SSI

is ask('/page', $good)->body, "page: <$USER> and <$USER>", 'SSI: both know';
is ask('/page')->status, 401, 'without a token: no page';
is ask('/var', $good)->body, "var: $USER", 'SSI: a variable';
is ask('/open', $good)->body =~ s/\{.*//sr, "open: <$USER> and ",
    'SSI in an open page: each by its own location';
my $open = ask('/open')->body;
unlike $open, qr/<$USER>|<>/, 'without a token nothing is included';
is ask('/slow', $late)->body, "slow: <$USER> and <$USER>",
    'SSI, by fetched keys';

# subrequests that wait, two at once, for a key that is not there yet

my $new = key('ES256', kid => 'new');
my $user = uuid();
$jwks->publish($fetched, $new);
is ask('/slow', $new->token({ sub => $user }))->body,
    "slow: <$user> and <$user>", 'SSI, and the key comes meanwhile';
is ask('/guarded_slow', $good)->status, 401, 'a token of another issuer';

# mirror

is ask('/mirrored', $good)->status, 200, 'mirror: a good token';
is ask('/mirrored')->status, 401, 'none';
my $log = '';
wait_for { ($log = eval { slurp($ng->path('mirror.log')) } // '') =~ /\n/ };
is $log, "<$USER> <>\n", 'the mirror knows who, and is not asked otherwise';

done_testing;
