package OA::Fly;

# A stand-in for Fly's Machines API.

use strict;
use warnings;

use parent 'OA::Service';

use Carp qw(croak);
use POSIX ();
use Time::HiRes qw(time);

use OA::Fly::Api ();
use OA::Fly::State ();
use OA::Util qw(wait_for);

my %DELAY = (
    create => 0.02, start => 0.02, resume => 0.01, stop => 0.02,
    suspend => 0.02, destroy => 0.02, replace => 0.02, volume => 0.01,
    fork => 0.02, unbind => 0, app_delete => 0, forget => undef,
);

my %OPTION = (
    token => 'fly-token', org => 'personal', region => 'iad', wait_scale => 1,
);

sub new {
    my ($class, %o) = @_;
    my %delay = (%DELAY, %{ delete $o{delays} // {} });
    my %option = map { $_ => delete $o{$_} // $OPTION{$_} } keys %OPTION;

    return $class->SUPER::new({
        %option, delay => \%delay, apps => {}, foreign => {}, regions => {},
        execs => [], limits => undef, buckets => {}, binds => [],
    }, name => 'fly', %o);
}

sub base  { $_[0]->url . '/v1' }
sub token { $_[0]->state->{token} }

sub kind     { my $class = shift; OA::Fly::Api::kind(@_) }
sub begin    { my $class = shift; OA::Fly::Api::begin(@_) }
sub complete { my $class = shift; OA::Fly::Api::complete(@_) }
sub settle   { my $class = shift; OA::Fly::State::settle(@_) }

sub headers {
    return ('fly-request-id' => OA::Fly::State::ulid() . '-iad');
}

sub fault_options { qw(outcome) }


# What the test asks.

sub apps {
    my ($self) = @_;
    my $apps = $self->state->{apps};
    return map { $apps->{$_} } sort keys %$apps;
}

sub ips { map { @{ $_->{ips} } } $_[0]->apps }

# Those that are there, without what is destroyed.
sub volumes {
    my ($self, %is) = @_;
    return grep { $_->{state} ne 'pending_destroy' && _matches($_, %is) }
           map { values %{ $_->{volumes} } } $self->apps;
}

sub machines {
    my ($self, %is) = @_;
    return grep { $_->{state} ne 'destroyed' && _matches($_, %is) }
           map { values %{ $_->{machines} } } $self->apps;
}

sub _matches {
    my ($thing, %is) = @_;
    return !grep { ($thing->{$_} // '') ne $is{$_} } keys %is;
}

# Of whatever state; undef when there is none.
sub machine {
    my ($self, $id) = @_;
    my ($machine) = grep { defined } map { $_->{machines}{$id} } $self->apps;
    return $machine;
}

sub volume {
    my ($self, $id) = @_;
    my ($volume) = grep { defined } map { $_->{volumes}{$id} } $self->apps;
    return $volume;
}

sub wait_state {
    my ($self, $id, $state, $timeout) = @_;
    return wait_for {
        my $machine = $self->machine($id);
        $machine && $machine->{state} eq $state;
    } $timeout;
}

# What was run on a machine, in order.
sub execs {
    my ($self, $id) = @_;
    return @{ ($self->machine($id) // croak "no machine $id")->{execs} };
}


# What the test orders.

sub delay {
    my ($self, %delay) = @_;
    exists $DELAY{$_} or croak "no such delay: $_" for keys %delay;
    $self->change(sub { @{ $_[0]{delay} }{keys %delay} = values %delay });
}

sub region {
    my ($self, $region, %full) = @_;
    $self->change(sub { $_[0]{regions}{$region} = \%full });
}

sub fill {
    my ($self, $id) = @_;
    $self->change(sub {
        my ($volume) = grep { defined } map { $_->{volumes}{$id} }
                       values %{ $_[0]{apps} };
        ($volume // croak "no volume $id")->{full} = 1;
    });
}

sub foreign {
    my ($self, @names) = @_;
    $self->change(sub { $_[0]{foreign}{$_} = 1 for @names });
}

sub limits {
    my ($self, %o) = @_;
    $self->change(sub {
        my ($s) = @_;
        $s->{limits} = %o ? { scale => 1, %o } : undef;
        $s->{buckets} = {};
    });
}

sub exec {
    my ($self, $pattern, %o) = @_;
    $self->change(sub {
        push @{ $_[0]{execs} }, { %o, pattern => "$pattern" };
    });
}

# Things that are there before the first call.

sub add_app {
    my ($self, $name, %o) = @_;
    $self->change(sub { OA::Fly::State::add_app($_[0], $name, %o) });
}

sub add_volume {
    my ($self, $app, %o) = @_;
    return $self->change(sub {
        my ($s) = @_;
        my $volume = OA::Fly::State::add_volume(
            $s, OA::Fly::State::add_app($s, $app), %o);
        @$volume{qw(state plan)} = ('created', []);
        return $volume->{id};
    });
}

sub add_machine {
    my ($self, $app, %o) = @_;
    my $state = delete $o{state} // 'started';
    my $volume = delete $o{volume};

    $o{config} //= { image => 'registry.fly.io/agent:1' };
    $o{config}{mounts} = [ { volume => $volume, path => '/data' } ] if $volume;
    return $self->change(sub {
        my ($s) = @_;
        my $machine = OA::Fly::State::add_machine(
            $s, OA::Fly::State::add_app($s, $app), %o);
        @$machine{qw(state plan started_at)} = ($state, [], time);
        return $machine->{id};
    });
}

# What happens to a machine without a call.

sub set_machine {
    my ($self, $id, %fields) = @_;
    $self->_machine($id, sub {
        my ($s, $machine) = @_;
        $machine->{plan} = [];
        OA::Fly::State::enter($s, $machine, { at => time, source => 'flyd',
                                              state => delete $fields{state} })
            if $fields{state};
        @$machine{keys %fields} = values %fields;
    });
}

# As by Fly Proxy, where a request comes for it.
sub wake {
    my ($self, $id) = @_;
    $self->_machine($id, sub { OA::Fly::State::start(@_, 'proxy') });
}

# What is to come next comes now, and the rest as much earlier.
sub hasten {
    my ($self, $id) = @_;
    $self->change(sub {
        my ($s) = @_;
        my $now = time;
        if (my $app = $s->{apps}{$id}) {
            return $app->{gone_at} = $now;
        }
        for my $app (values %{ $s->{apps} }) {
            my $thing = $app->{machines}{$id} // $app->{volumes}{$id} // next;
            my @plan = @{ $thing->{plan} };
            my $early = @plan ? $plan[0]{at} - $now : 0;
            $_->{at} -= $early for @plan;
            return;
        }
        croak "nothing is named $id";
    });
}

# 404 from now on.
sub vanish {
    my ($self, $id) = @_;
    $self->_machine($id, sub {
        my ($s, $machine, $app) = @_;
        OA::Fly::State::unbind($app, $machine);
        delete $app->{machines}{$id};
    });
}

sub _machine {
    my ($self, $id, $code) = @_;
    $self->change(sub {
        my ($s) = @_;
        for my $app (values %{ $s->{apps} }) {
            my $machine = $app->{machines}{$id} or next;
            return $code->($s, $machine, $app);
        }
        croak "no machine $id";
    });
}


# An agent listens while a machine is started: a process of its own sees to
# that, since a machine runs on while the API is down.

sub bind {
    my ($self, $agent, %o) = @_;
    $agent->refuse;
    $self->change(sub {
        push @{ $_[0]{binds} }, {
            boot => 0, %o, dir => "$agent->{tmp}", on => 0,
        };
    });
    $self->_keep if !$self->{keeper};
}

sub _keep {
    my ($self) = @_;
    my $bell = OA::Agent::_bell("$self->{tmp}/keeper.bell");
    my $test = $$;

    $self->{keeper} = fork // die "fork: $!";
    if ($self->{keeper}) {
        close $bell;
        return;
    }

    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    eval { $self->_tell_agents($bell) while getppid == $test };
    print STDERR "# fly: $@" if $@;
    POSIX::_exit(0);
}

sub _tell_agents {
    my ($self, $bell) = @_;
    OA::Agent::_silence($bell);         # what rings from now on is not lost

    my ($due, @changed) = $self->store->look(
        sub { [ OA::Fly::State::agents(@_) ] })->@*;

    if (@changed) {
        (undef, @changed) = $self->change(
            sub { [ OA::Fly::State::agents(@_) ] })->@*;
    }
    for my $bind (@changed) {
        OA::Agent::_tell("$bind->{dir}/words", { listen => $bind->{on} },
                         glob "$bind->{dir}/*.bell");
    }
    return if @changed;

    my $left = defined $due ? $due - time : 1;
    OA::Agent::_readable($left < 0 ? 0 : $left > 1 ? 1 : $left, $bell);
}

sub finish {
    my ($self) = @_;
    if (my $pid = delete $self->{keeper}) {
        local $?;
        kill 'KILL', $pid;
        waitpid $pid, 0;
    }
    return $self->SUPER::finish;
}

1;

__END__

=head1 SYNOPSIS

    my $fly = OA::Fly->new(token => 'secret');
    my $agent = OA::Agent->new(sub { ... });

    "api " . $fly->base . ";"               # http://127.0.0.1:PORT/v1
    $fly->bind($agent, boot => 0.2);        # listens 0.2 s after "started"

    my $call = $fly->wait_call('machine_create');
    is $fly->count('machine_create'), 1, 'once';
    is $fly->machines, 1, 'none is left over';

Options: C<token>; C<org>, the only organisation; C<region>, where a thing
goes that names none; C<delays>; C<wait_scale>, by which the timeouts of
C<wait> are multiplied; and those of OA::Agent.

Calls, faults, being down: see OA::Service.  Kinds of calls:

    app_list app_create app_get app_delete
    ip_list ip_create ip_delete
    volume_list volume_create volume_get volume_extend volume_delete
    machine_list machine_create machine_get machine_update machine_delete
    machine_start machine_stop machine_suspend machine_restart machine_wait
    machine_exec machine_events lease_get lease_create lease_delete
    metadata_get metadata_set metadata_delete

One fault more: what is done does not end as it should, but stays in a state.

    $fly->fault(machine_create => outcome => 'failed');
    $fly->fault(machine_start => outcome => 'starting');

How long things take, in seconds: C<create> (C<created> to C<starting>, or
with C<skip_launch> to C<stopped>), C<start>, C<resume>, C<stop>, C<suspend>,
C<destroy>, C<replace>, C<volume>, C<fork>, C<app_delete>; C<unbind>, for
which a volume is held after its machine was destroyed; C<forget>, after which
a destroyed machine is a 404 (by default never).

    $fly->delay(start => 2, unbind => 0.5);

Regions are full for volumes (400), for machines (409; 412 with a volume),
or over the quota of the organisation (403):

    $fly->region('fra', volumes => 0);
    $fly->region('fra', machines => 0);
    $fly->region('fra', quota => 0);
    $fly->region('fra');                    # has room again
    $fly->fill($volume);                    # its host is: 412 for machines
    $fly->foreign('name');                  # an app of others

Rate limits as Fly has them; C<scale> multiplies the rates, not the bursts.

    $fly->limits(scale => 10); $fly->limits;        # none

Commands: the first that matches, else success, which has no C<exit_code>.

    $fly->exec(qr/openclaw health/, exit_code => 1, stderr => 'no',
               times => 2);
    $fly->exec(qr/sleep/, delay => 1, status => 503);
    $_->{command} for $fly->execs($id);     # also stdin, timeout, time

Things that are there, as the API has them and with a C<plan> of what is to
come.  The lists are without what was destroyed, and take conditions.

    $fly->apps; $fly->ips; $fly->volumes(region => 'fra');
    $fly->machines(state => 'started');
    $fly->machine($id); $fly->volume($id);  # whatever its state
    $fly->wait_state($id, 'stopped', 5);
    $fly->state;                            # all

Without a call:

    $fly->add_app('app', network => 'net');
    my $volume = $fly->add_volume('app', name => 'data', region => 'fra');
    my $id = $fly->add_machine('app', name => 'm', region => 'fra',
                               state => 'stopped', volume => $volume);
    $fly->set_machine($id, state => 'failed');
    $fly->wake($id);                        # as Fly Proxy does
    $fly->vanish($id);                      # 404

What is to come next can be made to come now, so that a test has long delays
and waits for none: a state of a machine or a volume, the end of an app that
is being deleted.

    $fly->delay(start => 60);
    $fly->hasten($id); $fly->hasten('app');

An agent that was bound (with C<app> to the machines of one app) refuses
connections until a machine has been started for C<boot> seconds, and again
when none is.  Connections that are there go on.

=cut
