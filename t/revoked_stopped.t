# The worker that listens stands still with an answer on its way; when it
# wakes, that answer is older than what another has read since.

use strict;
use warnings;

use DBD::Pg qw(:async);
use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_many request_bytes);
use OA::Nginx;
use OA::Postgres;
use OA::Token qw(key jwks uuid $ISSUER);
use OA::Util qw(wait_for);

my $pg = OA::Postgres->new->apply;
my ($lifted, $fence) = (uuid(), uuid());

my $key = key('ES256');
my $ng = OA::Nginx->new(workers => 3, http => <<"CONF",
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}';
    oa_issuer t {
        jwks_file %%DIR%%/keys.json; issuer $ISSUER;
        audience authenticated; algorithms ES256;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_auth t;
        location / { empty_gif; }
    }
CONF
    files => { 'keys.json' => jwks($key) });

# A worker that stands still may have taken a connection: any answer counts.
sub verdict {
    my ($user) = @_;
    my $token = $key->token({ sub => $user, session_id => uuid() });
    my @r = http_many($ng->port, [ map { request_bytes('/',
        host => 'a.example', close => 1,
        headers => [ Authorization => "Bearer $token" ]) } 1 .. 4 ],
        timeout => 0.5);
    my ($r) = grep { defined } @r;
    return $r ? $r->status : 'nothing';
}

sub holder {
    my @pids = $ng->log =~ /(\d+)#\d+: duty "revocations" taken/g;
    return $pids[-1];
}

ok $ng->wait_log(qr/0 revocations read from the database/), 'the first read';
my $stopped = holder();

# the holder reads the revocation behind a lock

my $revoker = $pg->connect(AutoCommit => 0);
$revoker->do('SELECT oa.revoke_user(?)', undef, $lifted);
my $locker = $pg->connect(AutoCommit => 0);
$locker->do('LOCK oa.revocations IN ACCESS EXCLUSIVE MODE',
            { pg_async => PG_ASYNC });
ok +(wait_for {
    $pg->row(q{SELECT count(*) FROM pg_stat_activity
               WHERE query LIKE 'LOCK %' AND wait_event_type = 'Lock'})
}), 'a lock is waited for';
$revoker->commit;
$locker->pg_result;
ok +(wait_for {
    $pg->row(q{SELECT count(*) FROM pg_stat_activity
               WHERE usename = 'oa_router' AND wait_event_type = 'Lock'
                 AND query ~ 'oa[.]revocations_of'})
}), 'the holder reads';

kill 'STOP', $stopped;
$locker->rollback;

ok $ng->wait_log(qr/"revocations" taken over from process $stopped/, 10),
    'another worker takes over';
ok +(wait_for { verdict($lifted) eq '401' } 5), 'and reads the revocation';
$pg->do('SELECT oa.unrevoke_user(?)', $lifted);
ok +(wait_for { verdict($lifted) eq '200' } 5), 'which is lifted';

kill 'CONT', $stopped;
ok $ng->wait_log(qr/ $stopped#\d+: duty "revocations" lost/, 5),
    'the first one wakes, and gives up';
is verdict($lifted), 200, 'what it had read before is not taken';

$pg->do('SELECT oa.revoke_user(?)', $fence);
ok +(wait_for { verdict($fence) eq '401' } 5), 'revocations flow on';
is verdict($lifted), 200, 'and the lifted one is good';
is $ng->worker_pids, 3, 'no worker was lost';

done_testing;
