# A cookie counts only for our own pages where a request does something: agents'
# pages on sibling subdomains are of the same site, and so send it along.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_request);
use OA::Nginx;
use OA::Token qw(key jwks $ISSUER $USER);

my $name = 'sb-abcdefghijklmnopqrst-auth-token';
my $key = key('ES256', kid => 'k1');

my $http = <<"CONF";
    oa_issuer t {
        jwks_file jwks.json;
        issuer $ISSUER; audience authenticated;
    }
CONF

my $conf = $http . <<'CONF';
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_auth t;
        oa_auth_origin https://app.example http://dev.example:3000
                       capacitor://localhost;
        add_header X-Told "$oa_auth_error,$oa_auth_sub" always;
        location /    { try_files /none @ok; }
        location /off { oa_auth_origin off; try_files /none @ok; }
        location @ok  { return 204; }
    }
CONF

# Behind Fly Proxy browsers come by https, whatever comes here.
my %ng = map {
    ($_ => OA::Nginx->new(files => { 'jwks.json' => jwks($key) },
                          http => $conf,
                          env => $_ eq 'fly' ? { FLY_APP_NAME => 'x' } : {}))
} 'fly', 'plain';

my $token = $key->token;
my $host = 'alice.openagents.example';

sub get {
    my ($where, $method, $path, @headers) = @_;
    my $r = http_request($ng{$where}->port, $path, method => $method,
                         host => $host, headers => \@headers);
    return join ',', $r->status, $r->header('X-Told') // '';
}

sub counts {
    my ($where, $method, $path, @headers) = @_;
    my $told = get($where, $method, $path, Cookie => "$name=$token",
                   @headers);
    return $told eq "204,,$USER" ? 1 : $told eq '401,missing,' ? 0 : $told;
}

my %kinds = (
    'GET'           => [ 1, 'GET' ],
    'HEAD'          => [ 1, 'HEAD' ],
    'OPTIONS'       => [ 1, 'OPTIONS' ],
    'GET, html'     => [ 1, 'GET', Accept => 'text/html,*/*;q=0.8' ],
    'POST'          => [ 0, 'POST' ],
    'PUT'           => [ 0, 'PUT' ],
    'PATCH'         => [ 0, 'PATCH' ],
    'DELETE'        => [ 0, 'DELETE' ],
    'PROPFIND'      => [ 0, 'PROPFIND' ],
    'an upgrade'    => [ 0, 'GET', Upgrade => 'websocket',
                         Connection => 'Upgrade' ],
    'upgrade to h2c' => [ 0, 'GET', Upgrade => 'h2c',
                          Connection => 'upgrade, HTTP2-Settings' ],
    'a stream'      => [ 0, 'GET', Accept => 'text/event-stream' ],
    'a stream among others' => [ 0, 'GET',
        Accept => 'application/json, Text/Event-Stream;q=0.9' ],
    'a stream in the second line' => [ 0, 'GET',
        Accept => '*/*', Accept => 'text/event-stream' ],
);

my @origins = (
    undef, "https://$host", 'https://app.example', 'https://evil.example',
    'https://mallory.openagents.example', 'null',
);
my %own = map { $_ => 1 } "https://$host", 'https://app.example';

