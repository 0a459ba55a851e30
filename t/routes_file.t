# A changed file of routes is taken up within a second, by all workers.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Time::HiRes qw(time);

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Util qw(wait_for);

my $ng = OA::Nginx->new(
    workers => 2,
    files   => { 'routes.json' => routes_file('alice', 'bob') },
    http    => <<'CONF');
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        location / {
            add_header X-Cache $oa_route_cache always;
            oa_replay;
        }
    }
CONF

sub get { http_get($ng->port, '/', host => "$_[0].openagents.example") }
sub replay { get(@_)->header('fly-replay') // '' }

# The time until all of some answers in a row are as wanted.
sub soon {
    my ($what, $cond) = @_;
    my $start = time;
    my $ok = wait_for { !grep { !$cond->() } 1 .. 10 } 5;
    my $took = time - $start;
    ok $ok && $took < 1.2, $what or diag "after $took s";
}

# As an editor does that keeps the file.
sub in_place {
    my ($bytes) = @_;
    open my $fh, '>:raw', $ng->path('routes.json') or die $!;
    print $fh $bytes;
    close $fh or die $!;
}

is replay('alice'), 'app=oa-alice;instance=malice', 'from the first request on';
is get('alice')->header('x-cache'), 'hit', 'a hit';
is get('nobody')->status, 404, 'a name that is not there';
is get('nobody')->header('x-cache'), 'none', 'none';

$ng->write_file('routes.json', routes_file('bob',
                route('alice', machine => 'm2', version => 7)));
soon 'changed, renamed into place',
    sub { replay('alice') eq 'app=oa-alice;instance=m2' };
is replay('bob'), 'app=oa-bob;instance=mbob', 'the others stay';

in_place(routes_file('bob', route('alice', machine => 'm3', version => 2)));
soon 'changed in place, to a lower version',
    sub { replay('alice') eq 'app=oa-alice;instance=m3' };

in_place(routes_file('alice'));
soon 'a row is gone', sub { get('bob')->status == 404 };

in_place(routes_file('alicia', 'bob'));
soon 'a row is renamed', sub {
    get('alice')->status == 404
        && replay('alicia') eq 'app=oa-alicia;instance=malicia'
        && replay('bob') eq 'app=oa-bob;instance=mbob';
};

in_place(routes_file('alicia', route('bob', status => 'disabled')));
soon 'a status', sub { get('bob')->status == 402 };

in_place(routes_file('alicia', route('bob', access => 'owner')));
soon 'an access', sub { get('bob')->status == 404 };

in_place('{"routes":[]}');
soon 'no rows at all', sub { get('alicia')->status == 404 };

in_place(<<'JSON');
{ "version": 3, "comment": { "routes": [ "not these" ], "x": [[1, 2], null] },
  "routes": [
    { "owner": { "name": "a, \"b\"" }, "status": "stopped",
      "machine": "m1", "app": "a1", "access": "public",
      "subdomain": "c\u0061rol", "route_id": "r", "region": null },

    { "subdomain": "dave", "route_id": "r2", "status": "suspended", "app": "a2",
      "machine": "m2", "access": "public", "user_id": "", "version": 0 }
  ],
  "more": 1e3
}
JSON
soon 'unknown keys, other orders, nulls, escapes', sub {
    replay('carol') eq 'app=a1;instance=m1'
        && replay('dave') eq 'app=a2;instance=m2';
};

is $ng->log_count(qr/\[(?:error|crit)\]/), 0, 'and no error';

# left alone, it is not read again
my $reads = $ng->log_count(qr/ routes read from /);
my $mtime = (stat $ng->path('routes.json'))[9];
utime $mtime - 5, $mtime - 5, $ng->path('routes.json');
ok +(wait_for {
    $ng->log_count(qr/ routes read from /) == $reads + 1
} 3), 'a new time is a change';

done_testing;
