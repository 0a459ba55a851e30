# A user who was banned or deleted: all tokens are refused, until the ban ends.

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

sub user {
    my $id = uuid();
    $pg->do('INSERT INTO auth.users (id) VALUES (?)', $id);
    return $id;
}

my ($user, $before, $other, $gone) = map { user() } 1 .. 4;
$pg->do(q{UPDATE auth.users SET banned_until = 'infinity' WHERE id = ?},
        $before);

my $key = key('ES256');
my $ng = OA::Nginx->new(workers => 2, http => <<"CONF",
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}';
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
    files => { 'keys.json' => jwks($key) });

sub token { $key->token({ sub => $_[0], session_id => uuid() }) }

sub verdict {
    my ($token) = @_;
    my $r = http_get($ng->port, '/',
                     headers => [ Authorization => "Bearer $token" ]);
    return $r->status . ' ' . ($r->header('X-Error') // '');
}

sub becomes {
    my ($token, $wanted, $what) = @_;
    wait_for { verdict($token) eq $wanted } 5;
    is verdict($token), $wanted, $what;
}

sub ban {
    my ($id, $until) = @_;
    $pg->do("UPDATE auth.users SET banned_until = $until WHERE id = ?", $id);
}

ok $ng->wait_log(qr/1 revocations read from the database/), 'the first read';
is verdict(token($before)), '401 revoked', 'banned from before';

my @token = map { token($user) } 1 .. 2;
is verdict($_), '200 ', 'a good token' for @token;

ban($user, q{now() + interval '1 hour'});
becomes($token[0], '401 revoked', 'banned');
is verdict($token[1]), '401 revoked', 'each of the tokens';
is verdict(token($user)), '401 revoked', 'and one that comes later';
is verdict(token($other)), '200 ', 'another user';

ban($user, 'NULL');
becomes($token[0], '200 ', 'the ban was lifted');

ban($user, q{now() + interval '3 seconds'});
becomes($token[0], '401 revoked', 'banned for three seconds');
wait_for { verdict($token[0]) eq '200 ' } 15;
is verdict($token[0]), '200 ', 'which pass';

ban($user, q{'infinity'});
becomes($token[0], '401 revoked', 'banned for ever');
ban($user, q{now() - interval '1 second'});
becomes($token[0], '200 ', 'and only until now');

# an operator, and a ban beside

$pg->do('SELECT oa.revoke_user(?)', $user);
becomes($token[0], '401 revoked', 'by an operator');
ban($user, q{now() + interval '1 hour'});
ban($user, 'NULL');
ban($other, q{now() + interval '1 hour'});
becomes(token($other), '401 revoked', 'what comes later was read');
is verdict($token[0]), '401 revoked', 'the end of a ban does not lift that';
$pg->do('SELECT oa.unrevoke_user(?)', $user);
becomes($token[0], '200 ', 'the operator does');

$pg->do('UPDATE auth.users SET deleted_at = now() WHERE id = ?', $user);
becomes($token[0], '401 revoked', 'softly deleted');
$pg->do('DELETE FROM auth.users WHERE id = ?', $gone);
becomes(token($gone), '401 revoked', 'deleted');
is verdict(token($before)), '401 revoked', 'and the first is as ever';

is $ng->log_count(qr/revocations read from the database/), 1,
    'one full read';

done_testing;
