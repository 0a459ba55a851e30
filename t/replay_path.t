# json: the path is told only to take access_token out of it.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP qw(decode_json);

use OA::Client qw(http_raw);
use OA::Nginx;
use OA::Routes qw(route routes_file);

my $ng = OA::Nginx->new(
    files => { 'routes.json' => routes_file('alice') },
    http  => <<'CONF');
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        merge_slashes off;
        oa_router t;
        location / { oa_replay format=json; }
        location /rewritten {
            rewrite ^ /elsewhere?z=1;
        }
        location /elsewhere { oa_replay format=json; }
    }
CONF

sub path {
    my ($url) = @_;
    my $r = http_raw($ng->port, "GET $url HTTP/1.1\r\n"
                     . "Host: alice.openagents.example\r\n"
                     . "Connection: close\r\n\r\n");
    return decode_json($r->body)->{transform}{path};
}

is path($_), undef, $_
    for '/', '/?', '/a?b', '/access_token=x', '/a?xaccess_token=y',
        '/a?access_tokens=y', '/a?access_toke=n', '/a?x=access_token',
        '/a?x=%26access_token=y', '//a/../b?q', '/a?access%5Ftokenx=1';

my @cases = (
    '/a?access_token=x',                   '/a',
    '/a?access_token',                     '/a',
    '/a?access_token=',                    '/a',
    '/a?access_token=x&b=c',               '/a?b=c',
    '/a?b=c&access_token=x',               '/a?b=c',
    '/a?b=c&access_token=x&d',             '/a?b=c&d',
    '/a?access_token=x&access_token=y',    '/a',
    '/a?b&access_token=x&c&access_token=y&d', '/a?b&c&d',
    '/a?access%5ftoken=x',                 '/a',
    '/a?%61ccess_token=x&b',               '/a?b',
    '/a?ACCESS_TOKEN=x&b',                 '/a?b',
    '/a?b=1&&access_token=x&',             '/a?b=1&&',
    '/a%2Fb%20c/./..//d?access_token=x&e=%c3%a9', '/a%2Fb%20c/./..//d?e=%c3%a9',
    '/"\\?access_token=x',                 '/"\\',
    'http://alice.openagents.example/p?access_token=x', '/p',
    'http://alice.openagents.example?access_token=x&b', '/?b',
    'http://alice.openagents.example?access_token=x', '/',
    '/rewritten/y?access_token=x',         '/rewritten/y',
);
while (my ($url, $path) = splice @cases, 0, 2) {
    is path($url), $path, $url;
}

done_testing;
