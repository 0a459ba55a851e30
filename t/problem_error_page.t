# An operator's error_page wins, and learns nothing of the machine.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use OA::Client qw(http_get http_request);
use OA::Nginx;
use OA::Routes qw(route routes_file);

my $ng = OA::Nginx->new(
    env   => { KEY => 'k', FLY_MACHINE_ID => 'router1' },
    files => {
        'routes.json' => routes_file(
            route('private', access => 'owner', app => 'app',
                  machine => 'secret', route_id => 'id1'),
            route('alice', app => 'app', machine => 'm1'),
            route('off', status => 'disabled', app => 'app',
                  machine => 'secret')),
        '404.html' => 'our own page',
    },
    http  => <<'CONF');
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    oa_machine_key env:KEY;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%DIR%%;
        oa_router t;
        client_max_body_size 0;

        location / {
            error_page 404 /404.html;
            oa_replay;
        }
        location = /404.html { internal; }

        location /named {
            error_page 402 404 = @named;
            oa_replay;
        }
        location @named {
            add_header X-Leak "<$oa_machine$oa_app$oa_machine_token>" always;
            add_header X-Host "<$oa_machine_host$oa_flycast_host>" always;
            proxy_pass http://127.0.0.1:%%PORT_1%%/?to=$oa_machine_host;
        }

        location /proxy {
            error_page 404 /proxied;
            oa_replay;
        }
        location /proxied {
            proxy_pass http://$oa_machine_host;
        }

        location /replayed {
            error_page 404 = /other;
            oa_replay;
        }
        location /other { oa_replay; }

        location /public {
            error_page 404 = /opened;
            oa_replay;
        }
        location /opened {
            oa_access public;
            oa_replay;
        }

        location /unbound {
            error_page 404 = /free;
            oa_replay;
        }
        location /free {
            oa_router off;
            return 200 "<$oa_machine>";
        }

        location /elsewhere {
            error_page 404 https://openagents.example/;
            oa_replay;
        }

        location /large {
            error_page 413 502 508 /failed.html;
            oa_replay;
        }
        location = /failed.html { return 200 "failed page"; }

        location /missing {
            error_page 404 /none.html;
            oa_replay;
        }

        location /status {
            error_page 500 /404.html;
            oa_replay;
        }
    }
    server {
        listen 127.0.0.1:%%PORT_1%%;
        return 200 "to=<$arg_to>";
    }
CONF

sub get {
    my ($name, $path, @headers) = @_;
    return http_get($ng->port, $path, host => "$name.openagents.example",
                    headers => \@headers);
}

for my $name (qw(nobody private)) {
    my $r = get($name, '/');
    is $r->status, 404, "$name: status";
    is $r->body, 'our own page', 'and the page';

    $r = get($name, '/named');
    is $r->status, 200, "$name: a named location";
    is $r->header('x-leak'), '<>', 'has no machine';
    is $r->header('x-host'), '<>', 'nor its name';
    is $r->body, 'to=<>', 'to send to';

    isnt get($name, '/proxy')->status, 502, "$name: nothing is contacted";

    for my $path (qw(/replayed /public)) {
        $r = get($name, $path);
        is $r->header('fly-replay'), undef, "$name: no replay on $path";
        is $r->status, 404, 'but what it was';
    }

    is get($name, '/unbound')->body, '<>', "$name: nor without a router";

    $r = get($name, '/elsewhere');
    is $r->status, 302, "$name: a redirect";
    is $r->header('location'), 'https://openagents.example/', 'to there';

    $r = get($name, '/status');
    like $r->body, qr/route_not_found/, "$name: a page for another status";
    $r = get($name, '/missing');
    is $r->status, 404, "$name: a page that is not there";
}

is get('off', '/named')->header('x-leak'), '<>', 'disabled: no machine either';
is get('alice', '/')->header('fly-replay'), 'app=app;instance=m1',
    'a good one is replayed';

is get('alice', '/large', 'fly-replay-failed' => 'x')->body, 'failed page',
    'a failed replay has its page';
is get('alice', '/large', 'fly-replay-src' => 'instance=router1')->body,
    'failed page', 'a loop, too';
my $c = OA::Client->new($ng->port);
$c->send("POST /large HTTP/1.1\r\nHost: alice.openagents.example\r\n"
         . "Content-Length: 2000000\r\n\r\n");
is $c->response->body, 'failed page', 'and a large body';

unlike $ng->log, qr/secret\.vm/, 'the target is in no log';

done_testing;
