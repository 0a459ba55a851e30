# An error_page of a refused request opens nothing that oa_replay_verify guards.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use OA::Client qw(http_get);
use OA::Nginx;
use OA::Routes qw(routes_file);

my $ng = OA::Nginx->new(
    env   => { KEY => 'A' x 43, FLY_MACHINE_ID => 'm1' },
    files => { 'routes.json' => routes_file('alice') },
    http  => <<'CONF');
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location /router {
            oa_router t;
            error_page 404 = /app;
            oa_replay;
        }
        location /verify {
            oa_replay_verify env:KEY;
            error_page 403 = /page;
            empty_gif;
        }
        location /denied {
            error_page 403 = /app;
            deny all;
        }
        location /app {
            oa_replay_verify env:KEY;
            empty_gif;
        }
        location /page { empty_gif; }
    }
CONF

sub get { http_get($ng->port, $_[0], host => 'nobody.openagents.example') }

is get('/app')->status, 403, 'unverified';
is get('/router')->status, 403, 'refused by a router first';
is get('/denied')->status, 403, 'refused by nginx first';
is get('/verify')->status, 200, 'its own page is shown';

done_testing;
