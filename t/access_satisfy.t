# nginx's own access stands beside: it can add to ours, and skips nothing.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Token qw(key jwks uuid $ISSUER $USER);

my $key = key('ES256', kid => 'k1');

my $ng = OA::Nginx->new(
    files => {
        'keys.json'   => jwks($key),
        'routes.json' => routes_file(
            route('open', access => 'public'),
            route('alice', user_id => $USER, access => 'owner')),
        'passwords'   => "user:{PLAIN}secret\n",
    },
    http => <<"CONF");
    oa_issuer t {
        jwks_file keys.json; issuer $ISSUER; audience authenticated;
    }
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    oa_auth t;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        oa_auth_token header query cookie;

        location / { oa_replay; }
        location /allow { allow all; oa_replay; }
        location /deny { deny all; oa_replay; }
        location /any-allow { satisfy any; allow all; deny all; oa_replay; }
        location /any-deny { satisfy any; deny all; oa_replay; }
        location /any-basic {
            satisfy any; deny all;
            auth_basic x; auth_basic_user_file passwords;
            oa_replay;
        }
        location /basic {
            auth_basic x; auth_basic_user_file passwords;
            oa_replay;
        }
        location /asked { auth_request /yes; oa_replay; }
        location /any-asked {
            satisfy any; auth_request /yes; deny all; oa_replay;
        }
        location /not-asked { auth_request /no; oa_replay; }
        location /yes { internal; oa_router off; oa_auth off; empty_gif; }
        location /no { internal; oa_router off; oa_auth off; return 403; }
        location /try { try_files /none \@try; }
        location \@try { oa_replay; }
        location /static { root %%DIR%%; satisfy any; allow all; }
        location /limit { limit_except POST { allow all; } oa_replay; }
        location /if { if (\$arg_x) { set \$y 1; } oa_replay; }
    }
    server {
        listen 127.0.0.1:%%PORT_1%%;
        location / { satisfy any; allow all; empty_gif; }
        location /deny { deny all; empty_gif; }
        location /dir { alias %%DIR%%/; index keys.json; }
        location /return { return 200 "not ours"; }
    }
CONF

$ng->write_file('static', 'a file');
my $token = $key->token;
my $wrong = $key->token({ sub => uuid() });

sub status {
    my ($name, $path, @headers) = @_;
    return http_get($ng->port, $path, host => "$name.openagents.example",
                    headers => \@headers)->status;
}

sub bearer { (Authorization => "Bearer $_[0]") }
sub basic { (Authorization => 'Basic dXNlcjpzZWNyZXQ=') }  # user:secret

# Who passes nginx's own access is judged by ours.

my %nobody = (alice => 401, nobody => 401, open => 307);
my %user = (alice => 404, nobody => 404, open => 307);
my %owner = (alice => 307, nobody => 404, open => 307);

for my $path (qw(/ /allow /any-allow /asked /any-asked /try /limit /if?x=1)) {
    for my $name (qw(alice nobody open)) {
        is status($name, $path), $nobody{$name}, "$path, $name: nobody";
        is status($name, $path, bearer($wrong)), $user{$name}, 'a user';
        is status($name, $path, bearer($token)), $owner{$name}, 'its owner';
        is status($name, $path, bearer('x')), 401, 'a bad token';
    }
}

# Who does not, is not, whatever token; and learns nothing.

for my $path (qw(/deny /any-deny /not-asked)) {
    my %status;
    for my $name (qw(alice nobody open)) {
        $status{ status($name, $path, @$_) }++
            for [], [ bearer($token) ], [ bearer($wrong) ], [ bearer('x') ];
    }
    is_deeply \%status, { 403 => 12 }, "$path: nobody passes";
}

# A password is no token, and a token no password.

my $query = "?access_token=$token";
for my $path (qw(/basic /any-basic)) {
    is status('alice', "$path$query", basic()), 307, "$path: both";
    is status('alice', $path, basic()), 401, 'a password alone';
    is status('alice', $path, bearer($token)), 401, 'a token alone';
    is status('open', $path, basic()), 307, 'a password for a public route';
    is status('open', $path), 401, 'but no password';
    is status('alice', "$path?access_token=$wrong", basic()), 404,
        'another user';
    is status('nobody', "$path$query", basic()), 404, 'and no route';
}

is status('alice', '/static'), 401, 'a file';
is status('alice', '/static', bearer($wrong)), 404, 'not for others';
is status('alice', '/static', bearer($token)), 200, 'for its owner';

# Without a router it is the same.

sub plain {
    my ($path, @headers) = @_;
    return http_get($ng->port(1), $path, headers => \@headers)->status;
}

for my $path (qw(/ /dir/)) {
    is plain($path), 401, "$path, no router: nobody";
    is plain($path, bearer('x')), 401, 'a bad token';
    is plain($path, bearer($token)), 200, 'a user';
}
is plain('/deny', bearer($token)), 403, 'deny all still counts';
is plain('/return'), 200, '"return" answers before anything is asked';

done_testing;
