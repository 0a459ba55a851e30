# One transaction changes more names than the feed remembers hints for.

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

my $N = 5000;

my $pg = OA::Postgres->new->apply;
insert_route($pg, 'r0', machine => 'm0');
# one user has them all, of one agent
$pg->do(q{ALTER TABLE public.agent_instances
          DROP CONSTRAINT agent_instances_user_id_agent_id_key});
$pg->do(<<'SQL', $N - 1);
    INSERT INTO public.agent_instances (user_id, agent_id, fly_app_name,
           fly_machine_id, region, status, access, subdomain)
    SELECT user_id, agent_id, 'app', 'm' || n, 'fra', 'running', 'public',
           'r' || n
      FROM public.agent_instances, generate_series(1, ?) n
SQL

my $ng = OA::Nginx->new(workers => 2, http => <<"CONF");
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}';
    oa_routes t { domain openagents.example; source postgres; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        keepalive_requests 100000;
        oa_router t;
        location / { oa_replay; }
    }
CONF

ok $ng->wait_log(qr/$N routes read from the database/), 'the first read';

my $client = OA::Client->new($ng->port);

sub target {
    my $r = $client->get('/', host => "$_[0].openagents.example");
    return $r->header('fly-replay') // $r->status;
}

sub wrong {
    my ($prefix, $machine) = @_;
    return scalar grep {
        target("$prefix$_") !~ /;instance=$machine$_$/
    } 0 .. $N - 1;
}

is wrong('r', 'm'), 0, 'all are there';

$pg->do(q{UPDATE public.agent_instances
             SET fly_machine_id = 'n' || substr(subdomain, 2)});
wait_for { wrong('r', 'n') == 0 } 5;
is wrong('r', 'n'), 0, 'all were changed at once';

$pg->do(q{UPDATE public.agent_instances
             SET subdomain = 's' || substr(subdomain, 2)});
wait_for { wrong('s', 'n') == 0 } 5;
is wrong('s', 'n'), 0, 'all were renamed';
is +(grep { target("r$_") ne '404' } 0 .. $N - 1), 0, 'no old name is left';

$pg->do('DELETE FROM public.agent_instances');
wait_for { target('s' . ($N - 1)) eq '404' } 5;
wait_for { !grep { target("s$_") ne '404' } 0 .. $N - 1 } 5;
is +(grep { target("s$_") ne '404' } 0 .. $N - 1), 0, 'all were deleted';

# more changes than are read at once are read as all routes are, by pages
cmp_ok $ng->log_count(qr/routes read from the database/), '<=', 5,
    'full reads';

done_testing;
