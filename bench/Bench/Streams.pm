package Bench::Streams;

# Events of streams against nginx's own proxy: CPU, latency and memory.

use strict;
use warnings;

use IPC::Open2 qw(open2);
use JSON::PP ();

use Bench ();
use Bench::Speed ();
use OA::Nginx ();
use OA::Util qw(free_port);

my @STREAMS = (100, 1000);
my $IDLE = 4000;
my $MOST = 9000;

# nginx keeps a sixteenth free.
my $CONNECTIONS = 20_000;

# As in Bench::Speed.
my $WORKER = <<"END";
worker_cpu_affinity   01;
worker_rlimit_nofile  $CONNECTIONS;
END
my @LOAD = qw(-C 1);
my $KEEP = 5;

# Turns in a round, and how many of them must have been quiet for it to count.
my ($TURNS, $FEWEST) = (16, 4);

# A stream's buffer is full when it is measured, as in a long one.
my $BUFFER = 256 * 1024;

# Loads, as shares of what one worker with proxy_pass can do at the most: with
# less to do each event is dearer, as it comes alone.  They make it busy to
# about 50 % and 20 % of its time.
my %SHARE = (cpu => 0.3, latency => 0.075);

# How often the memory is measured.
my $MEMORY = 3;

sub arms {
    my $proxy = sub { (
        modules => [], title => $_[0], http => sub { server('', <<"END") },
            proxy_pass          http://127.0.0.1:$_[0];
            proxy_http_version  1.1;
            proxy_buffering     off;
END
    ) };
    return (
        base => { $proxy->('proxy_pass') },
        same => { $proxy->('proxy_pass, another nginx') },
        map { $_ => ours($_) } qw(raw seed),
    );
}

sub ours {
    my ($dialect) = @_;
    return {
        title => "oa_sse, $dialect", ids => 1,
        modules => [qw(ngx_oa_core_module ngx_oa_sse_module)],
        http => sub { server(<<'END', <<"END") },
    oa_zone      512m;
    oa_sse_keep  1s;
END
            oa_sse_pass     http://127.0.0.1:$_[0]/stream;
            oa_sse_dialect  $dialect;
END
    };
}

sub server {
    my ($main, $location) = @_;
    return <<"END";
$Bench::COMMON$main
    server {
        listen  127.0.0.1:%%PORT_0%% backlog=4096;
        location /stream {
$location        }
    }
END
}

sub start {
    my ($arm, %more) = @_;
    $arm->{agent} //= free_port();
    $arm->{nginx}->stop if $arm->{nginx};
    $arm->{nginx} = OA::Nginx->new(
        http => $arm->{http}->($arm->{agent}), modules => $arm->{modules},
        main => $WORKER, log_level => 'warn', connections => 4096, %more);
}

sub stop {
    my ($arm) = @_;
    my $nginx = delete $arm->{nginx};
    $nginx->stop if $nginx;
}

sub spec {
    my ($name, $arm) = @_;
    my ($pid) = $arm->{nginx}->worker_pids;
    return join ',', $name, $arm->{nginx}->port, $arm->{agent}, $pid;
}

sub check {
    my ($arm, $got) = @_;
    die "$arm->{title}: $got->{ids} ids in $got->{events} events\n"
        if $got->{ids} != ($arm->{ids} ? $got->{events} : 0);
}

