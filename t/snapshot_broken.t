# A snapshot that cannot be used is said to be so, and the start goes on.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Postgres;
use OA::Routes qw(insert_route route routes_file);
use OA::Util qw(wait_for slurp);

my $pg = OA::Postgres->new->apply;
insert_route($pg, 'alice', machine => 'm1');
$pg->stop;

sub nginx {
    my (%o) = @_;
    return OA::Nginx->new(workers => 2, http => <<"CONF", %o);
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}';
    oa_routes t {
        domain openagents.example; source postgres;
        snapshot %%DIR%%/routes;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        location / { oa_replay; }
    }
CONF
}

sub target {
    my ($ng, $name) = @_;
    my $r = http_get($ng->port, '/', host => "$name.openagents.example");
    return $r->header('fly-replay') // $r->status;
}

my $whole = routes_file('alice', 'bob');
my %broken = (
    'an empty file'   => '',
    'no JSON'         => "precious\n",
    'cut off'         => substr($whole, 0, -10),
    'another shape'   => '{"routes":{}}',
    'a broken row'    => routes_file('alice', route('bob', app => 'a;b')),
    'a name twice'    => routes_file('alice', 'alice'),
    'zeros'           => "\0" x 5000,
);

for my $what (sort keys %broken) {
    my $ng = nginx(files => { routes => $broken{$what} });
    ok $ng->wait_log(qr/\[error\].*oa_routes "t": .*routes:1|\[error\].* in .*routes:\d+/),
        "$what: an error";
    is target($ng, 'alice'), 503, "$what: nothing of it is served";
}

{
    my $ng = nginx(files => {});
    ok $ng->wait_log(qr/\[notice\].*no snapshot/), 'none: a notice';
    is target($ng, 'alice'), 503, 'none: nothing is served';
    unlike $ng->log, qr/\[error\].*snapshot/, 'none: no error';
}

{
    my $ng = nginx(start => 0);
    mkdir $ng->path('routes');
    $ng->start;
    ok $ng->wait_log(qr/\[error\].*routes/), 'a folder: an error';
    is target($ng, 'alice'), 503, 'a folder: nothing is served';
}

# the database repairs it all

{
    my $ng = nginx(files => { routes => $broken{zeros} });
    ok $ng->wait_log(qr/\[error\].*routes:1/), 'broken once more';
    $pg->start;
    ok +(wait_for { target($ng, 'alice') eq 'app=oa-alice;instance=m1' } 20),
        'the database is there';
    ok +(wait_for { slurp($ng->path('routes')) =~ /"alice"/ } 3),
        'and the snapshot is whole';

    # a folder that cannot be written to

    chmod 0555, $ng->dir;
    chown 0, 0, $ng->dir if $> == 0;
    my $errors = $ng->log_count(qr/\[error\].*cannot be written/);
    insert_route($pg, 'bob', machine => 'm2');
    ok +(wait_for {
        $ng->log_count(qr/\[error\].*cannot be written/) > $errors
    } 5), 'a folder that cannot be written to: an error';
    is target($ng, 'bob'), 'app=oa-bob;instance=m2', 'the routes go on';
    insert_route($pg, 'carol', machine => 'm3');
    ok +(wait_for { target($ng, 'carol') eq 'app=oa-carol;instance=m3' } 2),
        'the feed goes on';
    is $ng->log_count(qr/\[error\].*cannot be written/), $errors + 1,
        'it is said once';
    chmod 0777, $ng->dir;
    ok +(wait_for { slurp($ng->path('routes')) =~ /"carol"/ } 3),
        'and tried again';
}

done_testing;
