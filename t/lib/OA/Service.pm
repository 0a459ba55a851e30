package OA::Service;

# What the stand-ins for other people's services share: an OA::Agent that
# keeps a state, knows its calls by kind, and has faults.

use strict;
use warnings;

use parent 'OA::Agent';

use Carp qw(croak);
use JSON::PP ();

use OA::Service::Call ();
use OA::Store ();

my $JSON = JSON::PP->new->utf8->canonical->allow_nonref;
my @FAULT = qw(status body headers drop reset hang html truncate garbage
               delay late done nth times);

sub new {
    my ($class, $state, %o) = @_;
    my $self = $class->SUPER::new(%o, sub { $class->_serve(@_) });
    $class->store("$self->{tmp}")->init({ %$state, faults => [] });
    return $self;
}

# To be overridden.

# undef: nothing that the service has.
sub kind { croak 'not a kind' }

# Alone with the state; what it returns is given to complete.
sub begin { }

# The answer: [ status, data or bytes, @headers ].
sub complete { $_[4] }

sub fault_options { }
sub settle { }


sub store {
    my ($self, $dir) = @_;
    $dir //= $self->{tmp};
    my $class = ref $self || $self;
    return OA::Store->new($dir, sub { $class->settle(@_) });
}

sub change { $_[0]->store->change($_[1]) }
sub state  { $_[0]->store->look }


# Calls

sub calls {
    my ($self, $kind) = @_;
    my (@calls, %answers);

    push @{ $answers{$_->{number}} }, $_ for @{ $self->_read->{answer} };
    for my $request ($self->requests) {
        my $call = OA::Service::Call->new($self, $request);
        my $answer = shift @{ $answers{$call->number} } // {};
        @$call{qw(status fault)} = @$answer{qw(status fault)};
        push @calls, $call if !defined $kind || $call->kind eq $kind;
    }
    return @calls;
}

sub count {
    my ($self, $kind) = @_;
    return scalar(() = $self->calls($kind));
}

