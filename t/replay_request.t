# A replay whatever the request looks like: bodies, upgrades, conditions.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use OA::Client qw(http_request http_raw);
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
        location /     { oa_replay; }
        location /200  { oa_replay status=200; }
        location /json { oa_replay format=json status=200; }
    }
CONF

my $host = 'alice.openagents.example';
my $replay = 'app=app;instance=m1';

subtest 'a connection is kept over a body' => sub {
    my $c = OA::Client->new($ng->port);
    my $body = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n" x 1000;
    for (1 .. 3) {
        my $r = $c->get('/', host => $host, method => 'POST', body => $body);
        is $r->status, 307, 'replayed';
        is $r->header('fly-replay'), $replay, 'to the machine';
        isnt $r->header('connection'), 'close', 'kept';
    }
    $c->send("GET / HTTP/1.1\r\nHost: $host\r\n\r\n" x 3);
    is $c->response->header('fly-replay'), $replay, 'pipelined' for 1 .. 3;
    is $c->get('/', host => 'x')->status, 404, 'and the last';
};

subtest 'an upgrade is the machine\'s to answer' => sub {
    for my $connection ('Upgrade', 'keep-alive, Upgrade') {
        my $c = OA::Client->new($ng->port);
        my $r = $c->get('/ws', host => $host, headers => [
            Connection => $connection, Upgrade => 'websocket',
            'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==',
            'Sec-WebSocket-Version' => 13 ]);
        is $r->status, 307, "Connection: $connection";
        is $r->header('fly-replay'), $replay, 'a plain replay';
        is $r->header('upgrade'), undef, 'no upgrade';
    }
};

# conditions are about what the machine has
for my $path ('/', '/200', '/json') {
    for my $header ([ 'If-None-Match' => '*' ], [ 'If-None-Match' => '"x"' ],
                    [ 'If-Match' => '"x"' ],
                    [ 'If-Modified-Since' => 'Thu, 01 Jan 2099 00:00:00 GMT' ],
                    [ 'If-Unmodified-Since' =>
                      'Thu, 01 Jan 1970 00:00:00 GMT' ],
                    [ 'Range' => 'bytes=0-1' ])
    {
        my $r = http_request($ng->port, $path, host => $host,
                             headers => $header);
        is $r->status, $path eq '/' ? 307 : 200, "$path with $header->[0]";
        ok +($path eq '/json'
                ? $r->header('content-type') =~ m{^application/vnd\.fly}
                : $r->header('fly-replay')), 'is a replay';
    }
}

done_testing;
