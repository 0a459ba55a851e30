# A session that ended: its tokens are refused, in every worker, and no others.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client;
use OA::Nginx;
use OA::Postgres;
use OA::Token qw(key jwks uuid $ISSUER);
use OA::Util qw(wait_for);

my $WORKERS = 3;

my $pg = OA::Postgres->new->apply;
my $user = uuid();
my @session = map { uuid() } 0 .. 5;
$pg->do('INSERT INTO auth.users (id) VALUES (?)', $user);
$pg->do('INSERT INTO auth.sessions (id, user_id) VALUES (?, ?)', $_, $user)
    for @session;

my $key = key('ES256');
my $ng = OA::Nginx->new(workers => $WORKERS, http => <<"CONF",
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}';
    oa_issuer t {
        jwks_file %%DIR%%/keys.json; issuer $ISSUER;
        audience authenticated; algorithms ES256;
    }
    server {
        listen 127.0.0.1:%%PORT_0%% reuseport;
        keepalive_requests 1000000;
        oa_auth t;
        location / {
            add_header X-Pid \$pid always;
            add_header X-Error "\$oa_auth_error" always;
            add_header X-Sub "\$oa_auth_sub" always;
            add_header X-Cache "\$oa_auth_cache" always;
            empty_gif;
        }
    }
CONF
    files => { 'keys.json' => jwks($key) });

ok $ng->wait_log(qr/0 revocations read from the database/), 'the first read';

my %client;
wait_for {
    my $client = OA::Client->new($ng->port);
    $client{ $client->get('/')->header('X-Pid') } //= $client;
    keys %client == $WORKERS;
};
is keys %client, $WORKERS, 'every worker is asked';

sub token { $key->token({ sub => $user, session_id => $_[0] }) }
sub ask { $_[0]->get('/', headers => [ Authorization => "Bearer $_[1]" ]) }

# What each worker says of a token, if all say the same.
sub verdict {
    my ($token) = @_;
    my %seen = map {
        my $r = ask($_, $token);
        $r->status . ' ' . ($r->header('X-Error') // '') => 1;
    } values %client;
    return join ', ', sort keys %seen;
}

sub becomes {
    my ($token, $wanted, $what) = @_;
    wait_for { verdict($token) eq $wanted } 5;
    is verdict($token), $wanted, $what;
}

my @token = map { token($_) } @session;
is verdict($_), '200 ', 'a good token' for @token;

my @all = values %client;
my ($client) = @all;
is ask($client, $token[0])->header('X-Cache'), 'hit', 'which is remembered';

$pg->do('DELETE FROM auth.sessions WHERE id = ?', $session[0]);
becomes($token[0], '401 revoked', 'its session was deleted');

my $r = ask($client, $token[0]);
is $r->header('X-Cache'), 'hit', 'it is refused from memory';
is $r->header('X-Sub'), undef, 'and has no user';
like $r->header('WWW-Authenticate'), qr/error="invalid_token"/, 'the reason';
like $r->body, qr/"code":"token_invalid"/, 'in both';

is verdict(token($session[0])), '401 revoked', 'so is a token not yet seen';
is verdict(token(uc $session[0])), '401 revoked', 'in capitals';
is verdict($token[$_]), '200 ', 'another session' for 1 .. 5;
is verdict(token(uuid())), '200 ', 'one that the database does not know';

# others in the cookie's way or none: a token without a session

my $none = $key->token({ sub => $user, session_id => undef });
is verdict($none), '401 claim', 'a token without a session';

$pg->do('DELETE FROM auth.sessions WHERE id IN (?, ?)', @session[ 1, 2 ]);
becomes($token[$_], '401 revoked', 'two at once') for 1, 2;

my $dbh = $pg->connect(AutoCommit => 0);
$dbh->do('DELETE FROM auth.sessions WHERE id = ?', undef, $session[3]);
is verdict($token[3]), '200 ', 'before the commit';
$dbh->rollback;
$pg->do('DELETE FROM auth.sessions WHERE id = ?', $session[4]);
becomes($token[4], '401 revoked', 'deleted after a roll-back');
is verdict($token[3]), '200 ', 'rolled back';

# by hand

$pg->do('SELECT oa.revoke_session(?)', $session[5]);
becomes($token[5], '401 revoked', 'by an operator');
$pg->do('SELECT oa.unrevoke_session(?)', $session[5]);
becomes($token[5], '200 ', 'who lifts it');

is verdict($_), '401 revoked', 'the others stay refused'
    for @token[ 0, 1, 2, 4 ];
is $ng->log_count(qr/revocations read from the database/), 1,
    'one full read';

done_testing;
