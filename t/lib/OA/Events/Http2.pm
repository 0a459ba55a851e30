package OA::Events::Http2;

# HTTP/2 for OA::Events, one stream on a connection: what is not by RFC 9113 is
# malformed.

use strict;
use warnings;

use List::Util qw(min);
use Scalar::Util qw(weaken);

use OA::Client ();

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
    weaken($self->{events});

    my @fields = (':method' => $o{method} // 'GET',
                  ':scheme' => $o{tls} ? 'https' : 'http',
                  ':path' => $o{path},
                  defined $o{host} ? (':authority' => $o{host}) : ());
    my @headers = @{ $o{headers} };
    push @headers, 'content-length' => length $o{body}
        if defined $o{body} && ($o{length} // 1);
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
