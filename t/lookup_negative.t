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

my $ng;

sub nginx {
    my ($ttl) = @_;
    $ng->stop if $ng;
    $ng = OA::Nginx->new(workers => 2, http => <<"CONF");
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}';
    oa_routes t {
        domain openagents.example; source postgres; negative_ttl $ttl;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        location / { oa_replay; }
    }
CONF
    ok $ng->wait_log(qr/1 routes read from the database/),
        "negative_ttl $ttl";
}

sub get { http_get($ng->port, '/', host => "$_[0].openagents.example") }

sub target {
    my $r = get(@_);
    return $r->header('fly-replay') // $r->status;
}

sub asked { $pg->query_count(qr/oa\.routes_named/) }

nginx('1h');
is asked(), 0, 'nothing was asked yet';

# kept

is get('nobody')->status, 404, 'nobody has it';
is asked(), 1, 'says the database';
is +(grep { get('nobody')->status != 404 } 1 .. 50), 0,
    'nobody has it, fifty times';
is asked(), 1, 'it was not asked again';
is get('NoBody')->status, 404, 'nobody in capitals';
is asked(), 1, 'is the same name';

# overtaken by an insert

insert_route($pg, 'nobody', machine => 'm2');
ok +(wait_for { target('nobody') eq 'app=oa-nobody;instance=m2' } 1),
    'a created route is served at once';

$pg->do(q{DELETE FROM public.agent_instances WHERE subdomain = 'nobody'});
ok +(wait_for { target('nobody') eq '404' } 1), 'and deleted';
my $n = asked();
is +(grep { get('nobody')->status != 404 } 1 .. 50), 0,
    'what was deleted';
is asked(), $n, 'is not asked for';

# a flood of names drives out no route

my $client = OA::Client->new($ng->port);
my %status;
$status{ $client->get('/', host => "flood$_.openagents.example")->status }++
    for 1 .. 300;
is_deeply \%status, { 404 => 300 }, 'many names';
$n = asked();
is target('alice'), 'app=oa-alice;instance=m1', 'a route';
is asked(), $n, 'which was not asked for';

# forgotten

nginx('1s');
is get('other')->status, 404, 'another name';
my $start = time;
$n = asked();
ok +(wait_for { get('other')->status; asked() > $n } 5),
    'after a while it is asked for again';
cmp_ok time - $start, '>', 0.9, 'not before negative_ttl is over';
is asked(), $n + 1, 'once';

# never kept

nginx('0');
is get('other')->status, 404, 'the name';
is get('other')->status, 404, 'again';

done_testing;
