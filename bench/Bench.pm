package Bench;

# What the parts share: the programs, the files with routes, statistics and
# the table.

use strict;
use warnings;

use JSON::PP ();

use OA::Nginx ();
use OA::Util qw(top temp_dir slurp);

our $DOMAIN = 'openagents.example';

# Directives that every nginx here has: nothing is logged, no connection ends.
our $COMMON = <<'END';
    keepalive_requests  1000000000;
    keepalive_timeout   1h;
END

# name: its files, then what they are linked with.
my %PROGRAM = (
    load    => [ 'load.c exchange.c' ],
    routes  => [ 'routes.c' ],
    watch   => [ 'watch.c' ],
    tokens  => [ 'tokens.c', qw(-lcrypto -pthread) ],
    verify  => [ 'verify.c', '-lcrypto' ],
    streams => [ 'streams.c agent.c reader.c' ],
);

my $bin;

sub compile {
    my $cc = $ENV{CC} // 'cc';
    my $src = top() . '/bench';

    $bin = top() . '/build/bench';
    mkdir $_ for top() . '/build', $bin;

    for my $name (sort keys %PROGRAM) {
        my ($files, @libs) = @{ $PROGRAM{$name} };
        my @files = map { "$src/$_" } split ' ', $files;
        my ($new) = sort { $a <=> $b } map { -M $_ } @files,
                                                     glob "$src/*.h";
        next if -e "$bin/$name" and -M "$bin/$name" <= $new;
        system $cc, qw(-O2 -Wall -Wextra -Werror -o), "$bin/$name", @files,
               @libs
            and die "bench: $name does not compile\n";
    }
}

sub program { "$bin/$_[0]" }

