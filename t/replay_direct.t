# Large bodies by nginx's own proxy_pass: to the machine, or by Flycast, as the
# documentation has it; what is small is replayed.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(hmac_sha256);
use OA::Agent;
use OA::Client qw(http_request);
use OA::Nginx;
use OA::Resolver;
use OA::Routes qw(route routes_file);
use OA::Token qw(key jwks b64 $ISSUER $USER);

my $key = key('ES256', kid => 'k1');

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    my $text = join ' ', $request->method, $request->path,
                         length $request->body;
    $c->head(status => 200, type => 'text/plain', length => length $text);
    $c->event($text);
    $c->end;
});
my $port = $agent->port;

my $dns = OA::Resolver->new('m1.vm.app1.internal' => '127.0.0.1',
                            'app1.flycast' => '127.0.0.1');

my $ng = OA::Nginx->new(
    env => { KEY => 'key' },
    files => {
        'jwks.json' => jwks($key),
        'routes.json' => routes_file(
            route('alice', route_id => 'r1', app => 'app1', machine => 'm1',
                  user_id => $USER, access => 'owner'),
            route('bob', app => 'app1', machine => 'm2', access => 'owner'),
            route('asleep', app => 'app1', machine => 'm3',
                  user_id => $USER)) },
    http => <<"CONF");
    resolver @{[ $dns->address ]};
    oa_issuer t {
        jwks_file jwks.json;
        issuer $ISSUER; audience authenticated;
    }
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        client_max_body_size 0;
        oa_router t;
        oa_auth t;
        oa_machine_key env:KEY;

        location / {
            oa_replay;
            oa_replay_large \@direct;
        }
        location \@direct {
            proxy_pass               http://\$oa_machine_host:$port;
            proxy_request_buffering  off;
            proxy_http_version       1.1;
            proxy_set_header         Authorization "Bearer \$oa_machine_token";
            proxy_set_header         Cookie "";
        }

        location /flycast {
            oa_replay;
            oa_replay_large \@flycast;
        }
        location \@flycast {
            proxy_pass               http://\$oa_flycast_host:$port;
            proxy_request_buffering  off;
            proxy_http_version       1.1;
            proxy_set_header         fly-force-instance-id \$oa_machine;
            proxy_set_header         Authorization "Bearer \$oa_machine_token";
            proxy_set_header         Cookie "";
        }
    }
CONF

my $large = 'x' x (1024 * 1024 + 1);
my @headers = (Authorization => 'Bearer ' . $key->token,
               Cookie => '__Host-t=' . $key->token,
               'fly-force-instance-id' => 'm9');

sub post {
    my ($who, $path, $body, @more) = @_;
    return http_request($ng->port, $path, method => 'POST', body => $body,
                        host => "$who.openagents.example",
                        headers => [ @headers, @more ]);
}

is post('alice', $_, 'small')->status, 307, "$_: a small one is replayed"
    for '/a', '/flycast/a';
is $agent->requests, 0, 'the machine was not asked by us';

my %targets = ('/up?a=b' => 'm1.vm.app1.internal',
               '/flycast/up?a=b' => 'app1.flycast');
for my $path (sort keys %targets) {
    my $r = post('alice', $path, $large);
    is $r->status, 200, "$path: a large one";
    is $r->body, "POST $path " . length $large, "$path: as it was";

    my $request = ($agent->requests)[-1];
    is $request->header('Host'), "$targets{$path}:$port", "$path: Host";
    is_deeply [ $request->header('Authorization') ],
        [ 'Bearer ' . b64(
            hmac_sha256('r1', 'key')) ],
        "$path: the machine's token alone";
    is $request->header('Cookie'), undef, "$path: no cookie";
    is_deeply [ $request->header('fly-force-instance-id') ], [ 'm1' ],
        "$path: the machine of the route, whatever a client says"
        if $path =~ /flycast/;
}
# who may not, may not here either, and before the body comes
my $n = $agent->requests;
for my $path ('/a', '/flycast/a') {
    for my $case ([ 404, 'bob' ], [ 404, 'nobody' ],
                  [ 401, 'alice', Authorization => 'Bearer x' ])
    {
        my ($status, $who, @more) = @$case;
        my $c = OA::Client->new($ng->port);
        my @lines = @more ? "$more[0]: $more[1]"
                          : 'Authorization: Bearer ' . $key->token;
        $c->send(join "\r\n", "POST $path HTTP/1.1",
                 "Host: $who.openagents.example", 'Content-Length: 2000000',
                 @lines, '', '');
        is $c->response->status, $status, "$path, $who: $status";
    }
}
is $agent->requests, $n, 'the machine was not asked';

# a machine that sleeps has no address of its own
is post('asleep', '/a', $large)->status, 502, 'asleep: not directly';
is post('asleep', '/flycast/a', $large)->status, 200, 'but by Flycast';
is(($agent->requests)[-1]->header('fly-force-instance-id'), 'm3',
   'which starts it');

done_testing;
