# What changed while the listener was away is read when it comes back, and
# nothing else is.

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
insert_route($pg, $_, machine => 'm1')
    for qw(changed renamed deleted remade same disabled);
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

# Ends the router's sessions, and lets it in again when the code has run.
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

ok $ng->wait_log(qr/6 routes read from the database/), 'the first read';

away(sub {
    $pg->do(q{UPDATE public.agent_instances SET fly_machine_id = 'm2'
              WHERE subdomain = 'changed'});
    $pg->do(q{UPDATE public.agent_instances SET subdomain = 'newname'
              WHERE subdomain = 'renamed'});
    $pg->do(q{UPDATE public.agent_instances SET status = 'disabled'
              WHERE subdomain = 'disabled'});
    $pg->do(q{DELETE FROM public.agent_instances
              WHERE subdomain IN ('deleted', 'remade')});
    insert_route($pg, 'remade', machine => 'm3');
    insert_route($pg, 'inserted', machine => 'm4');
    is target('changed'), 'app=oa-changed;instance=m1',
        'what was known is served meanwhile';
});

is target('changed'), 'app=oa-changed;instance=m2', 'changed';
is target('newname'), 'app=oa-renamed;instance=m1', 'renamed: the new name';
is target('renamed'), 404, 'renamed: the old one';
is target('deleted'), 404, 'deleted';
is target('remade'), 'app=oa-remade;instance=m3', 'deleted and made again';
is target('disabled'), 402, 'disabled';
is target('same'), 'app=oa-same;instance=m1', 'not changed';

my $asked = $pg->query_count(qr/routes_named/);
is target('inserted'), 'app=oa-inserted;instance=m4', 'inserted';
is $pg->query_count(qr/routes_named/), $asked, 'and known before it was asked';

$pg->do(q{UPDATE public.agent_instances SET fly_machine_id = 'm9'
          WHERE subdomain = 'changed'});
ok +(wait_for { target('changed') eq 'app=oa-changed;instance=m9' } 2),
    'the feed goes on';

# again and again

for my $n (1 .. 3) {
    away(sub {
        $pg->do('UPDATE public.agent_instances SET fly_machine_id = ?',
                "n$n");
    });
    is target('same'), "app=oa-same;instance=n$n", "once more, $n";
}

is $ng->log_count(qr/routes read from the database/), 1, 'one full read';
is $pg->query_count(qr/FROM oa\.routes WHERE/), 1, 'says the server too';

done_testing;
