# The cache of verified tokens: of good ones only, for all workers, matched on
# all bytes, and never longer than the token, its key and its policy.

use strict;
use warnings;

use Math::BigInt;
use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client;
use OA::Nginx;
use OA::Token qw(key jwks uuid b64 unb64 $ISSUER);
use OA::Util qw(wait_for);

my ($key, $second) = map { key('ES256', kid => "k$_") } 1, 2;

sub conf {
    my ($t, $u) = @_;
    return <<"CONF";
    oa_issuer t {
        jwks_file keys.json; issuer $ISSUER; audience authenticated;
        @{[ $t // '' ]}
    }
    oa_issuer u {
        jwks_file keys.json; issuer $ISSUER; audience authenticated;
        accept no_session; @{[ $u // '' ]}
    }
    server {
        listen 127.0.0.1:%%PORT_0%% reuseport;
        keepalive_requests 100000;
        add_header X-Error \$oa_auth_error always;
        add_header X-Cache \$oa_auth_cache always;
        add_header X-Sub \$oa_auth_sub always;
        add_header X-Pid \$pid always;
        location / { oa_auth t; empty_gif; }
        location /u { oa_auth u; empty_gif; }
        location /needs { oa_auth t; oa_auth_require aal eq aal2; empty_gif; }
        location /cookie { oa_auth t optional; oa_auth_token cookie=c;
                           empty_gif; }
    }
CONF
}

my $ng = OA::Nginx->new(workers => 3, http => conf(),
                        files => { 'keys.json' => jwks($key, $second) });
my %client;

# one connection to each worker
sub connect_all {
    my %is = map { $_ => 1 } $ng->worker_pids;
    %client = ();
    wait_for {
        my $client = OA::Client->new($ng->port);
        my $pid = $client->get('/')->header('X-Pid');
        $client{$pid} = $client if $is{$pid};
        keys %client == 3;
    } 20 or die 'no connection to each worker';
}

sub ask {
    my ($client, $token, $path, @headers) = @_;
    return $client->get($path // '/', headers => [
        defined $token ? (Authorization => "Bearer $token") : (), @headers ]);
}

# what each worker says
sub told {
    return map {
        my $r = ask($_, @_);
        join ' ', $r->status . ($r->header('X-Error') // ''),
             $r->header('X-Cache') // '';
    } map { $client{$_} } sort { $a <=> $b } keys %client;
}

connect_all();
my ($any) = values %client;

# a miss, and then hits in every worker, also in others than the first

my $sub = uuid();
my $token = $key->token({ sub => $sub });
is_deeply [ told($token) ], [ '200 miss', '200 hit', '200 hit' ],
    'a miss in one worker is a hit in all others';
is_deeply [ told($token) ], [ ('200 hit') x 3 ], 'and then in all';
is ask($any, $token)->header('X-Sub'), $sub, 'with its own sub';
is_deeply [ told($token, '/needs') ], [ ('403 hit') x 3 ],
    'conditions are not cached';
is_deeply [ told(undef) ], [ ('401missing ') x 3 ], 'no token: no cache';

# successes only

for my $bad ([ signature => key('ES256', kid => 'x')->token({},
                                header => { kid => 'k1' }) ],
             [ expired => $key->token({ exp => 1000 }) ],
             [ claim => $key->token({ role => 'x' }) ],
             [ key => key('ES256', kid => 'x')->token ])
{
    my ($why, $bad) = @$bad;
    is_deeply [ told($bad), told($bad) ], [ ("401$why miss") x 6 ],
        "$why: never from the cache";
}

# each byte counts

my @hits;
for my $at (0 .. length($token) - 1) {
    for my $bit ($at % 6, 5) {
        my $other = $token;
        substr($other, $at, 1) ^= chr 1 << $bit;
        next if $other =~ /[\0-\x1f\x7f]/;
        my $r = ask($any, $other);
        push @hits, "$at/$bit" if $r->status == 200
                               || ($r->header('X-Cache') // '') eq 'hit';
    }
}
is "@hits", '', 'one bit changed at any byte: never a hit';
for my $other (substr($token, 0, -1), "${token}A", substr($token, 1),
               "A$token", $token . $token, "$token.", uc $token, "$token=")
{
    my $r = ask($any, $other);
    is $r->header('X-Cache'), 'miss', 'another length: no hit';
    is $r->status, 401, 'and refused';
}
my $alike = $key->token({ sub => uuid() });
is_deeply [ told($alike) ], [ '200 miss', '200 hit', '200 hit' ],
    'another token of the key';
is_deeply [ told($token) ], [ ('200 hit') x 3 ], 'the first is still there';
is_deeply [ told($alike, '/u') ], [ '200 miss', '200 hit', '200 hit' ],
    'another issuer block: judged anew';

# a malleable twin is another token

{
    my ($signed, $sig) = $token =~ /^(.*)\.(.*)$/;
    my $n = Math::BigInt->from_hex('ffffffff00000000ffffffffffffffff'
                                   . 'bce6faada7179e84f3b9cac2fc632551');
    my ($r, $s) = unpack 'a32 a32', unb64($sig);
    $s = $n - Math::BigInt->from_hex(unpack 'H*', $s);
    my $hex = substr $s->as_hex, 2;
    $s = pack 'H*', '0' x (64 - length $hex) . $hex;
    is_deeply [ (told("$signed." . b64($r . $s)))[0] ],
        [ '200 miss' ], '(r, n - s): another token to the cache';
}

# the token's end comes to a hit, too: it is within its leeway, not after

{
    my $short = $key->token({ exp => time - 27 });
    my @first = told($short);
    SKIP: {
        skip 'too slow', 2 if $first[0] !~ /^200/;
        ok +(wait_for { (told($short))[0] =~ /^401/ } 10), 'it ends';
        is_deeply [ map { s/ .*//r } told($short) ], [ ('401expired') x 3 ],
            'in all workers';
    }
    is ask($any, undef, '/cookie', Cookie => "c=$short")->header('X-Error'),
        'missing', 'as a cookie it is missing then';
}

# a reload that changes nothing keeps all

ok $ng->reload, 'a reload';
connect_all();
is_deeply [ told($token) ], [ ('200 hit') x 3 ], 'survives it';
$ng->kill_worker(0);
connect_all();
is_deeply [ told($token) ], [ ('200 hit') x 3 ], 'and a worker killed';

# one that changes the policy

for my $change ([ 'accept third_party;', '200' ], [ 'leeway 10s;', '200' ],
                [ 'algorithms ES256;', '200' ],
                [ 'audience other;', '200' ],
                [ 'algorithms RS256;', '401algorithm' ])
{
    my ($t, $want) = @$change;
    $ng->write_conf(http => conf($t));
    ok $ng->reload, "now with $t";
    connect_all();
    my @want = $want eq '200' ? ('200 miss', '200 hit', '200 hit')
                              : ("$want miss") x 3;
    is_deeply [ told($token) ], \@want, 'judged anew';
    is_deeply [ told($alike, '/u') ], [ ('200 hit') x 3 ],
        'the other block has not changed';
}
$ng->write_conf(http => conf()
                =~ s/audience authenticated;/audience another;/r);
ok $ng->reload, 'another audience';
connect_all();
is_deeply [ told($token) ], [ ('401audience miss') x 3 ], 'is refused at once';
$ng->write_conf(http => conf());
ok $ng->reload, 'and back';
connect_all();
is_deeply [ map { s/ .*//r } told($token) ], [ ('200') x 3 ], 'is good again';

# a key that goes takes all with it, at once, in all workers

my $by_second = $second->token;
told($by_second);
is_deeply [ told($by_second) ], [ ('200 hit') x 3 ], 'by another key';
$ng->write_file('keys.json', jwks($second));
ok +(wait_for { (told($token))[0] =~ /^401/ } 5), 'the key has gone';
is_deeply [ told($token) ], [ ('401key miss') x 3 ], 'for all workers';
is_deeply [ told($by_second) ], [ ('200 hit') x 3 ],
    'the other one is not disturbed';

# a key of the same kid does not bring them back

my $imposter = key('ES256', kid => 'k1', imposter => 1);
$ng->write_file('keys.json', jwks($second, $imposter));
ok +(wait_for { (told($imposter->token))[0] =~ /^200/ } 5),
    'another key of its kid';
is_deeply [ told($token) ], [ ('401signature miss') x 3 ],
    'does not stand for it';
$ng->write_file('keys.json', jwks($second, $key));
ok +(wait_for { (told($token))[0] =~ /^200/ } 5), 'the key itself does';

done_testing;
