# While the database is away a route that is forbidden looks like a name that
# is not known: 503 to the wrong user, the login to nobody, at once.  Its owner
# is served.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Postgres;
use OA::Routes qw(insert_route uuid);
use OA::Token qw(key jwks $ISSUER $USER);
use OA::Util qw(wait_for);

my $pg = OA::Postgres->new->apply;
my $key = key('ES256', kid => 'k1');

insert_route($pg, "alice$_", user_id => $USER, access => 'owner') for 1 .. 3;
insert_route($pg, 'open', access => 'public');

sub conf {
    my ($ttl) = @_;
    return <<"CONF";
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}';
    oa_issuer t {
        jwks_file keys.json; issuer $ISSUER; audience authenticated;
    }
    oa_routes t {
        domain openagents.example; source postgres; negative_ttl $ttl;
        snapshot %%DIR%%/routes;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        oa_auth t;
        oa_login_url https://openagents.example/login;
        location / { oa_replay; }
    }
CONF
}

my $ng = OA::Nginx->new(workers => 2, http => conf('1h'),
                        files => { 'keys.json' => jwks($key) });

my %as = (
    stranger => [], browser => [ Accept => 'text/html' ],
    user => [ Authorization => 'Bearer ' . $key->token({ sub => uuid() }) ],
    owner => [ Authorization => 'Bearer ' . $key->token ],
);

sub get {
    my ($name, $who) = @_;
    return http_get($ng->port, '/', headers => $as{$who},
                    host => "$name.openagents.example");
}

sub status { get(@_)->status }

# The answers for these names are one, of that status.
sub alike {
    my ($status, $who, @names) = @_;
    my %text;
    my $start = time;
    for my $name (@names) {
        my $r = get($name, $who);
        push @{ $text{ $r->common } }, $name;
        is $r->status, $status, "$who, $name: $status";
    }
    is keys %text, 1, 'the same bytes' or diag explain \%text;
    cmp_ok time - $start, '<', 1, 'at once'
        if $who =~ /^(?:stranger|browser)$/ and !$ng->sanitized;
}

ok $ng->wait_log(qr/4 routes read from the database/), 'the first read';
is status($_, 'stranger'), 401, "$_: refused before" for qw(alice1 nobody1);
ok +(wait_for { -s $ng->path('routes') } 5), 'a snapshot';

$pg->kill;
ok $ng->wait_log(qr/the change feed is lost/), 'the database is gone';

for my $round ('first', 'again') {
    note $round;
    alike(401, 'stranger', qw(nobody2 alice2 nobody1 alice1));
    alike(302, 'browser',  qw(alice2 nobody2 alice1 nobody1));
    alike(503, 'user',     qw(alice2 nobody2));

    # within negative_ttl nothing is asked
    alike(404, 'user',     qw(alice1 nobody1));

    is status("alice$_", 'owner'), 307, "the owner of alice$_ is served"
        for 1 .. 3;
    is status('open', $_), 307, "$_: a public route" for sort keys %as;
}

my $r = get('alice2', 'user');
like $r->body, qr/"routes_unavailable"/, 'routes_unavailable';
like $r->header('Retry-After') // '', qr/^[1-9]\d?$/, 'with Retry-After';

# a start without the database, with nothing remembered

$ng->stop;
$ng->start;
alike(401, 'stranger', qw(alice1 nobody1 alice2 nobody2));
alike(302, 'browser',  qw(nobody1 alice1 alice2 nobody2));
alike(503, 'user',     qw(alice1 nobody1 alice2 nobody2));
is status('alice1', 'owner'), 307, 'the owner is served';

# nothing is ever remembered

$ng->write_conf(http => conf('0'));
ok $ng->reload, 'negative_ttl 0';
alike(401, 'stranger', qw(alice1 nobody1));
alike(503, 'user',     qw(alice1 nobody1));

# it is back

$pg->start;
ok +(wait_for { status('nobody1', 'user') == 404 } 20), 'the database is back';
alike(404, 'user',     qw(nobody1 alice1 alice2));
alike(401, 'stranger', qw(nobody1 alice1 alice2));
is status('alice1', 'owner'), 307, 'the owner is served';

done_testing;
