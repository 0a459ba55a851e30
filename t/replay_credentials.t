# json: no credential goes to the machine, from whatever source, and nothing
# else is taken away.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw(decode_json);
use OA::Client qw(http_get h2_request);
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Token qw(key jwks b64 $ISSUER $USER);

my $name = 'sb-abcdefghijklmnopqrst-auth-token';
my $key = key('ES256', kid => 'k1');

my $ng = OA::Nginx->new(
    files => {
        'jwks.json' => jwks($key),
        'routes.json' => routes_file(
            route('alice', user_id => $USER, access => 'owner'),
            route('open')),
    },
    http => <<"CONF");
    oa_issuer t {
        jwks_file jwks.json;
        issuer $ISSUER; audience authenticated;
    }
    oa_issuer second {
        jwks_file jwks.json;
        issuer https://second.example; audience x;
        cookie second;
    }
    oa_routes t {
        domain openagents.example;
        source file routes.json;
        users t;
    }
    large_client_header_buffers 4 32k;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        listen 127.0.0.1:%%PORT_1%% http2;
        oa_auth t;
        oa_router t;
        location /             { oa_replay; }
        location /off          { oa_auth off; oa_replay format=json; }
        location /query        { oa_auth_token query=jwt; oa_replay; }
        location /own          { oa_auth_token cookie=own; oa_replay; }
        location /all          { oa_auth_token header cookie query protocol;
                                 oa_replay; }
        location = /.oa/session { oa_session user; }
        location /set {
            oa_replay;
            oa_replay_set_header Cookie "mine=1";
            oa_replay_set_header Authorization "Bearer mine";
            oa_replay_set_header Sec-WebSocket-Protocol mine;
        }
        location /hide {
            oa_replay;
            oa_replay_hide_header COOKIE;
            oa_replay_hide_header Sec-WebSocket-Protocol;
        }
        location /hide-set {
            oa_replay;
            oa_replay_set_header Cookie "";
            oa_replay_hide_header Cookie;
        }
    }
CONF

my $token = $key->token;
my $value = 'base64-' . b64(qq({"access_token":"$token","user":{}}));
my @bearer = (Authorization => "Bearer $token");

