# Clients for JavaScript: a run is begun by fetch and read by EventSource,
# which comes back by itself after a tunnel, a reload and a death, and stops.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use OA::Agent;
use OA::Nginx;
use OA::Node qw(node_start);
use OA::Token qw(key jwks $ISSUER);
use OA::Util qw(top);

plan skip_all => 'no Node modules: make deps'
    unless -e top() . '/build/npm/node_modules/eventsource';

my $key = key('ES256', kid => 'k1');
my $token = $key->token;
my $message = JSON::PP::encode_json({ message => 'hello' });

my $agent = OA::Agent->new(sub {
    my ($c) = @_;
    $c->head;
    for my $n (1 .. 9) {
        $c->event("retry: 50\ndata: $n\n\n");
        $c->wait("after $n");
    }
    $c->end;
});

my $ng = OA::Nginx->new(
    workers => 2,
    files => { 'jwks.json' => jwks($key) },
    http => <<"CONF");
    oa_issuer t {
        jwks_file jwks.json;
        issuer $ISSUER; audience authenticated;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_auth t;
        oa_auth_token header query;
        location / { oa_sse_pass @{[ $agent->url ]}; }
    }
CONF

# What is on the way, and dies.
my $tunnel = OA::Nginx->new(modules => [], http => <<"CONF");
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / {
            proxy_pass http://127.0.0.1:@{[ $ng->port ]};
            proxy_http_version 1.1;
        }
    }
CONF

my $url = 'http://127.0.0.1:' . $tunnel->port;
my %post = (client => 'fetch', method => 'POST', body => $message,
            headers => { Authorization => "Bearer $token",
                         'Content-Type' => 'application/json' });

# The next event; what else happens is for the test that looks for it.
sub event {
    my ($client) = @_;
    while (my $line = $client->next) {
        return $line if defined $line->{data};
    }
    return { data => 'none' };
}

sub given_up {
    my ($client, $name) = @_;
    my ($last) = reverse $client->rest;
    is $last->{type}, 'error', "$name: comes back";
    is $last->{status}, 204, "$name: and is told that there is no more";
    is $last->{readyState}, 2, "$name: gives up";
}

subtest 'a run' => sub {
    my $run = node_start('eventsource.mjs', "$url/run", \%post);
    my $open = $run->next;
    is $open->{status}, 200, 'fetch';
    my $name = $open->{headers}{'oa-stream'};
    is event($run)->{lastEventId}, "$name-1", 'an event';

    my $reader = node_start('eventsource.mjs',
        "$url/?stream=$name&access_token=$token", { events => [ 'gap' ] });
    is event($reader)->{data}, 1, 'EventSource has it too';

    $agent->say('after 1');
    is event($_)->{data}, 2, 'both have the next' for $run, $reader;

    # a tunnel
    $tunnel->kill_worker(0);
    $agent->say("after $_") for 2, 3;
    is_deeply [ map { $_->{data} } event($reader), event($reader) ], [ 3, 4 ],
        'after a cut it goes on where it was';
    is +($run->rest)[-1]{type}, 'error', 'while fetch must be asked again';
    is $agent->closed, 0, 'the machine did not notice';

    # a reload, then another tunnel: the new workers read from the old one
    my @old = $ng->worker_pids;
    ok $ng->reload, 'reload';
    $agent->say('after 4');
    is event($reader)->{data}, 5, 'a reload is not noticed';
    $tunnel->kill_worker(0);
    $agent->say('after 5');
    is event($reader)->{data}, 6, 'nor a cut after it';
    ok +(grep { kill 0, $_ } @old), 'an old worker is still there';

    $agent->say("after $_") for 6 .. 9;
    is_deeply [ map { "$_->{type} $_->{data}" }
                map { event($reader) } 7 .. 10 ],
        [ (map { "message $_" } 7 .. 9), 'message [DONE]' ], 'to the end';
    given_up($reader, 'the end');
    is $agent->requests, 1, 'one run';
};

subtest 'a death' => sub {
    my $run = node_start('eventsource.mjs', "$url/run", \%post);
    my $name = $run->next->{headers}{'oa-stream'};
    my $reader = node_start('eventsource.mjs',
        "$url/?stream=$name&access_token=$token", { events => [ 'gap' ] });
    is event($reader)->{data}, 1, 'an event';

    $ng->kill_worker(0) for 1, 2;
    my $gap = event($reader);
    is $gap->{type}, 'gap', 'the stream is lost';
    is_deeply decode_json($gap->{data}), { from => 2 }, 'from where';
    my $end = event($reader);
    is decode_json($end->{data})->{code}, 'stream_lost', 'its end';
    given_up($reader, 'a death');
};

subtest 'stopped' => sub {
    my $run = node_start('eventsource.mjs', "$url/run", \%post);
    my $name = $run->next->{headers}{'oa-stream'};
    my $reader = node_start('eventsource.mjs',
        "$url/?stream=$name&access_token=$token", {});
    event($reader);

    my ($gone) = node_start('eventsource.mjs', "$url/?stream=$name",
        { %post, method => 'DELETE', body => undef })->rest;
    is $gone->{status}, 204, 'DELETE';
    my $end = event($reader);
    is decode_json($end->{data})->{code}, 'stopped', 'its end';
    given_up($reader, 'stopped');
    is decode_json(($run->rest)[-2]{data})->{code}, 'stopped', 'for all';
};

subtest 'refused' => sub {
    my ($error) = node_start('eventsource.mjs', "$url/?stream=local-x", {
        headers => $post{headers} })->rest;
    is $error->{status}, 404, 'no such stream';
    is $error->{readyState}, 2, 'EventSource gives up';

    my ($open) = node_start('eventsource.mjs', "$url/", { %post,
        headers => { Authorization => 'Bearer x' } })->rest;
    is $open->{status}, 401, 'no token';
    like $open->{headers}{'content-type'}, qr{^application/problem\+json},
        'a problem to be read';
};

done_testing;