# For the nth call of a kind, which is returned: it was read, perhaps not
# yet answered.
sub wait_call {
    my ($self, $kind, $n, $timeout) = @_;
    return OA::Agent::_wait(sub { ($self->calls($kind))[($n // 1) - 1] },
                            $self, $timeout);
}


# Faults

sub fault {
    my ($self, $kind, %fault) = @_;
    my %known = map { $_ => 1 } @FAULT, $self->fault_options;

    for my $name (keys %fault) {
        $known{$name} or croak "no such fault: $name";
    }

    # what goes wrong with an answer, goes wrong after the thing was done
    $fault{done} //= !grep { exists $fault{$_} }
                     qw(status drop reset hang html garbage);
    $self->change(sub {
        my ($state) = @_;
        return $state->{faults} = [] if !defined $kind;
        push @{ $state->{faults} }, {
            kind => $kind, times => 1, %fault, skip => ($fault{nth} // 1) - 1,
        };
    });
}

sub faults { scalar @{ $_[0]->state->{faults} } }

sub _take_fault {
    my ($state, $kind) = @_;

    for my $fault (@{ $state->{faults} }) {
        next if $fault->{kind} ne $kind && $fault->{kind} ne '*';
        next if $fault->{skip}-- > 0;

        $fault->{skip} = 0;
        @{ $state->{faults} } = grep { $_ != $fault } @{ $state->{faults} }
            if $fault->{times} && !--$fault->{times};
        return $fault;
    }
    return {};
}


# The server

sub _serve {
    my ($class, $c, $request) = @_;
    my $store = $class->store("$c->{agent}{tmp}");

    srand;                      # not the ids of another connection
    while ($request) {
        my $call = OA::Service::Call->new($class, $request);
        my $fault = $store->change(sub { _take_fault($_[0], $call->kind) });

        $call->{fault} = $fault;
        $c->pause($fault->{delay}) if $fault->{delay};

        my $answer;
        if ($fault->{done} // 1) {
            my $begun = $store->change(sub { $class->begin($_[0], $call) });
            $answer = $class->complete($c, $store, $call, $begun);
        }

        $c->pause($fault->{late}) if $fault->{late};
        $class->_answer($c, $call, $answer) or return;
        $request = $c->request;
    }
}

# False: the connection is over.
sub _answer {
    my ($class, $c, $call, $answer) = @_;
    my $fault = $call->{fault};

    $answer = [ 502, '<html><body><h1>502 Bad Gateway</h1></body></html>',
                'Content-Type' => 'text/html' ] if $fault->{html};
    $answer = [ $fault->{status}, $fault->{body} // { error => 'ordered' },
                @{ $fault->{headers} // [] } ] if $fault->{status};

    my $silent = grep { defined $fault->{$_} } qw(drop reset hang garbage);
    $c->{agent}->_log(answer => number => $c->number, kind => $call->kind,
                      status => $silent ? undef : $answer->[0],
                      fault => %$fault ? $fault : undef);

    if ($silent) {
        $c->stall if $fault->{hang};
        $c->bytes($fault->{garbage}) if defined $fault->{garbage};
        $fault->{reset} ? $c->reset : $c->cut;
        return 0;
    }

    my ($status, $data, @headers) = @$answer;
    my $body = !defined $data ? '' : ref $data ? $JSON->encode($data) : $data;
    my $typed = grep { $_ eq 'Content-Type' } @headers;

    $c->head(status => $status, hold => 1,
             type => $typed || !defined $data ? undef : 'application/json',
             length => $status == 204 ? undef : length $body,
             headers => [ @headers, $class->headers ]);

    if ($fault->{truncate}) {
        $c->bytes(substr $body, 0, length($body) / 2);
        $c->cut;
        return 0;
    }

    my $last = lc($call->header('Connection') // '') eq 'close';
    $c->bytes($status == 204 ? '' : $body);
    $c->end(keep => !$last);
    return !$last;
}

sub headers { }

1;

__END__

=head1 SYNOPSIS

For whoever uses an OA::Fly or an OA::Handler:

    my @calls = $service->calls;            # or of a kind: calls('app_get')
    $call->kind; $call->app; $call->id; $call->query->{state};
    $call->data;                            # the body, decoded
    $call->status;                          # of the answer; undef: none
    $call->fault;                           # that it met, or undef
    # and all of OA::Agent's requests: method path body time header number

    $service->count('app_get');
    my $call = $service->wait_call('app_get', 2, 5);    # the second; seconds

A fault is for one call, the next one of its kind ('*': of any).  Several
wait in the order in which they were given.

    $service->fault(app_get => status => 500);          # the thing not done
    $service->fault(app_get => status => 429,
                    headers => [ 'Retry-After' => 1 ],
                    body => { error => 'slow' });       # or bytes
    $service->fault(app_get => drop => 1);              # FIN, no answer
    $service->fault(app_get => drop => 1, done => 1);   # done, then FIN
    $service->fault(app_get => reset => 1);             # RST
    $service->fault(app_get => hang => 1);              # until the peer goes
    $service->fault(app_get => html => 1);              # 502 of a proxy
    $service->fault(app_get => garbage => "\0\1");      # instead of HTTP
    $service->fault(app_get => truncate => 1);          # done, half a body
    $service->fault(app_get => late => 2);              # done, answered later
    $service->fault(app_get => delay => 2);             # done later
    $service->fault(app_get => status => 500, nth => 3, times => 2);
                                            # the third and the fourth
    $service->fault(app_get => status => 500, times => 0);  # all of them
    $service->fault;                        # no faults any more
    $service->faults;                       # how many are left

Down and up again, with its state:

    $service->refuse; $service->listen;     # exchanges that run go on
    $service->stop; $service->start;        # kill -9

=cut
