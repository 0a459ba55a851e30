# What a row says counts at once: owner, access and status change while
# requests go on, and while one waits for keys.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get request_bytes);
use OA::Jwks;
use OA::Nginx;
use OA::Postgres;
use OA::Routes qw(insert_route uuid);
use OA::Token qw(key jwks $ISSUER $USER);
use OA::Util qw(wait_for);

my $pg = OA::Postgres->new->apply;
my $key = key('ES256', kid => 'k1');
my $late = key('ES256', kid => 'late');
my $keys = OA::Jwks->new(keys => [ $key ]);
my $bob = uuid();

insert_route($pg, 'alice', user_id => $USER, access => 'owner');
insert_route($pg, 'bob', user_id => $bob, access => 'owner');

my $ng = OA::Nginx->new(workers => 2, http => <<"CONF");
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}';
    oa_issuer t {
        jwks_uri @{[ $keys->url ]}; issuer $ISSUER; audience authenticated;
    }
    oa_routes t { domain openagents.example; source postgres; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        oa_auth t;
        location / { oa_replay; }
        location /seen {
            set \$seen \$oa_route_id;
            add_header X-Owner \$oa_user_id always;
            oa_replay;
        }
    }
CONF

ok $ng->wait_log(qr/2 routes read from the database/), 'the first read';

my %as = (
    nobody => [],
    alice  => [ Authorization => 'Bearer ' . $key->token ],
    bob    => [ Authorization => 'Bearer ' . $key->token({ sub => $bob }) ],
);

sub status {
    my ($who, $path) = @_;
    return http_get($ng->port, $path // '/', headers => $as{$who},
                    host => 'alice.openagents.example')->status;
}

sub all { join ' ', map { status($_) } qw(nobody alice bob) }

# Requests go on the while; each answer is that of before or of after.
sub becomes {
    my ($what, $answers, $sql, @values) = @_;
    my $before = all();
    my %seen;
    $pg->do("UPDATE public.agent_instances SET $sql WHERE subdomain = 'alice'",
            @values);
    ok +(wait_for { my $all = all(); $seen{$_} = 1 for split ' ', $all;
                    $all eq $answers } 5), "$what: $answers" or diag all();
    is +(grep { all() ne $answers } 1 .. 10), 0, 'by all workers, to stay';
    my %known = map { $_ => 1 } split ' ', "$before $answers";
    is join(' ', grep { !$known{$_} } sort keys %seen), '',
        'with nothing between';
}

is all(), '401 307 404', 'the owner, another user, and nobody';
becomes('another owner', '401 404 307', 'user_id = ?', $bob);
becomes('for users',     '401 307 307', q(access = 'authenticated'));
becomes('public',        '307 307 307', q(access = 'public'));
becomes('disabled',      '402 402 402', q(status = 'disabled'));
becomes('of its owner',  '401 404 402', q(access = 'owner'));
becomes('failed',        '401 404 503', q(status = 'error'));
becomes('the first one', '401 503 404', 'user_id = ?', $USER);
becomes('running',       '401 307 404', q(status = 'running'));
becomes('renamed',       '401 404 404', q(subdomain = 'other'));
$pg->do(q{UPDATE public.agent_instances SET subdomain = 'alice'
          WHERE subdomain = 'other'});
ok +(wait_for { all() eq '401 307 404' } 5), 'and back';

# A request waits for the key of its token.  What counts is who owns the route
# then, not before.

my @clients = map { OA::Client->new($ng->port, timeout => 20) } 1 .. 4;
my $n = $keys->count;

$keys->fault(hold => 1);
$clients[$_]->send(request_bytes($_ < 2 ? '/' : '/seen',
    host => 'alice.openagents.example', headers => [ Authorization =>
        'Bearer ' . $late->token({ sub => $_ % 2 ? $bob : $USER }) ]))
    for 0 .. 3;
ok $keys->wait_requests($n + 1, 10), 'the key is asked for';

$pg->do(q{UPDATE public.agent_instances SET user_id = ?
          WHERE subdomain = 'alice'}, $bob);
ok +(wait_for { all() eq '401 404 307' } 5), 'the owner changes';
$keys->publish($key, $late);
$keys->fault();

my @status = map { $_->response->status } @clients;
is "@status", '404 307 404 307', 'only the new one passes';

done_testing;
