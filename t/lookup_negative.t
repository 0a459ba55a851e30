# A name without a route is remembered as such, for negative_ttl, or until
# there is a route.

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
$pg->log_queries('oa_router');

my $routes = 'domain openagents.example; source postgres; negative_ttl';
my $ng = OA::Nginx->new(workers => 4, http => <<"CONF");
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}';
    oa_routes long { $routes 1h; }
    oa_routes short { $routes 1s; }
    oa_routes none { $routes 0; }
    server { listen 127.0.0.1:%%PORT_0%%; oa_router long;
             location / { oa_replay; } }
    server { listen 127.0.0.1:%%PORT_1%%; oa_router short;
             location / { oa_replay; } }
    server { listen 127.0.0.1:%%PORT_2%%; oa_router none;
             location / { oa_replay; } }
CONF

my %port = (long => 0, short => 1, none => 2);

sub get {
    my ($routes, $name) = @_;
    return http_get($ng->port($port{$routes}), '/',
                    host => "$name.openagents.example");
}

sub target {
    my $r = get(@_);
    return $r->header('fly-replay') // $r->status;
}

sub asked { $pg->query_count(qr/oa\.routes_named/) }

ok +(wait_for { $ng->log_count(qr/1 routes read from the database/) == 3 }),
    'the first reads';
is asked(), 0, 'nothing was asked yet';

# kept

is get('long', 'nobody')->status, 404, 'nobody has it';
is asked(), 1, 'says the database';
is +(grep { get('long', 'nobody')->status != 404 } 1 .. 50), 0,
    'nobody has it, fifty times';
is asked(), 1, 'it was not asked again';
is get('long', 'NoBody')->status, 404, 'nobody in capitals';
is asked(), 1, 'is the same name';
is get('short', 'nobody')->status, 404, 'to other routes';
is asked(), 2, 'it is not';

# overtaken by an insert

insert_route($pg, 'nobody', machine => 'm2');
ok +(wait_for { target('long', 'nobody') eq 'app=oa-nobody;instance=m2' } 1),
    'a created route is served at once';

$pg->do(q{DELETE FROM public.agent_instances WHERE subdomain = 'nobody'});
ok +(wait_for { target('long', 'nobody') eq '404' } 1), 'and deleted';
my $n = asked();
is +(grep { get('long', 'nobody')->status != 404 } 1 .. 50), 0,
    'what was deleted';
is asked(), $n, 'is not asked for';

# forgotten

is get('short', 'other')->status, 404, 'another name';
my $start = time;
$n = asked();
ok +(wait_for { get('short', 'other')->status; asked() > $n } 5),
    'after a while it is asked for again';
cmp_ok time - $start, '>', 0.9, 'not before negative_ttl is over';
is asked(), $n + 1, 'once';

# never kept

is get('none', 'other')->status, 404, 'negative_ttl 0';
is get('none', 'other')->status, 404, 'again';

# a flood of names drives out no route

my $client = OA::Client->new($ng->port);
my %status;
for (1 .. 1000) {
    my $r = $client->get('/', host => "flood$_.openagents.example");
    $status{ $r->status }++;
    next if $client->{in} ne '' or ($r->header('Connection') // '') ne 'close';
    $client = OA::Client->new($ng->port);
}
is_deeply \%status, { 404 => 1000 }, 'a thousand names';
$n = asked();
is target('long', 'alice'), 'app=oa-alice;instance=m1', 'a route';
is asked(), $n, 'which was not asked for';

done_testing;
