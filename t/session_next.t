# Where a session leads to is a path of this host as the browser knows it,
# which nginx, behind a proxy, does not: neither its scheme nor its port.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_request);
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
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_auth t;
        location = /s { oa_session t; }
    }
CONF

sub post {
    my ($next) = @_;
    my $body = 'access_token=' . $key->token;
    $body .= "&next=$next" if defined $next;
    return http_request($ng->port, '/s', method => 'POST', body => $body,
                        host => 'alice.openagents.example', headers => [
        'Content-Type' => 'application/x-www-form-urlencoded' ]);
}

for my $case ([ undef, '/' ], [ '/', '/' ], [ '%2Fa%3Fb%3Dc', '/a?b=c' ]) {
    my ($next, $location) = @$case;
    my $r = post($next);
    is $r->status, 303, 'a session with next ' . ($next // 'missing');
    is $r->header('Location'), $location, "leads to $location";
    like $r->header('Set-Cookie'), qr/^__Host-t=/, 'with its cookie';
}

done_testing;
