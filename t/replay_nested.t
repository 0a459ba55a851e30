# oa_replay holds in what nginx makes of a location: "if" and limit_except.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use OA::Client qw(http_request);
use OA::Nginx;
use OA::Routes qw(route routes_file);

my $ng = OA::Nginx->new(
    files => { 'routes.json' => routes_file(
        route('alice', app => 'app', machine => 'm1')) },
    http  => <<'CONF');
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        location /if {
            oa_replay timeout=5s;
            if ($http_x) {
                add_header X-If yes always;
            }
        }
        location /limited {
            oa_replay timeout=5s;
            limit_except GET {
                allow 127.0.0.1;
                deny all;
            }
        }
        location /denied {
            oa_replay timeout=5s;
            limit_except GET { deny all; }
        }
        location /outer {
            oa_replay;
            location /outer/inner { return 204; }
        }
    }
CONF

sub get {
    my ($path, %o) = @_;
    return http_request($ng->port, $path, host => 'alice.openagents.example',
                        %o);
}

my $replay = 'app=app;instance=m1;timeout=5s';

is get('/limited')->header('fly-replay'), $replay, 'a method let in';
is get('/limited', method => 'POST')->header('fly-replay'), $replay,
    'one that limit_except lets in';
is get('/denied', method => 'POST')->status, 403, 'one that it does not';
is get('/denied')->header('fly-replay'), $replay, 'which is free of it';

is get('/outer/x')->status, 307, 'a location';
is get('/outer/inner')->status, 204, 'one inside it is another';

is get('/if')->header('fly-replay'), $replay, 'an "if" that does not hold';
my $r = eval { get('/if', headers => [ X => 1 ]) };
ok $r, 'an "if" that holds: an answer' or diag $@;
is $r && $r->header('fly-replay'), $replay, 'the replay';
is $r && $r->header('x-if'), 'yes', 'and what the "if" says';

done_testing;
