# The harness itself: Fly's Machines API.

use strict;
use warnings;

use JSON::PP qw(decode_json encode_json);
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Client;
use OA::Fly;
use OA::Util qw(slurp wait_for);

my $MACHINE = { config => { image => 'registry.fly.io/agent:7' } };

# A client with a connection that is kept.
sub client {
    my ($fly, %o) = @_;
    my $c = OA::Client->new($fly->port);
    my $token = $o{token} // $fly->token;
    return sub {
        my ($method, $path, $body, @headers) = @_;
        my $r = $c->get("/v1/apps$path", method => $method,
                        defined $body ? (body => encode_json($body)) : (),
                        headers => [ Authorization => "Bearer $token",
                                     @headers ]) // return;
        return { status => $r->status, response => $r, bytes => $r->body,
                 json => scalar eval { decode_json($r->body) } };
    };
}

# The status, and the text of an error where it is one.
sub told {
    my ($answer) = @_;
    my $json = $answer->{json};
    my $text = ref $json eq 'HASH' ? $json->{error} : undef;
    return join ' ', $answer->{status}, $text // ();
}

# An API with an app, its client, and the path of the machines.
sub app {
    my $fly = OA::Fly->new(@_);
    $fly->add_app('a1', network => 'n1');
    return ($fly, client($fly), '/a1/machines');
}

sub started {
    my ($fly, $ask, $at, %o) = @_;
    my $m = $ask->(POST => $at, { %$MACHINE, %o })->{json};
    $fly->wait_state($m->{id}, 'started') or die 'it does not start';
    return $m->{id};
}

# With delays that no test waits for.
my $LONG = { map { $_ => 600 } qw(create start resume stop suspend destroy
                                  replace volume fork unbind app_delete) };

# Does something once the next call of a kind has come, beside the test.
sub meanwhile {
    my ($fly, $kind, $code) = @_;
    my $n = $fly->count($kind) + 1;
    my $pid = fork // die "fork: $!";
    return $pid if $pid;

    eval { $fly->wait_call($kind, $n) and $code->() };
    POSIX::_exit(0);
}

