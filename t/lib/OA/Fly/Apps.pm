package OA::Fly::Apps;

# Apps, addresses and volumes.

use strict;
use warnings;

use JSON::PP ();
use Time::HiRes qw(time);

use OA::Fly::Failure qw(fail);
use OA::Fly::State ();

my %ANSWER = (
    app_list      => \&_list,
    app_create    => \&_create,
    app_get       => \&_get,
    app_delete    => \&_delete,
    ip_list       => \&_list_ips,
    ip_create     => \&_create_ip,
    ip_delete     => \&_delete_ip,
    volume_list   => \&_list_volumes,
    volume_create => \&_create_volume,
    volume_get    => \&_get_volume,
    volume_extend => \&_extend_volume,
    volume_delete => \&_delete_volume,
);

sub answer {
    my ($s, $call) = @_;
    return $ANSWER{$call->kind}->($s, $call);
}

sub app {
    my ($s, $call) = @_;
    fail(403, 'unauthorized') if $s->{foreign}{$call->app};
    return $s->{apps}{$call->app} // fail(404, 'app not found');
}

sub _shown {
    my ($s, $app) = @_;
    my $status = defined $app->{gone_at} ? 'deleting'
        : %{ $app->{machines} } ? 'deployed' : 'pending';

    return { id => $app->{id}, name => $app->{name}, status => $status,
             network => $app->{network},
             organization => { name => $s->{org}, slug => $s->{org} },
             machine_count => scalar keys %{ $app->{machines} } };
}

sub _list {
    my ($s, $call) = @_;
    my @apps = map { _shown($s, $s->{apps}{$_}) } sort keys %{ $s->{apps} };
    return [ 200, { total_apps => scalar @apps, apps => \@apps } ];
}

sub _create {
    my ($s, $call) = @_;
    my $o = $call->data // {};
    my $name = $o->{app_name} // $o->{name} // '';

    fail(404, 'organization not found')
        if ($o->{org_slug} // '') ne $s->{org};
    fail(422, 'Validation failed: Name may only contain numbers, lowercase '
              . 'letters and dashes')
        if $name !~ /^[a-z][a-z0-9-]{0,62}\z/;
    fail(422, 'Validation failed: Name has already been taken', 'name_taken')
        if $s->{apps}{$name} || $s->{foreign}{$name};

    my $app = OA::Fly::State::add_app($s, $name, network => $o->{network});
    return [ 201, { id => $app->{id}, created_at => $app->{created_at} } ];
}

sub _get {
    my ($s, $call) = @_;
    return [ 200, _shown($s, app($s, $call)) ];
}

# With all that it has.
sub _delete {
    my ($s, $call) = @_;
    my $app = app($s, $call);
    my $force = ($call->query->{force} // '') eq 'true';

    fail(412, 'failed_precondition: the app has machines')
        if !$force && grep { $_->{state} ne 'destroyed' }
                      values %{ $app->{machines} };
    OA::Fly::State::destroy($s, $_, $call) for values %{ $app->{machines} };
    $app->{gone_at} //= time + $s->{delay}{app_delete};
    return [ 202, undef ];
}


# Addresses

sub _list_ips {
    my ($s, $call) = @_;
    return [ 200, { ips => app($s, $call)->{ips} } ];
}

my %ADDRESS = (
    private_v6 => sub { sprintf 'fdaa:0:1:0:1::%x', 1 + rand 65534 },
    v6         => sub { sprintf '2a09:8280:1::%x', 1 + rand 65534 },
    v4         => sub { sprintf '203.0.113.%d', 1 + rand 254 },
    shared_v4  => sub { '203.0.113.1' },
);

# Each call makes another.
sub _create_ip {
    my ($s, $call) = @_;
    my $app = app($s, $call);
    my $o = $call->data // {};
    my $make = $ADDRESS{$o->{type} // ''}
        or fail(400, 'invalid_argument: no such type of address');

    push @{ $app->{ips} }, my $ip = {
        ip => $make->(), region => $o->{region} // 'global',
        created_at => OA::Fly::State::iso(time), network => $o->{network},
        shared => $o->{type} eq 'shared_v4' ? JSON::PP::true : JSON::PP::false,
    };
    return [ 200, $ip ];
}

sub _delete_ip {
    my ($s, $call) = @_;
    my $app = app($s, $call);
    my @left = grep { $_->{ip} ne $call->id } @{ $app->{ips} };

    fail(404, 'ip assignment not found') if @left == @{ $app->{ips} };
    $app->{ips} = \@left;
    return [ 204 ];
}


# Volumes

sub _shown_volume {
    my ($volume) = @_;
    my %shown = %$volume;
    delete @shown{qw(plan full source_volume_id)};
    return \%shown;
}

sub _volume {
    my ($s, $call) = @_;
    return app($s, $call)->{volumes}{$call->id}
        // fail(404, 'volume not found');
}

sub _list_volumes {
    my ($s, $call) = @_;
    my $volumes = app($s, $call)->{volumes};
    return [ 200, [ map { _shown_volume($volumes->{$_}) }
                    grep { $volumes->{$_}{state} ne 'pending_destroy' }
                    sort keys %$volumes ] ];
}

sub _create_volume {
    my ($s, $call) = @_;
    my $app = app($s, $call);
    my $o = $call->data // {};
    my $region = $o->{region} // $s->{region};
    my $room = $s->{regions}{$region} // {};
    my $from = $o->{source_volume_id};

    fail(400, 'invalid_argument: a volume name has letters, digits and _')
        if ($o->{name} // '') !~ /^[a-z0-9_]{1,30}\z/;
    fail(400, 'invalid_argument: volume not found')
        if defined $from && !$app->{volumes}{$from};
    fail(400, "no capacity available in $region", 'insufficient_capacity')
        if !($room->{volumes} // 1);

    $o->{size_gb} //= $app->{volumes}{$from}{size_gb} if defined $from;
    return [ 200, _shown_volume(OA::Fly::State::add_volume($s, $app, %$o)) ];
}

sub _get_volume {
    my ($s, $call) = @_;
    return [ 200, _shown_volume(_volume($s, $call)) ];
}

sub _extend_volume {
    my ($s, $call) = @_;
    my $volume = _volume($s, $call);
    my $size = ($call->data // {})->{size_gb} // 0;

    fail(400, 'invalid_argument: a volume cannot become smaller')
        if $size < $volume->{size_gb};
    $volume->{size_gb} = $size;
    return [ 200, { volume => _shown_volume($volume),
                    needs_restart => $volume->{attached_machine_id}
                        ? JSON::PP::true : JSON::PP::false } ];
}

sub _delete_volume {
    my ($s, $call) = @_;
    my $volume = _volume($s, $call);
    my $holder = $volume->{attached_machine_id};

    fail(404, 'volume not found') if $volume->{state} eq 'pending_destroy';
    fail(412, 'failed_precondition: volume is currently bound to machine: '
              . $holder) if defined $holder;
    @$volume{qw(state plan)} = ('pending_destroy', []);
    return [ 200, _shown_volume($volume) ];
}

1;
