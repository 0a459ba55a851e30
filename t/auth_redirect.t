# A request that goes on in another location is judged by that one, even where
# it has waited for its key in the first.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get request_bytes);
use OA::Jwks;
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Token qw(key jwks uuid $ISSUER $USER);

my $key = key('ES256', kid => 'k1');
my $late = key('ES256', kid => 'late');
my $keys = OA::Jwks->new(keys => [ $key ]);
my $host = 'alice.openagents.example';

my $ng = OA::Nginx->new(
    files => {
        'keys.json'   => jwks(key('ES256', kid => 'partner')),
        'routes.json' => routes_file(
            route('alice', user_id => $USER, access => 'authenticated')),
    },
    http => <<"CONF");
    oa_issuer t {
        jwks_uri @{[ $keys->url ]}; issuer $ISSUER; audience authenticated;
    }
    oa_issuer partner {
        jwks_file keys.json; issuer https://partner.example;
        audience authenticated;
    }
    oa_routes t {
        domain openagents.example; source file routes.json; users t;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%DIR%%;
        oa_auth t;

        location /plain/ {
            location /plain/same   { try_files /none /good; }
            location /plain/aal    { try_files /none /aal; }
            location /plain/other  { try_files /none /other; }
            location /plain/router { try_files /none /router; }
            location /plain/owner  { try_files /none /owner; }
        }
        location /routed/ {
            oa_router t;
            location /routed/same  { try_files /none /good; }
            location /routed/aal   { try_files /none /aal; }
            location /routed/other { try_files /none /other; }
            location /routed/router { try_files /none /router; }
            location /routed/owner { try_files /none /owner; }
        }
        location = /good { empty_gif; }
        location = /aal { oa_auth_require aal eq aal2; empty_gif; }
        location = /other { oa_auth partner; empty_gif; }
        location = /router { oa_router t; empty_gif; }
        location = /owner { oa_router t; oa_access owner; empty_gif; }
    }
CONF

ok $keys->wait_requests(1), 'the keys are read';

my %status = (same => 200, aal => 403, other => 401, router => 200,
              owner => 404);
my @paths = map { my $at = $_; map { "/$at/$_" } sort keys %status }
            qw(plain routed);

sub bytes {
    my ($path, $key) = @_;
    my $token = $key->token({ sub => uuid() });
    return request_bytes($path, host => $host,
                         headers => [ Authorization => "Bearer $token" ]);
}

sub check {
    my ($what, $key, $while) = @_;
    my @clients = map { OA::Client->new($ng->port) } @paths;
    $clients[$_]->send(bytes($paths[$_], $key)) for 0 .. $#paths;
    $while->();
    for (0 .. $#paths) {
        my ($to) = $paths[$_] =~ /(\w+)$/;
        is $clients[$_]->response->status, $status{$to}, "$what: $paths[$_]";
    }
}

my $client = OA::Client->new($ng->port);
$client->send(bytes('/good', $key));
is $client->response->status, 200, 'a known key';

check('at once', $key, sub {});

my $n = $keys->count;
$keys->fault(hold => 1);
check('after a wait', $late, sub {
    ok $keys->wait_requests($n + 1), 'the key is asked for';
    $keys->publish($key, $late);
    $keys->fault();
});

done_testing;
