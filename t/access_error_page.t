# An operator's page for a refusal wins; it is reached once, and learns neither
# a machine nor whether there is one.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_request);
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Token qw(key jwks uuid $ISSUER $USER);

my $key = key('ES256', kid => 'k1');

my $ng = OA::Nginx->new(
    env   => { KEY => 'k' },
    files => {
        'keys.json'   => jwks($key),
        'routes.json' => routes_file(
            route('open', access => 'public'),
            route('off', user_id => $USER, access => 'owner',
                  machine => 'secret', status => 'disabled'),
            route('alice', user_id => $USER, access => 'owner',
                  machine => 'secret')),
        'page.html'   => 'a page',
    },
    http => <<"CONF");
    oa_issuer t {
        jwks_file keys.json; issuer $ISSUER; audience authenticated;
    }
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    oa_machine_key env:KEY;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%DIR%%;
        oa_router t;
        oa_auth t;
        oa_replay_set_header Authorization "Bearer \$oa_machine_token";

        location /static {
            error_page 401 402 403 404 /page.html;
            oa_auth_require aal eq \$arg_aal;
            oa_replay;
        }
        location = /page.html { }

        location /named {
            error_page 401 402 404 = \@named;
            oa_replay;
        }
        location \@named {
            add_header X-To "<\$oa_machine\$oa_app\$oa_machine_host>" always;
            add_header X-Token "<\$oa_machine_token\$oa_flycast_host>" always;
            proxy_pass http://127.0.0.1:%%PORT_1%%/\$oa_machine;
        }

        location /replayed {
            error_page 401 402 404 = \@replay;
            oa_replay;
        }
        location \@replay { oa_access public; oa_replay; }

        location /free {
            error_page 401 404 = /unguarded;
            oa_replay;
        }
        location /unguarded { oa_auth off; oa_access public; oa_replay; }

        location /loop {
            error_page 401 404 /loop;
            oa_replay;
        }
        location /ring {
            error_page 401 404 /ring2;
            recursive_error_pages on;
            oa_replay;
        }
        location /ring2 {
            error_page 401 404 /ring;
            recursive_error_pages on;
            oa_replay;
        }

        location /login {
            error_page 401 =303 https://x.example/login;
            oa_replay;
        }
        location /missing { error_page 401 404 /nonesuch.html; oa_replay; }
    }
    server {
        listen 127.0.0.1:%%PORT_1%%;
        return 200 "to \$uri";
    }
    server {
        listen 127.0.0.1:%%PORT_2%%;
        root %%DIR%%;
        location / {
            oa_auth t;
            error_page 401 /page.html;
            empty_gif;
        }
        location = /page.html { oa_auth t; }
        location /handler {
            oa_auth t;
            error_page 401 = /guarded;
            empty_gif;
        }
        location /guarded {
            oa_auth t;
            proxy_pass http://127.0.0.1:%%PORT_1%%;
        }
    }
CONF

sub get {
    my ($name, $path, @headers) = @_;
    return http_request($ng->port, $path, headers => \@headers,
                        host => "$name.openagents.example");
}

my @owner = (Authorization => 'Bearer ' . $key->token({ aal => 'x' }));
my @wrong = (Authorization => 'Bearer '
             . $key->token({ aal => 'x', sub => uuid() }));
my %as = (nobody => [ 401 ], 'the wrong user' => [ 404, @wrong ],
          'a bad token' => [ 401, Authorization => 'Bearer x' ]);

for my $who (sort keys %as) {
    my ($status, @headers) = @{ $as{$who} };

    for my $name (qw(alice off nobody)) {
        my $r = get($name, '/static?aal=x', @headers);
        is $r->status, $status, "$who, $name: the status";
        is $r->body, 'a page', 'and the page';
        is !!$r->header('WWW-Authenticate'), $status == 401,
            'with the challenge, if it is one';

        $r = get($name, '/named', @headers);
        is $r->status, 200, 'a named location';
        is $r->header('X-To'), '<>', 'has no machine';
        is $r->header('X-Token'), '<>', 'nor its token';
        is $r->body, 'to /', 'nor sends to one';

        for my $path (qw(/replayed /free)) {
            $r = get($name, $path, @headers);
            is $r->header('fly-replay'), undef, "$path: no replay";
            unlike $r->body, qr/instance|secret/, 'of either form';
            is $r->status, 404, 'but an error';
        }

        for my $path (qw(/loop /ring)) {
            $r = get($name, $path, @headers);
            cmp_ok $r->status, '>=', 400, "$path: an end";
            is $r->header('fly-replay'), undef, 'without a replay';
            unlike $r->body, qr/secret/, 'of either form';
        }

        is get($name, '/missing', @headers)->status, 404, 'no such page';
    }

    for my $path ('/static', '/named', '/replayed', '/free', '/loop', '/ring',
                  '/missing', '/login')
    {
        my @text = map { get($_, $path, @headers)->common }
                   qw(alice off nobody);
        ok $text[0] eq $text[1] && $text[1] eq $text[2],
            "$who, $path: all names are alike" or diag explain \@text;
    }
}

my $r = get('alice', '/login');
is $r->status, 303, 'a redirect of one\'s own';
is $r->header('Location'), 'https://x.example/login', 'to there';

is get('alice', '/static?aal=y', @owner)->status, 403, 'a requirement fails';
is get('alice', '/static?aal=y', @owner)->body, 'a page', 'with the page';
is get('off', '/named', @owner)->header('X-To'), '<>', 'disabled: no machine';
like get('alice', '/static?aal=x', @owner)->body, qr/"secret"/,
    'the owner is replayed';

# without a router

sub plain {
    my ($path, @headers) = @_;
    return http_request($ng->port(2), $path, headers => \@headers);
}

$r = plain('/x');
is $r->status, 401, 'no router: the status';
is $r->body, 'a page', 'and the page';
is plain('/page.html')->status, 401, 'which is not there for itself';
is plain('/handler')->status, 401, 'nothing with a handler is reached';
unlike plain('/handler')->body, qr/^to/, 'nor asked';
is plain('/handler', @owner)->status, 200, 'but by who may';

done_testing;
