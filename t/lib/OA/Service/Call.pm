package OA::Service::Call;

# A request to an OA::Service.

use strict;
use warnings;

use parent -norequire, 'OA::Agent::Request';

use JSON::PP ();

use OA::Agent::Connection ();

my $JSON = JSON::PP->new->utf8->allow_nonref;

sub new {
    my ($class, $service, $request) = @_;
    my ($path, $query) = split /\?/, $request->path, 2;
    my $self = bless { %$request, query => _form($query // '') }, $class;

    my ($kind, %parts) = $service->kind($self->method, $path);
    $self->{kind} = $kind // 'unknown';
    $self->{parts} = { map { $_ => _decoded($parts{$_}) }
                       grep { defined $parts{$_} } keys %parts };
    return $self;
}

sub kind   { $_[0]{kind} }
sub query  { $_[0]{query} }
sub status { $_[0]{status} }
sub fault  { $_[0]{fault} }

# Of the path.
sub app { $_[0]{parts}{app} }
sub id  { $_[0]{parts}{id} }
sub key { $_[0]{parts}{key} }

# The body; undef where it is no JSON.
sub data {
    my ($self) = @_;
    return $self->{data} //= eval { $JSON->decode($self->body) };
}

sub _form {
    my ($text) = @_;
    return { map { my ($name, $value) = split /=/, $_, 2;
                   (_decoded($name) => _decoded($value // '')) }
             split /&/, $text };
}

sub _decoded {
    my ($text) = @_;
    $text =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
    return $text;
}

1;