# All arms at some loads, a name and a number of events a second each.
sub load {
    my ($arms, $streams, $round, $turns, %load) = @_;
    my @names = sort keys %load;

    my $got = Bench::streams(
        @LOAD, '-S', $round, '-n', $streams, '-t', $turns, '-f', $BUFFER,
        (map { ('-l', $load{$_}) } @names),
        map { spec($_ => $arms->{$_}) } Bench::Speed::shuffled(keys %$arms));

    for my $arm (keys %$got) {
        check($arms->{$arm}, $got->{$arm});
        my @loads = @{ $got->{$arm}{loads} };
        $got->{$arm} = { map { $names[$_] => $loads[$_] } 0 .. $#names };
    }
    return $got;
}

# The loads that are right for this machine, as it is when nothing else has
# the worker's CPU.
sub loads {
    my ($arms, $streams) = @_;
    my $got = load({ base => $arms->{base} }, $streams, 1, $TURNS, most => 0);
    my $most = 1e9 / Bench::median(@{ $got->{base}{most}{cpu_ns} });
    return (most => 0,
            map { $_ => 1000 * (int($SHARE{$_} * $most / 1000) || 1) }
            keys %SHARE);
}

# Was an arm at its load in a turn, or did something else have a CPU?
sub quiet {
    my ($load, $arm, $turn) = @_;
    my $off = $load ? abs($arm->{rps}[$turn] / $load - 1) : 0;
    return $off < 0.05 && $arm->{waited}[$turn] < 0.02;
}

# The ratios of a value in those turns in which both arms were.
sub ratios {
    my ($value, $load, @arms) = @_;
    my ($arm, $base) = map { $_->{$value} } @arms;

    return map { $arm->[$_] / $base->[$_] } grep {
        my $turn = $_;
        !grep { !quiet($load, $_, $turn) } @arms;
    } 0 .. $#$arm;
}

# What is measured at a load.
my %VALUE = (cpu => 'cpu_ns', latency => 'p50_us', most => 'cpu_ns');

sub run {
    my ($rounds) = @_;
    my %arms = arms();
    my (%load, %ratio, %runs);
    my ($all, $quiet) = (0, 0);

    for my $name (sort keys %arms) {
        next unless grep { !-e OA::Nginx->module_path($_) }
                    @{ $arms{$name}{modules} };
        print "$arms{$name}{title}: not built, left out\n";
        delete $arms{$name};
    }

    print "streams, $rounds rounds\n";

    for my $round (1 .. $rounds) {

        if (($round - 1) % $KEEP == 0) {
            start($arms{$_}) for sort keys %arms;
        }

        for my $n (Bench::Speed::shuffled(@STREAMS)) {
            $load{$n} //= { loads(\%arms, $n) };

            my $got = load(\%arms, $n, $round, $TURNS, %{ $load{$n} });

            push @{ $runs{$n}{$_} }, $got->{$_} for keys %arms;

            for my $name (grep { $_ ne 'base' } keys %arms) {
                for my $load (keys %VALUE) {
                    my @ratios = ratios($VALUE{$load}, $load{$n}{$load},
                                        map { $got->{$_}{$load} }
                                        $name, 'base');
                    $all += $TURNS;
                    $quiet += @ratios;
                    push @{ $ratio{$n}{$name}{$load} }, Bench::median(@ratios)
                        if @ratios >= $FEWEST;
                }
            }
        }
        print '.';
    }
    printf "\n\n%.0f %% of the turns were quiet\n", 100 * $quiet / $all;

    stop($_) for values %arms;

    lines(\%arms, $_, $runs{$_}) for @STREAMS;

    return (rows(\%arms, \%ratio), memory(\%arms, $rounds), most(\%arms));
}

sub lines {
    my ($arms, $n, $runs) = @_;

    for my $load (qw(cpu latency most)) {
        for my $name (grep { $runs->{$_} } qw(base same raw seed)) {

            # over the rounds, and where each turn has one, over these
            my %m = map {
                my $value = $_;
                $value => Bench::median(map {
                    my $v = $_->{$load}{$value};
                    ref $v ? Bench::median(@$v) : $v;
                } @{ $runs->{$name} });
            } qw(rps cpu_ns p50_us server_cpu busy);

            printf "%-26s %5d streams  %7.0f/s  %5.2f us an event  p50 %4.0f "
                   . "us  worker's CPU %3.0f %%  generator busy %3.0f %%\n",
                $arms->{$name}{title}, $n, $m{rps}, $m{cpu_ns} / 1000,
                $m{p50_us}, 100 * $m{server_cpu}, 100 * $m{busy};
        }
    }
}

sub rows {
    my ($arms, $ratio) = @_;
    my @rows;

    for ([ cpu => 'CPU an event', 1.0 ], [ latency => 'latency', 1.1 ],
         [ most => 'CPU an event without a pause' ])
    {
        my ($load, $what, $reach) = @$_;

        for my $n (@STREAMS) {
            for my $name (qw(raw seed same)) {
                next if !$arms->{$name};
                my $values = $ratio->{$n}{$name}{$load}
                    // die "no round was quiet\n";
                push @rows, Bench::row(
                    "$what, $n streams: $arms->{$name}{title}",
                    'proxy_pass', $values,
                    defined $reach && $arms->{$name}{ids}
                        ? (reach => $reach, sign => -1) : ());
            }
        }
    }
    return @rows;
}

# Opens streams, one event in each, and returns by how many bytes the worker
# and its zone have grown; then there is another event in each, and the end.
sub hold {
    my ($name, $arm, $n) = @_;

    start($arm, connections => $CONNECTIONS);
    my ($worker) = $arm->{nginx}->worker_pids;
    my @before = Bench::worker_memory($worker);

    my $pid = open2(my $out, my $in, Bench::program('streams'), @LOAD, '-H',
                    '-n', $n, spec($name, $arm));
    my $open = <$out> // die "$arm->{title}: $n streams do not open\n";
    my @after = Bench::worker_memory($worker);

    syswrite $in, "\n";
    my $end = <$out> // die "$arm->{title}: $n streams do not end\n";
    waitpid $pid, 0;
    die "$arm->{title}: $n streams do not end\n" if $?;
    stop($arm);

    my $got = JSON::PP::decode_json($end);
    check($arm, $got);
    die "$arm->{title}: $got->{events} events in $got->{streams} streams\n"
        if $got->{streams} != $n or $got->{events} != 2 * $n;

    return map { $after[$_] - $before[$_] } 0, 1;
}

# For each idle stream, beside its buffer, which is in the zone.
sub memory {
    my ($arms, $rounds) = @_;
    my (%own, %zone, @rows);

    for (1 .. ($rounds < $MEMORY ? $rounds : $MEMORY)) {
        for my $name (Bench::Speed::shuffled(keys %$arms)) {
            my ($own, $zone) = hold($name, $arms->{$name}, $IDLE);
            push @{ $own{$name} }, $own / $IDLE / 1000;
            push @{ $zone{$name} }, $zone / $IDLE / 1000;
        }
    }

    for my $name (qw(raw seed same base)) {
        my $own = $own{$name} // next;
        my $title = $arms->{$name}{title};

        push @rows, Bench::row(
            "memory, $IDLE idle streams: $title", 'proxy_pass',
            [ map { $own->[$_] / $own{base}[$_] } 0 .. $#$own ],
            $arms->{$name}{ids} ? (reach => 1.0, sign => -1) : ())
            if $name ne 'base';

        push @rows, Bench::row("the same, kB each: $title", '', $own,
                               format => '%.1f');
        push @rows, Bench::row("zone, kB each: $title", '', $zone{$name},
                               format => '%.1f')
            if $arms->{$name}{ids};
    }
    return @rows;
}

# As many as one worker must hold: a lost event ends the measurement.
sub most {
    my ($arms) = @_;
    my @rows;

    for my $name (grep { $arms->{$_} } qw(raw seed base)) {
        my ($own, $zone) = hold($name, $arms->{$name}, $MOST);
        push @rows, {
            what => "$MOST streams, MB with the zone: $arms->{$name}{title}",
            value => ($own + $zone) / 1e6, format => '%.0f',
        };
    }
    return @rows;
}

1;
