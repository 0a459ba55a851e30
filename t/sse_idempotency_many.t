# A hundred POSTs at once with one Idempotency-Key, over several workers: one
# run, and all get all of it.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use OA::Agent;
use OA::Client;
use OA::Events;
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Token qw(key jwks $ISSUER $USER);

my $n = 100;
my $key = key('ES256');
my $body = '{"message":"hi"}';

my $agent = OA::Agent->new(sub {
    my ($c) = @_;
    $c->head;
    $c->event("data: first\n\n");
    $c->wait('go');
    $c->event("data: $_\n\n") for 1 .. 20;
    $c->end;
});

my $ng = OA::Nginx->new(
    workers => 4,
    files   => {
        'keys.json'   => jwks($key),
        'routes.json' => routes_file(route('alice', user_id => $USER,
                                           access => 'owner')),
    },
    http => <<"CONF");
    oa_issuer supabase {
        jwks_file keys.json; issuer $ISSUER; audience authenticated;
    }
    oa_routes t { domain openagents.example; source file routes.json; }
    server {
        listen 127.0.0.1:%%PORT_0%% reuseport;
        location = /pid { return 200 \$pid; }
        location / {
            oa_router t; oa_auth supabase;
            oa_sse_max_streams 1;
            oa_sse_pass @{[ $agent->url ]};
        }
    }
CONF

my @pids = $ng->worker_pids;
my @headers = (Authorization => 'Bearer ' . $key->token,
               'Idempotency-Key' => 'k');

# connections first, so that requests come as close together as they can
my @sockets = map {
    OA::Client->of_worker($ng->port, $pids[ $_ % @pids ], '/pid')->socket
} 1 .. $n;

my @s = map {
    OA::Events->new($ng->port, '/', method => 'POST', body => $body,
        host => 'alice.openagents.example', socket => $_,
        headers => \@headers);
} @sockets;

my %status;
$status{ $_->status }++ for @s;
is_deeply \%status, { 200 => $n }, 'all are answered, whatever the limit';
my %name = map { $_->header('OA-Stream') => 1 } @s;
is keys %name, 1, 'with one stream';

is scalar(grep { $_->next->{data} eq 'first' } @s), $n, 'the first event';
is $agent->connections, 1, 'the agent was asked once';
$agent->say('go');

my %all;
for my $s (@s) {
    my $all = join ' ', map { "$_->{data}/" . ($_->{id} =~ s/.*-//r) } $s->all;
    $all{"$all " . $s->wait_end}++;
}
is_deeply \%all, {
    join(' ', 'first/1', (map { "$_/" . ($_ + 1) } 1 .. 20), '[DONE]/22',
         'complete') => $n,
}, 'and all get all of it';

is $agent->connections, 1, 'nothing was asked again';

done_testing;
