# $oa_return_url leads back here, and nowhere else.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use OA::Client qw(http_raw);
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
        location / {
            error_page 404 = @page;
            oa_replay;
        }
        location /rewrite { return 200 "<$oa_return_url>"; }
        location /moved { rewrite ^ /rewrite?other=1 last; }
        location @page { return 200 "<$oa_return_url>"; }
    }
CONF

sub url {
    my ($path, $host) = @_;
    my $r = http_raw($ng->port, "GET $path HTTP/1.1\r\nHost: $host\r\n"
                     . "Connection: close\r\n\r\n");
    my ($url) = $r->body =~ /^<(.*)>$/ or return $r->status;
    return $url;
}

sub decoded { url(@_) =~ s/%([0-9A-F]{2})/chr hex $1/ger }

my $d = 'openagents.example';

is url('/rewrite', "alice.$d"),
    'https%3A%2F%2Falice.openagents.example%2Frewrite', 'encoded';
is url('/rewrite/%2F?a=b&c=%26#', "ALICE.$d.:8080"),
    'https%3A%2F%2Falice.openagents.example%2Frewrite%2F%252F%3Fa%3Db%26c%3D'
    . '%2526%23', 'the host as it is meant, the rest as it came';
unlike url("/rewrite/\xc3\xbc\"'<>+;,", "alice.$d"), qr/[^A-Za-z0-9%._~-]/,
    'only unreserved characters';
is decoded("/rewrite/\xc3\xbc\"'<>+;,", "alice.$d"),
    "https://alice.$d/rewrite/\xc3\xbc\"'<>+;,", 'and all of them';

my @args = (
    '?a=b',                      '?a=b',
    '?',                         '',
    '?access_token=x',           '',
    '?access_token=x&a=b',       '?a=b',
    '?a=b&access_token=x&c',     '?a=b&c',
    '?a=b&ACCESS%5Ftoken=x',     '?a=b',
    '?a=access_token',           '?a=access_token',
);
while (my ($from, $to) = splice @args, 0, 2) {
    is decoded("/rewrite$from", "alice.$d"), "https://alice.$d/rewrite$to",
        "arguments $from";
}

is decoded('/moved/x?y', "alice.$d"), "https://alice.$d/moved/x?y",
    'of the request as it came';
is decoded('/x', "nobody.$d"), "https://nobody.$d/x", 'a name without route';
is decoded("http://alice.$d/rewrite", 'evil.example'),
    "https://alice.$d/rewrite", 'the host of the request line';
is url('/rewrite', $_), '', "foreign: $_"
    for 'evil.example', $d, "x.alice.$d", '127.0.0.1', "al_ice.$d",
        "alice.$d.evil.example", "alice\@$d";

done_testing;
