# Who may not pass learns nothing from the time an answer takes: a route is
# asked for like a name that nobody has, as often and as long.  Its owner never
# waits.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get http_many request_bytes);
use OA::Nginx;
use OA::Postgres;
use OA::Routes qw(insert_route uuid);
use OA::Token qw(key jwks $ISSUER $USER);
use OA::Util qw(wait_for);

my $pause = 0.3;

my $pg = OA::Postgres->new->apply;
my $key = key('ES256', kid => 'k1');

insert_route($pg, "owner$_", user_id => $USER, access => 'owner') for 1 .. 6;
insert_route($pg, 'users', user_id => $USER, access => 'authenticated');
insert_route($pg, 'off', user_id => $USER, access => 'owner',
             status => 'disabled');
insert_route($pg, 'open', access => 'public');

# a database that thinks before it answers
$pg->do('ALTER FUNCTION oa.routes_named(text[]) RENAME TO routes_named_fast');
my $type = $pg->row(<<'SQL');
    SELECT pg_get_function_result('oa.routes_named_fast(text[])'::regprocedure)
SQL
$pg->do(<<"SQL");
    CREATE FUNCTION oa.routes_named(names text[]) RETURNS $type
    LANGUAGE sql SECURITY DEFINER AS \$\$
        SELECT r.* FROM pg_sleep($pause) s, oa.routes_named_fast(names) r
    \$\$
SQL
$pg->do('GRANT EXECUTE ON FUNCTION oa.routes_named(text[]) TO oa_router');
$pg->log_queries('oa_router');

my $ng = OA::Nginx->new(workers => 2,
                        files => { 'keys.json' => jwks($key) },
                        http  => <<"CONF");
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}' connections=8
                timeout=10s;
    oa_issuer t {
        jwks_file keys.json; issuer $ISSUER; audience authenticated;
    }
    oa_routes t {
        domain openagents.example; source postgres; negative_ttl 1h;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        oa_auth t;
        oa_login_url https://openagents.example/login;
        location / { oa_replay; }
        location /owner { oa_access owner; oa_replay; }
    }
CONF

ok $ng->wait_log(qr/9 routes read from the database/), 'all routes are known';

my @owner = (Authorization => 'Bearer ' . $key->token);
my @wrong = (Authorization => 'Bearer ' . $key->token({ sub => uuid() }));
my %as = (stranger => [], browser => [ Accept => 'text/html' ],
          'the wrong user' => \@wrong, owner => \@owner);
my %status = (stranger => 401, browser => 302, 'the wrong user' => 404,
              owner => 307);

sub asked { $pg->query_count(qr/oa\.routes_named\(/, 'oa_router') }

# Status, queries that it took, and whether it was waited for.
sub told {
    my ($name, $who, $path) = @_;
    my $n = asked();
    my $start = time;
    my $r = http_get($ng->port, $path // '/', headers => $as{$who},
                     host => "$name.openagents.example");
    my $took = time - $start;
    return join ' ', $r->status, asked() - $n,
                     $took > $pause * 0.9 ? 'waited' : 'at once';
}

my $n = 0;

for my $who ('stranger', 'browser', 'the wrong user') {
    $n++;
    for my $name ("owner$n", "nobody$n") {
        is told($name, $who), "$status{$who} 1 waited",
            "$who, $name: it is asked for";
        is told($name, $who), "$status{$who} 0 at once",
            'not again within negative_ttl';
    }
    is told("owner$n", 'owner'), '307 0 at once', 'its owner never waits';
}

# What one was refused is known to all, as it is of a name that nobody has.

for my $name ('owner1', 'nobody1') {
    is told($name, 'the wrong user'), '404 0 at once',
        "$name: the next who comes";
}
is told('off', 'stranger'), '401 1 waited', 'a route that is disabled';
is told('users', 'stranger'), '401 1 waited', 'one for all users';
is told('users', 'the wrong user', '/owner'), '404 0 at once',
    'here for its owner';
is told('users', 'the wrong user'), '307 0 at once', 'but not elsewhere';
is told('open', 'stranger'), '307 0 at once', 'a public route never waits';
is told('owner4', 'owner'), '307 0 at once', 'nor an owner before all';

# Many at once are one question, an owner among them is served meanwhile.

for my $name ('owner5', 'nobody5') {
    my $n = asked();
    my @r = http_many($ng->port, [ map {
        request_bytes('/', host => "$name.openagents.example", close => 1,
                      headers => $as{ $_ % 2 ? 'stranger'
                                             : 'the wrong user' });
    } 1 .. 20 ]);
    is join(' ', map { $_->status } @r), join(' ', (401, 404) x 10),
        "$name: twenty ask at once";
    is asked() - $n, 1, 'the database is asked once';
    is +(grep { $_->time < $pause * 0.5 } @r), 0, 'all have waited';
}

my @r = http_many($ng->port, [ map {
    request_bytes('/', host => 'owner6.openagents.example', close => 1,
                  headers => $as{$_});
} 'stranger', 'owner', 'the wrong user', 'owner' ]);
is join(' ', map { $_->status } @r), '401 307 404 307', 'mixed';
cmp_ok $_->time, '<', $pause * 0.9, 'the owner did not wait' for @r[1, 3];
cmp_ok $_->time, '>', $pause * 0.5, 'the others did' for @r[0, 2];

# A name that the zone does not have yet costs one question, too.

$pg->dbh->do('SET session_replication_role = replica');
insert_route($pg, "cold$_", user_id => $USER, access => 'owner') for 1 .. 3;
$pg->dbh->do('SET session_replication_role = origin');

is told('cold1', 'stranger'), '401 1 waited', 'a cold route, a stranger';
is told('cold2', 'the wrong user'), '404 1 waited', 'the wrong user';
is told('cold3', 'owner'), '307 1 waited', 'and its owner, this once';
is told($_, 'stranger'), '401 0 at once', 'then it is as before'
    for qw(cold1 cold2);
is told('cold1', 'owner'), '307 0 at once', 'for the owner as well';

# One that is created takes the place of a name that nobody had.

insert_route($pg, 'nobody2', user_id => $USER, access => 'owner');
ok +(wait_for { told('nobody2', 'owner') =~ /^307 0/ } 5), 'a new route';
like told('nobody2', 'stranger'), qr/^401 /, 'is not there for strangers';

done_testing;
