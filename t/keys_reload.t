# A reload keeps the keys of a source that stays, fetches them at once, and has
# none of another source's.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Jwks;
use OA::Nginx;
use OA::Token qw(key $ISSUER);
use OA::Util qw(wait_for);

my ($one, $two) = map { key('ES256', kid => "k$_") } 1, 2;
my $jwks = OA::Jwks->new(keys => [ $one ]);
my $other = OA::Jwks->new(keys => [ $two ]);

sub conf {
    my ($url, %o) = @_;
    return <<"CONF";
    oa_issuer t {
        jwks_uri $url;
        issuer $ISSUER; audience authenticated;
        leeway @{[ $o{leeway} // '30s' ]};
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / {
            oa_auth t;
            add_header X-Error \$oa_auth_error always;
            empty_gif;
        }
    }
CONF
}

my $ng = OA::Nginx->new(workers => 2, http => conf($jwks->url));

sub told {
    my ($key) = @_;
    my $r = http_get($ng->port, '/',
                     headers => [ Authorization => 'Bearer ' . $key->token ]);
    return $r->status . ($r->header('X-Error') // '');
}

ok +(wait_for { told($one) eq '200' }), 'fetched';
is $jwks->count, 1, 'once';

# the same source

ok $ng->reload, 'a reload';
ok $jwks->wait_requests(2, 5), 'fetches at once';
is told($one), '200', 'the key is served';

$jwks->fault(hold => 1);
ok $ng->reload, 'a reload while the server hangs';
ok $jwks->wait_requests(3, 5), 'fetches at once';
is told($one), '200', 'the key is served, nobody waits';
$jwks->fault();

$jwks->stop;
$ng->write_conf(http => conf($jwks->url, leeway => '10s'));
ok $ng->reload, 'a reload with another leeway, the server is down';
ok $ng->wait_log(qr/fetching keys from .* failed/), 'the fetch fails';
is told($one), '200', 'the key is served';
$jwks->publish($one, $two);
$jwks->start;
ok $ng->reload, 'the server is back';
ok +(wait_for { told($two) eq '200' } 5), 'a reload is how to get a new key';
$jwks->publish($two);
ok $ng->reload, 'and again';
ok +(wait_for { told($one) eq '401key' } 5), 'to be rid of an old one';

# another one

$jwks->publish($one);
$ng->reload;
ok +(wait_for { told($one) eq '200' } 5), 'the first key again';
$other->fault(hold => 1);
$ng->write_conf(http => conf($other->url));
ok $ng->reload, 'another source';
$other->wait_requests(1);
$other->fault();
is told($one), '401key', 'the keys of the old one are not known';
is told($two), '200', 'those of the new one are';

$other->stop;
$ng->write_conf(http => conf($jwks->url));
ok $ng->reload, 'and back';
is told($one), '200', 'the keys of the first';
ok +(wait_for { told($two) eq '401key' } 35), 'and no others';

# a configuration that is refused at the very end, after the zone has met it

$other->start;
$ng->expect_log(qr/\[emerg\].*bind\(\) to 127\.0\.0\.1:\d+ failed/,
                qr/\[emerg\].*still could not bind/);
$ng->write_conf(http => conf($other->url) . 'server { listen 127.0.0.1:'
                        . $other->port . '; }');
ok !$ng->reload, 'a reload that fails: another source, and an address in use';
is told($one), '200', 'the old keys stay';
is told($two), '401key', 'there are no others';
$jwks->publish($one, key('ES256', kid => 'k5'));
ok +(wait_for { $ng->log =~ /still could not bind/ } 10), 'it is over';
$ng->write_conf(http => conf($jwks->url));
ok $ng->reload, 'a good one';
ok +(wait_for { told(key('ES256', kid => 'k5')) eq '200' } 5), 'goes on';
$jwks->publish($one);

# so many sources that places in the zone are used again

for my $n (1 .. 40) {
    $ng->write_conf(http => conf($jwks->url . "?$n"));
    $ng->reload or fail "reload $n";
    my $told = told($one);
    $told eq '200' or fail "source $n: $told";
}
is told($one), '200', 'forty sources later';

done_testing;
