# Many names that nobody has, one after another: each is asked for and answered,
# and a route that must be asked for too is found among them.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client;
use OA::Nginx;
use OA::Postgres;
use OA::Routes qw(insert_route);
use OA::Util qw(wait_for);

my $N = 6000;

my $pg = OA::Postgres->new->apply;
insert_route($pg, 'alice', machine => 'm1');

my $ng = OA::Nginx->new(workers => 2, http => <<"CONF");
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}';
    oa_routes t { domain openagents.example; source postgres; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        keepalive_requests 1000000;
        oa_router t;
        location / { oa_replay; }
    }
CONF

ok $ng->wait_log(qr/1 routes read from the database/), 'the first read';

my $session = $pg->dbh;
$session->do('SET session_replication_role = replica');
insert_route($pg, "cold$_", machine => "m$_") for 1 .. 20;
$session->do('SET session_replication_role = origin');

my $client = OA::Client->new($ng->port);
my (%status, $found);

for my $n (1 .. $N) {
    my $r = $client->get('/', host => "nobody$n.openagents.example");
    $status{ $r->status }++;
    next if $n % ($N / 20);
    my $cold = 'cold' . $n / ($N / 20);
    $r = $client->get('/', host => "$cold.openagents.example");
    $found++ if ($r->header('fly-replay') // '') =~ /^app=oa-$cold;/;
}

is_deeply \%status, { 404 => $N }, 'nobody has any of them';
is $found, 20, 'and each cold route is found';

# and at the same time, from many clients

my @clients = map { OA::Client->new($ng->port) } 1 .. 300;
$clients[$_]->send("GET / HTTP/1.1\r\nHost: many$_.openagents.example\r\n\r\n")
    for 0 .. $#clients;
is +(grep { $_->response->status != 404 } @clients), 0, 'all at once';

done_testing;
