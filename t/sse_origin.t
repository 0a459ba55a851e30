# A cookie opens a stream for our own pages alone, whatever they accept: agents'
# pages on sibling subdomains are of the same site, and so send it along.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Events;
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Token qw(key jwks $ISSUER $USER);

my $agent = OA::Agent->new(sub {
    my ($c, $r) = @_;
    $c->head;
    $c->event('data: ' . ($r->header('Cookie') // '-') . "\n\n");
    $c->wait('end') if $r->path eq '/wait';
    $c->end;
});
my $pass = 'oa_sse_pass ' . $agent->url . ';';

my $key = key('ES256', kid => 'k1');
my $http = <<"CONF";
    oa_issuer t {
        jwks_file jwks.json;
        issuer $ISSUER; audience authenticated;
    }
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_auth t;
        oa_auth_origin https://app.example;
        location /       { $pass }
        location /if     { if (\$arg_x) { $pass } if (\$arg_x = "") { $pass } }
        location /inner  { location /inner/stream { $pass } }
        location /other  { try_files /none \@ok; }
        location /named  { try_files /none \@stream; }
        location \@stream { $pass }
        location \@ok     { return 204; }
    }
    server {
        listen 127.0.0.1:%%PORT_1%%;
        oa_auth t;
        oa_router t;
        location / { $pass }
    }
CONF

my $ng = OA::Nginx->new(
    files => { 'jwks.json' => jwks($key), 'routes.json' => routes_file(
        route('alice', user_id => $USER, access => 'owner')) },
    env   => { FLY_APP_NAME => 'edge' },        # https outside
    http  => $http);

my $host = 'alice.openagents.example';
my @cookie = (Cookie => 'sb-abcdefghijklmnopqrst-auth-token=' . $key->token);
my @sibling = ('Sec-Fetch-Site' => 'same-site',
               Origin => 'https://mallory.openagents.example');
my @cross = ('Sec-Fetch-Site' => 'cross-site', Origin => 'https://x.example');
my @own = ('Sec-Fetch-Site' => 'same-origin');
my @app = ('Sec-Fetch-Site' => 'cross-site', Origin => 'https://app.example');

sub status {
    my ($path, $headers, %o) = @_;
    my $n = $agent->connections;
    my $s = OA::Events->new($ng->port($o{port} // 0), $path, host => $host,
                            headers => $headers, %o);
    my $status = $s->status;
    $s->wait_end;
    if ($status == 200) {
        is +($s->all)[0]{data}, '-', "$path: the machine sees no cookie";
    } else {
        is $agent->connections, $n, "$path: the machine was not asked";
    }
    return $status;
}

for my $accept ('text/event-stream', '*/*', 'application/json', undef) {
    my $what = $accept // 'no Accept';
    for my $port (0, 1) {
        my @o = (accept => $accept, port => $port);
        is status('/', [ @cookie, @sibling ], @o), 401, "$what: a sibling";
        is status('/', [ @cookie, @sibling[0, 1] ], @o), 401,
            "$what: without an Origin, as with GET";
        is status('/', [ @cookie, @cross ], @o), 401, "$what: another site";
        is status('/', [ @cookie, @own ], @o), 200, "$what: our own";
        is status('/', [ @cookie ], @o), 200, "$what: no browser";
        is status('/', [ @sibling,
                         Authorization => 'Bearer ' . $key->token ], @o), 200,
            "$what: a token that was sent on purpose";
    }
    is status('/', [ @cookie, @app ], accept => $accept), 200,
        "$what: one of oa_auth_origin";
    is status('/', [ @cookie, @sibling ], accept => $accept, method => 'POST',
              body => '{"message":"x"}'), 401, "$what: POST of a sibling";
}

my @any = (accept => '*/*');
is status($_, [ @cookie, @sibling ], @any), 401, "$_: a sibling"
    for '/if', '/if?x=1', '/inner/stream', '/named';
is status($_, [ @cookie, @own ], @any), 200, "$_: our own"
    for '/if', '/if?x=1', '/inner/stream', '/named';

# where nothing streams, a cookie counts as it does elsewhere
my $s = OA::Events->new($ng->port, '/other', host => $host, @any,
                        headers => [ @cookie, @sibling ]);
is $s->status, 204, 'no stream: a sibling may look';

# nor may a sibling come back to a stream, or stop it
my $mine = OA::Events->new($ng->port(1), '/wait', host => $host,
                           headers => [ @cookie, @own ]);
$mine->next;
my ($stream) = $mine->header('OA-Stream');
for my $case ([ 'GET' ], [ 'DELETE' ], [ 'POST', body => '' ]) {
    my ($method, @o) = @$case;
    is status("/wait?stream=$stream", [ @cookie, @sibling ], @any, port => 1,
              method => $method, @o), 401, "$method of a sibling";
}
$agent->say('end');
is $mine->next->{data}, '[DONE]', 'it goes on to its own end';

done_testing;
