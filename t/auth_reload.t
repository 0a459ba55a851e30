# oa_auth comes and goes with a reload, and issuers change their names, while
# the zone remembers routes and tokens.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Token qw(key jwks uuid $ISSUER $USER);

my $key = key('ES256', kid => 'k1');
my ($core, $auth, $router) = map { "ngx_oa_${_}_module" }
                             qw(core auth router);

my %o = (
    workers => 2,
    files   => {
        'keys.json'   => jwks($key),
        'routes.json' => routes_file(
            route('open', access => 'public'),
            route('alice', user_id => $USER, access => 'owner')),
    });

sub conf {
    my (%o) = @_;
    my @issuers = @{ $o{issuers} // [] };
    return join('', map { <<"CONF" } @issuers) . <<"CONF";
    oa_issuer $_ {
        jwks_file keys.json;
        issuer @{[ $_ eq 'second' ? 'https://second.example' : $ISSUER ]};
        audience @{[ $o{audience} // 'authenticated' ]};
    }
CONF
    oa_routes t {
        domain openagents.example; source file routes.json;
        @{[ $o{users} ? "users $o{users};" : '' ]}
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        @{[ $o{auth} ? "oa_auth $o{auth};" : '' ]}
        @{[ $o{auth} ? 'add_header X-Cache $oa_auth_cache always;' : '' ]}
        location / { oa_replay format=json; }
        location /plain { oa_router off; empty_gif; }
    }
CONF
}

my $ng = OA::Nginx->new(%o, http => conf());

my @user = (Authorization => 'Bearer ' . $key->token);
my @wrong = (Authorization => 'Bearer ' . $key->token({ sub => uuid() }));
my @second = (Authorization => 'Bearer ' . $key->token(
    { iss => 'https://second.example' }));

sub get {
    my ($name, @headers) = @_;
    return http_get($ng->port, $name eq 'plain' ? '/plain' : '/',
                    headers => \@headers, host => "$name.openagents.example");
}

sub all {
    my $answers = join ' ', map { $_->status }
        get('alice'), get('alice', @user), get('alice', @wrong),
        get('nobody', @wrong), get('open'),
        get('open', Authorization => 'Bearer x'), get('plain');
    # of all workers
    for (1 .. 10) {
        $answers .= ', then ' . get('alice', @user)->status
            if get('alice', @user)->status != (split ' ', $answers)[1];
    }
    return $answers;
}

my $without = '404 404 404 404 307 307 200';
my $with = '401 307 404 404 307 401 401';

sub becomes {
    my ($what, $answers, $http, $modules) = @_;
    $ng->write_conf(http => $http,
                    modules => $modules // [ $core, $auth, $router ]);
    ok $ng->reload, $what;
    is all(), $answers, "answers: $answers";
}

is all(), $without, 'without oa_auth only public routes exist';
becomes('oa_auth comes', $with, conf(issuers => [ 'one' ], auth => 'one'));
is get('alice')->header('WWW-Authenticate'), 'Bearer realm="one"', 'of one';
becomes('and goes, the issuer stays', $without, conf(issuers => [ 'one' ]));
becomes('and comes', $with, conf(issuers => [ 'one' ], auth => 'one'));
becomes('and goes with its module', $without, conf(), [ $core, $router ]);
becomes('and comes with it', $with, conf(issuers => [ 'one' ], auth => 'one'));

# A name is what a decision was made by.

get('alice', @user) for 1 .. 20;
is get('alice', @user)->header('X-Cache'), 'hit', 'a decision is remembered';
becomes('another name', $with, conf(issuers => [ 'other' ], auth => 'other'));
is get('alice')->header('WWW-Authenticate'), 'Bearer realm="other"',
    'is the realm';
becomes('users by name', $with,
    conf(issuers => [ 'other' ], auth => 'other', users => 'other'));
becomes('another audience', '401 401 401 401 307 401 401',
    conf(issuers => [ 'other' ], auth => 'other', audience => 'others'));
becomes('and the first', $with,
    conf(issuers => [ 'other' ], auth => 'other'));

# Two issuers: whose users own routes changes with a word.

my @two = (issuers => [ 'one', 'second' ], auth => 'one second');
becomes('two issuers', $with, conf(@two, users => 'one'));
is get('alice', @second)->status, 404, 'the same sub of the second';
becomes('the users are the other\'s', '401 404 404 404 307 401 401',
    conf(@two, users => 'second'));
is get('alice', @second)->status, 307, 'the same sub of the second';
is get('alice', @second)->status, 307, 'remembered';
becomes('names that change places', $with,
    conf(@two, issuers => [ 'second', 'one' ], users => 'one'));
is get('alice', @second)->status, 404, 'the same sub of the second';

$ng->write_conf(http => conf(@two));
$ng->expect_log(qr/with several oa_issuer it needs "users"/);
ok !$ng->reload, 'two issuers and no "users"';
is all(), $with, 'nothing changes';

done_testing;
