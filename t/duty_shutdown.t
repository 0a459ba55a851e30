# Nothing of ours keeps an exiting worker: no timer, no idle connection, no
# query that nobody waits for.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get http_many request_bytes);
use OA::Nginx;
use OA::Postgres;
use OA::Routes qw(insert_route);
use OA::Util qw(wait_for);

my $pg = OA::Postgres->new->apply;
insert_route($pg, 'alice', machine => 'm0');

my $ng = OA::Nginx->new(workers => 4,
                        main => 'worker_shutdown_timeout 60s;',
                        http => <<"CONF");
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}' timeout=5s;
    oa_routes t {
        domain openagents.example; source postgres;
        snapshot %%DIR%%/routes;
    }
    server {
        listen 127.0.0.1:%%PORT_0%% reuseport;
        keepalive_timeout 1h;
        oa_router t;
        location / { oa_replay; }
    }
CONF

sub get { http_get($ng->port, '/', host => "$_[0].openagents.example") }

my $limit = $ng->sanitized ? 10 : 2;
my $n = 0;
my @idle;

# Connections to the database in every worker, and idle ones of clients.
sub warm {
    $n++;
    http_many($ng->port, [ map { request_bytes('/', close => 1,
        host => "warm$n-$_.openagents.example") } 1 .. 60 ]);
    @idle = map { OA::Client->new($ng->port) } 1 .. 20;
    $_->get('/', host => 'alice.openagents.example') for @idle;
}

sub gone_in {
    my ($code) = @_;
    my $start = time;
    $code->();
    wait_for { !$ng->old_worker_pids } 30;
    return time - $start;
}

ok $ng->wait_log(qr/1 routes read from the database/), 'the first read';

warm();
my $took = gone_in(sub { $ng->reload });
cmp_ok $took, '<', $limit, sprintf 'reload: old workers are gone in %.2f s',
    $took;
ok +(wait_for { $idle[0]->closed(1) } 1), 'with their idle connections';

# a query of the feed's own is out: it asks for its position, or what changed

my $lock = $pg->connect(AutoCommit => 0);
$lock->do('LOCK oa.feed IN ACCESS EXCLUSIVE MODE');
ok +(wait_for {
    $pg->row(q{SELECT count(*) FROM pg_stat_activity
               WHERE usename = 'oa_router' AND wait_event_type = 'Lock'
                 AND query ~ 'oa[.](feed_beat|routes_changed)'})
} 30), 'the feed waits';

$took = gone_in(sub { $ng->reload });
cmp_ok $took, '<', $limit, sprintf 'waiting: gone in %.2f s', $took;
$lock->rollback;

# nothing answers

warm();
$pg->freeze;
$took = gone_in(sub { $ng->reload });
cmp_ok $took, '<', $limit, sprintf 'frozen: gone in %.2f s', $took;

my $start = time;
ok $ng->quit, 'frozen: quit';
cmp_ok time - $start, '<', $limit, 'at once';
$pg->thaw;

# and when the database is gone: connections wait for their backoff

$ng->start;
ok +(wait_for { $ng->log_count(qr/routes read from the database/) == 2 } 20),
    'another start';
warm();
$pg->kill;
ok $ng->wait_log(qr/the change feed is lost/), 'the database is gone';
get('unknown');
$took = gone_in(sub { $ng->reload });
cmp_ok $took, '<', $limit, sprintf 'gone: gone in %.2f s', $took;

$start = time;
ok $ng->quit, 'gone: quit';
cmp_ok time - $start, '<', $limit, 'at once';

# a request that waits for the database holds its worker, until it is told

$pg->start;
$ng->start;
ok +(wait_for { get('alice')->header('fly-replay') } 10), 'once more';
warm();
$pg->freeze;
my @waiting = map { OA::Client->new($ng->port) } 1 .. 20;
$_->send("GET / HTTP/1.1\r\nHost: waits.openagents.example\r\n\r\n")
    for @waiting;
$ng->reload;
$pg->thaw;
is +(grep { $_->response->status != 404 } @waiting), 0,
    'requests that wait are answered by old workers';
ok +(wait_for { !$ng->old_worker_pids } $limit), 'which then are gone';

done_testing;
