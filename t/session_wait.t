# A session waits for the first keys, and begins when they have come.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw(decode_json);
use OA::Client qw(http_request request_bytes);
use OA::Jwks;
use OA::Nginx;
use OA::Token qw(key $ISSUER);
use OA::Util qw(wait_for);

my $key = key('ES256', kid => 'k1');
my $jwks = OA::Jwks->new(keys => [ $key ]);
my $conf = <<"CONF";
    oa_issuer t {
        jwks_uri @{[ $jwks->url ]};
        issuer $ISSUER; audience authenticated;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location = /.oa/session { oa_session t; }
    }
CONF

sub post {
    my ($token) = @_;
    return request_bytes('/.oa/session', method => 'POST', host => 'a',
        body => "access_token=$token",
        headers => [ 'Content-Type' => 'application/x-www-form-urlencoded' ]);
}

sub waiting {
    my ($ng, @tokens) = @_;
    my @clients = map { OA::Client->new($ng->port) } @tokens;
    $clients[$_]->send(post($tokens[$_])) for 0 .. $#tokens;
    return @clients;
}

my $ng;
my $good = $key->token;
my $other = key('ES256', kid => 'k2');

{
    $jwks->fault(hold => 1);
    $ng = OA::Nginx->new(http => $conf);
    ok $jwks->wait_requests(1), 'the keys are being fetched';

    my ($one, $two, $bad, $gone, $more) = waiting($ng, $good, $good,
        $good =~ s/[^.]*$/AAAA/r, $good, $good);
    my ($next) = waiting($ng, $good);
    $next->send(post($good));
    ok !$one->closed(0.1), 'nobody has an answer';
    $gone->close;
    is http_request($ng->port, '/.oa/session', method => 'DELETE')->status,
        204, 'to end one needs no keys';

    $jwks->fault();
    is $one->response->status, 303, 'it begins when they have come';
    is $two->response->status, 303, 'for all';
    is $more->response->status, 303, 'also behind one who went';
    is $bad->response->status, 401, 'but with a bad token';
    is $next->response->status, 303, 'and what was sent behind it';
    is $next->response->status, 303, 'is answered, too';
}

{
    my $n = $jwks->count;
    my ($unknown) = waiting($ng, $other->token);
    is $unknown->response->status, 401, 'an unknown key';
    is $jwks->count, $n + 1, 'is asked for';
}

{
    $jwks->fault(status => 500);
    $ng = OA::Nginx->new(http => $conf);
    my ($client) = waiting($ng, $good);
    my $r = $client->response;
    is $r->status, 503, 'no keys';
    is decode_json($r->body)->{code}, 'keys_unavailable', 'code';
    ok $r->header('Retry-After'), 'when to try again';
    is $r->header('Set-Cookie'), undef, 'no cookie';
    $jwks->fault();
    ok +(wait_for {
        my ($again) = waiting($ng, $good);
        $again->response->status == 303;
    } 20), 'until they come';
}

# nobody is left behind by a worker that goes
{
    $jwks->fault(hold => 1);
    my $n = $jwks->count;
    $ng = OA::Nginx->new(http => $conf);
    $jwks->wait_requests($n + 1);
    my ($client) = waiting($ng, $good);
    ok !$client->closed(0.1), 'one waits';
    $ng->signal('HUP');
    ok +(wait_for { $ng->old_worker_pids } 10), 'a reload meanwhile';
    $jwks->fault();
    is $client->response->status, 303, 'is answered';
    $client->close;
    ok +(wait_for { !$ng->old_worker_pids } 10), 'the old worker ends';
}

done_testing;
