package OA::Jwks;

# An HTTP server of a set of keys, with faults.

use strict;
use warnings;

use Carp qw(croak);
use IO::Socket::IP ();
use IO::Socket::SSL ();
use JSON::PP ();
use POSIX ();
use Scalar::Util qw(weaken);
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(sleep time);

use OA::Tls qw(make_certificates);
use OA::Token ();
use OA::Util qw(free_port slurp spew temp_dir at_exit wait_for);

my $PATH = '/auth/v1/.well-known/jwks.json';
my $IDLE = 60;              # seconds that a connection is kept

my %REASON = (200 => 'OK', 302 => 'Found', 404 => 'Not Found',
              429 => 'Too Many Requests', 500 => 'Internal Server Error',
              503 => 'Service Unavailable');

sub new {
    my ($class, %o) = @_;
    my $self = bless {
        o => \%o, tmp => temp_dir(), port => free_port(),
        address => $o{address} // '127.0.0.1',
        state => { body => '{"keys":[]}', fault => {} },
    }, $class;

    $self->{log} = "$self->{tmp}/requests";
    spew($self->{log}, '');
    make_certificates($self->{tmp}, names => [ 'localhost', $self->{address} ],
                      %o) if $o{tls};
    $self->publish(@{ $o{keys} // [] });
    $self->start;

    weaken(my $weak = $self);
    at_exit(sub { $weak->stop if $weak; '' });
    return $self;
}

sub port    { $_[0]{port} }
sub ca_file { "$_[0]{tmp}/ca.pem" }

sub url {
    my ($self, $host) = @_;
    $host //= $self->{address};
    $host = "[$host]" if $host =~ /:/;
    return ($self->{o}{tls} ? 'https' : 'http') . "://$host:$self->{port}"
           . $PATH;
}


# What it answers.  The server is another process: it reads this for each
# request.

sub publish {
    my ($self, @keys) = @_;
    $self->body(OA::Token::jwks(@keys));
}

sub body {
    my ($self, $bytes) = @_;
    $self->{state}{body} = $bytes;
    $self->_tell;
}

my %FAULT = map { $_ => 1 } qw(hold delay status headers type body slow
                               truncate chunked garbage huge reset silent);

sub fault {
    my ($self, %fault) = @_;
    $FAULT{$_} or croak "no such fault: $_" for keys %fault;
    $self->{state}{fault} = \%fault;
    $self->_tell;
}

sub _tell {
    my ($self) = @_;
    spew("$self->{tmp}/state",
         JSON::PP->new->latin1->encode($self->{state}));
}

sub _state {
    my ($self) = @_;
    return JSON::PP->new->latin1->decode(slurp("$self->{tmp}/state"));
}


# What it was asked.

sub requests {
    my ($self) = @_;
    return map { JSON::PP::decode_json($_) } split /^/, slurp($self->{log});
}

sub count { my ($self) = @_; return scalar(() = $self->requests) }

sub wait_requests {
    my ($self, $n, $timeout) = @_;
    return wait_for { $self->count >= $n } $timeout;
}


# The process

sub start {
    my ($self) = @_;
    return $self if $self->{pid};

    my $listen = IO::Socket::IP->new(
        LocalHost => $self->{address}, LocalPort => $self->{port},
        Listen => 128, ReuseAddr => 1) or die "key server: $@";

    pipe my $watch, $self->{alive} or die "pipe: $!";

    $self->{pid} = fork // die "fork: $!";
    if (!$self->{pid}) {
        POSIX::setpgid(0, 0);
        close delete $self->{alive};
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        eval { $self->_accept($listen, $watch) };
        print STDERR "# key server: $@\n" if $@;
        POSIX::_exit(1);
    }

    POSIX::setpgid($self->{pid}, $self->{pid});
    return $self;
}

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    close delete $self->{alive};
    kill 'KILL', -$pid;
    local $?;
    waitpid $pid, 0;
}

# One process a connection: none waits for another's fault.
sub _accept {
    my ($self, $listen, $watch) = @_;
    $SIG{CHLD} = 'IGNORE';

    while (1) {
        vec(my $ready = '', fileno $listen, 1) = 1;
        vec($ready, fileno $watch, 1) = 1;
        next if select($ready, undef, undef, undef) < 1;
        last if vec $ready, fileno $watch, 1;      # the test is gone

        my $socket = $listen->accept or next;
        my $pid = fork // next;
        next if $pid;

        close $listen;
        $self->{watch} = $watch;
        eval { $self->_serve($socket) };
        print STDERR "# key server: $@\n" if $@ and $@ !~ /^closed$/;
        POSIX::_exit(0);
    }
    kill 'KILL', -$$;
}

# The state once the test no longer holds it; dies when the test is gone.
sub _answer_state {
    my ($self) = @_;
    while (1) {
        my $state = $self->_state;
        return $state if !$state->{fault}{hold};
        $self->_pause(0.01);
    }
}

sub _pause {
    my ($self, $seconds) = @_;
    vec(my $ready = '', fileno $self->{watch}, 1) = 1;
    die "closed\n" if select $ready, undef, undef, $seconds;
}

sub _serve {
    my ($self, $socket) = @_;

    if ($self->{o}{tls}) {
        $self->_pause(86400) if $self->_state->{fault}{silent};
        $socket = IO::Socket::SSL->start_SSL($socket,
            SSL_server => 1, Timeout => $IDLE,
            SSL_cert_file => "$self->{tmp}/cert.pem",
            SSL_key_file => "$self->{tmp}/key.pem") or return;
    }

    while (my $head = _read_head($socket)) {
        my ($line, @headers) = split /\r\n/, $head =~ s/\r\n\r\n.*//sr;
        my ($method, $path) = split / /, $line;
        my %headers = map { my ($n, $v) = split /: */, $_, 2; (lc $n => $v) }
                      @headers;

        # one write, whole: the others write to it too
        open my $log, '>>', $self->{log} or die $!;
        syswrite $log, JSON::PP::encode_json({
            method => $method, path => $path, headers => \%headers }) . "\n";
        close $log;

        $self->_answer($socket, $method, $self->_answer_state) or last;
    }
    $socket->close;
}

sub _read_head {
    my ($socket) = @_;
    my $head = '';

    alarm $IDLE;
    while ($head !~ /\r\n\r\n/) {
        sysread $socket, $head, 4096, length $head or return;
    }
    alarm 0;
    return $head;
}

# True: the connection can take another request.
sub _answer {
    my ($self, $socket, $method, $state) = @_;
    my $fault = $state->{fault};

    $self->_pause(86400)           if $fault->{silent};
    $self->_pause($fault->{delay}) if $fault->{delay};

    if ($fault->{reset}) {
        setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
        POSIX::close(fileno $socket);
        POSIX::_exit(0);
    }

    if (defined $fault->{garbage}) {
        _send($socket, $fault->{garbage});
        return 0;
    }

    my $body = $fault->{body} // $state->{body};
    my $status = $fault->{status} // 200;
    my $endless = $fault->{huge};
    my $length = length $body;
    my $chunked = $fault->{chunked} || $endless;

    # half of it, whatever was announced
    substr $body, int $length / 2, $length, '' if $fault->{truncate};

    my @headers = @{ $fault->{headers} // [] };
    my $head = "HTTP/1.1 $status " . ($REASON{$status} // 'Status') . "\r\n"
        . 'Content-Type: ' . ($fault->{type} // 'application/json') . "\r\n"
        . "Cache-Control: public, max-age=600\r\n"
        . ($chunked ? "Transfer-Encoding: chunked\r\n"
                    : "Content-Length: $length\r\n");
    while (my ($name, $value) = splice @headers, 0, 2) {
        $head .= "$name: $value\r\n";
    }
    _send($socket, "$head\r\n");
    return 1 if $method eq 'HEAD';

    my $put = $chunked
        ? sub { _send($socket, sprintf "%x\r\n%s\r\n", length $_[0], $_[0]) }
        : sub { _send($socket, $_[0]) };

    # a set that is good but for its size
    if ($endless) {
        $put->('{"keys":[],"x":"');
        $put->('x' x 16384) while 1;
    }

    if ($fault->{slow} and length $body) {
        for my $byte (split //, $body) {
            $put->($byte);
            $self->_pause($fault->{slow} / length $body);
        }
    } elsif (length $body) {
        $put->($body);
    }

    return 0 if $fault->{truncate};
    _send($socket, "0\r\n\r\n") if $chunked;
    return 1;
}

sub _send {
    my ($socket, $bytes) = @_;
    while (length $bytes) {
        my $n = syswrite $socket, $bytes or die "closed\n";
        substr $bytes, 0, $n, '';
    }
}

sub DESTROY { $_[0]->stop if ${^GLOBAL_PHASE} ne 'DESTRUCT' }

1;

__END__

=head1 SYNOPSIS

    my $jwks = OA::Jwks->new(keys => [ key('RS256'), key('ES256') ]);

    "jwks_uri " . $jwks->url . ";"          # http://127.0.0.1:PORT/...

    $jwks->publish(key('ES256', kid => 'k2'));  # from the next request on
    $jwks->body($bytes);                        # any body
    $jwks->count;                               # requests so far
    $jwks->wait_requests(2, 5) or die;          # seconds; 10 by default
    ($jwks->requests)[0]{headers}{accept};      # also method, path
    $jwks->stop; $jwks->start;                  # refuses, serves again

Over TLS, with an authority and a certificate made for the test:

    my $jwks = OA::Jwks->new(tls => 1,
        names => [ 'keys.example' ],        # default: localhost, 127.0.0.1
        expired => 1, address => '::1');
    $jwks->url('keys.example'); $jwks->ca_file;

Faults replace each other; a request counts once its head was read, before
it is answered. Without arguments: none.

    $jwks->fault(hold => 1);                # no answer until another fault()
    $jwks->fault(delay => 2);               # seconds before the head
    $jwks->fault(silent => 1);              # never; with TLS no handshake
    $jwks->fault(status => 500);            # the good body with it
    $jwks->fault(status => 302, headers => [ Location => $other->url ]);
    $jwks->fault(type => 'text/html', body => '<html>');
    $jwks->fault(slow => 3);                # seconds from first to last byte
    $jwks->fault(truncate => 1);            # half of Content-Length
    $jwks->fault(truncate => 1, chunked => 1);
    $jwks->fault(huge => 1);                # no end
    $jwks->fault(garbage => "\0\1\2");      # instead of HTTP
    $jwks->fault(reset => 1);               # RST
    $jwks->fault();

=cut
