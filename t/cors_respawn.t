# A reload that fails leaves the running configuration as it was, in workers
# that begin afterwards, too: nginx keeps filters outside of it.

use strict;
use warnings;

use IO::Socket::IP ();
use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_request);
use OA::Nginx;
use OA::Util qw(wait_for);

my $origin = 'https://app.example';

my $ng = OA::Nginx->new(http => <<"CONF");
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_cors_origin $origin;
        location / { empty_gif; }
    }
CONF

sub allowed {
    my $r = http_request($ng->port, '/', headers => [ Origin => $origin ]);
    return $r && $r->header('Access-Control-Allow-Origin') // '';
}

is allowed(), $origin, 'a listed origin';

# found out after all modules have set themselves up
my $taken = IO::Socket::IP->new(LocalHost => '127.0.0.1', Listen => 1);
my $port = $taken->sockport;
$ng->expect_log(qr/bind\(\) to 127\.0\.0\.1:$port failed/);
$ng->expect_log(qr/still could not bind\(\)/);
$ng->expect_log(qr/exited on signal 9/);

$ng->write_conf(http => <<"CONF");
    server {
        listen 127.0.0.1:$port;
        location / { empty_gif; }
    }
CONF

kill 'HUP', $ng->pid;
ok $ng->wait_log(qr/still could not bind/, 10), 'a reload that fails';

my ($old) = $ng->worker_pids;
$ng->kill_worker(0);
ok +(wait_for { my ($new) = $ng->worker_pids; $new && $new != $old } 10),
    'another worker';
ok +(wait_for { eval { allowed() eq $origin } } 10),
    'the origin is listed there, too';

done_testing;
