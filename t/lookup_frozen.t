# The database hangs: all that is known is served as ever, what is not known
# is refused in time, and nobody waits for anybody else.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get http_many request_bytes);
use OA::Nginx;
use OA::Postgres;
use OA::Routes qw(insert_route);
use OA::Util qw(wait_for);

my @names = map { "r$_" } 1 .. 50;
my $pg = OA::Postgres->new->apply;
insert_route($pg, $_, machine => "m$_") for @names;

my $ng = OA::Nginx->new(workers => 4, http => <<"CONF");
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}' timeout=1s;
    oa_routes t {
        domain openagents.example; source postgres; negative_ttl 1h;
    }
    server {
        listen 127.0.0.1:%%PORT_0%% reuseport;
        keepalive_requests 100000;
        oa_router t;
        location / {
            add_header X-Cache \$oa_route_cache always;
            add_header X-Pid \$pid always;
            oa_replay;
        }
    }
CONF

sub get { http_get($ng->port, '/', host => "$_[0].openagents.example") }

my (%client, $slowest);

# Every known name from every worker; how many answers are wrong.
sub wrong {
    my $wrong = 0;
    $slowest = 0;
    for my $client (values %client) {
        for my $name (@names) {
            my $start = time;
            my $r = $client->get('/', host => "$name.openagents.example");
            my $took = time - $start;
            $slowest = $took if $took > $slowest;
            $wrong++ if ($r->header('fly-replay') // '')
                        ne "app=oa-$name;instance=m$name";
        }
    }
    return $wrong;
}

ok $ng->wait_log(qr/50 routes read from the database/), 'the first read';
wait_for {
    my $client = OA::Client->new($ng->port);
    my $r = $client->get('/', host => 'r1.openagents.example');
    $client{ $r->header('X-Pid') } //= $client;
    keys %client == 4;
};
is keys %client, 4, 'every worker is asked';

is get('nobody')->status, 404, 'a name that nobody has';
is wrong(), 0, 'all are served';

# connections of every worker are open when it freezes

http_many($ng->port, [ map { request_bytes('/', close => 1,
    host => "open$_.openagents.example") } 1 .. 40 ]);

$pg->freeze;

is wrong(), 0, 'frozen: all are served';
cmp_ok $slowest, '<', 0.5, 'frozen: none waits';
is get('nobody')->status, 404, 'frozen: so is the name that nobody has';

my @unknown = map {
    my $client = OA::Client->new($ng->port);
    $client->send("GET / HTTP/1.1\r\nHost: new$_.openagents.example\r\n\r\n");
    $client;
} 1 .. 40;
my $start = time;

is wrong(), 0, 'with unknown ones before it: all are served';
cmp_ok $slowest, '<', 0.5, 'none waits';

my @r = map { $_->response } @unknown;
my $took = time - $start;
is +(grep { $_->status != 503 } @r), 0, 'unknown ones: 503';
is +(grep { ($_->header('Retry-After') // '') !~ /^[1-9]\d?$/ } @r), 0,
    'with Retry-After';
cmp_ok $took, '<', 3, 'in time';
like $r[0]->body, qr/"code":"routes_unavailable"/, 'and a reason';

is wrong(), 0, 'after them: all are served';

$pg->thaw;
ok +(wait_for { get('new1')->status == 404 } 20), 'thawed: it can be asked';
$pg->do(q{UPDATE public.agent_instances SET fly_machine_id = 'mx'
          WHERE subdomain = 'r1'});
ok +(wait_for { get('r1')->header('fly-replay') eq 'app=oa-r1;instance=mx' }
     20), 'changes come';

done_testing;
