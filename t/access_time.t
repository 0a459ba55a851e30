# A stranger cannot tell a route from a name that nobody has by the time that
# the answer takes.

use strict;
use warnings;

use List::Util qw(shuffle);
use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client;
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Token qw(key jwks uuid $ISSUER $USER);

# Names are measured by turns, and their medians compared.  Of a busy machine
# a round may be spoilt; a difference that is there is there in all.
my $samples = 200;
my $rounds = 5;
my $within = 1.2;

my $key = key('ES256', kid => 'k1');
my @names = qw(alicea nobody disabl longer);

my $ng = OA::Nginx->new(
    files => {
        'keys.json'   => jwks($key),
        'routes.json' => routes_file(
            route('alicea', user_id => $USER, access => 'owner'),
            route('disabl', user_id => $USER, access => 'owner',
                  status => 'disabled'),
            route('longer', user_id => $USER, access => 'owner',
                  app => 'a' x 63, machine => 'm' x 63)),
    },
    http => <<"CONF");
    keepalive_requests 100000;
    oa_issuer t {
        jwks_file keys.json; issuer $ISSUER; audience authenticated;
    }
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        oa_auth t;
        oa_login_url https://openagents.example/login?next=\$oa_return_url;
        location / { oa_replay; }
    }
CONF

my $client = OA::Client->new($ng->port);

sub medians {
    my (@headers) = @_;
    my (%took, %median);
    for (1 .. $samples) {
        for my $name (shuffle @names) {
            my $start = time;
            $client->get('/', host => "$name.openagents.example",
                         headers => \@headers);
            push @{ $took{$name} }, time - $start;
        }
    }
    $median{$_} = (sort { $a <=> $b } @{ $took{$_} })[$samples / 2]
        for @names;
    return %median;
}

my @who = (
    nobody         => [],
    'a browser'    => [ Accept => 'text/html' ],
    'another user' => [ Authorization => 'Bearer '
                        . $key->token({ sub => uuid() }) ],
    'a bad token'  => [ Authorization => 'Bearer x' ],
);

while (my ($who, $headers) = splice @who, 0, 2) {
    my (%median, @said, $alike);
    for (1 .. $rounds) {
        %median = medians(@$headers);
        my ($least, $most) = (sort { $a <=> $b } values %median)[0, -1];
        push @said, join ', ', map { sprintf '%s %.0f us', $_,
                                     1e6 * $median{$_} } @names;
        last if $alike = $most < $within * $least;
    }
    ok $alike, "$who: all names take as long ($said[-1])"
        or diag join "\n", @said;
}

done_testing;
