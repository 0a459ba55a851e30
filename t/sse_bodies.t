# A client's body reaches the machine whole, whatever its size and framing, up
# to 16 MiB; more is refused before it is read.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP qw(decode_json);

use OA::Agent;
use OA::Client ();
use OA::Events;
use OA::Nginx;

my $agent = OA::Agent->new(sub {
    my ($c) = @_;
    $c->head;
    $c->event("data: [DONE]\n\n");
    $c->end;
});
my $pass = 'oa_sse_pass ' . $agent->url . ';';

my $listen = OA::Nginx->version < 1.025001
    ? 'listen 127.0.0.1:%%PORT_1%% http2;'
    : 'listen 127.0.0.1:%%PORT_1%%; http2 on;';

my $ng = OA::Nginx->new(http => <<"CONF");
    client_max_body_size 0;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        $listen
        location /raw   { $pass oa_sse_dialect raw; }
        location /mem   { $pass oa_sse_dialect raw;
                          client_body_buffer_size 8m; }
        location /file  { $pass oa_sse_dialect raw;
                          client_body_in_file_only clean; }
        location /seed  { $pass }
        location /small { $pass oa_sse_dialect raw; client_max_body_size 1k; }
    }
CONF

my $MiB = 1024 * 1024;
my $bytes = join '', map { chr($_ * 7 % 256) } 0 .. 1020;

sub body { substr $bytes x ($_[0] / 1021 + 1), 0, $_[0] }

# What the machine got, or how it was refused.
sub got {
    my ($n, $what, $status, $answer) = @_;
    if ($status != 200) {
        my $code = eval { decode_json($answer)->{code} } // '-';
        is $agent->requests, $n, "$what: nothing was asked";
        return "$status $code";
    }
    $agent->wait_requests($n + 1);
    my $r = ($agent->requests)[$n];
    is $r->header('Content-Length'), length $r->body, "$what: the length";
    return $r->body;
}

sub post {
    my ($path, $body, %o) = @_;
    my $n = $agent->requests;
    my $what = join ' ', %o, $path, length $body;
    my $s = OA::Events->new($ng->port($o{http2} ? 1 : 0), $path,
                            method => 'POST', body => $body, %o);
    is $s->wait_end, 'complete', $what;
    return got($n, $what, $s->status, $s->raw);
}

sub raw {
    my ($request, $what) = @_;
    my $n = $agent->requests;
    my $r = OA::Client::http_raw($ng->port, $request);
    return got($n, $what, $r->status, $r->body);
}

for my $n (0, 1, 1000, $MiB - 1, $MiB, $MiB + 1, 5 * $MiB) {
    my $body = body($n);
    for my $path ('/raw', $n < 9e5 ? () : ('/mem', '/file')) {
        for my $http2 (0, 1) {
            ok post($path, $body, http2 => $http2) eq $body,
                "$path, $n bytes, " . ($http2 ? 'HTTP/2' : 'HTTP/1.1');
        }
    }
}

my $body = body(16 * $MiB);
ok post('/raw', $body) eq $body, '16 MiB';
for my $http2 (0, 1) {
    my $r = post('/raw', "$body.", http2 => $http2);
    is $r, '413 body_too_large', 'one more';
}
is raw("POST /raw HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
       . "Content-Length: 99999999999\r\n\r\n", 'announced'),
    '413 body_too_large', 'told by the length alone';
is post('/small', 'x' x 1025), '413 -', 'the limit of nginx';

# other framings
my $head = "POST /raw HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
my $chunked = "${head}Transfer-Encoding: chunked\r\n\r\n";

sub chunks {
    my ($body, $size) = @_;
    return join('', map { sprintf "%x\r\n%s\r\n", length, $_ }
                    unpack "(a$size)*", $body) . "0\r\n\r\n";
}

is raw($head . "\r\n", 'no length'), '', 'no length';
is raw($chunked . "0\r\n\r\n", 'no chunk'), '', 'no chunk';
is raw($chunked . chunks('abcde', 1), 'chunks'), 'abcde', 'chunks';
is raw("POST /raw HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc", 'HTTP/1.0'),
    'abc', 'HTTP/1.0';
for my $n ($MiB, 5 * $MiB) {
    my $body = body($n);
    ok raw($chunked . chunks($body, 10_007), "$n in chunks") eq $body,
        "$n bytes in chunks";
}

{
    my $n = $agent->requests;
    my $c = OA::Client->new($ng->port);
    $c->send("${head}Expect: 100-continue\r\nContent-Length: 1\r\n\r\n");
    is $c->response->status, 100, '100-continue';
    $c->send('a');
    my $r = $c->response;
    is got($n, 'after it', $r->status, $r->body), 'a', 'the body';
}

# of one that has no end, and no length that is told, no more is read
{
    my $n = $agent->requests;
    my $c = OA::Client->new($ng->port);
    my $chunk = sprintf "%x\r\n%s\r\n", $MiB, 'x' x $MiB;
    $c->send($chunked . $chunk x 17);       # and does not end
    is $c->response->status, 413, 'without an end: refused';

    my $s = OA::Events->new($ng->port(1), '/raw', http2 => 1,
        method => 'POST', body => 'x' x (17 * $MiB), length => 0);
    is $s->status, 413, 'HTTP/2, the same';
    is $agent->requests, $n, 'nothing was asked';
}

# of GET it is none of the machine's
my $n = $agent->requests;
my $r = OA::Client::http_raw($ng->port,
    "GET /raw HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    . "Content-Length: 3\r\n\r\nabc");
is $r->status, 200, 'GET with a body';
$agent->wait_requests($n + 1);
is +($agent->requests)[$n]->header('Content-Length'), undef, 'it stays here';

done_testing;
