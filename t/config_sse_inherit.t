# Directives of streams inherit from http to server to location, and merge.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Client qw(http_request);
use OA::Events;
use OA::Nginx;
use OA::Token qw(key jwks $ISSUER);

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    $c->head;
    $c->event("data: a\n\n");
    $c->stall if $request->path =~ /stall/;
    $c->end;
});
my $url = $agent->url;

my $key = key('ES256');
my @user = (Authorization => 'Bearer ' . $key->token);

my $ng = OA::Nginx->new(
    env   => { OUTER => 'outer', INNER => 'inner' },
    files => { 'jwks.json' => jwks($key) },
    http  => <<"CONF");
    oa_issuer t {
        jwks_file jwks.json;
        issuer $ISSUER; audience authenticated;
    }

    oa_sse_dialect      raw;
    oa_sse_token        env:OUTER;
    oa_sse_set_header   X-A a;
    oa_sse_set_header   X-B \$host;
    oa_sse_heartbeat    1h;
    oa_sse_max_streams  1;

    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { oa_sse_pass $url; }
        location /off {
            oa_sse_token off;
            oa_sse_pass $url;
        }
        location /stall {
            oa_auth t;
            oa_sse_pass $url;
        }
        location /nested {
            oa_sse_pass $url;
            location /nested/none { }
        }
        location /if {
            oa_sse_pass $url;
            if (\$arg_if) { set \$x 1; }
            if (\$arg_other) { oa_sse_pass $url/other; }
        }
    }
    server {
        listen 127.0.0.1:%%PORT_1%%;
        oa_sse_dialect     seed;
        oa_sse_token       env:INNER;
        oa_sse_set_header  X-C c;
        oa_sse_heartbeat   50ms;

        location / { oa_sse_pass $url; }
        location /variable {
            oa_sse_dialect raw;
            oa_sse_token   \$arg_token;
            oa_sse_set_header X-C \$arg_none;
            oa_sse_pass    $url;
        }
        location /stall {
            oa_auth t;
            oa_sse_max_streams 2;
            oa_sse_pass $url;
            location /stall/silent {
                oa_auth off;
                oa_sse_heartbeat 1h;
                oa_sse_pass $url;
            }
        }
    }
CONF

sub post {
    my ($port, $path, %o) = @_;
    return OA::Events->new($ng->port($port), $path, method => 'POST',
                           host => 'a.example',
                           body => '{"message":"hi","x":1}', %o);
}

# What the machine is asked: dialect, token, headers.
sub asked {
    post(@_)->all;
    my $r = ($agent->requests)[-1];
    return join ' ', $r->path, $r->body =~ /x/ ? 'raw' : 'seed',
        map { $_ // '-' } map { $r->header($_) // undef }
            qw(Authorization X-A X-B X-C);
}

is asked(0, '/'), '/ raw Bearer outer a a.example -', 'all from http';
is asked(0, '/off'), '/off raw - a a.example -', 'a token off';
is asked(0, '/if?if=1'), '/if?if=1 raw Bearer outer a a.example -',
    'within an if, too';
is asked(0, '/if?other=1'), '/other?other=1 raw Bearer outer a a.example -',
    'which may pass on elsewhere';
is asked(0, '/nested'), '/nested raw Bearer outer a a.example -', 'a location';
is http_request($ng->port, '/nested/none')->status, 404,
    'what is in it is no location of streams by that';

is asked(1, '/'), '/ seed Bearer inner - - c',
    'from server, whose headers take the place of all others';
is asked(1, '/variable?token=t'),
    '/variable?token=t raw Bearer t - - -', 'from location';

is post(0, '/stall', headers => \@user)->status, 200, 'a stream';
is post(0, '/stall', headers => \@user)->status, 429, 'one, from http';
my @two = map { post(1, '/stall', headers => \@user) } 1 .. 2;
is $two[0]->status, 200, 'two from location';
is $two[1]->status, 429, 'of which the first was the other location\'s';

my $silent = post(1, '/stall/silent');
ok $two[0]->wait_comment(10), 'heartbeats of server';
is scalar(() = $silent->comments), 0, 'and of location, once an hour';

done_testing;
