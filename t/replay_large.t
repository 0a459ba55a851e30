# What Fly Proxy does not replay goes elsewhere, and before its body comes.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use OA::Client qw(http_raw h2_request request_bytes);
use OA::Nginx;
use OA::Routes qw(route routes_file);

my $h2 = OA::Nginx->version < 1.025001
    ? 'listen 127.0.0.1:%%PORT_1%% http2;'
    : 'listen 127.0.0.1:%%PORT_1%%; http2 on;';

my $ng = OA::Nginx->new(
    files => { 'routes.json' => routes_file(
        route('alice', app => 'app', machine => 'm1'),
        route('private', access => 'owner')) },
    http  => <<"CONF");
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        $h2
        client_max_body_size 0;
        oa_router t;
        location /plain { oa_replay; }
        location /json  { oa_replay format=json; }
        location /large {
            oa_replay;
            oa_replay_large \@direct;
        }
        location \@direct {
            add_header X-Target \$oa_machine_host always;
            return 299;
        }
    }
CONF

my $host = 'alice.openagents.example';
my $mib = 1024 * 1024;

# The answer to headers alone: no byte of the body is sent.
sub announced {
    my ($path, @headers) = @_;
    my $c = OA::Client->new($ng->port);
    $c->send("POST $path HTTP/1.1\r\nHost: $host\r\n"
             . join('', map { "$_\r\n" } @headers) . "\r\n");
    my $r = $c->response;
    # "return" in that location asks for the body, and that is its affair
    $r = $c->response if $path eq '/large' && $r->status == 100;
    return $r;
}

sub problem {
    my ($r, $name) = @_;
    is $r->status, 413, "$name: status";
    like $r->body, qr/"code":"body_too_large"/, "$name: code";
    is $r->header('fly-replay'), undef, "$name: no replay";
}

subtest '1 MiB' => sub {
    for my $path ('/plain', '/large') {
        my $c = OA::Client->new($ng->port);
        for (1, 2) {
            my $r = $c->get($path, host => $host, method => 'POST',
                            body => 'x' x $mib);
            is $r->status, 307, "$path: passes";
            is $r->header('fly-replay'), 'app=app;instance=m1', 'is replayed';
        }
    }
};

my @large = ('Content-Length: ' . ($mib + 1));
my @chunked = ('Transfer-Encoding: chunked');
my @expect = ('Expect: 100-continue');

for my $case ([ '1 MiB and a byte', @large ], [ 'chunked', @chunked ],
              [ 'a terabyte', 'Content-Length: 1099511627776' ],
              [ 'expected', @large, @expect ],
              [ 'chunked and expected', @chunked, @expect ])
{
    my ($name, @headers) = @$case;
    subtest $name => sub {
        problem(announced('/plain', @headers), 'refused');
        problem(announced('/json', @headers), 'refused in json');
        my $r = announced('/large', @headers);
        is $r->status, 299, 'goes elsewhere';
        is $r->header('x-target'), 'm1.vm.app.internal',
            'and the machine is known there';
        is $r->header('fly-replay'), undef, 'no replay';
    };
}

subtest 'HTTP/2' => sub {
    my %o = (authority => $host, method => 'POST');
    my $r = h2_request($ng->port(1), %o, path => '/large', body => 'x');
    is $r->status, 299, 'no length';
    problem(h2_request($ng->port(1), %o, path => '/plain', body => 'x'),
            'no length, nowhere to go');
    $r = h2_request($ng->port(1), %o, path => '/large', body => 'x',
                    headers => [ 'content-length' => 1 ]);
    is $r->status, 307, 'a length';
    $r = h2_request($ng->port(1), %o, path => '/large');
    is $r->status, 307, 'no body';
};

subtest 'access is first' => sub {
    my $c = OA::Client->new($ng->port);
    $c->send("POST /large HTTP/1.1\r\nHost: private.openagents.example\r\n"
             . "@large\r\n\r\n");
    is $c->response->status, 404, 'a private route';
};

done_testing;
