# A stream is its user's, on its route: to anybody else there is none.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use OA::Agent;
use OA::Client qw(http_request);
use OA::Events;
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Token qw(key jwks uuid $ISSUER $USER);

my $key = key('ES256', kid => 'k1');
my $partner_key = key('ES256', kid => 'k2');
my $partner = 'https://partner.example';

my $agent = OA::Agent->new(sub {
    my ($c) = @_;
    $c->head;
    $c->event("data: secret\n\n");
    $c->wait('end');
    $c->end;
});

my $ng = OA::Nginx->new(
    workers => 2,
    files   => {
        'keys.json'    => jwks($key),
        'partner.json' => jwks($partner_key),
        'routes.json'  => routes_file(
            route('shared', access => 'authenticated'),
            route('other', access => 'authenticated'),
            route('open', access => 'public')),
    },
    http => <<"CONF");
    oa_issuer supabase {
        jwks_file keys.json; issuer $ISSUER; audience authenticated;
    }
    oa_issuer partner {
        jwks_file partner.json; issuer $partner; audience authenticated;
    }
    oa_routes t {
        domain openagents.example; source file routes.json; users supabase;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        oa_auth supabase partner;
        location / { oa_sse_pass @{[ $agent->url ]}; }
        location /api { oa_sse_pass @{[ $agent->url ]}; }
        location /optional {
            oa_auth supabase optional;
            oa_sse_pass @{[ $agent->url ]};
        }
    }
CONF

my %token = (
    owner   => $key->token,
    other   => $key->token({ sub => uuid() }),
    case    => $key->token({ sub => uc $USER }),
    partner => $partner_key->token({ iss => $partner }),
    again   => $key->token({ session_id => uuid(), exp => time + 100 }),
);

sub options {
    my ($who, $host, $last) = @_;
    return (host => "$host.openagents.example", headers => [
        $who eq 'nobody' ? () : (Authorization => "Bearer $token{$who}"),
        defined $last ? ('Last-Event-ID' => $last) : () ]);
}

sub status {
    my ($who, $host, $path, $last, %o) = @_;
    my $r = http_request($ng->port, $path, options($who, $host, $last), %o);
    my ($code) = $r->body =~ /"code":"(\w+)"/;
    unlike $r->body, qr/secret/, 'no event is told';
    return $r->status . ($code ? " $code" : '');
}

my $missing = '404 stream_not_found';

# of a user

my $s = OA::Events->new($ng->port, '/', options('owner', 'shared'));
is $s->next->{data}, 'secret', 'a stream of a user';
my $name = $s->header('OA-Stream');

for my $who (qw(other case partner)) {
    for my $last ($name, "$name-1", "$name-9223372036854775807") {
        is status($who, 'shared', '/', $last), $missing,
            "$last is not for $who";
        is status($who, 'shared', "/?stream=$last", undef,
                  method => 'DELETE'), $missing, 'nor to be stopped';
    }
}

is status('nobody', 'shared', "/?stream=$name"), '401 login_required',
    'nobody is asked who they are first';
is status('owner', 'other', '/', $name), $missing, 'not on another route';
is status('owner', 'open', '/', $name), $missing, 'nor on a public one';
is status('owner', 'other', "/?stream=$name", undef, method => 'DELETE'),
    $missing, 'where it cannot be stopped';
is status('nobody', 'open', '/', $name), $missing,
    'and nobody gets it there';
is status('nobody', 'none', '/', $name), '401 login_required',
    'a host without a route';

for my $way ([ 'again', '/' ], [ 'owner', '/api' ], [ 'owner', '/optional' ]) {
    my ($who, $path) = @$way;
    my $again = OA::Events->new($ng->port, $path,
                                options($who, 'shared', $name));
    is $again->next->{data}, 'secret',
        "but theirs it is, $who by another token or location $path";
}

# of nobody

my $t = OA::Events->new($ng->port, '/', options('nobody', 'open'));
is $t->next->{data}, 'secret', 'a stream of nobody';
my $open = $t->header('OA-Stream');

is status('owner', 'open', '/', $open), $missing, 'is not a user\'s';
is status('owner', 'shared', '/', $open), $missing, 'anywhere';
my $u = OA::Events->new($ng->port, '/', options('nobody', 'open', $open));
is $u->next->{data}, 'secret', 'but of who knows its name';

is $t->how_ended . $s->how_ended, '', 'none of it ended a stream';
$agent->say('end') for 1, 2;
is $_->next->{data}, '[DONE]', 'its own end does' for $s, $t;

# after the end
is status('other', 'shared', '/', "$name-1"), $missing,
    'an ended one is not for others';
is status('other', 'shared', '/', "$name-2"), $missing,
    'not even that there is nothing more';
is status('owner', 'shared', '/', "$name-2"), '204', 'which its owner learns';

is $agent->connections, 2, 'the agent was asked for each, and no more';

done_testing;
