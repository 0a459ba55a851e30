package OA::Events;

# A client of server-sent events that sees each of them as it comes, and how
# they end: over HTTP/1.1 and HTTP/2, both checked to the byte.

use strict;
use warnings;

use Carp qw(croak);
use Errno ();
use IO::Select ();
use IO::Socket::IP ();
use Socket qw(IPPROTO_TCP SHUT_RDWR SOL_SOCKET SO_LINGER SO_RCVBUF
              TCP_NODELAY);
use Time::HiRes qw(time);

use OA::Client ();
use OA::Events::Http1 ();
use OA::Events::Http2 ();

our $TIMEOUT = 20;

sub new {
    my ($class, $port, $path, %o) = @_;
    my $self = bless {
        timeout => $o{timeout} // $TIMEOUT, in => '', raw => '', ended => '',
        chunks => [], events => [], comments => [], told => 0, commented => 0,
        parser => OA::Events::Parser->new,
    }, $class;

    my $accept = exists $o{accept} ? $o{accept} : 'text/event-stream';
    my @headers = (defined $accept ? (Accept => $accept) : (),
                   @{ $o{headers} // [] });

    $self->_connect($port, %o);
    $self->{http} = ($o{http2} ? 'OA::Events::Http2' : 'OA::Events::Http1')
        ->new($self, %o, path => $path, headers => \@headers,
              host => exists $o{host} ? $o{host} : 'localhost');
    return $self;
}

sub _connect {
    my ($self, $port, %o) = @_;

    return $self->{socket} = $o{socket} if $o{socket};

    # a small buffer must be known before the handshake
    my $socket = IO::Socket::IP->new(
        PeerHost => $o{address} // '127.0.0.1', PeerPort => $port,
        Timeout => $self->{timeout}, $o{rcvbuf}
            ? (Sockopts => [ [ SOL_SOCKET, SO_RCVBUF, $o{rcvbuf} ] ]) : (),
    ) or croak "connect to $port: $@";
    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;

    if ($o{tls}) {
        require IO::Socket::SSL;
        my $host = ($o{host} // 'localhost') =~ s/:\d+\z//r;
        IO::Socket::SSL->start_SSL($socket,
            SSL_hostname => $host, SSL_verifycn_name => $host,
            SSL_verifycn_scheme => 'http', Timeout => $self->{timeout},
            SSL_alpn_protocols => [ $o{http2} ? 'h2' : 'http/1.1' ],
            $o{tls} eq '1' ? (SSL_verify_mode => 0)
                           : (SSL_verify_mode => 1, SSL_ca_file => $o{tls}),
        ) or croak 'TLS: ' . IO::Socket::SSL::errstr();
        $self->{tls} = 1;
    }
    $self->{socket} = $socket;
}

sub socket { $_[0]{socket} }

sub _send {
    my ($self, $bytes) = @_;
    while (length $bytes) {
        my $n = syswrite $self->{socket}, $bytes or return;  # reading tells
        substr $bytes, 0, $n, '';
    }
}


# Reading.  Bytes go to the protocol, which hands on the head, the body and
# the end.

# Reads once, if there is something within so many seconds.
sub _read {
    my ($self, $timeout) = @_;
    return 0 if $self->{paused} or $self->{closed};

    my $socket = $self->{socket};
    $self->{tls} && $socket->pending
        or IO::Select->new($socket)->can_read($timeout) or return 0;

    my $n = sysread $socket, $self->{in}, 65536, length $self->{in};
    if (!$n) {
        $self->_end(defined $n ? $self->{http}->eof
                    : $!{ECONNRESET} ? 'reset' : 'cut');
        $self->{closed} = 1;
        return 1;
    }
    $self->{http}->parse(\$self->{in});
    return 1;
}

sub _read_all {
    my ($self) = @_;
    for (1 .. 1000) {           # there may be no end of it
        $self->_read(0) or return;
    }
}

# Until it is true, or nothing more comes; dies when the time is over.
sub _until {
    my ($self, $what, $timeout, $cond) = @_;
    my $end = time + ($timeout // $self->{timeout});

    while (1) {
        croak $self->_seen("malformed: $self->{error}")
            if $self->{ended} eq 'malformed';
        return 1 if $cond->();
        return 0 if $self->{ended} ne '' or $self->{closed};
        croak $self->_seen("no $what while paused") if $self->{paused};

        my $left = $end - time;
        croak $self->_seen("no $what in time") if $left <= 0;
        $self->_read($left);
    }
}

sub _seen {
    my ($self, $why) = @_;
    my @seen = map { "$_->{event} " . _quote($_->{data}) }
               @{ $self->{events} };
    my $head = $self->{head};
    return "$why; so far: " . join ', ',
        $head ? 'status ' . $head->status : 'no head',
        $self->{ended} ? "ended: $self->{ended}" : (),
        @seen > 10 ? (@seen - 10 . ' events', @seen[-10 .. -1]) : @seen,
        'then ' . _quote($self->{parser}->rest);
}

sub _quote {
    my ($bytes) = @_;
    substr($bytes, 200) = '...' if length $bytes > 200;
    return '"' . $bytes =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ger . '"';
}

# What the protocol calls

sub _head {
    my ($self, $head) = @_;
    $self->{head} = $head;
}

sub _chunk {
    my ($self) = @_;
    push @{ $self->{chunks} }, { bytes => '', time => time };
}

sub _body {
    my ($self, $bytes) = @_;
    my $now = time;

    $self->{raw} .= $bytes;
    $self->{chunks}[-1]{bytes} .= $bytes;
    for my $item ($self->{parser}->parse($bytes)) {
        $item->{time} = $now;
        push @{ $self->{exists $item->{comment} ? 'comments' : 'events'} },
             $item;
    }
}

sub _end {
    my ($self, $how, $error) = @_;
    return if $self->{ended} ne '' && $how ne 'malformed';
    $self->{ended} = $how;
    $self->{error} = $error;
}


# What the test asks

sub head {
    my ($self, $timeout) = @_;
    $self->_until('head', $timeout, sub { $self->{head} })
        or croak $self->_seen('the end before a head');
    return $self->{head};
}

sub status  { $_[0]->head->status }
sub header  { $_[0]->head->header($_[1]) }
sub headers { $_[0]->head->headers }

sub next {
    my ($self, $timeout) = @_;
    $self->_until('event', $timeout,
                  sub { $self->{told} < @{ $self->{events} } }) or return;
    return $self->{events}[ $self->{told}++ ];
}

# A limit for each, not for all of them.
sub rest {
    my ($self, $timeout) = @_;
    my @events;
    while (my $event = $self->next($timeout)) {
        push @events, $event;
    }
    return @events;
}

sub all {
    my ($self, $timeout) = @_;
    $self->rest($timeout);
    return @{ $self->{events} };
}

sub wait_end {
    my ($self, $timeout) = @_;
    $self->_until('end', $timeout, sub { 0 });
    return $self->{ended};
}

sub comments { $_[0]->_read_all; @{ $_[0]{comments} } }

# The next one.
sub wait_comment {
    my ($self, $timeout) = @_;
    $self->_until('comment', $timeout,
                  sub { $self->{commented} < @{ $self->{comments} } })
        or return;
    return $self->{comments}[ $self->{commented}++ ];
}

sub seen      { $_[0]->_read_all; @{ $_[0]{events} } }
sub raw       { $_[0]->_read_all; $_[0]{raw} }
sub chunks    { $_[0]->_read_all; @{ $_[0]{chunks} } }
sub how_ended { $_[0]->_read_all; $_[0]{ended} }
sub error     { $_[0]->_read_all; $_[0]{error} }
sub trailers  { $_[0]->_read_all; $_[0]{trailers} }
sub goaway    { $_[0]->_read_all; $_[0]{goaway} }

# As the client has them that would reconnect now.
sub last_id { $_[0]->_read_all; $_[0]{parser}{last_id} }
sub retry   { $_[0]->_read_all; $_[0]{parser}{retry} }

sub pause  { $_[0]{paused} = 1 }
sub resume { $_[0]{paused} = 0 }

# HTTP/2: lets the server send so much more.
sub grant {
    my ($self, $bytes) = @_;
    $self->{http}->grant($bytes);
}

# True when the server has closed the connection.
sub wait_closed {
    my ($self, $timeout) = @_;
    my $end = time + ($timeout // 5);
    croak 'paused' if $self->{paused};
    while (!$self->{closed} and (my $left = $end - time) > 0) {
        $self->_read($left);
    }
    return $self->{closed};
}

# Goes away.  A process that was forked meanwhile may have the socket too: it
# is the connection that ends.
sub close {
    my ($self, %o) = @_;
    return if !$self->{socket};

    if ($o{reset}) {
        setsockopt $self->{socket}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
    } else {
        shutdown $self->{socket}, SHUT_RDWR;
    }
    $self->{tls} ? $self->{socket}->close(SSL_no_shutdown => 1)
                 : close $self->{socket};
    $self->{closed} = 1;
    delete $self->{socket};
}

# HTTP/2: gives up the stream, not the connection.
sub cancel { $_[0]{http}->cancel }

sub DESTROY {
    my ($self) = @_;
    local ($., $@, $!, $^E, $?);
    $self->close;
}

# The events of a whole body.
sub parse {
    my ($class, $bytes) = @_;
    return grep { exists $_->{data} }
           OA::Events::Parser->new->parse($bytes);
}


package OA::Events::Parser;

# https://html.spec.whatwg.org/multipage/server-sent-events.html, 9.2.6, on
# bytes: what is not UTF-8 stays as it is.

sub new {
    my ($class) = @_;
    return bless { line => '', start => 1, last_id => '', id => '',
                   type => '', data => '' }, $class;
}

# What is not yet an event.
sub rest { $_[0]{data} . $_[0]{line} }

sub parse {
    my ($self, $bytes) = @_;
    my @items;

    $self->{line} .= $bytes;

    if ($self->{start}) {
        my $bom = "\xef\xbb\xbf";
        return if length $self->{line} < 3
            and $self->{line} eq substr $bom, 0, length $self->{line};
        $self->{line} =~ s/^$bom//;
        $self->{start} = 0;
    }
    return if $bytes !~ /[\r\n]/;           # a long line is not read again

    while (1) {
        if ($self->{after_cr} and length $self->{line}) {
            $self->{line} =~ s/^\n//;
            $self->{after_cr} = 0;
        }
        $self->{line} =~ s/^([^\r\n]*)([\r\n])// or last;
        $self->{after_cr} = $2 eq "\r";
        push @items, $self->_line($1);
    }
    return @items;
}

sub _line {
    my ($self, $line) = @_;

    return $self->_dispatch if $line eq '';
    return { comment => substr $line, 1 } if $line =~ /^:/;

    my ($field, $value) = $line =~ /^([^:]*)(?:: ?(.*))?\z/s;
    $value //= '';

    if ($field eq 'event') {
        $self->{type} = $value;
    } elsif ($field eq 'data') {
        $self->{data} .= "$value\n";
    } elsif ($field eq 'id') {
        $self->{id} = $value if $value !~ /\0/;
    } elsif ($field eq 'retry' and $value =~ /^[0-9]+\z/) {
        $self->{retry} = $self->{retried} = $value;
    }
    return;
}

sub _dispatch {
    my ($self) = @_;
    my ($type, $data, $retry) = @$self{qw(type data retried)};

    $self->{last_id} = $self->{id};
    @$self{qw(type data retried)} = ('', '', undef);
    return if $data eq '';

    $data =~ s/\n\z//;
    return { event => $type eq '' ? 'message' : $type, data => $data,
             id => $self->{last_id}, retry => $retry };
}

1;

__END__

=head1 SYNOPSIS

    my $s = OA::Events->new($port, '/api/chat/stream', host => 'a.example',
                            method => 'POST', body => $json,
                            headers => [ 'Content-Type' => ... ]);

    $s->status; $s->header('OA-Stream');        # waits for the head
    my $e = $s->next;                           # waits for an event
    $e->{event}; $e->{data}; $e->{id};          # as dispatched; 'message'
    $e->{retry}; $e->{time};                    # undef; when it was read
    $s->next;                                   # undef: the end
    $s->how_ended;

Other options:

    accept => undef,                    # default: text/event-stream
    address => '::1', timeout => 20,
    rcvbuf => 4096,                     # SO_RCVBUF
    socket => $client->socket,          # an OA::Client's, which is idle
    tls => 1,                           # or the file of an authority: verified
    http2 => 1,                         # prior knowledge; with tls: ALPN
    window => 1000,                     # the stream's; default 65535
    updates => 0,                       # no WINDOW_UPDATE but by ->grant
    length => 0,                        # HTTP/2: no content-length

What waits takes a time in seconds, 20 by default.  It dies with what was
seen when the time is over or the framing is malformed:

    $s->head($timeout);                 # as OA::Client's: status, headers
    $s->next($timeout);
    $s->rest($timeout);                 # all to the end but those told before
    $s->all($timeout);                  # all to the end
    $s->wait_comment($timeout);         # the next { comment, time }, or undef
    $s->wait_end($timeout);             # how_ended
    $s->wait_closed(5);                 # true: the server closed

What there is by now:

    $s->seen; $s->comments;             # events, comments
    $s->raw;                            # the body's bytes
    $s->chunks;                         # { bytes, time } of each chunk (DATA)
    $s->last_id; $s->retry;             # for a reconnection
    $s->trailers; $s->error;
    $s->goaway;                         # { last, code }

C<how_ended> is

    ''            it goes on
    'complete'    the last chunk, all of Content-Length, END_STREAM
    'closed'      closed, where nothing else tells of the end
    'cut'         closed before the end
    'reset'       RST, RST_STREAM, GOAWAY with an error or of this stream
    'malformed'   ->error tells

A slow client, and one that goes:

    $s->pause; $s->resume;              # reads nothing
    $s->grant(100);                     # HTTP/2: both windows
    $s->close; $s->close(reset => 1);   # FIN, RST
    $s->cancel;                         # HTTP/2: RST_STREAM; else close

The parser alone, by the WHATWG's algorithm but for bytes that are not UTF-8,
which stay:

    my @events = OA::Events->parse($bytes);

=cut
