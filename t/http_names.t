# The name in a URL is asked of nginx's resolver, for each exchange; all its
# addresses are tried.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_many request_bytes);
use OA::Fetch qw(fetch_nginx fetch fetched);
use OA::Jwks;
use OA::Resolver;
use OA::Util qw(wait_for);

my $peer = OA::Jwks->new;
my $port = $peer->port;
my $six = eval { OA::Jwks->new(address => '::1') };

my $dns = OA::Resolver->new('one.internal' => '127.0.0.1',
    'dead.internal' => '127.0.0.99',
    'two.internal' => [ '127.0.0.99', '127.0.0.1' ],
    'six.internal' => [ '::1', '127.0.0.99' ]);

my $ng = fetch_nginx(
    http => "resolver @{[ $dns->address ]} valid=1s; resolver_timeout 2s;",
    server => join ' ', map {
        "location /$_/ { oa_test_fetch http://$_:$port; }"
    } qw(one.internal ONE.internal dead.internal two.internal none.internal
         late.internal localhost 127.0.0.1));

sub target { return fetch($ng, "/$_[0]/") }

is target($_)->{answer}, '{"keys":[]}', $_
    for qw(one.internal ONE.internal localhost 127.0.0.1);
my $host = ($peer->requests)[0]{headers}{host};
is $host, "one.internal:$port", 'Host is the name';
is $dns->count('localhost'), 0, 'localhost is not asked for';

for (1 .. 8) {
    my $f = target('two.internal');
    is $f->{error} . $f->{answer}, '{"keys":[]}', 'two addresses, one dead';
}

like target('dead.internal')->{error}, qr/^no connection to dead\.internal:/,
    'one address, dead';
is target('none.internal')->{error},
    'host "none.internal" could not be resolved: Host not found',
    'no such name';

# an address that changes

$dns->set('dead.internal' => '127.0.0.1');
ok +(wait_for { target('dead.internal')->{answer} } 10), 'a new address';
$dns->set('dead.internal' => '127.0.0.99');
ok +(wait_for { target('dead.internal')->{error} } 10), 'is asked for again';

# many that wait for one name

my @r = http_many($ng->port, [ map { request_bytes('/two.internal/',
    host => 'x', close => 1) } 1 .. 40 ]);
is +(grep { $_ && fetched($_)->{answer} eq '{"keys":[]}' } @r), 40,
    'forty at once';

# a name server that is silent

$dns->silent(1);
my $start = time;
like target('late.internal')->{error},
    qr/^host "late\.internal" could not be resolved: Operation timed out$/,
    'a silent name server';
cmp_ok time - $start, '<', 8, 'in time';
$dns->silent(0);

my $hurry = fetch_nginx(
    http => "resolver @{[ $dns->address ]}; resolver_timeout 60s;",
    server => "location / { oa_test_fetch http://late.internal timeout=1s; }");
$dns->silent(1);
is fetch($hurry, '/')->{error}, 'host could not be resolved in time',
    'the time of the exchange has the name in it';
$dns->silent(0);

SKIP: {
    skip 'no IPv6', 2 unless $six;
    my $ng6 = fetch_nginx(
        http => "resolver @{[ $dns->address ]};",
        server => "location /name { oa_test_fetch http://six.internal:"
                  . $six->port . '; }'
                  . "location / { oa_test_fetch http://[::1]:"
                  . $six->port . '; }');
    is fetch($ng6, '/')->{answer}, '{"keys":[]}', 'an IPv6 address';
    is fetch($ng6, '/name')->{answer}, '{"keys":[]}', 'of a name';
}

done_testing;
