# Where a browser goes on to is a path of the host that it is on, whatever was
# asked for.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw(decode_json encode_json);
use OA::Client qw(http_request);
use OA::Nginx;
use OA::Token qw(key jwks $ISSUER);

my $key = key('ES256', kid => 'k1');

my $ng = OA::Nginx->new(
    files => { 'jwks.json' => jwks($key) }, http => <<"CONF");
    oa_issuer t {
        jwks_file jwks.json;
        issuer $ISSUER; audience authenticated;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location = /.oa/session { oa_session t; }
    }
CONF

my $token = $key->token;

sub post {
    my ($type, $body) = @_;
    return http_request($ng->port, '/.oa/session', method => 'POST',
        host => 'alice.openagents.example', body => $body,
        headers => [ 'Content-Type' => "application/$type" ]);
}

sub encoded { $_[0] =~ s/([^\w])/sprintf '%%%02X', ord $1/ger }

# as they are in Location: nginx does not make them absolute, which it would
# do with the scheme and port behind a proxy
my @good = (
    '/', '/a', '/a/b?c=d&e=%2F%2Fevil.example#f', '/?next=//evil.example',
    '/@evil.example', '/:80', '/..', '/a//b', '/%09/evil.example',
    '/%5cevil.example', '/;//evil.example', "/'\"<>",
    '/' . 'x' x 4000,
);

for my $next (@good) {
    my $what = substr $next, 0, 60;
    my $r = post('x-www-form-urlencoded',
                 "access_token=$token&next=" . encoded($next));
    is $r->status, 303, "$what: status";
    is_deeply [ $r->header('Location') ], [ $next ], "$what: kept";
    ok $r->header('Set-Cookie'), "$what: a cookie";
}

my @bad = (
    '//evil.example', '///evil.example', '//evil.example/..', '/\\evil.example',
    '\\\\evil.example', '\\/evil.example', 'https://evil.example',
    'HTTPS:evil.example', 'https:/evil.example', 'javascript:alert(1)',
    'data:text/html,x', 'evil.example', '@evil.example', '.evil.example',
    ':80/', '?a', '#a', '*', ' /', '/ /evil.example', "/\t/evil.example",
    "\t//evil.example", "/\n/evil.example", "/a\r\nSet-Cookie: a=b",
    "/a\nLocation: //evil.example", "/\0", "/a\x7f", "/\xc3\xa9",
    "/\xe2\x80\xa8", "/a\\b", "\x00//evil.example", '%2F%2Fevil.example',
);

for my $next (@bad) {
    my $what = $next =~ s/([^!-~])/sprintf '\\x%02x', ord $1/ger;

    for my $r (post('x-www-form-urlencoded',
                    "access_token=$token&next=" . encoded($next)),
               post('json', encode_json({ access_token => $token,
                                          next => $next })))
    {
        is $r->status, 400, "$what: refused";
        is $r->header('Location'), undef, "$what: leads nowhere";
        is $r->header('Set-Cookie'), undef, "$what: no cookie";
        is decode_json($r->body)->{code}, 'token_invalid', "$what: code";
    }
}

# raw bytes of a form, encoded twice, given twice
for my $next ("//evil.example", "/\\evil.example", '/%0d%0aA:b', '/%0a',
              '%2f%2fevil.example', '%2F%5Cevil.example', '/a&next=/b',
              '/%', '/%00', '%09//evil.example')
{
    is post('x-www-form-urlencoded', "access_token=$token&next=$next")
           ->status, 400, "a form with next=$next";
}
my $r = post('x-www-form-urlencoded',
             "access_token=$token&next=%252F%252Fevil.example");
is $r->status, 400, 'what is encoded twice is no path';
$r = post('x-www-form-urlencoded',
          "access_token=$token&next=/%252F%252Fevil.example");
is $r->header('Location'), '/%2F%2Fevil.example', 'or is one of this host';

# a query of the request itself is nobody's next
$r = http_request($ng->port, '/.oa/session?next=//evil.example',
    method => 'POST', body => "access_token=$token",
    headers => [ 'Content-Type' => 'application/x-www-form-urlencoded' ]);
is $r->header('Location'), '/', 'not from the query';

$r = post('json', encode_json({ access_token => $token, next => 1 }));
is $r->status, 400, 'no number';

done_testing;
