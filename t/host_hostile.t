# Whatever a host holds, its bytes never come back in a header.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_raw http_get);
use OA::Nginx;
use OA::Routes qw(routes_file);

my $ng = OA::Nginx->new(
    files => { 'routes.json' => routes_file('alice') },
    http  => <<'CONF');
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        location / { oa_replay; }
    }
    server {
        listen 127.0.0.1:%%PORT_1%%;
        oa_router t;
        location / { oa_replay cache=/*; }
    }
CONF

my $d = 'openagents.example';
my @hosts = (
    "alice' OR '1'='1.$d", "alice';DROP TABLE routes;--.$d",
    "alice\";select 1.$d", "alice\.$d", "alice;instance=evil.$d",
    "alice\r\nfly-replay: app=evil\r\nX: .$d", "alice\nfly-replay: evil.$d",
    "alice\r.$d", "alice%0d%0afly-replay:evil.$d", "alice%0d.$d",
    "alice\0.$d", "alice.$d\0", "alice\t.$d", "alice .$d", "alice.$d evil",
    "alice=evil.$d", "alice,app=evil.$d", "{alice}.$d", "\$alice.$d",
    "alice.$d;app=evil", "alice.$d:80;app=evil", "alice.$d/evil",
    "alice.$d?evil", "alice.$d#evil", "evil\x7f.$d", "\xe2\x80\x8balice.$d",
    "alice\xe3\x80\x82openagents.example", "\xef\xbd\x81lice.$d",
    'x' x 5000, "$d.alice", "..$d", "alice.$d:evil", "alice.$d:99999999999",
);

for my $port (map { $ng->port($_) } 0, 1) {
    for my $host (@hosts) {
        my $name = substr($host =~ s/([^ -~])/sprintf '<%02x>', ord $1/ger,
                          0, 60);
        my $r = http_raw($port, "GET / HTTP/1.1\r\nHost: $host\r\n"
                         . "Connection: close\r\n\r\n");
        my $replay = join '|', $r->header('fly-replay');

        # a port that is none may be passed over by nginx
        like $r->status, qr/^(?:400|404)$/, "$name: refused"
            unless $replay eq 'app=oa-alice;instance=malice';
        unlike join("\n", map { "@$_" } @{ $r->headers }), qr/evil/,
            "$name: stays outside";
    }
}

# the label that a route was found by is ours, not the request's bytes
my $r = http_get($ng->port(1), '/', host => "ALICE.$d:80");
is $r->header('fly-replay-cache'), "alice.$d/*", 'a cache prefix';

done_testing;
