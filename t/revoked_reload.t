# Revocations outlive a reload and a worker, and the duty goes on; without
# oa_postgres what is known still holds, and nothing more is asked for.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Postgres;
use OA::Token qw(key jwks uuid $ISSUER);
use OA::Util qw(wait_for);

my $pg = OA::Postgres->new->apply;
my $first = uuid();
$pg->do('SELECT oa.revoke_user(?)', $first);

my $key = key('ES256');

sub config {
    my ($postgres) = @_;
    return <<"CONF";
    oa_zone 16m;
    $postgres
    oa_issuer t {
        jwks_file %%DIR%%/keys.json; issuer $ISSUER;
        audience authenticated; algorithms ES256;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_auth t;
        location / {
            add_header X-Error "\$oa_auth_error" always;
            empty_gif;
        }
    }
CONF
}

my $postgres = "oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}';";
my $ng = OA::Nginx->new(workers => 3, http => config($postgres),
                        files => { 'keys.json' => jwks($key) });

sub verdict {
    my ($user) = @_;
    my $token = $key->token({ sub => $user, session_id => uuid() });
    my $r = eval { http_get($ng->port, '/',
                            headers => [ Authorization => "Bearer $token" ]) };
    return $r ? $r->status . ' ' . ($r->header('X-Error') // '') : 'nothing';
}

sub holder {
    my @pids = $ng->log =~ /(\d+)#\d+: duty "revocations" taken/g;
    return $pids[-1];
}

sub listeners {
    return $pg->row(q{SELECT count(*) FROM pg_stat_activity
                      WHERE usename = 'oa_router' AND query LIKE 'LISTEN%'});
}

my @known = $first;

sub flows {
    my ($what) = @_;
    my $user = uuid();
    is verdict($user), '200 ', "$what: a good user";
    $pg->do('SELECT oa.revoke_user(?)', $user);
    wait_for { verdict($user) eq '401 revoked' } 5;
    is verdict($user), '401 revoked', "$what: revoked";
    push @known, $user;
    is +(grep { verdict($_) ne '401 revoked' } @known), 0,
        "$what: so are those from before";
}

ok $ng->wait_log(qr/1 revocations read from the database/), 'the first read';
flows('at first');

for my $n (1 .. 2) {
    my $old = holder();
    my $meanwhile = uuid();
    ok $ng->reload, 'a reload';
    $pg->do('SELECT oa.revoke_user(?)', $meanwhile);
    push @known, $meanwhile;
    is verdict($first), '401 revoked', 'at once';
    wait_for { holder() != $old && verdict($meanwhile) eq '401 revoked' } 5;
    flows("reload $n");
}

for my $n (1 .. 2) {
    my $old = holder();
    my $meanwhile = uuid();
    $ng->expect_log(qr/exited on signal 9/, qr/was locked by/);
    kill 'KILL', $old;
    $pg->do('SELECT oa.revoke_user(?)', $meanwhile);
    push @known, $meanwhile;
    wait_for { holder() != $old && verdict($meanwhile) eq '401 revoked' } 10;
    isnt holder(), $old, 'the holder was killed, another took over';
    wait_for { $ng->worker_pids == 3 };
    flows("kill $n");
}

ok +(wait_for { listeners() == 1 } 5), 'one worker listens';
is $ng->log_count(qr/revocations read from the database/), 1,
    'one full read';

# a configuration that fails when its zone is there already changes nothing,
# neither in a worker that begins after it

$ng->expect_log(qr/\[emerg\]/);
$ng->write_conf(http => config($postgres) =~ s/oa_zone 16m/oa_zone 8m/r
                . 'server { listen 192.0.2.1:80; }');
ok !$ng->reload, 'a reload fails';
ok $ng->wait_log(qr/bind\(\) to 192.0.2.1:80 failed/), 'late';
$ng->kill_worker($_) for 0 .. 2;
flows('after that');

# without a database

$ng->write_conf(http => config(''));
ok $ng->reload, 'oa_postgres is taken out';
is +(grep { verdict($_) ne '401 revoked' } @known), 0, 'what is known holds';
my $later = uuid();
$pg->do('SELECT oa.revoke_user(?)', $later);
ok +(wait_for { listeners() == 0 } 5), 'nobody listens';
is verdict($later), '200 ', 'nobody is told';

$ng->write_conf(http => config($postgres));
ok $ng->reload, 'it is back';
push @known, $later;
ok +(wait_for { verdict($later) eq '401 revoked' } 5), 'and what was missed';
flows('back');

# a start without one knows nothing of revocations

$ng->stop;
$ng->write_conf(http => config(''));
$ng->start;
is verdict($first), '200 ', 'a start without a database';

done_testing;