sub changed {
    my ($r) = @_;
    my $json = decode_json($r->body);
    my $transform = $json->{transform};
    return {
        path => $transform->{path},
        set => { map { lc $_->{name} => $_->{value} }
                 @{ $transform->{set_headers} // [] } },
        deleted => { map { lc $_ => 1 }
                     @{ $transform->{delete_headers} // [] } },
    };
}

sub replay {
    my ($path, @headers) = @_;
    my $r = http_get($ng->port, $path, headers => \@headers,
                     host => $path =~ m{^/off} ? 'open.openagents.example'
                                               : 'alice.openagents.example');
    is $r->status, 307, 'replayed' or diag $r->body;
    is index($r->body . join(' ', map { @$_ } @{ $r->headers }), $token), -1,
        'the answer has no token';
    return changed($r);
}

# What a machine would get as Cookie; undef: as it was sent.
sub cookie {
    my ($change) = @_;
    my $set = $change->{set}{cookie};
    return $set if defined $set;
    return $change->{deleted}{cookie} ? '' : undef;
}

subtest 'Authorization' => sub {
    for my $path ('/', '/off', '/all') {
        my $change = replay($path, @bearer);
        ok $change->{deleted}{authorization}, "$path: deleted";
        is cookie($change), undef, "$path: no word of cookies";
        is $change->{path}, undef, "$path: nor of the path";
    }
};

subtest 'Cookie' => sub {
    my $rest = 'a=b; theme="dark, really"; x; =y; z=%20%; a=c;d=e';
    my @chunks = map { "$name.$_=" . substr $value, $_ * 300, 300 }
                 0 .. (length($value) - 1) / 300;

    my @cases = (
        [ 'a=b' ]                              => undef, 'nothing of it',
        [ $rest ]                              => undef, 'whatever it is',
        [ "$name=$value" ]                     => '',    'nothing else',
        [ "$name=$value; $rest" ]              => $rest, 'in front',
        [ "$rest; $name=$value" ]              => $rest, 'at the end',
        [ "a=b; $name=$value; c=d" ]           => 'a=b; c=d', 'between',
        [ join '; ', 'a=b', reverse(@chunks), 'c=d' ]
                                               => 'a=b; c=d', 'chunks',
        [ "$name.99=$value; c=d" ]             => 'c=d', 'a chunk of old',
        [ "\U$name\E=$value; c=d" ]            => 'c=d', 'in capitals',
        [ "second=$value; c=d" ]               => 'c=d', "another issuer's",
        [ "own=$value; c=d" ]                  => 'c=d', 'a name of our own',
        [ "__Host-user=$token; c=d" ]          => 'c=d', 'a session',
        [ "__host-USER=$token; c=d" ]          => 'c=d', 'a session, so',
        [ "$name-code-verifier=v; a=b" ]       => 'a=b', 'a verifier',
        [ "$name-code-verifiers=v" ]           => undef, 'no longer name',
        [ "x$name=v; ${name}x=v" ]             => undef, 'no other name',
        [ "$name=; a=b" ]                      => 'a=b', 'an empty one',
        [ 'a=b', 'c=d' ]                       => undef, 'two lines',
        [ 'a=b', "$name=$value", 'c=d' ]       => 'a=b; c=d', 'three lines',
        [ "$name.0=$value", "$name.1=x" ]      => '',    'two lines of them',
        [ '', "$name=$value; a=b", '' ]        => 'a=b', 'empty lines',
        [ ('a=b') x 64 ]                       => undef, 'many lines',
        [ ('a=b') x 65 ]                       => '',    'too many lines',
    );

    while (my ($lines, $expected, $what) = splice @cases, 0, 3) {
        my $change = replay('/off', map { (Cookie => $_) } @$lines);
        is cookie($change), $expected, $what;
    }

    is cookie(replay('/', Cookie => "a=b; $name=$value; c=d")), 'a=b; c=d',
        'the one that was read';

    my $r = h2_request($ng->port(1), authority => 'open.openagents.example',
        path => '/off', headers => [ map { (cookie => $_) } 'a=b', @chunks,
                                     'c=d' ]);
    is cookie(changed($r)), 'a=b; c=d', 'crumbs of HTTP/2';
};

subtest 'the path' => sub {
    my @cases = (
        '/off?a=b'                        => undef,          'nothing of it',
        '/off'                            => undef,          'no arguments',
        '/off?access_token=x'             => '/off',         'nothing else',
        '/off?access_token=x&'            => '/off',         'but an "&"',
        '/off?a=b&access_token=x&c=%2f'   => '/off?a=b&c=%2f', 'between',
        '/off?access_token=x&access_token=y' => '/off',      'twice',
        '/off?ACCESS_token=x&a'           => '/off?a',       'in capitals',
        '/off?%61ccess%5ftoken=x&a'       => '/off?a',       'encoded',
        '/off?access_token&a'             => '/off?a',       'without a value',
        '/off?jwt=x&a=b'                  => '/off?a=b',     'a name of our own',
        '/off?J%57T=x&a=b'                => '/off?a=b',     'so, too',
        '/off?my_access_token=x&jwts=y'   => undef,          'no other name',
        '/off/access_token=x'             => undef,          'not in the path',
        '/off%3Faccess_token=x'           => undef,          'nor encoded',
        '/off/../off//%2e?jwt=x'          => '/off/../off//%2e', 'as it was sent',
    );

    while (my ($path, $expected, $what) = splice @cases, 0, 3) {
        is replay($path)->{path}, $expected, "$path: $what";
    }

    is replay("/query?a=b&jwt=$token&c")->{path}, '/query?a=b&c',
        'the one that was read';
    is replay("/all?access_token=$token")->{path}, '/all', 'and this';
};

subtest 'Referer' => sub {
    my $page = 'https://open.openagents.example/off';
    my @cases = (
        $page                          => 0, 'nothing of it',
        "$page?a=b"                    => 0, 'arguments',
        "$page?access_token=$token"    => 1, 'a page that was opened so',
        "$page?a=b&J%57T=$token&c"     => 1, 'a name of our own',
        "$page/access_token=x"         => 0, 'not in the path',
    );

    while (my ($referer, $expected, $what) = splice @cases, 0, 3) {
        my $change = replay('/off', Referer => $referer);
        is !!$change->{deleted}{referer}, !!$expected, $what;
        is $change->{set}{referer}, undef, 'never another';
    }
};

subtest 'Sec-WebSocket-Protocol' => sub {
    my @cases = (
        [ 'chat, v2' ]                 => undef,          'nothing of it',
        [ "bearer, $token" ]           => 'bearer',       'bearer stays',
        [ "chat, bearer, $token, v2" ] => 'chat, bearer, v2', 'and others',
        [ "bearer,$token,v2" ]         => 'bearer,v2',    'as it was sent',
        [ "BEARER, secret, v2" ]       => 'BEARER, v2',   'whatever it is',
        [ $token ]                     => '',             'a bare token',
        [ "chat, $token" ]             => 'chat',         'behind others',
        [ 'bearer' ]                   => undef,          'the name alone',
        [ 'bearer', $token ]           => '',             'over two lines',
        [ 'chat', 'v2' ]               => '',             'whatever they are',
    );

    while (my ($lines, $expected, $what) = splice @cases, 0, 3) {
        my $change = replay('/off',
                            map { ('Sec-WebSocket-Protocol' => $_) } @$lines);
        my $left = $change->{set}{'sec-websocket-protocol'};
        $left //= '' if $change->{deleted}{'sec-websocket-protocol'};
        is $left, $expected, $what;
    }

    is replay('/all', 'Sec-WebSocket-Protocol' => "bearer, $token")
           ->{set}{'sec-websocket-protocol'}, 'bearer', 'the one that was read';
};

my @others = (Cookie => "a=b; $name=$value",
              'Sec-WebSocket-Protocol' => "chat, bearer, $token");

subtest 'what the operator sets' => sub {
    for my $headers (\@bearer, [ @bearer, @others ]) {
        my $change = replay('/set', @$headers);
        is_deeply $change->{set}, {
            cookie => 'mine=1', authorization => 'Bearer mine',
            'sec-websocket-protocol' => 'mine',
        }, 'goes before what is left';
        ok !(grep { $change->{deleted}{$_} } keys %{ $change->{set} }),
            'and is not deleted';
    }
};

subtest 'what the operator hides' => sub {
    for my $headers (\@bearer, [ @bearer, @others ]) {
        my $change = replay('/hide', @$headers);
        is_deeply $change->{set}, {}, 'nothing is left';
        ok $change->{deleted}{$_}, "$_: deleted"
            for 'cookie', 'sec-websocket-protocol', 'authorization';
    }

    is cookie(replay('/hide-set', @bearer, @others)), '',
        'set to nothing, and hidden';
};

done_testing;
