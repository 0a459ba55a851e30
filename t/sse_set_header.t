# oa_sse_set_header sets, overrides, takes out and inherits; what belongs to
# the exchange it cannot touch.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Events;
use OA::Nginx;

my $agent = OA::Agent->new(sub {
    my ($c) = @_;
    $c->head;
    $c->event("data: [DONE]\n\n");
    $c->end;
});

my $pass = 'oa_sse_pass ' . $agent->url . ';';

my $ng = OA::Nginx->new(http => <<"CONF");
    oa_sse_set_header X-Where http;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location /http { $pass }
        location /set {
            oa_sse_set_header fly-force-instance-id \$arg_m;
            oa_sse_set_header X-Client "\$remote_addr, \$http_x_y";
            oa_sse_set_header X-Empty "";
            oa_sse_set_header X-Two 1;
            oa_sse_set_header X-Two 2;
            $pass
        }
        location /ours {
            oa_sse_set_header HOST machine.example;
            oa_sse_set_header user-agent "";
            oa_sse_set_header Accept-Language de;
            oa_sse_set_header X-Request-ID \$http_x_request_id;
            oa_sse_set_header Accept-Encoding "";
            oa_sse_set_header Cookie mine=1;
            $pass
        }
        location /raw {
            oa_sse_dialect raw;
            oa_sse_set_header Content-Type application/x-mine;
            $pass
        }
    }
    server {
        listen 127.0.0.1:%%PORT_1%%;
        oa_sse_set_header X-Where server;
        location / { $pass if (\$arg_if) { set \$a b; } }
    }
CONF

sub answer {
    my ($path, %o) = @_;
    my $n = $agent->requests;
    my $s = OA::Events->new($ng->port($o{port} // 0), $path, %o);
    is $s->wait_end, 'complete', "$path: an answer";
    return $s->status if $s->status != 200;
    $agent->wait_requests($n + 1);
    return ($agent->requests)[$n];
}

sub values_of {
    my ($request, $name) = @_;
    return join '|', map { $$_[1] } grep { $$_[0] eq $name }
                     @{ $request->headers };
}

is values_of(answer('/http'), 'X-Where'), 'http', 'of http';
is values_of(answer('/', port => 1), 'X-Where'), 'server', 'of a server';
is values_of(answer('/?if=1', port => 1), 'X-Where'), 'server',
    'in an "if" too';

my $r = answer('/set?m=148e', headers => [ 'X-Y' => 'y' ]);
is values_of($r, 'fly-force-instance-id'), '148e', 'a variable';
is values_of($r, 'X-Client'), '127.0.0.1, y', 'a text with variables';
is values_of($r, 'X-Empty'), '', 'an empty one';
unlike join(',', map { $$_[0] } @{ $r->headers }), qr/X-Empty/, 'is not sent';
is values_of($r, 'X-Two'), '1|2', 'two of a name';
is values_of($r, 'X-Where'), '', 'one of its own: nothing is inherited';
is values_of(answer('/set', headers => [ 'fly-force-instance-id' => 'x' ]),
             'fly-force-instance-id'), '', 'nor taken from a client';

$r = answer('/ours', headers => [ 'User-Agent' => 'x', Cookie => 'a=b',
                                  'Accept-Language' => 'fr',
                                  'X-Request-Id' => 'theirs' ]);
is join(' ', map { $$_[0] } @{ $r->headers }),
    'Accept Cache-Control HOST Accept-Language X-Request-ID Cookie Connection',
    'instead of ours, in any case';
is values_of($r, 'HOST'), 'machine.example', 'Host';
is values_of($r, 'Accept-Language'), 'de', 'what a client would decide';
is values_of($r, 'X-Request-ID'), 'theirs', 'or may decide';
is values_of($r, 'Cookie'), 'mine=1', 'what otherwise never goes there';

$r = answer('/raw', method => 'POST', body => 'x',
            headers => [ 'Content-Type' => 'text/plain' ]);
is values_of($r, 'Content-Type'), 'application/x-mine', 'the type of a body';

# no value ends its line
for my $bytes ("a\x01", "\x7f", "a\x1fb") {
    is answer('/set', headers => [ 'X-Y' => $bytes ]), 400,
        sprintf '%vd: refused', $bytes;
}
is answer('/set?m=a%0d%0ab')->header('fly-force-instance-id'), 'a%0d%0ab',
    'nothing is decoded';
is values_of(answer('/set', headers => [ 'X-Y' => "a\tb \xe9\xff" ]),
             'X-Client'), "127.0.0.1, a\tb \xe9\xff", 'all else goes';
like $ng->log, qr/the value of header "X-Client" for the machine has a/,
    'told in the log';

my %wrong = (
    'Authorization x'     => qr/"Authorization" cannot be set.*oa_sse_token/,
    'connection close'    => qr/"connection" cannot be set/,
    'Content-Length 3'    => qr/cannot be set/,
    'Transfer-Encoding x' => qr/cannot be set/,
    'Upgrade websocket'   => qr/cannot be set/,
    'X:Y z'               => qr/invalid name of a header "X:Y"/,
    '"X Y" z'             => qr/invalid name of a header "X Y"/,
    '"" z'                => qr/invalid name of a header ""/,
    'X'                   => qr/invalid number of arguments/,
    'X $nothing'          => qr/unknown "nothing" variable/,
    '"X" "a\r\nEvil: 1"'  => qr/control character/,
);
for my $value (sort keys %wrong) {
    my ($exit, $text) = OA::Nginx->test_config(
        http => "server { location / { $pass oa_sse_set_header $value; } }");
    is $exit, 1, "$value: refused";
    like $text, $wrong{$value}, "$value: told";
}

done_testing;
