# A worker dies inside the zone's lock while the master, which would free it,
# waits for that lock in a reload.

use strict;
use warnings;

use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Postgres;
use OA::Routes qw(insert_route);
use OA::Util qw(wait_for slurp at_exit);

my $N = 2000;

my $pg = OA::Postgres->new->apply;
insert_route($pg, 'r0', app => 'a', machine => 'm0x0');
$pg->do(q{ALTER TABLE public.agent_instances
          DROP CONSTRAINT agent_instances_user_id_agent_id_key});
$pg->do(<<'SQL', $N - 1);
    INSERT INTO public.agent_instances (user_id, agent_id, fly_app_name,
           fly_machine_id, region, status, access, subdomain)
    SELECT user_id, agent_id, 'a', 'm' || n || 'x0', 'fra', 'running',
           'public', 'r' || n
      FROM public.agent_instances, generate_series(1, ?) n
SQL

my $ng = OA::Nginx->new(workers => 2, http => <<"CONF");
    oa_zone 2m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}';
    oa_routes t { domain openagents.example; source postgres; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        location / { oa_replay; }
    }
CONF
$ng->expect_log(qr/exited on signal 9/, qr/was locked by/);

ok $ng->wait_log(qr/$N routes read from the database/), 'the first read';

# rows change all the time

my $writer = fork // die "fork: $!";
if (!$writer) {
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    my $dbh = $pg->connect;
    my $parent = getppid;
    while (getppid == $parent) {
        eval { $dbh->do(q{UPDATE public.agent_instances
            SET fly_machine_id = fly_machine_id || '1'
            WHERE length(fly_machine_id) < 20}) } or last;
        eval { $dbh->do(q{UPDATE public.agent_instances
            SET fly_machine_id = split_part(fly_machine_id, 'x', 1)
                                 || 'x0'}) } or last;
    }
    POSIX::_exit(0);
}
my $stop_writer = sub {
    my $pid = $writer or return '';
    undef $writer;
    kill 'KILL', $pid;
    local $?;
    waitpid $pid, 0;
    return '';
};
at_exit($stop_writer);

my ($holder) = $ng->log =~ /(\d+)#\d+: duty "routes:t" taken/;

# Stopped where the first word of the zone, its lock, is the worker's pid.
sub stop_in_lock {
    my ($pid) = @_;
    my ($address) = slurp("/proc/$pid/maps")
        =~ /^([0-9a-f]+)-\S+ rw-s .*\/dev\/zero/m or return;
    open my $mem, '<:raw', "/proc/$pid/mem" or return;
    no warnings 'portable';
    my $end = time + 20;
    while (time < $end) {
        kill 'STOP', $pid;
        wait_for { slurp("/proc/$pid/stat") =~ /\) T / } 1;
        sysseek $mem, hex $address, 0 or last;
        sysread $mem, my $word, 8 or last;
        return 1 if unpack('Q', $word) == $pid;
        kill 'CONT', $pid;
    }
    kill 'CONT', $pid;
    return;
}

SKIP: {
    my $stopped = eval { stop_in_lock($holder) };
    skip 'no worker could be stopped inside the lock', 5 unless $stopped;

    my @old = $ng->worker_pids;
    $ng->signal('HUP');

    # the master waits now, in a futex
    wait_for { (eval { slurp('/proc/' . $ng->pid . '/syscall') } // '')
               =~ /^202 / } 2;
    kill 'KILL', $holder;

    my $reloaded = wait_for {
        my %old = map { $_ => 1 } @old;
        my @new = grep { !$old{$_} } $ng->worker_pids;
        @new >= 2;
    } 5;
    ok $reloaded, 'the reload comes to its end';

    # nginx makes another one in the place of the dead, too
    cmp_ok $ng->worker_pids, '>=', 2, 'with new workers' if $reloaded;

    if (!$reloaded) {
        # nothing but this ends it
        my @all = ($ng->pid, $ng->worker_pids, $ng->old_worker_pids);
        kill 'KILL', @all;
        wait_for { $ng->quit(0.1) } 1;
        last SKIP;
    }

    $stop_writer->();
    my @wrong;
    wait_for {
        # its last statement may still be running in the server
        my %of = map { $_->[0] => "app=a;instance=$_->[1]" }
                 @{ $pg->rows('SELECT subdomain, machine FROM oa.routes') };
        my $client = OA::Client->new($ng->port);
        @wrong = grep {
            # a worker that ends closes its connections
            my $r = $client->get('/', host => "$_.openagents.example");
            !$r || ($r->header('fly-replay') // '') ne $of{$_}
        } (sort keys %of)[0 .. 900];
        !@wrong;
    } 20;
    is scalar @wrong, 0, 'all are served';

    $pg->do(q{UPDATE public.agent_instances SET fly_machine_id = 'end'
              WHERE subdomain = 'r0'});
    ok +(wait_for {
        http_get($ng->port, '/', host => 'r0.openagents.example')
            ->header('fly-replay') eq 'app=a;instance=end'
    } 5), 'the feed goes on';
    like $ng->log, qr/died while it wrote, repairing/, 'it was repaired';
}

done_testing;
