package OA::Store;

# A structure that several processes share: a file, a lock, and a bell for
# those that wait for a change.

use strict;
use warnings;

use Fcntl qw(LOCK_EX LOCK_SH :flock);
use Storable ();

use OA::Agent ();
use OA::Util qw(spew);

sub new {
    my ($class, $dir, $settle) = @_;
    return bless { dir => "$dir", settle => $settle // sub { } }, $class;
}

sub init {
    my ($self, $data) = @_;
    spew("$self->{dir}/lock", '');
    spew("$self->{dir}/store", Storable::freeze($data));
}

# What the code returns.  Where it dies nothing has changed.
sub change {
    my ($self, $code) = @_;
    my $lock = $self->_lock(LOCK_EX);
    my $data = $self->_load;
    my $value = $code->($data);

    spew("$self->{dir}/store", Storable::freeze($data));
    close $lock;
    OA::Agent::_ring(glob "$self->{dir}/*.bell");
    return $value;
}

# Without a code: the structure.
sub look {
    my ($self, $code) = @_;
    my $lock = $self->_lock(LOCK_SH);
    my $data = $self->_load;
    close $lock;
    return $code ? $code->($data) : $data;
}

# A lock goes with its process.
sub _lock {
    my ($self, $how) = @_;
    open my $lock, '+<', "$self->{dir}/lock" or die "lock: $!\n";
    1 until flock $lock, $how or !$!{EINTR};
    return $lock;
}

sub _load {
    my ($self) = @_;
    my $data = Storable::thaw(OA::Util::slurp("$self->{dir}/store"));
    $self->{settle}->($data);
    return $data;
}

1;

__END__

=head1 SYNOPSIS

    my $store = OA::Store->new($dir, sub {
        my ($data) = @_;        # what time has done to it, before each use
    });
    $store->init({ n => 0 });

    $store->change(sub { ++$_[0]{n} });     # alone; bells in $dir are rung
    $store->look(sub { $_[0]{n} });
    $store->look->{n};

=cut
