package OA::Nginx;

# A real nginx with its configuration inline.

use strict;
use warnings;

use Carp qw(croak);
use Scalar::Util qw(weaken);

use OA::Util qw(wait_for free_port slurp spew temp_dir top spawn reap
                at_exit);

# In the order in which they must be loaded.
our @MODULES = qw(ngx_oa_core_module ngx_oa_auth_module
                  ngx_oa_router_module ngx_oa_sse_module);

my $BAD = qr/\[(?:alert|emerg)\]|Sanitizer|runtime error:/;

sub flavour_dir {
    my $dir = $ENV{OA_FLAVOUR} // 'build/debian';
    return $dir =~ m{^/} ? $dir : top() . "/$dir";
}

sub binary {
    my $path = flavour_dir() . '/nginx';
    return $path if -x $path;
    for my $dir (split(/:/, $ENV{PATH}), '/usr/sbin') {
        return "$dir/nginx" if -x "$dir/nginx";
    }
    croak "no nginx in $path nor in PATH";
}

sub version {
    my ($class) = @_;
    my $binary = binary();
    `$binary -v 2>&1` =~ m{nginx/(\d+)\.(\d+)\.(\d+)} or return;
    return sprintf '%d.%03d%03d', $1, $2, $3;
}

sub sanitized { flavour_dir() =~ m{/sanitize[^/]*$} }

sub module_path { flavour_dir() . "/modules/$_[1].so" }

sub new {
    my ($class, %o) = @_;
    my $self = $class->_prepare(%o);
    $self->start if $self->{o}{start} // 1;
    return $self;
}

