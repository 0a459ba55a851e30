# An unknown name asks the database once, however many ask at the same time.

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

my $CLIENTS = 200;

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
            add_header X-Cache \$oa_route_cache always;
            oa_replay;
        }
    }
CONF

# The server's log tells each name that it was asked for.
sub asked {
    my ($name) = @_;
    my $n = () = $pg->log =~ /parameters: \$1 = '\{$name\}'/g;
    return $n;
}

# Requests for one name, all sent before the table can be read.
sub ask {
    my ($name) = @_;
    my $lock = $pg->connect(AutoCommit => 0);
    $lock->do('LOCK public.agent_instances IN ACCESS EXCLUSIVE MODE');

    my @clients = map { OA::Client->new($ng->port) } 1 .. $CLIENTS;
    $_->send("GET / HTTP/1.1\r\nHost: $name.openagents.example\r\n\r\n")
        for @clients;
    ok +(wait_for { asked($name) }), "$name: it is asked";
    $lock->rollback;
    return map { $_->response } @clients;
}

sub all_are {
    my ($want, @values) = @_;
    return !grep { ($_ // '') ne $want } @values;
}

ok $ng->wait_log(qr/1 routes read from the database/), 'the first read';

# a row that no trigger told of

my $session = $pg->dbh;
$session->do('SET session_replication_role = replica');
insert_route($pg, 'cold', machine => 'm2');
$session->do('SET session_replication_role = origin');

my @r = ask('cold');
ok all_are('app=oa-cold;instance=m2', map { $_->header('fly-replay') } @r),
    'cold: all get the route';
ok +(grep { $_->header('X-Cache') eq 'miss' } @r) > 0, 'cold: not known';
my %workers = map { $_->header('X-Pid') => 1 } @r;
is keys %workers, 4, 'cold: over all workers';
is asked('cold'), 1, 'cold: one query';

for my $name (map { "nobody$_" } 1 .. 5) {
    @r = ask($name);
    ok all_are(404, map { $_->status } @r), "$name: all get 404";
    is asked($name), 1, "$name: one query";
}

# many names at a time, each by several

my @names = map { "many$_" } 1 .. 40;
my $lock = $pg->connect(AutoCommit => 0);
$lock->do('LOCK public.agent_instances IN ACCESS EXCLUSIVE MODE');
my @clients = map { OA::Client->new($ng->port) } 1 .. 200;
$clients[$_]->send('GET / HTTP/1.1' . "\r\n"
    . "Host: $names[$_ % 40].openagents.example\r\n\r\n") for 0 .. 199;
ok +(wait_for { grep { asked($_) } @names }), 'many: they are asked';
$lock->rollback;
ok all_are(404, map { $_->response->status } @clients), 'many: all get 404';
is +(join ' ', grep { asked($_) != 1 } @names), '', 'many: one query each';

done_testing;
