# A kid that nobody knows is asked for, once in 30 s for all workers; who asked
# waits for the answer.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_many request_bytes);
use OA::Jwks;
use OA::Nginx;
use OA::Token qw(key $ISSUER);
use OA::Util qw(wait_for);

my @keys = map { key('ES256', kid => "k$_") } 0 .. 2;
my $jwks = OA::Jwks->new(keys => [ $keys[0] ]);

my $ng = OA::Nginx->new(workers => 4, http => <<"CONF");
    oa_issuer t {
        jwks_uri @{[ $jwks->url ]};
        issuer $ISSUER; audience authenticated;
    }
    server {
        listen 127.0.0.1:%%PORT_0%% reuseport;
        location / {
            oa_auth t;
            add_header X-Error \$oa_auth_error always;
            add_header X-Pid \$pid always;
            empty_gif;
        }
    }
CONF

sub request {
    my ($token) = @_;
    return request_bytes('/', host => 'a', close => 1,
                         headers => [ Authorization => "Bearer $token" ]);
}

sub told {
    my ($r) = @_;
    return 'nothing' unless $r;
    return $r->status . ($r->header('X-Error') // '');
}

sub get { told((http_many($ng->port, [ request($_[0]->token) ]))[0]) }

ok $jwks->wait_requests(1), 'the first fetch';
ok $ng->wait_log(qr/1 keys read from/), 'has ended';

# what no fetch can bring asks for none
is get(key('HS256', kid => 'k0')), '401algorithm', 'HS256';
is get(key('HS256', kid => 'new')), '401algorithm', 'HS256, another kid';
is get(key('RS256', kid => 'k0')), '401algorithm', 'another alg of its key';
is get(key('RS256', kid => undef)), '401key', 'no kid';
is $jwks->count, 1, 'no fetch for these';

# a new key, of which 60 requests come at the same time, some with junk
$jwks->publish(@keys[0, 1]);
$jwks->fault(delay => 1);
my $asked = time;
my @tokens = map {
    ($_ % 3 ? $keys[1] : key('ES256', kid => "x$_"))->token
} 1 .. 60;
my @r = http_many($ng->port, [ map { request($_) } @tokens ]);
is_deeply [ map { told($r[$_ - 1]) } 1 .. 60 ],
          [ map { $_ % 3 ? '200' : '401key' } 1 .. 60 ],
          'all wait: the new key is known, what is junk is not';
my %pids = map { $_->header('X-Pid') => 1 } grep { $_ } @r;
is keys %pids, 4, 'in all workers';
is $jwks->count, 2, 'by one fetch';
cmp_ok time - $asked, '<', 5, 'waited for once';
$jwks->fault();

# from now on nothing is asked for
$jwks->publish(@keys);
my $start = time;
@r = http_many($ng->port, [ map { request(key('ES256', kid => "y$_")->token) }
                            1 .. 60 ]);
is_deeply [ grep { $_ ne '401key' } map { told($_) } @r ], [],
    'others are unknown';
is get($keys[2]), '401key', 'and so is one that is new';
cmp_ok time - $start, '<', 3, 'without waiting';
is $jwks->count, 2, 'no fetch';
is get($keys[1]), '200', 'what is known is served';

ok $ng->reload, 'a reload';
ok $jwks->wait_requests(3), 'fetches at once';
ok +(wait_for { get($keys[2]) eq '200' } 5), 'and so an operator brings it';
$jwks->publish(@keys, key('ES256', kid => 'k4'));
is get(key('ES256', kid => 'k4')), '401key', 'the 30 s outlive it';

ok +(wait_for { get(key('ES256', kid => 'k4')) eq '200' } 40),
    'after 30 s it is asked for';
cmp_ok time - $asked, '>', 29, 'not before';
is $jwks->count, 4, 'by one fetch';

done_testing;
