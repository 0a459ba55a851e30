# A refusal has one challenge, wherever it was refused: a subrequest's is that
# of its request, and that of an error page goes before the page's reason.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Token qw(key jwks $ISSUER);

my $key = key('ES256', kid => 'k1');

my $ng = OA::Nginx->new(
    files => { 'jwks.json' => jwks($key) },
    http  => <<"CONF");
    oa_issuer t {
        jwks_file jwks.json;
        issuer $ISSUER; audience authenticated;
    }
    oa_issuer other {
        jwks_file jwks.json;
        issuer https://other.example; audience authenticated;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;

        location /asked {
            auth_request /check;
            empty_gif;
        }
        location = /check { oa_auth t; empty_gif; }

        location /page {
            error_page 401 = \@page;
            oa_auth t;
            empty_gif;
        }
        location \@page { oa_auth other; empty_gif; }
    }
CONF

sub challenges {
    my ($path, @headers) = @_;
    my $r = http_get($ng->port, $path, headers => \@headers);
    return [ $r->status, $r->header('WWW-Authenticate') ];
}

my @bad = (Authorization => 'Bearer ' . $key->token({ exp => time - 60 }));
my $error = 'error="invalid_token", error_description=';

is_deeply challenges('/check'), [ 401, 'Bearer realm="t"' ], 'no token';
is_deeply challenges('/asked'), [ 401, 'Bearer realm="t"' ],
    'no token, of a subrequest';
is_deeply challenges('/asked', @bad),
    [ 401, qq(Bearer realm="t", $error"expired") ],
    'a bad token, of a subrequest';
is_deeply challenges('/page'), [ 401, 'Bearer realm="other"' ],
    'no token, for a page that needs one, too';

done_testing;
