package OA::Node;

# Node programs of t/npm, with the modules that "make deps" put into build/npm.

use strict;
use warnings;

use Carp qw(croak);
use Exporter qw(import);
use JSON::PP ();

use OA::Util qw(top slurp spew temp_dir spawn reap);

our @EXPORT_OK = qw(node_run node_ask);

sub node_run {
    my ($script, @args) = @_;
    my $o = @args && ref $args[-1] ? pop @args : {};
    my $npm = top() . '/build/npm';
    -e "$npm/installed" or croak 'no Node modules in build/npm: make deps';

    # what it says goes to one file, what it complains of to another
    my $tmp = temp_dir();
    spew("$tmp/in", $o->{input} // '');
    my $pid = spawn(argv => [ 'sh', '-c', 'exec "$@" < in > out', 'sh',
                              'node', '--preserve-symlinks',
                              '--preserve-symlinks-main', "$npm/t/$script",
                              @args ],
                    dir => "$tmp", output => "$tmp/err");
    my $status = reap($pid, $o->{timeout} // 60);

    unless (defined $status) {
        kill 'KILL', $pid;
        reap($pid);
        croak "node $script: still running";
    }
    $status == 0
        or croak "node $script: status $status\n" . slurp("$tmp/err");
    return slurp("$tmp/out");
}

sub node_ask {
    my ($script, @requests) = @_;
    my $json = JSON::PP->new->utf8;
    my $input = join '', map { (ref $_ ? $json->encode($_) : $_) . "\n" }
                @requests;
    return map { $json->decode($_) }
           split /\n/, node_run($script, { input => $input });
}

1;

__END__

=head1 SYNOPSIS

    use OA::Node qw(node_run node_ask);

    my $stdout = node_run('script.mjs', @args);       # dies on failure
    my $stdout = node_run('script.mjs', @args,
                          { input => $bytes, timeout => 60 });

    # lines of JSON in, lines of JSON out, in the same order; a request may be
    # a line already
    my ($one, $two, $jwks) = node_ask('jose.mjs',
        { alg => 'ES256', kid => 'k1', claims => { sub => 'u1' } },
        { verify => $token, options => { issuer => $iss } });

=cut
