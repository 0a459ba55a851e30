# Workers are killed at any instruction while rows change and clients read: a
# name never gets another's machine, and in the end all is as the database says.

use strict;
use warnings;

use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client;
use OA::Nginx;
use OA::Postgres;
use OA::Routes qw(insert_route);
use OA::Util qw(wait_for spew slurp at_exit);

my $NAMES = 600;
my $KILLS = $ENV{OA_KILLS} // 20;

my $pg = OA::Postgres->new->apply;
insert_route($pg, 'n0', app => 'a0', machine => 'm0x0');

# one user has them all, of one agent; every third has a long record

$pg->do(q{ALTER TABLE public.agent_instances
          DROP CONSTRAINT agent_instances_user_id_agent_id_key});
$pg->do(<<'SQL', $NAMES - 1);
    INSERT INTO public.agent_instances (user_id, agent_id, fly_app_name,
           fly_machine_id, region, status, access, subdomain)
    SELECT user_id, agent_id,
           CASE WHEN n % 3 = 0 THEN rpad('a' || n || 'y', 60, 'y')
                ELSE 'a' || n END,
           'm' || n || 'x0', 'fra', 'running', 'public', 'n' || n
      FROM public.agent_instances, generate_series(1, ?) n
SQL

my $ng = OA::Nginx->new(workers => 3, http => <<"CONF");
    oa_zone 2m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}';
    oa_routes t {
        domain openagents.example; source postgres; negative_ttl 1s;
        snapshot %%DIR%%/routes;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        keepalive_requests 100000;
        oa_router t;
        location / { oa_replay; }
    }
CONF
$ng->expect_log(qr/exited on signal 9/, qr/was locked by/);

ok $ng->wait_log(qr/$NAMES routes read from the database/), 'the first read';

my $end = $ng->path('end');

# Another process; its code is run until the end, and returns a report.
sub beside {
    my ($code) = @_;
    my $report = $ng->path('report.' . rand);
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        spew($report, eval { $code->() } // "died: $@");
        POSIX::_exit(0);
    }
    at_exit(sub { kill 'KILL', $pid; local $?; waitpid $pid, 0; '' });
    return sub {
        local $?;
        waitpid $pid, 0;
        return slurp($report);
    };
}

# Every machine tells its name.  Some names come and go.
my $writer = beside(sub {
    my $dbh = $pg->connect;
    my $n = 0;
    until (-e $end) {
        $n++;
        $dbh->do(q{UPDATE public.agent_instances
            SET fly_machine_id = split_part(fly_machine_id, 'x', 1)
                                 || 'x' || ?}, undef, $n);
        $dbh->do(q{UPDATE public.agent_instances
            SET subdomain = CASE WHEN subdomain LIKE 'z%'
                            THEN substr(subdomain, 2)
                            ELSE 'z' || subdomain END
            WHERE fly_machine_id LIKE 'm1__x%'});
    }
    return $n;
});