sub _prepare {
    my ($class, %o) = @_;
    my $self = bless {
        o => \%o, tmp => temp_dir(), ports => {}, expected => [],
    }, $class;

    $self->{dir} = "$self->{tmp}";
    mkdir "$self->{dir}/tmp";

    if ($> == 0) {
        my (undef, undef, $uid, $gid) = getpwnam 'nobody';
        chown $uid, $gid, $self->{dir}, "$self->{dir}/tmp";
    }

    $self->write_file($_, $self->expand($o{files}{$_}))
        for sort keys %{ $o{files} // {} };
    $self->write_conf(%o);

    return $self;
}

sub dir  { $_[0]{dir} }
sub path { "$_[0]{dir}/$_[1]" }
sub pid  { $_[0]{pid} }
sub port { $_[0]{ports}{ $_[1] // 0 } //= free_port() }

sub expand {
    my ($self, $text) = @_;
    $text =~ s/%%DIR%%/$self->{dir}/g;
    $text =~ s/%%PORT_(\d+)%%/$self->port($1)/ge;
    return $text;
}

sub write_file {
    my ($self, $name, $bytes) = @_;
    spew($self->path($name), $bytes);
    chmod 0644, $self->path($name);
}

# Replaces the configuration; what is not given stays.
sub write_conf {
    my ($self, %o) = @_;
    %o = (%{ $self->{o} }, %o);
    $self->{o} = \%o;

    my $user = $> == 0 ? "user nobody nogroup;\n" : '';
    my $load = '';
    for my $module (@{ $o{modules} // [ grep { -e module_path(undef, $_) }
                                        @MODULES ] })
    {
        my $path = $module =~ m{/} ? $module : module_path(undef, $module);
        $load .= "load_module $path;\n";
    }

    # a new binary gets only what is named
    my @env = $o{daemon} ? sort keys %{ $self->_env } : ();
    my $env = join '', map { "env $_;\n" } @env;

    my $level = $o{log_level} // 'info';
    my $workers = $o{workers} // 1;
    my $temp = join '', map { "    ${_}_temp_path  tmp/$_;\n" }
        qw(client_body proxy fastcgi uwsgi scgi);

    my $conf = $self->expand(<<"CONF");
daemon            @{[ $o{daemon} ? 'on' : 'off' ]};
worker_processes  $workers;
pid               nginx.pid;
error_log         error.log $level;
$user$load$env
@{[ $o{main} // '' ]}

events {
    worker_connections  @{[ $o{connections} // 1000 ]};
@{[ $o{events} // '' ]}
}

http {
    access_log  off;
$temp
@{[ $o{http} // '' ]}
}
CONF
    $self->write_file('nginx.conf', $conf);
}

sub _env {
    my ($self) = @_;
    return {
        PATH => $ENV{PATH},
        # nginx keeps its memory until it ends, and every module exports
        # "ngx_modules": neither is a finding
        ASAN_OPTIONS  => 'detect_leaks=0:detect_odr_violation=0',
        UBSAN_OPTIONS => 'print_stacktrace=1',
        %{ $self->{o}{env} // {} },
    };
}

sub _argv {
    my ($self) = @_;
    return [ binary(), '-p', "$self->{dir}/", '-c', 'nginx.conf',
             '-e', 'error.log' ];
}

sub start {
    my ($self) = @_;
    my $dir = $self->{dir};

    unlink "$dir/nginx.pid";
    $self->{pid} = spawn(argv => $self->_argv, env => $self->_env,
                         output => "$dir/stderr.log");
    unless ($self->{watched}++) {
        weaken(my $weak = $self);
        at_exit(sub { $weak ? $weak->finish : '' });
    }

    # the one that began leaves a daemon behind
    my ($status, $up);
    if ($self->{o}{daemon}) {
        $status = reap($self->{pid}, 20);
        $status = undef if !$status && ($self->{pid} = $self->_pid_in_file);
    }

    $up = wait_for {
        $status //= reap($self->{pid}, 0) if !$self->{o}{daemon};
        defined $status
            or -s "$dir/nginx.pid" && $self->worker_pids
               == ($self->{o}{workers} // 1);
    } 20;

    if (!$up or defined $status) {
        my $why = slurp("$dir/stderr.log");
        $self->{pid} = undef if defined $status;
        $self->expect_log($BAD);
        $self->stop;
        croak "nginx did not start: $why" . $self->log;
    }
}

sub _pid_in_file {
    my ($self) = @_;
    wait_for { -s "$self->{dir}/nginx.pid" } 20 or return;
    return slurp("$self->{dir}/nginx.pid") + 0;
}

# USR2, of a daemon.  Returns the pid of the old master, which goes on beside
# the new one, that is ours from here on.
sub upgrade {
    my ($self) = @_;
    my $old = $self->{pid};

    $self->signal('USR2');
    wait_for {
        my $pid = eval { slurp("$self->{dir}/nginx.pid") } // '';
        $pid =~ /^\d+$/ and $pid != $old or return 0;
        $self->{pid} = $pid + 0;
        $self->worker_pids == ($self->{o}{workers} // 1);
    } 20 or croak 'no new binary came up: ' . $self->log;

    push @{ $self->{old} }, $old;
    return $old;
}

# A daemon is no child of ours, and whoever's it is may let it be a zombie.
sub _reap {
    my ($self, $pid, $timeout) = @_;
    return reap($pid, $timeout) if !$self->{o}{daemon};
    my $gone = wait_for {
        (eval { slurp("/proc/$pid/stat") } // ') Z ') =~ /\) [ZX] /;
    } $timeout;
    return $gone ? 0 : undef;
}

# nginx -t
sub test_config {
    my ($class, %o) = @_;
    my $self = $class->_prepare(%o);
    my $output = $self->path('test.log');
    my $pid = spawn(argv => [ @{ $self->_argv }, '-t' ],
                    env => $self->_env, output => $output);
    my $status = reap($pid, 30);
    if (!defined $status) {
        kill 'KILL', $pid;
        reap($pid);
        croak 'nginx -t hangs: ' . slurp($output);
    }
    my $text = slurp($output);
    croak "nginx -t: $text" if $text =~ /Sanitizer|runtime error:/;
    return ($status & 127 ? -($status & 127) : $status >> 8, $text);
}

# The workers that serve, not those that shut down.
sub worker_pids {
    my ($self) = @_;
    return $self->_children(qr/^nginx: worker process\0*$/);
}

sub old_worker_pids {
    my ($self) = @_;
    return map { $self->_children(qr/^nginx: worker process is shutting/, $_) }
           $self->{pid}, @{ $self->{old} // [] };
}

sub _children {
    my ($self, $title, $parent) = @_;
    $parent //= $self->{pid};
    my @pids;
    for my $stat (glob '/proc/[0-9]*/stat') {
        my $text = eval { slurp($stat) } // next;
        my ($pid, $ppid) = $text =~ /^(\d+) \(.*\) \S+ (\d+) /s or next;
        next if $ppid != $parent;
        my $cmd = eval { slurp("/proc/$pid/cmdline") } // next;
        push @pids, $pid if $cmd =~ $title;
    }
    @pids = sort { $a <=> $b } @pids;
    return @pids;
}

sub signal {
    my ($self, $signal) = @_;
    kill $signal, $self->{pid} or croak "nginx is not there: $!";
}

# HUP.  True when workers of the new configuration serve; false when nginx
# kept the old one, which it says with an [emerg] that the test must expect.
sub reload {
    my ($self, $timeout) = @_;
    my %old = map { $_ => 1 } $self->worker_pids;
    my $from = length $self->log;
    my $failed;

    $self->signal('HUP');
    my $done = wait_for {
        return 1 if $failed = substr($self->log, $from) =~ /\[emerg\]/;
        my @now = $self->worker_pids;
        @now == ($self->{o}{workers} // 1) && !grep { $old{$_} } @now;
    } $timeout // 20;

    return $done && !$failed;
}

# kill -9.  Returns the pid, once another worker has taken its place.
sub kill_worker {
    my ($self, $n) = @_;
    my @before = $self->worker_pids;
    my $pid = $before[ $n // 0 ] // croak 'no such worker';

    $self->expect_log(qr/worker process $pid exited on signal 9/);
    kill 'KILL', $pid;
    wait_for {
        my @now = $self->worker_pids;
        @now == @before && !grep { $_ == $pid } @now;
    } 20 or croak 'no worker came in its place';

    return $pid;
}

sub log { eval { slurp("$_[0]{dir}/error.log") } // '' }

sub log_count {
    my ($self, $pattern) = @_;
    my $n = () = $self->log =~ /$pattern/g;
    return $n;
}

sub wait_log {
    my ($self, $pattern, $timeout) = @_;
    return wait_for { $self->log =~ $pattern } $timeout;
}

# Lines that would otherwise fail the test.
sub expect_log {
    my ($self, @patterns) = @_;
    push @{ $self->{expected} }, @patterns;
}

sub quit { $_[0]->_end('QUIT', $_[1]) }
sub stop { $_[0]->_end('TERM', $_[1]) }

sub _end {
    my ($self, $signal, $timeout) = @_;
    my $pid = $self->{pid} or return;

    # an old master that has gone may have left its pid to somebody else
    for my $old (@{ $self->{old} // [] }) {
        my $cmd = eval { slurp("/proc/$old/cmdline") } // next;
        $self->_end_one($signal, $old, $timeout // 30)
            if $cmd =~ /^nginx: master process .*\Q$self->{dir}\E/s;
    }
    my $status = $self->_end_one($signal, $pid, $timeout // 30);
    $self->{old} = [];
    $self->{pid} = undef;
    return defined $status && $status == 0;
}

sub _end_one {
    my ($self, $signal, $pid, $timeout) = @_;
    kill $signal, $pid;
    my $status = $self->_reap($pid, $timeout);
    if (!defined $status) {
        my @workers = $self->_children(qr/^nginx: worker/, $pid);
        kill 'KILL', $pid, @workers;
        $self->_reap($pid, 10);
        $self->{hung} = "nginx did not end on SIG$signal";
    }
    return $status;
}

# Stops nginx and tells what is wrong with its log, '' if nothing.
sub finish {
    my ($self) = @_;
    return '' if $self->{finished}++;

    $self->stop;

    my $bad = join '', grep {
        my $line = $_;
        $line =~ $BAD && !grep { $line =~ $_ } @{ $self->{expected} };
    } map { "$_\n" } split /\n/, $self->log
        . eval { slurp("$self->{dir}/stderr.log") };

    if ($bad =~ /Sanitizer|runtime error:/ and length $self->log < 1e5) {
        $bad = $self->log;
    }
    $bad .= "$self->{hung}\n" if $self->{hung};
    return $bad && "nginx ($self->{dir}):\n$bad";
}

our @failures;
at_exit(sub { join '', @failures });

sub DESTROY {
    my ($self) = @_;
    return if ${^GLOBAL_PHASE} eq 'DESTRUCT' or !$self->{watched};
    local ($?, $@, $!);
    my $why = $self->finish;
    push @failures, $why if $why;
}

1;

__END__

=head1 SYNOPSIS

    my $ng = OA::Nginx->new(
        http  => q{
            server { listen 127.0.0.1:%%PORT_0%%; return 204; }
        },
        main    => 'worker_shutdown_timeout 5s;',
        workers => 2,
        connections => 1000,                        # a worker's
        env     => { FLY_REGION => 'fra' },         # all that nginx has
        files   => { 'routes.json' => '{"routes":[]}' },
        modules => [qw(ngx_oa_core_module)],        # default: all there are
        log_level => 'debug',                       # default: info
        start   => 0,                               # then ->start
        daemon  => 1,                               # for ->upgrade
    );

%%PORT_n%% and %%DIR%% are replaced in C<http>, C<main>, C<events> and
C<files>; relative paths in the configuration are relative to %%DIR%%.
C<new> returns when all workers serve, or dies with what nginx said.

    $ng->port(0); $ng->dir; $ng->path('routes.json');
    $ng->write_file('routes.json', $bytes);         # atomic
    $ng->write_conf(http => ...); $ng->reload or die;
    $ng->stop; $ng->start; $ng->quit;
    my $old = $ng->upgrade; kill 'QUIT', $old;      # USR2; the old master
    $ng->worker_pids; $ng->old_worker_pids; $ng->kill_worker(0);
    $ng->log; $ng->log_count(qr/.../); $ng->wait_log(qr/.../, 5);

    my ($exit, $stderr) = OA::Nginx->test_config(http => ...);
    OA::Nginx->version;                             # 1.022001

The test fails when error.log has an [alert], an [emerg] or a sanitizer's
finding, unless the line was announced:

    $ng->expect_log(qr/invalid routes file/);

The nginx and the modules are those in the folder that OA_FLAVOUR names, by
default build/debian.

=cut
