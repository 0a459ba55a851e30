# A start without the database serves the snapshot, until the database is
# there.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Postgres;
use OA::Routes qw(insert_route);
use OA::Util qw(wait_for slurp);

my $pg = OA::Postgres->new->apply;
insert_route($pg, $_, machine => 'm1') for qw(same changed deleted);
insert_route($pg, 'private', access => 'owner');

my $ng = OA::Nginx->new(workers => 4, http => <<"CONF");
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}';
    oa_routes t {
        domain openagents.example; source postgres;
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

sub target {
    my $r = get(@_);
    return $r->header('fly-replay') // $r->status;
}

ok +(wait_for { -s $ng->path('routes') }), 'a snapshot';
like slurp($ng->path('routes')), qr/deleted/, 'of all';
$ng->stop;
$pg->stop;
$ng->start;

# the very first request waits for it, if need be

is target('same'), 'app=oa-same;instance=m1', 'it is served';
is cache('same'), 'snapshot', 'as such';
is target('deleted'), 'app=oa-deleted;instance=m1', 'all of it';
is target('private'), 404, 'with its access';
is target('unknown'), 503, 'what is not in it cannot be known';
like $ng->log, qr/4 routes read from the snapshot/, 'the log says so';

my $bytes = slurp($ng->path('routes'));
$ng->kill_worker($_) for 0 .. 3;
is target('same'), 'app=oa-same;instance=m1', 'workers come and go';
ok $ng->reload, 'a reload';
is target('changed'), 'app=oa-changed;instance=m1', 'changes nothing';
is cache('changed'), 'snapshot', 'still the snapshot';
is slurp($ng->path('routes')), $bytes, 'which is as it was';

$pg->start;
$pg->do('ALTER ROLE oa_router NOLOGIN');
$pg->do(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE usename = 'oa_router'});
$pg->do(q{DELETE FROM public.agent_instances WHERE subdomain = 'deleted'});
$pg->do(q{UPDATE public.agent_instances SET fly_machine_id = 'm2'
          WHERE subdomain = 'changed'});
insert_route($pg, 'inserted', machine => 'm3');
$pg->do('ALTER ROLE oa_router LOGIN');

ok +(wait_for { cache('same') eq 'hit' } 20), 'the database is back';
is target('deleted'), 404, 'deleted rows vanish';
is target('changed'), 'app=oa-changed;instance=m2', 'changes are seen';
is target('inserted'), 'app=oa-inserted;instance=m3', 'and new rows';
is target('same'), 'app=oa-same;instance=m1', 'and the same';
is target('unknown'), 404, 'all is known';

ok +(wait_for { slurp($ng->path('routes')) =~ /inserted/ } 3),
    'the snapshot follows';
unlike slurp($ng->path('routes')), qr/deleted/, 'in all';

done_testing;
