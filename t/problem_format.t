# Problems are application/problem+json, or HTML where Accept prefers it.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP qw(decode_json);

use OA::Client qw(http_get http_request h2_request);
use OA::Nginx;
use OA::Util qw(slurp wait_for);
use OA::Routes qw(route routes_file);

my $ng = OA::Nginx->new(
    files => { 'routes.json' => routes_file(
        route('off', status => 'disabled'), route('err', status => 'error'),
        'alice') },
    http  => <<'CONF');
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    log_format id $request_id;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        access_log ids.log id;
        client_max_body_size 0;
        default_type text/plain;
        oa_router t;
        location / {
            add_header X-Always yes always;
            oa_replay;
        }
    }
CONF

sub get {
    my ($name, $path, %o) = @_;
    return http_request($ng->port, $path, host => "$name.openagents.example",
                        %o);
}

my %problems = (
    nobody => [ 404, 'Not Found', 'route_not_found' ],
    off    => [ 402, 'Payment Required', 'disabled' ],
    err    => [ 503, 'Service Unavailable', 'provision_failed' ],
);
for my $name (sort keys %problems) {
    my ($status, $title, $code) = @{ $problems{$name} };
    my $r = get($name, '/');
    my $json = decode_json($r->body);

    is $r->status, $status, "$code: status";
    is $r->header('content-type'), 'application/problem+json', 'type';
    is $r->header('content-length'), length $r->body, 'length';
    is $r->header('cache-control'), 'no-store', 'not stored';
    is $r->header('x-always'), 'yes', 'headers of the location';
    like delete $json->{request_id}, qr/^[0-9a-f]{32}$/, 'request_id';
    like delete $json->{detail}, qr/^[A-Z].*\.$/, 'a sentence';
    is_deeply $json, { type => 'about:blank', title => $title,
                       status => $status, code => $code }, 'and the rest';

    my $id = decode_json($r->body)->{request_id};
    ok +(wait_for { slurp($ng->path('ids.log')) =~ /^$id$/m } 5),
        'the same request_id as in the log';
}

sub html {
    my ($accept) = @_;
    my $r = get('nobody', '/', headers => [ Accept => $accept ]);
    my $html = $r->header('content-type') =~ m{^text/html};
    is $r->status, 404, 'status';
    ($html ? \&like : \&unlike)->($r->body, qr/^<!DOCTYPE html>/,
                                  "a body of its type: $accept");
    return $html ? 1 : 0;
}

is html($_), 1, "HTML: $_" for
    'text/html', 'Text/HTML', 'text/html, application/json;q=0.9',
    'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
    'application/json;q=0.5, text/html;q=0.6', 'text/html;level=1;q=0.7',
    'text/plain, text/html;q=0.1', "text/html\t; q=1.0";
is html($_), 0, "JSON: $_" for
    '*/*', '', 'application/json', 'application/json, text/html;q=0.9',
    'application/problem+json, text/html;q=0.999', 'text/html;q=0',
    'text/html;q=0.000', 'text/htmlx', 'text/event-stream', 'text/plain',
    'application/json, text/html;q=0.5, */*', 'garbage;;;,,,=', 'text/html;q=x';

subtest 'HTML' => sub {
    my $r = get('nobody', '/<script>', headers => [ Accept => 'text/html' ]);
    is $r->header('content-type'), 'text/html; charset=utf-8', 'type';
    is $r->header('content-length'), length $r->body, 'length';
    like $r->body, qr{<h1>Not Found</h1>}, 'title';
    like $r->body, qr{route_not_found: [0-9a-f]{32}}, 'code and request_id';
    unlike $r->body, qr/script|nobody/, 'nothing of the request';
};

for my $accept ('application/json', 'text/html') {
    my @o = (headers => [ Accept => $accept ]);
    my $r = get('nobody', '/', method => 'HEAD', @o);
    is $r->status, 404, 'HEAD: status';
    is $r->header('content-length'),
        length get('nobody', '/', @o)->body, 'HEAD: the length of GET';
    is $r->body, '', 'HEAD: no body';
}

subtest 'a connection is kept over a problem' => sub {
    my $c = OA::Client->new($ng->port);
    for (1 .. 3) {
        my $r = $c->get('/', host => 'nobody.openagents.example',
                        method => 'POST', body => 'x' x 100_000);
        is $r->status, 404, 'a problem';
        decode_json($r->body);
    }
};

subtest 'no body is asked for' => sub {
    my $c = OA::Client->new($ng->port);
    $c->send("POST / HTTP/1.1\r\nHost: nobody.openagents.example\r\n"
             . "Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n");
    is $c->response->status, 404, 'not 100 Continue';
};

done_testing;
