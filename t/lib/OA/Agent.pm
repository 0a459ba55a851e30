package OA::Agent;

# An agent's machine: a server that answers as the test has written it down,
# at any pace, and dies in any way.

use strict;
use warnings;

use Carp qw(croak);
use IO::Socket::IP ();
use IO::Socket::UNIX ();
use JSON::PP ();
use POSIX ();
use Scalar::Util qw(weaken);
use Socket qw(AF_UNIX MSG_DONTWAIT SOCK_DGRAM SOL_SOCKET SO_RCVBUF
              pack_sockaddr_un);
use Time::HiRes qw(time);

use OA::Agent::Connection ();
use OA::Tls qw(make_certificates);
use OA::Util qw(free_port spew temp_dir at_exit);

our $TIMEOUT = 20;

my $JSON = JSON::PP->new->latin1->canonical;

sub new {
    my $class = shift;
    my $code = pop;
    my %o = @_;
    ref $code eq 'CODE' or croak 'no code for connections';

    my $self = bless {
        o => \%o, code => $code, tmp => temp_dir(), port => free_port(),
        address => $o{address} // '127.0.0.1', at => 0, expected => [],
        name => $o{name} // 'agent',
        map { $_ => [] } qw(accepted request closed note died listen),
    }, $class;

    spew("$self->{tmp}/$_", '') for qw(log words);
    open $self->{log}, '<:raw', "$self->{tmp}/log" or croak "log: $!";
    $self->{bell} = _bell("$self->{tmp}/test.bell");
    make_certificates($self->{tmp}, names => [ 'localhost', $self->{address} ],
                      %o) if $o{tls};
    $self->start;

    weaken(my $weak = $self);
    at_exit(sub { $weak ? $weak->finish : '' });
    return $self;
}

sub port    { $_[0]{port} }
sub ca_file { "$_[0]{tmp}/ca.pem" }

sub url {
    my ($self, $host) = @_;
    $host //= $self->{address};
    $host = "[$host]" if $host =~ /:/;
    return ($self->{o}{tls} ? 'https' : 'http') . "://$host:$self->{port}";
}


# The test and the processes of the server tell each other by files that only
# grow, and wake each other by datagrams: nothing that is told can block its
# teller or get lost.

sub _bell {
    my ($path) = @_;
    return IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $path)
        // die "$path: $!\n";
}

