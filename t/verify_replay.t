# What a router has replayed to this machine passes oa_replay_verify.

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

my $master = 'the master key';

my $router = OA::Nginx->new(
    env   => { KEY => $master, FLY_MACHINE_ID => 'router1' },
    files => { 'routes.json' => routes_file(
        route('alice', app => 'app', machine => 'm1'),
        route('bob',   app => 'app', machine => 'm2'),
        route('carol', app => 'app2', machine => 'm1')) },
    http  => <<'CONF');
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    oa_replay_key env:KEY;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        location /        { oa_replay; }
        location /prefer  { oa_replay prefer; }
        location /machine {
            oa_replay;
            oa_replay_key env:KEY per=machine;
        }
    }
CONF

sub agent {
    my ($machine, $key) = @_;
    return OA::Nginx->new(
        env  => { KEY => $key, FLY_MACHINE_ID => $machine },
        http => <<'CONF');
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_replay_verify env:KEY;
        location / {
            add_header X-Sub "<$oa_replay_sub>" always;
            empty_gif;
        }
    }
CONF
}

my $per_app = hmac_sha256('app', $master);
my $per_machine = hmac_sha256('app/m1', $master);

my %agent = (
    m1          => agent('m1', encode_base64url($per_app)),
    hex         => agent('m1', unpack 'H*', $per_app),
    HEX         => agent('m1', uc unpack 'H*', $per_app),
    m2          => agent('m2', encode_base64url($per_app)),
    machine     => agent('m1', encode_base64url($per_machine)),
    'a longer'  => agent('m11', encode_base64url($per_app)),
);

# As Fly Proxy does it.
sub replayed {
    my ($host, $path) = @_;
    my $r = http_get($router->port, $path // '/',
                     host => "$host.openagents.example");
    my ($state) = $r->header('fly-replay') =~ /;state=([^;]+)/;
    return "instance=router1;region=fra;t=1700000000000000;state=$state";
}

sub get {
    my ($agent, $src) = @_;
    return http_get($agent{$agent}->port, '/',
                    headers => [ 'Fly-Replay-Src' => $src ]);
}

for my $case (
    [ 'alice', '/',        'm1' ], [ 'alice', '/',  'hex' ],
    [ 'alice', '/',        'HEX' ], [ 'bob', '/', 'm2' ],
    [ 'alice', '/prefer',  'm1' ], [ 'alice', '/prefer', 'm2' ],
    [ 'alice', '/machine', 'machine' ])
{
    my ($host, $path, $agent) = @$case;
    my $r = get($agent, replayed($host, $path));
    is $r->status, 200, "$host$path passes on $agent";
    is $r->header('x-sub'), '<>', 'nobody is named';
}

for my $case (
    [ 'alice', '/', 'm2', 'another machine' ],
    [ 'alice', '/', 'a longer', 'a machine with a longer name' ],
    [ 'bob', '/', 'm1', 'another machine, the other way' ],
    [ 'carol', '/', 'm1', 'another app' ],
    [ 'alice', '/machine', 'm1', 'a key per machine, where one per app is' ],
    [ 'alice', '/', 'machine', 'a key per app, where one per machine is' ],
    [ 'bob', '/machine', 'machine', 'another machine\'s own key' ])
{
    my ($host, $path, $agent, $name) = @$case;
    is get($agent, replayed($host, $path))->status, 403, $name;
}

unlike $_->log, qr/state=|\Q$master\E/, 'no secret is logged'
    for $router, values %agent;

done_testing;
