# HTTP/2: the host is :authority, or Host where there is none.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(h2_request);
use OA::Nginx;
use OA::Routes qw(routes_file);

my $listen = OA::Nginx->version < 1.025001
    ? 'listen 127.0.0.1:%%PORT_0%% http2;'
    : 'listen 127.0.0.1:%%PORT_0%%; http2 on;';

my $ng = OA::Nginx->new(
    files => { 'routes.json' => routes_file(qw(alice bob)) },
    http  => <<"CONF");
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    server {
        $listen
        oa_router t;
        location / { oa_replay; }
    }
CONF

my $d = 'openagents.example';
my $alice = 'app=oa-alice;instance=malice';

sub answer {
    my $r = h2_request($ng->port, @_);
    return $r->header('fly-replay') // ($r->status || $r->error);
}

is answer(authority => $_), $alice, "\"$_\""
    for "alice.$d", "ALICE.$d", "alice.$d:443", "alice.$d.";
is answer(authority => $_), 404, "\"$_\""
    for $d, "x.alice.$d", "al_ice.$d", 'localhost', "m\xc3\xbcnchen.$d",
    ('a' x 64) . ".$d", "alice;instance=evil.$d", "alice\@$d";

# control characters: refused as a request or as a stream
for my $host ("alice\r\nfly-replay: app=x.$d", "alice\n.$d", "alice\0.$d",
              "alice .$d", "alice..$d", '')
{
    like answer(authority => $host), qr/^(?:400|reset \d+|goaway \d+)$/,
        'refused: ' . ($host =~ s/([^ -~])/?/gr);
}

is answer(headers => [ host => "alice.$d" ]), $alice,
    'Host without :authority';
is answer(), 400, 'neither';

my $answer = answer(authority => "alice.$d", headers => [ host => "bob.$d" ]);
like $answer, qr/^(?:400|\Q$alice\E)$/, ':authority is not beaten by Host';

my $r = h2_request($ng->port, authority => "alice.$d");
is $r->status, 307, 'status';
is $r->header('content-length'), 0, 'length';
is $r->header('cache-control'), 'no-store', 'not stored';
is $r->header('location'), undef, 'no Location';

done_testing;
