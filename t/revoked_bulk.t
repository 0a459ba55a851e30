# Many at once: each is refused; and more than there is room for do no harm.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client;
use OA::Nginx;
use OA::Postgres;
use OA::Token qw(key jwks uuid $ISSUER);
use OA::Util qw(wait_for);

my $N = 5000;

my $pg = OA::Postgres->new->apply;
$pg->do('INSERT INTO auth.users (id) VALUES (?)', uuid());
$pg->do(<<'SQL', $N);
    INSERT INTO auth.sessions (user_id)
    SELECT id FROM auth.users, generate_series(1, ?)
SQL

my $key = key('ES256');

sub start {
    my ($zone) = @_;
    return OA::Nginx->new(workers => 2, http => <<"CONF",
    oa_zone $zone;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}';
    oa_issuer t {
        jwks_file %%DIR%%/keys.json; issuer $ISSUER;
        audience authenticated; algorithms ES256;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        keepalive_requests 1000000;
        oa_auth t;
        location / { empty_gif; }
    }
CONF
        files => { 'keys.json' => jwks($key) });
}

my $ng = start('16m');
ok $ng->wait_log(qr/\b0 revocations read from the database/),
    'the first read';

# tokens of a hundred of the sessions

my @some = map { $_->[0] } @{ $pg->rows(
    'SELECT id FROM auth.sessions ORDER BY id LIMIT 100') };
my @token = map { $key->token({ sub => uuid(), session_id => $_ }) } @some;
my $client = OA::Client->new($ng->port);

sub refused {
    return scalar grep {
        $client->get('/', headers => [ Authorization => "Bearer $_" ])
            ->status == 401
    } @token;
}

is refused(), 0, 'all are good';
$pg->do('DELETE FROM auth.sessions');
wait_for { refused() == @token } 10;
is refused(), @token, 'all are refused';
ok $ng->wait_log(qr/\b$N revocations read from the database/),
    'more than are read as changes are read as a whole';

$pg->do('SELECT oa.unrevoke_session(id) FROM oa.revocations');
wait_for { refused() == 0 } 10;
is refused(), 0, 'all are good again';

# some, faster than the beat would bring them

for my $n (0 .. 2) {
    my @ids = @some[ 30 * $n .. 30 * $n + 29 ];
    my $start = time;
    $pg->do(q{SELECT oa.note_revocations('session', ?,
                  array_fill(now() + interval '1 hour', ARRAY[30]))}, \@ids);
    wait_for { refused() == 30 * $n + 30 } 10;
    my $took = time - $start;
    is refused(), 30 * $n + 30, 'thirty at once';
    cmp_ok $took, '<', $ng->sanitized ? 5 : 2, sprintf 'in %.2f s', $took;
}

$ng->stop;

# a zone of 1m has room for some of them

$pg->do(q{UPDATE oa.revocations SET until = now() + interval '1 hour'});
my $last = uuid();
$pg->do(q{SELECT oa.revoke_user(?, now() + interval '1 day')}, $last);

$ng = start('1m');
my $all = $N + 1;
ok $ng->wait_log(qr/\b$all revocations read from the database/, 20),
    'more than there is room for are read';
like $ng->log, qr/\[error\].*no room in oa_zone for all revocations/,
    'the log says so';
$client = OA::Client->new($ng->port);
@token = ($key->token({ sub => $last, session_id => uuid() }));
is refused(), 1, 'that with the most time left is in force';
@token = ($key->token({ sub => uuid(), session_id => uuid() }));
is refused(), 0, 'a good token is good';
is $ng->worker_pids, 2, 'the workers stand';

done_testing;
