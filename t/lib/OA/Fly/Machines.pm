package OA::Fly::Machines;

# Machines, their leases, metadata and commands.

use strict;
use warnings;

use JSON::PP ();
use Time::HiRes qw(time);

use OA::Fly::Apps ();
use OA::Fly::Failure qw(fail);
use OA::Fly::State ();

my %ANSWER = (
    machine_list    => \&_list,
    machine_create  => \&_create,
    machine_get     => \&_get,
    machine_update  => \&_update,
    machine_delete  => \&_delete,
    machine_start   => \&_start,
    machine_stop    => \&_stop,
    machine_suspend => \&_suspend,
    machine_restart => \&_restart,
    machine_wait    => \&wait_state,
    machine_exec    => \&_exec,
    machine_events  => \&_events,
    lease_get       => \&_get_lease,
    lease_create    => \&_create_lease,
    lease_delete    => \&_delete_lease,
    metadata_get    => \&_get_metadata,
    metadata_set    => \&_set_metadata,
    metadata_delete => \&_set_metadata,
);

# Those that whoever holds a lease keeps others from.
my %LEASED = map { $_ => 1 } qw(
    machine_update machine_delete machine_start machine_stop machine_suspend
    machine_restart metadata_set metadata_delete);

# From which a machine can be destroyed without force.
my %DESTROYED = map { $_ => 1 } qw(stopped suspended failed destroying);

my %WAITED = map { $_ => 1 } qw(started stopped suspended destroyed);

