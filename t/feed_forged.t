# Any role can NOTIFY: what is sent changes nothing but what oa.routes says.

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
$pg->do('CREATE ROLE forger LOGIN');

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

my $forger = $pg->connect(user => 'forger');
my $fence = 0;

# When the row made after them is served, the notifications were read.
sub notify {
    $forger->do('SELECT pg_notify(?, ?)', undef, 'oa_routes', $_) for @_;
    my $name = 'fence' . ++$fence;
    insert_route($pg, $name, machine => 'm');
    ok +(wait_for { target($name) eq "app=oa-$name;instance=m" } 5),
        'a change behind it is served';
}

ok $ng->wait_log(qr/1 routes read from the database/), 'the first read';

my $huge = '9223372036854775807';

notify(qq({"subdomain":"alice","version":$huge}));
is target('alice'), 'app=oa-alice;instance=m1', 'a huge version';

$pg->do(q{UPDATE public.agent_instances SET fly_machine_id = 'm2'
          WHERE subdomain = 'alice'});
ok +(wait_for { target('alice') eq 'app=oa-alice;instance=m2' } 2),
    'the next change is no older than the forged one';

notify(qq({"subdomain":"nobody","version":$huge}));
is target('nobody'), 404, 'a name that nobody has';

insert_route($pg, 'nobody', machine => 'm3');
ok +(wait_for { target('nobody') eq 'app=oa-nobody;instance=m3' } 2),
    'until somebody has it';

notify('{"subdomain":"alice","version":1,"route_id":null,"app":"evil",'
       . '"machine":"evil"}');
is target('alice'), 'app=oa-alice;instance=m2', 'a row inside';

my @garbage = (
    '', 'x', '{', '[]', '[[[[', 'null', '"alice"', '{}', '{"subdomain":1}',
    '{"subdomain":"alice"}', '{"subdomain":"alice","version":-1}',
    '{"subdomain":"alice","version":"7"}', '{"subdomain":"","version":1}',
    '{"subdomain":"-a","version":1}', '{"subdomain":"a.b","version":1}',
    '{"subdomain":"a}\',\'b","version":1}', '{"subdomain":"ALICE"}',
    '{"subdomain":"a\u0000b","version":1}', '{"subdomain":"a,b"}',
    '{"subdomain":"' . 'a' x 63 . '","version":1}',
    '{"subdomain":"' . 'a' x 64 . '","version":1}',
    '{"beat":1}', '{"beat":"1"}', '{"beat":"x"}', '{"beat":["1"]}',
    '{"beat":"99999999999999999999999"}', '{"beat":""}',
    '[' x 7999, 'x' x 7999, '{"subdomain":"' . 'a' x 7900 . '"}',
    '{"subdomain":"alice","version":1e999}',
    '{"subdomain":"alice","version":99999999999999999999}',
    "\xc3\xa9", "\r\n[alert] forged\r\n",
);
notify(@garbage);
is target('alice'), 'app=oa-alice;instance=m2', 'garbage';
is target('a' x 63), 404, 'a name in it';

# more names than the feed remembers
notify(map { qq({"subdomain":"forged$_","version":$_}) } 1 .. 1000);
is target('forged1'), 404, 'a thousand names';

is $ng->log_count(qr/routes read from the database/), 1,
    'nothing was read in full';
is $ng->log_count(qr/the change feed is lost/), 0, 'the feed was not lost';
unlike $ng->log, qr/^\[alert\] forged/m, 'a payload writes no line of the log';
is $ng->worker_pids, 2, 'the workers stand';

done_testing;
