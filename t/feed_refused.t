# A row that breaks a grammar is no route, whatever it was before.

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
insert_route($pg, 'alice', machine => 'm1');
insert_route($pg, 'bob', machine => 'm2');
insert_route($pg, 'broken', app => 'a;b', machine => 'm3');

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

sub set {
    my ($name, $column, $value) = @_;
    $pg->do("UPDATE public.agent_instances SET $column = ?
             WHERE subdomain = ?", $value, $name);
}

ok $ng->wait_log(qr/routes read from the database/), 'the first read';
is target('broken'), 404, 'a row that was broken from the first';
like $ng->log, qr/\[error\].*the row of "broken" was refused: /, 'is logged';

my $good = 'app=oa-alice;instance=m1';
my %old = (fly_app_name => 'oa-alice', fly_machine_id => 'm1',
           region => 'fra');

my @broken = (
    [ fly_app_name => 'a;b' ], [ fly_app_name => 'a b' ],
    [ fly_app_name => "a\r\nX-Evil: 1" ], [ fly_app_name => 'a,b' ],
    [ fly_app_name => 'a=b' ], [ fly_app_name => 'x' x 300 ],
    [ fly_app_name => "\xe9" ], [ fly_app_name => 'a.evil.example/' ],
    [ fly_machine_id => "m1\r\nX-Evil: 1" ], [ fly_machine_id => 'm1;state=x' ],
    [ fly_machine_id => 'm1 ' ], [ fly_machine_id => '../m1' ],
    [ fly_machine_id => 'x' x 300 ],
    [ region => 'fra;' ], [ region => "fra\n" ], [ region => 'f r' ],
);

for (@broken) {
    my ($column, $value) = @$_;
    my $shown = substr $value =~ s/([^ -~])/sprintf '\\x%02x', ord $1/egr,
                       0, 20;
    my $refused = $ng->log_count(qr/the row of "alice" was refused/);

    set('alice', $column, $value);
    wait_for { target('alice') eq '404' } 2;
    is target('alice'), 404, "$column '$shown'";
    is $ng->log_count(qr/the row of "alice" was refused/), $refused + 1,
        'one line of the log';

    set('alice', $column, $old{$column});
    wait_for { target('alice') eq $good } 2;
    is target('alice'), $good, 'mended';
}

set('broken', 'fly_app_name', 'ab');
ok +(wait_for { target('broken') eq 'app=ab;instance=m3' } 2),
    'mended at last';

is target('bob'), 'app=oa-bob;instance=m2', 'the others never noticed';
unlike $ng->log, qr/^X-Evil/m, 'a row writes no line of the log';

done_testing;
