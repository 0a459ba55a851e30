package OA::Fly::Api;

# Calls of the Machines API: which there are, who may make them, how often.

use strict;
use warnings;

use POSIX qw(ceil);
use Time::HiRes qw(time);

use OA::Fly::Apps ();
use OA::Fly::Failure qw(attempt fail);
use OA::Fly::Machines ();
use OA::Fly::State ();

my $APP = '/v1/apps/(?<app>[^/]+)';
my $IP = "$APP/ip_assignments";
my $VOLUME = "$APP/volumes";
my $MACHINE = "$APP/machines";
my $ID = '(?<id>[^/]+)';

# Requests a second and burst, where not 1 and 3.
my %LIMIT = (machine_get => [ 5, 10 ], app_delete => [ 100 / 60, 100 ]);

my @CALLS = map { [ @$_[0, 1], qr{^$_->[2]\z} ] } (
    [ app_list        => GET    => '/v1/apps' ],
    [ app_create      => POST   => '/v1/apps' ],
    [ app_get         => GET    => $APP ],
    [ app_delete      => DELETE => $APP ],
    [ ip_list         => GET    => $IP ],
    [ ip_create       => POST   => $IP ],
    [ ip_delete       => DELETE => "$IP/$ID" ],
    [ volume_list     => GET    => $VOLUME ],
    [ volume_create   => POST   => $VOLUME ],
    [ volume_get      => GET    => "$VOLUME/$ID" ],
    [ volume_extend   => PUT    => "$VOLUME/$ID/extend" ],
    [ volume_delete   => DELETE => "$VOLUME/$ID" ],
    [ machine_list    => GET    => $MACHINE ],
    [ machine_create  => POST   => $MACHINE ],
    [ machine_get     => GET    => "$MACHINE/$ID" ],
    [ machine_update  => POST   => "$MACHINE/$ID" ],
    [ machine_delete  => DELETE => "$MACHINE/$ID" ],
    [ machine_start   => POST   => "$MACHINE/$ID/start" ],
    [ machine_stop    => POST   => "$MACHINE/$ID/stop" ],
    [ machine_suspend => POST   => "$MACHINE/$ID/suspend" ],
    [ machine_restart => POST   => "$MACHINE/$ID/restart" ],
    [ machine_wait    => GET    => "$MACHINE/$ID/wait" ],
    [ machine_exec    => POST   => "$MACHINE/$ID/exec" ],
    [ machine_events  => GET    => "$MACHINE/$ID/events" ],
    [ lease_get       => GET    => "$MACHINE/$ID/lease" ],
    [ lease_create    => POST   => "$MACHINE/$ID/lease" ],
    [ lease_delete    => DELETE => "$MACHINE/$ID/lease" ],
    [ metadata_get    => GET    => "$MACHINE/$ID/metadata" ],
    [ metadata_set    => POST   => "$MACHINE/$ID/metadata/(?<key>[^/]+)" ],
    [ metadata_delete => DELETE => "$MACHINE/$ID/metadata/(?<key>[^/]+)" ],
);

sub kind {
    my ($method, $path) = @_;
    for my $call (@CALLS) {
        my ($kind, $is, $pattern) = @$call;
        return ($kind, %+) if $method eq $is && $path =~ $pattern;
    }
    return;
}

sub begin {
    my ($s, $call) = @_;
    return attempt { _begin($s, $call) };
}

sub _begin {
    my ($s, $call) = @_;
    my $kind = $call->kind;

    fail(404, '404 page not found') if $kind eq 'unknown';
    fail(401, 'unauthorized')
        if ($call->header('Authorization') // '') ne "Bearer $s->{token}";
    _limit($s, $call);
    fail(400, 'invalid_argument: the body is no JSON object')
        if $call->body ne '' && ref $call->data ne 'HASH';

    return $kind =~ /^(?:app|ip|volume)_/
        ? OA::Fly::Apps::answer($s, $call)
        : OA::Fly::Machines::answer($s, $call);
}

# A bucket for each action and thing.
sub _limit {
    my ($s, $call) = @_;
    my $limits = $s->{limits} or return;
    my ($rate, $burst) = @{ $LIMIT{$call->kind} // [ 1, 3 ] };
    my $now = time;

    $rate *= $limits->{scale};
    my $bucket = $s->{buckets}{
        join ' ', $call->kind, $call->app // '', $call->id // '' }
        //= { left => $burst, time => $now };

    $bucket->{left} += ($now - $bucket->{time}) * $rate;
    $bucket->{left} = $burst if $bucket->{left} > $burst;
    $bucket->{time} = $now;
    fail(429, 'rate limit exceeded', undef,
         'Retry-After' => ceil((1 - $bucket->{left}) / $rate))
        if $bucket->{left} < 1;
    $bucket->{left}--;
}

# What is answered later: a machine that is waited for, a command that runs.
sub complete {
    my ($c, $store, $call, $answer) = @_;

    if ($call->kind eq 'machine_wait') {
        while (ref $answer eq 'HASH') {
            my ($due, $end) = @$answer{qw(due end)};
            $due = $end if !defined $due || $due > $end;
            my $left = $due - time;

            # a change of the state rings
            $c->_await($left > 0 ? $left : 0,
                       sub { !_same($store, $call, $answer) })
                // die bless {}, 'OA::Agent::Gone';
            $answer = $store->look(sub {
                my ($s) = @_;
                attempt { OA::Fly::Machines::wait_state($s, $call, $end) };
            });
        }
        return $answer;
    }

    my ($status, $data, @rest) = @$answer;
    $c->pause(pop @rest) if $call->kind eq 'machine_exec' && @rest % 2;
    return [ $status, $data, @rest ];
}

sub _same {
    my ($store, $call, $answer) = @_;
    my $s = $store->look;
    my $app = $s->{apps}{$call->app} or return 0;
    my $machine = $app->{machines}{$call->id} or return 0;
    return ($machine->{state} // '') eq $answer->{state}
        && (OA::Fly::State::due($machine) // 0) == ($answer->{due} // 0);
}

1;
