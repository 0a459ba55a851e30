package OA::Agent::Connection;

# What the code of an OA::Agent has: one connection, in a process of its own.

use strict;
use warnings;

use Fcntl qw(O_CREAT O_EXCL O_WRONLY);
use IO::Socket::SSL ();
use Socket qw(IPPROTO_TCP SOL_SOCKET SO_LINGER TCP_INFO TCP_NODELAY);
use Time::HiRes qw(time);

use OA::Util qw(spew);

my $CLOSE = 7;                  # states in tcp_info
my $CLOSE_WAIT = 8;

my %REASON = (
    200 => 'OK', 201 => 'Created', 202 => 'Accepted', 204 => 'No Content',
    302 => 'Found', 400 => 'Bad Request', 401 => 'Unauthorized',
    403 => 'Forbidden', 404 => 'Not Found', 408 => 'Request Timeout',
    409 => 'Conflict', 412 => 'Precondition Failed',
    422 => 'Unprocessable Entity', 429 => 'Too Many Requests',
    500 => 'Internal Server Error', 502 => 'Bad Gateway',
    503 => 'Service Unavailable', 504 => 'Gateway Timeout',
);

# Thrown where the peer has gone; not a death.
my $GONE = bless {}, 'OA::Agent::Gone';

sub new {
    my ($class, $agent, $socket, $number) = @_;
    my $tmp = "$agent->{tmp}";
    my $self = bless {
        agent => $agent, socket => $socket, number => $number, in => '',
        held => '', at => 0, words => [], path => '',
        reads => $agent->{o}{read} // 1,
    }, $class;

    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;
    $self->{bell} = OA::Agent::_bell("$tmp/$number.bell");
    open $self->{said}, '<:raw', "$tmp/words" or die "words: $!\n";

    if ($agent->{o}{tls}) {
        $self->{tls} = 1;
        IO::Socket::SSL->start_SSL($socket,
            SSL_server => 1, Timeout => $OA::Agent::TIMEOUT,
            SSL_cert_file => "$tmp/cert.pem", SSL_key_file => "$tmp/key.pem")
            or $self->_gone('no TLS: ' . IO::Socket::SSL::errstr());
    }
    return $self;
}

