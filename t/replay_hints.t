# What a request says of earlier replays can end it, and do nothing else.

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
    env   => { FLY_MACHINE_ID => 'router1', KEY => 'key' },
    files => { 'routes.json' => routes_file(
        route('alice', app => 'app', machine => 'm1'),
        route('private', access => 'owner'),
        route('off', status => 'disabled')) },
    http  => <<'CONF');
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        location / { oa_replay; }
        location /json { oa_replay format=json; }
        location /key {
            oa_replay;
            oa_replay_key env:KEY;
        }
        location /machine {
            oa_replay;
            oa_replay_key env:KEY per=machine;
        }
    }
CONF

sub answer {
    my ($path, $host, @headers) = @_;
    my $r = http_get($ng->port, $path, host => "$host.openagents.example",
                     headers => \@headers);
    return $r->header('fly-replay') ? 'replay' : $r->status . ' '
        . ($r->body =~ /"code":"(\w+)"/ ? $1 : '');
}

# A state as a router makes it.
sub state {
    my (%o) = @_;
    my $signed = sprintf 'v1.%d.-.', time + ($o{ahead} // 60);
    my $k = hmac_sha256($o{derive} // 'app', $o{key} // 'key');
    return $signed . encode_base64url(
        hmac_sha256($signed . ($o{target} // 'm1'), $k));
}

sub src { ('fly-replay-src' => "instance=$_[0];region=fra;t=1;state=$_[1]") }

is answer('/', 'alice'), 'replay', 'no hint';

my @failed = ('Fly-Replay-Failed' => 'instance=m1;app=app;region=fra;'
              . 'replay_source=router1;reason=timeout;elapsed_ms=20000');
is answer('/', 'alice', @failed), '502 replay_failed', 'a failed replay';
is answer('/json', 'alice', @failed), '502 replay_failed', 'json';
is answer('/', 'alice', 'fly-replay-failed' => 'x'), '502 replay_failed',
    'whatever it says';
is answer('/', 'nobody', @failed), '404 route_not_found', 'no route';
is answer('/', 'private', @failed), '404 route_not_found', 'no access';
is answer('/', 'off', @failed), '402 disabled', 'disabled';

is answer('/', 'alice', src('router1', '')), '508 replay_loop',
    'a replay from here';
is answer('/', 'alice', 'fly-replay-src' => 'instance=router1'),
    '508 replay_loop', 'with nothing else';
is answer('/', 'nobody', src('router1', '')), '404 route_not_found',
    'no route';
is answer('/', 'alice', src('router2', '')), 'replay', 'from elsewhere';
is answer('/', 'alice', src('router11', '')), 'replay', 'a longer name';
is answer('/', 'alice', src('router', '')), 'replay', 'a shorter name';
is answer('/', 'alice', 'fly-replay-src' => $_), 'replay', "malformed: $_"
    for '', ';', 'router1', 'x;y=z';
is answer('/', 'alice', src('router1', ''), src('router2', '')),
    '508 replay_loop', 'another one behind it hides nothing';
is answer('/', 'alice', src('router2', ''), src('router1', '')),
    '508 replay_loop', 'nor before it';

is answer('/key', 'alice', src('router2', state())), '508 replay_loop',
    'from another router with our key';
is answer('/machine', 'alice', src('router2', state(derive => 'app/m1'))),
    '508 replay_loop', 'with a key per machine';
for my $case ([ 'expired',       ahead => -1 ],
              [ 'another key',   key => 'yek' ],
              [ 'another app',   derive => 'app2' ],
              [ 'per machine',   derive => 'app/m1' ],
              [ 'other machine', target => 'm2' ])
{
    my ($name, %o) = @$case;
    is answer('/key', 'alice', src('router2', state(%o))), 'replay',
        "a state that is not ours: $name";
}

my $unavailable = 'fly-preferred-instance-unavailable';
is answer('/', 'alice', $unavailable => 'm1'), '502 replay_failed',
    'this machine is unavailable';
is answer('/', 'alice', $unavailable => 'm2'), 'replay', 'another is';
is answer('/', 'alice', $unavailable => 'm11'), 'replay', 'a longer name';
is answer('/', 'alice', $unavailable => 'm1', $unavailable => 'm2'),
    '502 replay_failed', 'several: any';
is answer('/', 'nobody', $unavailable => 'm1'), '404 route_not_found',
    'no route';

done_testing;
