# Who may pass: what oa_access says, or the row, and who is asking.  To anybody
# else a route is not there.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client;
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Token qw(key jwks uuid $ISSUER $USER);

my $key = key('ES256', kid => 'k1');
my $other = key('ES256', kid => 'k2');
my $partner = 'https://partner.example';

my @rows = qw(owner authenticated public default ownerless nobody);
my @access = qw(route owner authenticated public);

my $ng = OA::Nginx->new(
    workers => 2,
    files => {
        'keys.json'    => jwks($key),
        'partner.json' => jwks($other),
        'routes.json'  => routes_file(
            (map { route($_, user_id => $USER, access => $_) }
             qw(owner authenticated public)),
            route('default', user_id => $USER, access => undef),
            route('ownerless', user_id => undef, access => 'owner')),
    },
    http => <<"CONF" . join('', map { <<"CONF" } @access) . '}');
    oa_issuer supabase {
        jwks_file keys.json; issuer $ISSUER; audience authenticated;
    }
    oa_issuer partner {
        jwks_file partner.json; issuer $partner; audience authenticated;
    }
    oa_routes t {
        domain openagents.example;
        source file routes.json;
        users supabase;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        oa_auth supabase partner;
        location / { oa_replay; }
CONF
        location /$_ { oa_access $_; oa_replay; }
CONF

my $expired = $key->token({ iat => time - 3700, exp => time - 100 });

sub bearer { [ Authorization => 'Bearer ' . $_[0] ] }

# What one brings, and who that makes them: the owner, a user, nobody, or one
# who is refused whatever is there.
my @who = (
    [ 'no token', 'nobody', [] ],
    [ 'the owner', 'owner', bearer($key->token) ],
    [ 'the owner by cookie', 'owner',
      [ Cookie => 'sb-abcdefghijklmnopqrst-auth-token=' . $key->token ] ],
    [ 'another user', 'user', bearer($key->token({ sub => uuid() })) ],
    [ 'the same sub of another issuer', 'user',
      bearer($other->token({ iss => $partner })) ],
    [ 'sub in capitals', 'user', bearer($key->token({ sub => uc $USER })) ],
    [ 'sub and more', 'user', bearer($other->token({ iss => $partner,
                                                     sub => "$USER " })) ],
    [ 'a token of one issuer signed by the other', 'refused',
      bearer($other->token({}, header => { kid => 'k1' })) ],
    [ 'a token that is none', 'refused', bearer('x') ],
    [ 'an expired token', 'refused', bearer($expired) ],
    [ 'an expired cookie', 'nobody',
      [ Cookie => "sb-abcdefghijklmnopqrst-auth-token=$expired" ] ],
);

# The contract.
sub expected {
    my ($access, $row, $who) = @_;
    return 401 if $who eq 'refused';

    my $effective = $access ne 'route' ? $access
                    : $row =~ /^(?:authenticated|public)$/ ? $row : 'owner';
    my $may = $row eq 'nobody' ? 0
              : $effective eq 'public' ? 1
              : $who eq 'nobody' ? 0
              : $effective eq 'authenticated' ? 1
              : $who eq 'owner' && $row ne 'ownerless';
    return $may ? 307 : $who eq 'nobody' ? 401 : 404;
}

my $client = OA::Client->new($ng->port);

for my $who (@who) {
    my ($name, $is, $headers) = @$who;
    my (@wrong, $n);

    for my $access (@access, '') {
        for my $row (@rows) {
            my $r = $client->get("/$access", headers => $headers,
                                 host => "$row.openagents.example");
            my $expected = expected($access || 'route', $row, $is);
            my $replays = grep { $_->[0] =~ /^fly-replay$/i
                                 || $_->[1] =~ /vnd\.fly\.replay/ }
                          @{ $r->headers };
            $n++;
            push @wrong, "/$access, $row: " . $r->status . " not $expected"
                if $r->status != $expected or $replays != ($expected == 307);
        }
    }

    is $n, @rows * (@access + 1), "$name: all were asked";
    is join("\n", @wrong), '', "$name: as the contract has it";
}

is $client->get('/', host => 'x.y.openagents.example',
                headers => $who[1][2])->status, 404, 'a host of no route';
is $client->get('/public', host => 'openagents.example')->status, 404,
    'is not there for nobody, either';

done_testing;
