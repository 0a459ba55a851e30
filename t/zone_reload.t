# Routes outlive a reload; another size is another zone.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use OA::Client qw(http_get);
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Util qw(wait_for);

sub conf {
    my ($zone, $more) = @_;
    return "oa_zone $zone;\n" . <<'CONF' . ($more // '');
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        location / { oa_replay; }
    }
CONF
}

my $ng = OA::Nginx->new(
    workers => 2,
    files   => { 'routes.json' => routes_file('alice', 'bob'),
                 'other.json'  => routes_file('alice', 'carol') },
    http    => conf('4m'));

sub replay {
    my ($name, $port) = @_;
    http_get($ng->port($port // 0), '/', host => "$name.openagents.example")
        ->header('fly-replay') // '';
}

sub reads { $ng->log_count(qr/ routes read from /) }

is replay('alice'), 'app=oa-alice;instance=malice', 'a route';
is reads(), 1, 'the file is read once';

ok $ng->reload, 'reload';
is replay('alice'), 'app=oa-alice;instance=malice', 'it is there';
ok $ng->reload, 'and again';
is reads(), 1, 'without reading the file';

$ng->write_file('routes.json', routes_file('alice'));
ok $ng->reload, 'reload with a changed file';
is replay('bob'), '', 'a row less';
is reads(), 2, 'read by the reload, or just before';

# a second table finds its place beside the first
$ng->write_conf(http => conf('4m', <<'CONF'));
    oa_routes other {
        domain openagents.example;
        source file other.json;
    }
    server {
        listen 127.0.0.1:%%PORT_1%%;
        oa_router other;
        location / { oa_replay; }
    }
CONF
ok $ng->reload, 'another oa_routes';
is replay('carol', 1), 'app=oa-carol;instance=mcarol', 'has its names';
is replay('carol'), '', 'and they are its own';
is replay('alice'), 'app=oa-alice;instance=malice', 'the first stays';
is reads(), 3, 'only the new file was read';

$ng->write_conf(http => conf('4m') =~ s/routes\.json/other.json/r);
ok $ng->reload, 'another file for the first';
is replay('carol'), 'app=oa-carol;instance=mcarol', 'its names';
ok $ng->reload, 'once more';

my $reads = reads();
$ng->write_conf(http => conf('8m'));
ok $ng->reload, 'another size';
is replay('alice'), 'app=oa-alice;instance=malice', 'the routes are there';
is replay('carol'), '', 'and none of what was before';
is reads(), $reads + 1, 'since the file was read anew';

# a size that the routes do not fit in
$ng->write_file('routes.json', routes_file(map { "u$_" } 1 .. 10_000));
ok +(wait_for { replay('u10000') } 5), 'many routes';
$ng->write_conf(http => conf('1m'));
ok $ng->reload, 'a zone too small for them';
ok $ng->wait_log(qr/\[error\].* 10000 routes of "\S+" need \d+k of oa_zone/),
    'is said';
my $r = http_get($ng->port, '/', host => 'u1.openagents.example');
is $r->status, 503, 'and nobody is told that there is no route';

$ng->write_conf(http => conf('oops'));
$ng->expect_log(qr/invalid size "oops"/);
ok !$ng->reload, 'a wrong configuration';
$ng->write_conf(http => conf('8m'));
ok $ng->reload, 'back';
is replay('u10000'), 'app=oa-u10000;instance=mu10000', 'all as before';

is $ng->log_count(qr/repairing/), 0, 'and nothing had to be repaired';

done_testing;
