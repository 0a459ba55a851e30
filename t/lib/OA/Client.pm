package OA::Client;

# HTTP as bytes on a socket: nothing is added, checked or tidied up.

use strict;
use warnings;

use Carp qw(croak);
use Exporter qw(import);
use IO::Select ();
use IO::Socket::IP ();
use Time::HiRes qw(time);

our @EXPORT_OK = qw(http_get http_request http_raw http_many h2_request
                    request_bytes);

our $TIMEOUT = 10;

sub request_bytes {
    my ($path, %o) = @_;
    my $method = $o{method} // 'GET';
    my @headers = @{ $o{headers} // [] };
    my $text = "$method $path HTTP/1.1\r\n";

    $text .= "Host: $o{host}\r\n" if defined $o{host};
    while (my ($name, $value) = splice @headers, 0, 2) {
        $text .= "$name: $value\r\n";
    }
    $text .= 'Content-Length: ' . length($o{body}) . "\r\n"
        if defined $o{body};
    $text .= "Connection: close\r\n" if $o{close};
    return "$text\r\n" . ($o{body} // '');
}

sub http_get { http_request(@_) }

sub http_request {
    my ($port, $path, %o) = @_;
    $o{host} = 'localhost' unless exists $o{host};
    return http_raw($port, request_bytes($path, %o, close => 1), %o);
}

sub http_raw {
    my ($port, $bytes, %o) = @_;
    my $client = __PACKAGE__->new($port, %o);
    $client->send($bytes);
    return $client->response(head => scalar $bytes =~ /^HEAD /);
}

sub new {
    my ($class, $port, %o) = @_;
    my $self = bless { in => '', timeout => $o{timeout} // $TIMEOUT }, $class;
    $self->{socket} = IO::Socket::IP->new(
        PeerHost => $o{address} // '127.0.0.1', PeerPort => $port,
        Timeout => $self->{timeout}, $o{rcvbuf}
            ? (Sockopts => [ [ Socket::SOL_SOCKET(), Socket::SO_RCVBUF(),
                               $o{rcvbuf} ] ]) : (),
    ) or croak "connect to $port: $@";
    $self->{socket}->sockopt(Socket::SO_KEEPALIVE(), 0);
    setsockopt $self->{socket}, Socket::IPPROTO_TCP(),
        Socket::TCP_NODELAY(), 1;
    return $self;
}

# A connection to one worker of several, where each listens by itself: a
# location says by "return 200 $pid" who has accepted it.
sub of_worker {
    my ($class, $port, $pid, $path, %o) = @_;
    for (1 .. 1000) {
        my $client = $class->new($port, %o);
        return $client if $client->get($path)->body == $pid;
    }
    croak "no connection to worker $pid";
}

sub socket { $_[0]{socket} }

sub send {
    my ($self, $bytes) = @_;
    while (length $bytes) {
        my $n = syswrite $self->{socket}, $bytes;
        return 0 unless defined $n;          # the peer went: read tells
        substr $bytes, 0, $n, '';
    }
    return 1;
}

sub get {
    my ($self, $path, %o) = @_;
    $o{host} = 'localhost' unless exists $o{host};
    $self->send(request_bytes($path, %o));
    return $self->response(head => ($o{method} // '') eq 'HEAD');
}

# Reads once more.  False at the end of the connection.
sub _more {
    my ($self, $end) = @_;
    my $left = $end - time;
    IO::Select->new($self->{socket})->can_read($left > 0 ? $left : 0)
        or croak "no answer in time; so far: $self->{in}";
    my $n = sysread $self->{socket}, $self->{in}, 65536, length $self->{in};
    return $n;
}

# The next response on the connection; undef where it was closed before any.
sub response {
    my ($self, %o) = @_;
    my $end = time + ($o{timeout} // $self->{timeout});

    until ($self->{in} =~ /\r\n\r\n/) {
        next if $self->_more($end);
        return if $self->{in} eq '';
        last;
    }

    my $r = OA::Client::Response->parse_head(\$self->{in});
    return $r if $o{head} or $r->status =~ /^(?:1..|204|304)$/;

    my $length = $r->header('Content-Length');
    if (lc($r->header('Transfer-Encoding') // '') eq 'chunked') {
        while (1) {
            if ($self->{in} =~ s/^([0-9a-f]+)[^\r\n]*\r\n//i) {
                my $size = hex $1;
                while (length $self->{in} < $size + 2) {
                    $self->_more($end) or croak 'chunk cut off';
                }
                $r->{body} .= substr $self->{in}, 0, $size;
                substr $self->{in}, 0, $size + 2, '';
                last if $size == 0;
            } else {
                $self->_more($end) or croak 'chunks cut off';
            }
        }
    } else {
        until (defined $length && length $self->{in} >= $length) {
            $self->_more($end) or last;
        }
        $r->{body} = substr $self->{in}, 0,
                            $length // length $self->{in}, '';
    }
    return $r;
}

# True when the peer has closed and nothing is left to read.
sub closed {
    my ($self, $timeout) = @_;
    return 0 if $self->{in} ne '';
    IO::Select->new($self->{socket})->can_read($timeout // 5) or return 0;
    return !sysread $self->{socket}, $self->{in}, 65536;
}

sub close { close $_[0]{socket} }

# Sends all requests at once, each on its own connection.  Responses in the
# order of requests, each with the seconds it took; undef where none came.
sub http_many {
    my ($port, $requests, %o) = @_;
    my $end = time + ($o{timeout} // $TIMEOUT);
    my $select = IO::Select->new;
    my (%of, @in, @took, @responses);

    for my $i (0 .. $#$requests) {
        my $client = __PACKAGE__->new($port, %o);
        $of{ fileno $client->{socket} } = [ $i, $client, time ];
        $select->add($client->{socket});
        $in[$i] = '';
        $client->send($requests->[$i]);
    }

    while ($select->count and time < $end) {
        for my $socket ($select->can_read($end - time)) {
            my ($i, $client, $start) = @{ $of{ fileno $socket } };
            $took[$i] //= time - $start;
            next if sysread $socket, $in[$i], 65536, length $in[$i];
            $select->remove($socket);
        }
    }

    for my $i (0 .. $#$requests) {
        next if $in[$i] !~ /\r\n\r\n/;
        my $r = OA::Client::Response->parse_head(\$in[$i]);
        $r->{body} = $in[$i];
        $r->{time} = $took[$i];
        $responses[$i] = $r;
    }
    $#responses = $#$requests;
    return @responses;
}

# One request over HTTP/2 with prior knowledge.  The frames are written here, so
# that fields go out as they are; the library only reads what comes back.
sub h2_request {
    my ($port, %o) = @_;
    require Protocol::HTTP2::Connection;
    require Protocol::HTTP2::Constants;
    require Protocol::HTTP2::HeaderCompression;

    my @fields = $o{fields} ? @{ $o{fields} } : (
        ':method' => $o{method} // 'GET',
        ':scheme' => 'http',
        ':path'   => $o{path} // '/',
        defined $o{authority} ? (':authority' => $o{authority}) : (),
        @{ $o{headers} // [] },
    );

    my $block = '';
    while (my ($name, $value) = splice @fields, 0, 2) {
        $block .= "\0" . _h2_string($name) . _h2_string($value);
    }

    my $end_stream = defined $o{body} ? 0 : 1;
    my $client = __PACKAGE__->new($port, %o);
    $client->send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . _h2_frame(4, 0, 0, '')
                  . _h2_frame(1, 4 | $end_stream, 1, $block)
                  . (defined $o{body} ? _h2_frame(0, 1, 1, $o{body}) : ''));

    my $hpack = Protocol::HTTP2::Connection->new(
        Protocol::HTTP2::Constants::CLIENT());
    my $r = bless { status => 0, headers => [], body => '' },
                  'OA::Client::Response';
    my $end = time + $client->{timeout};

    while (1) {
        my ($type, $flags, $stream, $payload) = $client->_h2_read($end);
        if (!defined $type) {
            $r->{error} = 'connection closed';
        } elsif ($type == 7) {
            $r->{error} = 'goaway ' . unpack 'x4 N', $payload;
        } elsif ($type == 3 && $stream == 1) {
            $r->{error} = 'reset ' . unpack 'N', $payload;
        } elsif ($type == 1) {
            Protocol::HTTP2::HeaderCompression::headers_decode($hpack,
                \$payload, 0, length $payload, 1);
            my @list = @{ $hpack->decode_context->{emitted_headers} };
            while (my ($name, $value) = splice @list, 0, 2) {
                $name eq ':status' ? $r->{status} = $value
                                   : push @{ $r->{headers} }, [$name, $value];
            }
        } elsif ($type == 0) {
            $r->{body} .= $payload;
        } elsif ($type == 4 && !($flags & 1)) {
            $client->send(_h2_frame(4, 1, 0, ''));
        }
        return $r if $r->{error} or $type <= 1 && $flags & 1;
    }
}

sub _h2_frame {
    my ($type, $flags, $stream, $payload) = @_;
    return substr(pack('N', length $payload), 1)
           . pack('C C N', $type, $flags, $stream) . $payload;
}

# A literal, not Huffman-coded.
sub _h2_string {
    my ($bytes) = @_;
    my $n = length $bytes;
    return chr($n) . $bytes if $n < 127;
    my $prefix = chr 127;
    for ($n -= 127; $n >= 128; $n >>= 7) {
        $prefix .= chr($n & 127 | 128);
    }
    return $prefix . chr($n) . $bytes;
}

sub _h2_read {
    my ($self, $end) = @_;
    while (1) {
        if (length $self->{in} >= 9) {
            my ($n, $type, $flags, $stream) =
                unpack 'N C C N', "\0" . substr $self->{in}, 0, 9;
            if (length $self->{in} >= 9 + $n) {
                my $payload = substr $self->{in}, 9, $n;
                substr $self->{in}, 0, 9 + $n, '';
                return ($type, $flags, $stream & 0x7fffffff, $payload);
            }
        }
        $self->_more($end) or return;
    }
}


package OA::Client::Response;

sub parse_head {
    my ($class, $in) = @_;
    $$in =~ s/^(.*?)\r\n\r\n//s or $$in =~ s/^(.*)//s;
    my ($line, @lines) = split /\r\n/, $1;
    my ($version, $status) = $line =~ m{^HTTP/(\d\.\d) (\d{3})};
    return bless {
        status => $status // 0, version => $version, line => $line,
        headers => [ map { [ /^([^:]*):[ \t]*(.*)$/s ] } @lines ],
        body => '',
    }, $class;
}

sub status  { $_[0]{status} }
sub headers { $_[0]{headers} }
sub body    { $_[0]{body} }
sub time    { $_[0]{time} }
sub error   { $_[0]{error} }

# The one value, or undef; all of them in list context.
sub header {
    my ($self, $name) = @_;
    my @values = map { $_->[1] }
                 grep { lc $_->[0] eq lc $name } @{ $self->{headers} };
    return wantarray ? @values : $values[0];
}

# All of it but what differs from one request to the next.
sub common {
    my ($self) = @_;
    my $text = join "\n", $self->{line} // $self->{status},
        (map { "$_->[0]: $_->[1]" } grep { lc $_->[0] ne 'date' }
         @{ $self->{headers} }), '', $self->{body};
    return $text =~ s/\b[0-9a-f]{32}\b/ID/gr;
}

1;

__END__

=head1 SYNOPSIS

    use OA::Client qw(http_get http_request http_raw http_many h2_request
                      request_bytes);

    my $r = http_get($port, '/path', host => 'alice.openagents.example',
                     headers => [ Cookie => 'a=b' ]);
    $r->status; $r->header('fly-replay'); $r->headers; $r->body;
    # headers: [[name, value], ...]; header() in list context: every value
    $r->common;                         # as text, without Date, request_id

    http_request($port, '/', method => 'POST', body => $bytes);
    http_raw($port, "GET / HTTP/1.0\r\n\r\n");      # undef: closed, no answer

    my $c = OA::Client->new($port);                 # keep-alive
    $c->get('/', host => ...);
    $c->send($bytes); $c->response; $c->closed; $c->close;

    # with "listen ... reuseport" and "location = /pid { return 200 $pid; }"
    my $c = OA::Client->of_worker($port, ($ng->worker_pids)[0], '/pid');

    # all at the same time, one connection each
    my @r = http_many($port, [ map { request_bytes('/', host => $_,
                                     close => 1) } @hosts ]);
    $r[0]->time;                                    # seconds to first byte

    # a server with "listen ... http2"; no authority: no :authority
    my $r = h2_request($port, authority => 'a_b.example', path => '/',
                       headers => [ 'user-agent' => 'x' ]);
    h2_request($port, fields => [ ':method' => 'GET', ... ]);
    $r->error;                                      # where status is 0

=cut
