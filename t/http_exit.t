# A worker that is told to exit ends the exchanges that somebody waits for, and
# waits for nothing else.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(request_bytes);
use OA::Fetch qw(fetch_nginx fetch fetched);
use OA::Jwks;
use OA::Resolver;
use OA::Util qw(wait_for);

my $peer = OA::Jwks->new(tls => 1);
my $url = $peer->url =~ s{(:\d+)/.*}{$1}r;
my $dns = OA::Resolver->new('slow.internal' => '127.0.0.1');

sub nginx {
    return fetch_nginx(@_,
        http => "resolver @{[ $dns->address ]}; resolver_timeout 60s;"
                . 'oa_trusted_certificate ' . $peer->ca_file . ';',
        server => <<"CONF");
        location /      { oa_test_fetch $url timeout=60s; }
        location /short { oa_test_fetch $url timeout=2s; }
        location /name  { oa_test_fetch http://slow.internal timeout=60s; }
CONF
}

sub ask {
    my ($ng, $path) = @_;
    my $client = OA::Client->new($ng->port, timeout => 60);
    $client->send(request_bytes($path, host => 'x', close => 1));
    return $client;
}

sub asked {
    my ($ng, $path) = @_;
    my $n = $peer->count;
    my $client = ask($ng, $path);
    $peer->wait_requests($n + 1, 20) or die 'not asked';
    return $client;
}

# a reload

my $ng = nginx();
is fetch($ng, '/')->{status}, 200, 'an exchange is over';
ok $ng->reload, 'a reload';
ok +(wait_for { !$ng->old_worker_pids } 10), 'the old worker waits for nobody';

$peer->fault(hold => 1);
my $client = asked($ng, '/');
ok $ng->reload, 'a reload while one is out';
is +(() = $ng->old_worker_pids), 1, 'the old worker waits';
$peer->fault();
is fetched($client->response)->{answer}, '{"keys":[]}', 'for the answer';
ok +(wait_for { !$ng->old_worker_pids } 10), 'and goes';

$peer->fault(hold => 1);
$client = asked($ng, '/short');
ok $ng->reload, 'a reload while one is out that nobody answers';
is fetched($client->response)->{error}, 'no answer in time', 'in time';
ok +(wait_for { !$ng->old_worker_pids } 10), 'the old worker goes';

$client = asked($ng, '/');
ok $ng->reload, 'a reload while one is out';
$client->close;
ok +(wait_for { !$ng->old_worker_pids } 10),
    'the old worker goes when its client does';

$dns->silent(1);
my $n = $dns->count;
$client = ask($ng, '/name');
ok +(wait_for { $dns->count > $n } 10), 'a name is asked for';
ok $ng->reload, 'a reload meanwhile';
$client->close;
ok +(wait_for { !$ng->old_worker_pids } 10), 'the old worker goes, too';

# the end

my @clients = (ask($ng, '/name'), map { asked($ng, '/') } 1 .. 3);
my $start = time;
ok $ng->stop, 'an end at once';
cmp_ok time - $start, '<', 10, 'waits for nobody';
unlike $ng->log, qr/open socket|left in connection/, 'leaves nothing';

$ng = nginx(main => 'worker_shutdown_timeout 1s;');
@clients = (ask($ng, '/name'), map { asked($ng, '/') } 1 .. 3);
$start = time;
ok $ng->quit, 'a quiet end with a worker_shutdown_timeout';
cmp_ok time - $start, '<', 10, 'does not wait for long';
unlike $ng->log, qr/open socket|left in connection/, 'leaves nothing';

# a death

$ng = nginx();
$client = asked($ng, '/');
$ng->kill_worker;
$peer->fault();
is fetch($ng, '/')->{answer}, '{"keys":[]}', 'after kill -9 the next works';

done_testing;