sub number { $_[0]{number} }
sub socket { $_[0]{socket} // die "the connection was closed before\n" }

sub note {
    my ($self, $text) = @_;
    $self->{agent}->_log(note => number => $self->{number}, text => $text);
}

sub _gone {
    my ($self, $how) = @_;
    $self->{agent}->_log(closed => number => $self->{number}, how => $how)
        if !$self->{gone};
    $self->{gone} = $how;
    return;
}

# Reads once.  False when the peer has gone.
sub _more {
    my ($self) = @_;
    my $n = sysread $self->socket, $self->{in}, 65536, length $self->{in};
    return 1 if $n;
    return $self->_gone(defined $n ? 'closed' : "$!");
}

# Until something is true, at most so many seconds.  False when the time is
# over, undef when the peer has gone.
sub _await {
    my ($self, $timeout, $cond) = @_;
    my $end = time + $timeout;
    my $socket = $self->socket;
    my @handles = ($self->{bell}, $self->{reads} ? $socket : ());

    while (1) {
        return 1 if $cond && $cond->();

        my $left = $end - time;
        $left = 0 if $left < 0;
        if (!$self->{reads}) {
            $left = 0.02 if $left > 0.02;
            my ($state) = unpack 'C', getsockopt $socket, IPPROTO_TCP,
                                                 TCP_INFO;
            return $self->_gone('closed')
                if $state == $CLOSE || $state == $CLOSE_WAIT;
        }

        my @ready = $self->{reads} && $self->{tls} && $socket->pending
            ? $socket : OA::Agent::_readable($left, @handles);
        for my $handle (@ready) {
            if ($handle == $socket) {
                $self->_more or return;
            } else {
                OA::Agent::_silence($handle);
            }
        }
        return 0 if !@ready && $end <= time;
    }
}


# Waiting

sub wait {
    my ($self, $word, $timeout) = @_;
    $self->pause(0);            # whoever is not there any more takes none
    my $said = $self->_await($timeout // 60, sub { $self->_take_word($word) });
    defined $said or die $GONE;
    $said or die "nobody has said \"$word\"\n";
}

# A word is for one wait: whoever makes the file that says so has it.
sub _take_word {
    my ($self, $word) = @_;

    push @{ $self->{words} },
        OA::Agent::_new_records($self->{said}, \$self->{at});

    for my $i (0 .. $#{ $self->{words} }) {
        my $record = $self->{words}[$i] or next;
        my $to = $record->{to};
        next if ($record->{word} // '') ne $word;
        next if defined $to && $to ne $self->{number} && $to ne $self->{path};

        $self->{words}[$i] = undef;
        return 1 if sysopen my $file, "$self->{agent}{tmp}/taken.$i",
                            O_CREAT | O_EXCL | O_WRONLY;
    }
    return 0;
}

sub pause {
    my ($self, $seconds) = @_;
    defined $self->_await($seconds) or die $GONE;
}

sub wait_closed {
    my ($self, $timeout) = @_;
    return $self->{gone} if $self->{gone};
    defined $self->_await($timeout // $OA::Agent::TIMEOUT)
        and die "the peer has not closed\n";
    return $self->{gone};
}

sub stall { $_[0]->wait_closed(86400) }


# The request, whole; undef when there comes none.

sub request {
    my ($self) = @_;
    my $tmp = $self->{agent}{tmp};

    $self->{reads} = 1;
    while ($self->{in} !~ /\r\n\r\n/) {
        next if $self->_more;
        return if $self->{in} eq '';
        die $GONE;
    }

    $self->{in} =~ s/^(.*?)\r\n\r\n//s;
    my ($line, @lines) = split /\r\n/, $1;
    my ($method, $path, $version) =
        $line =~ m{^(\S+) (\S+) HTTP/(\d\.\d)\z}
        or die "not a request: $line\n";

    my $request = bless {
        number => $self->{number}, method => $method, path => $path,
        version => $version,
        headers => [ map { [ /^([^:]*):[ \t]*(.*)\z/s ] } @lines ],
    }, 'OA::Agent::Request';
    $self->{path} = $path;

    my $body = $self->_body($request);
    my $file = "$tmp/body.$self->{number}." . ++$self->{requests};
    spew($file, $body);
    $self->{agent}->_log(request => %$request, file => $file);

    @$request{qw(body time)} = ($body, time);
    return $request;
}

sub _body {
    my ($self, $request) = @_;

    if (lc($request->header('Transfer-Encoding') // '') ne 'chunked') {
        return $self->take($request->header('Content-Length') // 0);
    }

    my $body = '';
    while (my $size = hex $self->_line =~ s/;.*//r) {
        $body .= $self->take($size);
        $self->_line eq '' or die "not a chunk\n";
    }
    1 while $self->_line ne '';
    return $body;
}

# Bytes as they are, so many.
sub take {
    my ($self, $n) = @_;
    $self->{reads} = 1;
    while (length $self->{in} < $n) {
        $self->_more or die $GONE;
    }
    return substr $self->{in}, 0, $n, '';
}

sub _line {
    my ($self) = @_;
    while (1) {
        return $1 if $self->{in} =~ s/^([^\r\n]*)\r\n//;
        $self->_more or die $GONE;
    }
}


# The answer

sub head {
    my ($self, %o) = @_;
    my $status = $o{status} // 200;
    my $type = exists $o{type} ? $o{type} : 'text/event-stream';
    my @headers = @{ $o{headers} // [] };

    $self->{chunked} = !defined $o{length} && !$o{close}
                       && $status !~ /^(?:1..|204|304)$/;

    my $head = 'HTTP/' . ($o{version} // '1.1') . " $status "
        . ($o{reason} // $REASON{$status} // 'Status') . "\r\n";
    unshift @headers, defined $type ? ('Content-Type' => $type) : (),
        defined $o{length} ? ('Content-Length' => $o{length}) : (),
        $o{close} ? (Connection => 'close') : (),
        $self->{chunked} ? ('Transfer-Encoding' => 'chunked') : ();
    while (my ($name, $value) = splice @headers, 0, 2) {
        $head .= "$name: $value\r\n";
    }

    return $self->{held} .= "$head\r\n" if $o{hold};
    $self->bytes("$head\r\n", %o);
}

sub event {
    my ($self, $bytes, %o) = @_;
    defined $self->{chunked} or die "an event before the head\n";
    return $self->{chunked} ? $self->chunk($bytes, %o)
                            : $self->bytes($bytes, %o);
}

sub chunk {
    my ($self, $bytes, %o) = @_;
    $self->bytes(sprintf("%x\r\n%s\r\n", length $bytes, $bytes), %o);
}

# All of it, however slowly the peer takes it; with a pace, by single bytes
# or so many at once.
sub bytes {
    my ($self, $bytes, %o) = @_;
    my $step = $o{step} // (defined $o{pace} ? 1 : undef);

    $bytes = $self->{held} . $bytes;
    $self->{held} = '';
    defined $self->_await(0) or die $GONE;      # known before it is written

    while (length $bytes) {
        my $n = syswrite $self->socket, $bytes, $step // length $bytes;
        if (!$n) {
            $self->_gone("$!");
            die $GONE;
        }
        substr $bytes, 0, $n, '';
        $self->pause($o{pace}) if defined $o{pace} && length $bytes;
    }
}

sub end {
    my ($self, %o) = @_;
    my @trailers = @{ $o{trailers} // [] };
    my $last = "0\r\n";

    while (my ($name, $value) = splice @trailers, 0, 2) {
        $last .= "$name: $value\r\n";
    }
    $self->bytes($self->{chunked} ? "$last\r\n" : '');
    $self->{chunked} = undef;
    return if $o{keep};

    my $socket = $self->socket;
    $self->{socket} = undef;
    $socket->close;
}

# As when a process is killed: FIN, and nothing before it.
sub cut {
    my ($self) = @_;
    my $socket = $self->socket;
    $self->{socket} = undef;
    $self->{tls} ? $socket->close(SSL_no_shutdown => 1) : $socket->close;
}

sub reset {
    my ($self) = @_;
    setsockopt $self->socket, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
    $self->cut;
}


package OA::Agent::Request;

sub number  { $_[0]{number} }
sub time    { $_[0]{time} }
sub method  { $_[0]{method} }
sub path    { $_[0]{path} }
sub version { $_[0]{version} }
sub headers { $_[0]{headers} }
sub body    { $_[0]{body} //= OA::Util::slurp($_[0]{file}) }

# The one value, or undef; all of them in list context.
sub header {
    my ($self, $name) = @_;
    my @values = map { $_->[1] }
                 grep { lc $_->[0] eq lc $name } @{ $self->{headers} };
    return wantarray ? @values : $values[0];
}

1;
