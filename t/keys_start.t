# Nothing is judged before the first fetch has ended: requests wait for it.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Jwks;
use OA::Nginx;
use OA::Token qw(key $ISSUER);
use OA::Util qw(wait_for);

my $key = key('ES256', kid => 'k1');
my $jwks = OA::Jwks->new(keys => [ $key ]);

sub conf {
    my ($url) = @_;
    return <<"CONF";
    oa_issuer t {
        jwks_uri $url;
        issuer $ISSUER; audience authenticated;
        refresh 60s;
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
}

sub request {
    my ($token) = @_;
    return "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer $token\r\n\r\n";
}

sub told {
    my ($r) = @_;
    return $r->status . ($r->header('X-Error') // '');
}

sub get {
    my ($ng, $token) = @_;
    return told(http_get($ng->port, '/',
                         headers => [ Authorization => "Bearer $token" ]));
}

my $ng;

# requests come first
{
    $jwks->fault(hold => 1);
    $ng = OA::Nginx->new(workers => 4, http => conf($jwks->url));
    my @clients = map { OA::Client->new($ng->port) } 1 .. 40;
    $_->send(request($key->token)) for @clients;
    my $odd = OA::Client->new($ng->port);
    $odd->send(request(key('ES256', kid => 'other')->token));

    ok $jwks->wait_requests(1), 'the first fetch';
    my @early = map { $_->closed(0.01) } @clients;
    ok !(grep { $_ } @early), 'nobody has an answer';

    $jwks->fault();
    my @r = map { $_->response } @clients;
    is_deeply [ grep { $_ ne '200' } map { told($_) } @r ], [],
        'they get it when it has ended';
    my %pids = map { $_->header('X-Pid') => 1 } @r;
    is keys %pids, 4, 'from all workers';
    is told($odd->response), '401key', 'who names another key does not';
    cmp_ok $jwks->count, '<=', 2, 'one fetch, and one for that key';
}

# it fails
{
    my $from = $jwks->count;
    $jwks->fault(status => 500, delay => 1);
    $ng = OA::Nginx->new(workers => 2, http => conf($jwks->url));
    my $start = time;
    is get($ng, $key->token), '503keys_unavailable', 'the first fetch fails';
    cmp_ok time - $start, '<', 5, 'and is not waited for twice';
    is get($ng, key('ES256', kid => 'x')->token), '503keys_unavailable',
        'nothing is told of any key';
    is $jwks->count, $from + 1, 'by one fetch';

    $jwks->fault();
    ok +(wait_for { get($ng, $key->token) eq '200' } 10), 'tried again';
    ok $ng->wait_log(qr/fetched from ".*" again after 1 failures/), 'and told';
}

# no answer at all
{
    $jwks->fault(silent => 1);
    $ng = OA::Nginx->new(workers => 2, http => conf($jwks->url));
    my $start = time;
    my $client = OA::Client->new($ng->port, timeout => 15);
    $client->send(request($key->token));
    is told($client->response), '503keys_unavailable', 'a server that hangs';
    my $took = time - $start;
    ok $took > 2 && $took < 11, sprintf 'bounded: %.1f s', $took;
}

# nobody there
{
    $jwks->stop;
    $ng = OA::Nginx->new(workers => 2, http => conf($jwks->url));
    is get($ng, $key->token), '503keys_unavailable', 'a server that is down';
    ok $ng->wait_log(
        qr/\[error\].*"t": fetching keys from "http.*" failed: \S.*next try/),
        'is told';
    $jwks->fault();
    $jwks->start;
    ok +(wait_for { get($ng, $key->token) eq '200' } 20), 'it comes';
}

# a client that goes, and a worker that goes, while they wait
{
    $jwks->fault(hold => 1);
    $ng = OA::Nginx->new(workers => 1, http => conf($jwks->url));
    my $client = OA::Client->new($ng->port);
    $client->send(request($key->token));
    my $other = OA::Client->new($ng->port);
    $other->send(request($key->token));
    $jwks->wait_requests($jwks->count + 1, 0.2);
    $client->close;
    $ng->signal('HUP');
    ok +(wait_for { $ng->old_worker_pids } 10), 'a reload meanwhile';
    $jwks->fault();
    is told($other->response), '200', 'who waited gets an answer';
    ok +(wait_for { !$ng->old_worker_pids } 10), 'the old worker ends';
    is get($ng, $key->token), '200', 'the new one serves';
}

# nobody waits: an exiting worker does not stay for its fetch
{
    $jwks->fault(silent => 1);
    my $n = $jwks->count;
    $ng = OA::Nginx->new(workers => 1, http => conf($jwks->url));
    $jwks->wait_requests($n + 1);
    my $start = time;
    ok $ng->quit, 'quit in the midst of a fetch';
    cmp_ok time - $start, '<', 3, 'at once';
}

done_testing;
