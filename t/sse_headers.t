# The response's headers are right for each hop, nothing is compressed, and the
# connection serves on after the end.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Client ();
use OA::Events;
use OA::Nginx;
use OA::Tls qw(make_certificates);
use OA::Util qw(temp_dir);

my $agent = OA::Agent->new(sub {
    my ($c, $r) = @_;
    $c->head(type => 'Text/Event-Stream; charset=UTF-8', headers => [
        'Set-Cookie' => 'a=b', Server => 'agent', 'X-Agent' => 1,
        'Cache-Control' => 'max-age=60', 'X-Accel-Buffering' => 'yes',
        'X-Accel-Redirect' => '/four', 'OA-Stream' => 'theirs',
        'Content-Encoding' => 'identity', ETag => '"x"', Expires => 0,
        'Last-Modified' => 'Wed, 01 Jan 2025 00:00:00 GMT',
        'Access-Control-Allow-Origin' => '*', 'fly-replay' => 'app=x' ]);
    $c->event("data: one\n\n");
    $c->wait('go') if $r->path eq '/wait';
    $c->end;
});
my $pass = 'oa_sse_pass ' . $agent->url . ';';

my $http2 = OA::Nginx->version < 1.025001 ? ' http2;' : '; http2 on;';
my $dir = temp_dir();
make_certificates($dir);

my $ng = OA::Nginx->new(http => <<"CONF");
    gzip on; gzip_types *; gzip_min_length 0; gzip_proxied any;
    gzip_http_version 1.0; gzip_comp_level 9;
    charset utf-8;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        listen 127.0.0.1:%%PORT_1%%$http2
        location / { $pass }
        location /plain {
            default_type text/plain; return 200 "xxxxxxxxxxxxxxxxxxxxxxxxxxx";
        }
        location /slow { $pass limit_rate 10; }
        location /add { $pass add_header X-Added yes;
                        add_header X-Status \$sent_http_oa_stream; }
    }
    server {
        listen 127.0.0.1:%%PORT_2%% ssl$http2
        ssl_certificate $dir/cert.pem; ssl_certificate_key $dir/key.pem;
        location / { $pass }
    }
CONF

my @accept = ('Accept-Encoding' => 'gzip, deflate, br');
my $name = qr/^local-[0-9a-f]{32}$/;

sub names { map { lc $$_[0] } @{ $_[0]->head->headers } }

my @fields = (
    'Content-Type'      => 'text/event-stream',
    'Cache-Control'     => 'no-cache, no-transform',
    'X-Accel-Buffering' => 'no',
);

sub check {
    my ($s, $what, @more) = @_;
    is $s->status, 200, "$what: status";
    my @want = (@fields, @more);
    while (my ($name, $value) = splice @want, 0, 2) {
        is join('|', $s->header($name)), $value, "$what: $name";
    }
    like $s->header('OA-Stream'), $name, "$what: the stream";
    my %connection = map { $_ => 1 } qw(connection transfer-encoding);
    is join(' ', sort grep { !$connection{$_} } names($s)),
        'cache-control content-type date oa-stream server x-accel-buffering',
        "$what: and no others";
    is_deeply [ map { $_->{data} } $s->all ], [ 'one', '[DONE]' ],
        "$what: the events";
    is $s->how_ended, 'complete', "$what: complete";
}

for my $method ('GET', 'POST') {
    my @o = (headers => \@accept, method => $method);
    push @o, body => '{"message":"a"}' if $method eq 'POST';

    my $s = OA::Events->new($ng->port, '/', @o);
    check($s, "HTTP/1.1, $method", 'Transfer-Encoding' => 'chunked',
          Connection => 'keep-alive');

    $s = OA::Events->new($ng->port(1), '/', @o, http2 => 1);
    check($s, "HTTP/2, $method");
    $s = OA::Events->new($ng->port(2), '/', @o, http2 => 1,
                         tls => "$dir/ca.pem");
    check($s, "HTTP/2 over TLS, $method");
    $s = OA::Events->new($ng->port(2), '/', @o, tls => "$dir/ca.pem");
    check($s, "HTTP/1.1 over TLS, $method", Connection => 'keep-alive');
}

# HTTP/1.0 ends with the connection
for my $connection ('close', 'keep-alive') {
    my $r = OA::Client::http_raw($ng->port,
        "GET / HTTP/1.0\r\nHost: x\r\nAccept: text/event-stream\r\n"
        . "Connection: $connection\r\nAccept-Encoding: gzip\r\n\r\n");
    is $r->status, 200, 'HTTP/1.0';
    is $r->header('Content-Type'), 'text/event-stream', 'its type';
    is $r->header('Transfer-Encoding'), undef, 'no chunks';
    is $r->header('Content-Length'), undef, 'no length';
    is $r->header('Connection'), 'close', "closed, $connection or not";
    is_deeply [ map { $_->{data} } OA::Events->parse($r->body) ],
        [ 'one', '[DONE]' ], 'the events';
}

# the location would compress what is not a stream
my $r = OA::Client::http_get($ng->port, '/plain', headers => \@accept);
is $r->header('Content-Encoding'), 'gzip', 'all else is compressed';

my $s = OA::Events->new($ng->port, '/add');
is $s->header('X-Added'), 'yes', 'add_header adds';
is $s->header('X-Status'), $s->header('OA-Stream'), 'and may log the stream';

# a connection goes on; limit_rate would let the last one take 20 s
my $c = OA::Client->new($ng->port);
for my $path ('/', '/plain', '/', '/wait', '/slow') {
    $agent->say('go') if $path eq '/wait';
    my $r = $c->get($path, headers => [ Accept => 'text/event-stream' ]);
    is $r->status, 200, "$path on the same connection";
    like $r->body, $path eq '/plain' ? qr/^x+$/ : qr/^id:.*\[DONE\]\n\n$/s,
        'whole';
}
$c->send(join '', map { OA::Client::request_bytes($_, host => 'x') }
         '/', '/plain', '/');
like $c->response->body, $_, 'pipelined' for qr/DONE/, qr/^x/, qr/DONE/;

# what no machine is asked
my $n = $agent->requests;
for my $method (qw(HEAD PUT PATCH OPTIONS PROPFIND)) {
    my $r = OA::Client::http_request($ng->port, '/', method => $method);
    is $r->status, 405, $method;
    is $r->header('Allow'), 'GET, POST, DELETE', 'told what is';
}
is $agent->requests, $n, 'nothing was asked';

done_testing;
