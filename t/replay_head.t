# json: the answer to HEAD has no body, so only what needs none is replayed.

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
        location / { oa_replay format=json; }
        location /set {
            oa_replay;
            oa_replay_set_header X-A a;
        }
        location /hide {
            oa_replay;
            oa_replay_hide_header X-A;
        }
        location /header { oa_replay format=header; }
    }
CONF

sub head {
    my ($path, @headers) = @_;
    return http_request($ng->port, $path, method => 'HEAD',
                        host => 'alice.openagents.example',
                        headers => \@headers);
}

my $r = head('/', Cookie => 'a=b', 'Sec-WebSocket-Protocol' => 'chat');
is $r->status, 307, 'nothing to take out';
is $r->header('fly-replay'), 'app=app;instance=m1', 'goes by the header';
is $r->header('content-type'), undef, 'no type';

for my $case ([ '/', 'a token', Authorization => 'Bearer x' ],
              [ '/', 'a machine', 'Fly-Force-Instance-Id' => 'x' ],
              [ '/', 'a preference', 'fly-prefer-region' => 'ams' ],
              [ '/?access_token=x', 'a token in the path' ],
              [ '/set', 'a header to set' ],
              [ '/hide', 'a header to hide' ])
{
    my ($path, $name, @headers) = @$case;
    my $r = head($path, @headers);
    is $r->header('fly-replay'), undef, "$name: not replayed";
    is $r->status, 405, "$name: status";
}

is head('/header', Authorization => 'x')->header('fly-replay'),
    'app=app;instance=m1', 'the header format takes nothing out';

done_testing;
