# Where nobody is authenticated a route that is not public is asked for like a
# name that nobody has, and is not known while the database is away.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Postgres;
use OA::Routes qw(insert_route);

my $pg = OA::Postgres->new->apply;
insert_route($pg, "alice$_", access => 'owner') for 1 .. 2;
insert_route($pg, 'open', access => 'public');
$pg->log_queries('oa_router');

my $ng = OA::Nginx->new(workers => 2, http => <<"CONF");
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}';
    oa_routes t {
        domain openagents.example; source postgres; negative_ttl 1h;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        location / { oa_replay; }
    }
CONF

sub get { http_get($ng->port, '/', host => "$_[0].openagents.example") }
sub asked { $pg->query_count(qr/oa\.routes_named\(/, 'oa_router') }

sub told {
    my ($name) = @_;
    my $n = asked();
    my $status = get($name)->status;
    return "$status " . (asked() - $n);
}

ok $ng->wait_log(qr/3 routes read from the database/), 'all routes are known';

for my $name (qw(nobody1 alice1)) {
    is told($name), '404 1', "$name: it is asked for";
    is told($name), '404 0', 'once';
}
is told('open'), '307 0', 'a public route is not';

$pg->kill;
ok $ng->wait_log(qr/the change feed is lost/), 'the database is gone';

is get($_)->status, 404, "$_: refused before" for qw(nobody1 alice1);
my @text = map { get($_)->common } qw(nobody2 alice2);
like $text[0], qr/"routes_unavailable"/, 'a name that is not known';
is $text[1], $text[0], 'a route that is not public';
is get('open')->status, 307, 'a public route is served';

done_testing;
