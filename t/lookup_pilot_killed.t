# The worker that asked for all dies on the way: the others ask again.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client;
use OA::Nginx;
use OA::Postgres;
use OA::Routes qw(insert_route);
use OA::Util qw(wait_for slurp);

my $pg = OA::Postgres->new(conf => { log_error_verbosity => 'default' });
$pg->apply;
insert_route($pg, 'alice', machine => 'm1');
$pg->log_queries('oa_router');

my $ng = OA::Nginx->new(workers => 4, http => <<"CONF");
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}' timeout=10s;
    oa_routes t { domain openagents.example; source postgres; }
    server {
        listen 127.0.0.1:%%PORT_0%% reuseport;
        oa_router t;
        location / {
            add_header X-Pid \$pid always;
            oa_replay;
        }
    }
CONF

sub asked {
    my ($name) = @_;
    my $n = () = $pg->log =~ /parameters: \$1 = '\{$name\}'/g;
    return $n;
}

# The process that holds the other end of the session that asks.
sub asker {
    my $port = $pg->row(q{SELECT client_port FROM pg_stat_activity
        WHERE usename = 'oa_router' AND wait_event_type = 'Lock'
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

$pg->dbh->do('SET session_replication_role = replica');
insert_route($pg, 'cold', machine => 'm2');
$pg->dbh->do('SET session_replication_role = origin');

my $lock = $pg->connect(AutoCommit => 0);
$lock->do('LOCK public.agent_instances IN ACCESS EXCLUSIVE MODE');

my @clients = map { OA::Client->new($ng->port) } 1 .. 100;
$_->send("GET / HTTP/1.1\r\nHost: cold.openagents.example\r\n\r\n")
    for @clients;

ok +(wait_for { asked('cold') }), 'it is asked';
my $pid;
ok +(wait_for { $pid = asker() } 5), 'by a worker';

my ($index) = grep { ($ng->worker_pids)[$_] == $pid } 0 .. 3;
is $ng->kill_worker($index), $pid, 'which dies';

ok +(wait_for { asked('cold') == 2 } 3), 'another one asks, once';
$lock->rollback;

my ($answered, $cut, %other) = (0, 0);
for (@clients) {
    my $r = eval { $_->response };
    if (!$r) {
        $cut++;
    } elsif (($r->header('fly-replay') // '') eq 'app=oa-cold;instance=m2') {
        $answered++;
        $other{ $r->header('X-Pid') } = 1;
    } else {
        fail 'an answer: ' . $r->status;
    }
}

is $answered + $cut, 100, "$answered answers, $cut cut off with the worker";
is keys %other, 3, 'every other worker answered';
is asked('cold'), 2, 'two queries in all';

done_testing;