sub _tell {
    my ($path, $record, @bells) = @_;
    my $line = $JSON->encode($record) . "\n";

    # one write, whole: others write to it too
    open my $file, '>>:raw', $path or die "$path: $!\n";
    (syswrite($file, $line) // 0) == length $line or die "$path: $!\n";
    close $file;
    _ring(@bells);
}

# Whoever has bells that wait will come and read, whoever is gone will not.
sub _ring {
    my (@bells) = @_;
    socket my $socket, AF_UNIX, SOCK_DGRAM, 0 or die "socket: $!\n";
    send $socket, '.', MSG_DONTWAIT, pack_sockaddr_un($_) for @bells;
}

# Those of the handles that can be read from, within so many seconds.
sub _readable {
    my ($timeout, @handles) = @_;
    my $ready = '';
    vec($ready, fileno $_, 1) = 1 for @handles;
    return () if select($ready, undef, undef, $timeout) < 1;
    return grep { vec $ready, fileno $_, 1 } @handles;
}

sub _silence {
    my ($bell) = @_;
    1 while defined recv $bell, my $byte, 1, MSG_DONTWAIT;
}

sub _new_records {
    my ($file, $at) = @_;
    seek $file, $$at, 0;
    my @records;
    while (my $line = <$file>) {
        last if $line !~ /\n\z/;
        $$at += length $line;
        push @records, $JSON->decode($line);
    }
    return @records;
}


# What the test hears.

sub _read {
    my ($self) = @_;
    _silence($self->{bell});
    for my $record (_new_records($self->{log}, \$self->{at})) {
        push @{ $self->{ $record->{is} } }, $record;
    }
    return $self;
}

sub _deaths {
    my ($self) = @_;
    $self->_read;
    return map { "$self->{name}: connection $_->{number}: $_->{text}" } grep {
        my $text = $_->{text};
        !grep { $text =~ $_ } @{ $self->{expected} };
    } @{ $self->{died} };
}

# Until it is true, or the time is over; not longer than all goes well.
sub _wait (&$;$) {
    my ($cond, $self, $timeout) = @_;
    my $end = time + ($timeout // $TIMEOUT);

    while (1) {
        $self->_read;
        my $value = $cond->();
        return $value if $value;

        my ($death) = $self->_deaths;
        croak $death =~ s/\n\z//r if $death;

        my $left = $end - time;
        return $value if $left <= 0;
        _readable($left, $self->{bell});
    }
}

sub requests {
    my ($self) = @_;
    return map { bless $_, 'OA::Agent::Request' } @{ $self->_read->{request} };
}

sub connections { scalar @{ $_[0]->_read->{accepted} } }
sub closed { map { $_->{number} } @{ $_[0]->_read->{closed} } }
sub notes  { map { $_->{text} } @{ $_[0]->_read->{note} } }
sub deaths { map { $_->{text} } @{ $_[0]->_read->{died} } }

sub wait_requests {
    my ($self, $n, $timeout) = @_;
    return _wait { @{ $self->{request} } >= $n } $self, $timeout;
}

sub wait_closed {
    my ($self, $n, $timeout) = @_;
    return _wait { @{ $self->{closed} } >= ($n // 1) } $self, $timeout;
}

# The first that matches.
sub wait_note {
    my ($self, $pattern, $timeout) = @_;
    return _wait {
        my ($note) = grep { $_->{text} =~ $pattern } @{ $self->{note} };
        $note && $note->{text};
    } $self, $timeout;
}

sub expect_death {
    my ($self, @patterns) = @_;
    push @{ $self->{expected} }, @patterns;
}

sub wait_death {
    my ($self, $timeout) = @_;
    return _wait { @{ $self->{died} } } $self, $timeout;
}


# What the test says.

sub say {
    my ($self, $word, $to) = @_;
    $self->_say({ word => $word, to => $to });
}

sub _say {
    my ($self, $record) = @_;
    my @bells = grep { !m{/test\.bell\z} } glob "$self->{tmp}/*.bell";
    _tell("$self->{tmp}/words", $record, @bells);
}

sub refuse { $_[0]->_listen(0) }
sub listen { $_[0]->_listen(1) }

sub _listen {
    my ($self, $on) = @_;
    my $n = @{ $self->_read->{listen} };
    $self->_say({ listen => $on });
    _wait { @{ $self->{listen} } > $n } $self
        or croak "$self->{name}: the server does not answer";
}


# The server: a group of processes, one to accept and one a connection.

sub start {
    my ($self) = @_;
    return $self if $self->{pid};

    my $socket = $self->_socket;
    my $words = -s "$self->{tmp}/words";
    my $number = $self->connections;
    my $test = $$;

    $self->{pid} = fork // die "fork: $!";
    if (!$self->{pid}) {
        POSIX::setpgid(0, 0);
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        eval { $self->_accept($socket, $number, $words, $test) };
        $self->_log(died => number => 0, text => "$@");
        POSIX::_exit(1);
    }

    POSIX::setpgid($self->{pid}, $self->{pid});
    return $self;
}

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    kill 'KILL', -$pid;
    local $?;
    waitpid $pid, 0;
    unlink glob "$self->{tmp}/{server,[0-9]*}.bell";
}

# Stops it and tells why closures died, '' if none did.
sub finish {
    my ($self) = @_;
    return '' if $self->{finished}++;
    $self->stop;
    return join '', $self->_deaths;
}

our @failures;
at_exit(sub { join '', @failures });

sub DESTROY {
    my ($self) = @_;
    return if ${^GLOBAL_PHASE} eq 'DESTRUCT';
    local ($?, $@, $!);
    my $why = $self->finish;
    push @failures, $why if $why;
}

sub _socket {
    my ($self) = @_;
    my $rcvbuf = $self->{o}{rcvbuf};
    return IO::Socket::IP->new(
        LocalHost => $self->{address}, LocalPort => $self->{port},
        Listen => 1024, ReuseAddr => 1,
        $rcvbuf ? (Sockopts => [ [ SOL_SOCKET, SO_RCVBUF, $rcvbuf ] ]) : (),
    ) // die "$self->{name}: $@";
}

sub _log {
    my ($self, $is, %record) = @_;
    _tell("$self->{tmp}/log", { is => $is, time => time, %record },
          "$self->{tmp}/test.bell");
}

sub _accept {
    my ($self, $socket, $number, $at, $test) = @_;
    my $bell = _bell("$self->{tmp}/server.bell");
    open my $words, '<:raw', "$self->{tmp}/words" or die "words: $!\n";
    $SIG{CHLD} = 'IGNORE';

    while (getppid == $test) {
        for my $record (_new_records($words, \$at)) {
            defined $record->{listen} or next;
            close $socket if $socket;
            $socket = $record->{listen} ? $self->_socket : undef;
            $self->_log(listen => on => $record->{listen});
        }

        my @ready = _readable(1, $bell, $socket // ());
        _silence($bell);
        next if !grep { $_ != $bell } @ready;
        my $peer = $socket->accept or next;
        $self->_log(accepted => number => ++$number);
        my $pid = fork // die "fork: $!\n";
        next if $pid;

        close $socket;
        $self->_connection($peer, $number);
        POSIX::_exit(0);
    }

    kill 'KILL', -$$;           # the test has died
}

sub _connection {
    my ($self, $peer, $number) = @_;

    my $c = eval { OA::Agent::Connection->new($self, $peer, $number) };
    return if $c && $c->{gone};

    if ($c) {
        my $read = $self->{o}{read} // 1;
        eval {
            my $request = $read ? $c->request : undef;
            $self->{code}->($c, $request) if $request || !$read;
        };
    }

    $self->_log(died => number => $number, text => "$@")
        if $@ && ref $@ ne 'OA::Agent::Gone';
    unlink "$self->{tmp}/$number.bell";
}

1;

__END__

=head1 SYNOPSIS

    my $agent = OA::Agent->new(sub {
        my ($c, $request) = @_;         # the request was read whole
        $c->head;                       # 200 text/event-stream, chunked
        $c->event("data: one\n\n");     # a chunk, at once
        $c->wait('go');                 # until $agent->say('go')
        $c->event("data: two\n\n");
        $c->end;                        # the last chunk, FIN
    });

    "oa_sse_pass " . $agent->url . ";"  # http://127.0.0.1:PORT

    $agent->wait_requests(1) or die;
    my $r = ($agent->requests)[0];      # method path version body time
    $r->header('Authorization'); $r->headers;       # [[name, value], ...]
    $agent->say('go');

Options stand before the code:

    address => '::1',
    tls => 1,               # names, expired as in OA::Tls; $agent->ca_file
    read => 0,              # the code runs before anything is read: no request
    rcvbuf => 4096,
    name => 'agent',        # in messages

Each connection is a process of its own, forked from one that was forked by
C<new>: the code sees the test's variables as they were then, sets none of
them, and makes no assertions.  It tells the test by C<note>, and by C<die>.
When it returns, the connection is closed.

What the code can do with a connection:

    $c->head(status => 502, type => 'text/html', headers => [ ... ]);
    $c->head(length => 100);            # Content-Length
    $c->head(close => 1);               # neither: the end is where it closes
    $c->head(type => undef, reason => 'Fine', version => '1.0');
    $c->head(hold => 1);                # goes out with what follows
    $c->event($bytes);                  # framed as the head has said
    $c->chunk($bytes); $c->bytes($bytes);
    $c->bytes($bytes, pace => 0.01, step => 2);     # also event, chunk, head

    $c->end;                            # closes, though it was not announced
    $c->end(trailers => [ name => 'value' ]);
    $c->end(keep => 1); my $next = $c->request;     # the next one, or undef
    $c->cut;                            # FIN (TLS: no close_notify)
    $c->reset;                          # RST
    $c->stall;                          # nothing, until the peer closes
    my $how = $c->wait_closed(5);       # 'closed', or an error; else dies

    $c->wait('go', 5);                  # dies when nobody says it: 60 seconds
    $c->pause(0.1);
    $c->take($n);                       # bytes that are no request
    $c->note($text); $c->number; $c->socket;

Where the peer has gone, C<wait>, C<pause> and everything that writes leave
the code, silently: that is what C<closed> tells the test.  Without reading
it is noticed by what the kernel knows.

Each C<say> ends one C<wait> for that word, on whatever connection, if need be
one that is yet to come.  To mean one only, name its number (connections count
from 1) or the path of its request:

    $agent->say('go', 2); $agent->say('go', '/api/stream');

What the test hears; waiting is false when the time is over (20 seconds), and
dies as soon as some code has died:

    $agent->connections; $agent->requests; $agent->wait_requests($n, 5);
    $agent->notes; $agent->wait_note(qr/.../, 5);   # the note
    $agent->closed;                     # numbers, where the peer closed first
    $agent->wait_closed($n, 5);
    $agent->deaths; $agent->wait_death;

A death fails the test, unless it was announced:

    $agent->expect_death(qr/.../);

The machine itself:

    $agent->refuse; $agent->listen;     # connections that are there go on
    $agent->stop; $agent->start;        # kill -9, with all connections

=cut
