# Revoked while nobody listened, or before: nothing is missed; and what is
# known holds while the database is gone.

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
my %session;

sub session {
    my ($name) = @_;
    my $user = uuid();
    $session{$name} = uuid();
    $pg->do('INSERT INTO auth.users (id) VALUES (?)', $user);
    $pg->do('INSERT INTO auth.sessions (id, user_id) VALUES (?, ?)',
            $session{$name}, $user);
}

sub revoke {
    my ($name, $dbh) = @_;
    ($dbh // $pg->dbh)->do('DELETE FROM auth.sessions WHERE id = ?', undef,
                           $session{$name});
}

session($_) for qw(before away slow quick lifted pruned down last other);
revoke('before');
$pg->log_queries('oa_router');

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

sub verdict {
    my ($name) = @_;
    my $token = $key->token({ sub => uuid(), session_id => $session{$name} });
    my $r = http_get($ng->port, '/',
                     headers => [ Authorization => "Bearer $token" ]);
    return $r->status . ' ' . ($r->header('X-Error') // '');
}

sub becomes {
    my ($name, $wanted, $what) = @_;
    wait_for { verdict($name) eq $wanted } 5;
    is verdict($name), $wanted, $what;
}

# Ends the router's sessions, and lets it in again when the code has run.
sub away {
    my ($code) = @_;
    my $lost = $ng->log_count(qr/oa_auth: the change feed is lost/);
    my $back = $ng->log_count(qr/oa_auth: the change feed is back/);
    $pg->do('ALTER ROLE oa_router NOLOGIN');
    $pg->do(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE usename = 'oa_router'});
    ok +(wait_for {
        $ng->log_count(qr/oa_auth: the change feed is lost/) > $lost
    }), 'the feed is lost';
    $code->();
    $pg->do('ALTER ROLE oa_router LOGIN');
    ok +(wait_for {
        $ng->log_count(qr/oa_auth: the change feed is back/) > $back
    } 20), 'and back';
}

sub full_reads { $pg->query_count(qr/oa\.revocations_in_force/) }

ok $ng->wait_log(qr/1 revocations read from the database/), 'the first read';
is verdict('before'), '401 revoked', 'revoked from before';

$pg->do('SELECT oa.revoke_session(?)', $session{lifted});
becomes('lifted', '401 revoked', 'revoked');

away(sub {
    revoke('away');
    $pg->do('SELECT oa.unrevoke_session(?)', $session{lifted});
    is verdict('before'), '401 revoked', 'what is known stays in force';
    is verdict('away'), '200 ', 'nobody heard of another';
});
is verdict('away'), '401 revoked', 'revoked while nobody listened';
is verdict('lifted'), '200 ', 'lifted then';
is verdict('other'), '200 ', 'never revoked';
is full_reads(), 1, 'which was no full read';

# the older of two transactions commits last, while nobody listens

my $t1 = $pg->connect(AutoCommit => 0);
revoke('slow', $t1);
my ($xid1) = $t1->selectrow_array('SELECT pg_current_xact_id()');
my $t2 = $pg->connect(AutoCommit => 0);
revoke('quick', $t2);
my ($xid2) = $t2->selectrow_array('SELECT pg_current_xact_id()');
$t2->commit;
cmp_ok $xid2, '>', $xid1, 'the quick one began later';
becomes('quick', '401 revoked', 'and is refused');

my $reads = $pg->query_count(qr/oa\.revocations_since/);
ok +(wait_for {
    $pg->query_count(qr/oa\.revocations_since/) > $reads + 1
} 20), 'the feed has taken its position since';

away(sub {
    $t1->commit;
    is verdict('slow'), '200 ', 'nobody heard of the slow one';
});
is verdict('slow'), '401 revoked', 'nor was it missed';
is full_reads(), 1, 'without a full read';

# what was lifted is gone from the database before anybody read it

$pg->do('SELECT oa.revoke_session(?)', $session{pruned});
becomes('pruned', '401 revoked', 'revoked');
away(sub {
    $pg->do('SELECT oa.unrevoke_session(?)', $session{pruned});
    cmp_ok $pg->row(q{SELECT oa.prune_revocations('0')}), '>=', 1,
        'lifted and pruned';
});
is full_reads(), 2, 'all is read again';
is verdict('pruned'), '200 ', 'lifted';
is verdict($_), '401 revoked', "and not: $_" for qw(before away slow quick);

# gone, and back

$pg->stop;
is verdict($_), '401 revoked', "no database: $_"
    for qw(before away slow quick);
is verdict('down'), '200 ', 'and a good token is good';
$ng->wait_log(qr/the change feed is lost.*the change feed is lost/s);
my $back = $ng->log_count(qr/oa_auth: the change feed is back/);
$pg->start;
revoke('down');
ok +(wait_for {
    $ng->log_count(qr/oa_auth: the change feed is back/) > $back
} 20), 'the database is back';
becomes('down', '401 revoked', 'and says more');

# schema oa is made anew: nothing is revoked but what it says

delete $pg->{dbh};
away(sub {
    $pg->do('SET client_min_messages = warning');
    $pg->do('DROP SCHEMA oa CASCADE');
    $pg->apply;
    revoke('last');
});
is verdict('last'), '401 revoked', 'another feed: what it says';
is verdict($_), '200 ', "and no more: $_" for qw(before away down other);

done_testing;
