# A machine that cannot be reached.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Client;
use OA::Ends qw(listen_both ends_as ended_as files);
use OA::Events;
use OA::Nginx;
use OA::Resolver;
use OA::Util qw(free_port wait_for);

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    $c->head;
    $c->event("data: a\n\n");
    $c->stall if $request->path eq '/stall';
    $c->end;
});
my $nobody = free_port();
my $port = $agent->port;

my $dns = OA::Resolver->new(
    'both.example' => [ '127.0.0.2', '127.0.0.1' ],
    'none.example' => [ '127.0.0.2', '127.0.0.3' ],
);
my $silent = OA::Resolver->new;
$silent->silent(1);

sub conf {
    my ($resolver) = @_;
    return <<"CONF";
    resolver @{[ $resolver->address ]} valid=1s ipv6=off;
    resolver_timeout 300ms;
    server {
        @{[ listen_both() ]}
        oa_sse_token env:TOKEN;
        location / { oa_sse_pass @{[ $agent->url ]}; }
        location /nobody { oa_sse_pass http://127.0.0.1:$nobody; }
        location /ipv6 { oa_sse_pass http://[::1]:$nobody; }
        location /nowhere { oa_sse_pass http://[fe80::1]:$nobody; }
        location /both { oa_sse_pass http://both.example:$port; }
        location /none { oa_sse_pass http://none.example:$port; }
        location /unknown { oa_sse_pass http://unknown.example:$port; }
    }
CONF
}

my $ng = OA::Nginx->new(http => conf($dns), env => { TOKEN => 'secret' });
my $none = qr/machine "\S+": no address of it takes a connection/;

ends_as($ng, '/both', events => [ 'a' ], code => 'done');

# nginx begins with any of the addresses
ok +(wait_for {
    OA::Events->new($ng->port, '/both')->all;
    $ng->log =~ /stream "local-\S+" to machine "both.example" \(127\.0\.0\.2:/;
} 5), 'one that refused was told';

my $before = files($ng);            # with those of the resolver

ends_as($ng, '/nobody', code => 'machine_unreachable', log => $none);
ends_as($ng, '/ipv6', code => 'machine_unreachable', log => $none);
$ng->expect_log(qr/connect\(\) to fe80::1 failed/);
ends_as($ng, '/nowhere', code => 'machine_unreachable', log => $none);
ends_as($ng, '/none', code => 'machine_unreachable', log => $none);
ends_as($ng, '/unknown', code => 'machine_unreachable',
        log => qr/failed: machine "unknown.example": Host not found/);

$agent->refuse;
ends_as($ng, '/', code => 'machine_unreachable', log => $none);
$agent->listen;
ends_as($ng, '/', events => [ 'a' ], code => 'done');

ok +(wait_for { files($ng) <= $before } 5), 'no file is left open';
is $ng->log_count(qr/secret/), 0, 'nor the token told';

$ng->write_conf(http => conf($silent));
ok $ng->reload, 'a resolver that does not answer';
ends_as($ng, '/unknown', code => 'machine_unreachable',
        log => qr/failed: machine "unknown.example": Operation timed out/);
$ng->stop;

# The worker has a connection left for the client, but none for the machine:
# with every other number.
my $seen = 0;
for my $more (0, 1) {
    my $ng = OA::Nginx->new(http => conf($dns), connections => 24,
                            env => { TOKEN => 'secret' });
    $ng->expect_log(qr/24 worker_connections are not enough/);
    my $before = files($ng);

    my @half = map { OA::Client->new($ng->port) } 1 .. $more;
    $_->send("GET / HTTP/1.1\r\n") for @half;

    my (@s, $last);
    for (1 .. 24) {
        $last = OA::Events->new($ng->port, '/stall');
        (eval { $last->next } // {})->{data} // '' eq 'a' or last;
        push @s, $last;
    }

    if ($last->wait_end eq 'complete') {
        $seen++;
        ended_as($last, 'no connection', code => 'internal_error');
        ok $ng->wait_log(qr/"local-\S+" failed: .*there is no connection/),
            'told';
    }
    $_->close for @s, $last, @half;
    $agent->stop;
    ok +(wait_for { files($ng) <= $before } 5), 'no file is left open';
    $agent->start;
}
is $seen, 1, 'with one of the numbers';

done_testing;