sub answer {
    my ($s, $call) = @_;
    my $kind = $call->kind;

    if ($LEASED{$kind}) {
        my $machine = _machine($s, $call);
        my $lease = _lease($machine);
        fail(409, _held($machine, $lease))
            if $lease && ($call->header('fly-machine-lease-nonce') // '')
                         ne $lease->{nonce};
    }
    return $ANSWER{$kind}->($s, $call);
}

sub _machine {
    my ($s, $call) = @_;
    return OA::Fly::Apps::app($s, $call)->{machines}{$call->id}
        // fail(404, 'machine not found');
}

sub _shown {
    my ($machine) = @_;
    my $checks = $machine->{config}{checks} // {};
    my $passes = $machine->{state} eq 'started';
    my %shown = %$machine;

    delete @shown{qw(plan execs lease started_at metadata)};
    $shown{config} = { %{ $machine->{config} },
                       metadata => $machine->{metadata} };
    $shown{events} = [ @{ $machine->{events} } ];
    $shown{checks} = [ map { {
        name => $_, status => $passes ? 'passing' : 'critical',
        output => '', updated_at => $machine->{updated_at},
    } } sort keys %$checks ];
    return \%shown;
}


# Making, changing, finding

sub _create {
    my ($s, $call) = @_;
    my $app = OA::Fly::Apps::app($s, $call);
    my $o = $call->data // {};

    fail(422, 'Validation failed: the app is being deleted')
        if defined $app->{gone_at};
    _check_config($o->{config});
    _check_name($app, $o->{name}) if defined $o->{name};
    my $volume = _mount($app, $o);
    _check_room($s, $volume ? $volume->{region} : $o->{region} // $s->{region},
                $volume);

    my $machine = OA::Fly::State::add_machine($s, $app, %$o);
    OA::Fly::State::plan($s, $machine, $call, 'user', 'created',
        $o->{skip_launch} ? [ stopped => 'create' ]
            : ([ starting => 'create' ], [ started => 'start' ]));

    my $lease = $o->{lease_ttl}
        ? _new_lease($machine, $o->{lease_ttl}, '') : undef;
    return [ 200, { %{ _shown($machine) },
                    $lease ? (nonce => $lease->{nonce}) : () } ];
}

sub _check_config {
    my ($config) = @_;
    fail(400, 'invalid_argument: config.image is missing')
        if ref $config ne 'HASH' || !length($config->{image} // '');
}

sub _check_name {
    my ($app, $name) = @_;
    for my $machine (values %{ $app->{machines} }) {
        next if $machine->{name} ne $name || $machine->{state} eq 'destroyed';
        fail(409, 'already_exists: unique machine name violation, machine ID '
                  . "$machine->{id} already exists with name \"$name\"",
             'name_taken');
    }
}

# The volume that it wants, if any.
sub _mount {
    my ($app, $o) = @_;
    my ($mount) = @{ $o->{config}{mounts} // [] } or return;
    my $volume = $app->{volumes}{$mount->{volume} // ''};

    fail(400, 'invalid_argument: volume not found')
        if !$volume || $volume->{state} eq 'pending_destroy';
    fail(400, "invalid_argument: the volume is in $volume->{region}")
        if defined $o->{region} && $o->{region} ne $volume->{region};

    if (defined(my $id = $volume->{attached_machine_id})) {
        my $holder = $app->{machines}{$id};

        # seen with a machine that was gone: claimed, by nobody
        $id = "\0" x 14 if !$holder || $holder->{state} eq 'destroyed';
        fail(412, 'failed_precondition: volume already claimed by machine '
                  . $id);
    }
    return $volume;
}

sub _check_room {
    my ($s, $region, $volume) = @_;
    my $room = $s->{regions}{$region} // {};

    fail(403, "organization is over the allowed quota in $region")
        if !($room->{quota} // 1);
    return if ($room->{machines} // 1) && !($volume && $volume->{full});
    fail(412, 'insufficient resources to create new machine with existing '
              . "volume '$volume->{id}'", 'insufficient_capacity') if $volume;
    fail(409, 'insufficient memory available to fulfill request',
         'insufficient_capacity');
}

sub _list {
    my ($s, $call) = @_;
    my $machines = OA::Fly::Apps::app($s, $call)->{machines};
    my %query = %{ $call->query };
    my $deleted = ($query{include_deleted} // '') eq 'true';

    my @found = grep {
        my $machine = $_;
        ($deleted || $machine->{state} ne 'destroyed')
        && (!defined $query{state} || $machine->{state} eq $query{state})
        && (!defined $query{region} || $machine->{region} eq $query{region})
        && !grep { /^metadata\.(.*)/s
                   && ($machine->{metadata}{$1} // '') ne $query{$_} }
            keys %query;
    } map { $machines->{$_} } sort keys %$machines;
    return [ 200, [ map { _shown($_) } @found ] ];
}

sub _get {
    my ($s, $call) = @_;
    return [ 200, _shown(_machine($s, $call)) ];
}

# The whole configuration: what is not named is gone.
sub _update {
    my ($s, $call) = @_;
    my $machine = _machine($s, $call);
    my $o = $call->data // {};
    my $version = $o->{current_version};

    _check_config($o->{config});
    fail(409, 'aborted: machine version mismatch')
        if defined $version && $version ne $machine->{instance_id};
    fail(412, 'failed_precondition: unable to update machine from current '
              . "state: '$machine->{state}'")
        if $machine->{state} !~ /^(?:started|stopped|suspended|failed)\z/;

    $machine->{config} = $o->{config};
    $machine->{metadata} = { %{ $o->{config}{metadata} // {} } };
    $machine->{instance_id} = OA::Fly::State::ulid();
    OA::Fly::State::plan($s, $machine, $call, 'user', 'replacing',
        $o->{skip_launch} ? [ stopped => 'replace' ]
                          : [ started => 'replace' ]);
    return [ 200, _shown($machine) ];
}

sub _delete {
    my ($s, $call) = @_;
    my $machine = _machine($s, $call);
    my $force = ($call->query->{force} // '') eq 'true';

    fail(404, 'machine not found') if $machine->{state} eq 'destroyed';
    fail(412, 'failed_precondition: unable to destroy machine, not currently '
              . 'stopped, suspended or failed')
        if !$force && !$DESTROYED{$machine->{state}};
    OA::Fly::State::destroy($s, $machine, $call);
    return [ 200, { ok => JSON::PP::true } ];
}


# From state to state

sub _refuse {
    my ($what, $machine) = @_;
    fail(412, "failed_precondition: unable to $what machine from current "
              . "state: '$machine->{state}'");
}

sub _start {
    my ($s, $call) = @_;
    my $machine = _machine($s, $call);
    my $state = $machine->{state};
    my $room = $s->{regions}{$machine->{region}} // {};

    fail(409, 'insufficient memory available to fulfill request',
         'insufficient_capacity')
        if !($room->{machines} // 1) && $state eq 'stopped';
    OA::Fly::State::start($s, $machine, undef, 'user', $call)
        or _refuse(start => $machine);
    return [ 200, { previous_state => $state, migrated => JSON::PP::false,
                    new_host => '' } ];
}

sub _stop {
    my ($s, $call) = @_;
    my $machine = _machine($s, $call);
    my $state = $machine->{state};

    _refuse(stop => $machine)
        if $state !~ /^(?:starting|started|stopping|stopped|suspended)\z/;
    OA::Fly::State::plan($s, $machine, $call, 'user', 'stopping',
                         [ stopped => 'stop' ]) if $state !~ /^stop/;
    return [ 200, { ok => JSON::PP::true } ];
}

sub _suspend {
    my ($s, $call) = @_;
    my $machine = _machine($s, $call);
    my $state = $machine->{state};

    _refuse(suspend => $machine)
        if $state !~ /^(?:started|suspended|suspending)\z/;
    OA::Fly::State::plan($s, $machine, $call, 'user', 'suspending',
                         [ suspended => 'suspend' ]) if $state eq 'started';
    return [ 200, { ok => JSON::PP::true } ];
}

sub _restart {
    my ($s, $call) = @_;
    my $machine = _machine($s, $call);

    _refuse(restart => $machine) if $machine->{state} ne 'started';
    OA::Fly::State::plan($s, $machine, $call, 'user', 'stopping',
                         [ starting => 'stop' ], [ started => 'start' ]);
    return [ 200, { ok => JSON::PP::true } ];
}

# The answer; or a hash, and then it must be asked again.
sub wait_state {
    my ($s, $call, $end) = @_;
    my $machine = _machine($s, $call);
    my $want = $call->query->{state} // 'started';
    my $timeout = $call->query->{timeout} // 60;
    my $state = $machine->{state};

    fail(400, "invalid_argument: no such state to wait for: $want")
        if !$WAITED{$want};
    fail(400, 'invalid_argument: timeout is not from 1 to 60')
        if $timeout !~ /^\d+\z/ || $timeout < 1 || $timeout > 60;
    fail(400, 'invalid_argument: instance_id is required to wait for stopped')
        if $want eq 'stopped' && !length($call->query->{instance_id} // '');

    return [ 200, { ok => JSON::PP::true } ] if $state eq $want;

    $end //= time + $timeout * $s->{wait_scale};
    return { state => $state, end => $end,
             due => OA::Fly::State::due($machine) } if time < $end;
    fail(408, 'deadline_exceeded: machine failed to reach desired state, '
              . "$want, currently $state");
}


# Commands; how long it takes stands last.

sub _exec {
    my ($s, $call) = @_;
    my $machine = _machine($s, $call);
    my $o = $call->data // {};
    my $command = $o->{command} // $o->{cmd};

    fail(400, 'invalid_argument: no command') if !defined $command;
    fail(412, 'failed_precondition: machine not running')
        if $machine->{state} ne 'started';
    push @{ $machine->{execs} }, {
        time => time, command => $command, stdin => $o->{stdin},
        timeout => $o->{timeout},
    };

    my $line = ref $command ? join ' ', @$command : $command;
    my ($as) = grep { $line =~ /$_->{pattern}/ } @{ $s->{execs} };
    $as //= {};
    @{ $s->{execs} } = grep { $_ != $as } @{ $s->{execs} }
        if $as->{times} && !--$as->{times};

    my $delay = $as->{delay} // 0;
    my $most = $o->{timeout} || 60;
    return [ 408, { error => 'deadline_exceeded: the command did not end',
                    status => 'unknown' }, $most ] if $delay > $most;
    return [ $as->{status}, { error => 'unavailable', status => 'unknown' },
             $delay ] if $as->{status};
    return [ 200, {
        $as->{exit_code} ? (exit_code => $as->{exit_code} + 0) : (),
        stdout => $as->{stdout} // '', stderr => $as->{stderr} // '',
    }, $delay ];
}

sub _events {
    my ($s, $call) = @_;
    my @events = @{ _machine($s, $call)->{events} };
    my $limit = $call->query->{limit} // 20;

    splice @events, $limit if @events > $limit;
    return [ 200, \@events ];
}


# Leases

sub _lease {
    my ($machine) = @_;
    my $lease = $machine->{lease};
    return $lease && $lease->{until} > time ? $lease : undef;
}

sub _held {
    my ($machine, $lease) = @_;
    return "machine ID $machine->{id} lease currently held by $lease->{owner},"
        . ' expires at ' . OA::Fly::State::iso($lease->{until});
}

sub _new_lease {
    my ($machine, $ttl, $description) = @_;
    return $machine->{lease} = {
        nonce => lc substr(OA::Fly::State::ulid(), 0, 12),
        until => time + $ttl, owner => 'token@tokens.fly.io',
        version => OA::Fly::State::ulid(), description => $description,
    };
}

sub _shown_lease {
    my ($lease, $nonce) = @_;
    return { status => 'success', data => {
        $nonce ? (nonce => $lease->{nonce}) : (),
        expires_at => int $lease->{until}, owner => $lease->{owner},
        version => $lease->{version}, description => $lease->{description},
    } };
}

sub _get_lease {
    my ($s, $call) = @_;
    my $lease = _lease(_machine($s, $call)) or fail(404, 'lease not found');
    return [ 200, _shown_lease($lease) ];
}

# With its nonce it is renewed.
sub _create_lease {
    my ($s, $call) = @_;
    my $machine = _machine($s, $call);
    my $o = $call->data // {};
    my $ttl = $o->{ttl} // 30;
    my $nonce = $call->header('fly-machine-lease-nonce') // '';

    if (my $lease = _lease($machine)) {
        return [ 409, { status => 'error',
                        message => _held($machine, $lease) } ]
            if $nonce ne $lease->{nonce};
        $lease->{until} = time + $ttl;
        return [ 201, _shown_lease($lease, 1) ];
    }
    return [ 201, _shown_lease(
        _new_lease($machine, $ttl, $o->{description} // ''), 1) ];
}

sub _delete_lease {
    my ($s, $call) = @_;
    my $machine = _machine($s, $call);
    my $lease = _lease($machine) or fail(404, 'lease not found');

    fail(409, _held($machine, $lease))
        if ($call->header('fly-machine-lease-nonce') // '') ne $lease->{nonce};
    $machine->{lease} = undef;
    return [ 200, { ok => JSON::PP::true } ];
}


# Metadata

sub _get_metadata {
    my ($s, $call) = @_;
    return [ 200, { %{ _machine($s, $call)->{metadata} } } ];
}

sub _set_metadata {
    my ($s, $call) = @_;
    my $metadata = _machine($s, $call)->{metadata};

    if ($call->kind eq 'metadata_delete') {
        delete $metadata->{$call->key};
        return [ 204 ];
    }
    my $value = ($call->data // {})->{value};
    fail(400, 'invalid_argument: no value') if !defined $value;
    $metadata->{$call->key} = "$value";
    return [ 204 ];
}

1;
