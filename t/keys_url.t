# Keys from a URL: fetched once for all workers, before anybody asks, and again
# by the clock.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Jwks;
use OA::Nginx;
use OA::Token qw(key jwks $ISSUER);
use OA::Util qw(wait_for);

my ($rsa, $ec) = (key('RS256', kid => 'k1'), key('ES256', kid => 'k2'));
my $jwks = OA::Jwks->new(keys => [ $rsa, $ec ]);

my $ng = OA::Nginx->new(workers => 4, http => <<"CONF");
    oa_issuer t {
        jwks_uri @{[ $jwks->url ]};
        issuer $ISSUER; audience authenticated;
        refresh 1s;
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

sub get {
    my ($token) = @_;
    return http_get($ng->port, '/',
                    headers => [ Authorization => "Bearer $token" ]);
}

# The different answers of all workers.
sub all {
    my ($token) = @_;
    my (%pids, %answers);
    wait_for {
        my $r = get($token);
        $pids{ $r->header('X-Pid') } = 1;
        $answers{ $r->status . ($r->header('X-Error') // '') } = 1;
        keys %pids == 4;
    } 10;
    return join ' ', sort keys %answers;
}

ok $ng->wait_log(qr/oa_issuer "t": 2 keys read from "http/),
    'fetched before any request';
is $jwks->count, 1, 'once';
is all($rsa->token), 200, 'RS256, in all workers';
is all($ec->token), 200, 'ES256';
is all(key('ES256', kid => 'k1')->token), '401algorithm',
    'a kid with another alg than its key has';

my ($request) = $jwks->requests;
is $request->{method}, 'GET', 'GET';
like $request->{headers}{accept}, qr{\bapplication/json\b}, 'Accept';

my $n = $jwks->count;
ok $jwks->wait_requests($n + 3, 10), 'fetched again and again';

$jwks->body('{"keys":[' . join(',', map { jwks($_) =~ /\[(.*)\]/s } $ec, $rsa)
            . '], "more": 1}');
$jwks->wait_requests($jwks->count + 2);
is $ng->log_count(qr/keys read from/), 1, 'the order of keys is no change';

my $bad = key('RS256', kid => "bad\n\"one\"", bits => 1024);
my $enc = key('ES256', kid => 'enc')->jwk(use => 'enc');
$jwks->publish($rsa, $bad, $enc);
ok $ng->wait_log(qr/oa_issuer "t": 1 keys read from/), 'a change';
ok $ng->wait_log(qr/\[warn\].*the key "bad\\u000a\\"one\\"" of ".*" is passed/),
    'a bad key is named';
ok $ng->wait_log(qr/the key "enc" of ".*" is passed over: \S/),
    'and one for encryption';
is all($rsa->token), 200, 'the good one is served';
is all($ec->token), '401key', 'the one that is gone is not';

$jwks->wait_requests($jwks->count + 2);
is $ng->log_count(qr/is passed over/), 2, 'said once';

$jwks->publish;
ok $ng->wait_log(qr/\[warn\].*0 keys read from/), 'an empty set is a set';
is all($rsa->token), '401key', 'no key is left';

for my $type ('application/jwk-set+json', 'Application/JSON; charset=utf-8',
              'application/json;x')
{
    $jwks->publish($rsa);
    $jwks->fault(type => $type);
    ok +(wait_for { get($rsa->token)->status == 200 } 5), $type;
    $jwks->fault();
    $jwks->publish;
    ok +(wait_for { get($rsa->token)->status == 401 } 5), 'gone again';
}

my $none = key('ES256', kid => undef);
$jwks->publish($none);
ok +(wait_for { get($none->token)->status == 200 } 5),
    'no kid where one key fits';
$jwks->publish($none, $ec);
ok +(wait_for { get($ec->token)->status == 200 } 5), 'another that fits';
is all($none->token), '401key', 'then it names none';

is $ng->log_count(qr/\[error\]/), 0, 'no error';

done_testing;
