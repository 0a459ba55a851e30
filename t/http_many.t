# As many exchanges as may be under way are, at once; one more is refused; and
# those whose client goes are given up.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get http_many request_bytes);
use OA::Fetch qw(fetch_nginx fetch fetched);
use OA::Jwks;
use OA::Util qw(wait_for);

my $MAX = 64;
my $request = request_bytes('/', host => 'x', close => 1);

sub sockets {
    my ($ng) = @_;
    my ($pid) = $ng->worker_pids;
    return scalar grep { (readlink($_) // '') =~ /^socket:/ }
                  glob "/proc/$pid/fd/*";
}

# n exchanges at once; the peer needs a process and a handshake for each
sub try {
    my ($name, $n, $peer, %o) = @_;
    my $base = $peer->url('localhost') =~ s{(:\d+)/.*}{$1}r;
    my $http = $name eq 'TLS'
        ? 'oa_trusted_certificate ' . $peer->ca_file . ';' : '';
    my $ng = fetch_nginx(http => $http, %o, server => <<"CONF");
        location / { oa_test_fetch $base timeout=60s; }
CONF
    my $body = join '', map { "line $_ of many\n" } 1 .. 2000;

    $peer->body($body);
    is fetch($ng, '/')->{answer}, $body, "$name: one";
    my $before = sockets($ng);

    # none is answered until all were heard

    $peer->fault(hold => 1);
    my $asked = $peer->count;
    my @clients = map { OA::Client->new($ng->port, timeout => 60) } 1 .. $n;
    $_->send($request) for @clients;
    ok $peer->wait_requests($asked + $n, 60), "$name: $n at once";

    if ($n == $MAX) {
        my $more = OA::Client->new($ng->port);
        $more->send($request);
        is $more->response->status, 429, "$name: another one is refused";
    }

    # some clients go

    my $out = sockets($ng);
    $_->close for @clients[0 .. 9];
    ok +(wait_for { sockets($ng) <= $out - 20 } 20),
        "$name: ten went, with their connections";

    $peer->fault();
    my @answers = map { fetched($_->response)->{answer} }
                  @clients[10 .. $#clients];
    is +(grep { $_ eq $body } @answers), $n - 10,
        "$name: the others are answered";
    ok +(wait_for { sockets($ng) <= $before } 20), "$name: nothing is left";

    # and in a row

    my $good = 0;
    for (1 .. 4) {
        my @r = http_many($ng->port, [ ($request) x ($n - 10) ],
                          timeout => 60);
        $good += grep { $_ && fetched($_)->{answer} eq $body } @r;
    }
    is $good, 4 * ($n - 10), "$name: " . 4 * ($n - 10) . ' more';
    ok +(wait_for { sockets($ng) <= $before } 20), "$name: nothing is left";
}

my $peer = OA::Jwks->new;
try('plain', $MAX, $peer);
try('TLS', 20, OA::Jwks->new(tls => 1));

SKIP: {
    my ($status) = OA::Nginx->test_config(modules => [],
                                          events => 'use poll;');
    skip 'this nginx has epoll only', 1 if $status;
    try($_, 30, $peer, events => "use $_;") for qw(poll select);
}

# no connection of nginx is free for it

my $base = $peer->url =~ s{(:\d+)/.*}{$1}r;
my $ng = fetch_nginx(
    connections => 9,
    server => "location / { oa_test_fetch $base timeout=5s; }");
$peer->fault(hold => 1);
my @clients = map { OA::Client->new($ng->port) } 1 .. 4;
$_->send($request) for @clients;
$ng->expect_log(qr/worker_connections are not enough/);
my @first = grep { defined } map {
    my $c = $_;
    eval { fetched($c->response(timeout => 1)) }
} @clients;
ok +(grep { $_->{error} eq 'no connection of nginx is free' } @first),
    'too few worker_connections: an error';
$peer->fault();
$_->close for @clients;
ok +(wait_for { fetch($ng, '/')->{answer} } 10), 'and none when they are free';

done_testing;
