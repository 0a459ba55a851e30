# The conninfo from the environment and from a file; a socket in the file
# system.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Postgres;
use OA::Routes qw(insert_route);
use OA::Util qw(wait_for);

my $pg = OA::Postgres->new->apply;
insert_route($pg, 'alice', machine => 'm1');

my $tcp = $pg->conninfo(user => 'oa_router');
my $unix = $pg->conninfo(user => 'oa_router', host => $pg->dir);
my $uri = 'postgresql://oa_router@127.0.0.1:' . $pg->port . '/postgres';

my @cases = (
    [ 'env:',             'env:DATABASE_URL',     { DATABASE_URL => $tcp } ],
    [ 'env:, an URI',     'env:DATABASE_URL',     { DATABASE_URL => $uri } ],
    [ 'env:, a newline',  'env:DATABASE_URL',     { DATABASE_URL => "$tcp\n" } ],
    [ 'file:',            'file:%%DIR%%/secret',  {}, "$tcp\n" ],
    [ 'a socket',         $unix,                  {} ],
    [ 'a socket in env:', 'env:DATABASE_URL',     { DATABASE_URL => $unix } ],
    [ 'an URI',           $uri,                   {} ],
);

sub config { <<"CONF" }
    oa_zone 16m;
    oa_postgres '$_[0]';
    oa_routes t { domain openagents.example; source postgres; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        location / { oa_replay; }
    }
CONF

for (@cases) {
    my ($what, $conninfo, $env, $file) = @$_;
    my $ng = OA::Nginx->new(workers => 2, env => $env,
        http => config($conninfo),
        files => { defined $file ? (secret => $file) : () });

    ok $ng->wait_log(qr/1 routes read from the database/), $what;
    my $r = http_get($ng->port, '/', host => 'alice.openagents.example');
    is $r->header('fly-replay'), 'app=oa-alice;instance=m1', 'a route';
    $r = http_get($ng->port, '/', host => 'nobody.openagents.example');
    is $r->status, 404, 'and none';
    $pg->do('UPDATE public.agent_instances SET region = ?',
            'ams');
    $pg->do('UPDATE public.agent_instances SET fly_machine_id = ?', 'm2');
    ok +(wait_for {
        http_get($ng->port, '/', host => 'alice.openagents.example')
            ->header('fly-replay') eq 'app=oa-alice;instance=m2'
    } 2), 'a change';
    $pg->do('UPDATE public.agent_instances SET fly_machine_id = ?', 'm1');
    unlike $ng->log, qr/\[(?:error|warn)\]/, 'no error';
}

# the master reads it again with each reload, and only then

my $ng = OA::Nginx->new(http => config('file:%%DIR%%/secret'),
                        files => { secret => $tcp });
ok $ng->wait_log(qr/1 routes read from the database/), 'a file';
$ng->write_file('secret', "port=1 host=127.0.0.1 user=oa_router");
chmod 0600, $ng->path('secret');
ok $ng->reload, 'another one';
ok $ng->wait_log(qr/\[error\].*oa_postgres: .*127\.0\.0\.1/), 'is used';
my $r = http_get($ng->port, '/', host => 'alice.openagents.example');
is $r->header('fly-replay'), 'app=oa-alice;instance=m1',
    'what was known is served';

# what is not there

for my $conninfo ('env:NOT_THERE', 'file:%%DIR%%/not_there') {
    my ($exit, $text) = OA::Nginx->test_config(http => config($conninfo));
    isnt $exit, 0, "$conninfo: nginx -t fails";
    like $text, qr/\[emerg\].*(?:NOT_THERE|not_there).*nginx\.conf:\d+/s,
        'and says why';
}

my ($exit, $text) = OA::Nginx->test_config(
    http => config('host=db.example user=oa_router'));
isnt $exit, 0, 'a name without a resolver: nginx -t fails';
like $text, qr/\[emerg\].*resolver.*nginx\.conf:\d+/, 'and says why';

done_testing;
