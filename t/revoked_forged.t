# Any role can NOTIFY: what is sent revokes nothing, and lifts nothing.

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
$pg->do('CREATE ROLE forger LOGIN');
my ($good, $bad) = (uuid(), uuid());
$pg->do('SELECT oa.revoke_user(?)', $bad);

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
    my ($user) = @_;
    my $token = $key->token({ sub => $user, session_id => uuid() });
    my $r = http_get($ng->port, '/',
                     headers => [ Authorization => "Bearer $token" ]);
    return $r->status . ' ' . ($r->header('X-Error') // '');
}

my $forger = $pg->connect(user => 'forger');

# When the user revoked after them is refused, the notifications were read.
sub notify {
    $forger->do('SELECT pg_notify(?, ?)', undef, 'oa_revocations', $_) for @_;
    my $fence = uuid();
    $pg->do('SELECT oa.revoke_user(?)', $fence);
    ok +(wait_for { verdict($fence) eq '401 revoked' } 5),
        'a revocation behind it is in force';
    is verdict($good), '200 ', 'who was good is good';
    is verdict($bad), '401 revoked', 'who was revoked is revoked';
}

ok $ng->wait_log(qr/1 revocations read from the database/), 'the first read';

notify($good, $bad);
notify(uc $good, uc $bad);
notify(qq({"user":"$good","seconds":3600}), qq({"user":"$bad","seconds":0}),
       qq({"id":"$good","until":"infinity"}), qq({"id":"$bad","until":null}));
notify('*', '**', '* ', ' *');
notify(map { uuid() } 1 .. 1000);
notify(
    '', 'x', '{', '{}', '[[[[', 'null', "$good ", " $good", "$good$good",
    "{$good}", "$good,$bad", substr($good, 1), "$good'", "$good\\",
    $good =~ tr/-/_/r, $good =~ tr/-//dr, 'g' x 36, '-' x 36, '0' x 36,
    '00000000-0000-0000-0000-000000000000',
    '{"beat":1}', '{"beat":"1"}', '{"beat":"x"}', '{"beat":', '{"beat":"',
    '{"beat":"99999999999999999999999"}', '{"beat":["1"]}', 'x' x 7999,
    '{"beat":"' . '1' x 7900, "\xc3\xa9", "\r\n[alert] forged\r\n",
);

for my $sql ('SELECT oa.unrevoke_user(?)', 'SELECT oa.revoke_user(?)',
             'INSERT INTO oa.revocations (id) VALUES (?)',
             'DELETE FROM oa.revocations WHERE id = ?')
{
    ok !eval { $forger->do($sql, undef, $bad); 1 }, "not: $sql";
}

is $ng->log_count(qr/revocations read from the database/), 1,
    'nothing was read in full';
is $ng->log_count(qr/the change feed is lost/), 0, 'the feed was not lost';
unlike $ng->log, qr/^\[alert\] forged/m, 'a payload writes no line of the log';
is $ng->worker_pids, 2, 'the workers stand';

done_testing;
