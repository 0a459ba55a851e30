package OA::Node;

# Node programs of t/npm, with the modules that "make deps" put into build/npm.

use strict;
use warnings;

use Carp qw(croak);
use Exporter qw(import);
use JSON::PP ();
use Scalar::Util qw(weaken);

use OA::Util qw(top slurp spew temp_dir spawn reap at_exit wait_for);

our @EXPORT_OK = qw(node_run node_ask node_start);

my $JSON = JSON::PP->new->utf8;

sub node_run {
    my ($script, @args) = @_;
    my $o = @args && ref $args[-1] ? pop @args : {};
    my $self = _start($script, $o->{input} // '', @args);

    $self->_ended($o->{timeout} // 60)
        or croak "node $script: still running";
    return $self->_output;
}

# What a program says while it runs: lines of JSON, one at a time.
sub node_start {
    my ($script, @args) = @_;
    my $self = _start($script, '',
                      map { ref $_ ? $JSON->encode($_) : $_ } @args);
    weaken(my $weak = $self);
    at_exit(sub { $weak->stop if $weak; '' });
    return $self;
}

# What it says goes to one file, what it complains of to another.
sub _start {
    my ($script, $input, @args) = @_;
    my $npm = top() . '/build/npm';
    -e "$npm/installed" or croak 'no Node modules in build/npm: make deps';

    my $tmp = temp_dir();
    spew("$tmp/in", $input);
    spew("$tmp/out", '');
    my $pid = spawn(argv => [ 'sh', '-c', 'exec "$@" < in >> out', 'sh',
                              'node', '--preserve-symlinks',
                              '--preserve-symlinks-main', "$npm/t/$script",
                              @args ],
                    dir => "$tmp", output => "$tmp/err");
    return bless { script => $script, tmp => $tmp, pid => $pid, at => 0 },
                 __PACKAGE__;
}

sub _output { slurp("$_[0]{tmp}/out") }

# True when it has ended, as it should.
sub _ended {
    my ($self, $timeout) = @_;
    return 1 if !$self->{pid};

    my $status = reap($self->{pid}, $timeout);
    return 0 if !defined $status;
    $self->{pid} = undef;
    $status == 0
        or croak "node $self->{script}: status " . ($status >> 8 || $status)
                 . "\n"
                 . slurp("$self->{tmp}/err");
    return 1;
}

# The next line, decoded; undef when it has ended.
sub next {
    my ($self, $timeout) = @_;
    my $line;

    wait_for {
        my $ended = $self->_ended(0);
        ($line) = substr($self->_output, $self->{at}) =~ /^(.*\n)/;
        $line || $ended;
    } $timeout // 20
        or croak "node $self->{script}: no line in time; so far: "
                 . $self->_output;

    return if !$line;
    $self->{at} += length $line;
    return $JSON->decode($line);
}

# What is yet to come.
sub rest {
    my ($self, $timeout) = @_;
    my @lines;
    while (my $line = $self->next($timeout)) {
        push @lines, $line;
    }
    return @lines;
}

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    kill 'KILL', $pid;
    reap($pid);
}

sub DESTROY { $_[0]->stop if ${^GLOBAL_PHASE} ne 'DESTRUCT' }

sub node_ask {
    my ($script, @requests) = @_;
    my $input = join '', map { (ref $_ ? $JSON->encode($_) : $_) . "\n" }
                @requests;
    return map { $JSON->decode($_) }
           split /\n/, node_run($script, { input => $input });
}

1;

__END__

=head1 SYNOPSIS

    use OA::Node qw(node_run node_ask node_start);

    my $stdout = node_run('script.mjs', @args);       # dies on failure
    my $stdout = node_run('script.mjs', @args,
                          { input => $bytes, timeout => 60 });

    # lines of JSON in, lines of JSON out, in the same order; a request may be
    # a line already
    my ($one, $two, $jwks) = node_ask('jose.mjs',
        { alg => 'ES256', kid => 'k1', claims => { sub => 'u1' } },
        { verify => $token, options => { issuer => $iss } });

    # lines of JSON out, while it runs; arguments may be JSON
    my $node = node_start('eventsource.mjs', $url,
                          { events => [ 'gap' ], until => '[DONE]' });
    my $line = $node->next(5);          # undef: it has ended; dies: too late
    my @lines = $node->rest;            # all to its end
    $node->stop;

=cut
