# A reload that fails changes nothing, even for workers that are started after
# it, in the place of a dead one: what the master knows is theirs.

use strict;
use warnings;

use IO::Socket::IP;
use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get http_request);
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Token qw(key jwks uuid $ISSUER $USER);
use OA::Util qw(free_port wait_for);

my ($core, $auth, $router) = map { "ngx_oa_${_}_module" }
                             qw(core auth router);
my $key = key('ES256', kid => 'k1');
my $busy = free_port();
my $listen = IO::Socket::IP->new(LocalHost => '127.0.0.1', Listen => 1,
                                 LocalPort => $busy) or die $@;

my $issuer = <<"CONF";
    oa_issuer t {
        jwks_file keys.json; issuer $ISSUER; audience authenticated;
    }
CONF
my $routes = <<'CONF';
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
CONF
my $server = <<'CONF';
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / {
            oa_router t; oa_auth t; oa_cors_origin https://app.example;
            oa_replay;
        }
        location /plain { oa_auth t; empty_gif; }
        location /.oa/session { oa_router t; oa_session t; }
        location /off { empty_gif; }
    }
CONF
my $open = 'server { listen 127.0.0.1:%%PORT_0%%; %s '
           . 'location / { empty_gif; } }';

my $good = $issuer . $routes . $server;
my $late = $open =~ s/%s/access_log no\/such\/folder;/r;

# What is wrong, and where nginx finds out.
my @failures = (
    [ 'in the first line' => 'nonsense;' ],
    [ 'after our directives' => "$good nonsense;" ],
    [ 'without our directives' => ($open =~ s/%s//r) . 'nonsense;' ],
    [ 'without the modules' => ($open =~ s/%s//r) . 'nonsense;', [] ],
    [ 'without auth' => "$routes " . ($open =~ s/%s/oa_router t;/r)
                        . 'nonsense;', [ $core, $router ] ],
    [ 'an issuer with no keys' =>
      $good =~ s/jwks_file keys.json;//r ],
    [ 'after all was read' =>
      $good =~ s/source file/users nobody; source file/r ],
    [ 'in another module' => 'oa_postgres "host=db.example";' . $good ],
    [ 'when it opens files' => $late ],
    [ 'when it opens files, without the modules' => $late, [] ],
    [ 'when it opens files, without auth' =>
      $routes . ($late =~ s/access_log/oa_router t; access_log/r),
      [ $core, $router ] ],
    [ 'when it listens, with another zone and issuer' =>
      "oa_zone 8m; $issuer" =~ s/\Q$ISSUER\E/https:\/\/other.example/r
      . $routes . $server . "server { listen 127.0.0.1:$busy; }" ],
);

my @user = (Authorization => 'Bearer ' . $key->token);
my @wrong = (Authorization => 'Bearer ' . $key->token({ sub => uuid() }));
my $ng;

sub told {
    my ($path, $name, @headers) = @_;
    my $r = http_get($ng->port, $path, host => "$name.openagents.example",
                     headers => [ Origin => 'https://app.example',
                                  @headers ]);
    my $cors = $r->header('Access-Control-Allow-Origin') // '';
    return $r->status . ($path eq '/' && $cors ne 'https://app.example'
                         ? ' no CORS' : '');
}

sub all {
    return join ', ',
        told('/', 'alice'), told('/', 'alice', @user),
        told('/', 'alice', @wrong), told('/', 'nobody', @wrong),
        told('/', 'open'), told('/', 'open', Authorization => 'Bearer x'),
        told('/plain', 'x'), told('/plain', 'x', @user), told('/off', 'x'),
        http_request($ng->port, '/.oa/session', method => 'POST',
                     host => 'nobody.openagents.example',
                     headers => \@user)->status;
}

my $as_it_was = '401, 307, 404, 404, 307, 401, 401, 200, 200, 204';

for my $modules ([ $core, $auth, $router ], [ $core, $router, $auth ]) {
    $ng = OA::Nginx->new(
        modules => $modules, http => $good,
        files   => {
            'keys.json'   => jwks($key),
            'routes.json' => routes_file(
                route('open', access => 'public'),
                route('alice', user_id => $USER, access => 'owner')),
        });
    is all(), $as_it_was, "@$modules[1, 2]";

    for my $failure (@failures) {
        my ($where, $http, $other) = @$failure;
        $ng->expect_log(qr/\[emerg\]/);
        $ng->write_conf(modules => $other // $modules, http => $http);
        ok !$ng->reload, "a reload that fails $where";
        # nginx tries to listen for a while
        wait_for { $ng->log_count(qr/still could not bind/) } 5
            if $where =~ /^when it listens/;
        is all(), $as_it_was, 'as it was';
        $ng->kill_worker(0);
        is all(), $as_it_was, 'by a new worker, too';
    }

    $ng->write_conf(modules => $modules, http => $good);
    ok $ng->reload, 'a reload that does not fail';
    is all(), $as_it_was, 'and as it was';
    $ng->kill_worker(0);
    is all(), $as_it_was, 'by a new worker, too';
    $ng->stop;
}

done_testing;