subtest 'who asks' => sub {
    my $fly = OA::Fly->new(token => 'secret');
    like $fly->base, qr{^http://127\.0\.0\.1:\d+/v1\z}, 'base';
    my $ask = client($fly);
    my $r = $ask->(GET => '/none');
    is told($r), '404 app not found', 'a token';
    like $r->{response}->header('fly-request-id'), qr/^[0-9A-Z]{26}-iad\z/,
        'an id';
    is $r->{json}{status}, 'unknown', 'a status';
    is told(client($fly, token => 'other')->(GET => '/none')),
        '401 unauthorized', 'another token';
    is told($ask->(PATCH => '/none')), '404 404 page not found', 'no call';
    is $ask->(POST => '/a1/machines', [ 1 ])->{status}, 400, 'no object';

    my $c = OA::Client->new($fly->port);
    is $c->get('/v1/apps')->status, 401, 'no token';
    ok !$c->closed(0.05), 'the connection is kept';
    $c->get('/v1/apps', close => 1);
    ok $c->closed, 'unless it is not wanted';
};

subtest 'apps' => sub {
    my $fly = OA::Fly->new(org => 'acme');
    my $ask = client($fly);
    my %app = (app_name => 'a1', org_slug => 'acme', network => 'n1');

    my $r = $ask->(POST => '', \%app);
    is $r->{status}, 201, 'created';
    is_deeply [ sort keys %{ $r->{json} } ], [ qw(created_at id) ], 'answer';
    $r = $ask->(GET => '/a1');
    is $r->{status}, 200, 'there';
    is $r->{json}{network}, 'n1', 'network';
    is $r->{json}{organization}{slug}, 'acme', 'organisation';

    $r = $ask->(POST => '', \%app);
    is told($r), '422 Validation failed: Name has already been taken', 'taken';
    is $r->{json}{status}, 'name_taken', 'as a status';
    $fly->foreign('a2');
    is $ask->(POST => '', { %app, app_name => 'a2' })->{status}, 422,
        'taken by others';
    is $ask->(GET => '/a2')->{status}, 403, 'whom it belongs to';
    is $ask->(POST => '', { %app, app_name => 'A_2' })->{status}, 422,
        'not a name';
    is $ask->(GET => '/A_2')->{status}, 404, 'nobody has it';
    is $ask->(POST => '', { %app, org_slug => 'x' })->{status}, 404,
        'no such organisation';
    is $fly->apps, 1, 'one';
    is $ask->(GET => '')->{json}{total_apps}, 1, 'listed';

    $ask->(POST => '/a1/machines', $MACHINE);
    is $ask->(DELETE => '/a1')->{status}, 412, 'not with machines';
    $fly->delay(app_delete => 600);
    is $ask->(DELETE => '/a1?force=true')->{status}, 202, 'by force';
    is $ask->(GET => '/a1')->{json}{status}, 'deleting', 'being deleted';
    is $ask->(POST => '/a1/machines', $MACHINE)->{status}, 422, 'no new ones';
    $fly->hasten('a1');
    is $fly->apps, 0, 'deleted';
    is $ask->(GET => '/a1')->{status}, 404, 'gone';
    is $fly->machines, 0, 'with all';
    is $ask->(POST => '', \%app)->{status}, 201, 'the name is free';
};

subtest 'addresses' => sub {
    my ($fly, $ask) = app();
    my $at = '/a1/ip_assignments';
    my $r = $ask->(POST => $at, { type => 'private_v6', network => 'n1' });
    is $r->{status}, 200, 'made';
    like $r->{json}{ip}, qr/^fdaa:/, 'private';
    $ask->(POST => $at, { type => 'private_v6' });
    is $fly->ips, 2, 'each call makes one';
    is @{ $ask->(GET => $at)->{json}{ips} }, 2, 'listed';
    is $ask->(DELETE => "$at/$r->{json}{ip}")->{status}, 204, 'deleted';
    is $fly->ips, 1, 'one is left';
    is $ask->(DELETE => "$at/$r->{json}{ip}")->{status}, 404, 'no more';
    is $ask->(POST => $at, { type => 'x' })->{status}, 400, 'no type';
};

subtest 'volumes' => sub {
    my ($fly, $ask) = app(delays => $LONG);
    my $at = '/a1/volumes';
    my $r = $ask->(POST => $at, { name => 'data', region => 'fra',
                                  size_gb => 3 });
    my $id = $r->{json}{id};
    is $r->{status}, 200, 'made';
    is $r->{json}{state}, 'creating', 'not at once';
    is $r->{json}{region}, 'fra', 'where';
    like $id, qr/^vol_/, 'an id';
    $fly->hasten($id);
    is $ask->(GET => "$at/$id")->{json}{state}, 'created', 'told';
    is $ask->(POST => $at, { name => 'data' })->{json}{region}, 'iad',
        'a region is chosen';

    $fly->region('fra', volumes => 0);
    $r = $ask->(POST => $at, { name => 'data', region => 'fra' });
    like told($r), qr/^400 no capacity/, 'full';
    is $r->{json}{status}, 'insufficient_capacity', 'as a status';
    $fly->region('fra');
    is $ask->(POST => $at, { name => 'x y' })->{status}, 400, 'not a name';

    $r = $ask->(POST => $at, { name => 'data', region => 'ams',
                               source_volume_id => $id });
    is $r->{json}{state}, 'hydrating', 'forked';
    is $r->{json}{size_gb}, 3, 'as large';
    is $r->{json}{region}, 'ams', 'elsewhere';
    $fly->hasten($r->{json}{id});
    is $fly->volume($r->{json}{id})->{state}, 'created', 'then';
    like told($ask->(POST => $at, { name => 'x', source_volume_id => 'y' })),
        qr/^400 .*volume not found/, 'of none';

    $r = $ask->(PUT => "$at/$id/extend", { size_gb => 5 });
    is $r->{json}{volume}{size_gb}, 5, 'larger';
    ok !$r->{json}{needs_restart}, 'at once';
    is $ask->(PUT => "$at/$id/extend", { size_gb => 4 })->{status}, 400,
        'not smaller';

    is @{ $ask->(GET => $at)->{json} }, 3, 'listed';
    is $ask->(DELETE => "$at/$id")->{status}, 200, 'deleted';
    is $fly->volumes, 2, 'gone';
    is $fly->volumes(region => 'fra'), 0, 'there';
    is $ask->(DELETE => "$at/$id")->{status}, 404, 'no more';
};

subtest 'a machine' => sub {
    my ($fly, $ask, $at) = app(delays => $LONG);
    my $r = $ask->(POST => $at, { %$MACHINE, name => 'm1', region => 'fra' });
    my $m = $r->{json};
    is $r->{status}, 200, 'made';
    is $m->{state}, 'created', 'created';
    is_deeply [ sort keys %$m ],
        [ qw(checks config created_at events host_status id image_ref
             instance_id name private_ip region state updated_at) ], 'fields';
    like $m->{id}, qr/^[0-9a-f]{14}\z/, 'id';
    is $m->{region}, 'fra', 'region';
    is $m->{image_ref}{tag}, '7', 'image';
    is told($ask->(POST => "$at/$m->{id}/start")),
        '412 failed_precondition: unable to start machine from current '
        . "state: 'created'", 'not yet';
    $fly->hasten($m->{id});
    is $fly->machine($m->{id})->{state}, 'starting', 'starting';
    $fly->hasten($m->{id});
    is $ask->(GET => "$at/$m->{id}")->{json}{state}, 'started', 'told';

    $r = $ask->(POST => $at, { %$MACHINE, name => 'm1' });
    is told($r), '409 already_exists: unique machine name violation, '
        . "machine ID $m->{id} already exists with name \"m1\"", 'name taken';
    is $ask->(POST => $at, { config => {} })->{status}, 400, 'no image';
    is $ask->(GET => "$at/none")->{status}, 404, 'no such machine';

    my $still = $ask->(POST => $at, { %$MACHINE, skip_launch => \1 })->{json};
    $fly->hasten($still->{id});
    is $fly->machine($still->{id})->{state}, 'stopped', 'not launched';
    is $fly->machines, 2, 'two';
    is $fly->machines(name => 'm1'), 1, 'one of that name';
};

subtest 'states' => sub {
    my ($fly, $ask, $at) = app(delays => $LONG);
    my $id = $fly->add_machine('a1');
    my $do = sub { told($ask->(POST => "$at/$id/$_[0]", $_[1])) };
    my $in = sub { $fly->machine($id)->{state} };
    my $then = sub { $fly->hasten($id); is $in->(), $_[0], "then $_[0]" };
    my $cannot = '412 failed_precondition: unable to';

    is $do->('start'), 200, 'start, though it is';
    is $do->('stop', { signal => 'SIGTERM' }), 200, 'stop';
    is $in->(), 'stopping', 'stopping';
    is $do->('start'), "$cannot start machine from current state: 'stopping'",
        'no start meanwhile';
    $then->('stopped');
    is $do->('suspend'),
        "$cannot suspend machine from current state: 'stopped'",
        'cannot be suspended';

    my $r = $ask->(POST => "$at/$id/start");
    is $r->{json}{previous_state}, 'stopped', 'start';
    is $in->(), 'starting', 'starting';
    $then->('started');

    is $do->('suspend'), 200, 'suspend';
    is $in->(), 'suspending', 'suspending';
    $then->('suspended');
    is $do->('stop'), 200, 'stop, which loses what was in memory';
    $then->('stopped');
    $fly->set_machine($id, state => 'suspended');
    is $ask->(POST => "$at/$id/start")->{json}{previous_state}, 'suspended',
        'resume';
    $then->('started');

    is $do->('restart'), 200, 'restart';
    is $in->(), 'stopping', 'stopping';
    $then->($_) for qw(starting started);

    my $old = $fly->machine($id);
    $r = $ask->(POST => "$at/$id", {
        config => { image => 'x:2' },
        current_version => $old->{instance_id} });
    is $r->{json}{state}, 'replacing', 'update';
    isnt $r->{json}{instance_id}, $old->{instance_id}, 'another instance';
    is $r->{json}{config}{image}, 'x:2', 'the configuration';
    is $do->('start'), "$cannot start machine from current state: 'replacing'",
        'no start meanwhile';
    $then->('started');
    is $ask->(POST => "$at/$id", { %$MACHINE, current_version => 'x' })
        ->{status}, 409, 'another version';

    is $ask->(DELETE => "$at/$id")->{status}, 412, 'not destroyed as it runs';
    is $ask->(DELETE => "$at/$id?force=true")->{status}, 200, 'by force';
    is $in->(), 'destroying', 'later';
    is $fly->machines, 1, 'still there';
    $then->('destroyed');
    is $fly->machines, 0, 'gone';
    $r = $ask->(GET => "$at/$id");
    is "$r->{status} $r->{json}{state}", '200 destroyed', 'as it is told';
    is $ask->(DELETE => "$at/$id?force=true")->{status}, 404, 'not again';

    $fly->delay(destroy => 0, unbind => 0, forget => 0);
    $id = $fly->add_machine('a1');
    $ask->(DELETE => "$at/$id?force=true");
    is $fly->machine($id), undef, 'forgotten';
    is $ask->(GET => "$at/$id")->{status}, 404, 'which is told';
};

subtest 'outcomes' => sub {
    my ($fly, $ask, $at) = app(wait_scale => 0.1);
    $fly->fault(machine_create => outcome => 'failed');
    my $id = $ask->(POST => $at, $MACHINE)->{json}{id};
    ok $fly->wait_state($id, 'failed'), 'fails to start';
    $fly->fault(machine_start => outcome => 'starting');
    is $ask->(POST => "$at/$id/start")->{status}, 200, 'again';
    is told($ask->(GET => "$at/$id/wait?state=started&timeout=1")),
        '408 deadline_exceeded: machine failed to reach desired state, '
        . 'started, currently starting', 'for ever';
    $fly->set_machine($id, state => 'failed', host_status => 'unreachable');
    my $m = $ask->(GET => "$at/$id")->{json};
    is "$m->{state} $m->{host_status}", 'failed unreachable', 'set';
};

subtest 'wait' => sub {
    my ($fly, $ask, $at) = app(delays => { %$LONG, start => 0.3 });
    my $id = $ask->(POST => $at, $MACHINE)->{json}{id};
    my $pid = meanwhile($fly, machine_wait => sub { $fly->hasten($id) });
    my $start = time;
    is_deeply $ask->(GET => "$at/$id/wait?state=started&timeout=30")->{json},
        { ok => JSON::PP::true }, 'started';
    cmp_ok time - $start, '>', 0.3, 'when it was';
    waitpid $pid, 0;
    is $fly->machine($id)->{state}, 'started', 'really';

    my $instance = $fly->machine($id)->{instance_id};
    $ask->(POST => "$at/$id/stop");
    is $ask->(GET => "$at/$id/wait?state=stopped")->{status}, 400,
        'stopped, but which instance';
    is told($ask->(GET => "$at/$id/wait?state=stopped&timeout=1"
                          . "&instance_id=$instance")),
        '408 deadline_exceeded: machine failed to reach desired state, '
        . 'stopped, currently stopping', 'not in time';
    is $ask->(GET => "$at/$id/wait?state=started&timeout=$_")->{status}, 400,
        "timeout $_" for 0, 61, 'x';
    is $ask->(GET => "$at/$id/wait?state=created")->{status}, 400,
        'no such state';

    # what changes meanwhile is noticed
    $pid = meanwhile($fly, machine_wait => sub {
        $fly->set_machine($id, state => 'suspended');
    });
    is $ask->(GET => "$at/$id/wait?state=suspended")->{status}, 200, 'set';
    waitpid $pid, 0;
    $pid = meanwhile($fly, machine_wait => sub { $fly->vanish($id) });
    is $ask->(GET => "$at/$id/wait?state=started")->{status}, 404, 'vanished';
    waitpid $pid, 0;
};

subtest 'machines with volumes' => sub {
    my ($fly, $ask, $at) = app(delays => $LONG);
    my $volume = $fly->add_volume('a1', region => 'fra');
    my $with = sub {
        my ($volume, %o) = @_;
        my $mount = { volume => $volume, path => '/d' };
        return $ask->(POST => $at, {
            %o, config => { image => 'x', mounts => [ $mount ] } });
    };

    like told($with->('vol_none')), qr/^400 .*volume not found/, 'none';
    is $with->($volume, region => 'ams')->{status}, 400, 'elsewhere';
    my $m = $with->($volume)->{json};
    is $m->{region}, 'fra', 'where the volume is';
    is $fly->volume($volume)->{attached_machine_id}, $m->{id}, 'attached';
    is told($with->($volume)), '412 failed_precondition: volume already '
        . "claimed by machine $m->{id}", 'claimed';
    is told($ask->(DELETE => "/a1/volumes/$volume")), '412 '
        . 'failed_precondition: volume is currently bound to machine: '
        . $m->{id}, 'bound';

    $ask->(DELETE => "$at/$m->{id}?force=true");
    like told($with->($volume)), qr/^412 .* claimed by machine $m->{id}\z/,
        'claimed while it is being destroyed';
    $fly->hasten($m->{id});
    is $fly->machine($m->{id})->{state}, 'destroyed', 'destroyed';
    like told($with->($volume)), qr/^412 .* claimed by machine \0{14}\z/,
        'claimed by a machine that is gone';
    $fly->hasten($m->{id});
    is $fly->volume($volume)->{attached_machine_id}, undef, 'let go';
    is $with->($volume)->{status}, 200, 'taken again';
};

subtest 'regions' => sub {
    my ($fly, $ask, $at) = app();
    my $volume = $fly->add_volume('a1', region => 'fra');
    my $stopped = $fly->add_machine('a1', region => 'fra', state => 'stopped');
    my $make = sub { $ask->(POST => $at, { %$MACHINE, region => 'fra' }) };

    $fly->region('fra', machines => 0);
    my $r = $make->();
    like told($r), qr/^409 insufficient memory/, 'full';
    is $r->{json}{status}, 'insufficient_capacity', 'as a status';
    like told($ask->(POST => $at, { config => { image => 'x',
        mounts => [ { volume => $volume, path => '/d' } ] } })),
        qr/^412 insufficient resources .* existing volume '$volume'/,
        'with a volume';
    like told($ask->(POST => "$at/$stopped/start")),
        qr/^409 insufficient memory/, 'to start one';
    is $fly->machine($stopped)->{state}, 'stopped', 'it is not';
    $fly->region('fra', quota => 0);
    like told($make->()), qr/^403 .*over the allowed quota/, 'quota';
    $fly->region('fra');
    is $make->()->{status}, 200, 'room';
    is $fly->machines, 2, 'no other was made';

    $fly->fill($volume);
    my $with = sub {
        told($ask->(POST => $at, { config => { image => 'x',
            mounts => [ { volume => $_[0], path => '/d' } ] } }));
    };
    like $with->($volume), qr/^412 insufficient resources/, 'a full host';
    my $fork = $ask->(POST => '/a1/volumes', {
        name => 'data', region => 'fra', source_volume_id => $volume });
    is $with->($fork->{json}{id}), 200, 'a fork is on another';
};

subtest 'lists, metadata, events' => sub {
    my ($fly, $ask, $at) = app();
    my $one = started($fly, $ask, $at, region => 'fra', config => {
        image => 'x', metadata => { route => 'r1' } });
    my $two = started($fly, $ask, $at);
    my $ids = sub {
        join ' ', sort map { $_->{id} } @{ $ask->(GET => "$at$_[0]")->{json} };
    };

    is $ids->(''), join(' ', sort $one, $two), 'all';
    is $ids->('?region=fra'), $one, 'region';
    is $ids->('?metadata.route=r1'), $one, 'metadata';
    is $ids->('?metadata.route=r2'), '', 'other metadata';
    $ask->(POST => "$at/$two/stop");
    $fly->wait_state($two, 'stopped');
    is $ids->('?state=started'), $one, 'state';
    is $ids->('?state=stopped&region=iad'), $two, 'both';

    is_deeply $ask->(GET => "$at/$one/metadata")->{json}, { route => 'r1' },
        'metadata';
    is $ask->(POST => "$at/$two/metadata/a%20b", { value => 'c' })->{status},
        204, 'set';
    is_deeply $ask->(GET => "$at/$two/metadata")->{json}, { 'a b' => 'c' },
        'is set';
    is $ask->(GET => "$at/$two")->{json}{config}{metadata}{'a b'}, 'c',
        'in the machine too';
    is $ask->(DELETE => "$at/$two/metadata/a%20b")->{status}, 204, 'delete';
    is_deeply $ask->(GET => "$at/$two/metadata")->{json}, {}, 'is deleted';

    $fly->wake($two);
    ok $fly->wait_state($two, 'started'), 'woken';
    my @events = @{ $ask->(GET => "$at/$two/events")->{json} };
    is_deeply [ map { "$_->{source} $_->{status}" } reverse @events ],
        [ 'user created', 'flyd starting', 'flyd started', 'user stopping',
          'flyd stopped', 'proxy starting', 'flyd started' ], 'events';
    is @{ $ask->(GET => "$at/$two/events?limit=2")->{json} }, 2, 'some';

    $ask->(DELETE => "$at/$one?force=true");
    $fly->wait_state($one, 'destroyed');
    is $ids->(''), $two, 'without what was destroyed';
    is $ids->('?include_deleted=true'), join(' ', sort $one, $two), 'or with';
};

subtest 'leases' => sub {
    my ($fly, $ask, $at) = app();
    my $id = started($fly, $ask, $at);
    my $r = $ask->(POST => "$at/$id/lease", { ttl => 60, description => 'd' });
    is "$r->{status} $r->{json}{status}", '201 success', 'taken';
    my $nonce = $r->{json}{data}{nonce};
    ok $r->{json}{data}{$_}, $_ for qw(nonce expires_at owner version);

    my @with = (undef, 'fly-machine-lease-nonce' => $nonce);
    $r = $ask->(POST => "$at/$id/lease", { ttl => 60 });
    is "$r->{status} $r->{json}{status}", '409 error', 'held';
    like $r->{json}{message}, qr/lease currently held by/, 'by whom';
    like told($ask->(POST => "$at/$id/stop")),
        qr/^409 machine ID $id lease currently held by/, 'for changes';
    is $ask->(GET => "$at/$id")->{status}, 200, 'not for looking';
    is $ask->(POST => "$at/$id/stop", @with)->{status}, 200, 'the holder may';
    is $ask->(POST => "$at/$id/lease", { ttl => 60 }, @with[1, 2])->{status},
        201, 'renewed';
    is $ask->(DELETE => "$at/$id/lease")->{status}, 409, 'not released so';
    is $ask->(DELETE => "$at/$id/lease", @with)->{status}, 200, 'released';
    is $ask->(GET => "$at/$id/lease")->{status}, 404, 'none';

    $fly->wait_state($id, 'stopped');
    is $ask->(POST => "$at/$id/start")->{status}, 200, 'free';
    $ask->(POST => "$at/$id/lease", { ttl => 60 });
    is $ask->(GET => "$at/$id/lease")->{status}, 200, 'another';
    $fly->set_machine($id, lease => { %{ $fly->machine($id)->{lease} },
                                      until => time });
    is $ask->(GET => "$at/$id/lease")->{status}, 404, 'which is over';

    my $m = $ask->(POST => $at, { %$MACHINE, lease_ttl => 60 })->{json};
    is $ask->(DELETE => "$at/$m->{id}?force=true")->{status}, 409,
        'leased from the start';
    is $ask->(DELETE => "$at/$m->{id}?force=true", undef,
              'fly-machine-lease-nonce' => $m->{nonce})->{status}, 200,
        'to whom made it';
};

subtest 'commands' => sub {
    my ($fly, $ask, $at) = app();
    my $id = started($fly, $ask, $at);
    my $run = sub {
        my ($command, %o) = @_;
        return $ask->(POST => "$at/$id/exec", { command => $command, %o });
    };
    $fly->exec(qr/^health/, exit_code => 3, stderr => 'no', times => 2);
    $fly->exec(qr/^slow/, delay => 0.3, stdout => 'out');
    $fly->exec(qr/^endless/, delay => 30);
    $fly->exec(qr/^broken/, status => 503);

    is_deeply $run->([ 'health', '-x' ])->{json},
        { exit_code => 3, stdout => '', stderr => 'no' }, 'fails';
    is $run->([ 'health' ])->{status}, 200, 'though answered by 200';
    is_deeply $run->([ 'health' ])->{json}, { stdout => '', stderr => '' },
        'succeeds';
    my $start = time;
    is $run->([ 'slow' ])->{json}{stdout}, 'out', 'output';
    cmp_ok time - $start, '>=', 0.3, 'after some time';
    is $run->([ 'endless' ], timeout => 1)->{status}, 408, 'not in time';
    is $run->([ 'broken' ])->{status}, 503, 'not at all';
    is $ask->(POST => "$at/$id/exec", {})->{status}, 400, 'nothing to run';
    $run->([ 'sh', '-c', 'cat >x' ], stdin => 'in');

    my @execs = $fly->execs($id);
    is @execs, 7, 'all are kept';
    is_deeply $execs[-1]{command}, [ 'sh', '-c', 'cat >x' ], 'command';
    is $execs[-1]{stdin}, 'in', 'input';
    $ask->(POST => "$at/$id/stop");
    is $run->([ 'x' ])->{status}, 412, 'not on one that is stopped';
    is $fly->execs($id), 7, 'nor is it kept';
};

subtest 'rate limits' => sub {
    my ($fly, $ask, $at) = app();
    my $id = started($fly, $ask, $at);
    my $get = sub { $ask->(GET => "$at/$id")->{status} };

    is_deeply [ map { $get->() } 1 .. 15 ], [ (200) x 15 ], 'none';
    $fly->limits(scale => 0.01);
    my @starts = map { $ask->(POST => "$at/$id/start") } 1 .. 4;
    is_deeply [ map { $_->{status} } @starts ], [ 200, 200, 200, 429 ],
        'three at once';
    my $after = $starts[3]{response}->header('Retry-After');
    ok $after > 50 && $after <= 100, 'when again';
    is_deeply [ map { $get->() } 1 .. 11 ], [ (200) x 10, 429 ],
        'ten for looking';
    my $other = $fly->add_machine('a1');
    is $ask->(POST => "$at/$other/start")->{status}, 200, 'each its own';
    $fly->limits(scale => 10);
    $get->() for 1 .. 10;
    ok wait_for { $get->() == 200 }, 'again, after a while';
    $fly->limits;
    is_deeply [ map { $get->() } 1 .. 15 ], [ (200) x 15 ], 'none';
};

subtest 'calls' => sub {
    my ($fly, $ask, $at) = app();
    my $start = time;
    $ask->(POST => $at, { %$MACHINE, name => 'm1' }, 'X-A' => 'b');
    $ask->(GET => "$at/x%20y?state=z", undef);
    is join(' ', map { $_->kind . ':' . $_->status } $fly->calls),
        'machine_create:200 machine_get:404', 'kinds and statuses';
    my ($create, $get) = $fly->calls;
    is $create->method, 'POST', 'method';
    is $create->path, "/v1/apps$at", 'path';
    is $create->data->{name}, 'm1', 'body';
    is scalar $create->header('X-A'), 'b', 'header';
    cmp_ok $create->time, '>=', $start, 'time';
    is $create->app, 'a1', 'app';
    is $get->id, 'x y', 'id';
    is $get->query->{state}, 'z', 'query';
    is $fly->count('machine_get'), 1, 'count';
    is +($fly->calls('machine_get'))[0]->id, 'x y', 'of a kind';
    is $fly->wait_call('machine_get')->id, 'x y', 'the first';
    ok !$fly->wait_call('machine_get', 2, 0.05), 'no second';
    is keys %{ $fly->state->{apps} }, 1, 'the state';
};

subtest 'faults' => sub {
    my ($fly, $ask, $at) = app();
    my $n = 0;
    my $done = sub { scalar $fly->machines(name => "m$n") };
    my $known = sub { wait_for { ($fly->calls)[-1]->fault } };
    my $fault = sub {
        my (%fault) = @_;
        $fly->fault(machine_create => %fault);
        my $answer = eval {
            client($fly)->(POST => $at, { %$MACHINE, name => 'm' . ++$n });
        };
        return ($answer, $done->(), $@);
    };
    my ($r, $made, $error);

    ($r, $made) = $fault->(status => 503, body => { error => 'x' },
                           headers => [ 'Retry-After' => 7 ]);
    is told($r), '503 x', 'an error';
    is $r->{response}->header('Retry-After'), 7, 'header';
    ok !$made, 'not done';
    is +($fly->calls('machine_create'))[-1]->fault->{status}, 503, 'told';
    ($r, $made) = $fault->(status => 500, body => 'oops', done => 1);
    is "$r->{status} $r->{bytes}", '500 oops', 'another';
    ok $made, 'done';

    for my $how (qw(drop reset)) {
        ($r, $made, $error) = $fault->($how => 1);
        ok !$r, "$how: no answer";
        ok !$made, 'not done';
        ($r, $made, $error) = $fault->($how => 1, done => 1);
        ok !$r, "$how: no answer";
        ok $made, 'done';
        is +($fly->calls('machine_create'))[-1]->status, undef, 'told';
    }

    for my $how (qw(drop reset)) {
        $fly->fault(app_get => $how => 1);
        my $c = OA::Client->new($fly->port);
        $c->send("GET /v1/apps/a1 HTTP/1.1\r\n\r\n");
        my $n = sysread $c->socket, my $in, 1;
        is defined $n ? 'FIN' : "$!",
            $how eq 'drop' ? 'FIN' : 'Connection reset by peer', $how;
    }

    ($r, $made) = $fault->(html => 1);
    is $r->{status}, 502, 'HTML';
    like $r->{bytes}, qr/^<html>/, 'it is';
    is $r->{response}->header('Content-Type'), 'text/html', 'and says so';
    ok !$made, 'not done';

    ($r, $made) = $fault->(truncate => 1);
    ok $r->{response}->header('Content-Length') > length $r->{bytes}, 'cut';
    ok !$r->{json}, 'no JSON';
    ok $made, 'done';

    ($r, $made, $error) = $fault->(garbage => "\0\1\2");
    ok !$r || !$r->{status}, 'garbage';
    ok !$made, 'not done';

    my $start = time;
    ($r, $made) = $fault->(late => 0.3);
    is $r->{status}, 200, 'late';
    cmp_ok time - $start, '>=', 0.3, 'it is';

    local $OA::Client::TIMEOUT = 0.3;
    (undef, undef, $error) = $fault->(hang => 1);
    like $error, qr/no answer in time/, 'hangs';
    ok $known->() && !$done->(), 'not done';
    ok $fly->wait_closed, 'until the client goes';
    (undef, undef, $error) = $fault->(hang => 1, done => 1);
    like $error, qr/no answer in time/, 'hangs';
    ok $known->() && $done->(), 'done';

    $fault->(late => 600);
    ok wait_for { $done->() }, 'late: done at once';
    $fault->(delay => 600);
    ok $fly->wait_call('machine_create', $n) && !$done->(), 'delayed: not yet';
};

subtest 'which call' => sub {
    my ($fly, $ask, $at) = app();
    my $get = sub {
        join ' ', map { $ask->(GET => $at)->{status} } 1 .. $_[0];
    };

    $fly->fault(machine_list => status => 500, nth => 3, times => 2);
    is $ask->(GET => '/a1')->{status}, 200, 'another kind';
    is $get->(5), '200 200 500 500 200', 'third and fourth';
    is $fly->faults, 0, 'none is left';
    $fly->fault(machine_list => status => 500);
    $fly->fault(machine_list => status => 429);
    is $get->(3), '500 429 200', 'in order';
    $fly->fault('*' => status => 503, times => 0);
    is $get->(3), '503 503 503', 'for ever';
    $fly->fault;
    is $get->(1), '200', 'no more';
    ok !eval { $fly->fault(machine_list => stauts => 1); 1 }, 'no such fault';
};

subtest 'down' => sub {
    my ($fly, $ask, $at) = app(delays => { create => 0.1 });
    my $id = $ask->(POST => $at, $MACHINE)->{json}{id};
    $fly->stop;
    ok !eval { client($fly) }, 'down';
    ok $fly->wait_state($id, 'started'), 'machines live on';
    $fly->start;
    $ask = client($fly);
    is $ask->(GET => "$at/$id")->{json}{state}, 'started', 'up, with all';
    $fly->refuse;
    ok !eval { client($fly) }, 'refuses';
    is $ask->(GET => "$at/$id")->{status}, 200, 'what is there goes on';
    $fly->listen;
    is client($fly)->(GET => "$at/$id")->{status}, 200, 'listens';
    is $fly->count, 4, 'all calls are known';
};

subtest 'a name is taken once' => sub {
    my ($fly, $ask, $at) = app();
    my @requests = map {
        OA::Client::request_bytes("/v1/apps$at", method => 'POST', close => 1,
            headers => [ Authorization => 'Bearer ' . $fly->token ],
            body => encode_json({ %$MACHINE, name => 'm1' }))
    } 1 .. 20;
    my %n;
    $n{ $_->status }++ for OA::Client::http_many($fly->port, \@requests);
    is_deeply \%n, { 200 => 1, 409 => 19 }, 'by one of many';
    is $fly->machines, 1, 'one machine';

    client($fly)->(POST => $at, $MACHINE) for 1 .. 5;
    is $fly->machines, 6, 'ids differ between connections';
};

subtest 'an agent on a machine' => sub {
    my ($fly, $ask, $at) = app();
    my $agent = OA::Agent->new(sub { $_[0]->head; $_[0]->end });
    my $listens = sub { eval { OA::Client->new($agent->port) } ? 1 : 0 };

    $fly->bind($agent, boot => 0.3, app => 'a1');
    ok !$listens->(), 'refuses';
    started($fly, client($fly), '/a2/machines') if $fly->add_app('a2');
    my $id = $ask->(POST => $at, $MACHINE)->{json}{id};
    ok $fly->wait_state($id, 'started'), 'started';
    my $at_once = $listens->();
    my $since = time - $fly->machine($id)->{started_at};
    ok !$at_once || $since > 0.3, 'does not listen yet';
    ok wait_for { $listens->() }, 'listens';
    cmp_ok time - $fly->machine($id)->{started_at}, '>=', 0.3, 'after that';
    $ask->(POST => "$at/$id/suspend");
    ok wait_for { !$listens->() }, 'refuses';
    $fly->wait_state($id, 'suspended');
    $fly->stop;
    $fly->wake($id);
    ok wait_for { $listens->() }, 'listens, though the API is down';
    $fly->vanish($id);
    ok wait_for { !$listens->() }, 'refuses';

    my $pid = $fly->{keeper};
    undef $fly;
    ok !kill(0, $pid), 'nothing is left running';
};

done_testing;
