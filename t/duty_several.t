# Each oa_routes is kept in step, however many there are.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Postgres;
use OA::Routes qw(insert_route routes_file);
use OA::Util qw(wait_for);

my $pg = OA::Postgres->new->apply;
insert_route($pg, 'alice', machine => 'm1');

sub config { <<"CONF" }
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}';
    oa_routes one { domain one.example; source postgres; }
    oa_routes two { domain two.example; source postgres; }
    oa_routes three { domain three.example; source file %%DIR%%/r.json; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name *.one.example; oa_router one;
        location / { oa_replay; }
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name *.two.example; oa_router two;
        location / { oa_replay; }
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name *.three.example; oa_router three;
        location / { oa_replay; }
    }
CONF

my $ng = OA::Nginx->new(workers => 2, http => config(),
                        files => { 'r.json' => routes_file('alice') });

sub target {
    my ($name, $domain) = @_;
    my $r = http_get($ng->port, '/', host => "$name.$domain.example");
    return $r->header('fly-replay') // $r->status;
}

sub in_step {
    my ($machine) = @_;
    $pg->do('UPDATE public.agent_instances SET fly_machine_id = ?', $machine);
    $ng->write_file('r.json', routes_file(
        OA::Routes::route('alice', machine => $machine)));
    for my $domain (qw(one two three)) {
        wait_for { target('alice', $domain) =~ /instance=$machine$/ } 5;
        is target('alice', $domain), "app=oa-alice;instance=$machine",
            "$machine: $domain";
    }
}

for my $name (qw(one two three)) {
    ok $ng->wait_log(qr/duty "routes:$name" taken/, 3), "$name: a duty";
}
in_step('m2');

ok $ng->reload, 'a reload';
in_step('m3');

$ng->kill_worker(0);
in_step('m4');

done_testing;
