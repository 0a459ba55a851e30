# oa_replay in the json format: the same fields, and the cache.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP qw(decode_json);

use OA::Client qw(http_get);
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
        location /plain     { oa_replay format=json; }
        location /all {
            oa_replay format=json prefer timeout=20s fallback=prefer_self
                      status=200;
        }
        location /cache     { oa_replay format=json cache=/cache/*,2m; }
    }
CONF

sub get {
    my ($path, %o) = @_;
    return http_get($ng->port, $path, host => 'ALICE.openagents.example.:1',
                    %o);
}

my @forced = qw(fly-force-instance-id fly-force-region fly-prefer-instance-id
                fly-prefer-region);
my %transform = (transform => { delete_headers => [ 'authorization',
                                                    @forced ] });

sub json {
    my $json = decode_json(get(@_)->body);
    my $deletes = $json->{transform}{delete_headers};
    @$deletes = sort @$deletes;
    return $json;
}

subtest 'the answer' => sub {
    my $r = get('/plain');
    is $r->status, 307, 'status';
    is $r->header('content-type'), 'application/vnd.fly.replay+json', 'type';
    is $r->header('content-length'), length $r->body, 'length';
    is $r->header('cache-control'), 'no-store', 'not stored';
    is $r->header('location'), undef, 'no Location';
    is $r->header('fly-replay'), undef, 'no header beside it';
};

is_deeply json('/plain'), { app => 'app', instance => 'm1', %transform },
    'plain';
is_deeply json('/plain?a=b&c'), { app => 'app', instance => 'm1', %transform },
    'the path is not told without need';
is_deeply json('/all'),
    { app => 'app', prefer_instance => 'm1', timeout => '20s',
      fallback => 'prefer_self', %transform }, 'all fields';
is get('/all')->status, 200, 'a status';
is_deeply json('/cache/x'),
    { app => 'app', instance => 'm1', %transform,
      cache => { prefix => 'alice.openagents.example/cache/*', ttl => 120 } },
    'cache';
is get('/cache/x')->header('fly-replay-cache'), undef, 'not as a header';

is_deeply json('/plain', method => 'POST', body => 'x=y'),
    { app => 'app', instance => 'm1', %transform }, 'POST';

done_testing;
