# From the commit until every worker refuses the token: 50 ms, p95.

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

my $WORKERS = 4;
my $CHANGES = 60;

my $pg = OA::Postgres->new->apply;
my $user = uuid();
my @session = map { uuid() } 1 .. $CHANGES;
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
            empty_gif;
        }
    }
CONF
    files => { 'keys.json' => jwks($key) });

ok $ng->wait_log(qr/0 revocations read from the database/), 'the first read';

# one connection to each worker

my %client;
wait_for {
    my $client = OA::Client->new($ng->port);
    $client{ $client->get('/')->header('X-Pid') } //= $client;
    keys %client == $WORKERS;
};
is keys %client, $WORKERS, 'every worker is asked';

my ($wrong, @took) = 0;

for my $session (@session) {
    my @bearer = (headers => [ Authorization => 'Bearer '
        . $key->token({ sub => $user, session_id => $session }) ]);
    my %left = %client;

    $wrong += $_->get('/', @bearer)->status != 200 for values %left;

    my $dbh = $pg->dbh;
    $dbh->begin_work;
    $dbh->do('DELETE FROM auth.sessions WHERE id = ?', undef, $session);
    $dbh->commit;
    my $start = time;

    while (%left and time < $start + 5) {
        for my $pid (keys %left) {
            delete $left{$pid}
                if $left{$pid}->get('/', @bearer)->status == 401;
        }
    }

    push @took, (time - $start) * 1000;
}

is $wrong, 0, 'all were good before';

@took = sort { $a <=> $b } @took;
my ($median, $p95) = @took[ $#took * 0.5, $#took * 0.95 ];
diag sprintf 'commit to refused by %d workers: median %.1f ms, p95 %.1f ms, '
             . 'max %.1f ms', $WORKERS, $median, $p95, $took[-1];

cmp_ok $took[-1], '<', 5000, 'every revocation came';
SKIP: {
    skip 'under a sanitizer time is no measure', 1 if OA::Nginx->sanitized;
    cmp_ok $p95, '<=', 50, 'p95';
}

done_testing;
