package OA::Resolver;

# A name server on UDP for nginx's "resolver".

use strict;
use warnings;

use IO::Socket::IP ();
use JSON::PP ();
use POSIX ();
use Scalar::Util qw(weaken);
use Socket qw(AF_INET6 SOCK_DGRAM inet_aton inet_pton);

use OA::Util qw(free_port slurp spew temp_dir at_exit);

my %TYPE = (1 => 'A', 28 => 'AAAA');

sub new {
    my ($class, %names) = @_;
    my $self = bless {
        tmp => temp_dir(), port => free_port('udp'),
        state => { names => {%names}, silent => 0, ttl => 1 },
    }, $class;
    $self->{queries} = "$self->{tmp}/queries";
    spew($self->{queries}, '');
    $self->_tell;

    my $socket = IO::Socket::IP->new(
        LocalHost => '127.0.0.1', LocalPort => $self->{port},
        Type => SOCK_DGRAM) or die "name server: $@";

    $self->{pid} = fork // die "fork: $!";
    if (!$self->{pid}) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        eval { $self->_serve($socket) };
        print STDERR "# name server: $@\n";
        POSIX::_exit(1);
    }

    weaken(my $weak = $self);
    at_exit(sub { $weak->stop if $weak; '' });
    return $self;
}

sub address { "127.0.0.1:$_[0]{port}" }
sub port    { $_[0]{port} }

sub set {
    my ($self, %names) = @_;
    $self->{state}{names}{$_} = $names{$_} for keys %names;
    $self->_tell;
}

sub silent { $_[0]{state}{silent} = $_[1]; $_[0]->_tell }
sub ttl    { $_[0]{state}{ttl} = $_[1]; $_[0]->_tell }

# The server is another process: it reads this for each query.
sub _tell {
    my ($self) = @_;
    spew("$self->{tmp}/state", JSON::PP::encode_json($self->{state}));
}

sub count {
    my ($self, $name, $type) = @_;
    return scalar grep {
        my ($t, $n) = split;
        (!defined $name or $n eq $name) and (!defined $type or $t eq $type);
    } split /\n/, slurp($self->{queries});
}

sub _serve {
    my ($self, $socket) = @_;
    open my $log, '>>', $self->{queries} or die $!;
    $log->autoflush(1);

    while (defined(my $peer = $socket->recv(my $query, 4096))) {
        my ($id) = unpack 'n', $query;
        my $rest = substr $query, 12;
        my @name;
        while (my $n = ord $rest) {
            push @name, substr $rest, 1, $n;
            substr $rest, 0, $n + 1, '';
        }
        my $name = lc join '.', @name;
        my ($type) = unpack 'x n', $rest;
        $type = $TYPE{$type} // $type;
        print $log "$type $name\n";

        my $state = JSON::PP::decode_json(slurp("$self->{tmp}/state"));
        next if $state->{silent};

        my $answer = $state->{names}{$name};
        my @addresses = grep { $type eq (/:/ ? 'AAAA' : 'A') }
                        ref $answer ? @$answer : $answer // ();
        my $rcode = defined $answer ? 0 : 3;

        my $bytes = pack 'n n n n n n', $id, 0x8180 | $rcode, 1,
                         scalar @addresses, 0, 0;
        $bytes .= join('', map { chr(length) . $_ } @name) . "\0"
                  . substr $rest, 1, 4;
        for my $address (@addresses) {
            my $data = $type eq 'A' ? inet_aton($address)
                                    : inet_pton(AF_INET6, $address);
            $bytes .= pack 'n n n N n/a', 0xc00c, $type eq 'A' ? 1 : 28, 1,
                           $state->{ttl}, $data;
        }
        $socket->send($bytes, 0, $peer);
    }
}

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    kill 'KILL', $pid;
    local $?;
    waitpid $pid, 0;
}

sub DESTROY { $_[0]->stop if ${^GLOBAL_PHASE} ne 'DESTRUCT' }

1;

__END__

=head1 SYNOPSIS

    my $dns = OA::Resolver->new('db.example' => '127.0.0.1',
                                'both.example' => [ '127.0.0.1', '::1' ]);

    "resolver " . $dns->address . " valid=1s;"

    $dns->set('db.example' => '127.0.0.2');   # undef: no such name
    $dns->silent(1);                          # hears, does not answer
    $dns->ttl(5);                             # seconds, 1 by default
    $dns->count('db.example', 'A');           # queries; both optional

=cut
