# A subrequest is a GET whatever the browser sent: for its cookie it is the
# request that counts.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_request);
use OA::Nginx;
use OA::Token qw(key jwks $ISSUER);

my $name = 'sb-abcdefghijklmnopqrst-auth-token';
my $key = key('ES256', kid => 'k1');

my $ng = OA::Nginx->new(
    files => { 'jwks.json' => jwks($key) },
    http  => <<"CONF");
    oa_issuer t {
        jwks_file jwks.json;
        issuer $ISSUER; audience authenticated;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;

        location / {
            auth_request /check;
            try_files /none \@ok;
        }
        location = /check {
            internal;
            oa_auth t;
            empty_gif;
        }
        location \@ok { return 204; }
    }
CONF

my @own = ('Sec-Fetch-Site' => 'same-origin');
my @sibling = ('Sec-Fetch-Site' => 'same-site',
               Origin => 'https://mallory.openagents.example');

sub status {
    my ($method, @headers) = @_;
    return http_request($ng->port, '/', method => $method,
                        host => 'alice.openagents.example',
                        headers => \@headers)->status;
}

my @cookie = (Cookie => "$name=" . $key->token);

is status('GET'), 401, 'nobody';
is status('GET', @cookie, @sibling), 204, 'GET of a sibling';
is status('POST', @cookie, @own), 204, 'POST of our own page';
is status('POST', @cookie, @sibling), 401, 'POST of a sibling';
is status('DELETE', @cookie, @sibling), 401, 'DELETE of a sibling';
is status('POST', Authorization => 'Bearer ' . $key->token, @sibling), 204,
    'POST of a sibling with a token of its own';

done_testing;
