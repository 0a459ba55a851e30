# DELETE stops a stream from any worker: the agent's connection is closed, and
# who reads it is told.

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
use OA::Token qw(key jwks uuid $ISSUER $USER);

my $key = key('ES256');

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    $c->stall if $request->path =~ /silent/;
    $c->head;
    $c->event("data: one\n\n");
    return $c->end if $request->path =~ /short/;
    $c->stall;
});

my $ng = OA::Nginx->new(
    workers => 3,
    files   => {
        'keys.json'   => jwks($key),
        'routes.json' => routes_file(route('alice',
                                           access => 'authenticated')),
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
            location / { oa_sse_pass @{[ $agent->url ]}; }
            location /brief {
                oa_sse_keep 100ms;
                oa_sse_pass @{[ $agent->url ]};
            }
        }
    }
CONF

my @pids = $ng->worker_pids;
my $other = $key->token({ sub => uuid() });

sub ask {
    my ($pid, $path, %o) = @_;
    return OA::Events->new($ng->port, $path, %o,
        host => 'alice.openagents.example',
        socket => OA::Client->of_worker($ng->port, $pid, '/pid')->socket,
        headers => [ Authorization => 'Bearer ' . ($o{token} // $key->token),
                     @{ $o{headers} // [] } ]);
}

sub stop {
    my ($pid, $name, %o) = @_;
    return ask($pid, "/?stream=$name", method => 'DELETE', %o);
}

sub is_stopped {
    my ($s, $next) = @_;
    my ($end, @more) = $s->rest;
    is $end->{data}, '{"error":"The stream was stopped.","code":"stopped"}',
        'its reader is told';
    is $end->{id}, $s->header('OA-Stream') . "-$next", 'by an event';
    is @more, 0, 'the last one';
    is $s->wait_end, 'complete', 'and the end';
}

for my $i (0, 1) {
    my $s = ask($pids[0], '/');
    $s->next;
    my $name = $s->header('OA-Stream');
    my $far = ask($pids[2], "/?stream=$name");
    $far->next;

    is stop($pids[$i], $name, token => $other)->status, 404,
        'another user cannot';
    is $s->how_ended, '', 'and it goes on';

    my $r = stop($pids[$i], $name);
    is $r->status, 204, 'who it is of can, in worker ' . $i;
    is $r->raw, '', 'with nothing more to say';
    ok $agent->wait_closed($i + 1), 'the agent is left';
    is_stopped($_, 2) for $s, $far;

    is stop($_, $name)->status, 204, 'once more is as good' for @pids;
    is ask($pids[1], "/?stream=$name-2")->status, 204, 'who was told has all';
    is_stopped(ask($pids[1], "/?stream=$name-1"), 2);
}

# before there is an event, by each way to name one
my $s = ask($pids[0], '/silent');
my $held = ask($pids[0], '/?stream=' . $s->header('OA-Stream'),
               accept => undef);
$agent->wait_requests(3);
is ask($pids[1], '/', method => 'DELETE',
       headers => [ 'Last-Event-ID' => $s->header('OA-Stream') . '-77' ])
    ->status, 204, 'by whatever event';
is_stopped($s, 1);
is $held->status, 502, 'who has no header yet gets a status';
like $held->head->body . $held->raw, qr/"code":"stopped"/, 'that says so';

# what is not there
my $name = $s->header('OA-Stream');
my $none = $name =~ s/-./-/r =~ s/$/0/r;
for my $what ('', '?', '?stream=', '?stream=x', "?stream=$none",
              "?stream=$name&stream=$none", "?Stream=$name")
{
    is ask($pids[0], "/$what", method => 'DELETE')->status, 404,
        "DELETE /$what";
}

# one that has ended by itself
$s = ask($pids[0], '/short');
is join(' ', map { $_->{data} } $s->all), 'one [DONE]', 'an end';
$name = $s->header('OA-Stream');
is stop($pids[1], $name)->status, 204, 'is not to be stopped';
my $again = ask($pids[1], "/?stream=$name");
is join(' ', map { $_->{data} } $again->all), 'one [DONE]',
    'and stays what it was';

# one that is forgotten
$s = ask($pids[0], '/brief/short');
$s->wait_end;
$name = $s->header('OA-Stream');
for (1 .. 100) {
    last if stop($pids[1], $name)->status == 404;
    select undef, undef, undef, 0.02;
}
is stop($pids[0], $name)->status, 404, 'is not there in any worker';

is $agent->closed, 3, 'no other connection was cut';

done_testing;
