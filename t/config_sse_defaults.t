# What streams are like where nothing but oa_sse_pass is said.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA qw(hmac_sha256);
use MIME::Base64 qw(encode_base64url);

use OA::Agent;
use OA::Client qw(http_request);
use OA::Events;
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Token qw(key jwks $ISSUER);

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    $c->head;
    $c->stall if $request->path eq '/stall';
    $c->event('data: ' . 'x' x 1000 . "\n\n")
        for 1 .. ($request->path eq '/fill' ? 400 : 1);
    $c->end;
});
my $url = $agent->url;

my $key = key('ES256');
my @user = (Authorization => 'Bearer ' . $key->token);

my $ng = OA::Nginx->new(
    env   => { MASTER => 'master' },
    files => {
        'jwks.json' => jwks($key),
        'routes.json' => routes_file(route('alice', route_id => 'r1')),
    },
    http  => <<"CONF");
    oa_issuer t {
        jwks_file jwks.json;
        issuer $ISSUER; audience authenticated;
    }
    oa_routes t { domain a.example; source file routes.json; }

    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { oa_sse_pass $url; }
        location /stall {
            oa_auth t;
            oa_sse_pass $url;
        }
        location /machine {
            oa_router t;
            oa_access public;
            oa_machine_key env:MASTER;
            oa_sse_pass $url;
        }
    }
CONF

sub post {
    my ($path, %o) = @_;
    return OA::Events->new($ng->port, $path, method => 'POST',
                           body => '{"message":"hi","x":1}', %o);
}

post('/')->all;
my $seen = ($agent->requests)[-1];
is $seen->body, '{"message":"hi"}', 'oa_sse_dialect seed';
is $seen->header('Authorization'), undef, 'no token where there is no machine';

post('/machine', host => 'alice.a.example')->all;
is +($agent->requests)[-1]->header('Authorization'),
    'Bearer ' . encode_base64url(hmac_sha256('r1', 'master')),
    'oa_sse_token $oa_machine_token';

my $stream = post('/fill');
my $name = $stream->header('OA-Stream');
is scalar(() = $stream->all), 401, 'who reads gets all';
my $gap = OA::Events->new($ng->port, "/fill?stream=$name")->next;
is $gap->{event}, 'gap', 'oa_sse_buffer holds not all of 400k';
my ($to) = $gap->{data} =~ /"to":(\d+)/;
cmp_ok 401 - $to, '>', 200, 'but more than 200k';
cmp_ok 401 - $to, '<', 256, 'and less than 256k with its ids';

my @running = map { post('/stall', headers => \@user) } 1 .. 20;
is_deeply [ map { $_->status } @running ], [ (200) x 20 ],
    'oa_sse_max_streams 20';
is http_request($ng->port, '/stall', method => 'POST', headers => \@user,
                body => '{"message":"hi"}')->status, 429, 'and no more';

done_testing;
