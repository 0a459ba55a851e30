# A wrong password is an error that does not show it, and no answer to wait for.

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
use OA::Util qw(wait_for slurp);

my $pg = OA::Postgres->new(start => 0);
my $hba = $pg->dir . '/data/pg_hba.conf';
my $text = slurp($hba);
open my $fh, '>', $hba or die "$hba: $!";
print $fh "host all oa_router 127.0.0.1/32 scram-sha-256\n$text";
close $fh or die "$hba: $!";
$pg->start->apply;
$pg->do(q{ALTER ROLE oa_router PASSWORD 'Right-4711'});
insert_route($pg, 'alice', machine => 'm1');

my $secret = 'Wrong-Zyxwv';

my $ng = OA::Nginx->new(workers => 2, log_level => 'debug',
    env => { DATABASE_URL => $pg->conninfo(user => 'oa_router',
                                           password => $secret) },
    http => <<'CONF');
    oa_zone 16m;
    oa_postgres env:DATABASE_URL;
    oa_routes t { domain openagents.example; source postgres; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        location / { oa_replay; }
    }
CONF

sub get { http_get($ng->port, '/', host => "$_[0].openagents.example") }

ok $ng->wait_log(qr/\[error\].*oa_postgres: .*password authentication failed/),
    'the log says what is wrong';

my $start = time;
my $r = get('alice');
is $r->status, 503, 'no route';
cmp_ok time - $start, '<', 3, 'in time';
like $r->header('Retry-After') // '', qr/^\d+$/, 'come back later';

ok +($ng->log . slurp($ng->path('stderr.log'))) !~ /zyxwv/i,
    'no log has the password';
unlike $r->body, qr/zyxwv|oa_router|127\.0\.0\.1/,
    'and the answer has nothing of the database';
my ($master, @workers) = ($ng->pid, $ng->worker_pids);
is +(grep { slurp("/proc/$_/cmdline") =~ /Zyxwv/ } $master, @workers), 0,
    'no command line has it';

cmp_ok $ng->log_count(qr/\[error\].*password authentication failed/), '<=', 4,
    'it is not said over and over';

$pg->do("ALTER ROLE oa_router PASSWORD '$secret'");
ok +(wait_for {
    (get('alice')->header('fly-replay') // '') eq 'app=oa-alice;instance=m1'
} 20), 'the password becomes right';
ok $ng->log !~ /zyxwv/i, 'still no log has it';

done_testing;
