# A stream by Flycast: Fly Proxy starts the machine that we name, and no client
# names another.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(hmac_sha256);
use OA::Agent;
use OA::Events;
use OA::Nginx;
use OA::Resolver;
use OA::Routes qw(route routes_file);
use OA::Token qw(b64);

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    $c->head;
    $c->event("data: " . $request->header('fly-force-instance-id') . "\n\n");
    $c->end;
});
my $port = $agent->port;

my $dns = OA::Resolver->new(map { ("$_.flycast" => '127.0.0.1') } 'app1',
                            'app2');

my $ng = OA::Nginx->new(
    env => { KEY => 'key' },
    files => { 'routes.json' => routes_file(
        route('alice', route_id => 'r1', app => 'app1', machine => 'm1'),
        route('bob', route_id => 'r2', app => 'app2', machine => 'm2',
              status => 'suspended'),
        route('off', status => 'disabled'),
        route('new', machine => undef, status => 'provisioning')) },
    http => <<"CONF");
    resolver @{[ $dns->address ]};
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        oa_machine_key env:KEY;
        location / {
            oa_sse_pass        http://\$oa_flycast_host:$port/api/stream;
            oa_sse_set_header  fly-force-instance-id \$oa_machine;
        }
    }
CONF

sub ask {
    my ($who, @headers) = @_;
    return OA::Events->new($ng->port, '/chat', method => 'POST',
        host => "$who.openagents.example", body => '{"message":"m"}',
        headers => \@headers);
}

my %routes = (alice => [ 'app1', 'm1', 'r1' ], bob => [ 'app2', 'm2', 'r2' ]);
for my $who (sort keys %routes) {
    my ($app, $machine, $id) = @{ $routes{$who} };
    my $s = ask($who, 'fly-force-instance-id' => 'm9',
                'Fly-Force-Instance-Id' => 'm8', 'fly-prefer-region' => 'x',
                'fly-force-region' => 'x', 'fly-replay-src' => 'instance=m7');
    is_deeply [ map { $_->{data} } $s->all ], [ $machine, '[DONE]' ],
        "$who: the machine of the route";

    my $request = ($agent->requests)[-1];
    is $request->header('Host'), "$app.flycast:$port", "$who: its app";
    is $request->path, '/api/stream', "$who: path";
    is $request->header('Authorization'),
        'Bearer ' . b64(hmac_sha256($id, 'key')), "$who: its token";
    is_deeply [ map { lc $_->[0] } grep { $_->[0] =~ /^fly-/i }
                @{ $request->headers } ], [ 'fly-force-instance-id' ],
        "$who: and no other of such headers";
}

my $n = $agent->requests;
is ask('off')->status, 402, 'disabled';
is ask('nobody')->status, 404, 'no route';
my $s = ask('new');
is $s->status, 503, 'no machine yet' or diag $s->raw;
is $agent->requests, $n, 'nobody was asked';

done_testing;
