# Tokens and bodies that are too large for a session.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw(decode_json);
use OA::Client qw(http_request http_raw h2_request);
use OA::Nginx;
use OA::Token qw(key jwks $ISSUER $USER);

my $key = key('ES256', kid => 'k1');

my $ng = OA::Nginx->new(
    files => { 'jwks.json' => jwks($key) }, http => <<"CONF");
    oa_issuer t {
        jwks_file jwks.json;
        issuer $ISSUER; audience authenticated;
    }
    large_client_header_buffers 4 32k;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        listen 127.0.0.1:%%PORT_1%% http2;
        add_header X-Told "\$oa_auth_error,\$oa_auth_sub" always;
        location = /.oa/session { oa_session t; }
        location = /file        { oa_session t; client_body_in_file_only clean; }
        location = /small       { oa_session t; client_body_buffer_size 16; }
        location = /none        { oa_session t; client_max_body_size 100; }
        location /              { oa_auth t; empty_gif; }
    }
CONF

my $form = 'application/x-www-form-urlencoded';

sub post {
    my ($body, %o) = @_;
    return http_request($ng->port, $o{path} // '/.oa/session',
        method => 'POST', body => $body,
        headers => [ 'Content-Type' => $form, @{ $o{headers} // [] } ]);
}

sub too_large {
    my ($r, $what) = @_;
    is $r->status, 413, "$what: status";
    is eval { decode_json($r->body)->{code} }, 'body_too_large',
        "$what: code";
    is $r->header('Set-Cookie'), undef, "$what: no cookie";
}

# A token of exactly this size.
sub token {
    my ($size) = @_;
    my $more = 3 * int(($size - length $key->token) / 4) - 20;
    for (0 .. 40) {
        my $token = $key->token({ pad => 'x' x ($more + $_) });
        return $token if length $token == $size;
    }
    return token($size - 1);        # base64url has no text of every length
}

# browsers keep cookies of up to 4096 bytes
my $name = length '__Host-t';
my $token = token(4000 - $name);
cmp_ok length $token, '>=', 3998 - $name, 'a large token';
my $r = post("access_token=$token");
is $r->status, 303, 'fits';
cmp_ok length $r->header('Set-Cookie'), '<=', 4096, 'for browsers, too';
my ($pair) = $r->header('Set-Cookie') =~ /^([^;]*)/;
is http_request($ng->port, '/', headers => [ Cookie => $pair ])
       ->header('X-Told'), ",$USER", 'the cookie authenticates';

too_large(post('access_token=' . token(4004 - $name)), 'a larger one');
too_large(post('access_token=' . token(8100)), 'a very large one');
is post('access_token=' . 'x' x 9000)->status, 401, 'no token is that large';
is post('access_token=' . ('%78' x 5000))->status, 401, 'however encoded';

# bodies
my $small = $key->token;
my $body = "access_token=$small&x=";
is post($body . 'x' x (16384 - length $body))->status, 303, 'the largest body';
too_large(post($body . 'x' x (16385 - length $body)), 'a larger one');
too_large(post($body . 'x' x 1_000_000), 'a much larger one');

$r = post("access_token=$small", headers => [ Expect => '100-continue' ]);
is $r->status, 100, 'a body that is waited for';
too_large(http_raw($ng->port, "POST /.oa/session HTTP/1.1\r\nHost: a\r\n"
                   . "Expect: 100-continue\r\nContent-Length: 999999\r\n\r\n"),
          'one that is not');

too_large(http_raw($ng->port, "POST /.oa/session HTTP/1.1\r\nHost: a\r\n"
                   . "Content-Type: $form\r\nConnection: close\r\n"
                   . "Transfer-Encoding: chunked\r\n\r\n"
                   . sprintf("%x\r\n%s\r\n0\r\n\r\n",
                             length "access_token=$small",
                             "access_token=$small")), 'chunks');
too_large(h2_request($ng->port(1), authority => 'a', method => 'POST',
                     path => '/.oa/session', body => "access_token=$small",
                     headers => [ 'content-type' => $form ]),
          'of unknown length over HTTP/2');

is post("access_token=$small", path => $_)->status, 303, "read, by $_"
    for '/file', '/small';
is post("access_token=$small", path => '/none')->status, 413,
    "nginx's own limit holds";

# in pieces
my $c = OA::Client->new($ng->port);
my $text = "POST /.oa/session HTTP/1.1\r\nHost: a\r\nContent-Type: $form\r\n"
    . 'Content-Length: ' . length("access_token=$small")
    . "\r\n\r\naccess_token=$small";
$c->send($_) for unpack '(a50)*', $text;
is $c->response->status, 303, 'a body that comes in pieces';

# cut off
$c = OA::Client->new($ng->port);
$c->send(substr $text, 0, -1);
$c->close;
is post("access_token=$small")->status, 303, 'a body that is cut off harms nobody';

done_testing;
