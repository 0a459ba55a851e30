# A POST that is repeated with its Idempotency-Key attaches to the stream that
# the first one began.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep);

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
    $c->head;
    $c->event('data: ' . $c->number . "\n\n");
    $c->wait('end', 20) if $request->body !~ /short/;
    $c->end;
});

my $ng = OA::Nginx->new(
    workers => 2,
    files   => {
        'keys.json'   => jwks($key),
        'routes.json' => routes_file(map { route($_, access => $_) }
                                     qw(authenticated public)),
    },
    http => <<"CONF");
    oa_issuer supabase {
        jwks_file keys.json; issuer $ISSUER; audience authenticated;
        accept service_role no_session;
    }
    oa_routes t { domain openagents.example; source file routes.json; }
    oa_sse_keep 300ms;
    server {
        listen 127.0.0.1:%%PORT_0%% reuseport;
        location = /pid { return 200 \$pid; }
        location / {
            oa_router t; oa_auth supabase;
            location / { oa_sse_pass @{[ $agent->url ]}; }
            location /api { oa_sse_pass @{[ $agent->url ]}; }
            location = /api {
                oa_sse_keep 10s;
                oa_sse_pass @{[ $agent->url ]};
            }
            location ~ /api { oa_sse_pass @{[ $agent->url ]}; }
        }
    }
CONF

my @pids = $ng->worker_pids;
my $body = '{"message":"hi"}';
my $runs = 0;

sub post {
    my ($keys, %o) = @_;
    my $token = exists $o{token} ? $o{token} : $key->token;
    return OA::Events->new($ng->port, $o{path} // '/api',
        method => 'POST', body => $body,
        host => ($o{route} // 'authenticated') . '.openagents.example', %o,
        socket => OA::Client->of_worker($ng->port, $o{pid} // $pids[0],
                                        '/pid')->socket,
        headers => [ (map { ('Idempotency-Key' => $_) } @$keys),
                     $token ? (Authorization => "Bearer $token") : () ]);
}

# Which run of the agent it reads.
sub run {
    my ($s) = @_;
    return $s->status if $s->status != 200;
    return $s->next->{data};
}

sub is_new {
    my ($s, $name) = @_;
    is run($s), ++$runs, $name;
}

my $first = post(['k']);
is_new($first, 'a run');
my $name = $first->header('OA-Stream');

my @same = ($first);
for my $pid (@pids) {
    for my $how ([], [ accept => undef ], [ path => '/api?x=1' ]) {
        my $s = post(['k'], pid => $pid, @$how);
        is run($s), 1, "the same key attaches, @{[ map { $_ // '' } @$how ]}";
        is $s->header('OA-Stream'), $name, 'to that stream';
        push @same, $s;
    }
}
is $agent->connections, 1, 'the agent was asked once';

is run(post(['k'], pid => $_, body => '{"message":"ho"}')), 422,
    'another body does not' for @pids;
is run(post(['k'], body => "$body ")), 422, 'be it by a byte';

my %other = (
    'another key'            => [ ['K'] ],
    'a longer key'           => [ ['k '. 'x' x 253] ],
    'another user'           => [ ['k'], token => $key->token({
                                             sub => uuid() }) ],
    'another route'          => [ ['k'], route => 'public' ],
    'another location'       => [ ['k'], path => '/' ],
    'one of another kind'    => [ ['k'], path => '/api/' ],
    'no key'                 => [ [] ],
);
for my $what (sort keys %other) {
    my $s = post(@{ $other{$what} });
    is_new($s, "$what is another run");
    isnt $s->header('OA-Stream'), $name, 'of another stream';
    my $again = post(@{ $other{$what} });
    is run($again), $what eq 'no key' ? ++$runs : $runs, 'and so again';
}

my $get = post(['k'], method => 'GET', body => undef);
is_new($get, 'GET has no key');

for my $bad ([ '' ], [ 'k', 'k' ], [ 'k', 'l' ], [ 'x' x 256 ]) {
    my $s = post($bad);
    is $s->status, 400, scalar(@$bad) . ' keys, of ' . length $bad->[0];
}
is_new(post([ 'x' x 255 ]), 'the longest key');
is_new(post([ "\xff;=,\t\"" ]), 'any bytes');

# of nobody
is_new(post($_, route => 'public', token => undef), 'nobody has no key')
    for [ 'k' ], [ 'k' ], [ '' ], [ 'k', 'l' ];

is_new(post(['k'], token => $key->token({ sub => undef, session_id => undef,
                                                role => 'service_role' })),
       'nor has who has no subject') for 1, 2;

# to its end, and behind it
$agent->say('end', 1);
for my $s (@same) {
    is $s->wait_end, 'complete', 'an end';
    is join(' ', map { $_->{data} } $s->all), '1 [DONE]', 'for all of them';
}
for my $pid (@pids) {
    is join(' ', map { $_->{data} } post(['k'], pid => $pid)->all),
        '1 [DONE]', 'who comes late gets all of it';
}
is run(post(['k'], body => "$body\n")), 422, 'and with another body nothing';

# until it is forgotten
my $short = '{"message":"short"}';
is_new(post(['s'], body => $short, path => '/'), 'a short one');
sleep 0.35;
is_new(post(['s'], body => $short, path => '/'),
       'once it was kept long enough, a key may begin another');

is $agent->connections, $runs, 'no other runs';

# nobody has heard of it
$agent->refuse;
my $in_vain = post(['r']);
like $in_vain->next->{data}, qr/"machine_unreachable"/, 'no machine';
$agent->listen;
my $anew = post(['r']);
is_new($anew, 'asked again with the same key it is a run');
isnt $anew->header('OA-Stream'), $in_vain->header('OA-Stream'), 'a new one';

done_testing;
