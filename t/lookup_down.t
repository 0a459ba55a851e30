# The database is gone: what is known is served, what is not is refused.
# $oa_route_cache tells which was which.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Postgres;
use OA::Routes qw(insert_route);
use OA::Util qw(wait_for);

my $pg = OA::Postgres->new->apply;
insert_route($pg, 'alice', machine => 'm1');

my $ng = OA::Nginx->new(workers => 4, http => <<"CONF");
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}';
    oa_routes t {
        domain openagents.example; source postgres; negative_ttl 1h;
        snapshot %%DIR%%/routes;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        location / {
            add_header X-Cache \$oa_route_cache always;
            oa_replay;
        }
    }
CONF

sub get { http_get($ng->port, '/', host => "$_[0].openagents.example") }
sub cache { get(@_)->header('X-Cache') // '' }

my $alice = 'app=oa-alice;instance=m1';

ok $ng->wait_log(qr/1 routes read from the database/), 'the first read';
is cache('alice'), 'hit', 'known: hit';

$pg->dbh->do('SET session_replication_role = replica');
insert_route($pg, 'cold', machine => 'm2');
$pg->dbh->do('SET session_replication_role = origin');
is cache('cold'), 'miss', 'asked for: miss';
is cache('cold'), 'hit', 'then known: hit';

my $r = get('nobody');
is $r->status, 404, 'a name that nobody has';
like $r->header('X-Cache') // '', qr/^(?:none)?$/, 'none';

$pg->kill;
ok $ng->wait_log(qr/the change feed is lost/), 'the database is gone';

is get('alice')->header('fly-replay'), $alice, 'a known route is served';
is cache('alice'), 'stale', 'stale';
is get('nobody')->status, 404, 'and a name known to be nobody\'s';

my $start = time;
$r = get('new');
is $r->status, 503, 'an unknown name';
like $r->header('Retry-After') // '', qr/^[1-9]\d?$/, 'with Retry-After';
cmp_ok time - $start, '<', 3, 'in time';

ok $ng->reload, 'a reload';
is get('alice')->header('fly-replay'), $alice, 'changes nothing';
is cache('alice'), 'stale', 'still stale';

# a start without the database

ok +(wait_for { -s $ng->path('routes') } 3), 'the snapshot';
$ng->stop;
$ng->start;
is get('alice')->header('fly-replay'), $alice, 'a new start: served';
is cache('alice'), 'snapshot', 'from the snapshot';
is get('new')->status, 503, 'an unknown name';

$pg->start;
ok +(wait_for { cache('alice') eq 'hit' } 20), 'the database is back: hit';
is get('new')->status, 404, 'it can be asked';

done_testing;
