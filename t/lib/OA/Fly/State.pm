package OA::Fly::State;

# What Fly has, and what becomes of it with time: a thing has a plan, a list
# of the states that it will enter, and when.

use strict;
use warnings;

use JSON::PP ();
use POSIX qw(strftime);
use Time::HiRes qw(time);

my @DIGITS = split //, '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

# What a state is called in the list of events.
my %EVENT = (
    created => 'launch', starting => 'start', started => 'start',
    stopping => 'stop', stopped => 'exit', suspending => 'suspend',
    suspended => 'suspend', replacing => 'update', destroying => 'destroy',
    destroyed => 'destroy', failed => 'exit',
);

sub ulid { join '', map { $DIGITS[rand @DIGITS] } 1 .. 26 }

sub iso {
    my ($time) = @_;
    return strftime('%Y-%m-%dT%H:%M:%SZ', gmtime $time);
}

sub _hex { join '', map { sprintf '%x', rand 16 } 1 .. $_[0] }


# Time

sub settle {
    my ($s) = @_;
    my $now = time;

    for my $app (values %{ $s->{apps} }) {
        if (defined $app->{gone_at} && $app->{gone_at} <= $now) {
            delete $s->{apps}{$app->{name}};
            next;
        }

        for my $volume (values %{ $app->{volumes} }) {
            my $plan = $volume->{plan};
            $volume->{state} = (shift @$plan)->{state}
                while @$plan && $plan->[0]{at} <= $now;
        }

        for my $machine (values %{ $app->{machines} }) {
            my $plan = $machine->{plan};
            while (@$plan && $plan->[0]{at} <= $now) {
                my $step = shift @$plan;
                enter($s, $machine, $step) if $step->{state};
                unbind($app, $machine)     if $step->{unbind};
                delete $app->{machines}{$machine->{id}} if $step->{forget};
            }
        }
    }
}

# When next something happens to a thing, or undef.
sub due {
    my ($thing) = @_;
    return @{ $thing->{plan} } ? $thing->{plan}[0]{at} : undef;
}

sub enter {
    my ($s, $machine, $step) = @_;
    my $state = $step->{state};

    $machine->{state} = $state;
    $machine->{updated_at} = iso($step->{at});
    $machine->{started_at} = $step->{at} if $state eq 'started';
    unshift @{ $machine->{events} }, {
        id => ulid(), type => $EVENT{$state} // 'update', status => $state,
        source => $step->{source}, timestamp => int($step->{at} * 1000),
    };
}

# The states of a machine from now on: [ state, delay before it ], ...
# The first is entered at once.  An outcome is where it ends instead.
sub plan {
    my ($s, $machine, $call, $source, $first, @rest) = @_;
    my $at = time;
    my $outcome = $call->{fault}{outcome};

    enter($s, $machine, { at => $at, source => $source, state => $first });
    $machine->{plan} = [ map {
        $at += $s->{delay}{$_->[1]};
        { at => $at, source => 'flyd', state => $_->[0] };
    } @rest ];

    $machine->{plan}[-1]{state} = $outcome
        if defined $outcome && @{ $machine->{plan} };
}


# Things

sub add_app {
    my ($s, $name, %o) = @_;
    return $s->{apps}{$name} //= {
        id => _hex(16), name => $name, status => 'pending',
        network => $o{network} // 'default', created_at => int time,
        ips => [], volumes => {}, machines => {},
    };
}

sub add_volume {
    my ($s, $app, %o) = @_;
    my $id = 'vol_' . lc substr ulid(), 10;
    my $fork = $o{source_volume_id};

    return $app->{volumes}{$id} = {
        id => $id, name => $o{name} // 'data',
        region => $o{region} // $s->{region}, zone => _hex(4),
        size_gb => $o{size_gb} // 1,
        encrypted => $o{encrypted} // JSON::PP::true,
        snapshot_retention => $o{snapshot_retention} // 5,
        created_at => iso(time), host_status => 'ok',
        attached_machine_id => undef, source_volume_id => $fork,
        state => $fork ? 'hydrating' : 'creating',
        plan => [ {
            at => time + $s->{delay}{$fork ? 'fork' : 'volume'},
            state => 'created',
        } ],
    };
}

sub add_machine {
    my ($s, $app, %o) = @_;
    my $id = _hex(14);
    my $config = $o{config};
    my ($image, $tag) = ($config->{image} // '') =~ m{^(.*?)(?::([^/:]*))?\z};
    my ($mount) = map { $app->{volumes}{ $_->{volume} // '' } // () }
                  @{ $config->{mounts} // [] };

    $mount->{attached_machine_id} = $id if $mount;
    return $app->{machines}{$id} = {
        id => $id, name => $o{name} // 'machine-' . _hex(6),
        region => $mount ? $mount->{region} : $o{region} // $s->{region},
        instance_id => ulid(), state => 'created', config => $config,
        private_ip => join(':', 'fdaa:0:1:a7b', map({ _hex(4) } 1 .. 3), 2),
        image_ref => { repository => $image, tag => $tag // 'latest',
                       digest => 'sha256:' . _hex(64) },
        created_at => iso(time), updated_at => iso(time), events => [],
        host_status => 'ok', metadata => { %{ $config->{metadata} // {} } },
        plan => [], execs => [], lease => undef, started_at => undef,
    };
}

# False: not from this state.
sub start {
    my ($s, $machine, $app, $source, $call) = @_;
    my $state = $machine->{state};

    return 1 if $state eq 'started' || $state eq 'starting';
    return 0 if $state !~ /^(?:stopped|suspended|failed)\z/;
    plan($s, $machine, $call, $source, 'starting',
         [ started => $state eq 'suspended' ? 'resume' : 'start' ]);
    return 1;
}

# Asynchronous, and cannot be undone.
sub destroy {
    my ($s, $machine, $call) = @_;
    my $delay = $s->{delay};

    return if $machine->{state} =~ /^destroy/;
    plan($s, $machine, $call, 'user', 'destroying',
         [ destroyed => 'destroy' ]);

    my $at = $machine->{plan}[-1]{at} + $delay->{unbind};
    push @{ $machine->{plan} }, { at => $at, unbind => 1 };
    push @{ $machine->{plan} }, { at => $at + $delay->{forget}, forget => 1 }
        if defined $delay->{forget};
}

sub unbind {
    my ($app, $machine) = @_;
    for my $volume (values %{ $app->{volumes} }) {
        $volume->{attached_machine_id} = undef
            if ($volume->{attached_machine_id} // '') eq $machine->{id};
    }
}


# When agents that are bound must be told something next, and those that
# must be told now.
sub agents {
    my ($s) = @_;
    my $now = time;
    my ($next, @changed);

    for my $bind (@{ $s->{binds} }) {
        my $on = 0;
        for my $app (values %{ $s->{apps} }) {
            next if defined $bind->{app} && $bind->{app} ne $app->{name};
            for my $machine (values %{ $app->{machines} }) {
                my $at = due($machine);
                if ($machine->{state} eq 'started') {
                    my $ready = $machine->{started_at} + $bind->{boot};
                    $on = 1 if $ready <= $now;
                    $at = $ready if $ready > $now
                                    && (!defined $at || $ready < $at);
                }
                $next = $at if defined $at && (!defined $next || $at < $next);
            }
        }
        next if $on == $bind->{on};
        $bind->{on} = $on;
        push @changed, $bind;
    }
    return ($next, @changed);
}

1;
