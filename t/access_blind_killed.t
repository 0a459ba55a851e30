# The worker that asked for all dies on the way: those who wait to be refused
# a route ask again, as for a name that nobody has.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client;
use OA::Nginx;
use OA::Postgres;
use OA::Routes qw(insert_route uuid);
use OA::Token qw(key jwks $ISSUER $USER);
use OA::Util qw(wait_for slurp);

my $pg = OA::Postgres->new(conf => { log_error_verbosity => 'default' });
$pg->apply;
insert_route($pg, 'alice', user_id => $USER, access => 'owner');
$pg->log_queries('oa_router');

my $key = key('ES256', kid => 'k1');
my $wrong = $key->token({ sub => uuid() });

my $ng = OA::Nginx->new(workers => 3, files => { 'keys.json' => jwks($key) },
                        http => <<"CONF");
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}' timeout=10s;
    oa_issuer t {
        jwks_file keys.json; issuer $ISSUER; audience authenticated;
    }
    oa_routes t { domain openagents.example; source postgres; }
    server {
        listen 127.0.0.1:%%PORT_0%% reuseport;
        oa_router t;
        oa_auth t;
        location / { oa_replay; }
    }
CONF

sub asked {
    my ($name) = @_;
    my $n = () = $pg->log =~ /parameters: \$1 = '\{"?$name"?\}'/g;
    return $n;
}

# The process that holds the other end of the session that asks.
sub asker {
    my $port = $pg->row(q{SELECT client_port FROM pg_stat_activity
        WHERE usename = 'oa_router' AND wait_event_type = 'Lock'
          AND query LIKE '%routes_named%'
        ORDER BY query_start DESC LIMIT 1}) or return;
    my $ends = sprintf ':%04X [0-9A-F]+:%04X 01 ', $port, $pg->port;
    my ($inode) = map { (split)[9] } grep { /$ends/ }
                  split /\n/, slurp('/proc/net/tcp');
    defined $inode or return;
    for my $pid ($ng->worker_pids) {
        return $pid if grep { (readlink // '') eq "socket:[$inode]" }
                       glob "/proc/$pid/fd/*";
    }
    return;
}

ok $ng->wait_log(qr/1 routes read from the database/), 'the first read';

for my $name (qw(nobody alice)) {
    my $lock = $pg->connect(AutoCommit => 0);
    $lock->do('LOCK public.agent_instances IN ACCESS EXCLUSIVE MODE');

    my @clients = map { OA::Client->new($ng->port) } 1 .. 40;
    $_->send("GET / HTTP/1.1\r\nHost: $name.openagents.example\r\n"
             . "Authorization: Bearer $wrong\r\n\r\n") for @clients;

    ok +(wait_for { asked($name) }), "$name: it is asked";
    my $pid;
    ok +(wait_for { $pid = asker() } 5), 'by a worker';

    my ($index) = grep { ($ng->worker_pids)[$_] == $pid } 0 .. 2;
    is $ng->kill_worker($index), $pid, 'which dies';

    ok +(wait_for { asked($name) == 2 } 5), 'another one asks, once';
    $lock->rollback;

    my %n = (404 => 0, cut => 0);
    for my $client (@clients) {
        my $r = eval { $client->response };
        $n{ $r ? $r->status : 'cut' }++;
    }
    cmp_ok $n{404}, '>', 0, "$n{404} answers";
    is $n{404} + $n{cut}, 40, "all but $n{cut}, cut off with the worker: 404"
        or diag explain \%n;
    is asked($name), 2, 'two queries in all';
}

done_testing;
