# Where the host comes from: the request line, then Host, then nowhere.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_raw);
use OA::Nginx;
use OA::Routes qw(routes_file);

my $ng = OA::Nginx->new(
    files => { 'routes.json' => routes_file(qw(alice bob)) },
    http  => <<'CONF');
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name alice.openagents.example;
        oa_router t;
        location / { oa_replay; }
    }
CONF

my $alice = 'app=oa-alice;instance=malice';
my $bob = 'app=oa-bob;instance=mbob';

sub answer {
    my ($line, @headers) = @_;
    my $r = http_raw($ng->port, join "\r\n", $line, @headers,
                     'Connection: close', '', '');
    return $r->header('fly-replay') // $r->status;
}

sub host { "Host: $_[0].openagents.example" }

is answer('GET / HTTP/1.1', host('bob')), $bob, 'Host';
is answer('GET / HTTP/1.0', host('bob')), $bob, 'Host of HTTP/1.0';
is answer('GET / HTTP/1.0'), 404, 'HTTP/1.0 without Host';
is answer('GET / HTTP/1.1'), 400, 'HTTP/1.1 without Host';
is answer('GET / HTTP/1.1', 'Host:'), 400, 'an empty Host';

for my $line ('GET http://alice.openagents.example/x HTTP/1.1',
              'GET HTTP://ALICE.openagents.example:80/x HTTP/1.1',
              'GET http://alice.openagents.example?x HTTP/1.1',
              'GET https://alice.openagents.example./x HTTP/1.1')
{
    is answer($line, host('bob')), $alice, "$line beats Host";
}
is answer('GET http://alice.openagents.example/ HTTP/1.0'), $alice,
    'HTTP/1.0 with a whole URL';
is answer('GET http://nobody.openagents.example/ HTTP/1.1', host('bob')), 404,
    'an unknown name beats Host too';
is answer('GET http://[::1]/ HTTP/1.1', host('bob')), 404, 'and an address';

for my $line ('GET http://alice.openagents.example\@evil/ HTTP/1.1',
              "GET http://al_ice\x01.openagents.example/ HTTP/1.1",
              'GET http:///x HTTP/1.1',
              "GET /\x00 HTTP/1.1",
              'CONNECT alice.openagents.example:443 HTTP/1.1')
{
    my $rc = answer($line, host('bob'));
    like $rc, qr/^40[05]$/, "refused: " . ($line =~ s/([^ -~])/?/gr);
}

subtest 'several Host headers' => sub {
    my @answers = map { answer('GET / HTTP/1.1', @$_) }
        [ host('alice'), host('bob') ], [ host('bob'), host('alice') ],
        [ host('alice'), host('alice') ];
    if (OA::Nginx->version >= 1.023) {
        is $_, 400, 'refused' for @answers;
    } else {
        like $_, qr/^(?:400|\Q$alice\E|\Q$bob\E)$/, 'refused, or the first'
            for @answers;
    }
};

is answer('GET / HTTP/1.1', host('bob'), ' folded.openagents.example'),
    400, 'a folded header';

is answer('GET / HTTP/1.1', 'X-Forwarded-Host: alice.openagents.example',
          host('bob')), $bob, 'X-Forwarded-Host is nobody';
is answer('GET //alice.openagents.example/ HTTP/1.1', host('bob')), $bob,
    'a path that looks like a host';

done_testing;
