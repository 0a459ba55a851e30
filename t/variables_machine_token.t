# $oa_machine_token is base64url(HMAC-SHA256(secret, ROUTE_ID)).

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA qw(hmac_sha256);
use MIME::Base64 qw(encode_base64url);

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Routes qw(route routes_file);

my $uuid = '0b7e6a55-1c2d-4e3f-8a9b-0123456789ab';

my $ng = OA::Nginx->new(
    env   => { KEY => 'key', OTHER => 'x' x 200 },
    files => { 'routes.json' => routes_file(
        route('alice', route_id => $uuid), route('bob', route_id => 'r1'),
        route('upper', route_id => uc $uuid),
        route('private', access => 'owner')) },
    http  => <<'CONF');
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    oa_machine_key env:KEY;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        location /key { return 200 $oa_machine_token; }
        location /other {
            oa_machine_key env:OTHER;
            return 200 $oa_machine_token;
        }
        location / {
            add_header X-Token "<$oa_machine_token>" always;
            oa_replay;
        }
    }
    server {
        listen 127.0.0.1:%%PORT_1%%;
        return 200 "<$oa_machine_token>";
    }
CONF

sub get {
    my ($name, $path, $port) = @_;
    return http_get($ng->port($port // 0), $path,
                    host => "$name.openagents.example");
}

sub token { encode_base64url(hmac_sha256($_[0], $_[1])) }

is get('alice', '/key')->body, token($uuid, 'key'), 'a UUID';
is get('upper', '/key')->body, token(uc $uuid, 'key'), 'as the row has it';
is get('bob', '/key')->body, token('r1', 'key'), 'another id';
is get('alice', '/other')->body, token($uuid, 'x' x 200), 'another key';
is get('nobody', '/key')->body, '', 'no route';
is get('alice', '/')->header('x-token'), '<' . token($uuid, 'key') . '>',
    'let in';
is get('private', '/')->header('x-token'), '<>', 'refused';
is get('alice', '/', 1)->body, '<>', 'no router';

done_testing;
