# Where a session begins and ends is for everybody, whatever route the host
# has; and nothing beside it is.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_request);
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Token qw(key jwks uuid $ISSUER $USER);

my $key = key('ES256', kid => 'k1');

my $ng = OA::Nginx->new(
    files => {
        'keys.json'   => jwks($key),
        'routes.json' => routes_file(
            route('open', access => 'public'),
            route('off', user_id => $USER, access => 'owner',
                  status => 'disabled'),
            route('alice', user_id => $USER, access => 'owner')),
    },
    http => <<"CONF");
    oa_issuer t {
        jwks_file keys.json; issuer $ISSUER; audience authenticated;
    }
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        oa_auth t;
        oa_auth_token header cookie=__Host-t;
        oa_auth_require aal eq aal1;
        oa_login_url https://openagents.example/login;

        location / { oa_replay; }
        location /.oa/session {
            oa_session t;
            location /.oa/session/in { oa_replay; }
        }
        location = /.oa/owner { oa_access owner; oa_session t; }
        location /if {
            oa_session t;
            if (\$arg_x) { set \$x 1; }
        }
        location /to { rewrite ^ /.oa/session last; }
        location /from { error_page 405 = /static; oa_session t; }
        location /static { oa_replay; }
    }
CONF

my $good = 'Bearer ' . $key->token;
my $wrong = 'Bearer ' . $key->token({ sub => uuid() });
my @names = qw(alice off open nobody);

sub ask {
    my ($name, $method, $path, @headers) = @_;
    my $host = $name =~ /\./ ? $name : "$name.openagents.example";
    return http_request($ng->port, $path, method => $method, host => $host,
                        headers => \@headers);
}

my %cookie;

for my $path (qw(/.oa/session /.oa/owner /if?x=1 /to)) {
    my %text;
    for my $name (@names) {
        my $r = ask($name, 'POST', $path, Authorization => $good);
        is $r->status, 204, "$path, $name: a session";
        ($cookie{$name}) = ($r->header('Set-Cookie') // '')
            =~ /^(__Host-t=[^;]+)/;
        ok $cookie{$name}, 'with a cookie';

        is ask($name, 'POST', $path, Authorization => $wrong)->status, 204,
            'for another user';
        is ask($name, 'POST', $path, Authorization => 'Bearer x')->status,
            401, 'not for a bad token';
        is ask($name, 'DELETE', $path)->status, 204, 'an end for all';
        is ask($name, 'GET', $path)->status, 405, 'GET: 405';
        is ask($name, 'GET', $path, Accept => 'text/html')->status, 405,
            'and no redirect';
        push @{ $text{ ask($name, 'GET', $path)->common } }, $name;
    }
    is keys %text, 1, 'all names are alike';
}
is ask($_, 'DELETE', '/.oa/session')->status, 204, "a host that is no name: $_"
    for 'openagents.example', 'x.y.openagents.example', 'other.example';

# The cookie is as good as its token, and no better.

my %with = (alice => 307, off => 402, open => 307, nobody => 404);
my %without = (alice => 401, off => 401, open => 401, nobody => 401);

for my $name (@names) {
    is ask($name, 'GET', '/', Cookie => $cookie{$name})->status,
        $with{$name}, "$name, with its cookie: $with{$name}";
    is ask($name, 'GET', '/')->status, $without{$name}, 'without: 401';
    for my $path (qw(/.oa/session/in /.oa /.oa/owner2)) {
        is ask($name, $_, $path)->status, 401, "$_ $path: not open"
            for qw(GET POST DELETE);
    }
}

# An error page of it is judged as anything else.

is ask('alice', 'GET', '/from')->status, 401, 'an error page: nobody';
is ask('alice', 'GET', '/from', Authorization => $wrong)->status, 404,
    'another user';
is ask('alice', 'GET', '/from', Authorization => $good)->status, 307,
    'the owner';

done_testing;