for my $site (undef, 'none', 'same-origin', 'same-site', 'cross-site') {
    for my $origin (@origins) {
        my $expected =
            defined $site && $site =~ /^(?:none|same-origin)$/ ? 1
            : defined $origin ? $own{$origin} // 0
            : defined $site ? 0 : 1;

        my @headers = (
            defined $site ? ('Sec-Fetch-Site' => $site) : (),
            defined $origin ? (Origin => $origin) : (),
        );

        for my $kind (sort keys %kinds) {
            my ($safe, $method, @more) = @{ $kinds{$kind} };
            is counts('fly', $method, '/', @more, @headers),
                $safe || $expected,
                join ', ', $kind, map { $_ // '-' } $site, $origin;
        }
    }
}

# whose origin it is
for (["HTTPS://ALICE.openagents.example" => 1, 1],
     ["https://$host:443"       => 1, 1],
     ["https://$host:8443"      => 0, 0],
     ["http://$host"            => 0, 1],
     ["http://$host:80"         => 0, 1],
     ["https://$host/"          => 0, 0],
     ["https://$host.evil.example" => 0, 0],
     ["https://evil$host"       => 0, 0],
     ["https://x\@$host"        => 0, 0],
     ['https://openagents.example' => 0, 0],
     ["ftp://$host"             => 0, 0],
     [$host                     => 0, 0],
     ['https://APP.example'     => 1, 1],
     ['https://app.example:443' => 0, 0],
     ['http://app.example'      => 0, 0],
     ['https://x.app.example'   => 0, 0],
     ['http://dev.example:3000' => 1, 1],
     ['http://dev.example'      => 0, 0],
     ['capacitor://localhost'   => 1, 1],
     ['file://'                 => 0, 0],
     ['https://app.example https://evil.example' => 0, 0],
     ['https://app.example, https://evil.example' => 0, 0])
{
    my ($origin, $fly, $plain) = @$_;
    my @headers = ('Sec-Fetch-Site' => 'same-site', Origin => $origin);
    is counts('fly', 'POST', '/', @headers), $fly, "$origin, behind Fly";
    is counts('plain', 'POST', '/', @headers), $plain, "$origin, plain";
}

is counts('fly', 'POST', '/off', Origin => 'https://app.example'), 0,
    'off: no other origin';
is counts('fly', 'POST', '/off', Origin => "https://$host"), 1,
    'off: but our own';

# two of a kind are none
is counts('fly', 'POST', '/', Origin => "https://$host",
          Origin => 'https://evil.example'), 0, 'two origins';
is counts('fly', 'POST', '/', 'Sec-Fetch-Site' => 'same-origin',
          'Sec-Fetch-Site' => 'cross-site'), 0, 'two sites';
is counts('fly', 'POST', '/', 'Sec-Fetch-Site' => 'Same-Origin'), 0,
    'a value has case';
is counts('fly', 'POST', '/', 'Sec-Fetch-Site' => ''), 0, 'empty';
is counts('fly', 'POST', '/', Origin => ''), 0, 'an empty origin';

# a token that was sent on purpose needs no origin, nor does the cookie disturb
my @evil = ('Sec-Fetch-Site' => 'cross-site',
            Origin => 'https://evil.example');
is get('fly', 'POST', '/', Authorization => "Bearer $token", @evil),
    "204,,$USER", 'Authorization counts from everywhere';
is get('fly', 'POST', '/', Authorization => "Bearer $token",
       Cookie => "$name=x", @evil), "204,,$USER",
    'a cookie that does not count is not looked at';

# the configuration
for my $case ([ '*',                        qr/invalid origin "\*"/ ],
              [ 'app.example',              qr/invalid origin "app\.example"/ ],
              [ 'https://app.example/',     qr/invalid origin/ ],
              [ 'https://app.example:443',  qr/invalid origin/ ],
              [ 'https://*.example',        qr/invalid origin/ ],
              [ 'null',                     qr/invalid origin "null"/ ],
              [ 'https://a.example; oa_auth_origin https://b.example',
                qr/is duplicate/ ],
              [ 'HTTPS://App.Example',      undef ])
{
    my ($value, $expected) = @$case;
    my ($exit, $text) = OA::Nginx->test_config(
        files => { 'jwks.json' => jwks($key) },
        http => $http . "oa_auth t; oa_auth_origin $value;");
    if ($expected) {
        is $exit, 1, "$value: refused";
        like $text, $expected, "$value: told";
    } else {
        is $exit, 0, "$value: taken" or diag $text;
    }
}

done_testing;
