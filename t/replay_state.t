# state= is v1.EXP.SUB.MAC, bound to app, machine and time.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA qw(hmac_sha256);
use JSON::PP qw(decode_json);
use MIME::Base64 qw(encode_base64url);

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Routes qw(route routes_file);

my $key = "a key\xff of any bytes, and of any length" . 'x' x 100;

my $ng = OA::Nginx->new(
    files => {
        'routes.json' => routes_file(
            route('alice', app => 'app', machine => 'm1'),
            route('bob',   app => 'app', machine => 'm2'),
            route('carol', app => 'app2', machine => 'm1')),
        'key' => "$key\n",
    },
    http  => <<'CONF');
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    oa_replay_key file:key;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        location /app      { oa_replay; }
        location /timeout  { oa_replay timeout=90s; }
        location /ms       { oa_replay timeout=1500ms; }
        location /prefer   { oa_replay prefer; }
        location /json     { oa_replay format=json fallback=force_self; }
        location /machine {
            oa_replay;
            oa_replay_key file:key per=machine;
        }
        location /machine_prefer {
            oa_replay prefer;
            oa_replay_key file:key per=machine;
        }
        location /said {
            oa_replay;
            oa_replay_key file:key per=app;
        }
    }
CONF

# The state of an answer, once it is what it should be.
sub check {
    my ($path, $name, %o) = @_;
    my $before = time;
    my $r = http_get($ng->port, "/$path",
                     host => ($o{host} // 'alice') . '.openagents.example');
    my $after = time;
    my $state = $o{json} ? decode_json($r->body)->{state}
        : ($r->header('fly-replay') =~ /;state=([^;]*)(?:;|$)/)[0];

    like $state, qr/^v1\.[1-9]\d*\.-\.[A-Za-z0-9_-]{43}$/, "$name: form"
        or return;
    my ($signed, $exp, $mac) = $state =~ /^(v1\.(\d+)\.-\.)(.*)$/;
    my $k = hmac_sha256($o{derive} // 'app', $key);
    is $mac, encode_base64url(hmac_sha256($signed . ($o{target} // 'm1'), $k)),
        "$name: MAC";
    my $ahead = 60 + ($o{timeout} // 0);
    # nginx's clock ticks with its events
    ok $exp >= $before + $ahead - 1 && $exp <= $after + $ahead + 1,
        "$name: EXP is $ahead s ahead" or diag $exp - $before;
    return $state;
}

check('app', 'per app');
check('app', 'another machine', host => 'bob', target => 'm2');
check('app', 'another app', host => 'carol', derive => 'app2');
check('said', 'per=app');
check('machine', 'per machine', derive => 'app/m1');
check('machine', 'another', host => 'bob', derive => 'app/m2', target => 'm2');
check('prefer', 'prefer', target => '');
check('machine_prefer', 'prefer, per machine', derive => 'app/m1',
      target => '');
check('timeout', 'with a timeout', timeout => 90);
check('ms', 'with a part of a second', timeout => 2);
check('json', 'json', json => 1);

is http_get($ng->port, '/timeout', host => 'alice.openagents.example')
    ->header('fly-replay') =~ s/=v1\.[^;]*/=STATE/r,
    'app=app;instance=m1;state=STATE;timeout=90s', 'its place in the header';

unlike $ng->log, qr/a key/, 'the key is not logged';

done_testing;
