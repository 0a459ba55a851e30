# A host is LABEL.domain without case, port or trailing dot, and nothing else.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_raw http_get);
use OA::Nginx;
use OA::Routes qw(route routes_file);

my $long = 'a' x 63;

my $ng = OA::Nginx->new(
    files => { 'routes.json' => routes_file(
        route('alice', app => 'app', machine => 'm1'),
        route('a', app => 'app', machine => 'm1'),
        route('0', app => 'app', machine => 'm1'),
        route('a--b', app => 'app', machine => 'm1'),
        route('xn--mnchen-3ya', app => 'app', machine => 'm1'),
        route($long, app => 'app', machine => 'm1')) },
    http => <<'CONF');
    oa_routes t {
        domain OpenAgents.example;
        source file routes.json;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        location / { oa_replay; }
    }
CONF

my $d = 'openagents.example';

sub answer {
    my ($host) = @_;
    my $r = http_raw($ng->port, "GET / HTTP/1.1\r\nHost: $host\r\n"
                     . "Connection: close\r\n\r\n");
    my $replay = $r->header('fly-replay');
    return $replay eq 'app=app;instance=m1' ? 'replay' : $replay
        if defined $replay;
    return $r->status == 404 && $r->body =~ /"code":"route_not_found"/
        ? 'none' : $r->status;
}

my @replayed = (
    "alice.$d", "ALICE.$d", 'aLiCe.OPENAGENTS.EXAMPLE', "alice.$d:80",
    "alice.$d:65535", "alice.$d.", "alice.$d.:8080", "Alice.$d.:443",
    "  alice.$d", "a.$d", "0.$d", "a--b.$d",
    "xn--mnchen-3ya.$d", "XN--MNCHEN-3YA.$d",
    "$long.$d", uc($long) . ".$d.:1",
);
is answer($_), 'replay', "\"$_\"" for @replayed;

my @none = (
    $d, "$d.", "$d:80", "x.alice.$d", "alice.alice.$d", 'alice',
    'alice.example', 'alice.openagents', 'alice.openagents.example.org',
    'alice.openagents-example', "alice$d", "aliceopenagents.example",
    "alicex.$d", "alic.$d", "bob.$d", "al.$d",
    "a$long.$d", ('a' x 64) . ".$d", ('a' x 255) . ".$d",
    "-alice.$d", "alice-.$d", "-.$d", "al_ice.$d", "_alice.$d", "*.$d",
    "m\xc3\xbcnchen.$d", "\xff.$d", "al%69ce.$d", "alice%00.$d",
    "alice\@$d", "alice\@evil.$d", "alice+.$d", "alice,$d", "alice.$d,bob.$d",
    'localhost', '127.0.0.1', '127.0.0.1:80', '[::1]', '[::1]:80',
    '[::ffff:127.0.0.1]', '1.2.3.4.5',
);
is answer($_), 'none', "\"$_\"" for map { s/([^ -~])/$1/r } @none;

# nginx takes none of these for a host
is answer($_), 400, "\"$_\"" for "alice..$d", "alice.$d..", ".alice.$d..",
    "alice/.$d", "";

is answer(".$d"), 'none', 'an empty label';

done_testing;
