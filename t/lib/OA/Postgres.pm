package OA::Postgres;

# A PostgreSQL of the test's own: a cluster in a temporary folder.

use strict;
use warnings;

use Carp qw(croak);
use DBI ();
use Fcntl qw(:flock);
use File::Path qw(remove_tree);
use POSIX ();
use Scalar::Util qw(weaken);

use OA::Util qw(wait_for free_port slurp temp_dir top spawn reap at_exit);

# The server refuses to run as root.
my $USER = $> == 0 ? 'postgres' : undef;

sub _bin {
    my ($name) = @_;
    my ($dir) = sort { ($b =~ /(\d+)/)[0] <=> ($a =~ /(\d+)/)[0] }
                grep { -x "$_/initdb" && -x "$_/postgres" }
                glob '/usr/lib/postgresql/*/bin';
    croak 'PostgreSQL is not installed' unless $dir;
    return "$dir/$name";
}

sub _run {
    my ($output, @argv) = @_;
    my $status = reap(spawn(argv => [@argv], output => $output,
                            user => $USER, dir => '/'), 120);
    croak "$argv[0]: " . slurp($output) if !defined $status or $status;
}

# initdb takes longer than many a test: it is done once, and copied.
sub _template {
    my $build = top() . '/build';
    my ($version) = _bin('') =~ /(\d+)/;
    my $template = "$build/postgres-$version";

    mkdir $build;
    open my $lock, '>>', "$template.lock" or croak "$template.lock: $!";
    flock $lock, LOCK_EX or croak "flock: $!";
    return $template if -e "$template/PG_VERSION";

    my $tmp = temp_dir();
    _own("$tmp");
    _run("$tmp/log", _bin('initdb'), '-D', "$tmp/data", '-A', 'trust',
         '-U', 'postgres', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync',
         '--wal-segsize=1');
    remove_tree($template);
    system('cp', '-a', "$tmp/data", "$template.new") == 0
        && rename("$template.new", $template)
        or croak "cannot make $template";
    return $template;
}

sub _own {
    my ($dir) = @_;
    return unless $USER;
    system('chown', '-R', $USER, $dir) == 0 or croak "chown $dir";
}

