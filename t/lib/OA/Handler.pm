package OA::Handler;

# An upstream handler that provisions: of its own kind, or behind Trigger.dev.

use strict;
use warnings;

use parent 'OA::Service';

use JSON::PP ();

use OA::Fly::State ();

my @FIELD = qw(route_id user_id agent_id subdomain region reason attempt);

sub new {
    my $class = shift;
    my $code = @_ % 2 ? pop : sub { undef };
    my %o = @_;
    my $format = delete $o{format} // 'plain';
    my $task = delete $o{task} // 'provision';

    return $class->SUPER::new({
        format => $format, task => $task, jobs => {},
        token => delete $o{token} // 'handler-token',
    }, name => 'handler', %o, script => $code);
}

# What oa_provisioner has as its handler.
sub handler {
    my ($self) = @_;
    my $state = $self->state;
    return $self->url . ($state->{format} eq 'plain'
        ? '/provision' : "/api/v1/tasks/$state->{task}/trigger");
}

sub token { $_[0]->state->{token} }

# By idempotency key: how often it came, its run, its first payload.
sub jobs { $_[0]->state->{jobs} }

sub kind {
    my ($class, $method, $path) = @_;
    return if $method ne 'POST';
    return (trigger => id => $1)
        if $path =~ m{^/api/v1/tasks/([^/]+)/trigger\z};
    return 'call';
}

# An answer that is final, or the job.
sub begin {
    my ($class, $s, $call) = @_;
    my $trigger = $s->{format} ne 'plain';
    my $data = $call->data;

    return [ 404, { error => 'Not found' } ]
        if $call->kind ne ($trigger ? 'trigger' : 'call');
    return [ 401, { error => 'Invalid or Missing API key' } ]
        if ($call->header('Authorization') // '') ne "Bearer $s->{token}";
    return [ 404, { error => 'Task not found' } ]
        if $trigger && $call->id ne $s->{task};
    return [ 400, { error => 'Invalid JSON' } ] if ref $data ne 'HASH';

    my $options = $trigger ? $data->{options} // {} : {};
    my $payload = $trigger ? $data->{payload} : $data;
    my $key = $trigger ? $options->{idempotencyKey}
                       : $call->header('Idempotency-Key');

    my @missing = ref $payload ne 'HASH' ? 'payload'
        : grep { !exists $payload->{$_} } @FIELD;
    push @missing, 'idempotency key' if !length($key // '');
    return [ 422, { error => "Missing: @missing" } ] if @missing;

    my $job = $s->{jobs}{$key} //= {
        key => $key, payload => $payload, times => 0,
        run => 'run_' . lc OA::Fly::State::ulid(),
    };
    return { %$job, times => ++$job->{times}, payload => $payload,
             concurrency => $options->{concurrencyKey}, trigger => $trigger };
}

sub complete {
    my ($class, $c, $store, $call, $job) = @_;
    return $job if ref $job eq 'ARRAY';

    my $trigger = $job->{trigger};
    my $again = $job->{times} > 1;
    my $answer = $trigger && $again
        ? undef : $c->{agent}{o}{script}->($job, $c, $call);

    return $answer if ref $answer eq 'ARRAY';
    return [ 200, $answer ] if ref $answer eq 'HASH';
    return [ $answer, { error => 'scripted' } ] if defined $answer;
    return [ 202, {} ] if !$trigger;
    return [ 200, { id => $job->{run}, isCached => $again
                    ? JSON::PP::true : JSON::PP::false } ];
}

1;

__END__

=head1 SYNOPSIS

    my $handler = OA::Handler->new(sub {
        my ($job, $c, $call) = @_;
        $job->{payload}{route_id};      # route_id user_id agent_id subdomain
                                        # region reason attempt
        $job->{key};                    # of idempotency
        $job->{times};                  # the nth request with this key
        $c->wait('go');                 # all of OA::Agent's connection

        return { app => 'a', machine => 'm', region => 'iad' };     # 200
        return 503;
        return [ 429, { error => 'busy' }, 'Retry-After' => 1 ];
        return;                         # 202
    });
    my $handler = OA::Handler->new;     # 202

    "handler " . $handler->handler . ";"    # http://127.0.0.1:PORT/provision
    $handler->token;                        # 401 without it

    my $handler = OA::Handler->new(
        format => 'trigger.dev', token => 'tr_dev_x', task => 'provision',
        sub { ... });                   # once a key; nothing: 200 {"id":...}

The code runs in a process of its own, as that of an OA::Agent does.  What is
not complete gets 422 and does not come to it.

    $handler->count('call');            # 'trigger' with trigger.dev
    $handler->jobs->{$key}{times};      # also run, payload (of the first)
    keys %{ $handler->jobs };

Calls, faults, being down: see OA::Service.

=cut
