# Workers that are killed while they read a file leave a table that serves.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use OA::Client;
use OA::Nginx;
use OA::Util qw(wait_for);

my $n = 20_000;

sub rows {
    my ($machine) = @_;
    return "{\"routes\":[\n" . join(",\n", map {
        sprintf '{"subdomain":"u%d","route_id":"r%d","app":"app",'
            . '"machine":"%s","status":"running","access":"public"}',
            $_, $_, $machine;
    } 1 .. $n) . "\n]}\n";
}

my $ng = OA::Nginx->new(
    workers => 3,
    files   => { 'routes.json' => rows('m0') },
    http    => <<'CONF');
    oa_zone 4m;
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        keepalive_requests 1000000;
        oa_router t;
        location / { oa_replay; }
    }
CONF

$ng->expect_log(qr/worker process \d+ exited on signal 9/,
                qr/zone "ngx_oa" was locked by \d+/);

# An answer, over another connection where the worker has died.
my $c;

sub machine {
    my ($i) = @_;
    my $r = wait_for {
        $c //= eval { OA::Client->new($ng->port) };
        my $r = $c && eval {
            $c->get('/', host => "u$i.openagents.example");
        };
        undef $c unless $r;
        $r;
    } 10;
    my ($machine) = ($r && $r->header('fly-replay') // '')
        =~ /^app=app;instance=(m\d+)$/;
    return $machine // ($r ? $r->status : 'none');
}

my @wrong;
my %seen;
for my $round (1 .. 12) {
    $ng->write_file('routes.json', rows("m$round"));

    # in the midst of it: the first row is there, the last is not; or whenever
    if ($round % 3) {
        my $end = time + 5;
        1 until machine(1) eq "m$round" or time > $end;
    } else {
        machine(1) for 1 .. rand 3000;
    }
    kill 'KILL', $_ for $ng->worker_pids;

    for (1 .. 40) {
        my $machine = machine(1 + int rand $n);
        $seen{$machine}++;
        push @wrong, $machine
            if $machine !~ /^m(\d+)$/ || $1 > $round;
    }
}
is_deeply \@wrong, [], 'every answer is one of the file\'s, old or new';

ok +(wait_for { machine($n) eq 'm12' && machine(1) eq 'm12' } 10),
    'and at last the new one';
ok +(wait_for { !grep { machine($_) ne 'm12' } map { $_ * 97 } 1 .. 200 } 10),
    'of all rows';
is machine($n + 1), 404, 'a name that is not there';

$ng->write_file('routes.json', '{"routes":[]}');
ok +(wait_for { machine(1) eq 404 } 10), 'the file is still followed';
is_deeply [ grep { machine($_) ne 404 } map { $_ * 97 } 1 .. 200 ], [],
    'and no row is left over';

$ng->write_file('routes.json', rows('m99'));
ok +(wait_for { machine($n) eq 'm99' } 10), 'no room was lost';
ok $ng->reload, 'a reload';
is machine(5), 'm99', 'finds it in order';

my $locked = $ng->log_count(qr/zone "ngx_oa" was locked by/);
is $ng->log_count(qr/died while it wrote, repairing/), $locked,
    'who died with the lock was cleaned up after';
note "$locked died with the lock";

done_testing;
