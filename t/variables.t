# The router's variables, wherever nginx reads them.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use OA::Client qw(http_get);
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Util qw(slurp wait_for);

my @names = qw(subdomain route_id user_id agent_id app machine region
               route_status machine_host flycast_host route_cache);

my %alice = (
    route_id => '0b7e6a55-1c2d-4e3f-8a9b-0123456789ab', user_id => 'auth0|u.1',
    agent_id => 'A0000000-0000-4000-8000-00000000000F',
    app => 'app', machine => 'm1', region => 'fra',
);

my $format = join '|', map { "\$oa_$_" } @names;
my $ng = OA::Nginx->new(
    files => { 'routes.json' => routes_file(
        route('alice', %alice),
        route('private', %alice, access => 'owner'),
        route('bare', route_id => 'r', status => 'stopped',
              map { $_ => undef } qw(user_id agent_id app machine region)),
        route('half', %alice, machine => undef)) },
    http  => <<"CONF");
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    oa_routes empty {
        domain openagents.example;
        source file none.json;
    }
    log_format oa '$format';
    map \$oa_machine \$mapped {
        default 'none';
        m1      'first';
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        access_log oa.log oa;
        oa_router t;
        location / {
            add_header X-Oa '$format' always;
            oa_replay;
        }
        location /rewrite {
            set \$all '$format';
            return 200 \$all;
        }
        location /map { return 200 \$mapped; }
        location /off {
            oa_router off;
            return 200 '$format';
        }
        location /empty {
            oa_router empty;
            return 200 '$format';
        }
        location /moved {
            set \$before \$oa_machine;
            rewrite ^ /map last;
        }
    }
    server {
        listen 127.0.0.1:%%PORT_1%%;
        return 200 '$format|\$oa_machine_token|\$oa_return_url|\$oa_replay_sub';
    }
CONF
$ng->expect_log(qr/none\.json/);

sub get {
    my ($name, $path, $port) = @_;
    return http_get($ng->port($port // 0), $path // '/',
                    host => "$name.openagents.example");
}

my $all = "alice|$alice{route_id}|$alice{user_id}|$alice{agent_id}|app|m1|fra"
    . '|running|m1.vm.app.internal|app.flycast|hit';

is get('alice')->header('x-oa'), $all, 'in the answer';
is get('ALICE', '/rewrite')->body, $all, 'in the rewrite phase';
is get('alice', '/map')->body, 'first', 'in a map';
is get('alice', '/moved')->body, 'first', 'after a rewrite';
is get('nobody', '/map')->body, 'none', 'without a route';

is get('bare', '/rewrite')->body, 'bare|r||||||stopped|||hit',
    'what a row does not have is empty';
is get('half', '/rewrite')->body,
    "half|$alice{route_id}|$alice{user_id}|$alice{agent_id}|app||fra|running||"
    . 'app.flycast|hit', 'a host needs its parts';
is get('nobody', '/rewrite')->body, 'nobody||||||||||none', 'no route';
is get('x.alice', '/rewrite')->body, '||||||||||none', 'no label';

is get('alice', '/off')->body, '||||||||||', 'oa_router off';
is get('alice', '/empty')->body, 'alice||||||||||none', 'another router';
is get('alice', '/', 1)->body, '|||||||||||||', 'no router';

is get('private')->header('x-oa'),
    "private|$alice{route_id}|$alice{user_id}|$alice{agent_id}|||fra|running"
    . '|||hit', 'refused: nothing that leads to the machine';

my $log = $ng->path('oa.log');
ok +(wait_for { -e $log && slurp($log) =~ /^\Q$all\E$/m } 5), 'in the log';
ok +(wait_for { slurp($log) =~ /^nobody\|{10}none$/m } 5),
    'of a name without route';
ok +(wait_for {
    slurp($log) =~ /^private\|.*\|\|\|fra\|running\|\|\|hit$/m
} 5), 'of one that was refused';

done_testing;
