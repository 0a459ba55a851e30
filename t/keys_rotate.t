# Keys come and go: at the next fetch, in all workers, with all decisions that
# were made under them.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client;
use OA::Jwks;
use OA::Nginx;
use OA::Token qw(key $ISSUER);
use OA::Util qw(wait_for);

my @keys = map { key('ES256', kid => "k$_") } 0 .. 3;
my $jwks = OA::Jwks->new(keys => [ $keys[0] ]);

my $ng = OA::Nginx->new(workers => 4, http => <<"CONF");
    oa_issuer t {
        jwks_uri @{[ $jwks->url ]};
        issuer $ISSUER; audience authenticated;
        refresh 1s;
    }
    server {
        listen 127.0.0.1:%%PORT_0%% reuseport;
        keepalive_requests 100000;
        location / {
            oa_auth t;
            add_header X-Error \$oa_auth_error always;
            add_header X-Pid \$pid always;
            empty_gif;
        }
    }
CONF

# one connection to each worker
my %client;
wait_for {
    my $client = OA::Client->new($ng->port);
    $client{ $client->get('/')->header('X-Pid') } //= $client;
    keys %client == 4;
} 10;
is keys %client, 4, 'a connection to each worker';

sub told {
    my ($token) = @_;
    my %answers = map {
        my $r = $_->get('/', headers => [ Authorization => "Bearer $token" ]);
        ($r->status . ($r->header('X-Error') // '') => 1);
    } values %client;
    return join ' ', sort keys %answers;
}

my @tokens = map { $_->token } @keys;
ok +(wait_for { told($tokens[0]) eq '200' }), 'the first key';

# The new one stands by, then the old one goes, as Supabase does it.
for my $n (1 .. 3) {
    is told($tokens[$n - 1]), '200', "key $n: the old one is served";
    is told($tokens[$n - 1]), '200', 'from the cache';

    $jwks->publish(@keys[$n - 1, $n]);
    my $fetched = $jwks->count;
    ok $jwks->wait_requests($fetched + 2), 'a fetch of both';
    is told($tokens[$n - 1]), '200', 'the old one is not disturbed';
    is told($tokens[$n]), '200', 'the new one is served';

    $jwks->publish($keys[$n]);
    $fetched = $jwks->count;
    ok $jwks->wait_requests($fetched + 2), 'a fetch without the old one';
    is told($tokens[$n - 1]), '401key', 'what was cached under it is void';
    is told($tokens[$n]), '200', 'the new one stays';
}

# another key of the same kid
my $other = key('RS256', kid => 'k3');
$jwks->publish($other);
my $fetched = $jwks->count;
$jwks->wait_requests($fetched + 2);
is told($other->token), '200', 'a kid with a new key';
is told($tokens[3]), '401algorithm', 'no longer names the old one';

done_testing;
