# What a row's status makes of a request, after access.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use OA::Client qw(http_get);
use OA::Nginx;
use OA::Routes qw(route routes_file);

my %none = (machine => undef, app => undef);

my $ng = OA::Nginx->new(
    files => { 'routes.json' => routes_file(
        (map { route("x$_", status => $_),
               route("private-$_", status => $_, access => 'owner'),
               route("bare-$_", status => $_, %none) }
         qw(running stopped suspended provisioning error disabled)),
        route('no-machine', machine => undef),
        route('no-app', app => undef),
        route('half', status => 'provisioning', machine => undef)) },
    http  => <<'CONF');
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        location / { oa_replay; }
        location /other { empty_gif; }
    }
CONF

sub answer {
    my ($name, $path) = @_;
    my $r = http_get($ng->port, $path // '/',
                     host => "$name.openagents.example");
    my $retry = $r->header('retry-after');
    return $r->status . ($r->body =~ /"code":"(\w+)"/ ? " $1" : '')
        . (defined $retry && $retry =~ /^[1-9]\d*$/ ? ' later' : '');
}

is answer("x$_"), 307, $_ for qw(running stopped suspended);
is answer('xdisabled'), '402 disabled', 'disabled';
is answer('xerror'), '503 provision_failed later', 'error';
is answer("bare-$_"), '503 provisioning later', "$_ without a machine"
    for qw(running stopped suspended provisioning);
is answer('bare-disabled'), '402 disabled', 'disabled without a machine';
is answer($_), '503 provisioning later', $_ for qw(no-machine no-app half);

is answer("private-$_"), '404 route_not_found', "$_, but private"
    for qw(running stopped suspended provisioning error disabled);

is answer('xdisabled', '/other'), '402 disabled', 'in any location';

done_testing;
