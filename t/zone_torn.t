# A worker dies inside the zone's lock under a configuration that does not know
# all parts of the zone: one that comes back by a later reload is repaired then.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_raw http_get);
use OA::Fetch;
use OA::Nginx;

sub conf {
    my ($part) = @_;
    return (http => <<"CONF");
    $part
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { return 204; }
        location /die { oa_test_die; }
    }
CONF
}

my $ng = OA::Nginx->new(modules => OA::Fetch::modules(),
                        conf('oa_test_part;'));
$ng->expect_log(qr/exited on signal 9/, qr/was locked by/);

my $repaired = qr/part "test" is repaired/;

is $ng->log_count(qr/part "test" is fresh/), 1, 'a part';

$ng->write_conf(conf(''));
ok $ng->reload, 'another configuration, without it';

my ($pid) = $ng->worker_pids;
is http_raw($ng->port, "GET /die HTTP/1.0\r\n\r\n"), undef, 'a death';
ok $ng->wait_log(qr/process $pid exited on signal 9/), 'seen by the master';

$ng->write_conf(conf(''));
ok $ng->reload, 'the zone is locked again';
is $ng->log_count(qr/process $pid died while it wrote, repairing/), 1,
    'and repaired';
is $ng->log_count($repaired), 0, 'as far as its parts are known';

$ng->write_conf(conf('oa_test_part;'));
ok $ng->reload, 'the part comes back';
is $ng->log_count($repaired), 1, 'and is repaired';
is $ng->log_count(qr/part "test" is met again/), 1, 'before it is used';

ok $ng->reload, 'one more reload';
is $ng->log_count($repaired), 1, 'repairs nothing';

is http_get($ng->port, '/')->status, 204, 'all is well';

done_testing;
