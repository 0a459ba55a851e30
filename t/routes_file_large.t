# Many routes, and more than there is room for.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Time::HiRes qw(time);

use OA::Client;
use OA::Nginx;
use OA::Util qw(wait_for);

sub rows {
    my ($n, $machine) = @_;
    return "{\"routes\":[\n" . join(",\n", map {
        sprintf '{"subdomain":"u%d","route_id":"%08x-0000-4000-8000-'
            . '000000000000","user_id":"%08x-0000-4000-8000-000000000001",'
            . '"app":"app-%d","machine":"%s%d","region":"fra",'
            . '"status":"running","access":"public"}',
            $_, $_, $_, $_ % 100, $machine, $_;
    } 1 .. $n) . "\n]}\n";
}

my $n = 20_000;

my $ng = OA::Nginx->new(
    workers => 2,
    files   => { 'routes.json' => rows($n, 'm') },
    http    => <<'CONF');
    oa_zone 4m;
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        keepalive_requests 100000;
        oa_router t;
        location / { oa_replay; }
    }
CONF

my $c = OA::Client->new($ng->port);

sub replay {
    $c->get('/', host => "u$_[0].openagents.example")->header('fly-replay');
}

# Names that do not answer as they should.
sub wrong {
    my ($machine, $step) = @_;
    my @wrong;
    for (my $i = 1; $i <= $n; $i += $step) {
        my $app = 'app-' . $i % 100;
        push @wrong, $i
            if (replay($i) // '') ne "app=$app;instance=$machine$i";
    }
    return scalar @wrong;
}

like $ng->log, qr/ $n routes read from /, 'all are read';
is wrong('m', 1), 0, 'and every one answers';
is replay(0), undef, 'what is before the first';
is replay($n + 1), undef, 'what is behind the last';

# changed while requests go on: each sees the old route or the new one
$ng->write_file('routes.json', rows($n, 'x'));
my (%seen, $bad);
wait_for {
    for my $i (1, 5_000, 10_000, $n) {
        my $replay = replay($i) // '';
        $replay =~ /^app=app-\d+;instance=([mx])$i$/ ? $seen{$1}++ : $bad++;
    }
    $ng->log_count(qr/ $n routes read from /) == 2;
} 10;
is $bad, undef, 'no request misses its route while the file is read';
is wrong('x', 7), 0, 'all are changed';

# 4 MB have 1,024 pages of 32 routes; these need more
$ng->write_file('routes.json', rows(2 * $n, 'y'));
my $too_many = 2 * $n;
ok $ng->wait_log(qr{\[error\] .* $too_many routes of "\S+" need \d+k}, 5),
    'too many: an error says how much is missing';
is wrong('x', 7), 0, 'the old ones stay';
is replay($n + 1), undef, 'and nothing else came';

$ng->write_file('routes.json', rows(100, 'z'));
ok $ng->wait_log(qr/ 100 routes read from /, 5), 'fewer';
is replay(100), 'app=app-0;instance=z100', 'one of them';
is replay(101), undef, 'one that is gone';

$ng->write_file('routes.json', rows($n, 'm'));
ok +(wait_for { $ng->log_count(qr/ $n routes read from /) == 3 } 10),
    'their room is used again';
is wrong('m', 7), 0, 'by all of them';

done_testing;
