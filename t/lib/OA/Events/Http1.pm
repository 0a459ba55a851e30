package OA::Events::Http1;

# HTTP/1.1 for OA::Events: what is not by RFC 9112 is malformed.

use strict;
use warnings;

use Scalar::Util qw(weaken);

use OA::Client ();

sub new {
    my ($class, $events, %o) = @_;
    my $self = bless { events => $events, state => 'head' }, $class;
    weaken($self->{events});
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

1;
