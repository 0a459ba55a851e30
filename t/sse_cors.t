# A page of another origin has streams as our own pages have: it may ask with
# all headers of streams, reads what they are called, and errors.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Client qw(http_request);
use OA::Events;
use OA::Nginx;
use OA::Token qw(key jwks $ISSUER $USER);

my $key = key('ES256', kid => 'k1');

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    $c->head(headers => [ 'Access-Control-Allow-Origin' => '*',
                          'OA-Stream' => 'forged' ]);
    $c->event("data: one\n\n");
    $c->wait('on') if $request->path eq '/wait';
    $c->end;
});

my $ng = OA::Nginx->new(
    files => { 'jwks.json' => jwks($key) },
    http => <<"CONF");
    oa_issuer t {
        jwks_file jwks.json;
        issuer $ISSUER; audience authenticated;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_auth t;
        oa_cors_origin https://app.example;
        location / { oa_sse_pass @{[ $agent->url ]}; }
        location /gone { oa_sse_pass http://127.0.0.1:%%PORT_9%%; }
    }
CONF

my $origin = 'https://app.example';
my @bearer = (Authorization => 'Bearer ' . $key->token);

sub ask {
    my ($method, $path, @headers) = @_;
    return http_request($ng->port, $path, method => $method,
        body => $path eq '/empty' ? '' : $method eq 'POST' ? '{"message":"m"}'
                                       : undef,
        headers => [ Origin => $origin, @headers ]);
}

sub is_readable {
    my ($r, $name) = @_;
    is_deeply [ $r->header('Access-Control-Allow-Origin') ], [ $origin ],
        "$name: for this page";
    is_deeply [ $r->header('Access-Control-Allow-Credentials') ], [ 'true' ],
        "$name: with credentials";
    like join(',', $r->header('Access-Control-Expose-Headers')),
        qr/\bOA-Stream\b/, "$name: and the name of the stream";
}

# what a browser asks first
for my $case ([ POST => 'authorization,content-type,idempotency-key' ],
              [ GET => 'authorization,last-event-id' ],
              [ DELETE => 'authorization' ])
{
    my ($method, $headers) = @$case;
    my $r = ask('OPTIONS', '/', 'Access-Control-Request-Method' => $method,
                'Access-Control-Request-Headers' => $headers);
    is $r->status, 204, "$method: asked without a token";
    is_readable($r, "before $method");
    like $r->header('Access-Control-Allow-Methods'), qr/\b$method\b/, $method;
    is $r->header('Access-Control-Allow-Headers'), $headers, 'its headers';
}
is $agent->requests, 0, 'the machine was not asked';

my $s = OA::Events->new($ng->port, '/wait', method => 'POST',
    body => '{"message":"m"}', headers => [ Origin => $origin, @bearer ]);
is $s->status, 200, 'a stream';
is_readable($s, 'a stream');
my $name = $s->header('OA-Stream');
like $name, qr/^local-/, 'its name';
is_deeply [ $s->header('OA-Stream') ], [ $name ], 'once';
is $s->next->{data}, 'one', 'an event';

my $r = OA::Events->new($ng->port, "/?stream=$name", headers => [
    Origin => $origin, @bearer, 'Last-Event-ID' => "$name-1" ]);
is_readable($r, 'the rest of it');
$agent->say('on');
is_deeply [ map { $_->{data} } $r->rest ], [ '[DONE]' ], 'as it was';
is $s->next->{data}, '[DONE]', 'to both';

my %answers = (
    'all was read'   => [ 204, GET => '/', @bearer,
                          'Last-Event-ID' => "$name-2" ],
    'stopped'        => [ 204, DELETE => "/?stream=$name", @bearer ],
    'no such stream' => [ 404, GET => '/?stream=local-x', @bearer ],
    'nobody'         => [ 401, POST => '/' ],
    'no machine'     => [ 502, POST => '/gone', @bearer ],
    'no message'     => [ 400, POST => '/empty', @bearer ],
    'no method'      => [ 405, PUT => '/', @bearer ],
);
for my $what (sort keys %answers) {
    my ($status, $method, $path, @headers) = @{ $answers{$what} };
    my $r = ask($method, $path, @headers);
    is $r->status, $status, $what;
    is_readable($r, $what);
}

# a page that is none of ours
$s = OA::Events->new($ng->port, '/', method => 'POST',
    body => '{"message":"m"}', headers => [ Origin => 'https://evil.example',
                                            @bearer ]);
is_deeply [ map { $_->{data} } $s->all ], [ 'one', '[DONE]' ],
    'another page: answered';
is_deeply [ $s->header('Access-Control-Allow-Origin'),
            $s->header('Access-Control-Expose-Headers') ], [],
    'and not to be read';

done_testing;
