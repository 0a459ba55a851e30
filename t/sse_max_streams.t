# oa_sse_max_streams: so many streams of one user run, on whatever route.  An
# end makes room for another, and so does a worker's death.

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
    my ($c) = @_;
    $c->head;
    $c->event("data: one\n\n");
    $c->wait('end');
    $c->end;
});

my $ng = OA::Nginx->new(
    workers => 3,
    files   => {
        'keys.json'   => jwks($key),
        'routes.json' => routes_file(
            route('a', access => 'authenticated'),
            route('b', access => 'authenticated'),
            route('open', access => 'public')),
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
            oa_sse_max_streams 3;
            location /     { oa_sse_pass @{[ $agent->url ]}; }
            location /five {
                oa_sse_max_streams 5;
                oa_sse_pass @{[ $agent->url ]};
            }
            location /any {
                oa_sse_max_streams 0;
                oa_sse_pass @{[ $agent->url ]};
            }
        }
    }
CONF

my @pids = $ng->worker_pids;
my $other = $key->token({ sub => uuid() });

sub ask {
    my ($route, %o) = @_;
    my $token = exists $o{token} ? $o{token} : $key->token;
    return OA::Events->new($ng->port, $o{path} // '/', %o,
        host => "$route.openagents.example",
        socket => OA::Client->of_worker($ng->port, $o{pid} // $pids[0],
                                        '/pid')->socket,
        headers => [ $token ? (Authorization => "Bearer $token") : (),
                     @{ $o{headers} // [] } ]);
}

sub begins {
    my ($name, @ask) = @_;
    my $s = ask(@ask);
    is $s->status, 200, $name;
    is $s->next->{data}, 'one', 'begins';
    return $s;
}

sub is_refused {
    my ($name, @ask) = @_;
    my $s = ask(@ask);
    is $s->status, 429, $name;
    is $s->header('Retry-After'), 5, 'is to come back';
    $s->wait_end;
    like $s->raw, qr/"code":"too_many_streams"/, 'and why';
}

my @s = (begins('the first', 'a'),
         begins('one in another worker', 'a', pid => $pids[1]),
         begins('one on another route', 'b', pid => $pids[2]));

is_refused('one more', $_, pid => $pids[0]) for qw(a b open);
is_refused('in whatever worker', 'a', pid => $pids[2]);
is_refused('by POST', 'a', method => 'POST', body => '{"message":"hi"}',
           headers => [ 'Idempotency-Key' => 'k' ]);
is $agent->connections, 3, 'the agent hears nothing of it';

my $theirs = begins('one of another user', 'a', token => $other);
begins('one of nobody', 'open', token => undef) for 1 .. 4;
my @more = map { begins('where more may', 'a', path => '/five') } 1, 2;
is_refused('but not more', 'a', path => '/five');
push @more, begins('where any number may', 'a', path => '/any');
my $again = ask('a', headers => [
    'Last-Event-ID' => $s[0]->header('OA-Stream') ]);
is $again->next->{data}, 'one', 'reading is not limited';

# room, by each end

sub stop {
    my ($s, $route) = @_;
    my $name = $s->header('OA-Stream');
    is ask($route, path => "/?stream=$name", method => 'DELETE',
           pid => $pids[2])->status, 204, 'a stop';
    like $s->next->{data}, qr/"stopped"/, 'is an end';
}

stop($_, 'a') for @more;
is_refused('with three', 'a');
stop($s[0], 'a');
$s[0] = begins('after a stop', 'b');
is_refused('no more than that', 'b');

$agent->say('end', 2);
is $s[1]->next->{data}, '[DONE]', 'its own end';
$s[1] = begins('after an end', 'a', pid => $pids[1]);
is_refused('again no more', 'a');

$ng->kill_worker(1);
$s[1]->wait_closed;
@pids = $ng->worker_pids;
begins('after a death', 'a');
is_refused('and only for what died', 'a');

is $theirs->how_ended, '', 'the other user goes on';

done_testing;
