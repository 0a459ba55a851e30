package OA::Events;

# A client of server-sent events that sees each of them as it comes, and how
# they end: over HTTP/1.1 and HTTP/2, both checked to the byte.

use strict;
use warnings;

use Carp qw(croak);
use Errno ();
use IO::Select ();
use IO::Socket::IP ();
use Scalar::Util ();
use Socket qw(IPPROTO_TCP SHUT_RDWR SOL_SOCKET SO_LINGER SO_RCVBUF
              TCP_NODELAY);
use Time::HiRes qw(time);

use OA::Client ();

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
    my @seen = map { "$_->{event} " . _quote($_->{data}) } @{ $self->{events} };
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


package OA::Events::Http1;

use OA::Client ();

sub new {
    my ($class, $events, %o) = @_;
    my $self = bless { events => $events, state => 'head' }, $class;
    Scalar::Util::weaken($self->{events});
    $self->{head} = ($o{method} // '') eq 'HEAD';
    $events->_send(OA::Client::request_bytes($o{path}, %o));
    return $self;
}

sub grant  { }
sub cancel { $_[0]{events}->close }

sub _bad {
    my ($self, $why) = @_;
    $self->{bad} = 1;
    $self->{events}->_end(malformed => $why);
    return;
}

# Each step takes what it can, and returns true when it took something.
sub parse {
    my ($self, $in) = @_;
    while (!$self->{bad}) {
        my $step = "_$self->{state}";
        $self->$step($in) or last;
    }
}

sub _head {
    my ($self, $in) = @_;
    $$in =~ /\r\n\r\n/ or return;
    my ($text) = $$in =~ /^(.*?\r\n)\r\n/s;

    my ($line, @lines) = split /\r\n/, $text;
    $line =~ m{^HTTP/1\.[01] \d{3} [^\r\n\0]*\z}
        && !grep { !m{^[\w!#\$%&'*+.^`|~-]+:[^\r\n\0]*\z} } @lines
        or return $self->_bad("head: $text");

    my $head = OA::Client::Response->parse_head($in);
    return 1 if $head->status =~ /^1/;
    $self->{events}->_head($head);

    my @length = $head->header('Content-Length');
    my @coding = map { lc } $head->header('Transfer-Encoding');
    return $self->_bad('a length and a coding') if @length && @coding;

    if ($self->{head} or $head->status =~ /^(?:204|304)$/) {
        return $self->_bad('a coding without a body') if @coding;
        return $self->_complete;
    }
    if (@coding) {
        "@coding" eq 'chunked' or return $self->_bad("coding @coding");
        $self->{state} = 'size';
        return 1;
    }
    if (@length) {
        "@length" =~ /^\d+\z/ or return $self->_bad("length @length");
        $self->{left} = $length[0];
        $self->{state} = 'body';
        $self->{events}->_chunk;
        return $self->{left} || $self->_complete;
    }
    $self->{state} = 'until_close';
    $self->{events}->_chunk;
    return 1;
}

sub _complete {
    my ($self) = @_;
    $self->{state} = 'after';
    $self->{events}->_end('complete');
    return 1;
}

sub _body {
    my ($self, $in) = @_;
    $self->_some($in) or return;
    return $self->{left} || $self->_complete;
}

sub _until_close {
    my ($self, $in) = @_;
    $self->{left} = length $$in;
    return $self->_some($in);
}

# Of what is left of the body or the chunk.
sub _some {
    my ($self, $in) = @_;
    return if $$in eq '';
    my $bytes = substr $$in, 0, $self->{left}, '';
    $self->{left} -= length $bytes;
    $self->{events}->_body($bytes);
    return 1;
}

sub _size {
    my ($self, $in) = @_;
    if ($$in =~ s/^([0-9a-f]{1,16})(?:;[^\r\n]*)?\r\n//i) {
        $self->{left} = hex $1;
        $self->{state} = $self->{left} ? 'data' : 'trailer';
        $self->{events}->_chunk if $self->{left};
        return 1;
    }

    # what is there may become one
    return if $$in =~ /^(?:[0-9a-f]{1,16}(?:;[^\r\n]*)?\r?)?\z/i;
    return $self->_bad('chunk size: ' . substr $$in, 0, 40);
}

sub _data {
    my ($self, $in) = @_;
    $self->_some($in) or return;
    $self->{state} = 'crlf' if $self->{left} == 0;
    return 1;
}

sub _crlf {
    my ($self, $in) = @_;
    if ($$in =~ s/^\r\n//) {
        $self->{state} = 'size';
        return 1;
    }
    return if $$in =~ /^\r?\z/;
    return $self->_bad('after a chunk: ' . substr $$in, 0, 40);
}

sub _trailer {
    my ($self, $in) = @_;
    $$in =~ /\n/ or return;
    $$in =~ s/^([^\r\n]*)\r\n// or return $self->_bad('trailer');
    return $self->_complete if $1 eq '';
    my $line = $1;
    $line =~ /^([\w-]+):[ \t]*(.*)/ or return $self->_bad("trailer: $line");
    push @{ $self->{events}{trailers} }, [ $1, $2 ];
    return 1;
}

sub _after {
    my ($self, $in) = @_;
    return if $$in eq '';
    return $self->_bad('after the end: ' . substr $$in, 0, 40);
}

sub eof {
    my ($self) = @_;
    return $self->{state} eq 'until_close' ? 'closed' : 'cut';
}


package OA::Events::Http2;

use List::Util qw(min);

my ($DATA, $HEADERS, $RST_STREAM, $SETTINGS, $PING, $GOAWAY, $WINDOW_UPDATE,
    $CONTINUATION) = (0, 1, 3, 4, 6, 7, 8, 9);
my ($END_STREAM, $ACK, $END_HEADERS, $PADDED, $PRIORITY) = (1, 1, 4, 8, 32);
my $INITIAL_WINDOW = 4;
my $CANCEL = 8;
my $WINDOW = 65535;

sub new {
    my ($class, $events, %o) = @_;
    require Protocol::HTTP2::Connection;
    require Protocol::HTTP2::Constants;
    require Protocol::HTTP2::HeaderCompression;

    my $window = $o{window} // $WINDOW;
    my $self = bless {
        events => $events, updates => $o{updates} // 1,
        may_get => [ $WINDOW, $window ], owed => 0,     # connection, stream
        half => min($WINDOW, $window) / 2,
        may_send => [ $WINDOW, $WINDOW ], initial => $WINDOW,
        body => $o{body} // '', block => '',
        hpack => Protocol::HTTP2::Connection->new(
            Protocol::HTTP2::Constants::CLIENT()),
    }, $class;
    Scalar::Util::weaken($self->{events});

    my @fields = (':method' => $o{method} // 'GET',
                  ':scheme' => $o{tls} ? 'https' : 'http',
                  ':path' => $o{path},
                  defined $o{host} ? (':authority' => $o{host}) : ());
    my @headers = @{ $o{headers} };
    push @headers, 'content-length' => length $o{body} if defined $o{body};
    while (my ($name, $value) = splice @headers, 0, 2) {
        push @fields, lc $name, $value;
    }

    my $block = '';
    while (my ($name, $value) = splice @fields, 0, 2) {
        $block .= "\0" . OA::Client::_h2_string($name)
                  . OA::Client::_h2_string($value);
    }

    $events->_send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    $self->_frame($SETTINGS, 0, 0, pack 'n N', $INITIAL_WINDOW, $window);
    $self->_frame($HEADERS, $END_HEADERS
                  | ($self->{body} eq '' ? $END_STREAM : 0), 1, $block);
    $self->_send_body;
    return $self;
}

sub _frame {
    my ($self, @frame) = @_;
    $self->{events}->_send(OA::Client::_h2_frame(@frame));
}

sub _bad {
    my ($self, $why) = @_;
    $self->{bad} = 1;
    $self->{events}->_end(malformed => $why);
    return;
}

# What the server allows of the request's body; the rest when it allows more.
sub _send_body {
    my ($self) = @_;
    while ((my $n = length $self->{body}) and !$self->{over}) {
        my $may = min(@{ $self->{may_send} }, 16384, $n);
        return if $may <= 0;
        $_ -= $may for @{ $self->{may_send} };
        $self->_frame($DATA, $may == $n ? $END_STREAM : 0, 1,
                      substr $self->{body}, 0, $may, '');
    }
}

sub grant {
    my ($self, $bytes) = @_;
    for my $stream (0, 1) {
        next if $stream && $self->{over};
        $self->{may_get}[$stream] += $bytes;
        $self->_frame($WINDOW_UPDATE, 0, $stream, pack 'N', $bytes);
    }
}

sub cancel {
    my ($self) = @_;
    $self->_frame($RST_STREAM, 0, 1, pack 'N', $CANCEL);
    $self->{over} = 1;
}

sub eof { 'cut' }

my %ON = (
    $DATA => \&_on_data, $HEADERS => \&_on_headers,
    $CONTINUATION => \&_on_continuation, $RST_STREAM => \&_on_reset,
    $SETTINGS => \&_on_settings, $PING => \&_on_ping,
    $GOAWAY => \&_on_goaway, $WINDOW_UPDATE => \&_on_window,
);

sub parse {
    my ($self, $in) = @_;

    while (length $$in >= 9 and !$self->{bad}) {
        my ($n, $type, $flags, $stream) =
            unpack 'N C C N', "\0" . substr $$in, 0, 9;
        return $self->_bad("a frame of $n bytes") if $n > 16384;
        last if length $$in < 9 + $n;

        my $payload = substr $$in, 9, $n;
        substr $$in, 0, 9 + $n, '';

        return $self->_bad("type $type amid headers")
            if $self->{amid_headers} && $type != $CONTINUATION;
        my $on = $ON{$type} or return $self->_bad("type $type");
        $self->$on($flags, $stream & 0x7fffffff, $payload);
    }
}

sub _of_stream {
    my ($self, $stream, $what) = @_;
    return $self->_bad("$what of stream $stream") if $stream != 1;
    return $self->_bad("$what after the end")
        if $self->{events}{ended} eq 'complete';
    return !$self->{over};      # what comes after a cancel is of no interest
}

sub _over {
    my ($self, $how, $error) = @_;
    $self->{over} = 1;
    $self->{events}->_end($how, $error);
}

sub _unpad {
    my ($self, $flags, $payload) = @_;
    return $payload if !($flags & $PADDED);
    my $left = length($payload) - 1 - ord $payload;
    return $left < 0 ? $self->_bad('padding') : substr $payload, 1, $left;
}

sub _on_data {
    my ($self, $flags, $stream, $payload) = @_;
    $self->_of_stream($stream, 'data') or return;
    my $n = length $payload;

    for my $i (0, 1) {
        $self->{may_get}[$i] -= $n;
        return $self->_bad("$n bytes of data, more than the window")
            if $self->{may_get}[$i] < 0;
    }

    $self->{events}{head} or return $self->_bad('data before the head');
    $payload = $self->_unpad($flags, $payload) // return;
    if ($payload ne '') {
        $self->{events}->_chunk;
        $self->{events}->_body($payload);
    }
    $self->_over('complete') if $flags & $END_STREAM;

    $self->{owed} += $n;
    if ($self->{updates} && $self->{owed} >= $self->{half}) {
        $self->grant($self->{owed});
        $self->{owed} = 0;
    }
}

sub _on_headers {
    my ($self, $flags, $stream, $payload) = @_;
    $self->_of_stream($stream, 'headers') or return;

    $payload = $self->_unpad($flags, $payload) // return;
    substr $payload, 0, 5, '' if $flags & $PRIORITY;
    $self->{block} = '';
    $self->{last_headers} = $flags & $END_STREAM;
    $self->{amid_headers} = 1;
    $self->_on_continuation($flags, $stream, $payload);
}

sub _on_continuation {
    my ($self, $flags, $stream, $payload) = @_;
    return $self->_bad('a continuation of nothing')
        if !$self->{amid_headers} || $stream != 1;

    $self->{block} .= $payload;
    return if !($flags & $END_HEADERS);
    $self->{amid_headers} = 0;

    my $list = $self->{hpack}->decode_context->{emitted_headers};
    @$list = ();
    defined Protocol::HTTP2::HeaderCompression::headers_decode(
        $self->{hpack}, \$self->{block}, 0, length $self->{block}, 1)
        or return $self->_bad('headers');
    $self->_fields(@$list);
    $self->_over('complete') if $self->{last_headers};
}

sub _fields {
    my ($self, @list) = @_;
    my $head = bless { status => 0, headers => [], body => '' },
                     'OA::Client::Response';

    while (my ($name, $value) = splice @list, 0, 2) {
        if ($name eq ':status') {
            $head->{status} = $value;
        } elsif ($name =~ /[A-Z:]/
                 or $name =~ /^(?:connection|keep-alive|transfer-encoding)$/)
        {
            return $self->_bad("header $name");
        } else {
            push @{ $head->{headers} }, [ $name, $value ];
        }
    }

    if (!$self->{events}{head}) {
        $head->{status} =~ /^\d{3}$/ or return $self->_bad('no status');
        $self->{events}->_head($head) if $head->{status} >= 200;
    } else {
        $self->{last_headers} or return $self->_bad('headers amid the body');
        $self->{events}{trailers} = $head->{headers};
    }
}

sub _on_reset {
    my ($self, $flags, $stream, $payload) = @_;
    return $self->_bad("reset of stream $stream") if $stream != 1;
    $self->_over(reset => 'code ' . unpack 'N', $payload);
}

sub _on_settings {
    my ($self, $flags, $stream, $payload) = @_;
    return if $flags & $ACK;

    my @pairs = unpack '(n N)*', $payload;
    while (my ($id, $value) = splice @pairs, 0, 2) {
        next if $id != $INITIAL_WINDOW;
        $self->{may_send}[1] += $value - $self->{initial};
        $self->{initial} = $value;
    }
    $self->_frame($SETTINGS, $ACK, 0, '');
    $self->_send_body;
}

sub _on_ping {
    my ($self, $flags, $stream, $payload) = @_;
    $self->_frame($PING, $ACK, 0, $payload) if !($flags & $ACK);
}

sub _on_goaway {
    my ($self, $flags, $stream, $payload) = @_;
    my ($last, $code) = unpack 'N N', $payload;
    $self->{events}{goaway} = { last => $last, code => $code };
    $self->_over(reset => "goaway $code") if $last < 1 || $code;
}

sub _on_window {
    my ($self, $flags, $stream, $payload) = @_;
    $self->{may_send}[ $stream ? 1 : 0 ] += unpack 'N', $payload;
    $self->_send_body;
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
