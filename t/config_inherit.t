# Directives inherit from http to server to location, and merge.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA qw(hmac_sha256);
use MIME::Base64 qw(encode_base64url);

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Routes qw(route routes_file);

my $ng = OA::Nginx->new(
    env   => { OUTER => 'outer', INNER => 'inner' },
    files => {
        'one.json' => routes_file(
            route('alice', app => 'app', machine => 'one', route_id => 'r1'),
            route('private', app => 'app', machine => 'one',
                  access => 'owner')),
        'two.json' => routes_file(
            route('alice', app => 'app', machine => 'two', route_id => 'r2')),
    },
    http  => <<'CONF');
    oa_routes one { domain a.example; source file one.json; }
    oa_routes two { domain a.example; source file two.json; }
    oa_routes far { domain b.example; source file two.json; }

    oa_router       one;
    oa_access       public;
    oa_machine_key  env:OUTER;
    oa_replay_key   env:OUTER;

    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { oa_replay; }
        location /two {
            oa_router two;
            oa_replay;
            location /two/deep { oa_replay; }
            location /two/one {
                oa_router one;
                oa_replay;
            }
        }
        location /far {
            oa_router far;
            oa_replay;
        }
        location /off {
            oa_router off;
            empty_gif;
        }
        location /token { return 200 $oa_machine_token; }
        location /moved { rewrite ^ /two last; }
    }
    server {
        listen 127.0.0.1:%%PORT_1%%;
        oa_router       two;
        oa_access       route;
        oa_machine_key  env:INNER;
        oa_replay_key   env:INNER per=machine;
        location / { oa_replay; }
        location /token { return 200 $oa_machine_token; }
        location /key {
            oa_replay_key env:OUTER;
            oa_replay;
        }
        location /one {
            oa_router one;
            oa_replay;
        }
    }
CONF

sub get {
    my ($port, $path, $host) = @_;
    return http_get($ng->port($port), $path,
                    host => $host // 'alice.a.example');
}

# Which key, derived by what, has signed.
sub signer {
    my $replay = get(@_)->header('fly-replay') // return;
    my ($machine, $signed, $mac) =
        $replay =~ /instance=(\w+);state=(v1\.\d+\.-\.)(.*)/ or return $replay;
    for my $key (qw(outer inner)) {
        for my $name ('app', "app/$machine") {
            my $k = hmac_sha256($name, $key);
            return "$machine $key $name" if $mac eq
                encode_base64url(hmac_sha256("$signed$machine", $k));
        }
    }
    return "$machine nobody";
}

sub token { encode_base64url(hmac_sha256(@_)) }

is signer(0, '/'), 'one outer app', 'all from http';
is signer(0, '/two'), 'two outer app', 'another router in a location';
is signer(0, '/two/deep'), 'two outer app', 'inherited into a nested one';
is signer(0, '/two/one'), 'one outer app', 'and changed there';
is signer(0, '/moved'), 'two outer app', 'after a rewrite';
is get(0, '/off', 'x')->status, 200, 'off in a location';
is get(0, '/far')->status, 404, 'a router of another domain';
is signer(0, '/far', 'alice.b.example'), 'two outer app', 'and its names';
is get(0, '/', 'alice.b.example')->status, 404, 'which are not those here';

is signer(1, '/'), 'two inner app/two', 'all from server';
is signer(1, '/key'), 'two outer app', 'a key takes its per= along';
is signer(1, '/one'), 'one inner app/one', 'one alone changed';

is get(0, '/', 'private.a.example')->status, 307, 'oa_access of http';
is get(1, '/one', 'private.a.example')->status, 404, 'oa_access of server';

is get(0, '/token')->body, token('r1', 'outer'), 'oa_machine_key of http';
is get(1, '/token')->body, token('r2', 'inner'), 'oa_machine_key of server';

done_testing;
