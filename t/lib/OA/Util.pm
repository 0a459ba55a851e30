package OA::Util;

# What the other modules share: waiting, files, ports, processes.

use strict;
use warnings;

use Carp qw(croak);
use Exporter qw(import);
use File::Temp ();
use IO::Socket::IP ();
use IO::Socket::UNIX ();
use POSIX qw(:sys_wait_h);
use Socket qw(SOCK_STREAM SOCK_DGRAM);
use Time::HiRes qw(sleep time);

our @EXPORT_OK = qw(wait_for free_port slurp spew temp_dir top
                    spawn reap at_exit);

# A killed test must still run END blocks, which stop what it started.
$SIG{$_} //= sub { exit 1 } for qw(INT TERM HUP);
$SIG{PIPE} = 'IGNORE';

sub wait_for (&;$) {
    my ($cond, $timeout) = @_;
    my $end = time + ($timeout // 10);
    my $pause = 0.002;

    while (1) {
        my $value = $cond->();
        return $value if $value;
        return $value if time > $end;
        sleep $pause;
        $pause = $pause * 1.5 if $pause < 0.05;
    }
}

# The repository.
sub top {
    my ($dir) = __FILE__ =~ m{^(.*?)/?t/lib/OA/Util\.pm$};
    require Cwd;
    return Cwd::abs_path($dir eq '' ? '.' : $dir);
}

sub slurp {
    my ($path) = @_;
    open my $fh, '<:raw', $path or croak "$path: $!";
    local $/;
    return scalar <$fh> // '';
}

# Written beside and renamed: a reader sees the old file or the new one.
sub spew {
    my ($path, $bytes) = @_;
    my $tmp = "$path.new.$$";
    open my $fh, '>:raw', $tmp or croak "$tmp: $!";
    print $fh $bytes or croak "$tmp: $!";
    close $fh or croak "$tmp: $!";
    rename $tmp, $path or croak "$path: $!";
}

# A folder that goes with the test, and that nginx's workers can enter.
sub temp_dir {
    my $dir = File::Temp->newdir('oa-XXXXXX', TMPDIR => 1);
    chmod 0755, "$dir";
    return $dir;
}

# A port for this process alone.  Ports are below the ephemeral range, so no
# outgoing connection takes one; and a name of the port, an abstract socket
# that goes with the process, keeps off the tests that run beside.
my @names;

sub free_port {
    my ($proto) = @_;
    my $type = ($proto // 'tcp') eq 'udp' ? SOCK_DGRAM : SOCK_STREAM;

    for (1 .. 500) {
        my $port = 12000 + int rand 18000;
        my $name = IO::Socket::UNIX->new(Local => "\0ngx_oa port $port",
                                         Type => SOCK_DGRAM) or next;

        IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => $port,
                            Type => $type,
                            $type == SOCK_STREAM ? (Listen => 1) : ())
            or next;

        push @names, $name;
        return $port;
    }

    croak 'no free port';
}

# Starts a program with its output in a file, as another user if asked, and
# returns its pid.
sub spawn {
    my (%o) = @_;
    my $pid = fork // croak "fork: $!";
    return $pid if $pid;

    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE);
    %ENV = %{ $o{env} } if $o{env};

    open STDIN, '<', '/dev/null';
    if ($o{output}) {
        open STDOUT, '>>', $o{output} or POSIX::_exit(126);
        open STDERR, '>&', \*STDOUT;
    }
    if (defined $o{user}) {
        my (undef, undef, $uid, $gid) = getpwnam $o{user};
        POSIX::_exit(126) unless defined $uid;
        $) = "$gid $gid";
        $( = $gid;
        ($<, $>) = ($uid, $uid);
    }
    chdir $o{dir} if $o{dir};
    { no warnings 'exec'; exec { $o{argv}[0] } @{ $o{argv} } }
    print STDERR "$o{argv}[0]: $!\n";
    POSIX::_exit(127);
}

# Waits for a child; its status as in $?, or undef when it is still there.
sub reap {
    my ($pid, $timeout) = @_;
    my $status;
    wait_for {
        local $?;
        my $rc = waitpid $pid, WNOHANG;
        $status = $rc == $pid ? $? : 0 if $rc;
        $rc;
    } $timeout // 10;
    return $status;
}

# Runs code when the test ends, however it ends, in the process that asked.
# What it returns, if true, is why the test fails.
my @at_exit;

sub at_exit {
    my ($code) = @_;
    push @at_exit, [ $$, $code ];
}

END {
    my $rc = $?;
    for my $entry (reverse @at_exit) {
        my ($pid, $code) = @$entry;
        next if $pid != $$;
        my $why = eval { $code->() };
        $why = $@ if $@;
        next unless $why;
        print STDERR map { "# $_\n" } split /\n/, $why;
        $rc ||= 1;
    }
    @at_exit = ();
    $? = $rc;
}

1;

__END__

=head1 SYNOPSIS

    use OA::Util qw(wait_for free_port slurp spew temp_dir);

    wait_for { slurp($log) =~ /ready/ } 5 or die;   # true value, or false
    my $port = free_port();             # ours until the test ends
    my $port = free_port('udp');
    spew($path, $bytes);                # atomic
    my $dir = temp_dir();               # removed when it goes out of scope

    my $pid = spawn(argv => [...], output => $path, user => 'postgres',
                    env => {...});
    my $status = reap($pid, 5);         # as in $?; undef: it still runs
    at_exit(sub { ... });               # a true value fails the test

=cut
