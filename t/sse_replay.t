# A stream of another router machine is replayed to it, once, and to nowhere
# else.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use OA::Agent;
use OA::Client qw(http_request http_raw);
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Token qw(key jwks uuid $ISSUER $USER);

my $key = key('ES256');
my $agent = OA::Agent->new(sub { $_[0]->head; $_[0]->end });
my $hex = '0123456789abcdef' x 2;

sub router {
    my (%env) = @_;
    return OA::Nginx->new(
        env   => \%env,
        files => {
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
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t; oa_auth supabase;
        location / { oa_sse_pass @{[ $agent->url ]}; }
    }
CONF
}

my $ng = router(FLY_APP_NAME => 'edge', FLY_MACHINE_ID => 'e28650');

sub ask {
    my ($id, %o) = @_;
    return http_request(($o{ng} // $ng)->port, $o{path} // '/',
        host => 'alice.openagents.example', method => $o{method} // 'GET',
        body => $o{body}, headers => [
            Authorization => 'Bearer ' . ($o{token} // $key->token),
            Accept => 'text/event-stream',
            defined $id ? ('Last-Event-ID' => $id) : (),
            @{ $o{headers} // [] } ]);
}

sub is_replayed {
    my ($r, $machine, $name) = @_;
    is $r->status, 307, $name;
    is_deeply [ $r->header('fly-replay') ],
        [ "app=edge;instance=$machine;timeout=2s;fallback=force_self" ],
        'to that machine alone';
    is $r->header('Location'), undef, 'no redirect for a browser';
    is $r->header('Cache-Control'), 'no-store', 'not to be kept';
    is $r->body, '', 'no body';
}

sub is_missing {
    my ($r, $name) = @_;
    is $r->status, 404, $name;
    like $r->body, qr/"code":"stream_not_found"/, 'there is no such stream';
    is $r->header('fly-replay'), undef, 'and no replay';
}

for my $machine (qw(e28651 a 0 a-b x-0123456789abcdef0123456789abcdef),
                 'a' x 63)
{
    is_replayed(ask($_), $machine, $_)
        for "$machine-$hex", "$machine-$hex-1",
            "$machine-$hex-9223372036854775807";
}
is_replayed(ask(undef, path => "/?stream=b1-$hex"), 'b1', '?stream=');
is_replayed(ask(undef, path => "/?lastEventId=b1-$hex-7"), 'b1',
            '?lastEventId=');
is_replayed(ask(undef, path => "/?stream=b%31-$hex"), 'b1', 'escaped');
is_replayed(ask("b1-$hex", method => 'POST', body => '{}'), 'b1', 'POST');
is_replayed(ask(undef, path => "/?stream=b1-$hex", method => 'DELETE'), 'b1',
            'DELETE');

# what a client makes up

for my $id (
    'B1', 'b1;instance=x', 'b1;', ';', 'b1,app=x', 'b1 ', ' b1', 'b_1', 'b.1',
    '-b1', 'b1-', '-', '', "b1\t", 'b1%0d%0a', 'a' x 64, "b1\x00", "\xe9",
    'b1=', 'b1"')
{
    my $path = $id =~ s/([^\w.-])/sprintf '%%%02x', ord $1/ger;
    is_missing(ask(undef, path => "/?stream=$path-$hex"),
               "a machine \"$path\"");
    is_missing(ask(undef, path => "/?lastEventId=$path-$hex-1"),
               'in an argument for an event');
    next if $id =~ /\0/;
    is_missing(ask("x$id-$hex"), 'in the header') if $id =~ /[^\w.-]|_|\./;
}
for my $id ("b1-$hex%0d%0afly-replay:%20app=x", "b1-$hex%0ax", "b1-$hex%00",
            "b1-$hex;app=x", "b1-$hex-1;app=x", "b1-$hex-1%20")
{
    is_missing(ask(undef, path => "/?stream=$id"), "$id");
}
for my $id ("b1-$hex-0", "b1-$hex-01", "b1-$hex-", "b1-$hex--1", "b1-$hex-+1",
            "b1-$hex-9223372036854775808", 'b1-' . uc $hex, "b1-${hex}0",
            'b1-' . substr($hex, 1), 'b1', 'b1-1', '1', $hex, "-$hex",
            "b1-$hex-1-1", "b1-$hex-1,b1-$hex-1", 'x' x 4000)
{
    is_missing(ask($id), 'id ' . substr $id, 0, 60);
}
is_missing(ask("b1-$hex", headers => [ 'Last-Event-ID' => "b1-$hex" ]),
           'two of them');

# to whom it may not go

is_missing(ask("local-$hex"), 'what was local is nowhere');
is_missing(ask("b1-$hex", headers => [ $_ => 'x' ]), $_)
    for qw(fly-replay-failed Fly-Replay-Src);
is_missing(ask(undef, path => "/?stream=e28650-$hex"),
           'ours, that is not there');
is +ask("e28650-$hex-1")->status, 200, 'an event of one is told to be lost';

my $host = 'alice.openagents.example';
for my $who ([ 401, 'nobody' ],
             [ 401, 'no user', 'x' ],
             [ 404, 'another user', $key->token({ sub => uuid() }) ])
{
    my ($status, $name, $token) = @$who;
    my $r = http_request($ng->port, "/?stream=b1-$hex", host => $host,
        headers => [ $token ? (Authorization => "Bearer $token") : () ]);
    is $r->status, $status, "$name is refused";
    is $r->header('fly-replay'), undef, 'before any replay';
}

# where we are not known to be a machine of an app
for my $env ([], [ FLY_APP_NAME => 'edge' ], [ FLY_MACHINE_ID => 'e28650' ]) {
    my $router = router(@$env);
    is_missing(ask("b1-$hex", ng => $router), "with @$env");
}

# the one it is replayed to has it
my $events = ask(undef, method => 'POST', body => '{"message":"hi"}');
my ($name) = $events->header('OA-Stream') =~ /^(e28650-[0-9a-f]{32})$/;
ok $name, 'a stream is named by its machine';
like +ask($name, headers => [ 'Fly-Replay-Src' => 'instance=b1;region=fra' ])
    ->body, qr/\[DONE\]/, 'a replayed request finds it';

is $agent->connections, 1, 'no id has begun a stream';

done_testing;
