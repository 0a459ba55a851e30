# Tombstones were pruned while the feed was away: everything is read again.

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
insert_route($pg, $_, machine => 'm1') for qw(kept deleted renamed);
$pg->log_queries('oa_router');

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

sub away {
    my ($code) = @_;
    my $lost = $ng->log_count(qr/the change feed is lost/);
    my $back = $ng->log_count(qr/the change feed is back/);
    $pg->do('ALTER ROLE oa_router NOLOGIN');
    $pg->do(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE usename = 'oa_router'});
    ok +(wait_for { $ng->log_count(qr/the change feed is lost/) > $lost }),
        'the feed is lost';
    $code->();
    $pg->do('ALTER ROLE oa_router LOGIN');
    ok +(wait_for { $ng->log_count(qr/the change feed is back/) > $back }
         20), 'and back';
}

sub full_reads { $pg->query_count(qr/FROM oa\.routes WHERE/) }

ok $ng->wait_log(qr/3 routes read from the database/), 'the first read';
is full_reads(), 1, 'in one page';

away(sub {
    $pg->do(q{DELETE FROM public.agent_instances
              WHERE subdomain = 'deleted'});
    $pg->do(q{UPDATE public.agent_instances SET subdomain = 'other'
              WHERE subdomain = 'renamed'});
    is $pg->row(q{SELECT oa.prune_tombstones('0')}), 2, 'both are pruned';
});

is full_reads(), 2, 'all was read again';
is target('deleted'), 404, 'deleted';
is target('renamed'), 404, 'renamed';
is target('other'), 'app=oa-renamed;instance=m1', 'the new name';
is target('kept'), 'app=oa-kept;instance=m1', 'kept';

# what was pruned before the feed went away is no gap

$pg->do(q{DELETE FROM public.agent_instances WHERE subdomain = 'other'});
ok +(wait_for { target('other') eq '404' } 2), 'deleted in its sight';
is $pg->row(q{SELECT oa.prune_tombstones('0')}), 1, 'and pruned';
my $beats = $pg->query_count(qr/oa\.routes_changed|FROM oa\.routes WHERE/);
ok +(wait_for {
    $pg->query_count(qr/oa\.routes_changed|FROM oa\.routes WHERE/)
        > $beats + 1
} 20), 'the position moves on';

my $reads = full_reads();
away(sub { });
is full_reads(), $reads, 'nothing was read in full';
is target('kept'), 'app=oa-kept;instance=m1', 'kept';

done_testing;
