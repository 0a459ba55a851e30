# Whoever may begin a session there may do nothing else: a location with
# oa_session has no other handler.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_request);
use OA::Nginx;
use OA::Token qw(key jwks $ISSUER);

my $key = key('ES256', kid => 'k1');
my %files = ('jwks.json' => jwks($key));

sub conf {
    my ($location) = @_;
    return <<"CONF";
    oa_issuer t {
        jwks_file jwks.json;
        issuer $ISSUER; audience authenticated;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_auth t;
        location = /s { $location }
    }
CONF
}

for my $other ('empty_gif;', 'proxy_pass http://127.0.0.1:1;') {
    my ($exit, $stderr) = OA::Nginx->test_config(
        files => \%files, http => conf("oa_session t; $other"));
    isnt $exit, 0, "no oa_session with $other";
    like $stderr, qr/"oa_session t" has another handler beside it in/,
        'and it is said why';
}

# an "if" has a handler of its own, and still is the session's
my $ng = OA::Nginx->new(files => \%files, http => conf(
    'oa_session t; if ($arg_x) { set $y 1; }'));

for my $path ('/s', '/s?x=1') {
    is http_request($ng->port, $path)->status, 405, "GET $path";
    is http_request($ng->port, $path, method => 'POST', headers => [
           Authorization => 'Bearer ' . $key->token ])->status, 204,
        "POST $path";
}

done_testing;
