# json: headers that are taken from the replayed request, and set on it.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP qw(decode_json);

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Routes qw(route routes_file);

my $ng = OA::Nginx->new(
    env   => { KEY => 'secret' },
    main  => 'env KEY;',
    files => { 'routes.json' => routes_file(
        route('alice', app => 'app', machine => 'm1', route_id => 'r1')) },
    http  => <<'CONF');
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    oa_replay_hide_header X-Http;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        oa_machine_key env:KEY;
        location /hidden    { oa_replay format=json; }
        location /default   { oa_replay; }
        location /own {
            oa_replay;
            oa_replay_hide_header X-One;
            oa_replay_hide_header X-Two;
            oa_replay_hide_header Authorization;
            oa_replay_hide_header x-one;
        }
        location /set {
            oa_replay format=json;
            oa_replay_set_header Authorization "Bearer $oa_machine_token";
            oa_replay_set_header X-Subdomain $oa_subdomain;
            oa_replay_set_header X-Id "$oa_route_id/$arg_x";
            oa_replay_set_header X-Empty "$arg_none";
            oa_replay_set_header X-HTTP "$http_x_raw";
            oa_replay_set_header fly-force-region "fra";
        }
        location /deeper {
            oa_replay_set_header X-A a;
            location /deeper/in { oa_replay; }
            location /deeper/own {
                oa_replay;
                oa_replay_set_header X-B "quote\" back\\ slash";
            }
        }
    }
CONF

sub get {
    my ($path, @headers) = @_;
    return http_get($ng->port, $path, host => 'alice.openagents.example',
                    headers => \@headers);
}

my @always = qw(fly-force-instance-id fly-force-region fly-prefer-instance-id
                fly-prefer-region);

sub json { decode_json(get(@_)->body) }

sub deleted {
    return [ sort map { lc } @{ json(@_)->{transform}{delete_headers} } ];
}

sub set {
    return { map { $_->{name} => $_->{value} }
             @{ json(@_)->{transform}{set_headers} // [] } };
}

is_deeply deleted('/hidden'), [ sort 'authorization', 'x-http', @always ],
    'always, and what is inherited';
is_deeply deleted('/default'), [ sort 'authorization', 'x-http', @always ],
    'a hidden header asks for json';
is_deeply deleted('/own'),
    [ sort 'authorization', 'x-one', 'x-two', @always ],
    'own ones replace the inherited, each is named once';

is_deeply deleted('/hidden', 'Fly-Force-New-Thing' => 'x',
                  'FLY-PREFER-ANYTHING' => 'y', 'fly-force-region' => 'ams',
                  'fly-force-new-thing' => 'z', 'X-Fly-Force-A' => 'x',
                  'Fly-Client-IP' => '1.2.3.4', 'Fly-Forced' => 'x'),
    [ sort 'authorization', 'x-http', @always, 'fly-force-new-thing',
      'fly-prefer-anything' ], 'those that nobody knows, too';

subtest 'set' => sub {
    my $set = set('/set?x=1%20y', 'X-Raw' => "tab\there \"q\" \\ \xc3\xa9");
    like delete $set->{Authorization}, qr/^Bearer [A-Za-z0-9_-]{43}$/,
        'Authorization';
    is_deeply $set, {
        'X-Subdomain' => 'alice', 'X-Id' => 'r1/1%20y',
        'X-HTTP' => "tab\there \"q\" \\ \xe9", 'fly-force-region' => 'fra',
    }, 'variables, but no empty value';

    is_deeply deleted('/set', Authorization => 'Bearer x', 'X-Raw' => 'y',
                      'fly-force-region' => 'ams'),
        [ sort 'x-empty', grep { $_ ne 'fly-force-region' } @always ],
        'what is set is not deleted';
    is_deeply deleted('/set'),
        [ sort 'x-empty', 'x-http',
          grep { $_ ne 'fly-force-region' } @always ],
        'what is set to nothing is, so that the client sets nothing either';

    is_deeply set('/deeper/in'), { 'X-A' => 'a' }, 'inherited';
    is_deeply set('/deeper/own'), { 'X-B' => 'quote" back\\ slash' },
        'own ones replace the inherited';
};

subtest 'bytes that are no text' => sub {
    my $r = get('/set', 'X-Raw' => "\xff\xfe \x80");
    my $json = eval { decode_json($r->body) };
    ok $json, 'still JSON';

    # nginx itself refuses control characters since 1.21.1
    $r = get('/set', 'X-Raw' => "a\x01b");
    is $r->status, 400, 'no control character is set';
    is $r->header('fly-replay'), undef, 'and nothing replayed';
};

done_testing;