# A folder that goes with the run, and that nginx can read.
my $dir;
sub folder { $dir //= temp_dir() }

# A file with N routes, made once a run.
my %made;

sub routes_file {
    my ($form, $n) = @_;
    my $path = folder() . "/$form.$n";
    unless ($made{$path}++) {
        system "'$bin/routes' $form $n > '$path'" and die "routes: failed\n";
        chmod 0644, $path;
    }
    return $path;
}

# Host and replay of the first and the last of N routes.
sub first_route { _route(`'$bin/routes' lines 1`) }
sub last_route  { _route(`tail -n 1 '@{[ routes_file('lines', $_[0]) ]}'`) }
sub _route      { split ' ', $_[0] }

# A load generator: one line of JSON an arm.
sub load    { _generator('load', @_) }
sub streams { _generator('streams', @_) }

sub _generator {
    my ($name, @args) = @_;
    my %arms;

    open my $fh, '-|', "$bin/$name", @args or die "$name: $!\n";
    while (<$fh>) {
        my $arm = JSON::PP::decode_json($_);
        $arms{ $arm->{arm} } = $arm;
    }
    close $fh or die "the load generator stopped: see above\n";
    return \%arms;
}

# The median over the turns of a function of what the arms did in each.
sub over_turns {
    my ($function, @arms) = @_;
    my @values;

    for my $turn (0 .. $#{ $arms[0]{turns} }) {
        my @rps = map { $_->{turns}[$turn] } @arms;

        # in a turn without an answer something else had the CPU
        push @values, $function->(@rps) unless grep { !$_ } @rps;
    }
    return median(@values) // die "no turn has answers\n";
}

# Seconds of the worker's own time for a request: holds where something else
# took its CPU.
sub cpu_cost { $_[0]{server_cpu} / $_[0]{rps} }

# A line for each arm: its title, runs, and ratios by cpu_cost().
sub lines {
    my @arms = @_;
    for my $arm (@arms) {
        $arm->{rps} = median(map { median(@{ $_->{turns} }) }
                             @{ $arm->{runs} });
    }

    for my $arm (sort { $b->{rps} <=> $a->{rps} } @arms) {
        my %m = map { my $key = $_;
                      $key => median(map { $_->{$key} // 0 }
                                     @{ $arm->{runs} }) }
                qw(busy server_cpu p50_us p99_us);

        printf '%-26s %7.0f/s', $arm->{title}, $arm->{rps};

        # not of a program that answers nobody
        printf "  p50 %4.0f us  p99 %5.0f us  worker's CPU %3.0f %%  per CPU "
               . 'second %s  generator busy %3.0f %%',
            @m{qw(p50_us p99_us)}, 100 * $m{server_cpu},
            $arm->{cost} ? sprintf('%.3f', median(@{ $arm->{cost} }))
                         : '1    ', 100 * $m{busy}
            if $m{p50_us};
        print "\n";
    }
}

# Resident bytes of a process's own, and of its shared mappings of a size.
sub resident {
    my ($pid, $size) = @_;
    my ($hit, $sum) = (0, 0);

    for (split /\n/, slurp("/proc/$pid/smaps")) {
        $hit = $1 == $size / 1024 if /^Size: +(\d+) kB/;
        $sum += $1 if $hit and /^Rss: +(\d+) kB/;
    }
    return $sum * 1024;
}

# Bytes that a process has for itself, and that it has touched of what it
# shares with those that it or its parent started, such as a zone.
sub worker_memory {
    my ($pid) = @_;
    my ($shared, %sum);

    for (split /\n/, slurp("/proc/$pid/smaps")) {
        $shared = $1 eq 's' if /^[0-9a-f]+-[0-9a-f]+ ...([ps]) /;

        if (/^(Rss|Private_\w+): +(\d+) kB/) {
            $sum{shared} += $2 if $shared and $1 eq 'Rss';
            $sum{own} += $2 if !$shared and $1 ne 'Rss';
        }
    }
    return map { ($sum{$_} // 0) * 1024 } qw(own shared);
}

# Proportional memory of all processes of an nginx, in bytes.
sub memory {
    my ($nginx) = @_;
    my $sum = 0;

    for my $pid ($nginx->pid, $nginx->worker_pids, $nginx->old_worker_pids) {
        my $text = eval { slurp("/proc/$pid/smaps_rollup") } // next;
        $sum += $1 if $text =~ /^Pss: +(\d+) kB/m;
    }
    return $sum * 1024;
}


# Statistics

sub quantile {
    my ($share, @v) = @_;
    @v = sort { $a <=> $b } @v or return;
    my $at = $share * $#v;
    my $low = int $at;
    return $v[$low] if $low == $#v;
    return $v[$low] + ($at - $low) * ($v[ $low + 1 ] - $v[$low]);
}

sub median { quantile(0.5, @_) }

# The interval of the sign test: of n values the true median lies below the
# k-th lowest with the chance of fewer than k tails in n throws.  At least
# 95 %; of fewer than 6 values no interval has that, and all is given.
sub interval {
    my @v = sort { $a <=> $b } @_ or return;
    my ($k, $below, $term) = (0, 0, 0.5 ** @v);

    while ($below + $term <= 0.025) {
        $below += $term;
        $k++;
        $term *= (@v - $k + 1) / $k;
    }
    $k = 1 if $k == 0;
    return ($v[ $k - 1 ], $v[-$k]);
}


# The table

# A row with the median of values and their interval.
sub row {
    my ($what, $against, $values, %more) = @_;
    my ($low, $high) = interval(@$values);
    return { what => $what, against => $against, value => median(@$values),
             low => $low, high => $high, %more };
}

# A row: what, against, value, low, high, and for those with a goal reach and
# sign (1: at least, -1: at most); format of the numbers.  Returns how many
# goals were missed.
sub table {
    my @rows = @_;
    my $missed = 0;
    my @lines = ([ 'what', 'against', 'measured', '95 % interval', 'reach',
                   '' ]);

    for my $row (@rows) {
        my $format = $row->{format} // '%.3f';
        my ($reach, $mark) = ('', '');

        if (defined $row->{reach}) {
            my $sign = $row->{sign} // 1;
            my $good = ($row->{value} - $row->{reach}) * $sign >= 0;
            $missed += !$good;
            $reach = ($sign > 0 ? '>= ' : '<= ')
                     . sprintf $format, $row->{reach};
            $mark = $good ? 'reached' : 'MISSED';
            $mark .= ', not surely'
                if defined $row->{low} and $row->{low} < $row->{reach}
                   and $row->{high} > $row->{reach};
        }

        push @lines, [
            $row->{what}, $row->{against} // '',
            sprintf($format, $row->{value}),
            defined $row->{low}
                ? sprintf("$format .. $format", @$row{qw(low high)}) : '',
            $reach, $mark,
        ];
    }

    my @width;
    for my $line (@lines) {
        for my $i (0 .. $#$line) {
            my $n = length $line->[$i];
            $width[$i] = $n if !defined $width[$i] or $n > $width[$i];
        }
    }
    for my $line (@lines) {
        my $text = join '  ', map { sprintf "%-$width[$_]s", $line->[$_] }
                              0 .. $#$line;
        $text =~ s/ +$//;
        print "$text\n";
    }
    return $missed;
}

1;