my @readers = map { my $seed = $_; beside(sub {
    my ($client, $answers, $first, %wrong);
    srand $seed;
    until (-e $end) {
        $client //= eval { OA::Client->new($ng->port, timeout => 20) } or next;
        my $n = int rand $NAMES;
        my $z = $n =~ /^1..$/ && rand() < 0.5 ? 'z' : '';
        my $r = eval { $client->get('/',
                       host => "${z}n$n.openagents.example") };
        if (!$r) {
            $wrong{hung}++ if ($@ // '') =~ /no answer in time/;
            $client = undef;
            next;
        }
        $answers++;
        my $replay = $r->header('fly-replay') // '';
        next if $r->status == 307
                and $replay =~ /^app=a${n}y*;instance=m${n}x\d+$/;
        next if $n =~ /^1..$/ and $r->status =~ /^(?:404|503)$/;
        $wrong{ $r->status }++;
        $first //= "n$n: " . $r->status . " $replay";
    }
    return "$answers answers" . join(', ', '', map { "$wrong{$_} x $_" }
           sort keys %wrong) . ($first ? ", first $first" : '');
}) } 1 .. 2;

# Stops a worker, again and again, until it stands where it holds the lock: the
# first word of the zone is then its pid.
sub stop_in_lock {
    my ($pid) = @_;
    my ($address) = eval { slurp("/proc/$pid/maps") }
        =~ /^([0-9a-f]+)-\S+ rw-s .*\/dev\/zero/m or return;
    open my $mem, '<:raw', "/proc/$pid/mem" or return;
    no warnings 'portable';
    my $end = time + 1;
    while (time < $end) {
        kill 'STOP', $pid or return;
        wait_for { (eval { slurp("/proc/$pid/stat") } // 'T') =~ /\) T / } 1;
        sysseek $mem, hex $address, 0 or return;
        sysread $mem, my $word, 8 or return;
        return if unpack('Q', $word) == $pid;
        kill 'CONT', $pid;
    }
}

my $start = time;
my $down = 0;
for (1 .. $KILLS) {
    my @pids = $ng->worker_pids;
    my ($holder) = reverse $ng->log =~ /(\d+)#\d+: duty "routes:t" taken/g;
    my $pid = rand() < 0.6 && (grep { $_ == $holder } @pids)
              ? $holder : $pids[rand @pids];
    stop_in_lock($pid) if $pid == $holder and rand() < 0.8;
    kill 'KILL', $pid;
    wait_for {
        my @now = $ng->worker_pids;
        @now == 3 and !grep { $_ == $pid } @now;
    } 10 or $down++;
    my $takes = $ng->log_count(qr/duty "routes:t" taken/);
    wait_for { $ng->log_count(qr/duty "routes:t" taken/) > $takes } 0.6
        if $pid == $holder;
}
spew($end, '');

my $rounds = $writer->();
like $rounds, qr/^[1-9]\d*$/, 'rows changed all the time';
for my $reader (@readers) {
    my $report = $reader->();
    diag $report;
    like $report, qr/^\d+ answers$/, 'each name had its own machine';
}
is $down, 0, 'each dead worker was replaced';
diag sprintf '%d kills and %s rounds in %.1f s; %d times in the lock, '
             . '%d repairs', $KILLS, $rounds, time - $start,
             $ng->log_count(qr/was locked by/), $ng->log_count(qr/repairing/);

SKIP: {
    my $locked = $ng->log_count(qr/was locked by/);
    skip 'no worker died in the lock', 1 unless $locked > 2;
    cmp_ok $ng->log_count(qr/died while it wrote, repairing/), '>', 0,
        'what they left was repaired';
}

# as the database says

my %of = map { $_->[0] => "app=$_->[1];instance=$_->[2]" }
         @{ $pg->rows('SELECT subdomain, app, machine FROM oa.routes') };
is keys %of, $NAMES, 'all rows are there';

my $client = OA::Client->new($ng->port);
my @wrong;
wait_for {
    @wrong = grep {
        ($client->get('/', host => "$_.openagents.example")
         ->header('fly-replay') // '') ne $of{$_}
    } sort keys %of;
    !@wrong;
} 20;
is "@wrong[0 .. ($#wrong < 4 ? $#wrong : 4)]", '', 'all are served';

my @gone = grep { !$of{$_} } map { ("n$_", "zn$_") } 0 .. $NAMES - 1;
@wrong = grep {
    $client->get('/', host => "$_.openagents.example")->status != 404
} @gone;
is "@wrong[0 .. ($#wrong < 4 ? $#wrong : 4)]", '', 'and no other name is';

my %snapshot;
wait_for {
    %snapshot = slurp($ng->path('routes'))
        =~ /"subdomain":"([^"]*)".*?"machine":"([^"]*)"/g;
    join(',', map { "$_=$snapshot{$_}" } sort keys %snapshot)
        eq join ',', map { "$_=" . ($of{$_} =~ /instance=(.*)/)[0] }
                     sort keys %of;
} 5;
is +(join ',', map { "$_=$snapshot{$_}" } sort keys %snapshot),
   (join ',', map { "$_=" . ($of{$_} =~ /instance=(.*)/)[0] } sort keys %of),
   'the snapshot has the same';

done_testing;
