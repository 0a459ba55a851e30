# Who comes back to a stream gets exactly the rest, in whatever worker, while
# it runs and after its end.

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

my $key = key('ES256');

my $agent = OA::Agent->new(sub {
    my ($c) = @_;
    $c->head;
    $c->event("data: $_\n\n") for 1 .. 5;
    $c->wait('more');
    $c->event("data: $_\n\n") for 6 .. 10;
    $c->wait('end');
    $c->end;
});

my $ng = OA::Nginx->new(
    workers => 3,
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
            oa_router t; oa_auth supabase; oa_sse_pass @{[ $agent->url ]};
            add_header X-Pid \$pid always;
        }
    }
CONF

my @pids = $ng->worker_pids;

sub ask {
    my ($pid, $path, $last, %o) = @_;
    return OA::Events->new(0, $path, host => 'alice.openagents.example', %o,
        socket => OA::Client->of_worker($ng->port, $pid, '/pid')->socket,
        headers => [ Authorization => 'Bearer ' . $key->token,
                     defined $last ? ('Last-Event-ID' => $last) : () ]);
}

# Data and numbers of so many events, or of all that are left.
sub told {
    my ($s, $n) = @_;
    my @events = defined $n ? map { $s->next } 1 .. $n : $s->rest;
    return join ' ', map { "$_->{data}/" . ($_->{id} =~ s/.*-//r) } @events;
}

sub numbers { join ' ', map { "$_/$_" } @_ }

for my $round (0, 1) {
    my $first = ask($pids[0], '/api?a=1', undef,
                    method => 'POST', body => '{"message":"hi"}');
    my $name = $first->header('OA-Stream');
    like $name, qr/^local-[0-9a-f]{32}\z/, 'a stream has a name';
    is told($first, 5), numbers(1 .. 5), 'its client reads it';
    is $first->last_id, "$name-5", 'by ids of its name';

    my %readers;

    # while it runs, in its own worker and in another
    for my $pid (@pids[0, 1]) {
        my $where = $pid == $pids[0] ? 'the same worker' : 'another worker';
        my @ways = (
            [ "Last-Event-ID", 3, '/api', "$name-2" ],
            [ "?lastEventId=", 4, "/api?lastEventId=$name-3" ],
            [ "?stream=", 1, "/api?stream=$name" ],
            [ "?stream= of an event", 5, "/api?x=y&stream=$name-4&z" ],
            [ "the header first", 2, "/api?lastEventId=$name-4", "$name-1" ],
            [ "?lastEventId= next", 3, "/api?stream=$name&lastEventId=$name-2",
              '' ],
            [ "the name in Last-Event-ID", 1, '/api', $name ],
            [ "POST", 4, '/api', "$name-3", method => 'POST', body => '{}' ],
            [ "no event yet", 6, '/api', "$name-5" ],
            [ "no Accept", 3, '/api', "$name-2", accept => undef ],
        );

        for my $way (@ways) {
            my ($by, $from, @ask) = @$way;
            my $s = $readers{"$by, $where"} = ask($pid, @ask);
            is $s->header('X-Pid'), $pid, "$by, $where";
            is $s->status, 200, 'is answered';
            is $s->header('OA-Stream'), $name, 'by the stream';
            is told($s, 6 - $from), numbers($from .. 5), 'from there on';
            is $s->how_ended, '', 'and goes on';
        }
    }

    if ($round) {
        $agent->say('more', 2);
        $agent->say('end', 2);
        is told($first), numbers(6 .. 10) . ' [DONE]/11', 'the rest';
    } else {
        $first->close;
        $agent->say('more', 1);
        $agent->say('end', 1);
    }

    for my $by (sort keys %readers) {
        my $s = $readers{$by};
        is told($s), numbers(6 .. 10) . ' [DONE]/11', "$by: the rest";
        is $s->wait_end, 'complete', 'and the end';
    }

    # after its end
    for my $pid (@pids[0, 1]) {
        for my $n (0 .. 10) {
            my $s = ask($pid, '/', $n ? "$name-$n" : $name);
            is told($s), join(' ', (map { "$_/$_" } $n + 1 .. 10),
                              '[DONE]/11'), "after $n of an ended one";
            is $s->wait_end, 'complete', 'and the end';
        }
        my $s = ask($pid, '/', "$name-11");
        is $s->status, 204, 'all was read';
        is $s->wait_end, 'complete', 'there is nothing more';
        is $s->raw, '', 'not a byte';
        is ask($pid, "/?lastEventId=$name-11")->status, 204,
            'by argument, too';
    }
}

is $agent->requests, 2, 'the agent was asked once for each';

done_testing;
