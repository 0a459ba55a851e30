# Only our own pages begin and end a session: else any page could log a visitor
# in as somebody, or out.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw(decode_json);
use OA::Client qw(http_request);
use OA::Nginx;
use OA::Token qw(key jwks $ISSUER);

my $key = key('ES256', kid => 'k1');

my $ng = OA::Nginx->new(
    env => { FLY_APP_NAME => 'x' },
    files => { 'jwks.json' => jwks($key) }, http => <<"CONF");
    oa_issuer t {
        jwks_file jwks.json;
        issuer $ISSUER; audience authenticated;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_auth_origin https://openagents.example;
        location = /.oa/session { oa_session t; }
        location = /alone       { oa_session t; oa_auth_origin off; }
    }
CONF

my $token = $key->token;
my $host = 'alice.openagents.example';
my $n = 0;

sub try {
    my ($method, $path, @headers) = @_;
    my $form = $method eq 'POST';
    my $r = http_request($ng->port, $path, method => $method, host => $host,
        $form ? (body => "access_token=$token") : (),
        headers => [ @headers, $form ? ('Content-Type' =>
                     'application/x-www-form-urlencoded') : () ]);

    if ($r->status == 403) {
        is decode_json($r->body)->{code}, 'insufficient_scope', 'code';
        is $r->header('Set-Cookie'), undef, 'no cookie';
        return 0;
    }

    is $r->status, $form ? 303 : 204, 'status';
    ok defined $r->header('Set-Cookie'), 'a cookie';
    return 1;
}

my %own = map { $_ => 1 } 'https://openagents.example', "https://$host";

for my $method ('POST', 'DELETE') {
    for my $site (undef, 'none', 'same-origin', 'same-site', 'cross-site') {
        for my $origin (undef, 'null', "https://$host", "http://$host",
                        'https://openagents.example',
                        'https://mallory.openagents.example',
                        'https://evil.example')
        {
            my $expected =
                defined $site && $site =~ /^(?:none|same-origin)$/ ? 1
                : defined $origin ? $own{$origin} // 0
                : defined $site ? 0 : 1;
            my @headers = (
                defined $site ? ('Sec-Fetch-Site' => $site) : (),
                defined $origin ? (Origin => $origin) : (),
            );
            is try($method, '/.oa/session', @headers), $expected,
                join ', ', $method, map { $_ // '-' } $site, $origin;
        }
    }

    is try($method, '/alone', Origin => 'https://openagents.example'), 0,
        "$method: no other page where there is none";
    is try($method, '/alone', Origin => "https://$host"), 1,
        "$method: but its own";
    is try($method, '/.oa/session', Origin => 'https://evil.example',
           Authorization => "Bearer $token"), 0,
        "$method: a token in the header makes no page our own";
}

done_testing;
