# The database comes back older than it was: what it says is served.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Postgres;
use OA::Routes qw(insert_route);
use OA::Util qw(wait_for);

my $pg = OA::Postgres->new->apply;
insert_route($pg, $_, machine => 'old') for qw(changed deleted same);

my $ng = OA::Nginx->new(workers => 2, http => <<"CONF");
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}';
    oa_routes t { domain openagents.example; source postgres; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        location / { oa_replay; }
    }
CONF

sub target {
    my $r = http_get($ng->port, '/', host => "$_[0].openagents.example");
    return $r->header('fly-replay') // $r->status;
}

ok $ng->wait_log(qr/3 routes read from the database/), 'the first read';

# a copy of the files, as a backup of the disk

my ($data, $backup) = ($pg->dir . '/data', $pg->dir . '/backup');
$pg->stop;
is system('cp', '-a', $data, $backup), 0, 'a backup';
$pg->start;
ok $ng->wait_log(qr/the change feed is back/, 20), 'the feed is back';

$pg->do(q{UPDATE public.agent_instances SET fly_machine_id = 'new'
          WHERE subdomain = 'changed'});
$pg->do(q{DELETE FROM public.agent_instances WHERE subdomain = 'deleted'});
insert_route($pg, 'inserted', machine => 'new');
ok +(wait_for { target('inserted') eq 'app=oa-inserted;instance=new' } 2),
    'changes after it';
is target('changed'), 'app=oa-changed;instance=new', 'changed';
is target('deleted'), 404, 'deleted';

# the position of the feed passes them with the next beat

$pg->log_queries('oa_router');
$pg->do(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE usename = 'oa_router'});
ok +(wait_for { $pg->query_count(qr/oa\.routes_changed/) } 20),
    'the position has moved on';
ok +(wait_for { $ng->log_count(qr/the change feed is back/) == 2 } 20),
    'the feed is back';

my $reads = $ng->log_count(qr/routes read from the database/);
$pg->stop;
is system('rm', '-r', $data), 0, 'the database is lost';
is system('mv', $backup, $data), 0, 'and restored';
$pg->start;
ok +(wait_for {
    $ng->log_count(qr/routes read from the database/) > $reads
} 20), 'all is read again';

is target('changed'), 'app=oa-changed;instance=old', 'changed back';
is target('deleted'), 'app=oa-deleted;instance=old', 'not yet deleted';
is target('inserted'), 404, 'not yet inserted';
is target('same'), 'app=oa-same;instance=old', 'the same';

$pg->do(q{UPDATE public.agent_instances SET fly_machine_id = 'later'
          WHERE subdomain = 'changed'});
ok +(wait_for { target('changed') eq 'app=oa-changed;instance=later' } 2),
    'the feed goes on';

done_testing;
