# oa_replay in the header format, with each of its parameters.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use OA::Client qw(http_get);
use OA::Nginx;
use OA::Routes qw(route routes_file);

my $ng = OA::Nginx->new(
    files => { 'routes.json' => routes_file(
        route('alice', app => 'app', machine => 'm1', region => undef,
              user_id => undef, agent_id => undef)) },
    http  => <<'CONF');
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        location /plain     { oa_replay; }
        location /header    { oa_replay format=header; }
        location /prefer    { oa_replay prefer; }
        location /timeout   { oa_replay timeout=800ms; }
        location /seconds   { oa_replay timeout=20s; }
        location /fallback  { oa_replay fallback=prefer_self; }
        location /force     { oa_replay fallback=force_self; }
        location /all {
            oa_replay prefer timeout=10m fallback=force_self status=409
                      format=header;
        }
        location /204       { oa_replay status=204; }
        location /200       { oa_replay status=200; }
        location /409       { oa_replay status=409; }
        location /cache     { oa_replay cache=/cache/*; }
        location /static    { oa_replay cache=/static/*,10s; }
        location /other     { oa_replay cache=/static/*,1h; }
    }
CONF

sub get {
    my ($path, %o) = @_;
    http_get($ng->port, $path, host => 'Alice.openagents.example:80', %o);
}

my %expected = (
    plain    => 'app=app;instance=m1',
    header   => 'app=app;instance=m1',
    prefer   => 'app=app;prefer_instance=m1',
    timeout  => 'app=app;instance=m1;timeout=800ms',
    seconds  => 'app=app;instance=m1;timeout=20s',
    fallback => 'app=app;instance=m1;fallback=prefer_self',
    force    => 'app=app;instance=m1;fallback=force_self',
    all      => 'app=app;prefer_instance=m1;timeout=10m;fallback=force_self',
);
for my $path (sort keys %expected) {
    is_deeply [ get("/$path")->header('fly-replay') ], [ $expected{$path} ],
        $path;
}

subtest 'nothing else in the answer' => sub {
    my $r = get('/plain');
    is $r->status, 307, 'status';
    is $r->body, '', 'no body';
    my %headers = map { lc $_->[0] => $_->[1] } @{ $r->headers };
    is_deeply [ sort keys %headers ],
        [ sort qw(server date connection content-length cache-control
                  fly-replay) ], 'the headers';
    is $headers{'content-length'}, 0, 'Content-Length';
    is $headers{'cache-control'}, 'no-store', 'Cache-Control';
};

for my $status (200, 204, 409) {
    my $r = get("/$status");
    is $r->status, $status, "status $status";
    is $r->header('fly-replay'), 'app=app;instance=m1', 'with the header';
    is $r->header('location'), undef, 'without Location';
    is $r->header('cache-control'), 'no-store', 'not stored';
    is $r->body, '', 'without body';
}
is get('/all')->status, 409, 'status among others';

for my $method (qw(HEAD POST PUT DELETE OPTIONS PATCH PROPFIND)) {
    my $r = get('/plain', method => $method);
    is $r->header('fly-replay'), 'app=app;instance=m1', $method;
    is $r->status, 307, "$method: status";
}

subtest 'cache' => sub {
    my $r = get('/cache/x?y');
    is $r->header('fly-replay'), 'app=app;instance=m1', 'fly-replay';
    is $r->header('fly-replay-cache'), 'alice.openagents.example/cache/*',
        'the prefix is of this host alone';
    is $r->header('fly-replay-cache-ttl-secs'), 60, '60 s by default';
    is $r->header('cache-control'), 'no-store', 'not stored elsewhere';
    is get('/static/x')->header('fly-replay-cache-ttl-secs'), 10, 'a time';

    is get('/plain')->header('fly-replay-cache'), undef, 'none elsewhere';
    is get('/other')->header('fly-replay-cache'), undef,
        'nor on a path outside the prefix';
};

done_testing;