sub new {
    my ($class, %o) = @_;
    my $self = bless { tmp => temp_dir(), port => free_port(),
                       db => $o{db} // 'postgres' }, $class;

    $self->{dir} = "$self->{tmp}";
    $self->{data} = "$self->{dir}/data";
    system('cp', '-a', '--reflink=auto', _template(), $self->{data}) == 0
        or croak "cannot copy to $self->{data}";

    open my $conf, '>>', "$self->{data}/postgresql.conf" or croak $!;
    print $conf <<"CONF";
listen_addresses = '127.0.0.1'
port = $self->{port}
unix_socket_directories = '$self->{dir}'
fsync = off
full_page_writes = off
max_connections = 60
shared_buffers = 32MB
min_wal_size = 2MB
log_line_prefix = '%p %u '
log_error_verbosity = terse
CONF
    print $conf "$_ = $o{conf}{$_}\n" for sort keys %{ $o{conf} // {} };
    close $conf or croak $!;
    _own($self->{dir});

    weaken(my $weak = $self);
    at_exit(sub { $weak->_down if $weak; '' });
    $self->start if $o{start} // 1;
    return $self;
}

sub port { $_[0]{port} }
sub dir  { $_[0]{dir} }
sub pid  { $_[0]{pid} }

sub start {
    my ($self) = @_;
    $self->{pid} = spawn(argv => [ _bin('postgres'), '-D', $self->{data} ],
                         output => "$self->{dir}/log", user => $USER,
                         env => { PATH => $ENV{PATH}, LC_ALL => 'C.UTF-8' },
                         dir => $self->{dir});
    my $status;
    my $up = wait_for {
        defined($status = reap($self->{pid}, 0))
            or eval { $self->connect->disconnect };
    } 30;
    return $self if $up and !defined $status;

    $self->{pid} = undef if defined $status;
    croak 'PostgreSQL did not start: ' . $self->log;
}

# Connections are ended, data is kept.
sub stop { $_[0]->_signal('INT') }

# As after a power cut: nobody is told, the next start recovers.
sub kill { $_[0]->_signal('QUIT') }

sub _signal {
    my ($self, $signal) = @_;
    my $pid = $self->{pid} or return;
    delete $self->{dbh};
    $self->thaw if $self->{frozen};
    CORE::kill $signal, $pid;
    defined reap($pid, 30) or croak "PostgreSQL did not end on SIG$signal";
    $self->{pid} = undef;
}

# It accepts connections but answers nothing; what it was sent, it does once
# thawed.
sub freeze {
    my ($self) = @_;
    $self->{frozen} = [ $self->{pid}, $self->_backends ];
    CORE::kill 'STOP', @{ $self->{frozen} };
}

sub thaw {
    my ($self) = @_;
    CORE::kill 'CONT', reverse @{ delete $self->{frozen} // [] };
}

sub _backends {
    my ($self) = @_;
    my @pids;
    for my $stat (glob '/proc/[0-9]*/stat') {
        my $text = eval { slurp($stat) } // next;
        my ($pid, $ppid) = $text =~ /^(\d+) \(.*\) \S+ (\d+) /s or next;
        push @pids, $pid if $ppid == $self->{pid};
    }
    return @pids;
}

sub _down {
    my ($self) = @_;
    my $pid = $self->{pid} or return;
    local ($?, $@, $!);
    eval { $self->_signal('QUIT') };
    return unless $self->{pid};
    CORE::kill 'KILL', $self->_backends, $pid;
    reap($pid);
}

sub DESTROY { $_[0]->_down if ${^GLOBAL_PHASE} ne 'DESTRUCT' }

# For libpq.
sub conninfo {
    my ($self, %o) = @_;
    %o = (host => '127.0.0.1', port => $self->{port}, user => 'postgres',
          dbname => $self->{db}, %o);
    return join ' ', map { "$_=$o{$_}" } sort keys %o;
}

# A session: a DBI handle that dies on errors.
sub connect {
    my ($self, %o) = @_;
    my $autocommit = delete $o{AutoCommit} // 1;
    %o = (host => $self->{dir}, port => $self->{port}, user => 'postgres',
          dbname => $self->{db}, %o);
    my $user = delete $o{user};
    my $dsn = join ';', map { "$_=$o{$_}" } sort keys %o;
    return DBI->connect("dbi:Pg:$dsn", $user, '', {
        RaiseError => 1, PrintError => 0, PrintWarn => 0,
        AutoCommit => $autocommit, AutoInactiveDestroy => 1 });
}

# The superuser's own session.
sub dbh {
    my ($self) = @_;
    return $self->{dbh} if $self->{dbh} and $self->{dbh}->ping;
    return $self->{dbh} = $self->connect;
}

sub do {
    my ($self, $sql, @values) = @_;
    return $self->dbh->do($sql, undef, @values);
}

# One row, or its first column in scalar context.
sub row {
    my ($self, $sql, @values) = @_;
    my @row = $self->dbh->selectrow_array($sql, undef, @values);
    return wantarray ? @row : $row[0];
}

sub rows {
    my ($self, $sql, @values) = @_;
    return $self->dbh->selectall_arrayref($sql, undef, @values);
}

# What psql prints: unaligned, without headings.
sub psql {
    my ($self, $sql, %o) = @_;
    my ($text, $status) = $self->_psql($sql, %o);
    croak "psql: $text" if $status;
    return $text;
}

sub _psql {
    my ($self, $sql, %o) = @_;
    my @argv = (_bin('psql'), '-X', '-At', '-q', '-v', 'ON_ERROR_STOP=1',
                '-d', $self->conninfo(host => $self->{dir}, %o));
    my $output = "$self->{dir}/psql.$$.out";
    unlink $output;
    push @argv, ref $sql ? ('-f', $$sql) : ('-c', $sql);
    my $status = reap(spawn(argv => \@argv, output => $output), 120);
    croak 'psql hangs' unless defined $status;
    return (slurp($output), $status >> 8);
}

# The files of a folder in their order; without one, those of sql/.
sub apply {
    my ($self, @files) = @_;
    @files = sort glob top() . '/sql/*.sql' unless @files;
    $self->psql(\$_) for @files;
    return $self;
}

# TAP of a pgTAP file, as (text, exit status).
sub tap {
    my ($self, $file, %o) = @_;
    return $self->_psql(\$file, %o);
}

sub log { slurp("$_[0]{dir}/log") }

# From now on the log has each statement of the role.
sub log_queries {
    my ($self, $role) = @_;
    $self->do("ALTER ROLE $role SET log_statement = 'all'");
}

# Statements of the role whose text matches.
sub query_count {
    my ($self, $pattern, $role) = @_;
    return scalar grep {
        my ($user, $text) = /^\d+ (\S+) LOG: +(?:statement|execute [^:]*): (.*)/;
        defined $text and $text =~ $pattern
            and !defined $role || $user eq $role;
    } split /\n(?!\t)/, $self->log;
}

1;

__END__

=head1 SYNOPSIS

    my $pg = OA::Postgres->new;             # conf => { name => value }
    $pg->apply;                             # the files of sql/ in order
    $pg->apply($file, ...);

    "oa_postgres '" . $pg->conninfo(user => 'oa_router') . "';"   # TCP
    $pg->conninfo(host => $pg->dir);        # through the Unix socket

    $pg->do($sql, @values); $pg->row($sql); $pg->rows($sql);
    $pg->psql($sql, user => 'oa_router');   # its output; dies on errors

    # a second session, with a transaction held open
    my $a = $pg->connect(AutoCommit => 0, user => ...);  # a DBI handle
    $a->do('UPDATE ...'); ...; $a->commit;

    $pg->stop; $pg->kill; $pg->start;       # kill: as a crash
    $pg->freeze; $pg->thaw;                 # silent, but there

    $pg->log_queries('oa_router');
    $pg->query_count(qr/oa\.routes/, 'oa_router');

    my ($tap, $exit) = $pg->tap('t/sql/x.sql');

Runs as the user postgres when the test is root's.  All of it goes when the
object does.

=cut
