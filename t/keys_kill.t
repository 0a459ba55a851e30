# Workers are killed at any moment while keys change: no set is ever torn, and
# whoever comes next has it.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Jwks;
use OA::Nginx;
use OA::Token qw(key jwks $ISSUER);
use OA::Util qw(wait_for spew);

my $KILLS = $ENV{OA_KILLS} // 12;

my $always = key('ES256', kid => 'always');
my @turn = map { key('ES256', kid => "turn$_") } 0, 1;
my $jwks = OA::Jwks->new(keys => [ $always ]);

# Large sets: there is time to be killed while one is written.
sub set {
    my ($n) = @_;
    return jwks($always, $turn[$n]) =~ s/\}$/',"x":"' . 'x' x 60_000 . '"}'/er;
}

my $ng = OA::Nginx->new(
    workers => 3,
    files => { 'keys.json' => set(0) },
    http => <<"CONF");
    oa_zone 4m;
    oa_issuer file { jwks_file keys.json; issuer $ISSUER;
                     audience authenticated; }
    oa_issuer uri  { jwks_uri @{[ $jwks->url ]}; issuer $ISSUER;
                     audience authenticated; refresh 1s; }
    server {
        listen 127.0.0.1:%%PORT_0%% reuseport;
        add_header X-Error \$oa_auth_error always;
        location /file { oa_auth file; empty_gif; }
        location /uri  { oa_auth uri; empty_gif; }
    }
CONF

$ng->expect_log(qr/exited on signal 9/, qr/was locked by/);

# undef: cut off with its worker
sub told {
    my ($key, $path) = @_;
    my $r = eval { http_get($ng->port, $path, timeout => 20,
                       headers => [ Authorization => 'Bearer ' . $key->token ])
            };
    if (!$r and ($@ // '') =~ /no answer in time/) {
        return 'hung';
    }
    return $r && $r->status ? $r->status . ($r->header('X-Error') // '')
                            : undef;
}

sub holder {
    my ($name) = @_;
    my @pids = $ng->log =~ /(\d+)#\d+: duty "keys:$name" taken/g;
    return $pids[-1];
}

ok +(wait_for { (told($always, '/uri') // '') eq '200' } 10), 'fetched';

my %wrong;
my $answers = 0;
for my $n (1 .. $KILLS) {
    my $turn = $n % 2;
    $jwks->publish($always, $turn[$turn]);
    $ng->write_file('keys.json', set($turn));

    # about when it is read
    select undef, undef, undef, 0.2 + rand 0.5;
    my @pids = $ng->worker_pids;
    my $pid = $n % 3 ? holder($n % 3 == 1 ? 'file' : 'uri')
                     : $pids[rand @pids];
    kill 'KILL', $pid;

    for (1 .. 20) {
        for my $path ('/file', '/uri') {
            my $told = told($always, $path) // next;
            $answers++;
            $wrong{"$path $told"}++ if $told ne '200';
            $told = told($turn[rand 2], $path) // next;
            $wrong{"$path $told"}++ if $told !~ /^(?:200|401key)$/;
        }
    }
    wait_for { my @now = $ng->worker_pids;
               @now == 3 and !grep { $_ == $pid } @now } 20
        or fail 'no new worker';
}
is_deeply \%wrong, {}, 'a key that is always there is always known';
cmp_ok $answers, '>', 20 * $KILLS, "$answers answers";

my $last = $KILLS % 2;
for my $path ('/file', '/uri') {
    ok +(wait_for {
        !grep { (told($turn[$last], $path) // '') ne '200'
                or (told($turn[1 - $last], $path) // '') ne '401key' } 1 .. 10
    } 15), "$path: all have the last set";
}

# the holder dies while it fetches: who waits is served by another

$jwks->publish($always, @turn);
my $count = $jwks->count;
$jwks->fault(hold => 1);
ok $jwks->wait_requests($count + 1), 'a fetch hangs';
$ng->kill_worker((grep { ($ng->worker_pids)[$_] == holder('uri') } 0 .. 2)[0]);
ok $jwks->wait_requests($count + 2, 10), 'its worker dies: another begins';
$jwks->fault();
ok +(wait_for { (told($turn[0], '/uri') // '') eq '200'
                && (told($turn[1], '/uri') // '') eq '200' } 10),
    'and ends it';

ok $ng->reload, 'a reload';
is told($always, '/uri'), '200', 'finds it in order';
is told($always, '/file'), '200', 'both';

done_testing;
