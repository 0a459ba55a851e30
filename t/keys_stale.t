# While keys cannot be fetched the old ones are served, up to max_stale; then
# there is no verdict at all, which is 503 and never 401.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Jwks;
use OA::Nginx;
use OA::Token qw(key jwks $ISSUER);
use OA::Util qw(wait_for);

my $key = key('ES256', kid => 'k1');
my $of_file = key('ES256', kid => 'f1');
my $jwks = OA::Jwks->new(keys => [ $key ]);

my $ng = OA::Nginx->new(
    workers => 3,
    files => { 'keys.json' => jwks($of_file) },
    http => <<"CONF");
    oa_issuer t {
        jwks_uri @{[ $jwks->url ]};
        issuer $ISSUER; audience authenticated;
        refresh 1s; max_stale 4s;
    }
    oa_issuer both {
        jwks_uri @{[ $jwks->url ]};
        jwks_file keys.json;
        issuer $ISSUER; audience authenticated;
        refresh 1s; max_stale 4s;
    }
    server {
        listen 127.0.0.1:%%PORT_0%% reuseport;
        add_header X-Error \$oa_auth_error always;
        location / { oa_auth t; empty_gif; }
        location /both { oa_auth both; empty_gif; }
    }
CONF

sub response {
    my ($key, $path) = @_;
    return http_get($ng->port, $path // '/',
                    headers => [ Authorization => 'Bearer ' . $key->token ]);
}

sub told {
    my $r = response(@_);
    return $r->status . ($r->header('X-Error') // '');
}

# Of several workers.
sub all {
    my @args = @_;
    my %answers = map { told(@args) => 1 } 1 .. 16;
    return join ' ', sort keys %answers;
}

ok +(wait_for { all($key) eq '200' }), 'fetched';
is all($key, '/both'), '200', 'and with a file beside';

$jwks->stop;
my $down = time;
ok $ng->wait_log(qr/oa_issuer "t": fetching keys from .* failed: /),
    'the server is gone';
is all($key), '200', 'its keys are served';
is all(key('ES256', kid => 'x')), '401key', 'what they do not have is not';

ok +(wait_for { all($key) eq '503keys_unavailable' } 15), 'until max_stale';
my $took = time - $down;
ok $took > 2.9 && $took < ($ng->sanitized ? 15 : 7),
    sprintf 'after %.1f s', $took;
ok $ng->wait_log(qr/\[crit\].*oa_issuer "t": no good answer from .* for 4 s/),
    'which is told';
is all(key('ES256', kid => 'x')), '503keys_unavailable',
    'nothing is known of other keys, either';

ok +(wait_for { all($key, '/both') eq '503keys_unavailable' } 5),
    'the same with a file';
is all($of_file, '/both'), '200', 'whose own keys do not age';
is $ng->log_count(qr/\[crit\].*oa_issuer "t"/), 1, 'said once';

$jwks->start;
ok +(wait_for { all($key) eq '200' } 10), 'it comes back by itself';
ok $ng->wait_log(qr/"t": keys are fetched from ".*" again after \d+ failures/),
    'which is told';
ok +(wait_for { all($key, '/both') eq '200' } 10), 'everywhere';
is $ng->log_count(qr/keys read from "http/), 2,
    'the keys are the same, and so not told again';

done_testing;
